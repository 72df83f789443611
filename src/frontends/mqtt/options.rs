//! What the configuration says to the MQTT front-end.

use std::fmt;
use std::sync::Arc;

use ternmq_mqtt::{Limits, topic};

use super::auth::Method;

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct MqttOptions {
    /// Largest packet, in bytes.
    pub max_packet_bytes: usize,
    /// Unsettled deliveries of a session.
    pub max_inflight: u16,
    /// Publishes above QoS 0 that a 5.0 client may have unacknowledged, 1 to 65,535.
    pub receive_maximum: u16,
    /// Topic aliases that a client may use, and that it is given if it takes them.
    pub topic_alias_maximum: u16,
    /// Longest life of a session without connection; `None` is for ever.
    pub session_expiry_ms: Option<u64>,
    /// Longest keep-alive of 5.0 clients, in seconds; older ones could not be told of it.
    pub max_keep_alive_s: Option<u16>,
    /// A PUBLISH may ask to be retained.
    pub retain_available: bool,
    /// A payload that says it is UTF-8 must be (3.3.2.3.2).
    pub check_payload_format: bool,
    /// Longest topic or filter in its canonical form, in bytes.
    pub max_name_bytes: usize,
    /// Bytes kept of a client while its publish waits for memory.
    pub read_ahead_bytes: usize,
    /// Filters of what nobody may publish or subscribe to.
    pub deny: Arc<[String]>,
    /// SUBACK refuses what is denied with 0x80 instead of 0x87.
    pub obscure_denied: bool,
    /// 5.0 clients are told how often a message was delivered before.
    pub delivery_count: bool,
    /// A denied PUBLISH of a client before 5.0 is acknowledged and dropped, instead of ending the
    /// connection.
    pub acknowledge_denied: bool,
    /// Where clients go when this server stops (4.11).
    pub server_reference: Option<String>,
    /// In front of the client id it makes the Response Information (3.2.2.3.15).
    pub response_prefix: Option<String>,
    /// Milliseconds between two rounds of `$SYS` topics.
    pub sys_interval_ms: u64,
    /// What `$SYS` topics say.
    pub sys: SysValues,
    /// Methods of enhanced authentication (4.12).
    pub methods: Vec<Arc<dyn Method>>,
    /// Random, so that client ids given out by one life of the server are no other's.
    pub epoch: u64,
}

impl MqttOptions {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_packet_size: self.max_packet_bytes,
            receive_maximum: self.receive_maximum,
            topic_alias_maximum: self.topic_alias_maximum,
            topic_aliases_out: self.topic_alias_maximum,
            retain_available: self.retain_available,
            check_payload_format: self.check_payload_format,
            ..Limits::default()
        }
    }
}

/// Whether a topic, or a filter read like one, is denied.
pub(super) fn is_denied(deny: &[String], name: &str) -> bool {
    deny.iter().any(|denied| {
        topic::Filter::parse(denied).is_ok_and(|filter| filter.text == name || filter.matches(name))
    })
}

/// Topics and payloads of the server's own values, computed when somebody asks.
#[derive(Clone)]
pub struct SysValues(Arc<dyn Fn() -> Vec<(&'static str, String)> + Send + Sync>);

impl SysValues {
    /// Values that `read` gives; it must not block.
    pub fn new(read: impl Fn() -> Vec<(&'static str, String)> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(super) fn read(&self) -> Vec<(&'static str, String)> {
        (self.0)()
    }
}

impl fmt::Debug for SysValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SysValues")
    }
}
