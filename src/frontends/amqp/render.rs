//! A message of another protocol as one of AMQP, through its canonical view.
//!
//! Text without more to say about it (`text/plain;charset=utf-8`) is a string in an amqp-value
//! section, whose view says just that; every other body is data with its content type. The body
//! comes last, so that it is not copied. Of properties with one name the first is kept.

use std::collections::HashSet;
use std::ops::Range;

use ternmq_amqp::types::{Value, put_descriptor, put_map, put_text, put_value};
use ternmq_amqp::{MessageId, MessageProperties};
use ternmq_core::address::Address;
use ternmq_core::command::RoutingType;
use ternmq_core::effect::Delivery;
use ternmq_core::message::Envelope;

use super::address::is_temporary;
use super::annotations::Annotations;
use super::encode::Sending;
use super::message::JMS_DEST;
use super::view::{GROUP_SEQUENCE, JMS_REPLY_TO, TEXT};
use crate::frontends::canonical::{self, ReplyTo, View};

/// Appends all sections behind the header to `head`, up to the part of the block that it returns.
pub(super) fn render(
    delivery: &Delivery,
    index: u32,
    sending: &Sending<'_>,
    head: &mut Vec<u8>,
) -> Range<usize> {
    let run = &*delivery.run;
    let view = canonical::view(run, index);
    annotate(delivery, &view, sending, head);
    let is_plain_text = view.content_type.as_deref().is_some_and(is_plain) && view.text().is_some();
    properties(&view, &run.envelope, is_plain_text, sending, head);
    application_properties(&view, head);

    let section = if is_plain_text { STRING } else { DATA };
    put_body_head(head, section, view.body.len());
    match view.body_range(run) {
        Some(range) => range,
        None => {
            head.extend_from_slice(&view.body);
            0..0
        }
    }
}

fn annotate(delivery: &Delivery, view: &View<'_>, sending: &Sending<'_>, head: &mut Vec<u8>) {
    let mut annotations = Annotations::default();
    if let Some(origin) = &delivery.origin {
        let id = view.message_id.as_deref().map(MessageId::Text);
        annotations.put_origin(origin, id, sending.names);
    }
    if let Some(note) = &delivery.note {
        annotations.put_note(note);
    }
    let address = &delivery.run.envelope.address;
    if let Some(routing) = sending.routing {
        annotations.put(JMS_DEST, &jms_kind(address, routing));
    }
    if let Some(ReplyTo::Address {
        address,
        routing: Some(routing),
    }) = &view.reply_to
    {
        annotations.put(JMS_REPLY_TO, &jms_kind(address, *routing));
    }
    annotations.finish(head);
}

/// The kind of JMS destination that an address is (rule 96).
fn jms_kind(address: &Address, routing: RoutingType) -> Value<'static> {
    Value::Byte(match (routing, is_temporary(address)) {
        (RoutingType::Anycast, false) => 0,
        (RoutingType::Multicast, false) => 1,
        (RoutingType::Anycast, true) => 2,
        (RoutingType::Multicast, true) => 3,
    })
}

fn properties(
    view: &View<'_>,
    envelope: &Envelope,
    is_plain_text: bool,
    sending: &Sending<'_>,
    head: &mut Vec<u8>,
) {
    let to = sending.names.render(&envelope.address, None);
    let reply_to = view.reply_to.as_ref().map(|reply_to| match reply_to {
        ReplyTo::Address { address, routing } => sending.names.render(address, *routing).into(),
        ReplyTo::Text(text) => text.clone(),
    });
    let correlation_id = view.correlation_id.as_deref();
    let correlation_id = correlation_id.map(|id| match std::str::from_utf8(id) {
        Ok(text) => MessageId::Text(text),
        Err(_) => MessageId::Binary(id),
    });
    // Both are symbols.
    let content_type = view.content_type.as_deref().filter(|_| !is_plain_text);
    let content_encoding = view.content_encoding.as_deref();
    let properties = MessageProperties {
        message_id: view.message_id.as_deref().map(MessageId::Text),
        to: Some(&to),
        subject: view.subject.as_deref(),
        reply_to: reply_to.as_deref(),
        correlation_id,
        content_type: content_type.filter(|name| name.is_ascii()),
        content_encoding: content_encoding.filter(|name| name.is_ascii()),
        creation_ms: i64::try_from(envelope.timestamp_ms).ok(),
        group_id: view.group.as_deref(),
        group_sequence: group_sequence(view),
        ..MessageProperties::default()
    };
    properties.put(head);
}

fn group_sequence(view: &View<'_>) -> Option<u32> {
    let mut all = view.properties.iter();
    let (_, sequence) = all.find(|(name, _)| name == GROUP_SEQUENCE)?;
    sequence.to_text().parse().ok()
}

fn application_properties(view: &View<'_>, head: &mut Vec<u8>) {
    let (mut items, mut count) = (Vec::new(), 0);
    let mut names = HashSet::new();
    if group_sequence(view).is_some() {
        names.insert(GROUP_SEQUENCE);
    }
    for (name, value) in &view.properties {
        if !names.insert(&**name) {
            continue;
        }
        put_text(&mut items, name);
        let value = match value {
            canonical::Value::Text(text) => Value::Text(text),
            canonical::Value::Bool(value) => Value::Bool(*value),
            canonical::Value::Int(number) => Value::Long(*number),
            canonical::Value::Double(number) => Value::Double(*number),
        };
        put_value(&mut items, &value);
        count += 2;
    }
    if count > 0 {
        put_descriptor(head, APPLICATION_PROPERTIES);
        put_map(head, count, &items);
    }
}

/// Whether a media type says only that its body is text in UTF-8.
fn is_plain(media_type: &str) -> bool {
    let plain = media_type
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'"');
    plain.map(|byte| byte.to_ascii_lowercase()).eq(TEXT.bytes())
}

/// A body section: its descriptor and the constructors of its value, with a length of one byte and
/// of four.
struct Section {
    descriptor: u64,
    short: u8,
    long: u8,
}

const DATA: Section = Section {
    descriptor: 0x75,
    short: 0xa0,
    long: 0xb0,
};
const STRING: Section = Section {
    descriptor: 0x77,
    short: 0xa1,
    long: 0xb1,
};
const APPLICATION_PROPERTIES: u64 = 0x74;

/// Begins a section whose value has `length` bytes, which follow.
fn put_body_head(head: &mut Vec<u8>, section: Section, length: usize) {
    put_descriptor(head, section.descriptor);
    match u8::try_from(length) {
        Ok(length) => head.extend([section.short, length]),
        Err(_) => {
            head.push(section.long);
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            head.extend_from_slice(&length.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
