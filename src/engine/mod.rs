//! The engine: the broker and its journal behind one lock, and an outbox per connection.
//!
//! It alone joins the core, which decides, and the journal, which makes decisions durable. It knows
//! no protocol, no socket and no HTTP. A connection holds a [`Link`]: it submits commands in
//! batches, and takes what has been released to it. Invariants: nothing leaves an outbox before the
//! watermark has passed what it waits for (law L1); order per consumer and per confirm stream is
//! kept (L2); whoever holds something is listed with the batch it waits for (L3). Lock order:
//! engine, open batch, outbox; everything else is a leaf.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::Notify;

use ternmq_core::broker::{Broker, BrokerOptions};
use ternmq_core::command::Command;
use ternmq_core::effect::{Answer, Out};
use ternmq_core::error::{Limit, Refusal};
use ternmq_core::ids::{ConnectionId, Now};
use ternmq_journal::vfs::Vfs;
use ternmq_journal::{Error as JournalError, Journal};

pub use admission::Charge;
pub use clock::{Clock, Manual};
pub use error::EngineError;
pub use histogram::{Histogram, Snapshot};
pub use link::Link;
pub use outbox::Released;
pub use stats::Stats;
pub use ternmq_journal::Seed;
pub use ternmq_journal::vfs::RealVfs;
pub use waiting::Outgoing;

use admission::Budget;
use checkpoint::Checkpoints;
use deadlines::Deadlines;
use fanout::Fanouts;
use outbox::Contents;
use parked::Parked;
use places::Places;
use pool::Pool;
use release::Releases;
use room::Share;
use slots::Slots;
use stats::Counters;
use timed::Syncs;

mod admission;
mod ask;
mod checkpoint;
mod clock;
mod deadlines;
mod error;
mod fanout;
mod group;
mod histogram;
mod link;
mod outbox;
mod parked;
mod places;
mod pool;
mod recovery;
mod release;
mod room;
mod slots;
mod stats;
mod submit;
#[cfg(test)]
mod tests;
mod timed;
mod waiting;
mod watch;

/// What an engine is made from.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Directory of the journal; made if it is missing.
    pub data_dir: PathBuf,
    /// Bytes of a segment file of the log.
    pub segment_size: u64,
    /// Of the broker. Its `outbox_bytes` and `subscription_bytes` are set from those below.
    pub broker: BrokerOptions,
    /// Bytes for open batches, bodies and outboxes (`limits.memory`, law L20).
    pub memory: u64,
    /// A publish that finds no room for this long is refused, in milliseconds.
    pub block_timeout_ms: u64,
    /// Bytes of deliveries an outbox may hold (law L22).
    pub outbox_bytes: u32,
    /// Bytes a non-durable subscription may hold before it drops its oldest (law L23).
    pub subscription_bytes: u64,
    /// Connections at a time, HTTP requests in flight included.
    pub max_connections: u32,
    /// The clocks.
    pub clock: Clock,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            segment_size: 64 << 20,
            broker: BrokerOptions::default(),
            memory: 256 << 20,
            block_timeout_ms: 30_000,
            outbox_bytes: 1 << 20,
            subscription_bytes: 16 << 20,
            max_connections: 1_000_000,
            clock: Clock::system(),
        }
    }
}

/// A broker with its journal; clones are the same one.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What the parts of the engine share.
struct Shared {
    options: EngineOptions,
    clock: Clock,
    journal: Arc<Journal>,
    /// The engine's lock.
    state: Mutex<State>,
    /// What one call may append.
    share: Share,
    slots: Slots,
    fanouts: Fanouts,
    budget: Arc<Budget>,
    releases: Arc<Releases>,
    deadlines: Deadlines,
    checkpoints: Checkpoints,
    counters: Arc<Counters>,
    syncs: Arc<Syncs>,
    poison: Arc<Poison>,
    pool: Arc<Pool>,
    threads: Mutex<Threads>,
    stopping: AtomicBool,
    finished: AtomicBool,
}

/// What the engine's lock protects.
struct State {
    broker: Broker,
    /// Used again by every call.
    out: Out,
    /// Scratch: whom which effect is for.
    order: Vec<(ConnectionId, usize)>,
    places: Places,
    parked: Parked,
}

/// Threads that [`Engine::finish`] waits for; the journal waits for its own.
#[derive(Debug, Default)]
struct Threads {
    filler: Option<JoinHandle<()>>,
    checkpoint: Option<JoinHandle<()>>,
}

/// Set once when the journal has failed (law L8).
#[derive(Debug, Default)]
struct Poison {
    poisoned: AtomicBool,
    told: Notify,
}

