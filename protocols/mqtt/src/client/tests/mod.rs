//! The client machine, alone and joined to the server machine by a clock in the test.

mod terms;

use super::{Client, ClientEvent};
use crate::connection::{Accept, Connection, Event};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{
    Ack, AckKind, ConnAck, Connect, Disconnect, Publish, QoS, SubAck, SubscribeOptions, UnsubAck,
    Version, put_acks, put_ping_resp,
};
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};
use crate::tests::hex;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: false,
        keep_alive_s: 10,
        client_id: "a",
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    }
}

fn message(qos: QoS) -> Publish<'static> {
    let (retain, dup, properties) = (false, false, Properties::default());
    Publish {
        topic: "t",
        qos,
        retain,
        dup,
        id: None,
        properties,
        payload: b"x",
    }
}

/// Opens a connection; what the client sends because of CONNACK stays in its output.
fn open(client: &mut Client, version: Version, connack: ConnAck<'_>) {
    client.connect(0, &connect(version)).unwrap();
    client.poll_output().unwrap();
    let mut answer = Vec::new();
    connack.encode(version, &mut answer).unwrap();
    let events = read(client, &answer);
    assert_eq!(events, [format!("{:?}", ClientEvent::Connected(connack))]);
}

fn opened(version: Version) -> Client {
    let mut client = Client::new(Limits::default(), 10);
    open(&mut client, version, ConnAck::default());
    client
}

/// What the client makes of some bytes, an error last.
fn read(client: &mut Client, input: &[u8]) -> Vec<String> {
    let mut at = 0;
    let mut events = Vec::new();
    while let Some(event) = client.poll_event(0, input, &mut at) {
        events.push(match event {
            Ok(event) => format!("{event:?}"),
            Err(error) => format!("{error:?}"),
        });
    }
    events
}

fn output(client: &mut Client) -> Vec<u8> {
    client.poll_output().unwrap_or_default()
}

/// A small broker: answers everything, and sends every publish back with the same QoS.
fn serve(server: &mut Connection, now_ms: u64, input: &[u8]) -> Vec<u8> {
    let (mut at, mut out) = (0, Vec::new());
    loop {
        let version = server.version().unwrap_or(Version::V311);
        match server.poll_event(now_ms, input, &mut at) {
            None => break,
            Some(Ok(Event::Connect(_))) => {
                server.accept(now_ms, &Accept::default(), &mut out).unwrap();
            }
            Some(event) => answer(event.unwrap(), version, &mut out),
        }
    }
    assert_eq!(at, input.len());
    out
}

fn answer(event: Event<'_>, version: Version, out: &mut Vec<u8>) {
    match event {
        Event::Publish(run) => {
            let kind = match run.qos {
                QoS::AtMostOnce => None,
                QoS::AtLeastOnce => Some(AckKind::PubAck),
                QoS::ExactlyOnce => Some(AckKind::PubRec),
            };
            if let (Some(kind), Some(first_id)) = (kind, run.first_id) {
                put_acks(out, kind, first_id, run.len());
            }
            out.extend_from_slice(run.packets.bytes());
        }
        Event::Acks(run) => match run.kind {
            AckKind::PubRel => put_acks(out, AckKind::PubComp, run.first_id, run.n),
            AckKind::PubRec => put_acks(out, AckKind::PubRel, run.first_id, run.n),
            AckKind::PubAck | AckKind::PubComp => {}
        },
        Event::Subscribe(subscribe) => {
            let granted = |entry: crate::Subscription<'_>| entry.options.qos as u8;
            let reasons: Vec<u8> = subscribe.subscriptions.iter().map(granted).collect();
            let properties = Properties::default();
            SubAck {
                id: subscribe.id,
                properties,
                reasons: &reasons,
            }
            .encode(version, out)
            .unwrap();
        }
        Event::Unsubscribe(unsubscribe) => {
            let reasons: Vec<u8> = unsubscribe.filters.iter().map(|_| 0).collect();
            let properties = Properties::default();
            UnsubAck {
                id: unsubscribe.id,
                properties,
                reasons: &reasons,
            }
            .encode(version, out)
            .unwrap();
        }
        Event::Ping => put_ping_resp(out),
        Event::Connect(_) | Event::Auth(_) | Event::Disconnect(_) => {}
    }
}

