//! The whole server inside a program: start it on ports the system chooses, talk to it, stop it.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::io::{Read, Write};
use std::net::TcpStream;

use ternmq::config::Config;
use ternmq::server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data_dir = std::env::temp_dir().join(format!("ternmq-embedded-{}", std::process::id()));
    let sets = [
        format!("storage.data_dir='{}'", data_dir.display()),
        "listeners.mqtt.bind='127.0.0.1:0'".into(),
        "listeners.amqp.bind='127.0.0.1:0'".into(),
        "listeners.stomp.bind='127.0.0.1:0'".into(),
        "listeners.auto.bind='127.0.0.1:0'".into(),
        "listeners.websocket.bind='127.0.0.1:0'".into(),
        "listeners.http.bind='127.0.0.1:0'".into(),
    ];
    let server = Server::start(Config::load(None, &sets)?).await?;
    let mqtt = server.local_addr("mqtt").ok_or("no MQTT listener")?;
    let received = tokio::task::spawn_blocking(move || round_trip(mqtt)).await??;
    println!(
        "MQTT on {mqtt} delivered {:?}",
        String::from_utf8_lossy(&received)
    );
    server.stop().await?;
    std::fs::remove_dir_all(data_dir)?;
    Ok(())
}

/// One client that subscribes to `greeting` and publishes to it, in bare MQTT 3.1.1 packets.
fn round_trip(mqtt: std::net::SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut client = TcpStream::connect(mqtt)?;
    client.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01e")?; // CONNECT
    expect(&mut client, 4)?; // CONNACK
    client.write_all(b"\x82\x0d\x00\x01\x00\x08greeting\x00")?; // SUBSCRIBE, QoS 0
    expect(&mut client, 5)?; // SUBACK
    client.write_all(b"\x30\x0f\x00\x08greetinghello")?; // PUBLISH, QoS 0
    let packet = expect(&mut client, 17)?;
    Ok(packet[12..].to_vec())
}

fn expect(client: &mut TcpStream, length: usize) -> std::io::Result<Vec<u8>> {
    let mut packet = vec![0; length];
    client.read_exact(&mut packet)?;
    Ok(packet)
}
