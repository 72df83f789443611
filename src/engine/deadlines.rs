//! The one deadline structure (design 2.9, law L26): the core's next deadline, and one entry per
//! connection that has a timeout.
//!
//! A connection that moves its timeout back, as every read does, changes one field: its entry is
//! looked at when it comes up and put where it belongs then. Nothing is swept.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use ternmq_core::command::Command;
use ternmq_core::ids::ConnectionId;

use super::Shared;
use super::outbox::Contents;

/// Timeouts fire late by up to this many milliseconds, and in groups.
const BUCKET_MS: u64 = 32;
const NEVER: u64 = u64::MAX;

/// All deadlines, in milliseconds of the mono clock.
#[derive(Debug)]
pub(crate) struct Deadlines {
    core_ms: AtomicU64,
    /// Work left over: parked commands to try again, a call that said `more`.
    leftover_ms: AtomicU64,
    buckets: Mutex<BTreeMap<u64, Vec<ConnectionId>>>,
    sleeping_until_ms: AtomicU64,
    work: Notify,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            core_ms: AtomicU64::new(NEVER),
            leftover_ms: AtomicU64::new(NEVER),
            buckets: Mutex::new(BTreeMap::new()),
            sleeping_until_ms: AtomicU64::new(0),
            work: Notify::new(),
        }
    }
}

impl Deadlines {
    /// When the core wants its next tick.
    pub(crate) fn set_core(&self, at_ms: Option<u64>) {
        let at_ms = at_ms.unwrap_or(NEVER);
        if self.core_ms.swap(at_ms, Ordering::SeqCst) != at_ms {
            self.wake_before(at_ms);
        }
    }

    /// Work is left over that should be looked at again then.
    pub(crate) fn set_leftover(&self, at_ms: u64) {
        self.leftover_ms.fetch_min(at_ms, Ordering::SeqCst);
        self.wake_before(at_ms);
    }

    /// Enters a connection; see [`Contents::scheduled_ms`].
    fn schedule(&self, at_ms: u64, id: ConnectionId) {
        let bucket = bucket(at_ms);
        self.buckets.lock().entry(bucket).or_default().push(id);
        self.wake_before(bucket);
    }

    /// The earliest of all.
    fn next_ms(&self) -> u64 {
        let first = self.buckets.lock().keys().next().copied();
        self.core_ms
            .load(Ordering::SeqCst)
            .min(self.leftover_ms.load(Ordering::SeqCst))
            .min(first.unwrap_or(NEVER))
    }

    /// Takes the first bucket that is due.
    fn take_due(&self, now_ms: u64) -> Option<(u64, Vec<ConnectionId>)> {
        let mut buckets = self.buckets.lock();
        let first = buckets.first_entry()?;
        (*first.key() <= now_ms).then(|| first.remove_entry())
    }

    /// Entries of connections.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.buckets.lock().values().map(Vec::len).sum()
    }

    fn wake_before(&self, at_ms: u64) {
        if at_ms < self.sleeping_until_ms.load(Ordering::SeqCst) {
            self.work.notify_one();
        }
    }
}

fn bucket(at_ms: u64) -> u64 {
    at_ms
        .checked_next_multiple_of(BUCKET_MS)
        .unwrap_or(NEVER - 1)
}

impl Shared {
    /// Sets when [`super::Released::timeout`] is raised for a connection.
    pub(crate) fn set_timeout(&self, id: ConnectionId, at_ms: Option<u64>) {
        let Some(outbox) = self.slots.outbox(id.slot) else {
            return;
        };
        let mut contents = outbox.contents.lock();
        // A clock that is at 0 has only just begun.
        let at_ms = at_ms.map(|at| NonZeroU64::new(at).unwrap_or(NonZeroU64::MIN));
        contents.timeout_at_ms = at_ms;
        let Some(at_ms) = at_ms else { return };
        if contents.scheduled_ms.is_none_or(|at| at_ms < at) {
            contents.scheduled_ms = Some(at_ms);
            drop(contents);
            self.deadlines.schedule(at_ms.get(), id);
        }
    }

    /// One turn of the deadline task: does what is due and returns when it wants to be called
    /// again, in milliseconds of the mono clock.
    pub(crate) fn step_deadlines(&self) -> Option<u64> {
        let now_ms = self.clock.now().mono_ms;
        if self.deadlines.core_ms.load(Ordering::SeqCst) <= now_ms {
            self.deadlines.core_ms.store(NEVER, Ordering::SeqCst);
            self.submit(ConnectionId::BROKER, &mut vec![Command::Tick]);
        }
        if self.deadlines.leftover_ms.load(Ordering::SeqCst) <= now_ms {
            self.deadlines.leftover_ms.store(NEVER, Ordering::SeqCst);
            self.retry_parked();
            self.submit(ConnectionId::BROKER, &mut Vec::new());
        }
        while let Some((bucket, ids)) = self.deadlines.take_due(now_ms) {
            for id in ids {
                self.time_out(id, bucket, now_ms);
            }
        }
        let next_ms = self.deadlines.next_ms();
        (next_ms != NEVER).then_some(next_ms)
    }

    /// The entry of a connection has come up.
    fn time_out(&self, id: ConnectionId, entry: u64, now_ms: u64) {
        let Some(outbox) = self.slots.outbox(id.slot) else {
            return;
        };
        let mut contents = outbox.contents.lock();
        let current = contents.scheduled_ms.map(|at| bucket(at.get())) == Some(entry);
        if !current || !contents.is_open(id.generation) {
            return;
        }
        match contents.timeout_at_ms {
            Some(at_ms) if at_ms.get() > now_ms => {
                contents.scheduled_ms = Some(at_ms);
                drop(contents);
                self.deadlines.schedule(at_ms.get(), id);
            }
            Some(_) => {
                contents.scheduled_ms = None;
                contents.timeout_at_ms = None;
                drop(contents);
                outbox.flag(id.generation, Contents::set_timeout);
            }
            None => contents.scheduled_ms = None,
        }
    }

    /// The deadline task: sleeps until the earliest deadline, or until an earlier one is set.
    pub(crate) async fn run_deadlines(&self) {
        while !self.is_finished() {
            let next_ms = self.step_deadlines().unwrap_or(NEVER);
            let deadlines = &self.deadlines;
            deadlines.sleeping_until_ms.store(next_ms, Ordering::SeqCst);
            // Who set an earlier one before this store has not seen it.
            if deadlines.next_ms() >= next_ms {
                let now_ms = self.clock.now().mono_ms;
                // At least 1 ms, so that a deadline in the past cannot make this spin.
                let sleep_ms = next_ms.saturating_sub(now_ms).clamp(1, MAX_SLEEP_MS);
                let sleep = std::time::Duration::from_millis(sleep_ms);
                let woken = tokio::time::timeout(sleep, deadlines.work.notified());
                // Woken or timed out: both mean to look.
                woken.await.ok();
            }
            deadlines.sleeping_until_ms.store(0, Ordering::SeqCst);
        }
    }

    /// Ends the deadline task.
    pub(crate) fn wake_deadlines(&self) {
        self.deadlines.work.notify_one();
    }
}

const MAX_SLEEP_MS: u64 = 3_600_000;