/// Carries bytes between the two until both are silent; the client takes over what it receives.
fn run(client: &mut Client, server: &mut Connection, now_ms: u64) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(bytes) = client.poll_output() {
        let reply = serve(server, now_ms, &bytes);
        let mut at = 0;
        while let Some(event) = client.poll_event(now_ms, &reply, &mut at) {
            let event = event.unwrap();
            seen.push(match event {
                ClientEvent::Publish(Publish { id, qos, .. }) => {
                    if let Some(id) = id {
                        client.acknowledge(now_ms, id).unwrap();
                    }
                    format!("message {}", qos as u8)
                }
                ClientEvent::Acknowledged { id, .. } => format!("done {id}"),
                ClientEvent::Connected(_) => "connected".into(),
                ClientEvent::Subscribed(suback) => format!("subscribed {:?}", suback.reasons),
                ClientEvent::Unsubscribed(_) => "unsubscribed".into(),
                ClientEvent::Pong => "pong".into(),
                ClientEvent::Auth(_) => "auth".into(),
                ClientEvent::Disconnect(_) => "disconnect".into(),
            });
        }
        assert_eq!(at, reply.len());
    }
    seen
}

#[test]
fn two_machines_talk_through_every_exchange() {
    for version in VERSIONS {
        let mut client = Client::new(Limits::default(), 10);
        let mut server = Connection::server(Limits::default(), 0);
        client.connect(0, &connect(version)).unwrap();
        assert_eq!(run(&mut client, &mut server, 0), ["connected"]);

        let options = SubscribeOptions::with_qos(QoS::ExactlyOnce);
        let entries = [
            ("t", options),
            ("u/#", SubscribeOptions::with_qos(QoS::AtMostOnce)),
        ];
        assert_eq!(client.subscribe(0, &entries, Properties::default()), Ok(1));
        assert_eq!(run(&mut client, &mut server, 0), ["subscribed [2, 0]"]);
        assert_eq!(client.unsubscribe(0, &["u/#"]), Ok(2));
        assert_eq!(run(&mut client, &mut server, 0), ["unsubscribed"]);

        assert_eq!(client.publish(0, message(QoS::AtMostOnce)), Ok(None));
        assert_eq!(run(&mut client, &mut server, 0), ["message 0"]);
        assert_eq!(client.publish(0, message(QoS::AtLeastOnce)), Ok(Some(3)));
        assert_eq!(run(&mut client, &mut server, 0), ["done 3", "message 1"]);
        assert_eq!(client.publish(0, message(QoS::ExactlyOnce)), Ok(Some(4)));
        assert_eq!(run(&mut client, &mut server, 0), ["message 2", "done 4"]);

        // Silence: a ping after 10 s keeps the server, whose limit is 15 s, content.
        assert_eq!(client.poll_timeout(), Some(10_000));
        client.handle_timeout(10_000).unwrap();
        assert_eq!(run(&mut client, &mut server, 10_000), ["pong"]);
        assert_eq!(server.poll_timeout(), Some(25_000));
        server.handle_timeout(15_000).unwrap();

        client.disconnect(10_001, &Disconnect::default()).unwrap();
        assert_eq!(run(&mut client, &mut server, 10_001), [""; 0]);
        assert!(server.is_closed());
        assert_eq!(
            client.publish(0, message(QoS::AtMostOnce)),
            Err(Error::NotConnected)
        );
    }
}

#[test]
fn rule_14_an_unanswered_ping_ends_the_connection() {
    let mut client = opened(Version::V311);
    assert_eq!(client.handle_timeout(9_999), Ok(()));
    assert_eq!(client.poll_output(), None);
    assert_eq!(client.handle_timeout(10_000), Ok(()));
    assert_eq!(output(&mut client), hex("C000"));
    assert_eq!(client.publish(15_000, message(QoS::AtMostOnce)), Ok(None));
    assert_eq!(
        client.poll_timeout(),
        Some(20_000),
        "the answer is due whatever else is sent"
    );
    assert_eq!(client.handle_timeout(20_000), Err(Error::Timeout));
    assert_eq!(client.poll_timeout(), None);

    let mut client = opened(Version::V311);
    assert_eq!(client.publish(4_000, message(QoS::AtMostOnce)), Ok(None));
    assert_eq!(
        client.poll_timeout(),
        Some(14_000),
        "what is sent takes the place of a ping"
    );
}

