//! `Tmq-*` headers, durations and times.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use ternmq_core::ids::Now;

use super::problem::{Problem, Slug};
use super::properties::Properties;
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
/// The highest priority.
pub(super) const MAX_PRIORITY: u8 = 9;

/// Headers of features that are not there yet: refused, never ignored.
const NOT_YET: [&str; 5] = [
    "tmq-delay",
    "tmq-deliver-at",
    "tmq-cron",
    "tmq-cron-tz",
    "ce-specversion",
];

/// All headers of ours that a publish may have.
const KNOWN: [&str; 8] = [
    "tmq-priority",
    "tmq-ttl",
    "tmq-correlation-id",
    "tmq-reply-to",
    "tmq-group-id",
    "tmq-type",
    "tmq-persistent",
    "tmq-properties",
];

/// The text of a header, which is UTF-8 wherever it is not ASCII.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some)
        .map_err(|_| Problem::new(Slug::BadMetadata, format!("{name} is not UTF-8")))
}

/// The media type of a header, in lower case and without parameters.
pub(super) fn media(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let text = text(headers, name)?.and_then(|text| text.split(';').next());
    Ok(text.map(|media| media.trim().to_ascii_lowercase()))
}

/// Whether an answer of media type `media`, such as `text/plain`, is one that the client takes.
pub(super) fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let whole = media.split_once('/').map_or("*", |(whole, _)| whole);
    let mut any = false;
    for value in headers.get_all(header::ACCEPT) {
        any = true;
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let taken = text.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default();
            let fits = range == "*/*"
                || range == media
                || range.strip_suffix("/*").is_some_and(|r| r == whole);
            fits && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        });
        if taken {
            return true;
        }
    }
    !any
}

/// Refuses headers of ours that are unknown, not there yet, or repeated: what was meant would not
/// be what happens.
pub(super) fn check(headers: &HeaderMap, known: &[&str]) -> Result<(), Problem> {
    for name in headers.keys() {
        let name = name.as_str();
        if NOT_YET.contains(&name) {
            let detail = format!("{name} is not supported yet");
            return Err(Problem::new(Slug::NotSupported, detail));
        }
        if !name.starts_with("tmq-") {
            continue;
        }
        if !known.contains(&name) {
            let detail = format!("{name} has no meaning here");
            return Err(Problem::new(Slug::BadMetadata, detail));
        }
        if headers.get_all(name).iter().nth(1).is_some() {
            let detail = format!("{name} is given twice");
            return Err(Problem::new(Slug::BadMetadata, detail));
        }
    }
    Ok(())
}

/// Reads the headers of a publish in binary mode.
pub(super) fn metadata(headers: &HeaderMap, now: Now) -> Result<Metadata, Problem> {
    check(headers, &KNOWN)?;
    let bad = |name: &str, want: &str| Problem::new(Slug::BadMetadata, format!("{name}: {want}"));
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
        let Properties(properties) = serde_json::from_str(json)
            .map_err(|error| bad("Tmq-Properties", &error.to_string()))?;
        view.properties = properties;
    }
    let priority = match text(headers, "tmq-priority")? {
        Some(text) => text
            .parse()
            .ok()
            .filter(|p| *p <= MAX_PRIORITY)
            .ok_or_else(|| bad("Tmq-Priority", "0 to 9"))?,
        None => NORMAL_PRIORITY,
    };
    let expires_ms = match text(headers, "tmq-ttl")? {
        Some(text) => {
            let ttl = duration_ms(text);
            let ttl = ttl.ok_or_else(|| bad("Tmq-Ttl", "a duration such as 30s"))?;
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

/// Adds a header in UTF-8, unless the value has control characters: those only an envelope shows.
pub(super) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The headers of a message in binary mode.
pub(super) fn put_view(headers: &mut HeaderMap, view: &View<'_>) {
    let correlation = view.correlation_id.as_deref().map(String::from_utf8_lossy);
    let reply = view.reply_to.as_ref().map(names::render_reply);
    let fields = [
        ("content-type", view.content_type.as_deref()),
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

/// `1500ms`, `30s`, `5m`, `2h`, milliseconds without a unit, or ISO 8601 such as `PT1M30S`.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let Some(mut rest) = lower.strip_prefix("pt") else {
        let (number, unit) = split_number(&lower)?;
        let factor = match unit {
            "ms" | "" => 1,
            unit => unit_ms(unit)?,
        };
        return number.checked_mul(factor);
    };
    let (mut sum, mut last) = (0u64, u64::MAX);
    while !rest.is_empty() || last == u64::MAX {
        let (number, tail) = split_number(rest)?;
        let (unit, tail) = tail.split_at_checked(1)?;
        // Hours before minutes before seconds, each at most once.
        let factor = unit_ms(unit).filter(|factor| *factor < last)?;
        sum = sum.checked_add(number.checked_mul(factor)?)?;
        (rest, last) = (tail, factor);
    }
    Some(sum)
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    Some((digits.parse().ok()?, rest))
}

fn unit_ms(unit: &str) -> Option<u64> {
    match unit {
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    }
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

#[cfg(test)]
mod tests;
