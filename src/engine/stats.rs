//! What the engine counts, for the operator.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use ternmq_core::broker::Counts;

use super::histogram::{Histogram, Snapshot};

/// The engine in numbers. Times are nanoseconds.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Of the broker.
    pub broker: Counts,
    /// Of the journal.
    pub journal: ternmq_journal::Stats,
    /// Open connections.
    pub connections: u32,
    /// Bytes of `limits.memory` in use, and all of them.
    pub memory_used: u64,
    /// The whole budget.
    pub memory_total: u64,
    /// Connections that wait for budget (law L20).
    pub waiting_for_memory: usize,
    /// Commands that wait for a prepared segment (law L28).
    pub waiting_for_disk: usize,
    /// Why no segment can be prepared, in words; `None` if it can.
    pub prepare_failure: Option<String>,
    /// Messages without queue dropped because a subscriber was slow (law L23).
    pub dropped_slow: u64,
    /// Messages that were not sent because their receiver takes none so large.
    pub dropped_too_large: u64,
    /// Messages that were not sent because their receiver may not have them.
    pub dropped_denied: u64,
    /// Forward jumps of the wall clock over 60 s (law L17).
    pub clock_jumps: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Messages copied forward out of nearly dead segments.
    pub copied_forward: u64,
    /// Syncs of files.
    pub fsync: Snapshot,
    /// How long the sync that runs now has been running, 0 if none does.
    pub fsync_running_ms: u64,
    /// From the append of a batch's first record to its watermark, sampled once per commit.
    pub publish_to_durable: Snapshot,
    /// Holding the engine's lock.
    pub lock_hold: Snapshot,
    /// Waiting for it.
    pub lock_wait: Snapshot,
    /// Holding it for the state of a checkpoint.
    pub checkpoint_pause: Snapshot,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    dropped_slow: AtomicU64,
    dropped_too_large: AtomicU64,
    dropped_denied: AtomicU64,
    checkpoints: AtomicU64,
    copied_forward: AtomicU64,
    pub(crate) publish_to_durable: Histogram,
    pub(crate) lock_hold: Histogram,
    pub(crate) lock_wait: Histogram,
    pub(crate) checkpoint_pause: Histogram,
    /// Position behind the first records of a commit that is not durable; 0 for none.
    sample: AtomicU64,
    sampled_at: Mutex<Option<Instant>>,
}

impl Counters {
    pub(crate) fn add_dropped(&self, messages: u64) {
        if messages > 0 {
            self.dropped_slow.fetch_add(messages, Ordering::Relaxed);
        }
    }

    pub(crate) fn dropped_slow(&self) -> u64 {
        self.dropped_slow.load(Ordering::Relaxed)
    }

    pub(crate) fn add_too_large(&self, messages: u64) {
        if messages > 0 {
            self.dropped_too_large
                .fetch_add(messages, Ordering::Relaxed);
        }
    }

    pub(crate) fn dropped_too_large(&self) -> u64 {
        self.dropped_too_large.load(Ordering::Relaxed)
    }

    pub(crate) fn add_denied(&self, messages: u64) {
        self.dropped_denied.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn dropped_denied(&self) -> u64 {
        self.dropped_denied.load(Ordering::Relaxed)
    }

    pub(crate) fn add_checkpoint(&self) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn checkpoints(&self) -> u64 {
        self.checkpoints.load(Ordering::Relaxed)
    }

    pub(crate) fn add_copied_forward(&self) {
        self.copied_forward.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn copied_forward(&self) -> u64 {
        self.copied_forward.load(Ordering::Relaxed)
    }

    /// Records were appended up to `tail`; called under the engine's lock.
    pub(crate) fn appended(&self, tail: u64, at: Instant) {
        if self.sample.load(Ordering::Relaxed) == 0 {
            *self.sampled_at.lock() = Some(at);
            self.sample.store(tail, Ordering::Release);
        }
    }

    /// The watermark has moved; called by the journal thread.
    pub(crate) fn committed(&self, durable: u64) {
        let sample = self.sample.load(Ordering::Acquire);
        if sample == 0 || sample > durable {
            return;
        }
        if let Some(at) = self.sampled_at.lock().take() {
            self.publish_to_durable.add(nanos_since(at));
        }
        self.sample.store(0, Ordering::Release);
    }
}

/// Nanoseconds since `at`.
pub(crate) fn nanos_since(at: Instant) -> u64 {
    u64::try_from(at.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
