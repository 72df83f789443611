//! CONNECT and what comes before it.

use super::{
    V5, V31, V311, connect_verdict, connected, decode, explained, feed, goodbye, hex, packet,
    verdict,
};
use crate::connection::{Accept, Connection, Event};
use crate::error::Error;
use crate::limits::Limits;

fn v311(flags: &str, rest: &str) -> Vec<u8> {
    packet(0x10, &format!("0004 4D515454 04 {flags} 003C {rest}"))
}

fn v5(flags: &str, properties: &str, rest: &str) -> Vec<u8> {
    let len = hex(properties).len();
    packet(
        0x10,
        &format!("0004 4D515454 05 {flags} 003C {len:02x} {properties} {rest}"),
    )
}

#[test]
fn rule_1_the_first_packet_is_connect_and_there_is_one() {
    for first in ["3004 0001 74 78", "C000", "47", "00", "F000"] {
        assert_eq!(
            connect_verdict(&hex(first)),
            Some(Error::Protocol("MQTT-3.1.0-1")),
            "{first}"
        );
    }
    for version in [V31, V311, V5] {
        let second = v311("02", "0001 61");
        assert_eq!(
            verdict(version, &second),
            Some(Error::Protocol("MQTT-3.1.0-2"))
        );
    }
}

#[test]
fn rule_2_reserved_and_contradicting_flags_are_malformed() {
    let will = "0001 61 0001 77 0000";
    let table = [
        ("03", "0001 61", "MQTT-3.1.2-3"),
        ("1E", will, "MQTT-3.1.2-12"),
        ("0A", "0001 61", "MQTT-3.1.2-11"),
        ("12", "0001 61", "MQTT-3.1.2-11"),
        ("22", "0001 61", "MQTT-3.1.2-13"),
    ];
    for (flags, rest, statement) in table {
        let error = Some(Error::Malformed(statement));
        assert_eq!(connect_verdict(&v311(flags, rest)), error, "{flags}");
        assert_eq!(connect_verdict(&v5(flags, "", rest)), error, "{flags}");
    }
    let mut flagged = v311("02", "0001 61");
    flagged[0] = 0x11;
    assert_eq!(
        connect_verdict(&flagged),
        Some(Error::Malformed("MQTT-2.1.3-1"))
    );
}

#[test]
fn rule_3_an_unknown_version_is_answered_in_its_style() {
    let table = [
        ("0004 4D515454 06", 6, "2003 00 84 00"),
        ("0004 4D515454 FF", 0xFF, "2003 00 84 00"),
        ("0004 4D515454 00", 0, "2002 00 01"),
        ("0004 4D515454 03", 3, "2002 00 01"),
        ("0004 4D515454 84", 0x84, "2002 00 01"),
        ("0006 4D5149736470 04", 4, "2002 00 01"),
        ("0004 4D515458 05", 5, "2003 00 84 00"),
    ];
    for (start, level, answer) in table {
        let mut machine = Connection::server(Limits::default(), 0);
        let input = packet(0x10, &format!("{start} 02 003C 0001 61"));
        let error = Error::UnsupportedVersion(level);
        assert_eq!(feed(&mut machine, &input), Some(error), "{start}");
        assert_eq!(goodbye(&machine, error), hex(answer), "{start}");
        assert!(machine.is_closed() && error.closes());
    }
}

#[test]
fn rule_5_the_password_is_binary_and_alone_only_in_v5() {
    assert_eq!(
        connect_verdict(&v311("C2", "0001 61 0001 75 0002 FF00")),
        None
    );
    assert_eq!(
        connect_verdict(&v5("C2", "", "0001 61 0001 75 0002 FF00")),
        None
    );
    assert_eq!(connect_verdict(&v5("42", "", "0001 61 0002 FF00")), None);
    let alone = v311("42", "0001 61 0002 FF00");
    assert_eq!(
        connect_verdict(&alone),
        Some(Error::Malformed("MQTT-3.1.2-22 of 3.1.1"))
    );
}

