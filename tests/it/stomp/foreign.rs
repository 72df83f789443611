//! A client that others wrote: iridium-stomp, over STOMP 1.2.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use iridium_stomp::{AckMode, Connection, Frame, Subscription};

use crate::support::{Server, within};

const PATIENCE: Duration = Duration::from_secs(10);

async fn connect(server: &Server) -> Connection {
    let address = server.address("stomp").to_string();
    within(Connection::connect(
        &address,
        "user",
        "password",
        "1000,1000",
    ))
    .await
    .unwrap()
}

async fn next(subscription: &mut Subscription) -> Frame {
    within(poll_fn(|context| {
        Pin::new(&mut *subscription).poll_next(context)
    }))
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_sends_subscribes_and_acknowledges() {
    let server = Server::start().await;
    let client = connect(&server).await;
    let mut subscription = client
        .subscribe("/queue/foreign", AckMode::ClientIndividual)
        .await
        .unwrap();
    for n in 0..10 {
        let frame = Frame::new("SEND")
            .header("destination", "/queue/foreign")
            .header("persistent", "true")
            .header("odd", "a:b\\c\nd")
            .set_body(format!("body {n}"));
        client.send_frame_confirmed(frame, PATIENCE).await.unwrap();
        let message = next(&mut subscription).await;
        assert_eq!(message.body, format!("body {n}").into_bytes());
        assert_eq!(message.get_header("odd"), Some("a:b\\c\nd"));
        subscription.ack_frame(&message).await.unwrap();
    }
    within(client.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_gets_back_what_it_refused() {
    let server = Server::start().await;
    let client = connect(&server).await;
    client.send("/queue/foreign", "again").await.unwrap();
    let mut subscription = client
        .subscribe("/queue/foreign", AckMode::Client)
        .await
        .unwrap();
    let first = next(&mut subscription).await;
    assert_eq!(first.get_header("redelivered"), None);
    subscription.nack_frame(&first).await.unwrap();
    let second = next(&mut subscription).await;
    assert_eq!(second.get_header("redelivered"), Some("true"));
    assert_eq!(second.get_header("delivery-count"), Some("1"));
    subscription.ack_frame(&second).await.unwrap();
    within(client.close()).await.unwrap();
}
