//! The runs that something in the broker still refers to: one entry each, however many queues hold
//! it. An index entry is a number into this table, so it stays at 12 bytes (design 7).
//!
//! References are counted per (queue, message) pair and per retained value. The live bytes of a
//! record are charged evenly to its references; what dies is reported by the record's name.
//!
//! A block of which less than half is alive for a second or two is copied to one of the right size
//! (law L22). The messages keep their numbers within the run: those nobody refers to become empty.

mod parts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::broker::{Broker, Pass, Work};
use crate::deadline::Deadline;
use crate::effect::Out;
use crate::message::Run;
use crate::slots::Slots;

use parts::Parts;

/// The longest block, in bytes, that stays whole: small runs of one read may share one.
const WHOLE_BYTES: usize = 4 << 10;

/// How long a block has been sparse, at least, when it is copied: most are empty before.
const SPARSE_MS: u64 = 1_000;

/// Bytes copied for one unit of work (law L21).
const BYTES_PER_UNIT: usize = 1 << 10;

/// A run in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RunRef(pub(crate) u32);

/// A run and who refers to it.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The messages; `None` while recovery has not read them yet.
    pub(crate) run: Option<Arc<Run>>,
    /// Position of its record, 0 if it is not journalled.
    pub(crate) name: u64,
    /// Live references.
    refs: u64,
    /// References message by message, where they differ and the block may be copied.
    parts: Option<Box<Parts>>,
    /// Bytes not yet reported dead.
    live: u32,
    /// Mean bytes of its messages when it came.
    mean: u32,
    /// Listed as sparse.
    listed: bool,
}

/// All runs in use.
#[derive(Debug)]
pub(crate) struct Store {
    slots: Slots<Stored>,
    /// Runs that became sparse since the last look at them.
    young: Vec<RunRef>,
    /// Runs that were sparse then, to be copied if they still are.
    old: Vec<RunRef>,
    /// A deadline looks at them.
    watched: bool,
    /// See [`WHOLE_BYTES`].
    pub(crate) whole_bytes: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            slots: Slots::default(),
            young: Vec::new(),
            old: Vec::new(),
            watched: false,
            whole_bytes: WHOLE_BYTES,
        }
    }
}

impl Store {
    /// Takes a run in with no references yet; [`Store::retain`] them before the next release.
    pub(crate) fn insert(&mut self, run: Option<Arc<Run>>, name: u64, live: u32) -> RunRef {
        RunRef(self.slots.insert(Stored {
            mean: run.as_ref().map_or(0, |run| mean_size(run)),
            run,
            name,
            refs: 0,
            parts: None,
            live,
            listed: false,
        }))
    }

    /// Adds a reference to each of `n` messages from `first` on.
    pub(crate) fn retain(&mut self, run: RunRef, first: u32, n: u32) {
        let whole_bytes = self.whole_bytes;
        let Some(stored) = self.slot(run) else { return };
        stored.split(first, n, whole_bytes);
        stored.refs += u64::from(n);
        if let (Some(parts), Some(run)) = (&mut stored.parts, &stored.run) {
            parts.add(run, first, n);
        }
        self.list_if_sparse(run);
    }

    /// Ends a reference to each of `n` messages from `first` on; reports the bytes that died with
    /// them and lets go of the run with the last.
    pub(crate) fn release(&mut self, run: RunRef, first: u32, n: u32, out: &mut Out) {
        let whole_bytes = self.whole_bytes;
        let Some(stored) = self.slot(run) else { return };
        let count = u64::from(n).min(stored.refs);
        let died = if count == stored.refs {
            stored.live
        } else {
            stored.split(first, n, whole_bytes);
            let share =
                u128::from(stored.live) * u128::from(count) / u128::from(stored.refs.max(1));
            u32::try_from(share).unwrap_or(u32::MAX)
        };
        stored.refs -= count;
        stored.live -= died;
        if stored.name != 0 && died > 0 {
            match out.dead.last_mut() {
                Some((name, bytes)) if *name == stored.name => *bytes += died,
                _ => out.dead.push((stored.name, died)),
            }
        }
        if stored.refs > 0 {
            if let (Some(parts), Some(run)) = (&mut stored.parts, &stored.run) {
                parts.remove(run, first, n);
            }
            self.list_if_sparse(run);
        } else if let Some(run) = self.slots.remove(run.0).and_then(|stored| stored.run) {
            out.garbage.push(run);
        }
    }

    /// Lets go of a run that nobody took.
    pub(crate) fn discard(&mut self, run: RunRef, out: &mut Out) {
        if self.slot(run).is_some_and(|stored| stored.refs == 0) {
            self.release(run, 0, 0, out);
        }
    }

    /// The entry of a run.
    pub(crate) fn stored(&self, run: RunRef) -> Option<&Stored> {
        self.slots.at(run.0)
    }

    /// The messages of a run.
    pub(crate) fn run(&self, run: RunRef) -> Option<&Arc<Run>> {
        self.stored(run)?.run.as_ref()
    }

    /// Mean bytes of the messages of a run, which stays what it was when they came.
    pub(crate) fn mean_size(&self, run: RunRef) -> u64 {
        self.stored(run).map_or(0, |stored| stored.mean.into())
    }

    /// Recovery: the messages have been read.
    pub(crate) fn load(&mut self, run: RunRef, messages: Arc<Run>, live: u32) {
        if let Some(stored) = self.slot(run) {
            stored.mean = mean_size(&messages);
            stored.run = Some(messages);
            stored.live = live;
        }
    }

