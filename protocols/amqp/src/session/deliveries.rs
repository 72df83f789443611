//! Deliveries of one direction of a session that are not settled, by their ids.
//!
//! Ids are serial numbers of 32 bits (RFC 1982); inside they have 64 and never wrap. Consecutive
//! deliveries of a link are one piece, so that a range costs as many steps as it meets pieces,
//! however wide it is.

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
    /// By the first delivery of each.
    pieces: BTreeMap<u64, Piece>,
    unsettled: u32,
}

/// Lets ids begin anywhere and go back half the circle without an underflow.
const BASE: u64 = 1 << 32;

impl Deliveries {
    /// None; the next has this id.
    pub(crate) fn new(next: u32) -> Self {
        Self {
            next: BASE + u64::from(next),
            pieces: BTreeMap::new(),
            unsettled: 0,
        }
    }

    /// The id of the next delivery.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    pub(crate) fn next_id(&self) -> u32 {
        self.next as u32
    }

    /// The number inside of the newest delivery.
    pub(crate) fn newest(&self) -> u64 {
        self.next - 1
    }

    /// The first unsettled delivery from `from` on and before `end`, by the numbers inside.
    pub(crate) fn first_open(&self, from: u64, end: u64) -> Option<u64> {
        let before = self.pieces.range(..=from).next_back();
        if before.is_some_and(|(at, piece)| at + u64::from(piece.n) > from) {
            return Some(from).filter(|from| *from < end);
        }
        let behind = self.pieces.range(from..).next();
        behind.map(|(at, _)| *at).filter(|at| *at < end)
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
        let at = self.next;
        self.unsettled += 1;
        if let Some(mut last) = self.pieces.last_entry() {
            let (first, piece) = (*last.key(), last.get_mut());
            let goes_on = first + u64::from(piece.n) == at
                && piece.handle == handle
                && piece.tag.wrapping_add(piece.n.into()) == tag;
            if goes_on {
                piece.n += 1;
                return self.pass();
            }
        }
        self.pieces.insert(at, Piece { handle, tag, n: 1 });
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

    /// The first unsettled part of the deliveries from `first` to `last`, of one link.
    pub(crate) fn find(&self, first: u32, last: u32) -> Option<Found> {
        let from = self.inside(first);
        let end = from + u64::from(last.wrapping_sub(first)) + 1;
        let before = self.pieces.range(..=from).next_back();
        let before = before.filter(|(at, piece)| **at + u64::from(piece.n) > from);
        let (&at, piece) = before.or_else(|| self.pieces.range(from..end).next())?;
        let skipped = from.saturating_sub(at);
        let start = at + skipped;
        let n = (at + u64::from(piece.n)).min(end) - start;
        Some(Found {
            first: id_of(start),
            piece: Piece {
                tag: piece.tag.wrapping_add(skipped),
                n: u32::try_from(n).unwrap_or(u32::MAX),
                ..*piece
            },
        })
    }

    /// Takes a part that was found.
    pub(crate) fn take(&mut self, found: &Found) {
        let start = self.inside(found.first);
        let Some((&at, &piece)) = self.pieces.range(..=start).next_back() else {
            return;
        };
        let (end, piece_end) = (start + u64::from(found.piece.n), at + u64::from(piece.n));
        if piece_end < end {
            return;
        }
        self.pieces.remove(&at);
        self.unsettled = self.unsettled.saturating_sub(found.piece.n);
        let part = |from: u64, to: u64| Piece {
            tag: piece.tag.wrapping_add(from - at),
            n: u32::try_from(to - from).unwrap_or(u32::MAX),
            ..piece
        };
        if at < start {
            self.pieces.insert(at, part(at, start));
        }
        if end < piece_end {
            self.pieces.insert(end, part(end, piece_end));
        }
    }

    /// Takes everything of a link.
    pub(crate) fn forget(&mut self, handle: u32) {
        let unsettled = &mut self.unsettled;
        self.pieces.retain(|_, piece| {
            let keep = piece.handle != handle;
            if !keep {
                *unsettled = unsettled.saturating_sub(piece.n);
            }
            keep
        });
    }
}

/// The id of a number inside.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn id_of(inside: u64) -> u32 {
    inside as u32
}
