//! Consumers that are opened and closed one by one (STOMP, AMQP): each has a lane of its own.

use crate::address::{Address, Filter, QueueName};
use crate::broker::{Broker, Pass};
use crate::command::{Consume, Outcome, RoutingType, SettleMode, Source};
use crate::consumer::{Consumer, ConsumerRef, Inflight, Lane, LaneRef};
use crate::dialect::Dialect;
use crate::effect::Answer;
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Tag, Token};
use crate::queue::{Kind, Links};
use crate::router::is_temporary;
use crate::session::SessionRef;

impl Broker {
    /// Opens a consumer.
    pub(crate) fn consume(&mut self, id: ConnectionId, consume: Consume, pass: &mut Pass<'_>) {
        let Consume {
            consumer: key,
            source,
            settle,
            prefetch,
            options,
            token,
        } = consume;
        let Some(connection) = self.connection(id) else {
            return;
        };
        if connection.lanes() >= self.limits.max_subscriptions {
            let why = Refusal::LimitReached(Limit::Subscriptions);
            return pass.refuse(id, token, why);
        }
        if connection.lane(key).is_some() {
            return pass.refuse(id, token, Refusal::DestinationExists);
        }
        let queue = match self.source_queue(id, &source, options.no_local, pass) {
            Ok(queue) => queue,
            Err(why) => return pass.refuse(id, token, why),
        };
        let position = pass.position();
        let mut lane = Lane::new(key, prefetch);
        lane.owner = Some(id);
        lane.until = options.until;
        lane.opened_after = position;
        let lane = LaneRef(self.lanes.insert(Box::new(lane)));
        if options.browse && self.may_be_browsed(&source, queue) {
            self.add_browser(lane, queue);
        } else {
            self.add_consumer(lane, queue, settle, options.priority);
        }
        if let Some(connection) = self.connection_mut(id) {
            connection.put_lane(key, lane);
        }
        pass.answer(id, token, position, Answer::Consuming);
        self.list(queue);
    }

    /// The queue that a source stands for, made if need be.
    fn source_queue(
        &mut self,
        id: ConnectionId,
        source: &Source,
        no_local: bool,
        pass: &mut Pass<'_>,
    ) -> Result<QueueId, Refusal> {
        let not_from = no_local.then_some(id);
        match source {
            Source::Anycast(address) => self.anycast_to_consume(address, id, pass),
            Source::Multicast(filter) => self.subscription_queue(id, filter, not_from),
            Source::Subscription(named) => self.join_named(id, named, no_local, pass),
            Source::UntypedSubscription(named) => match named.filter.to_address() {
                Some(address) if self.has_anycast(&address) => {
                    self.anycast_to_consume(&address, id, pass)
                }
                _ => self.join_named(id, named, no_local, pass),
            },
            Source::Queue { address, queue } => self.named_queue(address, queue, Some(id)),
            Source::Untyped(filter) => match filter.to_address() {
                Some(address) if self.takes_anycast(&address) => {
                    self.anycast_to_consume(&address, id, pass)
                }
                _ => self.subscription_queue(id, filter, not_from),
            },
        }
    }

    fn has_anycast(&self, address: &Address) -> bool {
        let state = self.addresses.get(address);
        state.is_some_and(|state| state.has_anycast())
    }

    /// An untyped consumer takes the anycast queue if there is one or nothing exists.
    fn takes_anycast(&self, address: &Address) -> bool {
        match self.addresses.get(address) {
            Some(state) if state.has_any() => state.has_anycast(),
            _ => {
                let settings = self.settings.resolve(address.as_str());
                settings.default_routing == RoutingType::Anycast
            }
        }
    }

    fn subscription_queue(
        &mut self,
        id: ConnectionId,
        filter: &Filter,
        not_from: Option<ConnectionId>,
    ) -> Result<QueueId, Refusal> {
        if self.queues.len() >= self.limits.max_queues {
            return Err(Refusal::LimitReached(Limit::Queues));
        }
        self.may_subscribe(id, filter)?;
        let (name, address) = self.internal_names("$subscription")?;
        let queue = self.new_queue(name, &address, RoutingType::Multicast, |queue| {
            queue.kind = Kind::Subscription;
        });
        self.leave_out(queue, not_from);
        self.bind_queue(filter, queue);
        self.subscriptions.insert(queue, filter.clone());
        Ok(queue)
    }

