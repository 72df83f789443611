//! MQTT 5.0 property blocks (2.2.2): one validating pass over the raw bytes, which stay as they
//! came, so that a forwarded block keeps its order; values are read by iterating.

use crate::codec::{put_binary, put_string, put_varint};
use crate::error::Error;
use crate::reader::Reader;
use crate::topic;

/// The property identifiers of MQTT 5.0 (table 2-4).
#[expect(missing_docs, reason = "the names are those of the specification")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PropertyId {
    PayloadFormat = 0x01,
    MessageExpiry = 0x02,
    ContentType = 0x03,
    ResponseTopic = 0x08,
    CorrelationData = 0x09,
    SubscriptionId = 0x0B,
    SessionExpiry = 0x11,
    AssignedClientId = 0x12,
    ServerKeepAlive = 0x13,
    AuthMethod = 0x15,
    AuthData = 0x16,
    RequestProblemInfo = 0x17,
    WillDelay = 0x18,
    RequestResponseInfo = 0x19,
    ResponseInfo = 0x1A,
    ServerReference = 0x1C,
    ReasonString = 0x1F,
    ReceiveMaximum = 0x21,
    TopicAliasMaximum = 0x22,
    TopicAlias = 0x23,
    MaximumQos = 0x24,
    RetainAvailable = 0x25,
    UserProperty = 0x26,
    MaximumPacketSize = 0x27,
    WildcardAvailable = 0x28,
    SubscriptionIdAvailable = 0x29,
    SharedAvailable = 0x2A,
}

/// A property's value; its kind follows from the identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// One byte, 0 or 1.
    Byte(u8),
    /// Two byte integer.
    Short(u16),
    /// Four byte integer.
    Long(u32),
    /// Variable byte integer, at most 268,435,455.
    Variable(u32),
    /// UTF-8 string.
    Text(&'a str),
    /// Binary data.
    Binary(&'a [u8]),
    /// A user property's name and value.
    Pair(&'a str, &'a str),
}

/// Where a property block stands; each place has its own set of allowed properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Connect,
    Will,
    ConnAck,
    Publish,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    Ack,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Auth,
}

/// A validated property block without its length; empty for MQTT 3.1 and 3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

impl<'a> Properties<'a> {
    /// Reads length and block. The length is a boundary no property crosses.
    pub(crate) fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, Error> {
        let len = reader.varint()? as usize;
        let properties = Self {
            raw: reader.take(len)?,
        };
        properties.validate(place)?;
        Ok(properties)
    }

    fn validate(self, place: Place) -> Result<(), Error> {
        let mut reader = Reader::new(self.raw);
        let mut seen = 0_u64;
        while !reader.is_empty() {
            let (id, value) = read_property(&mut reader)?;
            if !allowed(id, place) {
                return Err(Error::Malformed("2.2.2.2"));
            }
            let bit = 1_u64 << (id as u8);
            let repeats = id == PropertyId::UserProperty
                || (id == PropertyId::SubscriptionId && place == Place::Publish);
            if seen & bit != 0 && !repeats {
                return Err(Error::Protocol("2.2.2.2"));
            }
            seen |= bit;
            check_range(id, value)?;
        }
        if seen & (1 << PropertyId::AuthData as u8) != 0
            && seen & (1 << PropertyId::AuthMethod as u8) == 0
        {
            return Err(Error::Protocol("3.1.2.11.10"));
        }
        Ok(())
    }

    /// The block as it came, or as it was built.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Whether there is no property.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// The properties in their order.
    pub fn iter(self) -> impl Iterator<Item = (PropertyId, Value<'a>)> {
        let mut reader = Reader::new(self.raw);
        std::iter::from_fn(move || read_property(&mut reader).ok())
    }

    /// The properties in their order, each with its bytes.
    pub(crate) fn pieces(self) -> impl Iterator<Item = (PropertyId, &'a [u8])> {
        let mut reader = Reader::new(self.raw);
        std::iter::from_fn(move || {
            let before = reader.rest();
            let (id, _) = read_property(&mut reader).ok()?;
            let len = before.len() - reader.rest().len();
            Some((id, before.get(..len)?))
        })
    }

    /// A block that was validated before it was stored.
    pub(crate) fn stored(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The first value of `id`.
    pub fn value(self, id: PropertyId) -> Option<Value<'a>> {
        self.iter()
            .find(|(found, _)| *found == id)
            .map(|(_, value)| value)
    }

