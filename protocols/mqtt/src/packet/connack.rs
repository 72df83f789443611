//! CONNACK (3.2).

use super::{Version, put_properties, read_properties};
use crate::codec::{Frame, put_packet};
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;

/// The server's answer to CONNECT; by default success without a resumed session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnAck<'a> {
    /// Whether a session was resumed; always `false` with an error, and not sent in MQTT 3.1.
    pub session_present: bool,
    /// Reason code of MQTT 5.0; older versions get the return code nearest to it.
    pub reason: u8,
    /// Properties, empty before 5.0.
    pub properties: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    /// A refusal without properties.
    pub fn refused(reason: u8) -> Self {
        Self {
            session_present: false,
            reason,
            properties: Properties::default(),
        }
    }

    /// Decodes the packet.
    ///
    /// # Errors
    /// What the packet breaks.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        frame.check_flags(0)?;
        let mut reader = Reader::new(frame.body());
        let flags = reader.u8()?;
        // MQTT 3.1 reserves the whole byte and says nothing of its value.
        if version != Version::V31 && flags > 1 {
            return Err(Error::Malformed("MQTT-3.2.2-1"));
        }
        let session_present = version != Version::V31 && flags == 1;
        let code = reader.u8()?;
        let reason = match version {
            Version::V5 if is_reason(code) => code,
            Version::V5 => return Err(Error::Protocol("MQTT-3.2.2-8")),
            Version::V31 | Version::V311 => reason_of(code)?,
        };
        let properties = read_properties(&mut reader, version, Place::ConnAck)?;
        reader.finish()?;
        if session_present && reason != 0 {
            return Err(Error::Protocol("MQTT-3.2.2-6"));
        }
        Ok(Self {
            session_present,
            reason,
            properties,
        })
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), Error> {
        put_packet(out, 0x20, |out| {
            let present = self.session_present && self.reason == 0 && version != Version::V31;
            let code = match version {
                Version::V5 => self.reason,
                Version::V31 | Version::V311 => return_code_of(self.reason),
            };
            out.extend_from_slice(&[u8::from(present), code]);
            put_properties(out, version, self.properties);
            Ok(())
        })
    }
}

fn is_reason(code: u8) -> bool {
    matches!(code, 0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F)
}

fn reason_of(return_code: u8) -> Result<u8, Error> {
    match return_code {
        0 => Ok(0x00),
        1 => Ok(0x84),
        2 => Ok(0x85),
        3 => Ok(0x88),
        4 => Ok(0x86),
        5 => Ok(0x87),
        _ => Err(Error::Protocol("MQTT-3.2.2-8")),
    }
}

fn return_code_of(reason: u8) -> u8 {
    match reason {
        0x00 => 0,
        0x84 => 1,
        0x85 => 2,
        0x86 => 4,
        0x87 | 0x8A | 0x8C => 5,
        _ => 3,
    }
}
