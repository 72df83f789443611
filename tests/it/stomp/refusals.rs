//! ST-E, ST-S1: what is not served is refused in words, after every earlier receipt.

use super::Client;
use crate::support::Server;
use crate::support::http::Http;
use crate::support::wire::Wire;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_served_yet_is_refused_and_never_ignored() {
    let server = Server::start().await;
    let subscribe =
        |header: &str| format!("SUBSCRIBE\nid:1\ndestination:/topic/a\n{header}\nreceipt:r\n\n\0");
    let scheduled =
        |what: &str| format!("SEND\ndestination:/queue/a\nAMQ_SCHEDULED_{what}:1\nreceipt:r\n\n\0");
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
        (subscribe("activemq.subcriptionName:d"), "durable"),
        (subscribe("no-local:true"), "no-local"),
        (subscribe("activemq.noLocal:true"), "no-local"),
        (subscribe("activemq.exclusive:true"), "exclusive"),
        (
            "NACK\nid:1\ntransaction:t\nreceipt:r\n\n\0".to_owned(),
            "transactions",
        ),
        (scheduled("DELAY"), "scheduled"),
        (scheduled("TIME"), "scheduled"),
        (scheduled("PERIOD"), "scheduled"),
        (scheduled("REPEAT"), "scheduled"),
        (scheduled("CRON"), "scheduled"),
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
async fn st_e1_e2_every_error_has_words_and_ends_its_connection() {
    let server = Server::start().await;
    let secret = "login:u\npasscode:hunter2\n";
    // Before CONNECTED, and after it.
    for frame in [
        format!("CONNECT\naccept-version:9.9\n{secret}\n\0"),
        format!("CONNECT\naccept-version:1.2\nheart-beat:x\n{secret}\n\0"),
        format!("CONNECT\naccept-version:1.2\n{secret}hunter2\n\n\0"),
        format!("CONNECT\naccept-version:1.2\n{secret}\nbody\0"),
        format!("CONNECTED\n{secret}\n\0"),
        format!("CONNECT\naccept-version:1.2\n{secret}\n\0ACK\nid:hunter2\nreceipt:r\n\n\0"),
        format!("CONNECT\naccept-version:1.2\n{secret}\n\0MESSAGE\nreceipt:r\n\n\0"),
    ] {
        let mut client = Client::raw(&server).await;
        client.send(&frame).await;
        if frame.contains("receipt:") {
            client.expect("CONNECTED").await;
        }
        let error = client.error().await;
        let asked = frame.contains("receipt:").then_some("r");
        assert_eq!(error.get("receipt-id"), asked, "{frame}");
        assert_eq!(error.get("content-type"), Some("text/plain"));
        let shown = format!("{:?}{}", error.headers, error.text());
        assert!(!shown.contains("hunter2"), "{shown}");
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
    let server = Server::start_with(&["limits.max_frame_bytes.stomp=\"256KiB\""]).await;
    let mut client = Client::connect(&server).await;
    let body = "x".repeat(256 << 10);
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

/// Seen through REST, which shows the number that counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priorities_outside_are_clamped() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    for (priority, body) in [("-5", "low"), ("4", "normal"), ("99", "high")] {
        client
            .publish("/queue/p", &format!("priority:{priority}\n"), body)
            .await;
    }
    let mut http = Http::new(Wire::tcp(server.address("http")).unwrap());
    for (number, body) in [("9", "high"), ("4", "normal"), ("0", "low")] {
        let answer = http
            .call("POST /v1/queues/p/receive?ack=auto", &[], b"")
            .unwrap();
        let answer = answer.expect(200).unwrap();
        assert_eq!(answer.header("tmq-priority"), Some(number));
        assert_eq!(answer.body, body.as_bytes());
    }
}
