//! Deliveries of one direction of a session that are not settled, by their ids.
//!
//! Ids are serial numbers of 32 bits (RFC 1982); inside they have 64 and never wrap. Consecutive
//! deliveries of a link are one piece, so that a range costs as many steps as it meets pieces,
//! however wide it is. What an outcome was told of is kept apart until it is settled: to tell it
//! again, as often as a peer may like to, costs nothing.

use std::collections::BTreeMap;

/// Consecutive deliveries of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The link's handle on our side.
    pub(crate) handle: u32,
    /// What the caller calls the first; the others follow.
    pub(crate) tag: u64,
    /// How many.
    pub(crate) n: u32,
}

/// A part of the unsettled deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Id of the first.
    pub(crate) first: u32,
    pub(crate) piece: Piece,
}

/// The unsettled deliveries of one direction.
#[derive(Debug)]
pub(crate) struct Deliveries {
    /// The next delivery; its lower half is its id.
    next: u64,
    open: Pieces,
    /// Those whose outcome the peer has told.
    told: Pieces,
    unsettled: u32,
}

/// Pieces, by the first delivery of each.
#[derive(Debug, Default)]
struct Pieces(BTreeMap<u64, Piece>);

/// Lets ids begin anywhere and go back half the circle without an underflow.
const BASE: u64 = 1 << 32;

impl Piece {
    /// Its deliveries from the one that is `skipped` behind its first.
    fn part(self, skipped: u64, n: u64) -> Self {
        Self {
            tag: self.tag.wrapping_add(skipped),
            n: u32::try_from(n).unwrap_or(u32::MAX),
            ..self
        }
    }
}

impl Pieces {
    /// Adds a piece behind all others, to the last one if it goes on with that.
    fn push(&mut self, at: u64, piece: Piece) {
        if let Some(mut entry) = self.0.last_entry() {
            let (first, last) = (*entry.key(), entry.get_mut());
            let goes_on = first + u64::from(last.n) == at
                && last.handle == piece.handle
                && last.tag.wrapping_add(last.n.into()) == piece.tag;
            if goes_on {
                last.n += piece.n;
                return;
            }
        }
        self.0.insert(at, piece);
    }

    /// The first part that is from `from` on and before `end`, of one link.
    fn find(&self, from: u64, end: u64) -> Option<(u64, Piece)> {
        let before = self.0.range(..=from).next_back();
        let before = before.filter(|(at, piece)| **at + u64::from(piece.n) > from);
        let (&at, &piece) = before.or_else(|| self.0.range(from..end).next())?;
        let start = at.max(from);
        let n = (at + u64::from(piece.n)).min(end).checked_sub(start)?;
        (n > 0).then(|| (start, piece.part(start - at, n)))
    }

    /// Takes so many from `start` on, if one piece has them.
    fn take(&mut self, start: u64, n: u32) -> Option<Piece> {
        let (&at, &piece) = self.0.range(..=start).next_back()?;
        let (end, piece_end) = (start + u64::from(n), at + u64::from(piece.n));
        if piece_end < end {
            return None;
        }
        self.0.remove(&at);
        if at < start {
            self.0.insert(at, piece.part(0, start - at));
        }
        if end < piece_end {
            self.0.insert(end, piece.part(end - at, piece_end - end));
        }
        Some(piece.part(start - at, n.into()))
    }

    /// Takes everything of a link; how many that was.
    fn forget(&mut self, handle: u32) -> u32 {
        let mut forgotten = 0;
        self.0.retain(|_, piece| {
            let keep = piece.handle != handle;
            forgotten += if keep { 0 } else { piece.n };
            keep
        });
        forgotten
    }
}

impl Deliveries {
    /// None; the next has this id.
    pub(crate) fn new(next: u32) -> Self {
        Self {
            next: BASE + u64::from(next),
            open: Pieces::default(),
            told: Pieces::default(),
            unsettled: 0,
        }
    }

    /// The id of the next delivery.
    pub(crate) fn next_id(&self) -> u32 {
        id_of(self.next)
    }

    /// The number inside of the newest delivery.
    pub(crate) fn newest(&self) -> u64 {
        self.next - 1
    }

    /// The first unsettled delivery from `from` on and before `end`, by the numbers inside.
    pub(crate) fn first_open(&self, from: u64, end: u64) -> Option<u64> {
        self.first_part(from, end).map(|(at, _)| at)
    }

    /// How many are unsettled.
    pub(crate) fn unsettled(&self) -> u32 {
        self.unsettled
    }

    /// Notes a delivery that is settled from the begin.
    pub(crate) fn pass(&mut self) -> u32 {
        let id = self.next_id();
        self.next += 1;
        id
    }

    /// Notes a delivery; gives its id.
    pub(crate) fn push(&mut self, handle: u32, tag: u64) -> u32 {
        self.unsettled += 1;
        self.open.push(self.next, Piece { handle, tag, n: 1 });
        self.pass()
    }

    /// The number inside of an id: that of the nearest delivery before the next one.
    fn inside(&self, id: u32) -> u64 {
        let back = self.next_id().wrapping_sub(id);
        if back > u32::MAX / 2 {
            // It is still to come.
            return self.next + u64::from(id.wrapping_sub(self.next_id()));
        }
        self.next - u64::from(back)
    }

    /// The numbers inside of the ids from `first` to `last`, and of the one behind them.
    fn range(&self, first: u32, last: u32) -> (u64, u64) {
        let from = self.inside(first);
        (from, from + u64::from(last.wrapping_sub(first)) + 1)
    }

    fn first_part(&self, from: u64, end: u64) -> Option<(u64, Piece)> {
        let parts = [self.open.find(from, end), self.told.find(from, end)];
        parts.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The first unsettled part of the deliveries from `first` to `last`, of one link.
    pub(crate) fn find(&self, first: u32, last: u32) -> Option<Found> {
        let (from, end) = self.range(first, last);
        self.first_part(from, end).map(Found::new)
    }

    /// The same of those whose outcome has not been told; it has been from now on.
    pub(crate) fn tell(&mut self, first: u32, last: u32) -> Option<Found> {
        let (from, end) = self.range(first, last);
        let (start, piece) = self.open.find(from, end)?;
        self.open.take(start, piece.n);
        self.told.0.insert(start, piece);
        Some(Found::new((start, piece)))
    }

    /// Takes a part that was found.
    pub(crate) fn take(&mut self, found: &Found) {
        let (start, n) = (self.inside(found.first), found.piece.n);
        let taken = self.open.take(start, n);
        if taken.or_else(|| self.told.take(start, n)).is_some() {
            self.unsettled = self.unsettled.saturating_sub(n);
        }
    }

    /// Takes everything of a link.
    pub(crate) fn forget(&mut self, handle: u32) {
        let forgotten = self.open.forget(handle) + self.told.forget(handle);
        self.unsettled = self.unsettled.saturating_sub(forgotten);
    }
}

impl Found {
    fn new((at, piece): (u64, Piece)) -> Self {
        let first = id_of(at);
        Self { first, piece }
    }
}

/// The id of a number inside.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn id_of(inside: u64) -> u32 {
    inside as u32
}
