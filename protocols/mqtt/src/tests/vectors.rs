//! One table of wire vectors, read and written.

use super::{V5, V31, V311, decode, hex};
use crate::packet::{
    Ack, AckKind, Auth, ConnAck, Connect, Disconnect, FilterList, Packet, Publish, QoS,
    RetainHandling, SubAck, Subscribe, SubscribeOptions, SubscriptionList, UnsubAck, Unsubscribe,
    Version, Will,
};
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};

const NONE: fn() -> Properties<'static> = Properties::default;

fn properties(entries: &[(PropertyId, Value<'_>)]) -> Properties<'static> {
    let mut buffer = PropertiesBuf::new();
    for (id, value) in entries {
        buffer.push(*id, *value).unwrap();
    }
    Box::leak(Box::new(buffer)).properties()
}

fn subscriptions(
    version: Version,
    entries: &[(&str, SubscribeOptions)],
) -> SubscriptionList<'static> {
    SubscriptionList::build(Box::leak(Box::default()), version, entries).unwrap()
}

fn filters(entries: &[&str]) -> FilterList<'static> {
    FilterList::build(Box::leak(Box::default()), entries).unwrap()
}

fn user_property() -> Properties<'static> {
    properties(&[(PropertyId::UserProperty, Value::Pair("k", "v"))])
}

fn session_expiry() -> Properties<'static> {
    properties(&[(PropertyId::SessionExpiry, Value::Long(60))])
}

fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 60,
        client_id: "a",
        will: None,
        username: None,
        password: None,
        properties: NONE(),
    }
}

fn publish(qos: QoS, id: Option<u16>) -> Publish<'static> {
    let (retain, dup, properties) = (false, false, NONE());
    Publish {
        topic: "t",
        qos,
        retain,
        dup,
        id,
        properties,
        payload: b"x",
    }
}

fn connect_vectors() -> Vec<(Version, &'static str, Packet<'static>)> {
    let will = Will {
        topic: "w",
        payload: b"\xff\0",
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: NONE(),
    };
    let delayed = Will {
        properties: properties(&[(PropertyId::WillDelay, Value::Long(5))]),
        ..will
    };
    let expiry = session_expiry();
    let full = Connect {
        username: Some("u"),
        password: Some(b"\xff\0"),
        ..connect(Version::V311)
    };
    vec![
        (
            V31,
            "100F 0006 4D5149736470 03 02 003C 0001 61",
            Packet::Connect(connect(V31)),
        ),
        (
            V311,
            "100D 0004 4D515454 04 02 003C 0001 61",
            Packet::Connect(connect(V311)),
        ),
        (
            V5,
            "100E 0004 4D515454 05 02 003C 00 0001 61",
            Packet::Connect(connect(V5)),
        ),
        (
            V311,
            "101B 0004 4D515454 04 F6 003C 0001 61 0001 77 0002 FF00 0001 75 0002 FF00",
            Packet::Connect(Connect {
                will: Some(will),
                ..full
            }),
        ),
        (
            V5,
            "1020 0004 4D515454 05 34 003C 05 11 0000003C 0001 61 05 18 00000005 0001 77 0002 FF00",
            Packet::Connect(Connect {
                clean_start: false,
                properties: expiry,
                will: Some(delayed),
                ..connect(V5)
            }),
        ),
        (
            V5,
            "1012 0004 4D515454 05 42 003C 00 0001 61 0002 FF00",
            Packet::Connect(Connect {
                password: Some(b"\xff\0"),
                ..connect(V5)
            }),
        ),
    ]
}

fn connection_vectors() -> Vec<(Version, &'static str, Packet<'static>)> {
    vec![
        (
            V311,
            "2002 01 00",
            Packet::ConnAck(ConnAck {
                session_present: true,
                ..ConnAck::default()
            }),
        ),
        (V311, "2002 00 05", Packet::ConnAck(ConnAck::refused(0x87))),
        (V31, "2002 00 02", Packet::ConnAck(ConnAck::refused(0x85))),
        (V5, "2003 00 84 00", Packet::ConnAck(ConnAck::refused(0x84))),
        (
            V5,
            "2008 00 00 05 12 0002 6964",
            Packet::ConnAck(ConnAck {
                properties: properties(&[(PropertyId::AssignedClientId, Value::Text("id"))]),
                ..ConnAck::default()
            }),
        ),
        (V311, "C000", Packet::PingReq),
        (V5, "D000", Packet::PingResp),
        (V311, "E000", Packet::Disconnect(Disconnect::default())),
        (V5, "E000", Packet::Disconnect(Disconnect::default())),
        (
            V5,
            "E001 04",
            Packet::Disconnect(Disconnect {
                reason: 4,
                properties: NONE(),
            }),
        ),
        (
            V5,
            "E007 00 05 11 0000003C",
            Packet::Disconnect(Disconnect {
                reason: 0,
                properties: session_expiry(),
            }),
        ),
        (
            V5,
            "F006 18 04 15 0001 6D",
            Packet::Auth(Auth {
                reason: 0x18,
                properties: properties(&[(PropertyId::AuthMethod, Value::Text("m"))]),
            }),
        ),
    ]
}

