//! Wills: what a session publishes for a client that vanished (law L14).

use std::sync::Arc;

use crate::broker::{Broker, Pass, Work};
use crate::command::{Publish, Will};
use crate::deadline::Deadline;
use crate::ids::ConnectionId;
use crate::message::{Envelope, Run};
use crate::record::{self, WillRecord, Writer};
use crate::session::SessionRef;
use crate::topic_trie::matches_filter;

/// After a restart clients get this long to come back before their wills are published.
pub(crate) const GRACE_MS: u64 = 10_000;

impl Broker {
    /// Writes down the will of a session, or that it has none any more.
    pub(crate) fn write_will(&mut self, session: SessionRef, had: bool, pass: &mut Pass<'_>) {
        let Some(state) = self.sessions.at(session.0) else {
            return;
        };
        let position = match &state.will {
            Some(will) => {
                let head = WillRecord::encode(&state.name, will);
                pass.log.append(record::PUT_WILL, head.bytes(), None, 0)
            }
            None if had && state.recorded => {
                let mut head = Writer::default();
                head.text(&state.name);
                pass.log.append(record::DELETE_WILL, head.bytes(), None, 0)
            }
            None => return,
        };
        self.routes.position = position + 1;
    }

    /// The client takes its will back.
    pub(crate) fn forget_will(&mut self, id: ConnectionId, pass: &mut Pass<'_>) {
        let session = self.connection(id).and_then(|c| c.session);
        if let Some(session) = session {
            self.take_will(session, pass);
        }
    }

    /// A session has no will any more, and nothing waits for its time; gives what it was.
    fn take_will(&mut self, session: SessionRef, pass: &mut Pass<'_>) -> Option<Box<Will>> {
        self.end_will_wait(session);
        let will = self.sessions.at_mut(session.0)?.will.take()?;
        self.write_will(session, true, pass);
        Some(will)
    }

    /// Nothing waits for the time of a session's will any more.
    pub(crate) fn end_will_wait(&mut self, session: SessionRef) {
        let state = self.sessions.at_mut(session.0);
        if let Some(key) = state.and_then(|state| state.will_deadline.take()) {
            self.deadlines.cancel(key);
        }
    }

    /// A connection has gone without taking the will back. One with a delay waits for the client to
    /// come back: if it does, the attachment replaces the will, and writes that down.
    pub(crate) fn leave_will(&mut self, session: SessionRef, pass: &mut Pass<'_>) {
        let Some(state) = self.sessions.at(session.0) else {
            return;
        };
        let Some(will) = &state.will else { return };
        let delay = will.delay_ms.min(state.expiry_ms.unwrap_or(u64::MAX));
        if delay == 0 {
            return self.publish_will(session, pass);
        }
        self.await_will(session, delay);
    }

    fn await_will(&mut self, session: SessionRef, delay_ms: u64) {
        let Some(state) = self.sessions.at(session.0) else {
            return;
        };
        let detachment = state.detachment;
        let due = self.now.mono_ms.saturating_add(delay_ms);
        let deadline = Deadline::Will {
            session,
            detachment,
        };
        let key = self.deadlines.set(due, deadline);
        if let Some(state) = self.sessions.at_mut(session.0) {
            state.will_deadline = Some(key);
        }
    }

    /// The delay of a will has passed.
    pub(crate) fn will_due(&mut self, session: SessionRef, detachment: u32, pass: &mut Pass<'_>) {
        let due = self
            .sessions
            .at(session.0)
            .is_some_and(|state| state.connection.is_none() && state.detachment == detachment);
        if due {
            self.publish_will(session, pass);
        }
    }

    /// Publishes the will of a session, if it has one. What was allowed when its client connected may
    /// be denied by now: a will outlives the configuration of its time.
    pub(crate) fn publish_will(&mut self, session: SessionRef, pass: &mut Pass<'_>) {
        let Some(will) = self.take_will(session, pass) else {
            return;
        };
        let address = &will.run.envelope.address;
        if self
            .denied_wills
            .iter()
            .any(|denied| matches_filter(denied, address))
        {
            self.counts.dropped_denied += 1;
            return pass.out.garbage.push(will.run);
        }
        let publish = self.publish_of(&will);
        self.carry_will(publish, pass);
    }

    fn publish_of(&self, will: &Will) -> Publish {
        let now = self.now.wall_ms;
        let envelope = Envelope {
            timestamp_ms: now,
            expires_ms: will.ttl_ms.map_or(0, |ttl| now.saturating_add(ttl)),
            ..will.run.envelope.clone()
        };
        let run = Run::single(envelope, will.run.format, will.run.block().clone());
        Publish {
            run: Arc::new(run),
            mode: will.mode,
            queue: None,
            retain: will.retain,
            receipt: None,
            token: None,
        }
    }

    /// Publishes a will if there is room in the log, beside that for what ends with it; says whether
    /// there was. If not it goes to so many queues that the next call has to ask for them.
    pub(crate) fn carry_will(&mut self, publish: Publish, pass: &mut Pass<'_>) -> bool {
        let more = self.limits.step_bytes() / 2;
        let published = self.try_publish(ConnectionId::BROKER, &publish, more, pass);
        let fits = !matches!(published, Err(None));
        if !fits {
            self.work.push_front(Work::Will(Box::new(publish)));
        }
        fits
    }

    /// Recovery: whoever was connected counts as disconnected since now; a client gets some time.
    pub(crate) fn recover_will(&mut self, session: SessionRef) {
        let state = self.sessions.at(session.0);
        if let Some(will) = state.and_then(|state| state.will.as_ref()) {
            self.await_will(session, will.delay_ms.max(GRACE_MS));
        }
    }
}
