//! B3 row 1: POST `/v1/queues/{q}/messages` and `/v1/topics/{t}/messages`.

use std::io::Write;

use base64::Engine as _;

use super::*;
use crate::support::process::Home;

const ENVELOPE: &str = "Content-Type: application/vnd.ternmq.message+json";

#[test]
fn b3_1_publish_answers_201_with_an_id_and_says_when_nobody_listens() {
    let process = Home::new("").start();
    let line = "POST /v1/queues/q/messages";
    let first = call(&process, line, &[], b"a").expect(201).unwrap();
    let second = call(&process, line, &[], b"a").expect(201).unwrap();
    let id = |response: &Response| response.header("tmq-message-id").unwrap().to_owned();
    assert_ne!(id(&first), id(&second));
    assert_eq!(first.header("tmq-routed"), None);
    // A single message has no endpoint yet, so none is named.
    assert_eq!(first.header("location"), None);
    let topic = call(&process, "POST /v1/topics/t/messages", &[], b"a");
    assert_eq!(topic.expect(201).unwrap().header("tmq-routed"), Some("0"));
    let message = receive(&process, "q", "").expect(200).unwrap();
    assert_eq!(
        message.header("tmq-message-id"),
        first.header("tmq-message-id")
    );
}

/// Mutant seen caught: `text` that takes ASCII alone (`HeaderValue::to_str`).
#[test]
fn b2_binary_metadata_comes_back_as_it_was_sent() {
    let process = Home::new("").start();
    let sent = [
        ("content-type", "application/x-thing; v=1"),
        ("content-encoding", "gzip"),
        ("tmq-correlation-id", "c-1"),
        ("tmq-reply-to", "queue://answers.a"),
        ("tmq-type", "größe"),
        ("tmq-group-id", "g"),
        ("tmq-priority", "7"),
        (
            "tmq-properties",
            r#"{"Color":"red","half":0.5,"n":5,"yes":true}"#,
        ),
    ];
    let lines: Vec<String> = sent.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let body = [0, 255, 13, 10, 0];
    let answer = call(&process, "POST /v1/queues/q/messages", &lines, &body);
    answer.expect(201).unwrap();
    let message = receive(&process, "q", "").expect(200).unwrap();
    for (name, value) in sent {
        assert_eq!(message.header(name), Some(value), "{name}");
    }
    assert_eq!(message.header("tmq-destination"), Some("q"));
    assert_eq!(message.body, body);
}

#[test]
fn b2_envelope_comes_back_as_an_envelope() {
    let process = Home::new("").start();
    let envelope = br#"{"id":"mine","body":"x","contentType":"text/plain","properties":{"n":5},
        "priority":9,"ttl":"PT1H","correlationId":"c","replyTo":"topic://a.b","groupId":"g",
        "persistent":false,"type":"order"}"#;
    let answer = call(
        &process,
        "POST /v1/queues/q/messages",
        &[ENVELOPE],
        envelope,
    );
    let answer = answer.expect(201).unwrap();
    assert_eq!(answer.header("tmq-message-id"), Some("mine"));
    let line = "POST /v1/queues/q/receive?ack=auto";
    let answer = call(&process, line, &["Accept: application/json"], b"");
    let answer = answer.expect(200).unwrap();
    let message = &json(&answer)["messages"][0];
    let wanted = serde_json::json!({
        "id": "mine", "body": "x", "contentType": "text/plain", "properties": {"n": 5},
        "priority": 9, "correlationId": "c", "replyTo": "topic://a.b", "groupId": "g",
        "persistent": false, "type": "order", "destination": "q", "deliveryCount": 0,
    });
    assert_eq!(message, &wanted);
}