fn message_vectors() -> Vec<(Version, &'static str, Packet<'static>)> {
    let qos2 = publish(QoS::ExactlyOnce, Some(7));
    let pair = user_property();
    let ids = properties(&[
        (PropertyId::SubscriptionId, Value::Variable(1)),
        (PropertyId::SubscriptionId, Value::Variable(200)),
        (PropertyId::SubscriptionId, Value::Variable(3)),
    ]);
    vec![
        (
            V311,
            "3004 0001 74 78",
            Packet::Publish(publish(QoS::AtMostOnce, None)),
        ),
        (
            V5,
            "3005 0001 74 00 78",
            Packet::Publish(publish(QoS::AtMostOnce, None)),
        ),
        (
            V311,
            "3206 0001 74 0007 78",
            Packet::Publish(publish(QoS::AtLeastOnce, Some(7))),
        ),
        (V5, "3407 0001 74 0007 00 78", Packet::Publish(qos2)),
        (
            V311,
            "3D06 0001 74 0007 78",
            Packet::Publish(Publish {
                retain: true,
                dup: true,
                ..qos2
            }),
        ),
        (V5, "300C 0001 74 07 26 0001 6B 0001 76 78", {
            Packet::Publish(Publish {
                properties: pair,
                ..publish(QoS::AtMostOnce, None)
            })
        }),
        (V5, "300C 0001 74 07 0B01 0BC801 0B03 78", {
            Packet::Publish(Publish {
                properties: ids,
                ..publish(QoS::AtMostOnce, None)
            })
        }),
    ]
}

fn ack_vectors() -> Vec<(Version, &'static str, Packet<'static>)> {
    let pair = user_property();
    let reason = Ack {
        reason: 0x10,
        ..Ack::success(AckKind::PubAck, 7)
    };
    vec![
        (
            V311,
            "4002 0007",
            Packet::Ack(Ack::success(AckKind::PubAck, 7)),
        ),
        (
            V5,
            "5002 0007",
            Packet::Ack(Ack::success(AckKind::PubRec, 7)),
        ),
        (
            V311,
            "6202 0007",
            Packet::Ack(Ack::success(AckKind::PubRel, 7)),
        ),
        (V5, "7003 0007 92", {
            Packet::Ack(Ack {
                reason: 0x92,
                ..Ack::success(AckKind::PubComp, 7)
            })
        }),
        (V5, "4003 0007 10", Packet::Ack(reason)),
        (
            V5,
            "400B 0007 10 07 26 0001 6B 0001 76",
            Packet::Ack(Ack {
                properties: pair,
                ..reason
            }),
        ),
    ]
}

fn request_vectors() -> Vec<(Version, &'static str, Packet<'static>)> {
    let qos2 = SubscribeOptions::with_qos(QoS::ExactlyOnce);
    let all = SubscribeOptions {
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
        ..qos2
    };
    let (one, five) = (
        subscriptions(V311, &[("t", qos2)]),
        subscriptions(V5, &[("t", all)]),
    );
    let id = properties(&[(PropertyId::SubscriptionId, Value::Variable(268_435_455))]);
    let subscribe = |properties, subscriptions| {
        Packet::Subscribe(Subscribe {
            id: 1,
            properties,
            subscriptions,
        })
    };
    let suback = |reasons| {
        Packet::SubAck(SubAck {
            id: 1,
            properties: NONE(),
            reasons,
        })
    };
    let unsuback = |reasons| {
        Packet::UnsubAck(UnsubAck {
            id: 1,
            properties: NONE(),
            reasons,
        })
    };
    let unsubscribe = Packet::Unsubscribe(Unsubscribe {
        id: 1,
        properties: NONE(),
        filters: filters(&["a/+", "#"]),
    });
    vec![
        (V311, "8206 0001 0001 74 02", subscribe(NONE(), one)),
        (V5, "8207 0001 00 0001 74 02", subscribe(NONE(), one)),
        (
            V5,
            "820C 0001 05 0B FFFFFF7F 0001 74 2E",
            subscribe(id, five),
        ),
        (V311, "9004 0001 02 80", suback(&[2, 0x80])),
        (V5, "9005 0001 00 02 8F", suback(&[2, 0x8F])),
        (V31, "9003 0001 01", suback(&[1])),
        (V311, "A20A 0001 0003 612F2B 0001 23", unsubscribe),
        (V5, "A20B 0001 00 0003 612F2B 0001 23", unsubscribe),
        (V311, "B002 0001", unsuback(&[])),
        (V5, "B005 0001 00 00 11", unsuback(&[0, 0x11])),
    ]
}

