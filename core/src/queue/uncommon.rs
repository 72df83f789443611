//! What only queues with unusual consumers or messages have, kept apart so that all others stay small.

use crate::ids::ConnectionId;
use crate::queue::Queue;
use crate::queue::browse::Browsers;
use crate::queue::drain::Drains;
use crate::queue::levels::Levels;
use crate::queue::note::Notes;
use crate::queue::set_aside::SetAside;

/// What only queues with unusual consumers or messages have.
#[derive(Debug, Default)]
pub(crate) struct Uncommon {
    pub(crate) drains: Drains,
    pub(crate) browsers: Browsers,
    pub(crate) set_aside: SetAside,
    pub(crate) levels: Levels,
    /// Only messages that something was noted of.
    pub(crate) notes: Notes,
    /// The queue does not take what this connection publishes: its consumer's.
    pub(crate) not_from: Option<ConnectionId>,
}

impl Queue {
    /// Whose messages it does not take.
    pub(crate) fn not_from(&self) -> Option<ConnectionId> {
        self.uncommon.as_ref()?.not_from
    }

    /// Made with the first thing that is put into it, and kept.
    pub(crate) fn uncommon_mut(&mut self) -> &mut Uncommon {
        self.uncommon.get_or_insert_default()
    }
}
