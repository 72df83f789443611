//! Messages to sections and back (M 3.2).

use bytes::Bytes;
use ternmq_amqp::types::{Value, put_binary, put_descriptor, put_map, put_text};
use ternmq_amqp::{BodyKind, Error, Header, MessageId, MessageProperties, Sections};

use super::show::{show, show_id};
use crate::client::message::{Message, Properties};
use crate::client::{ClientError, QoS};

/// The sections of a message to send: its body is data.
pub(super) fn encode(message: &Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.body.len() + HEAD_BYTES);
    let properties = &message.properties;
    let header = Header {
        durable: message.qos > QoS::AtMostOnce,
        priority: properties.priority.unwrap_or(Header::default().priority),
        ttl_ms: properties.expiry_s.map(|s| s.saturating_mul(1_000)),
        ..Header::default()
    };
    header.put(&mut out);
    let correlation = properties.correlation.as_deref();
    let described = MessageProperties {
        to: Some(&message.topic),
        subject: properties.subject.as_deref(),
        reply_to: properties.response_topic.as_deref(),
        correlation_id: correlation.map(|bytes| match std::str::from_utf8(bytes) {
            Ok(text) => MessageId::Text(text),
            Err(_) => MessageId::Binary(bytes),
        }),
        content_type: properties.content_type.as_deref(),
        ..MessageProperties::default()
    };
    described.put(&mut out);
    if !properties.user.is_empty() {
        let (mut items, mut count) = (Vec::new(), 0);
        for (name, value) in &properties.user {
            put_text(&mut items, name);
            put_text(&mut items, value);
            count += 2;
        }
        put_descriptor(&mut out, APPLICATION_PROPERTIES);
        put_map(&mut out, count, &items);
    }
    put_descriptor(&mut out, DATA);
    put_binary(&mut out, &message.body);
    out
}

/// The message of sections that came from a node; what cannot be read as sections is shown as the
/// bytes it is.
pub(super) fn decode(bytes: &[u8], address: &str, qos: QoS) -> Message {
    read(bytes, address, qos).unwrap_or_else(|_| Message {
        topic: address.to_owned(),
        body: Bytes::copy_from_slice(bytes),
        qos,
        retain: false,
        dup: false,
        properties: Properties::default(),
    })
}

fn read(bytes: &[u8], address: &str, qos: QoS) -> Result<Message, Error> {
    let sections = Sections::read(bytes)?;
    let header = sections.read_header(bytes)?;
    let described = sections.read_properties(bytes)?;
    let mut user = Vec::new();
    for pair in sections.read_application_properties(bytes)?.iter() {
        let (name, value) = pair?;
        user.push((show(&name), show(&value)));
    }
    let text = |text: Option<&str>| text.map(str::to_owned);
    Ok(Message {
        topic: described.to.unwrap_or(address).to_owned(),
        body: body(&sections, bytes)?,
        qos,
        retain: false,
        dup: header.delivery_count > 0,
        properties: Properties {
            content_type: text(described.content_type),
            response_topic: text(described.reply_to),
            correlation: described.correlation_id.map(correlation),
            expiry_s: header.ttl_ms.map(|ms| ms.div_ceil(1_000)),
            user,
            subject: text(described.subject),
            priority: (header.priority != Header::default().priority).then_some(header.priority),
            message_id: described.message_id.map(show_id),
            ..Properties::default()
        },
    })
}

fn correlation(id: MessageId<'_>) -> Bytes {
    match id {
        MessageId::Binary(bytes) => Bytes::copy_from_slice(bytes),
        id => Bytes::from(show_id(id)),
    }
}

/// Data as it is; of a value, bytes and text as they are, and everything else as text.
fn body(sections: &Sections, bytes: &[u8]) -> Result<Bytes, Error> {
    let mut body = Vec::new();
    for value in sections.read_body(bytes) {
        match (sections.body_kind, value?) {
            (BodyKind::Data | BodyKind::Value, Value::Binary(bytes)) => {
                body.extend_from_slice(bytes);
            }
            (_, value) => body.extend_from_slice(show(&value).as_bytes()),
        }
    }
    Ok(body.into())
}

/// Checks an address.
///
/// # Errors
/// It is empty, or longer than anybody takes.
pub fn check_address(text: &str) -> Result<(), ClientError> {
    if text.is_empty() || text.len() > MAX_ADDRESS_BYTES || text.contains('\0') {
        return Err(ClientError::Address {
            text: text.chars().take(SHOWN_CHARS).collect(),
        });
    }
    Ok(())
}

const APPLICATION_PROPERTIES: u64 = 0x74;
const DATA: u64 = 0x75;
/// Of the sections before the body, what is made room for.
const HEAD_BYTES: usize = 256;
/// It fits an attach of a server that takes small frames.
const MAX_ADDRESS_BYTES: usize = 4_000;
const SHOWN_CHARS: usize = 200;
