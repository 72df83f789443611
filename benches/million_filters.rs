//! One million filters (law L26: a publish finds its own among them in less than 5 us).
//!
//! `cargo bench --bench million_filters [-- FILTERS]`. Devices, sites and exact names, in an order
//! that has nothing to do with their spelling: first in the trie alone, then in a broker, where they
//! are the subscriptions of many sessions, each of whose publishes goes to a new address, so that
//! no remembered route helps. Bytes are what the process grew by, with the allocator of the server.
//! Rates are those of the median thousand, so that a busy machine shows less.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends on the first thing that is wrong"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ternmq_core::address::{Address, Filter};
use ternmq_core::broker::{Broker, BrokerOptions};
use ternmq_core::command::{
    Attach, BindOptions, BindRequest, BindTarget, Command, Publish, Retain, RetainedReplay,
    SendMode,
};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Out;
use ternmq_core::ids::{ConnectionId, Now};
use ternmq_core::map::Seed;
use ternmq_core::message::{Assurance, Envelope, Format, Run};
use ternmq_core::record::RecordSink;
use ternmq_core::topic_trie::TopicTrie;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let wanted = std::env::args().find_map(|argument| argument.parse().ok());
    let filters = wanted.unwrap_or(1_000_000);
    println!(
        "{:8} {:>14} {:>12} {:>12} {:>22} {:>14}",
        "", "bytes/filter", "insert/s", "remove/s", "match us p50/p99/max", "left bytes"
    );
    trie(filters);
    broker(filters);
}

/// The trie alone, with values as large as a binding.
fn trie(count: usize) {
    let mut trie = TopicTrie::new(Seed::new(1));
    let before = resident_bytes();
    let mut inserting = Pace::default();
    for filter in order(count).map(filter) {
        let began = Instant::now();
        trie.insert(&filter, [0_u32; 4]);
        inserting.add(began.elapsed());
    }
    let grown = resident_bytes().saturating_sub(before);
    let mut times = Vec::new();
    for address in order(count).take(MATCHES).map(address) {
        let mut found = 0;
        let began = Instant::now();
        trie.matches(&address, |_| found += 1);
        times.push(began.elapsed());
        assert_eq!(found, 1, "{address}");
    }
    let mut removing = Pace::default();
    for filter in order(count).map(filter) {
        let began = Instant::now();
        assert!(trie.remove(&filter, &[0; 4]));
        removing.add(began.elapsed());
    }
    assert!(trie.is_empty());
    let left = resident_bytes().saturating_sub(before);
    show("trie", count, grown, [inserting, removing], times, left);
}

/// Subscriptions of sessions, at most once.
fn broker(count: usize) {
    let mut world = World::new();
    let sessions = count.div_ceil(PER_SESSION);
    for session in 0..sessions {
        world.call(session, Command::Attach(attach(session)));
    }
    let before = resident_bytes();
    let mut inserting = Pace::default();
    for (place, index) in order(count).enumerate() {
        let requests = vec![BindRequest {
            target: BindTarget::Filter(filter(index)),
            options: BindOptions::default(),
            retained: RetainedReplay::Never,
        }];
        let bind = Command::Bind {
            requests,
            token: None,
        };
        inserting.add(world.call(place % sessions, bind));
    }
    let grown = resident_bytes().saturating_sub(before);
    let mut times = Vec::new();
    for address in order(count).take(MATCHES).map(address) {
        times.push(world.call(sessions, publish(address)));
        assert_eq!(world.out.effects.len(), 1);
    }
    let mut removing = Pace::default();
    for (place, index) in order(count).enumerate() {
        let unbind = Command::Unbind {
            filters: vec![BindTarget::Filter(filter(index))],
            token: None,
        };
        removing.add(world.call(place % sessions, unbind));
    }
    assert_eq!(world.broker.counts().addresses, 0);
    let left = resident_bytes().saturating_sub(before);
    show("broker", count, grown, [inserting, removing], times, left);
}

/// Times of many operations of one kind.
#[derive(Default)]
struct Pace {
    /// Of each thousand.
    thousands: Vec<Duration>,
    operations: usize,
}

impl Pace {
    fn add(&mut self, time: Duration) {
        if self.operations.is_multiple_of(1_000) {
            self.thousands.push(Duration::ZERO);
        }
        self.operations += 1;
        *self.thousands.last_mut().unwrap() += time;
    }

