//! The durable state as records, for a checkpoint, and old records again, for copy forward.

use std::sync::Arc;

use bytes::Bytes;

use crate::broker::Broker;
use crate::effect::Origin;
use crate::ids::QueueId;
use crate::queue::{Count, Index, JOURNALLED, Queue};
use crate::record::{self, INDEX, NEXT, NOTE, NoteRecord, PUT_RETAINED, Reader, Writer};
use crate::session::SessionRef;
use crate::store::{RunRef, Stored};

/// Pieces of one INDEX record.
const PIECES_PER_RECORD: usize = 4_096;

impl Broker {
    /// Gives the whole durable state as (kind, payload), in an order in which
    /// [`Broker::apply`] can take it at position 0. Bodies are not part of it.
    pub fn checkpoint(&self, into: &mut dyn FnMut(u8, &[u8])) {
        let mut head = Writer::default();
        head.u32(self.next_queue).u64(self.applied);
        into(NEXT, head.bytes());
        for (_, session) in self.sessions.iter() {
            if let Some(record) = self.session_record(session) {
                into(record::PUT_SESSION, record.encode().bytes());
            }
        }
        let mut queues: Vec<&Queue> = self
            .queues
            .values()
            .map(|queue| &**queue)
            .filter(|queue| queue.durable)
            .collect();
        queues.sort_unstable_by_key(|queue| queue.id);
        for queue in &queues {
            into(record::PUT_QUEUE, self.queue_record(queue).encode().bytes());
        }
        for (place, session) in self.sessions.iter() {
            for target in session.subscriptions.keys() {
                if let Some(record) = self.binding_record(SessionRef(place), target) {
                    into(record::PUT_BINDING, record.encode().bytes());
                }
            }
        }
        for queue in &queues {
            self.checkpoint_index(queue, into);
            checkpoint_notes(queue, into);
        }
        for (_, session) in self.sessions.iter() {
            if let Some(will) = &session.will {
                let record = record::WillRecord::encode(&session.name, will);
                into(record::PUT_WILL, record.bytes());
            }
            self.checkpoint_exactly_once(session, into);
        }
        for (address, value) in &self.retained.values {
            let name = self.name(value.run);
            let mut head = Writer::default();
            head.text(address.as_str()).u64(name).u32(value.index);
            into(PUT_RETAINED, head.bytes());
        }
    }

    fn name(&self, run: RunRef) -> u64 {
        self.store.stored(run).map_or(0, |stored| stored.name)
    }

    /// INDEX: queue u32, next u64, number of pieces u32, each sequence u64, name u64, first u32,
    /// count u32, flags u16; number of counts u32, each sequence u64, attempts u32, failures u32;
    /// number of origins u32, each sequence u64 and origin.
    fn checkpoint_index(&self, queue: &Queue, into: &mut dyn FnMut(u8, &[u8])) {
        let pieces = Pieces {
            index: &queue.index,
            next: 0,
        };
        let durable: Vec<_> = pieces
            .filter(|piece| piece.flags & JOURNALLED != 0)
            .collect();
        let mut chunks: Vec<_> = durable.chunks(PIECES_PER_RECORD).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let last = chunks.len() - 1;
        for (at, chunk) in chunks.into_iter().enumerate() {
            let mut head = Writer::default();
            let next = if at == last { queue.next } else { 0 };
            head.u32(queue.id.0).u64(next).u32(len(chunk.len()));
            for piece in chunk {
                head.u64(piece.sequence)
                    .u64(self.name(piece.run))
                    .u32(piece.first);
                head.u32(piece.count).u16(piece.flags);
            }
            let empty = at != last;
            let kept = |sequence: &u64| {
                let piece = queue.index.piece(*sequence, 1);
                !empty && piece.is_some_and(|piece| piece.flags & JOURNALLED != 0)
            };
            let counts: Vec<_> = queue.counts.iter().filter(|(s, _)| kept(s)).collect();
            head.u32(len(counts.len()));
            for (sequence, count) in counts {
                head.u64(*sequence).u32(count.attempts).u32(count.failures);
            }
            let origins: Vec<_> = queue.origins.iter().filter(|(s, _)| kept(s)).collect();
            head.u32(len(origins.len()));
            for (sequence, origin) in origins {
                head.u64(*sequence);
                record::write_origin(&mut head, origin);
            }
            into(INDEX, head.bytes());
        }
    }

