//! Messages handed over in two steps, so that each arrives exactly once across crashes (law L13).
//!
//! In: a session remembers the ids of what its client published, with the messages, until the
//! client releases them; what is known is not published again. Out: a delivery that is begun keeps
//! its tag for this session alone, and once the client has it only the second step is sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::broker::{AT_END, Broker, Pass};
use crate::command::{Command, Outcome, Publish};
use crate::consumer::{BEGUN, Consumer, ConsumerRef, Inflight, LaneRef, RECEIVED};
use crate::effect::Answer;
use crate::error::Refusal;
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Tag, Token};
use crate::message::Assurance;
use crate::queue::{GRANTED_2, JOURNALLED, Piece};
use crate::record::{self, ReceiptRecord, TagRecord};
use crate::session::{Session, SessionRef};

/// Ids that a client has.
const IDS: u16 = u16::MAX;

/// The id `n` behind `first`; they go round and leave out 0.
fn id_after(first: u16, n: u32) -> u16 {
    let place = (u32::from(first.max(1) - 1) + n) % u32::from(IDS);
    u16::try_from(place + 1).unwrap_or(IDS)
}

/// What recovery has read of a session: per tag its queue, sequence and whether the client has it.
pub(crate) type Begun = BTreeMap<Tag, (QueueId, u64, bool)>;

impl Broker {
    /// Publishes what the session does not know yet, and remembers the ids with the messages.
    pub(crate) fn publish_once(
        &mut self,
        id: ConnectionId,
        publish: Publish,
        first: u16,
        pass: &mut Pass<'_>,
    ) -> Option<Command> {
        let token = publish.token;
        let Some(session) = self.connection(id).and_then(|c| c.session) else {
            pass.refuse(id, token, Refusal::Unknown);
            return None;
        };
        let count = publish.run.count();
        let (mut done, mut routed) = (0, 1);
        while done < count {
            let (known, n) = self.stretch(session, id_after(first, done), count - done);
            if !known {
                let part = match publish.run.part(done, n) {
                    Some(part) if n < count => Arc::new(part),
                    _ => Arc::clone(&publish.run),
                };
                let name = self.sessions.at(session.0).map_or(0, |s| s.name.len());
                let part = Publish {
                    run: part,
                    queue: publish.queue.clone(),
                    token: None,
                    receipt: None,
                    ..publish
                };
                match self.try_publish(id, &part, record::RECEIPT_BYTES + name, pass) {
                    Ok(to) => routed = to,
                    Err(None) => {
                        let run = publish.run.part(done, count - done).map(Arc::new);
                        return Some(Command::Publish(Publish {
                            run: run.unwrap_or(part.run),
                            receipt: Some(id_after(first, done)),
                            ..publish
                        }));
                    }
                    Err(Some(why)) => {
                        pass.refuse(id, token, why);
                        return None;
                    }
                }
                self.remember(session, id_after(first, done), n, pass);
            }
            done += n;
        }
        pass.out.garbage.push(publish.run);
        pass.answer(id, token, AT_END, Answer::Published { routed });
        None
    }

    /// How many of `most` ids from `first` on are as the first: known or not.
    fn stretch(&self, session: SessionRef, first: u16, most: u32) -> (bool, u32) {
        let Some(state) = self.sessions.at(session.0) else {
            return (false, most);
        };
        let known = state.receipts.contains(&first);
        if state.receipts.is_empty() {
            return (false, most);
        }
        let same = |n: &u32| state.receipts.contains(&id_after(first, *n)) == known;
        let n = (1..most).take_while(same).count();
        (known, u32::try_from(n + 1).unwrap_or(most))
    }

    fn remember(&mut self, session: SessionRef, first: u16, n: u32, pass: &mut Pass<'_>) {
        if let Some(state) = self.sessions.at_mut(session.0) {
            let ids = (0..n).map(|offset| id_after(first, offset));
            state.receipts.extend(ids);
        }
        if !cfg!(mutant = "receipt_not_written") {
            self.write_receipts(session, first, n, true, pass);
        }
    }

    fn write_receipts(
        &mut self,
        session: SessionRef,
        first: u16,
        n: u32,
        remembered: bool,
        pass: &mut Pass<'_>,
    ) {
        if let Some(state) = self.sessions.at(session.0).filter(|s| s.durable) {
            let record = receipt_record(state, first, n, remembered);
            pass.log
                .append(record::RECEIPT, record.encode().bytes(), None, 0);
        }
    }

