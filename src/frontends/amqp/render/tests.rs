use std::sync::Arc;

use ternmq_amqp::{BodyKind, Sections};
use ternmq_core::address::{Address, QueueName};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::{MoveReason, Origin};
use ternmq_core::message::Format;

use super::*;
use crate::frontends::amqp::encode::encode;
use crate::frontends::amqp::samples::{NOW, SENDING, delivery, hex, payload};
use crate::frontends::amqp::view::read;

const MQTT_5: Format = Format(4);
const STOMP: Format = Format(2);
const REST: Format = Format(3);

/// A message of STOMP 1.2 as it is kept (format 2).
fn stomp(lines: &str, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(lines.len()).unwrap();
    [&[12][..], &length.to_le_bytes(), lines.as_bytes(), body].concat()
}

/// A PUBLISH of MQTT 5.0 to `a/b` (format 4).
fn mqtt(properties: &str, body: &str) -> Vec<u8> {
    let (properties, body) = (hex(properties), hex(body));
    let length = u8::try_from(6 + properties.len() + body.len()).unwrap();
    let mut packet = hex(&format!(
        "30 {length:02x} 00 03 \"a/b\" {:02x}",
        properties.len()
    ));
    packet.extend(properties);
    packet.extend(body);
    packet
}

/// A message of REST (format 3) of fields, each a kind and its content.
fn rest(fields: &[(u8, &[u8])], body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for (kind, content) in fields {
        all.push(*kind);
        all.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        all.extend_from_slice(content);
    }
    let length = u32::try_from(all.len()).unwrap();
    [&[1][..], &length.to_le_bytes(), &all, body].concat()
}

fn shown(format: Format, stored: &[u8]) -> Vec<u8> {
    payload(&delivery(format, stored), &SENDING)
}

/// Mutant caught: text that is sent as data.
#[test]
fn xp_01_a_text_of_stomp_is_a_string_and_bytes_are_data() {
    let header = "00 53 70 c0 05 04 41 40 40 41";
    let properties = "00 53 73 c0 (0a 40 40 a1 (\"a.b\") 40 40 40 40 40 40 83 0000000000000001)";
    let wanted = |body: &str| hex(&format!("{header}{properties}{body}"));
    let with_length = stomp("content-length:2\n", b"hi");
    for (stored, body) in [
        (stomp("", "h\u{e9}".as_bytes()), "00 53 77 a1 03 68 c3a9"),
        (with_length, "00 53 77 a1 02\"hi\""),
        (stomp("", b""), "00 53 77 a1 00"),
        (stomp("", b"\xff\0\xfe"), "00 53 75 a0 03 ff00fe"),
        (stomp("", b"a\0b"), "00 53 75 a0 03 610062"),
    ] {
        assert_eq!(shown(STOMP, &stored), wanted(body), "{body}");
    }
    let json = stomp("content-type:application/json\n", b"{}");
    let bytes = shown(STOMP, &json);
    let sections = Sections::read(&bytes).unwrap();
    assert_eq!(sections.body_kind, BodyKind::Data);
    let properties = sections.read_properties(&bytes).unwrap();
    assert_eq!(properties.content_type, Some("application/json"));
    for (kind, expected) in [("text", BodyKind::Value), ("bytes", BodyKind::Data)] {
        let stored = stomp(&format!("amq-msg-type:{kind}\n"), b"x");
        let bytes = shown(STOMP, &stored);
        assert_eq!(Sections::read(&bytes).unwrap().body_kind, expected);
    }
}

#[test]
fn a_body_is_not_copied_whatever_its_length() {
    for (format, stored, body) in [
        (STOMP, stomp("", &[b'x'; 300]), vec![b'x'; 300]),
        (STOMP, stomp("", &[0xff; 300]), vec![0xff; 300]),
        (REST, rest(&[], b"body"), b"body".to_vec()),
    ] {
        let delivery = delivery(format, &stored);
        let mut head = Vec::new();
        let range = encode(&delivery, 0, &SENDING, &mut head);
        assert_eq!(range, stored.len() - body.len()..stored.len());
        let bytes = payload(&delivery, &SENDING);
        assert_eq!(&*read(&bytes).body, body);
    }
}

