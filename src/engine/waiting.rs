//! What waits to leave on one connection, in the orders that law L2 asks for.
//!
//! Answers are one FIFO. Deliveries are one FIFO per consumer: a held one holds what follows it to
//! the same consumer, nobody else. Messages without queue (fan-outs) are a third order that may
//! overtake both. Bounds: deliveries by the room that the core keeps (law L22), fan-outs by
//! `subscription_bytes`, above which the oldest go (law L23), answers by what the connection asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ternmq_core::effect::{Answer, ConsumerEnd, Delivery};
use ternmq_core::ids::{ConsumerKey, Token};
use ternmq_core::message::Run;

use super::outbox::Released;

/// An empty order with more room than this gives it back while others are not empty.
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
        /// Published as a retained value, and the subscription wants to know.
        retained: bool,
        /// Ids of the subscriptions that match, rising.
        subscriptions: Option<Arc<[u32]>>,
    },
}

/// An answer; `None` while the command it belongs to is parked for want of disk (law L28).
#[derive(Debug)]
struct HeldAnswer {
    after: u64,
    token: Token,
    answer: Option<Answer>,
}

/// The orders; see above.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
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
    pub(crate) consumers_ended: Vec<(ConsumerKey, ConsumerEnd)>,
}

impl Waiting {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
            && self.ready.is_empty()
            && self.held.is_empty()
            && self.lanes.is_empty()
            && self.fanouts.is_empty()
            && self.consumers_ended.is_empty()
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

    /// Whether anything may leave now.
    pub(crate) fn is_ready(&self, durable: u64) -> bool {
        let answer = self.answers.front().is_some_and(|a| a.after <= durable);
        let held = self.held.front().is_some_and(|(a, _)| *a <= durable);
        let fanout = self.fanouts.front().is_some_and(|(a, _)| *a <= durable);
        answer || held || fanout || !self.ready.is_empty() || !self.consumers_ended.is_empty()
    }

    /// What the first held effect waits for. An answer that is awaited waits for no position.
    pub(crate) fn first_held(&self) -> Option<u64> {
        let answer = self.answers.front().map_or(UNKNOWN, |a| a.after);
        let held = self.held.front().map_or(UNKNOWN, |(a, _)| *a);
        let fanout = self.fanouts.front().map_or(UNKNOWN, |(a, _)| *a);
        let first = answer.min(held).min(fanout);
        (first != UNKNOWN).then_some(first)
    }

    /// The same of answers alone.
    pub(crate) fn first_held_answer(&self) -> Option<u64> {
        let first_held = self.answers.front().map(|answer| answer.after);
        first_held.filter(|after| *after != UNKNOWN)
    }

    /// Moves out the answers that may leave, and which consumers have ended.
    pub(crate) fn take_answers(&mut self, into: &mut Released, durable: u64) {
        into.consumers_ended.append(&mut self.consumers_ended);
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

    /// Moves out the answers that nobody will be shown any more.
    pub(crate) fn abandon_answers(&mut self) -> Vec<(Token, Answer)> {
        self.awaited = 0;
        let answers = std::mem::take(&mut self.answers).into_iter();
        answers
            .filter_map(|held| Some((held.token, held.answer?)))
            .collect()
    }

    /// Moves out all that may leave.
    pub(crate) fn take(&mut self, into: &mut Released, durable: u64) {
        self.take_answers(into, durable);
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
        give_back(&mut self.answers);
        give_back(&mut self.ready);
        give_back(&mut self.held);
        give_back(&mut self.fanouts);
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
}

fn give_back<T>(order: &mut VecDeque<T>) {
    if order.is_empty() && order.capacity() > KEPT_CAPACITY {
        *order = VecDeque::new();
    }
}

fn fanout_size(outgoing: &Outgoing) -> u64 {
    match outgoing {
        Outgoing::Fanout {
            run, first, count, ..
        } => run.size(*first, *count) as u64 + ENTRY_BYTES,
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