    /// Whether a connection may subscribe to what a filter matches: to one address only if it is, or
    /// may be, there with multicast, and is nobody else's.
    pub(crate) fn may_subscribe(&self, id: ConnectionId, filter: &Filter) -> Result<(), Refusal> {
        if let Some(address) = filter.to_address() {
            let state = self.addresses.get(&address);
            if state.is_some_and(|state| state.owner.is_some_and(|owner| owner != id)) {
                return Err(Refusal::Forbidden);
            }
            let offers = state.is_some_and(|state| state.multicast || state.exact > 0);
            if !offers
                && !self
                    .settings
                    .resolve(address.as_str())
                    .auto_create_addresses
            {
                return Err(match state {
                    Some(_) => Refusal::WrongRoutingType,
                    None => Refusal::NoDestination,
                });
            }
            if is_temporary(&address) && state.is_none() {
                return Err(Refusal::NoDestination);
            }
        }
        Ok(())
    }

    /// A name for the next queue that nobody addresses.
    pub(crate) fn internal_names(&self, prefix: &str) -> Result<(QueueName, Address), Refusal> {
        let text = format!("{prefix}.{}", self.next_queue);
        let name = QueueName::parse(&text, Dialect::Canonical, usize::MAX);
        let address = Address::parse(&text, Dialect::Canonical, usize::MAX);
        match (name, address) {
            (Ok(name), Ok(address)) => Ok((name, address)),
            _ => Err(Refusal::BadName),
        }
    }

    /// Joins a lane to a queue; consumers of a higher priority are served first.
    pub(crate) fn add_consumer(
        &mut self,
        lane: LaneRef,
        queue: QueueId,
        settle: SettleMode,
        priority: i32,
    ) -> ConsumerRef {
        let consumer = self.insert_consumer(Consumer {
            lane,
            queue,
            settle,
            parked: false,
            granted: 1,
            subscription_id: 0,
            priority,
            browses: false,
            links: Links::default(),
        });
        if let Some(queue) = self.queues.get_mut(&queue) {
            // What came back need not go to whom it came from (law L11).
            queue.paused_until_ms = 0;
            queue.ready.admit(priority);
            queue.ready.push_back(&mut self.consumers, consumer);
        }
        consumer
    }

