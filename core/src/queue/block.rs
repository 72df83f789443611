//! The index of a queue: blocks of up to 4,096 consecutive sequences, 12 bytes per run of messages,
//! and which of them are settled. No map per message.

use std::collections::VecDeque;

use crate::store::RunRef;

/// Messages of one block.
pub(crate) const BLOCK_MESSAGES: u16 = 4_096;

/// Consecutive messages of one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Offset of the first within the block.
    start: u16,
    /// How many.
    count: u16,
    /// Of this run.
    pub(crate) run: RunRef,
    /// First message within the run.
    pub(crate) first: u16,
    /// [`RETAINED`], [`MOVED`], [`JOURNALLED`].
    pub(crate) flags: u16,
}

/// The message comes because of a new subscription.
pub(crate) const RETAINED: u16 = 1;
/// The message was moved here: its time to live is over (law L15).
pub(crate) const MOVED: u16 = 2;
/// A record names the message in this queue, so its settlement is written down too (laws L5, L9).
pub(crate) const JOURNALLED: u16 = 4;

/// A piece of a queue: consecutive sequences of one entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    /// Sequence of the first message.
    pub(crate) sequence: u64,
    /// How many.
    pub(crate) count: u32,
    /// Of this run.
    pub(crate) run: RunRef,
    /// First message within the run.
    pub(crate) first: u32,
    /// Flags of the entry.
    pub(crate) flags: u16,
}

impl Piece {
    /// One message of it.
    pub(crate) fn one(&self, offset: u32) -> Self {
        Self {
            sequence: self.sequence + u64::from(offset),
            count: 1,
            first: self.first + offset,
            ..*self
        }
    }
}

#[derive(Debug, Default)]
struct Block {
    base: u64,
    /// Sequences covered.
    len: u16,
    /// Of these, not settled.
    live: u16,
    /// All offsets below are settled.
    prefix: u16,
    entries: Vec<Entry>,
    /// Settled out of order.
    bits: Option<Box<[u64; 64]>>,
}

/// All blocks of one queue.
#[derive(Debug, Default)]
pub(crate) struct Index {
    blocks: VecDeque<Block>,
    spare: Vec<Entry>,
    live: u64,
}

impl Block {
    /// Lets go of everything but the sequences it covers.
    fn empty(&mut self) {
        self.prefix = self.len;
        self.entries = Vec::new();
        self.bits = None;
    }

    fn settled(&self, offset: u16) -> bool {
        offset < self.prefix || self.bit(offset)
    }

    fn settle(&mut self, offset: u16) -> bool {
        if self.settled(offset) {
            return false;
        }
        if offset == self.prefix {
            self.prefix += 1;
            while self.bits.is_some() && self.prefix < self.len && self.bit(self.prefix) {
                self.prefix += 1;
            }
        } else {
            let bits = self.bits.get_or_insert_with(|| Box::new([0; 64]));
            if let Some(word) = bits.get_mut(usize::from(offset / 64)) {
                *word |= 1 << (offset % 64);
            }
        }
        self.live -= 1;
        true
    }

    fn bit(&self, offset: u16) -> bool {
        self.bits.as_ref().is_some_and(|bits| {
            bits.get(usize::from(offset / 64))
                .is_some_and(|w| w >> (offset % 64) & 1 == 1)
        })
    }

    fn entry(&self, offset: u16) -> Option<&Entry> {
        let index = self
            .entries
            .partition_point(|entry| entry.start <= offset)
            .checked_sub(1)?;
        self.entries
            .get(index)
            .filter(|entry| offset - entry.start < entry.count)
    }

    fn piece(&self, offset: u16, max: u32) -> Option<Piece> {
        let entry = self.entry(offset)?;
        let skip = offset - entry.start;
        let room = u32::from(entry.count - skip).min(max);
        let mut count = 1;
        // Without bits everything from the prefix on is live.
        if self.bits.is_none() {
            count = room;
        } else {
            while count < room && !self.settled(offset + u16::try_from(count).unwrap_or(0)) {
                count += 1;
            }
        }
        Some(Piece {
            sequence: self.base + u64::from(offset),
            count,
            run: entry.run,
            first: u32::from(entry.first) + u32::from(skip),
            flags: entry.flags,
        })
    }
}

