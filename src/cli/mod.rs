//! The command line: `ternmq` alone is `ternmq serve`.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration.

mod serve;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;

use serve::ServeArguments;

/// A multi-protocol message broker: MQTT, STOMP, REST, SSE and WebSocket over one durable journal.
#[derive(Debug, Parser)]
#[command(name = "ternmq", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker; this is also what happens without a command.
    Serve(ServeArguments),
}

/// Does what the arguments ask; `serve` returns when the server has stopped.
///
/// # Errors
/// A wrong configuration, or whatever ended the server.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Some(Command::Serve(serve)) => serve::run(&serve),
        None => serve::run(&arguments.serve),
    }
}

/// `error` and its causes in one line; a cause that an error names itself is said once.
#[must_use]
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// The exit code that tells scripts what kind of `error` it was.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<ConfigError>() {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}