    /// Recovery: counts anew who refers to what. [`Store::recount`] each reference, then
    /// [`Store::end_recount`].
    pub(crate) fn begin_recount(&mut self) {
        let whole_bytes = self.whole_bytes;
        for stored in self.slots.iter_mut() {
            let run = stored.run.as_ref();
            let run = run.filter(|run| may_be_sparse(run, whole_bytes));
            stored.parts = run.map(|run| Box::new(Parts::new(run, 0)));
        }
    }

    /// Recovery: something refers to `n` messages from `first` on.
    pub(crate) fn recount(&mut self, run: RunRef, first: u32, n: u32) {
        if let Some(Stored {
            run: Some(run),
            parts: Some(parts),
            ..
        }) = self.slot(run)
        {
            parts.add(run, first, n);
        }
    }

    /// Recovery: all that refers to messages has been counted.
    pub(crate) fn end_recount(&mut self) {
        for stored in self.slots.iter_mut() {
            stored.parts = stored.parts.take().filter(|parts| !parts.are_alike());
        }
        let runs: Vec<RunRef> = self.iter().map(|(run, _)| run).collect();
        for run in runs {
            self.list_if_sparse(run);
        }
    }

    /// Whether the block of a run may be copied one day.
    #[cfg(test)]
    pub(crate) fn may_thin(&self, run: &Run) -> bool {
        may_be_sparse(run, self.whole_bytes)
    }

    /// Notes a run whose block is less than half alive, once.
    fn list_if_sparse(&mut self, run: RunRef) {
        let whole_bytes = self.whole_bytes;
        if let Some(stored) = self.slot(run)
            && !stored.listed
            && stored.is_sparse(whole_bytes)
        {
            stored.listed = true;
            self.young.push(run);
        }
    }

    /// Copies a listed run that is still sparse into a block of the right size. Gives the bytes
    /// copied.
    fn thin(&mut self, run: RunRef, pass: &mut Pass<'_>) -> usize {
        let whole_bytes = self.whole_bytes;
        let Some(stored) = self.slot(run) else {
            return 0;
        };
        if !std::mem::take(&mut stored.listed) || !stored.is_sparse(whole_bytes) {
            return 0;
        }
        let (Some(parts), Some(run)) = (&stored.parts, &mut stored.run) else {
            return 0;
        };
        let thinned = run.thinned(|index| parts.holds(index), |bytes| pass.log.keep(bytes));
        let copied = thinned.block().len();
        pass.out
            .garbage
            .push(std::mem::replace(run, Arc::new(thinned)));
        copied
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RunRef, &Stored)> {
        self.slots
            .iter()
            .map(|(place, stored)| (RunRef(place), stored))
    }

    fn slot(&mut self, run: RunRef) -> Option<&mut Stored> {
        self.slots.at_mut(run.0)
    }
}

impl Stored {
    /// Live references.
    pub(crate) fn refs(&self) -> u64 {
        self.refs
    }

    /// Bytes of its record that are alive.
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// Counts references message by message from now on if these are not all messages, and the
    /// block is one that may be copied. Until then all have equally many.
    fn split(&mut self, first: u32, n: u32, whole_bytes: usize) {
        if let (None, Some(run)) = (&self.parts, &self.run)
            && may_be_sparse(run, whole_bytes)
            && (first, n) != (0, run.count())
        {
            let times = self.refs / u64::from(run.count());
            self.parts = Some(Box::new(Parts::new(run, times)));
        }
    }

    fn is_sparse(&self, whole_bytes: usize) -> bool {
        match (&self.run, &self.parts) {
            (Some(run), Some(parts)) => {
                let bytes = run.block().len();
                bytes > whole_bytes && parts.kept() < bytes / 2
            }
            _ => false,
        }
    }

    /// References message by message, if they are counted.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> Option<&Parts> {
        self.parts.as_deref()
    }
}

fn may_be_sparse(run: &Run, whole_bytes: usize) -> bool {
    run.count() > 1 && run.block().len() > whole_bytes
}

fn mean_size(run: &Run) -> u32 {
    let mean = run.block().len() / run.count().max(1) as usize;
    u32::try_from(mean).unwrap_or(u32::MAX)
}

impl Broker {
    /// Sees to it that sparse runs are looked at.
    pub(crate) fn watch_sparse(&mut self) {
        if !self.store.watched && !self.store.young.is_empty() {
            self.store.watched = true;
            let due = self.now.mono_ms.saturating_add(SPARSE_MS);
            self.deadlines.set(due, Deadline::Thin);
        }
    }

    /// Copies what has been sparse for a while, as far as the units reach; what is left, and what
    /// became sparse meanwhile, comes later.
    pub(crate) fn thin(&mut self, pass: &mut Pass<'_>) {
        while pass.units() > 0 {
            let Some(run) = self.store.old.pop() else {
                self.store.old = std::mem::take(&mut self.store.young);
                self.store.watched = !self.store.old.is_empty();
                if self.store.watched {
                    let due = self.now.mono_ms.saturating_add(SPARSE_MS);
                    self.deadlines.set(due, Deadline::Thin);
                }
                return;
            };
            let copied = self.store.thin(run, pass);
            pass.spend(1 + u32::try_from(copied / BYTES_PER_UNIT).unwrap_or(0));
        }
        self.work.push_back(Work::Thin);
    }
}
