//! A client that others wrote: fe2o3-amqp.

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::link::{Receiver, Sender};
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{
    Body, Data, Header, Message, MessageId, Modified, Outcome, Properties,
};
use fe2o3_amqp::types::primitives::{Binary, Value};
use fe2o3_amqp::{Connection, Delivery, Session};

use crate::support::{Server, within};

type Delivered = Delivery<Body<Value>>;

/// A connection with its session.
struct Client {
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
}

impl Client {
    async fn connect(server: &Server, profile: Option<SaslProfile>) -> Self {
        let url = format!("amqp://{}", server.address("amqp"));
        let builder = Connection::builder().container_id("foreign");
        let builder = match profile {
            Some(profile) => builder.sasl_profile(profile),
            None => builder,
        };
        let mut connection = within(builder.open(&*url)).await.unwrap();
        let session = within(Session::begin(&mut connection)).await.unwrap();
        Self {
            connection,
            session,
        }
    }

    async fn sender(&mut self, address: &str) -> Sender {
        within(Sender::attach(&mut self.session, "sender", address))
            .await
            .unwrap()
    }

    async fn receiver(&mut self, name: &str, address: &str) -> Receiver {
        within(Receiver::attach(&mut self.session, name, address))
            .await
            .unwrap()
    }

    async fn close(mut self) {
        within(self.session.end()).await.unwrap();
        within(self.connection.close()).await.unwrap();
    }
}

async fn send(sender: &mut Sender, text: &str) {
    let message = Message::builder()
        .header(Header {
            durable: true,
            ..Header::default()
        })
        .value(text.to_owned())
        .build();
    let outcome = within(sender.send(message)).await.unwrap();
    assert!(matches!(outcome, Outcome::Accepted(_)), "{outcome:?}");
}

async fn next(receiver: &mut Receiver) -> Delivered {
    within(receiver.recv()).await.unwrap()
}

fn text(delivery: &Delivered) -> &str {
    match delivery.body().try_as_value() {
        Ok(Value::String(text)) => text,
        other => panic!("no text: {other:?}"),
    }
}

fn count(delivery: &Delivered) -> u32 {
    let header = delivery.message().header.as_ref();
    header.map_or(0, |header| header.delivery_count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_sends_receives_and_accepts() {
    let server = Server::start().await;
    let plain = SaslProfile::Plain {
        username: "ann".into(),
        password: "s3cret".into(),
    };
    for profile in [None, Some(SaslProfile::Anonymous), Some(plain)] {
        let mut client = Client::connect(&server, profile).await;
        let mut sender = client.sender("foreign").await;
        let mut receiver = client.receiver("receiver", "foreign").await;
        for n in 0..100 {
            send(&mut sender, &format!("body {n}")).await;
        }
        for n in 0..100 {
            let delivery = next(&mut receiver).await;
            assert_eq!(text(&delivery), format!("body {n}"));
            within(receiver.accept(&delivery)).await.unwrap();
        }
        within(sender.close()).await.unwrap();
        within(receiver.close()).await.unwrap();
        client.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_gets_back_what_it_gave_back() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, None).await;
    let mut sender = client.sender("again").await;
    send(&mut sender, "x").await;
    let mut receiver = client.receiver("receiver", "again").await;
    let first = next(&mut receiver).await;
    assert_eq!((text(&first), count(&first)), ("x", 0));
    within(receiver.release(&first)).await.unwrap();
    let second = next(&mut receiver).await;
    assert_eq!((text(&second), count(&second)), ("x", 0));
    let failed = Modified {
        delivery_failed: Some(true),
        undeliverable_here: None,
        message_annotations: None,
    };
    within(receiver.modify(&second, failed)).await.unwrap();
    let third = next(&mut receiver).await;
    assert_eq!((text(&third), count(&third)), ("x", 1));
    within(receiver.reject(&third, None)).await.unwrap();
    let mut dead = client.receiver("dead", "DLQ").await;
    let letter = next(&mut dead).await;
    assert_eq!(text(&letter), "x");
    within(dead.accept(&letter)).await.unwrap();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_gives_credit_by_hand() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, None).await;
    let mut sender = client.sender("credit").await;
    for body in ["one", "two", "three"] {
        send(&mut sender, body).await;
    }
    let attached = Receiver::builder()
        .name("receiver")
        .source("credit")
        .credit_mode(CreditMode::Manual)
        .attach(&mut client.session);
    let mut receiver = within(attached).await.unwrap();
    for (credit, body) in [(1, "one"), (1, "two"), (9, "three")] {
        within(receiver.set_credit(credit)).await.unwrap();
        let delivery = next(&mut receiver).await;
        assert_eq!(text(&delivery), body);
        within(receiver.accept(&delivery)).await.unwrap();
    }
    within(receiver.close()).await.unwrap();
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_gets_sections_and_large_bodies_unchanged() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, None).await;
    let mut sender = client.sender("large").await;
    let body: Vec<u8> = (0..150_000_u32).map(|n| (n % 251) as u8).collect();
    let message = Message::builder()
        .properties(
            Properties::builder()
                .message_id(7_u64)
                .subject("large")
                .build(),
        )
        .data(Data(Binary::from(body.clone())))
        .build();
    within(sender.send(message)).await.unwrap();
    let mut receiver = client.receiver("receiver", "large").await;
    let delivery: Delivery<Data> = within(receiver.recv()).await.unwrap();
    assert!(delivery.body().0 == body, "another body");
    let properties = delivery.message().properties.as_ref().unwrap();
    assert_eq!(properties.message_id, Some(MessageId::Ulong(7)));
    assert_eq!(properties.subject.as_deref(), Some("large"));
    within(receiver.accept(&delivery)).await.unwrap();
    client.close().await;
}