/// XP-04 from MQTT, and back: bytes that are no text stay what they are.
#[test]
fn xp_04_correlation_data_survive_the_way_there_and_back() {
    for (data, is_text) in [("00ff", false), ("\"c1\"", true), ("", true)] {
        let length = hex(data).len();
        let stored = mqtt(&format!("09 {length:04x} {data}"), "\"x\"");
        let bytes = shown(MQTT_5, &stored);
        let sections = Sections::read(&bytes).unwrap();
        let id = sections.read_properties(&bytes).unwrap().correlation_id;
        let (data, was_text) = match id {
            Some(MessageId::Binary(id)) => (id, false),
            Some(MessageId::Text(id)) => (id.as_bytes(), true),
            other => panic!("{other:?}"),
        };
        assert_eq!((data, was_text), (&*hex_of(&stored, length), is_text));
        let view = read(&bytes);
        assert_eq!(view.correlation_id.as_deref(), Some(data));
    }
}

/// The correlation data of `stored`.
fn hex_of(stored: &[u8], length: usize) -> Vec<u8> {
    stored[11..11 + length].to_vec()
}

/// MQTT 5.0 to AMQP, each property.
#[test]
fn xp_04_what_mqtt_has_has_its_place() {
    let properties = "01 01 03 0003\"t/p\" 08 0003\"r/s\" 02 00000009
        26 0001\"k\" 0001\"1\" 26 0003\"a:b\" 0001\" \" 26 0001\"k\" 0001\"2\"";
    let bytes = shown(MQTT_5, &mqtt(properties, "\"hi\""));
    let sections = Sections::read(&bytes).unwrap();
    let fields = sections.read_properties(&bytes).unwrap();
    assert_eq!(fields.content_type, Some("t/p"));
    assert_eq!(fields.reply_to, Some("topic://r.s"));
    assert_eq!(fields.to, Some("a.b"));
    assert_eq!(fields.creation_ms, Some(1));
    let annotations = sections.read_annotations(&bytes).unwrap();
    assert_eq!(
        annotations.find("x-opt-jms-reply-to"),
        Ok(Some(Value::Byte(1)))
    );
    let added = sections.read_application_properties(&bytes).unwrap();
    let added: Vec<_> = added.iter().map(Result::unwrap).collect();
    let wanted = [
        (Value::Text("k"), Value::Text("1")),
        (Value::Text("a:b"), Value::Text(" ")),
    ];
    assert_eq!(added, wanted);
    // Without a word about it, a payload is bytes; a payload format of 1 says text.
    assert_eq!(sections.body_kind, BodyKind::Data);
    let kind = |properties| {
        let bytes = shown(MQTT_5, &mqtt(properties, "\"hi\""));
        Sections::read(&bytes).unwrap().body_kind
    };
    assert_eq!(kind(""), BodyKind::Data);
    assert_eq!(kind("01 01"), BodyKind::Value);
}

/// REST to AMQP, each field and type.
#[test]
fn xp_04_what_rest_has_has_its_place_and_type() {
    let group = hex("0c00 \"JMSXGroupSeq\" 0700000000000000");
    let stored = rest(
        &[
            (1, b"id"),
            (2, b"text/plain; charset=\"UTF-8\""),
            (3, b"gzip"),
            (4, b"c"),
            (5, b"queue://a.b"),
            (6, b"s"),
            (7, b"g"),
            (16, &hex("0100 \"t\" \"x\"")),
            (17, &hex("0100 \"b\" 01")),
            (18, &hex("0100 \"i\" ffffffffffffffff")),
            (19, &hex("0100 \"d\" 000000000000f83f")),
            (18, &group),
        ],
        b"body",
    );
    let bytes = shown(REST, &stored);
    let sections = Sections::read(&bytes).unwrap();
    let fields = sections.read_properties(&bytes).unwrap();
    let wanted = MessageProperties {
        message_id: Some(MessageId::Text("id")),
        to: Some("a.b"),
        subject: Some("s"),
        reply_to: Some("queue://a.b"),
        correlation_id: Some(MessageId::Text("c")),
        content_encoding: Some("gzip"),
        creation_ms: Some(1),
        group_id: Some("g"),
        group_sequence: Some(7),
        ..MessageProperties::default()
    };
    assert_eq!(fields, wanted);
    let added = sections.read_application_properties(&bytes).unwrap();
    let added: Vec<_> = added.iter().map(Result::unwrap).collect();
    let wanted = [
        (Value::Text("t"), Value::Text("x")),
        (Value::Text("b"), Value::Bool(true)),
        (Value::Text("i"), Value::Long(-1)),
        (Value::Text("d"), Value::Double(1.5)),
    ];
    assert_eq!(added, wanted);
    assert!(bytes.ends_with(&hex("00 53 77 a1 04 \"body\"")));

    // There and back, all but the spelling of the content type is the same.
    let run = &delivery(REST, &stored).run;
    let mut before = canonical::view(run, 0);
    before.content_type = Some(TEXT.into());
    assert_eq!(read(&bytes), before);
}

