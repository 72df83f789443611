//! The last packet of a connection, as far as its version has words (rule 4.13): a refusing
//! CONNACK before success, then DISCONNECT; before MQTT 5.0 nothing after CONNACK.

use super::{Connection, State};
use crate::error::Error;
use crate::packet::{ConnAck, Disconnect, Packet, Version};
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};

impl Connection {
    /// Appends what the peer is told before the connection closes because of `error`
    /// \[MQTT-4.13.1-1\]: its code, and its words as Reason String if the peer takes a packet of
    /// that size.
    pub fn put_goodbye(&self, error: Error, out: &mut Vec<u8>) {
        let reason = error.reason_code();
        let version = match (self.version, error) {
            // Answered in the style of the level that was asked for; a bridge sets its top bit.
            (None, Error::UnsupportedVersion(level)) if level & 0x7F >= 5 => Version::V5,
            (None, Error::UnsupportedVersion(_)) => Version::V311,
            (Some(Version::V5), _) => Version::V5,
            // The return codes of the older versions know no malformed packet.
            (Some(version), Error::ClientIdInvalid(_)) => version,
            (None | Some(Version::V31 | Version::V311), _) => return,
        };
        let mut words = PropertiesBuf::new();
        if self.version.is_some() {
            let _ = words.push(PropertyId::ReasonString, Value::Text(&error.to_string()));
        }
        // A client that takes no packet of five bytes is told nothing.
        let _ = self.put_last(version, reason, words.properties(), out);
    }

    /// Ends the connection for a reason of the server, a code of MQTT 5.0: CONNECT is refused, or
    /// the session goes on without this connection. Appends CONNACK, with the return code nearest
    /// to `reason` before 5.0, or DISCONNECT, which before 5.0 the server does not have. Session
    /// Expiry is left out of DISCONNECT \[MQTT-3.14.2-2\].
    ///
    /// # Errors
    /// `NotConnected` before CONNECT and after the end; `Unencodable` if the packet is larger than
    /// the client takes. The machine is closed and nothing was appended.
    pub fn close_with(
        &mut self,
        reason: u8,
        properties: Properties<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.state, State::Closed);
        match (before, self.version) {
            (State::Connecting { .. } | State::Connected { .. }, Some(version)) => {
                self.put_last(version, reason, properties, out)
            }
            _ => Err(Error::NotConnected),
        }
    }

    fn put_last(
        &self,
        version: Version,
        reason: u8,
        properties: Properties<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut said = PropertiesBuf::new();
        said.extend(properties, |id| id != PropertyId::SessionExpiry);
        let properties = said.properties();
        if !self.accepted {
            let refusal = ConnAck {
                properties,
                ..ConnAck::refused(reason)
            };
            return self.put(version, &Packet::ConnAck(refusal), out);
        }
        if version < Version::V5 {
            return Ok(());
        }
        self.put(
            version,
            &Packet::Disconnect(Disconnect { reason, properties }),
            out,
        )
    }
}
