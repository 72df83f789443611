//! Retained values: the last message kept for an address, whatever its QoS in the log (law L16).

mod expiry;
mod seek;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::address::{Address, Filter};
use crate::broker::{Broker, Pass};
use crate::effect::Delivery;
use crate::ids::{ConsumerKey, QueueId};
use crate::message::Run;
use crate::queue::{JOURNALLED, RETAINED, granted_flag, priority_flags};
use crate::record::{self, RefRecord};
use crate::session::SessionRef;
use crate::store::RunRef;
use crate::topic_trie::matches_filter;

use expiry::Expiries;
use seek::seek;

/// One message of a stored run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RetainedValue {
    pub(crate) run: RunRef,
    pub(crate) index: u32,
}

/// All retained values, in the order of their addresses.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    pub(crate) values: BTreeMap<Address, RetainedValue>,
    expiries: Expiries,
}

/// A new subscription that is getting the retained values: a cursor over the addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Replay {
    pub(crate) filter: Filter,
    pub(crate) qos: u8,
    /// The last address looked at.
    pub(crate) after: Option<Address>,
}

/// What to do about the next value of a replay.
enum Next {
    /// Nothing is left.
    Done,
    /// Looked at some that do not match, up to this one; go on behind it.
    Skipped(Address),
    /// No units are left.
    Later,
    Value(Address, RetainedValue),
}

impl Retained {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

impl Broker {
    pub(crate) fn may_retain(&self, run: &Run) -> bool {
        self.retained.len() < self.limits.max_retained
            || self.retained.values.contains_key(&run.envelope.address)
    }

    /// Keeps a message for its address instead of what was there.
    pub(crate) fn retain(
        &mut self,
        address: &Address,
        run: RunRef,
        index: u32,
        pass: &mut Pass<'_>,
    ) {
        self.store.retain(run, index, 1);
        let value = RetainedValue { run, index };
        let old = self.retained.values.insert(address.clone(), value);
        if let Some(old) = old {
            self.forget_expiry(address, old);
            self.store.release(old.run, old.index, 1, pass.out);
        }
        self.watch_retained(address, value);
    }

    /// Forgets the value of an address; gives the position of the record that says so, or 0.
    pub(crate) fn unretain(&mut self, address: &Address, pass: &mut Pass<'_>) -> u64 {
        let Some(old) = self.retained.values.remove(address) else {
            return 0;
        };
        self.forget_expiry(address, old);
        self.store.release(old.run, old.index, 1, pass.out);
        let mut head = record::Writer::default();
        head.text(address.as_str());
        pass.log
            .append(record::DELETE_RETAINED, head.bytes(), None, 0)
    }

    /// Sends a session the retained values its new subscriptions ask for, as far as its room and
    /// the units reach. Each value is read when the cursor gets to it.
    pub(crate) fn replay_retained(&mut self, session: SessionRef, pass: &mut Pass<'_>) {
        if let Some(state) = self.sessions.at_mut(session.0) {
            state.replay_listed = false;
        }
        while pass.units() > 0 {
            let Some(state) = self.sessions.at(session.0) else {
                return;
            };
            let Some(replay) = state.replays.front().cloned() else {
                return;
            };
            if !self.may_replay(session) {
                return; // Room, a settlement or the next attachment goes on.
            }
            match self.next_retained(&replay, pass) {
                Next::Done => self.replay_done(session, pass),
                Next::Skipped(address) => {
                    if let Some(replay) = self.replay_mut(session) {
                        replay.after = Some(address);
                    }
                }
                Next::Later => break,
                Next::Value(address, value) => {
                    self.send_retained(session, replay.qos, value, pass);
                    if let Some(replay) = self.replay_mut(session) {
                        replay.after = Some(address);
                    }
                }
            }
        }
        self.continue_session(session);
    }

    fn replay_mut(&mut self, session: SessionRef) -> Option<&mut Replay> {
        self.sessions.at_mut(session.0)?.replays.front_mut()
    }

    /// Paced: connected, room in the outbox, no backlog of its own.
    fn may_replay(&self, session: SessionRef) -> bool {
        let Some(state) = self.sessions.at(session.0) else {
            return false;
        };
        let Some(connection) = state.connection.and_then(|id| self.connection(id)) else {
            return false;
        };
        let unsettled = self.lanes.at(state.lane.0).map_or(0, |lane| lane.unsettled);
        let queue = state.queue.and_then(|queue| self.queues.get(&queue));
        let backlog = queue.map_or(0, |queue| queue.index.live());
        connection.room > i64::from(connection.room_max / 2) && backlog <= u64::from(unsettled)
    }