/// The whole table.
pub(super) fn all() -> Vec<(Version, &'static str, Packet<'static>)> {
    [
        connect_vectors(),
        connection_vectors(),
        message_vectors(),
        ack_vectors(),
        request_vectors(),
    ]
    .concat()
}

#[test]
fn every_vector_reads_and_writes_alike() {
    for (version, text, packet) in all() {
        let bytes = hex(text);
        assert_eq!(decode(version, &bytes), Ok(packet), "{text}");
        let mut out = b"before".to_vec();
        packet.encode(version, &mut out).unwrap();
        assert_eq!(out[6..], bytes, "{text}");
    }
}

#[test]
fn rule_37_acks_may_leave_out_reason_and_property_length() {
    let success = Packet::Ack(Ack::success(AckKind::PubAck, 7));
    for text in ["4002 0007", "4003 0007 00", "4004 0007 00 00"] {
        assert_eq!(decode(V5, &hex(text)), Ok(success), "{text}");
    }
    let wanted = Packet::Disconnect(Disconnect {
        reason: 4,
        ..Disconnect::default()
    });
    for text in ["E001 04", "E002 04 00"] {
        assert_eq!(decode(V5, &hex(text)), Ok(wanted), "{text}");
    }
}

#[test]
fn older_versions_get_the_nearest_code() {
    let encoded = |packet: Packet<'_>, version| {
        let mut out = Vec::new();
        packet.encode(version, &mut out).unwrap();
        out
    };
    let suback = SubAck {
        id: 1,
        properties: NONE(),
        reasons: &[1, 0x87],
    };
    assert_eq!(
        encoded(Packet::SubAck(suback), V311),
        hex("9004 0001 01 80")
    );
    assert_eq!(encoded(Packet::SubAck(suback), V31), hex("9004 0001 01 00"));
    for (reason, code) in [(0x84, 1), (0x85, 2), (0x97, 3), (0x86, 4), (0x8C, 5)] {
        let refusal = Packet::ConnAck(ConnAck::refused(reason));
        assert_eq!(encoded(refusal, V311), [0x20, 2, 0, code]);
    }
    let resumed = ConnAck {
        session_present: true,
        ..ConnAck::default()
    };
    assert_eq!(encoded(Packet::ConnAck(resumed), V31), hex("2002 00 00"));
    let refused = ConnAck {
        session_present: true,
        reason: 0x87,
        ..ConnAck::default()
    };
    assert_eq!(encoded(Packet::ConnAck(refused), V5), hex("2003 00 87 00"));
}

#[test]
fn what_does_not_fit_a_packet_writes_nothing() {
    let long = "x".repeat(65_536);
    let with_nul = Connect {
        client_id: "a\0b",
        ..connect(V311)
    };
    let packets = [
        Packet::Connect(Connect {
            client_id: &long,
            ..connect(V311)
        }),
        Packet::Connect(with_nul),
        Packet::Publish(Publish {
            topic: &long,
            ..publish(QoS::AtMostOnce, None)
        }),
        Packet::Publish(publish(QoS::AtLeastOnce, None)),
        Packet::Publish(publish(QoS::AtLeastOnce, Some(0))),
    ];
    for packet in packets {
        let mut out = b"before".to_vec();
        assert_eq!(
            packet.encode(V311, &mut out),
            Err(crate::Error::Unencodable)
        );
        assert_eq!(out, b"before");
    }
}

#[test]
fn rule_25_lengths_are_written_with_the_fewest_bytes() {
    let heads: [(usize, &[u8]); 8] = [
        (127 - 3, &[0x7F]),
        (128 - 3, &[0x80, 0x01]),
        (16_383 - 3, &[0xFF, 0x7F]),
        (16_384 - 3, &[0x80, 0x80, 0x01]),
        (2_097_151 - 3, &[0xFF, 0xFF, 0x7F]),
        (2_097_152 - 3, &[0x80, 0x80, 0x80, 0x01]),
        (5, &[0x08]),
        (0, &[0x03]),
    ];
    let payload = vec![0; 2_097_152];
    for (len, head) in heads {
        let message = Publish {
            payload: &payload[..len],
            ..publish(QoS::AtMostOnce, None)
        };
        let mut out = Vec::new();
        message.encode(V311, &mut out).unwrap();
        assert_eq!(&out[1..=head.len()], head);
        assert_eq!(crate::codec::head_len(out.len()), 1 + head.len());
        assert_eq!(decode(V311, &out), Ok(Packet::Publish(message)));
    }
    let name = "n".repeat(200);
    let wide = Connect {
        client_id: &name,
        ..connect(V311)
    };
    let mut out = Vec::new();
    wide.encode(&mut out).unwrap();
    assert_eq!(out[..3], [0x10, 0xD4, 0x01]);
    assert_eq!(decode(V311, &out), Ok(Packet::Connect(wide)));
}
