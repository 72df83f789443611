//! What waits to leave on one connection, in the orders that law L2 asks for.
//!
//! Answers are one FIFO. Deliveries are one FIFO per consumer: a held one holds what follows it to
//! the same consumer, nobody else. Messages without queue (fan-outs) are a third order that may
//! overtake both. Bounds: deliveries by the room that the core keeps (law L22), fan-outs by
//! `subscription_bytes`, above which the oldest go (law L23), answers by what the connection asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use ternmq_core::effect::{Answer, Delivery, EndReason};
use ternmq_core::ids::{ConsumerKey, Token};
use ternmq_core::message::Run;

use super::admission::Charge;
use super::watch::{self, Listing, Notice, Pending};

/// An empty queue with more room than this gives it back, so that an idle connection is small.
const KEPT_CAPACITY: usize = 32;
/// What an entry of the fan-out order counts besides its bodies, in bytes.
const ENTRY_BYTES: u64 = 64;
/// The position of an answer that is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// Something to encode for the client.
#[derive(Debug)]
pub enum Outgoing {
    /// From a queue.
    Delivery(Delivery),
    /// From no queue: at most once, no settlement is expected.
    Fanout {
        /// The messages.
        run: Arc<Run>,
        /// First message of the run.
        first: u32,
        /// Number of messages.
        count: u32,
    },
}

/// What may leave now, moved out of an outbox by [`super::Link::take`].
#[derive(Debug, Default)]
pub struct Released {
    /// In the order of the commands; they go before deliveries (law L22).
    pub answers: VecDeque<(Token, Answer)>,
    /// In order per consumer.
    pub deliveries: VecDeque<Outgoing>,
    /// Consumers that the broker closed.
    pub consumers_ended: Vec<ConsumerKey>,
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

/// An answer; `None` while the command it belongs to is parked for want of disk (law L28).
#[derive(Debug)]
struct HeldAnswer {
    after: u64,
    token: Token,
    answer: Option<Answer>,
}

/// What the lock of an outbox protects.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    generation: u32,
    open: bool,
    pub(crate) waker: Option<Waker>,
    pub(crate) listing: Listing,
    answers: VecDeque<HeldAnswer>,
    /// Answers that are awaited; nearly always 0.
    awaited: u32,
    /// Deliveries that were free when they came and followed no held one of their consumer.
    ready: VecDeque<Outgoing>,
    /// The others, ordered by what they wait for; stable, so FIFO per consumer.
    held: VecDeque<(u64, Delivery)>,
    /// Per consumer with held deliveries, what the last of them waits for.
    lanes: BTreeMap<ConsumerKey, u64>,
    fanouts: VecDeque<(u64, Outgoing)>,
    fanout_bytes: u64,
    consumers_ended: Vec<ConsumerKey>,
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
    pub(crate) timeout_at_ms: Option<u64>,
    /// The earliest entry of this connection in the deadline structure.
    pub(crate) scheduled_ms: Option<u64>,
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

    /// The next answer of the confirm stream, or one that was awaited.
    pub(crate) fn push_answer(&mut self, after: u64, token: Token, answer: Answer) {
        if self.awaited > 0 {
            let awaited = |held: &&mut HeldAnswer| held.answer.is_none() && held.token == token;
            if let Some(held) = self.answers.iter_mut().find(awaited) {
                held.after = after;
                held.answer = Some(answer);
                self.awaited -= 1;
                return;
            }
        }
        self.answers.push_back(HeldAnswer {
            after,
            token,
            answer: Some(answer),
        });
    }

    /// Keeps the place of an answer in the confirm stream (laws L2, L20).
    pub(crate) fn await_answer(&mut self, token: Token) {
        self.answers.push_back(HeldAnswer {
            after: UNKNOWN,
            token,
            answer: None,
        });
        self.awaited += 1;
    }

    /// The next delivery of its consumer.
    pub(crate) fn push_delivery(&mut self, after: u64, delivery: Delivery, durable: u64) {
        let lane = self.lanes.get(&delivery.consumer).copied();
        if after <= durable && lane.is_none() {
            self.ready.push_back(Outgoing::Delivery(delivery));
            return;
        }
        let after = after.max(lane.unwrap_or(0));
        self.lanes.insert(delivery.consumer, after);
        let place = match self.held.back() {
            Some((last, _)) if *last > after => self.held.partition_point(|(a, _)| *a <= after),
            _ => self.held.len(),
        };
        self.held.insert(place, (after, delivery));
    }

    /// Messages without queue; returns how many messages had to go for them, above `limit` bytes.
    pub(crate) fn push_fanout(&mut self, after: u64, fanout: Outgoing, limit: u64) -> u64 {
        self.fanout_bytes += fanout_size(&fanout);
        self.fanouts.push_back((after, fanout));
        let mut dropped = 0;
        while self.fanout_bytes > limit && self.fanouts.len() > 1 {
            if let Some((_, oldest)) = self.fanouts.pop_front() {
                self.fanout_bytes -= fanout_size(&oldest);
                dropped += fanout_count(&oldest);
            }
        }
        dropped
    }

