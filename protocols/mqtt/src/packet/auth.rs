//! AUTH (3.15), MQTT 5.0 only.

use super::ack::read_reason;
use crate::codec::{Frame, put_packet};
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;

/// A step of enhanced authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// 0x00 success, 0x18 continue, 0x19 re-authenticate.
    pub reason: u8,
    /// Properties, the authentication method among them.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    /// Decodes the packet. Reason and property length may be absent together only: unlike
    /// DISCONNECT, AUTH has no form with a reason alone (3.15.2).
    ///
    /// # Errors
    /// What the packet breaks.
    pub fn decode(frame: Frame<'a>) -> Result<Self, Error> {
        frame
            .check_flags(0)
            .map_err(|_| Error::Malformed("MQTT-3.15.1-1"))?;
        let mut reader = Reader::new(frame.body());
        let (reason, properties) = read_reason(&mut reader, Place::Auth)?;
        reader.finish()?;
        if !matches!(reason, 0x00 | 0x18 | 0x19) {
            return Err(Error::Protocol("MQTT-3.15.2-1"));
        }
        if frame.body().len() == 1 {
            return Err(Error::Malformed("3.15.2.2"));
        }
        Ok(Self { reason, properties })
    }

    /// Appends the packet in its shortest form.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        put_packet(out, 0xF0, |out| {
            if self.reason != 0 || !self.properties.is_empty() {
                out.push(self.reason);
                self.properties.put(out);
            }
            Ok(())
        })
    }
}
