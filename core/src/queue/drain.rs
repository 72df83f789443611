//! Drains: consumers that ask to be told when there is nothing more for them (AMQP 2.6.7).
//!
//! A drain is decided when the handing-out of its queue has come to rest: then its consumer has
//! used up its credit, or finds nothing, or waits for room in its connection's outbox (law L22).
//! Only in the last case it goes on waiting, for the room to come back.

use std::collections::BTreeMap;

use crate::broker::{Broker, Pass};
use crate::consumer::ConsumerRef;
use crate::effect::Answer;
use crate::error::Refusal;
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Tag, Token};
use crate::queue::Queue;

/// The drains of a queue, at most one per consumer.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    /// To be decided when the handing-out has come to rest.
    listed: BTreeMap<ConsumerRef, Token>,
    /// Wait for room.
    waiting: BTreeMap<ConsumerRef, Token>,
}

impl Drains {
    /// Takes the drain of a consumer out.
    fn remove(&mut self, consumer: ConsumerRef) -> Option<Token> {
        let listed = self.listed.remove(&consumer);
        listed.or_else(|| self.waiting.remove(&consumer))
    }

    /// Something has changed for a consumer: its drain is decided again.
    pub(crate) fn list(&mut self, consumer: ConsumerRef) {
        if let Some(token) = self.waiting.remove(&consumer) {
            self.listed.insert(consumer, token);
        }
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> impl Iterator<Item = ConsumerRef> {
        self.waiting.keys().copied()
    }

    #[cfg(test)]
    pub(crate) fn listed(&self) -> usize {
        self.listed.len()
    }
}

impl Broker {
    /// Tells a consumer when there is nothing more for it. A drain of it that still waits is
    /// answered first.
    pub(crate) fn drain(
        &mut self,
        id: ConnectionId,
        key: ConsumerKey,
        token: Token,
        pass: &mut Pass<'_>,
    ) {
        let Some((consumer, queue)) = self.only_consumer(id, key) else {
            return pass.refuse(id, Some(token), Refusal::Unknown);
        };
        if let Some(before) = self.take_drain(queue, consumer) {
            self.answer_drain(consumer, before, pass);
        }
        if let Some(state) = self.queues.get_mut(&queue) {
            state.uncommon_mut().drains.listed.insert(consumer, token);
        }
        self.list(queue);
    }

    /// The consumer of a lane that is not a session's, and its queue.
    fn only_consumer(&self, id: ConnectionId, key: ConsumerKey) -> Option<(ConsumerRef, QueueId)> {
        let lane = self.connection(id)?.lane(key)?;
        let lane = self
            .lanes
            .at(lane.0)
            .filter(|lane| lane.session.is_none())?;
        let consumer = *lane.consumers.first()?;
        Some((consumer, self.consumers.at(consumer.0)?.queue))
    }

    fn take_drain(&mut self, queue: QueueId, consumer: ConsumerRef) -> Option<Token> {
        let queue = self.queues.get_mut(&queue)?;
        queue.uncommon.as_mut()?.drains.remove(consumer)
    }

    /// The handing-out of a queue has come to rest: decides the drains that are listed.
    pub(crate) fn end_drains(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        while let Some((consumer, token)) = self.next_drain(id) {
            if self.waits_for_room(id, consumer) {
                if let Some(queue) = self.queues.get_mut(&id) {
                    queue.uncommon_mut().drains.waiting.insert(consumer, token);
                }
            } else {
                self.answer_drain(consumer, token, pass);
            }
        }
    }

    fn next_drain(&mut self, id: QueueId) -> Option<(ConsumerRef, Token)> {
        let queue = self.queues.get_mut(&id)?;
        queue.uncommon.as_mut()?.drains.listed.pop_first()
    }

    /// Whether a consumer would get something if its connection had room for it.
    fn waits_for_room(&mut self, id: QueueId, consumer: ConsumerRef) -> bool {
        let (Some(state), Some(queue)) = (self.consumers.at(consumer.0), self.queues.get_mut(&id))
        else {
            return false;
        };
        let lane = self.lanes.at(state.lane.0);
        let credit = lane.is_some_and(|lane| lane.credit() > 0);
        let paused = queue.paused_until_ms > self.now.mono_ms;
        state.parked
            && credit
            && if state.browses {
                queue.has_to_show(consumer)
            } else {
                !paused && queue.has_for(consumer)
            }
    }

    /// Nothing rests on this answer that could be lost (law L1).
    fn answer_drain(&self, consumer: ConsumerRef, token: Token, pass: &mut Pass<'_>) {
        let state = self.consumers.at(consumer.0);
        let Some(lane) = state.and_then(|state| self.lanes.at(state.lane.0)) else {
            return;
        };
        if let Some(owner) = lane.owner {
            let next: Tag = lane.next_tag;
            pass.answer(owner, Some(token), 0, Answer::Drained { next });
        }
    }

    /// A consumer ends; if its connection is still there, its drain is refused.
    pub(crate) fn refuse_drain(&mut self, consumer: ConsumerRef, pass: &mut Pass<'_>) {
        let Some(state) = self.consumers.at(consumer.0).copied() else {
            return;
        };
        let Some(token) = self.take_drain(state.queue, consumer) else {
            return;
        };
        if let Some(owner) = self.lanes.at(state.lane.0).and_then(|lane| lane.owner) {
            pass.refuse(owner, Some(token), Refusal::Unknown);
        }
    }
}

impl Queue {
    /// Whether something is available that a browser has not passed.
    fn has_to_show(&mut self, browser: ConsumerRef) -> bool {
        let cursor = self.uncommon_mut().browsers.cursor(browser);
        self.available_from(cursor, 1).is_some()
    }

    /// Whether something is available to a consumer.
    fn has_for(&mut self, consumer: ConsumerRef) -> bool {
        self.available_to(consumer, &mut Default::default(), 1)
            .is_some()
    }

    /// Something has changed for a consumer: its drain, if it has one, is decided again.
    pub(crate) fn list_drain(&mut self, consumer: ConsumerRef) {
        if let Some(uncommon) = &mut self.uncommon {
            uncommon.drains.list(consumer);
        }
    }
}
