//! Wills of both versions (rules 12, 13; law L14; MQ-05, MQ-06).

use std::time::{Duration, Instant};

use super::client::{ACCEPTED, Client, DISCONNECT};
use super::connect::{custom, texts};
use super::v5::client::*;
use crate::support::Server;

fn watcher(server: &Server) -> Client {
    let mut watcher = clean(server, "watcher");
    watcher.subscribe5(&[], &[("will/#", 0x0a)]);
    watcher
}

/// Mutant caught: ForgetWill left out, or sent for 0x04 too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_a_will_is_published_for_every_end_but_a_plain_disconnect() {
    let server = Server::start().await;
    let mut watcher = watcher(&server);
    let properties = [
        pair("b", "1"),
        pair("a", "2"),
        byte(PAYLOAD_FORMAT, 1),
        long(MESSAGE_EXPIRY, 9),
    ];
    let open = || {
        let connect = Connect {
            keep_alive_s: 1,
            will: Some((0x34, &properties, "will/five", b"gone")),
            ..Connect::named("r12")
        };
        connect.accepted(&server, false)
    };
    let ends: [fn(Client); 4] = [
        drop,
        |mut client| client.send(&[0xe0, 1, 4]),
        |mut client| client.send(&[0x20, 3, 0, 0, 0]),
        |client| drop(client.expect_disconnect(0x8d)),
    ];
    for end in ends {
        end(open());
        let message = watcher.message5("will/five", b"gone");
        assert_eq!(message.first, 0x35);
        assert_eq!(message.properties, properties);
        let (high, low) = (message.id.to_be_bytes()[0], message.id.to_be_bytes()[1]);
        watcher.send(&[0x50, 2, high, low]);
        watcher.packet();
        watcher.send(&[0x70, 2, high, low]);
    }
    let mut polite = open();
    polite.send(&DISCONNECT);
    polite.expect_end(&[]);
    watcher.ping();
    // The value was retained.
    let mut late = clean(&server, "late");
    late.subscribe5(&[], &[("will/#", 0)]);
    late.message5("will/five", b"gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_wills_of_3_1_1_are_published() {
    let server = Server::start().await;
    let mut watcher = Client::clean(&server, "watcher");
    watcher.subscribe(&[("will/#", 1)]);
    let connect = custom("MQTT", 4, 0x0e, &texts(&[b"r12", b"will/old", b"gone"]));
    let mut client = Client::silent(&server);
    client.send(&connect);
    client.expect(&ACCEPTED);
    drop(client);
    assert_eq!(watcher.expect_message("will/old", b"gone").qos, 1);
    let mut client = Client::silent(&server);
    client.send(&connect);
    client.expect(&ACCEPTED);
    client.disconnect();
    watcher.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r13_a_delay_ends_with_the_session_or_the_return_of_the_client() {
    let server = Server::start().await;
    let mut watcher = watcher(&server);
    let open = |clean, delay_s, expiry_s, present| {
        let delay = [long(WILL_DELAY, delay_s)];
        let expiry = [long(SESSION_EXPIRY, expiry_s)];
        let connect = Connect {
            clean,
            properties: &expiry,
            will: Some((0x04, &delay, "will/late", b"gone")),
            ..Connect::named("r13")
        };
        connect.accepted(&server, present)
    };
    // Without a session there is nothing to wait for.
    drop(open(true, 100, 0, false));
    watcher.message5("will/late", b"gone");
    // Resumed in time, and then really gone: at the end of the session.
    drop(open(true, 100, 1, false));
    let client = open(false, 100, 1, true);
    let began = Instant::now();
    drop(client);
    watcher.message5("will/late", b"gone");
    assert!(began.elapsed() >= Duration::from_millis(900));
    drop(open(true, 1, 100, false));
    watcher.message5("will/late", b"gone");
    // A clean start ends the session, so its will is sent.
    drop(open(false, 100, 100, true));
    let mut client = open(true, 100, 100, false);
    watcher.message5("will/late", b"gone");
    client.send(&DISCONNECT);
    client.expect_end(&[]);
    watcher.ping();
}

/// CONNECT of "w" with a will, by delay, expiry and Clean Start.
fn willing(delay_s: u32, expiry_s: u32, clean: bool) -> Vec<u8> {
    Connect {
        clean,
        properties: &[long(SESSION_EXPIRY, expiry_s)],
        will: Some((0x04, &[long(WILL_DELAY, delay_s)], "will/w", b"gone")),
        ..Connect::named("w")
    }
    .bytes()
}

/// Mutant caught: a takeover that publishes no will, or every will.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r11_r13_and_mq_05_a_takeover_publishes_the_will_unless_it_is_delayed_and_resumed() {
    let server = Server::start().await;
    let mut watcher = watcher(&server);
    let takes_over = |first: &[u8], second: &[u8], reason| {
        let mut loser = Client::silent(&server);
        loser.send(first);
        assert_eq!(loser.packet().body[1], 0);
        let mut winner = Client::silent(&server);
        winner.send(second);
        assert_eq!(winner.packet().body[1], 0);
        match reason {
            0 => loser.expect_end(&[]),
            reason => drop(loser.expect_disconnect(reason)),
        }
        winner.send(&DISCONNECT);
        winner.expect_end(&[]);
    };
    let old = custom("MQTT", 4, 0x06, &texts(&[b"w", b"will/w", b"gone"]));
    let kept = custom("MQTT", 4, 0x04, &texts(&[b"w", b"will/w", b"gone"]));
    for connect in [&old, &kept] {
        takes_over(connect, connect, 0);
        watcher.message5("will/w", b"gone");
    }
    let cases = [
        (willing(0, 60, true), willing(0, 60, false)),
        (willing(30, 0, true), willing(30, 0, false)),
        (willing(30, 60, true), willing(30, 60, true)),
    ];
    for (first, second) in cases {
        takes_over(&first, &second, 0x8e);
        watcher.message5("will/w", b"gone");
    }
    takes_over(&willing(30, 60, true), &willing(30, 60, false), 0x8e);
    let mut last = clean(&server, "last");
    last.send(&publish(0x30, "will/last", 0, &[], b"nothing before"));
    watcher.message5("will/last", b"nothing before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r13_and_mq_06_the_earlier_of_delay_and_session_end_counts() {
    let server = Server::start().await;
    let mut watcher = watcher(&server);
    let open = |connect: Vec<u8>| {
        let mut client = Client::silent(&server);
        client.send(&connect);
        assert_eq!(client.packet().body[1], 0);
        client
    };
    let began = Instant::now();
    drop(open(willing(30, 2, true)));
    watcher.message5("will/w", b"gone");
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(1_900), "{waited:?}");
    assert!(waited < Duration::from_millis(6_000), "{waited:?}");
    let began = Instant::now();
    let mut asking = open(willing(5, 0, true));
    asking.send(&[0xe0, 2, 4, 0]);
    asking.expect_end(&[]);
    watcher.message5("will/w", b"gone");
    assert!(began.elapsed() < Duration::from_millis(4_000));
    // Taken back: never, not even when the session ends.
    let mut polite = open(willing(1, 2, true));
    polite.send(&DISCONNECT);
    polite.expect_end(&[]);
    server.until("ternmq_sessions", |value| value <= 1).await;
    watcher.ping();
}

/// Mutant caught: a stop that counts as a goodbye of the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_a_stop_of_the_server_publishes_the_wills_of_who_is_connected() {
    let server = Server::start().await;
    // Their sessions stay.
    let old = custom("MQTT", 4, 0x2c, &texts(&[b"old", b"will/old", b"gone"]));
    let five = Connect {
        properties: &[long(SESSION_EXPIRY, 100)],
        will: Some((0x2c, &[], "will/five", b"gone")),
        ..Connect::named("five")
    };
    let mut clients = Vec::new();
    for connect in [old, five.bytes()] {
        let mut client = Client::silent(&server);
        client.send(&connect);
        assert_eq!(client.packet().body[1], 0);
        clients.push(client);
    }
    let server = server.restart(&[]).await;
    // Not as those of a crash, after some time.
    assert_eq!(server.metric("ternmq_retained").await, 2);
    let mut late = clean(&server, "late");
    late.subscribe5(&[], &[("will/#", 0)]);
    let mut topics = [late.packet(), late.packet()].map(|packet| Message::of(&packet).topic);
    topics.sort();
    assert_eq!(topics, ["will/five", "will/old"]);
}
