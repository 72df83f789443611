//! What a worker thread lends to the connection it polls, so that an idle one owns none of it.

use std::cell::Cell;

use ternmq_core::command::Command;

use crate::engine::Released;
use crate::frontends::Output;

/// Bytes of one read.
pub(super) const READ_BYTES: usize = 64 << 10;
/// Unread output above which nothing is read or encoded any more (law L22), in bytes.
pub(super) const OUTPUT_BYTES: usize = 256 << 10;
/// Capacity of lists that is kept between polls, in entries.
const KEPT_ENTRIES: usize = 16 << 10;

thread_local! {
    static WORKER: Cell<Option<Box<Worker>>> = const { Cell::new(None) };
}

/// Buffers of one worker thread; empty between polls.
pub(super) struct Worker {
    pub(super) input: Vec<u8>,
    pub(super) output: Output,
    pub(super) commands: Vec<Command>,
    pub(super) released: Released,
}

impl Worker {
    /// This thread's buffers, or new ones if a poll on this thread has panicked or is under way.
    pub(super) fn take() -> Box<Self> {
        WORKER.take().unwrap_or_else(|| {
            Box::new(Self {
                input: vec![0; READ_BYTES],
                output: Output::default(),
                commands: Vec::new(),
                released: Released::default(),
            })
        })
    }

    /// Gives them back for the next poll.
    pub(super) fn give_back(mut self: Box<Self>) {
        self.output.reset(2 * OUTPUT_BYTES);
        self.commands.clear();
        self.commands.shrink_to(KEPT_ENTRIES);
        self.released.answers.clear();
        self.released.answers.shrink_to(KEPT_ENTRIES);
        self.released.deliveries.clear();
        self.released.deliveries.shrink_to(KEPT_ENTRIES);
        self.released = Released {
            answers: std::mem::take(&mut self.released.answers),
            deliveries: std::mem::take(&mut self.released.deliveries),
            ..Released::default()
        };
        WORKER.set(Some(self));
    }
}
