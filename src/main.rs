//! The `ternmq` binary.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use ternmq::cli::{self, Arguments};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error leaves nobody to tell; the exit code says it all the same.
            let _ = writeln!(std::io::stderr(), "ternmq: {}", cli::describe(&error));
            cli::exit_code(&error)
        }
    }
}
