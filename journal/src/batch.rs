//! The open batch, held: reserving, appending, waiting. An append within its reservation cannot fail.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::{Condvar, MutexGuard};

use crate::Position;
use crate::block::USER_KIND_MIN;
use crate::buffers::Entry;
use crate::error::Refused;
use crate::journal::Journal;
use crate::layout::worst_case;
use crate::state::{Purpose, State};

/// The open batch, held. Dropping it unlocks, then wakes the journal thread if it is wanted.
pub struct Batch<'a> {
    journal: &'a Journal,
    state: MutexGuard<'a, State>,
    // Dropped behind the guard, so the thread is not woken into a locked mutex.
    wake: Wake<'a>,
}

struct Wake<'a> {
    wanted: bool,
    work: &'a Condvar,
}

impl Drop for Wake<'_> {
    fn drop(&mut self) {
        if self.wanted {
            self.work.notify_one();
        }
    }
}

impl<'a> Batch<'a> {
    pub(crate) fn new(journal: &'a Journal, state: MutexGuard<'a, State>) -> Self {
        Self {
            journal,
            state,
            wake: Wake {
                wanted: false,
                work: &journal.work,
            },
        }
    }

    /// Makes sure that `records` records of `bytes` payload bytes in all fit into one commit, in
    /// the open batch or in the next one. A later reservation ends this one.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    pub fn reserve(&mut self, bytes: usize, records: usize) -> Result<(), Refused> {
        self.reserve_for(bytes, records, Purpose::Publish)
    }

    /// As [`Batch::reserve`], and may use the last prepared segment (law L28).
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed then.
    pub fn reserve_settlement(&mut self, bytes: usize, records: usize) -> Result<(), Refused> {
        self.reserve_for(bytes, records, Purpose::Settlement)
    }

    fn reserve_for(
        &mut self,
        bytes: usize,
        records: usize,
        purpose: Purpose,
    ) -> Result<(), Refused> {
        let queued = self.state.queued();
        let needed = worst_case(bytes as u64, records as u64);
        self.state
            .make_room(self.journal, needed, records, purpose)?;
        self.wake.wanted |= self.state.queued() > queued;
        Ok(())
    }

    /// Payload bytes that the current reservation still has room for, when 23 bytes are added for
    /// each record of up to 64 KiB, and 1/2,048 of the payload for longer ones.
    #[must_use]
    pub fn room(&self) -> usize {
        usize::try_from(self.state.room()).unwrap_or(usize::MAX)
    }

    /// Lists `waiter` for the next prepared segment, after [`Refused::NoRoom`]; a `step` hands it
    /// out when there is one.
    pub fn wait_room(&mut self, waiter: u32) {
        self.state.list_for_room(waiter);
    }

    /// Appends a record with the payload `head` then `body`, and counts `live` bytes as needed in
    /// its segment. Returns its name: the position of its first record header.
    ///
    /// `kind` is [`USER_KIND_MIN`] or above; of `flags` only [`crate::FLAG_IGNORABLE`] means something to
    /// the journal. Within a reservation this cannot fail; beyond it the journal is poisoned.
    pub fn append(
        &mut self,
        kind: u8,
        flags: u8,
        tag: u32,
        head: &[u8],
        body: Option<&Bytes>,
        live: u32,
    ) -> Position {
        debug_assert!(kind >= USER_KIND_MIN, "kinds below 32 are the journal's");
        let position = self.push(Entry::new(kind, flags, tag, head, body.cloned()), head);
        self.state.add_live(live);
        Position(position)
    }

    /// Appends a record of any kind.
    pub(crate) fn push(&mut self, entry: Entry, head: &[u8]) -> u64 {
        let appended = self.state.append(entry, head);
        self.wake.wanted |= appended.first && self.state.asleep;
        self.journal
            .tail
            .store(self.state.tail(), Ordering::Relaxed);
        if appended.beyond {
            self.journal.poison_locked(&mut self.state);
        }
        appended.position
    }

    /// Position behind the newest record; what must wait for everything decided so far waits for it.
    #[must_use]
    pub fn tail(&self) -> u64 {
        self.state.tail()
    }

    /// Lists `waiter` with the batch that holds `after` and makes that batch want a sync (law L3).
    /// `false` when `after` is durable already: the caller goes on by itself. On a poisoned journal
    /// nobody who is listed is ever released.
    #[must_use]
    pub fn wait(&mut self, after: u64, waiter: u32) -> bool {
        self.list(after, Some(waiter))
    }

    /// As [`Batch::wait`], for who watches the watermark.
    pub(crate) fn want(&mut self, after: u64) -> bool {
        self.list(after, None)
    }

    fn list(&mut self, after: u64, waiter: Option<u32>) -> bool {
        let after = after.min(self.state.tail());
        // The watermark is read under the mutex: the journal thread stores it before it takes the
        // list under the same mutex, so either it is seen here or the waiter is seen there.
        if self.journal.durable() >= after {
            return false;
        }
        self.wake.wanted |= self.state.list(after, waiter);
        true
    }

    /// Closes the batch if it holds anything; returns the end of everything so far.
    pub(crate) fn close(&mut self) -> u64 {
        self.state.close_open();
        self.wake.wanted |= self.state.queued() > 0;
        self.state.tail()
    }
}
