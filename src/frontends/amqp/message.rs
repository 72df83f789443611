//! Messages as clients send them, and how they are kept: formats 5 to 7 of the broker's messages.
//!
//! ```text
//! 5 and 7   message-annotations? properties? application-properties? body* footer?
//! 6         u32 BE message format, payload
//! ```
//!
//! Each section stands byte by byte as it was sent: the bare message is never written anew (M 3.2),
//! and what stands before it is the header, which the broker keeps in the envelope, and annotations
//! for the broker alone. Names in a message of format 7 are spelled as in MQTT, in one of format 5
//! as in ActiveMQ. Format 6 is of messages that another specification describes (M 3.2.16); nothing
//! of them is read.

use std::borrow::Cow;

use ternmq_amqp::types::Value;
use ternmq_amqp::{Fault, Sections};
use ternmq_core::command::RoutingType;
use ternmq_core::dialect::Dialect;
use ternmq_core::ids::Now;
use ternmq_core::message::Format;

use super::address::AddressError;
use super::refuse::NOT_IMPLEMENTED;

/// The encoded original of a message: all sections but header and delivery annotations.
pub const FORMAT: Format = Format(5);
/// The encoded original of a message of another message format than 0.
pub const FORMAT_FOREIGN: Format = Format(6);
/// [`FORMAT`] with names that are spelled as in MQTT.
pub const FORMAT_MQTT_NAMES: Format = Format(7);

/// Bytes before the payload of [`FORMAT_FOREIGN`].
pub(super) const CODE_BYTES: usize = 4;

/// What the broker wants to know of a message that came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Incoming<'a> {
    pub(super) durable: bool,
    /// 0 to 9.
    pub(super) priority: u8,
    /// Wall time in milliseconds; 0 is never.
    pub(super) expires_ms: u64,
    /// The node it is for; links without a target go by it.
    pub(super) to: Option<&'a str>,
    /// How it is to be routed, as its own annotations say.
    pub(super) routing: Option<RoutingType>,
    /// What is kept of the payload.
    pub(super) stored: &'a [u8],
    /// Its message format, if that is not 0.
    code: Option<u32>,
}

/// Why a message is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rejection {
    pub(super) condition: &'static str,
    pub(super) description: Cow<'static, str>,
}

impl Rejection {
    pub(super) fn new(condition: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition,
            description: description.into(),
        }
    }

    /// The error of its outcome.
    pub(super) fn fault(&self) -> Fault<'_> {
        Fault::new(self.condition, &self.description)
    }
}

impl From<AddressError> for Rejection {
    fn from(error: AddressError) -> Self {
        Self::new(error.condition(), error.to_string())
    }
}

impl From<ternmq_amqp::Error> for Rejection {
    fn from(error: ternmq_amqp::Error) -> Self {
        Self {
            condition: error.condition(),
            description: error.to_string().into(),
        }
    }
}

impl Incoming<'_> {
    /// Bytes of the message as it is kept.
    pub(super) fn size(&self) -> usize {
        self.stored.len() + self.code.map_or(0, |_| CODE_BYTES)
    }

    /// Appends the message as it is kept.
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        if let Some(code) = self.code {
            out.extend_from_slice(&code.to_be_bytes());
        }
        out.extend_from_slice(self.stored);
    }

    /// The format in which it is kept, of a client that spells names in this dialect.
    pub(super) fn format(&self, dialect: Dialect) -> Format {
        match (self.code, dialect) {
            (Some(_), _) => FORMAT_FOREIGN,
            (None, Dialect::Mqtt) => FORMAT_MQTT_NAMES,
            (None, Dialect::Amq | Dialect::Canonical) => FORMAT,
        }
    }
}

