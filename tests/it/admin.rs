//! What HTTP tells operators.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_server_is_live_and_ready() {
    let server = Server::start().await;
    let (head, body) = server.get("/livez").await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!(body, r#"{"live":true}"#);
    let (head, body) = server.get("/readyz").await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(body.contains(r#""ready":true,"reasons":[]"#), "{body}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_lists_where_to_connect_and_upgrades_only_on_request() {
    let server = Server::start().await;
    let (head, body) = server.get("/").await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    for listener in ["auto", "websocket", "http"] {
        let address = server.address(listener).to_string();
        let line = body.lines().find(|line| line.starts_with(listener));
        assert!(line.unwrap().contains(&address), "{listener} in {body}");
    }
    let (head, _) = server.get("/ws").await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    let (head, _) = server.get("/nothing").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_samples_with_one_head_per_family() {
    let server = Server::start().await;
    let (head, body) = server.get("/metrics").await;
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    let mut families = Vec::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            families.push(rest.split(' ').next().unwrap());
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let family = families.last().unwrap();
            assert!(sample.starts_with(family), "{sample} in {family}");
        }
    }
    // Each is on the page for operators.
    let page = include_str!("../../docs/operations.md");
    for family in &families {
        let name = family.strip_prefix("ternmq_").unwrap();
        let found = [format!("`{name}`"), format!("`{name}{{")];
        assert!(found.iter().any(|text| page.contains(text)), "{family}");
    }
    let mut unique = families.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), families.len());
    for family in [
        "ternmq_connections",
        "ternmq_messages_in_total",
        "ternmq_messages_dropped_total",
        "ternmq_queue_messages",
        "ternmq_journal_bytes_total",
        "ternmq_fsync_seconds",
        "ternmq_publish_to_durable_seconds",
        "ternmq_disk_free_bytes",
    ] {
        assert!(families.contains(&family), "{family}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declared_queues_exist_before_and_after_a_restart() {
    let queues = ["queue=[{name=\"orders\"},{name=\"audit\"}]"];
    let count = async |server: &Server| -> u64 {
        let (_, body) = server.get("/metrics").await;
        let line = body
            .lines()
            .find_map(|line| line.strip_prefix("ternmq_queues "));
        line.unwrap().parse().unwrap()
    };
    let none = Server::start().await;
    let base = count(&none).await;
    none.stop().await;
    let server = Server::start_with(&queues).await;
    assert_eq!(count(&server).await, base + 2);
    let server = server.restart(&[]).await;
    assert_eq!(count(&server).await, base + 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_travel_on_one_connection() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address("http")).await.unwrap();
    let request = "GET /livez HTTP/1.1\r\nHost: test\r\n\r\n";
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 15];
        within(stream.read_exact(&mut head)).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        let mut rest = [0; 1024];
        let read = within(stream.read(&mut rest)).await.unwrap();
        assert!(rest[..read].ends_with(br#"{"live":true}"#));
    }
    server.stop().await;
}
