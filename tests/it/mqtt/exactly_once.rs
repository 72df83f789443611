//! QoS 2 in both directions, also over lost connections and restarts (rules 39-43, law L13).

use super::client::{Client, publish};
use super::version::{BOTH, Version};
use crate::support::Server;
use crate::support::mqtt::Publish;

fn ack(first: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [first, 2, high, low]
}

fn pubrec(id: u16) -> [u8; 4] {
    ack(0x50, id)
}

fn pubrel(id: u16) -> [u8; 4] {
    ack(0x62, id)
}

fn pubcomp(id: u16) -> [u8; 4] {
    ack(0x70, id)
}

/// Mutant caught: publishing a repeat whose id is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r39_a_repeat_before_pubrel_is_no_second_message() {
    for version in BOTH {
        let server = Server::start().await;
        let mut reader = version.clean(&server, "reader");
        reader.subscribe(&[("r39", 2)]);
        let mut writer = version.kept(&server, "r39", false);
        writer.send(&version.publish(0x34, "r39", 5, b"once"));
        writer.expect(&pubrec(5));
        assert_eq!(reader.expect_message("r39", b"once").qos, 2);
        writer.send(&version.publish(0x3c, "r39", 5, b"once"));
        writer.expect(&pubrec(5));
        drop(writer);
        let server = server.restart(&[]).await;
        let mut reader = version.clean(&server, "reader");
        reader.subscribe(&[("r39", 2)]);
        let mut writer = version.kept(&server, "r39", true);
        writer.send(&version.publish(0x3c, "r39", 5, b"once"));
        writer.expect(&pubrec(5));
        reader.ping();
        writer.send(&pubrel(5));
        writer.expect(&pubcomp(5));
        // It is not known any more, which 5.0 can say.
        writer.send(&pubrel(5));
        match version {
            Version::Old => writer.expect(&pubcomp(5)),
            Version::Five => writer.expect(&[0x70, 3, 0, 5, 0x92]),
        }
        // The id is new again.
        writer.send(&version.publish(0x34, "r39", 5, b"another"));
        writer.expect(&pubrec(5));
        reader.expect_message("r39", b"another");
    }
}

/// Mutant caught: no receipt in `publish_retained`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r39_a_repeat_of_a_retained_value_is_no_second_message() {
    let server = Server::start().await;
    let mut reader = Client::clean(&server, "reader");
    reader.subscribe(&[("r39", 2)]);
    let mut writer = Client::clean(&server, "r39");
    writer.send(&publish(0x35, "r39", 5, b"once"));
    writer.expect(&pubrec(5));
    reader.expect_message("r39", b"once");
    writer.send(&publish(0x3d, "r39", 5, b"once"));
    writer.expect(&pubrec(5));
    reader.ping();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r39_runs_of_ids_are_confirmed_in_order_and_released_in_any() {
    let server = Server::start().await;
    let mut writer = Client::clean(&server, "writer");
    let bytes: Vec<u8> = (65_500..=65_535)
        .chain(1..=30)
        .flat_map(|id| publish(0x34, "r39", id, b"x"))
        .collect();
    writer.send(&bytes);
    for id in (65_500..=65_535).chain(1..=30) {
        writer.expect(&pubrec(id));
    }
    for id in (1..=30).chain(65_500..=65_535) {
        writer.send(&pubrel(id));
        writer.expect(&pubcomp(id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r41_to_r43_each_step_is_sent_again_and_none_twice() {
    for version in BOTH {
        let mut server = Server::start().await;
        let mut reader = version.kept(&server, "r42", false);
        reader.subscribe(&[("r42", 2)]);
        let mut writer = version.clean(&server, "writer");
        for (id, body) in (1..=4).zip([b"a", b"b", b"c", b"d"]) {
            writer.send(&version.publish(0x34, "r42", id, body));
            writer.expect(&pubrec(id));
            writer.send(&pubrel(id));
            writer.expect(&pubcomp(id));
        }
        let messages: Vec<Publish> = (0..4).map(|_| reader.message()).collect();
        let ids: Vec<u16> = messages.iter().map(|message| message.id).collect();
        assert!(messages.iter().all(|message| !message.dup));
        // The third is done, the first and the second are received.
        for id in [ids[2], ids[0], ids[1]] {
            reader.send(&pubrec(id));
            reader.expect(&pubrel(id));
        }
        reader.send(&pubcomp(ids[2]));
        reader.ping();
        drop(reader);
        for restart in [false, true, false] {
            if restart {
                server = server.restart(&[]).await;
            }
            let mut reader = version.kept(&server, "r42", true);
            reader.expect(&pubrel(ids[0]));
            reader.expect(&pubrel(ids[1]));
            let last = reader.expect_message("r42", b"d");
            assert_eq!((last.id, last.dup, last.qos), (ids[3], true, 2));
            reader.ping();
        }
        let mut reader = version.kept(&server, "r42", true);
        for _ in 0..2 {
            reader.packet();
        }
        reader.message();
        reader.send(&pubcomp(ids[0]));
        reader.send(&pubcomp(ids[1]));
        reader.send(&pubrec(ids[3]));
        reader.expect(&pubrel(ids[3]));
        reader.send(&pubcomp(ids[3]));
        reader.disconnect();
        let server = server.restart(&[]).await;
        version.kept(&server, "r42", true).ping();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r52_the_granted_qos_caps_2() {
    let server = Server::start().await;
    let mut client = Client::clean(&server, "r52");
    assert_eq!(client.subscribe(&[("a", 0), ("b", 1), ("c", 2)]), [0, 1, 2]);
    let mut writer = Client::clean(&server, "writer");
    for (topic, qos) in [("a", 0), ("b", 1), ("c", 2)] {
        writer.send(&publish(0x34, topic, 1, b"x"));
        writer.expect(&pubrec(1));
        writer.send(&pubrel(1));
        writer.expect(&pubcomp(1));
        assert_eq!(client.expect_message(topic, b"x").qos, qos);
    }
}
