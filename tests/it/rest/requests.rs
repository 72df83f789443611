//! What holds for every request: methods, paths, ids, origins.

use std::io::Write;

use super::*;
use crate::support::process::Home;

#[test]
fn methods_that_a_path_does_not_have_are_problems_that_say_which_it_has() {
    let process = Home::new("").start();
    publish(&process, "q", "a");
    let table = [
        ("GET /v1/queues/q/messages", "POST"),
        ("DELETE /v1/queues/q/messages", "POST"),
        ("GET /v1/queues/q/receive", "POST"),
        ("POST /v1/queues/q/events", "GET,HEAD"),
        ("PUT /v1/leases/x", "DELETE,PATCH"),
        ("GET /v1/leases/x", "DELETE,PATCH"),
        ("DELETE /v1/leases:settle", "POST"),
        ("BREW /v1/queues/q/messages", "POST"),
    ];
    for (line, allowed) in table {
        let answer = call(&process, line, &[], b"");
        assert_problem(line, &answer, 405, "no-method");
        assert_eq!(answer.header("allow"), Some(allowed), "{line}");
    }
    let options = call(&process, "OPTIONS /v1/queues/q/messages", &[], b"");
    assert_eq!(options.status, 204);
    assert_eq!(options.header("allow"), Some("POST"));
    assert_eq!(receive(&process, "q", "").status, 200, "untouched");
}

#[test]
fn paths_that_are_not_there_are_problems() {
    let process = Home::new("").start();
    for path in ["/v1", "/v1/", "/v1/queues", "/v1/queues/q", "/v1/tx"] {
        let answer = call(&process, &format!("POST {path}"), &[], b"");
        assert_problem(path, &answer, 404, "no-destination");
    }
}

#[test]
fn b2_every_answer_names_its_request() {
    let process = Home::new("").start();
    let mut http = client(&process);
    let mut ids = Vec::new();
    for line in [
        "POST /v1/queues/q/messages",
        "POST /v1/queues/q/receive",
        "POST /v1/queues/q/receive",
        "GET /v1/nowhere",
    ] {
        let answer = http.call(line, &[], b"").unwrap();
        ids.push(answer.header("tmq-request-id").unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let process = Home::new("").start();
    let mut http = client(&process);
    let mut bytes = Vec::new();
    for body in ["a", "b"] {
        let post = request("POST /v1/queues/q/messages", &[], body.as_bytes());
        bytes.extend(post);
    }
    for _ in 0..2 {
        bytes.extend(request("POST /v1/queues/q/receive?ack=auto", &[], b""));
    }
    http.wire.output.write_all(&bytes).unwrap();
    let answers: Vec<_> = (0..4)
        .map(|_| Response::read(&mut http.wire.input).unwrap())
        .map(|answer| (answer.status, answer.body))
        .collect();
    let wanted = [
        (201, vec![]),
        (201, vec![]),
        (200, b"a".to_vec()),
        (200, b"b".to_vec()),
    ];
    assert_eq!(answers, wanted);
}

/// A form of a foreign page needs no permission to be sent, and does its harm unseen.
///
/// Mutant seen caught: `may_come_from` that looks at `Origin` alone.
#[test]
fn foreign_web_pages_may_not_call() {
    let process = Home::new("").start();
    let foreign: [&[&str]; 4] = [
        &["Origin: http://evil.example"],
        &["Origin: null"],
        &["Origin: http://it.evil.example"],
        &["Sec-Fetch-Site: cross-site"],
    ];
    for headers in foreign {
        let lines = ["POST /v1/queues/q/messages", "GET /v1/queues/q/events"];
        for line in lines {
            let answer = call(&process, line, headers, b"");
            assert_problem(headers[0], &answer, 403, "forbidden");
        }
    }
    assert_eq!(receive(&process, "q", "").status, 204, "nothing was queued");
    let own: [&[&str]; 3] = [
        &["Origin: http://it"],
        &["Origin: http://it", "Sec-Fetch-Site: same-origin"],
        &["Sec-Fetch-Site: none"],
    ];
    for headers in own {
        let answer = call(&process, "POST /v1/queues/q/messages", headers, b"");
        assert_eq!(answer.status, 201, "{headers:?}");
    }
}

#[test]
fn b4_allowed_origins_may_call_and_see_our_headers() {
    let config = "[security]\nallowed_origins = [\"https://shop.example\"]\n";
    let process = Home::new(config).start();
    let origin = "Origin: https://shop.example";
    let asking = [
        origin,
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: tmq-type",
    ];
    let line = "OPTIONS /v1/queues/q/messages";
    let preflight = call(&process, line, &asking, b"");
    assert_eq!(preflight.status, 204);
    let shown = |answer: &Response, name| answer.header(name).map(str::to_owned);
    let allowed = shown(&preflight, "access-control-allow-origin");
    assert_eq!(allowed.as_deref(), Some("https://shop.example"));
    let headers = shown(&preflight, "access-control-allow-headers");
    assert_eq!(headers.as_deref(), Some("tmq-type"));
    let headers = [origin, "Sec-Fetch-Site: cross-site"];
    let answer = call(&process, "POST /v1/queues/q/messages", &headers, b"x");
    let exposed = shown(
        &answer.expect(201).unwrap(),
        "access-control-expose-headers",
    );
    assert!(exposed.unwrap().contains("tmq-message-id"));
    let preflight = call(
        &process,
        line,
        &["Origin: http://evil.example", asking[1]],
        b"",
    );
    assert_eq!(preflight.header("access-control-allow-origin"), None);
}
