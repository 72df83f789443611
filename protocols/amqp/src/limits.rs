//! What a peer may ask of a machine.

/// Limits of one connection. What AMQP can announce of them is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest frame in bytes, at least 512 (T 2.7.1).
    pub max_frame_size: u32,
    /// Highest channel; sessions are one more (T 2.7.1).
    pub channel_max: u16,
    /// Highest handle of a session; its links are one more (T 2.7.2).
    pub handle_max: u32,
    /// Links of all sessions.
    pub max_links: usize,
    /// After how many milliseconds without a frame the peer counts as gone; half of it is announced
    /// (T 2.4.5). `None` is never.
    pub idle_timeout_ms: Option<u32>,
    /// How long the peer has for each step until it is open, in milliseconds.
    pub open_timeout_ms: u64,
    /// How long a peer that was told the end has to tell its own, in milliseconds.
    pub close_timeout_ms: u64,
    /// Transfer frames that a session takes before it says that it takes more (T 2.5.6).
    pub incoming_window: u32,
    /// Largest message in bytes; 0 is any (T 2.7.3).
    pub max_message_size: u64,
    /// Deliveries of a session that are not settled, in each direction.
    pub max_unsettled: u32,
    /// The first transfer id and delivery count (RFC 1982 numbers; tests begin near their end).
    pub first_id: u32,
}

impl Default for Limits {
    /// 128 KiB per frame, 256 sessions with 1,024 links each and 4,096 in all, a minute of silence,
    /// 10 s for each step of the handshake and 5 s for the goodbye, 2,048 transfers ahead, messages
    /// of 100 MiB, 65,536 unsettled.
    fn default() -> Self {
        Self {
            max_frame_size: 128 << 10,
            channel_max: 255,
            handle_max: 1_023,
            max_links: 4_096,
            idle_timeout_ms: Some(60_000),
            open_timeout_ms: 10_000,
            close_timeout_ms: 5_000,
            incoming_window: 2_048,
            max_message_size: 100 << 20,
            max_unsettled: 65_536,
            first_id: 0,
        }
    }
}