    /// Applies an INDEX of a checkpoint.
    pub(crate) fn apply_index(&mut self, payload: &Bytes) -> Option<()> {
        let mut reader = Reader::new(payload);
        let (id, next) = (QueueId(reader.u32()?), reader.u64()?);
        for _ in 0..reader.u32()? {
            let (sequence, name) = (reader.u64()?, reader.u64()?);
            let (first, count, flags) = (reader.u32()?, reader.u32()?, reader.u16()?);
            let run = self.recovered_run(name);
            self.recover_into(
                id,
                Landing {
                    sequence,
                    count,
                    run,
                    first,
                    flags,
                },
            )?;
        }
        for _ in 0..reader.u32()? {
            let sequence = reader.u64()?;
            let count = Count {
                attempts: reader.u32()?,
                failures: reader.u32()?,
            };
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.counts.insert(sequence, count);
            }
        }
        for _ in 0..reader.u32()? {
            let sequence = reader.u64()?;
            let origin: Origin = record::read_origin(&mut reader)?;
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.origins.insert(sequence, origin.into());
            }
        }
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.next = queue.next.max(next);
            queue.cursor = queue.cursor.min(queue.next);
        }
        Some(())
    }

    /// The records that hold something alive and are `wanted` by their names, once more: name,
    /// payload of an [`AGAIN`](record::AGAIN) record, live bytes (law L28). In the order of their
    /// names. The caller knows where their bytes are now; here every name is only looked at.
    #[must_use]
    pub fn alive(&self, wanted: &dyn Fn(u64) -> bool) -> Vec<(u64, Bytes, u32)> {
        let live = self.store.iter();
        let chosen = live.filter(|(_, stored)| stored.name != 0 && wanted(stored.name));
        let mut records: Vec<_> = chosen.filter_map(|(_, stored)| again(stored)).collect();
        records.sort_unstable_by_key(|(name, _, _)| *name);
        records
    }
}

fn again(stored: &Stored) -> Option<(u64, Bytes, u32)> {
    let mut payload = stored.name.to_le_bytes().to_vec();
    payload.extend_from_slice(&record::message_payload(stored.run.as_ref()?));
    Some((stored.name, payload.into(), stored.live()))
}

/// One NOTE for each message that has one, behind the index of its queue.
fn checkpoint_notes(queue: &Queue, into: &mut dyn FnMut(u8, &[u8])) {
    let notes = queue.uncommon.iter().flat_map(|some| some.notes.iter());
    for (sequence, note) in notes {
        let piece = queue.index.piece(sequence, 1);
        if piece.is_some_and(|piece| piece.flags & JOURNALLED != 0) {
            let record = NoteRecord {
                queue: queue.id,
                sequence,
                messages: 1,
                note: Arc::clone(note),
            };
            into(NOTE, record.encode().bytes());
        }
    }
}

/// Messages to put into a queue's index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Landing {
    pub(crate) sequence: u64,
    pub(crate) count: u32,
    pub(crate) run: RunRef,
    pub(crate) first: u32,
    pub(crate) flags: u16,
}

/// All unsettled pieces of an index.
struct Pieces<'a> {
    index: &'a Index,
    next: u64,
}

impl Iterator for Pieces<'_> {
    type Item = crate::queue::Piece;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.index.next(self.next, u32::MAX)?;
        self.next = piece.sequence + u64::from(piece.count);
        Some(piece)
    }
}

fn len(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
