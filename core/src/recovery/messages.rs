//! Records of messages, back to queues, counts and retained values.

use std::sync::Arc;

use bytes::Bytes;

use crate::address::Address;
use crate::broker::Broker;
use crate::checkpoint::Landing;
use crate::effect::Out;
use crate::ids::QueueId;
use crate::queue::{Count, JOURNALLED, MOVED, PRIORITY, Piece, Queue};
use crate::record::{
    self, CountRecord, MAX_SEQUENCE, Moved, NoteRecord, Reader, RefRecord, Settlements,
    decode_message,
};
use crate::retained::RetainedValue;

impl Broker {
    pub(super) fn apply_message(&mut self, position: u64, payload: &Bytes) -> Option<()> {
        let message = decode_message(payload)?;
        let count = message.run.count();
        let run = self.recovered_run(position);
        for (queue, sequence, flags) in message.targets {
            let landing = Landing {
                sequence,
                count,
                run,
                first: 0,
                flags,
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
        queue.append(sequence, count, (run, first), flags);
        self.store.retain(run, first, count);
        self.counts.messages += u64::from(count);
        Some(true)
    }

    pub(super) fn apply_settle(&mut self, payload: &Bytes) -> Option<()> {
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

    pub(super) fn apply_move(&mut self, position: u64, payload: &Bytes) -> Option<()> {
        let moved = Moved::read(payload)?;
        let run = self.recovered_run(moved.name);
        let notes = self.moved_notes(&moved)?;
        if let Some((to, sequence)) = moved.to {
            let landing = Landing {
                sequence,
                count: moved.count,
                run,
                first: moved.index,
                flags: MOVED | (moved.flags & PRIORITY),
            };
            if self.recover_into(to, landing)?
                && let Some(queue) = self.queues.get_mut(&to)
            {
                let origin = Arc::new(moved.origin);
                for sequence in sequence..sequence + u64::from(moved.count) {
                    queue.origins.insert(sequence, Arc::clone(&origin));
                }
                queue.moved_after = position + 1;
                self.put_notes(to, sequence, notes);
            }
        }
        if let Some((queue, sequence)) = moved.from {
            self.recover_settled_range(queue, sequence, moved.count.into())?;
        }
        self.store.discard(run, &mut Out::default());
        Some(())
    }

    /// Takes out the notes that messages take along.
    fn moved_notes(&mut self, moved: &Moved) -> Option<Vec<(u32, Arc<[u8]>)>> {
        let Some((from, first)) = moved.from else {
            return Some(Vec::new());
        };
        let end = first.checked_add(moved.count.into())?;
        let queue = self.queues.get_mut(&from);
        let notes = queue.map_or(Vec::new(), |queue| queue.take_notes(first..end));
        let offset = |at: u64| u32::try_from(at - first).ok();
        let offsets = notes
            .into_iter()
            .map(|(at, note)| Some((offset(at)?, note)));
        offsets.collect()
    }

    pub(super) fn apply_note(&mut self, payload: &Bytes) -> Option<()> {
        let record = NoteRecord::read(payload)?;
        let of = (record.queue, record.sequence, record.messages);
        self.recover_each(of, |queue, sequence| {
            queue.uncommon_mut().notes.put(sequence, &record.note);
        })
    }

    /// Does something to each of `messages` sequences of a queue that is not settled.
    fn recover_each(
        &mut self,
        (id, first, messages): (QueueId, u64, u32),
        mut act: impl FnMut(&mut Queue, u64),
    ) -> Option<()> {
        let mut next = first;
        let end = next.checked_add(u64::from(messages))?;
        while let Some(piece) = self.next_below(id, next, end) {
            next = piece.sequence + u64::from(piece.count);
            let Some(queue) = self.queues.get_mut(&id) else {
                break;
            };
            for sequence in piece.sequence..next {
                act(queue, sequence);
            }
        }
        Some(())
    }

    pub(super) fn apply_ref(&mut self, payload: &Bytes) -> Option<()> {
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

    pub(super) fn apply_count(&mut self, payload: &Bytes) -> Option<()> {
        let record = CountRecord::read(payload)?;
        let of = (record.queue, record.sequence, record.messages);
        self.recover_each(of, |queue, sequence| {
            if record.count == Count::default() {
                queue.counts.remove(&sequence);
            } else {
                queue.counts.insert(sequence, record.count);
            }
        })
    }

    fn recover_retained(&mut self, address: Address, value: RetainedValue) {
        self.store.retain(value.run, value.index, 1);
        if let Some(old) = self.retained.values.insert(address, value) {
            self.store
                .release(old.run, old.index, 1, &mut Out::default());
        }
    }

    pub(super) fn apply_retained(&mut self, payload: &Bytes) -> Option<()> {
        let mut reader = Reader::new(payload);
        let address = record::address(reader.text()?)?;
        let (name, index) = (reader.u64()?, reader.u32()?);
        let run = self.recovered_run(name);
        self.recover_retained(address, RetainedValue { run, index });
        Some(())
    }

    pub(super) fn apply_delete_retained(&mut self, payload: &Bytes) -> Option<()> {
        let address = record::address(Reader::new(payload).text()?)?;
        if let Some(old) = self.retained.values.remove(&address) {
            self.store
                .release(old.run, old.index, 1, &mut Out::default());
        }
        Some(())
    }
}
