//! PUBLISH in: what is confirmed, and in how many pieces it may come (rules 33, 38, 63; MQ-19).

use std::io::Write;

use super::client::{
    ACCEPTED, Client, DISCONNECT, PINGREQ, PINGRESP, RESUMED, puback, publish, subscribe,
};
use crate::support::Server;
use crate::support::mqtt::{Session, connect};
use crate::support::wire::{Output, Wire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r33_dup_is_not_copied_from_the_publisher() {
    let server = Server::start().await;
    let mut subscriber = Client::clean(&server, "subscriber");
    subscriber.subscribe(&[("r33/#", 1)]);
    let mut publisher = Client::clean(&server, "publisher");
    let bytes = [
        publish(0x3a, "r33/a", 5, b"again"),
        publish(0x3b, "r33/b", 6, b"again, retained"),
    ];
    publisher.send(&bytes.concat());
    publisher.expect(&puback(5));
    publisher.expect(&puback(6));
    assert!(!subscriber.expect_message("r33/a", b"again").dup);
    assert!(!subscriber.expect_message("r33/b", b"again, retained").dup);
    let mut late = Client::clean(&server, "late");
    late.subscribe(&[("r33/#", 1)]);
    assert!(!late.expect_message("r33/b", b"again, retained").dup);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r38_what_is_confirmed_is_stored_and_its_id_is_free() {
    let server = Server::start().await;
    let mut kept = Client::kept(&server, "kept", ACCEPTED);
    kept.subscribe(&[("r38", 1)]);
    drop(kept);
    let mut publisher = Client::clean(&server, "publisher");
    publisher.send(&publish(0x32, "r38", 3, b"first"));
    publisher.expect(&puback(3));
    // The same id is a new message, whatever DUP says [MQTT-4.3.2-5].
    publisher.send(&publish(0x3a, "r38", 3, b"second"));
    publisher.expect(&puback(3));
    drop(publisher);
    let server = server.restart(&[]).await;
    let mut kept = Client::kept(&server, "kept", RESUMED);
    kept.expect_message("r38", b"first");
    kept.expect_message("r38", b"second");
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

/// A whole conversation, and what must be answered.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let filters: Vec<String> = (0..20).map(|n| format!("mq19/{n}/+")).collect();
    let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), 1)).collect();
    let (small, large) = (vec![b's'; 300], vec![b'l'; 20_000]);
    let asked = [
        connect("mq19", Session::Clean, 60),
        subscribe(10, &filters),
        publish(0x32, "mq19-other", 1, &small),
        publish(0x32, "mq19-other", 2, &large),
        PINGREQ.to_vec(),
        publish(0x30, "mq19/0/a", 0, &large),
        DISCONNECT.to_vec(),
    ];
    let answered = [
        ACCEPTED.to_vec(),
        [vec![0x90, 22, 0, 10], vec![1; 20]].concat(),
        puback(1).to_vec(),
        puback(2).to_vec(),
        PINGRESP.to_vec(),
    ];
    (asked.concat(), answered.concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mq_19_and_ws_01_packets_may_be_split_and_joined_anywhere() {
    let server = Server::start().await;
    let (asked, answered) = conversation();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for listener in ["mqtt", "auto", "websocket"] {
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
            let mut got = client.wire.input.until_closed().unwrap();
            // PINGRESP keeps no order with confirms; QoS 0 may be cut off by the goodbye.
            let ping = got.windows(2).position(|two| two == PINGRESP);
            got.drain(ping.unwrap()..ping.unwrap() + 2);
            let wanted = &answered[..answered.len() - 2];
            assert_eq!(&got[..wanted.len()], wanted, "{listener} {way}");
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
    for subprotocol in ["mqtt", "mqttv3.1"] {
        let mut wire = Wire::websocket(address, "/mqtt", subprotocol).unwrap();
        let Output::WebSocket(socket) = &mut wire.output else {
            unreachable!("connected as WebSocket");
        };
        let bytes = [connect("r68", Session::Clean, 0), PINGREQ.to_vec()].concat();
        let (head, tail) = bytes.split_at(7);
        let parts = [
            frame(0x02, head),
            frame(0x89, b"ping"),
            frame(0x00, &tail[..3]),
            frame(0x80, &tail[3..]),
        ];
        socket.write_all(&parts.concat()).unwrap();
        let wanted = [&ACCEPTED[..], &PINGRESP].concat();
        assert_eq!(wire.input.exactly(wanted.len()).unwrap(), wanted);
        // Text ends the connection [MQTT-6.0.0-1].
        let Output::WebSocket(socket) = &mut wire.output else {
            unreachable!("connected as WebSocket");
        };
        socket.write_all(&frame(0x81, &PINGREQ)).unwrap();
        assert_eq!(wire.input.until_closed().unwrap(), b"");
    }
}
