//! B3 row 12: GET `/v1/queues/{q}/events` and `/v1/topics/{t}/events`, and RS-5.

use std::io;
use std::time::Instant;

use super::*;
use crate::support::http::{Event, Events};
use crate::support::process::Home;
use crate::support::random::Random;

fn open(process: &Process, target: &str, query: &str) -> Events {
    let line = format!("GET /v1/{target}/events?{query}");
    client(process).events_with(&line, &[]).unwrap()
}

fn resume(process: &Process, target: &str, cursor: &str) -> io::Result<Events> {
    let line = format!("GET /v1/{target}/events");
    client(process).events_with(&line, &[&format!("Last-Event-ID: {cursor}")])
}

fn publish_all(process: &Process, queue: &str, bodies: &[&str]) {
    for body in bodies {
        publish(process, queue, body);
    }
}

/// The texts of the next events.
fn texts(events: &mut Events, count: usize) -> Vec<String> {
    (0..count).map(|_| events.next().unwrap().text).collect()
}

/// The next block that is no comment.
fn named(events: &mut Events, name: &str) -> Event {
    let began = Instant::now();
    loop {
        let event = events.block().unwrap();
        if event.name == name {
            return event;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "no {name}");
    }
}

#[test]
fn b3_12_stream_says_what_it_is_and_shows_bodies_as_text() {
    let process = Home::new("").start();
    publish_all(&process, "q", &["a", "two\nlines", ""]);
    let mut events = open(&process, "queues/q", "");
    let head = |name| events.head.header(name).unwrap().to_owned();
    assert_eq!(head("content-type"), "text/event-stream");
    assert_eq!(head("cache-control"), "no-store");
    assert_eq!(head("x-accel-buffering"), "no");
    let first = events.next().unwrap();
    assert_eq!((&*first.name, &*first.text), ("message", "a"));
    assert!(first.id.len() > 32, "{}", first.id);
    assert_eq!(events.next().unwrap().text, "two\nlines");
    let empty = named(&mut events, "message");
    assert_eq!(empty.text, "");
}

#[test]
fn b3_12_stream_shows_envelopes_where_text_does_not_do() {
    let process = Home::new("").start();
    let mut events = open(&process, "topics/t.*", "");
    let mut whole = open(&process, "topics/t.%23", "format=envelope");
    let line = "POST /v1/topics/t.x/messages";
    for body in [b"plain".as_slice(), b"\xff", b"a\rb"] {
        let answer = call(&process, line, &["Tmq-Type: k"], body);
        assert_eq!(answer.expect(201).unwrap().header("tmq-routed"), None);
    }
    let envelope = |events: &mut Events| -> Json {
        serde_json::from_str(&events.next().unwrap().text).unwrap()
    };
    assert_eq!(events.next().unwrap().text, "plain");
    assert_eq!(envelope(&mut events)["body64"], "/w==");
    assert_eq!(envelope(&mut events)["body"], "a\rb");
    let first = envelope(&mut whole);
    assert_eq!(
        (&first["body"], &first["type"]),
        (&"plain".into(), &"k".into())
    );
    assert_eq!(first["destination"], "t.x");
}

