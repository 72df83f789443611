//! STOMP and MQTT 3.1.1 on the same addresses; MQTT in raw packets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Client;
use crate::support::{Server, within};

const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01m";
const SUBSCRIBE: &[u8] = b"\x82\x0a\x00\x01\x00\x05a/b/#\x01";

async fn mqtt(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address("mqtt")).await.unwrap();
    stream.write_all(CONNECT).await.unwrap();
    assert_eq!(read(&mut stream, 4).await, b"\x20\x02\x00\x00");
    stream
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_mqtt_reaches_stomp_octet_by_octet() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.subscribe("t", "/topic/a.>", "auto").await;
    let mut mqtt = mqtt(&server).await;
    mqtt.write_all(b"\x32\x0a\x00\x03a/b\x00\x01x\0y")
        .await
        .unwrap();
    assert_eq!(read(&mut mqtt, 4).await, b"\x40\x02\x00\x01");
    let message = client.expect("MESSAGE").await;
    assert_eq!(message.body, b"x\0y");
    assert_eq!(message.get("destination"), Some("/topic/a.b"));
    assert_eq!(message.get("content-length"), Some("3"));
    assert_eq!(message.get("persistent"), Some("true"));
    assert_eq!(message.get("priority"), Some("4"));
    assert!(message.get("timestamp").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_stomp_reaches_mqtt_and_large_ones_stay_whole() {
    let server = Server::start().await;
    let mut mqtt = mqtt(&server).await;
    mqtt.write_all(SUBSCRIBE).await.unwrap();
    assert_eq!(read(&mut mqtt, 5).await, b"\x90\x03\x00\x01\x01");
    let mut client = Client::connect(&server).await;
    client.publish("/topic/a.b", "k:v\n", "hello").await;
    let packet = read(&mut mqtt, 2 + 5 + 2 + 5).await;
    assert_eq!(&packet[..7], b"\x32\x0c\x00\x03a/b");
    assert_eq!(&packet[9..], b"hello");
    client.subscribe("t", "/topic/a.>", "auto").await;
    let large = vec![7; 10_000];
    let mut publish = b"\x30\x95\x4e\x00\x03a/b".to_vec();
    publish.extend_from_slice(&large);
    mqtt.write_all(&publish).await.unwrap();
    assert_eq!(client.expect("MESSAGE").await.body, large);
}
