//! B3 row 5: POST `/v1/queues/{q}/receive`.

use std::time::Instant;

use super::*;
use crate::support::process::Home;

#[test]
fn b3_5_one_message_comes_as_it_is_with_a_lease() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let message = receive(&process, "q", "lease=60s").expect(200).unwrap();
    assert_eq!(message.body, b"a");
    assert_eq!(message.header("content-type"), Some("text/plain"));
    assert_eq!(message.header("tmq-delivery-count"), Some("0"));
    let lease = message.header("tmq-lease").unwrap();
    let location = format!("/v1/leases/{lease}");
    assert_eq!(message.header("location"), Some(&*location));
    let expires = message.header("tmq-lease-expires").unwrap();
    assert!(expires.ends_with('Z') && expires.len() == 24, "{expires}");
    assert_eq!(receive(&process, "q", "").status, 204, "it is leased");
    let gone = call(&process, &format!("DELETE {location}"), &[], b"");
    assert_eq!(gone.status, 204);
}

#[test]
fn b3_5_several_messages_come_as_json_or_lines() {
    let process = Home::new("").start();
    for body in ["a", "b", "c", "d"] {
        publish(&process, "q", body);
    }
    let answer = receive(&process, "q", "max=2").expect(200).unwrap();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let list = json(&answer);
    let list = list["messages"].as_array().unwrap();
    assert_eq!(list.len(), 2);
    for (message, body) in list.iter().zip(["a", "b"]) {
        assert_eq!(message["body"], body);
        assert!(message["lease"].is_string() && message["leaseExpires"].is_string());
    }
    let line = "POST /v1/queues/q/receive?max=5";
    let lines = call(&process, line, &["Accept: application/x-ndjson"], b"");
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(lines.body).unwrap();
    let bodies: Vec<Json> = text
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["body"].clone())
        .collect();
    assert_eq!(bodies, ["c", "d"]);
}

#[test]
fn b3_5_max_bytes_ends_an_answer_but_not_before_one_message() {
    let process = Home::new("").start();
    for _ in 0..3 {
        publish(&process, "q", &"x".repeat(1_000));
    }
    let count = |query: &str| {
        let answer = receive(&process, "q", query).expect(200).unwrap();
        json(&answer)["messages"].as_array().unwrap().len()
    };
    assert_eq!(count("max=3&maxBytes=1"), 1);
    assert_eq!(count("max=3&maxBytes=1000000"), 2);
}

