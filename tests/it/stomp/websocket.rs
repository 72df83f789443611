//! STOMP over WebSocket: frames do not follow the messages that carry them.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use futures_sink::Sink;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Server, within};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection that says and hears nothing yet.
async fn open(server: &Server) -> Socket {
    let address = server.address("websocket");
    let mut request = format!("ws://{address}/stomp")
        .into_client_request()
        .unwrap();
    let protocol = "v12.stomp".parse().unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    within(connect_async(request)).await.unwrap().0
}

async fn send(socket: &mut Socket, text: &str) {
    let mut sink = Pin::new(socket);
    poll_fn(|context| sink.as_mut().poll_ready(context))
        .await
        .unwrap();
    sink.as_mut().start_send(Message::text(text)).unwrap();
    poll_fn(|context| sink.as_mut().poll_flush(context))
        .await
        .unwrap();
}

async fn next(socket: &mut Socket) -> String {
    let next = poll_fn(|context| Pin::new(&mut *socket).poll_next(context));
    let message = within(next).await.unwrap().unwrap();
    message.to_text().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_h2_a_heart_beat_is_a_message_of_one_line_end() {
    let server = Server::start_with(&["stomp.heart_beat_ms=[500, 0]"]).await;
    let mut socket = open(&server).await;
    let connect = "CONNECT\naccept-version:1.2\nheart-beat:0,500\nhost:x\n\n\0";
    send(&mut socket, connect).await;
    assert!(next(&mut socket).await.starts_with("CONNECTED\n"));
    for _ in 0..2 {
        assert_eq!(next(&mut socket).await, "\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_may_span_messages_and_a_message_hold_many() {
    let server = Server::start().await;
    let mut socket = open(&server).await;
    for part in [
        "CONNECT\naccept-version:1.2\nhost:x\n\n\0SUBSCR",
        "IBE\nid:s\ndestination:/topic/t\n\n\0",
        "SEND\ndestination:/topic/t\n\none\0SEND\ndestination:/topic/t\n\ntw",
        "o\0",
    ] {
        send(&mut socket, part).await;
    }
    let mut text = String::new();
    while !text.contains("\n\ntwo\0") {
        text += &next(&mut socket).await;
    }
    assert!(text.starts_with("CONNECTED\n"), "{text}");
    assert!(text.contains("\n\none\0"), "{text}");
}
