//! Blocks and records as bytes: the framing of `docs/format.md`, both directions.
//!
//! A commit is one or more blocks, each on a 4 KiB boundary. The block checksum covers the block
//! header and all record headers, which carry the checksums of their payloads: one pass over the
//! bodies, and yet each record can be verified alone.

use bytes::BufMut;

use crate::wire::{Reader, align_up};

/// Blocks begin at multiples of this, so a durable sector is never written again.
pub(crate) const BLOCK_ALIGN: u64 = 4096;
/// Largest block, header included; no block holds up a commit for longer.
pub(crate) const BLOCK_MAX: u64 = 256 * 1024;
/// Bytes of a block header.
pub(crate) const BLOCK_HEADER: u64 = BLOCK_HEADER_LEN as u64;
pub(crate) const BLOCK_HEADER_LEN: usize = 48;
/// Bytes of a record header.
pub(crate) const RECORD_HEADER: u64 = RECORD_HEADER_LEN as u64;
pub(crate) const RECORD_HEADER_LEN: usize = 16;
/// Record headers begin at multiples of this.
pub(crate) const RECORD_ALIGN: u64 = 8;
/// Largest payload of one record; a longer one goes as CHUNK records before its record.
pub(crate) const PAYLOAD_MAX: usize = 128 * 1024;

/// Says nothing; it fills the closing block of a clean stop.
pub(crate) const KIND_NOOP: u8 = 0;
/// First record of a life: epoch and the valid end of the life before.
pub(crate) const KIND_FENCE: u8 = 1;
/// A piece of a payload that continues in the next record.
pub(crate) const KIND_CHUNK: u8 = 2;
/// A checkpoint was renamed into place: its applied position.
pub(crate) const KIND_CHECKPOINT: u8 = 3;
/// Kinds from here on belong to the user of the journal.
pub const USER_KIND_MIN: u8 = 32;
/// Record flag: a reader that does not know the kind may skip the record.
pub const FLAG_IGNORABLE: u8 = 1;

/// Flag of a CHUNK: first piece of its payload.
pub(crate) const FLAG_FIRST_CHUNK: u8 = 2;

/// Block flag: the commit goes on in the next block.
pub(crate) const BLOCK_MORE: u8 = 1;
/// Block flag: last block of its commit.
pub(crate) const BLOCK_LAST: u8 = 2;
/// Block flag: closing block of a clean stop, nothing follows.
pub(crate) const BLOCK_CLOSING: u8 = 4;

const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"TMQB");
const FORMAT: u8 = 1;

/// Seed of a life's block checksums: stale blocks of a recycled segment fail by it.
pub(crate) fn crc_seed(uuid: &[u8; 16], salt: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(uuid), &salt.to_le_bytes())
}

/// What a block header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    /// Address of the block in the log.
    pub(crate) position: u64,
    /// Everything below was durable when the block was written.
    pub(crate) durable: u64,
    /// Bytes behind the header.
    pub(crate) body_len: u32,
    pub(crate) records: u16,
    pub(crate) flags: u8,
    pub(crate) epoch: u32,
    /// Wall time of the writer, microseconds since 1970.
    pub(crate) time_us: i64,
}

impl BlockHeader {
    /// Appends the header with a checksum of zero and returns the running checksum over it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, seed: u32) -> u32 {
        let mut fields = [0u8; BLOCK_HEADER_LEN - 8];
        let mut rest = fields.as_mut_slice();
        rest.put_u64_le(self.position);
        rest.put_u64_le(self.durable);
        rest.put_u32_le(self.body_len);
        rest.put_u16_le(self.records);
        rest.put_u8(self.flags);
        rest.put_u8(FORMAT);
        rest.put_u32_le(self.epoch);
        rest.put_u32_le(0);
        rest.put_i64_le(self.time_us);
        out.put_u32_le(BLOCK_MAGIC);
        out.put_u32_le(0);
        out.put_slice(&fields);
        crc32c::crc32c_append(
            crc32c::crc32c_append(seed, &BLOCK_MAGIC.to_le_bytes()),
            &fields,
        )
    }

    /// Reads a header and its checksum; `None` when it is none of this format.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, u32)> {
        let mut reader = Reader::new(bytes);
        if reader.u32()? != BLOCK_MAGIC {
            return None;
        }
        let crc = reader.u32()?;
        let position = reader.u64()?;
        let durable = reader.u64()?;
        let body_len = reader.u32()?;
        let records = reader.u16()?;
        let flags = reader.u8()?;
        let format = reader.u8()?;
        let epoch = reader.u32()?;
        let _reserved = reader.u32()?;
        let time_us = reader.i64()?;
        let header = Self {
            position,
            durable,
            body_len,
            records,
            flags,
            epoch,
            time_us,
        };
        (format == FORMAT).then_some((header, crc))
    }

    /// Length of the whole block; `None` when the header claims an impossible one.
    pub(crate) fn block_len(&self) -> Option<usize> {
        let body = u64::from(self.body_len);
        let possible = body <= BLOCK_MAX - BLOCK_HEADER
            && u64::from(self.records) * RECORD_HEADER <= body
            && body.is_multiple_of(RECORD_ALIGN)
            && matches!(
                self.flags & (BLOCK_MORE | BLOCK_LAST),
                BLOCK_MORE | BLOCK_LAST
            );
        if possible {
            usize::try_from(BLOCK_HEADER + body).ok()
        } else {
            None
        }
    }
}

