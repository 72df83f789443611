//! STOMP messages as others see them, and theirs as STOMP sees them.

use std::borrow::Cow;

use bytes::Bytes;
use ternmq_core::address::Address;
use ternmq_core::command::RoutingType;
use ternmq_core::dialect::Dialect;
use ternmq_core::message::{Assurance, Envelope, Run};
use ternmq_stomp::Version;

use crate::frontends::canonical::{self, ReplyTo, Value, View};
use crate::frontends::stomp::stored::{self, Writing};
use crate::frontends::stomp::view::{headers, read};
use crate::frontends::tests;

fn envelope() -> Envelope {
    Envelope {
        address: address("a"),
        durable: true,
        assurance: Assurance::AtLeastOnce,
        priority: 7,
        expires_ms: 9_000,
        timestamp_ms: 8_000,
    }
}

fn address(name: &str) -> Address {
    Address::parse(name, Dialect::Canonical, 1_000).unwrap()
}

fn message(block: &str, body: &[u8]) -> Vec<u8> {
    spelled(Dialect::Amq, block, body)
}

fn spelled(dialect: Dialect, block: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writing = Writing {
        version: Version::V1_2,
        dialect,
    };
    stored::append(&mut bytes, writing, block.as_bytes(), body);
    bytes
}

#[test]
fn headers_become_fields_and_the_rest_properties() {
    let block = "destination:/queue/a\ncontent-type:text/plain\ncorrelation-id:c\\c1\ntype:t\n\
        reply-to:/topic/x.y\nJMSXGroupID:g\npersistent:true\npriority:3\nreceipt:r\nk\\c:1\nk\\c:2\n\
        expires:5\ntimestamp:6\nmessage-id:m\ncontent-length:4\n";
    let block = &format!("{block}JMSMessageID:m2\n");
    let bytes = message(block, b"b\0dy");
    let view = read(&bytes);
    assert_eq!(view.message_id.as_deref(), Some("m2"));
    assert_eq!(&*view.body, b"b\0dy");
    assert_eq!(view.content_type.as_deref(), Some("text/plain"));
    assert_eq!(view.correlation_id.as_deref(), Some(&b"c:1"[..]));
    assert_eq!(view.subject.as_deref(), Some("t"));
    assert_eq!(view.group.as_deref(), Some("g"));
    let reply_to = ReplyTo::Address {
        address: address("x.y"),
        routing: Some(RoutingType::Multicast),
    };
    assert_eq!(view.reply_to, Some(reply_to));
    assert_eq!(view.properties, [("k:".into(), Value::Text("1".into()))]);
}

/// Mutant caught: every body without a content type bytes.
#[test]
fn xp_01_a_message_without_content_type_is_text_if_it_can_be() {
    let text = Some("text/plain;charset=utf-8");
    for (block, body, content_type) in [
        ("", &b"{\"k\":1}"[..], text),
        ("content-length:2\n", b"hi", text),
        ("", b"", text),
        ("", b"\xff\0\xfe", None),
        ("", b"a\0b", None),
        ("amq-msg-type:text\n", b"a\0b", text),
        ("amq-msg-type:text\n", b"\xff", None),
        ("amq-msg-type:bytes\n", b"hi", None),
        ("content-type:a/b\n", b"hi", Some("a/b")),
    ] {
        let bytes = message(block, body);
        assert_eq!(
            read(&bytes).content_type.as_deref(),
            content_type,
            "{block}"
        );
    }
}

#[test]
fn tq_01_a_temporary_reply_address_goes_through_other_protocols() {
    let bytes = message("reply-to:/temp-queue/$7-1-2.foo\n", b"");
    let view = read(&bytes);
    let expected = ReplyTo::Address {
        address: address("$temp.7-1-2.foo"),
        routing: Some(RoutingType::Anycast),
    };
    assert_eq!(view.reply_to, Some(expected));
    let shown = headers(&view, &envelope(), Dialect::Amq);
    assert_eq!(find(&shown, "reply-to"), Some("/temp-queue/$7-1-2.foo"));
}

