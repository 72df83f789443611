//! What a client speaks, by its first bytes.

#[cfg(test)]
mod tests;

use crate::frontends::ByteProtocol;

/// Bytes after which a client must have said enough.
pub(super) const MOST_BYTES: usize = 128;

/// What the first bytes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Detected {
    /// A protocol of the connection loop.
    Byte(ByteProtocol),
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2 without TLS.
    Http2,
    /// Something this server does not speak.
    Foreign(Foreign),
}

/// Known strangers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Foreign {
    OpenWire,
    Core,
    Tls,
    Unknown,
}

impl Foreign {
    /// What the log tells the operator.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::OpenWire => {
                "OpenWire (the ActiveMQ Classic client) is not spoken; use an AMQP, STOMP or MQTT client"
            }
            Self::Core => {
                "Artemis CORE (the Artemis JMS client) is not spoken; use an AMQP (Qpid JMS), STOMP or MQTT client"
            }
            Self::Tls => "a TLS handshake on a listener without TLS",
            Self::Unknown => "the first bytes belong to no protocol of this listener",
        }
    }
}

/// Says what a client speaks that began with `first`; `None` if that takes more bytes. Above
/// [`MOST_BYTES`] it is never `None`.
pub(super) fn detect(first: &[u8]) -> Option<Detected> {
    let eols = first
        .iter()
        .take_while(|byte| matches!(byte, b'\n' | b'\r'))
        .count();
    let detected = match first.get(eols..).unwrap_or_default() {
        [] => None,
        // CONNECT, whose flags are reserved (MQTT-3.1.0-1, 2.1.3).
        [0x10, ..] => Some(Detected::Byte(ByteProtocol::Mqtt)),
        [0x16, ..] => Some(Detected::Foreign(Foreign::Tls)),
        [0x00, ..] => openwire_or_core(first),
        text => word(text),
    };
    match detected {
        None if first.len() >= MOST_BYTES => Some(Detected::Foreign(Foreign::Unknown)),
        detected => detected,
    }
}

/// Both begin with the length of their first packet. OpenWire's is a WireFormatInfo: type 1, then
/// its magic.
fn openwire_or_core(first: &[u8]) -> Option<Detected> {
    let after_length = first.get(4..).unwrap_or_default();
    if after_length.starts_with(OPENWIRE) {
        Some(Detected::Foreign(Foreign::OpenWire))
    } else if OPENWIRE.starts_with(after_length) {
        None
    } else {
        Some(Detected::Foreign(Foreign::Core))
    }
}

/// Text protocols begin with a word in capitals; what follows it tells them apart: the CONNECT of
/// STOMP ends its line, a method of HTTP does not.
fn word(text: &[u8]) -> Option<Detected> {
    for (magic, detected) in [
        (&b"AMQP"[..], Detected::Byte(ByteProtocol::Amqp)),
        (b"ARTEMIS", Detected::Foreign(Foreign::Core)),
        (b"HORNETQ", Detected::Foreign(Foreign::Core)),
    ] {
        if text.starts_with(magic) {
            return Some(detected);
        }
    }
    let length = text.iter().take_while(|byte| byte.is_ascii_uppercase());
    let (word, behind) = text.split_at(length.count());
    let unknown = Detected::Foreign(Foreign::Unknown);
    Some(match (word, behind.first()) {
        (word, None) if word.len() <= LONGEST_WORD => return None,
        (b"PRI", Some(b' ')) => Detected::Http2,
        (word, Some(b' ')) if METHODS.contains(&word) => Detected::Http1,
        (word, Some(b'\n' | b'\r')) if COMMANDS.contains(&word) => {
            Detected::Byte(ByteProtocol::Stomp)
        }
        _ => unknown,
    })
}

const OPENWIRE: &[u8] = b"\x01ActiveMQ";
const METHODS: [&[u8]; 7] = [
    b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS",
];
/// The others are errors as first frames, and STOMP's own words must say so (ST-C7).
const COMMANDS: [&[u8]; 11] = [
    b"CONNECT",
    b"STOMP",
    b"SEND",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"ACK",
    b"NACK",
    b"BEGIN",
    b"COMMIT",
    b"ABORT",
    b"DISCONNECT",
];
const LONGEST_WORD: usize = 16;
