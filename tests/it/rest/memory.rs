//! L20: bodies are paid for from `limits.memory` while they are still coming in.

use std::io::Write;

use super::*;
use crate::support::process::Home;

const TIGHT: &str = "[limits]\nmemory = \"1MiB\"\nblock_timeout_ms = 400\n\
                     [rest]\nbody_timeout_ms = 20000\n";

/// Begins an upload and waits until so many bytes are reserved for it.
fn begin(process: &Process, head: &str, part: &[u8], reserved: u64) -> Http {
    let mut http = client(process);
    let head = format!("POST /v1/queues/held/messages HTTP/1.1\r\nHost: it\r\n{head}\r\n\r\n");
    http.wire.output.write_all(head.as_bytes()).unwrap();
    http.wire.output.write_all(part).unwrap();
    wait_until("reservation", Duration::from_secs(10), || {
        metric(process, "ternmq_memory_used_bytes ") >= reserved
    });
    http
}

/// Mutant seen caught: `read_into` that reserves when the body is complete.
#[test]
fn l20_announced_body_is_reserved_before_it_is_read() {
    let process = Home::new(TIGHT).start();
    let body = vec![b'x'; 600_000];
    let mut held = begin(&process, "Content-Length: 600000", &body[..10], 600_000);
    let line = "POST /v1/queues/q/messages";
    let answer = call(&process, line, &[], &body);
    assert_problem("no memory", &answer, 503, "address-full");
    publish(&process, "q", "small ones find room");
    held.wire.output.write_all(&body[10..]).unwrap();
    let answer = Response::read(&mut held.wire.input).unwrap();
    answer.expect(201).unwrap();
    receive(&process, "held", "ack=auto").expect(200).unwrap();
    call(&process, line, &[], &body).expect(201).unwrap();
}

#[test]
fn l20_body_of_unknown_length_is_reserved_as_it_grows_and_given_back() {
    let process = Home::new(TIGHT).start();
    let mut part = format!("{:x}\r\n", 500_000).into_bytes();
    part.extend(vec![b'x'; 500_000]);
    part.extend(b"\r\n");
    let held = begin(&process, "Transfer-Encoding: chunked", &part, 500_000);
    let body = vec![b'x'; 600_000];
    let line = "POST /v1/queues/q/messages";
    let answer = call(&process, line, &[], &body);
    assert_problem("no memory", &answer, 503, "address-full");
    drop(held);
    wait_until("memory back", Duration::from_secs(10), || {
        metric(&process, "ternmq_memory_used_bytes ") == 0
    });
    call(&process, line, &[], &body).expect(201).unwrap();
}

#[test]
fn l20_waiting_upload_goes_on_when_memory_comes_back() {
    let config = TIGHT.replace("block_timeout_ms = 400", "block_timeout_ms = 20000");
    let process = Home::new(&config).start();
    let body = vec![b'x'; 600_000];
    let line = "POST /v1/queues/q/messages";
    call(&process, line, &[], &body).expect(201).unwrap();
    let answer = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| call(&process, line, &[], &body));
        wait_until("waiting upload", Duration::from_secs(10), || {
            metric(&process, "ternmq_connections_waiting_for_memory ") == 1
        });
        receive(&process, "q", "ack=auto").expect(200).unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(answer.status, 201);
}

#[test]
fn l20_larger_than_all_memory_is_refused_at_once() {
    let config = TIGHT.replace("block_timeout_ms = 400", "block_timeout_ms = 20000");
    let process = Home::new(&config).start();
    let mut http = client(&process);
    let head = "POST /v1/queues/q/messages HTTP/1.1\r\nHost: it\r\nContent-Length: 2000000\r\n\r\n";
    http.wire.output.write_all(head.as_bytes()).unwrap();
    http.wire
        .input
        .set_patience(Duration::from_secs(5))
        .unwrap();
    let answer = Response::read(&mut http.wire.input).unwrap();
    assert_problem("too large", &answer, 413, "too-large");
}