/// Mutant caught: every `reply-to` read in ActiveMQ's dialect.
#[test]
fn a_reply_address_is_read_as_its_sender_spells_names() {
    for (dialect, written) in [
        (Dialect::Amq, "/topic/x%2Ey.z"),
        (Dialect::Mqtt, "/topic/x.y/z"),
    ] {
        let bytes = spelled(dialect, &format!("reply-to:{written}\n"), b"");
        let expected = ReplyTo::Address {
            address: address("x%2Ey.z"),
            routing: Some(RoutingType::Multicast),
        };
        let view = read(&bytes);
        assert_eq!(view.reply_to, Some(expected));
        let shown = headers(&view, &envelope(), dialect);
        assert_eq!(find(&shown, "reply-to"), Some(written));
    }
}

#[test]
fn xp_02_xp_04_a_message_of_amqp_becomes_headers_and_json() {
    let run = Run::single(
        envelope(),
        tests::AMQP,
        Bytes::from_static(tests::AMQP_MESSAGE),
    );
    let view = canonical::view(&run, 0);
    assert_eq!(&*view.body, b"{\"k\":1}");
    let shown = headers(&view, &envelope(), Dialect::Amq);
    for (name, value) in [
        ("content-type", "application/json"),
        ("correlation-id", "\0\u{fffd}"),
        ("reply-to", "/topic/r.x"),
        ("type", "s"),
        ("JMSXGroupID", "g"),
        ("JMSXGroupSeq", "2"),
        ("JMSMessageID", "m"),
        ("i", "-5"),
        ("b", "true"),
        ("d", "1.5"),
        ("a b", "v"),
    ] {
        assert_eq!(find(&shown, name), Some(value), "{name}");
    }
}

#[test]
fn what_is_no_message_is_a_body_and_what_is_no_destination_stays_text() {
    assert_eq!(&*read(b"\x09garbage").body, b"\x09garbage");
    let bytes = message("reply-to:/queue/*\n", b"");
    assert_eq!(
        read(&bytes).reply_to,
        Some(ReplyTo::Text("/queue/*".into()))
    );
}

fn find<'a>(headers: &'a [(Cow<'_, str>, Cow<'_, str>)], name: &str) -> Option<&'a str> {
    let mut found = headers.iter().filter(|(key, _)| key == name);
    let first = found.next().map(|(_, value)| &**value);
    assert!(found.next().is_none(), "{name} twice");
    first
}

/// Mutant caught: a property called `content-length` that cuts the frame.
#[test]
fn a_view_becomes_headers_and_no_property_forges_one() {
    let view = View {
        content_type: Some("application/json".into()),
        correlation_id: Some(Cow::Borrowed(b"c")),
        subject: Some("s".into()),
        group: Some("g".into()),
        message_id: Some("m".into()),
        reply_to: Some(ReplyTo::Address {
            address: address("r"),
            routing: None,
        }),
        properties: vec![
            ("n".into(), Value::Int(-1)),
            ("b".into(), Value::Bool(true)),
            ("d".into(), Value::Double(1.5)),
            ("content-length".into(), Value::Int(1)),
            ("ack".into(), Value::Text("x".into())),
            ("priority".into(), Value::Int(0)),
        ],
        ..View::default()
    };
    let shown = headers(&view, &envelope(), Dialect::Amq);
    for (name, value) in [
        ("content-type", "application/json"),
        ("correlation-id", "c"),
        ("type", "s"),
        ("JMSXGroupID", "g"),
        ("JMSMessageID", "m"),
        ("reply-to", "r"),
        ("persistent", "true"),
        ("priority", "7"),
        ("expires", "9000"),
        ("timestamp", "8000"),
        ("n", "-1"),
        ("b", "true"),
        ("d", "1.5"),
    ] {
        assert_eq!(find(&shown, name), Some(value), "{name}");
    }
    assert_eq!(shown.len(), 13, "{shown:?}");
}
