//! What the core writes into the log: types 32 to 255 of the journal's records (design 7).
//!
//! A record states what became true and never what was asked, so replay needs no router, clock,
//! setting or limit (law L6). All numbers are little-endian. `docs/format.md` has the table.

mod message;
mod state;
mod wire;

use bytes::Bytes;

use crate::ids::QueueId;
use crate::queue::Count;

pub(crate) use message::{MoveRecord, Moved, RefRecord, address, decode_message, live_bytes};
pub(crate) use message::{read_origin, write_message, write_move, write_origin, write_ref};
pub(crate) use state::{BindingRecord, QueueRecord, SessionRecord};
pub(crate) use wire::{Reader, Writer};

/// Where records go: the open batch of the journal, or a test's vector. Records of one call of
/// `handle` are never split over two commits; the caller has made room before (design 2.6, 2.7).
pub trait RecordSink {
    /// Appends `head` followed by `body` as one record and returns its position. `live` bytes of it
    /// stay alive until they are reported dead; settlements and metadata have none.
    fn append(&mut self, kind: u8, head: &[u8], body: Option<&Bytes>, live: u32) -> u64;

    /// Position just behind the last record appended, by anybody. What must wait for everything
    /// decided so far waits for this.
    fn tail(&self) -> u64;
}

/// A run of messages and the queues that took it.
pub const MSG: u8 = 32;
/// A message went from one queue to another.
pub const MOVE: u8 = 33;
/// Messages are settled.
pub const SETTLE: u8 = 34;
/// Attempts and failures of a message.
pub const COUNT: u8 = 35;
/// A queue exists.
pub const PUT_QUEUE: u8 = 36;
/// A queue and everything in it is gone.
pub const DELETE_QUEUE: u8 = 37;
/// A session exists.
pub const PUT_SESSION: u8 = 38;
/// A session and its subscriptions are gone.
pub const DELETE_SESSION: u8 = 39;
/// A session has a subscription.
pub const PUT_BINDING: u8 = 40;
/// A session no longer has it.
pub const DELETE_BINDING: u8 = 41;
/// An address has no retained value any more.
pub const DELETE_RETAINED: u8 = 42;
/// A queue got a message that is in the log already.
pub const REF: u8 = 43;
/// The live bytes of an older record again: its name, then its payload (law L28).
pub const AGAIN: u8 = 44;
/// Checkpoint: unsettled messages of a queue.
pub const INDEX: u8 = 45;
/// Checkpoint: a retained value.
pub const PUT_RETAINED: u8 = 46;
/// Checkpoint: numbers that must not be given again.
pub const NEXT: u8 = 47;

/// Settlements of one call, one record per queue, written when the call ends and so never before
/// a message they cover (law L5).
#[derive(Debug, Default)]
pub(crate) struct Settlements {
    queues: Vec<(QueueId, Vec<(u64, u32)>)>,
}

impl Settlements {
    /// Adds consecutive messages.
    pub(crate) fn add(&mut self, queue: QueueId, sequence: u64, count: u32) {
        let place = match self.queues.iter().rposition(|(id, _)| *id == queue) {
            Some(place) => place,
            None => {
                self.queues.push((queue, Vec::new()));
                self.queues.len() - 1
            }
        };
        let Some((_, runs)) = self.queues.get_mut(place) else {
            return;
        };
        match runs.last_mut() {
            Some((first, n)) if *first + u64::from(*n) == sequence => *n += count,
            _ => runs.push((sequence, count)),
        }
    }

    /// Writes one record per queue: queue, base, then runs of (gap, length) as varints. Runs out of
    /// order are sorted first.
    pub(crate) fn write(&mut self, log: &mut dyn RecordSink) {
        for (queue, mut runs) in self.queues.drain(..) {
            runs.sort_unstable();
            let base = runs.first().map_or(0, |run| run.0);
            let mut writer = Writer::default();
            writer.u32(queue.0).u64(base);
            let mut next = base;
            for (first, n) in runs {
                writer.varint(first - next).varint(u64::from(n));
                next = first + u64::from(n);
            }
            log.append(SETTLE, writer.bytes(), None, 0);
        }
    }

    /// Reads such a record: the queue and its runs.
    pub(crate) fn read(payload: &[u8]) -> Option<(QueueId, Vec<(u64, u64)>)> {
        let mut reader = Reader::new(payload);
        let queue = QueueId(reader.u32()?);
        let mut next = reader.u64()?;
        let mut runs = Vec::new();
        while !reader.is_empty() {
            let first = next.checked_add(reader.varint()?)?;
            let n = reader.varint()?;
            next = first.checked_add(n)?;
            runs.push((first, n));
        }
        Some((queue, runs))
    }
}

/// Writes the counts of a message.
pub(crate) fn write_count(log: &mut dyn RecordSink, queue: QueueId, sequence: u64, count: Count) {
    log.append(COUNT, encode_count(queue, sequence, count).bytes(), None, 0);
}

/// The payload of a count.
pub(crate) fn encode_count(queue: QueueId, sequence: u64, count: Count) -> Writer {
    let mut writer = Writer::default();
    writer
        .u32(queue.0)
        .u64(sequence)
        .u32(count.attempts)
        .u32(count.failures);
    writer
}
