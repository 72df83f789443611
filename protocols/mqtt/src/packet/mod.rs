//! The packets, a file each. MQTT 3.1, 3.1.1 and 5.0 share them: the version is an argument of
//! decoding and encoding, and what a version lacks is empty (properties) or success (reasons).
//!
//! Reason codes are those of MQTT 5.0 throughout; the older return codes are mapped at the wire.
//! A packet borrows from the bytes it was read from.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod publish;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;

pub use ack::{Ack, AckKind, put_acks};
pub use auth::Auth;
pub use connack::ConnAck;
pub(crate) use connect::read_version;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub(crate) use publish::Flags;
pub use publish::Publish;
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, SubscribeOptions, Subscription, SubscriptionList};
pub use unsuback::UnsubAck;
pub use unsubscribe::{FilterList, Unsubscribe};

use crate::codec::Frame;
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1: name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: name `MQTT`, level 4.
    V311,
    /// MQTT 5.0: name `MQTT`, level 5.
    V5,
}

/// Quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0.
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of two bits; `None` for 3 and above.
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// The packet id `n` places after `first`: 65535 is followed by 1 (2.2.1).
#[inline]
pub fn packet_id_after(first: u16, n: usize) -> u16 {
    let place = (usize::from(first.max(1)) - 1 + n) % usize::from(u16::MAX);
    u16::try_from(place + 1).unwrap_or(1)
}

/// One decoded packet of any type.
#[expect(missing_docs, reason = "the variants are named after their packets")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    Ack(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Decodes a frame of either direction. CONNECT says its own version; the others are read as
    /// `version` says.
    ///
    /// # Errors
    /// What the packet breaks by itself; rules of direction and state are the machines'.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        Ok(match frame.first >> 4 {
            1 => Self::Connect(Connect::decode(frame)?),
            2 => Self::ConnAck(ConnAck::decode(frame, version)?),
            3 => Self::Publish(Publish::decode(frame, version)?),
            4..=7 => Self::Ack(Ack::decode(frame, version)?),
            8 => Self::Subscribe(Subscribe::decode(frame, version)?),
            9 => Self::SubAck(SubAck::decode(frame, version)?),
            10 => Self::Unsubscribe(Unsubscribe::decode(frame, version)?),
            11 => Self::UnsubAck(UnsubAck::decode(frame, version)?),
            12 => {
                check_empty(frame)?;
                Self::PingReq
            }
            13 => {
                check_empty(frame)?;
                Self::PingResp
            }
            14 => Self::Disconnect(Disconnect::decode(frame, version)?),
            15 if version == Version::V5 => Self::Auth(Auth::decode(frame)?),
            _ => return Err(Error::Malformed("2.1.2")),
        })
    }

    /// Appends the packet as `version` writes it.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Connect(packet) => packet.encode(out),
            Self::ConnAck(packet) => packet.encode(version, out),
            Self::Publish(packet) => packet.encode(version, out),
            Self::Ack(packet) => packet.encode(version, out),
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::SubAck(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::UnsubAck(packet) => packet.encode(version, out),
            Self::PingReq => {
                put_ping_req(out);
                Ok(())
            }
            Self::PingResp => {
                put_ping_resp(out);
                Ok(())
            }
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(out),
        }
    }
}

/// Refuses flags and body of PINGREQ and PINGRESP.
pub(crate) fn check_empty(frame: Frame<'_>) -> Result<(), Error> {
    frame.check_flags(0)?;
    if frame.body().is_empty() {
        Ok(())
    } else {
        Err(Error::Malformed("3.12.1"))
    }
}

/// Reads a property block where the version has one.
pub(crate) fn read_properties<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    place: Place,
) -> Result<Properties<'a>, Error> {
    match version {
        Version::V5 => Properties::read(reader, place),
        Version::V31 | Version::V311 => Ok(Properties::default()),
    }
}

/// Writes a property block where the version has one.
pub(crate) fn put_properties(out: &mut Vec<u8>, version: Version, properties: Properties<'_>) {
    if version == Version::V5 {
        properties.put(out);
    }
}

/// Appends PINGREQ.
pub fn put_ping_req(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xC0, 0]);
}

/// Appends PINGRESP.
pub fn put_ping_resp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xD0, 0]);
}
