//! Handing out: from the head of a queue to whoever has credit and room, in runs.

use std::sync::Arc;

use crate::broker::{Broker, Pass, Work};
use crate::consumer::{BEGUN, ConsumerRef, Inflight, LaneRef};
use crate::effect::{Delivery, Effect};
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Tag};
use crate::message::Run;
use crate::queue::turn::Taker;
use crate::queue::{AS_PUBLISHED, GRANTED_0, GRANTED_2, JOURNALLED, MOVED, Piece, Queue, RETAINED};
use crate::session::SessionRef;
use crate::settings::Dispatch;
use crate::store::{RunRef, Stored};

/// Bytes a delivered message takes of the connection's room beside its body.
const ROOM_PER_MESSAGE: usize = 32;

impl Delivery {
    /// Bytes of the connection's room that it takes; given back with
    /// [`Command::Room`](crate::command::Command::Room) when it has left the outbox.
    #[must_use]
    pub fn room(&self) -> u32 {
        room_of(&self.run, self.first, self.count)
    }
}

/// Bytes of a connection's room that messages of a run take.
pub(crate) fn room_of(run: &Run, first: u32, count: u32) -> u32 {
    let bytes = run.size(first, count) + ROOM_PER_MESSAGE * count as usize;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Broker {
    /// Hands out what is available in a queue until nobody wants more, shows the browsers what is left,
    /// and says so to those who asked.
    pub(crate) fn pump(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.listed = false;
        let plain = queue.uncommon.is_none();
        // A deadline lists it again when a pause is over (law L11).
        let paused = queue.paused_until_ms > self.now.mono_ms;
        let served = paused || self.serve(id, pass);
        if !served || !(plain || self.browse(id, pass)) {
            self.list(id);
        } else if !plain {
            self.end_drains(id, pass);
        }
    }

    /// Hands out until nobody wants more. False if the units did not reach (law L21).
    fn serve(&mut self, id: QueueId, pass: &mut Pass<'_>) -> bool {
        loop {
            let units = pass.units();
            let Some(queue) = self.queues.get_mut(&id) else {
                return true;
            };
            if queue.ready.is_empty() && queue.waiters.is_empty() {
                return true;
            }
            if queue.has_set_aside() {
                return self.serve_around(id, pass);
            }
            let Some(piece) = queue.available(units.max(1)) else {
                return true;
            };
            if units == 0 {
                return false;
            }
            if self.expire_if_due(id, piece, pass) {
                continue;
            }
            match self.taker(id, piece) {
                Taker::Consumer(consumer, count) => {
                    let count = pass.spend(count);
                    self.hand_out(id, Piece { count, ..piece }, consumer, pass);
                }
                Taker::Waiter => self.serve_waiter(id, pass),
                Taker::Nobody => return true,
            }
        }
    }

    /// How many messages of a piece a consumer can take; parks it if there are none.
    pub(crate) fn readiness(&mut self, to: ConsumerRef, piece: Piece) -> u32 {
        let Some(consumer) = self.consumers.at_mut(to.0) else {
            return 0;
        };
        let Some(lane) = self.lanes.at_mut(consumer.lane.0) else {
            consumer.parked = true;
            return 0;
        };
        let credit = lane.credit().min(piece.count);
        let Some(owner) = lane.owner.filter(|_| credit > 0) else {
            consumer.parked = true;
            lane.parked.push(to);
            return 0;
        };
        let place = self.connections.get_mut(owner.slot as usize);
        let Some(connection) = place.and_then(|place| place.of(owner)) else {
            consumer.parked = true;
            return 0;
        };
        let fits = match self.store.run(piece.run) {
            Some(run) => connection.fits(run, piece.first, credit),
            None => credit,
        };
        if fits == 0 {
            consumer.parked = true;
            connection.starved.push(to);
        }
        fits
    }

    /// A consumer may have credit and room again: its queue asks it.
    pub(crate) fn unpark(&mut self, consumer: ConsumerRef) {
        let Some(state) = self.consumers.at_mut(consumer.0) else {
            return;
        };
        if !std::mem::take(&mut state.parked) {
            return;
        }
        let (id, browses) = (state.queue, state.browses);
        if let Some(queue) = self.queues.get_mut(&id) {
            if browses {
                queue.uncommon_mut().browsers.ask(consumer);
            } else {
                queue.ready.push_back(&mut self.consumers, consumer);
            }
            queue.list_drain(consumer);
        }
        self.list(id);
    }

    pub(crate) fn hand_out(
        &mut self,
        id: QueueId,
        piece: Piece,
        to: ConsumerRef,
        pass: &mut Pass<'_>,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.take(piece.sequence, piece.count);
        let attempts = queue.attempts(piece.sequence);
        let Some(consumer) = self.consumers.at(to.0).copied() else {
            return;
        };
        let begun = if self.is_exact(piece, &consumer) {
            BEGUN
        } else {
            0
        };
        let Some(lane) = self.lanes.at_mut(consumer.lane.0) else {
            return;
        };
        let mut held = Inflight {
            tag: 0,
            count: piece.count,
            consumer: to,
            queue: id,
            sequence: piece.sequence,
            run: piece.run,
            first: piece.first,
            flags: piece.flags | begun,
        };
        let tag = lane.hold(held);
        held.tag = tag;
        let (owner, key) = (lane.owner, lane.key);
        self.reserve_ids(consumer.lane, pass);
        let noted = match begun {
            0 => 0,
            _ => self.write_tag(consumer.lane, &held, pass),
        };
        let lane = self.lanes.at(consumer.lane.0);
        let opened = lane.map_or(0, |lane| lane.opened_after);
        let Some((mut delivery, after)) = self.delivery(key, tag, piece, id, attempts) else {
            return;
        };
        self.name_subscriptions(&mut delivery, &consumer);
        self.counts.delivered += u64::from(piece.count);
        if let Some(connection) = owner {
            self.send(connection, after.max(opened).max(noted), delivery, pass);
        }
    }

    /// Puts a delivery out and takes the room for it.
    pub(crate) fn send(
        &mut self,
        to: ConnectionId,
        after: u64,
        delivery: Delivery,
        pass: &mut Pass<'_>,
    ) {
        if let Some(connection) = self.connection_mut(to) {
            connection.take_room(delivery.room());
        }
        pass.out.effects.push(Effect::Deliver {
            connection: to,
            after,
            delivery,
        });
    }

    /// The delivery of a piece of a queue and the position it waits for (law L1).
    pub(crate) fn delivery(
        &self,
        consumer: ConsumerKey,
        tag: Tag,
        piece: Piece,
        queue: QueueId,
        attempts: u32,
    ) -> Option<(Delivery, u64)> {
        let stored = self.store.stored(piece.run)?;
        let state = self.queues.get(&queue)?;
        let origin = state.origins.get(&piece.sequence).map(Arc::clone);
        let after = delivery_after(state, stored, piece.flags);
        let delivery = Delivery {
            consumer,
            tag,
            run: Arc::clone(stored.run.as_ref()?),
            first: piece.first,
            count: piece.count,
            attempts,
            duplicate: false,
            second_step: false,
            retained: piece.flags & (RETAINED | AS_PUBLISHED) != 0,
            granted: granted(piece.flags),
            subscriptions: None,
            queue,
            sequence: piece.sequence,
            origin,
            note: state.note(piece.sequence).map(Arc::clone),
            named: state.is_addressable(),
        };
        Some((delivery, after))
    }

    /// How far a consumer may be served from now on.
    pub(crate) fn credit(&mut self, id: ConnectionId, consumer: ConsumerKey, until: Tag) {
        let Some(lane_ref) = self.connection(id).and_then(|c| c.lane(consumer)) else {
            return;
        };
        if let Some(lane) = self.lanes.at_mut(lane_ref.0) {
            let less = std::mem::replace(&mut lane.until, until) > until;
            let consumer = lane.consumers.first().copied().filter(|_| less);
            if let Some(consumer) = consumer {
                self.credit_taken(consumer);
            }
        }
        self.lane_moved(lane_ref);
    }

    /// A consumer has less credit: if it waits for room, its drain may wait for nothing any more.
    fn credit_taken(&mut self, consumer: ConsumerRef) {
        let state = self.consumers.at(consumer.0);
        let Some(id) = state.map(|state| state.queue) else {
            return;
        };
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.list_drain(consumer);
        }
        self.list(id);
    }

    /// A lane has credit again: whoever waited for it may go on.
    pub(crate) fn lane_moved(&mut self, lane: LaneRef) {
        let Some(state) = self.lanes.at_mut(lane.0) else {
            return;
        };
        let mut parked = std::mem::take(&mut state.parked);
        let session = state.session;
        for consumer in parked.drain(..) {
            self.unpark(consumer);
        }
        if let Some(state) = self.lanes.at_mut(lane.0) {
            state.parked = parked;
        }
        if let Some(session) = session {
            self.continue_session(session);
        }
    }

    /// Bytes of a message for the limit of a subscription: the mean of its run, so that what is added
    /// is what is taken away.
    pub(crate) fn counted_size(&self, run: RunRef) -> u64 {
        self.store.mean_size(run) + ROOM_PER_MESSAGE as u64
    }

    /// Marks a session for going on with what waits for credit or room, once.
    pub(crate) fn continue_session(&mut self, session: SessionRef) {
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        let resending = self
            .lanes
            .at(state.lane.0)
            .is_some_and(|lane| lane.resend.is_some());
        if resending && !std::mem::replace(&mut state.resend_listed, true) {
            self.work.push_back(Work::Resend(session));
        }
        if !state.replays.is_empty() && !std::mem::replace(&mut state.replay_listed, true) {
            self.work.push_back(Work::Replay(session));
        }
    }
}

/// What a delivery waits for: the record of its message, and of its move. One sent at most once is
/// in the log only if it is retained, and nobody waits for that (law L9).
fn delivery_after(queue: &Queue, stored: &Stored, flags: u16) -> u64 {
    if queue.settings.dispatch == Dispatch::Immediate {
        return 0;
    }
    let waits = stored.name != 0
        && (flags & JOURNALLED != 0 || stored.run.as_ref().is_some_and(|r| r.envelope.durable));
    let after = if waits { stored.name + 1 } else { 0 };
    if flags & MOVED != 0 {
        after.max(queue.moved_after)
    } else {
        after
    }
}

/// The QoS that a session's subscriptions were granted for a message of its queue.
fn granted(flags: u16) -> u8 {
    match flags & (GRANTED_0 | GRANTED_2) {
        0 => 1,
        GRANTED_0 => 0,
        _ => 2,
    }
}