/// STOMP to AMQP, each header.
#[test]
fn xp_04_what_stomp_has_has_its_place() {
    let lines = "content-type:text/plain\ncontent-encoding:gzip\ncorrelation-id:c\n\
        reply-to:/temp-queue/$7-1.x\ntype:t\nJMSXGroupID:g\nJMSXGroupSeq:3\nJMSMessageID:m\n\
        k:v\n";
    let bytes = shown(STOMP, &stomp(lines, b"x"));
    let sections = Sections::read(&bytes).unwrap();
    let wanted = MessageProperties {
        message_id: Some(MessageId::Text("m")),
        to: Some("a.b"),
        subject: Some("t"),
        reply_to: Some("$temp.7-1.x"),
        correlation_id: Some(MessageId::Text("c")),
        content_type: Some("text/plain"),
        content_encoding: Some("gzip"),
        creation_ms: Some(1),
        group_id: Some("g"),
        group_sequence: Some(3),
        ..MessageProperties::default()
    };
    assert_eq!(sections.read_properties(&bytes), Ok(wanted));
    let annotations = sections.read_annotations(&bytes).unwrap();
    let kind = annotations.find("x-opt-jms-reply-to");
    assert_eq!(kind, Ok(Some(Value::Byte(2))));
    let added = sections.read_application_properties(&bytes).unwrap();
    assert_eq!(added.len(), 1);
}

/// Mutant caught: a content type with other characters put into a symbol.
#[test]
fn what_no_symbol_can_hold_is_left_out() {
    let fields = [(2, "t/\u{e9}".as_bytes()), (3, "\u{e9}".as_bytes())];
    let bytes = shown(REST, &rest(&fields, b"x"));
    let sections = Sections::read(&bytes).unwrap();
    let properties = sections.read_properties(&bytes).unwrap();
    assert_eq!(properties.content_type, None);
    assert_eq!(properties.content_encoding, None);
}

#[test]
fn r96_the_link_says_what_kind_of_jms_destination_it_is() {
    for (routing, kind) in [
        (Some(RoutingType::Anycast), Some(Value::Byte(0))),
        (Some(RoutingType::Multicast), Some(Value::Byte(1))),
        (None, None),
    ] {
        let sending = Sending { routing, ..SENDING };
        let bytes = payload(&delivery(STOMP, &stomp("", b"x")), &sending);
        let sections = Sections::read(&bytes).unwrap();
        let annotations = sections.read_annotations(&bytes).unwrap();
        assert_eq!(annotations.find("x-opt-jms-dest"), Ok(kind));
        // To messages of AMQP nothing is added.
        let amqp = hex("00 53 75 a0 01 78");
        let bytes = payload(&delivery(super::super::message::FORMAT, &amqp), &sending);
        assert_eq!(
            bytes,
            hex("00 53 70 c0 05 04 41 40 40 41 00 53 75 a0 01 78")
        );
    }
}

#[test]
fn a_moved_message_of_another_protocol_says_where_it_was() {
    let mut moved = delivery(REST, &rest(&[(1, b"id")], b"x"));
    moved.origin = Some(Arc::new(Origin {
        address: Address::parse("was", Dialect::Canonical, 100).unwrap(),
        queue: QueueName::parse("q", Dialect::Canonical, 100).unwrap(),
        reason: MoveReason::Expired,
        time_ms: NOW.wall_ms,
    }));
    moved.note = Some(hex("c1 (02 a3 (\"a\") 52 02)").into());
    let bytes = payload(&moved, &SENDING);
    let sections = Sections::read(&bytes).unwrap();
    let annotations = sections.read_annotations(&bytes).unwrap();
    for (key, value) in [
        ("x-opt-ORIG-ADDRESS", Value::Text("was")),
        ("x-opt-ORIG-MESSAGE-ID", Value::Text("id")),
        ("x-opt-ACTUAL-EXPIRY", Value::Long(1_000_000)),
        ("a", Value::Uint(2)),
    ] {
        assert_eq!(annotations.find(key), Ok(Some(value)), "{key}");
    }
}
