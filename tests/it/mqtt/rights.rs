//! What `mqtt.deny` forbids: to publish, to subscribe, to have a will or a wider filter (rule 70;
//! MQ-20, AZ-01, AZ-04, AZ-07).

use super::client::{Client, puback};
use super::connect::{custom, texts};
use super::v5::client::{Connect, Five, SESSION_EXPIRY, WILL_DELAY, long};
use super::version::{BOTH, Version};
use crate::support::Server;
use crate::support::http::Http;
use crate::support::wire::Wire;

/// Mutant caught: the check at CONNECT alone, or a will that is dropped without being counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r70_and_az_01_a_will_is_checked_at_connect_and_again_when_it_is_published() {
    let deny = ["mqtt.deny=[\"forbidden/#\"]"];
    let server = Server::start_with(&deny).await;
    let mut old = Client::silent(&server);
    let will = texts(&[b"old", b"forbidden/x", b"gone"]);
    old.send(&custom("MQTT", 4, 0x2e, &will));
    old.expect(&[0x20, 2, 0, 5]);
    old.expect_end(&[]);
    let expiry = [long(SESSION_EXPIRY, 1_000)];
    let delay = [long(WILL_DELAY, 1_000)];
    let connect = |clean| Connect {
        clean,
        properties: &expiry,
        will: Some((0x2c, &delay, "forbidden/x", b"gone")),
        ..Connect::named("az01")
    };
    let (client, (_, reason, _)) = connect(true).open(&server);
    assert_eq!(reason, 0x87);
    client.expect_end(&[]);
    // Allowed now, and no more when the end of the session publishes it.
    let server = server.restart(&[]).await;
    drop(connect(true).accepted(&server, false));
    let server = server.restart(&deny).await;
    let ended = Connect {
        will: None,
        ..connect(true)
    };
    ended.accepted(&server, false).ping();
    assert_eq!(server.metric("ternmq_retained").await, 0);
    let dropped = "ternmq_messages_dropped_total{reason=\"denied\"}";
    assert_eq!(server.metric(dropped).await, 1);
}

/// Mutant caught: a check of what is subscribed to alone, and one that keeps what it hides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r70_and_az_04_nothing_denied_comes_through_wider_or_older_subscriptions() {
    for version in BOTH {
        let server = Server::start().await;
        let mut kept = version.kept(&server, "kept", false);
        assert_eq!(kept.subscribe(&[("b/x", 1), ("end", 1)]), [1, 1]);
        kept.disconnect();
        let deny = ["mqtt.deny=[\"b/#\"]"];
        let server = server.restart(&deny).await;
        let mut wide = version.clean(&server, "wide");
        let filters = [("#", 1), ("+/x", 0), ("$share/g/#", 1), ("b/x", 1)];
        let refused = if version == Version::Old { 0x80 } else { 0x87 };
        assert_eq!(wide.subscribe(&filters), [1, 0, 1, refused]);
        // Nor by the name of a queue there.
        let queues = [("$queue/b/x", 1), ("b::q", 1), ("$queue/a", 1)];
        assert_eq!(wide.subscribe(&queues), [refused, refused, 1]);
        // Other protocols may send there.
        let mut http = Http::new(Wire::tcp(server.address("http")).unwrap());
        for body in [b"one", b"two"] {
            http.publish("topics/b.x", body).unwrap();
        }
        let mut resumed = version.kept(&server, "kept", true);
        wide.publish("end", b"end");
        // Once for itself, once for its group.
        for _ in 0..2 {
            wide.expect_message("end", b"end");
        }
        resumed.expect_message("end", b"end");
        // What is hidden is done with; these three wait for their PUBACK.
        server
            .until("ternmq_queue_messages", |value| value == 3)
            .await;
        let dropped = "ternmq_messages_dropped_total{reason=\"denied\"}";
        assert_eq!(server.metric(dropped).await, 6);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn az_07_rules_are_spelled_like_topics_and_nothing_in_them_is_a_pattern_but_wildcards() {
    let server =
        Server::start_with(&["mqtt.deny=[\"1000/abc\", \"10.0/+\", \"1000.abc/d\"]"]).await;
    let mut client = Version::Five.clean(&server, "az07");
    let table = [
        ("1000/abc", 0x87),
        ("1000.abc", 0),
        ("1000xabc", 0),
        ("1000/abc/d", 0),
        ("10.0/x", 0x87),
        ("1000/x", 0),
        ("10x0/x", 0),
        ("10.0", 0),
        ("10.0/x/y", 0),
        ("1000.abc/d", 0x87),
    ];
    for (topic, reason) in table {
        let said = client.publish5(topic, &[], b"x");
        assert_eq!(said & 0x80 != 0, reason != 0, "{topic}: {said:x}");
        let code = client.subscribe5(&[], &[(topic, 0)])[0];
        assert_eq!(code, reason, "{topic}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mq_20_filters_that_are_refused_leave_the_others_alone() {
    let server = Server::start_with(&["mqtt.deny=[\"forbidden\"]"]).await;
    let all = [
        ("ok", 1),
        ("forbidden", 1),
        ("$share//x", 1),
        ("a/#/b", 1),
        ("ok2", 1),
    ];
    for version in BOTH {
        let mut client = version.clean(&server, "mq20");
        match version {
            Version::Five => assert_eq!(client.subscribe(&all), [1, 0x87, 0x8f, 0x8f, 1]),
            Version::Old => {
                assert_eq!(client.subscribe(&[all[0], all[1], all[4]]), [1, 0x80, 1]);
            }
        }
        for topic in ["ok", "ok2"] {
            client.publish(topic, b"mine");
            let message = client.expect_message(topic, b"mine");
            client.send(&puback(message.id));
        }
        client.disconnect();
    }
    // Before 5.0 a malformed filter has no code, so it ends the connection, and makes no
    // subscription of what stands beside it.
    let mut kept = Version::Old.kept(&server, "kept", false);
    kept.send(&Version::Old.subscribe(1, &all));
    kept.expect_end(&[]);
    let mut kept = Version::Old.kept(&server, "kept", true);
    kept.publish("ok", b"nobody");
    kept.ping();
    assert_eq!(server.metric("ternmq_queue_messages").await, 0);
}