#[test]
fn rule_6_trailing_bytes_and_bad_properties_get_their_code() {
    assert_eq!(
        connect_verdict(&v311("02", "0001 61 00")),
        Some(Error::Malformed("2.1.4"))
    );
    assert_eq!(
        connect_verdict(&v5("02", "", "0001 61 00")),
        Some(Error::Malformed("2.1.4"))
    );
    let table = [
        ("21 0000", Error::Protocol("3.1.2.11.3")),
        ("27 00000000", Error::Protocol("3.1.2.11.4")),
        ("17 02", Error::Protocol("2.2.2.2")),
        ("19 02", Error::Protocol("2.2.2.2")),
        ("11 00000001 11 00000001", Error::Protocol("2.2.2.2")),
        ("16 0001 00", Error::Protocol("3.1.2.11.10")),
        ("23 0001", Error::Malformed("2.2.2.2")),
        ("24 01", Error::Malformed("2.2.2.2")),
        ("1F 0001 61", Error::Malformed("2.2.2.2")),
        ("00 00", Error::Malformed("2.2.2.2")),
        ("7E 00", Error::Malformed("2.2.2.2")),
        ("9100 00000001", Error::Malformed("MQTT-1.5.5-1")),
        ("11 000000", Error::Malformed("MQTT-4.13.1-1")),
        ("26 0001 61 0001 00", Error::Malformed("MQTT-1.5.4-2")),
        ("15 0002 C0AF", Error::Malformed("MQTT-1.5.4-1")),
    ];
    for (properties, error) in table {
        assert_eq!(
            connect_verdict(&v5("02", properties, "0001 61")),
            Some(error),
            "{properties}"
        );
    }
    let good = "11 00000001 21 0001 27 00000001 22 0000 19 01 17 00 26 0001 61 0001 62 \
                26 0001 61 0001 62 15 0001 6D 16 0000";
    assert_eq!(connect_verdict(&v5("02", good, "0001 61")), None);
    let will_only = v5("06", "", "0001 61 05 11 00000001 0001 77 0000");
    assert_eq!(
        connect_verdict(&will_only),
        Some(Error::Malformed("2.2.2.2"))
    );
}

#[test]
fn rule_6_a_property_cannot_read_beyond_its_block() {
    // The block says 5 bytes, the string inside it 4 of which only 2 are in the block.
    let eats = packet(0x10, "0004 4D515454 05 02 003C 05 15 0004 6162 0001 61");
    assert_eq!(
        connect_verdict(&eats),
        Some(Error::Malformed("MQTT-4.13.1-1"))
    );
    let beyond = packet(0x10, "0004 4D515454 05 02 003C 7F 0001 61");
    assert_eq!(
        connect_verdict(&beyond),
        Some(Error::Malformed("MQTT-4.13.1-1"))
    );
}

#[test]
fn rule_7_an_empty_client_id_is_allowed_where_the_server_may_choose() {
    let refused = Some(Error::ClientIdInvalid("MQTT-3.1.3-8 of 3.1.1"));
    assert_eq!(connect_verdict(&v311("02", "0000")), None);
    assert_eq!(connect_verdict(&v311("00", "0000")), refused);
    assert_eq!(connect_verdict(&v5("00", "", "0000")), None);
    let mut machine = Connection::server(Limits::default(), 0);
    let error = feed(&mut machine, &v311("00", "0000")).unwrap();
    assert_eq!(goodbye(&machine, error), hex("2002 00 02"));
    let longest = v311("02", &format!("FFFA {}", "61".repeat(65_530)));
    let limits = Limits {
        max_connect_size: 70_000,
        ..Limits::default()
    };
    assert_eq!(feed(&mut Connection::server(limits, 0), &longest), None);
}

#[test]
fn rule_4_v31_wants_1_to_23_characters() {
    let v31 = |id: &str| packet(0x10, &format!("0006 4D5149736470 03 02 003C {id}"));
    let error = Some(Error::ClientIdInvalid("3.1 of 3.1"));
    assert_eq!(connect_verdict(&v31("0000")), error);
    assert_eq!(
        connect_verdict(&v31(&format!("0018 {}", "61".repeat(24)))),
        error
    );
    // 23 characters of two bytes each.
    assert_eq!(
        connect_verdict(&v31(&format!("002E {}", "C3A4".repeat(23)))),
        None
    );
}

#[test]
fn rule_24_nul_in_a_client_id_is_malformed() {
    let nul = "0003 610062";
    assert_eq!(
        connect_verdict(&v311("02", nul)),
        Some(Error::Malformed("MQTT-1.5.4-2"))
    );
    assert_eq!(
        connect_verdict(&v5("02", "", nul)),
        Some(Error::Malformed("MQTT-1.5.4-2"))
    );
}

#[test]
fn rule_23_a_will_topic_is_a_name() {
    for topic in ["0003 612F23", "0001 2B", "0000"] {
        let error = connect_verdict(&v5("06", "", &format!("0001 61 00 {topic} 0000"))).unwrap();
        assert_eq!(error.reason_code(), 0x90, "{topic}");
    }
}

