//! Reason codes of MQTT 5.0 by name (2.4).

use std::fmt;

use ternmq_mqtt::{Properties, PropertyId};

/// A reason code; MQTT 3.1.1 has the nearest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason(pub u8);

impl Reason {
    /// No subscription matched: the message was accepted and went nowhere.
    pub const NO_MATCHING_SUBSCRIBERS: Self = Self(0x10);

    /// Whether it is a refusal.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        self.0 >= 0x80
    }

    /// The name of the specification, in small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(code, _)| *code == self.0);
        found.map_or("unknown reason", |(_, name)| name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.0)
    }
}

/// The server's own words about a reason, fit for a terminal.
pub(super) fn said(properties: Properties<'_>) -> Option<String> {
    let text = properties.text(PropertyId::ReasonString)?;
    let shown = text.chars().filter(|c| !c.is_control());
    Some(shown.take(SAID_CHARS).collect())
}

const SAID_CHARS: usize = 400;

const NAMES: [(u8, &str); 43] = [
    (0x00, "success"),
    (0x01, "granted QoS 1"),
    (0x02, "granted QoS 2"),
    (0x04, "disconnect with will message"),
    (0x10, "no matching subscribers"),
    (0x11, "no subscription existed"),
    (0x18, "continue authentication"),
    (0x19, "re-authenticate"),
    (0x80, "unspecified error"),
    (0x81, "malformed packet"),
    (0x82, "protocol error"),
    (0x83, "implementation specific error"),
    (0x84, "unsupported protocol version"),
    (0x85, "client identifier not valid"),
    (0x86, "bad user name or password"),
    (0x87, "not authorized"),
    (0x88, "server unavailable"),
    (0x89, "server busy"),
    (0x8A, "banned"),
    (0x8B, "server shutting down"),
    (0x8C, "bad authentication method"),
    (0x8D, "keep alive timeout"),
    (0x8E, "session taken over"),
    (0x8F, "topic filter invalid"),
    (0x90, "topic name invalid"),
    (0x91, "packet identifier in use"),
    (0x92, "packet identifier not found"),
    (0x93, "receive maximum exceeded"),
    (0x94, "topic alias invalid"),
    (0x95, "packet too large"),
    (0x96, "message rate too high"),
    (0x97, "quota exceeded"),
    (0x98, "administrative action"),
    (0x99, "payload format invalid"),
    (0x9A, "retain not supported"),
    (0x9B, "QoS not supported"),
    (0x9C, "use another server"),
    (0x9D, "server moved"),
    (0x9E, "shared subscriptions not supported"),
    (0x9F, "connection rate exceeded"),
    (0xA0, "maximum connect time"),
    (0xA1, "subscription identifiers not supported"),
    (0xA2, "wildcard subscriptions not supported"),
];
