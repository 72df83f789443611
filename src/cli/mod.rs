//! The command line: `ternmq` alone is `ternmq serve`.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::server;

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

#[derive(Debug, Args)]
struct ServeArguments {
    /// Configuration file (TOML). Without it: the listeners of the development profile on
    /// 127.0.0.1, state in ./data.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key over the file, such as `limits.memory=512MiB`; may be repeated, the last wins.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Does what the arguments ask; `serve` returns when the server has stopped.
///
/// # Errors
/// A wrong configuration, or whatever ended the server.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let serve = match arguments.command {
        Some(Command::Serve(serve)) => serve,
        None => arguments.serve,
    };
    let config = Config::load(serve.config.as_deref(), &serve.set)?;
    server::run(config)?;
    Ok(())
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
