//! What the core writes into the log: types 32 to 255 of the journal's records (design 7).
//!
//! A record states what became true and never what was asked, so replay needs no router, clock,
//! setting or limit (law L6). All numbers are little-endian. `docs/format.md` has the table.

mod exactly_once;
mod message;
mod note;
mod state;
mod will;
mod wire;

use bytes::Bytes;

use crate::ids::QueueId;
use crate::queue::Count;

pub(crate) use exactly_once::{ReceiptRecord, TagRecord};
pub(crate) use message::{MoveRecord, Moved, RefRecord, address, decode_message, live_bytes};
pub(crate) use message::{message_bytes, read_origin, write_message, write_move, write_origin};
pub(crate) use message::{message_payload, write_ref};
pub(crate) use note::{NoteRecord, note_bytes};
pub(crate) use state::{BindingRecord, QueueRecord, SessionRecord};
pub(crate) use will::WillRecord;
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

    /// Bytes that stay in memory as a block. Whoever counts bodies (law L20) counts this one.
    fn keep(&self, bytes: Vec<u8>) -> Bytes {
        bytes.into()
    }

    /// Bytes of records that this call may still append, [`RECORD_OVERHEAD`] of each included. A
    /// log in memory has no end.
    fn room(&self) -> usize {
        usize::MAX
    }
}

/// Bytes of log that a record takes beside its payload, at most, when it is no longer than 64 KiB.
pub const RECORD_OVERHEAD: usize = 24;

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

/// Ids of messages published once that a session remembers, or does not any more (law L13).
pub const RECEIPT: u8 = 48;
/// Deliveries of a session begun in two steps (law L13).
pub const TAG: u8 = 49;
/// The will of a session (law L14).
pub const PUT_WILL: u8 = 50;
/// It has none any more.
pub const DELETE_WILL: u8 = 51;
/// What was noted of messages.
pub const NOTE: u8 = 52;

/// Bytes of a RECEIPT beside the name.
pub(crate) const RECEIPT_BYTES: usize = 9 + RECORD_OVERHEAD;

/// Bytes of a settlement before its runs, and of the longest run.
const SETTLE_HEAD: usize = 12;
const SETTLE_RUN: usize = 15;

/// No queue gets this far; what claims to is malformed.
pub(crate) const MAX_SEQUENCE: u64 = 1 << 62;

/// Settlements of one call, one record per queue, written when the call ends and so never before
/// a message they cover (law L5).
#[derive(Debug, Default)]
pub(crate) struct Settlements {
    runs: Vec<(QueueId, u64, u32)>,
}

impl Settlements {
    /// Adds consecutive messages.
    pub(crate) fn add(&mut self, queue: QueueId, sequence: u64, count: u32) {
        match self.runs.last_mut() {
            Some((id, first, n)) if *id == queue && *first + u64::from(*n) == sequence => {
                *n += count;
            }
            _ => self.runs.push((queue, sequence, count)),
        }
    }

    /// Bytes of log that writing them takes, at most.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.len() * (SETTLE_HEAD + SETTLE_RUN + RECORD_OVERHEAD)
    }

    /// Writes one record per queue: queue, base, then runs of (gap, length) as varints. Runs out of
    /// order are sorted first.
    pub(crate) fn write(&mut self, log: &mut dyn RecordSink) {
        self.runs.sort_unstable();
        for runs in self.runs.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(queue, base, _)) = runs.first() else {
                continue;
            };
            let mut writer = Writer::default();
            writer.u32(queue.0).u64(base);
            let mut next = base;
            for &(_, first, n) in runs {
                writer.varint(first - next).varint(u64::from(n));
                next = first + u64::from(n);
            }
            log.append(SETTLE, writer.bytes(), None, 0);
        }
        self.runs.clear();
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
            next = first.checked_add(n).filter(|&next| next <= MAX_SEQUENCE)?;
            runs.push((first, n));
        }
        Some((queue, runs))
    }
}

/// Consecutive messages of a queue that were attempted equally often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountRecord {
    pub(crate) queue: QueueId,
    pub(crate) sequence: u64,
    /// How many messages.
    pub(crate) messages: u32,
    pub(crate) count: Count,
}

impl CountRecord {
    /// COUNT: queue u32, first sequence u64, messages u32, attempts u32, failures u32.
    pub(crate) fn encode(&self) -> Writer {
        let mut writer = Writer::default();
        writer.u32(self.queue.0).u64(self.sequence);
        writer.u32(self.messages);
        writer.u32(self.count.attempts).u32(self.count.failures);
        writer
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self {
            queue: QueueId(reader.u32()?),
            sequence: reader.u64()?,
            messages: reader.u32()?,
            count: Count {
                attempts: reader.u32()?,
                failures: reader.u32()?,
            },
        })
    }
}