#[test]
fn rule_15_nothing_behind_connect_is_read_until_it_is_decided() {
    let mut input = v311("02", "0001 61");
    let connect_len = input.len();
    input.extend(hex("3004 0001 74 78"));
    let mut machine = Connection::server(Limits::default(), 0);
    let mut at = 0;
    assert!(matches!(
        machine.poll_event(0, &input, &mut at),
        Some(Ok(Event::Connect(_)))
    ));
    assert_eq!(machine.poll_event(0, &input, &mut at), None);
    assert_eq!(at, connect_len);
    let accept = Accept::default();
    assert_eq!(machine.accept(0, &accept, &mut Vec::new()), Ok(()));
    assert!(matches!(
        machine.poll_event(0, &input, &mut at),
        Some(Ok(Event::Publish(_)))
    ));
    assert_eq!(at, input.len());

    let mut machine = Connection::server(Limits::default(), 0);
    at = 0;
    assert!(matches!(
        machine.poll_event(0, &input, &mut at),
        Some(Ok(Event::Connect(_)))
    ));
    machine.close();
    let accepted = machine.accept(0, &accept, &mut Vec::new());
    assert_eq!(accepted, Err(Error::NotConnected));
    assert_eq!(machine.poll_event(0, &input, &mut at), None);
    assert_eq!(at, connect_len);
}

#[test]
fn the_first_packet_has_a_limit_of_its_own() {
    let machine = || Connection::server(Limits::default(), 0);
    // 65,536 bytes in all are waited for, 65,537 are refused by their header.
    let mut at = 0;
    let mut waiting = machine();
    assert_eq!(waiting.poll_event(0, &hex("10 FCFF03"), &mut at), None);
    assert_eq!((at, waiting.needed()), (0, 65_536));
    let mut refused = machine();
    let error = Error::PacketTooLarge;
    let connect = "10 FDFF03 0004 4D515454 05 02 00";
    assert_eq!(feed(&mut refused, &hex(connect)), Some(error));
    assert_eq!(goodbye(&refused, error), explained(0x20, &[0, 0x95], error));
    let mut old = machine();
    let connect = "10 FDFF03 0006 4D5149736470 03";
    assert_eq!(feed(&mut old, &hex(connect)), Some(error));
    assert_eq!(goodbye(&old, error), []);
    // The version is waited for, and nothing behind it.
    let mut at = 0;
    let mut waiting = machine();
    assert_eq!(waiting.poll_event(0, &hex("10 FDFF03 00"), &mut at), None);
    assert_eq!((at, waiting.needed()), (0, 13));
}

#[test]
fn rule_65_errors_are_said_in_the_words_of_the_version() {
    let error = Error::Malformed("2.1.4");
    let told = explained(0xE0, &[0x81], error);
    assert_eq!(told[..6], hex("E025 81 23 1F 00"));
    assert_eq!(goodbye(&connected(V5), error), told);
    assert_eq!(goodbye(&connected(V311), error), []);
    assert_eq!(goodbye(&connected(V31), error), []);
    let mut refused = Connection::server(Limits::default(), 0);
    let trailing = v5("02", "", "0001 61 00");
    assert_eq!(feed(&mut refused, &trailing), Some(error));
    assert_eq!(goodbye(&refused, error), explained(0x20, &[0, 0x81], error));
    let mut refused = Connection::server(Limits::default(), 0);
    assert_eq!(feed(&mut refused, &v311("02", "0001 61 00")), Some(error));
    assert_eq!(goodbye(&refused, error), []);
    let mut unknown = Connection::server(Limits::default(), 0);
    let error = feed(&mut unknown, &hex("C000")).unwrap();
    assert_eq!(goodbye(&unknown, error), []);
}

#[test]
fn rule_8_connack_and_auth_are_checked() {
    let table = [
        (V311, "2002 01 05", Error::Protocol("MQTT-3.2.2-6")),
        (V5, "2003 01 87 00", Error::Protocol("MQTT-3.2.2-6")),
        (V311, "2002 02 00", Error::Malformed("MQTT-3.2.2-1")),
        (V311, "2002 00 06", Error::Protocol("MQTT-3.2.2-8")),
        (V5, "2003 00 01 00", Error::Protocol("MQTT-3.2.2-8")),
        (V5, "2002 00 00", Error::Malformed("MQTT-4.13.1-1")),
        (V311, "2003 00 00 00", Error::Malformed("2.1.4")),
        (V5, "2006 00 00 03 21 0000", Error::Protocol("3.1.2.11.3")),
        (V5, "F001 01", Error::Protocol("MQTT-3.15.2-1")),
        (V5, "F001 18", Error::Malformed("3.15.2.2")),
        (V5, "F100", Error::Malformed("MQTT-3.15.1-1")),
        (V5, "F005 18 03 16 0000", Error::Protocol("3.1.2.11.10")),
    ];
    for (version, text, error) in table {
        assert_eq!(decode(version, &hex(text)), Err(error), "{text}");
    }
}
