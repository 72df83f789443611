//! Outcomes that clients tell, and what becomes of messages.

use super::client::DISPOSITION;
use super::{Client, accepted, released, source};
use crate::support::Server;
use crate::support::amqp::{Value, composite, sparse, symbol, text};

/// Queues give up a message after three failures.
const THREE_ATTEMPTS: &str = "address_settings=[{match=\"#\", max_delivery_attempts=3}]";

fn rejected(condition: &str, description: &str) -> Value {
    let error = composite(0x1d, vec![symbol(condition), text(description)]);
    composite(0x25, vec![error])
}

fn modified(failed: bool, undeliverable_here: bool, annotations: &[(&str, Value)]) -> Value {
    let pairs = annotations.iter();
    let pairs = pairs.map(|(key, value)| (symbol(key), value.clone()));
    composite(
        0x27,
        vec![
            Value::Bool(failed),
            Value::Bool(undeliverable_here),
            Value::Map(pairs.collect()),
        ],
    )
}

/// A client with a link that has got these messages, whose ids begin at 0.
async fn with(server: &Server, texts: &[&str]) -> Client {
    let mut client = Client::connect(server).await;
    client.fill("q", texts).await;
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.credit(0, 0, 100).await;
    assert_eq!(client.texts(texts.len()).await, texts);
    client
}

