//! A whole server whose MQTT and STOMP are the line protocol of the connection tests.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use ternmq_core::address::{Address, QueueName};
use ternmq_core::command::{Command, QueueSpec, RoutingType};
use ternmq_core::dialect::Dialect;
use ternmq_journal::vfs::{Faults, SimDisk};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Server, ServerError, options};
use crate::config::Config;
use crate::connection::tests::lines::Lines;
use crate::engine::Engine;
use crate::frontends::{ByteProtocol, Registry};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct World {
    server: Server,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(sets: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), sets);
        let server = Server::start_with(config, lines()).await.unwrap();
        Self { server, _dir: dir }
    }

    fn address(&self, listener: &str) -> SocketAddr {
        self.server.local_addr(listener).unwrap()
    }

    async fn tcp(&self, listener: &str) -> TcpStream {
        TcpStream::connect(self.address(listener)).await.unwrap()
    }

    async fn websocket(&self, path: &str, protocols: &str) -> Result<Socket, Error> {
        let address = self.address("websocket");
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        if !protocols.is_empty() {
            let protocols = protocols.parse().unwrap();
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", protocols);
        }
        within(connect_async(request))
            .await
            .map(|(socket, _)| socket)
    }
}

fn config(dir: &std::path::Path, sets: &[&str]) -> Config {
    let mut all: Vec<String> = ["mqtt", "amqp", "stomp", "auto", "websocket", "http"]
        .iter()
        .map(|name| format!("listeners.{name}.bind=\"127.0.0.1:0\""))
        .collect();
    all.push(format!("storage.data_dir={:?}", dir.display().to_string()));
    all.push("storage.segment_size=\"8MiB\"".to_owned());
    all.extend(sets.iter().map(|set| (*set).to_owned()));
    Config::load(None, &all).unwrap()
}

fn lines() -> Registry {
    let mut registry = Registry::default();
    registry.insert(ByteProtocol::Mqtt, |_| Box::new(Lines::default()));
    registry.insert(ByteProtocol::Stomp, |_| Box::new(Lines::default()));
    registry
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .unwrap()
}

async fn send(socket: &mut Socket, message: Message) {
    within(std::future::poll_fn(|cx| {
        Pin::new(&mut *socket).poll_ready(cx)
    }))
    .await
    .unwrap();
    Pin::new(&mut *socket).start_send(message).unwrap();
    within(std::future::poll_fn(|cx| {
        Pin::new(&mut *socket).poll_flush(cx)
    }))
    .await
    .unwrap();
}

async fn receive(socket: &mut Socket) -> Message {
    within(std::future::poll_fn(|cx| {
        Pin::new(&mut *socket).poll_next(cx)
    }))
    .await
    .unwrap()
    .unwrap()
}

/// Bytes of the messages until they are as many as `text` has.
async fn expect(socket: &mut Socket, text: &str) {
    let mut got = Vec::new();
    while got.len() < text.len() {
        match receive(socket).await {
            Message::Ping(_) | Message::Pong(_) => {}
            message => got.extend_from_slice(&message.into_data()),
        }
    }
    assert_eq!(String::from_utf8_lossy(&got), text);
}

