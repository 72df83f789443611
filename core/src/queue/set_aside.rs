//! What some consumers cannot process and others may (AMQP's `undeliverable-here`).
//!
//! A consumer does not get again what it set aside, as long as it exists; meanwhile it gets what
//! follows. To others the message is available at its place in the line; if there are none, it waits
//! for one. Nothing of this outlives the process. Queues where nothing is set aside take no notice.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeFrom};

use crate::broker::{Broker, Pass};
use crate::command::Outcome;
use crate::consumer::{ConsumerRef, Inflight, split};
use crate::effect::MoveReason;
use crate::ids::QueueId;
use crate::queue::{Piece, Queue, Rank};

/// The messages of a queue that somebody set aside.
#[derive(Debug, Default)]
pub(crate) struct SetAside {
    /// Which message is not for whom, also while it is with somebody else. Bounded by
    /// [`Limits::max_set_aside`](crate::limits::Limits::max_set_aside).
    excluded: BTreeSet<(u64, ConsumerRef)>,
    /// Those that are available, whatever their priority. They are nowhere else in the queue.
    available: BTreeMap<u64, Rank>,
    /// The same in the order in which they come.
    order: BTreeSet<(Rank, u64)>,
}

impl SetAside {
    /// The first available one that is.
    fn first(&self) -> Option<u64> {
        self.order.first().map(|(_, sequence)| *sequence)
    }

    /// The first available one at or above `from` that is not excluded for a consumer. Sets `from`
    /// there, as what is passed over stays so for as long as nothing is added.
    fn first_for(&self, consumer: ConsumerRef, from: &mut (Rank, u64)) -> Option<u64> {
        let mut open = self.order.range(*from..);
        let first = open.find(|(_, at)| !self.excluded.contains(&(*at, consumer)));
        *from = first.copied().unwrap_or((Rank::LAST, u64::MAX));
        first.map(|(_, at)| *at)
    }

    fn insert(&mut self, sequence: u64, rank: Rank) {
        self.available.insert(sequence, rank);
        self.order.insert((rank, sequence));
    }

    /// Whether it was available.
    fn remove(&mut self, sequence: u64) -> bool {
        let rank = self.available.remove(&sequence);
        rank.is_some_and(|rank| self.order.remove(&(rank, sequence)))
    }

    /// For whom a message is not.
    pub(crate) fn excluded(&self, sequence: u64) -> impl Iterator<Item = ConsumerRef> {
        let all = (sequence, ConsumerRef(0))..=(sequence, ConsumerRef(u32::MAX));
        self.excluded.range(all).map(|(_, consumer)| *consumer)
    }

    /// What is available, whoever may have it.
    pub(crate) fn available(&self, range: RangeFrom<u64>) -> impl Iterator<Item = u64> + '_ {
        self.available.range(range).map(|(sequence, _)| *sequence)
    }

    #[cfg(test)]
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (u64, ConsumerRef)> {
        self.excluded.iter().copied()
    }
}

/// What one hand-out finds out about the consumers.
#[derive(Default)]
struct Round {
    /// Nothing is there for these, for whatever reason others are asked: out of the line meanwhile.
    idle: Vec<ConsumerRef>,
    /// Before this, nothing that is set aside is for them.
    passed: BTreeMap<ConsumerRef, (Rank, u64)>,
}

impl Broker {
    /// Puts messages back that their consumer is not to have again. What is too much to be
    /// remembered is dead-lettered like what was rejected.
    pub(crate) fn set_aside(&mut self, piece: Inflight, failed: bool, pass: &mut Pass<'_>) {
        let state = self.consumers.at(piece.consumer.0);
        if state.is_none_or(|state| state.queue != piece.queue) {
            // A lease: there is no consumer to remember.
            let outcome = match failed {
                true => Outcome::Failed { delay_ms: None },
                false => Outcome::Released,
            };
            return self.end_piece(piece, outcome, pass);
        }
        let max = self.limits.max_set_aside;
        let Some(queue) = self.queues.get_mut(&piece.queue) else {
            return;
        };
        let (kept, rest) = split(piece, queue.exclude(&piece, max));
        if kept.count > 0 && failed {
            self.fail(kept.queue, kept.part(), None, pass);
        } else if kept.count > 0 {
            self.return_messages(kept.queue, kept.sequence, kept.count);
        }
        if rest.count > 0 {
            self.dead_letter(rest.queue, rest.part(), MoveReason::Rejected, pass);
        }
    }

    /// Hands out of a queue in which something is set aside: each consumer has a next message of
    /// its own. False if the units did not reach (law L21).
    pub(crate) fn serve_around(&mut self, id: QueueId, pass: &mut Pass<'_>) -> bool {
        let mut round = Round::default();
        let done = self.serve_each(id, &mut round, pass);
        if let Some(queue) = self.queues.get_mut(&id) {
            for consumer in round.idle {
                queue.ready.push_back(&mut self.consumers, consumer);
            }
        }
        done
    }

    fn serve_each(&mut self, id: QueueId, round: &mut Round, pass: &mut Pass<'_>) -> bool {
        loop {
            let units = pass.units();
            let Some(queue) = self.queues.get_mut(&id) else {
                return true;
            };
            let Some(head) = queue.available(units.max(1)) else {
                return true;
            };
            let waiters = queue.is_waiters_turn();
            let front = queue.ready.front();
            if !waiters && front.is_none() {
                return true;
            }
            if units == 0 {
                return false;
            }
            if self.expire_if_due(id, head, pass) {
                continue;
            }
            match front {
                Some(consumer) if !waiters => self.serve_one(id, consumer, round, pass),
                _ => self.serve_waiter(id, pass),
            }
        }
    }

