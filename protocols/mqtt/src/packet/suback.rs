//! SUBACK (3.9).

use super::{Version, put_properties, read_properties};
use crate::codec::{Frame, put_packet};
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;

/// The answer to a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The id of the SUBSCRIBE.
    pub id: u16,
    /// Properties, empty before 5.0.
    pub properties: Properties<'a>,
    /// One reason code per filter, in order: the granted QoS or a code of MQTT 5.0 from 0x80.
    pub reasons: &'a [u8],
}

impl<'a> SubAck<'a> {
    /// Decodes the packet.
    ///
    /// # Errors
    /// What the packet breaks.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        frame.check_flags(0)?;
        let mut reader = Reader::new(frame.body());
        let id = reader.packet_id()?;
        let properties = read_properties(&mut reader, version, Place::Ack)?;
        let reasons = reader.rest();
        let allowed = |reason: &u8| match version {
            Version::V31 => *reason <= 2,
            Version::V311 => matches!(reason, 0..=2 | 0x80),
            Version::V5 => matches!(
                reason,
                0..=2 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2
            ),
        };
        if reasons.is_empty() || !reasons.iter().all(allowed) {
            return Err(Error::Protocol("MQTT-3.9.3-2"));
        }
        Ok(Self {
            id,
            properties,
            reasons,
        })
    }

    /// Appends the packet. MQTT 3.1.1 says 0x80 for every refusal; MQTT 3.1 cannot refuse and
    /// says QoS 0.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), Error> {
        put_packet(out, 0x90, |out| {
            out.extend_from_slice(&self.id.to_be_bytes());
            put_properties(out, version, self.properties);
            out.extend(self.reasons.iter().map(|&reason| match version {
                Version::V5 => reason,
                Version::V311 if reason >= 0x80 => 0x80,
                Version::V31 if reason >= 0x80 => 0,
                Version::V31 | Version::V311 => reason,
            }));
            Ok(())
        })
    }
}
