//! From records back to state (law L6): assignment only. A checkpoint is the same records, at
//! position 0, plus the index of each queue; a record below what an object contains already is
//! skipped, so that replaying a suffix twice equals once.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::address::{Address, Filter};
use crate::binding::{Binding, Holder};
use crate::broker::{Broker, Pass, discarded};
use crate::checkpoint::Landing;
use crate::command::{BindTarget, SettleMode};
use crate::consumer::{Lane, LaneRef};
use crate::deadline::Deadline;
use crate::effect::Out;
use crate::ids::{ConsumerKey, Now, QueueId};
use crate::map::Map;
use crate::queue::{Count, JOURNALLED, Kind, MOVED, Piece};
use crate::record::{self, BindingRecord, Moved, QueueRecord, Reader, RefRecord, SessionRecord};
use crate::record::{CountRecord, MAX_SEQUENCE, Settlements, decode_message};
use crate::retained::{Replay, RetainedValue};
use crate::session::{Session, SessionRef, Subscription};
use crate::store::{RunRef, Stored};

/// Names of settled messages that replay may remember beyond those it needs.
const FORGOTTEN: usize = 4_096;

/// A record that this version cannot apply.
#[derive(Debug, PartialEq, Eq)]
pub enum RecoveryError {
    /// The payload is not what its kind says.
    Malformed {
        /// Record kind.
        kind: u8,
        /// Its position.
        position: u64,
    },
    /// Written by a newer version.
    UnknownKind(u8),
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { kind, position } => {
                write!(
                    f,
                    "record of kind {kind} at position {position} is malformed"
                )
            }
            Self::UnknownKind(kind) => {
                write!(f, "record kind {kind} was written by a newer version")
            }
        }
    }
}

impl std::error::Error for RecoveryError {}

impl Broker {
    /// Applies one record of a checkpoint (`position` 0) or of the log, in log order.
    ///
    /// # Errors
    /// A payload that cannot be read, or a kind this version does not know.
    pub fn apply(&mut self, position: u64, kind: u8, payload: &Bytes) -> Result<(), RecoveryError> {
        if position != 0 && position < self.applied {
            return Ok(()); // The checkpoint, or an earlier replay, contains it (law L6).
        }
        let done = match kind {
            record::MSG => self.apply_message(position, payload),
            record::MOVE => self.apply_move(position, payload),
            record::SETTLE => self.apply_settle(payload),
            record::COUNT => self.apply_count(payload),
            record::REF => self.apply_ref(payload),
            record::PUT_QUEUE => self.apply_queue(payload),
            record::DELETE_QUEUE => self.apply_delete_queue(payload),
            record::PUT_SESSION => self.apply_session(payload),
            record::DELETE_SESSION => self.apply_delete_session(payload),
            record::PUT_BINDING => self.apply_binding(payload, true),
            record::DELETE_BINDING => self.apply_binding(payload, false),
            record::PUT_RETAINED => self.apply_retained(payload),
            record::DELETE_RETAINED => self.apply_delete_retained(payload),
            record::INDEX => self.apply_index(payload),
            record::NEXT => self.apply_next(payload),
            record::AGAIN => Some(()),
            _ => return Err(RecoveryError::UnknownKind(kind)),
        };
        done.ok_or(RecoveryError::Malformed { kind, position })?;
        if position != 0 {
            self.applied = position + 1;
        }
        Ok(())
    }

    /// The run of a name, made without its messages if it is not known.
    pub(crate) fn recovered_run(&mut self, name: u64) -> RunRef {
        if let Some(&run) = self.recovering.get(&name)
            && self
                .store
                .stored(run)
                .is_some_and(|stored| stored.name == name)
        {
            return run;
        }
        if self.recovering.len() > 2 * self.store.len() + FORGOTTEN {
            // Names of messages that were settled further on in the log.
            let store = &self.store;
            self.recovering
                .retain(|name, run| store.stored(*run).is_some_and(|s| s.name == *name));
        }
        let run = self.store.insert(None, name, 0);
        self.recovering.insert(name, run);
        run
    }

