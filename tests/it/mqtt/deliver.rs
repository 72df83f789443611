//! Deliveries: packet ids, acknowledgements, slow readers (rules 44, 69; law L22).

use super::client::{Client, PINGREQ, puback};
use super::version::BOTH;
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r44_70_000_messages_without_a_puback_stop_when_ids_are_used_up() {
    for version in BOTH {
        let server = Server::start().await;
        let mut client = version.clean(&server, "r44");
        client.subscribe(&[("r44", 1)]);
        let total = 70_000u32;
        let mut publisher = version.clean(&server, "publisher");
        let feed = std::thread::spawn(move || {
            for chunk in 0..total / 1_000 {
                let mut bytes = Vec::new();
                for id in 1..=1_000u16 {
                    let n = chunk * 1_000 + u32::from(id) - 1;
                    bytes.extend(version.publish(0x32, "r44", id, &n.to_be_bytes()));
                }
                publisher.send(&bytes);
                for id in 1..=1_000 {
                    publisher.expect(&puback(id));
                }
            }
        });
        let mut ids = Vec::new();
        let mut used = vec![false; 65_536];
        while ids.len() < 65_000 {
            let message = client.message();
            assert_eq!(message.body, (ids.len() as u32).to_be_bytes());
            assert!(
                message.id != 0 && !std::mem::replace(&mut used[usize::from(message.id)], true)
            );
            ids.push(message.id);
        }
        feed.join().unwrap();
        // Whatever else comes has another id; with a PINGREQ we see where it stops.
        client.send(&PINGREQ);
        loop {
            let packet = client.packet();
            if packet.first == 0xd0 {
                break;
            }
            let id = u16::from_be_bytes([packet.body[5], packet.body[6]]);
            assert!(!std::mem::replace(&mut used[usize::from(id)], true), "{id}");
            ids.push(id);
        }
        assert!(ids.len() <= 65_535);
        // Acknowledged from the middle out, in single packets and in long runs: all the rest comes.
        let mut seen = ids.len() as u32;
        let middle = ids.len() / 2;
        let order = ids[middle..].iter().chain(&ids[..middle]);
        let bytes: Vec<u8> = order.flat_map(|id| puback(*id)).collect();
        client.send(&bytes);
        while seen < total {
            let message = client.message();
            assert_eq!(message.body, seen.to_be_bytes());
            client.send(&puback(message.id));
            seen += 1;
        }
        client.ping();
        server
            .until("ternmq_queue_messages", |value| value == 0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acks_of_ids_that_are_not_in_use_hurt_no_others_of_their_run() {
    let server = Server::start().await;
    let mut client = Client::clean(&server, "acks");
    client.subscribe(&[("acks", 1)]);
    for n in 0..10 {
        client.publish("acks", &[n]);
        client.message();
    }
    // Five is acknowledged twice, eleven and twelve were never sent; 1 to 10 are one run with them.
    client.send(&puback(5));
    let run: Vec<u8> = (1..=12).flat_map(puback).collect();
    client.send(&run);
    client.ping();
    server
        .until("ternmq_queue_messages", |value| value == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l22_room_comes_back_whatever_was_delivered() {
    let server = Server::start_with(&["limits.outbox_bytes=\"64KiB\""]).await;
    let mut publisher = Client::clean(&server, "publisher");
    for n in 0..50 {
        publisher.retain(&format!("l22/retained/{n}"), &[b'r'; 3_000]);
    }
    // Ten times the room, in retained values at both QoS and in live messages of three sizes.
    for qos in [0, 1] {
        let mut client = Client::clean(&server, "client");
        client.subscribe(&[("l22/#", qos)]);
        for _ in 0..50 {
            let message = client.message();
            assert!(message.retain);
            if qos == 1 {
                client.send(&puback(message.id));
            }
        }
        for n in 0..300usize {
            let body = vec![n as u8; [10, 3_000, 70_000][n % 3]];
            publisher.publish("l22/live", &body);
            let message = client.expect_message("l22/live", &body);
            if qos == 1 {
                client.send(&puback(message.id));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r69_and_fc_04_a_slow_reader_loses_qos_0_keeps_qos_1_and_hurts_nobody() {
    for version in BOTH {
        let server = Server::start_with(&["limits.subscription_bytes=\"1MiB\""]).await;
        let mut slow = version.kept(&server, "slow", false);
        slow.subscribe(&[("r69/zero", 0), ("r69/one", 1)]);
        let mut steady = version.clean(&server, "steady");
        steady.subscribe(&[("r69/steady", 0)]);
        let mut publisher = version.clean(&server, "publisher");
        // 100 MB of QoS 0: far above socket buffers, the outbox and the budget.
        let body = vec![0u8; 10_000];
        for round in 0..100u32 {
            for _ in 0..100 {
                publisher.send(&version.publish(0x30, "r69/zero", 0, &body));
            }
            publisher.publish("r69/one", &round.to_be_bytes());
            publisher.send(&version.publish(0x30, "r69/steady", 0, &round.to_be_bytes()));
            steady.expect_message("r69/steady", &round.to_be_bytes());
            let used = server.metric("ternmq_memory_used_bytes").await;
            assert!(used < 4 << 20, "{used} in round {round}");
        }
        let dropped = "ternmq_messages_dropped_total{reason=\"slow_subscriber\"}";
        let dropped = server.metric(dropped).await;
        assert!(dropped > 0);
        let (mut zero, mut one) = (0, 0u32);
        while one < 100 {
            let message = slow.message();
            if message.topic == "r69/zero" {
                zero += 1;
                continue;
            }
            assert_eq!(message.body, one.to_be_bytes());
            slow.send(&puback(message.id));
            one += 1;
        }
        assert!(zero + dropped <= 10_000);
        // It gets QoS 0 again.
        publisher.send(&version.publish(0x30, "r69/zero", 0, b"fresh"));
        while slow.message().body != b"fresh" {}
    }
}