    /// The first value of an integer property of any width.
    pub fn integer(self, id: PropertyId) -> Option<u32> {
        match self.value(id)? {
            Value::Byte(n) => Some(u32::from(n)),
            Value::Short(n) => Some(u32::from(n)),
            Value::Long(n) | Value::Variable(n) => Some(n),
            Value::Text(_) | Value::Binary(_) | Value::Pair(..) => None,
        }
    }

    /// The first value of a string property.
    pub fn text(self, id: PropertyId) -> Option<&'a str> {
        match self.value(id)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        put_varint(out, self.raw.len());
        out.extend_from_slice(self.raw);
    }
}

/// Builds a property block to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PropertiesBuf {
    raw: Vec<u8>,
}

impl PropertiesBuf {
    /// An empty block.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a property. Which ones a packet may carry is the caller's knowledge.
    ///
    /// # Errors
    /// `Unencodable` if the value is not of the property's kind or too long.
    pub fn push(&mut self, id: PropertyId, value: Value<'_>) -> Result<(), Error> {
        let start = self.raw.len();
        self.raw.push(id as u8);
        let written = match (kind(id), value) {
            (Kind::Byte, Value::Byte(n)) => {
                self.raw.push(n);
                Ok(())
            }
            (Kind::Short, Value::Short(n)) => {
                self.raw.extend_from_slice(&n.to_be_bytes());
                Ok(())
            }
            (Kind::Long, Value::Long(n)) => {
                self.raw.extend_from_slice(&n.to_be_bytes());
                Ok(())
            }
            (Kind::Variable, Value::Variable(n)) if n as usize <= crate::codec::MAX_REMAINING => {
                put_varint(&mut self.raw, n as usize);
                Ok(())
            }
            (Kind::Text, Value::Text(text)) => put_string(&mut self.raw, text),
            (Kind::Binary, Value::Binary(bytes)) => put_binary(&mut self.raw, bytes),
            (Kind::Pair, Value::Pair(name, text)) => {
                put_string(&mut self.raw, name).and_then(|()| put_string(&mut self.raw, text))
            }
            _ => Err(Error::Unencodable),
        };
        let written = written.and_then(|()| check_range(id, value));
        if written.is_err() {
            self.raw.truncate(start);
            return Err(Error::Unencodable);
        }
        Ok(())
    }

    /// Appends what `keep` says of another block, in its order.
    pub fn extend(&mut self, properties: Properties<'_>, keep: impl Fn(PropertyId) -> bool) {
        for (id, bytes) in properties.pieces() {
            if keep(id) {
                self.raw.extend_from_slice(bytes);
            }
        }
    }

    /// The block as packets carry it.
    pub fn properties(&self) -> Properties<'_> {
        Properties { raw: &self.raw }
    }
}

enum Kind {
    Byte,
    Short,
    Long,
    Variable,
    Text,
    Binary,
    Pair,
}

fn kind(id: PropertyId) -> Kind {
    use PropertyId as P;
    match id {
        P::PayloadFormat
        | P::RequestProblemInfo
        | P::RequestResponseInfo
        | P::MaximumQos
        | P::RetainAvailable
        | P::WildcardAvailable
        | P::SubscriptionIdAvailable
        | P::SharedAvailable => Kind::Byte,
        P::ServerKeepAlive | P::ReceiveMaximum | P::TopicAliasMaximum | P::TopicAlias => {
            Kind::Short
        }
        P::MessageExpiry | P::SessionExpiry | P::WillDelay | P::MaximumPacketSize => Kind::Long,
        P::SubscriptionId => Kind::Variable,
        P::ContentType
        | P::ResponseTopic
        | P::AssignedClientId
        | P::AuthMethod
        | P::ResponseInfo
        | P::ServerReference
        | P::ReasonString => Kind::Text,
        P::CorrelationData | P::AuthData => Kind::Binary,
        P::UserProperty => Kind::Pair,
    }
}