impl Engine {
    /// Recovers the log in `options.data_dir` and begins a life of it. Nothing runs yet.
    ///
    /// # Errors
    /// The directory is in use, unreadable or damaged; a record needs a newer version; an option is
    /// out of range.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        options: EngineOptions,
        seed: Seed,
    ) -> Result<Self, EngineError> {
        let shared = Shared::recover(vfs, options, seed)?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Starts the journal's threads, the checkpoint thread, the releaser and the deadline task.
    /// Must be called once, within a tokio runtime; [`Engine::finish`] ends them.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn spawn(&self) -> Result<(), EngineError> {
        let shared = &self.shared;
        let (releases, counters) = (Arc::clone(&shared.releases), Arc::clone(&shared.counters));
        let journal = Arc::clone(&shared.journal);
        let on_waiters = move |slots| {
            counters.committed(journal.durable());
            releases.hand_over(slots);
        };
        let poison = Arc::clone(&shared.poison);
        let mut threads = shared.threads.lock();
        shared
            .journal
            .spawn(on_waiters, move |error| poison.set(&error))?;
        let pool = Arc::clone(&shared.pool);
        let on_change = move |error: Option<JournalError>| pool.changed(error.as_ref());
        threads.filler = Some(shared.journal.spawn_filler(on_change)?);
        let checkpoints = Arc::clone(shared);
        let checkpoint = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || checkpoints.run_checkpoints())
            .map_err(EngineError::Thread)?;
        threads.checkpoint = Some(checkpoint);
        drop(threads);
        let releases = Arc::clone(shared);
        tokio::spawn(async move { releases.run_releases().await });
        let deadlines = Arc::clone(shared);
        tokio::spawn(async move { deadlines.run_deadlines().await });
        Ok(())
    }

    /// A new connection.
    ///
    /// # Errors
    /// `Unavailable` while stopping, `LimitReached` at `max_connections`.
    pub fn connect(&self) -> Result<Link, Refusal> {
        if self.is_stopping() || self.is_poisoned() {
            return Err(Refusal::Unavailable);
        }
        let id = self.shared.slots.open();
        let id = id.ok_or(Refusal::LimitReached(Limit::Connections))?;
        let link = Link::new(Arc::clone(&self.shared), id);
        if self.is_stopping() {
            // It was flagged too late or not at all.
            return Err(Refusal::Unavailable);
        }
        Ok(link)
    }

    /// The largest body, in bytes, that one publish may have.
    pub fn largest_publish(&self) -> usize {
        self.shared.largest_publish()
    }

    /// Reads the clocks.
    pub fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// Commands of the broker itself: what the configuration declares. Returns their answers.
    pub fn declare(&self, mut commands: Vec<Command>) -> Vec<Answer> {
        self.shared.submit(ConnectionId::BROKER, &mut commands)
    }

    /// The engine in numbers.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Tells every connection that the server stops ([`Released::stopping`]); new ones are refused.
    /// What they still submit is decided as always.
    pub fn stop(&self) {
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::SeqCst);
        for slot in 0..shared.slots.used() {
            let Some(outbox) = shared.slots.outbox(slot) else {
                continue;
            };
            let generation = outbox.contents.lock().generation();
            if let Some(generation) = generation {
                outbox.flag(generation, Contents::set_stopping);
            }
        }
    }

    /// Ends the engine: everything decided becomes durable, the log is closed, tasks and threads
    /// end. Blocks for the disk. Call it after [`Engine::stop`], when the connections have ended.
    ///
    /// # Errors
    /// The journal failed, now or before.
    pub fn finish(&self) -> Result<(), EngineError> {
        self.stop();
        let shared = &self.shared;
        shared.finished.store(true, Ordering::SeqCst);
        shared.checkpoints.wake();
        shared.releases.nudge();
        shared.wake_deadlines();
        let Threads { filler, checkpoint } = std::mem::take(&mut *shared.threads.lock());
        // A checkpoint needs the journal thread, and must not be written once the lock is released.
        join(checkpoint);
        let closed = shared.journal.close();
        join(filler);
        Ok(closed?)
    }

    /// Whether [`Engine::stop`] has been called.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    /// Whether a write or sync has failed: no confirm leaves any more and the process must exit
    /// non-zero (law L8).
    pub fn is_poisoned(&self) -> bool {
        self.shared.poison.is_set()
    }

    /// Returns when the journal has failed (law L8).
    pub async fn poisoned(&self) {
        let poison = &self.shared.poison;
        let mut told = std::pin::pin!(poison.told.notified());
        // Enabled before the flag is read, so that a failure between the two is not missed.
        told.as_mut().enable();
        if !self.is_poisoned() {
            told.await;
        }
    }
}

impl Poison {
    fn is_set(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }

    fn set(&self, error: &JournalError) {
        tracing::error!(%error, "the journal has failed; nothing is confirmed any more");
        self.poisoned.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the engine panicked");
    }
}

impl Shared {
    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::SeqCst)
    }

    /// The largest body one publish may have: it must fit into the budget and into one commit.
    fn largest_publish(&self) -> usize {
        let budget = usize::try_from(self.budget.largest()).unwrap_or(usize::MAX);
        self.share.bodies.min(budget)
    }

    fn stats(&self) -> Stats {
        let (broker, waiting_for_disk) = {
            let state = self.state.lock();
            (state.broker.counts(), state.parked.len())
        };
        Stats {
            broker,
            journal: self.journal.stats(),
            connections: self.slots.count(),
            memory_used: self.budget.used(),
            memory_total: self.options.memory,
            waiting_for_memory: self.budget.waiting(),
            waiting_for_disk,
            prepare_failure: self.pool.failure(),
            dropped_slow: self.counters.dropped_slow(),
            dropped_too_large: self.counters.dropped_too_large(),
            dropped_denied: self.counters.dropped_denied(),
            clock_jumps: self.clock.jumps(),
            checkpoints: self.counters.checkpoints(),
            copied_forward: self.counters.copied_forward(),
            fsync: self.syncs.times.snapshot(),
            fsync_running_ms: self.syncs.running_ms(),
            publish_to_durable: self.counters.publish_to_durable.snapshot(),
            lock_hold: self.counters.lock_hold.snapshot(),
            lock_wait: self.counters.lock_wait.snapshot(),
            checkpoint_pause: self.counters.checkpoint_pause.snapshot(),
        }
    }
}
