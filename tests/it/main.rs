//! Black-box tests of the `ternmq` binary and server.
#![expect(clippy::unwrap_used, reason = "a failed step of a test ends the test")]

mod admin;
mod config;
mod process;
mod stomp;
mod support;
mod tidy;
