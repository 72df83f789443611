//! The runs that something in the broker still refers to: one entry each, however many queues hold
//! it. An index entry is a number into this table, so it stays at 12 bytes (design 7).
//!
//! References are counted per (queue, message) pair and per retained value. The live bytes of a
//! record are charged evenly to its references; what dies is reported by the record's name.

use std::sync::Arc;

use crate::effect::Out;
use crate::message::Run;
use crate::slots::Slots;

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
    /// Bytes not yet reported dead.
    live: u32,
}

/// All runs in use.
#[derive(Debug, Default)]
pub(crate) struct Store {
    slots: Slots<Stored>,
}

impl Store {
    /// Takes a run in with no references yet; [`Store::retain`] them before the next release.
    pub(crate) fn insert(&mut self, run: Option<Arc<Run>>, name: u64, live: u32) -> RunRef {
        RunRef(self.slots.insert(Stored {
            run,
            name,
            refs: 0,
            live,
        }))
    }

    /// Adds `n` references.
    pub(crate) fn retain(&mut self, run: RunRef, n: u32) {
        if let Some(stored) = self.slot(run) {
            stored.refs += u64::from(n);
        }
    }

    /// Ends `n` references; reports the bytes that died with them and lets go of the run with the last.
    pub(crate) fn release(&mut self, run: RunRef, n: u32, out: &mut Out) {
        let Some(stored) = self.slot(run) else { return };
        let n = u64::from(n).min(stored.refs);
        let died = if n == stored.refs {
            stored.live
        } else {
            let share = u128::from(stored.live) * u128::from(n) / u128::from(stored.refs.max(1));
            u32::try_from(share).unwrap_or(u32::MAX)
        };
        stored.refs -= n;
        stored.live -= died;
        if stored.name != 0 && died > 0 {
            match out.dead.last_mut() {
                Some((name, bytes)) if *name == stored.name => *bytes += died,
                _ => out.dead.push((stored.name, died)),
            }
        }
        if stored.refs == 0
            && let Some(run) = self.slots.remove(run.0).and_then(|stored| stored.run)
        {
            out.garbage.push(run);
        }
    }

    /// Lets go of a run that nobody took.
    pub(crate) fn discard(&mut self, run: RunRef, out: &mut Out) {
        if self.slot(run).is_some_and(|stored| stored.refs == 0) {
            self.release(run, 0, out);
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

    /// Recovery: the messages have been read.
    pub(crate) fn load(&mut self, run: RunRef, messages: Arc<Run>, live: u32) {
        if let Some(stored) = self.slot(run) {
            stored.run = Some(messages);
            stored.live = live;
        }
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
}
