//! STOMP and MQTT 3.1.1 on the same addresses, octet by octet: MQTT in raw packets. Each table has
//! every property that both can carry.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Client, Frame};
use crate::support::{Server, within};

/// CONNECT of the client `m` with a clean session, and with one that stays.
const CLEAN: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01m";
const KEPT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01m";
/// SUBSCRIBE to `a/b/#` at QoS 1, and to `z/#` at QoS 0.
const SUBSCRIBE: &[u8] = b"\x82\x10\x00\x01\x00\x05a/b/#\x01\x00\x03z/#\x00";

async fn mqtt(server: &Server, connect: &[u8], present: u8) -> TcpStream {
    let mut stream = TcpStream::connect(server.address("mqtt")).await.unwrap();
    stream.write_all(connect).await.unwrap();
    assert_eq!(read(&mut stream, 4).await, [0x20, 2, present, 0]);
    stream
}

async fn subscribed(server: &Server, connect: &[u8]) -> TcpStream {
    let mut stream = mqtt(server, connect, 0).await;
    stream.write_all(SUBSCRIBE).await.unwrap();
    assert_eq!(read(&mut stream, 6).await, b"\x90\x04\x00\x01\x01\x00");
    stream
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// A MESSAGE in full, but for what no two runs have in common.
fn golden(frame: &Frame) -> String {
    let mut lines: Vec<String> = frame
        .headers
        .iter()
        .filter(|(name, _)| !["message-id", "timestamp", "ack"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    assert!(frame.get("timestamp").is_some() && frame.get("message-id").is_some());
    lines.sort_unstable();
    lines.join(" ")
}

/// Topic names, QoS and bodies go over; what MQTT 3.1.1 has no place for stays behind, and nothing
/// of STOMP shows as DUP or RETAIN.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_becomes_this_publish() {
    let server = Server::start().await;
    let mut mqtt = subscribed(&server, CLEAN).await;
    let mut client = Client::connect(&server).await;
    let everything = "content-type:text/plain\ncorrelation-id:c\nreply-to:/queue/r\ntype:t\n\
        priority:9\nexpires:0\ntimestamp:5\nJMSXGroupID:g\nuser:u\n";
    let table: [(&str, &str, &str, &[u8]); 8] = [
        ("/topic/a.b", "", "hello", b"\x32\x0c\x00\x03a/b..hello"),
        (
            "/topic/a.b",
            "persistent:true\n",
            "p",
            b"\x32\x08\x00\x03a/b..p",
        ),
        (
            "/topic/a.b",
            "persistent:false\n",
            "q",
            b"\x32\x08\x00\x03a/b..q",
        ),
        ("/topic/a.b", everything, "all", b"\x32\x0a\x00\x03a/b..all"),
        ("/topic/a.b", "", "", b"\x32\x07\x00\x03a/b.."),
        (
            "/topic/a.b.v1%2E2.c/d",
            "",
            "n",
            b"\x32\x13\x00\x0ea/b/v1.2/c%2Fd..n",
        ),
        ("/topic/a.b..", "", "n", b"\x32\x0a\x00\x05a/b//..n"),
        (
            "/topic/z.é",
            "persistent:true\n",
            "0",
            b"\x30\x07\x00\x04z/\xc3\xa90",
        ),
    ];
    for (destination, headers, body, packet) in table {
        client.publish(destination, headers, body).await;
        let mut got = read(&mut mqtt, packet.len()).await;
        if packet[0] == 0x32 {
            // The packet id is the broker's.
            let at = 4 + usize::from(packet[3]);
            got[at..at + 2].copy_from_slice(b"..");
        }
        assert_eq!(got, packet, "{destination} {headers}");
    }
    // The end of its life is all that MQTT 3.1.1 can be told of `expires`: it does not come.
    client.publish("/topic/a.b", "expires:1\n", "late").await;
    client.publish("/topic/a.b", "", "next").await;
    assert_eq!(read(&mut mqtt, 13).await[9..], *b"next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_a_session_did_not_acknowledge_is_a_duplicate() {
    let server = Server::start().await;
    let mut stream = subscribed(&server, KEPT).await;
    let mut client = Client::connect(&server).await;
    client.publish("/topic/a.b", "persistent:true\n", "x").await;
    let first = read(&mut stream, 10).await;
    drop(stream);
    let mut stream = mqtt(&server, KEPT, 1).await;
    let again = read(&mut stream, 10).await;
    assert_eq!((first[0], again[0]), (0x32, 0x3a));
    assert_eq!(first[1..], again[1..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_becomes_this_message() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("t", "/topic/a.>", "auto").await;
    let mut mqtt = mqtt(&server, CLEAN, 0).await;
    let table: [(&[u8], &[u8], &str); 6] = [
        (
            b"\x30\x08\x00\x03a/bx\0y",
            b"x\0y",
            "content-length:3 destination:/topic/a.b priority:4 subscription:t",
        ),
        (
            b"\x32\x0a\x00\x03a/b\x00\x01x\0y",
            b"x\0y",
            "content-length:3 destination:/topic/a.b persistent:true priority:4 subscription:t",
        ),
        // Neither DUP nor RETAIN of a publisher is a header.
        (
            b"\x3b\x08\x00\x03a/b\x00\x01z",
            b"z",
            "content-length:1 destination:/topic/a.b persistent:true priority:4 subscription:t",
        ),
        (
            b"\x30\x05\x00\x03a/b",
            b"",
            "content-length:0 destination:/topic/a.b priority:4 subscription:t",
        ),
        (
            b"\x30\x10\x00\x0da/v1.2/*>% \xc3\xa9!",
            b"!",
            "content-length:1 destination:/topic/a.v1%2E2.%2A%3E%25 é priority:4 subscription:t",
        ),
        (
            b"\x30\x06\x00\x03a//x",
            b"x",
            "content-length:1 destination:/topic/a.. priority:4 subscription:t",
        ),
    ];
    for (packet, body, headers) in table {
        mqtt.write_all(packet).await.unwrap();
        let message = client.expect("MESSAGE").await;
        assert_eq!((golden(&message).as_str(), &*message.body), (headers, body));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_to_a_queue_is_refused_redelivered_and_dead_like_any_message() {
    let server = Server::start_with(&["queue=[{name=\"q\"}]"]).await;
    let mut mqtt = mqtt(&server, CLEAN, 0).await;
    mqtt.write_all(b"\x32\x06\x00\x01q\x00\x01x").await.unwrap();
    assert_eq!(read(&mut mqtt, 4).await, b"\x40\x02\x00\x01");
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/q", "client").await;
    let all = "content-length:1 destination:/queue/q persistent:true priority:4";
    let first = client.message("x").await;
    assert_eq!(golden(&first), format!("{all} subscription:s"));
    client.send(format!("NACK\nid:{}\n\n\0", first.ack())).await;
    let second = client.message("x").await;
    assert_eq!(
        golden(&second),
        "content-length:1 delivery-count:1 destination:/queue/q persistent:true priority:4 \
         redelivered:true subscription:s"
    );
    let refuse = format!("NACK\nid:{}\nrequeue:false\n\n\0", second.ack());
    client.send(refuse).await;
    client.subscribe("d", "/queue/DLQ", "auto").await;
    let dead = client.message("x").await;
    for (name, value) in [
        ("destination", "/queue/DLQ"),
        ("original-destination", "/queue/q"),
        ("original-queue", "q"),
        ("dead-letter-reason", "rejected"),
    ] {
        assert_eq!(dead.get(name), Some(value), "{name}");
    }
}

/// Rule 33: DUP tells of the same client's earlier copy. Mutant caught: DUP for what was attempted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_client_refused_is_no_duplicate() {
    let server = Server::start_with(&["queue=[{name=\"q\"}]"]).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("s", "/queue/q", "client").await;
    client.publish("/queue/q", "persistent:true\n", "x").await;
    let first = client.message("x").await;
    let refuse = format!("NACK\nid:{}\n\n\0", first.ack());
    client.send(refuse).await;
    assert_eq!(client.message("x").await.get("delivery-count"), Some("1"));
    client.disconnect().await;
    let mut mqtt = mqtt(&server, CLEAN, 0).await;
    mqtt.write_all(b"\x82\x09\x00\x01\x00\x04q::q\x01")
        .await
        .unwrap();
    assert_eq!(read(&mut mqtt, 5).await, b"\x90\x03\x00\x01\x01");
    assert_eq!(read(&mut mqtt, 8).await[..5], *b"\x32\x06\x00\x01q");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_agree_where_stomp_spells_them_as_mqtt_does() {
    let server = Server::start_with(&["stomp.wildcards=\"mqtt\""]).await;
    let mut stream = subscribed(&server, CLEAN).await;
    let mut client = Client::connect(&server).await;
    client.publish("/topic/a/b/v1.2", "", "x").await;
    let packet = read(&mut stream, 15).await;
    assert_eq!(packet[..12], *b"\x32\x0d\x00\x08a/b/v1.2");
    client.subscribe("t", "/topic/a/+/#", "auto").await;
    stream
        .write_all(b"\x30\x0b\x00\x08a/c/v1.2x")
        .await
        .unwrap();
    let message = client.message("x").await;
    assert_eq!(message.get("destination"), Some("/topic/a/c/v1.2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_stay_whole() {
    let server = Server::start().await;
    let mut mqtt = mqtt(&server, CLEAN, 0).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("t", "/topic/a.>", "auto").await;
    let large = vec![7; 10_000];
    let mut publish = b"\x30\x95\x4e\x00\x03a/b".to_vec();
    publish.extend_from_slice(&large);
    mqtt.write_all(&publish).await.unwrap();
    assert_eq!(client.expect("MESSAGE").await.body, large);
}
