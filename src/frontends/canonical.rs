//! The canonical view of a message: what a front-end shows of a message that came over another
//! protocol (artemis-features.md 3.6).
//!
//! A message keeps the bytes in which it came ([`Format`]); whoever delivers it over another
//! protocol reads it through [`view`]. Each front-end has one [`Reader`] per format it writes, and
//! `reader` is the one list of them. Formats are journalled: a number never changes meaning, and
//! a reader must take what any earlier version wrote. Not here: priority, durability, expiry and
//! timestamp, which are in the [`Envelope`](ternmq_core::message::Envelope) of the run, and the
//! delivery count, which is in the delivery.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use ternmq_core::address::Address;
use ternmq_core::command::RoutingType;
use ternmq_core::message::{Format, Run};

use super::{amqp, mqtt, rest, stomp};

/// A message in the words of no protocol. Absent fields are `None`; nothing is made up.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct View<'a> {
    /// The body, byte for byte as it was sent.
    pub body: Cow<'a, [u8]>,
    /// Media type of the body.
    pub content_type: Option<Cow<'a, str>>,
    /// Coding of the body (`gzip`), as in HTTP.
    pub content_encoding: Option<Cow<'a, str>>,
    /// Bytes, as in MQTT 5; most protocols show text.
    pub correlation_id: Option<Cow<'a, [u8]>>,
    /// Where an answer is expected.
    pub reply_to: Option<ReplyTo<'a>>,
    /// What the message is about: AMQP's subject, STOMP's and REST's type.
    pub subject: Option<Cow<'a, str>>,
    /// Messages of one group stay in order and with one consumer.
    pub group: Option<Cow<'a, str>>,
    /// The message id its sender or its front-end gave it.
    pub message_id: Option<Cow<'a, str>>,
    /// Application properties in their order; a name may occur more than once.
    pub properties: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// Where an answer is expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplyTo<'a> {
    /// An address of this broker, to be rendered in the dialect of the reader.
    Address {
        /// Its name.
        address: Address,
        /// How to send there; `None` leaves it to the address.
        routing: Option<RoutingType>,
    },
    /// No name of its sender's dialect; shown as it was sent.
    Text(Cow<'a, str>),
}

/// The value of an application property.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    /// Text; all that MQTT and STOMP have.
    Text(Cow<'a, str>),
    /// A truth value.
    Bool(bool),
    /// A whole number of any width.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
}

impl Value<'_> {
    /// As text, for protocols that have nothing else.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Double(value) => Cow::Owned(value.to_string()),
        }
    }
}

impl View<'_> {
    /// The body as a part of the block of its run, which is not copied for it.
    #[must_use]
    pub fn body_of(&self, run: &Run) -> Bytes {
        match self.body_range(run) {
            Some(range) => run.block().slice(range),
            None => Bytes::copy_from_slice(&self.body),
        }
    }

    /// Where the body stands in the block of its run; `None` if it was put together anew.
    #[must_use]
    pub fn body_range(&self, run: &Run) -> Option<Range<usize>> {
        let block = run.block();
        let start = (self.body.as_ptr() as usize).wrapping_sub(block.as_ptr() as usize);
        let end = start.checked_add(self.body.len())?;
        (end <= block.len()).then_some(start..end)
    }

    /// The body as text, if it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

/// Reads one message of a format. Bytes come from the journal: whatever they are, it does not
/// panic, and what it cannot read becomes the body.
pub type Reader = for<'a> fn(&'a [u8]) -> View<'a>;

/// The view of message `index` of a run; of no such message, and of a format that this version
/// does not know, the body is what was stored.
#[must_use]
pub fn view(run: &Run, index: u32) -> View<'_> {
    reader(run.format)(run.message(index))
}

/// The one list of readers, by the format they read.
fn reader(format: Format) -> Reader {
    match format {
        mqtt::FORMAT => mqtt::read,
        mqtt::FORMAT_V5 => mqtt::read_v5,
        stomp::FORMAT => stomp::read,
        rest::FORMAT => rest::read,
        amqp::FORMAT => amqp::read,
        amqp::FORMAT_FOREIGN => amqp::read_foreign,
        amqp::FORMAT_MQTT_NAMES => amqp::read_mqtt_names,
        _ => opaque,
    }
}

/// All bytes are the body.
fn opaque(message: &[u8]) -> View<'_> {
    View {
        body: Cow::Borrowed(message),
        ..View::default()
    }
}

#[cfg(test)]
mod tests;
