//! The last words of both sides (rules 20, 22-27, 34, 37, 65-67).

use super::super::client::{Client, PINGREQ};
use super::client::*;
use crate::support::Server;
use crate::support::mqtt::{Session, connect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r20_a_stop_says_so_or_names_another_server() {
    let server = Server::start().await;
    let (five, three) = (clean(&server, "five"), Client::clean(&server, "three"));
    let reference = ["mqtt.server_reference=\"other:1883\""];
    let server = server.restart(&reference).await;
    five.expect_disconnect(0x8b);
    three.expect_end(&[]);
    let five = clean(&server, "five");
    server.stop().await;
    let said = five.expect_disconnect(0x9c);
    let words = string(REASON, "the server is stopping");
    assert_eq!(said, [string(SERVER_REFERENCE, "other:1883"), words]);
}

/// Mutant caught: a stop that ends who has not said CONNECT yet at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r20_who_connects_while_the_server_stops_is_refused_with_another_server() {
    let server = Server::start_with(&["mqtt.server_reference=\"other:1883\""]).await;
    // They are told to stop in the order in which they came: when the last one hears it, all know.
    let mut late = [(); 3].map(|()| Client::silent(&server));
    let told = clean(&server, "told");
    // The fifth connection is the one that asks.
    server.until("ternmq_connections", |value| value == 5).await;
    let stop = tokio::spawn(server.stop());
    told.expect_disconnect(0x9c);
    late[0].send(&Connect::named("five").bytes());
    late[1].send(&connect("three", Session::Clean, 0));
    let answer = late[0].packet();
    assert_eq!((answer.first, &answer.body[..2]), (0x20, &[0, 0x9c][..]));
    let (said, _) = read_block(&answer.body[2..]);
    assert_eq!(said[0], string(SERVER_REFERENCE, "other:1883"));
    late[1].expect(&[0x20, 2, 0, 3]);
    // Who says nothing does not hold it up for long.
    for client in late {
        client.expect_end(&[]);
    }
    stop.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r22_to_r27_r34_and_r65_to_r67_errors_are_told_before_the_close() {
    let server = Server::start().await;
    let bad = [
        (vec![0x00, 0x00], 0x81),
        (vec![0xc1, 0], 0x81),
        (vec![0x20, 3, 0, 0, 0], 0x82),
        (vec![0xd0, 0], 0x82),
        (publish(0x36, "a", 1, &[], b"QoS 3"), 0x81),
        (publish(0x38, "a", 0, &[], b"DUP"), 0x81),
        (publish(0x32, "a", 0, &[], b"id 0"), 0x82),
        (publish(0x30, "a/+", 0, &[], b"x"), 0x90),
        (publish(0x30, "", 0, &[], b"x"), 0x82),
        (
            publish(0x30, "a", 0, &[(SUBSCRIPTION_ID, vec![1])], b"x"),
            0x82,
        ),
        (
            publish(0x30, "a", 0, &[string(RESPONSE_TOPIC, "a/#")], b"x"),
            0x82,
        ),
        (publish(0x30, "a", 0, &[short(ALIAS, 0)], b"x"), 0x94),
        (publish(0x30, "a", 0, &[short(ALIAS, 17)], b"x"), 0x94),
        (subscribe(1, &[], &[]), 0x82),
        (
            subscribe(1, &[(SUBSCRIPTION_ID, vec![0])], &[("a", 0)]),
            0x82,
        ),
        (subscribe(1, &[], &[("$share/g/a", 4)]), 0x82),
        (vec![0x30, 0xff, 0xff, 0xff, 0x7f], 0x95),
    ];
    for (bytes, reason) in bad {
        let mut client = clean(&server, "bad");
        client.send(&bytes);
        client.send(&PINGREQ);
        let last = client.packet();
        let told = (last.first, last.body.first().copied());
        assert_eq!(told, (0xe0, Some(reason)), "{bytes:x?}");
        client.expect_end(&[]);
    }
}

/// `DISCONNECT e0 01 04`: a reason without property length (rule 37).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r37_reason_and_properties_may_be_absent() {
    let server = Server::start().await;
    for goodbye in [&[0xe0, 0][..], &[0xe0, 1, 4], &[0xe0, 2, 0, 0]] {
        let mut client = clean(&server, "r37");
        client.send(goodbye);
        client.expect_end(&[]);
    }
    let mut old = Client::silent(&server);
    old.send(&connect("r37", Session::Clean, 0));
    old.expect(&[0x20, 2, 0, 0]);
}
