//! SUBSCRIBE and UNSUBSCRIBE (rules 52-64).

use super::client::{Client, puback, publish, subscribe, unsubscribe};
use super::version::{BOTH, Version};
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r52_suback_has_the_id_and_a_code_per_filter_in_order() {
    let server = Server::start().await;
    let mut client = Client::clean(&server, "r52");
    client.send(&subscribe(
        0xabcd,
        &[("a", 1), ("a::none", 1), ("b", 0), ("c", 2)],
    ));
    client.expect(&[0x90, 6, 0xab, 0xcd, 1, 0x80, 0, 2]);
    for qos in [0x30, 0x32] {
        client.send(&publish(qos, "a", 1, b"x"));
        client.send(&publish(qos, "b", 2, b"x"));
    }
    let mut found = Vec::new();
    while found.len() < 4 {
        let packet = client.packet();
        if packet.first >> 4 == 3 {
            found.push((packet.body[2], packet.first >> 1 & 3));
        }
    }
    found.sort_unstable();
    assert_eq!(found, [(b'a', 0), (b'a', 1), (b'b', 0), (b'b', 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r53_the_same_filter_again_replaces_the_subscription_and_loses_nothing() {
    let server = Server::start().await;
    let mut publisher = Client::clean(&server, "publisher");
    publisher.retain("r53", b"value");
    let mut client = Client::clean(&server, "client");
    for qos in [0, 1, 0, 1] {
        assert_eq!(client.subscribe(&[("r53", qos)]), [qos]);
        // Before MQTT 5.0 every SUBSCRIBE sends retained values again [MQTT-3.8.4-3].
        let value = client.expect_message("r53", b"value");
        assert_eq!((value.retain, value.qos), (true, qos));
        publisher.publish("r53", &[qos]);
        let live = client.expect_message("r53", &[qos]);
        assert_eq!(live.qos, qos);
    }
    let messages = 2_000u16;
    let feed = std::thread::spawn(move || {
        for n in 0..messages {
            publisher.publish("r53", &n.to_be_bytes());
        }
    });
    let mut next = 0u16;
    while next < messages {
        if next.is_multiple_of(50) {
            client.send(&subscribe(9, &[("r53", 1)]));
        }
        let packet = client.packet();
        if packet.first == 0x90 || packet.first & 1 == 1 {
            continue;
        }
        assert_eq!(packet.body[7..], next.to_be_bytes(), "after {next}");
        client.send(&puback(u16::from_be_bytes([
            packet.body[5],
            packet.body[6],
        ])));
        next += 1;
    }
    feed.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r57_and_mq_14_overlapping_filters_give_one_copy_with_the_highest_qos() {
    let server = Server::start().await;
    let mut client = Client::clean(&server, "r57");
    client.subscribe(&[("#", 0), ("r57/+", 1), ("r57/b", 0)]);
    for body in [b"one", b"two"] {
        client.send(&publish(0x32, "r57/b", 1, body));
        let mut copies = Vec::new();
        while copies.is_empty() {
            let packet = client.packet();
            if packet.first >> 4 == 3 {
                copies.push(packet.first);
            }
        }
        assert_eq!(copies, [0x32]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r58_unsubscribe_takes_exactly_its_filter_and_is_always_answered() {
    let server = Server::start().await;
    let mut client = Client::clean(&server, "r58");
    client.subscribe(&[("r58/#", 1), ("r58/+", 1), ("r58/x", 1), ("end", 1)]);
    client.publish("r58/a", b"in flight");
    let held = client.expect_message("r58/a", b"in flight");
    client.send(&unsubscribe(5, &["r58/#", "r58/X", "never"]));
    client.expect(&[0xb0, 2, 0, 5]);
    client.publish("r58/a/b", b"nobody");
    client.publish("r58/x", b"others");
    client.expect_message("r58/x", b"others");
    client.send(&unsubscribe(6, &["r58/+", "r58/x"]));
    client.expect(&[0xb0, 2, 0, 6]);
    client.publish("r58/x", b"nobody");
    client.publish("end", b"end");
    client.expect_message("end", b"end");
    // What was in flight is completed.
    client.send(&puback(held.id));
    client.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_wildcards_at_the_front_leave_dollar_topics_out() {
    for version in BOTH {
        let server = Server::start().await;
        let mut client = version.clean(&server, "r63");
        client.subscribe(&[("#", 1), ("+/x", 1), ("+/+", 1), ("+/#", 1)]);
        client.publish("$r63/x", b"unseen");
        client.publish("r63/x", b"seen");
        client.expect_message("r63/x", b"seen");
        assert_eq!(client.subscribe(&[("$r63/#", 1)]), [1]);
        client.publish("$r63/x", b"seen now");
        client.expect_message("$r63/x", b"seen now");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r64_levels_match_byte_by_byte() {
    for version in BOTH {
        let server = Server::start().await;
        let table: [(&str, &[&str]); 9] = [
            ("a/#", &["a", "a/", "a/b", "a/b/c"]),
            ("a/+", &["a/", "a/b"]),
            ("+/b", &["/b", "a/b", "A/b", "a /b"]),
            ("/a", &["/a"]),
            ("+/+", &["/b", "/a", "a/", "a/b", "A/b", "a /b"]),
            ("+", &["a"]),
            ("a//c", &["a//c"]),
            ("a/+/c", &["a//c", "a/b/c"]),
            ("A/b", &["A/b"]),
        ];
        let topics = ["a", "a/", "a/b", "a/b/c", "/a", "/b", "A/b", "a//c", "a /b"];
        for (filter, wanted) in table {
            let mut client = version.clean(&server, "r64");
            client.subscribe(&[(filter, 0), ("end", 0)]);
            for topic in topics.iter().chain(&["end"]) {
                client.send(&version.publish(0x30, topic, 0, b"x"));
            }
            let mut found = Vec::new();
            loop {
                let message = client.message();
                if message.topic == "end" {
                    break;
                }
                found.push(message.topic);
            }
            let mut wanted: Vec<String> = wanted.iter().map(|topic| (*topic).to_owned()).collect();
            if filter == "a/#" {
                wanted.push("a//c".into());
            }
            wanted.sort();
            found.sort();
            assert_eq!(found, wanted, "{filter}");
        }
    }
}

/// Each record names the session: thirty of a long name are more than a commit may hold. Mutant
/// caught: SUBACK for what was an UNSUBSCRIBE.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r52_and_r58_too_much_for_one_request_is_refused_whole_in_its_own_words() {
    let server = Server::start_with(&["storage.segment_size=\"256KiB\""]).await;
    let name = "n".repeat(4_000);
    let filters: Vec<String> = (0..30).map(|n| format!("r58/{n}")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let asked: Vec<(&str, u8)> = filters.iter().map(|filter| (*filter, 1)).collect();
    for version in BOTH {
        let mut client = version.kept(&server, &name, false);
        let refused = if version == Version::Old { 0x80 } else { 0x97 };
        assert_eq!(client.subscribe(&asked), [refused; 30]);
        for few in asked.chunks(5) {
            assert_eq!(client.subscribe(few), [1; 5]);
        }
        client.send(&version.unsubscribe(9, &filters));
        match version {
            Version::Old => client.expect_end(&[]),
            Version::Five => {
                let answer = client.packet();
                assert_eq!(answer.id_of(0xb0).unwrap(), 9);
                assert_eq!(answer.body[answer.body.len() - 30..], [0x83; 30]);
                client.disconnect();
            }
        }
        // Nothing was taken away.
        let mut client = version.kept(&server, &name, true);
        client.publish("r58/7", b"still");
        client.expect_message("r58/7", b"still");
        client.disconnect();
        version.clean(&server, &name).disconnect();
    }
}
