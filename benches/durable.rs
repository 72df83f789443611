//! The engine's own durable rate: one producer with a window of 1,000 messages, a queue, and one
//! consumer that settles, through [`Link`]s and the real disk, without sockets and codecs.
//!
//!     cargo bench --bench durable [DIRECTORY]
//!
//! Compare within the same minutes with a broker that has nothing in it, or with a plain loop of
//! write and sync: disks and machines differ by far more than versions do.

#![expect(clippy::print_stdout, reason = "its figures are its result")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use ternmq::engine::{Clock, Engine, EngineOptions, Link, Outgoing, RealVfs, Released, Seed};
use ternmq_core::address::{Address, QueueName};
use ternmq_core::command::{
    Command, Consume, ConsumeOptions, Publish, QueueSpec, Retain, RoutingType, SendMode, Settle,
    SettleMode, Source, Tags,
};
use ternmq_core::dialect::Dialect;
use ternmq_core::ids::{ConsumerKey, Token};
use ternmq_core::message::{Assurance, Envelope, Format, Run};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let directory = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"))
        .map_or_else(std::env::temp_dir, PathBuf::from);
    for (what, run) in [("runs of 50", 50), ("runs of 1", 1)] {
        let mut rounds = (0..ROUNDS)
            .map(|_| round(&directory, run))
            .collect::<Outcome<Vec<_>>>()?;
        rounds.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let Round {
            rate,
            syncs,
            per_sync,
        } = rounds[rounds.len() / 2];
        println!(
            "{BODY_BYTES} B, {what}, {WINDOW} in flight: {:.0} k msg/s, {:.3} us per message, {syncs:.0} \
             fsyncs/s, {per_sync:.0} us each; median of {ROUNDS}, from {:.0} k to {:.0} k",
            rate / 1e3,
            1e6 / rate,
            rounds[0].rate / 1e3,
            rounds[rounds.len() - 1].rate / 1e3,
        );
    }
    Ok(())
}

/// What one round gave.
#[derive(Clone, Copy)]
struct Round {
    /// Confirmed messages per second.
    rate: f64,
    /// Syncs of the journal per second.
    syncs: f64,
    /// Microseconds of a sync.
    per_sync: f64,
}

fn round(directory: &Path, run: u32) -> Outcome<Round> {
    let data_dir = directory.join(format!("ternmq-durable-{}", std::process::id()));
    let measured = measure(&data_dir, run);
    std::fs::remove_dir_all(&data_dir)?;
    measured
}

