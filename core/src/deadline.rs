//! One ordered structure for everything that is due some time (law L26): no sweeps, no timer per
//! object. An entry that has become pointless is noticed when it is due.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use crate::broker::{Broker, Pass, Work};
use crate::ids::{ConnectionId, QueueId, Token};
use crate::session::SessionRef;

/// One entry, to take it out again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DeadlineKey(u64, NonZeroU64);

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deadline {
    /// A redelivery delay ends.
    Redeliver {
        queue: QueueId,
        sequence: u64,
        count: u32,
    },
    /// Messages of a queue reach their time to live.
    Expire { queue: QueueId, due_ms: u64 },
    /// Retained values reach their time to live.
    ExpireRetained,
    /// A pause of a queue ends.
    Pump(QueueId),
    /// A lease ends.
    Lease { queue: QueueId, sequence: u64 },
    /// The wait of a receive ends.
    Receive {
        queue: QueueId,
        connection: ConnectionId,
        token: Token,
    },
    /// A session without connection expires; `detachment` tells whether it came back meanwhile.
    Session {
        session: SessionRef,
        detachment: u32,
    },
    /// The delay of a will ends; `detachment` as above.
    Will {
        session: SessionRef,
        detachment: u32,
    },
    /// Look whether an auto-created queue is still unused.
    Reap(QueueId),
    /// Look at blocks that are nearly dead.
    Thin,
}

/// All deadlines, on the mono clock.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    due: BTreeMap<(u64, u64), Deadline>,
    set: u64,
}

impl Deadlines {
    /// Adds one.
    pub(crate) fn set(&mut self, due_ms: u64, deadline: Deadline) -> DeadlineKey {
        let number = NonZeroU64::MIN.saturating_add(self.set);
        self.set = number.get();
        self.due.insert((due_ms, self.set), deadline);
        DeadlineKey(due_ms, number)
    }

    /// Takes one out that has become pointless, so that they do not pile up.
    pub(crate) fn cancel(&mut self, key: DeadlineKey) {
        self.due.remove(&(key.0, key.1.get()));
    }

    /// What is delayed of a queue.
    #[cfg(test)]
    pub(crate) fn delayed(&self, id: QueueId) -> impl Iterator<Item = (u64, u32)> {
        self.due
            .values()
            .filter_map(move |deadline| match deadline {
                Deadline::Redeliver {
                    queue,
                    sequence,
                    count,
                } if *queue == id => Some((*sequence, *count)),
                _ => None,
            })
    }

    /// How many are set.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    /// The earliest time.
    pub(crate) fn next(&self) -> Option<u64> {
        self.due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Whether something is due now.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.next().is_some_and(|due| due <= now_ms)
    }

    fn pop(&mut self, now_ms: u64) -> Option<Deadline> {
        if self.is_due(now_ms) {
            self.due.pop_first().map(|(_, deadline)| deadline)
        } else {
            None
        }
    }
}

impl Broker {
    /// Does what is due, as far as the units reach.
    pub(crate) fn run_due(&mut self, pass: &mut Pass<'_>) {
        while pass.units() > 0 {
            let Some(deadline) = self.deadlines.pop(self.now.mono_ms) else {
                return;
            };
            pass.spend(1);
            if !self.meet(deadline, pass) {
                return;
            }
        }
    }

    /// Does what is due. False if there is no room for a will: it is done in the next call.
    pub(crate) fn meet(&mut self, deadline: Deadline, pass: &mut Pass<'_>) -> bool {
        match deadline {
            Deadline::Redeliver {
                queue,
                sequence,
                count,
            } => self.redeliver(queue, sequence, count),
            Deadline::Expire { queue, due_ms } => self.expire(queue, due_ms, pass),
            Deadline::ExpireRetained => self.expire_retained(pass),
            Deadline::Pump(queue) => self.list(queue),
            Deadline::Lease { queue, sequence } => self.lease_ended(queue, sequence, pass),
            Deadline::Receive {
                queue,
                connection,
                token,
            } => self.receive_timed_out(queue, connection, token, pass),
            Deadline::Session { session, .. } | Deadline::Will { session, .. }
                if !self.has_room_for_will(session, pass) =>
            {
                self.work.push_front(Work::Meet(deadline));
                return false;
            }
            Deadline::Session {
                session,
                detachment,
            } => self.session_expired(session, detachment, pass),
            Deadline::Will {
                session,
                detachment,
            } => self.will_due(session, detachment, pass),
            Deadline::Reap(queue) => self.reap(queue, pass),
            Deadline::Thin => self.thin(pass),
        }
        true
    }
}
