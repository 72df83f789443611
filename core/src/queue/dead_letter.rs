//! Moves to the dead-letter and expiry addresses: one record, no copy of the body (law L15).

use std::sync::Arc;

use crate::address::{Address, QueueName};
use crate::broker::{Broker, Pass};
use crate::command::RoutingType;
use crate::dialect::Dialect;
use crate::effect::{MoveReason, Origin};
use crate::ids::QueueId;
use crate::queue::Queue;
use crate::queue::block::MOVED;
use crate::record::{self, MoveRecord};

impl Broker {
    /// Moves a message that nobody could process. One that fails in its dead-letter queue stays
    /// there, with a new count.
    pub(crate) fn dead_letter(
        &mut self,
        id: QueueId,
        sequence: u64,
        reason: MoveReason,
        pass: &mut Pass<'_>,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let target = queue.settings.dead_letter_address.clone();
        if target.as_deref() == Some(queue.address.as_str()) {
            queue.counts.remove(&sequence);
            queue.returned.insert(sequence);
            return;
        }
        self.counts.dead_lettered += 1;
        self.move_message(id, sequence, target.as_deref(), reason, pass);
    }

    /// Takes a message out of one queue and puts it into the queue of `target`; drops it, counted,
    /// if there is no target.
    pub(crate) fn move_message(
        &mut self,
        from: QueueId,
        sequence: u64,
        target: Option<&str>,
        reason: MoveReason,
        pass: &mut Pass<'_>,
    ) {
        let Some(source) = self.queues.get(&from) else {
            return;
        };
        let Some(piece) = source.index.piece(sequence, 1) else {
            return;
        };
        let origin = self.origin(source, piece.run, reason);
        let target = target
            .and_then(|name| self.move_target(name, pass))
            .filter(|to| *to != from);
        let (Some(to), Some(origin)) = (target, origin) else {
            self.counts.dropped_no_address += 1;
            self.settle_piece(from, sequence, 1, piece.run, pass);
            return;
        };
        let name = self.store.stored(piece.run).map_or(0, |stored| stored.name);
        let durable_source = self.queues.get(&from).is_some_and(|queue| queue.durable);
        let Some(queue) = self.queues.get_mut(&to) else {
            return;
        };
        let landed = queue.next;
        queue.next += 1;
        queue.index.push(landed, 1, piece.run, piece.first, MOVED);
        queue.origins.insert(landed, Arc::clone(&origin));
        let durable_target = queue.durable;
        self.counts.messages += 1;
        self.store.retain(piece.run, 1);
        if name != 0 && (durable_source || durable_target) {
            let record = MoveRecord {
                name,
                index: piece.first,
                from: durable_source.then_some((from, sequence)),
                to: durable_target.then_some((to, landed)),
                origin: &origin,
            };
            let position = record::write_move(pass.log, &record);
            if let Some(queue) = self.queues.get_mut(&to) {
                queue.moved_after = position + 1;
            }
        }
        self.settle_moved(from, sequence, piece.run, pass);
        self.list(to);
    }

    /// As a settlement, but the move's own record says so.
    fn settle_moved(
        &mut self,
        from: QueueId,
        sequence: u64,
        run: crate::store::RunRef,
        pass: &mut Pass<'_>,
    ) {
        if let Some(queue) = self.queues.get_mut(&from) {
            queue.index.settle_piece(sequence, 1);
            queue.forget(sequence, 1);
        }
        self.counts.messages = self.counts.messages.saturating_sub(1);
        self.store.release(run, 1, pass.out);
        self.reap_if_unused(from);
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
        let queue = QueueName::from(&address);
        Some(self.create_queue(queue, &address, RoutingType::Anycast, true, false, pass))
    }
}
