//! What a peer may ask of a machine.

/// Limits of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest packet in bytes, fixed header included; what MQTT 5.0 announces as Maximum Packet
    /// Size.
    pub max_packet_size: usize,
    /// Largest first packet in bytes, while nobody knows who the peer is.
    pub max_connect_size: usize,
    /// How long a server waits for CONNECT, in milliseconds.
    pub connect_timeout_ms: u64,
}

impl Default for Limits {
    /// 1 MiB per packet, 64 KiB for CONNECT within 10 s.
    fn default() -> Self {
        Self {
            max_packet_size: 1024 * 1024,
            max_connect_size: 64 * 1024,
            connect_timeout_ms: 10_000,
        }
    }
}
