//! STOMP over WebSocket: frames do not follow the messages that carry them.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use futures_sink::Sink;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::{Server, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_may_span_messages_and_a_message_hold_many() {
    let server = Server::start().await;
    let address = server.address("websocket");
    let mut request = format!("ws://{address}/stomp")
        .into_client_request()
        .unwrap();
    let protocol = "v12.stomp".parse().unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let (mut socket, _) = within(connect_async(request)).await.unwrap();
    for part in [
        "CONNECT\naccept-version:1.2\nhost:x\n\n\0SUBSCR",
        "IBE\nid:s\ndestination:/topic/t\n\n\0",
        "SEND\ndestination:/topic/t\n\none\0SEND\ndestination:/topic/t\n\ntw",
        "o\0",
    ] {
        let mut sink = Pin::new(&mut socket);
        poll_fn(|context| sink.as_mut().poll_ready(context))
            .await
            .unwrap();
        sink.as_mut().start_send(Message::text(part)).unwrap();
        poll_fn(|context| sink.as_mut().poll_flush(context))
            .await
            .unwrap();
    }
    let mut text = String::new();
    while !text.contains("\n\ntwo\0") {
        let next = poll_fn(|context| Pin::new(&mut socket).poll_next(context));
        let message = within(next).await.unwrap().unwrap();
        text += message.to_text().unwrap();
    }
    assert!(text.starts_with("CONNECTED\n"), "{text}");
    assert!(text.contains("\n\none\0"), "{text}");
}
