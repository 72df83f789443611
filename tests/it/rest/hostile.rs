//! Clients that are slow, endless or many.

use std::io::Write;
use std::time::Instant;

use super::*;
use crate::support::process::Home;

const QUICK: &str = "[limits]\nconnect_timeout_ms = 300\n[rest]\nbody_timeout_ms = 300\n";

#[test]
fn heads_are_bounded() {
    let process = Home::new("").start();
    let long = format!("X-Long: {}", "l".repeat(70_000));
    let lines: Vec<String> = (0..110).map(|number| format!("X-{number}: x")).collect();
    let many: Vec<&str> = lines.iter().map(String::as_str).collect();
    for headers in [vec![&*long], many] {
        let mut http = client(&process);
        let bytes = request("POST /v1/queues/q/messages", &headers, b"x");
        // The server may close while more is on its way.
        let _ = http.wire.output.write_all(&bytes);
        let rest = http.wire.input.until_closed().unwrap();
        let text = String::from_utf8_lossy(&rest);
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 431 "),
            "{text}"
        );
    }
    assert_eq!(receive(&process, "q", "").status, 204);
}

#[test]
fn slow_heads_and_idle_connections_are_closed() {
    let process = Home::new(QUICK).start();
    let begun = [
        "POST /v1/queues/q/messages HTTP/1.1\r\nHost: it\r\nX-Slow: ",
        "PO",
        "",
    ];
    for bytes in begun {
        let mut http = client(&process);
        let began = Instant::now();
        http.wire.output.write_all(bytes.as_bytes()).unwrap();
        http.wire.input.until_closed().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{bytes:?}");
    }
    let mut http = client(&process);
    http.publish("queues/q", b"a").unwrap();
    let began = Instant::now();
    http.wire.input.until_closed().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "idle");
}

/// Mutant seen caught: `Incoming` that starts its time again with every frame.
#[test]
fn slow_bodies_are_refused_however_regularly_they_drip() {
    let process = Home::new(QUICK).start();
    let heads = [
        "Content-Length: 100000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
    ];
    for (head, drop) in heads.into_iter().zip(["x", "1\r\nx\r\n"]) {
        let mut http = client(&process);
        let head = format!("POST /v1/queues/q/messages HTTP/1.1\r\nHost: it\r\n{head}");
        http.wire.output.write_all(head.as_bytes()).unwrap();
        http.wire
            .input
            .set_patience(Duration::from_millis(20))
            .unwrap();
        let began = Instant::now();
        let answer = loop {
            // Fails once the server has closed; its answer is there to be read by then.
            let _ = http.wire.output.write_all(drop.as_bytes());
            match Response::read(&mut http.wire.input) {
                Err(error) if is_early(&error) => {}
                other => break other.unwrap(),
            }
            assert!(began.elapsed() < Duration::from_secs(10), "still reading");
        };
        assert_problem("slow", &answer, 408, "timeout");
    }
    assert_eq!(receive(&process, "q", "").status, 204);
    let json = "PATCH /v1/leases/x HTTP/1.1\r\nHost: it\r\nContent-Length: 9\r\n\r\n{";
    let mut http = client(&process);
    http.wire.output.write_all(json.as_bytes()).unwrap();
    let answer = Response::read(&mut http.wire.input).unwrap();
    assert_problem("slow JSON", &answer, 408, "timeout");
}

fn is_early(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut)
}

#[test]
fn waiting_receives_are_bounded_in_all() {
    let process = Home::new("[rest]\nmax_waiting = 3\n").start();
    let waiters = ["a", "b", "c", "d"].map(|queue| {
        let line = format!("POST /v1/queues/{queue}/receive?wait=3s");
        ask(&process, &line)
    });
    let answers = waiters.map(|mut waiter| Response::read(&mut waiter.wire.input).unwrap());
    let (refused, empty): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 429);
    assert_eq!(refused.len(), 1);
    assert_problem("one too many", refused[0], 429, "too-many-waiters");
    assert!(empty.iter().all(|answer| answer.status == 204));
    assert_eq!(receive(&process, "e", "wait=1ms").status, 204, "free again");
}

/// Mutant seen caught: `WaitingPlace` without its `Drop`.
#[test]
fn place_of_a_waiting_receive_is_free_when_its_client_goes() {
    let process = Home::new("[rest]\nmax_waiting = 1\n").start();
    let waiter = ask(&process, "POST /v1/queues/a/receive?wait=60s");
    // A question that comes first takes the place for a moment, so it must not be asked too early.
    wait_until("queue of the waiter", Duration::from_secs(10), || {
        metric(&process, "ternmq_addresses ") > 2
    });
    assert_eq!(receive(&process, "b", "wait=1ms").status, 429);
    assert_eq!(
        receive(&process, "b", "").status,
        204,
        "not waiting is free"
    );
    drop(waiter);
    wait_until("a free place", Duration::from_secs(10), || {
        receive(&process, "b", "wait=1ms").status == 204
    });
}

/// A connection has one request at a time: what follows in the pipe waits for its answer.
#[test]
fn thousands_of_pipelined_receives_wait_one_by_one() {
    let process = Home::new("[rest]\nmax_waiting = 2\n").start();
    let mut http = client(&process);
    let one = request("POST /v1/queues/q/receive?wait=60s&ack=auto", &[], b"");
    // Stays unread beyond the buffer of a connection, so it must not be waited for.
    http.wire.output.write_all(&one.repeat(300)).unwrap();
    publish(&process, "q", "a");
    publish(&process, "q", "b");
    for body in [b"a", b"b"] {
        let answer = Response::read(&mut http.wire.input).unwrap();
        assert_eq!(answer.expect(200).unwrap().body, body);
    }
    assert_eq!(receive(&process, "other", "wait=1ms").status, 204);
}