    /// Hands its next messages to the consumer whose turn it is, or sends it out of the line.
    fn serve_one(
        &mut self,
        id: QueueId,
        consumer: ConsumerRef,
        round: &mut Round,
        pass: &mut Pass<'_>,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let from = round.passed.entry(consumer).or_default();
        let Some(piece) = queue.available_to(consumer, from, pass.units()) else {
            queue.ready.remove(&mut self.consumers, consumer);
            round.idle.push(consumer);
            return;
        };
        if self.expire_if_due(id, piece, pass) {
            return;
        }
        let turn = self.queues.get_mut(&id);
        let turn = turn.and_then(|queue| queue.next_turn(&mut self.consumers, piece));
        if let Some((consumer, count)) = turn {
            let count = self.offer(id, Piece { count, ..piece }, consumer);
            let count = pass.spend(count);
            if count > 0 {
                self.hand_out(id, Piece { count, ..piece }, consumer, pass);
            }
        }
    }
}

impl Queue {
    /// Whether something available is set aside.
    pub(crate) fn has_set_aside(&self) -> bool {
        self.first_set_aside().is_some()
    }

    fn first_set_aside(&self) -> Option<u64> {
        self.uncommon.as_ref()?.set_aside.first()
    }

    /// The first of `head` and what is set aside for anybody.
    pub(crate) fn or_set_aside(&self, head: Option<Piece>) -> Option<Piece> {
        match self.first_set_aside() {
            Some(at) => self.earlier(head, at),
            None => head,
        }
    }

    /// The next available piece for a consumer; see [`SetAside::first_for`] for `from`.
    pub(crate) fn available_to(
        &mut self,
        consumer: ConsumerRef,
        from: &mut (Rank, u64),
        max: u32,
    ) -> Option<Piece> {
        let head = self.head(max);
        let uncommon = self.uncommon.as_ref();
        match uncommon.and_then(|uncommon| uncommon.set_aside.first_for(consumer, from)) {
            Some(at) => self.earlier(head, at),
            None => head,
        }
    }

    /// The first of `head`, which holds nothing that is set aside, and the message `at`.
    pub(crate) fn earlier(&self, head: Option<Piece>, at: u64) -> Option<Piece> {
        let aside = self.index.piece(at, 1);
        match (head, aside) {
            (Some(head), Some(aside)) => {
                let is_first = (head.rank(), head.sequence) < (aside.rank(), aside.sequence);
                Some(if is_first { head } else { aside })
            }
            (head, aside) => aside.or(head),
        }
    }

    /// Whether a message is available and set aside.
    pub(crate) fn is_set_aside(&self, sequence: u64) -> bool {
        let uncommon = self.uncommon.as_ref();
        uncommon.is_some_and(|uncommon| uncommon.set_aside.available.contains_key(&sequence))
    }

    /// Remembers of messages that their consumer is not to have them again, of as many as there is
    /// space for; says how many.
    fn exclude(&mut self, piece: &Inflight, max: usize) -> u32 {
        let excluded = &mut self.uncommon_mut().set_aside.excluded;
        let space = max.saturating_sub(excluded.len());
        let count = piece.count.min(u32::try_from(space).unwrap_or(u32::MAX));
        let messages = piece.sequence..piece.sequence + u64::from(count);
        excluded.extend(messages.map(|sequence| (sequence, piece.consumer)));
        count
    }

    /// Messages are available again, at their places.
    pub(crate) fn put_back(&mut self, messages: Range<u64>) {
        let Some(uncommon) = &mut self.uncommon else {
            return self.returned.extend(messages);
        };
        let aside = &mut uncommon.set_aside;
        let mut open = Vec::new();
        for sequence in messages {
            if aside.excluded(sequence).next().is_some() {
                let piece = self.index.piece(sequence, 1);
                aside.insert(sequence, piece.map_or(Rank::LAST, |piece| piece.rank()));
            } else {
                open.push(sequence);
            }
        }
        for sequence in open {
            self.reinstate(sequence);
        }
    }

    /// Available messages that are set aside are taken; whether there were any.
    pub(crate) fn take_set_aside(&mut self, messages: Range<u64>) -> bool {
        let Some(uncommon) = &mut self.uncommon else {
            return false;
        };
        let aside = &mut uncommon.set_aside;
        if aside.available.is_empty() {
            return false; // Mostly: what is taken may be many messages.
        }
        let taken = messages.filter(|sequence| aside.remove(*sequence));
        taken.count() > 0
    }

    /// Forgets what was set aside of messages that are gone.
    pub(crate) fn forget_set_aside(&mut self, messages: Range<u64>) {
        let Some(uncommon) = &mut self.uncommon else {
            return;
        };
        let aside = &mut uncommon.set_aside;
        let all = (messages.start, ConsumerRef(0))..(messages.end, ConsumerRef(0));
        while let Some(&pair) = aside.excluded.range(all.clone()).next() {
            aside.excluded.remove(&pair);
            aside.remove(pair.0);
        }
    }

    /// A consumer is gone: what it alone had set aside is like any other message again.
    pub(crate) fn readmit(&mut self, consumer: ConsumerRef) {
        let Some(uncommon) = &mut self.uncommon else {
            return;
        };
        let aside = &mut uncommon.set_aside;
        aside.excluded.retain(|(_, other)| *other != consumer);
        let open = |sequence: &u64| aside.excluded(*sequence).next().is_none();
        let open: Vec<u64> = aside.available.keys().copied().filter(open).collect();
        for sequence in open {
            if let Some(uncommon) = &mut self.uncommon {
                uncommon.set_aside.remove(sequence);
            }
            self.reinstate(sequence);
        }
    }
}
