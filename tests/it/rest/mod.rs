//! REST and server-sent events over raw HTTP/1.1: every endpoint with its success and its problems,
//! numbered as in the requirements (`b3_ROW`, `rs_N`).

mod crash;
mod crossing;
mod events;
mod hostile;
mod leases;
mod memory;
mod publishing;
mod receiving;
mod requests;

use std::io::Write;
use std::time::Duration;

use serde_json::Value as Json;

use crate::support::http::{Http, Response, request};
use crate::support::process::{Process, wait_until};

/// A client with a connection of its own.
fn client(process: &Process) -> Http {
    Http::new(process.tcp("http"))
}

/// One request on a connection of its own.
fn call(process: &Process, line: &str, headers: &[&str], body: &[u8]) -> Response {
    client(process).call(line, headers, body).unwrap()
}

/// Publishes a text to a queue.
fn publish(process: &Process, queue: &str, body: &str) {
    client(process)
        .publish(&format!("queues/{queue}"), body.as_bytes())
        .unwrap();
}

/// A receive with this query; the answer may be empty.
fn receive(process: &Process, queue: &str, query: &str) -> Response {
    let line = format!("POST /v1/queues/{queue}/receive?{query}");
    call(process, &line, &[], b"")
}

/// The lease of a message that must be there.
fn lease(process: &Process, queue: &str, query: &str) -> String {
    let message = receive(process, queue, query).expect(200).unwrap();
    message.header("tmq-lease").unwrap().to_owned()
}

/// Sends a request and does not wait for its answer.
fn ask(process: &Process, line: &str) -> Http {
    let mut http = client(process);
    let bytes = request(line, &[], b"");
    http.wire.output.write_all(&bytes).unwrap();
    http
}

/// The body as JSON.
fn json(response: &Response) -> Json {
    serde_json::from_slice(&response.body).unwrap()
}

/// Checks every field of a problem.
fn assert_problem(what: &str, response: &Response, status: u16, slug: &str) {
    let text = String::from_utf8_lossy(&response.body).into_owned();
    assert_eq!(response.status, status, "{what}: {text}");
    let media = response.header("content-type");
    assert_eq!(media, Some("application/problem+json"), "{what}");
    let problem = json(response);
    assert_eq!(
        problem["type"],
        format!("urn:ternmq:problem:{slug}"),
        "{what}"
    );
    assert_eq!(problem["status"], status, "{what}: {text}");
    let told = |field: &str| problem[field].as_str().is_some_and(|text| !text.is_empty());
    assert!(told("title") && told("detail"), "{what}: {text}");
    let instance = problem["instance"].as_str();
    assert_eq!(instance, response.header("tmq-request-id"), "{what}");
    let retryable = problem["retryable"].as_bool().unwrap();
    let after = response.header("retry-after").is_some();
    assert_eq!(retryable, after, "{what}: {text}");
}

/// A counter or gauge of `/metrics`.
fn metric(process: &Process, name: &str) -> u64 {
    let response = call(process, "GET /metrics", &[], b"").expect(200).unwrap();
    let text = String::from_utf8(response.body).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    value as u64
}

/// Waits until the server knows of `count` connections, that of the question included.
fn wait_for_connections(process: &Process, count: u64) {
    wait_until("number of connections", Duration::from_secs(10), || {
        metric(process, "ternmq_connections ") == count
    });
}
