//! Records that hold or move messages.
//!
//! MSG: format u8, flags u8 (1 durable, 2 at most once, 4 retained, 8 exactly
//! once), priority u8, reserved u8,
//! expires u64, timestamp u64, address text, count u32, lengths (u8 0: all alike, u32; u8 1: an
//! end offset u32 each), number of queues u32, per queue id u32, first sequence u64 and
//! flags u16; the block.

use bytes::Bytes;

use super::wire::{Reader, Writer};
use super::{MOVE, MSG, RECORD_OVERHEAD, REF, RecordSink};
use crate::address::{Address, QueueName};
use crate::dialect::Dialect;
use crate::effect::{MoveReason, Origin};
use crate::ids::QueueId;
use crate::message::{Assurance, Ends, Envelope, Format, Run};

const DURABLE: u8 = 1;
const AT_MOST_ONCE: u8 = 2;
const RETAINED: u8 = 4;
const EXACTLY_ONCE: u8 = 8;
/// Bytes of a MSG before the block, but for the address, ends and queues.
const MESSAGE_HEAD: usize = 33;

/// Bytes of one queue in a MSG.
const TARGET_BYTES: usize = 14;

/// A decoded MSG.
#[derive(Debug)]
pub(crate) struct MessageRecord {
    pub(crate) run: Run,
    pub(crate) retained: bool,
    /// Queue, first sequence, flags of the entry.
    pub(crate) targets: Vec<(QueueId, u64, u16)>,
}

/// Writes a run and the queues that took it; gives its position, which is its name.
pub(crate) fn write_message(
    log: &mut dyn RecordSink,
    run: &Run,
    retained: bool,
    targets: impl ExactSizeIterator<Item = (QueueId, u64, u16)>,
) -> u64 {
    let head = message_head(run, retained, targets);
    log.append(MSG, head.bytes(), Some(run.block()), live_bytes(run))
}

/// The payload of a MSG without queues.
pub(crate) fn message_payload(run: &Run) -> Vec<u8> {
    let mut head = message_head(run, false, std::iter::empty());
    head.raw(run.block()).bytes().to_vec()
}

fn message_head(
    run: &Run,
    retained: bool,
    targets: impl ExactSizeIterator<Item = (QueueId, u64, u16)>,
) -> Writer {
    let mut head = Writer::default();
    let envelope = &run.envelope;
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let flags = flag(envelope.durable, DURABLE)
        | flag(envelope.is_at_most_once(), AT_MOST_ONCE)
        | flag(envelope.assurance == Assurance::ExactlyOnce, EXACTLY_ONCE)
        | flag(retained, RETAINED);
    head.u8(run.format.0).u8(flags).u8(envelope.priority).u8(0);
    head.u64(envelope.expires_ms)
        .u64(envelope.timestamp_ms)
        .text(envelope.address.as_str());
    head.u32(run.count());
    match run.ends() {
        Ends::Even(length) => {
            head.u8(0).u32(*length);
        }
        Ends::Listed(ends) => {
            head.u8(1);
            for &end in ends {
                head.u32(end);
            }
        }
    }
    head.u32(u32::try_from(targets.len()).unwrap_or(u32::MAX));
    for (queue, sequence, flags) in targets {
        head.u32(queue.0).u64(sequence).u16(flags);
    }
    head
}

/// Bytes of log that the record of a run with this many queues takes, at most.
pub(crate) fn message_bytes(run: &Run, queues: usize) -> usize {
    let ends = match run.ends() {
        Ends::Even(_) => 4,
        Ends::Listed(ends) => 4 * ends.len(),
    };
    let payload = MESSAGE_HEAD + run.envelope.address.as_str().len() + ends + TARGET_BYTES * queues;
    let payload = payload + run.block().len();
    // A long one is written in pieces.
    payload + payload / 2_048 + RECORD_OVERHEAD
}

/// Bytes of a run's record that are alive while all its messages are. Never 0: empty messages need
/// their record too, and a segment without live bytes is freed (law L28).
pub(crate) fn live_bytes(run: &Run) -> u32 {
    u32::try_from(run.block().len().max(1)).unwrap_or(u32::MAX)
}

