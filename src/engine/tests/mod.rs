//! The engine on a simulated disk, without threads: the journal, the releaser and the deadlines are
//! stepped by hand, the clock stands until it is moved.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};

use bytes::Bytes;
use ternmq_core::address::{Address, Filter, QueueName};
use ternmq_core::command::{
    Attach, BindOptions, BindRequest, BindTarget, Command, Consume, ConsumeOptions, Publish,
    QueueSpec, Retain, RetainedReplay, RoutingType, SendMode, Settle, SettleMode, Source, Tags,
};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::{Answer, Delivery};
use ternmq_core::ids::{ConsumerKey, Tag, Token};
use ternmq_core::message::{Assurance, Envelope, Format, Run};
use ternmq_journal::vfs::SimDisk;
use ternmq_journal::{Seed, Step};

use super::{Clock, Engine, EngineOptions, Link, Manual, Outgoing, Released};

mod abandon;
mod bounded;
mod checkpoint;
mod crash;
mod disk_full;
mod durability;
mod input;
mod load;
mod nodes;
mod order;
mod parts;
mod threads;
mod wills;

const SEGMENT: u64 = 8 << 20;
/// A slot above `max_connections`.
const NOBODY: u32 = 100_000;

/// A disk, and the life of an engine on it.
struct World {
    disk: SimDisk,
    time: Arc<Manual>,
    engine: Engine,
}

fn seed(life: u64) -> Seed {
    Seed {
        uuid: [7; 16],
        salt: life,
        wall_us: 1,
    }
}

fn options(time: &Arc<Manual>) -> EngineOptions {
    EngineOptions {
        data_dir: PathBuf::from("/data"),
        segment_size: SEGMENT,
        memory: 64 << 20,
        max_connections: 1_000,
        clock: Clock::manual(Arc::clone(time)),
        ..EngineOptions::default()
    }
}

impl World {
    /// An empty disk. The log has one segment: no test that needs more than 8 MiB.
    fn new() -> Self {
        Self::open(SimDisk::new(), |_| {})
    }

    /// An empty disk and two prepared segments.
    fn prepared() -> Self {
        let world = Self::new();
        while world.engine.shared.journal.filler_step().unwrap_or(false) {}
        world
    }

    /// Opens what is on the disk.
    fn open(disk: SimDisk, change: impl FnOnce(&mut EngineOptions)) -> Self {
        let time = Arc::new(Manual::default());
        time.set_wall(1_000_000);
        let mut options = options(&time);
        change(&mut options);
        let engine = Engine::open(Arc::new(disk.clone()), options, seed(disk.points())).unwrap();
        let world = Self { disk, time, engine };
        world.engine.shared.step_deadlines();
        world
    }

    /// The power fails; the seed says which unsynced sectors survive.
    fn crash(&self, seed: u64) -> Self {
        Self::open(self.disk.crash(seed), |_| {})
    }

    /// A durable anycast queue.
    fn declare(&self, name: &str) {
        self.engine.declare(vec![Command::DeclareQueue(QueueSpec {
            queue: QueueName::parse(name, Dialect::Canonical, 1_000).unwrap(),
            address: address(name),
            routing: RoutingType::Anycast,
            durable: true,
        })]);
        self.commit();
    }

    /// One turn of the journal thread, then of the releaser. Whether there was anything to do.
    fn step(&self) -> bool {
        let shared = &self.engine.shared;
        match shared.journal.step().unwrap() {
            Step::Idle => false,
            Step::Committed { waiters } => {
                shared.counters.committed(shared.journal.durable());
                shared.releases.hand_over(waiters);
                shared.step_releases();
                true
            }
        }
    }

    /// Lets the journal thread do all it has to: a sync only if somebody waits for one.
    fn steps(&self) {
        while self.step() {}
    }

    /// Makes everything durable.
    fn commit(&self) {
        // Nobody has this slot.
        let _listed = self.engine.shared.journal.batch().wait(u64::MAX, NOBODY);
        self.steps();
    }

    fn client(&self) -> Client {
        Client::new(self.engine.connect().unwrap())
    }
}

fn address(name: &str) -> Address {
    Address::parse(name, Dialect::Canonical, 1_000).unwrap()
}