/// Mutant seen caught: `json` that is parsed and rendered again.
#[test]
fn b2_bodies_of_an_envelope_are_bytes_as_they_are_written() {
    let process = Home::new("").start();
    let table: [(&str, &[u8]); 4] = [
        (r#"{"body":"a\n\u00e4"}"#, "a\nä".as_bytes()),
        (r#"{"body64":"AP8="}"#, &[0, 255]),
        (
            r#"{"json":{"b":1.0,"a":10000000000000000001}}"#,
            br#"{"b":1.0,"a":10000000000000000001}"#,
        ),
        ("{}", b""),
    ];
    for (envelope, body) in table {
        let line = "POST /v1/queues/q/messages";
        let answer = call(&process, line, &[ENVELOPE], envelope.as_bytes());
        answer.expect(201).unwrap();
        let message = receive(&process, "q", "ack=auto").expect(200).unwrap();
        assert_eq!(message.body, body, "{envelope}");
    }
}

/// Mutant seen caught: `check` without its test of unknown names ("Tmq-Delivery-Count").
#[test]
fn b3_1_what_a_header_asks_for_in_vain_is_a_problem() {
    let process = Home::new("").start();
    let bad = |lines: &'static [&'static str]| (lines, 422, "bad-metadata");
    let not_yet = |lines: &'static [&'static str]| (lines, 422, "not-supported");
    let table: [(&[&str], u16, &str); 20] = [
        bad(&["Tmq-Priority: 10"]),
        bad(&["Tmq-Priority: high"]),
        bad(&["Tmq-Ttl: soon"]),
        bad(&["Tmq-Ttl: PT"]),
        bad(&["Tmq-Persistent: maybe"]),
        bad(&["Tmq-Properties: [1]"]),
        bad(&[r#"Tmq-Properties: {"a":[1]}"#]),
        bad(&[r#"Tmq-Properties: {"a":null}"#]),
        bad(&["Tmq-Delivery-Count: 3"]),
        bad(&["Tmq-Prioriti: 3"]),
        bad(&["Tmq-Type: a", "Tmq-Type: b"]),
        bad(&["Content-Digest: sha-256=abc"]),
        bad(&[ENVELOPE, "Tmq-Priority: 3"]),
        not_yet(&["Tmq-Delay: 5s"]),
        not_yet(&["Tmq-Deliver-At: 2030-01-01T00:00:00Z"]),
        not_yet(&["Tmq-Cron: * * * * *"]),
        not_yet(&["Idempotency-Key: k"]),
        not_yet(&["ce-specversion: 1.0", "ce-id: 1"]),
        (
            &["Content-Type: application/vnd.ternmq.batch+json"],
            415,
            "unsupported-media",
        ),
        (&["Content-Digest: sha-256=:AAAA:"], 400, "digest-mismatch"),
    ];
    for (lines, status, slug) in table {
        let answer = call(&process, "POST /v1/queues/q/messages", lines, b"{}");
        assert_problem(lines[0], &answer, status, slug);
    }
    let latin = [
        b"POST /v1/queues/q/messages HTTP/1.1\r\nHost: it\r\nTmq-Type: gr\xf6\xdfe\r\n".as_slice(),
        b"Content-Length: 0\r\n\r\n",
    ]
    .concat();
    let mut http = client(&process);
    http.wire.output.write_all(&latin).unwrap();
    let answer = Response::read(&mut http.wire.input).unwrap();
    assert_problem("no UTF-8", &answer, 422, "bad-metadata");
    assert_eq!(receive(&process, "q", "").status, 204, "nothing was queued");
}

#[test]
fn b3_1_what_an_envelope_asks_for_in_vain_is_a_problem() {
    let process = Home::new("").start();
    let long = format!(r#"{{"type":"{}"}}"#, "t".repeat(70_000));
    let many = format!(
        r#"{{"properties":{{{}"z":1}}}}"#,
        r#""a":1,"#.repeat(20_000)
    );
    let table = [
        ("", 400, "malformed"),
        ("{", 400, "malformed"),
        ("[]", 422, "bad-metadata"),
        (r#"{"body":"a"} x"#, 400, "malformed"),
        (r#"{"boddy":"a"}"#, 422, "bad-metadata"),
        (r#"{"body":1}"#, 422, "bad-metadata"),
        (r#"{"body":"a","body":"b"}"#, 422, "bad-metadata"),
        (r#"{"body":"a","body64":"AA=="}"#, 422, "bad-metadata"),
        (r#"{"body64":"%"}"#, 422, "bad-metadata"),
        (r#"{"priority":10}"#, 422, "bad-metadata"),
        (r#"{"priority":-1}"#, 422, "bad-metadata"),
        (r#"{"ttl":"soon"}"#, 422, "bad-metadata"),
        (r#"{"persistent":"no"}"#, 422, "bad-metadata"),
        (r#"{"properties":{"a":{}}}"#, 422, "bad-metadata"),
        (r#"{"properties":[]}"#, 422, "bad-metadata"),
        (
            r#"{"deliverAt":"2030-01-01T00:00:00Z"}"#,
            422,
            "not-supported",
        ),
        (r#"{"trace":{"traceparent":"x"}}"#, 422, "not-supported"),
        (&long, 422, "bad-metadata"),
        (&many, 422, "bad-metadata"),
    ];
    for (envelope, status, slug) in table {
        let line = "POST /v1/queues/q/messages";
        let answer = call(&process, line, &[ENVELOPE], envelope.as_bytes());
        let what = envelope.get(..60).unwrap_or(envelope);
        assert_problem(what, &answer, status, slug);
    }
    assert_eq!(receive(&process, "q", "").status, 204, "nothing was queued");
}

/// Mutant seen caught: `verify` over an empty body.
#[test]
fn b3_1_content_digest_is_verified() {
    use sha2::Digest as _;
    let process = Home::new("").start();
    let coded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let short = coded(&sha2::Sha256::digest(b"body"));
    let long = coded(&sha2::Sha512::digest(b"body"));
    let header = format!("Content-Digest: sha-256=:{short}:, sha-512=:{long}:, md5=:AAAA:");
    let line = "POST /v1/queues/q/messages";
    call(&process, line, &[&header], b"body")
        .expect(201)
        .unwrap();
    let answer = call(&process, line, &[&header], b"bodx");
    assert_problem("another body", &answer, 400, "digest-mismatch");
}

#[test]
fn b2_slash_in_a_name_is_text_and_names_are_one_segment() {
    let process = Home::new("").start();
    for name in ["a%2Fb", "a%252Fb"] {
        publish(&process, name, name);
    }
    let query = "max=2&ack=auto";
    let both = receive(&process, "a%2Fb", query).expect(200).unwrap();
    assert_eq!(json(&both)["messages"][1]["destination"], "a%2Fb");
    assert_eq!(receive(&process, "a.b", "").status, 204);
    publish(&process, "gr%C3%BC%C3%9Fe%20%E2%98%83", "snow");
    let message = receive(&process, "gr%c3%bc%c3%9fe%20%e2%98%83", "ack=auto");
    assert_eq!(message.header("tmq-destination"), Some("grüße ☃"));
    let split = call(&process, "POST /v1/queues/a/b/messages", &[], b"");
    assert_problem("two segments", &split, 404, "no-destination");
}

#[test]
fn b3_1_names_that_cannot_be_are_problems() {
    let config = "[[address]]\nname = \"news\"\nrouting = [\"multicast\"]\n\
                  [[queue]]\nname = \"jobs\"\n\
                  [[address_settings]]\nmatch = \"#\"\nauto_create_addresses = false\n\
                  auto_create_queues = false\n";
    let process = Home::new(config).start();
    let long = format!("queues/{}", "n".repeat(5_000));
    let table = [
        ("queues/a.%23", 400, "malformed"),
        ("queues/a.*", 400, "malformed"),
        ("topics/a.*", 400, "malformed"),
        ("queues/a::b::c", 400, "malformed"),
        ("queues/::", 400, "malformed"),
        ("queues/%ff", 400, "malformed"),
        ("queues/%zz", 400, "malformed"),
        (&*long, 400, "malformed"),
        ("queues/unknown", 404, "no-destination"),
        ("queues/$session.s", 404, "no-destination"),
        ("queues/$anything", 404, "no-destination"),
        ("queues/jobs::other", 404, "no-destination"),
        ("queues/news", 409, "destination-exists"),
        ("topics/jobs", 409, "destination-exists"),
    ];
    for (target, status, slug) in table {
        let line = format!("POST /v1/{target}/messages");
        let answer = call(&process, &line, &[], b"x");
        assert_problem(target.get(..30).unwrap_or(target), &answer, status, slug);
    }
}

/// Mutant seen caught: `Incoming::new` without its comparison (the client is told to go on).
#[test]
fn b3_1_body_is_asked_for_once_its_head_is_right() {
    let process = Home::new("[limits.max_frame_bytes]\nhttp = \"4KiB\"\n").start();
    let head = |headers: &str| {
        format!(
            "POST /v1/queues/q/messages HTTP/1.1\r\nHost: it\r\nExpect: 100-continue\r\n{headers}\r\n\r\n"
        )
    };
    let begin = |headers: &str| {
        let mut http = client(&process);
        http.wire
            .output
            .write_all(head(headers).as_bytes())
            .unwrap();
        let answer = Response::read(&mut http.wire.input).unwrap();
        (http, answer)
    };
    let (_, refused) = begin("Content-Length: 4097");
    assert_problem("too long", &refused, 413, "too-large");
    let (_, refused) = begin("Content-Length: 10\r\nTmq-Priority: 99");
    assert_problem("bad header", &refused, 422, "bad-metadata");
    let (mut http, go_on) = begin("Content-Length: 4096");
    assert_eq!(go_on.status, 100);
    http.wire.output.write_all(&[b'x'; 4_096]).unwrap();
    let answer = Response::read(&mut http.wire.input).unwrap();
    answer.expect(201).unwrap();
    assert_eq!(receive(&process, "q", "ack=auto").body.len(), 4_096);
}

#[test]
fn b3_1_chunked_bodies_are_bounded_like_others() {
    let process = Home::new("[limits.max_frame_bytes]\nhttp = \"300KiB\"\n").start();
    let send = |chunks: &[&[u8]]| {
        let mut http = client(&process);
        let head = "POST /v1/queues/q/messages HTTP/1.1\r\nHost: it\r\n\
                    Transfer-Encoding: chunked\r\nTrailer: X-After\r\n\r\n";
        let mut bytes = head.as_bytes().to_vec();
        for chunk in chunks {
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend(*chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\nX-After: all\r\n\r\n");
        // The server may answer and close while more is on its way.
        let _ = http.wire.output.write_all(&bytes);
        Response::read(&mut http.wire.input)
    };
    let large = vec![b'l'; 100 << 10];
    let parts: [&[u8]; 4] = [b"a", &large, b"b", &large];
    send(&parts).unwrap().expect(201).unwrap();
    let message = receive(&process, "q", "ack=auto").expect(200).unwrap();
    assert_eq!(message.body, parts.concat());
    if let Ok(answer) = send(&[&large, &large, &large, b"x"]) {
        assert_problem("too long", &answer, 413, "too-large");
    }
    assert_eq!(receive(&process, "q", "").status, 204);
}

#[test]
fn b3_1_truncated_body_is_no_message() {
    let process = Home::new("").start();
    for body in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ] {
        let mut http = client(&process);
        let head = "POST /v1/queues/q/messages HTTP/1.1\r\nHost: it\r\n";
        let bytes = format!("{head}{body}");
        http.wire.output.write_all(bytes.as_bytes()).unwrap();
        http.wire.half_close().unwrap();
        let rest = http.wire.input.until_closed().unwrap();
        let text = String::from_utf8_lossy(&rest);
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 400 "),
            "{text}"
        );
    }
    assert_eq!(receive(&process, "q", "").status, 204);
}

#[test]
fn ttl_ends_a_message() {
    let process = Home::new("").start();
    let line = "POST /v1/queues/q/messages";
    for ttl in ["Tmq-Ttl: 1ms", "Tmq-Ttl: 1h"] {
        call(&process, line, &[ttl], ttl.as_bytes())
            .expect(201)
            .unwrap();
    }
    wait_until("expiry", Duration::from_secs(5), || {
        metric(&process, "ternmq_messages_expired_total ") == 1
    });
    let message = receive(&process, "q", "ack=auto").expect(200).unwrap();
    assert_eq!(message.body, b"Tmq-Ttl: 1h");
}
