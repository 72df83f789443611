//! Notes: what a consumer noted of messages that it gave back, carried by each later delivery and
//! to the dead-letter address.
//!
//! A note is bytes of the front-end that made it. It goes with its message, into the log too if the
//! message is in it (record NOTE). A move takes notes along without writing them once more, and
//! replay does the same; only what a queue that is not journalled noted lasts as long as the process.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::broker::{Broker, Pass};
use crate::consumer::Inflight;
use crate::ids::QueueId;
use crate::queue::{JOURNALLED, Piece, Queue};
use crate::record::{self, NoteRecord};

/// What a note counts beside its bytes, so that many short ones are bounded too.
const NOTE_COST: usize = 64;

/// The notes of a queue's messages.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    by_sequence: BTreeMap<u64, Arc<[u8]>>,
    /// What they count.
    bytes: usize,
}

impl Notes {
    /// What they count together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The note of a message.
    pub(crate) fn of(&self, sequence: u64) -> Option<&Arc<[u8]>> {
        self.by_sequence.get(&sequence)
    }

    /// All, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Arc<[u8]>)> {
        self.by_sequence.iter().map(|(at, note)| (*at, note))
    }

    /// Replaces the note of a message; an empty one is none.
    pub(crate) fn put(&mut self, sequence: u64, note: &Arc<[u8]>) {
        let old = if note.is_empty() {
            self.by_sequence.remove(&sequence)
        } else {
            self.bytes += cost(note);
            self.by_sequence.insert(sequence, Arc::clone(note))
        };
        self.bytes -= old.as_ref().map_or(0, cost);
    }

    /// Takes those of a range out.
    fn take(&mut self, range: Range<u64>) -> Vec<(u64, Arc<[u8]>)> {
        let mut taken = Vec::new();
        while let Some((&sequence, note)) = self.by_sequence.range(range.clone()).next() {
            self.bytes -= cost(note);
            taken.push((sequence, Arc::clone(note)));
            self.by_sequence.remove(&sequence);
        }
        taken
    }

    /// What those of a range count.
    fn cost_of(&self, range: Range<u64>) -> usize {
        self.by_sequence.range(range).map(|(_, n)| cost(n)).sum()
    }
}

fn cost(note: &Arc<[u8]>) -> usize {
    if note.is_empty() {
        0
    } else {
        note.len() + NOTE_COST
    }
}

fn range(piece: &Piece) -> Range<u64> {
    piece.sequence..piece.sequence + u64::from(piece.count)
}

impl Queue {
    /// The note of a message.
    pub(crate) fn note(&self, sequence: u64) -> Option<&Arc<[u8]>> {
        self.uncommon.as_ref()?.notes.of(sequence)
    }

    /// Cuts a piece so that its messages carry the same note, which is one message or none that
    /// carries any.
    pub(crate) fn noted_alike(&self, mut piece: Piece) -> Piece {
        let Some(uncommon) = &self.uncommon else {
            return piece;
        };
        let first = uncommon.notes.by_sequence.range(range(&piece)).next();
        if let Some((sequence, _)) = first {
            let before = sequence - piece.sequence;
            piece.count = u32::try_from(before).unwrap_or(piece.count).max(1);
        }
        piece
    }

    /// Forgets the notes of messages that are gone.
    pub(crate) fn forget_notes(&mut self, range: Range<u64>) {
        self.take_notes(range);
    }

    pub(crate) fn take_notes(&mut self, range: Range<u64>) -> Vec<(u64, Arc<[u8]>)> {
        let uncommon = self.uncommon.as_mut();
        uncommon.map_or(Vec::new(), |uncommon| uncommon.notes.take(range))
    }
}

impl Broker {
    /// Bytes that one record of a note takes at most; none if there is no note, or none to be kept.
    pub(crate) fn note_bytes(&self, note: Option<&Arc<[u8]>>) -> usize {
        let kept = note.filter(|note| note.len() <= self.limits.max_note_bytes);
        kept.map_or(0, |note| record::note_bytes(note))
    }

    /// Notes something of messages, in place of what was noted before. What is too long, or too
    /// much for the queue, is dropped and counted, and the notes before it stay.
    pub(crate) fn note(&mut self, piece: &Inflight, note: &Arc<[u8]>, pass: &mut Pass<'_>) {
        let Some(queue) = self.queues.get_mut(&piece.queue) else {
            return;
        };
        let range = range(&piece.part());
        let notes = &mut queue.uncommon_mut().notes;
        let added = cost(note).saturating_mul(piece.count as usize);
        let after = notes.bytes() - notes.cost_of(range.clone());
        if note.len() > self.limits.max_note_bytes
            || added > self.limits.notes_bytes.saturating_sub(after)
        {
            self.counts.dropped_notes += u64::from(piece.count);
            return;
        }
        for sequence in range {
            notes.put(sequence, note);
        }
        let kept = queue.durable && piece.flags & JOURNALLED != 0;
        if kept && !cfg!(mutant = "note_not_written") {
            let record = NoteRecord {
                queue: piece.queue,
                sequence: piece.sequence,
                messages: piece.count,
                note: Arc::clone(note),
            };
            record.write(pass.log);
        }
    }

    /// Takes out the notes that go along with messages from one queue to another: their offsets and
    /// what they say. Those for which the other has no space end here, which is written down if
    /// `journalled`.
    pub(crate) fn notes_to_move(
        &mut self,
        (from, piece): (QueueId, &Piece),
        to: QueueId,
        journalled: bool,
        pass: &mut Pass<'_>,
    ) -> Vec<(u32, Arc<[u8]>)> {
        let Some(source) = self.queues.get_mut(&from) else {
            return Vec::new();
        };
        let mut taken = source.take_notes(range(piece));
        if taken.is_empty() {
            return Vec::new();
        }
        let target = self.queues.get(&to).and_then(|to| to.uncommon.as_ref());
        let used = target.map_or(0, |uncommon| uncommon.notes.bytes());
        let mut space = self.limits.notes_bytes.saturating_sub(used);
        let fit = taken.iter().take_while(|(_, note)| {
            let fits = cost(note) <= space;
            space = space.saturating_sub(cost(note));
            fits
        });
        let fit = fit.count();
        if let Some((first, _)) = taken.get(fit) {
            self.counts.dropped_notes += (taken.len() - fit) as u64;
            if journalled {
                let left = range(piece).end - first;
                let record = NoteRecord {
                    queue: from,
                    sequence: *first,
                    messages: u32::try_from(left).unwrap_or(piece.count),
                    note: Arc::default(),
                };
                record.write(pass.log);
            }
        }
        taken.truncate(fit);
        let offset = |at: u64| u32::try_from(at - piece.sequence).unwrap_or(u32::MAX);
        let offsets = taken.into_iter().map(|(at, note)| (offset(at), note));
        offsets.collect()
    }

    /// Puts notes to messages that have arrived in a queue from sequence `landed` on.
    pub(crate) fn put_notes(&mut self, to: QueueId, landed: u64, notes: Vec<(u32, Arc<[u8]>)>) {
        let Some(queue) = self.queues.get_mut(&to).filter(|_| !notes.is_empty()) else {
            return;
        };
        for (offset, note) in notes {
            let sequence = landed + u64::from(offset);
            queue.uncommon_mut().notes.put(sequence, &note);
        }
    }
}
