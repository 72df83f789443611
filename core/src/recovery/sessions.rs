//! Records of sessions and their subscriptions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::address::Filter;
use crate::binding::Binding;
use crate::broker::Broker;
use crate::command::{BindOptions, BindTarget, SettleMode};
use crate::consumer::{ConsumerRef, Lane, LaneRef};
use crate::deadline::Deadline;
use crate::ids::{ConsumerKey, QueueId};
use crate::record::{BindingRecord, MAX_SEQUENCE, Reader, SessionRecord, WillRecord};
use crate::retained::Replay;
use crate::session::{Session, SessionRef, Subscription};
use crate::will::GRACE_MS;

impl Broker {
    pub(super) fn apply_session(&mut self, payload: &Bytes) -> Option<()> {
        let put = SessionRecord::read(payload)?;
        if put.tag_mark == 0 || put.tag_mark > MAX_SEQUENCE {
            return None;
        }
        let known = self.session_names.get(&put.name).copied();
        let session = known.unwrap_or_else(|| self.recover_session(&put));
        let state = self.sessions.at_mut(session.0)?;
        state.expiry_ms = put.expiry_ms;
        state.expires_at_ms = put.expires_at_ms;
        state.tag_mark = put.tag_mark;
        state.durable = put.durable;
        let lane = state.lane;
        if let Some(lane) = self.lanes.at_mut(lane.0) {
            lane.window = put.window;
            lane.next_tag = lane.next_tag.max(put.tag_mark);
            lane.written = lane.next_tag - 1;
        }
        Some(())
    }

    fn recover_session(&mut self, put: &SessionRecord) -> SessionRef {
        let lane = Lane::new(ConsumerKey::SESSION, put.window);
        let lane = LaneRef(self.lanes.insert(Box::new(lane)));
        self.insert_session(Session {
            name: Arc::clone(&put.name),
            principal: Arc::clone(&put.principal),
            connection: None,
            lane,
            queue: None,
            subscriptions: BTreeMap::new(),
            expiry_ms: put.expiry_ms,
            expires_at_ms: put.expires_at_ms,
            durable: put.durable,
            hold: false,
            replays: VecDeque::new(),
            detachment: 0,
            deadline: None,
            resend_listed: false,
            replay_listed: false,
            tag_mark: put.tag_mark,
            will: None,
            will_deadline: None,
            recorded: true,
            receipts: BTreeSet::new(),
            with_ids: 0,
        })
    }

    pub(super) fn apply_delete_session(&mut self, payload: &Bytes) -> Option<()> {
        let name = Reader::new(payload).shared_text()?;
        if let Some(session) = self.session_names.get(&name).copied() {
            self.begun.remove(&session);
            if let Some(state) = self.sessions.at_mut(session.0) {
                state.will = None; // What came of it is in the log.
            }
            self.without_log(|broker, pass| broker.remove_session(session, pass));
        }
        Some(())
    }

    pub(super) fn apply_will(&mut self, payload: &Bytes) -> Option<()> {
        let record = WillRecord::read(payload)?;
        let session = self.session_names.get(&record.session).copied();
        if let Some(state) = session.and_then(|session| self.sessions.at_mut(session.0)) {
            state.will = Some(Box::new(record.will));
        }
        Some(())
    }

    pub(super) fn apply_delete_will(&mut self, payload: &Bytes) -> Option<()> {
        let name = Reader::new(payload).shared_text()?;
        let session = self.session_names.get(&name).copied();
        if let Some(state) = session.and_then(|session| self.sessions.at_mut(session.0)) {
            state.will = None;
        }
        Some(())
    }

    pub(super) fn apply_binding(&mut self, payload: &Bytes, put: bool) -> Option<()> {
        let record = BindingRecord::read(payload)?;
        let Some(session) = self.session_names.get(&record.session).copied() else {
            return Some(());
        };
        let known = self.sessions.at_mut(session.0)?;
        if put
            && let Some(consumer) = known
                .subscriptions
                .get(&record.target)
                .and_then(|s| s.consumer)
        {
            // Its queue must not lose its last consumer.
            let options = record.options;
            let subscription = Subscription {
                options,
                consumer: Some(consumer),
            };
            known.put_subscription(record.target, subscription);
            self.set_options(consumer, options);
            return Some(());
        }
        self.without_log(|broker, pass| {
            broker.remove_binding(session, &record.target, pass);
        });
        if put {
            self.recover_binding(session, record);
        }
        Some(())
    }

    fn recover_binding(&mut self, session: SessionRef, record: BindingRecord) {
        let BindingRecord {
            target,
            options,
            replaying,
            ..
        } = record;
        let consumer = match &target {
            BindTarget::Filter(filter) => {
                self.recover_filter(session, filter, options, replaying);
                None
            }
            BindTarget::Queue { address, queue } => {
                let state = self.addresses.get(address);
                let plain = state.and_then(|state| state.anycast.first().copied());
                let queue = match plain {
                    Some(first) if queue.as_str() == address.as_str() => Some(first),
                    _ => self.named_queue(address, queue, None).ok(),
                };
                self.recover_consumer(session, queue)
            }
            BindTarget::Shared { group, filter } => {
                let key = (Arc::clone(group), filter.clone());
                let queue = self.shared.get(&key).copied();
                self.recover_consumer(session, queue)
            }
        };
        consumer
            .into_iter()
            .for_each(|consumer| self.set_options(consumer, options));
        if let Some(state) = self.sessions.at_mut(session.0) {
            let subscription = Subscription { options, consumer };
            state.put_subscription(target, subscription);
        }
    }

    fn recover_consumer(
        &mut self,
        session: SessionRef,
        queue: Option<QueueId>,
    ) -> Option<ConsumerRef> {
        let lane = self.sessions.at(session.0)?.lane;
        Some(self.add_consumer(lane, queue?, SettleMode::Explicit, 0))
    }

    fn recover_filter(
        &mut self,
        session: SessionRef,
        filter: &Filter,
        options: BindOptions,
        replaying: bool,
    ) {
        self.trie.insert(filter, Binding::session(session, options));
        self.add_exact(filter);
        if let Some(state) = self.sessions.at_mut(session.0)
            && replaying
        {
            let filter = filter.clone();
            state.replays.push_back(Replay {
                filter,
                qos: options.qos,
                after: None,
            });
        }
    }

    pub(super) fn recover_expiry(&mut self, session: SessionRef) {
        let now = self.now;
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        let Some(expiry) = state.expiry_ms else {
            return;
        };
        if state.expires_at_ms == 0 {
            state.expires_at_ms = now.wall_ms.saturating_add(expiry);
        }
        // A clock that went back does not prolong it beyond its own length.
        let mut left = state.expires_at_ms.saturating_sub(now.wall_ms).min(expiry);
        if state.will.is_some() {
            left = left.max(GRACE_MS); // Its end would publish the will (law L14).
        }
        let detachment = state.detachment;
        let due = now.mono_ms.saturating_add(left);
        let deadline = Deadline::Session {
            session,
            detachment,
        };
        state.deadline = Some(self.deadlines.set(due, deadline));
    }
}
