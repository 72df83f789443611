//! PUBACK, PUBREC, PUBREL and PUBCOMP (3.4 to 3.7), which share one form.

use super::{Version, packet_id_after};
use crate::codec::{Frame, put_packet};
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;

/// Which of the four acknowledgements; the value is the packet type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AckKind {
    /// PUBACK, ends QoS 1.
    PubAck = 4,
    /// PUBREC, first answer of QoS 2.
    PubRec = 5,
    /// PUBREL, the publisher's second step of QoS 2.
    PubRel = 6,
    /// PUBCOMP, ends QoS 2.
    PubComp = 7,
}

impl AckKind {
    /// The first byte of the packet: PUBREL carries flags 0010 \[MQTT-3.6.1-1\].
    pub(crate) fn first_byte(self) -> u8 {
        (self as u8) << 4 | if self == Self::PubRel { 0x02 } else { 0 }
    }

    fn from_type(packet_type: u8) -> Result<Self, Error> {
        match packet_type {
            4 => Ok(Self::PubAck),
            5 => Ok(Self::PubRec),
            6 => Ok(Self::PubRel),
            7 => Ok(Self::PubComp),
            _ => Err(Error::Malformed("2.1.2")),
        }
    }

    fn allows(self, reason: u8) -> bool {
        match self {
            Self::PubAck | Self::PubRec => {
                matches!(
                    reason,
                    0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
                )
            }
            Self::PubRel | Self::PubComp => matches!(reason, 0 | 0x92),
        }
    }
}

/// One acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Which packet.
    pub kind: AckKind,
    /// The packet id, not zero.
    pub id: u16,
    /// Reason code; 0 before 5.0.
    pub reason: u8,
    /// Properties, empty before 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// A plain acknowledgement with reason 0.
    pub fn success(kind: AckKind, id: u16) -> Self {
        Self {
            kind,
            id,
            reason: 0,
            properties: Properties::default(),
        }
    }

    /// Decodes the packet. In MQTT 5.0 reason and property length may be absent.
    ///
    /// # Errors
    /// What the packet breaks.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        let kind = AckKind::from_type(frame.first >> 4)?;
        // MQTT 3.1 has a DUP bit in PUBREL.
        let dup = if version == Version::V31 && kind == AckKind::PubRel {
            0x08
        } else {
            0
        };
        if frame.first & !dup != kind.first_byte() {
            return Err(Error::Malformed(if kind == AckKind::PubRel {
                "MQTT-3.6.1-1"
            } else {
                "MQTT-2.1.3-1"
            }));
        }
        let mut reader = Reader::new(frame.body());
        let id = reader.packet_id()?;
        if version < Version::V5 {
            reader.finish()?;
            return Ok(Self::success(kind, id));
        }
        let (reason, properties) = read_reason(&mut reader, Place::Ack)?;
        reader.finish()?;
        if !kind.allows(reason) {
            return Err(Error::Protocol(match kind {
                AckKind::PubAck => "MQTT-3.4.2-1",
                AckKind::PubRec => "MQTT-3.5.2-1",
                AckKind::PubRel => "MQTT-3.6.2-1",
                AckKind::PubComp => "MQTT-3.7.2-1",
            }));
        }
        Ok(Self {
            kind,
            id,
            reason,
            properties,
        })
    }

    /// Appends the packet in its shortest form.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), Error> {
        put_packet(out, self.kind.first_byte(), |out| {
            out.extend_from_slice(&self.id.to_be_bytes());
            if version == Version::V5 {
                put_reason(out, self.reason, self.properties);
            }
            Ok(())
        })
    }
}

/// Appends `n` plain acknowledgements with consecutive ids (65535 is followed by 1).
pub fn put_acks(out: &mut Vec<u8>, kind: AckKind, first_id: u16, n: usize) {
    out.reserve(4 * n);
    let mut id = first_id;
    for _ in 0..n {
        let [high, low] = id.to_be_bytes();
        out.extend_from_slice(&[kind.first_byte(), 2, high, low]);
        id = packet_id_after(id, 1);
    }
}

/// Reads the optional reason code and the optional property block behind it.
pub(crate) fn read_reason<'a>(
    reader: &mut Reader<'a>,
    place: Place,
) -> Result<(u8, Properties<'a>), Error> {
    if reader.is_empty() {
        return Ok((0, Properties::default()));
    }
    let reason = reader.u8()?;
    if reader.is_empty() {
        return Ok((reason, Properties::default()));
    }
    Ok((reason, Properties::read(reader, place)?))
}

/// Writes reason code and properties, leaving out what may be left out.
pub(crate) fn put_reason(out: &mut Vec<u8>, reason: u8, properties: Properties<'_>) {
    if properties.is_empty() {
        if reason != 0 {
            out.push(reason);
        }
        return;
    }
    out.push(reason);
    properties.put(out);
}