/// The messages that are left in a queue, so many, with their delivery counts.
async fn left(server: &Server, queue: &str, count: u32) -> Vec<(String, u64)> {
    let mut client = Client::connect(server).await;
    client.receiver(0, "left", source(queue, &[])).await;
    client.credit(0, 0, count).await;
    let mut left = Vec::new();
    for _ in 0..count {
        let message = client.message().await;
        left.push((message.text(), message.count()));
    }
    client.drain(0, count, 10).await;
    assert_eq!(client.drained().await, u64::from(count) + 10, "no more");
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r62_r66_a_range_settles_what_is_in_it_whatever_the_link() {
    let server = Server::start().await;
    let mut client = with(&server, &["a", "b", "c"]).await;
    client.fill("other", &["x"]).await;
    client
        .receiver(1, "other", source("queue://other", &[]))
        .await;
    client.credit(1, 0, 1).await;
    client.message().await;
    client.settle(1, 1, accepted()).await;
    client.settle(0, 4_000_000, accepted()).await;
    client.quiet().await;
    client.detach(0, true).await;
    client.detach(1, true).await;
    assert_eq!(left(&server, "queue://q", 0).await, []);
    assert_eq!(left(&server, "queue://other", 0).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r64_a_settlement_without_state_has_the_default_outcome() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.fill("q", &["a", "b"]).await;
    let default = [(8, accepted())];
    let answer = client.receiver(0, "l", source("queue://q", &default)).await;
    assert_eq!(answer.field(5).field(8).code(), 0x24);
    client.receiver(1, "m", source("queue://q", &[])).await;
    client.credit(0, 0, 1).await;
    client.message().await;
    client.credit(1, 0, 1).await;
    client.message().await;
    client.settle(0, 1, Value::Null).await;
    client.quiet().await;
    client.detach(0, true).await;
    client.detach(1, true).await;
    assert_eq!(left(&server, "queue://q", 1).await, [("b".into(), 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r65_a_client_that_settles_second_is_told_when_it_may() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.fill("q", &["a", "b"]).await;
    let second = [(4, Value::Ubyte(1))];
    let answer = client
        .receiver_with(0, "l", source("queue://q", &[]), &second)
        .await;
    assert_eq!(answer.field(4).as_number(), 1);
    client.credit(0, 0, 2).await;
    client.texts(2).await;
    client.disposition(0, 1, false, accepted()).await;
    let said = client.expect(DISPOSITION).await;
    assert_eq!(said.field(0), Value::Bool(false), "of the sender");
    let range = (said.field(1).as_number(), said.field(2).as_number());
    assert_eq!(range, (0, 1));
    assert_eq!(said.field(3), Value::Bool(true));
    assert_eq!(said.field(4).code(), 0x24);
    client.settle(0, 1, accepted()).await;
    client.quiet().await;
    client.detach(0, true).await;
    assert_eq!(left(&server, "queue://q", 0).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r67_a_rejected_message_is_dead_and_says_why() {
    let server = Server::start().await;
    let mut client = with(&server, &["a"]).await;
    client
        .settle(0, 0, rejected("amqp:decode-error", "no good"))
        .await;
    client.receiver(1, "dead", source("DLQ", &[])).await;
    client.credit(1, 0, 1).await;
    let dead = client.message().await;
    assert_eq!(dead.text(), "a");
    for (name, value) in [
        ("x-opt-ORIG-ADDRESS", text("q")),
        ("x-opt-ORIG-QUEUE", text("q")),
        ("x-opt-dead-letter-reason", text("rejected")),
        ("x-opt-rejection-condition", symbol("amqp:decode-error")),
        ("x-opt-rejection-description", text("no good")),
    ] {
        assert_eq!(dead.annotation(name), Some(value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r68_a_released_message_takes_its_place_again() {
    let server = Server::start().await;
    let mut client = with(&server, &["a", "b", "c"]).await;
    client.credit(0, 3, 0).await;
    client.settle(1, 1, released()).await;
    client.settle(0, 0, released()).await;
    client.quiet().await;
    let others = left(&server, "queue://q", 2).await;
    assert_eq!(others, [("a".into(), 0), ("b".into(), 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r69_a_failure_is_counted_and_three_are_enough() {
    let server = Server::start_with(&[THREE_ATTEMPTS]).await;
    let mut client = with(&server, &["a"]).await;
    for attempt in 1..3 {
        client
            .settle(attempt - 1, attempt - 1, modified(true, false, &[]))
            .await;
        let message = client.message().await;
        assert_eq!(message.count(), u64::from(attempt));
    }
    client.settle(2, 2, modified(true, false, &[])).await;
    client.receiver(1, "dead", source("DLQ", &[])).await;
    client.credit(1, 0, 1).await;
    let dead = client.message().await;
    let reason = dead.annotation("x-opt-dead-letter-reason");
    assert_eq!(reason, Some(text("max-delivery-attempts")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r69_changed_annotations_stay_with_a_message_over_a_restart() {
    let server = Server::start().await;
    let mut client = with(&server, &["a"]).await;
    let first = [("x-opt-a", text("1")), ("x-opt-b", text("1"))];
    client.settle(0, 0, modified(true, false, &first)).await;
    client.message().await;
    let second = [("x-opt-b", text("2"))];
    client.settle(1, 1, modified(false, false, &second)).await;
    let message = client.message().await;
    assert_eq!(message.count(), 1);
    assert_eq!(message.annotation("x-opt-a"), Some(text("1")));
    assert_eq!(message.annotation("x-opt-b"), Some(text("2")));
    client.detach(0, true).await;
    drop(client);
    let server = server.restart(&[]).await;
    let mut client = Client::connect(&server).await;
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.credit(0, 0, 1).await;
    let message = client.message().await;
    assert_eq!(message.annotation("x-opt-a"), Some(text("1")));
    assert_eq!(message.annotation("x-opt-b"), Some(text("2")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r69_an_undeliverable_message_goes_to_another_link_and_blocks_none() {
    let server = Server::start().await;
    let mut client = with(&server, &["a"]).await;
    client.settle(0, 0, modified(false, true, &[])).await;
    client.fill("q", &["b"]).await;
    assert_eq!(client.message().await.text(), "b");
    client.receiver(1, "other", source("queue://q", &[])).await;
    client.credit(1, 0, 1).await;
    let message = client.message().await;
    assert_eq!((message.handle, message.text()), (1, "a".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r71_a_lost_connection_counts_what_was_written() {
    let server = Server::start().await;
    let client = with(&server, &["a", "b"]).await;
    drop(client);
    let left_behind = left(&server, "queue://q", 2).await;
    assert_eq!(left_behind, [("a".into(), 1), ("b".into(), 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r101_an_outcome_in_a_transaction_is_refused_and_changes_nothing() {
    let server = Server::start().await;
    let mut client = with(&server, &["a"]).await;
    let state = sparse(0x34, &[(0, Value::Binary(b"t".to_vec())), (1, accepted())]);
    client.settle(0, 0, state).await;
    let condition = client.expect_detach().await;
    assert_eq!(condition.as_deref(), Some("amqp:transaction:unknown-id"));
    assert_eq!(left(&server, "queue://q", 1).await, [("a".into(), 0)]);
}
