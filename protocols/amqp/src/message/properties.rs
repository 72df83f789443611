//! properties (M 3.2.4).

use super::PROPERTIES;
use crate::error::Error;
use crate::types::{Fields, Value, put_composite};

/// What messages are known by; the type belongs to the id (M 3.2.11 to 3.2.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageId<'a> {
    /// A number.
    Ulong(u64),
    /// A UUID.
    Uuid([u8; 16]),
    /// Bytes.
    Binary(&'a [u8]),
    /// Text.
    Text(&'a str),
}

/// What the specification defines of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MessageProperties<'a> {
    /// What it is known by.
    pub message_id: Option<MessageId<'a>>,
    /// Who made it.
    pub user_id: Option<&'a [u8]>,
    /// The node it is for.
    pub to: Option<&'a str>,
    /// What it is about.
    pub subject: Option<&'a str>,
    /// The node that answers are for.
    pub reply_to: Option<&'a str>,
    /// The message that it belongs to.
    pub correlation_id: Option<MessageId<'a>>,
    /// Media type of its body.
    pub content_type: Option<&'a str>,
    /// How the body is encoded besides.
    pub content_encoding: Option<&'a str>,
    /// When it expires, in milliseconds since 1970-01-01.
    pub absolute_expiry_ms: Option<i64>,
    /// When it was made, likewise.
    pub creation_ms: Option<i64>,
    /// The group it belongs to.
    pub group_id: Option<&'a str>,
    /// Its place in the group.
    pub group_sequence: Option<u32>,
    /// The group that answers belong to.
    pub reply_to_group_id: Option<&'a str>,
}

fn message_id(value: Option<Value<'_>>) -> Result<Option<MessageId<'_>>, Error> {
    Ok(Some(match value {
        None => return Ok(None),
        Some(Value::Ulong(number)) => MessageId::Ulong(number),
        Some(Value::Uuid(bytes)) => MessageId::Uuid(bytes),
        Some(Value::Binary(bytes)) => MessageId::Binary(bytes),
        Some(Value::Text(text)) => MessageId::Text(text),
        Some(_) => return Err(Error::Decode("M 3.2.4")),
    }))
}

/// Addresses are text here.
fn address(value: Option<Value<'_>>) -> Result<Option<&str>, Error> {
    match value {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(Error::Decode("M 3.2.15")),
    }
}

impl<'a> MessageId<'a> {
    fn value(self) -> Value<'a> {
        match self {
            Self::Ulong(number) => Value::Ulong(number),
            Self::Uuid(bytes) => Value::Uuid(bytes),
            Self::Binary(bytes) => Value::Binary(bytes),
            Self::Text(text) => Value::Text(text),
        }
    }
}

impl<'a> MessageProperties<'a> {
    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let properties = Self {
            message_id: message_id(fields.value()?)?,
            user_id: fields.binary()?,
            to: address(fields.value()?)?,
            subject: fields.text()?,
            reply_to: address(fields.value()?)?,
            correlation_id: message_id(fields.value()?)?,
            content_type: fields.symbol()?,
            content_encoding: fields.symbol()?,
            absolute_expiry_ms: fields.timestamp()?,
            creation_ms: fields.timestamp()?,
            group_id: fields.text()?,
            group_sequence: fields.uint()?,
            reply_to_group_id: fields.text()?,
        };
        fields.finish()?;
        Ok(properties)
    }

    /// Appends them as a section; nothing if there are none.
    pub fn put(&self, out: &mut Vec<u8>) {
        if *self == Self::default() {
            return;
        }
        put_composite(out, PROPERTIES, |fields| {
            fields
                .value(self.message_id.map(MessageId::value))
                .binary(self.user_id)
                .text(self.to)
                .text(self.subject)
                .text(self.reply_to)
                .value(self.correlation_id.map(MessageId::value))
                .symbol(self.content_type)
                .symbol(self.content_encoding)
                .timestamp(self.absolute_expiry_ms)
                .timestamp(self.creation_ms)
                .text(self.group_id)
                .uint(self.group_sequence)
                .text(self.reply_to_group_id);
        });
    }
}
