//! What MQTT 5.0 adds to one connection: announcements, aliases, the window, authentication, and
//! how a connection ends.

use super::{V5, V31, V311, feed, hex, packet};
use crate::connection::{Accept, Connection, Event};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{Auth, Packet, QoS, Version};
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};
use crate::terms::Terms;

/// CONNECT with clean start, keep-alive 60 and client id "a".
fn connect(version: Version, properties: &str) -> Vec<u8> {
    let body = match version {
        V31 => "0006 4D5149736470 03 02 003C 0001 61".to_owned(),
        V311 => "0004 4D515454 04 02 003C 0001 61".to_owned(),
        V5 => {
            let len = hex(properties).len();
            format!("0004 4D515454 05 02 003C {len:02x} {properties} 0001 61")
        }
    };
    packet(0x10, &body)
}

/// A machine that has read such a CONNECT.
fn connecting(limits: Limits, version: Version, properties: &str) -> Connection {
    let mut machine = Connection::server(limits, 0);
    let input = connect(version, properties);
    assert!(matches!(
        machine.poll_event(0, &input, &mut 0),
        Some(Ok(Event::Connect(_)))
    ));
    machine
}

/// The same, let in, and its CONNACK.
fn opened(
    limits: Limits,
    version: Version,
    properties: &str,
    accept: &Accept<'_>,
) -> (Connection, Vec<u8>) {
    let mut machine = connecting(limits, version, properties);
    let mut out = Vec::new();
    machine.accept(0, accept, &mut out).unwrap();
    (machine, out)
}

fn plain(limits: Limits) -> Connection {
    opened(limits, V5, "", &Accept::default()).0
}

