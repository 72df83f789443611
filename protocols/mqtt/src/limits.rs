//! What a peer may ask of a machine.

use crate::packet::QoS;

/// Limits of one connection. What MQTT 5.0 can announce of them is announced by
/// [`Connection::accept`](crate::Connection::accept), so that peer and machine agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest packet in bytes, fixed header included; Maximum Packet Size (3.2.2.3.6).
    pub max_packet_size: usize,
    /// Largest packet in bytes before the session is open, while nobody knows who the peer is.
    pub max_connect_size: usize,
    /// How long a server waits for CONNECT, and for each AUTH before CONNACK, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Publishes above QoS 0 that a client may have unacknowledged, 1 to 65,535; Receive Maximum
    /// (3.2.2.3.3). MQTT 5.0 only.
    pub receive_maximum: u16,
    /// Topic aliases a client may use; Topic Alias Maximum (3.2.2.3.8).
    pub topic_alias_maximum: u16,
    /// Topic aliases the machine gives out itself, below what the peer announces.
    pub topic_aliases_out: u16,
    /// Bytes of topics that each of the two alias tables may remember.
    pub topic_alias_bytes: usize,
    /// The highest QoS a client may publish with; Maximum QoS (3.2.2.3.4).
    pub maximum_qos: QoS,
    /// Whether a client may ask to retain; Retain Available (3.2.2.3.5).
    pub retain_available: bool,
    /// Whether a payload that says it is UTF-8 must be (3.3.2.3.2).
    pub check_payload_format: bool,
}

impl Default for Limits {
    /// 1 MiB per packet, 64 KiB for CONNECT within 10 s; 65,535 publishes unacknowledged, 16
    /// aliases each way with 16 KiB of topics; QoS 2, RETAIN, payloads not looked at.
    fn default() -> Self {
        Self {
            max_packet_size: 1024 * 1024,
            max_connect_size: 64 * 1024,
            connect_timeout_ms: 10_000,
            receive_maximum: u16::MAX,
            topic_alias_maximum: 16,
            topic_aliases_out: 16,
            topic_alias_bytes: 16 * 1024,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            check_payload_format: false,
        }
    }
}
