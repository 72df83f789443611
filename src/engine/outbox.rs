//! One connection's outbox: what waits for it, and how it is told (design 2.8).
//!
//! A slot with a generation, a waker and flags. What waits to leave is a [`Waiting`] of its own,
//! which an idle connection does not have.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::task::Waker;

use parking_lot::Mutex;
use ternmq_core::effect::{Answer, ConsumerEnd, Delivery, EndReason};
use ternmq_core::ids::{ConsumerKey, Token};

use super::admission::Charge;
use super::waiting::{Outgoing, Waiting};
use super::watch::{self, Listing, Notice, Pending};

/// What may leave now, moved out of an outbox by [`super::Link::take`].
#[derive(Debug, Default)]
pub struct Released {
    /// In the order of the commands; they go before deliveries (law L22).
    pub answers: VecDeque<(Token, Answer)>,
    /// In order per consumer.
    pub deliveries: VecDeque<Outgoing>,
    /// Consumers that the broker closed.
    pub consumers_ended: Vec<(ConsumerKey, ConsumerEnd)>,
    /// The connection must end.
    pub end: Option<EndReason>,
    /// The time given to [`super::Link::set_timeout`] has come.
    pub timeout: bool,
    /// Budget has been set aside for this connection: reserve again what failed (law L20).
    pub budget: bool,
    /// The server is stopping: say goodbye.
    pub stopping: bool,
}

impl Released {
    /// Whether there is nothing to act on.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
            && self.deliveries.is_empty()
            && self.consumers_ended.is_empty()
            && self.end.is_none()
            && !(self.timeout || self.budget || self.stopping)
    }
}

/// The outbox of one slot, used again by the connections that get the slot one after another.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) pending: Pending,
    pub(crate) contents: Mutex<Contents>,
}

/// What the lock of an outbox protects.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    generation: u32,
    open: bool,
    pub(crate) waker: Option<Waker>,
    pub(crate) listing: Listing,
    /// Made with the first thing that waits, gone with the last.
    waiting: Option<Box<Waiting>>,
    end: Option<EndReason>,
    timeout: bool,
    budget: bool,
    stopping: bool,
    /// Budget set aside after a failed reservation.
    pub(crate) grant: Option<Charge>,
    /// The grant has been shown to its owner.
    grant_seen: bool,
    /// Waits in the budget's queue.
    pub(crate) queued_for_budget: bool,
    /// When the timeout fires, `None` for never.
    pub(crate) timeout_at_ms: Option<NonZeroU64>,
    /// The earliest entry of this connection in the deadline structure.
    pub(crate) scheduled_ms: Option<NonZeroU64>,
}

impl Outbox {
    /// Gives the slot to a new connection and returns its generation.
    pub(crate) fn open(&self) -> u32 {
        let mut contents = self.contents.lock();
        let generation = contents.generation.wrapping_add(1).max(1);
        *contents = Contents {
            generation,
            open: true,
            ..Contents::default()
        };
        self.pending.lower();
        generation
    }

    /// Ends the connection of this generation; what had not left is returned, to be dropped
    /// outside of every lock.
    pub(crate) fn close(&self, generation: u32) -> Option<Contents> {
        let mut contents = self.contents.lock();
        if !contents.is_open(generation) {
            return None;
        }
        let empty = Contents {
            generation,
            ..Contents::default()
        };
        Some(std::mem::replace(&mut contents, empty))
    }

