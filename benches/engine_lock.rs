//! How long the engine's lock is held and waited for under saturation (law L21: hold p99 at most
//! 10 us, max 1 ms).
//!
//! `cargo bench --bench engine_lock [-- PART_OF_A_NAME...]`. One publisher and one subscriber on two
//! workers do what the MQTT front-end does with reads of 64 KiB: all messages of a read are one
//! batch, of one topic (`runs`) or of eight in turn (`spread`), with 1,000 in flight where they are
//! confirmed.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends on the first thing that is wrong"
)]

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ternmq::engine::{Engine, EngineOptions, Link, Outgoing, RealVfs, Released, Seed, Snapshot};
use ternmq_core::address::{Address, Filter};
use ternmq_core::command::{
    Attach, BindOptions, BindRequest, BindTarget, Command, Outcome, Publish, Retain,
    RetainedReplay, SendMode, Settle, Tags,
};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Answer;
use ternmq_core::ids::{ConsumerKey, Tag, Token};
use ternmq_core::message::{Assurance, Envelope, Format, Run};

/// What is measured in one row.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    qos: u8,
    durable: bool,
    topics: usize,
}

const LOADS: [Load; 6] = [
    load("QoS 0, runs", 0, false, 1),
    load("QoS 0, spread", 0, false, 8),
    load("QoS 1, runs", 1, false, 1),
    load("QoS 1, spread", 1, false, 8),
    load("durable, runs", 1, true, 1),
    load("durable, spread", 1, true, 8),
];

const fn load(name: &'static str, qos: u8, durable: bool, topics: usize) -> Load {
    Load {
        name,
        qos,
        durable,
        topics,
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    println!(
        "{:16} {:>9}  {:>34}  {:>34}",
        "load", "msg/s", "hold us p50/p99/p999/max", "wait us p50/p99/p999/max"
    );
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<_> = wanted.iter().filter(|arg| !arg.starts_with('-')).collect();
    for load in LOADS {
        if wanted.is_empty() || wanted.iter().any(|name| load.name.contains(*name)) {
            runtime.block_on(measure(load));
        }
    }
}

async fn measure(load: Load) {
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        data_dir: dir.path().to_owned(),
        ..EngineOptions::default()
    };
    let seed = Seed {
        uuid: [7; 16],
        salt: 1,
        wall_us: 1,
    };
    let engine = Engine::open(Arc::new(RealVfs), options, seed).unwrap();
    engine.spawn().unwrap();
    let subscriber = engine.connect().unwrap();
    subscribe(&subscriber, load).await;
    let publisher = engine.connect().unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let counted = Arc::clone(&received);
    let consuming = tokio::spawn(async move { consume(&subscriber, &counted).await });
    publish(&publisher, load, &received).await;
    consuming.abort();
    let rate = received.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    let stats = engine.stats();
    println!(
        "{:16} {rate:>9.0}  {:>34}  {:>34}",
        load.name,
        micros(&stats.lock_hold),
        micros(&stats.lock_wait)
    );
    drop(publisher);
    tokio::task::spawn_blocking(move || engine.finish())
        .await
        .unwrap()
        .unwrap();
}

fn micros(times: &Snapshot) -> String {
    let at = |q| times.quantile(q) as f64 / 1e3;
    let max = times.max as f64 / 1e3;
    format!(
        "{:.2} / {:.2} / {:.2} / {max:.1}",
        at(0.5),
        at(0.99),
        at(0.999)
    )
}

/// Attaches a session and binds it to every topic of the load.
async fn subscribe(link: &Link, load: Load) {
    let attach = |token| {
        Command::Attach(Attach {
            name: "subscriber".into(),
            principal: "bench".into(),
            clean: !load.durable,
            expiry_ms: (!load.durable).then_some(0),
            durable: load.durable,
            hold: false,
            window: 65_535,
            will: None,
            token: Some(token),
        })
    };
    assert!(matches!(link.ask(attach).await, Answer::Attached { .. }));
    let filter = Filter::parse("bench/#", Dialect::Mqtt, 1_000).unwrap();
    let requests = vec![BindRequest {
        target: BindTarget::Filter(filter),
        options: BindOptions {
            qos: load.qos,
            ..BindOptions::default()
        },
        retained: RetainedReplay::Never,
    }];
    link.ask(|token| Command::Bind {
        requests,
        token: Some(token),
    })
    .await;
}

