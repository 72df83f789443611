//! Everything a peer could make grow, with its ceiling.

/// Ceilings of one connection; a breach is an error that closes it (STOMP 1.2 "Size Limits").
///
/// A caller that keeps unfinished input needs at most
/// `header_block_bytes + header_line_bytes + body_bytes` and a few bytes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the command line without its end of line.
    pub command_bytes: usize,
    /// Octets of one header line without its end of line.
    pub header_line_bytes: usize,
    /// Header lines of a frame.
    pub header_count: usize,
    /// Octets of all header lines of a frame, ends of line included.
    pub header_block_bytes: usize,
    /// Octets of a body. Before CONNECT the smaller of this and `header_block_bytes` holds.
    pub body_bytes: usize,
    /// Milliseconds a client may take from the start of the connection to the end of CONNECT.
    pub connect_timeout_ms: u64,
    /// Subscriptions open at a time.
    pub subscriptions: usize,
    /// Octets of the names of all open subscriptions.
    pub subscription_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_bytes: 32,
            header_line_bytes: 16 * 1024,
            header_count: 256,
            header_block_bytes: 64 * 1024,
            body_bytes: 16 * 1024 * 1024,
            connect_timeout_ms: 10_000,
            subscriptions: 4_096,
            subscription_bytes: 1024 * 1024,
        }
    }
}
