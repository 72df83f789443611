//! Records of sessions and their subscriptions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::address::Filter;
use crate::binding::{Binding, Holder};
use crate::broker::Broker;
use crate::command::{BindTarget, SettleMode};
use crate::consumer::{Lane, LaneRef};
use crate::deadline::Deadline;
use crate::ids::ConsumerKey;
use crate::record::{BindingRecord, MAX_SEQUENCE, Reader, SessionRecord};
use crate::retained::Replay;
use crate::session::{Session, SessionRef, Subscription};

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
            durable: true,
            hold: false,
            replays: VecDeque::new(),
            detachment: 0,
            deadline: None,
            resend_listed: false,
            replay_listed: false,
            tag_mark: put.tag_mark,
        })
    }

    pub(super) fn apply_delete_session(&mut self, payload: &Bytes) -> Option<()> {
        let name = Reader::new(payload).shared_text()?;
        if let Some(session) = self.session_names.get(&name).copied() {
            self.without_log(|broker, pass| broker.remove_session(session, pass));
        }
        Some(())
    }

    pub(super) fn apply_binding(&mut self, payload: &Bytes, put: bool) -> Option<()> {
        let record = BindingRecord::read(payload)?;
        let Some(session) = self.session_names.get(&record.session).copied() else {
            return Some(());
        };
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
            qos,
            queued,
            replaying,
            ..
        } = record;
        let consumer = match &target {
            BindTarget::Filter(filter) => {
                self.recover_filter(session, filter, qos, queued, replaying);
                None
            }
            BindTarget::Queue { address, queue } => {
                let state = self.addresses.get(address);
                let plain = state.and_then(|state| state.anycast.first().copied());
                let queue = match plain {
                    Some(first) if queue.as_str() == address.as_str() => Some(first),
                    _ => self.named_queue(address, queue, None).ok(),
                };
                let lane = self.sessions.at(session.0).map(|session| session.lane);
                queue
                    .zip(lane)
                    .map(|(queue, lane)| self.add_consumer(lane, queue, SettleMode::Explicit))
            }
        };
        if let Some(state) = self.sessions.at_mut(session.0) {
            state.subscriptions.insert(
                target,
                Subscription {
                    qos,
                    queued,
                    consumer,
                },
            );
        }
    }

    fn recover_filter(
        &mut self,
        session: SessionRef,
        filter: &Filter,
        qos: u8,
        queued: bool,
        replaying: bool,
    ) {
        let holder = Holder::Session(session);
        self.trie.insert(
            filter,
            Binding {
                holder,
                qos,
                queued,
            },
        );
        self.add_exact(filter);
        if let Some(state) = self.sessions.at_mut(session.0)
            && replaying
        {
            let filter = filter.clone();
            state.replays.push_back(Replay {
                filter,
                qos,
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
        let left = state.expires_at_ms.saturating_sub(now.wall_ms).min(expiry);
        let detachment = state.detachment;
        let due = now.mono_ms.saturating_add(left);
        let deadline = Deadline::Session {
            session,
            detachment,
        };
        state.deadline = Some(self.deadlines.set(due, deadline));
    }
}
