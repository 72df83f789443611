//! `application/vnd.ternmq.message+json`: a message as one JSON object.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};
use ternmq_core::effect::Delivery;
use ternmq_core::ids::Now;

use super::headers::{MAX_PRIORITY, Metadata, NORMAL_PRIORITY, duration_ms};
use super::names;
use super::problem::{Problem, Slug};
use super::properties::Properties;
use crate::frontends::canonical::{Value, View};

/// The media type of an envelope.
pub(super) const MEDIA: &str = "application/vnd.ternmq.message+json";
/// How the media types of ours begin.
pub(super) const FAMILY: &str = "application/vnd.ternmq.";

/// The fields of an envelope. A body is one of three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fields<'a> {
    id: Option<String>,
    content_type: Option<String>,
    #[serde(rename = "type")]
    subject: Option<String>,
    group_id: Option<String>,
    correlation_id: Option<String>,
    reply_to: Option<String>,
    ttl: Option<String>,
    priority: Option<u8>,
    persistent: Option<bool>,
    properties: Option<Properties>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body64: Option<Cow<'a, str>>,
    /// Kept as it is written.
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    deliver_at: Option<IgnoredAny>,
    delay: Option<IgnoredAny>,
    trace: Option<IgnoredAny>,
}

/// Reads an envelope: metadata and body.
pub(super) fn parse(bytes: &[u8], now: Now) -> Result<(Metadata, Vec<u8>), Problem> {
    let bad = |why: &str| Problem::new(Slug::BadMetadata, why);
    let fields: Fields<'_> = serde_json::from_slice(bytes).map_err(|error| {
        let slug = match error.classify() {
            Category::Data => Slug::BadMetadata,
            _ => Slug::Malformed,
        };
        Problem::new(slug, format!("envelope: {error}"))
    })?;
    if fields.deliver_at.is_some() || fields.delay.is_some() || fields.trace.is_some() {
        let detail = "deliverAt, delay and trace are not supported yet";
        return Err(Problem::new(Slug::NotSupported, detail));
    }
    let body = match (fields.body, fields.body64, fields.json) {
        (Some(body), None, None) => body.into_owned().into_bytes(),
        (None, Some(coded), None) => STANDARD
            .decode(coded.as_bytes())
            .map_err(|_| bad("body64 is not base64"))?,
        (None, None, Some(json)) => json.get().as_bytes().to_vec(),
        (None, None, None) => Vec::new(),
        _ => return Err(bad("one of body, body64 and json")),
    };
    let priority = fields.priority.unwrap_or(NORMAL_PRIORITY);
    if priority > MAX_PRIORITY {
        return Err(bad("priority: 0 to 9"));
    }
    let expires_ms = match fields.ttl {
        None => 0,
        Some(ttl) => {
            let ttl = duration_ms(&ttl).ok_or_else(|| bad("ttl: a duration such as 30s"))?;
            now.wall_ms.saturating_add(ttl)
        }
    };
    let view = View {
        message_id: fields.id.map(Cow::Owned),
        content_type: fields.content_type.map(Cow::Owned),
        subject: fields.subject.map(Cow::Owned),
        group: fields.group_id.map(Cow::Owned),
        correlation_id: fields.correlation_id.map(|id| Cow::Owned(id.into_bytes())),
        reply_to: fields.reply_to.map(|reply| names::owned_reply(&reply)),
        properties: fields.properties.unwrap_or_default().0,
        ..View::default()
    };
    let metadata = Metadata {
        view,
        priority,
        expires_ms,
        persistent: fields.persistent.unwrap_or(true),
    };
    Ok((metadata, body))
}

/// The properties of a message as a JSON object; of a repeated name the first stays.
pub(super) fn property_json(view: &View<'_>) -> Json {
    let mut object = Map::new();
    for (name, value) in &view.properties {
        let value = match value {
            Value::Text(text) => json!(text),
            Value::Bool(value) => json!(value),
            Value::Int(value) => json!(value),
            Value::Double(value) => json!(value),
        };
        object.entry(name.as_ref()).or_insert(value);
    }
    Json::Object(object)
}

/// JSON in ASCII alone, for a header.
pub(super) fn ascii(json: &Json) -> String {
    let mut text = String::new();
    for c in json.to_string().chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// A delivered message as an envelope.
pub(super) fn render(delivery: &Delivery, view: &View<'_>) -> Map<String, Json> {
    let envelope = &delivery.run.envelope;
    let mut object = Map::new();
    let id = view
        .message_id
        .as_deref()
        .map_or_else(|| fallback_id(delivery), str::to_owned);
    object.insert("id".into(), json!(id));
    match view.text() {
        Some(text) => object.insert("body".into(), json!(text)),
        None => object.insert("body64".into(), json!(STANDARD.encode(&view.body))),
    };
    let correlation = view.correlation_id.as_deref().map(String::from_utf8_lossy);
    let reply = view.reply_to.as_ref().map(names::render_reply);
    let texts = [
        ("contentType", view.content_type.as_deref()),
        ("correlationId", correlation.as_deref()),
        ("replyTo", reply.as_deref()),
        ("type", view.subject.as_deref()),
        ("groupId", view.group.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            object.insert(name.into(), json!(text));
        }
    }
    if !view.properties.is_empty() {
        object.insert("properties".into(), property_json(view));
    }
    object.insert("destination".into(), json!(envelope.address.as_str()));
    object.insert("priority".into(), json!(envelope.priority));
    object.insert("persistent".into(), json!(envelope.durable));
    object.insert("deliveryCount".into(), json!(delivery.attempts));
    if let Some(origin) = &delivery.origin {
        object.insert("originalAddress".into(), json!(origin.address.as_str()));
        object.insert("originalQueue".into(), json!(origin.queue.as_str()));
        object.insert("reason".into(), json!(origin.reason.as_str()));
    }
    object
}

/// The id of a message that brought none: its queue and its place in it.
pub(super) fn fallback_id(delivery: &Delivery) -> String {
    format!("{}-{}", delivery.queue, delivery.sequence)
}

#[cfg(test)]
mod tests;
