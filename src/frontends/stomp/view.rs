//! The canonical view of a STOMP message, and a message of another protocol as headers of MESSAGE.

use std::borrow::Cow;

use ternmq_core::command::{NamedSubscription, RoutingType, Source};
use ternmq_core::dialect::{Dialect, MAX_NAME_BYTES};
use ternmq_core::message::Envelope;

use super::destination::{Form, QUEUE, Spelling, TOPIC};
use super::stored::Stored;
use super::temporary::Temporary;
use crate::frontends::canonical::{ReplyTo, Value, View};

/// Headers that are no application property: what the envelope holds, and what belongs to a frame.
const NOT_PROPERTIES: [&str; 17] = [
    "destination",
    "destination-type",
    "content-length",
    "persistent",
    "priority",
    "expires",
    "expiration",
    "timestamp",
    "receipt",
    "transaction",
    "message-id",
    "JMSMessageID",
    "subscription",
    "ack",
    "redelivered",
    "delivery-count",
    "JMSXUserID",
];

type Header<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Reads a message of [`FORMAT`](super::FORMAT); what cannot be read becomes the body.
#[must_use]
pub fn read(message: &[u8]) -> View<'_> {
    let Some(Stored {
        headers,
        body,
        dialect,
    }) = Stored::read(message)
    else {
        let body = Cow::Borrowed(message);
        return View {
            body,
            ..View::default()
        };
    };
    let mut view = View {
        body: Cow::Borrowed(body),
        ..View::default()
    };
    for (name, value) in headers {
        let field = match &*name {
            "content-type" => &mut view.content_type,
            "content-encoding" => &mut view.content_encoding,
            "type" => &mut view.subject,
            "JMSXGroupID" => &mut view.group,
            "JMSMessageID" => &mut view.message_id,
            "correlation-id" => {
                view.correlation_id.get_or_insert(match value {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                });
                continue;
            }
            "reply-to" => {
                view.reply_to
                    .get_or_insert_with(|| reply_to(value, dialect));
                continue;
            }
            known if NOT_PROPERTIES.contains(&known) => continue,
            _ => {
                // Of repeated headers the first counts.
                if view.properties.iter().all(|(known, _)| *known != name) {
                    view.properties.push((name, Value::Text(value)));
                }
                continue;
            }
        };
        field.get_or_insert(value);
    }
    if view.content_type.is_none() && is_text(&view) {
        view.content_type = Some(Cow::Borrowed(TEXT));
    }
    view
}

/// Whether a message without a content type is text: as `amq-msg-type` says, else if it is UTF-8
/// without NUL. A `content-length` says nothing, all clients send it (XP-01).
fn is_text(view: &View<'_>) -> bool {
    let mut properties = view.properties.iter();
    let kind = properties.find(|(name, _)| name == "amq-msg-type");
    match kind.map(|(_, kind)| kind.to_text()).as_deref() {
        Some("text") => view.text().is_some(),
        Some("bytes") => false,
        _ => view.text().is_some_and(|text| !text.contains('\0')),
    }
}

/// The content type of such a text.
const TEXT: &str = "text/plain;charset=utf-8";

fn reply_to(text: Cow<'_, str>, dialect: Dialect) -> ReplyTo<'_> {
    let spelling = Spelling {
        dialect,
        max_bytes: MAX_NAME_BYTES,
    };
    let found = Form::of(&text).ok().and_then(|form| {
        // A private name was replaced when the message came in, so nobody owns it here.
        if let Ok(Some(temporary)) = Temporary::of(form, "", spelling) {
            return Some((temporary.address, Some(temporary.routing)));
        }
        match spelling.source(form).ok()? {
            Source::Anycast(address) | Source::Queue { address, .. } => {
                Some((address, Some(RoutingType::Anycast)))
            }
            Source::Multicast(filter) | Source::Subscription(NamedSubscription { filter, .. }) => {
                Some((filter.to_address()?, Some(RoutingType::Multicast)))
            }
            Source::Untyped(filter)
            | Source::UntypedSubscription(NamedSubscription { filter, .. }) => {
                Some((filter.to_address()?, None))
            }
        }
    });
    match found {
        Some((address, routing)) => ReplyTo::Address { address, routing },
        None => ReplyTo::Text(text),
    }
}

/// The headers of MESSAGE for a message of another protocol.
pub(super) fn headers<'a>(
    view: &'a View<'_>,
    envelope: &Envelope,
    dialect: Dialect,
) -> Vec<Header<'a>> {
    let mut headers: Vec<Header<'a>> = Vec::with_capacity(8 + view.properties.len());
    let mut add = |name: &'static str, value: Option<Cow<'a, str>>| {
        if let Some(value) = value {
            headers.push((Cow::Borrowed(name), value));
        }
    };
    let borrowed = |text: &'a Option<Cow<'_, str>>| text.as_deref().map(Cow::Borrowed);
    add("content-type", borrowed(&view.content_type));
    add("content-encoding", borrowed(&view.content_encoding));
    let correlation_id = view.correlation_id.as_deref();
    add(
        "correlation-id",
        correlation_id.map(String::from_utf8_lossy),
    );
    let reply_to = view.reply_to.as_ref();
    add(
        "reply-to",
        reply_to.map(|reply_to| shown(reply_to, dialect)),
    );
    add("type", borrowed(&view.subject));
    add("JMSXGroupID", borrowed(&view.group));
    add("JMSMessageID", borrowed(&view.message_id));
    add("persistent", envelope.durable.then_some("true".into()));
    add("priority", Some(envelope.priority.to_string().into()));
    let expires = envelope.expires_ms;
    add("expires", (expires > 0).then(|| expires.to_string().into()));
    let timestamp = envelope.timestamp_ms;
    add("timestamp", Some(timestamp.to_string().into()));
    for (name, value) in &view.properties {
        if !NOT_PROPERTIES.contains(&&**name) {
            headers.push((Cow::Borrowed(&**name), value.to_text()));
        }
    }
    headers
}

fn shown<'a>(reply_to: &'a ReplyTo<'_>, dialect: Dialect) -> Cow<'a, str> {
    let (address, routing) = match reply_to {
        ReplyTo::Text(text) => return Cow::Borrowed(text),
        ReplyTo::Address { address, routing } => (address, *routing),
    };
    let temporary = Temporary::publish(address, routing, dialect);
    let plain = || {
        let prefix = match routing {
            Some(RoutingType::Anycast) => QUEUE,
            Some(RoutingType::Multicast) => TOPIC,
            None => "",
        };
        format!("{prefix}{}", address.render(dialect))
    };
    Cow::Owned(temporary.unwrap_or_else(plain))
}
