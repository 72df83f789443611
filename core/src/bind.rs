//! Subscriptions of an attached session.

use crate::address::Filter;
use crate::binding::{Binding, Holder};
use crate::broker::{Broker, Pass};
use crate::command::{BindRequest, BindTarget, SettleMode};
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
        let qos = request.qos.min(1);
        match &request.target {
            BindTarget::Filter(filter) => {
                self.bind_filter(session, filter, &request, known, pass);
            }
            BindTarget::Queue { address, queue } => {
                if known.is_none_or(|known| known.consumer.is_none()) {
                    let queue = if queue.as_str() == address.as_str() {
                        self.anycast_to_consume(address, id, pass)?
                    } else {
                        self.named_queue(address, queue, Some(id))?
                    };
                    let lane = self.sessions.at(session.0).map(|session| session.lane);
                    let Some(lane) = lane else {
                        return Err(Refusal::Unknown);
                    };
                    let consumer = self.add_consumer(lane, queue, SettleMode::Explicit);
                    let subscription = Subscription {
                        qos: 1,
                        queued: true,
                        consumer: Some(consumer),
                    };
                    self.put_subscription(session, request.target.clone(), subscription, pass);
                    self.list(queue);
                }
                return Ok(1);
            }
        }
        Ok(qos)
    }

    fn bind_filter(
        &mut self,
        session: SessionRef,
        filter: &Filter,
        request: &BindRequest,
        known: Option<Subscription>,
        pass: &mut Pass<'_>,
    ) {
        let holder = Holder::Session(session);
        if let Some(Subscription { qos, queued, .. }) = known {
            self.trie.remove(
                filter,
                &Binding {
                    holder,
                    qos,
                    queued,
                },
            );
        } else {
            self.add_exact(filter);
        }
        let (qos, queued) = (request.qos.min(1), request.queued);
        self.trie.insert(
            filter,
            Binding {
                holder,
                qos,
                queued,
            },
        );
        if qos > 0 || queued {
            self.session_queue(session, pass);
        }
        if let Some(state) = self.sessions.at_mut(session.0) {
            state.replays.retain(|replay| replay.filter != *filter);
            if request.retained {
                let replay = Replay {
                    filter: filter.clone(),
                    qos,
                    after: None,
                };
                state.replays.push_back(replay);
            }
        }
        let subscription = Subscription {
            qos,
            queued,
            consumer: None,
        };
        self.put_subscription(session, request.target.clone(), subscription, pass);
    }

    fn put_subscription(
        &mut self,
        session: SessionRef,
        target: BindTarget,
        subscription: Subscription,
        pass: &mut Pass<'_>,
    ) {
        self.routes.change();
        if let Some(state) = self.sessions.at_mut(session.0) {
            state.subscriptions.insert(target.clone(), subscription);
        }
        self.write_target(session, &target, pass);
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
            BindTarget::Queue { .. } => false,
        };
        Some(BindingRecord {
            session: state.name.clone(),
            target: target.clone(),
            qos: subscription.qos,
            queued: subscription.queued,
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
        let Some(gone) = state.subscriptions.remove(target) else {
            return false;
        };
        let lane = state.lane;
        self.routes.change();
        match (target, gone.consumer) {
            (BindTarget::Filter(filter), _) => {
                state.replays.retain(|replay| replay.filter != *filter);
                let (holder, qos) = (Holder::Session(session), gone.qos);
                self.trie.remove(
                    filter,
                    &Binding {
                        holder,
                        qos,
                        queued: gone.queued,
                    },
                );
                self.remove_exact(filter);
            }
            (BindTarget::Queue { .. }, Some(consumer)) => {
                let mut back = Vec::new();
                if let Some(lane) = self.lanes.at_mut(lane.0) {
                    lane.cut_consumer(consumer, &mut back);
                }
                self.take_back(back.into(), 0, &mut Vec::new(), pass);
                self.remove_consumer(consumer, pass);
                self.lane_moved(lane);
            }
            (BindTarget::Queue { .. }, None) => {}
        }
        true
    }
}
