//! B3 rows 6 to 9: DELETE, PATCH and nack of a lease, and `leases:settle`.

use super::*;
use crate::support::process::Home;

/// Settings under which a message that fails once more is a dead letter.
const STRICT: &str = "[[address_settings]]\nmatch = \"strict\"\nmax_delivery_attempts = 2\n\
                      dead_letter_address = \"DLQ\"\n";

fn ack(process: &Process, lease: &str) -> Response {
    call(process, &format!("DELETE /v1/leases/{lease}"), &[], b"")
}

fn extend(process: &Process, lease: &str, body: &str) -> Response {
    let line = format!("PATCH /v1/leases/{lease}");
    call(
        process,
        &line,
        &["Content-Type: application/json"],
        body.as_bytes(),
    )
}

fn nack(process: &Process, lease: &str, body: &str) -> Response {
    let line = format!("POST /v1/leases/{lease}/nack");
    call(
        process,
        &line,
        &["Content-Type: application/json"],
        body.as_bytes(),
    )
}

fn settle(process: &Process, body: &str) -> Response {
    let line = "POST /v1/leases:settle";
    call(
        process,
        line,
        &["Content-Type: application/json"],
        body.as_bytes(),
    )
}

#[test]
fn b3_6_ack_consumes_and_may_be_repeated() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let lease = lease(&process, "q", "lease=300ms");
    assert_eq!(ack(&process, &lease).status, 204);
    assert_eq!(ack(&process, &lease).status, 204, "again");
    assert_eq!(receive(&process, "q", "wait=500ms").status, 204);
    let answer = nack(&process, &lease, "{}");
    assert_problem("nack of an acknowledged one", &answer, 410, "lease-gone");
    let answer = extend(&process, &lease, r#"{"lease":"5s"}"#);
    assert_problem("extend of an acknowledged one", &answer, 410, "lease-gone");
}

/// Mutant seen caught: `Tokens::verify` that skips the MAC.
#[test]
fn b3_6_tokens_that_nobody_gave_are_gone() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let lease = lease(&process, "q", "");
    let flipped = match lease.strip_prefix('A') {
        Some(rest) => format!("B{rest}"),
        None => format!("A{}", &lease[1..]),
    };
    let middle = if &lease[35..36] == "A" { "B" } else { "A" };
    let signature = format!("{}{middle}{}", &lease[..35], &lease[36..]);
    let long = "A".repeat(4_000);
    for token in [
        &*flipped,
        &signature,
        "x",
        "AAAA",
        "%00",
        &lease[..40],
        &long,
    ] {
        assert_problem(token, &ack(&process, token), 410, "lease-gone");
        assert_problem(token, &nack(&process, token, ""), 410, "lease-gone");
    }
    assert_eq!(ack(&process, &lease).status, 204);
}

/// Mutant seen caught: a lease deadline that core never sets.
#[test]
fn rs_4_expired_lease_is_gone_and_its_message_back_with_one_more_attempt() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let lease = lease(&process, "q", "lease=50ms");
    let message = receive(&process, "q", "wait=5s").expect(200).unwrap();
    assert_eq!(message.header("tmq-delivery-count"), Some("1"));
    assert_problem("ack", &ack(&process, &lease), 410, "lease-gone");
    let answer = extend(&process, &lease, r#"{"lease":"5s"}"#);
    assert_problem("extend", &answer, 410, "lease-gone");
    assert_problem("nack", &nack(&process, &lease, "{}"), 410, "lease-gone");
    let current = message.header("tmq-lease").unwrap();
    assert_eq!(
        ack(&process, current).status,
        204,
        "a stale token did no harm"
    );
}

