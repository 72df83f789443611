//! The canonical view of an MQTT message: its PUBLISH packet, read.

use std::borrow::Cow;

use ternmq_core::address::Address;
use ternmq_core::command::RoutingType;
use ternmq_core::dialect::{Dialect, MAX_NAME_BYTES};
use ternmq_mqtt::{Framed, PropertyId, Publish, Value as Property, Version, frame};

use crate::frontends::canonical::{ReplyTo, Value, View};

/// Reads a message of [`FORMAT`](super::FORMAT); what is no PUBLISH packet becomes the body.
#[must_use]
pub fn read(message: &[u8]) -> View<'_> {
    read_version(message, Version::V311)
}

/// The same of [`FORMAT_V5`](super::FORMAT_V5).
#[must_use]
pub fn read_v5(message: &[u8]) -> View<'_> {
    read_version(message, Version::V5)
}

fn read_version(message: &[u8], version: Version) -> View<'_> {
    let mut view = View::default();
    let publish = match frame(message, usize::MAX) {
        Ok(Framed::Frame(packet)) => Publish::decode(packet, version).ok(),
        _ => None,
    };
    let Some(publish) = publish else {
        view.body = Cow::Borrowed(message);
        return view;
    };
    view.body = Cow::Borrowed(publish.payload);
    let mut is_text = false;
    for (id, value) in publish.properties.iter() {
        match (id, value) {
            (PropertyId::ContentType, Property::Text(text)) => {
                view.content_type = Some(Cow::Borrowed(text));
            }
            (PropertyId::PayloadFormat, Property::Byte(1)) => is_text = true,
            (PropertyId::ResponseTopic, Property::Text(topic)) => {
                view.reply_to = Some(reply_to(topic));
            }
            (PropertyId::CorrelationData, Property::Binary(data)) => {
                view.correlation_id = Some(Cow::Borrowed(data));
            }
            (PropertyId::UserProperty, Property::Pair(name, value)) => {
                let value = Value::Text(Cow::Borrowed(value));
                view.properties.push((Cow::Borrowed(name), value));
            }
            _ => {}
        }
    }
    if is_text && view.content_type.is_none() {
        view.content_type = Some(Cow::Borrowed(TEXT));
    }
    view
}

/// What a payload format of 1 says where no content type does (3.3.2.3.2).
const TEXT: &str = "text/plain;charset=utf-8";

fn reply_to(topic: &str) -> ReplyTo<'_> {
    match Address::parse(topic, Dialect::Mqtt, MAX_NAME_BYTES) {
        Ok(address) => ReplyTo::Address {
            address,
            routing: Some(RoutingType::Multicast),
        },
        Err(_) => ReplyTo::Text(Cow::Borrowed(topic)),
    }
}

#[cfg(test)]
mod tests;
