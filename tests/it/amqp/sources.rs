//! What links consume: queues, topics, temporary nodes, named subscriptions.

use super::{Client, accepted, source};
use crate::support::Server;
use crate::support::amqp::{Value, composite, sparse, symbol, symbols, text};

const DURABILITY: usize = 1;
const DYNAMIC: usize = 4;
const NODE_PROPERTIES: usize = 5;
const DISTRIBUTION: usize = 6;
const FILTER: usize = 7;
const CAPABILITIES: usize = 10;

/// Of an attach.
const DESIRED_CAPABILITIES: usize = 12;

fn capabilities(names: &[&str]) -> (usize, Value) {
    (CAPABILITIES, symbols(names))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r75_r76_a_dynamic_node_is_its_makers_and_goes_with_the_link() {
    let server = Server::start().await;
    let (mut client, mut other) = (
        Client::connect(&server).await,
        Client::named(&server, "o", 100).await,
    );
    let dynamic = sparse(0x28, &[(DYNAMIC, Value::Bool(true))]);
    let answer = client.receiver(0, "reply", dynamic).await;
    let made = answer.field(5);
    let address = made.field(0).as_text().to_owned();
    let lifetime = made.field(NODE_PROPERTIES);
    assert_eq!(lifetime.get("lifetime-policy").unwrap().code(), 0x2b);
    client.credit(0, 0, 10).await;
    other.fill(&address, &["reply"]).await;
    assert_eq!(client.message().await.text(), "reply");
    let condition = other.refused(0, "spy", source(&address, &[]), &[]).await;
    assert_eq!(condition, "amqp:unauthorized-access", "r76");
    client.detach(0, true).await;
    let condition = other.refused_target(1, "late", &address).await;
    assert_eq!(condition, "amqp:not-found");

    let policy = Value::Map(vec![(symbol("lifetime-policy"), composite(0x2d, vec![]))]);
    let unknown = sparse(
        0x28,
        &[(DYNAMIC, Value::Bool(true)), (NODE_PROPERTIES, policy)],
    );
    let condition = client.refused(0, "r", unknown, &[]).await;
    assert_eq!(condition, "amqp:not-implemented");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r77_capabilities_say_the_type_and_are_told_as_far_as_they_hold() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    let topic = capabilities(&["topic", "nothing"]);
    let answer = client.receiver(0, "t", source("news", &[topic])).await;
    assert_eq!(answer.field(5).field(CAPABILITIES).names(), ["topic"]);
    client.credit(0, 0, 10).await;
    client.quiet().await;
    client.fill("topic://news", &["a"]).await;
    assert_eq!(client.message().await.text(), "a");
    let queue = capabilities(&["queue"]);
    let answer = client.receiver(1, "q", source("jobs", &[queue])).await;
    assert_eq!(answer.field(5).field(CAPABILITIES).names(), ["queue"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r44_r77_what_is_not_there_or_is_something_else_is_refused() {
    let settings =
        "address_settings=[{match=\"#\", auto_create_addresses=false, auto_create_queues=false}]";
    let server = Server::start_with(&[settings]).await;
    let mut client = Client::connect(&server).await;
    let condition = client
        .refused(0, "a", source("queue://none", &[]), &[])
        .await;
    assert_eq!(condition, "amqp:not-found");
    let condition = client
        .refused(1, "b", source("topic://DLQ", &[]), &[])
        .await;
    assert_eq!(condition, "amqp:illegal-state");
}

/// Neither looks nor settlements take anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r78_a_copy_of_a_queue_takes_nothing() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    client.fill("q", &["a", "b"]).await;
    let copy = (DISTRIBUTION, symbol("copy"));
    client
        .receiver(0, "look", source("queue://q", &[copy]))
        .await;
    client.credit(0, 0, 10).await;
    assert_eq!(client.texts(2).await, ["a", "b"]);
    client.settle(0, 1, accepted()).await;
    client.fill("q", &["c"]).await;
    assert_eq!(client.message().await.text(), "c", "arrivals are seen, too");
    client.drain(0, 3, 10).await;
    assert_eq!(client.drained().await, 13);
    client.receiver(1, "take", source("queue://q", &[])).await;
    client.credit(1, 0, 10).await;
    assert_eq!(client.texts(3).await, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r78_a_copy_of_a_topic_is_a_subscription() {
    let server = Server::start().await;
    let mut client = Client::connect(&server).await;
    let copy = (DISTRIBUTION, symbol("copy"));
    client
        .receiver(0, "t", source("topic://news", &[copy]))
        .await;
    client.credit(0, 0, 10).await;
    client.quiet().await;
    client.fill("topic://news", &["a"]).await;
    assert_eq!(client.message().await.text(), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r79_r81_of_filters_only_no_local_is_in_effect() {
    let server = Server::start().await;
    let (mut client, mut other) = (
        Client::connect(&server).await,
        Client::named(&server, "o", 100).await,
    );
    let described = |code, value| Value::Described(Box::new(Value::Ulong(code)), Box::new(value));
    let filters = Value::Map(vec![
        (
            symbol("mine"),
            described(0x0000_468C_0000_0003, Value::List(vec![])),
        ),
        (symbol("other"), described(0x0000_468C_0000_9999, text("x"))),
    ]);
    let answer = client
        .receiver(0, "t", source("topic://news", &[(FILTER, filters)]))
        .await;
    match answer.field(5).field(FILTER) {
        Value::Map(pairs) => {
            assert_eq!(pairs.len(), 1, "{pairs:?}");
            assert_eq!(pairs[0].0, symbol("mine"));
        }
        other => panic!("{other:?}"),
    }
    client.credit(0, 0, 10).await;
    client.quiet().await;
    client.fill("topic://news", &["own"]).await;
    other.fill("topic://news", &["other's"]).await;
    assert_eq!(client.message().await.text(), "other's");
}

fn durable(address: &str, capabilities: &[&str]) -> Value {
    let kind = (CAPABILITIES, symbols(capabilities));
    source(address, &[(DURABILITY, Value::Uint(2)), kind])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r83_r42_a_durable_subscription_is_the_containers_and_outlives_links_and_restarts() {
    let server = Server::start().await;
    let mut client = Client::named(&server, "c1", 100).await;
    let answer = client.receiver(0, "sub", durable("news", &["topic"])).await;
    assert_eq!(answer.field(5).field(DURABILITY).as_number(), 1);
    assert_eq!(answer.field(5).field(2), symbol("never"));
    client.detach(0, false).await;
    client.fill("topic://news", &["a", "b"]).await;
    let mut other = Client::named(&server, "c2", 100).await;
    other.receiver(0, "sub", durable("news", &["topic"])).await;
    other.drain(0, 0, 10).await;
    assert_eq!(other.drained().await, 10, "another container, another one");
    drop((client, other));
    let server = server.restart(&[]).await;
    let mut client = Client::named(&server, "c1", 100).await;
    client.receiver(0, "sub", durable("news", &["topic"])).await;
    client.credit(0, 0, 10).await;
    assert_eq!(client.texts(2).await, ["a", "b"]);
    client.detach(0, true).await;
    client.receiver(0, "sub", durable("news", &["topic"])).await;
    client.drain(0, 0, 10).await;
    assert_eq!(client.drained().await, 10, "closed is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r83_links_of_one_name_before_the_bar_share_a_subscription() {
    let server = Server::start().await;
    let mut client = Client::named(&server, "c", 100).await;
    for (handle, name) in [(0, "sub|volatile1"), (1, "sub|volatile2")] {
        let shared = source("news", &[capabilities(&["topic", "shared"])]);
        let desired = [(DESIRED_CAPABILITIES, symbols(&["SHARED-SUBS"]))];
        let answer = client.receiver_with(handle, name, shared, &desired).await;
        assert_eq!(answer.field(11).names(), ["SHARED-SUBS"], "r85");
        assert_eq!(
            answer.field(5).field(CAPABILITIES).names(),
            ["topic", "shared"]
        );
        client.credit(handle, 0, 1).await;
    }
    client.quiet().await;
    client
        .fill_without_waiting("topic://news", &["a", "b"])
        .await;
    let (one, two) = (client.message().await, client.message().await);
    let mut handles = [one.handle, two.handle];
    handles.sort_unstable();
    assert_eq!(handles, [0, 1], "each once");
    let global = durable("news", &["topic", "shared", "global"]);
    client.receiver(2, "g|global", global.clone()).await;
    client.detach(2, false).await;
    client.fill("topic://news", &["x"]).await;
    let mut other = Client::named(&server, "d", 100).await;
    other.receiver(0, "g|global2", global).await;
    other.credit(0, 0, 1).await;
    assert_eq!(other.message().await.text(), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r84_a_link_without_source_finds_its_subscription_and_ends_it() {
    let server = Server::start().await;
    let mut client = Client::named(&server, "c", 100).await;
    let condition = client.refused(0, "sub", Value::Null, &[]).await;
    assert_eq!(condition, "amqp:not-found");
    client
        .receiver(1, "sub", durable("news.>", &["topic"]))
        .await;
    client.detach(1, false).await;
    client.fill("topic://news.a", &["a"]).await;
    let answer = client.receiver(2, "sub", Value::Null).await;
    assert_eq!(answer.field(5).field(0), text("news.>"));
    client.credit(2, 0, 1).await;
    assert_eq!(client.message().await.text(), "a");
    client.detach(2, true).await;
    let condition = client.refused(3, "sub", Value::Null, &[]).await;
    assert_eq!(condition, "amqp:not-found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r83_another_address_makes_an_idle_subscription_anew() {
    let server = Server::start().await;
    let mut client = Client::named(&server, "c", 100).await;
    client.receiver(0, "sub", durable("one", &["topic"])).await;
    client.detach(0, false).await;
    client.fill("topic://one", &["old"]).await;
    client.receiver(0, "sub", durable("two", &["topic"])).await;
    client.fill("topic://one", &["old"]).await;
    client.fill("topic://two", &["new"]).await;
    client.drain(0, 0, 10).await;
    assert_eq!(client.texts(1).await, ["new"]);
    assert_eq!(client.drained().await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r77_r83_what_is_durable_and_has_no_type_is_a_queue_if_there_is_one() {
    let server = Server::start().await;
    let mut client = Client::named(&server, "c", 100).await;
    client.fill("queue://jobs", &["a"]).await;
    client.receiver(0, "jobs", durable("jobs", &[])).await;
    client.credit(0, 0, 1).await;
    assert_eq!(client.message().await.text(), "a", "of the queue");
    client.receiver(1, "news", durable("news", &[])).await;
    client.detach(1, false).await;
    client.fill("news", &["b"]).await;
    client.receiver(1, "news", durable("news", &[])).await;
    client.credit(1, 0, 1).await;
    assert_eq!(client.message().await.text(), "b", "of the subscription");
}
