//! Messages as they are sent to clients. A message of AMQP goes out as it came in, behind a header
//! of this delivery; one of another protocol is rendered (`render`).

use std::ops::Range;

use ternmq_amqp::{Header, Sections};
use ternmq_core::command::RoutingType;
use ternmq_core::effect::Delivery;
use ternmq_core::ids::Now;

use super::address::Names;
use super::annotations::Annotations;
use super::message::{CODE_BYTES, FORMAT, FORMAT_FOREIGN, FORMAT_MQTT_NAMES};
use super::render::render;

/// What all messages that are sent on a link have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending<'a> {
    pub(super) now: Now,
    /// How the client spells names.
    pub(super) names: &'a Names,
    /// The type of what the link consumes, as far as it is known: for JMS, and only in messages of
    /// other protocols.
    pub(super) routing: Option<RoutingType>,
}

/// Appends to `head` what goes before the part of the block of the run that it returns: both
/// together are the payload of message `index` of the run (not of the delivery).
pub(super) fn encode(
    delivery: &Delivery,
    index: u32,
    sending: &Sending<'_>,
    head: &mut Vec<u8>,
) -> Range<usize> {
    let run = &*delivery.run;
    let stored = run.start(index)..run.end(index);
    match run.format {
        FORMAT | FORMAT_MQTT_NAMES => {
            header(delivery, sending.now).put(head);
            if delivery.origin.is_none() && delivery.note.is_none() {
                return stored;
            }
            let rest = annotate(delivery, run.message(index), sending, head);
            stored.start + rest..stored.end
        }
        FORMAT_FOREIGN => (stored.start + CODE_BYTES).min(stored.end)..stored.end,
        _ => {
            header(delivery, sending.now).put(head);
            render(delivery, index, sending, head)
        }
    }
}

/// The message format of message `index` of a run, for its transfer.
pub(super) fn message_format(delivery: &Delivery, index: u32) -> u32 {
    if delivery.run.format != FORMAT_FOREIGN {
        return 0;
    }
    let code = delivery.run.message(index).first_chunk();
    code.map_or(0, |code| u32::from_be_bytes(*code))
}

/// The header of this delivery: the sender's, as the broker keeps it, and what has become of it.
fn header(delivery: &Delivery, now: Now) -> Header {
    let envelope = &delivery.run.envelope;
    // What was moved does not expire again.
    let expires = envelope.expires_ms > 0 && delivery.origin.is_none();
    let left = envelope.expires_ms.saturating_sub(now.wall_ms).max(1);
    Header {
        durable: envelope.durable,
        priority: envelope.priority,
        ttl_ms: expires.then(|| u32::try_from(left).unwrap_or(u32::MAX)),
        first_acquirer: delivery.attempts == 0,
        delivery_count: delivery.attempts,
    }
}

/// Appends the annotations of a message with those of this delivery; returns where the rest of the
/// message begins.
fn annotate(
    delivery: &Delivery,
    message: &[u8],
    sending: &Sending<'_>,
    head: &mut Vec<u8>,
) -> usize {
    let Ok(sections) = Sections::read(message) else {
        return 0;
    };
    let mut annotations = Annotations::default();
    if let Some(origin) = &delivery.origin {
        let properties = sections.read_properties(message).unwrap_or_default();
        annotations.put_origin(origin, properties.message_id, sending.names);
    }
    if let Some(note) = &delivery.note {
        annotations.put_note(note);
    }
    if let Ok(sent) = sections.read_annotations(message) {
        annotations.put_all(&sent);
    }
    annotations.finish(head);
    sections.message_annotations.end
}

#[cfg(test)]
mod tests;