/// Puts the finished checksum of the block that begins at `at` in its place.
pub(crate) fn patch_crc(out: &mut [u8], at: usize, crc: u32) {
    if let Some(slot) = out.get_mut(at + 4..at + 8) {
        slot.copy_from_slice(&crc.to_le_bytes());
    }
}

/// What a record header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) payload_len: u32,
    /// Checksum of kind, flags, extension length, tag and payload.
    pub(crate) crc: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) tag: u32,
}

impl RecordHeader {
    /// The header of a payload given in two pieces.
    pub(crate) fn of(kind: u8, flags: u8, tag: u32, head: &[u8], body: &[u8]) -> Self {
        let payload_len = u32::try_from(head.len() + body.len()).unwrap_or(u32::MAX);
        let mut header = Self {
            payload_len,
            crc: 0,
            kind,
            flags,
            tag,
        };
        header.crc = crc32c::crc32c_append(header.checksum(head), body);
        header
    }

    /// Checksum of the fields behind the checksum, then of `payload`.
    fn checksum(&self, payload: &[u8]) -> u32 {
        let tag = self.tag.to_le_bytes();
        let [t0, t1, t2, t3] = tag;
        let fields = [self.kind, self.flags, 0, 0, t0, t1, t2, t3];
        crc32c::crc32c_append(crc32c::crc32c(&fields), payload)
    }

    pub(crate) fn encode(&self) -> [u8; RECORD_HEADER_LEN] {
        let mut out = [0u8; RECORD_HEADER_LEN];
        let mut rest = out.as_mut_slice();
        rest.put_u32_le(self.payload_len);
        rest.put_u32_le(self.crc);
        rest.put_u8(self.kind);
        rest.put_u8(self.flags);
        rest.put_u16_le(0);
        rest.put_u32_le(self.tag);
        out
    }

    /// Reads a header; `None` when it is too short, has an extension or claims too long a payload.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let payload_len = reader.u32()?;
        let crc = reader.u32()?;
        let kind = reader.u8()?;
        let flags = reader.u8()?;
        let extension = reader.u16()?;
        let tag = reader.u32()?;
        let sane = extension == 0 && payload_len as usize <= PAYLOAD_MAX;
        sane.then_some(Self {
            payload_len,
            crc,
            kind,
            flags,
            tag,
        })
    }

    /// Whether this header belongs to that payload.
    pub(crate) fn verifies(&self, payload: &[u8]) -> bool {
        self.checksum(payload) == self.crc
    }
}

/// Bytes a record takes, padding included.
pub(crate) fn record_size(payload_len: usize) -> u64 {
    align_up(RECORD_HEADER + payload_len as u64, RECORD_ALIGN)
}

/// A record inside a block that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockRecord {
    pub(crate) header: RecordHeader,
    /// Offset of the record header in the block.
    pub(crate) offset: usize,
}

impl BlockRecord {
    /// Where the payload is in the block.
    pub(crate) fn payload(&self) -> std::ops::Range<usize> {
        let begin = self.offset + RECORD_HEADER_LEN;
        begin..begin + self.header.payload_len as usize
    }
}

/// A block whose every checksum holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) header: BlockHeader,
    pub(crate) records: Vec<BlockRecord>,
    /// Bytes from the block header to the end of the last record.
    pub(crate) len: usize,
}

/// Reads the block at the front of `bytes`, which must lie at `position` in the log.
/// `None` when anything about it is not as it was written. Memory: 20 B a record, at most 320 KiB.
pub(crate) fn read_block(bytes: &[u8], position: u64, seed: u32) -> Option<Block> {
    let (header, crc) = BlockHeader::decode(bytes)?;
    let len = header.block_len()?;
    let block = bytes.get(..len)?;
    if header.position != position {
        return None;
    }
    let mut reader = Reader::new(block);
    let magic = reader.take(4)?;
    let _crc = reader.take(4)?;
    let fields = reader.take(BLOCK_HEADER_LEN - 8)?;
    let mut running = crc32c::crc32c_append(crc32c::crc32c_append(seed, magic), fields);
    let mut offset = BLOCK_HEADER_LEN;
    let mut records = Vec::with_capacity(usize::from(header.records));
    for _ in 0..header.records {
        let bytes = reader.take(RECORD_HEADER_LEN)?;
        running = crc32c::crc32c_append(running, bytes);
        let record = BlockRecord {
            header: RecordHeader::decode(bytes)?,
            offset,
        };
        let size = usize::try_from(record_size(record.header.payload_len as usize)).ok()?;
        reader.take(size - RECORD_HEADER_LEN)?;
        offset += size;
        records.push(record);
    }
    let whole = offset == len && running == crc;
    let sound = |record: &BlockRecord| {
        block
            .get(record.payload())
            .is_some_and(|payload| record.header.verifies(payload))
    };
    (whole && records.iter().all(sound)).then_some(Block {
        header,
        records,
        len,
    })
}
