//! Whatever clients do and however they go, the figures are right when they are gone (AD-02).

use super::client::{Client, puback};
use super::version::{BOTH, Version};
use crate::support::Server;
use crate::support::mqtt::Session;
use crate::support::random::Random;

/// One client and what it does before it goes, with a goodbye or without.
fn visit(server: &Server, random: &mut Random, names: usize) {
    let version = BOTH[random.within(0..=1) as usize];
    let name = format!("ad02-{}", random.within(0..=names as u64 - 1));
    let session = if random.within(0..=1) == 0 {
        Session::Clean
    } else {
        Session::Kept
    };
    let mut client = Client::silent(server);
    client.version = version;
    client.send(&version.connect(&name, session, 0));
    assert_eq!(client.packet().first, 0x20);
    for n in 0..random.within(0..=6) {
        let topic = format!("ad02/{}", random.within(0..=3));
        let bytes = match random.within(0..=6) {
            0 => version.subscribe(1, &[("ad02/#", (n % 3) as u8)]),
            1 => version.subscribe(2, &[("$share/g/ad02/+", 1), (&topic, 2)]),
            2 => version.subscribe(3, &[("$queue/ad02", 1)]),
            3 => version.unsubscribe(4, &["ad02/#", "$share/g/ad02/+", "$queue/ad02"]),
            4 => version.publish(0x32, &topic, 5, b"one"),
            5 => version.publish(0x34, &topic, n as u16 + 6, b"two"),
            _ => version.publish(0x32, "ad02", 7, b"to a queue"),
        };
        client.send(&bytes);
    }
    client.send(&super::client::PINGREQ);
    // Some of what comes is acknowledged.
    loop {
        let packet = client.packet();
        match packet.first {
            0xd0 => break,
            first if first >> 4 == 3 && first & 6 == 2 && random.within(0..=1) == 0 => {
                let at = 2 + usize::from(packet.body[1]);
                let id = u16::from_be_bytes([packet.body[at], packet.body[at + 1]]);
                client.send(&puback(id));
            }
            _ => {}
        }
    }
    if random.within(0..=2) == 0 {
        client.send(&super::client::DISCONNECT);
    }
}

/// Every sample of the page.
async fn samples(server: &Server) -> Vec<(String, f64)> {
    let (_, page) = server.get("/metrics").await;
    let lines = page.lines().filter(|line| line.starts_with("ternmq_"));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ad_02_gauges_come_back_to_nothing_and_never_go_below() {
    let names = 12;
    let mut random = Random::from_environment();
    let mut server = Server::start().await;
    let queues = server.metric("ternmq_queues").await;
    for round in 0..3 {
        for _ in 0..80 {
            visit(&server, &mut random, names);
        }
        for (name, value) in samples(&server).await {
            assert!((0.0..1e15).contains(&value), "{name} {value}");
        }
        if round == 1 {
            server = server.restart(&[]).await;
        }
    }
    for n in 0..names {
        let mut last = Client::silent(&server);
        last.send(&Version::Old.connect(&format!("ad02-{n}"), Session::Clean, 0));
        assert_eq!(last.packet().first, 0x20);
        last.disconnect();
    }
    server.until("ternmq_sessions", |value| value == 0).await;
    // What the anycast queue holds is taken, and it goes; so is what was tried too often.
    let mut last = Version::Five.clean(&server, "last");
    last.subscribe(&[("$queue/ad02", 1), ("$queue/DLQ", 1)]);
    let left = server.metric("ternmq_queue_messages").await;
    for _ in 0..left {
        let message = last.message();
        last.send(&puback(message.id));
    }
    server
        .until("ternmq_queue_messages", |value| value == 0)
        .await;
    last.disconnect();
    for (gauge, end) in [("queues", queues), ("connections", 1), ("sessions", 0)] {
        let sample = format!("ternmq_{gauge}");
        server.until(&sample, |value| value == end).await;
    }
}
