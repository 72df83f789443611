use ternmq_core::address::Address;
use ternmq_core::command::RoutingType;
use ternmq_core::message::{Assurance, Run};

use super::*;
use crate::frontends::{canonical, tests};

fn envelope(priority: u8) -> Envelope {
    Envelope {
        address: Address::parse("a", Dialect::Canonical, 100).unwrap(),
        durable: true,
        assurance: Assurance::AtLeastOnce,
        priority,
        expires_ms: 0,
        timestamp_ms: 1,
    }
}

fn pair<'a>(name: &'a str, value: &'a str) -> (PropertyId, Value<'a>) {
    (PropertyId::UserProperty, Value::Pair(name, value))
}

#[test]
fn every_field_has_its_place() {
    let address = Address::parse("x.y%2Ez", Dialect::Canonical, 100).unwrap();
    let view = View {
        body: Cow::Borrowed(b"{}"),
        content_type: Some("application/json".into()),
        content_encoding: Some("gzip".into()),
        correlation_id: Some(Cow::Borrowed(&[0, 255])),
        reply_to: Some(ReplyTo::Address {
            address,
            routing: Some(RoutingType::Anycast),
        }),
        subject: Some("s".into()),
        group: Some("g".into()),
        message_id: Some("m".into()),
        properties: vec![
            ("z".into(), canonical::Value::Int(-1)),
            ("a".into(), canonical::Value::Bool(true)),
            ("z".into(), canonical::Value::Text("t".into())),
        ],
    };
    let block = properties(&view, &envelope(7), Some(9));
    let found: Vec<_> = block.properties().iter().collect();
    let wanted = [
        (PropertyId::PayloadFormat, Value::Byte(1)),
        (PropertyId::MessageExpiry, Value::Long(9)),
        (PropertyId::ContentType, Value::Text("application/json")),
        (PropertyId::ResponseTopic, Value::Text("x/y.z")),
        (PropertyId::CorrelationData, Value::Binary(&[0, 255])),
        pair("content-encoding", "gzip"),
        pair("type", "s"),
        pair("JMSXGroupID", "g"),
        pair("message-id", "m"),
        pair("priority", "7"),
        pair("z", "-1"),
        pair("a", "true"),
        pair("z", "t"),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn what_is_not_there_is_not_made_up_and_what_cannot_be_is_left_out() {
    let view = View {
        body: Cow::Borrowed(b"\xff"),
        content_type: Some("text/plain".into()),
        reply_to: Some(ReplyTo::Text("not/a/#/topic".into())),
        properties: vec![("n".repeat(70_000).into(), canonical::Value::Int(1))],
        ..View::default()
    };
    let block = properties(&view, &envelope(NORMAL_PRIORITY), None);
    let found: Vec<_> = block.properties().iter().collect();
    assert_eq!(
        found,
        [(PropertyId::ContentType, Value::Text("text/plain"))]
    );
    let nothing = properties(&View::default(), &envelope(NORMAL_PRIORITY), None);
    assert!(nothing.properties().is_empty());
}

#[test]
fn xp_02_xp_04_a_message_of_amqp_becomes_properties_and_json() {
    let run = Run::single(envelope(4), tests::AMQP, tests::AMQP_MESSAGE.into());
    let view = canonical::view(&run, 0);
    assert_eq!(&*view.body, b"{\"k\":1}");
    let block = properties(&view, &run.envelope, None);
    let found: Vec<_> = block.properties().iter().collect();
    let wanted = [
        (PropertyId::PayloadFormat, Value::Byte(1)),
        (PropertyId::ContentType, Value::Text("application/json")),
        (PropertyId::ResponseTopic, Value::Text("r/x")),
        (PropertyId::CorrelationData, Value::Binary(&[0, 255])),
        pair("type", "s"),
        pair("JMSXGroupID", "g"),
        pair("message-id", "m"),
        pair("i", "-5"),
        pair("b", "true"),
        pair("d", "1.5"),
        pair("a b", "v"),
        pair("JMSXGroupSeq", "2"),
    ];
    assert_eq!(found, wanted);
}
