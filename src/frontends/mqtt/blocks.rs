//! Where published messages are copied to, out of the read buffer (law L22): one exact-size block
//! per run, or per neighbouring small runs, so that messages of changing topics cost no allocation
//! and no look at the budget each.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use ternmq_mqtt::{Framed, frame};

use crate::engine::Link;

/// The longest block, in bytes, that runs share: it lives as long as any of them.
const SHARED_BYTES: usize = 4 << 10;

/// PUBLISH, QoS 0 or 1, not retained: the first byte without DUP. A retained value lives long and
/// has a block of its own.
const SHARING: [u8; 2] = [0x30, 0x32];
const DUP: u8 = 0x08;

/// The blocks of one read.
pub(super) struct Blocks<'a> {
    input: &'a [u8],
    max_packet_bytes: usize,
    /// Where the packets at hand begin; ranges count from here.
    at: usize,
    /// What of the input is in `block`.
    shared: Range<usize>,
    block: Bytes,
}

/// There is no memory for this many bytes; the link is woken when there is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoMemory(pub(super) usize);

impl<'a> Blocks<'a> {
    pub(super) fn new(input: &'a [u8], max_packet_bytes: usize) -> Self {
        Self {
            input,
            max_packet_bytes,
            at: 0,
            shared: 0..0,
            block: Bytes::new(),
        }
    }

    /// The packets at hand begin at `at` in the input.
    pub(super) fn begin_at(&mut self, at: usize) {
        self.at = at;
    }

    /// A place within the packets at hand, as one in the input.
    pub(super) fn offset(&self, within: usize) -> usize {
        self.at + within
    }

    /// The packets at `wanted`, in a block that small ones behind them share.
    ///
    /// # Errors
    /// Their publish must be parked (law L20).
    pub(super) fn shared(&mut self, wanted: Range<usize>, link: &Link) -> Result<Bytes, NoMemory> {
        let wanted = self.at + wanted.start..self.at + wanted.end;
        if self.shared.start <= wanted.start && wanted.end <= self.shared.end {
            let start = self.shared.start;
            return Ok(self.block.slice(wanted.start - start..wanted.end - start));
        }
        let end = self.shared_end(&wanted);
        let block = self.copy(wanted.start..end, link)?;
        if end == wanted.end {
            return Ok(block);
        }
        let bytes = block.slice(..wanted.len());
        (self.shared, self.block) = (wanted.start..end, block);
        Ok(bytes)
    }

    /// The packets at `wanted` in a block of their own.
    ///
    /// # Errors
    /// Their publish must be parked (law L20).
    pub(super) fn exact(&self, wanted: Range<usize>, link: &Link) -> Result<Bytes, NoMemory> {
        self.copy(self.at + wanted.start..self.at + wanted.end, link)
    }

    fn copy(&self, place: Range<usize>, link: &Link) -> Result<Bytes, NoMemory> {
        let bytes = self.input.get(place).unwrap_or_default();
        let charge = link.reserve(bytes.len()).ok_or(NoMemory(bytes.len()))?;
        Ok(link.block(charge, bytes))
    }

    /// Where a block ends that begins with the packets at `wanted`.
    fn shared_end(&self, wanted: &Range<usize>) -> usize {
        let mut end = wanted.end;
        let limit = wanted.start + SHARED_BYTES;
        while end < limit {
            let rest = self.input.get(end..).unwrap_or_default();
            if !rest
                .first()
                .is_some_and(|first| SHARING.contains(&(first & !DUP)))
            {
                break;
            }
            match frame(rest, self.max_packet_bytes) {
                Ok(Framed::Frame(next)) if end + next.bytes.len() <= limit => {
                    end += next.bytes.len();
                }
                _ => break,
            }
        }
        end
    }
}
