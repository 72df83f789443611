use bytes::Bytes;
use ternmq_mqtt::{Connect, Framed, Packet, PropertyId, frame};

use super::*;
use crate::client::{Properties, QoS};

fn message(qos: QoS) -> Message {
    Message {
        topic: "a/b".to_owned(),
        body: Bytes::from_static(b"body"),
        qos,
        retain: true,
        dup: false,
        properties: Properties {
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("answers".to_owned()),
            correlation: Some(Bytes::from_static(&[0xff])),
            expiry_s: Some(60),
            utf8: true,
            user: vec![
                ("a".to_owned(), "b".to_owned()),
                ("a".to_owned(), "c".to_owned()),
            ],
            ..Properties::default()
        },
    }
}

fn options(version: Version) -> Options {
    Options {
        host: "::1".to_owned(),
        port: 1883,
        version,
        client_id: "me".to_owned(),
        user: Some("ann".to_owned()),
        password: Some(b"s3cret".to_vec()),
        keep_alive_s: 30,
        clean: false,
        session_expiry_s: 3_600,
        receive_maximum: 0,
        will: Some(Will {
            message: message(QoS::ExactlyOnce),
            delay_s: 5,
        }),
    }
}

/// The CONNECT of `options`, read again from its bytes.
fn connect(options: &Options, look: impl Fn(&Connect<'_>)) {
    let mut bytes = Vec::new();
    options
        .connect(|connect| connect.encode(&mut bytes))
        .unwrap();
    let Framed::Frame(found) = frame(&bytes, bytes.len()).unwrap() else {
        panic!("{bytes:?}");
    };
    look(&Connect::decode(found).unwrap());
}

#[test]
fn a_message_stays_what_it_is_on_its_way() {
    let mut block = PropertiesBuf::new();
    let sent = message(QoS::AtLeastOnce);
    let mut packet = sent.packet(&mut block).unwrap();
    packet.id = Some(1);
    let mut bytes = Vec::new();
    packet.encode(Version::V5, &mut bytes).unwrap();
    let Framed::Frame(found) = frame(&bytes, bytes.len()).unwrap() else {
        panic!("{bytes:?}");
    };
    let Packet::Publish(publish) = Packet::decode(found, Version::V5).unwrap() else {
        panic!("{bytes:?}");
    };
    assert_eq!(Message::received(&publish), sent);
}

#[test]
fn connect_says_what_the_options_say() {
    connect(&options(Version::V5), |connect| {
        assert_eq!(
            (connect.client_id, connect.clean_start, connect.keep_alive_s),
            ("me", false, 30)
        );
        assert_eq!(
            (connect.username, connect.password),
            (Some("ann"), Some(&b"s3cret"[..]))
        );
        let own = connect.properties;
        assert_eq!(own.integer(PropertyId::SessionExpiry), Some(3_600));
        assert_eq!(
            own.integer(PropertyId::ReceiveMaximum),
            Some(1),
            "0 is not allowed"
        );
        let will = connect.will.unwrap();
        assert_eq!(
            (will.topic, will.payload, will.qos, will.retain),
            ("a/b", &b"body"[..], QoS::ExactlyOnce, true)
        );
        assert_eq!(will.properties.integer(PropertyId::WillDelay), Some(5));
        assert_eq!(
            will.properties.text(PropertyId::ContentType),
            Some("text/plain")
        );
    });
    connect(&options(Version::V311), |connect| {
        assert!(connect.properties.is_empty() && connect.will.unwrap().properties.is_empty());
    });
}

#[test]
fn an_ipv6_address_is_shown_in_brackets() {
    let mut options = options(Version::V5);
    assert_eq!(options.server(), "[::1]:1883");
    options.host = "broker".to_owned();
    assert_eq!(options.server(), "broker:1883");
}

#[test]
fn names_are_checked_before_anything_is_sent() {
    for topic in ["a", "a/b", "/", "$SYS/x", "a b"] {
        assert!(check_topic(topic).is_ok(), "{topic}");
    }
    let long = "x".repeat(65_536);
    for topic in ["", "a/#", "+", "a\0", &long] {
        let error = check_topic(topic).unwrap_err().to_string();
        assert!(
            error.contains("is no topic: ") && error.len() < 300,
            "{error}"
        );
    }
    for filter in ["a", "#", "+/a", "a/#", "$share/g/a/#", "$queue/a", "a::b"] {
        assert!(check_filter(filter).is_ok(), "{filter}");
    }
    for filter in [
        "",
        "a#",
        "#/a",
        "a+",
        "$share/g",
        "$share//a",
        "$share/+/a",
        "a\0",
        &long,
    ] {
        let error = check_filter(filter).unwrap_err().to_string();
        assert!(error.contains("is no topic filter: "), "{error}");
    }
}

#[test]
fn reasons_have_names() {
    assert_eq!(Reason(0x87).to_string(), "not authorized (0x87)");
    assert_eq!(Reason(0x7F).to_string(), "unknown reason (0x7F)");
    assert!(Reason(0x80).is_refusal() && !Reason(0x10).is_refusal());
}
