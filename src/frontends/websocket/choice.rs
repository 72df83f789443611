//! Which protocol an upgrade gets.

use std::fmt;

use super::ByteProtocol;

/// Subprotocols, best first (stomp.md A8, MQTT-6.0.0-3, AMQP-WSB 1.0 2.1).
const SUBPROTOCOLS: [(&str, ByteProtocol); 7] = [
    ("mqtt", ByteProtocol::Mqtt),
    ("mqttv3.1", ByteProtocol::Mqtt),
    ("amqp", ByteProtocol::Amqp),
    ("v12.stomp", ByteProtocol::Stomp),
    ("v11.stomp", ByteProtocol::Stomp),
    ("v10.stomp", ByteProtocol::Stomp),
    ("stomp", ByteProtocol::Stomp),
];

/// What was agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Choice {
    pub(super) protocol: ByteProtocol,
    /// To be echoed; none if none was offered.
    pub(super) subprotocol: Option<&'static str>,
}

/// Why there is no choice; answered with 400 at once, since clients that get a socket without their
/// subprotocol fail late.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// Neither path nor subprotocol says what the client speaks.
    NothingNamed,
    /// Nothing that is offered is spoken here.
    NothingSpoken,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingNamed => {
                "name a subprotocol in Sec-WebSocket-Protocol, or connect to /mqtt, /amqp or /stomp"
            }
            Self::NothingSpoken => "no subprotocol of these is spoken on this path",
        })
    }
}

/// Chooses by `path` and the subprotocols `offered`; `has` says what this server speaks. A path
/// that names a protocol takes that one alone.
pub(super) fn choose(
    path: &str,
    offered: &[String],
    has: impl Fn(ByteProtocol) -> bool,
) -> Result<Choice, Refused> {
    let named = match path {
        "/mqtt" => Some(ByteProtocol::Mqtt),
        "/stomp" => Some(ByteProtocol::Stomp),
        "/amqp" => Some(ByteProtocol::Amqp),
        _ => None,
    };
    let spoken = |protocol| named.is_none_or(|named| named == protocol) && has(protocol);
    if offered.is_empty() {
        let protocol = named.ok_or(Refused::NothingNamed)?;
        return if has(protocol) {
            Ok(Choice {
                protocol,
                subprotocol: None,
            })
        } else {
            Err(Refused::NothingSpoken)
        };
    }
    SUBPROTOCOLS
        .into_iter()
        .find(|(name, protocol)| spoken(*protocol) && offered.iter().any(|offer| offer == name))
        .map(|(name, protocol)| Choice {
            protocol,
            subprotocol: Some(name),
        })
        .ok_or(Refused::NothingSpoken)
}