#[test]
fn rule_16_nothing_comes_before_connack_and_it_comes_once() {
    for version in VERSIONS {
        let mut client = Client::new(Limits::default(), 10);
        client.connect(0, &connect(version)).unwrap();
        let error = format!("{:?}", Error::Protocol("MQTT-3.2.0-1"));
        assert_eq!(read(&mut client, &hex("D000")), [error]);
    }
    let error = format!("{:?}", Error::Protocol("2.1.2"));
    let mut client = opened(Version::V311);
    assert_eq!(read(&mut client, &hex("2002 00 00 D000")), [error.as_str()]);
    for text in ["C000", "8206 0001 0001 74 00", "A205 0001 0001 74", "E000"] {
        assert_eq!(
            read(&mut opened(Version::V311), &hex(text)),
            [error.as_str()],
            "{text}"
        );
    }
}

#[test]
fn a_refused_connect_closes() {
    let mut client = Client::new(Limits::default(), 10);
    open(&mut client, Version::V311, ConnAck::refused(0x87));
    assert_eq!(read(&mut client, &hex("D000")), [""; 0]);
    assert_eq!(
        client.publish(0, message(QoS::AtMostOnce)),
        Err(Error::NotConnected)
    );
    assert_eq!(client.connect(0, &connect(Version::V311)), Ok(()));
}

#[test]
fn rule_42_resume_sends_again_in_order_with_dup_and_pubrels() {
    for version in [Version::V31, Version::V311] {
        let mut client = opened(version);
        for qos in [
            QoS::AtLeastOnce,
            QoS::ExactlyOnce,
            QoS::AtLeastOnce,
            QoS::ExactlyOnce,
        ] {
            client.publish(0, message(qos)).unwrap();
        }
        output(&mut client);
        for _ in 0..2 {
            assert_eq!(read(&mut client, &hex("5002 0002")), [""; 0]);
            assert_eq!(output(&mut client), hex("6202 0002"));
        }
        client.connection_lost();
        let session_present = version == Version::V311;
        open(
            &mut client,
            version,
            ConnAck {
                session_present,
                ..ConnAck::default()
            },
        );
        let again = "3A06 000174 0001 78 6202 0002 3A06 000174 0003 78 3C06 000174 0004 78";
        assert_eq!(output(&mut client), hex(again));
        let done = |id| format!("{:?}", ClientEvent::Acknowledged { id, reason: 0 });
        assert_eq!(
            read(&mut client, &hex("4002 0001 7002 0002")),
            [done(1), done(2)]
        );
        assert_eq!(client.room(), 8);
    }
}

#[test]
fn rule_8_without_a_session_nothing_is_sent_again() {
    let mut client = opened(Version::V311);
    client.publish(0, message(QoS::ExactlyOnce)).unwrap();
    client.connection_lost();
    open(&mut client, Version::V311, ConnAck::default());
    assert_eq!((client.poll_output(), client.room()), (None, 10));
}

#[test]
fn another_version_does_not_resume_what_was_encoded_for_the_first() {
    let mut client = opened(Version::V311);
    client.publish(0, message(QoS::AtLeastOnce)).unwrap();
    client.connection_lost();
    assert_eq!(
        client.connect(0, &connect(Version::V5)),
        Err(Error::Unencodable)
    );
    let clean = Connect {
        clean_start: true,
        ..connect(Version::V5)
    };
    assert_eq!(client.connect(0, &clean), Ok(()));
    assert_eq!(client.room(), 10);
}

#[test]
fn rule_39_a_repeat_of_qos_2_is_answered_and_not_handed_out() {
    let mut client = opened(Version::V311);
    let first = hex("3406 0001 74 0007 78");
    let repeat = hex("3C06 0001 74 0007 78");
    assert_eq!(read(&mut client, &first).len(), 1);
    assert_eq!(read(&mut client, &repeat), [""; 0], "not taken over yet");
    assert_eq!(client.poll_output(), None);
    client.acknowledge(0, 7).unwrap();
    assert_eq!(output(&mut client), hex("5002 0007"));
    assert_eq!(client.acknowledge(0, 7), Err(Error::UnknownPacketId));
    client.connection_lost();
    open(
        &mut client,
        Version::V311,
        ConnAck {
            session_present: true,
            ..ConnAck::default()
        },
    );
    assert_eq!(read(&mut client, &repeat), [""; 0]);
    assert_eq!(output(&mut client), hex("5002 0007"));
    assert_eq!(read(&mut client, &hex("6202 0007")), [""; 0]);
    assert_eq!(output(&mut client), hex("7002 0007"));
    assert_eq!(read(&mut client, &first).len(), 1, "the id is new again");
}

