//! Ceilings for everything a peer can grow (law L25).

/// All limits of the core. The configuration fills them in.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Declared or auto-created addresses.
    pub max_addresses: usize,
    /// Queues of every kind.
    pub max_queues: usize,
    /// Sessions, connected or not.
    pub max_sessions: usize,
    /// Subscriptions and consumers of one connection or session.
    pub max_subscriptions: usize,
    /// Retained values.
    pub max_retained: usize,
    /// Waiting receives of one queue.
    pub max_waiters: usize,
    /// Messages of one queue that consumers may set aside for others, each counted once per
    /// consumer.
    pub max_set_aside: usize,
    /// Bytes a non-durable subscription may hold before it drops its oldest (law L23).
    pub subscription_bytes: u64,
    /// Longest note of a message, in bytes; a longer one is dropped.
    pub max_note_bytes: usize,
    /// Bytes that notes of the messages of one queue may hold, 64 for each beside its own. More are
    /// dropped.
    pub notes_bytes: usize,
    /// Bytes of deliveries a connection's outbox may hold (law L22).
    pub outbox_bytes: u32,
    /// Addresses whose route is remembered.
    pub cached_routes: usize,
    /// Units of work one call does before it lets others in (law L21).
    pub units_per_call: u32,
    /// Longest name of an address, queue or session, in bytes.
    pub max_name_bytes: usize,
}

impl Limits {
    /// Bytes of records that one step of a call writes at most, beside bodies and notes: a count, a new
    /// dead-letter queue and a move out of a session's queue, whose name is the session's escaped.
    /// A call that has room for this many makes progress.
    #[must_use]
    pub fn step_bytes(&self) -> usize {
        8 * self.max_name_bytes + 512
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_addresses: 1_000_000,
            max_queues: 1_000_000,
            max_sessions: 1_000_000,
            max_subscriptions: 10_000,
            max_retained: 1_000_000,
            max_waiters: 1_000,
            max_set_aside: 1_000,
            subscription_bytes: 16 << 20,
            max_note_bytes: 64 << 10,
            notes_bytes: 16 << 20,
            outbox_bytes: 1 << 20,
            cached_routes: 65_536,
            units_per_call: 4_096,
            max_name_bytes: 4_096,
        }
    }
}
