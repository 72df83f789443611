//! Retained values (rules 31, 32, 52, 63; MQ-15, MQ-17).

use std::collections::BTreeMap;

use super::client::{Client, PINGREQ, puback, publish};
use super::version::{BOTH, Version};
use crate::support::Server;

/// All retained values that match a filter, each of which must come once.
fn retained(
    version: Version,
    server: &Server,
    filter: &str,
    count: usize,
) -> BTreeMap<String, Vec<u8>> {
    let mut client = version.clean(server, "reader");
    client.subscribe(&[("retain-end", 1), (filter, 1)]);
    let mut found = BTreeMap::new();
    for _ in 0..count {
        let message = client.message();
        assert!(message.retain, "{}", message.topic);
        if message.qos > 0 {
            client.send(&puback(message.id));
        }
        assert_eq!(found.insert(message.topic, message.body), None);
    }
    // A live message comes behind all of them.
    client.publish("retain-end", b"end");
    let end = client.expect_message("retain-end", b"end");
    assert!(!end.retain);
    found
}

fn topics(version: Version, server: &Server, filter: &str, count: usize) -> Vec<String> {
    retained(version, server, filter, count)
        .into_keys()
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r31_values_are_stored_replaced_and_deleted() {
    for version in BOTH {
        let server = Server::start().await;
        let mut live = version.clean(&server, "live");
        live.subscribe(&[("r31/#", 1)]);
        let mut publisher = version.clean(&server, "publisher");
        publisher.retain("r31/a", b"one");
        publisher.retain("r31/a", b"two");
        publisher.retain("r31/b", b"gone");
        // RETAIN 0 never touches the store, not even with an empty payload [MQTT-3.3.1-8].
        publisher.publish("r31/a", b"live only");
        publisher.publish("r31/a", b"");
        publisher.retain("r31/b", b"");
        let bodies: [&[u8]; 6] = [b"one", b"two", b"gone", b"live only", b"", b""];
        for body in bodies {
            let message = live.message();
            assert_eq!((&*message.body, message.retain), (body, false));
            live.send(&puback(message.id));
        }
        let found = retained(version, &server, "r31/#", 1);
        assert_eq!(found["r31/a"], b"two");
        assert_eq!(server.metric("ternmq_retained").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r31_a_run_of_values_leaves_the_last() {
    for version in BOTH {
        let server = Server::start().await;
        let mut publisher = version.clean(&server, "publisher");
        let mut bytes = Vec::new();
        for n in 0..100u8 {
            bytes.extend(version.publish(0x33, "r31/run", u16::from(n) + 1, &[n]));
            bytes.extend(version.publish(0x31, "r31/zero", 0, &[n]));
        }
        bytes.extend(version.publish(0x31, "r31/removed", 0, b"x"));
        bytes.extend(version.publish(0x31, "r31/removed", 0, b""));
        bytes.extend(PINGREQ);
        publisher.send(&bytes);
        for n in 0..100 {
            let packet = publisher.packet();
            if packet.first == 0xd0 {
                continue;
            }
            assert_eq!(packet.first, 0x40, "{n}");
        }
        let found = retained(version, &server, "r31/#", 2);
        assert_eq!(
            (&*found["r31/run"], &*found["r31/zero"]),
            (&[99][..], &[99][..])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r31_and_mq_17_values_survive_a_restart_byte_for_byte() {
    let server = Server::start().await;
    let mut publisher = Client::clean(&server, "publisher");
    let body = |n: usize| match n % 4 {
        0 => vec![n as u8],
        1 => vec![0xff; 300],
        2 => format!("é {n}").into_bytes(),
        _ => vec![n as u8; 100_000],
    };
    let topic = |n: usize| format!("mq17/{n}");
    for n in 0..60 {
        publisher.retain(&topic(n), b"old value");
        if n % 6 > 0 {
            publisher.retain(&topic(n), &body(n));
        } else {
            publisher.retain(&topic(n), b"");
        }
    }
    publisher.send(&publish(0x31, "mq17/zero", 0, b"QoS 0"));
    publisher.ping();
    drop(publisher);
    let server = server.restart(&[]).await;
    let found = retained(Version::Old, &server, "mq17/#", 51);
    for n in 0..60 {
        let wanted = (n % 6 > 0).then(|| body(n));
        assert_eq!(found.get(&topic(n)), wanted.as_ref(), "{n}");
    }
    assert_eq!(found["mq17/zero"], b"QoS 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r32_live_copies_say_0_and_those_of_a_subscription_say_1() {
    for version in BOTH {
        let server = Server::start().await;
        let mut publisher = version.clean(&server, "publisher");
        publisher.retain("r32", b"value");
        let mut subscriber = version.clean(&server, "subscriber");
        subscriber.subscribe(&[("r32", 0)]);
        let first = subscriber.expect_message("r32", b"value");
        assert_eq!((first.retain, first.qos), (true, 0));
        publisher.send(&version.publish(0x31, "r32", 0, b"newer"));
        assert!(!subscriber.expect_message("r32", b"newer").retain);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r52_values_come_with_the_lower_qos() {
    for version in BOTH {
        let server = Server::start().await;
        let mut publisher = version.clean(&server, "publisher");
        publisher.retain("r52/one", b"1");
        publisher.send(&version.publish(0x31, "r52/zero", 0, b"0"));
        publisher.ping();
        for (granted, wanted) in [(0, [0, 0]), (1, [1, 0])] {
            let mut client = version.clean(&server, "reader");
            client.subscribe(&[("r52/+", granted)]);
            let found: BTreeMap<_, _> = (0..2)
                .map(|_| client.message())
                .map(|message| (message.topic, message.qos))
                .collect();
            assert_eq!([found["r52/one"], found["r52/zero"]], wanted);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r54_every_subscribe_sends_values_and_no_resumption_does() {
    for version in BOTH {
        let server = Server::start().await;
        let mut publisher = version.clean(&server, "publisher");
        publisher.retain("r54", b"value");
        let mut client = version.kept(&server, "r54", false);
        for _ in 0..2 {
            client.subscribe(&[("r54", 0)]);
            assert!(client.expect_message("r54", b"value").retain);
        }
        // Neither a new connection nor a takeover is a new subscription.
        client.disconnect();
        let mut resumed = version.kept(&server, "r54", true);
        publisher.publish("r54", b"to the resumed");
        let live = resumed.expect_message("r54", b"to the resumed");
        assert!(!live.retain);
        let mut taker = version.kept(&server, "r54", true);
        publisher.publish("r54", b"to the taker");
        assert!(!taker.expect_message("r54", b"to the taker").retain);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_and_mq_15_every_value_that_matches_comes_once() {
    for version in BOTH {
        let server = Server::start().await;
        let mut publisher = version.clean(&server, "publisher");
        for topic in ["a", "a/b", "a/b/c", "/a", "$x/y"] {
            publisher.retain(topic, topic.as_bytes());
        }
        let table: [(&str, &[&str]); 8] = [
            ("#", &["/a", "a", "a/b", "a/b/c"]),
            ("+", &["a"]),
            ("a/#", &["a", "a/b", "a/b/c"]),
            ("a/+", &["a/b"]),
            ("+/+", &["/a", "a/b"]),
            ("/+", &["/a"]),
            ("a/+/#", &["a/b", "a/b/c"]),
            ("$x/#", &["$x/y"]),
        ];
        for (filter, wanted) in table {
            assert_eq!(
                topics(version, &server, filter, wanted.len()),
                wanted,
                "{filter}"
            );
        }
    }
}
