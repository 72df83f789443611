//! SUBSCRIBE and UNSUBSCRIBE of a 5.0 client (rules 51-58, 63).

use super::super::client::Client;
use super::super::version::BOTH;
use super::client::*;
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r51_r52_and_r59_each_filter_has_its_own_code() {
    let server = Server::start_with(&["mqtt.deny=[\"test/nosubscribe\"]"]).await;
    let mut client = clean(&server, "r51");
    let codes = client.subscribe5(
        &[],
        &[
            ("a", 0),
            ("a/#/b", 1),
            ("", 1),
            ("b", 2),
            ("$share/g", 1),
            ("$share//a", 1),
            ("$share/g+/a", 1),
            ("$share/g/", 1),
            ("test/nosubscribe", 2),
            ("$share/g/test/nosubscribe", 1),
            ("a::none", 1),
            ("$share/g/a", 1),
        ],
    );
    let wanted = [
        0, 0x8f, 0x8f, 2, 0x8f, 0x8f, 0x8f, 0x8f, 0x87, 0x87, 0x83, 1,
    ];
    assert_eq!(codes, wanted);
    let deny = ["mqtt.deny=[\"a\"]", "mqtt.obscure_denied=true"];
    let server = Server::start_with(&deny).await;
    assert_eq!(clean(&server, "a").subscribe5(&[], &[("a", 2)]), [0x80]);
    assert_eq!(Client::clean(&server, "b").subscribe(&[("a", 2)]), [0x80]);
}

/// Mutant caught: retain handling 1 read as 0.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r53_and_r54_retain_handling_says_when_values_come() {
    let server = Server::start().await;
    let mut client = clean(&server, "r54");
    client.send(&publish(0x33, "r54", 1, &[], b"value"));
    client.packet();
    for (options, comes) in [(0x21, false), (0x11, false), (0x01, true), (0x11, false)] {
        client.subscribe5(&[], &[("r54", options)]);
        if comes {
            assert_eq!(client.message5("r54", b"value").first & 1, 1);
        }
        client.ping();
    }
    client.send(&unsubscribe(2, &["r54"]));
    client.expect(&[0xb0, 4, 0, 2, 0, 0]);
    client.subscribe5(&[], &[("r54", 0x10)]);
    client.message5("r54", b"value");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r55_no_local_leaves_out_ones_own_messages() {
    let server = Server::start().await;
    let mut client = clean(&server, "r55");
    client.subscribe5(&[], &[("r55/zero", 0x04), ("r55/one", 0x05)]);
    let mut other = clean(&server, "other");
    for topic in ["r55/zero", "r55/one"] {
        client.send(&publish(0x30, topic, 0, &[], b"mine"));
        client.ping();
        other.send(&publish(0x30, topic, 0, &[], b"theirs"));
        client.message5(topic, b"theirs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r56_and_r57_a_copy_has_the_ids_of_all_its_subscriptions() {
    let server = Server::start().await;
    let mut client = clean(&server, "r56");
    client.send(&publish(0x33, "r56/kept", 1, &[], b"kept"));
    client.packet();
    client.subscribe5(&[(SUBSCRIPTION_ID, vec![7])], &[("r56/#", 0)]);
    assert_eq!(
        client.message5("r56/kept", b"kept").values(SUBSCRIPTION_ID),
        [[7]]
    );
    client.subscribe5(&[(SUBSCRIPTION_ID, vec![0x80, 1])], &[("r56/a", 2)]);
    client.subscribe5(&[], &[("+/a", 1)]);
    for first in [0x30, 0x32] {
        client.send(&publish(first, "r56/a", 9, &[], b"x"));
        let mut packet = client.packet();
        while packet.first >> 4 != 3 {
            packet = client.packet();
        }
        let message = Message::of(&packet);
        let ids = [&[7][..], &[0x80, 1]];
        assert_eq!(message.values(SUBSCRIPTION_ID), ids, "{first:x}");
        assert_eq!(message.first & 6, first & 6);
    }
    let mut client = clean(&server, "again");
    client.subscribe5(&[(SUBSCRIPTION_ID, vec![7])], &[("r56/b", 0x20)]);
    // The id goes when the filter is bound again without one.
    client.subscribe5(&[], &[("r56/b", 0x20)]);
    client.send(&publish(0x30, "r56/b", 0, &[], b"x"));
    assert_eq!(client.message5("r56/b", b"x").properties, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r58_unsuback_says_what_there_was() {
    let server = Server::start().await;
    let mut client = clean(&server, "r58");
    client.subscribe5(&[], &[("a", 1), ("$share/g/a", 1)]);
    let filters = ["b", "a", "a/#/b", "$share/g/a", "$share/h/a", "a"];
    client.send(&unsubscribe(7, &filters));
    let answer = client.packet();
    assert_eq!(answer.id_of(0xb0).unwrap(), 7);
    let (said, codes) = read_block(&answer.body[2..]);
    assert_eq!(codes, [0x11, 0, 0x8f, 0, 0x11, 0x11]);
    let words = "filter 3: not a topic filter, or one that is too long or too deep";
    assert_eq!(said, [string(REASON, words)]);
}

/// Mutant caught: an attachment that forgets them, or that tells them at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_the_servers_own_topics_are_told_again_to_a_resumed_session() {
    let interval = ["mqtt.sys_interval_s=1"];
    let server = Server::start_with(&interval).await;
    for version in BOTH {
        let mut client = version.kept(&server, "r63", false);
        assert_eq!(
            client.subscribe(&[("$SYS/broker/version", 1), ("#", 1)]),
            [1, 1]
        );
        assert!(client.message().retain);
        client.disconnect();
        let mut client = version.kept(&server, "r63", true);
        let told = client.message();
        assert_eq!(told.topic, "$SYS/broker/version");
        assert!(!told.retain);
        client.send(&version.unsubscribe(2, &["$SYS/broker/version"]));
        client.packet();
        client.disconnect();
        let mut client = version.kept(&server, "r63", true);
        client.ping();
        version.clean(&server, "r63").disconnect();
    }
}

/// Mutant caught: a second round that never comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r63_the_servers_own_topics_are_told_at_once_and_again() {
    let server = Server::start_with(&["mqtt.sys_interval_s=1"]).await;
    let mut client = clean(&server, "r63");
    client.subscribe5(&[], &[("#", 0), ("+/broker/uptime", 0)]);
    client.ping();
    client.subscribe5(&[], &[("$SYS/broker/clients/connected", 0)]);
    let told = client.message5("$SYS/broker/clients/connected", b"1");
    assert_eq!(told.first, 0x31);
    for _ in 0..2 {
        let told = client.message5("$SYS/broker/clients/connected", b"1");
        assert_eq!(told.first, 0x30);
    }
    client.send(&unsubscribe(2, &["$SYS/broker/clients/connected"]));
    client.expect(&[0xb0, 4, 0, 2, 0, 0]);
    let mut old = Client::clean(&server, "old");
    old.subscribe(&[("$SYS/#", 0)]);
    let mut topics: Vec<String> = (0..11).map(|_| old.message().topic).collect();
    topics.dedup();
    assert_eq!(topics.len(), 11, "{topics:?}");
    assert!(topics.iter().all(|topic| topic.starts_with("$SYS/broker/")));
}
