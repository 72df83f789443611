//! How a REST message is stored: core's format number 3, and its reader.
//!
//! ```text
//! u8      version: 1
//! u32 LE  length of the fields
//! fields  each: u8 kind, u32 LE length, content
//! body    the rest
//!
//! kind  content                                   at most once
//!  1    message id, text                          yes
//!  2    content type, text                        yes
//!  3    content encoding, text                    yes
//!  4    correlation id, bytes                     yes
//!  5    reply address as in `Tmq-Reply-To`, text  yes
//!  6    type (subject), text                      yes
//!  7    group, text                               yes
//! 16    property: name, text
//! 17    property: name, bool (one byte, 0 or 1)
//! 18    property: name, i64 LE
//! 19    property: name, f64 LE
//! ```
//!
//! Text is UTF-8; the name of a property goes before its value with a u16 LE length. Properties keep
//! their order. The format is journalled: it never changes; a later version gets another first
//! byte, and kinds that a reader does not know are passed over.

use std::borrow::Cow;

use ternmq_core::message::Format;

use super::names;
use crate::frontends::canonical::{Value, View};

/// Number of this format.
pub const FORMAT: Format = Format(3);

/// Most bytes of the fields of a message; the body does not count.
pub(super) const MAX_FIELDS_BYTES: usize = 64 << 10;

/// The fields of a message take more than [`MAX_FIELDS_BYTES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong;

/// Everything of a stored message that stands before its body. The body of `view` is not looked at.
pub(super) fn encode_head(view: &View<'_>) -> Result<Vec<u8>, TooLong> {
    let mut head = vec![VERSION, 0, 0, 0, 0];
    let texts = [
        (MESSAGE_ID, &view.message_id),
        (CONTENT_TYPE, &view.content_type),
        (CONTENT_ENCODING, &view.content_encoding),
        (SUBJECT, &view.subject),
        (GROUP, &view.group),
    ];
    for (kind, text) in texts {
        if let Some(text) = text {
            put(&mut head, kind, &[text.as_bytes()])?;
        }
    }
    if let Some(id) = &view.correlation_id {
        put(&mut head, CORRELATION_ID, &[id])?;
    }
    if let Some(reply) = &view.reply_to {
        put(
            &mut head,
            REPLY_TO,
            &[names::render_reply(reply).as_bytes()],
        )?;
    }
    for (name, value) in &view.properties {
        let length = u16::try_from(name.len()).map_err(|_| TooLong)?;
        let (length, name) = (&length.to_le_bytes()[..], name.as_bytes());
        match value {
            Value::Text(text) => put(&mut head, TEXT, &[length, name, text.as_bytes()])?,
            Value::Bool(value) => put(&mut head, BOOL, &[length, name, &[u8::from(*value)]])?,
            Value::Int(value) => put(&mut head, INT, &[length, name, &value.to_le_bytes()])?,
            Value::Double(value) => put(&mut head, DOUBLE, &[length, name, &value.to_le_bytes()])?,
        }
    }
    let length = u32::try_from(head.len() - HEAD_BYTES).map_err(|_| TooLong)?;
    if let Some(place) = head.get_mut(1..HEAD_BYTES) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    Ok(head)
}

fn put(head: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) -> Result<(), TooLong> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    if head.len() + FIELD_BYTES + length > HEAD_BYTES + MAX_FIELDS_BYTES {
        return Err(TooLong);
    }
    head.push(kind);
    head.extend_from_slice(&u32::try_from(length).map_err(|_| TooLong)?.to_le_bytes());
    for part in parts {
        head.extend_from_slice(part);
    }
    Ok(())
}

/// Reads a stored message. What is no message of this format is shown as a body.
#[must_use]
pub fn read(message: &[u8]) -> View<'_> {
    read_all(message).unwrap_or_else(|| View {
        body: Cow::Borrowed(message),
        ..View::default()
    })
}

fn read_all(message: &[u8]) -> Option<View<'_>> {
    let (&version, rest) = message.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (mut fields, body) = rest.split_at_checked(length)?;
    if version != VERSION {
        return None;
    }
    let mut view = View {
        body: Cow::Borrowed(body),
        ..View::default()
    };
    while let Some((&kind, rest)) = fields.split_first() {
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (content, rest) = rest.split_at_checked(length)?;
        read_field(kind, content, &mut view)?;
        fields = rest;
    }
    Some(view)
}

fn read_field<'a>(kind: u8, content: &'a [u8], view: &mut View<'a>) -> Option<()> {
    match kind {
        MESSAGE_ID => view.message_id = Some(text(content)?.into()),
        CONTENT_TYPE => view.content_type = Some(text(content)?.into()),
        CONTENT_ENCODING => view.content_encoding = Some(text(content)?.into()),
        CORRELATION_ID => view.correlation_id = Some(content.into()),
        REPLY_TO => view.reply_to = Some(names::parse_reply(text(content)?)),
        SUBJECT => view.subject = Some(text(content)?.into()),
        GROUP => view.group = Some(text(content)?.into()),
        TEXT..=DOUBLE => {
            let (length, rest) = content.split_first_chunk()?;
            let (name, value) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
            let value = match kind {
                TEXT => Value::Text(text(value)?.into()),
                BOOL => Value::Bool(*value.first()? != 0),
                INT => Value::Int(i64::from_le_bytes(value.try_into().ok()?)),
                _ => Value::Double(f64::from_le_bytes(value.try_into().ok()?)),
            };
            view.properties.push((text(name)?.into(), value));
        }
        _ => {}
    }
    Some(())
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 5;
const FIELD_BYTES: usize = 5;

const MESSAGE_ID: u8 = 1;
const CONTENT_TYPE: u8 = 2;
const CONTENT_ENCODING: u8 = 3;
const CORRELATION_ID: u8 = 4;
const REPLY_TO: u8 = 5;
const SUBJECT: u8 = 6;
const GROUP: u8 = 7;
const TEXT: u8 = 16;
const BOOL: u8 = 17;
const INT: u8 = 18;
const DOUBLE: u8 = 19;

#[cfg(test)]
mod tests;
