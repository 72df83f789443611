//! ST-E, ST-S1: what is not served is refused in words, after every earlier receipt.

use super::Client;
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_served_yet_is_refused_and_never_ignored() {
    let server = Server::start().await;
    let subscribe =
        |header: &str| format!("SUBSCRIBE\nid:1\ndestination:/topic/a\n{header}\nreceipt:r\n\n\0");
    let table = [
        (
            "BEGIN\ntransaction:t\nreceipt:r\n\n\0".to_owned(),
            "transactions",
        ),
        (
            "COMMIT\ntransaction:t\nreceipt:r\n\n\0".to_owned(),
            "transactions",
        ),
        (
            "ABORT\ntransaction:t\nreceipt:r\n\n\0".to_owned(),
            "transactions",
        ),
        (
            "SEND\ndestination:/queue/a\ntransaction:t\nreceipt:r\n\n\0".to_owned(),
            "transactions",
        ),
        (
            "ACK\nid:1\ntransaction:t\nreceipt:r\n\n\0".to_owned(),
            "transactions",
        ),
        (subscribe("selector:a = 1"), "selectors"),
        (subscribe("browser:true"), "browsing"),
        (subscribe("durable:true"), "durable"),
        (subscribe("durable-subscription-name:d"), "durable"),
        (subscribe("durable-subscriber-name:d"), "durable"),
        (subscribe("activemq.subscriptionName:d"), "durable"),
        (subscribe("no-local:true"), "no-local"),
        (
            "SEND\ndestination:/queue/a\nAMQ_SCHEDULED_DELAY:1\nreceipt:r\n\n\0".to_owned(),
            "scheduled",
        ),
        (
            "SEND\ndestination:/exchange/e/k\nreceipt:r\n\n\0".to_owned(),
            "exchange",
        ),
    ];
    for (frame, words) in table {
        let mut client = Client::connect(&server).await;
        client
            .send(format!(
                "SEND\ndestination:/queue/x\npersistent:true\nreceipt:first\n\nx\0{frame}"
            ))
            .await;
        client.receipt("first").await;
        let error = client.error().await;
        assert!(error.get("message").unwrap().contains(words), "{error:?}");
        assert_eq!(error.get("receipt-id"), Some("r"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_ask_for_nothing_special_are_served() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.send("SUBSCRIBE\nid:1\ndestination:/topic/a\nbrowser:false\ndurable:false\nauto-delete:true\nreceipt:r\n\n\0").await;
    client.receipt("r").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_s1_a_send_that_leads_nowhere_is_an_error_with_its_receipt() {
    let rule = "address_settings=[{match=\"locked.#\", auto_create_queues=false, auto_create_addresses=false}]";
    let server =
        Server::start_with(&[rule, "queue=[{name=\"only\"}]", "limits.memory=\"64MiB\""]).await;
    let table = [
        ("SEND\n\nx\0", "destination"),
        ("SEND\ndestination:\n\nx\0", "destination"),
        ("SEND\ndestination:/queue/\nreceipt:r\n\nx\0", "empty"),
        ("SEND\ndestination:/queue/a.*\nreceipt:r\n\nx\0", "wildcard"),
        (
            "SEND\ndestination:/queue/a:::b\nreceipt:r\n\nx\0",
            "fully qualified",
        ),
        (
            "SEND\ndestination:/queue/locked.a\nreceipt:r\n\nx\0",
            "no-destination",
        ),
        (
            "SEND\ndestination:/amq/queue/never\nreceipt:r\n\nx\0",
            "no-destination",
        ),
        (
            "SEND\ndestination:/topic/only\nreceipt:r\n\nx\0",
            "wrong-routing-type",
        ),
        (
            "SEND\ndestination:x\ndestination-type:ANY\nreceipt:r\n\nx\0",
            "ANYCAST",
        ),
        (
            "SEND\ndestination:/queue/a\npriority:high\nreceipt:r\n\nx\0",
            "priority",
        ),
        (
            "SEND\ndestination:/queue/a\nexpires:soon\nreceipt:r\n\nx\0",
            "expires",
        ),
        (
            "SUBSCRIBE\nid:1\ndestination:/queue/locked.a\nreceipt:r\n\n\0",
            "no-destination",
        ),
        (
            "SUBSCRIBE\nid:1\ndestination:/amq/queue/never\nreceipt:r\n\n\0",
            "no-destination",
        ),
    ];
    for (frame, words) in table {
        let mut client = Client::connect(&server).await;
        client.send(frame).await;
        let error = client.error().await;
        assert!(error.get("message").unwrap().contains(words), "{error:?}");
        let asked = frame.contains("receipt").then_some("r");
        assert_eq!(error.get("receipt-id"), asked, "{frame}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_above_a_quarter_of_a_segment_is_refused_as_too_large() {
    let server = Server::start_with(&["limits.max_frame_bytes.stomp=\"2MiB\""]).await;
    let mut client = Client::connect(&server).await;
    let body = "x".repeat(2 << 20);
    client
        .send(format!("SEND\ndestination:/queue/a\nreceipt:r\n\n{body}\0"))
        .await;
    let error = client.error().await;
    assert!(
        error.get("message").unwrap().starts_with("too-large"),
        "{error:?}"
    );
    assert_eq!(error.get("receipt-id"), Some("r"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priorities_outside_are_clamped() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    for (priority, body) in [("-5", "low"), ("4", "normal"), ("99", "high")] {
        client
            .publish("/queue/p", &format!("priority:{priority}\n"), body)
            .await;
    }
    client.subscribe("s", "/queue/p", "auto").await;
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(client.expect("MESSAGE").await.text().to_owned());
    }
    got.sort_unstable();
    assert_eq!(got, ["high", "low", "normal"]);
}
