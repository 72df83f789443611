//! Pressure: publishers without memory (law L20) and many topics (ME-01).

use std::time::Duration;

use super::client::{ACCEPTED, Client, PINGREQ, PINGRESP, RESUMED, puback, publish};
use crate::support::Server;
use crate::support::process::wait_until;
use crate::support::wire::Output;

const BODY: usize = 20_000;

/// A server with 1 MiB of memory and a small read-ahead, a session `kept` that is away and has
/// subscribed to `filter`, and a publisher that is parked.
async fn pressed(filter: &str) -> (Server, Client) {
    let sets = ["limits.memory=\"1MiB\"", "limits.read_ahead_bytes=\"4KiB\""];
    let server = Server::start_with(&sets).await;
    let mut kept = Client::kept(&server, "kept", ACCEPTED);
    kept.subscribe(&[(filter, 1)]);
    kept.disconnect();
    let mut publisher = Client::clean(&server, "publisher");
    fill(&server, &mut publisher).await;
    (server, publisher)
}

/// Fills a budget of 1 MiB with 60 messages for an absent session; the publisher is parked when this
/// returns.
async fn fill(server: &Server, publisher: &mut Client) {
    for id in 1..=60 {
        publisher.send(&publish(0x32, "l20/kept", id, &[b'x'; BODY]));
    }
    let waiting = "ternmq_connections_waiting_for_memory";
    server.until(waiting, |value| value > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_a_parked_publisher_is_answered_settles_and_goes_on() {
    let server = Server::start_with(&["limits.memory=\"1MiB\""]).await;
    let mut kept = Client::kept(&server, "kept", ACCEPTED);
    kept.subscribe(&[("l20/kept", 1)]);
    kept.disconnect();
    let mut publisher = Client::clean(&server, "publisher");
    publisher.subscribe(&[("l20/own", 1)]);
    publisher.publish("l20/own", b"unsettled");
    let own = publisher.expect_message("l20/own", b"unsettled");
    let queued = server.metric("ternmq_messages_acked_total").await;
    fill(&server, &mut publisher).await;
    // Parked: a ping is answered, and the acknowledgement behind all those publishes is taken.
    publisher.send(&[&puback(own.id)[..], &PINGREQ].concat());
    let mut confirmed = 0u16;
    loop {
        let packet = publisher.packet();
        if packet.first == PINGRESP[0] {
            break;
        }
        confirmed += 1;
        assert_eq!(
            (packet.first, packet.body),
            (0x40, confirmed.to_be_bytes().to_vec())
        );
    }
    assert!(confirmed < 60, "{confirmed}");
    server
        .until("ternmq_messages_acked_total", |value| value != queued)
        .await;
    // The session comes back and takes everything: the publisher goes on, in order.
    let mut kept = Client::kept(&server, "kept", RESUMED);
    for _ in 0..60 {
        let message = kept.message();
        assert_eq!(message.body.len(), BODY);
        kept.send(&puback(message.id));
    }
    for id in confirmed + 1..=60 {
        publisher.expect(&puback(id));
    }
    publisher.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_whole_packets_beyond_the_read_ahead_are_handled_when_memory_is_back() {
    let (server, mut publisher) = pressed("l20/#").await;
    // Far more than is read ahead, in small packets of changing topics that arrive at once.
    let mut bytes = Vec::new();
    for id in 1_001..=3_000u16 {
        bytes.extend(publish(0x32, &format!("l20/{}", id % 5), id, &[b'y'; 40]));
    }
    publisher.send(&bytes);
    let mut kept = Client::kept(&server, "kept", RESUMED);
    for _ in 0..2_060 {
        let message = kept.message();
        kept.send(&puback(message.id));
    }
    for id in (1..=60).chain(1_001..=3_000) {
        publisher.expect(&puback(id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_what_cannot_be_read_behind_a_parked_publish_is_not_collected() {
    let (server, mut publisher) = pressed("l20/kept").await;
    // Garbage, and then more than every socket buffer on the way can hold.
    publisher.send(&[0xff; 64]);
    let Output::Tcp(socket) = &publisher.wire.output else {
        unreachable!("connected over TCP");
    };
    let socket = socket.try_clone().unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut sent = 0;
    wait_until("the server stops reading", Duration::from_secs(10), || {
        let mut blocked = false;
        while let Ok(count) = std::io::Write::write(&mut &socket, &[0; 65_536]) {
            sent += count;
            assert!(sent < 64 << 20, "64 MiB of garbage were taken");
        }
        std::thread::sleep(Duration::from_millis(100));
        if let Err(error) = std::io::Write::write(&mut &socket, &[0; 65_536]) {
            blocked = error.kind() == std::io::ErrorKind::WouldBlock;
        }
        blocked
    });
    socket.set_nonblocking(false).unwrap();
    // When its turn has come, the fault is found and ends the connection.
    let mut kept = Client::kept(&server, "kept", RESUMED);
    for _ in 0..60 {
        let message = kept.message();
        kept.send(&puback(message.id));
    }
    let confirms = publisher.wire.input.until_closed().unwrap();
    assert!(confirms.len() <= 240);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_a_publish_without_memory_ends_its_connection_after_the_block_timeout() {
    let sets = ["limits.memory=\"1MiB\"", "limits.block_timeout_ms=300"];
    let server = Server::start_with(&sets).await;
    let mut kept = Client::kept(&server, "kept", ACCEPTED);
    kept.subscribe(&[("l20/kept", 1)]);
    kept.disconnect();
    let mut publisher = Client::clean(&server, "publisher");
    fill(&server, &mut publisher).await;
    let confirms = publisher.wire.input.until_closed().unwrap();
    let confirmed = confirms.len() / 4;
    assert!(confirmed < 60, "{confirmed}");
    // What was confirmed is there.
    let mut kept = Client::kept(&server, "kept", RESUMED);
    for _ in 0..confirmed {
        kept.message();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn me_01_200_000_topics_leave_no_addresses_behind() {
    let server = Server::start().await;
    let mut subscriber = Client::clean(&server, "subscriber");
    subscriber.subscribe(&[("me01/#", 0)]);
    let addresses = server.metric("ternmq_addresses").await;
    let mut publisher = Client::clean(&server, "publisher");
    let reader = std::thread::spawn(move || {
        for n in 0..200_000u32 {
            subscriber.expect_message(&format!("me01/{n}"), b"once");
        }
        subscriber
    });
    for chunk in 0..400u32 {
        let mut bytes = Vec::new();
        for n in chunk * 500..(chunk + 1) * 500 {
            let first = if n % 10 == 0 { 0x32 } else { 0x30 };
            bytes.extend(publish(first, &format!("me01/{n}"), 1, b"once"));
        }
        publisher.send(&bytes);
        for _ in 0..50 {
            publisher.expect(&puback(1));
        }
    }
    let _subscriber = reader.join().unwrap();
    assert_eq!(server.metric("ternmq_addresses").await, addresses);
    assert_eq!(server.metric("ternmq_queue_messages").await, 0);
}
