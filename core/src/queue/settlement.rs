//! Settling: as the client says, or when a delivery was written (law L10).

use std::sync::Arc;

use crate::broker::{AT_END, Broker, Pass};
use crate::command::{Command, Outcome, Settle, SettleMode, Tags};
use crate::consumer::{ConsumerRef, Inflight, Lane, LaneRef, split};
use crate::effect::{Answer, MoveReason};
use crate::error::Refusal;
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Tag};
use crate::queue::{JOURNALLED, Piece};

impl Broker {
    /// Settles deliveries of a lane as their client says.
    pub(crate) fn settle(
        &mut self,
        id: ConnectionId,
        settle: Settle,
        pass: &mut Pass<'_>,
    ) -> Option<Command> {
        let Settle {
            consumer,
            tags,
            outcome,
            note,
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
        let mut left = None;
        if held {
            self.end_noted(&mut pieces, outcome, note.as_ref(), pass);
            left = pieces.first().map(|piece| tags.from(piece.tag));
        }
        match left {
            Some(_) => self.restore(lane, &mut pieces),
            None if held => pass.answer(id, token, AT_END, Answer::Settled),
            None if lane.is_some_and(|lane| self.is_browser(lane)) => {
                pass.answer(id, token, 0, Answer::Settled);
            }
            None => pass.refuse(id, token, Refusal::Unknown),
        }
        self.scratch = pieces;
        if let Some(lane) = lane {
            self.lane_moved(lane);
        }
        let tags = left?;
        Some(Command::Settle(Settle {
            consumer,
            tags,
            outcome,
            note,
            token,
        }))
    }

    /// Puts what was cut out of a lane and could not be ended yet back into it.
    pub(crate) fn restore(&mut self, lane: Option<LaneRef>, pieces: &mut Vec<Inflight>) {
        if let Some(lane) = lane.and_then(|lane| self.lanes.at_mut(lane.0)) {
            lane.restore(pieces);
        }
    }

    /// The kernel took everything up to `tag` (law L10). False if the room for records did not reach.
    pub(crate) fn written(
        &mut self,
        id: ConnectionId,
        consumer: ConsumerKey,
        tag: Tag,
        pass: &mut Pass<'_>,
    ) -> bool {
        let Some(lane_ref) = self.connection(id).and_then(|c| c.lane(consumer)) else {
            return true;
        };
        let mut pieces = std::mem::take(&mut self.scratch);
        if let Some(lane) = self.lanes.at_mut(lane_ref.0) {
            lane.written = lane.written.max(tag.min(lane.next_tag - 1));
            let only = lane.consumers.first().and_then(|c| self.consumers.at(c.0));
            if only.is_some_and(|consumer| consumer.settle == SettleMode::OnWrite) {
                lane.cut_up_to(tag, &mut pieces);
            }
        }
        let mut done = true;
        if !pieces.is_empty() {
            self.end_pieces(&mut pieces, Outcome::Accepted, pass);
            done = pieces.is_empty();
            self.restore(Some(lane_ref), &mut pieces);
            self.lane_moved(lane_ref);
        }
        self.scratch = pieces;
        done
    }

    /// Ends deliveries that have been taken out of their lane. What the room for records does not
    /// reach stays in `pieces`.
    pub(crate) fn end_pieces(
        &mut self,
        pieces: &mut Vec<Inflight>,
        outcome: Outcome,
        pass: &mut Pass<'_>,
    ) {
        self.end_noted(pieces, outcome, None, pass);
    }

    /// The same, with a note for those that are not consumed.
    fn end_noted(
        &mut self,
        pieces: &mut Vec<Inflight>,
        outcome: Outcome,
        note: Option<&Arc<[u8]>>,
        pass: &mut Pass<'_>,
    ) {
        let note = note.filter(|_| outcome != Outcome::Accepted);
        let bytes = self.note_bytes(note);
        let mut done = 0;
        while let Some(piece) = pieces.get_mut(done) {
            let steps = pass.steps_beside(piece.count, bytes);
            if steps == 0 {
                break;
            }
            // Messages of one piece may have been attempted differently often: a record each.
            let whole = steps == piece.count || !outcome.is_counted_singly();
            let part = if whole {
                done += 1;
                *piece
            } else {
                let (part, rest) = split(*piece, steps);
                *piece = rest;
                part
            };
            if let Some(note) = note {
                self.note(&part, note, pass);
            }
            self.end_piece(part, outcome, pass);
        }
        pieces.drain(..done);
    }

    /// Ends consecutive deliveries.
    pub(crate) fn end_piece(&mut self, piece: Inflight, outcome: Outcome, pass: &mut Pass<'_>) {
        match outcome {
            Outcome::Accepted => {
                self.counts.accepted += u64::from(piece.count);
                self.settle_piece(piece.queue, piece.part(), pass);
            }
            Outcome::Released => {
                self.ask_last(piece.consumer);
                self.return_messages(piece.queue, piece.sequence, piece.count);
                self.pause_if_alone(piece.queue, piece.sequence, Some(piece.consumer));
            }
            Outcome::Failed { delay_ms } => {
                self.ask_last(piece.consumer);
                self.fail(piece.queue, piece.part(), delay_ms, pass);
                self.pause_if_alone(piece.queue, piece.sequence, Some(piece.consumer));
            }
            Outcome::Undeliverable { failed } => self.set_aside(piece, failed, pass),
            Outcome::Rejected => {
                let reason = MoveReason::Rejected;
                self.dead_letter(piece.queue, piece.part(), reason, pass);
            }
        }
    }

    /// Whoever gave something back is asked behind the others, so that they see it first.
    fn ask_last(&mut self, consumer: ConsumerRef) {
        let state = self.consumers.at(consumer.0).filter(|state| !state.parked);
        let queue = state.and_then(|state| self.queues.get_mut(&state.queue));
        if let Some(queue) = queue {
            queue.ready.remove(&mut self.consumers, consumer);
            queue.ready.push_back(&mut self.consumers, consumer);
        }
    }

    /// Settles consecutive messages of one run and writes that down.
    pub(crate) fn settle_piece(&mut self, id: QueueId, piece: Piece, pass: &mut Pass<'_>) {
        let Some(queue) = self.queues.get(&id) else {
            return;
        };
        if queue.durable && piece.flags & JOURNALLED != 0 {
            pass.settlements.add(id, piece.sequence, piece.count);
        }
        self.remove_messages(id, piece, pass);
    }

    /// Takes settled or moved messages out of a queue: index, references, counts.
    pub(crate) fn remove_messages(&mut self, id: QueueId, piece: Piece, pass: &mut Pass<'_>) {
        let size = self.counted_size(piece.run) * u64::from(piece.count);
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.index.settle_piece(piece.sequence, piece.count);
        queue.forget(piece.sequence, piece.count);
        if queue.is_bounded() {
            queue.bytes = queue.bytes.saturating_sub(size);
        }
        let unused = queue.may_be_reaped();
        self.counts.messages = self.counts.messages.saturating_sub(u64::from(piece.count));
        self.store
            .release(piece.run, piece.first, piece.count, pass.out);
        if unused {
            self.reap_if_unused(id);
        }
    }
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
    lane.cut_held(first, n, into);
    !into.is_empty()
}
