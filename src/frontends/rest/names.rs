//! Names in paths and headers: canonical, one segment of the path each.
//!
//! A path segment is percent-decoded once, by the router. A `/` that this brings to light can only
//! be text, since the canonical form has none, and is taken as its `%2F`: `/v1/queues/a%2Fb` and
//! `/v1/queues/a%252Fb` are the same queue. A reply address is `queue://NAME`, `topic://NAME` or a
//! bare canonical name.

use std::borrow::Cow;

use ternmq_core::address::{Address, Filter, QueueName, parse_fqqn};
use ternmq_core::command::RoutingType;
use ternmq_core::dialect::{Dialect, MAX_NAME_BYTES, NameError};

use crate::frontends::canonical::ReplyTo;

/// A queue of the path: its address, and its name if it is written `address::queue`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct QueuePath {
    pub(super) address: Address,
    pub(super) queue: Option<QueueName>,
}

impl QueuePath {
    /// Reads `{q}`.
    pub(super) fn parse(segment: &str, max_bytes: usize) -> Result<Self, NameError> {
        let segment = escape_slashes(segment);
        let (address, queue) = match parse_fqqn(&segment) {
            Some((address, queue)) => (address, Some(queue)),
            None => (&*segment, None),
        };
        let queue = queue.map(|queue| QueueName::parse(queue, Dialect::Canonical, max_bytes));
        Ok(Self {
            address: Address::parse(address, Dialect::Canonical, max_bytes)?,
            queue: queue.transpose()?,
        })
    }
}

/// Reads the `{t}` of a publish.
pub(super) fn parse_topic(segment: &str, max_bytes: usize) -> Result<Address, NameError> {
    Address::parse(&escape_slashes(segment), Dialect::Canonical, max_bytes)
}

/// Reads the `{t}` of an event stream, which may have wildcards.
pub(super) fn parse_filter(segment: &str, max_bytes: usize) -> Result<Filter, NameError> {
    Filter::parse(&escape_slashes(segment), Dialect::Canonical, max_bytes)
}

/// Reads a reply address. Anything else than a name is kept as text.
pub(super) fn parse_reply(text: &str) -> ReplyTo<'_> {
    let (routing, name) = match (text.strip_prefix(QUEUE), text.strip_prefix(TOPIC)) {
        (Some(name), _) => (Some(RoutingType::Anycast), name),
        (_, Some(name)) => (Some(RoutingType::Multicast), name),
        (None, None) => (None, text),
    };
    match Address::parse(name, Dialect::Canonical, MAX_NAME_BYTES) {
        Ok(address) => ReplyTo::Address { address, routing },
        Err(_) => ReplyTo::Text(Cow::Borrowed(text)),
    }
}

/// [`parse_reply`] that holds on to nothing.
pub(super) fn owned_reply(text: &str) -> ReplyTo<'static> {
    match parse_reply(text) {
        ReplyTo::Address { address, routing } => ReplyTo::Address { address, routing },
        ReplyTo::Text(text) => ReplyTo::Text(Cow::Owned(text.into_owned())),
    }
}

/// The opposite of [`parse_reply`].
pub(super) fn render_reply<'a>(reply: &'a ReplyTo<'_>) -> Cow<'a, str> {
    match reply {
        ReplyTo::Text(text) => Cow::Borrowed(text),
        ReplyTo::Address { address, routing } => match routing {
            Some(RoutingType::Anycast) => format!("{QUEUE}{address}").into(),
            Some(RoutingType::Multicast) => format!("{TOPIC}{address}").into(),
            None => address.as_str().into(),
        },
    }
}

fn escape_slashes(segment: &str) -> Cow<'_, str> {
    if segment.contains('/') {
        segment.replace('/', "%2F").into()
    } else {
        segment.into()
    }
}

const QUEUE: &str = "queue://";
const TOPIC: &str = "topic://";

#[cfg(test)]
mod tests;
