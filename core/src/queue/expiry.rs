//! Time to live: looked at when a message is handed out and when its deadline has come.

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

    /// Moves a piece that is about to be handed out if its time is over.
    pub(crate) fn expire_if_due(&mut self, id: QueueId, piece: Piece, pass: &mut Pass<'_>) -> bool {
        let due = piece.flags & MOVED == 0
            && self.store.run(piece.run).is_some_and(|run| {
                run.envelope.expires_ms != 0 && run.envelope.expires_ms <= self.now.wall_ms
            });
        if due {
            for sequence in piece.sequence..piece.sequence + u64::from(pass.spend(piece.count)) {
                self.expire_one(id, sequence, pass);
            }
        }
        due
    }

    /// A deadline has come: whatever of these messages is still available is moved. What is out
    /// is looked at again when it comes back.
    pub(crate) fn expire(&mut self, id: QueueId, sequence: u64, count: u32, pass: &mut Pass<'_>) {
        let done = pass.spend(count);
        for sequence in sequence..sequence + u64::from(done) {
            let Some(queue) = self.queues.get(&id) else {
                return;
            };
            if queue.is_available(sequence) && queue.index.piece(sequence, 1).is_some() {
                self.expire_one(id, sequence, pass);
            }
        }
        if done < count {
            let (sequence, count) = (sequence + u64::from(done), count - done);
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

    fn expire_one(&mut self, id: QueueId, sequence: u64, pass: &mut Pass<'_>) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.take_one(sequence);
        }
        self.counts.expired += 1;
        let target = self
            .queues
            .get(&id)
            .and_then(|queue| queue.settings.expiry_address.clone());
        self.move_message(id, sequence, target.as_deref(), MoveReason::Expired, pass);
    }
}
