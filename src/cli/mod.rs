//! The command line: `ternmq` alone is `ternmq serve`.
//!
//! Exit codes of every command: 0 done, 1 failed, 2 wrong arguments or configuration, 3 not
//! allowed, 5 conflict, 6 unavailable, 124 out of time. An error is one line that says what
//! happened, and a `hint:` that says what to do.

mod bodies;
mod check;
mod connect;
mod failure;
mod format;
mod interrupts;
mod output;
mod publish;
mod serve;
mod subscribe;
#[cfg(test)]
mod tests;
mod url;

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::runtime;

use crate::config::ConfigError;

use failure::Failure;
use publish::PublishArguments;
use serve::ServeArguments;
use subscribe::SubscribeArguments;

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
    /// Publish messages over MQTT; ends when the server has confirmed them.
    Pub(Box<PublishArguments>),
    /// Subscribe over MQTT and write what comes.
    Sub(Box<SubscribeArguments>),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a configuration, and whether this machine can serve it; binds and writes nothing.
    Check(ServeArguments),
}

/// Does what the arguments ask; `serve` returns when the server has stopped.
///
/// # Errors
/// A wrong configuration, or whatever ended the server or client.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        None => serve::run(&arguments.serve),
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Pub(publish)) => Ok(publish::run(&publish)?),
        Some(Command::Sub(subscribe)) => Ok(subscribe::run(&subscribe)?),
        Some(Command::Config(ConfigCommand::Check(serve))) => check::run(&serve),
    }
}

/// `error` and its causes in one line, a cause that an error names itself being said once, and what
/// to do in a second one.
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
    if let Some(hint) = error.downcast_ref().and_then(Failure::hint) {
        text.push_str("\n  hint: ");
        text.push_str(hint);
    }
    text
}

/// The exit code that tells scripts what kind of `error` it was.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return ExitCode::from(failure.exit_code());
    }
    if error.is::<ConfigError>() {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// Runs a client on this thread.
fn block_on(client: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(client);
    // A look-up of a name that hangs must not hold up the exit.
    runtime.shutdown_timeout(Duration::ZERO);
    result
}

fn say(text: &str) {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "ternmq: {text}");
}
