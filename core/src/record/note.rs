//! What was noted of messages when they were given back.

use std::sync::Arc;

use super::wire::{Reader, Writer};
use super::{NOTE, RECORD_OVERHEAD, RecordSink};
use crate::ids::QueueId;

/// Bytes of a NOTE before the note.
const NOTE_HEAD: usize = 16;

/// The note of consecutive messages of a queue; an empty one is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoteRecord {
    pub(crate) queue: QueueId,
    pub(crate) sequence: u64,
    /// How many messages.
    pub(crate) messages: u32,
    pub(crate) note: Arc<[u8]>,
}

impl NoteRecord {
    /// NOTE: queue u32, first sequence u64, messages u32, the note.
    pub(crate) fn encode(&self) -> Writer {
        let mut writer = Writer::default();
        writer.u32(self.queue.0).u64(self.sequence);
        writer.u32(self.messages).raw(&self.note);
        writer
    }

    pub(crate) fn write(&self, log: &mut dyn RecordSink) {
        log.append(NOTE, self.encode().bytes(), None, 0);
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self {
            queue: QueueId(reader.u32()?),
            sequence: reader.u64()?,
            messages: reader.u32()?,
            note: reader.take(reader.left())?.into(),
        })
    }
}

/// Bytes of log that a note takes at most.
pub(crate) fn note_bytes(note: &[u8]) -> usize {
    let payload = NOTE_HEAD + note.len();
    // A long one is written in pieces.
    payload + payload / 2_048 + RECORD_OVERHEAD
}