fn fragment(bytes: &'static [u8], opcode: OpCode, is_final: bool) -> Message {
    let header = FrameHeader {
        is_final,
        opcode,
        ..FrameHeader::default()
    };
    Message::Frame(Frame::from_payload(header, Bytes::from_static(bytes)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_01_message_boundaries_mean_nothing() {
    let world = World::new(&[]).await;
    let mut socket = world.websocket("/mqtt", "mqtt").await.unwrap();
    for byte in b"connect\necho bytes\n" {
        send(&mut socket, Message::Binary(vec![*byte].into())).await;
    }
    expect(&mut socket, "bytes\n").await;
    let heap = "echo heap\n".repeat(1_000);
    send(&mut socket, Message::Binary(heap.into_bytes().into())).await;
    expect(&mut socket, &"heap\n".repeat(1_000)).await;
    send(
        &mut socket,
        fragment(b"echo fr", OpCode::Data(Data::Binary), false),
    )
    .await;
    send(&mut socket, Message::Ping(Bytes::from_static(b"p"))).await;
    send(
        &mut socket,
        fragment(b"agm", OpCode::Data(Data::Continue), false),
    )
    .await;
    assert_eq!(
        receive(&mut socket).await,
        Message::Pong(Bytes::from_static(b"p"))
    );
    send(
        &mut socket,
        fragment(b"ent\n", OpCode::Data(Data::Continue), true),
    )
    .await;
    expect(&mut socket, "fragment\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_03_the_handshake_echoes_one_subprotocol_or_fails_at_once() {
    let world = World::new(&[]).await;
    let table = [
        ("/", "mqtt", Some("mqtt")),
        ("/ws", "mqttv3.1", Some("mqttv3.1")),
        ("/mqtt", "mqttv3.1, mqtt", Some("mqtt")),
        ("/stomp", "v11.stomp, v12.stomp", Some("v12.stomp")),
    ];
    for (path, offered, chosen) in table {
        let address = world.address("websocket");
        let mut request = format!("ws://{address}{path}")
            .into_client_request()
            .unwrap();
        let offered = offered.parse().unwrap();
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", offered);
        let (_, response) = within(connect_async(request)).await.unwrap();
        let echoed = response.headers().get("Sec-WebSocket-Protocol");
        assert_eq!(echoed.map(|name| name.to_str().unwrap()), chosen, "{path}");
    }
    assert!(world.websocket("/stomp", "").await.is_ok());
    for (path, offered) in [("/", ""), ("/ws", "foo"), ("/", "amqp"), ("/amqp", "")] {
        match world.websocket(path, offered).await {
            Err(Error::Http(response)) => {
                assert_eq!(
                    response.status(),
                    StatusCode::BAD_REQUEST,
                    "{path} {offered}"
                );
            }
            other => panic!("{path} {offered}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_03_a_foreign_origin_is_refused() {
    let world = World::new(&["security.allowed_origins=[\"https://shop.example\"]"]).await;
    let connect = async |origin: &str| {
        let address = world.address("http");
        let mut request = format!("ws://{address}/mqtt")
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert("Origin", origin.parse().unwrap());
        within(connect_async(request)).await
    };
    assert!(connect("https://shop.example").await.is_ok());
    match connect("https://evil.example").await {
        Err(Error::Http(response)) => assert_eq!(response.status(), StatusCode::FORBIDDEN),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_03_text_on_mqtt_closes_with_1003() {
    let world = World::new(&[]).await;
    let mut socket = world.websocket("/mqtt", "mqtt").await.unwrap();
    send(
        &mut socket,
        Message::Binary(b"connect\necho x\n".as_slice().into()),
    )
    .await;
    expect(&mut socket, "x\n").await;
    send(&mut socket, Message::Text("echo y\n".into())).await;
    match receive(&mut socket).await {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1003),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_03_stomp_answers_text_until_the_client_sends_binary() {
    let world = World::new(&[]).await;
    let mut socket = world.websocket("/stomp", "v12.stomp").await.unwrap();
    send(&mut socket, Message::Text("connect\necho text\n".into())).await;
    assert_eq!(receive(&mut socket).await, Message::Text("text\n".into()));
    send(
        &mut socket,
        Message::Binary(b"echo bytes\n".as_slice().into()),
    )
    .await;
    let bytes = Message::Binary(b"bytes\n".as_slice().into());
    assert_eq!(receive(&mut socket).await, bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_above_the_limit_closes_with_1009() {
    let world = World::new(&["limits.max_frame_bytes.websocket=\"1KiB\""]).await;
    let mut socket = world.websocket("/mqtt", "mqtt").await.unwrap();
    send(&mut socket, Message::Binary(vec![b'x'; 2_000].into())).await;
    match receive(&mut socket).await {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1009),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_port_takes_every_protocol_by_its_first_bytes() {
    let world = World::new(&[]).await;
    let mut http = world.tcp("auto").await;
    http.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    within(http.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let mut stomp = world.tcp("auto").await;
    for byte in b"CONNECT\necho hello\nbye\n" {
        stomp.write_all(&[*byte]).await.unwrap();
    }
    let mut answer = String::new();
    within(stomp.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "hello\nbye\n");
    let mut http2 = world.tcp("auto").await;
    http2
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut head = [0; 9];
    within(http2.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[3], 4, "a SETTINGS frame: {head:?}");
    for stranger in [
        &b"AMQP\x00\x01\x00\x00"[..],
        b"\x00\x00\x01\x46\x01ActiveMQ",
    ] {
        let mut stream = world.tcp("auto").await;
        stream.write_all(stranger).await.unwrap();
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.ok();
        assert!(answer.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_says_nothing_is_closed_on_every_port() {
    let world = World::new(&["limits.connect_timeout_ms=150"]).await;
    for (listener, begin) in [
        ("auto", &b""[..]),
        ("auto", b"CONN"),
        ("http", b""),
        ("http", b"GET /li"),
        ("http", b"GET /livez HTTP/1.1\r\nHost"),
        ("websocket", b""),
    ] {
        let mut stream = world.tcp(listener).await;
        stream.write_all(begin).await.unwrap();
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.unwrap();
    }
    let mut stream = world.tcp("mqtt").await;
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "too slow\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l25_connections_above_the_limit_are_closed_and_seats_come_back() {
    let world = World::new(&["limits.max_connections=2"]).await;
    let hello = async |stream: &mut TcpStream| -> bool {
        stream.write_all(b"connect\necho hi\n").await.ok();
        let mut answer = [0; 3];
        within(stream.read_exact(&mut answer)).await.is_ok()
    };
    let (mut one, mut two) = (world.tcp("mqtt").await, world.tcp("mqtt").await);
    assert!(hello(&mut one).await && hello(&mut two).await);
    assert!(!hello(&mut world.tcp("mqtt").await).await);
    assert_eq!(world.server.environment.counters.refused(), 1);
    drop(one);
    within(async { while !hello(&mut world.tcp("mqtt").await).await {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let bind = format!("listeners.stomp.bind=\"127.0.0.1:{port}\"");
    let error = Server::start_with(config(dir.path(), &[&bind]), lines()).await;
    let error = error.err().unwrap();
    assert!(matches!(error, ServerError::Bind(_)));
    let text = error.to_string();
    assert!(
        text.contains(&format!("127.0.0.1:{port} (listeners.stomp.bind)")),
        "{text}"
    );
    // The engine has let go of its directory.
    let again = Server::start_with(config(dir.path(), &[]), lines()).await;
    again.unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_says_goodbye_on_every_transport_and_the_directory_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(config(dir.path(), &[]), lines())
        .await
        .unwrap();
    let world = World {
        server,
        _dir: tempfile::tempdir().unwrap(),
    };
    let mut tcp = world.tcp("mqtt").await;
    tcp.write_all(b"connect\necho up\n").await.unwrap();
    let mut up = [0; 3];
    within(tcp.read_exact(&mut up)).await.unwrap();
    let mut socket = world.websocket("/stomp", "stomp").await.unwrap();
    send(&mut socket, Message::Text("connect\necho up\n".into())).await;
    expect(&mut socket, "up\n").await;
    // HTTP connections that are silent or idle must not hold up the stop.
    let _silent = world.tcp("http").await;
    let mut idle = world.tcp("http").await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    within(idle.read_exact(&mut [0; 15])).await.unwrap();
    let counters = &world.server.environment.counters;
    within(async {
        while counters.open() < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let begun = std::time::Instant::now();
    let clients = async {
        let mut words = String::new();
        tcp.read_to_string(&mut words).await.unwrap();
        drop(tcp);
        expect(&mut socket, "stopping\n").await;
        assert!(matches!(
            receive(&mut socket).await,
            Message::Close(Some(_))
        ));
        words
    };
    let (stopped, words) = within(async { tokio::join!(world.server.stop(), clients) }).await;
    stopped.unwrap();
    assert_eq!(words, "stopping\n");
    assert!(begun.elapsed() < Duration::from_secs(2));
    let again = Server::start_with(config(dir.path(), &[]), lines()).await;
    again.unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l8_a_failed_sync_is_told_so_that_the_process_exits() {
    let disk = SimDisk::new();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &[]);
    let (seed, _) = options::seeds().unwrap();
    let engine = Engine::open(Arc::new(disk.clone()), options::engine(&config, 1), seed).unwrap();
    let server = Server::begin(&config, lines(), engine.clone()).unwrap();
    let name = |k| QueueName::parse(&format!("q{k}"), Dialect::Canonical, 100).unwrap();
    let broken = async {
        for k in 0.. {
            // The sync that fails may be one of the pool's, which harms nothing.
            disk.set_faults(Faults {
                fail_sync: Some(0),
                ..Faults::default()
            });
            engine.declare(vec![Command::DeclareQueue(QueueSpec {
                queue: name(k),
                address: Address::parse("a", Dialect::Canonical, 100).unwrap(),
                routing: RoutingType::Anycast,
                durable: true,
            })]);
            let failed = tokio::time::timeout(Duration::from_millis(50), server.failed());
            if failed.await.is_ok() {
                return;
            }
        }
    };
    within(broken).await;
    assert!(matches!(server.stop().await, Err(ServerError::Poisoned)));
}