    /// The client has heard that messages arrived.
    pub(crate) fn release_ids(
        &mut self,
        id: ConnectionId,
        (first, n): (u16, u16),
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) {
        let session = self.connection(id).and_then(|c| c.session);
        let Some(session) = session else {
            return pass.refuse(id, token, Refusal::Unknown);
        };
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        let ids = (0..u32::from(n)).map(|offset| id_after(first, offset));
        let known: Vec<bool> = ids.map(|id| state.receipts.remove(&id)).collect();
        if known.contains(&true) {
            self.write_receipts(session, first, n.into(), false, pass);
        }
        pass.answer(id, token, AT_END, Answer::Known(known));
    }

    /// Whether messages are handed to a consumer in two steps.
    pub(crate) fn is_exact(&self, piece: Piece, consumer: &Consumer) -> bool {
        let run = self.store.run(piece.run);
        if run.is_none_or(|run| run.envelope.assurance != Assurance::ExactlyOnce) {
            return false;
        }
        let lane = self.lanes.at(consumer.lane.0);
        let Some(session) = lane.and_then(|lane| lane.session) else {
            return false;
        };
        let own = self.sessions.at(session.0).and_then(|state| state.queue);
        if own == Some(consumer.queue) {
            piece.flags & GRANTED_2 != 0
        } else {
            consumer.granted == 2
        }
    }

    /// Writes down that deliveries are begun or received; gives the position behind that, 0 if
    /// nothing durable is concerned.
    pub(crate) fn write_tag(
        &mut self,
        lane: LaneRef,
        piece: &Inflight,
        pass: &mut Pass<'_>,
    ) -> u64 {
        let session = self.lanes.at(lane.0).and_then(|lane| lane.session);
        let state = session.and_then(|session| self.sessions.at(session.0));
        let durable = piece.flags & JOURNALLED != 0
            && self.queues.get(&piece.queue).is_some_and(|q| q.durable);
        let Some(state) = state.filter(|state| state.durable && durable) else {
            return 0;
        };
        let record = tag_record(state, piece);
        let position = pass
            .log
            .append(record::TAG, record.encode().bytes(), None, 0);
        position + 1
    }

    /// The client has messages of its session.
    pub(crate) fn received(
        &mut self,
        id: ConnectionId,
        (first, n): (Tag, u32),
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) -> Option<Command> {
        let lane_ref = self
            .connection(id)
            .and_then(|c| c.lane(ConsumerKey::SESSION));
        let mut pieces = Vec::new();
        if let Some(lane) = lane_ref.and_then(|lane| self.lanes.at_mut(lane.0)) {
            lane.cut_held(first, n, &mut pieces);
        }
        let mut whole = true;
        if let Some(lane_ref) = lane_ref {
            for piece in &mut pieces {
                if !piece.is_begun() || piece.is_received() {
                    continue;
                }
                if pass.steps(1) == 0 {
                    whole = false;
                    break;
                }
                piece.flags |= RECEIVED;
                if !cfg!(mutant = "pubrec_not_written") {
                    self.write_tag(lane_ref, piece, pass);
                }
            }
        }
        if !whole {
            self.restore(lane_ref, &mut pieces);
            return Some(Command::Received { first, n, token });
        }
        let mut known = vec![false; usize::try_from(n.min(u32::from(IDS))).unwrap_or(0)];
        for piece in pieces.iter().filter(|piece| piece.is_begun()) {
            let from = usize::try_from(piece.tag - first).unwrap_or(usize::MAX);
            let held = known.iter_mut().skip(from).take(piece.count as usize);
            held.for_each(|known| *known = true);
        }
        self.restore(lane_ref, &mut pieces);
        pass.answer(id, token, AT_END, Answer::Known(known));
        None
    }

    /// A session ends: what it has begun is given to nobody else.
    pub(crate) fn end_begun(&mut self, lane: LaneRef, pass: &mut Pass<'_>) {
        let mut pieces = Vec::new();
        if let Some(lane) = self.lanes.at_mut(lane.0) {
            lane.cut_begun(&mut pieces);
        }
        self.end_pieces(&mut pieces, Outcome::Accepted, pass);
        for piece in pieces {
            self.return_messages(piece.queue, piece.sequence, piece.count);
        }
    }

    /// The ids and begun deliveries of a session, for a checkpoint.
    pub(crate) fn checkpoint_exactly_once(
        &self,
        session: &Session,
        into: &mut dyn FnMut(u8, &[u8]),
    ) {
        if !session.durable {
            return;
        }
        let ids: Vec<u16> = session.receipts.iter().copied().collect();
        for run in ids.chunk_by(|id, next| *id + 1 == *next) {
            let Some(&first) = run.first() else { continue };
            let n = u32::try_from(run.len()).unwrap_or(1);
            let record = receipt_record(session, first, n, true);
            into(record::RECEIPT, record.encode().bytes());
        }
        let inflight = self.lanes.at(session.lane.0).map(|lane| &lane.inflight);
        for piece in inflight.into_iter().flatten() {
            let durable = self.queues.get(&piece.queue).is_some_and(|q| q.durable);
            if piece.is_begun() && piece.flags & JOURNALLED != 0 && durable {
                into(record::TAG, tag_record(session, piece).encode().bytes());
            }
        }
    }