    /// A consumer was closed by its client: what has not left does not leave (law L10).
    pub(crate) fn purge(&mut self, consumer: ConsumerKey, into: &mut Vec<Delivery>) {
        let mut kept = VecDeque::new();
        for outgoing in self.ready.drain(..) {
            match outgoing {
                Outgoing::Delivery(delivery) if delivery.consumer == consumer => {
                    into.push(delivery);
                }
                other => kept.push_back(other),
            }
        }
        self.ready = kept;
        if self.lanes.remove(&consumer).is_some() {
            let (gone, kept) = std::mem::take(&mut self.held)
                .into_iter()
                .partition::<VecDeque<_>, _>(|(_, delivery)| delivery.consumer == consumer);
            self.held = kept;
            into.extend(gone.into_iter().map(|(_, delivery)| delivery));
        }
    }

    pub(crate) fn push_consumer_ended(&mut self, consumer: ConsumerKey) {
        self.consumers_ended.push(consumer);
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
        let ready = self.is_ready(durable);
        let first_held = self.first_held();
        watch::notice(pending, &mut self.listing, ready, first_held, durable)
    }

    /// Whether anything may leave now.
    fn is_ready(&self, durable: u64) -> bool {
        let answer = self.answers.front().is_some_and(|a| a.after <= durable);
        let held = self.held.front().is_some_and(|(a, _)| *a <= durable);
        let fanout = self.fanouts.front().is_some_and(|(a, _)| *a <= durable);
        answer
            || held
            || fanout
            || !self.ready.is_empty()
            || !self.consumers_ended.is_empty()
            || self.end.is_some()
    }

    /// What the first held effect waits for. An answer that is awaited waits for no position.
    fn first_held(&self) -> Option<u64> {
        let answer = self.answers.front().map_or(UNKNOWN, |a| a.after);
        let held = self.held.front().map_or(UNKNOWN, |(a, _)| *a);
        let fanout = self.fanouts.front().map_or(UNKNOWN, |(a, _)| *a);
        let first = answer.min(held).min(fanout);
        (first != UNKNOWN).then_some(first)
    }

    /// Moves out flags and answers alone; returns for what the owner must be listed. Deliveries
    /// stay where they are bounded (laws L22, L23).
    pub(crate) fn take_answers(&mut self, into: &mut Released, durable: u64) -> Option<u64> {
        self.take_flags(into);
        self.pop_answers(into, durable);
        let first_held = self.answers.front().map(|answer| answer.after);
        let first_held = first_held.filter(|after| *after != UNKNOWN);
        self.listing.extend(first_held, durable)
    }

    /// Moves out the answers that nobody will be shown any more.
    pub(crate) fn abandon_answers(&mut self) -> Vec<(Token, Answer)> {
        self.awaited = 0;
        let answers = std::mem::take(&mut self.answers).into_iter();
        answers
            .filter_map(|held| Some((held.token, held.answer?)))
            .collect()
    }

    fn pop_answers(&mut self, into: &mut Released, durable: u64) {
        while self.answers.front().is_some_and(|a| a.after <= durable) {
            if let Some(HeldAnswer {
                token,
                answer: Some(answer),
                ..
            }) = self.answers.pop_front()
            {
                into.answers.push_back((token, answer));
            }
        }
    }

    /// Moves out what may leave; returns for what the owner must be listed.
    pub(crate) fn take(&mut self, into: &mut Released, durable: u64) -> Option<u64> {
        self.take_flags(into);
        self.pop_answers(into, durable);
        if into.deliveries.is_empty() {
            std::mem::swap(&mut into.deliveries, &mut self.ready);
        } else {
            into.deliveries.append(&mut self.ready);
        }
        self.take_held(into, durable);
        while self.fanouts.front().is_some_and(|(a, _)| *a <= durable) {
            if let Some((_, fanout)) = self.fanouts.pop_front() {
                self.fanout_bytes -= fanout_size(&fanout);
                into.deliveries.push_back(fanout);
            }
        }
        self.shrink();
        let first_held = self.first_held();
        self.listing.extend(first_held, durable)
    }

    fn take_flags(&mut self, into: &mut Released) {
        into.consumers_ended.append(&mut self.consumers_ended);
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

    fn take_held(&mut self, into: &mut Released, durable: u64) {
        let mut some = false;
        while self.held.front().is_some_and(|(a, _)| *a <= durable) {
            if let Some((_, delivery)) = self.held.pop_front() {
                into.deliveries.push_back(Outgoing::Delivery(delivery));
                some = true;
            }
        }
        if some {
            // A lane whose last delivery waited for something durable has none held any more.
            self.lanes.retain(|_, last| *last > durable);
        }
    }

    fn shrink(&mut self) {
        if self.answers.is_empty() && self.answers.capacity() > KEPT_CAPACITY {
            self.answers = VecDeque::new();
        }
        if self.ready.is_empty() && self.ready.capacity() > KEPT_CAPACITY {
            self.ready = VecDeque::new();
        }
        if self.held.is_empty() && self.held.capacity() > KEPT_CAPACITY {
            self.held = VecDeque::new();
        }
        if self.fanouts.is_empty() && self.fanouts.capacity() > KEPT_CAPACITY {
            self.fanouts = VecDeque::new();
        }
    }
}

fn fanout_size(outgoing: &Outgoing) -> u64 {
    match outgoing {
        Outgoing::Fanout { run, first, count } => run.size(*first, *count) as u64 + ENTRY_BYTES,
        Outgoing::Delivery(_) => 0,
    }
}

fn fanout_count(outgoing: &Outgoing) -> u64 {
    match outgoing {
        Outgoing::Fanout { count, .. } | Outgoing::Delivery(Delivery { count, .. }) => {
            u64::from(*count)
        }
    }
}