/// Mutant seen caught: a receive whose deadline is not set.
#[test]
fn b3_5_wait_ends_at_its_time() {
    let process = Home::new("").start();
    let began = Instant::now();
    assert_eq!(receive(&process, "q", "wait=300ms").status, 204);
    let took = began.elapsed();
    assert!((300..5_000).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn b3_5_wait_ends_with_the_first_message() {
    let process = Home::new("").start();
    let mut waiter = ask(
        &process,
        "POST /v1/queues/q/receive?wait=60s&max=10&ack=auto",
    );
    publish(&process, "q", "a");
    let answer = Response::read(&mut waiter.wire.input).unwrap();
    let answer = answer.expect(200).unwrap();
    assert_eq!(json(&answer)["messages"][0]["body"], "a");
}

#[test]
fn b3_5_auto_consumes_and_gives_no_lease() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let message = receive(&process, "q", "ack=auto&lease=1ms")
        .expect(200)
        .unwrap();
    assert_eq!(message.header("tmq-lease"), None);
    assert_eq!(message.header("location"), None);
    assert_eq!(receive(&process, "q", "wait=200ms").status, 204);
}

#[test]
fn b4_receive_whose_client_went_takes_nothing() {
    let process = Home::new("").start();
    wait_for_connections(&process, 1);
    let query = "wait=60s&lease=12h&max=10";
    let waiters: Vec<Http> = (0..20)
        .map(|_| ask(&process, &format!("POST /v1/queues/q/receive?{query}")))
        .collect();
    wait_for_connections(&process, 21);
    drop(waiters);
    wait_for_connections(&process, 1);
    publish(&process, "q", "a");
    let message = receive(&process, "q", "wait=5s").expect(200).unwrap();
    assert_eq!(message.header("tmq-delivery-count"), Some("0"));
}

#[test]
fn b3_5_wishes_that_cannot_be_are_problems() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let table = [
        ("max=0", 422, "bad-metadata"),
        ("max=1001", 422, "bad-metadata"),
        ("max=x", 422, "bad-metadata"),
        ("maxBytes=0", 422, "bad-metadata"),
        ("maxBytes=4000000000", 422, "bad-metadata"),
        ("wait=61s", 422, "bad-metadata"),
        ("wait=long", 422, "bad-metadata"),
        ("lease=0", 422, "bad-metadata"),
        ("lease=13h", 422, "bad-metadata"),
        ("ack=maybe", 422, "bad-metadata"),
        ("minMessages=3", 422, "bad-metadata"),
        ("selector=a%3D1", 422, "not-supported"),
        ("max=1&max=2", 400, "malformed"),
        ("max=%ff", 422, "bad-metadata"),
    ];
    for (query, status, slug) in table {
        let answer = receive(&process, "q", query);
        assert_problem(query, &answer, status, slug);
    }
    let line = "POST /v1/queues/q/receive?max=2";
    let answer = call(&process, line, &["Accept: text/html"], b"");
    assert_problem("Accept", &answer, 406, "not-acceptable");
    let answer = call(&process, line, &["Accept: application/json;q=0"], b"");
    assert_problem("q=0", &answer, 406, "not-acceptable");
    let answer = call(&process, line, &["Tmq-Selector: a = 1"], b"");
    assert_problem("header", &answer, 422, "bad-metadata");
    let answer = call(&process, line, &["Idempotency-Key: k"], b"");
    assert_problem("key", &answer, 422, "not-supported");
    let message = receive(&process, "q", "").expect(200).unwrap();
    assert_eq!(message.header("tmq-delivery-count"), Some("0"), "untouched");
}

#[test]
fn b3_5_queues_that_cannot_be_are_problems() {
    let config = "[[address]]\nname = \"news\"\nrouting = [\"multicast\"]\n";
    let process = Home::new(config).start();
    let mut mqtt = crate::support::mqtt::Mqtt::connect(
        process.tcp("mqtt"),
        "victim",
        crate::support::mqtt::Session::Kept,
        0,
    )
    .unwrap();
    mqtt.subscribe("secret", 1).unwrap();
    let table = [
        ("a.%23", 400, "malformed"),
        ("%ff", 400, "malformed"),
        ("news::none", 404, "no-destination"),
        ("$session.victim", 404, "no-destination"),
        ("$session.victim::$session.victim", 404, "no-destination"),
        ("secret::$session.victim", 404, "no-destination"),
        ("$temp.1.x", 404, "no-destination"),
    ];
    for (queue, status, slug) in table {
        assert_problem(queue, &receive(&process, queue, ""), status, slug);
        let line = format!("GET /v1/queues/{queue}/events");
        let answer = call(&process, &line, &[], b"");
        assert_problem(&line, &answer, status, slug);
    }
}

#[test]
fn b3_5_a_body_settles_before_more_is_fetched() {
    let process = Home::new("").start();
    for body in ["a", "b", "c"] {
        publish(&process, "q", body);
    }
    let (a, b) = (lease(&process, "q", ""), lease(&process, "q", ""));
    let body = format!(r#"{{"ack":["{a}","forged"],"nack":[{{"lease":"{b}"}}]}}"#);
    let media = ["Content-Type: application/json"];
    let line = "POST /v1/queues/q/receive?wait=5s";
    let message = call(&process, line, &media, body.as_bytes());
    let message = message.expect(200).unwrap();
    assert_eq!(
        message.header("tmq-settle-failed"),
        Some("1"),
        "the forged one"
    );
    let again = call(&process, &format!("DELETE /v1/leases/{a}"), &[], b"");
    assert_eq!(again.status, 204, "a was acknowledged");
    let answer = call(&process, line, &["Content-Type: text/xml"], b"<ack/>");
    assert_problem("media", &answer, 415, "unsupported-media");
}
