//! Messages without queue, given to many connections outside the engine's lock (law L21).
//!
//! One FIFO, filled under the engine's lock in the order of decision; whoever gets the try-lock
//! afterwards drains it for all. Bounded by the budget that the bodies hold.

use std::sync::Arc;

use parking_lot::Mutex;

use ternmq_core::effect::Target;
use ternmq_core::ids::ConnectionId;
use ternmq_core::message::Run;

use super::Shared;
use super::release::Wakes;
use super::waiting::Outgoing;

/// After so many rounds the drainer leaves the rest to the releaser, so that no connection works
/// for the others for ever.
const ROUNDS: usize = 16;

/// A decided fan-out.
#[derive(Debug)]
pub(crate) struct Fanout {
    pub(crate) run: Arc<Run>,
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) after: u64,
    pub(crate) targets: Arc<[Target]>,
}

/// The FIFO, and the right to drain it.
#[derive(Debug, Default)]
pub(crate) struct Fanouts {
    queue: Mutex<Vec<Fanout>>,
    /// Holds the memory of the queue that was drained last.
    pub(crate) drain: Mutex<Vec<Fanout>>,
}

impl Fanouts {
    /// Appends, under the engine's lock.
    pub(crate) fn push(&self, fanouts: &mut Vec<Fanout>) {
        if !fanouts.is_empty() {
            self.queue.lock().append(fanouts);
        }
    }

    fn is_empty(&self) -> bool {
        self.queue.lock().is_empty()
    }
}

impl Shared {
    /// Expands what waits, unless somebody else is at it: that one looks again after letting go.
    pub(crate) fn drain_fanouts(&self) {
        for _ in 0..ROUNDS {
            if self.fanouts.is_empty() {
                return;
            }
            let Some(mut taken) = self.fanouts.drain.try_lock() else {
                return;
            };
            std::mem::swap(&mut *taken, &mut *self.fanouts.queue.lock());
            for group in taken.chunk_by(|a, b| Arc::ptr_eq(&a.targets, &b.targets)) {
                self.expand(group);
            }
            taken.clear();
        }
        self.releases.nudge();
    }

    /// Gives a group with one list of targets to each of them, one lock per target.
    fn expand(&self, group: &[Fanout]) {
        let Some(Fanout { targets, .. }) = group.first() else {
            return;
        };
        let limit = self.options.subscription_bytes;
        let mut wakes = Wakes::default();
        let mut dropped = 0;
        for target in targets.iter() {
            let Some(outbox) = self.slots.outbox(target.connection.slot) else {
                continue;
            };
            wakes.push(
                outbox,
                target.connection,
                ConnectionId::BROKER,
                &self.journal,
                |contents, _| {
                    for fanout in group {
                        let outgoing = Outgoing::Fanout {
                            run: Arc::clone(&fanout.run),
                            first: fanout.first,
                            count: fanout.count,
                        };
                        let after = fanout.after.max(target.after);
                        dropped += contents.push_fanout(after, outgoing, limit);
                    }
                },
            );
        }
        self.counters.add_dropped(dropped);
        self.finish_wakes(wakes);
    }
}
