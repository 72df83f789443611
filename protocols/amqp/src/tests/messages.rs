//! Part 3: the sections of messages.

use super::hex;
use crate::types::Value;
use crate::{BodyKind, Error, Header, MessageId, MessageProperties, Sections};

const HEADER: &str = "00 53 70 c0 04 02 41 50 05";
const DELIVERY: &str = "00 53 71 c1 01 00";
const ANNOTATIONS: &str = "00 53 72 c1 05 02 a3 01 61 41";
const PROPERTIES: &str = "00 53 73 c0 05 01 a1 02 6964";
const APPLICATION: &str = "00 53 74 c1 05 02 a1 01 61 42";
const DATA: &str = "00 53 75 a0 01 78";
const FOOTER: &str = "00 53 78 c1 01 00";

fn message(parts: &[&str]) -> Vec<u8> {
    hex(&parts.concat())
}

#[test]
fn r86_sections_are_found_in_their_order() {
    let all = [
        HEADER,
        DELIVERY,
        ANNOTATIONS,
        PROPERTIES,
        APPLICATION,
        DATA,
        DATA,
        FOOTER,
    ];
    let bytes = message(&all);
    let sections = Sections::read(&bytes).unwrap();
    let parts = [
        &sections.header,
        &sections.delivery_annotations,
        &sections.message_annotations,
        &sections.properties,
        &sections.application_properties,
        &sections.body,
        &sections.footer,
    ];
    let mut at = 0;
    for part in parts {
        assert_eq!(part.start, at);
        at = part.end;
    }
    assert_eq!(at, bytes.len());
    assert_eq!(
        bytes[sections.bare()],
        message(&[PROPERTIES, APPLICATION, DATA, DATA])
    );
    assert_eq!(sections.body_kind, BodyKind::Data);
    let body: Vec<_> = sections.read_body(&bytes).collect();
    assert_eq!(body, [Ok(Value::Binary(b"x")), Ok(Value::Binary(b"x"))]);
    let header = sections.read_header(&bytes).unwrap();
    assert_eq!(
        (header.durable, header.priority, header.ttl_ms),
        (true, 5, None)
    );
    let properties = sections.read_properties(&bytes).unwrap();
    assert_eq!(properties.message_id, Some(MessageId::Text("id")));
    let found = sections.read_annotations(&bytes).unwrap().find("a");
    assert_eq!(found, Ok(Some(Value::Bool(true))));
    let found = sections
        .read_application_properties(&bytes)
        .unwrap()
        .find("a");
    assert_eq!(found, Ok(Some(Value::Bool(false))));
}

#[test]
fn r86_bodies_are_data_sequences_or_one_value() {
    for (parts, kind) in [
        (&[DATA][..], BodyKind::Data),
        (&["00 53 76 45", "00 53 76 45"], BodyKind::Sequence),
        (&["00 53 77 a1 01 78"], BodyKind::Value),
        (&["00 53 77 40"], BodyKind::Value),
        (&[HEADER], BodyKind::None),
        (&[], BodyKind::None),
    ] {
        let bytes = message(parts);
        let sections = Sections::read(&bytes).unwrap();
        assert_eq!(sections.body_kind, kind, "{parts:?}");
    }
    for broken in [
        &[DATA, HEADER][..],
        &[HEADER, HEADER],
        &[APPLICATION, PROPERTIES],
        &[FOOTER, DATA],
        &[DATA, "00 53 76 45"],
        &["00 53 77 40", "00 53 77 40"],
        &["00 53 75 a1 01 78"],
        &["00 53 70 c1 01 00"],
        &["00 53 79 45"],
        &["40"],
        &["00 53 75 a0 05 78"],
    ] {
        let read = Sections::read(&message(broken));
        assert!(matches!(read, Err(Error::Decode(_))), "{broken:?}");
    }
}

#[test]
fn r88_headers_go_both_ways_and_defaults_are_nothing() {
    let mut out = Vec::new();
    Header::default().put(&mut out);
    MessageProperties::default().put(&mut out);
    assert!(out.is_empty());
    let header = Header {
        durable: true,
        priority: 9,
        ttl_ms: Some(1_000),
        first_acquirer: false,
        delivery_count: 2,
    };
    header.put(&mut out);
    assert_eq!(out, hex("00 53 70 c0 0c 05 41 50 09 70 000003e8 40 52 02"));
    let sections = Sections::read(&out).unwrap();
    assert_eq!(sections.read_header(&out), Ok(header));
    let high = hex("00 53 70 c0 04 02 40 50 ff");
    let sections = Sections::read(&high).unwrap();
    assert_eq!(sections.read_header(&high).unwrap().priority, 9);
}

#[test]
fn r91_ids_keep_their_type() {
    let ids = [
        MessageId::Ulong(7),
        MessageId::Uuid([1; 16]),
        MessageId::Binary(&[0xff]),
        MessageId::Text("7"),
    ];
    for id in ids {
        let properties = MessageProperties {
            message_id: Some(id),
            user_id: Some(b"u"),
            to: Some("to"),
            subject: Some("s"),
            reply_to: Some("r"),
            correlation_id: Some(id),
            content_type: Some("text/plain"),
            content_encoding: Some("gzip"),
            absolute_expiry_ms: Some(1),
            creation_ms: Some(-2),
            group_id: Some("g"),
            group_sequence: Some(3),
            reply_to_group_id: Some("h"),
        };
        let mut out = Vec::new();
        properties.put(&mut out);
        let sections = Sections::read(&out).unwrap();
        assert_eq!(sections.read_properties(&out), Ok(properties));
    }
    let number = hex("00 53 73 c0 03 01 52 07");
    let sections = Sections::read(&number).unwrap();
    assert!(sections.read_properties(&number).is_err());
}

/// Mutant caught: the footer not walked.
#[test]
fn r86_sections_are_walked_to_their_last_level() {
    let broken = "c0 03 01 a1 05";
    for (before, code) in [
        ("", "72 c1 09 02 a3 01 61"),
        ("", "74 c1 09 02 a1 01 61"),
        ("", "77"),
        ("00 53 76 45", "76"),
        (DATA, "78 c1 09 02 a3 01 61"),
    ] {
        let bytes = message(&[before, "00 53", code, broken]);
        let sections = Sections::read(&bytes).unwrap();
        assert!(sections.check(&bytes).is_err(), "{code}");
    }
    // What is in data is nobody's business here.
    let bytes = message(&[ANNOTATIONS, APPLICATION, "00 53 75 a0 05", broken, FOOTER]);
    let sections = Sections::read(&bytes).unwrap();
    assert_eq!(sections.check(&bytes), Ok(()));
}
