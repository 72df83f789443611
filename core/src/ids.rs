//! Small identifiers and the time that the shell hands in.

use std::fmt;

/// A connection as the shell numbers them: a slot that is used again, and a generation that is not,
/// so that a stale command can be told from a live one (law L12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnectionId {
    /// Index into the shell's table of connections.
    pub slot: u32,
    /// Rises each time the slot is given out.
    pub generation: u32,
}

impl ConnectionId {
    /// The broker itself: declarations from the configuration and ticks.
    pub const BROKER: Self = Self {
        slot: u32::MAX,
        generation: 0,
    };
}

/// A queue, numbered once and never again (laws L5, L6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct QueueId(pub u32);

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A consumer as its front-end numbers it, unique within a connection. [`ConsumerKey::SESSION`]
/// names the lane of an attached session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConsumerKey(pub u32);

impl ConsumerKey {
    /// All consumers of an attached session share this key and one space of delivery tags.
    pub const SESSION: Self = Self(0);
}

/// A front-end's own mark on a command; it comes back with the answer and means nothing to the core.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token(pub u64);

/// Names one delivery to one lane: rises by one per message from 1 on, for the life of the lane.
/// MQTT shows it as packet id `(tag - 1) % 65535 + 1`; a lane of a session never has more than
/// 65,534 between its oldest unsettled delivery and its newest, so the id is unique.
pub type Tag = u64;

/// The two clocks, read once per batch by the shell (law L17).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Milliseconds of a clock that never jumps; durations run on it.
    pub mono_ms: u64,
    /// Milliseconds since 1970; time to live and shown times use it.
    pub wall_ms: u64,
}
