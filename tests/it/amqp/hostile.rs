//! Hostile clients beside an ordinary one: it goes on, and their memory comes back (rules 18, 19, 62,
//! 63; laws L22, L25).
//!
//! `TERNMQ_HOSTILE_SECONDS` asks for the long form as well: the latencies of the ordinary client with
//! and without the others, three times. They mean something with a release binary (`TERNMQ_BIN`).

mod attacks;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::support::process::wait_until;
use crate::support::wire::PATIENCE;
use attacks::{ATTACKS, plain};

/// Somebody who sends 2,000 messages in a second to itself.
struct Ordinary {
    client: Amqp,
    sent: u32,
}

impl Ordinary {
    fn new(process: &Process) -> Self {
        let mut client = Amqp::begun(process.tcp("amqp"), "ordinary");
        client.sender("s", 0, "ordinary");
        // Sent settled, so that it has nothing else to do.
        let receiver = amqp::receiver("r", 1, "ordinary").with("snd-settle-mode", 1_u8);
        client.say(0, receiver);
        client.expect("attach");
        let credit = amqp::credit(1, 1 << 30).with("incoming-window", 1_u32 << 30);
        client.say(0, credit);
        Self { client, sent: 0 }
    }

    /// Sends until told to stop; how long each message was on its way.
    fn work(&mut self, enough: impl Fn() -> bool) -> Vec<Duration> {
        let mut latencies = Vec::new();
        let mut due = Instant::now();
        while !enough() {
            let mut all = Vec::new();
            let message = amqp::message(false, &[b'x'; 256]);
            for _ in 0..TOGETHER {
                let transfer = amqp::encoded(amqp::first(0, self.sent));
                all.extend(amqp::frame(0, 0, &transfer, &message));
                self.sent += 1;
            }
            let began = Instant::now();
            self.client.bytes(&all);
            let (mut told, mut came) = (0, 0);
            while told < TOGETHER || came < TOGETHER {
                let heard = self.client.frame().body;
                match heard.name {
                    "transfer" => {
                        came += 1;
                        latencies.push(began.elapsed());
                    }
                    "disposition" => told += heard.count(),
                    other => assert_eq!(other, "flow", "{heard:?}"),
                }
            }
            due += PAUSE;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        latencies
    }
}

/// The server has handled everything when it has answered this.
fn goodbye(client: &mut Amqp) -> io::Result<()> {
    let close = plain(0, Composite::new("close"));
    client.wire.output.write_all(&close)?;
    client.wire.input.until_closed().map(drop)
}

/// Every attack, one after the other.
fn attack(process: &Process) {
    for (name, attack) in ATTACKS {
        let mut client = Amqp::begun(process.tcp("amqp"), "hostile");
        let end = attack(&mut client).and_then(|()| goodbye(&mut client));
        if let Err(error) = end {
            let expected = matches!(
                error.kind(),
                io::ErrorKind::WouldBlock
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
            );
            assert!(expected, "{name}: {error}");
        }
    }
}

/// What the ordinary client saw while `others` went on.
fn beside(ordinary: &mut Ordinary, others: impl FnOnce() + Send) -> Vec<Duration> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            others();
            done.store(true, Ordering::Relaxed);
        });
        ordinary.work(|| done.load(Ordering::Relaxed))
    })
}

#[test]
fn hostile_clients_harm_only_themselves_and_their_memory_comes_back() {
    let process = server("");
    let mut ordinary = Ordinary::new(&process);
    attack(&process);
    let began = Instant::now();
    ordinary.work(|| began.elapsed() > Duration::from_millis(200));
    let before = process.resident_bytes();
    let latencies = beside(&mut ordinary, || attack(&process));
    assert!(!latencies.is_empty());
    wait_until("memory back", PATIENCE, || {
        process.resident_bytes() < before + (16 << 20)
    });
    ordinary.client.close();
}

/// The long form: the table of p99 is its result, so it prints and asserts nothing of time.
#[test]
fn hostile_clients_beside_an_ordinary_one_for_as_long_as_asked() {
    let Ok(seconds) = std::env::var("TERNMQ_HOSTILE_SECONDS") else {
        return;
    };
    let span = Duration::from_secs(seconds.parse().unwrap());
    let process = server("");
    let mut ordinary = Ordinary::new(&process);
    let within = |span: Duration| {
        let began = Instant::now();
        move || began.elapsed() > span
    };
    ordinary.work(within(Duration::from_secs(1)));
    let before = process.resident_bytes();
    for (name, hostile) in ATTACKS {
        let mut ratios = Vec::new();
        for _ in 0..3 {
            let alone = percentiles(&mut ordinary.work(within(span)));
            let over = within(span);
            let pressed = percentiles(&mut beside(&mut ordinary, || {
                while !over() {
                    let mut client = Amqp::begun(process.tcp("amqp"), "hostile");
                    // It ends as it must; the short form looks at how.
                    let _ = hostile(&mut client);
                }
            }));
            ratios.push((
                pressed.0.as_secs_f64() / alone.0.as_secs_f64(),
                alone,
                pressed,
            ));
        }
        ratios.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (ratio, alone, pressed) = ratios[1];
        println!(
            "{name:24} p99 {:?} -> {:?} ({ratio:.2}), max {:?} -> {:?}",
            alone.0, pressed.0, alone.1, pressed.1
        );
    }
    let after = || process.resident_bytes().saturating_sub(before) >> 10;
    wait_until("memory back", PATIENCE, || after() < 16 << 10);
    println!("resident set: {} KiB more than before", after());
}

/// The 99th percentile and the maximum.
fn percentiles(latencies: &mut [Duration]) -> (Duration, Duration) {
    latencies.sort_unstable();
    let at = latencies.len() * 99 / 100;
    (latencies[at], latencies[latencies.len() - 1])
}

/// Messages of one write, and how long one such write is due for.
const TOGETHER: u64 = 10;
const PAUSE: Duration = Duration::from_millis(5);
