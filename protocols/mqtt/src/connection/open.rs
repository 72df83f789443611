//! How a session opens: AUTH while it is decided, and CONNACK with what the server announces.

use super::{Connection, State};
use crate::auth::CONTINUE;
use crate::error::Error;
use crate::packet::{Auth, ConnAck, Packet, QoS, Version};
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};
use crate::sender::Sender;
use crate::terms::Terms;

/// How a CONNECT is let in; by default a new session with the client's own keep-alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accept<'a> {
    /// Whether a session is resumed.
    pub session_present: bool,
    /// The server's keep-alive in seconds in place of the client's. MQTT 5.0 is told of another
    /// one (Server Keep Alive); before, the client cannot know and the caller had better not.
    pub keep_alive_s: Option<u16>,
    /// What CONNACK says besides: Assigned Client Identifier, Session Expiry, Response
    /// Information, authentication data, availability of subscription features, and so on. Not in
    /// it: what follows from [`Limits`](crate::Limits), the keep-alive and the authentication
    /// method; the machine says those.
    pub properties: Properties<'a>,
}

impl Connection {
    /// Lets a CONNECT in and appends CONNACK. The announcements follow from the machine's limits;
    /// Response Information is left out unless the client asked for it \[MQTT-3.1.2-28\].
    ///
    /// # Errors
    /// `NotConnected` unless a CONNECT is being decided; `Unencodable` if CONNACK is larger than
    /// the client takes. Then nothing was appended and the CONNECT is still being decided.
    pub fn accept(
        &mut self,
        now_ms: u64,
        accept: &Accept<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let (
            State::Connecting {
                keep_alive_s: asked,
            },
            Some(version),
        ) = (self.state, self.version)
        else {
            return Err(Error::NotConnected);
        };
        let keep_alive_s = accept.keep_alive_s.unwrap_or(asked);
        let mut properties = PropertiesBuf::new();
        if version == Version::V5 {
            self.announce(&mut properties)?;
            if keep_alive_s != asked {
                properties.push(PropertyId::ServerKeepAlive, Value::Short(keep_alive_s))?;
            }
            let response_info = self.terms().response_info;
            properties.extend(accept.properties, |id| {
                response_info || id != PropertyId::ResponseInfo
            });
        }
        let connack = ConnAck {
            session_present: accept.session_present,
            reason: 0,
            properties: properties.properties(),
        };
        self.put(version, &Packet::ConnAck(connack), out)?;
        self.state = State::Connected {
            version,
            keep_alive_s,
        };
        self.accepted = true;
        self.last_packet_ms = now_ms;
        if let Some(extension) = &mut self.extension {
            extension.open();
        }
        Ok(())
    }

    fn announce(&self, properties: &mut PropertiesBuf) -> Result<(), Error> {
        let limits = &self.limits;
        if limits.receive_maximum < u16::MAX {
            let maximum = Value::Short(limits.receive_maximum.max(1));
            properties.push(PropertyId::ReceiveMaximum, maximum)?;
        }
        if limits.maximum_qos < QoS::ExactlyOnce {
            let maximum = Value::Byte(limits.maximum_qos as u8);
            properties.push(PropertyId::MaximumQos, maximum)?;
        }
        if !limits.retain_available {
            properties.push(PropertyId::RetainAvailable, Value::Byte(0))?;
        }
        if let Ok(maximum @ 1..) = u32::try_from(limits.max_packet_size) {
            properties.push(PropertyId::MaximumPacketSize, Value::Long(maximum))?;
        }
        if limits.topic_alias_maximum > 0 {
            let maximum = Value::Short(limits.topic_alias_maximum);
            properties.push(PropertyId::TopicAliasMaximum, maximum)?;
        }
        let extension = self.extension.as_deref();
        if let Some(method) = extension.and_then(|extension| extension.auth_method()) {
            properties.push(PropertyId::AuthMethod, Value::Text(method))?;
        }
        Ok(())
    }

    /// Appends a step of enhanced authentication: reason 0x18 asks the client to go on, 0x00 says
    /// that re-authentication has succeeded (the first one ends with [`Connection::accept`]). Its
    /// properties name the method of CONNECT.
    ///
    /// # Errors
    /// `Protocol` if it is not the server's turn, the method is another, or the reason does not
    /// fit; `NotConnected` before CONNECT and after the end; `Unencodable`. Nothing was appended.
    pub fn put_auth(&mut self, auth: &Auth<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let early = match self.state {
            State::Connecting { .. } => true,
            State::Connected { .. } => false,
            State::AwaitingConnect | State::Closed => return Err(Error::NotConnected),
        };
        let Some(extension) = &mut self.extension else {
            return Err(Error::Protocol("MQTT-4.12.0-6"));
        };
        if early && auth.reason != CONTINUE {
            return Err(Error::Protocol("4.12"));
        }
        extension.handle_own_auth(auth)?;
        self.put(Version::V5, &Packet::Auth(*auth), out)
    }

    /// Appends a packet as far as the client takes it.
    pub(super) fn put(
        &self,
        version: Version,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let terms = Terms {
            topic_alias_maximum: 0,
            ..self.terms()
        };
        Sender::new(version, terms, &self.limits).put(out, packet)
    }
}
