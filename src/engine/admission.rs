//! The budget of memory that publishes reserve before they take the engine's lock (law L20).
//!
//! A reservation that fails queues its connection. Returned bytes are *set aside* for the head of
//! that queue by the releaser, so order is kept, nobody barges in, and a connection that has gone
//! gives its share on. Nobody is woken by whoever happens to drop the last reference to a body.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use ternmq_core::ids::ConnectionId;

use super::slots::Slots;

/// Charged besides the bytes asked for: the envelope, owner and index entry of a run.
const OVERHEAD: u64 = 256;
/// Shares set aside in one step of the releaser.
const GRANTS_PER_STEP: usize = 1_024;

/// The one budget: open batches, bodies in memory, outboxes.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    used: AtomicU64,
    /// Length of `queue`, read without its lock.
    waiting: AtomicUsize,
    queue: Mutex<VecDeque<Waiter>>,
    /// The releaser's.
    work: Arc<Notify>,
}

#[derive(Debug)]
struct Waiter {
    id: ConnectionId,
    bytes: u64,
}

/// Bytes taken from the budget; they return when it is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    /// Bytes a block of this charge may have.
    pub fn bytes(&self) -> usize {
        usize::try_from(self.bytes - OVERHEAD).unwrap_or(usize::MAX)
    }

    /// Makes one charge of two, for a body that turned out larger than it was thought to be.
    pub fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Gives back what is above `bytes`; `false` if it is less.
    fn shrink(&mut self, bytes: usize) -> bool {
        let wanted = bytes as u64 + OVERHEAD;
        if self.bytes < wanted {
            return false;
        }
        self.budget.give_back(self.bytes - wanted);
        self.bytes = wanted;
        true
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// A body that is charged until its last reference goes (law L22).
struct Block {
    bytes: Box<[u8]>,
    _charge: Charge,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Copies `bytes` into one exact-size allocation that holds the charge.
pub(crate) fn block(mut charge: Charge, bytes: &[u8]) -> Bytes {
    charge.shrink(bytes.len());
    charged(charge, bytes.into())
}

/// The same of bytes that were gathered for it: what they have above their length is given back,
/// mostly without a copy.
pub(crate) fn gathered(mut charge: Charge, bytes: Vec<u8>) -> Bytes {
    charge.shrink(bytes.len());
    charged(charge, bytes.into())
}

fn charged(charge: Charge, bytes: Box<[u8]>) -> Bytes {
    Bytes::from_owner(Block {
        bytes,
        _charge: charge,
    })
}

impl Budget {
    /// A budget of `total` bytes; `work` wakes the releaser.
    pub(crate) fn new(total: u64, work: Arc<Notify>) -> Self {
        Self {
            total,
            used: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::new(VecDeque::new()),
            work,
        }
    }

    /// The largest reservation that can ever succeed, in bytes.
    pub(crate) fn largest(&self) -> u64 {
        self.total.saturating_sub(OVERHEAD)
    }

    /// Bytes reserved.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// A block of bytes that are in memory already. They are charged even above the total: what is
    /// there before (a copied block, a log) goes or went without asking.
    pub(crate) fn keep(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        let charge = Charge {
            budget: Arc::clone(self),
            bytes: bytes.len() as u64 + OVERHEAD,
        };
        self.used.fetch_add(charge.bytes, Ordering::SeqCst);
        charged(charge, bytes.into())
    }

    /// Connections that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Reserves for a connection. `None`: not enough is free, or others wait already; unless
    /// `bytes` is above [`Budget::largest`] the connection is queued, and flagged when its share
    /// has been set aside.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        slots: &Slots,
        id: ConnectionId,
        bytes: usize,
    ) -> Option<Charge> {
        let outbox = slots.outbox(id.slot)?;
        let mut grant = None;
        {
            let mut contents = outbox.contents.lock();
            if contents.queued_for_budget || !contents.is_open(id.generation) {
                return None;
            }
            std::mem::swap(&mut grant, &mut contents.grant);
        }
        if let Some(mut grant) = grant
            && grant.shrink(bytes)
        {
            return Some(grant);
        }
        let wanted = bytes as u64 + OVERHEAD;
        if self.waiting.load(Ordering::SeqCst) == 0
            && let Some(charge) = self.charge(wanted)
        {
            return Some(charge);
        }
        if wanted > self.total {
            return None;
        }
        outbox.contents.lock().queued_for_budget = true;
        let mut queue = self.queue.lock();
        queue.push_back(Waiter { id, bytes: wanted });
        self.waiting.store(queue.len(), Ordering::SeqCst);
        drop(queue);
        // What came back before `waiting` was seen has told nobody.
        self.work.notify_one();
        None
    }

    /// A connection that closes waits no more.
    pub(crate) fn withdraw(&self, id: ConnectionId) {
        let mut queue = self.queue.lock();
        queue.retain(|waiter| waiter.id != id);
        self.waiting.store(queue.len(), Ordering::SeqCst);
        drop(queue);
        self.work.notify_one();
    }

    /// Sets aside what the first waiters want while it is free. Bounded; asks for another step
    /// when more could be done.
    pub(crate) fn step(self: &Arc<Self>, slots: &Slots) {
        for _ in 0..GRANTS_PER_STEP {
            let (waiter, charge) = {
                let mut queue = self.queue.lock();
                let Some(front) = queue.front() else { return };
                let Some(charge) = self.charge(front.bytes) else {
                    return;
                };
                let waiter = queue.pop_front();
                self.waiting.store(queue.len(), Ordering::SeqCst);
                (waiter, charge)
            };
            let Some((waiter, outbox)) =
                waiter.and_then(|waiter| slots.outbox(waiter.id.slot).map(|o| (waiter, o)))
            else {
                continue;
            };
            let mut charge = Some(charge);
            outbox.flag(waiter.id.generation, |contents| {
                if let Some(charge) = charge.take() {
                    contents.set_grant(charge);
                }
            });
        }
        self.work.notify_one();
    }

    fn charge(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        let mut used = self.used.load(Ordering::SeqCst);
        loop {
            let next = used.checked_add(bytes).filter(|next| *next <= self.total)?;
            let swapped =
                self.used
                    .compare_exchange_weak(used, next, Ordering::SeqCst, Ordering::SeqCst);
            match swapped {
                Ok(_) => {
                    return Some(Charge {
                        budget: Arc::clone(self),
                        bytes,
                    });
                }
                Err(now) => used = now,
            }
        }
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.work.notify_one();
        }
    }
}
