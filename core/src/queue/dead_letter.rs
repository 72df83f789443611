//! Moves to the dead-letter and expiry addresses: one record, no copy of the body (law L15).

use std::sync::Arc;

use crate::address::{Address, QueueName};
use crate::broker::{Broker, Pass};
use crate::command::RoutingType;
use crate::dialect::Dialect;
use crate::effect::{MoveReason, Origin};
use crate::ids::QueueId;
use crate::queue::redelivery::write_count;
use crate::queue::{Count, JOURNALLED, MOVED, PRIORITY, Piece, Queue};
use crate::record::{self, MoveRecord};

impl Broker {
    /// Moves messages that nobody could process. What fails in its dead-letter queue stays there,
    /// with a new count, after the floor of law L11.
    pub(crate) fn dead_letter(
        &mut self,
        id: QueueId,
        piece: Piece,
        reason: MoveReason,
        pass: &mut Pass<'_>,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let target = queue.settings.dead_letter_address.clone();
        if target.as_deref() == Some(queue.address.as_str()) {
            for offset in 0..piece.count {
                queue.counts.remove(&(piece.sequence + u64::from(offset)));
            }
            if queue.durable && piece.flags & JOURNALLED != 0 {
                write_count(id, &piece, Count::default(), pass);
            }
            self.return_messages(id, piece.sequence, piece.count);
            self.pause_if_alone(id, piece.sequence, None);
            return;
        }
        self.counts.dead_lettered += u64::from(piece.count);
        self.move_messages(id, piece, target.as_deref(), reason, pass);
    }

    /// Takes messages out of one queue and puts them into the queue of `target`; drops them,
    /// counted, if there is no target.
    pub(crate) fn move_messages(
        &mut self,
        from: QueueId,
        piece: Piece,
        target: Option<&str>,
        reason: MoveReason,
        pass: &mut Pass<'_>,
    ) {
        let to = target.and_then(|name| self.move_target(name, pass));
        let Some(source) = self.queues.get(&from) else {
            return;
        };
        let origin = self.origin(source, piece.run, reason);
        let (Some(to), Some(origin)) = (to, origin) else {
            self.counts.dropped_no_address += u64::from(piece.count);
            self.settle_piece(from, piece, pass);
            return;
        };
        let left = source.durable && piece.flags & JOURNALLED != 0;
        let name = self.store.stored(piece.run).map_or(0, |stored| stored.name);
        let notes = self.notes_to_move((from, &piece), to, left, pass);
        let Some(queue) = self.queues.get_mut(&to) else {
            return;
        };
        let landed = queue.next;
        queue.next += u64::from(piece.count);
        let arrives = queue.durable && name != 0 && !cfg!(mutant = "move_without_target");
        let kept = piece.flags & PRIORITY;
        let flags = if arrives { MOVED | JOURNALLED } else { MOVED };
        queue.append(landed, piece.count, (piece.run, piece.first), flags | kept);
        for sequence in landed..queue.next {
            queue.origins.insert(sequence, Arc::clone(&origin));
        }
        if left || arrives {
            let record = MoveRecord {
                name,
                index: piece.first,
                count: piece.count,
                from: left.then_some((from, piece.sequence)),
                to: arrives.then_some((to, landed)),
                origin: &origin,
                flags: kept,
            };
            queue.moved_after = record::write_move(pass.log, &record) + 1;
        }
        self.put_notes(to, landed, notes);
        self.counts.messages += u64::from(piece.count);
        self.store.retain(piece.run, piece.first, piece.count);
        self.remove_messages(from, piece, pass);
        self.list(to);
    }

    fn origin(
        &self,
        source: &Queue,
        run: crate::store::RunRef,
        reason: MoveReason,
    ) -> Option<Arc<Origin>> {
        let run = self.store.run(run)?;
        Some(Arc::new(Origin {
            address: run.envelope.address.clone(),
            queue: source.name.clone(),
            reason,
            time_ms: self.now.wall_ms,
        }))
    }

    /// The anycast queue of a dead-letter or expiry address, made if it is missing.
    fn move_target(&mut self, name: &str, pass: &mut Pass<'_>) -> Option<QueueId> {
        let address = Address::parse(name, Dialect::Canonical, usize::MAX).ok()?;
        if let Some(queue) = self.next_anycast(&address) {
            return Some(queue);
        }
        let mut queue = QueueName::from(&address);
        if self.queue_names.contains_key(&queue) {
            queue = self.internal_names("$moved").ok()?.0; // A subscription has taken the name.
        }
        Some(self.create_queue(queue, &address, RoutingType::Anycast, true, false, pass))
    }
}
