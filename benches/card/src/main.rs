//! Runs again what the decision pages quote: `cargo run --release -- mqtt`, or `-- amqp TERNMQ` with
//! the path of a release binary of TernMQ.

mod amqp;
mod mqtt;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["mqtt"] => mqtt::run(),
        ["amqp", ternmq] => amqp::run(ternmq),
        // The broker that `amqp` starts as a process of its own.
        ["amqp-broker", port] => amqp::serve(port),
        _ => {
            eprintln!("usage: card mqtt | card amqp TERNMQ");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
