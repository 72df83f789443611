//! `application/vnd.ternmq.message+json`: a message as one JSON object.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};
use ternmq_core::effect::Delivery;
use ternmq_core::ids::Now;

use super::headers::{Metadata, NORMAL_PRIORITY, duration_ms};
use super::names;
use super::problem::{Problem, Slug};
use crate::frontends::canonical::{Value, View};

/// The media type of an envelope.
pub(super) const MEDIA: &str = "application/vnd.ternmq.message+json";

/// Reads an envelope: metadata and body.
pub(super) fn parse(bytes: &[u8], now: Now) -> Result<(Metadata, Vec<u8>), Problem> {
    let bad = |field: &str| Problem::new(Slug::BadMetadata, format!("{field} is not valid"));
    let json: Json = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Slug::Malformed, format!("envelope: {error}")))?;
    let Json::Object(mut fields) = json else {
        return Err(Problem::new(
            Slug::Malformed,
            "an envelope is a JSON object",
        ));
    };
    let mut text = |name: &str| match fields.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(name)),
    };
    let mut view = View {
        message_id: text("id")?.map(Cow::Owned),
        content_type: text("contentType")?.map(Cow::Owned),
        subject: text("type")?.map(Cow::Owned),
        group: text("groupId")?.map(Cow::Owned),
        correlation_id: text("correlationId")?.map(|id| Cow::Owned(id.into_bytes())),
        ..View::default()
    };
    view.reply_to = text("replyTo")?.map(|reply| names::owned_reply(&reply));
    let (plain, coded, ttl) = (text("body")?, text("body64")?, text("ttl")?);
    let object = fields.remove("json");
    let body = match (plain, coded, object) {
        (Some(body), None, None) => body.into_bytes(),
        (None, Some(coded), None) => STANDARD.decode(coded).map_err(|_| bad("body64"))?,
        (None, None, Some(object)) => object.to_string().into_bytes(),
        (None, None, None) => Vec::new(),
        _ => return Err(bad("body: one of body, body64 and json")),
    };
    if let Some(object) = fields.remove("properties") {
        view.properties = properties(&object).ok_or_else(|| bad("properties"))?;
    }
    let priority = match fields.remove("priority") {
        None => NORMAL_PRIORITY,
        Some(value) => value
            .as_u64()
            .and_then(|p| u8::try_from(p).ok())
            .filter(|p| *p <= 9)
            .ok_or_else(|| bad("priority"))?,
    };
    let persistent = match fields.remove("persistent") {
        None => true,
        Some(value) => value.as_bool().ok_or_else(|| bad("persistent"))?,
    };
    let expires_ms = match ttl {
        None => 0,
        Some(ttl) => now
            .wall_ms
            .saturating_add(duration_ms(&ttl).ok_or_else(|| bad("ttl"))?),
    };
    if let Some(name) = fields.keys().next() {
        return Err(Problem::new(
            Slug::BadMetadata,
            format!("{name} is not a known field"),
        ));
    }
    Ok((
        Metadata {
            view,
            priority,
            expires_ms,
            persistent,
        },
        body,
    ))
}

/// Properties of a JSON object; whole numbers are integers. `None` if one is no property.
pub(super) fn properties(json: &Json) -> Option<Vec<(Cow<'static, str>, Value<'static>)>> {
    let value = |json: &Json| match json {
        Json::Bool(value) => Some(Value::Bool(*value)),
        Json::String(text) => Some(Value::Text(Cow::Owned(text.clone()))),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Some(Value::Int(number)),
            None => number.as_f64().map(Value::Double),
        },
        _ => None,
    };
    let object = json.as_object()?;
    object
        .iter()
        .map(|(name, json)| Some((Cow::Owned(name.clone()), value(json)?)))
        .collect()
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
