//! From the watermark to the connections: who is woken, by whom (design 2.4, 2.8, law L3).
//!
//! The journal thread hands over lists of slots and wakes one task. That task, the releaser, wakes
//! the connections, sets budget aside, tries parked commands again and expands fan-outs that were
//! left to it.

use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::Notify;

use ternmq_core::ids::ConnectionId;
use ternmq_journal::Journal;

use super::Shared;
use super::outbox::{Contents, Outbox};
use super::watch::{Notice, Waitlist};

/// The slot under which the engine itself waits for a prepared segment.
pub(crate) const ROOM_WAITER: u32 = ConnectionId::BROKER.slot;

impl Waitlist for Journal {
    fn list(&self, after: u64, slot: u32) -> bool {
        self.batch().wait(after, slot)
    }
}

/// Lists from the journal thread to the releaser. As long as the journal's lists together, so
/// bounded by connections and open commits.
#[derive(Debug)]
pub(crate) struct Releases {
    lists: Mutex<Vec<Vec<u32>>>,
    work: Arc<Notify>,
}

impl Releases {
    /// No lists yet; `work` wakes the releaser.
    pub(crate) fn new(work: Arc<Notify>) -> Self {
        Self {
            lists: Mutex::new(Vec::new()),
            work,
        }
    }

    /// Called by the journal thread, which wakes nobody else.
    pub(crate) fn hand_over(&self, slots: Vec<u32>) {
        self.lists.lock().push(slots);
        self.work.notify_one();
    }

    /// Asks for a step.
    pub(crate) fn nudge(&self) {
        self.work.notify_one();
    }
}

/// What a call has to do for connections after it has let go of the engine's lock.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    wakers: Vec<Waker>,
    listings: Vec<(u64, u32)>,
}

impl Wakes {
    /// Puts something into the outbox of a connection, under its lock, and notes what that asks
    /// for. `fill` gets the watermark. A stale connection gets nothing. `own` is the connection whose call this is: it looks
    /// by itself.
    pub(crate) fn push(
        &mut self,
        outbox: &Outbox,
        id: ConnectionId,
        own: ConnectionId,
        journal: &Journal,
        fill: impl FnOnce(&mut Contents, u64),
    ) {
        let mut contents = outbox.contents.lock();
        if !contents.is_open(id.generation) {
            return;
        }
        // Read under the lock, see `watch`.
        let durable = journal.durable();
        fill(&mut contents, durable);
        if id == own {
            return;
        }
        match contents.notice(&outbox.pending, durable) {
            Notice::None => {}
            Notice::Wake => self.wakers.extend(contents.waker.clone()),
            Notice::List(after) => self.listings.push((after, id.slot)),
        }
    }
}

impl Shared {
    /// Wakes and lists whom a call has to; holds no lock meanwhile but, briefly, the batch mutex.
    pub(crate) fn finish_wakes(&self, wakes: Wakes) {
        for waker in wakes.wakers {
            waker.wake();
        }
        if wakes.listings.is_empty() {
            return;
        }
        let late: Vec<u32> = {
            let mut batch = self.journal.batch();
            let listed = wakes.listings.into_iter();
            listed
                .filter(|(after, slot)| !batch.wait(*after, *slot))
                .map(|(_, slot)| slot)
                .collect()
        };
        for slot in late {
            self.wake_slot(slot);
        }
    }

    /// One turn of the releaser.
    pub(crate) fn step_releases(&self) {
        let lists = std::mem::take(&mut *self.releases.lists.lock());
        for slot in lists.into_iter().flatten() {
            if slot == ROOM_WAITER {
                self.retry_parked();
            } else {
                self.wake_slot(slot);
            }
        }
        self.budget.step(&self.slots);
        self.drain_fanouts();
    }

    /// The releaser task.
    pub(crate) async fn run_releases(&self) {
        while !self.is_finished() {
            self.releases.work.notified().await;
            self.step_releases();
        }
    }

    fn wake_slot(&self, slot: u32) {
        if let Some(outbox) = self.slots.outbox(slot) {
            outbox.wake();
        }
    }
}
