//! Law L3 in every interleaving: list, swap and park, with an effect decided while its batch is
//! being synced. The code under test is `src/engine/watch.rs` as the engine compiles it; the
//! journal's two lists and the outbox are modelled here.
#![cfg(loom)]

#[path = "../../../src/engine/watch.rs"]
mod watch;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use watch::{Listing, Notice, Pending, Waitlist};

const SLOT: u32 = 7;

/// Which mistake the model makes.
#[derive(Clone, Copy, PartialEq)]
enum Mutant {
    None,
    /// Lists in `open` only, also for what lies in the closed batch.
    OpenOnly,
    /// Reads the watermark before it takes the mutex, not under it.
    EarlyRead,
    /// A push judges the listing by a watermark that it read before it took the lock.
    StaleWatermark,
}

/// The journal: batch 1 (positions up to 1) is closed and being synced, batch 2 is open.
struct Log {
    durable: AtomicU64,
    lists: Mutex<Lists>,
    wanted: Condvar,
    mutant: Mutant,
}

#[derive(Default)]
struct Lists {
    open: Vec<u32>,
    /// `None` once batch 1 has been released.
    syncing: Option<Vec<u32>>,
}

impl Log {
    /// Commits batch 1, then batch 2 as soon as somebody wants it, as the journal thread does.
    fn run(&self, wake: impl Fn(u32), batches: u64) {
        self.durable.store(1, Ordering::Release);
        let waiters = self.lists.lock().unwrap().syncing.take();
        waiters.into_iter().flatten().for_each(&wake);
        if batches < 2 {
            return;
        }
        let mut lists = self.lists.lock().unwrap();
        while lists.open.is_empty() {
            lists = self.wanted.wait(lists).unwrap();
        }
        let waiters = std::mem::take(&mut lists.open);
        lists.syncing = Some(waiters);
        drop(lists);
        self.durable.store(2, Ordering::Release);
        let waiters = self.lists.lock().unwrap().syncing.take();
        waiters.into_iter().flatten().for_each(&wake);
    }
}

impl Log {
    fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }
}

impl Waitlist for Log {
    fn list(&self, after: u64, slot: u32) -> bool {
        let early = self.durable();
        let mut lists = self.lists.lock().unwrap();
        let durable = if self.mutant == Mutant::EarlyRead {
            early
        } else {
            self.durable()
        };
        if durable >= after {
            return false;
        }
        match &mut lists.syncing {
            // Batch 2 is never asked for before batch 1 has been taken, in `syncing` or behind it.
            Some(waiters) if after == 1 && self.mutant != Mutant::OpenOnly => waiters.push(slot),
            _ => {
                lists.open.push(slot);
                self.wanted.notify_one();
            }
        }
        true
    }
}

struct Outbox {
    pending: Pending,
    contents: Mutex<Contents>,
    owner: Task,
}

/// The waker of a task: wakes are kept until it parks.
#[derive(Default)]
struct Task {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Task {
    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.wake.notify_one();
    }

    fn park(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.wake.wait(woken).unwrap();
        }
        *woken = false;
    }
}

#[derive(Default)]
struct Contents {
    held: Vec<u64>,
    listing: Listing,
}

impl Outbox {
    fn wake(&self) {
        if self.pending.raise() {
            self.owner.wake();
        }
    }

    /// What `Wakes::push` and `finish_wakes` do.
    fn push(&self, log: &Log, after: u64) {
        let stale = log.durable();
        let notice = {
            let mut contents = self.contents.lock().unwrap();
            let durable = if log.mutant == Mutant::StaleWatermark {
                stale
            } else {
                log.durable()
            };
            contents.held.push(after);
            let first = contents.held.first().copied();
            let ready = first.is_some_and(|first| first <= durable);
            watch::notice(&self.pending, &mut contents.listing, ready, first, durable)
        };
        match notice {
            Notice::None => {}
            Notice::Wake => self.owner.wake(),
            Notice::List(after) => {
                if !log.list(after, SLOT) {
                    self.wake();
                }
            }
        }
    }

    /// What the connection's task does until it has got `wanted` effects.
    fn own(&self, log: &Log, wanted: usize) {
        let mut got = 0;
        loop {
            watch::collect(log, SLOT, &self.pending, || self.look(log, &mut got));
            if got == wanted {
                return;
            }
            self.owner.park();
        }
    }

    fn look(&self, log: &Log, got: &mut usize) -> Option<u64> {
        let mut contents = self.contents.lock().unwrap();
        let durable = log.durable();
        while contents.held.first().is_some_and(|first| *first <= durable) {
            contents.held.remove(0);
            *got += 1;
        }
        let first = contents.held.first().copied();
        contents.listing.extend(first, durable)
    }
}

/// A connection owns an outbox; another pushes `effects`; the journal commits.
fn model(mutant: Mutant, effects: &'static [u64]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let log = Arc::new(Log {
            durable: AtomicU64::new(0),
            lists: Mutex::new(Lists {
                open: Vec::new(),
                syncing: Some(Vec::new()),
            }),
            wanted: Condvar::new(),
            mutant,
        });
        let outbox = Arc::new(Outbox {
            pending: Pending::default(),
            contents: Mutex::default(),
            owner: Task::default(),
        });
        let journal = {
            let (log, outbox) = (log.clone(), outbox.clone());
            let batches = *effects.iter().max().unwrap();
            thread::spawn(move || log.run(|_| outbox.wake(), batches))
        };
        let pusher = {
            let (log, outbox) = (log.clone(), outbox.clone());
            thread::spawn(move || effects.iter().for_each(|after| outbox.push(&log, *after)))
        };
        outbox.own(&log, effects.len());
        pusher.join().unwrap();
        journal.join().unwrap();
    });
}

#[test]
fn l3_effect_of_the_syncing_batch_is_released() {
    model(Mutant::None, &[1]);
}

#[test]
fn l3_effects_of_both_batches_are_released() {
    model(Mutant::None, &[1, 2]);
}

#[test]
fn l3_two_effects_of_the_syncing_batch_are_released() {
    model(Mutant::None, &[1, 1]);
}

#[test]
#[should_panic(expected = "deadlock")]
fn l3_mutant_listing_only_in_open_stalls() {
    model(Mutant::OpenOnly, &[1]);
}

#[test]
#[should_panic(expected = "deadlock")]
fn l3_mutant_reading_the_watermark_before_the_mutex_stalls() {
    model(Mutant::EarlyRead, &[1]);
}

#[test]
#[should_panic(expected = "deadlock")]
fn l3_mutant_judging_by_a_stale_watermark_stalls() {
    model(Mutant::StaleWatermark, &[1, 1]);
}
