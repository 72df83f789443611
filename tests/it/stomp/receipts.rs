//! ST-R, ST-D, ST-B3, ST-05: receipts, their order, and goodbyes.

use tokio::io::AsyncWriteExt;

use super::Client;
use crate::support::Server;

fn sends(count: usize) -> String {
    let send = |n| format!("SEND\ndestination:/queue/many\npersistent:true\n\nmessage {n}\0");
    (0..count).map(send).collect()
}

async fn has(server: &Server, queue: &str, count: usize) {
    let mut reader = Client::connect(server).await;
    reader.subscribe("r", queue, "auto").await;
    for n in 0..count {
        reader.message(&format!("message {n}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_05_one_write_with_a_thousand_sends_and_a_goodbye() {
    let server = Server::start().await;
    let mut client = Client::raw(&server).await;
    let connect = "CONNECT\naccept-version:1.2\nhost:it\n\n\0";
    let all = format!("{connect}{}DISCONNECT\nreceipt:77\n\n\0", sends(1_000));
    client.send(all).await;
    client.expect("CONNECTED").await;
    client.receipt("77").await;
    client.end().await;
    let server = server.restart(&[]).await;
    has(&server, "/queue/many", 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_05_the_same_with_a_half_close_after_it() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client
        .send(format!("{}DISCONNECT\nreceipt:77\n\n\0", sends(1_000)))
        .await;
    client.stream.shutdown().await.unwrap();
    client.receipt("77").await;
    client.end().await;
    has(&server, "/queue/many", 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_r1_every_frame_but_connect_may_ask_for_a_receipt() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/r", "client").await;
    client.publish("/queue/r", "", "one").await;
    let one = client.message("one").await;
    client
        .send(format!("ACK\nid:{}\nreceipt:a\\cb\n\n\0", one.ack()))
        .await;
    client.receipt("a\\cb").await;
    client.publish("/queue/r", "", "two").await;
    let two = client.message("two").await;
    client
        .send(format!(
            "NACK\nid:{}\nreceipt:n\nrequeue:false\n\n\0",
            two.ack()
        ))
        .await;
    client.receipt("n").await;
    client.send("UNSUBSCRIBE\nid:s\nreceipt:u\n\n\0").await;
    client.receipt("u").await;
    client.disconnect().await;
}

/// Persistent and transient sends in turn, settlements between: each alone would be ready at
/// another time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_r2_l2_receipts_come_in_the_order_of_frames() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    let frame = |n: usize| match n % 4 {
        0 => format!("SEND\ndestination:/topic/t\nreceipt:{n}\n\nx\0"),
        1 => format!("SEND\ndestination:/queue/a\npersistent:true\nreceipt:{n}\n\nx\0"),
        2 => format!("SUBSCRIBE\nid:{n}\ndestination:/topic/none\nreceipt:{n}\n\n\0"),
        _ => format!("UNSUBSCRIBE\nid:{}\nreceipt:{n}\n\n\0", n - 1),
    };
    client.send((0..2_000).map(frame).collect::<String>()).await;
    for n in 0..2_000 {
        client.receipt(&n.to_string()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consecutive_acks_settle_together_and_each_gets_its_receipt() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client
        .send(format!("{}DISCONNECT\nreceipt:d\n\n\0", sends(100)))
        .await;
    client.receipt("d").await;
    for ack in ["client", "client-individual"] {
        let mut client = Client::connect(&server).await;
        client
            .send(format!(
                "SUBSCRIBE\nid:s\ndestination:/queue/many\nack:{ack}\nprefetch-count:50\n\n\0"
            ))
            .await;
        let mut acks = String::new();
        for n in 0..50 {
            let message = client.expect("MESSAGE").await;
            let receipt = if n % 3 == 0 {
                format!("receipt:{n}\n")
            } else {
                String::new()
            };
            acks += &format!("ACK\nid:{}\n{receipt}\n\0", message.ack());
        }
        client.send(acks + "DISCONNECT\nreceipt:bye\n\n\0").await;
        let mut expected: Vec<String> = (0..50).step_by(3).map(|n| n.to_string()).collect();
        expected.push("bye".into());
        let mut got = Vec::new();
        while got.len() < expected.len() {
            let frame = client.frame().await;
            if frame.command == "RECEIPT" {
                got.push(frame.get("receipt-id").unwrap().to_owned());
            }
        }
        assert_eq!(got, expected);
        client.end().await;
    }
    let server = server.restart(&[]).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/many", "client").await;
    client.publish("/queue/many", "", "the only one").await;
    client.message("the only one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_d1_frames_after_disconnect_are_discarded() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client
        .send(format!("DISCONNECT\nreceipt:d\n\n\0{}garbage", sends(3)))
        .await;
    client.receipt("d").await;
    client.end().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/many", "auto").await;
    client.publish("/queue/many", "", "first").await;
    client.message("first").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_r3_sends_without_receipt_count_even_if_the_goodbye_asks_for_none() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client
        .send(format!("{}DISCONNECT\n\n\0", sends(10_000)))
        .await;
    client.end().await;
    has(&server, "/queue/many", 10_000).await;
}
