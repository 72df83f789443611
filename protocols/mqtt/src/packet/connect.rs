//! CONNECT (3.1).

use super::{QoS, Version, put_properties, read_properties};
use crate::codec::{Frame, put_binary, put_packet, put_string};
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;
use crate::topic;

/// The longest client id of MQTT 3.1, in characters.
const V31_CLIENT_ID_CHARS: usize = 23;

/// A client's request to open a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version this connection speaks.
    pub version: Version,
    /// Clean Start; before 5.0 Clean Session.
    pub clean_start: bool,
    /// Keep-alive in seconds, 0 for none.
    pub keep_alive_s: u16,
    /// The client id; may be empty where the version allows the server to choose one.
    pub client_id: &'a str,
    /// The message to publish when the client vanishes.
    pub will: Option<Will<'a>>,
    /// User name.
    pub username: Option<&'a str>,
    /// Password: binary data, not text (3.1.3.6).
    pub password: Option<&'a [u8]>,
    /// Properties, empty before 5.0.
    pub properties: Properties<'a>,
}

/// The will message of a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it is published; a valid topic name.
    pub topic: &'a str,
    /// Its body.
    pub payload: &'a [u8],
    /// Its QoS.
    pub qos: QoS,
    /// Whether it becomes the retained value.
    pub retain: bool,
    /// Its properties, will delay included; empty before 5.0.
    pub properties: Properties<'a>,
}

/// Reads name and level, so that even a CONNECT that is otherwise malformed can be answered in
/// its version.
pub(crate) fn read_version(reader: &mut Reader<'_>) -> Result<Version, Error> {
    let name = reader.string()?;
    let level = reader.u8()?;
    match (name, level) {
        ("MQIsdp", 3) => Ok(Version::V31),
        ("MQTT", 4) => Ok(Version::V311),
        ("MQTT", 5) => Ok(Version::V5),
        _ => Err(Error::UnsupportedVersion(level)),
    }
}

impl<'a> Connect<'a> {
    /// Decodes a CONNECT of any version.
    ///
    /// # Errors
    /// `UnsupportedVersion`, `ClientIdInvalid` and what the packet breaks otherwise.
    pub fn decode(frame: Frame<'a>) -> Result<Self, Error> {
        frame.check_flags(0)?;
        let mut reader = Reader::new(frame.body());
        let version = read_version(&mut reader)?;
        let flags = reader.u8()?;
        check_flags(flags, version)?;
        let keep_alive_s = reader.u16()?;
        let properties = read_properties(&mut reader, version, Place::Connect)?;
        let client_id = reader.string()?;
        let clean_start = flags & 0x02 != 0;
        let will = read_will(&mut reader, version, flags)?;
        let username = if flags & 0x80 != 0 {
            Some(reader.string()?)
        } else {
            None
        };
        let password = if flags & 0x40 != 0 {
            Some(reader.binary()?)
        } else {
            None
        };
        reader.finish()?;
        let connect = Self {
            version,
            clean_start,
            keep_alive_s,
            client_id,
            will,
            username,
            password,
            properties,
        };
        connect.check_client_id()?;
        Ok(connect)
    }

    fn check_client_id(&self) -> Result<(), Error> {
        let chars = self.client_id.chars().take(V31_CLIENT_ID_CHARS + 1).count();
        match self.version {
            Version::V31 if chars == 0 || chars > V31_CLIENT_ID_CHARS => {
                Err(Error::ClientIdInvalid("3.1 of 3.1"))
            }
            Version::V311 if chars == 0 && !self.clean_start => {
                Err(Error::ClientIdInvalid("MQTT-3.1.3-8 of 3.1.1"))
            }
            _ => Ok(()),
        }
    }

    /// Appends the packet as its own version writes it.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        put_packet(out, 0x10, |out| {
            let (name, level) = match self.version {
                Version::V31 => ("MQIsdp", 3),
                Version::V311 => ("MQTT", 4),
                Version::V5 => ("MQTT", 5),
            };
            put_string(out, name)?;
            out.extend_from_slice(&[level, self.flags()]);
            out.extend_from_slice(&self.keep_alive_s.to_be_bytes());
            put_properties(out, self.version, self.properties);
            put_string(out, self.client_id)?;
            if let Some(will) = &self.will {
                put_properties(out, self.version, will.properties);
                put_string(out, will.topic)?;
                put_binary(out, will.payload)?;
            }
            if let Some(username) = self.username {
                put_string(out, username)?;
            }
            if let Some(password) = self.password {
                put_binary(out, password)?;
            }
            Ok(())
        })
    }

    fn flags(&self) -> u8 {
        let will = self.will.map_or(0, |will| {
            0x04 | (will.qos as u8) << 3 | u8::from(will.retain) << 5
        });
        will | u8::from(self.clean_start) << 1
            | u8::from(self.password.is_some()) << 6
            | u8::from(self.username.is_some()) << 7
    }
}

fn check_flags(flags: u8, version: Version) -> Result<(), Error> {
    if flags & 0x01 != 0 {
        return Err(Error::Malformed("MQTT-3.1.2-3"));
    }
    if flags & 0x18 == 0x18 {
        return Err(Error::Malformed("MQTT-3.1.2-12"));
    }
    if flags & 0x04 == 0 && flags & 0x18 != 0 {
        return Err(Error::Malformed("MQTT-3.1.2-11"));
    }
    if flags & 0x04 == 0 && flags & 0x20 != 0 {
        return Err(Error::Malformed("MQTT-3.1.2-13"));
    }
    // MQTT 5.0 allows a password alone.
    if flags & 0xC0 == 0x40 && version < Version::V5 {
        return Err(Error::Malformed("MQTT-3.1.2-22 of 3.1.1"));
    }
    Ok(())
}

fn read_will<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    flags: u8,
) -> Result<Option<Will<'a>>, Error> {
    if flags & 0x04 == 0 {
        return Ok(None);
    }
    let properties = read_properties(reader, version, Place::Will)?;
    let topic = reader.string()?;
    let payload = reader.binary()?;
    topic::check_name(topic)?;
    let qos = QoS::from_bits(flags >> 3 & 3).ok_or(Error::Malformed("MQTT-3.1.2-12"))?;
    Ok(Some(Will {
        topic,
        payload,
        qos,
        retain: flags & 0x20 != 0,
        properties,
    }))
}
