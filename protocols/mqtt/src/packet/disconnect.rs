//! DISCONNECT (3.14).

use super::Version;
use super::ack::{put_reason, read_reason};
use crate::codec::{Frame, put_packet};
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;

/// The last packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disconnect<'a> {
    /// Reason code; 0 before 5.0. A client's 0x04 asks for the will.
    pub reason: u8,
    /// Properties, empty before 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// Decodes the packet. In MQTT 5.0 reason and property length may be absent.
    ///
    /// # Errors
    /// What the packet breaks.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        frame.check_flags(0)?;
        let mut reader = Reader::new(frame.body());
        if version < Version::V5 {
            reader.finish()?;
            return Ok(Self::default());
        }
        let (reason, properties) = read_reason(&mut reader, Place::Disconnect)?;
        reader.finish()?;
        let known =
            matches!(reason, 0 | 4 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x90 | 0x93..=0xA2);
        if !known {
            return Err(Error::Protocol("MQTT-3.14.2-1"));
        }
        Ok(Self { reason, properties })
    }

    /// Appends the packet in its shortest form.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), Error> {
        put_packet(out, 0xE0, |out| {
            if version == Version::V5 {
                put_reason(out, self.reason, self.properties);
            }
            Ok(())
        })
    }
}
