//! From the watermark to the connections: who is woken, by whom (design 2.4, 2.8, law L3).
//!
//! The journal thread hands over lists of slots and wakes one task. That task, the releaser, wakes
//! the connections, sets budget aside, tries parked commands again and expands fan-outs that were
//! left to it.

use std::collections::VecDeque;
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
/// Connections woken in one step: a wake-up costs 2-7 us.
const WAKES_PER_STEP: usize = 1_024;

impl Waitlist for Journal {
    fn list(&self, after: u64, slot: u32) -> bool {
        self.batch().wait(after, slot)
    }
}

/// Lists from the journal thread to the releaser. As long as the journal's lists together, so
/// bounded by connections and open commits.
#[derive(Debug)]
pub(crate) struct Releases {
    lists: Mutex<VecDeque<Vec<u32>>>,
    work: Arc<Notify>,
}

impl Releases {
    /// No lists yet; `work` wakes the releaser.
    pub(crate) fn new(work: Arc<Notify>) -> Self {
        Self {
            lists: Mutex::default(),
            work,
        }
    }

    /// Called by the journal thread, which wakes nobody else.
    pub(crate) fn hand_over(&self, slots: Vec<u32>) {
        self.lists.lock().push_back(slots);
        self.work.notify_one();
    }

    /// Takes the slots to wake in one step; asks for another if there are more.
    fn take(&self) -> Vec<u32> {
        let mut lists = self.lists.lock();
        let mut slots = lists.pop_front().unwrap_or_default();
        if slots.len() > WAKES_PER_STEP {
            lists.push_front(slots.split_off(WAKES_PER_STEP));
        }
        if !lists.is_empty() {
            self.nudge();
        }
        slots
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
        for slot in self.releases.take() {
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
            // Those it has woken come first.
            tokio::task::yield_now().await;
        }
    }

    fn wake_slot(&self, slot: u32) {
        if let Some(outbox) = self.slots.outbox(slot) {
            outbox.wake();
        }
    }
}