fn block(entries: &[(PropertyId, Value<'_>)]) -> PropertiesBuf {
    let mut buffer = PropertiesBuf::new();
    for (id, value) in entries {
        buffer.push(*id, *value).unwrap();
    }
    buffer
}

/// Topics and payloads of all runs, an error last.
fn messages(machine: &mut Connection, input: &[u8]) -> (Vec<(String, usize)>, Option<Error>) {
    let (mut at, mut seen) = (0, Vec::new());
    while let Some(event) = machine.poll_event(0, input, &mut at) {
        match event {
            Ok(Event::Publish(run)) => seen.push((run.topic.to_owned(), run.len())),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (seen, Some(error)),
        }
    }
    (seen, None)
}

/// Mutant: announcing Maximum QoS also when it is 2, which the property cannot say.
#[test]
fn connack_announces_the_limits_and_nothing_that_is_a_default() {
    let unlimited = Limits {
        topic_alias_maximum: 0,
        ..Limits::default()
    };
    let (_, out) = opened(unlimited, V5, "", &Accept::default());
    assert_eq!(out, hex("2008 00 00 05 27 00100000"));
    let limits = Limits {
        max_packet_size: 256,
        receive_maximum: 20,
        topic_alias_maximum: 3,
        maximum_qos: QoS::AtLeastOnce,
        retain_available: false,
        ..Limits::default()
    };
    let (_, out) = opened(limits, V5, "", &Accept::default());
    let all = "21 0014 24 01 25 00 27 00000100 22 0003";
    assert_eq!(out, packet(0x20, &format!("00 00 0F {all}")));
    for version in [V31, V311] {
        let (_, out) = opened(limits, version, "", &Accept::default());
        assert_eq!(out, hex("2002 00 00"), "older versions are told nothing");
    }
}

/// Mutant: `Server Keep Alive` only said when it is lower.
#[test]
fn rule_14_another_keep_alive_is_said_and_counts() {
    let limits = Limits::default();
    let accept = |keep_alive_s| Accept {
        keep_alive_s,
        ..Accept::default()
    };
    for (wanted, said, deadline) in [
        (None, None, Some(90_000)),
        (Some(60), None, Some(90_000)),
        (Some(90), Some(90), Some(135_000)),
        (Some(0), Some(0), None),
    ] {
        let (machine, out) = opened(limits, V5, "", &accept(wanted));
        assert_eq!(connack_terms(&out).keep_alive_s, said, "{wanted:?}");
        assert_eq!(machine.poll_timeout(), deadline, "{wanted:?}");
    }
}

fn connack_terms(out: &[u8]) -> Terms {
    match super::decode(V5, out) {
        Ok(Packet::ConnAck(connack)) => Terms::of(connack.properties),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_16_connack_comes_once_and_disconnect_never_before_it() {
    let mut machine = connecting(Limits::default(), V5, "");
    let mut out = Vec::new();
    machine.accept(0, &Accept::default(), &mut out).unwrap();
    let len = out.len();
    let again = machine.accept(0, &Accept::default(), &mut out);
    assert_eq!((again, out.len()), (Err(Error::NotConnected), len));

    let mut fresh = Connection::server(Limits::default(), 0);
    let nothing = Properties::default();
    assert_eq!(
        fresh.close_with(0x8B, nothing, &mut out),
        Err(Error::NotConnected)
    );
    assert_eq!(out.len(), len);
    for (version, said) in [(V5, "2003 00 8B 00"), (V311, "2002 00 03")] {
        let mut out = Vec::new();
        let mut machine = connecting(Limits::default(), version, "");
        machine.close_with(0x8B, nothing, &mut out).unwrap();
        assert_eq!(out, hex(said), "before CONNACK a refusal");
        assert!(machine.is_closed());
    }
}

#[test]
fn rule_17_more_qos_or_retain_than_announced_is_refused() {
    let limits = Limits {
        maximum_qos: QoS::AtLeastOnce,
        retain_available: false,
        ..Limits::default()
    };
    for (flags, code) in [("16", 0x9B), ("2E", 0x9A)] {
        let mut machine = Connection::server(limits, 0);
        let body = format!("0004 4D515454 05 {flags} 003C 00 0001 61 00 0001 77 0000");
        let error = feed(&mut machine, &packet(0x10, &body)).unwrap();
        assert_eq!(error.reason_code(), code, "{flags}");
        let said = super::explained(0x20, &[0, code], error);
        assert_eq!(super::goodbye(&machine, error), said);
    }
    for (first, body, code) in [
        (0x34, "0001 74 0001 00", 0x9B),
        (0x31, "0001 74 00", 0x9A),
        (0x33, "0001 74 0001 00", 0x9A),
    ] {
        let mut machine = plain(limits);
        let error = feed(&mut machine, &packet(first, body)).unwrap();
        assert_eq!(error.reason_code(), code, "{first:x}");
        let said = super::explained(0xE0, &[code], error);
        assert_eq!(super::goodbye(&machine, error), said);
    }
    assert_eq!(
        feed(&mut plain(limits), &packet(0x32, "0001 74 0001 00")),
        None
    );
}

#[test]
fn rule_18_response_information_is_for_who_asks() {
    let info = block(&[(PropertyId::ResponseInfo, Value::Text("r"))]);
    let accept = Accept {
        properties: info.properties(),
        ..Accept::default()
    };
    for (asked, given) in [("", false), ("19 00", false), ("19 01", true)] {
        let (machine, out) = opened(Limits::default(), V5, asked, &accept);
        assert_eq!(machine.terms().response_info, given);
        let Ok(Packet::ConnAck(connack)) = super::decode(V5, &out) else {
            panic!("{out:02x?}");
        };
        let said = connack.properties.text(PropertyId::ResponseInfo);
        assert_eq!(said.is_some(), given, "{asked}");
    }
}

/// Mutant: the reason string kept although CONNACK is over the client's Maximum Packet Size.
#[test]
fn rule_19_connack_and_disconnect_shrink_to_the_clients_size() {
    let long = "x".repeat(40);
    let explained = block(&[
        (PropertyId::ReasonString, Value::Text(&long)),
        (PropertyId::UserProperty, Value::Pair("k", "v")),
    ]);
    let accept = Accept {
        properties: explained.properties(),
        ..Accept::default()
    };
    let limits = Limits {
        topic_alias_maximum: 0,
        ..Limits::default()
    };
    let (mut machine, out) = opened(limits, V5, "27 00000014", &accept);
    assert_eq!(out, hex("2008 00 00 05 27 00100000"));
    let mut out = Vec::new();
    let closed = machine.close_with(0x98, explained.properties(), &mut out);
    assert_eq!((closed, out), (Ok(()), hex("E001 98")));
    let (_, out) = opened(limits, V5, "27 000000FF", &accept);
    assert!(out.len() > 40);

    let mut machine = connecting(limits, V5, "27 00000009");
    let mut out = Vec::new();
    let accepted = machine.accept(0, &accept, &mut out);
    assert_eq!((accepted, out.len()), (Err(Error::Unencodable), 0));
}

#[test]
fn rule_10_a_session_that_ends_with_its_connection_cannot_be_kept_at_the_end() {
    let disconnect = packet(0xE0, "00 05 11 0000000A");
    for (connect, error) in [
        ("", Some(Error::Protocol("3.14.2.2.2"))),
        ("11 00000000", Some(Error::Protocol("3.14.2.2.2"))),
        ("11 00000001", None),
    ] {
        let (mut machine, _) = opened(Limits::default(), V5, connect, &Accept::default());
        assert_eq!(feed(&mut machine, &disconnect), error, "{connect}");
        assert!(machine.is_closed());
    }
    let zero = packet(0xE0, "00 05 11 00000000");
    assert_eq!(feed(&mut plain(Limits::default()), &zero), None);
    let (mut machine, _) = opened(Limits::default(), V5, "11 00000001", &Accept::default());
    let expiry = block(&[(PropertyId::SessionExpiry, Value::Long(3))]);
    let mut out = Vec::new();
    machine
        .close_with(0x8E, expiry.properties(), &mut out)
        .unwrap();
    assert_eq!(out, hex("E001 8E"), "a server never says an expiry");
}

/// Mutant: `learn` keeps the first topic of an alias.
#[test]
fn rule_34_an_alias_stands_for_the_topic_it_came_with_last() {
    let mut machine = plain(Limits::default());
    let mut input = packet(0x30, "0002 6161 03 23 0001 31");
    input.extend(packet(0x30, "0000 03 23 0001 32"));
    input.extend(packet(0x30, "0000 03 23 0001 33"));
    input.extend(packet(0x30, "0002 6262 03 23 0001 34"));
    input.extend(packet(0x32, "0000 0009 03 23 0001 35"));
    let (seen, error) = messages(&mut machine, &input);
    let topics = |list: &[(&str, usize)]| -> Vec<(String, usize)> {
        list.iter()
            .map(|(topic, n)| ((*topic).to_owned(), *n))
            .collect()
    };
    let expected = topics(&[("aa", 1), ("aa", 2), ("bb", 1), ("bb", 1)]);
    assert_eq!((seen, error), (expected, None));
    // It is known to the end of the connection, in later reads too, and to nobody else.
    let later = packet(0x30, "0000 03 23 0001 36");
    assert_eq!(messages(&mut machine, &later).0, topics(&[("bb", 1)]));
    let unknown = Some(Error::Protocol("MQTT-3.3.2-7"));
    assert_eq!(
        messages(&mut plain(Limits::default()), &later),
        (vec![], unknown)
    );
}

#[test]
fn rule_34_aliases_stay_within_the_announced_maximum_and_the_memory() {
    let limits = Limits {
        topic_alias_maximum: 2,
        topic_alias_bytes: 8,
        ..Limits::default()
    };
    let learn = |alias: u8, topic: &str| {
        let len = hex(topic).len();
        packet(0x30, &format!("{len:04x} {topic} 03 23 00{alias:02x}"))
    };
    let mut machine = plain(limits);
    assert_eq!(feed(&mut machine, &learn(2, "61616161")), None);
    assert_eq!(feed(&mut machine, &learn(1, "62626262")), None);
    assert_eq!(feed(&mut machine, &learn(1, "63636363")), None, "replaced");
    let error = feed(&mut machine, &learn(1, "6464646464")).unwrap();
    assert_eq!(error.reason_code(), 0x97);
    let beyond = feed(&mut plain(limits), &learn(3, "61")).unwrap();
    assert_eq!(beyond.reason_code(), 0x94);
    let none = Limits {
        topic_alias_maximum: 0,
        ..Limits::default()
    };
    let (mut machine, out) = opened(none, V5, "", &Accept::default());
    assert_eq!(connack_terms(&out).topic_alias_maximum, 0);
    assert_eq!(
        feed(&mut machine, &learn(1, "61")).map(Error::reason_code),
        Some(0x94)
    );
}

#[test]
fn rule_34_what_is_kept_of_a_run_names_its_topic() {
    let mut machine = plain(Limits::default());
    let mut input = packet(0x30, "0002 6161 03 23 0001");
    input.extend(packet(0x3B, "0000 0009 0A 26 0001 6B 0001 76 23 0001 78"));
    input.extend(packet(0x33, "0000 000A 0A 26 0001 6B 0001 76 23 0001 79"));
    let mut at = 0;
    assert!(machine.poll_event(0, &input, &mut at).is_some());
    let Some(Ok(Event::Publish(run))) = machine.poll_event(0, &input, &mut at) else {
        panic!("a run");
    };
    assert_eq!((run.topic, run.alias, run.len()), ("aa", Some(1), 2));
    let (mut out, mut lens) = (Vec::new(), Vec::new());
    for i in 0..2 {
        run.put_plain(&mut out, i).unwrap();
        lens.push(run.plain_len(i));
    }
    let mut expected = packet(0x3B, "0002 6161 0009 07 26 0001 6B 0001 76 78");
    expected.extend(packet(0x33, "0002 6161 000A 07 26 0001 6B 0001 76 79"));
    assert_eq!((out, lens), (expected, vec![17, 17]));
    assert_eq!(run.put_plain(&mut Vec::new(), 2), Err(Error::Unencodable));
}

/// Mutant: `Window::take` not called for runs of more than one packet.
#[test]
fn rule_45_publishes_beyond_the_receive_maximum_are_refused() {
    let limits = Limits {
        receive_maximum: 3,
        ..Limits::default()
    };
    let publish = |id: u8| packet(0x32, &format!("0001 74 00{id:02x} 00"));
    let four: Vec<u8> = (1..=4).flat_map(publish).collect();
    let (seen, error) = messages(&mut plain(limits), &four);
    assert_eq!(
        seen,
        [("t".to_owned(), 3)],
        "what was allowed is handed out"
    );
    assert_eq!(error, Some(Error::ReceiveMaximumExceeded));
    assert_eq!(error.map(Error::reason_code), Some(0x93));

    let mut machine = plain(limits);
    let three: Vec<u8> = (1..=3).flat_map(publish).collect();
    assert_eq!(feed(&mut machine, &three), None);
    let zero = packet(0x30, "0001 74 00");
    assert_eq!(feed(&mut machine, &zero), None, "QoS 0 does not count");
    machine.acknowledged(2);
    let two: Vec<u8> = (4..=5).flat_map(publish).collect();
    assert_eq!(feed(&mut machine, &two), None);
    assert_eq!(
        feed(&mut machine, &publish(6)),
        Some(Error::ReceiveMaximumExceeded)
    );
    // Answers to exchanges of an earlier connection give nothing beyond the maximum.
    let mut machine = plain(limits);
    machine.acknowledged(10);
    assert_eq!(messages(&mut machine, &four).0, [("t".to_owned(), 3)]);
    let (mut older, _) = opened(limits, V311, "", &Accept::default());
    let publish = |id: u8| packet(0x32, &format!("0001 74 00{id:02x}"));
    let four: Vec<u8> = (1..=4).flat_map(publish).collect();
    assert_eq!(feed(&mut older, &four), None, "3.1.1 knows no maximum");
}

#[test]
fn rule_28_payloads_that_claim_to_be_utf_8_are_checked_if_wanted() {
    let mut input = packet(0x30, "0001 74 02 01 01 C3A9");
    input.extend(packet(0x30, "0001 74 02 01 01 C3"));
    let limits = Limits {
        check_payload_format: true,
        ..Limits::default()
    };
    let (seen, error) = messages(&mut plain(limits), &input);
    assert_eq!(seen, [("t".to_owned(), 1)]);
    assert_eq!(error.map(Error::reason_code), Some(0x99));
    let (seen, error) = messages(&mut plain(Limits::default()), &input);
    assert_eq!((seen, error), (vec![("t".to_owned(), 2)], None));
    let binary = packet(0x30, "0001 74 02 01 00 C3");
    assert_eq!(feed(&mut plain(limits), &binary), None);
    let will = packet(
        0x10,
        "0004 4D515454 05 06 003C 00 0001 61 02 01 01 0001 77 0001 C3",
    );
    let mut machine = Connection::server(limits, 0);
    assert_eq!(feed(&mut machine, &will), Some(Error::PayloadFormatInvalid));
    assert_eq!(
        feed(&mut Connection::server(Limits::default(), 0), &will),
        None
    );
}

/// Mutant: a run that goes on behind a bad payload.
#[test]
fn rule_28_above_qos_0_a_bad_payload_is_an_event_of_its_own() {
    let publish = |id: u8, payload| packet(0x32, &format!("0001 74 00{id:02x} 02 01 01 {payload}"));
    let payloads = ["61", "C3", "C3", "62", "63"];
    let input: Vec<u8> = (1..)
        .zip(payloads)
        .flat_map(|(id, payload)| publish(id, payload))
        .collect();
    let limits = Limits {
        check_payload_format: true,
        receive_maximum: 5,
        ..Limits::default()
    };
    let mut machine = plain(limits);
    let (mut at, mut seen) = (0, Vec::new());
    while let Some(event) = machine.poll_event(0, &input, &mut at) {
        match event {
            Ok(Event::Publish(run)) => seen.push((run.first_id, run.len(), run.bad_payload)),
            other => panic!("{other:?}"),
        }
    }
    let wanted = [
        (Some(1), 1, false),
        (Some(2), 1, true),
        (Some(3), 1, true),
        (Some(4), 2, false),
    ];
    assert_eq!(seen, wanted);
    // They take their place in the window like others.
    let (_, error) = messages(&mut machine, &publish(6, "61"));
    assert_eq!(error, Some(Error::ReceiveMaximumExceeded));
}

/// AUTH of a reason, a method and no data.
fn auth(reason: &str, method: &str) -> Vec<u8> {
    let len = hex(method).len();
    let block = 3 + len;
    packet(0xF0, &format!("{reason} {block:02x} 15 {len:04x} {method}"))
}

fn own_auth(machine: &mut Connection, reason: u8, method: &str) -> Result<Vec<u8>, Error> {
    let properties = block(&[(PropertyId::AuthMethod, Value::Text(method))]);
    let properties = properties.properties();
    let mut out = Vec::new();
    machine.put_auth(&Auth { reason, properties }, &mut out)?;
    Ok(out)
}

#[test]
fn rule_21_authentication_takes_turns_before_connack() {
    let mut machine = connecting(Limits::default(), V5, "15 0001 6D");
    let answer = auth("18", "6D");
    let mut at = 0;
    assert_eq!(machine.poll_event(0, &answer, &mut at), None, "our turn");
    assert_eq!(
        own_auth(&mut machine, 0x18, "n"),
        Err(Error::Protocol("MQTT-4.12.0-5"))
    );
    assert_eq!(own_auth(&mut machine, 0, "m"), Err(Error::Protocol("4.12")));
    assert_eq!(own_auth(&mut machine, 0x18, "m"), Ok(answer.clone()));
    assert_eq!(machine.poll_timeout(), Some(10_000), "no open end");
    assert!(matches!(
        machine.poll_event(0, &answer, &mut at),
        Some(Ok(Event::Auth(auth))) if auth.reason == 0x18
    ));
    let mut out = Vec::new();
    machine.accept(0, &Accept::default(), &mut out).unwrap();
    let Ok(Packet::ConnAck(connack)) = super::decode(V5, &out) else {
        panic!("{out:02x?}");
    };
    let method = connack.properties.text(PropertyId::AuthMethod);
    assert_eq!(method, Some("m"), "[MQTT-4.12.0-5]");
}

#[test]
fn rule_21_only_auth_and_disconnect_come_before_connack() {
    for (input, error) in [
        (packet(0xC0, ""), Some(Error::Protocol("MQTT-3.1.2-30"))),
        (auth("18", "6E"), Some(Error::Protocol("MQTT-4.12.0-5"))),
        (auth("19", "6D"), Some(Error::Protocol("4.12.1"))),
        (packet(0xE0, ""), None),
    ] {
        let mut machine = connecting(Limits::default(), V5, "15 0001 6D");
        own_auth(&mut machine, 0x18, "m").unwrap();
        assert_eq!(feed(&mut machine, &input), error, "{input:02x?}");
        assert!(machine.is_closed());
    }
}

/// Mutant: re-authentication allowed with any method.
#[test]
fn rule_21_re_authentication_keeps_its_method_and_lets_packets_flow() {
    let open = |properties| opened(Limits::default(), V5, properties, &Accept::default()).0;
    let unasked = Some(Error::Protocol("MQTT-4.12.0-6"));
    assert_eq!(feed(&mut open(""), &auth("19", "6D")), unasked);
    let another = Some(Error::Protocol("MQTT-4.12.0-5"));
    assert_eq!(feed(&mut open("15 0001 6D"), &auth("19", "6E")), another);
    let turn = Some(Error::Protocol("4.12.1"));
    assert_eq!(feed(&mut open("15 0001 6D"), &auth("18", "6D")), turn);
    assert_eq!(feed(&mut open("15 0001 6D"), &auth("00", "6D")), turn);

    let mut machine = open("15 0001 6D");
    assert_eq!(feed(&mut machine, &auth("19", "6D")), None);
    assert_eq!(feed(&mut machine, &packet(0xC0, "")), None, "others flow");
    assert!(own_auth(&mut machine, 0x18, "m").is_ok());
    assert_eq!(feed(&mut machine, &auth("18", "6D")), None);
    assert!(own_auth(&mut machine, 0, "m").is_ok());
    assert_eq!(
        own_auth(&mut machine, 0x18, "m"),
        Err(Error::Protocol("4.12.1"))
    );
    assert_eq!(feed(&mut machine, &auth("19", "6D")), None, "and again");
    let mut out = Vec::new();
    let refused = machine.close_with(0x87, Properties::default(), &mut out);
    assert_eq!((refused, out), (Ok(()), hex("E001 87")));
    let (mut older, _) = opened(Limits::default(), V311, "", &Accept::default());
    assert_eq!(
        feed(&mut older, &auth("19", "6D")),
        Some(Error::Malformed("2.1.2"))
    );
}

#[test]
fn rule_65_nothing_is_said_by_a_server_after_its_goodbye() {
    let mut machine = plain(Limits::default());
    let mut out = Vec::new();
    let nothing = Properties::default();
    machine.close_with(0x8E, nothing, &mut out).unwrap();
    assert_eq!(out, hex("E001 8E"));
    let again = machine.close_with(0x8B, nothing, &mut out);
    assert_eq!((again, out.len()), (Err(Error::NotConnected), 3));
    assert_eq!(machine.poll_event(0, &hex("C000"), &mut 0), None);
    assert_eq!(machine.poll_timeout(), None);
    for version in [V31, V311] {
        let (mut machine, mut out) = opened(Limits::default(), version, "", &Accept::default());
        out.clear();
        machine.close_with(0x8E, nothing, &mut out).unwrap();
        assert_eq!(out, [], "older versions have no server DISCONNECT");
    }
}
