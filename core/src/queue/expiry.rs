//! Time to live: looked at when a message is handed out and when its deadline has come.

use std::sync::Arc;

use crate::broker::{Broker, Pass};
use crate::deadline::Deadline;
use crate::effect::MoveReason;
use crate::ids::QueueId;
use crate::message::Run;
use crate::queue::Piece;
use crate::queue::block::MOVED;

impl Broker {
    /// Sets the deadline of messages just put into a queue.
    pub(crate) fn watch_expiry(&mut self, id: QueueId, sequence: u64, count: u32, run: &Run) {
        let expires = run.envelope.expires_ms;
        if expires == 0 {
            return;
        }
        let wait = expires.saturating_sub(self.now.wall_ms);
        let due = self.now.mono_ms.saturating_add(wait);
        self.deadlines.set(
            due,
            Deadline::Expire {
                queue: id,
                sequence,
                count,
            },
        );
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

    /// A deadline has come: whatever of these messages is still available is moved. What is out
    /// is looked at again when it comes back.
    pub(crate) fn expire(&mut self, id: QueueId, sequence: u64, count: u32, pass: &mut Pass<'_>) {
        let done = pass.spend(count);
        let mut end = sequence + u64::from(done);
        let mut next = sequence;
        while let Some(queue) = self.queues.get(&id)
            && let Some(mut piece) = queue.index.next(next, done)
            && piece.sequence < end
        {
            let left = u32::try_from(end - piece.sequence).unwrap_or(u32::MAX);
            piece.count = piece.count.min(left);
            match queue.available_part(piece) {
                // The wall clock may lag or have been set since: only what is over goes (law L17),
                // the rest waits for its time.
                Some(piece) if self.is_over(piece) => {
                    if pass.steps(1) == 0 {
                        end = next;
                        break;
                    }
                    next = piece.sequence + u64::from(piece.count);
                    self.expire_piece(id, piece, pass);
                }
                Some(piece) => {
                    next = piece.sequence + u64::from(piece.count);
                    let run = self.store.run(piece.run).map(Arc::clone);
                    if let Some(run) = run.filter(|_| piece.flags & MOVED == 0) {
                        self.watch_expiry(id, piece.sequence, piece.count, &run);
                    }
                }
                None => next = piece.sequence + 1,
            }
        }
        let done = end - sequence;
        if done < u64::from(count) {
            let left = u64::from(count) - done;
            let (sequence, count) = (end, u32::try_from(left).unwrap_or(u32::MAX));
            let due = self.now.mono_ms;
            self.deadlines.set(
                due,
                Deadline::Expire {
                    queue: id,
                    sequence,
                    count,
                },
            );
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