/// Reads a message that was sent with this message format (0 is AMQP's own). Everything that a
/// receiver reads is walked to its last level, so that no receiver chokes on what a sender wrote.
///
/// A foreign message may say in its own way that it is to be kept, so it counts as durable.
pub(super) fn incoming(payload: &[u8], format: u32, now: Now) -> Result<Incoming<'_>, Rejection> {
    if format != 0 {
        return Ok(Incoming {
            durable: true,
            priority: NORMAL_PRIORITY,
            expires_ms: 0,
            to: None,
            routing: None,
            stored: payload,
            code: Some(format),
        });
    }
    let sections = Sections::read(payload)?;
    sections.check(payload)?;
    let header = sections.read_header(payload)?;
    let mut incoming = Incoming {
        durable: header.durable,
        priority: header.priority,
        expires_ms: header.ttl_ms.map_or(0, |ttl| after(now, ttl.into())),
        to: None,
        routing: None,
        stored: payload
            .get(sections.header.end.max(sections.delivery_annotations.end)..)
            .unwrap_or_default(),
        code: None,
    };
    if !sections.properties.is_empty() {
        let properties = sections.read_properties(payload)?;
        incoming.to = properties.to;
        if let Some(expiry_ms) = properties.absolute_expiry_ms.filter(|ms| *ms != 0) {
            // Before 1970 is over, too.
            let expiry_ms = u64::try_from(expiry_ms).unwrap_or(1);
            incoming.expires_ms = match incoming.expires_ms {
                0 => expiry_ms,
                by_ttl => by_ttl.min(expiry_ms),
            };
        }
    }
    if !sections.message_annotations.is_empty() {
        incoming.annotate(&sections, payload, now)?;
    }
    Ok(incoming)
}

/// The wall time `ms` from now; 0 stays 0. Some senders write a time to live of 0 for none.
fn after(now: Now, ms: u64) -> u64 {
    match ms {
        0 => 0,
        ms => now.wall_ms.saturating_add(ms),
    }
}

impl Incoming<'_> {
    /// What the annotations ask of the broker.
    fn annotate(&mut self, sections: &Sections, payload: &[u8], now: Now) -> Result<(), Rejection> {
        let mut by_jms = None;
        for pair in sections.read_annotations(payload)?.iter() {
            let (Value::Symbol(key), value) = pair? else {
                continue;
            };
            match (key, whole(&value)) {
                ("x-opt-routing-type", Some(0)) => self.routing = Some(RoutingType::Multicast),
                ("x-opt-routing-type", Some(1)) => self.routing = Some(RoutingType::Anycast),
                (JMS_DEST, Some(kind)) => by_jms = jms_routing(kind),
                ("x-opt-delivery-time", time) if is_after(time, &value, now.wall_ms) => {
                    return Err(delayed());
                }
                ("x-opt-delivery-delay", delay) if is_after(delay, &value, 0) => {
                    return Err(delayed());
                }
                _ => {}
            }
        }
        self.routing = self.routing.or(by_jms);
        Ok(())
    }
}

/// Whether a time is later than another. What is no time is refused like a late one; null is none.
fn is_after(time: Option<i128>, value: &Value<'_>, now: u64) -> bool {
    match time {
        Some(time) => time > i128::from(now),
        None => *value != Value::Null,
    }
}

fn delayed() -> Rejection {
    Rejection {
        condition: NOT_IMPLEMENTED,
        description: "delayed delivery is not implemented".into(),
    }
}

/// The routing type of a kind of JMS destination.
pub(super) fn jms_routing(kind: i128) -> Option<RoutingType> {
    match kind {
        0 | 2 => Some(RoutingType::Anycast),
        1 | 3 => Some(RoutingType::Multicast),
        _ => None,
    }
}

/// A whole number of any type.
pub(super) fn whole(value: &Value<'_>) -> Option<i128> {
    Some(match *value {
        Value::Ubyte(n) => n.into(),
        Value::Ushort(n) => n.into(),
        Value::Uint(n) => n.into(),
        Value::Ulong(n) => n.into(),
        Value::Byte(n) => n.into(),
        Value::Short(n) => n.into(),
        Value::Int(n) => n.into(),
        Value::Long(n) | Value::Timestamp(n) => n.into(),
        _ => return None,
    })
}

/// Says what kind of JMS destination a message was sent to.
pub(super) const JMS_DEST: &str = "x-opt-jms-dest";

/// Of a message whose sender says nothing.
const NORMAL_PRIORITY: u8 = 4;

#[cfg(test)]
mod tests;