    fn apply_message(&mut self, position: u64, payload: &Bytes) -> Option<()> {
        let message = decode_message(payload)?;
        let count = message.run.count();
        let run = self.recovered_run(position);
        for (queue, sequence) in message.targets {
            let landing = Landing {
                sequence,
                count,
                run,
                first: 0,
                flags: 0,
            };
            self.recover_into(queue, landing)?;
        }
        if message.retained {
            let address = message.run.envelope.address;
            self.recover_retained(
                address,
                RetainedValue {
                    run,
                    index: count - 1,
                },
            );
        }
        self.store.discard(run, &mut Out::default());
        Some(())
    }

    /// Puts messages into a queue unless it contains them already; says whether it did. `None` if
    /// no queue can have such messages.
    pub(crate) fn recover_into(&mut self, id: QueueId, landing: Landing) -> Option<bool> {
        let Landing {
            sequence,
            count,
            run,
            first,
            flags,
        } = landing;
        let end = sequence.checked_add(u64::from(count))?;
        let within = u32::from(u16::MAX);
        if end > MAX_SEQUENCE || count > within || first > within - count {
            return None;
        }
        let Some(queue) = self.queues.get_mut(&id) else {
            return Some(false);
        };
        if sequence < queue.next {
            return Some(false);
        }
        queue.next = end;
        let flags = flags | JOURNALLED;
        queue.index.push(sequence, count, run, first, flags);
        self.store.retain(run, first, count);
        self.counts.messages += u64::from(count);
        Some(true)
    }

    fn apply_settle(&mut self, payload: &Bytes) -> Option<()> {
        let (id, runs) = Settlements::read(payload)?;
        if let (Some(queue), Some(&(first, n))) = (self.queues.get_mut(&id), runs.last()) {
            queue.next = queue.next.max(first + n); // Never given again (law L5).
        }
        for (first, n) in runs {
            self.recover_settled_range(id, first, n)?;
        }
        Some(())
    }

    fn recover_settled_range(&mut self, id: QueueId, first: u64, n: u64) -> Option<()> {
        // What is not there is skipped by block, so a hostile length costs nothing.
        let (mut next, end) = (first, first.checked_add(n)?);
        while let Some(piece) = self.next_below(id, next, end) {
            next = piece.sequence + u64::from(piece.count);
            self.recover_settled(id, piece);
        }
        Some(())
    }

