//! Leases: deliveries with a deadline for clients that pull (REST). A lease belongs to the queue,
//! not to a connection (design 2.10).

use crate::broker::{AT_END, Broker, Pass};
use crate::command::{LeaseAction, LeaseId, Outcome, Receive, Source};
use crate::consumer::{ConsumerRef, Inflight};
use crate::deadline::Deadline;
use crate::effect::{Answer, Leased};
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Token};
use crate::queue::Piece;

/// A message that a pull client holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lease {
    epoch: u32,
    until_ms: u64,
    /// The receive that handed it out.
    receive: u64,
}

/// A receive that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiter {
    pub(crate) connection: ConnectionId,
    pub(crate) token: Token,
    max_messages: u32,
    max_bytes: u32,
    lease_ms: u64,
    receive: u64,
}

impl Broker {
    /// Pulls messages, or waits for them.
    pub(crate) fn receive(&mut self, id: ConnectionId, receive: Receive, pass: &mut Pass<'_>) {
        let token = receive.token;
        let queue = match receive.source {
            Source::Anycast(address) => self.anycast_to_consume(&address, id, pass),
            Source::Queue { address, queue } => self.named_queue(&address, &queue, Some(id)),
            Source::Multicast(_) | Source::Untyped(_) => Err(Refusal::WrongRoutingType),
        };
        let queue_id = match queue {
            Ok(queue) => queue,
            Err(why) => return pass.refuse(id, Some(token), why),
        };
        self.receives += 1;
        let waiter = Waiter {
            connection: id,
            token,
            max_messages: receive.max_messages,
            max_bytes: receive.max_bytes,
            lease_ms: receive.lease_ms,
            receive: self.receives,
        };
        let max_waiters = self.limits.max_waiters;
        let Some(queue) = self.queues.get_mut(&queue_id) else {
            return;
        };
        if queue.waiters.len() >= max_waiters {
            return pass.refuse(id, Some(token), Refusal::LimitReached(Limit::Waiters));
        }
        queue.waiters.push_back(waiter);
        if let Some(connection) = self.connection_mut(id) {
            connection.receives.push((token, queue_id));
        }
        self.pump(queue_id, pass);
        if self.has_waiter(queue_id, id, token) {
            let due = self.now.mono_ms.saturating_add(receive.wait_ms);
            let deadline = Deadline::Receive {
                queue: queue_id,
                connection: id,
                token,
            };
            self.deadlines.set(due, deadline);
        }
    }

    fn has_waiter(&self, queue: QueueId, id: ConnectionId, token: Token) -> bool {
        self.queues.get(&queue).is_some_and(|queue| {
            queue
                .waiters
                .iter()
                .any(|w| w.connection == id && w.token == token)
        })
    }

    /// Forgets a waiting receive.
    pub(crate) fn drop_waiter(&mut self, queue: QueueId, id: ConnectionId, token: Token) -> bool {
        let Some(state) = self.queues.get_mut(&queue) else {
            return false;
        };
        let before = state.waiters.len();
        state
            .waiters
            .retain(|w| w.connection != id || w.token != token);
        let dropped = state.waiters.len() < before;
        if let Some(connection) = self.connection_mut(id) {
            connection.receives.retain(|(t, _)| *t != token);
        }
        self.reap_if_unused(queue);
        dropped
    }

    /// The client of a waiting receive went away.
    pub(crate) fn cancel_receive(&mut self, id: ConnectionId, token: Token) {
        let queue = self.connection(id).and_then(|connection| {
            connection
                .receives
                .iter()
                .find(|(t, _)| *t == token)
                .map(|(_, queue)| *queue)
        });
        if let Some(queue) = queue {
            self.drop_waiter(queue, id, token);
        }
    }

    /// The wait of a receive has ended.
    pub(crate) fn receive_timed_out(
        &mut self,
        queue: QueueId,
        id: ConnectionId,
        token: Token,
        pass: &mut Pass<'_>,
    ) {
        if self.drop_waiter(queue, id, token) {
            pass.answer(id, Some(token), 0, Answer::Received(Vec::new()));
        }
    }

    /// Hands the next messages to the oldest waiter and answers it.
    pub(crate) fn lease_out(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        let Some(waiter) = self.queues.get_mut(&id).and_then(|q| q.waiters.pop_front()) else {
            return;
        };
        let mut leased = Vec::new();
        let (mut bytes, mut after) = (0usize, 0u64);
        while leased.len() < waiter.max_messages as usize {
            let Some(piece) = self
                .queues
                .get_mut(&id)
                .and_then(|queue| queue.available(1))
            else {
                break;
            };
            if self.expire_if_due(id, piece, pass) {
                continue;
            }
            let size = self
                .store
                .run(piece.run)
                .map_or(0, |run| run.size(piece.first, 1));
            if !leased.is_empty() && bytes + size > waiter.max_bytes as usize {
                break;
            }
            bytes += size;
            let Some((one, position)) = self.lease_one(id, piece, &waiter) else {
                break;
            };
            after = after.max(position);
            leased.push(one);
        }
        self.counts.delivered += leased.len() as u64;
        if let Some(connection) = self.connection_mut(waiter.connection) {
            connection.receives.retain(|(t, _)| *t != waiter.token);
        }
        let answer = Answer::Received(leased);
        pass.answer(waiter.connection, Some(waiter.token), after, answer);
    }

