use proptest::prelude::*;
use ternmq_core::ids::QueueId;
use ternmq_core::message::{Format, Run};

use super::*;
use crate::frontends::tests::{self, envelope};
use crate::frontends::{canonical, rest};

const NOW: Now = Now {
    mono_ms: 5,
    wall_ms: 1_000_000,
};

fn slug(json: &str) -> Slug {
    parse(json.as_bytes(), NOW).unwrap_err().slug
}

/// A delivery of a stored message.
fn delivery(format: Format, stored: &[u8]) -> Delivery {
    let run = Run::single(envelope("a.b"), format, stored.to_vec().into());
    Delivery {
        queue: QueueId(7),
        sequence: 9,
        ..tests::delivery(run, 1)
    }
}

/// What a message of another format looks like over REST.
fn shown(format: Format, stored: &[u8]) -> Json {
    let delivery = delivery(format, stored);
    let view = canonical::view(&delivery.run, 0);
    Json::Object(render(&delivery, &view))
}

#[test]
fn fields_become_metadata_and_body() {
    let json = r#"{"id":"i","body":"b","contentType":"t/p","type":"s","groupId":"g",
        "correlationId":"c","replyTo":"a.b","ttl":"2s","priority":0,"persistent":false,
        "properties":{"z":1,"a":2}}"#;
    let (metadata, body) = parse(json.as_bytes(), NOW).unwrap();
    assert_eq!(body, b"b");
    assert_eq!(metadata.expires_ms, 1_002_000);
    assert_eq!((metadata.priority, metadata.persistent), (0, false));
    let view = metadata.view;
    assert_eq!(view.message_id.as_deref(), Some("i"));
    assert_eq!(view.subject.as_deref(), Some("s"));
    assert_eq!(view.group.as_deref(), Some("g"));
    let names: Vec<_> = view.properties.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["z", "a"]);
}

#[test]
fn absent_and_null_fields_are_defaults() {
    for json in [
        "{}",
        r#"{"id":null,"body":null,"priority":null,"properties":null}"#,
    ] {
        let (metadata, body) = parse(json.as_bytes(), NOW).unwrap();
        assert!(body.is_empty());
        assert_eq!(metadata.view, View::default());
        assert_eq!(metadata.priority, NORMAL_PRIORITY);
        assert!(metadata.persistent);
    }
}

#[test]
fn what_is_no_envelope_is_told_from_what_is_a_bad_one() {
    for json in ["", "{", "nonsense", "{} {}", "{\"body\":\"\\ud800\"}"] {
        assert_eq!(slug(json), Slug::Malformed, "{json}");
    }
    let deep = format!("{{\"json\":{}", "[".repeat(100_000));
    assert_eq!(slug(&deep), Slug::Malformed);
    let table = [
        "[]",
        "5",
        r#"{"x":1}"#,
        r#"{"body":[]}"#,
        r#"{"priority":10}"#,
        r#"{"ttl":5}"#,
    ];
    for json in table {
        assert_eq!(slug(json), Slug::BadMetadata, "{json}");
    }
    assert_eq!(slug(r#"{"delay":"5s"}"#), Slug::NotSupported);
}

/// A message that brought no id is named by its place.
#[test]
fn stored_bytes_of_no_known_format_are_a_body() {
    let wanted = serde_json::json!({
        "id": "7-9", "body": "hey", "destination": "a.b", "priority": 4, "persistent": true,
        "deliveryCount": 0,
    });
    assert_eq!(shown(Format(250), b"hey"), wanted);
    assert_eq!(shown(Format(250), b"\xff")["body64"], "/w==");
}

#[test]
fn xp_02_xp_04_a_message_of_amqp_becomes_an_envelope_with_json() {
    let wanted = serde_json::json!({
        "id": "m", "body": "{\"k\":1}", "contentType": "application/json",
        "correlationId": "\0\u{fffd}", "replyTo": "topic://r.x", "type": "s", "groupId": "g",
        "properties": {"i": -5, "b": true, "d": 1.5, "a b": "v", "JMSXGroupSeq": 2},
        "destination": "a.b", "priority": 4, "persistent": true, "deliveryCount": 0,
    });
    assert_eq!(shown(tests::AMQP, tests::AMQP_MESSAGE), wanted);
}

/// What REST shows of its own message is what was sent, and a message that came over REST gives
/// others the canonical fields.
#[test]
fn rest_message_as_an_envelope_and_as_a_view() {
    let json = r#"{"id":"i","body":"b","contentType":"t/p","type":"s","groupId":"g",
        "correlationId":"c","replyTo":"topic://a%2Fb","properties":{"f":0.5,"n":5,"t":"x","y":true}}"#;
    let (metadata, body) = parse(json.as_bytes(), NOW).unwrap();
    let mut stored = rest::message::encode_head(&metadata.view).unwrap();
    stored.extend_from_slice(&body);
    let mut wanted: Json = serde_json::from_str(json).unwrap();
    let more = serde_json::json!({
        "destination": "a.b", "priority": 4, "persistent": true, "deliveryCount": 0,
    });
    let more = more.as_object().unwrap().clone();
    wanted.as_object_mut().unwrap().extend(more);
    assert_eq!(shown(rest::FORMAT, &stored), wanted);
    let view = rest::read(&stored);
    assert_eq!(view.correlation_id.as_deref(), Some(&b"c"[..]));
    assert_eq!(view.properties.len(), 4);
    assert_eq!(&*view.body, b"b");
}

#[test]
fn ascii_json_is_the_same_json() {
    let json = serde_json::json!({"ü": "☃ 🦀\u{7f}"});
    let text = ascii(&json);
    assert!(text.is_ascii());
    assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), json);
}

#[test]
fn of_repeated_properties_the_first_is_shown() {
    let view = View {
        properties: vec![("a".into(), Value::Int(1)), ("a".into(), Value::Int(2))],
        ..View::default()
    };
    assert_eq!(property_json(&view), serde_json::json!({"a": 1}));
}

proptest! {
    #[test]
    fn any_bytes_can_be_parsed(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, NOW);
    }

    #[test]
    fn bodies_come_back(body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let json = serde_json::json!({"body64": STANDARD.encode(&body)}).to_string();
        let (_, parsed) = parse(json.as_bytes(), NOW).unwrap();
        prop_assert_eq!(parsed, body);
    }
}
