//! The end of a session.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::broker::{Broker, Pass, Work};
use crate::ids::ConsumerKey;
use crate::record::{self, Writer};
use crate::session::SessionRef;

impl Broker {
    /// A session without connection has reached its end.
    pub(crate) fn session_expired(
        &mut self,
        session: SessionRef,
        detachment: u32,
        pass: &mut Pass<'_>,
    ) {
        let expired = self
            .sessions
            .at(session.0)
            .is_some_and(|state| state.connection.is_none() && state.detachment == detachment);
        if expired {
            self.remove_session(session, pass);
        }
    }

    /// Removes a session with its subscriptions and its queue. Its name is free at once; its
    /// subscriptions lead nowhere any more and go as far as the units reach (law L21).
    pub(crate) fn remove_session(&mut self, session: SessionRef, pass: &mut Pass<'_>) {
        let Some(state) = self.sessions.at(session.0) else {
            return;
        };
        let lane = state.lane;
        // Its own queue goes with what it holds of it; of other queues everything returns.
        let queue = state.queue;
        self.publish_will(session, pass);
        if let Some(queue) = queue {
            self.delete_queue(queue, pass);
        }
        if let Some(lane) = self.lanes.at_mut(lane.0) {
            lane.owner = None;
        }
        self.end_begun(lane, pass);
        self.give_back(lane, |_| false, true, pass);
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        let recorded = std::mem::take(&mut state.recorded);
        state.durable = false;
        let (connection, deadline) = (state.connection.take(), state.deadline.take());
        (state.queue, state.replays) = (None, VecDeque::new());
        let name = Arc::clone(&state.name);
        self.session_names.remove(&name);
        self.routes.change();
        if let Some(deadline) = deadline {
            self.deadlines.cancel(deadline);
        }
        if let Some(connection) = connection.and_then(|id| self.connection_mut(id)) {
            connection.session = None;
            connection.remove_lane(ConsumerKey::SESSION);
        }
        if recorded {
            let mut head = Writer::default();
            head.text(&name);
            let position = pass
                .log
                .append(record::DELETE_SESSION, head.bytes(), None, 0);
            self.routes.position = position + 1;
        }
        self.end_subscriptions(session, pass);
    }

    /// Ends the subscriptions of a session that is gone, then forgets it.
    pub(crate) fn end_subscriptions(&mut self, session: SessionRef, pass: &mut Pass<'_>) {
        while let Some(state) = self.sessions.at(session.0)
            && let Some(target) = state.subscriptions.keys().next().cloned()
        {
            if pass.spend(1) == 0 {
                return self.work.push_back(Work::EndSubscriptions(session));
            }
            self.remove_binding(session, &target, pass);
        }
        if let Some(state) = self.sessions.remove(session.0) {
            self.lanes.remove(state.lane.0);
        }
    }
}