#[test]
fn rule_40_unknown_ids_are_completed_not_closed() {
    for (version, comp, rel) in [
        (Version::V311, "7002 0009", "6202 0009"),
        (Version::V5, "7003 0009 92", "6203 0009 92"),
    ] {
        let mut client = opened(version);
        assert_eq!(read(&mut client, &hex("6202 0009")), [""; 0]);
        assert_eq!(output(&mut client), hex(comp));
        assert_eq!(read(&mut client, &hex("5002 0009")), [""; 0]);
        assert_eq!(output(&mut client), hex(rel));
        assert_eq!(read(&mut client, &hex("4002 0009 7002 0009")), [""; 0]);
        assert_eq!(client.poll_output(), None);
    }
}

#[test]
fn rule_41_a_refusing_pubrec_ends_the_message() {
    let mut client = opened(Version::V5);
    assert_eq!(client.publish(0, message(QoS::ExactlyOnce)), Ok(Some(1)));
    output(&mut client);
    let refused = format!(
        "{:?}",
        ClientEvent::Acknowledged {
            id: 1,
            reason: 0x97
        }
    );
    assert_eq!(read(&mut client, &hex("5003 0001 97")), [refused]);
    assert_eq!((client.poll_output(), client.room()), (None, 10));
}

#[test]
fn rule_46_the_window_is_the_lower_of_both_sides() {
    let mut properties = PropertiesBuf::new();
    properties
        .push(PropertyId::ReceiveMaximum, Value::Short(2))
        .unwrap();
    properties
        .push(PropertyId::MaximumPacketSize, Value::Long(20))
        .unwrap();
    properties
        .push(PropertyId::ServerKeepAlive, Value::Short(3))
        .unwrap();
    let mut client = Client::new(Limits::default(), 10);
    let connack = ConnAck {
        properties: properties.properties(),
        ..ConnAck::default()
    };
    open(&mut client, Version::V5, connack);
    assert_eq!((client.room(), client.poll_timeout()), (2, Some(3_000)));
    client.publish(0, message(QoS::AtLeastOnce)).unwrap();
    client.publish(0, message(QoS::ExactlyOnce)).unwrap();
    assert_eq!(
        client.publish(0, message(QoS::AtLeastOnce)),
        Err(Error::WindowFull)
    );
    assert_eq!(client.publish(0, message(QoS::AtMostOnce)), Ok(None));
    read(&mut client, &hex("5002 0002"));
    assert_eq!(client.room(), 0, "PUBREC frees no place");
    read(&mut client, &hex("7002 0002"));
    assert_eq!(client.room(), 1);
    output(&mut client);
    let large = Publish {
        payload: &[0; 20],
        ..message(QoS::AtLeastOnce)
    };
    assert_eq!(client.publish(0, large), Err(Error::Unencodable));
    assert!(!Error::Unencodable.closes());
    assert_eq!((client.poll_output(), client.room()), (None, 1));
    for _ in 0..65_536 {
        assert_eq!(
            client.publish(0, large),
            Err(Error::Unencodable),
            "a refusal keeps no id"
        );
    }
    assert!(client.publish(0, message(QoS::AtLeastOnce)).is_ok());

    let mut properties = PropertiesBuf::new();
    properties
        .push(PropertyId::ReceiveMaximum, Value::Short(65_535))
        .unwrap();
    let connack = ConnAck {
        properties: properties.properties(),
        ..ConnAck::default()
    };
    let mut client = Client::new(Limits::default(), 10);
    open(&mut client, Version::V5, connack);
    assert_eq!(client.room(), 10);
}

