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
    /// Longest keep-alive, in seconds; a longer one, or none, is cut down, and a 5.0 client is told
    /// (3.2.2.3.14). 1 to 65,535; default: the client's wish.
    pub max_keep_alive_s: Option<u16>,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            max_inflight: None,
            retain_available: true,
            max_session_expiry_s: None,
            max_keep_alive_s: None,
        }
    }
}