    /// Wakes the owner, whoever it is now: a false alarm does no harm.
    pub(crate) fn wake(&self) {
        if self.pending.raise() {
            let waker = self.contents.lock().waker.clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Sets a flag of the connection of this generation and wakes it; `false` if it is gone.
    pub(crate) fn flag(&self, generation: u32, set: impl FnOnce(&mut Contents)) -> bool {
        let mut contents = self.contents.lock();
        if !contents.is_open(generation) {
            return false;
        }
        set(&mut contents);
        let waker = if self.pending.raise() {
            contents.waker.clone()
        } else {
            None
        };
        drop(contents);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl Contents {
    /// Whether this generation is the connection that has the slot now.
    pub(crate) fn is_open(&self, generation: u32) -> bool {
        self.open && self.generation == generation
    }

    /// The connection that has the slot now, if any.
    pub(crate) fn generation(&self) -> Option<u32> {
        self.open.then_some(self.generation)
    }

    /// Whether nothing waits, in no memory.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_none()
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    /// The next answer of the confirm stream, or one that was awaited.
    pub(crate) fn push_answer(&mut self, after: u64, token: Token, answer: Answer) {
        self.waiting().push_answer(after, token, answer);
    }

    /// Keeps the place of an answer in the confirm stream (laws L2, L20).
    pub(crate) fn await_answer(&mut self, token: Token) {
        self.waiting().await_answer(token);
    }

    /// The next delivery of its consumer.
    pub(crate) fn push_delivery(&mut self, after: u64, delivery: Delivery, durable: u64) {
        self.waiting().push_delivery(after, delivery, durable);
    }

    /// Messages without queue; returns how many messages had to go for them, above `limit` bytes.
    pub(crate) fn push_fanout(&mut self, after: u64, fanout: Outgoing, limit: u64) -> u64 {
        self.waiting().push_fanout(after, fanout, limit)
    }

    /// A consumer was closed by its client: what has not left does not leave (law L10).
    pub(crate) fn purge(&mut self, consumer: ConsumerKey, into: &mut Vec<Delivery>) {
        if let Some(waiting) = &mut self.waiting {
            waiting.purge(consumer, into);
        }
    }

    pub(crate) fn push_consumer_ended(&mut self, consumer: ConsumerKey, why: ConsumerEnd) {
        self.waiting().consumers_ended.push((consumer, why));
    }

    pub(crate) fn set_end(&mut self, reason: EndReason) {
        self.end = Some(reason);
    }

    pub(crate) fn set_timeout(&mut self) {
        self.timeout = true;
    }

    pub(crate) fn set_stopping(&mut self) {
        self.stopping = true;
    }

    /// Budget came for a reservation that had failed.
    pub(crate) fn set_grant(&mut self, charge: Charge) {
        self.queued_for_budget = false;
        self.grant = Some(charge);
        self.grant_seen = false;
        self.budget = true;
    }

    /// What must be done for the owner after a push, decided under the lock.
    pub(crate) fn notice(&mut self, pending: &Pending, durable: u64) -> Notice {
        let waiting = self.waiting.as_deref();
        let ready = self.end.is_some() || waiting.is_some_and(|waiting| waiting.is_ready(durable));
        let first_held = waiting.and_then(Waiting::first_held);
        watch::notice(pending, &mut self.listing, ready, first_held, durable)
    }

    /// Moves out flags and answers alone; returns for what the owner must be listed. Deliveries
    /// stay where they are bounded (laws L22, L23).
    pub(crate) fn take_answers(&mut self, into: &mut Released, durable: u64) -> Option<u64> {
        self.take_flags(into);
        let first_held = self.waiting.as_mut().and_then(|waiting| {
            waiting.take_answers(into, durable);
            waiting.first_held_answer()
        });
        self.shrink();
        self.listing.extend(first_held, durable)
    }

    /// Moves out the answers that nobody will be shown any more.
    pub(crate) fn abandon_answers(&mut self) -> Vec<(Token, Answer)> {
        let waiting = self.waiting.as_mut();
        waiting.map_or_else(Vec::new, |waiting| waiting.abandon_answers())
    }

    /// Moves out what may leave; returns for what the owner must be listed.
    pub(crate) fn take(&mut self, into: &mut Released, durable: u64) -> Option<u64> {
        self.take_flags(into);
        let first_held = self.waiting.as_mut().and_then(|waiting| {
            waiting.take(into, durable);
            waiting.first_held()
        });
        self.shrink();
        self.listing.extend(first_held, durable)
    }

    /// Gives back what held things once nothing waits: an idle connection is small.
    fn shrink(&mut self) {
        if self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.is_empty())
        {
            self.waiting = None;
        }
    }

    fn take_flags(&mut self, into: &mut Released) {
        into.end = into.end.or(self.end.take());
        into.timeout |= std::mem::take(&mut self.timeout);
        into.stopping |= std::mem::take(&mut self.stopping);
        if std::mem::take(&mut self.budget) {
            into.budget = true;
            self.grant_seen = true;
        } else if std::mem::take(&mut self.grant_seen) {
            // Its owner came back without using it: whatever it was for has been refused since.
            self.grant = None;
        }
    }
}
