//! ST-C, ST-H, CN-01, CN-03: connecting and staying alive.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Client;
use crate::support::{Server, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_c1_c2_the_highest_common_version_is_taken() {
    let server = Server::start().await;
    let table = [
        (Some("1.0"), "1.0"),
        (Some("1.1"), "1.1"),
        (Some("1.2"), "1.2"),
        (Some("1.0,1.1,1.2"), "1.2"),
        (Some("1.1,9.9"), "1.1"),
        (Some("1.1, 1.2"), "1.2"),
        (None, "1.0"),
    ];
    for (accepted, version) in table {
        for command in ["CONNECT", "STOMP"] {
            let accepted = accepted.map_or(String::new(), |a| format!("accept-version:{a}\n"));
            let mut client = Client::raw(&server).await;
            client
                .send(format!("{command}\n{accepted}host:x\n\n\0"))
                .await;
            let connected = client.expect("CONNECTED").await;
            assert_eq!(connected.get("version"), Some(version), "{accepted}");
            client.disconnect().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_c3_no_common_version_is_an_error_that_lists_ours() {
    let server = Server::start().await;
    let mut client = Client::raw(&server).await;
    client
        .send("CONNECT\naccept-version:9.9\nhost:x\n\n\0")
        .await;
    assert_eq!(client.error().await.get("version"), Some("1.0,1.1,1.2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_c4_c5_c8_f12_connected_says_who_we_are() {
    let server = Server::start().await;
    let mut client = Client::raw(&server).await;
    let login = "login:u\npasscode:a\\cb:c\\t\nreceipt:no\nrequest-id:7\n";
    client
        .send(format!(
            "CONNECT\naccept-version:1.2\nhost:unknown\n{login}\n\0"
        ))
        .await;
    let connected = client.expect("CONNECTED").await;
    let version = concat!("TernMQ/", env!("CARGO_PKG_VERSION"));
    assert_eq!(connected.get("server"), Some(version));
    assert_eq!(connected.get("response-id"), Some("7"));
    assert_eq!(connected.get("heart-beat"), Some("10000,10000"));
    assert!(connected.get("session").is_some() && connected.get("receipt-id").is_none());
    client.disconnect().await;
    let server = server.restart(&["stomp.server_header=false"]).await;
    let mut client = Client::raw(&server).await;
    client.send("CONNECT\naccept-version:1.2\n\n\0").await;
    assert_eq!(client.expect("CONNECTED").await.get("server"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_c7_frames_before_connect_and_a_second_connect_are_refused() {
    let server = Server::start().await;
    let mut client = Client::raw(&server).await;
    client.send("SEND\ndestination:/queue/a\n\nx\0").await;
    client.error().await;
    let mut client = Client::connect(&server).await;
    client
        .send("CONNECT\naccept-version:1.2\nhost:x\n\n\0")
        .await;
    client.error().await;
}

/// Every third says goodbye without a receipt, every fifth leaves without a word, and each makes a
/// temporary queue, a subscription and something unsettled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_c9_5_000_rapid_connections_get_their_goodbye_and_leave_nothing() {
    let server = Server::start().await;
    let before = descriptors();
    let memory = server.metric("ternmq_memory_used_bytes").await;
    for n in 0..5_000 {
        let mut client = Client::raw(&server).await;
        client
            .send(
                "CONNECT\naccept-version:1.2\nhost:x\n\n\0\
                 SUBSCRIBE\nid:s\ndestination:/temp-queue/t\nack:client\n\n\0\
                 SEND\ndestination:/temp-queue/t\n\nx\0",
            )
            .await;
        match n {
            n if n % 5 == 0 => continue,
            n if n % 3 == 0 => client.send("DISCONNECT\n\n\0").await,
            _ => {
                client.send("DISCONNECT\nreceipt:bye\n\n\0").await;
                client.expect("CONNECTED").await;
                while client.frame().await.command == "MESSAGE" {}
                client.end().await;
            }
        }
    }
    within(async {
        while server.metric("ternmq_connections").await > 1
            || server.metric("ternmq_queues").await > 2
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.metric("ternmq_queue_messages").await, 0);
    assert_eq!(server.metric("ternmq_addresses").await, 2);
    assert_eq!(
        server.metric("ternmq_connections_waiting_for_memory").await,
        0
    );
    let now = server.metric("ternmq_memory_used_bytes").await;
    assert!(now <= memory + 4_096, "{memory} before, {now} now");
    // Other tests of this process open and close their own; 5,000 would stand out.
    let now = descriptors();
    assert!(now < before + 1_000, "{before} before, {now} now");
}

/// Open files of this process, the server's sockets among them.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_h1_h2_the_larger_interval_counts_and_an_idle_server_beats() {
    let server = Server::start_with(&["stomp.heart_beat_ms=[600, 0]"]).await;
    let mut client = Client::raw(&server).await;
    client
        .send("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:0,100\n\n\0")
        .await;
    let connected = client.expect("CONNECTED").await;
    assert_eq!(connected.get("heart-beat"), Some("600,0"));
    let since = Instant::now();
    for _ in 0..2 {
        assert_eq!(within(client.stream.read_u8()).await.unwrap(), b'\n');
    }
    let waited = since.elapsed();
    assert!(waited > Duration::from_millis(700), "{waited:?}");
    assert!(waited < Duration::from_millis(1_300), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_h3_h5_cn_01_late_or_partial_beats_keep_a_client_and_silence_does_not() {
    let server = Server::start_with(&["stomp.heart_beat_ms=[0, 500]"]).await;
    let mut client = Client::raw(&server).await;
    client
        .send("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:500,0\n\n\0")
        .await;
    client.expect("CONNECTED").await;
    // Beats 40 % late, the last ones parts of a frame.
    for octet in b"\n\nSE" {
        tokio::time::sleep(Duration::from_millis(700)).await;
        client.stream.write_all(&[*octet]).await.unwrap();
    }
    client
        .send("ND\ndestination:/topic/t\nreceipt:r\n\n\0")
        .await;
    client.receipt("r").await;
    let since = Instant::now();
    client.error().await;
    let waited = since.elapsed();
    assert!(waited > Duration::from_millis(950), "{waited:?}");
    assert!(waited < Duration::from_millis(1_500), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_h4_a_malformed_heart_beat_is_refused() {
    let server = Server::start().await;
    for beat in ["abc", "1", "1,2,3", "-1,0", "9223372036854775808,0"] {
        let mut client = Client::raw(&server).await;
        client
            .send(format!(
                "CONNECT\naccept-version:1.2\nhost:x\nheart-beat:{beat}\n\n\0"
            ))
            .await;
        client.error().await;
    }
}

/// The server's own interval is 500 ms, so a client that owed beats would be gone after 1.25 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_h6_cn_03_who_wants_no_heart_beats_is_never_cut() {
    let server = Server::start_with(&["stomp.heart_beat_ms=[500, 500]"]).await;
    let mut old = Client::speaking(&server, "1.0").await;
    let mut new = Client::raw(&server).await;
    new.send("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:0,0\n\n\0")
        .await;
    new.expect("CONNECTED").await;
    old.subscribe("s", "/topic/t", "auto").await;
    new.subscribe("s", "/topic/t", "auto").await;
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    Client::connect(&server)
        .await
        .publish("/topic/t", "", "work")
        .await;
    old.message("work").await;
    new.message("work").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_l_a_client_that_never_connects_is_cut() {
    let server = Server::start_with(&["limits.connect_timeout_ms=1000"]).await;
    let mut client = Client::raw(&server).await;
    let since = Instant::now();
    client.send("CONN").await;
    let mut rest = Vec::new();
    within(client.stream.read_to_end(&mut rest)).await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(3));
    assert!(rest.is_empty() || rest.starts_with(b"ERROR\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_says_so_before_it_closes() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    let stopped = tokio::spawn(server.stop());
    let error = client.error().await;
    assert!(error.get("message").unwrap().contains("stopping"));
    within(stopped).await.unwrap();
}
