//! What comes back: released, failed, or left behind by a client that went away (law L11).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::{Broker, Pass};
use crate::consumer::{ConsumerRef, Inflight, LaneRef, split};
use crate::deadline::Deadline;
use crate::effect::MoveReason;
use crate::ids::QueueId;
use crate::queue::{Count, JOURNALLED, Piece, Queue};
use crate::record::{self, CountRecord};
use crate::settings::{AddressSettings, DeliveryAttempts};

/// A message that comes straight back to the only consumer waits this long, so nothing spins.
const FLOOR_MS: u64 = 10;

impl Broker {
    /// Puts messages back to their place, uncounted.
    pub(crate) fn return_messages(&mut self, id: QueueId, sequence: u64, count: u32) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let end = sequence + u64::from(count);
        queue.put_back(sequence..end);
        let mut next = sequence;
        while let Some(piece) = self
            .queues
            .get(&id)
            .and_then(|q| q.index.piece(next, count))
        {
            next += u64::from(piece.count);
            self.watch_return(id, piece);
            if next >= end {
                break;
            }
        }
        self.list(id);
    }

    /// An explicit failure of each message: counted, then redelivered or dead-lettered.
    pub(crate) fn fail(
        &mut self,
        id: QueueId,
        piece: Piece,
        delay_ms: Option<u64>,
        pass: &mut Pass<'_>,
    ) {
        for (part, count) in self.count(id, piece, 1, 1, pass) {
            if self.dead_letter_if_exhausted(id, part, count, pass) {
                continue;
            }
            let Some(queue) = self.queues.get(&id) else {
                return;
            };
            let delay =
                delay_ms.unwrap_or_else(|| redelivery_delay(&queue.settings, count.failures));
            if delay > FLOOR_MS {
                let due = self.now.mono_ms.saturating_add(delay);
                let (sequence, count) = (part.sequence, part.count);
                let deadline = Deadline::Redeliver {
                    queue: id,
                    sequence,
                    count,
                };
                self.deadlines.set(due, deadline);
            } else {
                self.return_messages(id, part.sequence, part.count);
            }
        }
    }

    /// Adds to the counts of messages and writes the results down; gives them, those that are alike
    /// together.
    pub(crate) fn count(
        &mut self,
        id: QueueId,
        piece: Piece,
        attempts: u32,
        failures: u32,
        pass: &mut Pass<'_>,
    ) -> Vec<(Piece, Count)> {
        let mut counted: Vec<(Piece, Count)> = Vec::new();
        let Some(queue) = self.queues.get_mut(&id) else {
            return counted;
        };
        for offset in 0..piece.count {
            let sequence = piece.sequence + u64::from(offset);
            let count = queue.counts.entry(sequence).or_default();
            count.attempts = count.attempts.saturating_add(attempts);
            count.failures = count.failures.saturating_add(failures);
            match counted.last_mut() {
                Some((part, same)) if same == count => part.count += 1,
                _ => counted.push((piece.one(offset), *count)),
            }
        }
        if queue.durable && piece.flags & JOURNALLED != 0 {
            for (part, count) in &counted {
                write_count(id, part, *count, pass);
            }
        }
        counted
    }

    /// Moves messages that have failed too often. False if they may be tried again.
    pub(crate) fn dead_letter_if_exhausted(
        &mut self,
        id: QueueId,
        piece: Piece,
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
            self.dead_letter(id, piece, MoveReason::MaxDeliveryAttempts, pass);
        }
        limited && exhausted
    }

    /// If a queue has nobody who would get before `consumer` the message that it gave back, that waits
    /// for the floor before it is seen again. `None`: whoever would get it at all.
    pub(crate) fn pause_if_alone(
        &mut self,
        id: QueueId,
        sequence: u64,
        consumer: Option<ConsumerRef>,
    ) {
        let due = self.now.mono_ms + FLOOR_MS;
        let state = consumer.and_then(|consumer| self.consumers.at(consumer.0));
        let priority = state.map_or(i32::MIN, |state| state.priority);
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let ranks = |other: ConsumerRef| {
            let other = self.consumers.at(other.0);
            other.is_some_and(|other| other.priority >= priority)
        };
        let aside = queue.uncommon.as_ref().map(|uncommon| &uncommon.set_aside);
        let excluded = aside.map_or(0, |aside| {
            aside
                .excluded(sequence)
                .filter(|other| ranks(*other))
                .count()
        });
        if queue.comes_straight_back(priority, excluded) && queue.paused_until_ms < due {
            queue.paused_until_ms = due;
            self.deadlines.set(due, Deadline::Pump(id));
        }
    }

    /// Takes back what a lane holds, but for what is to `keep`. What was written counts as an attempt
    /// unless the client said goodbye, and the oldest of each consumer as a failure. False if the
    /// room for records did not reach: what is left is still held.
    pub(crate) fn give_back(
        &mut self,
        lane: LaneRef,
        keep: impl Fn(&Inflight) -> bool,
        polite: bool,
        pass: &mut Pass<'_>,
    ) -> bool {
        let Some(state) = self.lanes.at_mut(lane.0) else {
            return true;
        };
        let written = if polite { 0 } else { state.written };
        let (kept, back): (VecDeque<Inflight>, VecDeque<Inflight>) =
            std::mem::take(&mut state.inflight)
                .into_iter()
                .partition(|piece| keep(piece));
        let mut failed = std::mem::take(&mut state.failed);
        let left = self.take_back(back, written, &mut failed, pass);
        let done = left.is_empty();
        if let Some(state) = self.lanes.at_mut(lane.0) {
            state.inflight = kept;
            if !done {
                state.failed = failed;
                state.inflight.extend(left);
                state
                    .inflight
                    .make_contiguous()
                    .sort_unstable_by_key(|piece| piece.tag);
            }
            state.unsettled = state.inflight.iter().map(|piece| piece.count).sum();
        }
        done
    }

    /// Returns pieces to their queues; those up to tag `written` are counted, the first of a
    /// consumer that is not in `failed` as a failure. Gives back what the room for records did not
    /// reach, which is nothing if none is counted.
    pub(crate) fn take_back(
        &mut self,
        mut pieces: VecDeque<Inflight>,
        written: u64,
        failed: &mut Vec<ConsumerRef>,
        pass: &mut Pass<'_>,
    ) -> VecDeque<Inflight> {
        while let Some(piece) = pieces.pop_front() {
            let counted = (written + 1)
                .saturating_sub(piece.tag)
                .min(u64::from(piece.count));
            let counted = u32::try_from(counted).unwrap_or(0);
            if counted == 0 {
                self.return_messages(piece.queue, piece.sequence, piece.count);
                continue;
            }
            let steps = pass.steps(counted);
            let (head, rest) = split(piece, steps);
            if rest.count > 0 {
                pieces.push_front(rest);
            }
            if steps == 0 {
                break;
            }
            let first = !failed.contains(&piece.consumer);
            if first {
                failed.push(piece.consumer);
            }
            self.take_back_written(head, u32::from(first), pass);
        }
        pieces
    }

    /// Returns what a client may have processed: an attempt each, and a failure of the oldest.
    fn take_back_written(&mut self, piece: Inflight, oldest_failed: u32, pass: &mut Pass<'_>) {
        let (oldest, others) = split(piece, oldest_failed);
        if oldest.count > 0 {
            for (part, count) in self.count(piece.queue, oldest.part(), 1, 1, pass) {
                if !self.dead_letter_if_exhausted(piece.queue, part, count, pass) {
                    self.return_messages(piece.queue, part.sequence, part.count);
                }
            }
        }
        if others.count > 0 {
            self.count(piece.queue, others.part(), 1, 0, pass);
            self.return_messages(piece.queue, others.sequence, others.count);
        }
    }

    /// A redelivery delay has passed.
    pub(crate) fn redeliver(&mut self, id: QueueId, sequence: u64, count: u32) {
        self.return_messages(id, sequence, count);
    }
}

impl Queue {
    /// Whether a consumer of this priority would be the next to get what it gave back, and what is
    /// not for `excluded` consumers of at least that priority.
    fn comes_straight_back(&self, priority: i32, excluded: usize) -> bool {
        let taken_by_receive = !self.waiters.is_empty() && priority <= 0;
        let members = self.ready.members(self.takers(), priority);
        members.saturating_sub(excluded) == 1 && !taken_by_receive
    }
}

/// Writes down how often messages were attempted.
pub(crate) fn write_count(id: QueueId, part: &Piece, count: Count, pass: &mut Pass<'_>) {
    let record = CountRecord {
        queue: id,
        sequence: part.sequence,
        messages: part.count,
        count,
    };
    pass.log
        .append(record::COUNT, record.encode().bytes(), None, 0);
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
