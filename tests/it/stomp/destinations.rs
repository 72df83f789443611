//! Where names lead in STOMP, and what a message is told on its way: destinations, wildcards, times,
//! expiry (DL-01).

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Client;
use super::delivery::{bodies, fill, messages};
use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_have_wildcards_and_queues_compete() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("all", "/topic/a.>", "auto").await;
    client.subscribe("one", "/topic/a.*.c", "auto").await;
    client.send("SEND\ndestination:/topic/a.b.c\n\nx\0").await;
    let ids: BTreeSet<_> = messages(&mut client, 2)
        .await
        .iter()
        .map(|one| one.get("subscription").unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 2);
    let mut other = Client::connect(&server).await;
    client.subscribe("q", "/queue/shared", "auto").await;
    other.subscribe("q", "/queue/shared", "auto").await;
    fill(&server, "/queue/shared", 2).await;
    let mut got = bodies(&mut client, 1).await;
    got.extend(bodies(&mut other, 1).await);
    got.sort_unstable();
    assert_eq!(got, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn destinations_lead_where_their_prefix_type_and_queue_say() {
    let queue = "queue=[{name=\"q\", address=\"a\", routing=\"anycast\"}]";
    let server = Server::start_with(&[queue]).await;
    for (sent, read) in [
        ("/queue/a::q", "/queue/a::q"),
        ("a::q", "/queue/a"),
        ("bare", "/queue/bare"),
        ("/queue/made", "/amq/queue/made"),
        ("/queue/foo/bar", "foo/bar"),
    ] {
        let mut client = Client::connect(&server).await;
        client.publish(sent, "", sent).await;
        client.subscribe("s", read, "auto").await;
        client.message(sent).await;
    }
    let mut client = Client::connect(&server).await;
    client.subscribe("t", "/topic/typed", "auto").await;
    client
        .send("SEND\ndestination:typed\ndestination-type:multicast\n\nx\0")
        .await;
    client.message("x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_names_are_what_their_address_is_and_are_shown_bare() {
    let addresses = "address=[{name=\"many\", routing=[\"multicast\"]}]";
    let server = Server::start_with(&[addresses]).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("bare", "many", "auto").await;
    client.subscribe("typed", "/topic/many", "auto").await;
    for sent in ["many", "/topic/many"] {
        client
            .send(format!("SEND\ndestination:{sent}\n\nx\0"))
            .await;
        for message in messages(&mut client, 2).await {
            assert_eq!(message.get("destination"), Some(sent));
        }
    }
    // What has no destination of STOMP is shown as the subscription spells its own.
    let mut http = TcpStream::connect(server.address("http")).await.unwrap();
    http.write_all(
        b"POST /v1/topics/many/messages HTTP/1.1\r\nHost: it\r\nContent-Length: 1\r\n\r\nx",
    )
    .await
    .unwrap();
    for message in messages(&mut client, 2).await {
        let name = if message.get("subscription") == Some("bare") {
            "many"
        } else {
            "/topic/many"
        };
        assert_eq!(message.get("destination"), Some(name));
    }
}

/// Mutant caught: the time of arrival shown whatever the sender says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_has_the_time_its_sender_says_or_that_of_its_arrival() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/topic/t", "auto").await;
    for said in ["1700000000000", "2026-11-25T10:00:00Z", ""] {
        let header = format!("timestamp:{said}\n");
        client.publish("/topic/t", &header, "x").await;
        let message = client.message("x").await;
        assert_eq!(message.get("timestamp"), Some(said));
        assert_eq!(
            message
                .headers
                .iter()
                .filter(|(name, _)| name == "timestamp")
                .count(),
            1
        );
    }
    let before = since_epoch_ms();
    client.publish("/topic/t", "", "x").await;
    let time: u128 = client
        .message("x")
        .await
        .get("timestamp")
        .unwrap()
        .parse()
        .unwrap();
    assert!((before..=since_epoch_ms()).contains(&time), "{time}");
}

fn since_epoch_ms() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_millis()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wildcards_may_be_spelled_as_in_mqtt() {
    let server = Server::start_with(&["stomp.wildcards=\"mqtt\""]).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/topic/a/+/#", "auto").await;
    client.send("SEND\ndestination:/topic/a/b.c/d\n\nx\0").await;
    client.message("x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dl_01_an_expired_message_goes_to_the_expiry_queue_and_stays() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client
        .publish("/queue/e", "expiration:1\npersistent:true\n", "late")
        .await;
    client.publish("/queue/e", "expires:1\n", "too late").await;
    client.publish("/queue/e", "expires:0\n", "never").await;
    client.subscribe("e", "/queue/ExpiryQueue", "client").await;
    for _ in 0..2 {
        let message = client.expect("MESSAGE").await;
        assert!(message.text().ends_with("late"));
        assert_eq!(message.get("dead-letter-reason"), Some("expired"));
        assert_eq!(message.get("original-destination"), Some("/queue/e"));
    }
    client.subscribe("s", "/queue/e", "auto").await;
    client.message("never").await;
}
