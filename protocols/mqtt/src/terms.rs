//! What a peer announces of itself when a connection opens.

use crate::packet::QoS;
use crate::properties::{Properties, PropertyId, Value};

/// The announcements in the properties of CONNECT or CONNACK; by default what MQTT 5.0 assumes
/// where nothing is said, and before 5.0 nothing can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The largest packet the peer takes, in bytes with its fixed header.
    pub max_packet_size: u32,
    /// Publishes above QoS 0 that may be unacknowledged towards the peer.
    pub receive_maximum: u16,
    /// The highest topic alias the peer takes.
    pub topic_alias_maximum: u16,
    /// Session Expiry Interval in seconds; `u32::MAX` is for ever.
    pub session_expiry_s: u32,
    /// Request Problem Information: reason strings and user properties are welcome everywhere.
    pub problem_info: bool,
    /// Request Response Information.
    pub response_info: bool,
    /// Maximum QoS.
    pub maximum_qos: QoS,
    /// Retain Available.
    pub retain_available: bool,
    /// Server Keep Alive in seconds.
    pub keep_alive_s: Option<u16>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            max_packet_size: u32::MAX,
            receive_maximum: u16::MAX,
            topic_alias_maximum: 0,
            session_expiry_s: 0,
            problem_info: true,
            response_info: false,
            maximum_qos: QoS::ExactlyOnce,
            retain_available: true,
            keep_alive_s: None,
        }
    }
}

impl Terms {
    /// Reads the announcements.
    pub fn of(properties: Properties<'_>) -> Self {
        let mut terms = Self::default();
        for (id, value) in properties.iter() {
            match (id, value) {
                (PropertyId::MaximumPacketSize, Value::Long(n)) => terms.max_packet_size = n,
                (PropertyId::ReceiveMaximum, Value::Short(n)) => terms.receive_maximum = n,
                (PropertyId::TopicAliasMaximum, Value::Short(n)) => terms.topic_alias_maximum = n,
                (PropertyId::SessionExpiry, Value::Long(n)) => terms.session_expiry_s = n,
                (PropertyId::RequestProblemInfo, Value::Byte(n)) => terms.problem_info = n == 1,
                (PropertyId::RequestResponseInfo, Value::Byte(n)) => terms.response_info = n == 1,
                (PropertyId::MaximumQos, Value::Byte(n)) => {
                    terms.maximum_qos = QoS::from_bits(n).unwrap_or(QoS::AtLeastOnce);
                }
                (PropertyId::RetainAvailable, Value::Byte(n)) => terms.retain_available = n == 1,
                (PropertyId::ServerKeepAlive, Value::Short(n)) => terms.keep_alive_s = Some(n),
                _ => {}
            }
        }
        terms
    }
}