/// Reads a MSG. The block is a slice of `payload`.
pub(crate) fn decode_message(payload: &Bytes) -> Option<MessageRecord> {
    let mut reader = Reader::new(payload);
    let format = Format(reader.u8()?);
    let flags = reader.u8()?;
    let priority = reader.u8()?;
    reader.u8()?;
    let (expires_ms, timestamp_ms) = (reader.u64()?, reader.u64()?);
    let address = address(reader.text()?)?;
    let count = reader.u32()?;
    let lengths = match reader.u8()? {
        0 => Lengths::Even(reader.u32()?),
        1 => {
            let ends = reader.take(usize::try_from(count).ok()?.checked_mul(4)?)?;
            let end = |b: &[u8]| b.try_into().ok().map(u32::from_le_bytes);
            Lengths::Ends(ends.chunks_exact(4).map(end).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let targets = read_targets(&mut reader)?;
    let block = payload.slice(payload.len() - reader.left()..);
    let envelope = Envelope {
        address,
        durable: flags & DURABLE != 0,
        assurance: assurance(flags)?,
        priority,
        expires_ms,
        timestamp_ms,
    };
    let run = match lengths {
        Lengths::Even(length) => Run::even(envelope, format, block, count, length)?,
        Lengths::Ends(ends) => Run::new(envelope, format, block, &ends)?,
    };
    Some(MessageRecord {
        run,
        retained: flags & RETAINED != 0,
        targets,
    })
}

fn assurance(flags: u8) -> Option<Assurance> {
    match (flags & AT_MOST_ONCE != 0, flags & EXACTLY_ONCE != 0) {
        (false, false) => Some(Assurance::AtLeastOnce),
        (true, false) => Some(Assurance::AtMostOnce),
        (false, true) => Some(Assurance::ExactlyOnce),
        (true, true) => None,
    }
}

enum Lengths {
    Even(u32),
    Ends(Vec<u32>),
}

fn read_targets(reader: &mut Reader<'_>) -> Option<Vec<(QueueId, u64, u16)>> {
    let n = usize::try_from(reader.u32()?).ok()?;
    if n > reader.left() / TARGET_BYTES {
        return None;
    }
    (0..n)
        .map(|_| Some((QueueId(reader.u32()?), reader.u64()?, reader.u16()?)))
        .collect()
}

/// Consecutive messages of one run that change their queue. MOVE: name u64, first u32, count u32,
/// from queue u32 and sequence u64, to queue u32 and sequence u64 (queue 0: none), origin.
pub(crate) struct MoveRecord<'a> {
    pub(crate) name: u64,
    /// First message within the run.
    pub(crate) index: u32,
    /// How many messages.
    pub(crate) count: u32,
    /// Where it is settled, if that queue is journalled.
    pub(crate) from: Option<(QueueId, u64)>,
    /// Where it is now, if that queue is journalled.
    pub(crate) to: Option<(QueueId, u64)>,
    pub(crate) origin: &'a Origin,
    /// Flags of the entry that the record does not tell otherwise: the priority.
    pub(crate) flags: u16,
}

/// Writes a move; gives its position.
pub(crate) fn write_move(log: &mut dyn RecordSink, record: &MoveRecord<'_>) -> u64 {
    let mut head = Writer::default();
    head.u64(record.name).u32(record.index).u32(record.count);
    for pair in [record.from, record.to] {
        let (queue, sequence) = pair.unwrap_or((QueueId(0), 0));
        head.u32(queue.0).u64(sequence);
    }
    write_origin(&mut head, record.origin);
    if record.flags != 0 {
        head.u16(record.flags);
    }
    log.append(MOVE, head.bytes(), None, 0)
}

/// A decoded MOVE.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) name: u64,
    pub(crate) index: u32,
    pub(crate) count: u32,
    pub(crate) from: Option<(QueueId, u64)>,
    pub(crate) to: Option<(QueueId, u64)>,
    pub(crate) origin: Origin,
    pub(crate) flags: u16,
}

impl Moved {
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let (name, index, count) = (reader.u64()?, reader.u32()?, reader.u32()?);
        let mut pair = || {
            let pair = (QueueId(reader.u32()?), reader.u64()?);
            Some(Some(pair).filter(|(queue, _)| queue.0 != 0))
        };
        let (from, to) = (pair()?, pair()?);
        let origin = read_origin(&mut reader)?;
        let flags = if reader.left() > 0 { reader.u16()? } else { 0 };
        Some(Self {
            name,
            index,
            count,
            from,
            to,
            origin,
            flags,
        })
    }
}

/// Appends where a message comes from.
pub(crate) fn write_origin(head: &mut Writer, origin: &Origin) {
    let reason = match origin.reason {
        MoveReason::Expired => 1,
        MoveReason::MaxDeliveryAttempts => 2,
        MoveReason::Rejected => 3,
    };
    head.u8(reason).u64(origin.time_ms);
    head.text(origin.address.as_str())
        .text(origin.queue.as_str());
}

/// Reads where a message comes from.
pub(crate) fn read_origin(reader: &mut Reader<'_>) -> Option<Origin> {
    let reason = match reader.u8()? {
        1 => MoveReason::Expired,
        2 => MoveReason::MaxDeliveryAttempts,
        3 => MoveReason::Rejected,
        _ => return None,
    };
    let time_ms = reader.u64()?;
    let address = address(reader.text()?)?;
    let queue = QueueName::parse(reader.text()?, Dialect::Canonical, usize::MAX).ok()?;
    Some(Origin {
        address,
        queue,
        reason,
        time_ms,
    })
}

/// Writes that a queue got a message that is in the log already.
pub(crate) fn write_ref(log: &mut dyn RecordSink, piece: &RefRecord) -> u64 {
    let mut head = Writer::default();
    head.u64(piece.name)
        .u32(piece.index)
        .u32(piece.queue.0)
        .u64(piece.sequence);
    head.u16(piece.flags);
    log.append(REF, head.bytes(), None, 0)
}

/// A message of the log put into one more queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefRecord {
    pub(crate) name: u64,
    pub(crate) index: u32,
    pub(crate) queue: QueueId,
    pub(crate) sequence: u64,
    pub(crate) flags: u16,
}

impl RefRecord {
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self {
            name: reader.u64()?,
            index: reader.u32()?,
            queue: QueueId(reader.u32()?),
            sequence: reader.u64()?,
            flags: reader.u16()?,
        })
    }
}

/// A canonical address.
pub(crate) fn address(text: &str) -> Option<Address> {
    Address::parse(text, Dialect::Canonical, usize::MAX).ok()
}
