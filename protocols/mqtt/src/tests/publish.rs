//! PUBLISH, acknowledgements and fixed headers.

use super::{V5, V31, V311, connected, decode, feed, hex, packet, verdict};
use crate::codec::{Framed, frame};
use crate::error::Error;
use crate::packet::Packet;
use crate::properties::{PropertyId, Value};

#[test]
fn rule_22_qos_dup_and_id_must_fit() {
    let table = [
        ("3606 0001 74 0007 78", Error::Malformed("MQTT-3.3.1-4")),
        ("3E06 0001 74 0007 78", Error::Malformed("MQTT-3.3.1-4")),
        ("3804 0001 74 78", Error::Malformed("MQTT-3.3.1-2")),
        ("3205 0001 74 0000", Error::Protocol("MQTT-2.2.1-3")),
        ("3C05 0001 74 0000", Error::Protocol("MQTT-2.2.1-3")),
        ("3204 0001 74 00", Error::Malformed("MQTT-4.13.1-1")),
    ];
    for (text, error) in table {
        for version in [V31, V311, V5] {
            assert_eq!(verdict(version, &hex(text)), Some(error), "{text}");
        }
    }
    for version in [V31, V311] {
        assert_eq!(verdict(version, &hex("3A06 0001 74 0007 78")), None);
    }
}

#[test]
fn rule_23_a_topic_is_a_name() {
    let wildcard = Some(Error::TopicNameInvalid("MQTT-3.3.2-2"));
    for topic in ["0003 612F23", "0001 2B", "0003 2B2F61", "0003 612B62"] {
        assert_eq!(verdict(V311, &packet(0x30, topic)), wildcard, "{topic}");
        assert_eq!(
            verdict(V5, &packet(0x30, &format!("{topic} 00"))),
            wildcard,
            "{topic}"
        );
    }
    let empty = Error::TopicNameInvalid("MQTT-4.7.3-1");
    assert_eq!(verdict(V311, &packet(0x30, "0000 78")), Some(empty));
    assert_eq!(
        verdict(V5, &packet(0x30, "0000 00")),
        Some(Error::Protocol("MQTT-4.7.3-1"))
    );
    assert_eq!(
        verdict(V311, &packet(0x30, "0001 00")),
        Some(Error::Malformed("MQTT-1.5.4-2"))
    );
    assert_eq!(
        verdict(V311, &packet(0x30, "0005 74")),
        Some(Error::Malformed("MQTT-4.13.1-1"))
    );
}

