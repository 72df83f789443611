//! `Tmq-*` headers, durations and times.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use ternmq_core::ids::Now;

use super::problem::{Problem, Slug};
use super::{envelope, names};
use crate::frontends::canonical::View;

/// What a publish says beside its body.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Metadata {
    pub(super) view: View<'static>,
    pub(super) priority: u8,
    pub(super) expires_ms: u64,
    pub(super) persistent: bool,
}

/// Priority of a message that names none.
pub(super) const NORMAL_PRIORITY: u8 = 4;

/// Headers of features that are not there yet: refused, never ignored.
const REFUSED: [&str; 3] = ["idempotency-key", "tmq-delay", "tmq-deliver-at"];

/// The text of a header; a problem if it is not visible ASCII.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str();
    text.map(Some)
        .map_err(|_| Problem::new(Slug::BadMetadata, format!("{name} is not ASCII text")))
}

/// Reads the headers of a publish in binary mode.
pub(super) fn metadata(headers: &HeaderMap, now: Now) -> Result<Metadata, Problem> {
    let bad = |name: &str, want: &str| Problem::new(Slug::BadMetadata, format!("{name}: {want}"));
    for name in REFUSED {
        if headers.contains_key(name) {
            return Err(Problem::new(
                Slug::NotSupported,
                format!("{name} is not supported yet"),
            ));
        }
    }
    let owned = |name| Ok(text(headers, name)?.map(|t| Cow::Owned(t.to_owned())));
    let mut view = View {
        content_type: owned("content-type")?,
        content_encoding: owned("content-encoding")?,
        subject: owned("tmq-type")?,
        group: owned("tmq-group-id")?,
        ..View::default()
    };
    view.correlation_id =
        text(headers, "tmq-correlation-id")?.map(|id| Cow::Owned(id.as_bytes().to_vec()));
    view.reply_to = text(headers, "tmq-reply-to")?.map(names::owned_reply);
    if let Some(json) = text(headers, "tmq-properties")? {
        let properties = serde_json::from_str(json)
            .ok()
            .and_then(|v| envelope::properties(&v));
        view.properties = properties.ok_or_else(|| bad("Tmq-Properties", "a JSON object"))?;
    }
    let priority = match text(headers, "tmq-priority")? {
        Some(text) => text
            .parse()
            .ok()
            .filter(|p| *p <= 9)
            .ok_or(bad("Tmq-Priority", "0 to 9"))?,
        None => NORMAL_PRIORITY,
    };
    let expires_ms = match text(headers, "tmq-ttl")? {
        Some(text) => {
            let ttl = duration_ms(text).ok_or(bad("Tmq-Ttl", "a duration such as 30s"))?;
            now.wall_ms.saturating_add(ttl)
        }
        None => 0,
    };
    let persistent = match text(headers, "tmq-persistent")? {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => return Err(bad("Tmq-Persistent", "true or false")),
    };
    Ok(Metadata {
        view,
        priority,
        expires_ms,
        persistent,
    })
}

/// Adds a header, if the value can be one.
pub(super) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The headers of a message in binary mode.
pub(super) fn put_view(headers: &mut HeaderMap, view: &View<'_>) {
    if let Some(media) = &view.content_type
        && let Ok(value) = HeaderValue::from_str(media)
    {
        headers.insert(header::CONTENT_TYPE, value);
    }
    let correlation = view.correlation_id.as_deref().map(String::from_utf8_lossy);
    let reply = view.reply_to.as_ref().map(names::render_reply);
    let fields = [
        ("content-encoding", view.content_encoding.as_deref()),
        ("tmq-correlation-id", correlation.as_deref()),
        ("tmq-reply-to", reply.as_deref()),
        ("tmq-type", view.subject.as_deref()),
        ("tmq-group-id", view.group.as_deref()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            put(headers, name, value);
        }
    }
    if !view.properties.is_empty() {
        put(
            headers,
            "tmq-properties",
            &envelope::ascii(&envelope::property_json(view)),
        );
    }
}

/// `1500ms`, `30s`, `5m`, `2h`, `PT30S`, or milliseconds.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let text = lower.strip_prefix("pt").unwrap_or(&lower);
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(at)?;
    let number: u64 = digits.parse().ok()?;
    let factor = match unit {
        "ms" | "" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A wall time as RFC 3339 in UTC.
pub(super) fn rfc3339(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    // Days to civil date, by Howard Hinnant's era arithmetic.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z",
        rest % 1_000
    )
}
