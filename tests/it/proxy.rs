//! Listeners behind a proxy that speaks the PROXY protocol: in front of every protocol, and what is
//! done with connections that no proxy introduces.

use std::io::{self, Write};
use std::time::Duration;

use crate::support::Server;
use crate::support::http::{Response, request};
use crate::support::mqtt::{Session, connect};
use crate::support::process::{Home, Process, wait_until};
use crate::support::stomp::frame;
use crate::support::wire::{PATIENCE, Wire};

/// Beginnings of answers.
const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const CONNECTED: &[u8] = b"CONNECTED\n";
const OK: &[u8] = b"HTTP/1.1 200 ";
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";

/// What each listener is told by a client, and how it answers.
fn conversations() -> [(&'static str, Vec<u8>, &'static [u8]); 6] {
    let stomp = || frame("CONNECT", &[("accept-version", "1.2"), ("host", "/")], b"");
    let upgrade = "GET /mqtt HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    [
        ("mqtt", connect("behind", Session::Clean, 0), CONNACK),
        ("stomp", stomp(), CONNECTED),
        ("auto", connect("behind", Session::Clean, 0), CONNACK),
        ("auto", stomp(), CONNECTED),
        ("auto", request("GET /livez", &[], b""), OK),
        ("websocket", upgrade.into(), SWITCHING),
    ]
}

/// A header of version 2 for an IPv4 client, with a TLV behind its addresses.
fn v2(client: [u8; 4], port: u16) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10".to_vec();
    bytes.extend(client);
    bytes.extend([10, 0, 0, 1]);
    bytes.extend(port.to_be_bytes());
    bytes.extend([7, 91]);
    bytes.extend(b"\x04\0\x01x");
    bytes
}

fn start() -> Process {
    let sets = ["mqtt", "amqp", "stomp", "auto", "websocket"]
        .map(|name| format!("listeners.{name}.proxy_protocol=required"));
    let mut sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    sets.push("logging.level=debug");
    Home::new("").start_with(&sets)
}

/// Sends `parts` one by one and checks how the answer begins.
fn converse(process: &Process, listener: &str, parts: &[&[u8]], begin: &[u8]) -> io::Result<()> {
    let mut wire = process.tcp(listener);
    for part in parts {
        wire.output.write_all(part)?;
    }
    let answer = wire.input.exactly(begin.len())?;
    assert_eq!(answer, begin, "{listener}: {}", answer.escape_ascii());
    Ok(())
}

/// Mutant seen caught: a listener that hands on its own socket's peer as the client's address.
#[test]
fn clients_of_a_proxy_are_served_and_logged_under_their_own_address() {
    let process = start();
    for (index, (listener, first, begin)) in conversations().into_iter().enumerate() {
        let port = 50_000 + u16::try_from(index).unwrap();
        let v1 = format!("PROXY TCP4 203.0.113.1 10.0.0.1 {port} 1883\r\n").into_bytes();
        let v2 = v2([203, 0, 113, 2], port);
        for header in [&v1, &v2] {
            let together = [&header[..], &first].concat();
            converse(&process, listener, &[&together], begin).unwrap();
            let apart = [&header[..1], &header[1..], &first[..1], &first[1..]];
            converse(&process, listener, &apart, begin).unwrap();
        }
        if begin == CONNACK || begin == CONNECTED {
            for client in ["203.0.113.1", "203.0.113.2"] {
                let address = format!("\"address\":\"{client}:{port}\"");
                let logged = || process.last_words().contains(&address);
                wait_until(&address, PATIENCE, logged);
            }
        }
    }
}

/// The proxy's own checks of health are connections like others.
#[test]
fn what_names_no_client_keeps_the_address_of_the_socket() {
    let process = start();
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
    for header in [&b"PROXY UNKNOWN\r\n"[..], local] {
        let parts: [&[u8]; 2] = [header, &connect("check", Session::Clean, 0)];
        converse(&process, "mqtt", &parts, CONNACK).unwrap();
    }
    let connected = || {
        let log = process.last_words();
        let lines = log.lines().filter(|line| line.contains("\"connected\""));
        lines.filter(|line| line.contains("127.0.0.1:")).count() == 2
    };
    wait_until("two connections from here", PATIENCE, connected);
    let mut http = process.tcp("http");
    let get = request("GET /metrics", &[], b"");
    http.output.write_all(&get).unwrap();
    assert_eq!(Response::read(&mut http.input).unwrap().status, 200);
}