#[test]
fn rule_24_topics_are_strict_utf8_and_keep_their_bom() {
    for topic in [
        "0003 EDA080",
        "0003 EDBFBF",
        "0002 C080",
        "0003 E08080",
        "0001 FF",
    ] {
        for version in [V311, V5] {
            let input = packet(0x30, &format!("{topic} 00"));
            assert_eq!(
                verdict(version, &input),
                Some(Error::Malformed("MQTT-1.5.4-1")),
                "{topic}"
            );
        }
    }
    let bom = packet(0x30, "0004 EFBBBF61 78");
    assert_eq!(verdict(V311, &bom), None);
    match decode(V311, &bom) {
        Ok(Packet::Publish(publish)) => assert_eq!(publish.topic, "\u{FEFF}a"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_25_lengths_take_the_fewest_bytes() {
    let error = Some(Error::Malformed("MQTT-1.5.5-1"));
    for version in [V311, V5] {
        assert_eq!(verdict(version, &hex("C0 8000")), error);
        assert_eq!(verdict(version, &hex("30 8480 00 0001 74 78")), error);
        assert_eq!(
            verdict(version, &hex("30 FFFFFFFF 01")),
            Some(Error::Malformed("1.5.5"))
        );
        assert_eq!(
            verdict(version, &hex("30 80808080")),
            Some(Error::Malformed("1.5.5"))
        );
    }
    let properties = packet(0x30, "0001 74 8000 78");
    assert_eq!(verdict(V5, &properties), error);
}

#[test]
fn rule_26_a_client_sends_no_subscription_id() {
    let input = packet(0x30, "0001 74 02 0B01 78");
    assert_eq!(verdict(V5, &input), Some(Error::Protocol("MQTT-3.3.4-6")));
    let zero = packet(0x30, "0001 74 02 0B00 78");
    assert_eq!(decode(V5, &zero), Err(Error::Protocol("3.8.2.1.2")));
}

#[test]
fn three_subscription_ids_leave_the_payload_alone() {
    let input = packet(0x30, "0001 74 06 0B01 0B02 0B03 30313233343536");
    let Ok(Packet::Publish(publish)) = decode(V5, &input) else {
        panic!("not a publish");
    };
    let ids: Vec<_> = publish.properties.iter().collect();
    let expected = [1, 2, 3].map(|n| (PropertyId::SubscriptionId, Value::Variable(n)));
    assert_eq!(
        (&ids[..], publish.payload),
        (&expected[..], &b"0123456"[..])
    );
}

#[test]
fn rule_27_a_response_topic_is_a_name() {
    for topic in ["0001 23", "0003 612F2B", "0000"] {
        let len = 3 + hex(topic).len() - 2;
        let input = packet(0x30, &format!("0001 74 {len:02x} 08 {topic}"));
        assert_eq!(
            verdict(V5, &input),
            Some(Error::Protocol("MQTT-3.3.2-14")),
            "{topic}"
        );
    }
    assert_eq!(verdict(V5, &packet(0x30, "0001 74 04 08 0001 72")), None);
}

#[test]
fn rule_34_no_alias_is_taken_that_was_not_announced() {
    let table = [
        ("0001 74 03 23 0011", "MQTT-3.3.2-9"),
        ("0000 03 23 0011", "MQTT-3.3.2-9"),
        ("0001 74 03 23 0000", "MQTT-3.3.2-8"),
    ];
    for (body, statement) in table {
        let error = Error::TopicAliasInvalid(statement);
        assert_eq!(verdict(V5, &packet(0x30, body)), Some(error), "{body}");
    }
}

#[test]
fn publish_properties_are_checked_for_place_number_and_range() {
    let table = [
        ("01 02", Error::Protocol("2.2.2.2")),
        ("0100 0100", Error::Protocol("2.2.2.2")),
        ("02 00000001 02 00000001", Error::Protocol("2.2.2.2")),
        ("11 00000001", Error::Malformed("2.2.2.2")),
        ("18 00000001", Error::Malformed("2.2.2.2")),
        ("09 0005 00", Error::Malformed("MQTT-4.13.1-1")),
        ("26 0001 61", Error::Malformed("MQTT-4.13.1-1")),
    ];
    for (properties, error) in table {
        let len = hex(properties).len();
        let input = packet(0x30, &format!("0001 74 {len:02x} {properties} 0001 61"));
        assert_eq!(verdict(V5, &input), Some(error), "{properties}");
    }
}

#[test]
fn rule_40_and_66_fixed_header_flags_are_checked() {
    let plain = "MQTT-2.1.3-1";
    let table = [
        ("4102 0007", plain),
        ("4802 0007", plain),
        ("5202 0007", plain),
        ("6002 0007", "MQTT-3.6.1-1"),
        ("6302 0007", "MQTT-3.6.1-1"),
        ("7102 0007", plain),
        ("8006 0001 0001 74 00", "MQTT-3.8.1-1"),
        ("8306 0001 0001 74 00", "MQTT-3.8.1-1"),
        ("A005 0001 0001 74", "MQTT-3.10.1-1"),
        ("C100", plain),
        ("E100", plain),
    ];
    for (text, statement) in table {
        for version in [V311, V5] {
            let error = verdict(version, &hex(text));
            assert_eq!(error, Some(Error::Malformed(statement)), "{text}");
        }
    }
    // MQTT 3.1 has a DUP bit in PUBREL, SUBSCRIBE and UNSUBSCRIBE.
    for text in ["6A02 0007", "8A06 0001 0001 74 00", "AA05 0001 0001 74"] {
        assert_eq!(verdict(V31, &hex(text)), None, "{text}");
        assert!(verdict(V311, &hex(text)).is_some(), "{text}");
    }
}

#[test]
fn rule_66_ping_and_disconnect_have_no_body_and_types_0_and_15_are_not_ours() {
    let table = [
        (V311, "C001 00", Error::Malformed("3.12.1")),
        (V5, "C001 00", Error::Malformed("3.12.1")),
        (V311, "E001 00", Error::Malformed("2.1.4")),
        (V5, "E003 00 00 00", Error::Malformed("2.1.4")),
        (V5, "E001 05", Error::Protocol("MQTT-3.14.2-1")),
        (V311, "0000", Error::Malformed("2.1.2")),
        (V5, "0000", Error::Malformed("2.1.2")),
        (V311, "F000", Error::Malformed("2.1.2")),
        (V31, "F000", Error::Malformed("2.1.2")),
        (V5, "F000", Error::Protocol("MQTT-4.12.0-6")),
    ];
    for (version, text, error) in table {
        assert_eq!(verdict(version, &hex(text)), Some(error), "{text}");
    }
}

#[test]
fn rule_67_what_flows_to_clients_is_a_protocol_error() {
    for text in ["2002 0000", "9003 0001 00", "B002 0001", "D000"] {
        for version in [V31, V311, V5] {
            assert_eq!(
                verdict(version, &hex(text)),
                Some(Error::Protocol("2.1.2")),
                "{text}"
            );
        }
    }
}

#[test]
fn rule_67_an_ack_of_any_id_but_zero_is_an_event() {
    for kind in ["40", "50", "62", "70"] {
        for version in [V31, V311, V5] {
            assert_eq!(verdict(version, &hex(&format!("{kind}02 FFFF"))), None);
            let zero = verdict(version, &hex(&format!("{kind}02 0000")));
            assert_eq!(zero, Some(Error::Protocol("MQTT-2.2.1-3")));
        }
    }
}

#[test]
fn rule_37_ack_bodies_are_exact() {
    let table = [
        (V311, "4003 0007 00", Error::Malformed("2.1.4")),
        (V5, "4001 00", Error::Malformed("MQTT-4.13.1-1")),
        (V5, "4005 0007 00 00 00", Error::Malformed("2.1.4")),
        (V5, "4003 0007 92", Error::Protocol("MQTT-3.4.2-1")),
        (V5, "5003 0007 01", Error::Protocol("MQTT-3.5.2-1")),
        (V5, "6203 0007 10", Error::Protocol("MQTT-3.6.2-1")),
        (V5, "7003 0007 80", Error::Protocol("MQTT-3.7.2-1")),
        (
            V5,
            "4006 0007 00 02 2100",
            Error::Malformed("MQTT-4.13.1-1"),
        ),
        (
            V5,
            "4009 0007 00 05 11 00000001",
            Error::Malformed("2.2.2.2"),
        ),
    ];
    for (version, text, error) in table {
        assert_eq!(verdict(version, &hex(text)), Some(error), "{text}");
    }
}

#[test]
fn rule_47_and_mq_12_the_whole_packet_counts_and_its_body_is_not_waited_for() {
    let input = packet(0x30, &format!("0001 74 {}", "78".repeat(125)));
    assert_eq!(input.len(), 131);
    assert!(matches!(frame(&input, 131), Ok(Framed::Frame(_))));
    assert_eq!(frame(&input, 130), Err(Error::PacketTooLarge));
    let mut machine = connected(V5);
    // One byte over 1 MiB, of which only the header has come.
    assert_eq!(
        feed(&mut machine, &hex("30 FDFF3F")),
        Some(Error::PacketTooLarge)
    );
    let error = Error::PacketTooLarge;
    let told = super::explained(0xE0, &[0x95], error);
    assert_eq!(super::goodbye(&machine, error), told);
}

#[test]
fn rule_65_nothing_is_read_after_an_error_or_disconnect() {
    for first in ["0000", "E000"] {
        let mut machine = connected(V5);
        let input = hex(&format!("{first} C000"));
        let mut at = 0;
        assert!(machine.poll_event(0, &input, &mut at).is_some());
        assert_eq!(machine.poll_event(0, &input, &mut at), None);
        assert!(machine.is_closed());
        assert_eq!(machine.poll_timeout(), None);
    }
}