    fn recover_settled(&mut self, id: QueueId, piece: Piece) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.index.settle_piece(piece.sequence, piece.count);
        queue.forget(piece.sequence, piece.count);
        self.counts.messages = self.counts.messages.saturating_sub(piece.count.into());
        let out = &mut Out::default();
        self.store.release(piece.run, piece.first, piece.count, out);
    }

    fn next_below(&self, id: QueueId, from: u64, end: u64) -> Option<Piece> {
        let most = u32::try_from(end.saturating_sub(from)).unwrap_or(u32::MAX);
        let mut piece = self.queues.get(&id)?.index.next(from, most)?;
        let left = end.checked_sub(piece.sequence).filter(|&left| left > 0)?;
        piece.count = piece.count.min(u32::try_from(left).unwrap_or(u32::MAX));
        Some(piece)
    }

    fn apply_move(&mut self, position: u64, payload: &Bytes) -> Option<()> {
        let moved = Moved::read(payload)?;
        let run = self.recovered_run(moved.name);
        if let Some((queue, sequence)) = moved.to {
            let landing = Landing {
                sequence,
                count: moved.count,
                run,
                first: moved.index,
                flags: MOVED,
            };
            if self.recover_into(queue, landing)?
                && let Some(queue) = self.queues.get_mut(&queue)
            {
                let origin = Arc::new(moved.origin);
                for sequence in sequence..sequence + u64::from(moved.count) {
                    queue.origins.insert(sequence, Arc::clone(&origin));
                }
                queue.moved_after = position + 1;
            }
        }
        if let Some((queue, sequence)) = moved.from {
            self.recover_settled_range(queue, sequence, moved.count.into())?;
        }
        self.store.discard(run, &mut Out::default());
        Some(())
    }

    fn apply_ref(&mut self, payload: &Bytes) -> Option<()> {
        let piece = RefRecord::read(payload)?;
        let run = self.recovered_run(piece.name);
        let RefRecord {
            queue,
            sequence,
            index,
            flags,
            ..
        } = piece;
        let landing = Landing {
            sequence,
            count: 1,
            run,
            first: index,
            flags,
        };
        self.recover_into(queue, landing)?;
        self.store.discard(run, &mut Out::default());
        Some(())
    }

    fn apply_count(&mut self, payload: &Bytes) -> Option<()> {
        let record = CountRecord::read(payload)?;
        let mut next = record.sequence;
        let end = next.checked_add(u64::from(record.messages))?;
        while let Some(piece) = self.next_below(record.queue, next, end) {
            next = piece.sequence + u64::from(piece.count);
            let Some(queue) = self.queues.get_mut(&record.queue) else {
                break;
            };
            for sequence in piece.sequence..next {
                if record.count == Count::default() {
                    queue.counts.remove(&sequence);
                } else {
                    queue.counts.insert(sequence, record.count);
                }
            }
        }
        Some(())
    }

    fn apply_queue(&mut self, payload: &Bytes) -> Option<()> {
        let put = QueueRecord::read(payload)?;
        self.next_queue = self.next_queue.max(put.id.0.checked_add(1)?);
        if self.queues.contains_key(&put.id) {
            return Some(());
        }
        let owner = put
            .session
            .and_then(|name| self.session_names.get(&name).copied());
        self.insert_queue(put.id, put.name, &put.address, put.routing, |queue| {
            queue.durable = true;
            queue.auto_created = put.auto_created;
            if let Some(session) = owner {
                queue.kind = Kind::Session(session);
            }
        });
        if let Some(session) = owner {
            self.adopt_queue(session, put.id);
        }
        Some(())
    }

    fn apply_delete_queue(&mut self, payload: &Bytes) -> Option<()> {
        let id = QueueId(Reader::new(payload).u32()?);
        self.without_log(|broker, pass| broker.delete_queue(id, pass));
        Some(())
    }

    fn apply_session(&mut self, payload: &Bytes) -> Option<()> {
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

    fn apply_delete_session(&mut self, payload: &Bytes) -> Option<()> {
        let name = Reader::new(payload).shared_text()?;
        if let Some(session) = self.session_names.get(&name).copied() {
            self.without_log(|broker, pass| broker.remove_session(session, pass));
        }
        Some(())
    }

    fn apply_binding(&mut self, payload: &Bytes, put: bool) -> Option<()> {
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

    fn recover_retained(&mut self, address: Address, value: RetainedValue) {
        self.store.retain(value.run, value.index, 1);
        if let Some(old) = self.retained.values.insert(address, value) {
            self.store
                .release(old.run, old.index, 1, &mut Out::default());
        }
    }

    fn apply_retained(&mut self, payload: &Bytes) -> Option<()> {
        let mut reader = Reader::new(payload);
        let address = record::address(reader.text()?)?;
        let (name, index) = (reader.u64()?, reader.u32()?);
        let run = self.recovered_run(name);
        self.recover_retained(address, RetainedValue { run, index });
        Some(())
    }

    fn apply_delete_retained(&mut self, payload: &Bytes) -> Option<()> {
        let address = record::address(Reader::new(payload).text()?)?;
        if let Some(old) = self.retained.values.remove(&address) {
            self.store
                .release(old.run, old.index, 1, &mut Out::default());
        }
        Some(())
    }

    fn apply_next(&mut self, payload: &Bytes) -> Option<()> {
        let mut reader = Reader::new(payload);
        self.next_queue = self.next_queue.max(reader.u32()?);
        self.applied = self.applied.max(reader.u64()?);
        Some(())
    }

    /// Runs what is also done while serving, with its records and effects thrown away: they are in
    /// the log already.
    fn without_log(&mut self, run: impl FnOnce(&mut Self, &mut Pass<'_>)) {
        let mut out = Out::default();
        discarded(&mut out, |pass| run(self, pass));
    }

    /// Names of the records whose messages are wanted, in log order. The caller reads each record
    /// and hands its payload to [`Broker::load`].
    #[must_use]
    pub fn wanted_bodies(&self) -> Vec<u64> {
        let missing = self.store.iter().filter(|(_, stored)| stored.run.is_none());
        let mut names: Vec<u64> = missing.map(|(_, stored)| stored.name).collect();
        names.sort_unstable();
        names
    }

    /// Takes in the messages of a record, given its payload (that of a MSG, or of the AGAIN that
    /// replaces it). `keep` makes the block that holds on to them, and to no more of the payload.
    /// Gives the bytes of it that are alive.
    ///
    /// # Errors
    /// A payload that is not a message's, or a name nobody wants.
    pub fn load(
        &mut self,
        name: u64,
        kind: u8,
        payload: &Bytes,
        keep: impl FnOnce(Vec<u8>) -> Bytes,
    ) -> Result<u32, RecoveryError> {
        let malformed = RecoveryError::Malformed {
            kind,
            position: name,
        };
        let payload = match kind {
            record::AGAIN => payload.slice(payload.len().min(8)..),
            _ => payload.clone(),
        };
        let run = self.recovering.get(&name).copied();
        let run = run.filter(|run| self.store.stored(*run).is_some_and(|s| s.name == name));
        let (Some(run), Some(message)) = (run, decode_message(&payload)) else {
            return Err(malformed);
        };
        let refs = self.store.stored(run).map_or(0, Stored::refs);
        let count = u64::from(message.run.count().max(1));
        let bytes = u64::from(record::live_bytes(&message.run));
        // As if all references had been charged evenly: at most the whole, and never nothing.
        let share = (u128::from(bytes) * u128::from(refs)).div_ceil(u128::from(count));
        let live = u32::try_from(share.min(bytes.into())).unwrap_or(u32::MAX);
        let messages = message.run.detached(keep);
        self.store.load(run, Arc::new(messages), live);
        Ok(live)
    }

    /// Recovery is complete: deadlines are set again; sessions that were connected count as
    /// disconnected now (law L14).
    pub fn recovered(&mut self, now: Now) {
        self.now = now;
        self.recovering = Map::with_hasher(self.seed);
        self.recount_references();
        let sessions: Vec<u32> = self.sessions.iter().map(|(place, _)| place).collect();
        for place in sessions {
            self.recover_expiry(SessionRef(place));
        }
        let mut queues: Vec<QueueId> = self.queues.keys().copied().collect();
        queues.sort_unstable();
        for id in queues {
            self.recover_deadlines(id);
            self.reap_if_unused(id);
        }
    }

    /// Now that bodies are here, it matters which messages of a run are referred to (law L22).
    fn recount_references(&mut self) {
        self.store.begin_recount();
        for queue in self.queues.values() {
            let mut next = 0;
            while let Some(piece) = queue.index.next(next, u32::MAX) {
                next = piece.sequence + u64::from(piece.count);
                self.store.recount(piece.run, piece.first, piece.count);
            }
        }
        for value in self.retained.values.values() {
            self.store.recount(value.run, value.index, 1);
        }
        self.store.end_recount();
        self.watch_sparse();
    }

    fn recover_expiry(&mut self, session: SessionRef) {
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

    fn recover_deadlines(&mut self, id: QueueId) {
        let mut next = 0;
        while let Some(piece) = self
            .queues
            .get(&id)
            .and_then(|q| q.index.next(next, u32::MAX))
        {
            next = piece.sequence + u64::from(piece.count);
            if piece.flags & MOVED == 0
                && let Some(run) = self.store.run(piece.run).map(Arc::clone)
            {
                self.watch_expiry(id, piece.sequence, piece.count, &run);
            }
        }
    }
}
