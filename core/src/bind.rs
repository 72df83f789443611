//! Subscriptions of an attached session.

use crate::address::Filter;
use crate::binding::Binding;
use crate::broker::{Broker, Pass};
use crate::command::{BindOptions, BindRequest, BindTarget, RetainedReplay, SettleMode};
use crate::consumer::ConsumerRef;
use crate::effect::Answer;
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, Token};
use crate::record::{self, BindingRecord};
use crate::retained::Replay;
use crate::session::{SessionRef, Subscription};

impl Broker {
    /// Adds subscriptions, or replaces the options of those that are there.
    pub(crate) fn bind(
        &mut self,
        id: ConnectionId,
        requests: Vec<BindRequest>,
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) {
        let Some(session) = self.connection(id).and_then(|c| c.session) else {
            return pass.refuse(id, token, Refusal::Unknown);
        };
        let mut granted = Vec::with_capacity(requests.len());
        for request in requests {
            granted.push(self.bind_one(session, id, request, pass));
        }
        let position = pass.position();
        self.open_lane(session, position);
        pass.answer(id, token, position, Answer::Bound(granted));
        self.continue_session(session);
    }

    fn bind_one(
        &mut self,
        session: SessionRef,
        id: ConnectionId,
        request: BindRequest,
        pass: &mut Pass<'_>,
    ) -> Result<u8, Refusal> {
        let Some(state) = self.sessions.at(session.0) else {
            return Err(Refusal::Unknown);
        };
        let known = state.subscriptions.get(&request.target).copied();
        if known.is_none() && state.subscriptions.len() >= self.limits.max_subscriptions {
            return Err(Refusal::LimitReached(Limit::Subscriptions));
        }
        let options = BindOptions {
            qos: request.options.qos.min(2),
            ..request.options
        };
        match &request.target {
            BindTarget::Filter(filter) => {
                self.bind_filter(session, filter, options, known, pass);
                self.ask_retained(session, filter, &request, known.is_none());
                self.put_subscription(session, &request.target, options, None, pass);
            }
            BindTarget::Queue { .. } | BindTarget::Shared { .. } => {
                let consumer = match known.and_then(|known| known.consumer) {
                    Some(consumer) => consumer,
                    None => self.compete(session, id, &request.target, pass)?,
                };
                self.set_options(consumer, options);
                self.put_subscription(session, &request.target, options, Some(consumer), pass);
            }
        }
        Ok(options.qos)
    }

    /// Makes a session a consumer of a named queue or of its group's.
    fn compete(
        &mut self,
        session: SessionRef,
        id: ConnectionId,
        target: &BindTarget,
        pass: &mut Pass<'_>,
    ) -> Result<ConsumerRef, Refusal> {
        let queue = match target {
            BindTarget::Queue { address, queue } if queue.as_str() == address.as_str() => {
                self.anycast_to_consume(address, id, pass)?
            }
            BindTarget::Queue { address, queue } => self.named_queue(address, queue, Some(id))?,
            BindTarget::Shared { group, filter } => {
                self.shared_queue(session, group, filter, pass)?
            }
            BindTarget::Filter(_) => return Err(Refusal::Unknown),
        };
        let lane = self.sessions.at(session.0).map(|session| session.lane);
        let lane = lane.ok_or(Refusal::Unknown)?;
        let consumer = self.add_consumer(lane, queue, SettleMode::Explicit, 0);
        self.list(queue);
        Ok(consumer)
    }

    fn bind_filter(
        &mut self,
        session: SessionRef,
        filter: &Filter,
        options: BindOptions,
        known: Option<Subscription>,
        pass: &mut Pass<'_>,
    ) {
        if let Some(known) = known {
            let binding = Binding::session(session, known.options);
            self.trie.remove(filter, &binding);
        } else {
            self.add_exact(filter);
        }
        self.trie.insert(filter, Binding::session(session, options));
        if options.qos > 0 || options.queued {
            self.session_queue(session, pass);
        }
    }

    /// Sends retained values if the subscription asks for them; a replay that runs ends.
    fn ask_retained(
        &mut self,
        session: SessionRef,
        filter: &Filter,
        request: &BindRequest,
        is_new: bool,
    ) {
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        state.replays.retain(|replay| replay.filter != *filter);
        let wanted = match request.retained {
            RetainedReplay::Always => true,
            RetainedReplay::IfNew => is_new,
            RetainedReplay::Never => false,
        };
        if wanted {
            state.replays.push_back(Replay {
                filter: filter.clone(),
                qos: request.options.qos.min(2),
                after: None,
            });
        }
    }

