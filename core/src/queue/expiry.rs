//! Time to live: looked at when a message is handed out and when its deadline has come.

use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use crate::broker::{Broker, Pass};
use crate::deadline::Deadline;
use crate::effect::MoveReason;
use crate::ids::QueueId;
use crate::message::Run;
use crate::queue::Piece;
use crate::queue::block::MOVED;

/// Deadlines of messages are as exact as this many bits of their wait.
const GRAIN_BITS: u32 = 10;

impl Broker {
    /// Sets the deadline of messages just put into a queue.
    pub(crate) fn watch_expiry(&mut self, id: QueueId, sequence: u64, count: u32, run: &Run) {
        let expires = run.envelope.expires_ms;
        if expires == 0 {
            return;
        }
        let wait = expires.saturating_sub(self.now.wall_ms);
        let end = sequence + u64::from(count);
        self.watch_range(
            id,
            self.now.mono_ms.saturating_add(wait),
            wait,
            sequence..end,
        );
    }

    /// Has a range of a queue looked at when `due_ms` has come, later by up to a five-hundredth of
    /// `wait_ms`: so many messages share few deadlines, also when they are settled long before.
    fn watch_range(&mut self, id: QueueId, due_ms: u64, wait_ms: u64, range: Range<u64>) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let grain = (wait_ms >> GRAIN_BITS).next_power_of_two();
        let due_ms = due_ms.checked_next_multiple_of(grain).unwrap_or(u64::MAX);
        match queue.expiries.entry(due_ms) {
            Entry::Occupied(mut entry) => {
                let all = &mut entry.get_mut().0;
                *all = all.start.min(range.start)..all.end.max(range.end);
            }
            Entry::Vacant(entry) => {
                let deadline = Deadline::Expire { queue: id, due_ms };
                entry.insert((range, self.deadlines.set(due_ms, deadline)));
            }
        }
    }

    /// Messages that come back may have outlived their deadline: it is set again.
    pub(crate) fn watch_return(&mut self, id: QueueId, piece: Piece) {
        let over = self.is_over(piece);
        if let Some(run) = self.store.run(piece.run).filter(|_| over).map(Arc::clone) {
            self.watch_expiry(id, piece.sequence, piece.count, &run);
        }
    }

    fn is_over(&self, piece: Piece) -> bool {
        piece.flags & MOVED == 0
            && self.store.run(piece.run).is_some_and(|run| {
                run.envelope.expires_ms != 0 && run.envelope.expires_ms <= self.now.wall_ms
            })
    }

    /// Moves a piece that is about to be handed out if its time is over.
    pub(crate) fn expire_if_due(&mut self, id: QueueId, piece: Piece, pass: &mut Pass<'_>) -> bool {
        let due = self.is_over(piece);
        if due {
            let count = pass.spend(piece.count);
            self.expire_piece(id, Piece { count, ..piece }, pass);
        }
        due
    }

    /// A deadline has come: whatever of its range is available and over is moved. What is out is
    /// looked at again when it comes back.
    pub(crate) fn expire(&mut self, id: QueueId, due_ms: u64, pass: &mut Pass<'_>) {
        let queue = self.queues.get_mut(&id);
        let Some((range, _)) = queue.and_then(|queue| queue.expiries.remove(&due_ms)) else {
            return;
        };
        let mut next = range.start;
        while let Some(queue) = self.queues.get(&id)
            && let Some(mut piece) = queue.index.next(next, pass.units().max(1))
            && piece.sequence < range.end
        {
            let left = u32::try_from(range.end - piece.sequence).unwrap_or(u32::MAX);
            piece.count = piece.count.min(left);
            let part = queue.available_part(piece);
            let over = part.is_some_and(|piece| self.is_over(piece));
            let count = part.map_or(1, |piece| piece.count);
            if pass.spend(count) < count || (over && pass.steps(1) == 0) {
                return self.watch_range(id, self.now.mono_ms, 0, piece.sequence..range.end);
            }
            next = piece.sequence + u64::from(count);
            match part {
                Some(piece) if over => self.expire_piece(id, piece, pass),
                // The wall clock may lag or have been set since (law L17), or the deadline was
                // another's: it waits for its own time.
                Some(piece) if piece.flags & MOVED == 0 => {
                    if let Some(run) = self.store.run(piece.run).map(Arc::clone) {
                        self.watch_expiry(id, piece.sequence, piece.count, &run);
                    }
                }
                _ => {}
            }
        }
    }

    fn expire_piece(&mut self, id: QueueId, piece: Piece, pass: &mut Pass<'_>) {
        let Some(queue) = self.queues.get_mut(&id).filter(|_| piece.count > 0) else {
            return;
        };
        queue.take_out(piece.sequence, piece.count);
        self.counts.expired += u64::from(piece.count);
        let target = queue.settings.expiry_address.clone();
        self.move_messages(id, piece, target.as_deref(), MoveReason::Expired, pass);
    }
}
