//! Handing out: from the head of a queue to whoever has credit and room, in runs.

use std::sync::Arc;

use crate::broker::{AT_END, Broker, Pass, Work};
use crate::command::{Outcome, Settle, SettleMode, Tags};
use crate::consumer::{ConsumerRef, Inflight, Lane, LaneRef};
use crate::effect::{Answer, Delivery, Effect};
use crate::error::Refusal;
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Tag};
use crate::message::Run;
use crate::queue::{Kind, Piece, Queue, RETAINED};
use crate::session::SessionRef;
use crate::settings::Dispatch;
use crate::store::RunRef;

/// Bytes a delivered message takes of the connection's room beside its body.
const ROOM_PER_MESSAGE: usize = 32;

impl Delivery {
    /// Bytes of the connection's room that it takes; given back with
    /// [`Command::Room`](crate::command::Command::Room) when it has left the outbox.
    #[must_use]
    pub fn room(&self) -> u32 {
        let bytes = self.run.size(self.first, self.count);
        u32::try_from(bytes + ROOM_PER_MESSAGE * self.count as usize).unwrap_or(u32::MAX)
    }
}

/// Who gets the next messages.
enum Taker {
    Consumer(ConsumerRef, u32),
    Waiter,
    Nobody,
}

impl Broker {
    /// Hands out what is available in a queue until nobody wants more.
    pub(crate) fn pump(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.listed = false;
            if queue.paused_until_ms > self.now.mono_ms {
                return; // A deadline lists it again.
            }
        }
        loop {
            let units = pass.units;
            let Some(queue) = self.queues.get_mut(&id) else {
                return;
            };
            if queue.consumers.is_empty() && queue.waiters.is_empty() {
                return;
            }
            let Some(piece) = queue.available(units.max(1)) else {
                return;
            };
            if units == 0 {
                self.list(id);
                return;
            }
            if self.expire_if_due(id, piece, pass) {
                continue;
            }
            let each = self
                .store
                .run(piece.run)
                .map_or(1, |run| run.size(piece.first, 1));
            match self.taker(id, piece.count, each + ROOM_PER_MESSAGE) {
                Taker::Consumer(consumer, count) => {
                    let count = pass.spend(count);
                    self.hand_out(id, Piece { count, ..piece }, consumer, pass);
                }
                Taker::Waiter => {
                    pass.spend(1);
                    self.lease_out(id, pass);
                }
                Taker::Nobody => return,
            }
        }
    }

    /// Whose turn it is, and how many of `count` messages it gets: everyone who is ready gets an
    /// equal share, so that a run is spread as single messages would be.
    fn taker(&mut self, id: QueueId, count: u32, each: usize) -> Taker {
        let Some(queue) = self.queues.get(&id) else {
            return Taker::Nobody;
        };
        let places = queue.consumers.len() + usize::from(!queue.waiters.is_empty());
        let start = if queue.turn < places { queue.turn } else { 0 };
        let mut found = None;
        let (mut ready, mut starved) = (0u32, None);
        for place in (start..places).chain(0..start) {
            let Some(&consumer) = queue.consumers.get(place) else {
                found = found.or(Some((place, None)));
                ready += 1;
                continue;
            };
            let (credit, lacks_room) = self.readiness(consumer, count, each);
            if credit > 0 {
                ready += 1;
                found = found.or(Some((place, Some((consumer, credit)))));
                if places == 1 {
                    break;
                }
            } else if let Some(connection) = lacks_room {
                starved = Some(connection);
            }
        }
        let Some((place, taker)) = found else {
            if let Some(connection) = starved.and_then(|c| self.connection_mut(c))
                && !connection.starved.contains(&id)
            {
                connection.starved.push(id);
            }
            return Taker::Nobody;
        };
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.turn = place + 1;
        }
        match taker {
            Some((consumer, credit)) => {
                Taker::Consumer(consumer, credit.min(count.div_ceil(ready.max(1))))
            }
            None => Taker::Waiter,
        }
    }

    /// How many messages a consumer can take, and the connection whose room is lacking.
    fn readiness(
        &self,
        consumer: ConsumerRef,
        count: u32,
        each: usize,
    ) -> (u32, Option<ConnectionId>) {
        let Some(consumer) = self.consumers.at(consumer.0) else {
            return (0, None);
        };
        let Some(lane) = self.lanes.at(consumer.lane.0) else {
            return (0, None);
        };
        let credit = lane.credit().min(count);
        let Some(connection) = lane.owner.filter(|_| credit > 0) else {
            return (0, None);
        };
        let fits = self
            .connection(connection)
            .map_or(0, |c| c.fits(each, credit));
        (fits, (fits == 0).then_some(connection))
    }

    fn hand_out(&mut self, id: QueueId, piece: Piece, to: ConsumerRef, pass: &mut Pass<'_>) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.take(piece.sequence, piece.count);
        let attempts = queue.attempts(piece.sequence);
        let Some(consumer) = self.consumers.at(to.0).copied() else {
            return;
        };
        let Some(lane) = self.lanes.at_mut(consumer.lane.0) else {
            return;
        };
        let held = Inflight {
            tag: 0,
            count: piece.count,
            consumer: to,
            queue: id,
            sequence: piece.sequence,
            run: piece.run,
            first: piece.first,
            flags: piece.flags,
        };
        let tag = lane.hold(held);
        let (owner, key, opened) = (lane.owner, lane.key, lane.opened_after);
        self.reserve_ids(consumer.lane, pass);
        let Some((delivery, after)) = self.delivery(key, tag, piece, id, attempts) else {
            return;
        };
        self.counts.delivered += u64::from(piece.count);
        if let Some(connection) = owner {
            self.send(connection, after.max(opened), delivery, pass);
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
            connection.take_room(delivery.room() as usize);
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
        let after = delivery_after(state, stored.name, origin.is_some());
        let delivery = Delivery {
            consumer,
            tag,
            run: Arc::clone(stored.run.as_ref()?),
            first: piece.first,
            count: piece.count,
            attempts,
            duplicate: false,
            retained: piece.flags & RETAINED != 0,
            queue,
            sequence: piece.sequence,
            origin,
        };
        Some((delivery, after))
    }

    /// Settles deliveries of a lane as their client says.
    pub(crate) fn settle(&mut self, id: ConnectionId, settle: Settle, pass: &mut Pass<'_>) {
        let Settle {
            consumer,
            tags,
            outcome,
            token,
        } = settle;
        let mut pieces = std::mem::take(&mut self.scratch);
        let lane = self
            .connection(id)
            .and_then(|connection| connection.lane(consumer));
        let held = match lane.and_then(|lane| self.lanes.at_mut(lane.0)) {
            Some(lane) => {
                cut(lane, tags, &mut pieces)
                    || (token.is_none() && cut_held(lane, tags, &mut pieces))
            }
            None => false,
        };
        if held {
            self.end_pieces(&pieces, outcome, pass);
            pass.answer(id, token, AT_END, Answer::Settled);
        } else {
            pass.refuse(id, token, Refusal::Unknown);
        }
        pieces.clear();
        self.scratch = pieces;
        if let Some(lane) = lane {
            self.lane_moved(lane);
        }
    }

    /// The kernel took everything up to `tag` (law L10).
    pub(crate) fn written(
        &mut self,
        id: ConnectionId,
        consumer: ConsumerKey,
        tag: Tag,
        pass: &mut Pass<'_>,
    ) {
        let Some(lane_ref) = self.connection(id).and_then(|c| c.lane(consumer)) else {
            return;
        };
        let mut pieces = std::mem::take(&mut self.scratch);
        if let Some(lane) = self.lanes.at_mut(lane_ref.0) {
            lane.written = lane.written.max(tag.min(lane.next_tag - 1));
            let only = lane.consumers.first().and_then(|c| self.consumers.at(c.0));
            if only.is_some_and(|consumer| consumer.settle == SettleMode::OnWrite) {
                lane.cut_up_to(tag, &mut pieces);
            }
        }
        if !pieces.is_empty() {
            self.end_pieces(&pieces, Outcome::Accepted, pass);
            pieces.clear();
            self.lane_moved(lane_ref);
        }
        self.scratch = pieces;
    }

    /// More credit for a consumer.
    pub(crate) fn credit(&mut self, id: ConnectionId, consumer: ConsumerKey, messages: u32) {
        let Some(lane_ref) = self.connection(id).and_then(|c| c.lane(consumer)) else {
            return;
        };
        if let Some(lane) = self.lanes.at_mut(lane_ref.0) {
            lane.window = lane.window.saturating_add(messages);
        }
        self.lane_moved(lane_ref);
    }

    /// A lane has credit again: its queues may go on.
    pub(crate) fn lane_moved(&mut self, lane: LaneRef) {
        let Some(state) = self.lanes.at(lane.0) else {
            return;
        };
        if let Some(session) = state.session {
            self.continue_session(session);
        }
        let Some(state) = self.lanes.at(lane.0) else {
            return;
        };
        for at in 0..state.consumers.len() {
            let consumer = self
                .lanes
                .at(lane.0)
                .and_then(|l| l.consumers.get(at))
                .copied();
            let queue = consumer
                .and_then(|c| self.consumers.at(c.0))
                .map(|c| c.queue);
            if let Some(queue) = queue {
                self.list(queue);
            }
        }
    }

    /// Ends deliveries that have been taken out of their lane.
    pub(crate) fn end_pieces(
        &mut self,
        pieces: &[Inflight],
        outcome: Outcome,
        pass: &mut Pass<'_>,
    ) {
        for piece in pieces {
            match outcome {
                Outcome::Accepted => {
                    self.counts.accepted += u64::from(piece.count);
                    self.settle_piece(piece.queue, piece.sequence, piece.count, piece.run, pass);
                    self.reap_if_unused(piece.queue);
                }
                Outcome::Released => {
                    self.return_messages(piece.queue, piece.sequence, piece.count);
                    self.pause_if_alone(piece.queue);
                }
                Outcome::Failed { delay_ms } => {
                    for sequence in piece.sequence..piece.sequence + u64::from(piece.count) {
                        self.fail(piece.queue, sequence, delay_ms, pass);
                    }
                    self.pause_if_alone(piece.queue);
                }
                Outcome::Rejected => {
                    for sequence in piece.sequence..piece.sequence + u64::from(piece.count) {
                        self.reject(piece.queue, sequence, pass);
                    }
                }
            }
            self.list(piece.queue);
        }
    }

    /// Settles consecutive messages of one run: index, references, record.
    pub(crate) fn settle_piece(
        &mut self,
        id: QueueId,
        sequence: u64,
        count: u32,
        run: RunRef,
        pass: &mut Pass<'_>,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.index.settle_piece(sequence, count);
        queue.forget(sequence, count);
        self.counts.messages = self.counts.messages.saturating_sub(u64::from(count));
        let journalled = self
            .store
            .stored(run)
            .is_some_and(|stored| stored.name != 0);
        if queue.durable && journalled {
            pass.settlements.add(id, sequence, count);
        }
        if queue.kind == Kind::Subscription
            && let Some(size) = self.store.run(run).map(|run| mean_size(run.as_ref()))
        {
            queue.bytes = queue.bytes.saturating_sub(size * u64::from(count));
        }
        self.store.release(run, count, pass.out);
    }

    /// Marks a session for going on with what waits for credit or room.
    pub(crate) fn continue_session(&mut self, session: SessionRef) {
        let Some(state) = self.sessions.at(session.0) else {
            return;
        };
        let resending = self
            .lanes
            .at(state.lane.0)
            .is_some_and(|lane| lane.resend.is_some());
        if resending {
            self.work.push_back(Work::Resend(session));
        }
        if !state.replays.is_empty() {
            self.work.push_back(Work::Replay(session));
        }
    }
}

