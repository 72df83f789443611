//! The one error of this crate: a reason code for the peer, the statement that was broken, and
//! whether the connection has to end.
//!
//! 0x81 is for packets that cannot be parsed, 0x82 for parsed packets that break a rule; a few
//! rules have a code of their own (MQTT 5.0, 4.13). Statement ids are those of MQTT 5.0, also
//! where a 3.1 or 3.1.1 packet broke the same rule; a rule that only an older version has names
//! that version, and a bare section number stands where the specification gives no id.

use std::fmt;

/// The id of the normative statement that was broken, e.g. `MQTT-3.3.1-2`, or its section.
pub type Statement = &'static str;

/// Why a packet was refused or a command could not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The packet cannot be parsed (0x81).
    Malformed(Statement),
    /// The packet was parsed and breaks a rule (0x82).
    Protocol(Statement),
    /// CONNECT names a protocol or level that is not spoken here (0x84); holds the level.
    UnsupportedVersion(u8),
    /// The client id is not acceptable in this version (0x85).
    ClientIdInvalid(Statement),
    /// No packet arrived in time: 1.5 times the keep-alive, or no CONNECT at all (0x8D).
    Timeout,
    /// A topic filter is not well formed (0x8F).
    TopicFilterInvalid(Statement),
    /// A topic name is empty or holds a wildcard (0x90).
    TopicNameInvalid(Statement),
    /// More publishes above QoS 0 are unacknowledged than were announced (0x93).
    ReceiveMaximumExceeded,
    /// A topic alias is zero or above the announced maximum (0x94).
    TopicAliasInvalid(Statement),
    /// The packet is larger than the limit; decided before its body is read (0x95).
    PacketTooLarge,
    /// The topics remembered for aliases are more bytes than the limit (0x97).
    QuotaExceeded(Statement),
    /// A payload that says it is UTF-8 is not (0x99).
    PayloadFormatInvalid,
    /// RETAIN, which was announced as not available (0x9A).
    RetainNotSupported(Statement),
    /// A QoS above the announced maximum (0x9B).
    QosNotSupported(Statement),
    /// A command does not fit the wire: a field over 65,535 bytes, a packet over 268,435,455
    /// bytes, or what the peer has announced not to take, above all a packet over its maximum.
    /// Nothing was written.
    Unencodable,
    /// The client's window of unacknowledged publishes, or its packet ids, are used up.
    WindowFull,
    /// A command was given in a state that does not allow it.
    NotConnected,
    /// An acknowledgement was asked for a packet id that waits for none.
    UnknownPacketId,
}

impl Error {
    /// The MQTT 5.0 reason code, as DISCONNECT or CONNACK carries it.
    pub fn reason_code(self) -> u8 {
        match self {
            Self::Malformed(_) => 0x81,
            Self::Protocol(_) => 0x82,
            Self::UnsupportedVersion(_) => 0x84,
            Self::ClientIdInvalid(_) => 0x85,
            Self::Timeout => 0x8D,
            Self::TopicFilterInvalid(_) => 0x8F,
            Self::TopicNameInvalid(_) => 0x90,
            Self::UnknownPacketId => 0x92,
            Self::ReceiveMaximumExceeded => 0x93,
            Self::TopicAliasInvalid(_) => 0x94,
            Self::PacketTooLarge => 0x95,
            Self::QuotaExceeded(_) | Self::WindowFull => 0x97,
            Self::PayloadFormatInvalid => 0x99,
            Self::RetainNotSupported(_) => 0x9A,
            Self::QosNotSupported(_) => 0x9B,
            Self::Unencodable | Self::NotConnected => 0x83,
        }
    }

    /// The statement that was broken.
    pub fn statement(self) -> Statement {
        match self {
            Self::Malformed(statement)
            | Self::Protocol(statement)
            | Self::ClientIdInvalid(statement)
            | Self::TopicFilterInvalid(statement)
            | Self::TopicNameInvalid(statement)
            | Self::TopicAliasInvalid(statement)
            | Self::QuotaExceeded(statement)
            | Self::RetainNotSupported(statement)
            | Self::QosNotSupported(statement) => statement,
            Self::UnsupportedVersion(_) => "MQTT-3.1.2-2",
            Self::Timeout => "MQTT-3.1.2-22",
            Self::PacketTooLarge => "MQTT-3.2.2-15",
            Self::PayloadFormatInvalid => "3.3.2.3.2",
            Self::Unencodable => "1.5",
            Self::ReceiveMaximumExceeded | Self::WindowFull => "MQTT-3.3.4-7",
            Self::NotConnected => "MQTT-3.1.0-1",
            Self::UnknownPacketId => "2.2.1",
        }
    }

    /// Whether the connection ends. What a peer does wrong ends it; a command of our own side
    /// that cannot be carried out does not.
    pub fn closes(self) -> bool {
        !matches!(
            self,
            Self::Unencodable | Self::WindowFull | Self::NotConnected | Self::UnknownPacketId
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Malformed(_) => "malformed packet",
            Self::Protocol(_) => "protocol error",
            Self::UnsupportedVersion(_) => "unsupported protocol version",
            Self::ClientIdInvalid(_) => "client id not valid",
            Self::Timeout => "keep-alive timeout",
            Self::TopicFilterInvalid(_) => "topic filter invalid",
            Self::TopicNameInvalid(_) => "topic name invalid",
            Self::ReceiveMaximumExceeded => "receive maximum exceeded",
            Self::TopicAliasInvalid(_) => "topic alias invalid",
            Self::PacketTooLarge => "packet too large",
            Self::QuotaExceeded(_) => "quota exceeded",
            Self::PayloadFormatInvalid => "payload is not UTF-8",
            Self::RetainNotSupported(_) => "retain not supported",
            Self::QosNotSupported(_) => "QoS not supported",
            Self::Unencodable => "command does not fit a packet",
            Self::WindowFull => "window of unacknowledged packets is full",
            Self::NotConnected => "not connected",
            Self::UnknownPacketId => "packet id not in use",
        };
        write!(
            f,
            "{what} (0x{:02X}, [{}])",
            self.reason_code(),
            self.statement()
        )
    }
}

impl std::error::Error for Error {}
