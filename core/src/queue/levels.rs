//! Messages of another priority than the normal one: they leave the line of their queue.
//!
//! Sequence stays the order of a queue (law L5), and what is of normal priority is handed out along
//! it. Others are available in ranges, by priority and then by sequence: those of a higher priority
//! come before the line, those of a lower one behind it (law L2). A queue that never had one takes
//! no notice. The priority is in the flags of the entry, so it is known wherever a piece is.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::queue::{Piece, Queue};
use crate::store::RunRef;

/// Where an entry's flags have the priority: 0 is the normal one, else it is one less.
pub(crate) const PRIORITY: u16 = 0xf << PRIORITY_SHIFT;
const PRIORITY_SHIFT: u32 = 6;
const NORMAL_PRIORITY: u8 = 4;
const HIGHEST_PRIORITY: u8 = 9;

/// The flags of a priority.
pub(crate) fn priority_flags(priority: u8) -> u16 {
    match priority {
        NORMAL_PRIORITY => 0,
        other => (u16::from(other.min(HIGHEST_PRIORITY)) + 1) << PRIORITY_SHIFT,
    }
}

/// Which messages come first: the lower rank.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Rank(u8);

impl Rank {
    const NORMAL: Self = Self(HIGHEST_PRIORITY - NORMAL_PRIORITY);
    /// Behind every message.
    pub(crate) const LAST: Self = Self(u8::MAX);

    fn of(flags: u16) -> Self {
        match (flags & PRIORITY) >> PRIORITY_SHIFT {
            0 => Self::NORMAL,
            more => Self(HIGHEST_PRIORITY.saturating_sub(u8::try_from(more - 1).unwrap_or(0))),
        }
    }
}

impl Piece {
    /// Where it stands by its priority.
    pub(crate) fn rank(&self) -> Rank {
        Rank::of(self.flags)
    }

    /// Whether it stands in the line.
    pub(crate) fn is_normal(&self) -> bool {
        self.flags & PRIORITY == 0
    }
}

/// Available messages beside the line.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    /// The end and the rank of each range, by its first message. Neighbours of one rank are one.
    ranges: BTreeMap<u64, (u64, Rank)>,
    /// The same in the order in which they come.
    order: BTreeSet<(Rank, u64)>,
}

impl Levels {
    pub(crate) fn insert(&mut self, mut range: Range<u64>, rank: Rank) {
        let before = self.ranges.range(..range.start).next_back();
        if let Some((&start, _)) = before.filter(|(_, found)| **found == (range.start, rank)) {
            self.drop_range(start);
            range.start = start;
        }
        if let Some(&(end, found)) = self.ranges.get(&range.end)
            && found == rank
        {
            self.drop_range(range.end);
            range.end = end;
        }
        self.ranges.insert(range.start, (range.end, rank));
        self.order.insert((rank, range.start));
    }

    /// Takes messages out, those of them that are in; whether there was one.
    pub(crate) fn remove(&mut self, range: Range<u64>) -> bool {
        let mut found = false;
        while let Some((start, end, rank)) = self.overlapping(&range) {
            found = true;
            self.drop_range(start);
            if start < range.start {
                self.insert(start..range.start, rank);
            }
            if end > range.end {
                self.insert(range.end..end, rank);
            }
        }
        found
    }

    fn drop_range(&mut self, start: u64) {
        if let Some((_, rank)) = self.ranges.remove(&start) {
            self.order.remove(&(rank, start));
        }
    }

    fn overlapping(&self, range: &Range<u64>) -> Option<(u64, u64, Rank)> {
        let (&start, &(end, rank)) = self.ranges.range(..range.end).next_back()?;
        (end > range.start).then_some((start, end, rank))
    }

    /// The end of the range that a message is in.
    pub(crate) fn end_of(&self, sequence: u64) -> Option<u64> {
        let (_, &(end, _)) = self.ranges.range(..=sequence).next_back()?;
        (end > sequence).then_some(end)
    }

    /// The first message at or above `sequence`.
    fn from(&self, sequence: u64) -> Option<u64> {
        if self.end_of(sequence).is_some() {
            return Some(sequence);
        }
        self.ranges
            .range(sequence..)
            .next()
            .map(|(start, _)| *start)
    }

    /// The first one that comes before the line.
    fn before_line(&self) -> Option<u64> {
        let (rank, start) = self.order.first()?;
        (*rank < Rank::NORMAL).then_some(*start)
    }

    /// The first one that comes behind it.
    fn behind_line(&self) -> Option<u64> {
        let (rank, start) = self.order.range((Rank::NORMAL, 0)..).next()?;
        (*rank > Rank::NORMAL).then_some(*start)
    }

    /// Where the ranges begin.
    #[cfg(test)]
    pub(crate) fn starts(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.keys().copied()
    }
}

impl Queue {
    /// Puts messages behind all others; they are available.
    pub(crate) fn append(&mut self, sequence: u64, count: u32, part: (RunRef, u32), flags: u16) {
        let (run, first) = part;
        self.index.push(sequence, count, run, first, flags);
        if flags & PRIORITY != 0 {
            let range = sequence..sequence + u64::from(count);
            self.uncommon_mut().levels.insert(range, Rank::of(flags));
        }
    }

    pub(crate) fn first_before_line(&self) -> Option<u64> {
        self.uncommon.as_ref()?.levels.before_line()
    }

    pub(crate) fn first_behind_line(&self) -> Option<u64> {
        self.uncommon.as_ref()?.levels.behind_line()
    }

    /// The first message beside the line at or above `sequence`.
    pub(crate) fn beside_line(&self, sequence: u64) -> Option<u64> {
        self.uncommon.as_ref()?.levels.from(sequence)
    }

    /// The available piece beside the line that begins at `sequence`.
    pub(crate) fn level_piece(&self, sequence: u64, max: u32) -> Option<Piece> {
        let end = self.uncommon.as_ref()?.levels.end_of(sequence)?;
        let left = u32::try_from(end - sequence).unwrap_or(u32::MAX);
        self.index.piece(sequence, max.min(left))
    }

    /// Where the line goes on behind a piece that does not stand in it.
    pub(crate) fn past(&self, piece: Piece) -> u64 {
        let levels = self.uncommon.as_ref().map(|uncommon| &uncommon.levels);
        let end = levels.and_then(|levels| levels.end_of(piece.sequence));
        end.unwrap_or(piece.sequence + u64::from(piece.count))
    }

    /// A message is available again, at its place.
    pub(crate) fn reinstate(&mut self, sequence: u64) {
        let piece = match &self.uncommon {
            Some(_) => self.index.piece(sequence, 1),
            None => None,
        };
        match piece.filter(|piece| !piece.is_normal()) {
            Some(piece) => {
                let levels = &mut self.uncommon_mut().levels;
                levels.insert(sequence..sequence + 1, piece.rank());
            }
            None => {
                self.returned.insert(sequence);
            }
        }
    }

    /// Takes messages beside the line; whether there were any.
    pub(crate) fn take_beside(&mut self, messages: Range<u64>) -> bool {
        let uncommon = self.uncommon.as_mut();
        uncommon.is_some_and(|uncommon| uncommon.levels.remove(messages))
    }
}
