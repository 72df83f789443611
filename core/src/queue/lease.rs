//! Leases: deliveries with a deadline for clients that pull (REST). A lease belongs to the queue,
//! not to a connection (design 2.10).

use crate::broker::{AT_END, Broker, Pass};
use crate::command::{LeaseAction, LeaseId, Outcome, Receive, Source};
use crate::consumer::{ConsumerRef, Inflight};
use crate::deadline::{Deadline, DeadlineKey};
use crate::effect::{Answer, Leased};
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Token};
use crate::queue::Piece;

/// A message that a pull client holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lease {
    epoch: u32,
    until_ms: u64,
    pub(crate) deadline: DeadlineKey,
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
    /// When it is answered empty.
    deadline: DeadlineKey,
}

impl Broker {
    /// Pulls messages, or waits for them.
    pub(crate) fn receive(&mut self, id: ConnectionId, receive: Receive, pass: &mut Pass<'_>) {
        let token = receive.token;
        let queue = match receive.source {
            Source::Anycast(address) => self.anycast_to_consume(&address, id, pass),
            Source::Queue { address, queue } => self.named_queue(&address, &queue, Some(id)),
            Source::Multicast(_)
            | Source::Untyped(_)
            | Source::Subscription(_)
            | Source::UntypedSubscription(_) => Err(Refusal::WrongRoutingType),
        };
        let queue_id = match queue {
            Ok(queue) => queue,
            Err(why) => return pass.refuse(id, Some(token), why),
        };
        let Some(queue) = self.queues.get_mut(&queue_id) else {
            return;
        };
        if queue.waiters.len() >= self.limits.max_waiters {
            return pass.refuse(id, Some(token), Refusal::LimitReached(Limit::Waiters));
        }
        let due = self.now.mono_ms.saturating_add(receive.wait_ms);
        let deadline = Deadline::Receive {
            queue: queue_id,
            connection: id,
            token,
        };
        self.receives += 1;
        queue.waiters.push_back(Waiter {
            connection: id,
            token,
            max_messages: receive.max_messages.max(1),
            max_bytes: receive.max_bytes,
            lease_ms: receive.lease_ms,
            receive: self.receives,
            deadline: self.deadlines.set(due, deadline),
        });
        if let Some(connection) = self.connection_mut(id) {
            connection.receives.push((token, queue_id));
        }
        self.pump(queue_id, pass);
    }

    /// Forgets a waiting receive.
    pub(crate) fn drop_waiter(&mut self, queue: QueueId, id: ConnectionId, token: Token) -> bool {
        let Some(state) = self.queues.get_mut(&queue) else {
            return false;
        };
        let mut waiters = state.waiters.iter();
        let Some(at) = waiters.position(|w| w.connection == id && w.token == token) else {
            return false;
        };
        if let Some(waiter) = state.waiters.remove(at) {
            self.forget_waiter(&waiter);
        }
        self.reap_if_unused(queue);
        true
    }

    /// Takes back what was noted about a receive that waits no longer.
    pub(crate) fn forget_waiter(&mut self, waiter: &Waiter) {
        self.deadlines.cancel(waiter.deadline);
        if let Some(connection) = self.connection_mut(waiter.connection) {
            connection
                .receives
                .retain(|(token, _)| *token != waiter.token);
        }
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
            if pass.units() == 0 {
                break;
            }
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
            pass.spend(1);
            let Some((one, position)) = self.lease_one(id, piece, &waiter) else {
                break;
            };
            after = after.max(position);
            leased.push(one);
        }
        if leased.is_empty() {
            // Nothing but expired messages, or no units: it goes on waiting.
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.waiters.push_front(waiter);
            }
            return;
        }
        self.counts.delivered += leased.len() as u64;
        self.forget_waiter(&waiter);
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
        let due = Deadline::Lease {
            queue: id,
            sequence: piece.sequence,
        };
        let lease = Lease {
            epoch,
            until_ms,
            deadline: self.deadlines.set(until_ms, due),
            receive: waiter.receive,
        };
        queue.leases.insert(piece.sequence, lease);
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
        let queue = self.queues.get_mut(&lease.queue);
        let held = queue.and_then(|queue| {
            let held = queue.leases.get(&lease.sequence)?;
            (held.epoch == lease.epoch).then(|| queue.leases.remove(&lease.sequence))?
        });
        let Some(mut held) = held else {
            return pass.refuse(id, token, Refusal::LeaseGone);
        };
        self.deadlines.cancel(held.deadline);
        match action {
            LeaseAction::Extend { lease_ms } => {
                let due = Deadline::Lease {
                    queue: lease.queue,
                    sequence: lease.sequence,
                };
                held.until_ms = self.now.mono_ms.saturating_add(lease_ms);
                held.deadline = self.deadlines.set(held.until_ms, due);
                if let Some(queue) = self.queues.get_mut(&lease.queue) {
                    queue.leases.insert(lease.sequence, held);
                }
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
        self.end_piece(piece, outcome, pass);
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
        let Some(piece) = queue.index.piece(sequence, 1) else {
            return;
        };
        for (part, count) in self.count(id, piece, 1, u32::from(oldest), pass) {
            if !(oldest && self.dead_letter_if_exhausted(id, part, count, pass)) {
                self.return_messages(id, sequence, 1);
            }
        }
    }
}

/// Leases of one receive are near one another.
const MAX_LOOK_BACK: usize = 1_000;
