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
