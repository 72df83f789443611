//! Whose turn it is to take the next messages of a queue, and how many of a run.

use crate::broker::{Broker, Pass};
use crate::consumer::{Consumer, ConsumerRef};
use crate::ids::QueueId;
use crate::queue::{Level, Piece, Queue};
use crate::slots::Slots;

/// Everybody's share of the messages below a sequence, so that a run is spread evenly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Share {
    /// For the messages below this one.
    below: u64,
    /// How many each gets at a time.
    count: u32,
    /// Among the consumers of this priority.
    priority: i32,
}

/// Who gets the next messages.
pub(crate) enum Taker {
    Consumer(ConsumerRef, u32),
    Waiter,
    Nobody,
}

impl Broker {
    /// Whose turn it is, and how many messages of a piece it gets: everyone who is ready and has the
    /// highest priority gets an equal share, so that a run is spread as single messages would be.
    /// Who cannot take any is parked and not asked again before it can.
    pub(crate) fn taker(&mut self, id: QueueId, piece: Piece) -> Taker {
        loop {
            let Some(queue) = self.queues.get_mut(&id) else {
                return Taker::Nobody;
            };
            if queue.is_waiters_turn() {
                return Taker::Waiter;
            }
            let Some((consumer, count)) = queue.next_turn(&mut self.consumers, piece) else {
                return Taker::Nobody;
            };
            let count = self.offer(id, Piece { count, ..piece }, consumer);
            if count > 0 {
                return Taker::Consumer(consumer, count);
            }
        }
    }

    /// Offers a piece to a consumer that has left the line: how many messages it gets, for which it
    /// joins the line again. If it cannot take any it is parked.
    pub(crate) fn offer(&mut self, id: QueueId, piece: Piece, consumer: ConsumerRef) -> u32 {
        let count = self.readiness(consumer, piece);
        if count > 0
            && let Some(queue) = self.queues.get_mut(&id)
        {
            queue.ready.push_back(&mut self.consumers, consumer);
            queue.turn += 1;
        }
        count
    }

    /// The turn of the receives: the first gets the next messages.
    pub(crate) fn serve_waiter(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.turn = 0;
        }
        self.lease_out(id, pass);
    }
}

impl Queue {
    /// A consumer is gone: it has no turn any more.
    pub(crate) fn forget_consumer(
        &mut self,
        table: &mut Slots<Consumer>,
        consumer: ConsumerRef,
        gone: &Consumer,
    ) {
        if gone.browses {
            self.uncommon_mut().browsers.remove(consumer);
            return;
        }
        self.readmit(consumer);
        self.ready.dismiss(gone.priority);
        if !gone.parked {
            self.ready.remove(table, consumer);
        }
    }

    /// Receives count as one consumer of priority 0.
    pub(crate) fn is_waiters_turn(&self) -> bool {
        if self.waiters.is_empty() {
            return false;
        }
        self.ready.level().is_none_or(|level| match level.priority {
            0 => self.turn >= level.len,
            priority => priority < 0,
        })
    }

    /// Takes the consumer whose turn it is out of the line; says how many messages of a piece are its
    /// share.
    pub(crate) fn next_turn(
        &mut self,
        table: &mut Slots<Consumer>,
        piece: Piece,
    ) -> Option<(ConsumerRef, u32)> {
        let level = self.ready.level()?;
        let consumer = self.ready.pop_front(table)?;
        Some((consumer, self.share(piece, level)))
    }

    /// How many messages of a piece one of the consumers of a level gets.
    fn share(&mut self, piece: Piece, Level { priority, len }: Level) -> u32 {
        let share = &mut self.share;
        if piece.sequence >= share.below || priority != share.priority {
            let waiting = !self.waiters.is_empty() && priority == 0;
            let places = (len + usize::from(waiting)).max(1);
            let places = u32::try_from(places).unwrap_or(u32::MAX);
            *share = Share {
                below: piece.sequence + u64::from(piece.count),
                count: piece.count.div_ceil(places),
                priority,
            };
        }
        piece.count.min(share.count)
    }
}