#[test]
fn b3_7_extend_counts_from_now() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let lease = lease(&process, "q", "lease=400ms");
    let answer = extend(&process, &lease, r#"{"lease":"60s"}"#);
    let answer = json(&answer.expect(200).unwrap());
    assert_eq!(answer["lease"], lease);
    assert!(answer["expires"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        receive(&process, "q", "wait=800ms").status,
        204,
        "still leased"
    );
    let shorter = extend(&process, &lease, r#"{"lease":"1ms"}"#);
    assert_eq!(shorter.status, 200);
    assert_eq!(receive(&process, "q", "wait=5s").status, 200);
}

#[test]
fn b3_7_extensions_that_cannot_be_are_problems() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let lease = lease(&process, "q", "");
    let table = [
        (r#"{"lease":"13h"}"#, 422, "bad-metadata"),
        (r#"{"lease":"0s"}"#, 422, "bad-metadata"),
        (r#"{"lease":5}"#, 422, "bad-metadata"),
        (r#"{"lease":"5s","by":"5s"}"#, 422, "bad-metadata"),
        ("{}", 422, "bad-metadata"),
        ("", 422, "bad-metadata"),
        ("{", 400, "malformed"),
        ("[]", 400, "malformed"),
    ];
    for (body, status, slug) in table {
        assert_problem(body, &extend(&process, &lease, body), status, slug);
    }
    assert_eq!(ack(&process, &lease).status, 204, "still leased");
}

#[test]
fn b3_8_nack_returns_at_once_or_after_its_delay() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let first = lease(&process, "q", "lease=1h");
    assert_eq!(nack(&process, &first, "").status, 204);
    let message = receive(&process, "q", "wait=5s&lease=1h")
        .expect(200)
        .unwrap();
    assert_eq!(message.header("tmq-delivery-count"), Some("1"));
    let second = message.header("tmq-lease").unwrap();
    let delayed = nack(&process, second, r#"{"delay":"PT1S","reason":"busy"}"#);
    assert_eq!(delayed.status, 204);
    assert_eq!(receive(&process, "q", "wait=300ms").status, 204, "not yet");
    let message = receive(&process, "q", "wait=5s").expect(200).unwrap();
    assert_eq!(message.header("tmq-delivery-count"), Some("2"));
}

#[test]
fn b3_8_nack_makes_a_dead_letter_by_wish_or_by_count() {
    let process = Home::new(STRICT).start();
    publish(&process, "strict", "wish");
    let wish = lease(&process, "strict", "");
    let answer = nack(&process, &wish, r#"{"deadLetter":true}"#);
    assert_eq!(answer.status, 204);
    let message = receive(&process, "DLQ", "wait=5s&ack=auto")
        .expect(200)
        .unwrap();
    assert_eq!(message.body, b"wish");
    assert_eq!(message.header("tmq-original-address"), Some("strict"));
    assert_eq!(message.header("tmq-original-queue"), Some("strict"));
    assert!(message.header("tmq-reason").is_some());
    publish(&process, "strict", "count");
    for _ in 0..2 {
        let failing = lease(&process, "strict", "wait=5s");
        assert_eq!(nack(&process, &failing, "{}").status, 204);
    }
    let message = receive(&process, "DLQ", "wait=5s&ack=auto")
        .expect(200)
        .unwrap();
    assert_eq!(message.body, b"count");
}

#[test]
fn b3_8_nacks_that_cannot_be_are_problems() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let lease = lease(&process, "q", "");
    for body in [
        r#"{"delay":5}"#,
        r#"{"delay":"soon"}"#,
        r#"{"deadLetter":"yes"}"#,
        r#"{"deadLetter":true,"delay":"5s"}"#,
        r#"{"dealy":"5s"}"#,
    ] {
        assert_problem(body, &nack(&process, &lease, body), 422, "bad-metadata");
    }
    let line = format!("POST /v1/leases/{lease}/nack");
    let answer = call(&process, &line, &["Content-Type: text/plain"], b"{}");
    assert_problem("media", &answer, 415, "unsupported-media");
    assert_eq!(ack(&process, &lease).status, 204, "still leased");
}

#[test]
fn b3_9_settle_answers_each_lease_by_itself() {
    let process = Home::new("").start();
    for body in ["a", "b", "c"] {
        publish(&process, "q", body);
    }
    let [a, b, c] = [(); 3].map(|()| lease(&process, "q", "lease=1h"));
    let body = format!(
        r#"{{"ack":["{a}","forged"],"nack":[{{"lease":"{b}"}}],
            "extend":[{{"lease":"{c}","by":"2h"}}]}}"#
    );
    let answer = json(&settle(&process, &body).expect(200).unwrap());
    let results = answer["results"].as_array().unwrap();
    let leases: Vec<_> = results
        .iter()
        .map(|r| r["lease"].as_str().unwrap())
        .collect();
    assert_eq!(leases, [&*a, "forged", &b, &c]);
    assert_eq!(
        results[1]["problem"]["type"],
        "urn:ternmq:problem:lease-gone"
    );
    for at in [0, 2, 3] {
        assert_eq!(results[at]["ok"], true, "{at}");
    }
    let message = receive(&process, "q", "wait=5s").expect(200).unwrap();
    assert_eq!(message.body, b"b");
    let again = json(&settle(&process, &format!(r#"{{"ack":["{a}"]}}"#)));
    assert_eq!(again["results"][0]["ok"], true, "acknowledged again");
}

#[test]
fn b3_9_settle_that_cannot_be_is_a_problem_and_settles_nothing() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let lease = lease(&process, "q", "");
    let thousand = format!(r#"{{"ack":["{lease}"{}]}}"#, r#","x""#.repeat(1_000));
    let huge = format!(r#"{{"ack":["{lease}","{}"]}}"#, "x".repeat(300_000));
    let bad = format!(r#"{{"ack":["{lease}"],"extend":[{{"lease":"x","by":"13h"}}]}}"#);
    let unknown = format!(r#"{{"ack":["{lease}"],"nak":[]}}"#);
    let table = [
        (&*thousand, 413, "too-large"),
        (&*huge, 413, "too-large"),
        (&*bad, 422, "bad-metadata"),
        (&*unknown, 422, "bad-metadata"),
        (r#"{"ack":"x"}"#, 400, "malformed"),
        (r#"{"ack":[{"token":"x"}]}"#, 400, "malformed"),
        (r#"{"ack":[7]}"#, 400, "malformed"),
        ("", 400, "malformed"),
        ("nonsense", 400, "malformed"),
    ];
    for (body, status, slug) in table {
        let answer = settle(&process, body);
        assert_problem(body.get(..40).unwrap_or(body), &answer, status, slug);
    }
    let answer = nack(&process, &lease, "{}");
    assert_eq!(answer.status, 204, "nothing was acknowledged");
}

/// One of two settlements wins and the other is told so, however close they come.
#[test]
fn rs_4_racing_settlements_of_one_lease_agree() {
    let process = Home::new("").start();
    for round in 0..30 {
        publish(&process, "q", "a");
        let lease = lease(&process, "q", "lease=1h");
        let (acked, nacked, extended) = std::thread::scope(|scope| {
            let acked = scope.spawn(|| ack(&process, &lease).status);
            let nacked = scope.spawn(|| nack(&process, &lease, "{}").status);
            let extended = scope.spawn(|| extend(&process, &lease, r#"{"lease":"1h"}"#).status);
            let join = |thread: std::thread::ScopedJoinHandle<'_, u16>| thread.join().unwrap();
            (join(acked), join(nacked), join(extended))
        });
        assert!([200, 410].contains(&extended), "{round}: {extended}");
        match (acked, nacked) {
            (204, 410) => assert_eq!(receive(&process, "q", "").status, 204, "{round}"),
            (410, 204) => {
                let back = receive(&process, "q", "wait=5s&ack=auto");
                assert_eq!(back.status, 200, "{round}");
            }
            other => panic!("{round}: {other:?}"),
        }
    }
}
