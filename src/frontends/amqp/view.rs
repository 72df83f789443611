//! The canonical view of a message of AMQP (artemis-features.md 3.6).
//!
//! | AMQP | seen as |
//! |---|---|
//! | data, in one or more sections | the bytes, one behind another |
//! | value: string, symbol | its UTF-8, `text/plain;charset=utf-8` unless a type is given |
//! | value: binary | the bytes |
//! | value: null, no body | nothing |
//! | value: anything else, sequences | JSON, `application/json` |
//!
//! Annotations are for peers on the way and are not shown. Nor is user-id, which nobody has
//! checked, and what the envelope has: to, times.

use std::borrow::Cow;

use ternmq_amqp::types::Value;
use ternmq_amqp::{BodyKind, MessageProperties, Sections};
use ternmq_core::command::RoutingType;

use super::address::Names;
use super::message::{CODE_BYTES, jms_routing, whole};
use super::{json, scalar};
use crate::frontends::canonical::{self, ReplyTo, View};

/// Reads a message of [`FORMAT`](super::FORMAT); what cannot be read becomes the body.
#[must_use]
pub fn read(message: &[u8]) -> View<'_> {
    read_named(message, &Names::AMQ)
}

/// The same of [`FORMAT_MQTT_NAMES`](super::FORMAT_MQTT_NAMES).
#[must_use]
pub fn read_mqtt_names(message: &[u8]) -> View<'_> {
    read_named(message, &Names::MQTT)
}

/// The same of [`FORMAT_FOREIGN`](super::FORMAT_FOREIGN): all of its payload is the body.
#[must_use]
pub fn read_foreign(message: &[u8]) -> View<'_> {
    opaque(message.get(CODE_BYTES..).unwrap_or_default())
}

fn opaque(bytes: &[u8]) -> View<'_> {
    View {
        body: Cow::Borrowed(bytes),
        ..View::default()
    }
}

fn read_named<'a>(message: &'a [u8], names: &Names) -> View<'a> {
    let Ok(sections) = Sections::read(message) else {
        return opaque(message);
    };
    let properties = sections.read_properties(message).unwrap_or_default();
    let annotations = sections.read_annotations(message).unwrap_or_default();
    let annotation = |name| annotations.find(name).ok().flatten();
    let number = |name| annotation(name).as_ref().and_then(whole);

    let (body, content_type) = body(message, &sections);
    let is_jms_text = number(JMS_MESSAGE_TYPE) == Some(JMS_TEXT) && utf8(&body).is_some();
    let content_type = match content_type {
        Some(JSON) => Some(JSON),
        implied => properties
            .content_type
            .or(implied)
            .or(is_jms_text.then_some(TEXT)),
    };
    let routing = number(JMS_REPLY_TO).and_then(jms_routing);
    View {
        body,
        content_type: content_type.map(Cow::Borrowed),
        content_encoding: properties.content_encoding.map(Cow::Borrowed),
        correlation_id: properties.correlation_id.map(scalar::id_bytes),
        reply_to: properties
            .reply_to
            .map(|text| reply_to(text, routing, names)),
        subject: properties.subject.map(Cow::Borrowed),
        group: properties.group_id.map(Cow::Borrowed),
        message_id: properties.message_id.map(scalar::id_text),
        properties: application_properties(message, &sections, &properties),
    }
}

/// The body, and its media type where the section says it.
fn body<'a>(message: &'a [u8], sections: &Sections) -> (Cow<'a, [u8]>, Option<&'static str>) {
    let mut values = sections.read_body(message).map(Result::ok);
    let encoded = message.get(sections.body.clone()).unwrap_or_default();
    let json = match sections.body_kind {
        BodyKind::None => return (Cow::default(), None),
        BodyKind::Data => return (data(values), None),
        BodyKind::Sequence => json::of_sequences(values, encoded.len()),
        BodyKind::Value => match values.next().flatten() {
            Some(Value::Text(text) | Value::Symbol(text)) => {
                return (Cow::Borrowed(text.as_bytes()), Some(TEXT));
            }
            Some(Value::Binary(bytes)) => return (Cow::Borrowed(bytes), None),
            Some(Value::Null) => return (Cow::default(), None),
            Some(value) => json::of_value(&value),
            None => None,
        },
    };
    match json {
        Some(json) => (Cow::Owned(json), Some(JSON)),
        None => (Cow::Borrowed(encoded), None),
    }
}

/// The bytes of all data sections.
fn data<'a>(mut values: impl Iterator<Item = Option<Value<'a>>>) -> Cow<'a, [u8]> {
    let mut data: Cow<'a, [u8]> = Cow::default();
    while let Some(Some(Value::Binary(bytes))) = values.next() {
        if data.is_empty() {
            data = Cow::Borrowed(bytes);
        } else {
            data.to_mut().extend_from_slice(bytes);
        }
    }
    data
}

fn reply_to<'a>(text: &'a str, routing: Option<RoutingType>, names: &Names) -> ReplyTo<'a> {
    match names.target(text) {
        Ok(destination) => {
            let one_queue = destination.queue.map(|_| RoutingType::Anycast);
            ReplyTo::Address {
                address: destination.name,
                routing: one_queue.or(destination.routing).or(routing),
            }
        }
        Err(_) => ReplyTo::Text(Cow::Borrowed(text)),
    }
}

/// What the application added, and the place in the group, for which no other protocol has a field.
fn application_properties<'a>(
    message: &'a [u8],
    sections: &Sections,
    properties: &MessageProperties<'_>,
) -> Vec<(Cow<'a, str>, canonical::Value<'a>)> {
    let added = sections.read_application_properties(message);
    let added = added.unwrap_or_default();
    let pairs = added.iter().map_while(Result::ok);
    let mut seen: Vec<_> = pairs
        .filter_map(|(key, value)| match key {
            Value::Text(name) | Value::Symbol(name) => {
                Some((Cow::Borrowed(name), scalar::property(&value)?))
            }
            _ => None,
        })
        .take(MAX_PROPERTIES)
        .collect();
    if let Some(sequence) = properties.group_sequence {
        let sequence = canonical::Value::Int(sequence.into());
        seen.push((GROUP_SEQUENCE.into(), sequence));
    }
    seen
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The media type of a text that says no more.
pub(super) const TEXT: &str = "text/plain;charset=utf-8";
const JSON: &str = "application/json";

/// Application properties that others see; a message has room for millions.
const MAX_PROPERTIES: usize = 4_096;

/// The place in the group, as a property.
pub(super) const GROUP_SEQUENCE: &str = "JMSXGroupSeq";

/// Says what kind of JMS destination `reply-to` is.
pub(super) const JMS_REPLY_TO: &str = "x-opt-jms-reply-to";
const JMS_MESSAGE_TYPE: &str = "x-opt-jms-msg-type";
const JMS_TEXT: i128 = 5;

#[cfg(test)]
mod tests;
