//! Named subscriptions: multicast queues that consumers join by name (JMS' durable and shared ones).
//!
//! A durable one is journalled and stays until it is ended; any other goes with its last consumer
//! and drops its oldest when it is full (law L23). `address::queue` names one whose filter has no
//! wildcards, in every protocol; what is not shared has one consumer at a time, however it came.
//! Who may join or end a subscription by its name is for the front-end to say: the core does not
//! know principals.

use crate::address::{Filter, QueueName};
use crate::broker::{AT_END, Broker, Pass};
use crate::command::{NamedSubscription, RoutingType};
use crate::consumer::ConsumerRef;
use crate::effect::{Answer, ConsumerEnd};
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, QueueId, Token};
use crate::queue::Kind;
use crate::router::is_temporary;

/// What a named subscription is beside its queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    /// To what.
    pub(crate) filter: Filter,
    /// Any number of consumers compete for it.
    pub(crate) shared: bool,
    /// It does not take what the connection of its consumer publishes. Never if it is shared: its
    /// consumers are of several connections (JMS 2.0 has no such thing either).
    pub(crate) no_local: bool,
}

impl Broker {
    /// The queue of a named subscription for one more consumer. It is made if there is none, and
    /// anew if it is another and nobody consumes from it; if it is not shared, whoever had it ends.
    pub(crate) fn join_named(
        &mut self,
        id: ConnectionId,
        subscription: &NamedSubscription,
        no_local: bool,
        pass: &mut Pass<'_>,
    ) -> Result<QueueId, Refusal> {
        self.may_join(id, subscription)?;
        let wanted = Named {
            filter: subscription.filter.clone(),
            shared: subscription.shared,
            no_local: no_local && !subscription.shared,
        };
        let queue = match self.queue_names.get(&subscription.queue).copied() {
            Some(queue) => self.as_wanted(queue, subscription.durable, &wanted, pass)?,
            None => None,
        };
        let (shared, no_local) = (wanted.shared, wanted.no_local);
        let queue = match queue {
            Some(queue) => queue,
            None => self.new_named(subscription, wanted, pass)?,
        };
        if !shared {
            self.displace(queue, pass);
        }
        self.leave_out(queue, no_local.then_some(id));
        Ok(queue)
    }

    fn may_join(&self, id: ConnectionId, wanted: &NamedSubscription) -> Result<(), Refusal> {
        let longest = self.limits.max_name_bytes;
        let (queue, filter) = (wanted.queue.as_str(), wanted.filter.as_str());
        // Names that begin with `$` are the broker's own.
        if queue.len() > longest || filter.len() > longest || queue.starts_with('$') {
            return Err(Refusal::BadName);
        }
        let address = wanted.filter.to_address();
        if wanted.durable && address.is_some_and(|address| is_temporary(&address)) {
            return Err(Refusal::Forbidden); // It would outlive what it subscribes to.
        }
        self.may_subscribe(id, &wanted.filter)
    }

    /// The queue if it is what is wanted; `None` if it was another and is gone now.
    fn as_wanted(
        &mut self,
        id: QueueId,
        durable: bool,
        wanted: &Named,
        pass: &mut Pass<'_>,
    ) -> Result<Option<QueueId>, Refusal> {
        let known = self.named.get(&id).ok_or(Refusal::DestinationExists)?;
        let is_durable = self.queues.get(&id).is_some_and(|queue| queue.durable);
        if known == wanted && is_durable == durable {
            return Ok(Some(id));
        }
        if self.is_consumed(id) {
            return Err(Refusal::InUse);
        }
        self.delete_queue(id, pass);
        Ok(None)
    }

    fn new_named(
        &mut self,
        subscription: &NamedSubscription,
        named: Named,
        pass: &mut Pass<'_>,
    ) -> Result<QueueId, Refusal> {
        if self.queues.len() >= self.limits.max_queues {
            return Err(Refusal::LimitReached(Limit::Queues));
        }
        let address = match named.filter.to_address() {
            Some(address) => address,
            None => self.internal_names("$subscription")?.1,
        };
        let (name, multicast) = (subscription.queue.clone(), RoutingType::Multicast);
        let id = self.new_queue(name, &address, multicast, |queue| {
            queue.kind = Kind::Named;
            queue.durable = subscription.durable;
        });
        self.bind_named(id, named);
        if subscription.durable {
            self.write_queue(id, pass);
        }
        Ok(id)
    }

