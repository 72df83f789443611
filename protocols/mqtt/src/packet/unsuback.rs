//! UNSUBACK (3.11).

use super::{Version, read_properties};
use crate::codec::{Frame, put_packet};
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;

/// The answer to an UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The id of the UNSUBSCRIBE.
    pub id: u16,
    /// Properties, empty before 5.0.
    pub properties: Properties<'a>,
    /// One reason code per filter, in order; none before 5.0.
    pub reasons: &'a [u8],
}

impl<'a> UnsubAck<'a> {
    /// Decodes the packet.
    ///
    /// # Errors
    /// What the packet breaks.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        frame.check_flags(0)?;
        let mut reader = Reader::new(frame.body());
        let id = reader.packet_id()?;
        let properties = read_properties(&mut reader, version, Place::Ack)?;
        if version < Version::V5 {
            reader.finish()?;
            return Ok(Self {
                id,
                properties,
                reasons: &[],
            });
        }
        let reasons = reader.rest();
        let allowed = |reason: &u8| matches!(reason, 0 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91);
        if reasons.is_empty() || !reasons.iter().all(allowed) {
            return Err(Error::Protocol("MQTT-3.11.3-2"));
        }
        Ok(Self {
            id,
            properties,
            reasons,
        })
    }

    /// Appends the packet; reasons and properties only in MQTT 5.0.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), Error> {
        put_packet(out, 0xB0, |out| {
            out.extend_from_slice(&self.id.to_be_bytes());
            if version == Version::V5 {
                self.properties.put(out);
                out.extend_from_slice(self.reasons);
            }
            Ok(())
        })
    }
}
