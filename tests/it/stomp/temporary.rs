//! TQ-01: temporary destinations are private, visible by an opaque name, and gone with their owner.

use super::Client;
use crate::support::Server;

/// Sends a request and gives the `reply-to` that its receiver sees.
async fn request(requester: &mut Client, replier: &mut Client, reply_to: &str) -> String {
    replier.subscribe("work", "/queue/work", "auto").await;
    requester
        .publish("/queue/work", &format!("reply-to:{reply_to}\n"), "question")
        .await;
    let question = replier.message("question").await;
    replier.send("UNSUBSCRIBE\nid:work\nreceipt:w\n\n\0").await;
    replier.receipt("w").await;
    question.get("reply-to").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tq_01_reply_to_without_a_subscription_subscribes() {
    let server = Server::start().await;
    let (mut a, mut b) = Client::pair(&server).await;
    let shown = request(&mut a, &mut b, "/temp-queue/foo").await;
    assert!(
        shown.starts_with("/temp-queue/") && shown != "/temp-queue/foo",
        "{shown}"
    );
    b.publish(&shown, "", "answer").await;
    let answer = a.message("answer").await;
    assert_eq!(answer.get("subscription"), Some("/temp-queue/foo"));
    assert_eq!(answer.get("destination"), Some("/temp-queue/foo"));
    assert_eq!(answer.get("ack"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tq_01_a_subscription_of_the_client_gets_the_answers() {
    let server = Server::start().await;
    let (mut a, mut b) = Client::pair(&server).await;
    a.subscribe("9", "/temp-queue/foo", "client").await;
    let shown = request(&mut a, &mut b, "/temp-queue/foo").await;
    b.publish(&shown, "", "answer").await;
    let answer = a.message("answer").await;
    assert_eq!(answer.get("subscription"), Some("9"));
    assert_eq!(answer.get("destination"), Some("/temp-queue/foo"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tq_01_a_later_subscribe_replaces_the_implied_one() {
    let server = Server::start().await;
    let (mut a, mut b) = Client::pair(&server).await;
    let shown = request(&mut a, &mut b, "/temp-queue/foo").await;
    a.subscribe("9", "/temp-queue/foo", "auto").await;
    for n in 0..4 {
        b.publish(&shown, "", &n.to_string()).await;
        let answer = a.message(&n.to_string()).await;
        assert_eq!(answer.get("subscription"), Some("9"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tq_01_names_are_private_and_late_answers_are_refused() {
    let server = Server::start().await;
    let (mut a, mut b) = Client::pair(&server).await;
    let mut c = Client::connect(&server).await;
    c.subscribe("c", "/temp-queue/foo", "auto").await;
    let shown = request(&mut a, &mut b, "/temp-queue/foo").await;
    b.publish(&shown, "", "for a").await;
    a.message("for a").await;
    // Nobody else may consume it.
    let mut thief = Client::connect(&server).await;
    thief
        .send(format!("SUBSCRIBE\nid:t\ndestination:{shown}\n\n\0"))
        .await;
    let error = thief.error().await;
    assert!(
        error.get("message").unwrap().starts_with("forbidden"),
        "{error:?}"
    );
    a.disconnect().await;
    b.send(format!("SEND\ndestination:{shown}\nreceipt:late\n\nlate\0"))
        .await;
    let error = b.error().await;
    assert!(
        error.get("message").unwrap().starts_with("no-destination"),
        "{error:?}"
    );
    assert_eq!(error.get("receipt-id"), Some("late"));
    c.publish("/temp-queue/foo", "", "own").await;
    c.message("own").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_topics_reach_every_subscription_of_their_owner() {
    let server = Server::start().await;
    let (mut a, mut b) = Client::pair(&server).await;
    a.subscribe("1", "/temp-topic/t", "auto").await;
    a.subscribe("2", "/temp-topic/t", "auto").await;
    let shown = request(&mut a, &mut b, "/temp-topic/t").await;
    b.publish(&shown, "", "x").await;
    let mut got = [
        a.message("x").await.get("subscription").unwrap().to_owned(),
        a.message("x").await.get("subscription").unwrap().to_owned(),
    ];
    got.sort_unstable();
    assert_eq!(got, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn padded_and_escaped_names_are_shown_whole() {
    let server = Server::start().await;
    let mut old = Client::speaking(&server, "1.0").await;
    let (mut new, mut b) = Client::pair(&server).await;
    let shown = request(&mut old, &mut b, " /temp-queue/x").await;
    b.publish(&shown, "", "to 1.0").await;
    old.message("to 1.0").await;
    let shown = request(&mut new, &mut b, "/temp-queue/a\\cb").await;
    assert!(shown.ends_with("a\\cb"), "{shown}");
    b.publish(&shown, "", "to 1.2").await;
    new.message("to 1.2").await;
}