    /// Makes a queue that of a named subscription.
    pub(crate) fn bind_named(&mut self, id: QueueId, named: Named) {
        self.bind_queue(&named.filter, id);
        self.named.insert(id, named);
    }

    /// The queue of a named subscription is going.
    pub(crate) fn unbind_named(&mut self, id: QueueId) {
        if let Some(named) = self.named.remove(&id) {
            self.unbind_queue(&named.filter, id);
        }
    }

    /// Whether somebody takes from a queue, or waits to.
    fn is_consumed(&self, id: QueueId) -> bool {
        let queue = self.queues.get(&id);
        queue.is_some_and(|queue| !queue.consumers.is_empty() || !queue.waiters.is_empty())
    }

    /// Whether a queue is a named subscription that has the one consumer it may have.
    pub(crate) fn is_taken(&self, id: QueueId) -> bool {
        let is_single = self.named.get(&id).is_some_and(|named| !named.shared);
        is_single && self.is_consumed(id)
    }

    /// Ends the consumers of a queue. What they hold returns uncounted, so that the next gets it
    /// first; what settles on write and was written is settled as far as the room reaches.
    fn displace(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let waiters = std::mem::take(&mut queue.waiters);
        let consumers: Vec<ConsumerRef> = queue.consumers.iter().copied().collect();
        for waiter in waiters {
            self.forget_waiter(&waiter);
            pass.refuse(waiter.connection, Some(waiter.token), Refusal::InUse);
        }
        for consumer in consumers {
            let Some(lane) = self.consumers.at(consumer.0).map(|state| state.lane) else {
                continue;
            };
            if self.lane_session(lane).is_none() {
                self.settle_written(lane, pass);
            }
            let mut back = Vec::new();
            if let Some(lane) = self.lanes.at_mut(lane.0) {
                lane.cut_consumer(consumer, &mut back);
            }
            self.take_back(back.into(), 0, &mut Vec::new(), pass);
            self.part(consumer, pass);
            self.tell_ended(lane, consumer, ConsumerEnd::TakenOver, pass);
            self.lane_moved(lane);
        }
    }

    /// From now on a queue does not take what this connection publishes.
    pub(crate) fn leave_out(&mut self, id: QueueId, not_from: Option<ConnectionId>) {
        if let Some(queue) = self.queues.get_mut(&id)
            && queue.not_from() != not_from
        {
            queue.uncommon_mut().not_from = not_from;
            self.routes.change();
        }
    }

    /// Answers what a named subscription is.
    pub(crate) fn look_up(
        &self,
        id: ConnectionId,
        name: QueueName,
        token: Token,
        pass: &mut Pass<'_>,
    ) {
        let queue = self.queue_names.get(&name).copied();
        let named =
            queue.and_then(|queue| Some((self.queues.get(&queue)?, self.named.get(&queue)?)));
        let Some((queue, named)) = named else {
            return pass.refuse(id, Some(token), Refusal::NoDestination);
        };
        let subscription = NamedSubscription {
            queue: name,
            filter: named.filter.clone(),
            durable: queue.durable,
            shared: named.shared,
        };
        let no_local = named.no_local;
        let found = Answer::Found {
            subscription,
            no_local,
        };
        pass.answer(id, Some(token), AT_END, found);
    }

    /// Ends a named subscription that nobody consumes from.
    pub(crate) fn unsubscribe(
        &mut self,
        id: ConnectionId,
        name: &QueueName,
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) {
        let queue = self.queue_names.get(name).copied();
        let Some(queue) = queue.filter(|queue| self.named.contains_key(queue)) else {
            return pass.refuse(id, token, Refusal::NoDestination);
        };
        if self.is_consumed(queue) {
            return pass.refuse(id, token, Refusal::InUse);
        }
        self.delete_queue(queue, pass);
        let early = cfg!(mutant = "unsubscribe_before_sync");
        let after = if early { 0 } else { AT_END };
        pass.answer(id, token, after, Answer::Deleted);
    }
}