/// Bytes of a message for the limit of a subscription: the mean of its run, so that what is added
/// is what is taken away.
pub(crate) fn mean_size(run: &Run) -> u64 {
    run.block().len() as u64 / u64::from(run.count().max(1)) + ROOM_PER_MESSAGE as u64
}

fn cut(lane: &mut Lane, tags: Tags, into: &mut Vec<Inflight>) -> bool {
    match tags {
        Tags::Range { first, n } => n > 0 && lane.cut(first, n, into).is_ok(),
        Tags::UpTo(tag) => {
            let held = lane.holds(tag);
            if held {
                lane.cut_up_to(tag, into);
            }
            held
        }
    }
}

/// Where nobody waits for an answer, what is held of a range is settled and the rest ignored, as
/// MQTT does with acknowledgements of packet ids that are not in use.
fn cut_held(lane: &mut Lane, tags: Tags, into: &mut Vec<Inflight>) -> bool {
    let Tags::Range { first, n } = tags else {
        return false;
    };
    for tag in first..first + Tag::from(n) {
        let _ = lane.cut(tag, 1, into);
    }
    !into.is_empty()
}

fn delivery_after(queue: &Queue, name: u64, moved: bool) -> u64 {
    if queue.settings.dispatch == Dispatch::Immediate {
        return 0;
    }
    let stored = if name == 0 { 0 } else { name + 1 };
    if moved {
        stored.max(queue.moved_after)
    } else {
        stored
    }
}
