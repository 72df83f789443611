//! What comes back: released, failed, or left behind by a client that went away (law L11).

use std::sync::Arc;

use crate::broker::{Broker, Pass};
use crate::consumer::{Inflight, LaneRef};
use crate::deadline::Deadline;
use crate::effect::MoveReason;
use crate::ids::QueueId;
use crate::queue::Count;
use crate::record;
use crate::settings::{AddressSettings, DeliveryAttempts};

/// A message that comes straight back to the only consumer waits this long, so nothing spins.
const FLOOR_MS: u64 = 10;

impl Broker {
    /// Puts messages back to their place, uncounted.
    pub(crate) fn return_messages(&mut self, id: QueueId, sequence: u64, count: u32) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.returned.extend(sequence..sequence + u64::from(count));
        self.list(id);
    }

    /// One explicit failure: counted, then redelivered or dead-lettered.
    pub(crate) fn fail(
        &mut self,
        id: QueueId,
        sequence: u64,
        delay_ms: Option<u64>,
        pass: &mut Pass<'_>,
    ) {
        let Some(count) = self.count(id, sequence, 1, 1, pass) else {
            return;
        };
        if self.dead_letter_if_exhausted(id, sequence, count, pass) {
            return;
        }
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let delay = delay_ms.unwrap_or_else(|| redelivery_delay(&queue.settings, count.failures));
        if delay > FLOOR_MS {
            let due = self.now.mono_ms.saturating_add(delay);
            self.deadlines.set(
                due,
                Deadline::Redeliver {
                    queue: id,
                    sequence,
                },
            );
        } else {
            queue.returned.insert(sequence);
        }
    }

    /// A rejected message goes to the dead-letter address at once.
    pub(crate) fn reject(&mut self, id: QueueId, sequence: u64, pass: &mut Pass<'_>) {
        if self.count(id, sequence, 1, 1, pass).is_some() {
            self.dead_letter(id, sequence, MoveReason::Rejected, pass);
        }
    }

    /// Adds to the counts of a message and writes the result down; gives the result.
    pub(crate) fn count(
        &mut self,
        id: QueueId,
        sequence: u64,
        attempts: u32,
        failures: u32,
        pass: &mut Pass<'_>,
    ) -> Option<Count> {
        let queue = self.queues.get_mut(&id)?;
        let piece = queue.index.piece(sequence, 1)?;
        let count = queue.counts.entry(sequence).or_default();
        count.attempts = count.attempts.saturating_add(attempts);
        count.failures = count.failures.saturating_add(failures);
        let count = *count;
        if queue.durable
            && self
                .store
                .stored(piece.run)
                .is_some_and(|stored| stored.name != 0)
        {
            record::write_count(pass.log, id, sequence, count);
        }
        Some(count)
    }

    /// Moves a message that has failed too often. False if it may be tried again.
    pub(crate) fn dead_letter_if_exhausted(
        &mut self,
        id: QueueId,
        sequence: u64,
        count: Count,
        pass: &mut Pass<'_>,
    ) -> bool {
        let Some(queue) = self.queues.get(&id) else {
            return true;
        };
        let limited = !matches!(queue.kind, crate::queue::Kind::Session(_));
        let exhausted = match queue.settings.max_delivery_attempts {
            DeliveryAttempts::AtMost(max) => count.failures >= max.into(),
            DeliveryAttempts::Unlimited => false,
        };
        if limited && exhausted {
            self.dead_letter(id, sequence, MoveReason::MaxDeliveryAttempts, pass);
        }
        limited && exhausted
    }

    /// If a queue has one consumer only, what it gave back waits for the floor before it sees it again.
    pub(crate) fn pause_if_alone(&mut self, id: QueueId) {
        let due = self.now.mono_ms + FLOOR_MS;
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        if queue.consumers.len() == 1 && queue.waiters.is_empty() && queue.paused_until_ms < due {
            queue.paused_until_ms = due;
            self.deadlines.set(due, Deadline::Pump(id));
        }
    }

    /// Takes back everything a lane holds. What was written counts as an attempt unless the client
    /// said goodbye, and the oldest of each consumer as a failure.
    pub(crate) fn give_back(&mut self, lane: LaneRef, polite: bool, pass: &mut Pass<'_>) {
        let Some(state) = self.lanes.at_mut(lane.0) else {
            return;
        };
        let written = if polite { 0 } else { state.written };
        let pieces: Vec<Inflight> = state.inflight.drain(..).collect();
        state.unsettled = 0;
        state.resend = None;
        self.take_back(&pieces, written, pass);
    }

    /// Returns pieces to their queues; those up to tag `written` are counted.
    pub(crate) fn take_back(&mut self, pieces: &[Inflight], written: u64, pass: &mut Pass<'_>) {
        let mut failed: Vec<crate::consumer::ConsumerRef> = Vec::new();
        for piece in pieces {
            let counted = (written + 1)
                .saturating_sub(piece.tag)
                .min(u64::from(piece.count));
            for offset in 0..counted {
                let sequence = piece.sequence + offset;
                let first = !failed.contains(&piece.consumer);
                if first {
                    failed.push(piece.consumer);
                }
                let count = self.count(piece.queue, sequence, 1, u32::from(first), pass);
                let moved = count.is_some_and(|count| {
                    first && self.dead_letter_if_exhausted(piece.queue, sequence, count, pass)
                });
                if !moved {
                    self.return_messages(piece.queue, sequence, 1);
                }
            }
            let rest = u64::from(piece.count) - counted;
            let rest = u32::try_from(rest).unwrap_or(0);
            self.return_messages(piece.queue, piece.sequence + counted, rest);
        }
    }

    /// A redelivery delay has passed.
    pub(crate) fn redeliver(&mut self, id: QueueId, sequence: u64) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        if queue.index.piece(sequence, 1).is_some() {
            queue.returned.insert(sequence);
            self.list(id);
        }
    }
}

/// Wait before the next attempt after `failures` of them.
fn redelivery_delay(settings: &Arc<AddressSettings>, failures: u32) -> u64 {
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let factor = settings.redelivery_multiplier.powi(exponent);
    let delay = settings.redelivery_delay_ms as f64 * factor;
    if delay >= settings.max_redelivery_delay_ms as f64 {
        settings.max_redelivery_delay_ms
    } else {
        delay as u64
    }
}
