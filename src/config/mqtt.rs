//! `[mqtt]`: what the MQTT front-end offers its clients.

use serde::Deserialize;

/// Options of MQTT.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// Most QoS 1 and 2 messages sent to a client and not yet acknowledged; a client's own Receive
    /// Maximum is kept if it is lower. 1 to 65,535; default: the client's, and for 3.1.1 as many as
    /// there are packet ids (design 6).
    pub max_inflight: Option<u16>,
    /// Whether values are retained (3.2.2.3.5); if not, a publish with RETAIN is refused. Default
    /// true.
    pub retain_available: bool,
    /// Longest session expiry, in seconds; a longer wish is cut down, and a 5.0 client is told
    /// (3.2.2.3.2). 0 to 4,294,967,295 (for ever); default: the client's wish.
    pub max_session_expiry_s: Option<u32>,
    /// Longest keep-alive of a 5.0 client, in seconds; a longer one, or none, is cut down, and the
    /// client is told (3.2.2.3.14). Older clients, which cannot be told, get what they ask for. 1 to
    /// 65,535; default: the client's wish.
    pub max_keep_alive_s: Option<u16>,
    /// QoS 1 and 2 messages that a 5.0 client may have unacknowledged; one more ends the connection
    /// with 0x93 (3.2.2.3.3). 1 to 65,535; default 1,000.
    pub receive_maximum: u16,
    /// Topic aliases that a client may use, and that it is given if it takes them (3.2.2.3.8). 0 to
    /// 1,000; default 16.
    pub topic_alias_maximum: u16,
    /// Whether a payload that says it is UTF-8 must be (3.3.2.3.2); if not, PUBACK, PUBREC or, for a
    /// will, CONNACK refuses it with 0x99, and at QoS 0 the connection ends. Default false.
    pub check_payload_format: bool,
    /// Filters of topics that nobody may publish or subscribe to. At most 100; default none.
    pub deny: Vec<String>,
    /// Whether SUBACK refuses what is denied with 0x80 instead of 0x87. Default false.
    pub obscure_denied: bool,
    /// Whether a denied PUBLISH of a client before 5.0, which has no refusal, is acknowledged and
    /// dropped; if not, it ends the connection. Default false.
    pub acknowledge_denied: bool,
    /// Whether 5.0 clients are told how often a message was delivered before, in a user property
    /// `delivery-count`, from the second delivery on. Default false.
    pub delivery_count: bool,
    /// Server that 5.0 clients are sent to when this one stops, as Server Reference (4.11). Default
    /// none.
    pub server_reference: Option<String>,
    /// What topics for answers begin with: with the client id it makes the Response Information
    /// (3.2.2.3.15) of a client that asks for it. Default none.
    pub response_topic_prefix: Option<String>,
    /// Seconds between two rounds of `$SYS` topics. 1 to 3,600; default 10.
    pub sys_interval_s: u16,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            max_inflight: None,
            retain_available: true,
            max_session_expiry_s: None,
            max_keep_alive_s: None,
            receive_maximum: 1_000,
            topic_alias_maximum: 16,
            check_payload_format: false,
            deny: Vec::new(),
            obscure_denied: false,
            acknowledge_denied: false,
            delivery_count: false,
            server_reference: None,
            response_topic_prefix: None,
            sys_interval_s: 10,
        }
    }
}