/// Takes and settles what comes, for ever.
async fn consume(link: &Link, received: &AtomicU64) {
    let mut released = Released::default();
    let mut commands = Vec::new();
    poll_fn(|context| {
        link.set_waker(context.waker());
        link.take(&mut released);
        let (mut tags, mut room): (Option<(Tag, u32)>, u32) = (None, 0);
        for outgoing in released.deliveries.drain(..) {
            match outgoing {
                Outgoing::Fanout { count, .. } => {
                    received.fetch_add(count.into(), Ordering::Relaxed);
                }
                Outgoing::Delivery(delivery) => {
                    received.fetch_add(delivery.count.into(), Ordering::Relaxed);
                    room += delivery.room();
                    let (_, n) = tags.get_or_insert((delivery.tag, 0));
                    *n += delivery.count;
                }
            }
        }
        if let Some((first, n)) = tags {
            commands.push(Command::Written {
                consumer: ConsumerKey::SESSION,
                tag: first + Tag::from(n) - 1,
            });
            commands.push(Command::Room(room));
            commands.push(Command::Settle(Settle {
                consumer: ConsumerKey::SESSION,
                tags: Tags::Range { first, n },
                outcome: Outcome::Accepted,
                note: None,
                token: None,
            }));
            link.submit(&mut commands);
            context.waker().wake_by_ref();
        }
        Poll::<()>::Pending
    })
    .await;
}

/// Publishes for [`SECONDS`] and waits for what is under way.
async fn publish(link: &Link, load: Load, received: &AtomicU64) {
    let addresses: Vec<Address> = (0..load.topics)
        .map(|topic| Address::parse(&format!("bench/{topic}"), Dialect::Mqtt, 1_000).unwrap())
        .collect();
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let (mut sent, mut confirmed) = (0u64, 0u64);
    let mut released = Released::default();
    let mut commands = Vec::new();
    poll_fn(|context| {
        link.set_waker(context.waker());
        link.take(&mut released);
        for (token, answer) in released.answers.drain(..) {
            assert!(matches!(answer, Answer::Published { .. }), "{answer:?}");
            confirmed += token.0 >> 32;
        }
        let done = Instant::now() >= until;
        let settled = match load.qos {
            0 => received.load(Ordering::Relaxed),
            _ => confirmed,
        };
        if done && settled == sent {
            return Poll::Ready(());
        }
        let free = WINDOW.saturating_sub(sent - settled).min(READ_MESSAGES);
        if !done && free > 0 {
            batch(link, load, &addresses, (sent, free), &mut commands);
            sent += free;
            link.submit(&mut commands);
        }
        if load.qos == 0 || !done {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

/// The commands of one read of `n` messages, numbered from `sent`.
fn batch(
    link: &Link,
    load: Load,
    addresses: &[Address],
    (sent, n): (u64, u64),
    commands: &mut Vec<Command>,
) {
    let runs = if load.topics == 1 { 1 } else { n };
    for run in 0..runs {
        let count = n / runs;
        let bytes = vec![b'x'; MESSAGE_BYTES * count as usize];
        let charge = link.reserve(bytes.len()).unwrap();
        let ends: Vec<u32> = (1..=count as u32)
            .map(|k| k * MESSAGE_BYTES as u32)
            .collect();
        let topic = (sent + run) as usize % addresses.len();
        let envelope = Envelope {
            address: addresses[topic].clone(),
            durable: load.qos > 0,
            assurance: if load.qos == 0 {
                Assurance::AtMostOnce
            } else {
                Assurance::AtLeastOnce
            },
            priority: 4,
            expires_ms: 0,
            timestamp_ms: 0,
        };
        let block: Bytes = link.block(charge, &bytes);
        commands.push(Command::Publish(Publish {
            run: Arc::new(Run::new(envelope, Format(1), block, &ends).unwrap()),
            mode: SendMode::Publish,
            queue: None,
            retain: Retain::No,
            receipt: None,
            token: (load.qos > 0).then_some(Token(count << 32 | run)),
        }));
    }
}

/// Length of one row.
const SECONDS: u64 = 3;
/// Bytes of a message, as it stands in the read.
const MESSAGE_BYTES: usize = 90;
/// Messages of one read of 64 KiB.
const READ_MESSAGES: u64 = 700;
/// Messages under way.
const WINDOW: u64 = 1_000;
