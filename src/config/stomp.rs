//! `[stomp]`: dialect and defaults of the STOMP front-end.

use serde::Deserialize;
use serde::de::{self, Deserializer};

/// Options of STOMP 1.0 to 1.2.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stomp {
    /// Heart-beats in milliseconds: how often we can send, how often we want to hear; 0 is never.
    /// Each 0 to 3,600,000; default `[10000, 10000]`.
    #[serde(deserialize_with = "pair")]
    pub heart_beat_ms: [u32; 2],
    /// Dialect of wildcards in destinations. Default `amq`.
    pub wildcards: Wildcards,
    /// Messages a subscription may have unacknowledged, unless it says so itself. 1 to 1,000,000;
    /// default 1,000.
    pub prefetch: u32,
    /// Whether CONNECTED names the server and its version. Default true.
    pub server_header: bool,
}

/// How wildcards are written in a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wildcards {
    /// ActiveMQ's: `.` between segments, `*` for one, `>` for the rest.
    Amq,
    /// MQTT's: `/` between segments, `+` for one, `#` for the rest.
    Mqtt,
}

impl Default for Stomp {
    fn default() -> Self {
        Self {
            heart_beat_ms: [10_000, 10_000],
            wildcards: Wildcards::Amq,
            prefetch: 1_000,
            server_header: true,
        }
    }
}

/// Two numbers and no more; serde's arrays take the first ones of a longer list.
fn pair<'de, D: Deserializer<'de>>(input: D) -> Result<[u32; 2], D::Error> {
    let numbers = Vec::<u32>::deserialize(input)?;
    let count = numbers.len();
    numbers
        .try_into()
        .map_err(|_| de::Error::invalid_length(count, &"a list of two numbers, such as [10000, 0]"))
}
