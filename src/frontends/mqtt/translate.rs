//! A message of another protocol as PUBLISH (artemis-features.md 3.6): what MQTT 5.0 has a property
//! for becomes one, the rest becomes user properties under the field's own name.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use ternmq_core::dialect::Dialect;
use ternmq_core::message::Envelope;
use ternmq_mqtt::{PropertiesBuf, PropertyId, Value, topic};

use super::publish::NORMAL_PRIORITY;
use crate::frontends::canonical::{ReplyTo, View};

/// The properties of a message. What the wire cannot carry is left out.
pub(super) fn properties(
    view: &View<'_>,
    envelope: &Envelope,
    expiry_s: Option<u32>,
) -> PropertiesBuf {
    let mut block = PropertiesBuf::new();
    let mut put = |id, value: Option<Value<'_>>| {
        if let Some(value) = value {
            let _ = block.push(id, value);
        }
    };
    let content_type = view.content_type.as_deref();
    let is_text = content_type.is_some_and(is_text) && view.text().is_some();
    put(PropertyId::PayloadFormat, is_text.then_some(Value::Byte(1)));
    put(PropertyId::MessageExpiry, expiry_s.map(Value::Long));
    put(PropertyId::ContentType, content_type.map(Value::Text));
    let response = view.reply_to.as_ref().and_then(response_topic);
    put(
        PropertyId::ResponseTopic,
        response.as_deref().map(Value::Text),
    );
    let correlation = view.correlation_id.as_deref();
    put(PropertyId::CorrelationData, correlation.map(Value::Binary));
    let mut pair =
        |name: &str, value: &str| put(PropertyId::UserProperty, Some(Value::Pair(name, value)));
    for (name, value) in [
        ("content-encoding", &view.content_encoding),
        ("type", &view.subject),
        ("JMSXGroupID", &view.group),
        ("message-id", &view.message_id),
    ] {
        if let Some(value) = value {
            pair(name, value);
        }
    }
    if envelope.priority != NORMAL_PRIORITY {
        pair("priority", &envelope.priority.to_string());
    }
    for (name, value) in &view.properties {
        pair(name, &value.to_text());
    }
    block
}

/// The ids of the subscriptions that a copy is for \[MQTT-3.3.4-3\].
pub(super) fn add_ids(block: &mut PropertiesBuf, ids: &[u32]) {
    for id in ids {
        let _ = block.push(PropertyId::SubscriptionId, Value::Variable(*id));
    }
}

/// Whether a media type says that its body is text.
fn is_text(media_type: &str) -> bool {
    let lower = media_type.to_ascii_lowercase();
    let kind = lower.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || kind == "application/json"
        || kind.ends_with("+json")
        || lower.contains("charset=utf-8")
}

/// The topic for answers, if it can be one.
fn response_topic<'a>(reply_to: &'a ReplyTo<'_>) -> Option<Cow<'a, str>> {
    let text = match reply_to {
        ReplyTo::Address { address, .. } => address.render(Dialect::Mqtt).into(),
        ReplyTo::Text(text) => Cow::Borrowed(&**text),
    };
    topic::check_name(&text).is_ok().then_some(text)
}
