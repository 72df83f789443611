//! Credit, windows, drains, large messages, and links on which messages come.

use super::client::{FLOW, TRANSFER, properties};
use super::{Client, accepted, source};
use crate::support::Server;
use crate::support::amqp::{Value, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r34_r35_r36_an_attach_is_answered_with_what_was_made_of_it() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    let answer = client.receiver(3, "l", source("queue://q", &[])).await;
    assert_eq!(answer.field(0), text("l"));
    assert_eq!(answer.field(2), Value::Bool(false), "the other role");
    assert_eq!(answer.field(9).as_number(), 0, "initial-delivery-count");
    let made = answer.field(5);
    assert_eq!(made.field(0), text("queue://q"));
    assert_eq!(
        made.field(9).names(),
        [
            "amqp:accepted:list",
            "amqp:rejected:list",
            "amqp:released:list",
            "amqp:modified:list"
        ]
    );
    assert_eq!(made.field(8).code(), 0x26, "released by default");
    assert!(answer.field(13).is_null(), "no properties unasked");
}

/// The newer link gets the messages, unsettled ones of the old as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r33_a_link_of_the_same_name_steals_it() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.fill("q", &["a"]).await;
    client.receiver(0, "same", source("queue://q", &[])).await;
    client.credit(0, 0, 10).await;
    assert_eq!(client.message().await.text(), "a");
    client
        .say_receiver(1, "same", source("queue://q", &[]), &[])
        .await;
    let condition = client.expect_detach().await;
    assert_eq!(condition.as_deref(), Some("amqp:link:stolen"));
    client.say_detach(0, true).await;
    client.expect(super::client::ATTACH).await;
    client.credit(1, 0, 10).await;
    assert_eq!(client.message().await.text(), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r46_r48_no_more_comes_than_was_granted() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.fill("q", &["1", "2", "3", "4", "5", "6"]).await;
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.quiet().await;
    client.credit(0, 0, 2).await;
    assert_eq!(client.texts(2).await, ["1", "2"]);
    client.silence(50).await;
    // Of three two have been used.
    client.credit(0, 0, 3).await;
    assert_eq!(client.texts(1).await, ["3"]);
    client.silence(50).await;
    // Fewer than were used are none.
    client.credit(0, 0, 1).await;
    client.silence(50).await;
    client.credit(0, 3, 1).await;
    assert_eq!(client.texts(1).await, ["4"]);
    client.credit(0, 4, 10).await;
    assert_eq!(client.texts(2).await, ["5", "6"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r47_a_drain_brings_what_is_there_and_takes_the_rest_back() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.drain(0, 0, 10).await;
    assert_eq!(client.drained().await, 10, "of an empty queue");
    client.fill("q", &["1", "2", "3"]).await;
    client.silence(50).await;
    client.drain(0, 10, 2).await;
    assert_eq!(client.texts(2).await, ["1", "2"]);
    assert_eq!(client.drained().await, 12);
    client.drain(0, 12, 5).await;
    assert_eq!(client.texts(1).await, ["3"]);
    assert_eq!(client.drained().await, 17);
    client.fill("q", &["4"]).await;
    client.silence(50).await;
    client.credit(0, 17, 5).await;
    assert_eq!(client.texts(1).await, ["4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r49_a_stopped_link_leaves_the_messages_to_others() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client
        .receiver(0, "stopped", source("queue://q", &[]))
        .await;
    client.credit(0, 0, 100).await;
    client.credit(0, 0, 0).await;
    client.quiet().await;
    client.fill("q", &["1", "2"]).await;
    client.receiver(1, "other", source("queue://q", &[])).await;
    client.credit(1, 0, 10).await;
    for expected in ["1", "2"] {
        let message = client.message().await;
        assert_eq!((message.handle, message.text()), (1, expected.into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r25_transfers_stop_at_the_window_and_go_on_in_order() {
    let server = Server::start().await;
    let mut client = Client::named(&server, "it", 3).await;
    let texts: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    client.fill("q", &texts).await;
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.credit(0, 0, 10).await;
    assert_eq!(client.texts(3).await, texts[..3]);
    client.silence(50).await;
    client.window = 2;
    client.session_flow(false).await;
    assert_eq!(client.texts(2).await, texts[3..5]);
    client.window = 100;
    client.session_flow(false).await;
    assert_eq!(client.texts(5).await, texts[5..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r60_a_large_message_leaves_others_their_turn() {
    let server = Server::start_with(&["storage.segment_size=\"32MiB\""]).await;
    let mut client = Client::named(&server, "it", 20).await;
    client.fill("small", &["s"; 10]).await;
    // STOMP sends what one frame of this client's AMQP would not hold.
    let body = "~".repeat(4 << 20);
    let mut stomp = crate::stomp::Client::connect(&server).await;
    let headers = format!("persistent:true\ncontent-length:{}\n", body.len());
    stomp.publish("/queue/large", &headers, &body).await;
    client
        .receiver(0, "large", source("queue://large", &[]))
        .await;
    client
        .receiver(1, "small", source("queue://small", &[]))
        .await;
    client.credit(0, 0, 1).await;
    let (mut bytes, mut small, mut before_the_end) = (0, 0, 0);
    client.credit(1, 0, 10).await;
    while bytes < body.len() || small < 10 {
        if client.window < 10 {
            client.window = 20;
            client.session_flow(false).await;
        }
        let frame = client.expect(TRANSFER).await;
        if frame.field(0).as_number() == 0 {
            assert!(frame.payload.len() <= 4_096);
            bytes += frame.payload.iter().filter(|byte| **byte == b'~').count();
        } else {
            small += 1;
            before_the_end += usize::from(bytes < body.len());
        }
    }
    assert_eq!(bytes, body.len());
    assert_eq!(before_the_end, 10, "none had to wait for the end");
    client.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r37_what_is_too_large_for_the_client_goes_to_the_dead_letters() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    let large = "x".repeat(1_000);
    client.fill("q", &["a", &large, "b"]).await;
    let most = [(10, Value::Ulong(500))];
    client
        .receiver_with(0, "l", source("queue://q", &[]), &most)
        .await;
    client.credit(0, 0, 2).await;
    assert_eq!(client.texts(2).await, ["a", "b"]);
    client.receiver(1, "dead", source("DLQ", &[])).await;
    client.credit(1, 0, 1).await;
    let dead = client.message().await;
    assert_eq!(dead.text(), large);
    assert_eq!(dead.annotation("x-opt-ORIG-QUEUE"), Some(text("q")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r38_pre_settled_messages_are_gone_when_they_are_written() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.fill("q", &["a", "b"]).await;
    let settled = [(3, Value::Ubyte(1))];
    let answer = client
        .receiver_with(0, "l", source("queue://q", &[]), &settled)
        .await;
    assert_eq!(answer.field(3).as_number(), 1);
    client.credit(0, 0, 1).await;
    let message = client.message().await;
    assert!(message.settled);
    client.detach(0, true).await;
    client.receiver(1, "other", source("queue://q", &[])).await;
    client.drain(1, 0, 10).await;
    assert_eq!(client.texts(1).await, ["b"]);
    assert_eq!(client.drained().await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r42_a_detached_link_returns_what_it_held_in_order_and_uncounted() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.fill("q", &["a", "b", "c", "d"]).await;
    for closed in [false, true] {
        client.receiver(0, "l", source("queue://q", &[])).await;
        client.credit(0, 0, 3).await;
        client.texts(3).await;
        client.detach(0, closed).await;
    }
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.credit(0, 0, 4).await;
    for expected in ["a", "b", "c", "d"] {
        let message = client.message().await;
        assert_eq!((message.text(), message.count()), (expected.into(), 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r45_a_consumer_of_a_higher_priority_comes_first() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    for (handle, priority) in [(0, 1), (1, 5), (2, 3)] {
        let name = handle.to_string();
        let others = [properties(&[("priority", Value::Int(priority))])];
        client
            .receiver_with(handle, &name, source("queue://q", &[]), &others)
            .await;
        client.credit(handle, 0, 1).await;
    }
    client.quiet().await;
    client.fill_without_waiting("q", &["a", "b", "c"]).await;
    let mut order = Vec::new();
    for _ in 0..3 {
        let message = client.message().await;
        order.push((message.text(), message.handle));
    }
    order.sort();
    let order: Vec<u64> = order.into_iter().map(|(_, handle)| handle).collect();
    assert_eq!(order, [1, 2, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_a_session_that_ends_returns_its_messages() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.fill("q", &["a", "b"]).await;
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.credit(0, 0, 5).await;
    let first = client.message().await;
    client.settle(first.id, first.id, accepted()).await;
    assert_eq!(client.message().await.text(), "b");
    client.say(super::client::END, &[]).await;
    client.expect(super::client::END).await;
    let mut other = Client::connect(&server).await;
    other.receiver(0, "l", source("queue://q", &[])).await;
    other.drain(0, 0, 5).await;
    let message = other.message().await;
    assert_eq!((message.text(), message.count()), ("b".into(), 0));
    assert_eq!(other.drained().await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_an_echo_tells_the_state_of_the_link() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.fill("q", &["a"]).await;
    client.receiver(0, "l", source("queue://q", &[])).await;
    client.credit(0, 0, 5).await;
    client.message().await;
    client.ask_echo(0, 1, 4).await;
    let flow = client.frame().await;
    assert_eq!(flow.code(), FLOW);
    let (count, credit) = (flow.field(5).as_number(), flow.field(6).as_number());
    assert_eq!((count, credit), (1, 4));
    assert_ne!(flow.field(9), Value::Bool(true), "no echo of an echo");
}