fn filter(name: &str) -> Filter {
    Filter::parse(name, Dialect::Canonical, 1_000).unwrap()
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A connection that only its test looks at.
struct Client {
    link: Link,
    bell: Arc<Bell>,
    token: u64,
}

impl Client {
    fn new(link: Link) -> Self {
        let bell = Arc::new(Bell::default());
        link.set_waker(&Waker::from(Arc::clone(&bell)));
        Self {
            link,
            bell,
            token: 0,
        }
    }

    /// Wake-ups since the last look at them.
    fn rings(&self) -> u32 {
        self.bell.0.swap(0, Ordering::SeqCst)
    }

    fn next_token(&mut self) -> Token {
        self.token += 1;
        Token(self.token)
    }

    fn submit(&self, command: Command) {
        self.link.submit(&mut vec![command]);
    }

    /// Sends a durable message to a queue; returns the token of its answer.
    fn send(&mut self, to: &str, body: &[u8]) -> Token {
        let token = self.next_token();
        let block = Bytes::copy_from_slice(body);
        self.submit(publish(
            to,
            block,
            SendMode::Anycast,
            Some(token),
            Durable::Yes,
        ));
        token
    }

    /// Sends a message that is not journalled.
    fn send_transient(&mut self, to: &str, body: &[u8]) -> Token {
        let token = self.next_token();
        let block = Bytes::copy_from_slice(body);
        self.submit(publish(
            to,
            block,
            SendMode::Anycast,
            Some(token),
            Durable::No,
        ));
        token
    }

    fn consume(&mut self, key: u32, source: Source, prefetch: u32) -> Token {
        let token = self.next_token();
        self.submit(Command::Consume(Consume {
            consumer: ConsumerKey(key),
            source,
            settle: SettleMode::Explicit,
            prefetch,
            options: ConsumeOptions::default(),
            token: Some(token),
        }));
        token
    }

    fn consume_queue(&mut self, key: u32, name: &str, prefetch: u32) -> Token {
        self.consume(key, Source::Anycast(address(name)), prefetch)
    }

    /// Attaches a session that gets messages without a queue.
    fn subscribe_at_most_once(&mut self, name: &str) {
        let token = self.next_token();
        self.submit(Command::Attach(Attach {
            name: format!("session-{}", self.link.id().slot).into(),
            principal: "user".into(),
            clean: true,
            expiry_ms: Some(0),
            durable: false,
            hold: false,
            window: 100,
            will: None,
            token: Some(token),
        }));
        let request = BindRequest {
            target: BindTarget::Filter(filter(name)),
            options: BindOptions::default(),
            retained: RetainedReplay::Never,
        };
        let token = self.next_token();
        self.submit(Command::Bind {
            requests: vec![request],
            token: Some(token),
        });
    }

    fn settle(&mut self, key: u32, tag: Tag, n: u32, token: Option<Token>) {
        self.submit(Command::Settle(Settle {
            consumer: ConsumerKey(key),
            tags: Tags::Range { first: tag, n },
            outcome: ternmq_core::command::Outcome::Accepted,
            note: None,
            token,
        }));
    }

    fn take(&self) -> Released {
        let mut released = Released::default();
        self.link.take(&mut released);
        released
    }

    /// Tokens of the answers that may leave now.
    fn answers(&self) -> Vec<Token> {
        self.take().answers.into_iter().map(|(t, _)| t).collect()
    }

    /// Bodies of the messages that may leave now.
    fn bodies(&self) -> Vec<Vec<u8>> {
        bodies(&self.take())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Durable {
    Yes,
    No,
}

fn run_of(to: &str, block: Bytes, durable: Durable) -> Run {
    let envelope = Envelope {
        address: address(to),
        durable: durable == Durable::Yes,
        assurance: Assurance::AtLeastOnce,
        priority: 4,
        expires_ms: 0,
        timestamp_ms: 0,
    };
    Run::single(envelope, Format(1), block)
}

fn publish(
    to: &str,
    block: Bytes,
    mode: SendMode,
    token: Option<Token>,
    durable: Durable,
) -> Command {
    Command::Publish(Publish {
        run: Arc::new(run_of(to, block, durable)),
        mode,
        queue: None,
        retain: Retain::No,
        receipt: None,
        token,
    })
}

fn at_most_once(to: &str, body: &[u8]) -> Command {
    let mut run = run_of(to, Bytes::copy_from_slice(body), Durable::No);
    run.envelope.assurance = Assurance::AtMostOnce;
    Command::Publish(Publish {
        run: Arc::new(run),
        mode: SendMode::Publish,
        queue: None,
        retain: Retain::No,
        receipt: None,
        token: None,
    })
}

fn bodies(released: &Released) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for outgoing in &released.deliveries {
        let (run, first, count) = match outgoing {
            Outgoing::Delivery(Delivery {
                run, first, count, ..
            })
            | Outgoing::Fanout {
                run, first, count, ..
            } => (run, *first, *count),
        };
        bodies.extend((first..first + count).map(|index| run.message(index).to_vec()));
    }
    bodies
}

fn refusals(released: &Released) -> Vec<(Token, ternmq_core::error::Refusal)> {
    let refusal = |(token, answer): &(Token, Answer)| match answer {
        Answer::Refused(refusal) => Some((*token, *refusal)),
        _ => None,
    };
    released.answers.iter().filter_map(refusal).collect()
}