    /// Joins a lane to a queue whose messages it looks at.
    fn add_browser(&mut self, lane: LaneRef, queue: QueueId) {
        let consumer = self.insert_consumer(Consumer {
            lane,
            queue,
            settle: SettleMode::Explicit,
            parked: false,
            granted: 1,
            subscription_id: 0,
            priority: 0,
            browses: true,
            links: Links::default(),
        });
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.uncommon_mut().browsers.add(consumer);
        }
    }

    fn insert_consumer(&mut self, consumer: Consumer) -> ConsumerRef {
        let (lane, queue) = (consumer.lane, consumer.queue);
        let consumer = ConsumerRef(self.consumers.insert(consumer));
        if let Some(lane) = self.lanes.at_mut(lane.0) {
            lane.consumers.insert(consumer);
        }
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.consumers.insert(consumer);
        }
        consumer
    }

    /// A subscription is there for its consumers: they cannot but take what is theirs.
    fn may_be_browsed(&self, source: &Source, queue: QueueId) -> bool {
        let by_name = matches!(
            source,
            Source::Subscription(_) | Source::UntypedSubscription(_)
        );
        self.queues
            .get(&queue)
            .is_some_and(|queue| queue.is_addressable() && !(by_name && queue.kind == Kind::Named))
    }

    /// Takes a consumer away from its queue and its lane; what it holds must be gone before.
    pub(crate) fn remove_consumer(&mut self, consumer: ConsumerRef, pass: &mut Pass<'_>) {
        let Some(id) = self.part(consumer, pass) else {
            return;
        };
        let Some(queue) = self.queues.get(&id) else {
            return;
        };
        let is_last = queue.consumers.is_empty();
        match queue.kind {
            Kind::Subscription => self.end_subscription(id, pass),
            Kind::Shared if is_last => self.end_shared(id, pass),
            Kind::Named if is_last && !queue.durable => self.delete_queue(id, pass),
            _ => {
                if is_last {
                    self.leave_out(id, None);
                }
                self.list(id);
                self.reap_if_unused(id);
            }
        }
    }

    /// Parts a consumer from its queue, which it gives, and its lane.
    pub(crate) fn part(&mut self, consumer: ConsumerRef, pass: &mut Pass<'_>) -> Option<QueueId> {
        let gone = self.consumers.at(consumer.0).copied()?;
        self.refuse_drain(consumer, pass);
        if let Some(queue) = self.queues.get_mut(&gone.queue) {
            queue.consumers.remove(&consumer);
            queue.forget_consumer(&mut self.consumers, consumer, &gone);
        }
        self.consumers.remove(consumer.0);
        if let Some(lane) = self.lanes.at_mut(gone.lane.0) {
            lane.forget(consumer, gone.parked);
        }
        Some(gone.queue)
    }

    /// Ends the queue of a consumer's own subscription.
    pub(crate) fn end_subscription(&mut self, queue: QueueId, pass: &mut Pass<'_>) {
        if let Some(filter) = self.subscriptions.remove(&queue) {
            self.unbind_queue(&filter, queue);
        }
        self.delete_queue(queue, pass);
    }

    /// Closes a consumer (law L10): what was encoded counts as written, the rest returns uncounted.
    /// False if the room for records did not reach.
    pub(crate) fn cancel(
        &mut self,
        id: ConnectionId,
        key: ConsumerKey,
        written: Tag,
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) -> bool {
        let lane = self
            .connection(id)
            .and_then(|connection| connection.lane(key));
        let Some(lane) = lane.filter(|lane| self.lane_session(*lane).is_none()) else {
            pass.refuse(id, token, Refusal::Unknown);
            return true;
        };
        if !self.written(id, key, written, pass) || !self.settle_written(lane, pass) {
            return false;
        }
        if let Some(connection) = self.connection_mut(id) {
            connection.remove_lane(key);
        }
        self.end_lane(lane, pass);
        let position = pass.position();
        pass.answer(id, token, position, Answer::Cancelled);
        true
    }

    /// Settles and takes back what a lane holds, whose client is going. Nothing is handed out to it
    /// any more. False if the room for records did not reach.
    pub(crate) fn empty_lane(&mut self, lane: LaneRef, polite: bool, pass: &mut Pass<'_>) -> bool {
        if let Some(state) = self.lanes.at_mut(lane.0) {
            state.owner = None;
        }
        self.settle_written(lane, pass) && self.give_back(lane, |_| false, polite, pass)
    }

    /// Ends a lane with its consumers. What it holds returns uncounted; see [`Broker::empty_lane`].
    pub(crate) fn end_lane(&mut self, lane: LaneRef, pass: &mut Pass<'_>) {
        self.give_back(lane, |_| false, true, pass);
        let consumers = self.lanes.at(lane.0).map(|lane| lane.consumers.clone());
        for consumer in consumers.unwrap_or_default() {
            self.remove_consumer(consumer, pass);
        }
        self.lanes.remove(lane.0);
    }

    /// What settles on write and was written is settled, whatever ends the lane. False if the room
    /// for records did not reach.
    pub(crate) fn settle_written(&mut self, lane: LaneRef, pass: &mut Pass<'_>) -> bool {
        let mut pieces: Vec<Inflight> = Vec::new();
        let Some(state) = self.lanes.at_mut(lane.0) else {
            return true;
        };
        let first = state.consumers.first().and_then(|c| self.consumers.at(c.0));
        if first.is_some_and(|consumer| consumer.settle == SettleMode::OnWrite) {
            state.cut_up_to(state.written, &mut pieces);
        }
        self.end_pieces(&mut pieces, Outcome::Accepted, pass);
        let done = pieces.is_empty();
        self.restore(Some(lane), &mut pieces);
        done
    }

    /// The session a lane belongs to.
    pub(crate) fn lane_session(&self, lane: LaneRef) -> Option<SessionRef> {
        self.lanes.at(lane.0).and_then(|lane| lane.session)
    }
}
