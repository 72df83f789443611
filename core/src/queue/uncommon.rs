//! What only queues with unusual consumers have, kept apart so that all others stay small.

use crate::queue::Queue;
use crate::queue::drain::Drains;

/// What only queues with unusual consumers have.
#[derive(Debug, Default)]
pub(crate) struct Uncommon {
    pub(crate) drains: Drains,
}

impl Queue {
    /// Made with the first thing that is put into it, and kept.
    pub(crate) fn uncommon_mut(&mut self) -> &mut Uncommon {
        self.uncommon.get_or_insert_default()
    }
}