/// Table 2-4 of MQTT 5.0.
fn allowed(id: PropertyId, place: Place) -> bool {
    use PropertyId as P;
    match id {
        P::UserProperty => true,
        P::PayloadFormat
        | P::MessageExpiry
        | P::ContentType
        | P::ResponseTopic
        | P::CorrelationData => matches!(place, Place::Publish | Place::Will),
        P::SubscriptionId => matches!(place, Place::Publish | Place::Subscribe),
        P::TopicAlias => place == Place::Publish,
        P::WillDelay => place == Place::Will,
        P::SessionExpiry => matches!(place, Place::Connect | Place::ConnAck | Place::Disconnect),
        P::AuthMethod | P::AuthData => {
            matches!(place, Place::Connect | Place::ConnAck | Place::Auth)
        }
        P::RequestProblemInfo | P::RequestResponseInfo => place == Place::Connect,
        P::ReceiveMaximum | P::TopicAliasMaximum | P::MaximumPacketSize => {
            matches!(place, Place::Connect | Place::ConnAck)
        }
        P::ServerReference => matches!(place, Place::ConnAck | Place::Disconnect),
        P::ReasonString => {
            matches!(
                place,
                Place::ConnAck | Place::Ack | Place::Disconnect | Place::Auth
            )
        }
        P::AssignedClientId
        | P::ServerKeepAlive
        | P::ResponseInfo
        | P::MaximumQos
        | P::RetainAvailable
        | P::WildcardAvailable
        | P::SubscriptionIdAvailable
        | P::SharedAvailable => place == Place::ConnAck,
    }
}

fn read_property<'a>(reader: &mut Reader<'a>) -> Result<(PropertyId, Value<'a>), Error> {
    let id = property_id(reader.varint()?).ok_or(Error::Malformed("2.2.2.2"))?;
    let value = match kind(id) {
        Kind::Byte => Value::Byte(reader.u8()?),
        Kind::Short => Value::Short(reader.u16()?),
        Kind::Long => Value::Long(reader.u32()?),
        Kind::Variable => Value::Variable(reader.varint()?),
        Kind::Text => Value::Text(reader.string()?),
        Kind::Binary => Value::Binary(reader.binary()?),
        Kind::Pair => Value::Pair(reader.string()?, reader.string()?),
    };
    Ok((id, value))
}

fn check_range(id: PropertyId, value: Value<'_>) -> Result<(), Error> {
    match (id, value) {
        (_, Value::Byte(2..)) => Err(Error::Protocol("2.2.2.2")),
        (PropertyId::ReceiveMaximum, Value::Short(0)) => Err(Error::Protocol("3.1.2.11.3")),
        (PropertyId::MaximumPacketSize, Value::Long(0)) => Err(Error::Protocol("3.1.2.11.4")),
        (PropertyId::TopicAlias, Value::Short(0)) => Err(Error::TopicAliasInvalid("MQTT-3.3.2-8")),
        (PropertyId::SubscriptionId, Value::Variable(0)) => Err(Error::Protocol("3.8.2.1.2")),
        (PropertyId::ResponseTopic, Value::Text(name)) => {
            topic::check_name(name).map_err(|_| Error::Protocol("MQTT-3.3.2-14"))
        }
        _ => Ok(()),
    }
}

fn property_id(byte: u32) -> Option<PropertyId> {
    use PropertyId as P;
    Some(match byte {
        0x01 => P::PayloadFormat,
        0x02 => P::MessageExpiry,
        0x03 => P::ContentType,
        0x08 => P::ResponseTopic,
        0x09 => P::CorrelationData,
        0x0B => P::SubscriptionId,
        0x11 => P::SessionExpiry,
        0x12 => P::AssignedClientId,
        0x13 => P::ServerKeepAlive,
        0x15 => P::AuthMethod,
        0x16 => P::AuthData,
        0x17 => P::RequestProblemInfo,
        0x18 => P::WillDelay,
        0x19 => P::RequestResponseInfo,
        0x1A => P::ResponseInfo,
        0x1C => P::ServerReference,
        0x1F => P::ReasonString,
        0x21 => P::ReceiveMaximum,
        0x22 => P::TopicAliasMaximum,
        0x23 => P::TopicAlias,
        0x24 => P::MaximumQos,
        0x25 => P::RetainAvailable,
        0x26 => P::UserProperty,
        0x27 => P::MaximumPacketSize,
        0x28 => P::WildcardAvailable,
        0x29 => P::SubscriptionIdAvailable,
        0x2A => P::SharedAvailable,
        _ => return None,
    })
}
