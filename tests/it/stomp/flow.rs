//! L10, L22: what the outbox holds comes back, and what was not written was not delivered.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::Client;
use crate::support::{Server, within};

const KIB: usize = 1 << 10;

async fn fill(server: &Server, queue: &str, count: usize, bytes: usize) {
    let mut client = Client::connect(server).await;
    let filler = "x".repeat(bytes);
    for n in 0..count {
        client
            .send(format!("SEND\ndestination:{queue}\nn:{n}\n\n{filler}\0"))
            .await;
    }
    client.disconnect().await;
}

/// Mutant caught: room that does not come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l22_more_than_an_outbox_flows_in_every_ack_mode() {
    let server = Server::start().await;
    for ack in ["auto", "client"] {
        fill(&server, "/queue/flow", 3_000, KIB).await;
        let mut client = Client::connect(&server).await;
        client
            .send(format!(
                "SUBSCRIBE\nid:s\ndestination:/queue/flow\nack:{ack}\nprefetch-count:5000\n\n\0"
            ))
            .await;
        let mut last = None;
        for n in 0..3_000 {
            let message = client.expect("MESSAGE").await;
            assert_eq!(message.get("n"), Some(n.to_string().as_str()));
            last = message.get("ack").map(str::to_owned);
        }
        if let Some(ack) = last {
            client.send(format!("ACK\nid:{ack}\n\n\0")).await;
        }
        client.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l22_room_comes_back_from_subscriptions_that_end() {
    let server = Server::start().await;
    fill(&server, "/queue/flow", 600, KIB).await;
    let mut client = Client::connect(&server).await;
    for id in 0..20 {
        client
            .send(format!(
                "SUBSCRIBE\nid:{id}\ndestination:/queue/flow\nack:client\n\n\0\
                 UNSUBSCRIBE\nid:{id}\nreceipt:{id}\n\n\0"
            ))
            .await;
        while client.frame().await.command == "MESSAGE" {}
    }
    client.subscribe("last", "/queue/flow", "client").await;
    for n in 0..600 {
        let message = client.expect("MESSAGE").await;
        assert_eq!(message.get("n"), Some(n.to_string().as_str()));
    }
}

/// Mutant caught: `auto` messages settled when they are encoded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_auto_settles_exactly_what_was_written_whole() {
    let server = Server::start_with(&["limits.write_stall_ms=1000"]).await;
    fill(&server, "/queue/auto", 600, 32 * KIB).await;
    let mut lazy = Client::raw(&server).await;
    lazy.send(
        "CONNECT\naccept-version:1.2\nhost:x\n\n\0\
         SUBSCRIBE\nid:s\ndestination:/queue/auto\n\n\0",
    )
    .await;
    // It reads nothing until the server has given it up.
    within(async {
        while !server.get("/metrics").await.1.contains(STALLED) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let mut input = Vec::new();
    within(lazy.stream.read_to_end(&mut input)).await.ok();
    let whole = input.windows(2).filter(|two| two == b"x\0").count();
    assert!(whole > 0 && whole < 600, "{whole} of 600 written");
    let mut next = Client::connect(&server).await;
    next.subscribe("s", "/queue/auto", "auto").await;
    for n in whole..600 {
        let message = next.expect("MESSAGE").await;
        assert_eq!(message.get("n"), Some(n.to_string().as_str()));
        assert_eq!(message.get("redelivered"), None);
    }
}

/// Of the metrics, when a write has stalled.
const STALLED: &str = "ternmq_connections_ended_total{reason=\"write_stall\"} 1";
