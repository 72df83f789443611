//! What must hold for any input.

use proptest::prelude::*;

use super::{V5, V31, V311, decode, hex};
use crate::fuzz;
use crate::packet::{Connect, Packet, Publish, QoS, Version, Will};
use crate::properties::{PropertiesBuf, PropertyId, Value};

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![Just(V31), Just(V311), Just(V5)]
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![
        Just(QoS::AtMostOnce),
        Just(QoS::AtLeastOnce),
        Just(QoS::ExactlyOnce)
    ]
}

/// Packets that a client may send, some cut or changed, so that a machine gets far and then into
/// trouble.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "3004 0001 74 78",
        "3005 0001 74 00 78",
        "3206 0001 74 0001 78",
        "3206 0001 74 0002 78",
        "3207 0001 74 0003 00 78",
        "300C 0001 74 07 26 0001 6B 0001 76 78",
        "4002 0001",
        "4002 0002",
        "4003 0003 10",
        "6202 FFFF",
        "8206 0001 0001 74 02",
        "8207 0001 00 0001 74 02",
        "A205 0001 0001 74",
        "C000",
        "E000",
        "E001 04",
    ]);
    let piece = prop_oneof![
        12 => known.prop_map(hex),
        1 => prop::collection::vec(any::<u8>(), 1..12),
    ];
    let head = any::<(u8, u8)>().prop_map(|(choice, cut)| vec![choice, cut % 40]);
    (head, prop::collection::vec(piece, 0..40)).prop_map(|(mut head, pieces)| {
        head.extend(pieces.concat());
        head
    })
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(data in prop::collection::vec(any::<u8>(), 0..64)) {
        fuzz::decode(&data);
        fuzz::machine(&data);
    }

    #[test]
    fn framed_bytes_decode_or_are_refused(
        first in any::<u8>(),
        body in prop::collection::vec(0_u8..0x30, 0..40),
    ) {
        let mut data = vec![first, u8::try_from(body.len()).unwrap()];
        data.extend(body);
        fuzz::decode(&data);
    }

    // Mutants: QoS 2 handed out again when it is repeated; a slot not given back at PUBCOMP; the
    // count of what was sent kept over a new connection; every alias the same.
    #[test]
    fn two_machines_lose_and_repeat_nothing(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz::pair(&data);
    }

    #[test]
    fn mq_19_cutting_a_stream_changes_no_event(data in streams()) {
        fuzz::machine(&data);
    }

    #[test]
    fn a_publish_comes_back(
        (version, qos, retain, dup) in (versions(), qos(), any::<bool>(), any::<bool>()),
        topic in "[^+#\u{0}]{1,40}",
        id in 1_u16..,
        (name, value) in ("[^\u{0}]{0,20}", "[^\u{0}]{0,20}"),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut properties = PropertiesBuf::new();
        if version == V5 {
            properties.push(PropertyId::UserProperty, Value::Pair(&name, &value)).unwrap();
            properties.push(PropertyId::CorrelationData, Value::Binary(&payload)).unwrap();
        }
        let above = qos > QoS::AtMostOnce;
        let publish = Publish {
            topic: &topic,
            qos,
            retain,
            dup: dup && above,
            id: above.then_some(id),
            properties: properties.properties(),
            payload: &payload,
        };
        let mut out = Vec::new();
        publish.encode(version, &mut out).unwrap();
        prop_assert_eq!(decode(version, &out), Ok(Packet::Publish(publish)));
    }

    #[test]
    fn a_connect_comes_back(
        (version, will_qos, retain, clean_start) in
            (versions(), qos(), any::<bool>(), any::<bool>()),
        client_id in "[^\u{0}]{1,23}",
        topic in "[^+#\u{0}]{1,40}",
        username in prop::option::of("[^\u{0}]{0,20}"),
        (secret, payload) in any::<([u8; 4], [u8; 3])>(),
        keep_alive_s in any::<u16>(),
    ) {
        let mut properties = PropertiesBuf::new();
        if version == V5 {
            properties.push(PropertyId::SessionExpiry, Value::Long(7)).unwrap();
        }
        let will = Will { topic: &topic, payload: &payload, qos: will_qos, retain,
            properties: crate::Properties::default() };
        let password = (username.is_some() || version == V5).then_some(&secret[..]);
        let connect = Connect { version, clean_start, keep_alive_s, client_id: &client_id,
            will: Some(will), username: username.as_deref(), password,
            properties: properties.properties() };
        let mut out = Vec::new();
        connect.encode(&mut out).unwrap();
        prop_assert_eq!(decode(version, &out), Ok(Packet::Connect(connect)));
    }
}

#[test]
fn property_values_must_be_of_their_kind() {
    let mut buffer = PropertiesBuf::new();
    let bad = [
        (PropertyId::SessionExpiry, Value::Short(1)),
        (PropertyId::ReasonString, Value::Text("a\0b")),
        (PropertyId::SubscriptionId, Value::Variable(268_435_456)),
        (PropertyId::SubscriptionId, Value::Variable(0)),
        (PropertyId::PayloadFormat, Value::Byte(2)),
        (PropertyId::ResponseTopic, Value::Text("a/#")),
    ];
    for (id, value) in bad {
        assert_eq!(
            buffer.push(id, value),
            Err(crate::Error::Unencodable),
            "{id:?}"
        );
    }
    assert!(buffer.properties().is_empty());
    buffer
        .push(PropertyId::ReceiveMaximum, Value::Short(20))
        .unwrap();
    buffer
        .push(PropertyId::ReasonString, Value::Text("why"))
        .unwrap();
    let block = buffer.properties();
    assert_eq!(block.raw(), hex("21 0014 1F 0003 776879"));
    assert_eq!(block.integer(PropertyId::ReceiveMaximum), Some(20));
    assert_eq!(block.text(PropertyId::ReasonString), Some("why"));
    assert_eq!(block.value(PropertyId::TopicAlias), None);
}