    fn next_retained(&mut self, replay: &Replay, pass: &mut Pass<'_>) -> Next {
        let prefix = literal_prefix(&replay.filter);
        let mut from = match &replay.after {
            Some(after) => Bound::Excluded(after.as_str().to_owned()),
            None => Bound::Included(prefix.to_owned()),
        };
        let values = &self.retained.values;
        let mut seen = None;
        loop {
            let bounds = (from.as_ref().map(String::as_str), Bound::Unbounded);
            let next = values.range::<str, _>(bounds).next();
            let Some((address, value)) = next.filter(|(a, _)| a.as_str().starts_with(prefix))
            else {
                return Next::Done;
            };
            if pass.spend(1) == 0 {
                return seen.map_or(Next::Later, Next::Skipped);
            }
            if matches_filter(&replay.filter, address) {
                return Next::Value(address.clone(), *value);
            }
            match seek(&replay.filter, address) {
                Some(next) => from = next,
                None => return Next::Done,
            }
            seen = Some(address.clone());
        }
    }

    fn send_retained(
        &mut self,
        session: SessionRef,
        qos: u8,
        value: RetainedValue,
        pass: &mut Pass<'_>,
    ) {
        let Some(stored) = self.store.stored(value.run) else {
            return;
        };
        let Some(run) = stored.run.clone() else {
            return;
        };
        let expires = run.envelope.expires_ms;
        if expires != 0 && expires <= self.now.wall_ms {
            return;
        }
        let name = stored.name;
        let Some(state) = self.sessions.at(session.0) else {
            return;
        };
        let durable = state.durable;
        let target = if run.envelope.is_at_most_once() || qos == 0 {
            None
        } else {
            state.queue
        };
        let (connection, lane) = (state.connection, state.lane);
        let bound = self.lanes.at(lane.0).map_or(0, |lane| lane.opened_after);
        let Some(id) = target else {
            let Some(connection) = connection else { return };
            let subscriptions = self.subscription_ids(session, &run.envelope.address);
            let after = if run.envelope.is_at_most_once() {
                bound
            } else {
                bound.max(name + 1)
            };
            let delivery = Delivery {
                consumer: ConsumerKey::SESSION,
                tag: 0,
                run,
                first: value.index,
                count: 1,
                attempts: 0,
                duplicate: false,
                second_step: false,
                retained: true,
                granted: qos,
                subscriptions,
                queue: QueueId(0),
                sequence: 0,
                origin: None,
                note: None,
                named: false,
            };
            self.counts.delivered += 1;
            return self.send(connection, after, delivery, pass);
        };
        let granted = granted_flag(qos);
        self.enqueue_retained(id, value, durable.then_some(name), granted, pass);
    }

    fn enqueue_retained(
        &mut self,
        id: QueueId,
        value: RetainedValue,
        durable_name: Option<u64>,
        granted: u16,
        pass: &mut Pass<'_>,
    ) {
        let run = self.store.run(value.run).map(Arc::clone);
        let (Some(queue), Some(run)) = (self.queues.get_mut(&id), run) else {
            return;
        };
        let sequence = queue.next;
        queue.next += 1;
        let durable_name = durable_name.filter(|&name| name != 0);
        let kept = RETAINED | granted | priority_flags(run.envelope.priority);
        let flags = match durable_name {
            Some(_) => kept | JOURNALLED,
            None => kept,
        };
        queue.append(sequence, 1, (value.run, value.index), flags);
        self.counts.messages += 1;
        self.store.retain(value.run, value.index, 1);
        self.watch_expiry(id, sequence, 1, &run);
        self.limit_bytes(id, value.run, 1, pass);
        if let Some(name) = durable_name {
            let index = value.index;
            let piece = RefRecord {
                name,
                index,
                queue: id,
                sequence,
                flags,
            };
            record::write_ref(pass.log, &piece);
        }
        self.pump(id, pass);
    }

    /// A replay has come to its end: the subscription's record says so.
    fn replay_done(&mut self, session: SessionRef, pass: &mut Pass<'_>) {
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        if let Some(replay) = state.replays.pop_front() {
            self.write_binding(session, &replay.filter, pass);
        }
    }
}

/// What every address that a filter matches begins with.
fn literal_prefix(filter: &Filter) -> &str {
    let text = filter.as_str();
    match text.find(['*', '#']) {
        // `a.#` matches `a` too, so the dot is no part of it.
        Some(at) => text.get(..at.saturating_sub(1)).unwrap_or(""),
        None => text,
    }
}