    fn put_subscription(
        &mut self,
        session: SessionRef,
        target: &BindTarget,
        options: BindOptions,
        consumer: Option<ConsumerRef>,
        pass: &mut Pass<'_>,
    ) {
        self.routes.change();
        if let Some(state) = self.sessions.at_mut(session.0) {
            let subscription = Subscription { options, consumer };
            state.put_subscription(target.clone(), subscription);
        }
        self.write_target(session, target, pass);
    }

    /// What a consumer of a named queue was granted.
    pub(crate) fn set_options(&mut self, consumer: ConsumerRef, options: BindOptions) {
        if let Some(consumer) = self.consumers.at_mut(consumer.0) {
            consumer.granted = options.qos;
            consumer.subscription_id = options.id;
        }
    }

    /// Writes down how a subscription to a filter stands.
    pub(crate) fn write_binding(
        &mut self,
        session: SessionRef,
        filter: &Filter,
        pass: &mut Pass<'_>,
    ) {
        if self.subscription(session, filter).is_some() {
            self.write_target(session, &BindTarget::Filter(filter.clone()), pass);
        }
    }

    fn write_target(&mut self, session: SessionRef, target: &BindTarget, pass: &mut Pass<'_>) {
        if let Some(record) = self.binding_record(session, target) {
            let head = record.encode();
            self.routes.position = pass.log.append(record::PUT_BINDING, head.bytes(), None, 0) + 1;
        }
    }

    /// The record of a subscription of a durable session.
    pub(crate) fn binding_record(
        &self,
        session: SessionRef,
        target: &BindTarget,
    ) -> Option<BindingRecord> {
        let state = self.sessions.at(session.0).filter(|state| state.durable)?;
        let subscription = state.subscriptions.get(target)?;
        let replaying = match target {
            BindTarget::Filter(filter) => state.replays.iter().any(|r| r.filter == *filter),
            BindTarget::Queue { .. } | BindTarget::Shared { .. } => false,
        };
        Some(BindingRecord {
            session: state.name.clone(),
            target: target.clone(),
            options: subscription.options,
            replaying,
        })
    }

    /// Ends subscriptions.
    pub(crate) fn unbind(
        &mut self,
        id: ConnectionId,
        targets: &[BindTarget],
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) {
        let Some(session) = self.connection(id).and_then(|c| c.session) else {
            return pass.refuse(id, token, Refusal::Unknown);
        };
        let mut existed = Vec::with_capacity(targets.len());
        for target in targets {
            let record = self.binding_record(session, target);
            existed.push(self.remove_binding(session, target, pass));
            if let Some(record) = record {
                let head = record.encode();
                let position = pass
                    .log
                    .append(record::DELETE_BINDING, head.bytes(), None, 0);
                self.routes.position = position + 1;
            }
        }
        let position = pass.position();
        pass.answer(id, token, position, Answer::Unbound(existed));
    }

    /// Takes a subscription out of the tables. Messages already in the session's queue stay; what it
    /// holds of a named queue returns.
    pub(crate) fn remove_binding(
        &mut self,
        session: SessionRef,
        target: &BindTarget,
        pass: &mut Pass<'_>,
    ) -> bool {
        let Some(state) = self.sessions.at_mut(session.0) else {
            return false;
        };
        let Some(gone) = state.take_subscription(target) else {
            return false;
        };
        let lane = state.lane;
        self.routes.change();
        match (target, gone.consumer) {
            (BindTarget::Filter(filter), _) => {
                state.replays.retain(|replay| replay.filter != *filter);
                let binding = Binding::session(session, gone.options);
                self.trie.remove(filter, &binding);
                self.remove_exact(filter);
            }
            (BindTarget::Queue { .. } | BindTarget::Shared { .. }, Some(consumer)) => {
                let mut back = Vec::new();
                if let Some(lane) = self.lanes.at_mut(lane.0) {
                    lane.cut_consumer(consumer, &mut back);
                }
                self.take_back(back.into(), 0, &mut Vec::new(), pass);
                self.remove_consumer(consumer, pass);
                self.lane_moved(lane);
            }
            (BindTarget::Queue { .. } | BindTarget::Shared { .. }, None) => {}
        }
        true
    }
}
