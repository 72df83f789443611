//! PUBLISH in: what is confirmed, and in how many pieces it may come (rules 33, 38, 63; MQ-19).

use std::io::Write;

use super::client::{ACCEPTED, Client, DISCONNECT, PINGREQ, PINGRESP, puback, publish};
use super::version::{BOTH, Version};
use crate::support::Server;
use crate::support::mqtt::{Packet, Session};
use crate::support::wire::{Output, Wire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r33_dup_is_not_copied_from_the_publisher() {
    for version in BOTH {
        let server = Server::start().await;
        let mut subscriber = version.clean(&server, "subscriber");
        subscriber.subscribe(&[("r33/#", 1)]);
        let mut publisher = version.clean(&server, "publisher");
        let bytes = [
            version.publish(0x3a, "r33/a", 5, b"again"),
            version.publish(0x3b, "r33/b", 6, b"again, retained"),
        ];
        publisher.send(&bytes.concat());
        publisher.expect(&puback(5));
        publisher.expect(&puback(6));
        assert!(!subscriber.expect_message("r33/a", b"again").dup);
        assert!(!subscriber.expect_message("r33/b", b"again, retained").dup);
        let mut late = version.clean(&server, "late");
        late.subscribe(&[("r33/#", 1)]);
        assert!(!late.expect_message("r33/b", b"again, retained").dup);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r38_what_is_confirmed_is_stored_and_its_id_is_free() {
    for version in BOTH {
        let server = Server::start().await;
        let mut kept = version.kept(&server, "kept", false);
        kept.subscribe(&[("r38", 1)]);
        drop(kept);
        let mut publisher = version.clean(&server, "publisher");
        publisher.send(&version.publish(0x32, "r38", 3, b"first"));
        publisher.expect(&puback(3));
        // The same id is a new message, whatever DUP says [MQTT-4.3.2-5].
        publisher.send(&version.publish(0x3a, "r38", 3, b"second"));
        publisher.expect(&puback(3));
        drop(publisher);
        let server = server.restart(&[]).await;
        let mut kept = version.kept(&server, "kept", true);
        kept.expect_message("r38", b"first");
        kept.expect_message("r38", b"second");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r38_pubacks_come_in_the_order_of_the_publishes() {
    let server = Server::start().await;
    let mut kept = Client::kept(&server, "kept", ACCEPTED);
    kept.subscribe(&[("r38/kept", 1)]);
    let mut publisher = Client::clean(&server, "publisher");
    // Durable ones, which wait for the disk, between others, which do not; ids wrap.
    let ids: Vec<u16> = (65_400..=65_535).chain(1..=200).collect();
    let mut bytes = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let topic = if n % 3 == 0 { "r38/kept" } else { "r38/nobody" };
        bytes.extend(publish(0x32, topic, *id, b"x"));
    }
    publisher.send(&bytes);
    for id in ids {
        publisher.expect(&puback(id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_the_servers_own_topics_are_not_published_to() {
    let server = Server::start().await;
    for topic in ["$SYS", "$SYS/uptime"] {
        let mut client = Client::clean(&server, "r63");
        client.send(&publish(0x30, topic, 0, b"x"));
        client.send(&PINGREQ);
        client.expect_end(&[]);
    }
    // Other names with a dollar are ordinary topics; `$share` means nothing in a PUBLISH.
    let mut client = Client::clean(&server, "r63");
    client.subscribe(&[("$SYSTEM", 1), ("$other/#", 1), ("r63", 1)]);
    for topic in ["$share/g/r63", "$SYSTEM", "$other/x", "r63"] {
        client.publish(topic, topic.as_bytes());
    }
    for topic in ["$SYSTEM", "$other/x", "r63"] {
        client.expect_message(topic, topic.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_named_by_address_and_queue_but_not_those_of_sessions() {
    let queue = ["queue=[{name=\"work\"}]"];
    let server = Server::start_with(&queue).await;
    let mut victim = Client::kept(&server, "victim", ACCEPTED);
    victim.subscribe(&[("private", 1)]);
    let mut client = Client::clean(&server, "client");
    client.publish("work::work", b"named");
    client.publish("work", b"plain");
    assert_eq!(client.subscribe(&[("work::work", 1)]), [1]);
    for body in [&b"named"[..], b"plain"] {
        let message = client.expect_message("work", body);
        client.send(&puback(message.id));
    }
    assert_eq!(
        client.subscribe(&[("$queue/nowhere/:", 1), ("a::none", 1)]),
        [1, 0x80]
    );
    // The internal address of a session's queue has a number that can be guessed.
    for n in 0..20 {
        let fqqn = format!("$session-queue/{n}::$session/victim");
        assert_eq!(client.subscribe(&[(&fqqn, 1)]), [0x80], "{fqqn}");
    }
    client.send(&publish(
        0x32,
        "$session-queue/1::$session/victim",
        9,
        b"forged",
    ));
    client.expect_end(&[]);
    victim.publish("private", b"mine");
    victim.expect_message("private", b"mine");
}

/// A whole conversation.
fn conversation(version: Version) -> Vec<u8> {
    let filters: Vec<String> = (0..20).map(|n| format!("mq19/{n}/+")).collect();
    let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    let (small, large) = (vec![b's'; 300], vec![b'l'; 20_000]);
    let asked = [
        version.connect("mq19", Session::Clean, 60),
        version.subscribe(10, &filters),
        version.publish(0x32, "mq19-other", 1, &small),
        version.publish(0x34, "mq19-other", 2, &large),
        vec![0x62, 2, 0, 2],
        PINGREQ.to_vec(),
        version.publish(0x30, "mq19/0/a", 0, &large),
        DISCONNECT.to_vec(),
    ];
    asked.concat()
}

/// What must be answered, by first byte and packet id; the id of CONNACK is its flag and code.
const ANSWERED: [(u8, u16); 5] = [(0x20, 0), (0x90, 10), (0x40, 1), (0x50, 2), (0x70, 2)];

/// The answers of a server that has closed.
fn answers(client: &mut Client) -> Vec<(u8, u16)> {
    let (mut answers, mut pings) = (Vec::new(), 0);
    while let Ok(packet) = Packet::read(&mut client.wire.input) {
        match packet.first {
            first if first == PINGRESP[0] => pings += 1,
            // QoS 0 may be cut off by the goodbye.
            0x30 => assert_eq!(packet.body[..10], *b"\x00\x08mq19/0/a"),
            first => answers.push((first, packet.id_of(first).unwrap())),
        }
    }
    // It keeps no order with confirms.
    assert_eq!(pings, 1);
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mq_19_and_ws_01_packets_may_be_split_and_joined_anywhere() {
    let server = Server::start().await;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for (listener, version) in ["mqtt", "auto", "websocket"]
        .into_iter()
        .flat_map(|listener| BOTH.map(|version| (listener, version)))
    {
        let asked = conversation(version);
        let cuts: [&mut dyn FnMut() -> usize; 3] = [
            &mut || 1,
            &mut || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % 700) as usize + 1
            },
            &mut || usize::MAX,
        ];
        for (way, cut) in cuts.into_iter().enumerate() {
            let mut client = Client::on(&server, listener);
            let mut rest = asked.as_slice();
            while !rest.is_empty() {
                let (part, behind) = rest.split_at(cut().min(rest.len()));
                client.send(part);
                rest = behind;
            }
            assert_eq!(
                answers(&mut client),
                ANSWERED,
                "{listener} {version:?} {way}"
            );
        }
    }
    assert_eq!(server.metric("ternmq_sessions").await, 0);
}

/// A WebSocket frame of a client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0][..], payload].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r68_and_ws_01_frames_may_be_continued_around_a_ping_and_text_is_refused() {
    let server = Server::start().await;
    let address = server.address("websocket");
    let versions = [
        ("mqtt", Version::Old),
        ("mqttv3.1", Version::Old),
        ("mqtt", Version::Five),
    ];
    for (subprotocol, version) in versions {
        let mut wire = Wire::websocket(address, "/mqtt", subprotocol).unwrap();
        let Output::WebSocket(socket) = &mut wire.output else {
            unreachable!("connected as WebSocket");
        };
        let connect = version.connect("r68", Session::Clean, 0);
        let bytes = [connect, PINGREQ.to_vec()].concat();
        let (head, tail) = bytes.split_at(7);
        let parts = [
            frame(0x02, head),
            frame(0x89, b"ping"),
            frame(0x00, &tail[..3]),
            frame(0x80, &tail[3..]),
        ];
        socket.write_all(&parts.concat()).unwrap();
        for first in [0x20, PINGRESP[0]] {
            assert_eq!(Packet::read(&mut wire.input).unwrap().first, first);
        }
        // Text ends the connection, without a word of MQTT [MQTT-6.0.0-1].
        let Output::WebSocket(socket) = &mut wire.output else {
            unreachable!("connected as WebSocket");
        };
        socket.write_all(&frame(0x81, &PINGREQ)).unwrap();
        assert_eq!(wire.input.until_closed().unwrap(), b"");
    }
}
