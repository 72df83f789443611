//! The memory of a batch, and how it becomes the bytes of a commit.

use bytes::Bytes;

use crate::block::{
    BLOCK_ALIGN, BLOCK_LAST, BLOCK_MORE, BlockHeader, PAYLOAD_MAX, RECORD_ALIGN, RecordHeader,
    patch_crc, record_size,
};
use crate::layout::BlockPlan;
use crate::wire::align_up;

/// A record waiting to be assembled; its head lies in the arena, behind those before it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) tag: u32,
    pub(crate) head_len: u32,
    pub(crate) body: Option<Bytes>,
}

impl Entry {
    pub(crate) fn new(kind: u8, flags: u8, tag: u32, head: &[u8], body: Option<Bytes>) -> Self {
        // Reservations keep heads far below this.
        let head_len = u32::try_from(head.len()).unwrap_or(u32::MAX);
        Self {
            kind,
            flags,
            tag,
            head_len,
            body: body.filter(|body| !body.is_empty()),
        }
    }
}

/// The memory of a batch, used again.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) blocks: Vec<BlockPlan>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) arena: Vec<u8>,
}

impl Buffers {
    pub(crate) fn new(batch_bytes: usize) -> Self {
        Self {
            blocks: Vec::with_capacity(batch_bytes / PAYLOAD_MAX + 2),
            entries: Vec::with_capacity(batch_bytes / 64),
            arena: Vec::with_capacity(batch_bytes),
        }
    }

    /// A commit of one short record in one block at `position`.
    pub(crate) fn one_at(position: u64, kind: u8, payload: &[u8]) -> Self {
        let body_len = u32::try_from(record_size(payload.len())).unwrap_or(u32::MAX);
        let blocks = vec![BlockPlan {
            position,
            body_len,
            records: 1,
        }];
        let head_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let entries = vec![Entry {
            kind,
            flags: 0,
            tag: 0,
            head_len,
            body: None,
        }];
        Self {
            blocks,
            entries,
            arena: payload.to_vec(),
        }
    }

    /// Lets go of the bodies; done outside the lock.
    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        self.entries.clear();
        self.arena.clear();
    }
}

/// What all blocks of a commit carry.
pub(crate) struct Life {
    pub(crate) durable: u64,
    pub(crate) epoch: u32,
    pub(crate) time_us: i64,
    pub(crate) seed: u32,
    /// `BLOCK_CLOSING` for the last block of a clean stop, else 0.
    pub(crate) closing: u8,
}

/// Makes the bytes of a commit: blocks, padded with zeros to whole 4 KiB.
pub(crate) fn assemble(out: &mut Vec<u8>, buffers: &Buffers, life: &Life) {
    let mut entries = buffers.entries.iter();
    let mut arena = buffers.arena.as_slice();
    for (index, block) in buffers.blocks.iter().enumerate() {
        let more = index + 1 < buffers.blocks.len();
        let at = out.len();
        let header = BlockHeader {
            position: block.position,
            durable: life.durable,
            body_len: block.body_len,
            records: block.records,
            flags: if more { BLOCK_MORE } else { BLOCK_LAST } | life.closing,
            epoch: life.epoch,
            time_us: life.time_us,
        };
        let mut crc = header.encode(out, life.seed);
        for entry in entries.by_ref().take(usize::from(block.records)) {
            let (head, rest) = arena
                .split_at_checked(entry.head_len as usize)
                .unwrap_or((arena, &[]));
            arena = rest;
            let body = entry.body.as_deref().unwrap_or_default();
            let record = RecordHeader::of(entry.kind, entry.flags, entry.tag, head, body).encode();
            crc = crc32c::crc32c_append(crc, &record);
            out.extend_from_slice(&record);
            out.extend_from_slice(head);
            out.extend_from_slice(body);
            pad(out, RECORD_ALIGN);
        }
        patch_crc(out, at, crc);
        pad(out, BLOCK_ALIGN);
    }
}

/// Fills up with zeros to a multiple of `step`.
fn pad(out: &mut Vec<u8>, step: u64) {
    let padding = align_up(out.len() as u64, step) - out.len() as u64;
    out.extend(std::iter::repeat_n(
        0,
        usize::try_from(padding).unwrap_or(0),
    ));
}
