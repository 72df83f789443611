//! Properties of 5.0 to and from STOMP and REST (artemis-features.md 3.6).

use serde_json::{Value, json};

use super::client::*;
use crate::support::Server;
use crate::support::http::Http;
use crate::support::stomp::Stomp;
use crate::support::wire::Wire;

const SENT: &[u8] = b"{\"a\":1}";

fn sent() -> [Property; 8] {
    [
        byte(PAYLOAD_FORMAT, 1),
        long(MESSAGE_EXPIRY, 100),
        string(CONTENT_TYPE, "application/json"),
        string(RESPONSE_TOPIC, "answers/here"),
        (CORRELATION, b"\0\x02c1".to_vec()),
        pair("z", "1"),
        pair("a", "2"),
        pair("m", "3"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xp_04_stomp_headers_become_properties_and_properties_headers() {
    let server = Server::start().await;
    let mut stomp = Stomp::connect(Wire::tcp(server.address("stomp")).unwrap()).unwrap();
    stomp.subscribe("/topic/cross.from").unwrap();
    let mut client = clean(&server, "cross");
    client.subscribe5(&[(SUBSCRIPTION_ID, vec![3])], &[("cross/to", 1)]);
    client.publish5("cross/from", &sent(), SENT);
    let message = stomp.next().unwrap();
    assert_eq!(message.body, SENT);
    for (name, value) in [
        ("content-type", "application/json"),
        ("correlation-id", "c1"),
        ("reply-to", "/topic/answers.here"),
        ("persistent", "true"),
        ("z", "1"),
        ("a", "2"),
        ("m", "3"),
    ] {
        assert_eq!(message.header(name), Some(value), "{name}");
    }
    let expires: u64 = message.header("expires").unwrap().parse().unwrap();
    let timestamp: u64 = message.header("timestamp").unwrap().parse().unwrap();
    assert_eq!(expires - timestamp, 100_000);
    let order = message.headers.iter().map(|(name, _)| name.as_str());
    let order: Vec<_> = order.filter(|name| name.len() == 1).collect();
    assert_eq!(order, ["z", "a", "m"]);
    let expires = (timestamp + 60_000).to_string();
    let headers = [
        ("destination", "/topic/cross.to"),
        ("persistent", "true"),
        ("content-type", "text/plain"),
        ("correlation-id", "c2"),
        ("reply-to", "/topic/answers.x"),
        ("type", "kind"),
        ("JMSXGroupID", "group"),
        ("priority", "7"),
        ("expires", &expires),
        ("z", "1"),
        ("a", "2"),
    ];
    stomp.confirmed("SEND", &headers, b"text").unwrap();
    let message = client.message5("cross/to", b"text");
    assert_eq!(message.first, 0x32);
    let left = message.values(MESSAGE_EXPIRY)[0].to_vec();
    let seconds = u32::from_be_bytes(left.clone().try_into().unwrap());
    assert!((30..=60).contains(&seconds), "{seconds}");
    let wanted = [
        byte(PAYLOAD_FORMAT, 1),
        (MESSAGE_EXPIRY, left),
        string(CONTENT_TYPE, "text/plain"),
        string(RESPONSE_TOPIC, "answers/x"),
        (CORRELATION, b"\0\x02c2".to_vec()),
        pair("type", "kind"),
        pair("JMSXGroupID", "group"),
        pair("priority", "7"),
        pair("z", "1"),
        pair("a", "2"),
        (SUBSCRIPTION_ID, vec![3]),
    ];
    assert_eq!(message.properties, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xp_04_rest_metadata_become_properties_and_properties_metadata() {
    let server = Server::start().await;
    let mut http = Http::new(Wire::tcp(server.address("http")).unwrap());
    let mut client = clean(&server, "cross");
    client.subscribe5(&[], &[("cross/to", 1)]);
    let envelope = json!({
        "body": "text", "contentType": "text/plain", "correlationId": "c2",
        "replyTo": "answers.x", "type": "kind", "groupId": "group", "ttl": "60s",
        "priority": 7, "properties": {"z": 1, "a": true, "m": "text"},
    });
    let media = "Content-Type: application/vnd.ternmq.message+json";
    let line = "POST /v1/topics/cross.to/messages";
    let body = envelope.to_string();
    let answer = http.call(line, &[media], body.as_bytes()).unwrap();
    assert!(answer.status / 100 == 2, "{answer:?}");
    let message = client.message5("cross/to", b"text");
    let mut wanted = vec![
        byte(PAYLOAD_FORMAT, 1),
        (MESSAGE_EXPIRY, message.values(MESSAGE_EXPIRY)[0].to_vec()),
        string(CONTENT_TYPE, "text/plain"),
        string(RESPONSE_TOPIC, "answers/x"),
        (CORRELATION, b"\0\x02c2".to_vec()),
        pair("type", "kind"),
        pair("JMSXGroupID", "group"),
        pair("priority", "7"),
        pair("z", "1"),
        pair("a", "true"),
        pair("m", "text"),
    ];
    let mut found = message.properties.clone();
    found.retain(|(id, value)| *id != USER || !value.windows(10).any(|w| w == b"message-id"));
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
    // The other way, through a queue.
    let queue = http
        .call("POST /v1/queues/cross/messages", &[], b"first")
        .unwrap();
    assert!(queue.status / 100 == 2, "{queue:?}");
    client.publish5("cross", &sent(), SENT);
    let line = "POST /v1/queues/cross/receive?max=2";
    let media = "Accept: application/json";
    let answer = http.call(line, &[media], b"").unwrap();
    let all: Value = serde_json::from_slice(&answer.body).unwrap();
    let shown = &all["messages"][1];
    assert_eq!(shown["contentType"], "application/json", "{all}");
    assert_eq!(shown["correlationId"], "c1");
    assert_eq!(shown["replyTo"], "topic://answers.here");
    assert_eq!(shown["properties"], json!({"z": "1", "a": "2", "m": "3"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xp_04_an_answer_to_what_was_shown_reaches_who_asked_and_odd_names_arrive() {
    let server = Server::start().await;
    let mut stomp = Stomp::connect(Wire::tcp(server.address("stomp")).unwrap()).unwrap();
    stomp.subscribe("/topic/cross.ask").unwrap();
    let mut reader = clean(&server, "reader");
    reader.subscribe5(&[], &[("cross/ask", 1)]);
    let mut asker = clean(&server, "asker");
    asker.subscribe5(&[], &[("answers/v1.0/asker", 1)]);
    let asked = [
        string(RESPONSE_TOPIC, "answers/v1.0/asker"),
        (CORRELATION, b"\0\x02c7".to_vec()),
        pair("same", "first"),
        pair("with blank", "1"),
        pair("a:b", "2:3"),
        pair("same", "second"),
    ];
    assert_eq!(asker.publish5("cross/ask", &asked, b"?"), 0);
    let message = stomp.next().unwrap();
    assert_eq!(message.header("same"), Some("first"));
    assert_eq!(message.header("with blank"), Some("1"));
    assert!(
        message
            .headers
            .iter()
            .any(|(name, _)| name.starts_with('a') && name.len() <= 4)
    );
    let reply_to = message.header("reply-to").unwrap();
    let correlation = message.header("correlation-id").unwrap();
    let headers = [
        ("destination", reply_to),
        ("correlation-id", correlation),
        ("persistent", "true"),
    ];
    stomp.confirmed("SEND", &headers, b"!").unwrap();
    let answer = asker.message5("answers/v1.0/asker", b"!");
    assert_eq!(answer.values(CORRELATION), [b"\0\x02c7"]);
    // Of its own protocol a reader gets all as it was, in its order.
    assert_eq!(reader.message5("cross/ask", b"?").properties, asked);
}

/// The count of a message of MQTT is put into the stored packet, that of another protocol comes with
/// the conversion.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn xp_04_receivers_are_told_of_deliveries_before_if_they_shall_be() {
    for wanted in [true, false] {
        let server = Server::start_with(&[&format!("mqtt.delivery_count={wanted}")]).await;
        let mut stomp = Stomp::connect(Wire::tcp(server.address("stomp")).unwrap()).unwrap();
        let mut client = clean(&server, "cross");
        let headers = [("destination", "/queue/cross"), ("persistent", "true")];
        stomp.confirmed("SEND", &headers, b"stomp").unwrap();
        client.publish5("cross", &[pair("a", "1")], b"mqtt");
        for count in 0..3 {
            let mut reader = clean(&server, &format!("reader {count}"));
            reader.subscribe5(&[], &[("$queue/cross", 1)]);
            let told = (wanted && count > 0).then(|| pair("delivery-count", &count.to_string()));
            let message = reader.message5("cross", b"stomp");
            let found = message.properties.iter();
            let found: Vec<_> = found.filter(|p| is_count(p)).cloned().collect();
            assert_eq!(found, Vec::from_iter(told.clone()));
            let message = reader.message5("cross", b"mqtt");
            let expected: Vec<_> = [pair("a", "1")].into_iter().chain(told).collect();
            assert_eq!(message.properties, expected);
            // Without a goodbye each counts as an attempt.
        }
    }
}

fn is_count((id, value): &Property) -> bool {
    *id == USER && value.windows(14).any(|part| part == b"delivery-count")
}
