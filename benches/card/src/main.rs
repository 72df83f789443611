//! Runs again what the decision pages quote: `cargo run --release -- mqtt`.

mod mqtt;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("mqtt"), None) => {
            mqtt::run();
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: card mqtt");
            ExitCode::FAILURE
        }
    }
}
