//! L10, L22: what the outbox holds comes back, and what was not written was not delivered.

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

/// Mutant caught: room that is lost with a subscription.
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
async fn l10_what_an_auto_subscriber_did_not_get_stays_uncounted() {
    let server = Server::start().await;
    fill(&server, "/queue/auto", 600, 32 * KIB).await;
    let mut lazy = Client::connect(&server).await;
    lazy.subscribe("s", "/queue/auto", "auto").await;
    let (mut count, mut stands) = (0, 0);
    // The socket is full when nothing more is written for a while.
    while stands < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        let metrics = server.get("/metrics").await.1;
        let settled = metrics
            .lines()
            .find(|line| line.starts_with("ternmq_messages_acked_total"))
            .map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap());
        stands = if settled == count { stands + 1 } else { 0 };
        count = settled;
    }
    assert!(count > 0 && count < 600, "{count} of 600 settled");
    drop(lazy);
    let mut next = Client::connect(&server).await;
    next.subscribe("s", "/queue/auto", "auto").await;
    let first = within(next.expect("MESSAGE")).await;
    let mut n: u64 = first.get("n").unwrap().parse().unwrap();
    assert!(n >= count, "{n} came again");
    assert_eq!(first.get("redelivered"), None);
    while n < 599 {
        let message = next.expect("MESSAGE").await;
        n += 1;
        assert_eq!(message.get("n"), Some(n.to_string().as_str()));
    }
}