impl Index {
    /// Messages not settled.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// Entries kept.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.blocks.iter().map(|block| block.entries.len()).sum()
    }

    /// Appends `count` messages of a run from `sequence` on, which is above all that came before.
    pub(crate) fn push(&mut self, sequence: u64, count: u32, run: RunRef, first: u32, flags: u16) {
        let (mut sequence, mut first, mut left) = (sequence, first, count);
        while left > 0 {
            let block = self.block_for(sequence);
            let offset = u16::try_from(sequence - block.base).unwrap_or(BLOCK_MESSAGES - 1);
            let n = left.min(u32::from(BLOCK_MESSAGES - offset));
            let n16 = u16::try_from(n).unwrap_or(BLOCK_MESSAGES);
            // A gap (recovery: settled or transient messages) is settled from the start.
            for gap in block.len..offset {
                block.live += 1;
                block.len = gap + 1;
                block.settle(gap);
            }
            block.entries.push(Entry {
                start: offset,
                count: n16,
                run,
                first: u16::try_from(first).unwrap_or(u16::MAX),
                flags,
            });
            block.len = offset + n16;
            block.live += n16;
            self.live += u64::from(n);
            sequence += u64::from(n);
            first += n;
            left -= n;
        }
    }

    fn block_for(&mut self, sequence: u64) -> &mut Block {
        let fits = self
            .blocks
            .back()
            .is_some_and(|block| sequence < block.base + u64::from(BLOCK_MESSAGES));
        if !fits {
            if let Some(block) = self.blocks.back_mut().filter(|block| block.live == 0) {
                block.empty();
            }
            let entries = std::mem::take(&mut self.spare);
            self.blocks.push_back(Block {
                base: sequence,
                entries,
                ..Block::default()
            });
        }
        // There is a block: it was there or has just been pushed.
        let last = self.blocks.len() - 1;
        &mut self.blocks[last]
    }

    fn find(&self, sequence: u64) -> Option<usize> {
        if let Some(front) = self.blocks.front()
            && sequence.checked_sub(front.base)? < u64::from(front.len)
        {
            return Some(0);
        }
        let index = self
            .blocks
            .partition_point(|block| block.base <= sequence)
            .checked_sub(1)?;
        let block = self.blocks.get(index)?;
        (sequence - block.base < u64::from(block.len)).then_some(index)
    }

    /// The unsettled piece at `sequence`, at most `max` messages; `None` if it is settled or unknown.
    pub(crate) fn piece(&self, sequence: u64, max: u32) -> Option<Piece> {
        let block = self.blocks.get(self.find(sequence)?)?;
        let offset = u16::try_from(sequence - block.base).ok()?;
        if block.settled(offset) {
            return None;
        }
        block.piece(offset, max)
    }

    /// The first unsettled piece at or above `sequence`.
    pub(crate) fn next(&self, sequence: u64, max: u32) -> Option<Piece> {
        let at = match self.find(sequence) {
            Some(index) => index,
            None => self.blocks.partition_point(|block| block.base <= sequence),
        };
        for block in self.blocks.range(at..) {
            if block.live == 0 {
                continue;
            }
            let from = sequence
                .saturating_sub(block.base)
                .max(u64::from(block.prefix));
            let from = u16::try_from(from).unwrap_or(BLOCK_MESSAGES);
            if let Some(offset) = (from..block.len).find(|&offset| !block.settled(offset)) {
                return block.piece(offset, max);
            }
        }
        None
    }

    /// Settles a piece that is known to be unsettled as a whole.
    pub(crate) fn settle_piece(&mut self, sequence: u64, count: u32) {
        let Some(block) = self
            .find(sequence)
            .and_then(|index| self.blocks.get_mut(index))
        else {
            return;
        };
        let (Ok(offset), Ok(n)) = (u16::try_from(sequence - block.base), u16::try_from(count))
        else {
            return;
        };
        if offset == block.prefix && block.bits.is_none() {
            block.prefix += n;
            block.live -= n;
            self.live -= u64::from(count);
        } else {
            let settled = (offset..offset + n).filter(|&offset| block.settle(offset));
            self.live -= settled.count() as u64;
        }
        if block.live == 0 {
            self.emptied(sequence);
        }
    }

    /// A block has nothing alive any more. One behind the front stays as a stub, so that a message
    /// that nobody settles does not keep the entries of all that came after it.
    fn emptied(&mut self, sequence: u64) {
        let last = self.blocks.len().saturating_sub(1);
        if let Some(at) = self.find(sequence).filter(|&at| at > 0 && at < last)
            && let Some(block) = self.blocks.get_mut(at)
        {
            block.empty();
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.blocks.front().is_some_and(|block| block.live == 0) {
            if let Some(mut block) = self.blocks.pop_front()
                && self.spare.capacity() == 0
            {
                block.entries.clear();
                self.spare = block.entries;
            }
        }
        // Empty blocks in the middle go when the front reaches them; the last may be empty alone.
        if self.live == 0 {
            self.blocks.clear();
        }
    }
}
