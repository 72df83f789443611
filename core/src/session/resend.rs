//! What a session that came back gets again: all it had not settled, in order, with its old tags.

use crate::broker::{Broker, Pass, Work};
use crate::consumer::{Inflight, LaneRef, split};
use crate::ids::ConnectionId;
use crate::session::SessionRef;

impl Broker {
    pub(super) fn start_resend(&mut self, session: SessionRef) {
        let Some(lane) = self.sessions.at(session.0).map(|session| session.lane) else {
            return;
        };
        if let Some(lane) = self.lanes.at_mut(lane.0) {
            lane.resend = lane.inflight.front().map(|piece| piece.tag);
        }
        if let Some(state) = self.sessions.at_mut(session.0)
            && !std::mem::replace(&mut state.resend_listed, true)
        {
            self.work.push_back(Work::Resend(session));
        }
    }

    /// Sends a resumed session what it had not settled, in order and with its old tags, as far as
    /// the room reaches; then its queues go on.
    pub(crate) fn resend(&mut self, session: SessionRef, pass: &mut Pass<'_>) {
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        state.resend_listed = false;
        let lane_ref = state.lane;
        loop {
            if pass.units() == 0 {
                return self.continue_session(session);
            }
            let Some(lane) = self.lanes.at(lane_ref.0) else {
                return;
            };
            let (Some(from), Some(connection)) = (lane.resend, lane.owner) else {
                break;
            };
            let at = lane
                .inflight
                .partition_point(|p| p.tag + u64::from(p.count) <= from);
            let Some(piece) = lane.inflight.get(at).copied() else {
                if let Some(lane) = self.lanes.at_mut(lane_ref.0) {
                    lane.resend = None;
                }
                break;
            };
            let skip = u32::try_from(from.saturating_sub(piece.tag)).unwrap_or(0);
            let (_, piece) = split(piece, skip);
            if !self.resend_piece(lane_ref, connection, piece, pass) {
                return; // Room goes on.
            }
        }
        self.resume_queues(lane_ref);
        self.continue_session(session);
    }

    fn resend_piece(
        &mut self,
        lane_ref: LaneRef,
        connection: ConnectionId,
        piece: Inflight,
        pass: &mut Pass<'_>,
    ) -> bool {
        let Some(lane) = self.lanes.at(lane_ref.0) else {
            return false;
        };
        let (key, opened) = (lane.key, lane.opened_after);
        let written = lane.written.max(lane.maybe_written);
        // A piece is either a duplicate as a whole or new as a whole.
        let known = (written + 1).saturating_sub(piece.tag);
        let same = if known == 0 {
            u64::from(piece.count)
        } else {
            known
        };
        let count = piece
            .count
            .min(u32::try_from(same).unwrap_or(u32::MAX))
            .min(pass.units());
        let connected = self.connection(connection);
        let fits = match (connected, self.store.run(piece.run)) {
            (Some(connection), Some(run)) => connection.fits(run, piece.first, count),
            _ => 0,
        };
        if fits == 0 {
            return false;
        }
        pass.spend(fits);
        let (piece, _) = split(piece, fits);
        let attempts = self
            .queues
            .get(&piece.queue)
            .map_or(0, |q| q.attempts(piece.sequence));
        let delivery = self.delivery(key, piece.tag, piece.part(), piece.queue, attempts);
        if let Some((mut delivery, after)) = delivery {
            delivery.duplicate = known > 0;
            self.send(connection, after.max(opened), delivery, pass);
        }
        if let Some(lane) = self.lanes.at_mut(lane_ref.0) {
            lane.resend = Some(piece.tag + u64::from(piece.count));
        }
        true
    }

    fn resume_queues(&mut self, lane: LaneRef) {
        let Some(state) = self.lanes.at(lane.0) else {
            return;
        };
        // Also those that waited for the room of an earlier connection.
        for consumer in state.consumers.clone() {
            self.unpark(consumer);
            if let Some(queue) = self.consumers.at(consumer.0).map(|c| c.queue) {
                self.list(queue);
            }
        }
        self.lane_moved(lane);
    }
}
