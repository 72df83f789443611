//! Deliveries to a 5.0 client: aliases, window, packet size (rules 35, 41, 46, 47).

use super::super::client::Client;
use super::client::*;
use crate::support::Server;

fn with<'a>(name: &'a str, properties: &'a [Property]) -> Connect<'a> {
    Connect {
        properties,
        ..Connect::named(name)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r35_aliases_are_announced_used_and_forgotten_with_the_connection() {
    let server = Server::start().await;
    let mut writer = clean(&server, "writer");
    let one = [short(ALIAS_MAXIMUM, 1)];
    for round in 0..2 {
        let mut client = with("r35", &one).accepted(&server, false);
        client.subscribe5(&[], &[("r35/#", 1)]);
        for n in 0..3 {
            writer.publish5("r35/a", &[], b"x");
            let topic = if n == 0 { "r35/a" } else { "" };
            let message = client.message5(topic, b"x");
            assert_eq!(message.values(ALIAS), [[0, 1]], "{round}");
        }
        // There is no second one.
        writer.publish5("r35/b", &[], b"y");
        assert_eq!(client.message5("r35/b", b"y").properties, []);
        client.disconnect();
    }
    let mut client = clean(&server, "none");
    client.subscribe5(&[], &[("r35/#", 1)]);
    writer.publish5("r35/a", &[], b"x");
    assert_eq!(client.message5("r35/a", b"x").properties, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r46_never_more_than_the_clients_receive_maximum_is_out() {
    let server = Server::start().await;
    let two = [short(RECEIVE_MAXIMUM, 2)];
    let mut client = with("r46", &two).accepted(&server, false);
    client.subscribe5(&[], &[("r46", 2), ("r46/zero", 0)]);
    let mut writer = clean(&server, "writer");
    for id in 1..=6u16 {
        writer.send(&publish(0x34, "r46", id, &[], &[id as u8]));
        writer.packet();
    }
    let ids = [1, 2].map(|n| client.message5("r46", &[n]).id);
    writer.send(&publish(0x30, "r46/zero", 0, &[], b"flows"));
    client.message5("r46/zero", b"flows");
    // PUBREC frees nothing, a refusing one does, PUBCOMP does.
    client.send(&ack(0x50, ids[0], 0));
    assert_eq!(client.packet().id_of(0x62).unwrap(), ids[0]);
    client.ping();
    client.send(&ack(0x50, ids[1], 0x83));
    let third = client.message5("r46", &[3]);
    client.ping();
    client.send(&ack(0x70, ids[0], 0));
    client.message5("r46", &[4]);
    client.send(&ack(0x50, third.id, 0x97));
    client.message5("r46", &[5]);
    client.ping();
}

/// Mutants caught: a dropped message that keeps its place in the window, or its room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r47_and_lg_02_what_is_too_large_for_a_client_is_passed_over_and_done() {
    let server = Server::start_with(&["limits.outbox_bytes=\"64KiB\""]).await;
    let small = [long(MAXIMUM_PACKET, 40), short(RECEIVE_MAXIMUM, 3)];
    let mut client = with("r47", &small).accepted(&server, false);
    client.subscribe5(&[], &[("r47", 1)]);
    let mut writer = clean(&server, "writer");
    let large = [b'l'; 5_000];
    for round in 0..10u8 {
        let mut bytes = Vec::new();
        for (id, first) in [(1, 0x32), (2, 0x32), (3, 0x34), (0, 0x30)] {
            bytes.extend(publish(first, "r47", id, &[], &large));
        }
        bytes.extend(publish(0x32, "r47", 4, &[], &[round]));
        bytes.extend(publish(0x32, "r47", 5, &[], &large));
        bytes.extend(publish(0x32, "r47", 6, &[], &[round]));
        writer.send(&bytes);
        for _ in 0..6 {
            writer.packet();
        }
        for _ in 0..2 {
            let message = client.message5("r47", &[round]);
            client.send(&ack(0x40, message.id, 0));
        }
        writer.send(&ack(0x62, 3, 0));
        writer.packet();
    }
    client.ping();
    let dropped = "ternmq_messages_dropped_total{reason=\"too_large\"}";
    assert_eq!(server.metric(dropped).await, 50);
    server
        .until("ternmq_queue_messages", |value| value == 0)
        .await;
    // Others get it.
    let mut old = Client::clean(&server, "old");
    old.subscribe(&[("r47", 0)]);
    writer.send(&publish(0x30, "r47", 0, &[], &large));
    old.expect_message("r47", &large);
}

/// A body that leaves from where it is: with and without properties of its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_arrive_whole_in_every_version() {
    let server = Server::start().await;
    let aliases = [short(ALIAS_MAXIMUM, 5)];
    let mut readers = [
        clean(&server, "plain"),
        with("alias", &aliases).accepted(&server, false),
    ];
    let mut old = Client::clean(&server, "old");
    for reader in &mut readers {
        reader.subscribe5(&[(SUBSCRIPTION_ID, vec![9])], &[("large", 2)]);
    }
    old.subscribe(&[("large", 2)]);
    let mut writers = [
        clean(&server, "writer"),
        Client::clean(&server, "old-writer"),
    ];
    for n in 0..3u8 {
        let body = vec![n; 100_000];
        writers[0].send(&publish(0x32, "large", 1, &[pair("k", "v")], &body));
        writers[1].send(&super::super::client::publish(0x30, "large", 0, &body));
        for _ in 0..2 {
            for reader in &mut readers {
                let message = Message::of(&reader.packet());
                assert!(message.body == body && message.values(SUBSCRIPTION_ID) == [[9]]);
            }
            assert!(old.message().body == body);
        }
        writers[0].packet();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r40_unknown_ids_of_the_second_step_are_told() {
    let server = Server::start().await;
    let mut client = clean(&server, "r40");
    client.send(&ack(0x62, 9, 0));
    client.expect(&[0x70, 3, 0, 9, 0x92]);
    client.send(&ack(0x50, 9, 0));
    client.expect(&[0x62, 3, 0, 9, 0x92]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r30_a_message_that_was_sent_expires_no_more() {
    let server = Server::start().await;
    let expiry = [long(SESSION_EXPIRY, 100)];
    let mut kept = with("r30", &expiry);
    kept.clean = false;
    let mut client = kept.accepted(&server, false);
    client.subscribe5(&[], &[("r30", 2)]);
    let mut writer = clean(&server, "writer");
    for (id, body) in [(1, b"a"), (2, b"b")] {
        writer.send(&publish(0x34, "r30", id, &[long(MESSAGE_EXPIRY, 1)], body));
        writer.packet();
    }
    let ids = [b"a", b"b"].map(|body| client.message5("r30", body).id);
    client.send(&ack(0x50, ids[0], 0));
    assert_eq!(client.packet().id_of(0x62).unwrap(), ids[0]);
    drop(client);
    tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
    let mut client = kept.accepted(&server, true);
    assert_eq!(client.packet().id_of(0x62).unwrap(), ids[0]);
    let again = client.message5("r30", b"b");
    assert_eq!((again.id, again.first), (ids[1], 0x3c));
}
