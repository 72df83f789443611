//! The journal thread: a loop around `step`, and the clean stop.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::journal::Journal;
use crate::writer::Step;

/// An unsynced tail is synced after this long (law L4).
const TAIL_SYNC: Duration = Duration::from_secs(1);

impl Journal {
    /// Starts the journal thread. `on_waiters` gets the numbers that a commit released, to be woken
    /// elsewhere; `on_poison` gets the error that ended everything (law L8). It ends when the
    /// journal closes.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn spawn(
        self: &Arc<Self>,
        on_waiters: impl Fn(Vec<u32>) + Send + 'static,
        on_poison: impl FnOnce(Error) + Send + 'static,
    ) -> Result<JoinHandle<()>, Error> {
        let journal = Arc::clone(self);
        self.state.lock().thread_running = true;
        let run = move || {
            let result = journal.run(&on_waiters);
            journal.state.lock().thread_running = false;
            journal.progress.notify_all();
            if let Err(error) = result {
                on_poison(error);
            }
        };
        let spawned = std::thread::Builder::new()
            .name("journal".into())
            .spawn(run);
        if spawned.is_err() {
            self.state.lock().thread_running = false;
        }
        spawned.map_err(Error::io("spawn", &self.dir))
    }

    fn run(&self, on_waiters: &impl Fn(Vec<u32>)) -> Result<(), Error> {
        let mut unsynced_since = None;
        while self.await_work(&mut unsynced_since) {
            if let Step::Committed { waiters } = self.step()?
                && !waiters.is_empty()
            {
                on_waiters(waiters);
            }
        }
        Ok(())
    }

    /// Sleeps until there is something to do; `false` when the journal closes and nothing is left.
    fn await_work(&self, unsynced_since: &mut Option<Instant>) -> bool {
        let mut state = self.state.lock();
        loop {
            if !state.has_unsynced() {
                *unsynced_since = None;
            }
            if state.poisoned || state.has_work() {
                // `step` says so.
                return true;
            }
            if !state.has_unsynced() {
                if state.closing {
                    return false;
                }
                state.asleep = true;
                self.work.wait(&mut state);
                state.asleep = false;
                continue;
            }
            let since = *unsynced_since.get_or_insert_with(Instant::now);
            if state.closing || since.elapsed() >= TAIL_SYNC {
                state.want_all();
                *unsynced_since = None;
                return true;
            }
            self.work.wait_until(&mut state, since + TAIL_SYNC);
        }
    }

    /// Clean stop: no reservation succeeds any more, what was appended becomes durable, a closing
    /// block says so, the lock is released. Without a journal thread this steps by itself and
    /// drops the waiters. A second call does nothing.
    ///
    /// # Errors
    /// Those of a write or sync, also of an earlier one; the lock is released all the same.
    pub fn close(&self) -> Result<(), Error> {
        let first = {
            let mut state = self.state.lock();
            !std::mem::replace(&mut state.closing, true)
        };
        if !first {
            return Ok(());
        }
        self.work.notify_all();
        self.filler_work.notify_all();
        let result = self.drain();
        // Nobody touches the directory any more once another process may.
        let _filling = self.filling.lock();
        let _kept = self.kept.lock();
        *self.lock.lock() = None;
        result
    }

    fn drain(&self) -> Result<(), Error> {
        {
            let mut state = self.state.lock();
            while state.thread_running {
                self.progress.wait(&mut state);
            }
            state.want_all();
        }
        while self.step()? != Step::Idle {}
        let mut writer = self.writer.lock();
        self.or_poison(self.write_closing(&mut writer))
    }
}
