//! Where records of a batch will lie: positions are arithmetic on sizes, long before bytes are made.

use crate::block::{BLOCK_ALIGN, BLOCK_HEADER, BLOCK_MAX, PAYLOAD_MAX, RECORD_HEADER, record_size};
use crate::wire::align_up;

/// One block to be assembled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockPlan {
    /// Address of the block header.
    pub(crate) position: u64,
    pub(crate) body_len: u32,
    pub(crate) records: u16,
}

/// The blocks of one commit, growing.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Address of the first block.
    pub(crate) start: u64,
    /// Position behind the last record; `start` while there is none.
    pub(crate) end: u64,
    pub(crate) blocks: Vec<BlockPlan>,
}

impl Layout {
    pub(crate) fn new(start: u64, blocks: Vec<BlockPlan>) -> Self {
        Self {
            start,
            end: start,
            blocks,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Gives a record its position, in the last block or in a new one.
    pub(crate) fn place(&mut self, payload_len: usize) -> u64 {
        let size = record_size(payload_len);
        let grown = u32::try_from(size).unwrap_or(u32::MAX);
        if let Some(block) = self.blocks.last_mut()
            && self.end + size <= block.position + BLOCK_MAX
        {
            let position = self.end;
            block.body_len += grown;
            block.records += 1;
            self.end += size;
            return position;
        }
        let block = align_up(self.end, BLOCK_ALIGN);
        self.blocks.push(BlockPlan {
            position: block,
            body_len: grown,
            records: 1,
        });
        self.end = block + BLOCK_HEADER + size;
        block + BLOCK_HEADER
    }
}

/// A block is closed by a record that does not fit, so it is more than this full.
const FILL: u64 = BLOCK_MAX - BLOCK_HEADER - RECORD_HEADER - PAYLOAD_MAX as u64;
/// Most bytes that a new block takes beside its records.
const BLOCK_COST: u64 = BLOCK_HEADER + BLOCK_ALIGN - 1;

/// Bytes of encoded records for which `log` bytes of log are enough, however they lie.
pub(crate) fn within(log: u64) -> u64 {
    log.saturating_sub((log / FILL + 1) * BLOCK_COST)
}

/// Most payload bytes that `records` records may have in all so that [`worst_case`] is at most `log`.
pub(crate) fn most_payload(log: u64, records: u64) -> u64 {
    let encoded = within(log).saturating_sub(records.saturating_mul(RECORD_HEADER + 7));
    encoded - encoded / (PAYLOAD_MAX as u64 / (RECORD_HEADER + 8))
}

/// Most bytes of log that `records` records with `bytes` of payload in all can add to a commit.
pub(crate) fn worst_case(bytes: u64, records: u64) -> u64 {
    // A record longer than a chunk is cut; each piece has a header and padding of its own.
    let pieces = records.saturating_add(bytes / PAYLOAD_MAX as u64);
    let encoded = pieces
        .saturating_mul(RECORD_HEADER + 7)
        .saturating_add(bytes);
    let blocks = encoded / FILL + 1;
    encoded.saturating_add(blocks.saturating_mul(BLOCK_COST))
}
