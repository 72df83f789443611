use super::*;
use crate::frontends::amqp::samples::{NOW, hex};

fn read(parts: &str) -> Incoming<'static> {
    incoming(hex(parts).leak(), 0, NOW).unwrap()
}

fn refused(parts: &str) -> Rejection {
    incoming(&hex(parts), 0, NOW).unwrap_err()
}

const HEADER: &str = "00 53 70 c0 04 02 41 50 05";
const DELIVERY: &str = "00 53 71 c1 01 00";
/// Every section that is kept, with lengths that no writer of ours would choose.
const KEPT: &str = "00 53 72 d1 [00000002 a3 (\"a\") 56 01]
    00 80 0000000000000073 d0 [00000001 b1 [\"id\"]]
    00 a3 (\"amqp:application-properties:map\") c1 (02 a1 (\"a\") 56 00)
    00 53 75 b0 00000001 78 00 53 75 a0 00 00 53 78 c1 01 00";

/// Mutant caught: the bare message alone, without annotations and footer.
#[test]
fn r87_all_behind_header_and_delivery_annotations_is_kept_byte_by_byte() {
    for (before, name) in [
        (String::new(), "nothing"),
        (HEADER.to_owned(), "header"),
        (DELIVERY.to_owned(), "delivery annotations"),
        (format!("{HEADER}{DELIVERY}"), "both"),
    ] {
        let message = read(&format!("{before}{KEPT}"));
        assert_eq!(message.stored, hex(KEPT), "{name}");
        assert_eq!(message.size(), message.stored.len());
        let mut block = vec![7];
        message.append(&mut block);
        assert_eq!(&block[1..], message.stored);
    }
    let message = read(KEPT);
    assert_eq!(message.format(Dialect::Amq), FORMAT);
    assert_eq!(message.format(Dialect::Mqtt), FORMAT_MQTT_NAMES);
}

#[test]
fn r88_the_header_goes_into_the_envelope() {
    let message = read("00 53 70 c0 04 02 41 50 ff 00 53 75 a0 01 78");
    assert!(message.durable);
    assert_eq!(message.priority, 9);
    for bare in ["00 53 75 a0 01 78", "00 53 70 45 00 53 75 a0 01 78", ""] {
        let message = read(bare);
        assert!(!message.durable);
        assert_eq!((message.priority, message.expires_ms), (4, 0));
        assert_eq!((message.to, message.routing), (None, None));
    }
}

/// Mutant caught: the larger of the two.
#[test]
fn r89_the_smaller_of_ttl_and_absolute_expiry_counts() {
    let ttl = |ms: u32| format!("00 53 70 c0 08 03 40 40 70 {ms:08x}");
    let absolute = |ms: i64| format!("00 53 73 c0 12 09 40 40 40 40 40 40 40 40 83 {ms:016x}");
    for (ttl_ms, absolute_ms, expires_ms) in [
        (Some(500), None, 1_000_500),
        (None, Some(1_000_700), 1_000_700),
        (Some(500), Some(1_000_700), 1_000_500),
        (Some(900), Some(1_000_700), 1_000_700),
        (Some(500), Some(7), 7),
        (None, Some(-7), 1),
        // Written by senders that mean none.
        (Some(0), Some(0), 0),
        (Some(0), Some(7), 7),
        (Some(u32::MAX), None, 1_000_000 + u64::from(u32::MAX)),
        (None, Some(i64::MAX), i64::MAX as u64),
    ] {
        let parts =
            ttl_ms.map_or(String::new(), ttl) + &absolute_ms.map_or(String::new(), absolute);
        assert_eq!(read(&parts).expires_ms, expires_ms, "{parts}");
    }
    let now = Now {
        wall_ms: u64::MAX,
        ..NOW
    };
    let parts = hex(&ttl(5));
    assert_eq!(incoming(&parts, 0, now).unwrap().expires_ms, u64::MAX);
}

/// Mutant caught: sections not walked to their last level.
#[test]
fn r86_what_a_receiver_would_choke_on_is_refused() {
    for broken in [
        "ff",
        "00 53 75 a0 05 78",
        "00 53 75 a0 01 78 00 53 70 45",
        "00 53 75 a0 01 78 00 53 77 40",
        // A priority that is text, an address that is a number.
        "00 53 70 c0 04 02 41 a1 00",
        "00 53 73 c0 05 03 40 40 52 01",
        // Broken inside: annotations, application properties, a list in a value, a sequence, a footer.
        "00 53 72 c1 05 02 a3 09 \"a\" 41 00 53 75 a0 00",
        "00 53 74 c1 05 02 a1 01 \"a\" ff",
        "00 53 77 c0 03 01 a1 07",
        "00 53 76 c0 03 01 a1 07",
        "00 53 75 a0 00 00 53 78 c1 05 02 a3 01 \"a\" ff",
    ] {
        let rejection = refused(broken);
        assert_eq!(rejection.condition, "amqp:decode-error", "{broken}");
        assert_eq!(rejection.fault().condition, "amqp:decode-error");
        assert!(!rejection.description.is_empty());
    }
    for odd in ["", HEADER, "00 53 77 40", "00 53 76 45 00 53 76 45"] {
        assert!(incoming(&hex(odd), 0, NOW).is_ok(), "{odd}");
    }
    let mut nested = vec![0x40];
    for _ in 0..40 {
        let size = u8::try_from(nested.len() + 1).unwrap();
        nested.splice(0..0, [0xc0, size, 1]);
    }
    nested.splice(0..0, [0, 0x53, 0x77]);
    let rejection = incoming(&nested, 0, NOW).unwrap_err();
    assert_eq!(rejection.condition, "amqp:decode-error");
}

/// A map of annotations with one pair.
fn annotated(key: &str, value: &str) -> String {
    format!("00 53 72 c1 (02 a3 (\"{key}\") {value}) 00 53 75 a0 00")
}

#[test]
fn r94_delays_are_refused_and_past_times_are_none() {
    let late = [
        ("x-opt-delivery-time", "83 00000000000f4241"),
        ("x-opt-delivery-time", "81 00000000000f4241"),
        ("x-opt-delivery-time", "a1 01 \"1\""),
        ("x-opt-delivery-delay", "52 01"),
        ("x-opt-delivery-delay", "81 0000000000000001"),
    ];
    for (key, value) in late {
        let rejection = refused(&annotated(key, value));
        assert_eq!(rejection.condition, "amqp:not-implemented", "{key} {value}");
    }
    let due = [
        ("x-opt-delivery-time", "83 00000000000f4240"),
        ("x-opt-delivery-time", "40"),
        ("x-opt-delivery-delay", "43"),
        ("x-opt-delivery-delay", "55 ff"),
        ("x-opt-other", "52 01"),
    ];
    for (key, value) in due {
        read(&annotated(key, value));
    }
}

/// Mutant caught: `x-opt-jms-dest` before `x-opt-routing-type`.
#[test]
fn annotations_say_how_a_message_is_routed() {
    let (anycast, multicast) = (Some(RoutingType::Anycast), Some(RoutingType::Multicast));
    for (key, value, routing) in [
        ("x-opt-routing-type", "51 00", multicast),
        ("x-opt-routing-type", "50 01", anycast),
        ("x-opt-routing-type", "51 02", None),
        ("x-opt-jms-dest", "51 00", anycast),
        ("x-opt-jms-dest", "51 01", multicast),
        ("x-opt-jms-dest", "51 02", anycast),
        ("x-opt-jms-dest", "51 03", multicast),
        ("x-opt-jms-dest", "a1 01 \"0\"", None),
    ] {
        assert_eq!(read(&annotated(key, value)).routing, routing, "{key}");
    }
    let both = "00 53 72 c1 (04 a3 (\"x-opt-jms-dest\") 51 00
        a3 (\"x-opt-routing-type\") 51 00) 00 53 75 a0 00";
    assert_eq!(read(both).routing, multicast);
    let to = read("00 53 73 c0 (03 40 40 a1 (\"to\"))");
    assert_eq!(to.to, Some("to"));
}

#[test]
fn r56_a_foreign_message_is_kept_with_its_format_and_not_read() {
    let message = incoming(b"\xffany", 0x0102_0304, NOW).unwrap();
    assert!(message.durable);
    assert_eq!(message.size(), 8);
    let mut block = Vec::new();
    message.append(&mut block);
    assert_eq!(block, b"\x01\x02\x03\x04\xffany");
    assert_eq!(message.format(Dialect::Mqtt), FORMAT_FOREIGN);
}