    /// Replay of ids.
    pub(crate) fn apply_receipt(&mut self, payload: &[u8]) -> Option<()> {
        let record = ReceiptRecord::read(payload)?;
        let session = self.session_names.get(&record.session).copied();
        if let Some(state) = session.and_then(|session| self.sessions.at_mut(session.0)) {
            for offset in 0..u32::from(record.n) {
                let id = id_after(record.first, offset);
                if record.remembered {
                    state.receipts.insert(id);
                } else {
                    state.receipts.remove(&id);
                }
            }
        }
        Some(())
    }

    /// Replay of begun deliveries.
    pub(crate) fn apply_tag(&mut self, payload: &[u8]) -> Option<()> {
        let record = TagRecord::read(payload)?;
        let end = record.tag.checked_add(Tag::from(record.count))?;
        record.sequence.checked_add(u64::from(record.count))?;
        if record.count > u32::from(IDS) || end > record::MAX_SEQUENCE {
            return None;
        }
        let Some(&session) = self.session_names.get(&record.session) else {
            return Some(());
        };
        let begun = self.begun.entry(session).or_default();
        for offset in 0..u64::from(record.count) {
            let place = (record.queue, record.sequence + offset, record.received);
            begun.insert(record.tag + offset, place);
        }
        // Tags so far back have been settled.
        if begun.len() > 2 * usize::from(IDS) {
            *begun = begun.split_off(&end.saturating_sub(Tag::from(IDS)));
        }
        Some(())
    }

    /// Recovery: what had been begun is in the hands of its session again, with its tags.
    pub(crate) fn recover_begun(&mut self) {
        let mut out: BTreeMap<QueueId, BTreeSet<u64>> = BTreeMap::new();
        for (session, begun) in std::mem::take(&mut self.begun) {
            for (tag, (queue, sequence, received)) in begun {
                if self.recover_tag(session, tag, (queue, sequence), received) {
                    out.entry(queue).or_default().insert(sequence);
                }
            }
        }
        for (queue, sequences) in out {
            if let Some(queue) = self.queues.get_mut(&queue) {
                queue.hold_out(&sequences);
            }
        }
    }

    /// Takes one message into the hands of its session, if it is not settled.
    fn recover_tag(
        &mut self,
        session: SessionRef,
        tag: Tag,
        (queue, sequence): (QueueId, u64),
        received: bool,
    ) -> bool {
        let index = self.queues.get(&queue).map(|queue| &queue.index);
        let Some(piece) = index.and_then(|index| index.next(sequence, 1)) else {
            return false;
        };
        let lane = self.sessions.at(session.0).map(|session| session.lane);
        let Some(lane) = lane.filter(|_| piece.sequence == sequence) else {
            return false;
        };
        let Some(state) = self.lanes.at(lane.0) else {
            return false;
        };
        let of_queue = |c: &&ConsumerRef| self.consumers.at(c.0).is_some_and(|c| c.queue == queue);
        let nobody = ConsumerRef(u32::MAX);
        let consumer = state
            .consumers
            .iter()
            .find(of_queue)
            .copied()
            .unwrap_or(nobody);
        let phase = if received { BEGUN | RECEIVED } else { BEGUN };
        let held = Inflight {
            tag,
            count: 1,
            consumer,
            queue,
            sequence,
            run: piece.run,
            first: piece.first,
            flags: piece.flags | phase,
        };
        if let Some(state) = self.lanes.at_mut(lane.0) {
            state.inflight.push_back(held);
            state.unsettled += 1;
            state.next_tag = state.next_tag.max(tag + 1);
        }
        true
    }
}

fn receipt_record(session: &Session, first: u16, n: u32, remembered: bool) -> ReceiptRecord {
    ReceiptRecord {
        session: Arc::clone(&session.name),
        first,
        n: u16::try_from(n).unwrap_or(IDS),
        remembered,
    }
}

fn tag_record(session: &Session, piece: &Inflight) -> TagRecord {
    TagRecord {
        session: Arc::clone(&session.name),
        tag: piece.tag,
        count: piece.count,
        queue: piece.queue,
        sequence: piece.sequence,
        received: piece.is_received(),
    }
}