/// Sends `bytes`; nothing must come back before the connection ends.
async fn refused(server: &Server, listener: &str, bytes: &[u8]) {
    let (address, bytes) = (server.address(listener), bytes.to_vec());
    let answer = tokio::task::spawn_blocking(move || {
        let mut wire = Wire::tcp(address)?;
        wire.output.write_all(&bytes)?;
        wire.input.until_closed()
    });
    let answer = answer.await.unwrap().unwrap();
    assert!(answer.is_empty(), "{}", answer.escape_ascii());
}

/// Mutant seen caught: a missing header taken for a client that connects itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_or_missing_header_ends_the_connection_without_an_answer() {
    let server = Server::start_with(&[
        "listeners.mqtt.proxy_protocol=required",
        "listeners.auto.proxy_protocol=required",
    ])
    .await;
    let long_line = [&b"PROXY TCP4 "[..], &[b'1'; 96]].concat();
    let too_long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
    let rows: [(&str, Vec<u8>); 6] = [
        ("missing", connect("naked", Session::Clean, 0)),
        ("missing", request("GET /livez", &[], b"")),
        ("malformed", b"PROXY TCP4 nowhere 10.0.0.1 1 2\r\n".to_vec()),
        ("malformed", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x01x".to_vec()),
        ("too_long", long_line),
        ("too_long", too_long.to_vec()),
    ];
    for (fault, bytes) in rows {
        let sample = format!("ternmq_connections_proxy_refused_total{{reason=\"{fault}\"}}");
        for listener in ["mqtt", "auto"] {
            let before = server.metric(&sample).await;
            refused(&server, listener, &bytes).await;
            server.until(&sample, |count| count == before + 1).await;
        }
    }
    server.until("ternmq_connections", |open| open <= 1).await;
    server.stop().await;
}

/// Mutant seen caught: no limit of time for the header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_must_end_in_time() {
    let server = Server::start_with(&[
        "listeners.mqtt.proxy_protocol=required",
        "limits.connect_timeout_ms=200",
    ])
    .await;
    refused(&server, "mqtt", b"PROXY TCP4 203.0.113.1").await;
    refused(&server, "mqtt", b"").await;
    let sample = "ternmq_connections_proxy_refused_total{reason=\"incomplete\"}";
    server.until(sample, |count| count == 2).await;
    server.stop().await;
}

/// Mutant seen caught: a list of proxies that nobody asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_proxies_may_connect() {
    let server = Server::start_with(&[
        "listeners.mqtt.proxy_protocol=required",
        "listeners.mqtt.proxy_from=[\"192.0.2.0/24\", \"::1\"]",
        "listeners.stomp.proxy_protocol=required",
        "listeners.stomp.proxy_from=[\"127.0.0.0/8\"]",
    ])
    .await;
    refused(&server, "mqtt", b"").await;
    let sample = "ternmq_connections_proxy_refused_total{reason=\"untrusted\"}";
    server.until(sample, |count| count == 1).await;
    let address = server.address("stomp");
    let connected = tokio::task::spawn_blocking(move || {
        let mut wire = Wire::tcp(address)?;
        wire.input.set_patience(Duration::from_secs(10))?;
        wire.output
            .write_all(b"PROXY TCP4 203.0.113.1 10.0.0.1 5 6\r\n")?;
        let connect = frame("CONNECT", &[("accept-version", "1.2"), ("host", "/")], b"");
        wire.output.write_all(&connect)?;
        wire.input.exactly(CONNECTED.len())
    });
    assert_eq!(connected.await.unwrap().unwrap(), CONNECTED);
    server.stop().await;
}
