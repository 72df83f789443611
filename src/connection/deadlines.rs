//! When a connection must be looked at although nothing has come.

use ternmq_core::ids::Now;

use super::ending::Finish;
use super::worker::Worker;
use super::{Connection, Stop, Transport, turn};
use crate::frontends::End;

/// Absolute times on the mono clock, in milliseconds.
#[derive(Default)]
pub(super) struct Deadlines {
    /// What the link was told last; earlier than all others, or they would be late.
    pub(super) armed: Option<u64>,
    pub(super) connect: u64,
    pub(super) parked: Option<u64>,
    pub(super) stalled: Option<u64>,
    pub(super) flush: u64,
}

impl<T: Transport> Connection<T> {
    /// Acts on what has become due.
    pub(super) fn handle_timeout(&mut self, now: Now, worker: &mut Worker) -> Result<(), Finish> {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now.mono_ms);
        if due(self.deadlines.stalled) {
            return Err(Finish::Stalled);
        }
        if !self.frontend.is_connected() && due(Some(self.deadlines.connect)) {
            return Err(Finish::Server(match self.stop {
                Stop::LastCall => End::Stopping,
                Stop::No | Stop::Flushing => End::ConnectTimeout,
            }));
        }
        let mut turn = turn(now, &self.link, &mut worker.commands, &mut worker.output);
        if !self.frontend.parked() {
            if due(self.frontend.poll_timeout()) {
                self.frontend.handle_timeout(&mut turn)?;
            }
        } else if due(self.deadlines.parked) {
            self.deadlines.parked = None;
            self.frontend.refuse_parked(&mut turn)?;
        }
        Ok(())
    }

    /// Sees to it that the earliest deadline is heard of. One that moves back costs nothing: the
    /// old one fires, finds nothing due and is set again.
    pub(super) fn arm(&mut self, now: Now) {
        let parked = self.frontend.parked();
        if parked {
            let wait = self.environment.options.block_timeout_ms;
            let until = now.mono_ms.saturating_add(wait);
            self.deadlines.parked.get_or_insert(until);
        } else {
            self.deadlines.parked = None;
        }
        let connect = (!self.frontend.is_connected()).then_some(self.deadlines.connect);
        let own = if parked {
            self.deadlines.parked
        } else {
            self.frontend.poll_timeout()
        };
        let wanted = [connect, own, self.deadlines.stalled];
        if let Some(next) = wanted.into_iter().flatten().min()
            && self.deadlines.armed.is_none_or(|armed| next < armed)
        {
            self.deadlines.armed = Some(next);
            self.link.set_timeout(Some(next));
        }
    }
}