#[test]
fn a_lost_connection_forgets_what_was_only_its_own() {
    let mut client = opened(Version::V311);
    let filter = [("t", SubscribeOptions::with_qos(QoS::AtMostOnce))];
    assert_eq!(client.subscribe(0, &filter, Properties::default()), Ok(1));
    read(
        &mut client,
        &hex("3206 0001 74 0007 78 3406 0001 74 0008 78"),
    );
    client.connection_lost();
    assert_eq!(client.poll_output(), None);
    open(
        &mut client,
        Version::V311,
        ConnAck {
            session_present: true,
            ..ConnAck::default()
        },
    );
    for id in [7, 8] {
        assert_eq!(client.acknowledge(0, id), Err(Error::UnknownPacketId));
    }
    assert_eq!(read(&mut client, &hex("9003 0001 00")), [""; 0]);
    for id in 2..=65_535 {
        assert_eq!(client.unsubscribe(0, &["t"]), Ok(id));
    }
    assert_eq!(
        client.unsubscribe(0, &["t"]),
        Ok(1),
        "the id of the lost request is free"
    );
    assert_eq!(client.unsubscribe(0, &["t"]), Err(Error::WindowFull));
}

#[test]
fn rule_44_ids_are_unique_until_they_are_answered() {
    let mut client = Client::new(Limits::default(), 65_535);
    open(&mut client, Version::V311, ConnAck::default());
    let filter = [("t", SubscribeOptions::with_qos(QoS::AtMostOnce))];
    assert_eq!(client.subscribe(0, &filter, Properties::default()), Ok(1));
    for id in 2..=65_535 {
        assert_eq!(client.publish(0, message(QoS::AtLeastOnce)), Ok(Some(id)));
    }
    assert_eq!(
        client.publish(0, message(QoS::AtLeastOnce)),
        Err(Error::WindowFull)
    );
    output(&mut client);
    let mut acks = Vec::new();
    Ack::success(AckKind::PubAck, 5)
        .encode(Version::V311, &mut acks)
        .unwrap();
    assert_eq!(read(&mut client, &acks).len(), 1);
    assert_eq!(client.publish(0, message(QoS::AtLeastOnce)), Ok(Some(5)));
    assert_eq!(read(&mut client, &hex("9003 0001 00")).len(), 1);
    assert_eq!(
        read(&mut client, &hex("9003 0001 00")).len(),
        0,
        "nothing waits for it any more"
    );
    assert_eq!(client.subscribe(0, &filter, Properties::default()), Ok(1));
}

#[test]
fn what_a_command_may_not_say_is_refused_and_the_connection_goes_on() {
    let mut client = opened(Version::V5);
    let wildcard = Publish {
        topic: "a/#",
        ..message(QoS::AtLeastOnce)
    };
    assert!(matches!(
        client.publish(0, wildcard),
        Err(Error::TopicNameInvalid(_))
    ));
    let options = SubscribeOptions::with_qos(QoS::AtMostOnce);
    let bad = client.subscribe(0, &[("a/#/b", options)], Properties::default());
    assert!(matches!(bad, Err(Error::TopicFilterInvalid(_))));
    let none = client.subscribe(0, &[], Properties::default());
    assert_eq!(none, Err(Error::Protocol("MQTT-3.8.3-2")));
    assert!(matches!(
        client.unsubscribe(0, &["+a"]),
        Err(Error::TopicFilterInvalid(_))
    ));
    assert_eq!(
        client.connect(0, &connect(Version::V5)),
        Err(Error::Protocol("MQTT-3.1.0-2"))
    );
    assert_eq!((client.poll_output(), client.room()), (None, 10));
    assert_eq!(client.publish(0, message(QoS::AtLeastOnce)), Ok(Some(1)));
}

#[test]
fn a_goodbye_of_the_server_is_an_event_in_v5() {
    let mut client = opened(Version::V5);
    let event = ClientEvent::Disconnect(Disconnect {
        reason: 0x8E,
        ..Disconnect::default()
    });
    assert_eq!(
        read(&mut client, &hex("E001 8E D000")),
        [format!("{event:?}")]
    );
    assert_eq!(
        client.publish(0, message(QoS::AtMostOnce)),
        Err(Error::NotConnected)
    );
}

#[test]
fn rule_35_an_alias_that_was_not_offered_is_refused() {
    let mut client = opened(Version::V5);
    let error = format!("{:?}", Error::TopicAliasInvalid("MQTT-3.1.2-26"));
    assert_eq!(
        read(&mut client, &hex("3008 0001 74 03 23 0001 78")),
        [error]
    );
}