#[test]
fn b3_12_idle_stream_sends_comments() {
    let process = Home::new("[rest]\nevent_heart_beat_ms = 100\n").start();
    let mut events = open(&process, "topics/t", "");
    let began = Instant::now();
    let comments = (0..3).filter(|_| {
        loop {
            let block = events.block().unwrap();
            if block.comment {
                break true;
            }
        }
    });
    assert_eq!(comments.count(), 3);
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Mutant seen caught: `ask_attach` without its settlement ("b" comes again).
#[test]
fn b3_12_last_event_id_goes_on_behind_it() {
    let process = Home::new("").start();
    publish_all(&process, "q", &["a", "b", "c", "d"]);
    let mut events = open(&process, "queues/q", "");
    events.next().unwrap();
    let cursor = events.next().unwrap().id;
    events.next().unwrap();
    drop(events);
    let mut events = resume(&process, "queues/q", &cursor).unwrap();
    assert_eq!(texts(&mut events, 1), ["c"]);
    let cursor = events.next().unwrap().id;
    drop(events);
    publish(&process, "q", "e");
    let mut events = open(&process, "queues/q", &format!("lastEventId={cursor}"));
    assert_eq!(texts(&mut events, 1), ["e"]);
}

#[test]
fn b3_12_topic_stream_goes_on_behind_its_cursor() {
    let process = Home::new("").start();
    let mut events = open(&process, "topics/t", "");
    let mut http = client(&process);
    http.publish("topics/t", b"a").unwrap();
    let cursor = events.next().unwrap().id;
    drop(events);
    http.publish("topics/t", b"b").unwrap();
    let mut events = resume(&process, "topics/t", &cursor).unwrap();
    assert_eq!(texts(&mut events, 1), ["b"]);
}

/// Mutant seen caught: `encode` that never says it has stalled.
#[test]
fn b3_12_full_window_says_so_and_a_posted_cursor_opens_it() {
    let process = Home::new("").start();
    publish_all(&process, "q", &["a", "b", "c", "d"]);
    let mut events = open(&process, "queues/q", "max_inflight=2");
    events.next().unwrap();
    let cursor = events.next().unwrap().id;
    let stalled = named(&mut events, "stalled");
    assert!(stalled.text.contains("Last-Event-ID"), "{}", stalled.text);
    let line = "POST /v1/queues/q/events:ack";
    let body = format!(r#"{{"upTo":"{cursor}"}}"#);
    assert_eq!(call(&process, line, &[], body.as_bytes()).status, 204);
    assert_eq!(
        call(&process, line, &[], body.as_bytes()).status,
        204,
        "again"
    );
    let (stream, _) = cursor.split_once('-').unwrap();
    let future = format!(r#"{{"upTo":"{stream}-999"}}"#);
    let answer = call(&process, line, &[], future.as_bytes());
    assert_problem("not sent yet", &answer, 400, "bad-cursor");
    assert_eq!(texts(&mut events, 2), ["c", "d"]);
    named(&mut events, "stalled");
    drop(events);
    wait_for_connections(&process, 1);
    let answer = call(&process, line, &[], body.as_bytes());
    assert_problem("of a closed stream", &answer, 410, "cursor-expired");
}

/// Mutant seen caught: `acknowledge` that answers without waiting.
#[test]
fn l4_posted_cursor_is_durable_when_it_is_answered() {
    let home = Home::new("");
    for round in 0..10 {
        let process = home.start();
        let queue = format!("q{round}");
        publish_all(&process, &queue, &["a", "b"]);
        let mut events = open(&process, &format!("queues/{queue}"), "");
        let cursor = events.next().unwrap().id;
        let line = format!("POST /v1/queues/{queue}/events:ack");
        let body = format!(r#"{{"upTo":"{cursor}"}}"#);
        assert_eq!(call(&process, &line, &[], body.as_bytes()).status, 204);
        process.kill();
        let process = home.start();
        let message = receive(&process, &queue, "ack=auto").expect(200).unwrap();
        assert_eq!(message.body, b"b", "{round}");
    }
}

#[test]
fn b3_12_unsettled_events_return_when_resuming_is_over() {
    let process = Home::new("[rest]\nevent_resume_ms = 300\n").start();
    publish_all(&process, "q", &["a", "b"]);
    let mut events = open(&process, "queues/q", "");
    let cursor = events.next().unwrap().id;
    events.next().unwrap();
    drop(events);
    assert_eq!(
        receive(&process, "q", "").status,
        204,
        "kept for its client"
    );
    let message = receive(&process, "q", "wait=5s&ack=auto")
        .expect(200)
        .unwrap();
    assert_eq!(message.body, b"a");
    // Law L11 wants 1, as the event was written; core gives back uncounted what an ended session
    // held.
    assert_eq!(message.header("tmq-delivery-count"), Some("0"));
    let line = "GET /v1/queues/q/events";
    let header = format!("Last-Event-ID: {cursor}");
    let answer = call(&process, line, &[&header], b"");
    assert_problem("expired", &answer, 410, "cursor-expired");
}

#[test]
fn b3_12_l10_automatic_ack_settles_what_was_written() {
    let process = Home::new("[rest]\nevent_resume_ms = 0\n").start();
    publish_all(&process, "q", &["a", "b"]);
    let mut events = open(&process, "queues/q", "ack=auto&max_inflight=1");
    assert_eq!(texts(&mut events, 2), ["a", "b"]);
    wait_until("both settled", Duration::from_secs(5), || {
        metric(&process, "ternmq_messages_acked_total ") == 2
    });
    drop(events);
    assert_eq!(receive(&process, "q", "wait=500ms").status, 204);
}

#[test]
fn b3_12_topic_stream_that_is_gone_begins_with_a_gap() {
    let process = Home::new("").start();
    let cursor = format!("{:032x}-5", 7);
    let mut events = resume(&process, "topics/t", &cursor).unwrap();
    assert!(named(&mut events, "gap").text.contains("missed"));
}

#[test]
fn b3_12_streams_that_cannot_be_are_problems() {
    let process = Home::new("").start();
    let table = [
        ("queues/q/events?ack=maybe", 422, "bad-metadata"),
        ("queues/q/events?ack=lease", 422, "not-supported"),
        ("queues/q/events?selector=a", 422, "not-supported"),
        ("queues/q/events?from=earliest", 422, "not-supported"),
        ("queues/q/events?max_inflight=0", 422, "bad-metadata"),
        ("queues/q/events?max_inflight=1001", 422, "bad-metadata"),
        ("queues/q/events?wait=5s", 422, "bad-metadata"),
        ("queues/q/events?lastEventId=x", 400, "bad-cursor"),
        ("topics/t/events?lastEventId=12-5", 400, "bad-cursor"),
        ("queues/a.*/events", 400, "malformed"),
        ("queues/%ff/events", 400, "malformed"),
    ];
    for (path, status, slug) in table {
        let answer = call(&process, &format!("GET /v1/{path}"), &[], b"");
        assert_problem(path, &answer, status, slug);
    }
    let line = "GET /v1/queues/q/events";
    let answer = call(&process, line, &["Accept: application/x-ndjson"], b"");
    assert_problem("Accept", &answer, 406, "not-acceptable");
    let unknown = format!("Last-Event-ID: {:032x}-5", 7);
    let answer = call(&process, line, &[&unknown], b"");
    assert_problem("unknown stream", &answer, 410, "cursor-expired");
    let line = "POST /v1/queues/q/events:ack";
    for body in ["{}", "", r#"{"upTo":7}"#, r#"{"upTo":"x"}"#] {
        let answer = call(&process, line, &[], body.as_bytes());
        assert_problem(body, &answer, 400, "bad-cursor");
    }
}

/// Mutant seen caught: routes without `.head(...)`.
#[test]
fn b2_head_of_a_stream_changes_nothing() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let mut http = client(&process);
    http.wire
        .output
        .write_all(&request("HEAD /v1/queues/q/events", &[], b""))
        .unwrap();
    let head = http.wire.input.until(b"\r\n\r\n").unwrap();
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("text/event-stream"), "{head}");
    let message = receive(&process, "q", "").expect(200).unwrap();
    assert_eq!(message.header("tmq-delivery-count"), Some("0"));
}

/// Mutant seen caught: a resumed stream that begins one event too late.
#[test]
fn rs_5_random_disconnects_lose_nothing_and_keep_order() {
    const COUNT: usize = 300;
    let process = Home::new("").start();
    let mut random = Random::from_environment();
    let mut http = client(&process);
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    let mut published = 0;
    while seen.len() < COUNT {
        for _ in 0..random.within(1..=40).min((COUNT - published) as u64) {
            let body = published.to_string();
            http.publish("queues/q", body.as_bytes()).unwrap();
            published += 1;
        }
        let mut events = match &cursor {
            None => open(&process, "queues/q", "max_inflight=50"),
            Some(cursor) => resume(&process, "queues/q", cursor).unwrap(),
        };
        // A stream of which nobody has a cursor would hold its messages until it has ended.
        let least = u64::from(cursor.is_none());
        for _ in 0..random.within(least..=(published - seen.len()) as u64) {
            let event = events.next().unwrap();
            seen.push(event.text);
            cursor = Some(event.id);
        }
    }
    let wanted: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(seen, wanted);
}

/// Mutant seen caught: `Begun::note_write` without its timer.
#[test]
fn l22_stream_that_is_not_read_is_bounded_and_closed() {
    let config = "[limits]\nwrite_stall_ms = 500\n[rest]\nevent_resume_ms = 0\n";
    let process = Home::new(config).start();
    let events = open(&process, "queues/q", "");
    let body = "x".repeat(256 << 10);
    // More than the sockets' buffers and the outbox take.
    for _ in 0..60 {
        publish(&process, "q", &body);
    }
    wait_for_connections(&process, 1);
    let back = receive(&process, "q", "wait=5s&max=100&maxBytes=30000000");
    let list = json(&back.expect(200).unwrap());
    assert!(!list["messages"].as_array().unwrap().is_empty());
    drop(events);
}
