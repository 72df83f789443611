//! Black-box tests of the `ternmq` binary and server.
#![expect(clippy::unwrap_used, reason = "a failed step of a test ends the test")]
#![expect(clippy::panic, reason = "a failed step of a test ends the test")]
#![expect(
    clippy::print_stdout,
    reason = "the tables and counts that a run shows are part of its result"
)]

mod admin;
mod amqp;
mod back_pressure;
mod cli;
mod config;
mod cross_protocol;
mod full_disk;
mod limits;
mod mqtt;
mod process;
mod proxy;
mod recovery;
mod rest;
mod stomp;
mod support;
mod tidy;
mod volume;