    fn per_second(mut self) -> f64 {
        if self.thousands.len() > 1 {
            self.thousands.pop();
        }
        self.thousands.sort_unstable();
        let median = self.thousands[self.thousands.len() / 2];
        1_000.0 / median.as_secs_f64()
    }
}

/// A broker without a log.
struct World {
    broker: Broker,
    out: Out,
    commands: Vec<Command>,
}

struct NoLog;

impl RecordSink for NoLog {
    fn append(&mut self, _: u8, _: &[u8], _: Option<&Bytes>, _: u32) -> u64 {
        0
    }

    fn tail(&self) -> u64 {
        0
    }
}

impl World {
    fn new() -> Self {
        Self {
            broker: Broker::new(BrokerOptions::default()),
            out: Out::default(),
            commands: Vec::new(),
        }
    }

    /// One command of the connection in `slot`, and how long the broker took for it.
    fn call(&mut self, slot: usize, command: Command) -> Duration {
        let connection = ConnectionId {
            slot: u32::try_from(slot).unwrap(),
            generation: 1,
        };
        self.out = Out::default();
        self.commands.push(command);
        let began = Instant::now();
        self.broker.handle(
            Now::default(),
            connection,
            &mut self.commands,
            &mut NoLog,
            &mut self.out,
        );
        began.elapsed()
    }
}

fn attach(session: usize) -> Attach {
    Attach {
        name: format!("session-{session}").into(),
        principal: "bench".into(),
        clean: true,
        expiry_ms: Some(0),
        durable: false,
        hold: false,
        window: 1_000,
        will: None,
        token: None,
    }
}

fn publish(address: Address) -> Command {
    let envelope = Envelope {
        address,
        durable: false,
        assurance: Assurance::AtMostOnce,
        priority: 4,
        expires_ms: 0,
        timestamp_ms: 0,
    };
    let body = Bytes::from_static(b"21.5");
    Command::Publish(Publish {
        run: Arc::new(Run::new(envelope, Format(1), body, &[4]).unwrap()),
        mode: SendMode::Publish,
        queue: None,
        retain: Retain::No,
        receipt: None,
        token: None,
    })
}

/// Every number below `count`, once each, scattered.
fn order(count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| place * STRIDE % count)
}

/// Of ten filters four are of devices, three of sites and three exact.
fn filter(index: usize) -> Filter {
    let text = match index % 10 {
        0..4 => format!("dev/{index}/+/state"),
        4..7 => format!("site/{index}/#"),
        _ => exact(index),
    };
    Filter::parse(&text, Dialect::Mqtt, 1_000).unwrap()
}

/// What only the filter of the same number matches.
fn address(index: usize) -> Address {
    let text = match index % 10 {
        0..4 => format!("dev/{index}/door-{}/state", index % 7),
        4..7 => format!("site/{index}/floor-{}/temperature", index % 7),
        _ => exact(index),
    };
    Address::parse(&text, Dialect::Mqtt, 1_000).unwrap()
}

fn exact(index: usize) -> String {
    let (plant, line) = (index / 10_000, index / 100 % 100);
    format!("plant/{plant}/line/{line}/sensor-{index}")
}

fn show(
    name: &str,
    count: usize,
    grown: usize,
    [inserting, removing]: [Pace; 2],
    mut times: Vec<Duration>,
    left: usize,
) {
    times.sort_unstable();
    let at =
        |per_mille: usize| times[(times.len() - 1) * per_mille / 1_000].as_nanos() as f64 / 1e3;
    println!(
        "{name:8} {:>14} {:>12.0} {:>12.0} {:>22} {left:>14}",
        grown / count,
        inserting.per_second(),
        removing.per_second(),
        format!("{:.2} / {:.2} / {:.0}", at(500), at(990), at(1_000)),
    );
}

/// Memory of this process, in bytes.
fn resident_bytes() -> usize {
    // The allocator gives back what is free a moment later.
    std::thread::sleep(Duration::from_millis(100));
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// Prime, and so without a divisor in common with the number of filters.
const STRIDE: usize = 7_368_787;
/// Matches that are timed: each address is new, and no route of a new address is remembered.
const MATCHES: usize = 200_000;
/// Filters of one session, of which `limits.max_subscriptions_per_connection` allows ten times more.
const PER_SESSION: usize = 1_000;
