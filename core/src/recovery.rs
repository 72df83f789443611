//! From records back to state (law L6): assignment only. A checkpoint is the same records, at
//! position 0, plus the index of each queue; a record below what an object contains already is
//! skipped, so that replaying a suffix twice equals once.

mod messages;
mod sessions;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::broker::{Broker, Pass, discarded};
use crate::effect::Out;
use crate::ids::{Now, QueueId};
use crate::map::Map;
use crate::queue::{Kind, MOVED};
use crate::record::{self, QueueRecord, Reader, decode_message};
use crate::session::SessionRef;
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
            record::RECEIPT => self.apply_receipt(payload),
            record::TAG => self.apply_tag(payload),
            record::PUT_WILL => self.apply_will(payload),
            record::DELETE_WILL => self.apply_delete_will(payload),
            record::NOTE => self.apply_note(payload),
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
            match owner {
                Some(session) => queue.kind = Kind::Session(session),
                None if put.shared.is_some() => queue.kind = Kind::Shared,
                None if put.named.is_some() => queue.kind = Kind::Named,
                None => {}
            }
        });
        if let Some(key) = put.shared {
            self.bind_shared(put.id, key);
        } else if let Some(named) = put.named.filter(|_| owner.is_none()) {
            self.bind_named(put.id, named);
        }
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
        self.recover_begun();
        self.recount_references();
        self.recover_expiries();
        let sessions: Vec<u32> = self.sessions.iter().map(|(place, _)| place).collect();
        for place in sessions {
            self.recover_expiry(SessionRef(place));
            self.recover_will(SessionRef(place));
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
