//! PUBLISH (3.3).

use super::{QoS, Version, put_properties, read_properties};
use crate::codec::{Frame, MAX_REMAINING, block_len, put_string, put_varint};
use crate::error::Error;
use crate::properties::{Place, Properties, PropertyId};
use crate::reader::Reader;
use crate::topic;

/// One message on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// A valid topic name; empty only in MQTT 5.0 with a topic alias.
    pub topic: &'a str,
    /// QoS of this copy.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// DUP flag: this packet was sent before.
    pub dup: bool,
    /// Packet id; present exactly when the QoS is above 0.
    pub id: Option<u16>,
    /// Properties, empty before 5.0.
    pub properties: Properties<'a>,
    /// The body.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Decodes the packet.
    ///
    /// # Errors
    /// What the packet breaks.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        let flags = frame.first & 0x0F;
        let qos = QoS::from_bits(flags >> 1 & 3).ok_or(Error::Malformed("MQTT-3.3.1-4"))?;
        let dup = flags & 0x08 != 0;
        if dup && qos == QoS::AtMostOnce {
            return Err(Error::Malformed("MQTT-3.3.1-2"));
        }
        let mut reader = Reader::new(frame.body());
        let topic = reader.string()?;
        let id = match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
        };
        let properties = read_properties(&mut reader, version, Place::Publish)?;
        if !topic.is_empty() || version < Version::V5 {
            topic::check_name(topic)?;
        } else if properties.value(PropertyId::TopicAlias).is_none() {
            return Err(Error::Protocol("MQTT-4.7.3-1"));
        }
        let payload = reader.rest();
        Ok(Self {
            topic,
            qos,
            retain: flags & 1 != 0,
            dup,
            id,
            properties,
            payload,
        })
    }

    /// Appends the packet. The id is written when the QoS is above 0.
    ///
    /// # Errors
    /// `Unencodable` also for an id that is missing or zero; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), Error> {
        let id = match self.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                Some(self.id.filter(|id| *id != 0).ok_or(Error::Unencodable)?)
            }
        };
        let start = out.len();
        let properties_len = match version {
            Version::V5 => block_len(self.properties.raw().len()),
            Version::V31 | Version::V311 => 0,
        };
        let remaining = 2
            + self.topic.len()
            + if id.is_some() { 2 } else { 0 }
            + properties_len
            + self.payload.len();
        if remaining > MAX_REMAINING {
            return Err(Error::Unencodable);
        }
        out.reserve(5 + remaining);
        let flags = Flags {
            qos: self.qos,
            retain: self.retain,
            dup: self.dup,
        };
        out.push(flags.first_byte());
        put_varint(out, remaining);
        if let Err(error) = put_string(out, self.topic) {
            out.truncate(start);
            return Err(error);
        }
        if let Some(id) = id {
            out.extend_from_slice(&id.to_be_bytes());
        }
        put_properties(out, version, self.properties);
        out.extend_from_slice(self.payload);
        Ok(())
    }
}

/// What the first byte of a PUBLISH says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flags {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// Left out at QoS 0 \[MQTT-3.3.1-2\].
    pub(crate) dup: bool,
}

impl Flags {
    pub(crate) fn first_byte(self) -> u8 {
        let dup = self.dup && self.qos > QoS::AtMostOnce;
        0x30 | u8::from(dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain)
    }
}