    fn lease_one(&mut self, id: QueueId, piece: Piece, waiter: &Waiter) -> Option<(Leased, u64)> {
        self.lease_epoch = self.lease_epoch.wrapping_add(1);
        let epoch = self.lease_epoch;
        let until_ms = self.now.mono_ms.saturating_add(waiter.lease_ms);
        let queue = self.queues.get_mut(&id)?;
        queue.take(piece.sequence, 1);
        let attempts = queue.attempts(piece.sequence);
        let lease = Lease {
            epoch,
            until_ms,
            receive: waiter.receive,
        };
        queue.leases.insert(piece.sequence, lease);
        let due = Deadline::Lease {
            queue: id,
            sequence: piece.sequence,
        };
        self.deadlines.set(until_ms, due);
        let piece = Piece { count: 1, ..piece };
        let (delivery, after) = self.delivery(ConsumerKey::SESSION, 0, piece, id, attempts)?;
        let lease = LeaseId {
            queue: id,
            sequence: piece.sequence,
            epoch,
        };
        Some((Leased { lease, delivery }, after))
    }

    /// Settles, extends or returns a lease.
    pub(crate) fn lease(
        &mut self,
        id: ConnectionId,
        lease: LeaseId,
        action: LeaseAction,
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) {
        let now = self.now.mono_ms;
        let held = self.queues.get_mut(&lease.queue).and_then(|queue| {
            let held = queue
                .leases
                .get_mut(&lease.sequence)
                .filter(|l| l.epoch == lease.epoch)?;
            if let LeaseAction::Extend { lease_ms } = action {
                held.until_ms = now.saturating_add(lease_ms);
                return Some(held.until_ms);
            }
            queue
                .leases
                .remove(&lease.sequence)
                .map(|lease| lease.until_ms)
        });
        let Some(until_ms) = held else {
            return pass.refuse(id, token, Refusal::LeaseGone);
        };
        match action {
            LeaseAction::Extend { lease_ms } => {
                let due = Deadline::Lease {
                    queue: lease.queue,
                    sequence: lease.sequence,
                };
                self.deadlines.set(until_ms, due);
                pass.answer(id, token, 0, Answer::Extended { lease_ms });
            }
            LeaseAction::Return => {
                self.return_messages(lease.queue, lease.sequence, 1);
                pass.answer(id, token, 0, Answer::Settled);
            }
            LeaseAction::Settle(outcome) => {
                self.end_lease(lease, outcome, pass);
                pass.answer(id, token, AT_END, Answer::Settled);
            }
        }
    }

    fn end_lease(&mut self, lease: LeaseId, outcome: Outcome, pass: &mut Pass<'_>) {
        let Some(queue) = self.queues.get(&lease.queue) else {
            return;
        };
        let Some(piece) = queue.index.piece(lease.sequence, 1) else {
            return;
        };
        let piece = Inflight {
            tag: 0,
            count: 1,
            consumer: ConsumerRef(u32::MAX),
            queue: lease.queue,
            sequence: lease.sequence,
            run: piece.run,
            first: piece.first,
            flags: piece.flags,
        };
        self.end_pieces(&[piece], outcome, pass);
    }

    /// A lease has ended unsettled: an attempt, and a failure if it is the oldest of its receive.
    pub(crate) fn lease_ended(&mut self, id: QueueId, sequence: u64, pass: &mut Pass<'_>) {
        let now = self.now.mono_ms;
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let Some(lease) = queue
            .leases
            .get(&sequence)
            .copied()
            .filter(|l| l.until_ms <= now)
        else {
            return; // Settled or extended meanwhile.
        };
        let older = queue.leases.range(..sequence).rev().take(MAX_LOOK_BACK);
        let mut older = older.filter(|(_, other)| other.receive == lease.receive);
        let oldest = older.next().is_none() && queue.failed_receive != lease.receive;
        queue.leases.remove(&sequence);
        if oldest {
            queue.failed_receive = lease.receive;
        }
        let Some(count) = self.count(id, sequence, 1, u32::from(oldest), pass) else {
            return;
        };
        if !(oldest && self.dead_letter_if_exhausted(id, sequence, count, pass)) {
            self.return_messages(id, sequence, 1);
        }
    }
}

/// Leases of one receive are near one another.
const MAX_LOOK_BACK: usize = 1_000;
