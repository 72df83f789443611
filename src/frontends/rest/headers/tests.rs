use super::*;
use crate::frontends::canonical::Value;

const NOW: Now = Now {
    mono_ms: 5,
    wall_ms: 1_000_000,
};

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn slug(lines: &[(&'static str, &str)]) -> Slug {
    metadata(&headers(lines), NOW).unwrap_err().slug
}

#[test]
fn b2_durations() {
    let table = [
        ("0", Some(0)),
        ("1500", Some(1_500)),
        ("1500ms", Some(1_500)),
        ("30s", Some(30_000)),
        ("5m", Some(300_000)),
        ("2h", Some(7_200_000)),
        ("2H", Some(7_200_000)),
        ("PT30S", Some(30_000)),
        ("PT1H30M", Some(5_400_000)),
        ("pt1m5s", Some(65_000)),
        ("", None),
        ("s", None),
        ("-5s", None),
        ("1.5s", None),
        ("5 s", None),
        ("5d", None),
        ("PT", None),
        ("PT30", None),
        ("PT5MS", None),
        ("PT5S5M", None),
        ("PT5S5S", None),
        ("P1D", None),
        ("PTü", None),
        ("5ü", None),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("18446744073709551615s", None),
        ("PT5124095576030432H", None),
    ];
    for (text, wanted) in table {
        assert_eq!(duration_ms(text), wanted, "{text}");
    }
}

/// Dates by `date -u -d @SECONDS`.
#[test]
fn times_are_rfc_3339_in_utc() {
    let table = [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_709_164_799_001, "2024-02-28T23:59:59.001Z"),
        (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ];
    for (ms, wanted) in table {
        assert_eq!(rfc3339(ms), wanted);
    }
}

#[test]
fn metadata_of_no_headers_is_the_default() {
    let metadata = metadata(&HeaderMap::new(), NOW).unwrap();
    assert_eq!(metadata.view, View::default());
    assert_eq!(metadata.priority, NORMAL_PRIORITY);
    assert_eq!(metadata.expires_ms, 0);
    assert!(metadata.persistent);
}

#[test]
fn metadata_reads_every_header() {
    let headers = headers(&[
        ("content-type", "text/plain; charset=utf-8"),
        ("content-encoding", "br"),
        ("tmq-type", "größe"),
        ("tmq-group-id", "g"),
        ("tmq-correlation-id", "c"),
        ("tmq-reply-to", "queue://a"),
        ("tmq-priority", "0"),
        ("tmq-ttl", "30s"),
        ("tmq-persistent", "false"),
        ("tmq-properties", r#"{"b":1,"a":"x","b":true}"#),
        ("x-other", "passed over"),
    ]);
    let metadata = metadata(&headers, NOW).unwrap();
    let view = &metadata.view;
    assert_eq!(
        view.content_type.as_deref(),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(view.subject.as_deref(), Some("größe"));
    assert_eq!(view.correlation_id.as_deref(), Some(&b"c"[..]));
    assert_eq!((metadata.priority, metadata.persistent), (0, false));
    assert_eq!(metadata.expires_ms, 1_030_000);
    let properties = [
        ("b".into(), Value::Int(1)),
        ("a".into(), Value::Text("x".into())),
        ("b".into(), Value::Bool(true)),
    ];
    assert_eq!(view.properties, properties, "in order, repeated names too");
    let mut shown = HeaderMap::new();
    put_view(&mut shown, view);
    for name in [
        "content-type",
        "content-encoding",
        "tmq-type",
        "tmq-group-id",
        "tmq-reply-to",
    ] {
        assert_eq!(shown.get(name), headers.get(name), "{name}");
    }
}

#[test]
fn metadata_that_cannot_be_is_refused() {
    let bad: [&[(&'static str, &str)]; 6] = [
        &[("tmq-priority", "10")],
        &[("tmq-priority", "256")],
        &[("tmq-persistent", "TRUE")],
        &[("tmq-properties", "{")],
        &[("tmq-anything", "x")],
        &[("tmq-type", "a"), ("tmq-type", "a")],
    ];
    for lines in bad {
        assert_eq!(slug(lines), Slug::BadMetadata, "{lines:?}");
    }
    for name in NOT_YET {
        assert_eq!(slug(&[(name, "x")]), Slug::NotSupported, "{name}");
    }
}

#[test]
fn values_with_control_characters_are_left_out_of_headers() {
    let mut headers = HeaderMap::new();
    put(&mut headers, "tmq-type", "a\r\nset-cookie: x");
    assert!(headers.is_empty());
}

#[test]
fn accept_is_read_as_ranges() {
    let table = [
        ("*/*", true),
        ("text/*", true),
        ("TEXT/Event-Stream;q=0.5", true),
        ("text/html, */*;q=0.1", true),
        ("text/event-stream;q=0", false),
        ("text/html", false),
        ("", false),
        ("texts/*", false),
    ];
    for (accept, wanted) in table {
        let headers = headers(&[("accept", accept)]);
        assert_eq!(accepts(&headers, "text/event-stream"), wanted, "{accept}");
    }
    assert!(accepts(&HeaderMap::new(), "a/b"));
    let two = headers(&[("accept", "a/a"), ("accept", "b/b")]);
    assert!(accepts(&two, "b/b") && !accepts(&two, "c/c"));
}

#[test]
fn media_types_lose_their_parameters() {
    let headers = headers(&[("content-type", " Text/Plain ; charset=x")]);
    assert_eq!(
        media(&headers, "content-type").unwrap().as_deref(),
        Some("text/plain")
    );
    assert_eq!(media(&HeaderMap::new(), "content-type"), Ok(None));
}
