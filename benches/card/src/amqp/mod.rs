//! Decisions 0003 and 0014: a minimal queue broker on fe2o3-amqp's acceptor and TernMQ, under the same
//! load and the same malformed input. Each is a process of its own with one worker thread.

mod broker;
mod client;
mod load;
mod malformed;
mod process;

pub use broker::serve;

use load::Load;
use process::{Broker, Kind};

const KINDS: [Kind; 2] = [Kind::Fe2o3, Kind::TernMq];
const ROUNDS: usize = 3;

/// Prints rates, costs and what malformed input does.
pub fn run(ternmq: &str) {
    let saturated = Load {
        messages: 200_000,
        rate: None,
    };
    let steady = Load {
        messages: 15_000,
        rate: Some(5_000),
    };
    println!(
        "1 sender, 1 receiver, one queue, 256 B, unsettled, credit 500, 1,000 in flight, not durable\n"
    );
    println!(
        "{:<12}{:>14}{:>12}{:>16}{:>12}{:>12}",
        "broker", "load", "msg/s", "CPU us/msg", "p50 us", "p99 us"
    );
    for (name, load) in [("saturated", saturated), ("5,000/s", steady)] {
        for kind in KINDS {
            for _ in 0..ROUNDS {
                let broker = Broker::start(kind, ternmq);
                let result = load.run(&broker);
                println!(
                    "{:<12}{name:>14}{:>12.0}{:>16.2}{:>12}{:>12}",
                    kind.name(),
                    result.rate,
                    result.cpu_us,
                    result.p50_us,
                    result.p99_us
                );
            }
        }
    }
    println!("\nmalformed input, and what it does:\n");
    println!(
        "{:<44}{:<34}{:<34}",
        "input",
        KINDS[0].name(),
        KINDS[1].name()
    );
    for case in malformed::cases() {
        print!("{:<44}", case.name);
        for kind in KINDS {
            let mut broker = Broker::start(kind, ternmq);
            print!("{:<34}", malformed::judge(&mut broker, &case));
        }
        println!();
    }
}