fn measure(data_dir: &Path, run: u32) -> Outcome<Round> {
    let runtime = tokio::runtime::Runtime::new()?;
    let _entered = runtime.enter();
    let options = EngineOptions {
        data_dir: data_dir.to_path_buf(),
        clock: Clock::system(),
        ..EngineOptions::default()
    };
    let seed = Seed {
        uuid: [1; 16],
        salt: u64::from(std::process::id()),
        wall_us: 0,
    };
    let engine = Engine::open(Arc::new(RealVfs), options, seed)?;
    engine.spawn()?;
    engine.declare(vec![Command::DeclareQueue(QueueSpec {
        queue: QueueName::parse(QUEUE, Dialect::Canonical, 100)?,
        address: address()?,
        routing: RoutingType::Anycast,
        durable: true,
    })]);
    let enough = AtomicBool::new(false);
    let before = engine.stats();
    let began = Instant::now();
    let confirmed = thread::scope(|scope| {
        let consumer = scope.spawn(|| consume(&engine, &enough));
        let producer = scope.spawn(|| publish(&engine, run, &enough));
        thread::sleep(ROUND);
        enough.store(true, Ordering::Relaxed);
        let confirmed = producer.join().map_err(|_| "the producer panicked")?;
        consumer.join().map_err(|_| "the consumer panicked")??;
        confirmed
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let after = engine.stats();
    engine.finish()?;
    let syncs = (after.journal.syncs - before.journal.syncs) as f64;
    let times = (after.fsync.sum - before.fsync.sum) as f64 / 1e3;
    Ok(Round {
        rate: confirmed as f64 / seconds,
        syncs: syncs / seconds,
        per_sync: times / (after.fsync.count - before.fsync.count).max(1) as f64,
    })
}

/// Keeps the window full; returns how many messages were confirmed.
fn publish(engine: &Engine, messages: u32, enough: &AtomicBool) -> Outcome<u64> {
    let link = connect(engine)?;
    let body = vec![b'x'; (messages * BODY_BYTES) as usize];
    let mut commands = Vec::new();
    let mut released = Released::default();
    let envelope = envelope()?;
    let (mut in_flight, mut confirmed) = (0, 0);
    while !enough.load(Ordering::Relaxed) {
        while in_flight + messages <= WINDOW {
            let Some(charge) = link.reserve(body.len()) else {
                break;
            };
            let block = link.block(charge, &body);
            let run = Run::even(envelope.clone(), Format(1), block, messages, BODY_BYTES);
            commands.push(Command::Publish(Publish {
                run: Arc::new(run.ok_or("not a run")?),
                mode: SendMode::Anycast,
                queue: None,
                retain: Retain::No,
                receipt: None,
                token: Some(Token(u64::from(in_flight))),
            }));
            in_flight += messages;
        }
        link.submit(&mut commands);
        link.take(&mut released);
        let answers = released.answers.len() as u32 * messages;
        released = Released::default();
        if answers == 0 {
            thread::park_timeout(PATIENCE);
        }
        in_flight -= answers;
        confirmed += u64::from(answers);
    }
    Ok(confirmed)
}

/// Takes and settles everything.
fn consume(engine: &Engine, enough: &AtomicBool) -> Outcome<()> {
    let link = connect(engine)?;
    let consumer = ConsumerKey(1);
    let mut commands = vec![Command::Consume(Consume {
        consumer,
        source: Source::Anycast(address()?),
        settle: SettleMode::Explicit,
        prefetch: 10_000,
        options: ConsumeOptions::default(),
        token: None,
    })];
    let mut released = Released::default();
    while !enough.load(Ordering::Relaxed) {
        link.submit(&mut commands);
        link.take(&mut released);
        if released.deliveries.is_empty() {
            thread::park_timeout(PATIENCE);
        }
        let mut room = 0;
        for outgoing in released.deliveries.drain(..) {
            if let Outgoing::Delivery(delivery) = outgoing {
                room += delivery.room();
                commands.push(Command::Settle(Settle {
                    consumer,
                    tags: Tags::Range {
                        first: delivery.tag,
                        n: delivery.count,
                    },
                    outcome: ternmq_core::command::Outcome::Accepted,
                    note: None,
                    token: None,
                }));
            }
        }
        commands.push(Command::Room(room));
        released = Released::default();
    }
    Ok(())
}

/// A connection of this thread, which is unparked when something may leave.
fn connect(engine: &Engine) -> Outcome<Link> {
    let link = engine
        .connect()
        .map_err(|refusal| format!("refused: {refusal}"))?;
    link.set_waker(&Waker::from(Arc::new(Unpark(thread::current()))));
    Ok(link)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn address() -> Outcome<Address> {
    Ok(Address::parse(QUEUE, Dialect::Canonical, 100)?)
}

fn envelope() -> Outcome<Envelope> {
    Ok(Envelope {
        address: address()?,
        durable: true,
        assurance: Assurance::AtLeastOnce,
        priority: 4,
        expires_ms: 0,
        timestamp_ms: 0,
    })
}

const QUEUE: &str = "durable";
const BODY_BYTES: u32 = 256;
const WINDOW: u32 = 1_000;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
/// A wake-up that does not come ends the round with few messages, not in a hang.
const PATIENCE: Duration = Duration::from_secs(1);
