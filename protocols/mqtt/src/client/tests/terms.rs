//! What both sides of MQTT 5.0 have announced, and that the client keeps to it.

use super::{connect, message, output, read};
use crate::client::Client;
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::Version::{V5, V311};
use crate::packet::{Auth, ConnAck, Connect, Publish, QoS};
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};
use crate::tests::{hex, packet};

fn block(entries: &[(PropertyId, Value<'_>)]) -> PropertiesBuf {
    let mut buffer = PropertiesBuf::new();
    for (id, value) in entries {
        buffer.push(*id, *value).unwrap();
    }
    buffer
}

/// CONNACK of a resumed session with these properties.
fn connack(entries: &[(PropertyId, Value<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    ConnAck {
        session_present: true,
        reason: 0,
        properties: block(entries).properties(),
    }
    .encode(V5, &mut out)
    .unwrap();
    out
}

/// A client that has announced `own` and has been announced `server`.
fn opened(own: &[(PropertyId, Value<'_>)], server: &[(PropertyId, Value<'_>)]) -> Client {
    let mut client = Client::new(Limits::default(), 10);
    reopen(&mut client, own, server);
    client
}

fn reopen(
    client: &mut Client,
    own: &[(PropertyId, Value<'_>)],
    server: &[(PropertyId, Value<'_>)],
) -> Vec<String> {
    client.connection_lost();
    let own = block(own);
    let request = Connect {
        properties: own.properties(),
        ..connect(V5)
    };
    client.connect(0, &request).unwrap();
    output(client);
    let mut events = read(client, &connack(server));
    assert!(events.remove(0).starts_with("Connected"));
    events
}

fn to(topic: &str, qos: QoS) -> Publish<'_> {
    Publish {
        topic,
        ..message(qos)
    }
}

/// Mutant: `learn` left out, so that an alias is never known.
#[test]
fn rule_34_aliases_of_the_server_are_resolved() {
    let mut client = opened(&[(PropertyId::TopicAliasMaximum, Value::Short(2))], &[]);
    let announced = packet(0x30, "0003 612F62 03 23 0002 78");
    let used = packet(0x30, "0000 03 23 0002 79");
    let mut input = announced.clone();
    input.extend_from_slice(&used);
    let (mut at, mut topics) = (0, Vec::new());
    while let Some(event) = client.poll_event(0, &input, &mut at) {
        match event.unwrap() {
            crate::ClientEvent::Publish(publish) => topics.push(publish.topic.to_owned()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(topics, ["a/b", "a/b"]);
    let beyond = packet(0x30, "0001 74 03 23 0003 78");
    let refused = "TopicAliasInvalid(\"MQTT-3.1.2-26\")";
    assert_eq!(read(&mut client, &beyond), [refused]);
    assert_eq!(
        output(&mut client),
        hex("E001 94"),
        "and the server is told"
    );
    // A new connection has a table of its own.
    reopen(
        &mut client,
        &[(PropertyId::TopicAliasMaximum, Value::Short(2))],
        &[],
    );
    assert_eq!(read(&mut client, &used), ["Protocol(\"MQTT-3.3.2-7\")"]);
}

/// Mutant: the packet kept as it was sent, alias and all.
#[test]
fn rule_35_what_is_sent_again_names_its_topic() {
    let aliases = [(PropertyId::TopicAliasMaximum, Value::Short(1))];
    let mut client = opened(&[], &aliases);
    for _ in 0..2 {
        client.publish(0, to("topic", QoS::AtLeastOnce)).unwrap();
    }
    let announced = packet(0x32, "0005 746F706963 0001 03 23 0001 78");
    let used = packet(0x32, "0000 0002 03 23 0001 78");
    assert_eq!(output(&mut client), [announced, used].concat());
    reopen(&mut client, &[], &[]);
    let again = |id: u8| packet(0x3A, &format!("0005 746F706963 00{id:02x} 00 78"));
    assert_eq!(output(&mut client), [again(1), again(2)].concat());
    reopen(&mut client, &[], &aliases);
    let announced = packet(0x3A, "0005 746F706963 0001 03 23 0001 78");
    let used = packet(0x3A, "0000 0002 03 23 0001 78");
    assert_eq!(output(&mut client), [announced, used].concat());
}

#[test]
fn rule_45_a_server_may_not_exceed_the_clients_receive_maximum() {
    let maximum = [(PropertyId::ReceiveMaximum, Value::Short(2))];
    let publish = |first: u8, id: u8| packet(first, &format!("0001 74 00{id:02x} 00"));
    let mut client = opened(&maximum, &[]);
    read(&mut client, &publish(0x32, 1));
    read(&mut client, &publish(0x34, 2));
    assert_eq!(read(&mut client, &packet(0x30, "0001 74 00")).len(), 1);
    client.acknowledge(0, 1).unwrap();
    client.acknowledge(0, 2).unwrap();
    assert_eq!(read(&mut client, &publish(0x34, 3)).len(), 1);
    // PUBREC of 2 freed nothing; PUBCOMP does.
    read(&mut client, &hex("6202 0002"));
    assert_eq!(read(&mut client, &publish(0x32, 4)).len(), 1);
    output(&mut client);
    let exceeded = read(&mut client, &publish(0x32, 5));
    assert_eq!(exceeded, ["ReceiveMaximumExceeded"]);
    assert_eq!(output(&mut client), hex("E001 93"));

    let mut client = opened(&maximum, &[]);
    read(&mut client, &publish(0x34, 1));
    read(&mut client, &publish(0x34, 2));
    client.refuse(0, 1, 0x97).unwrap();
    assert_eq!(output(&mut client), hex("5003 0001 97"));
    assert_eq!(read(&mut client, &publish(0x34, 1)).len(), 1, "id is new");
    assert_eq!(client.refuse(0, 1, 0x10), Err(Error::Unencodable));
}

/// Mutant: `next_waiting` without its window.
#[test]
fn rule_46_what_is_sent_again_counts_and_waits_its_turn() {
    let mut client = opened(&[], &[]);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce] {
        client.publish(0, to("t", qos)).unwrap();
    }
    read(&mut client, &hex("5002 0002"));
    let again = |first: u8, id: u8| packet(first, &format!("0001 74 00{id:02x} 00 78"));
    reopen(
        &mut client,
        &[],
        &[(PropertyId::ReceiveMaximum, Value::Short(1))],
    );
    assert_eq!(output(&mut client), again(0x3A, 1));
    assert_eq!(client.room(), 0);
    let full = client.publish(0, to("t", QoS::AtLeastOnce));
    assert_eq!(full, Err(Error::WindowFull));
    assert_eq!(read(&mut client, &hex("4002 0001")).len(), 1);
    assert_eq!(output(&mut client), hex("6202 0002"), "order is kept");
    assert_eq!(read(&mut client, &hex("7002 0002")).len(), 1);
    assert_eq!(output(&mut client), again(0x3A, 3));
    assert_eq!(read(&mut client, &hex("4002 0003")).len(), 1);
    assert_eq!((output(&mut client), client.room()), (vec![], 1));
}

#[test]
fn rule_47_the_servers_limits_hold_for_new_and_old_messages() {
    let mut client = opened(&[], &[]);
    client.publish(0, to("t", QoS::ExactlyOnce)).unwrap();
    client.publish(0, to("topic", QoS::AtLeastOnce)).unwrap();
    client.publish(0, to("t", QoS::AtLeastOnce)).unwrap();
    let small = [
        (PropertyId::MaximumPacketSize, Value::Long(12)),
        (PropertyId::MaximumQos, Value::Byte(1)),
        (PropertyId::RetainAvailable, Value::Byte(0)),
    ];
    assert_eq!(
        reopen(&mut client, &[], &small),
        [
            "Acknowledged { id: 1, reason: 155 }",
            "Acknowledged { id: 2, reason: 149 }"
        ]
    );
    assert_eq!(output(&mut client), packet(0x3A, "0001 74 0003 00 78"));
    for refused in [
        to("topic", QoS::AtLeastOnce),
        to("long topic", QoS::AtMostOnce),
        to("t", QoS::ExactlyOnce),
        Publish {
            retain: true,
            ..to("t", QoS::AtMostOnce)
        },
    ] {
        assert_eq!(client.publish(0, refused), Err(Error::Unencodable));
    }
    assert_eq!((output(&mut client), client.room()), (vec![], 9));
    assert!(client.publish(0, to("t", QoS::AtMostOnce)).is_ok());

    let mut client = opened(&[(PropertyId::MaximumPacketSize, Value::Long(9))], &[]);
    assert_eq!(
        read(&mut client, &packet(0x30, "0001 74 00 787878")).len(),
        1
    );
    let large = read(&mut client, &hex("3008"));
    assert_eq!(large, ["PacketTooLarge"], "its body is not waited for");
}

fn step(reason: u8, method: &PropertiesBuf) -> Auth<'_> {
    Auth {
        reason,
        properties: method.properties(),
    }
}

#[test]
fn rule_21_authentication_takes_turns() {
    let method = [(PropertyId::AuthMethod, Value::Text("m"))];
    let (properties, other) = (
        block(&method),
        block(&[(PropertyId::AuthMethod, Value::Text("n"))]),
    );
    let request = Connect {
        properties: properties.properties(),
        ..connect(V5)
    };
    let mut client = Client::new(Limits::default(), 10);
    let early = client.authenticate(0, &step(0x18, &properties));
    assert_eq!(early, Err(Error::NotConnected));
    client.connect(0, &request).unwrap();
    output(&mut client);
    let turn = client.authenticate(0, &step(0x18, &properties));
    assert_eq!(turn, Err(Error::Protocol("4.12.1")));
    let go_on = packet(0xF0, "18 04 15 0001 6D");
    assert_eq!(read(&mut client, &go_on).len(), 1);
    let wrong = client.authenticate(0, &step(0x18, &other));
    assert_eq!(wrong, Err(Error::Protocol("MQTT-4.12.0-5")));
    client.authenticate(0, &step(0x18, &properties)).unwrap();
    assert_eq!(output(&mut client), go_on);
    assert_eq!(read(&mut client, &connack(&method)).len(), 1);
    client.authenticate(0, &step(0x19, &properties)).unwrap();
    output(&mut client);
    let success = packet(0xF0, "00 04 15 0001 6D");
    assert_eq!(read(&mut client, &success).len(), 1);
    let unasked = read(&mut client, &success);
    assert_eq!(unasked, ["Protocol(\"4.12.1\")"]);

    for (answer, error) in [
        (connack(&[]), "Protocol(\"MQTT-4.12.0-5\")"),
        (success, "Protocol(\"4.12\")"),
    ] {
        let mut client = Client::new(Limits::default(), 10);
        client.connect(0, &request).unwrap();
        assert_eq!(read(&mut client, &answer), [error]);
    }
    let mut plain = opened(&[], &[]);
    let unasked = "Protocol(\"MQTT-4.12.0-6\")";
    assert_eq!(read(&mut plain, &go_on), [unasked]);
}

#[test]
fn rules_8_and_10_what_a_server_may_not_say() {
    let mut client = Client::new(Limits::default(), 10);
    let clean = Connect {
        clean_start: true,
        properties: Properties::default(),
        ..connect(V5)
    };
    client.connect(0, &clean).unwrap();
    let present = read(&mut client, &connack(&[]));
    assert_eq!(present, ["Protocol(\"MQTT-3.2.2-2\")"]);
    let mut client = opened(&[], &[]);
    let expiry = read(&mut client, &packet(0xE0, "8E 05 11 00000001"));
    assert_eq!(expiry, ["Protocol(\"MQTT-3.14.2-2\")"]);
    assert_eq!(output(&mut client), hex("E001 82"));
}

/// Found by the pair of machines. Mutant: the properties read whatever the version.
#[test]
fn before_v5_nothing_is_announced_and_nothing_enforced() {
    let own = block(&[
        (PropertyId::ReceiveMaximum, Value::Short(1)),
        (PropertyId::MaximumPacketSize, Value::Long(4)),
    ]);
    let request = Connect {
        properties: own.properties(),
        ..connect(V311)
    };
    let mut client = Client::new(Limits::default(), 10);
    client.connect(0, &request).unwrap();
    assert_eq!(read(&mut client, &hex("2002 00 00")).len(), 1);
    let two = hex("3206 0001 74 0001 78 3206 0001 74 0002 78");
    assert_eq!(read(&mut client, &two).len(), 2);
}
