//! Names of nodes: what a client writes into the address of a source or target, into `to` and
//! `reply-to`, and how a name is written for it.
//!
//! A prefix says how to send there and is taken off, once: `queue://a` is the address `a`, anycast.
//! A bare name leaves the routing type to capabilities, annotations and the address itself.
//! `address::queue` names one queue, in the spelling of MQTT excepted, where `::` is text like any
//! other. Reading what was written gives back the name; the routing type only where it was known.

use std::borrow::Cow;
use std::fmt;

use ternmq_core::address::{Address, Filter, QueueName, parse_fqqn};
use ternmq_core::command::{RoutingType, SendMode, Source};
use ternmq_core::dialect::{Dialect, MAX_NAME_BYTES, NameError};

use super::refuse::INVALID_FIELD;

/// How clients spell names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names {
    /// Delimiter and wildcards.
    pub dialect: Dialect,
    /// Longest name in its canonical form, in bytes.
    pub max_bytes: usize,
    /// Begin names of anycast addresses; the first is what we write.
    pub anycast_prefixes: Cow<'static, [Cow<'static, str>]>,
    /// The same of multicast addresses.
    pub multicast_prefixes: Cow<'static, [Cow<'static, str>]>,
}

impl Names {
    /// ActiveMQ's spelling and the prefixes its users know.
    pub const AMQ: Self = Self {
        dialect: Dialect::Amq,
        max_bytes: MAX_NAME_BYTES,
        anycast_prefixes: Cow::Borrowed(&[
            Cow::Borrowed("queue://"),
            Cow::Borrowed("/queue/"),
            Cow::Borrowed("jms.queue."),
            Cow::Borrowed("temp-queue://"),
            Cow::Borrowed("/temp-queue/"),
        ]),
        multicast_prefixes: Cow::Borrowed(&[
            Cow::Borrowed("topic://"),
            Cow::Borrowed("/topic/"),
            Cow::Borrowed("jms.topic."),
            Cow::Borrowed("temp-topic://"),
            Cow::Borrowed("/temp-topic/"),
        ]),
    };
    /// The same prefixes before names that are spelled as in MQTT.
    pub const MQTT: Self = Self {
        dialect: Dialect::Mqtt,
        ..Self::AMQ
    };
}

impl Default for Names {
    fn default() -> Self {
        Self::AMQ
    }
}

/// Where a name leads: an [`Address`] to send to, a [`Filter`] to consume from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Destination<N> {
    pub(super) name: N,
    /// This queue of the address alone. The name has no wildcards then.
    pub(super) queue: Option<QueueName>,
    /// As the prefix says.
    pub(super) routing: Option<RoutingType>,
}

/// Why a text leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AddressError {
    Name(NameError),
    /// `address::queue` with a part missing or one too many.
    QueueName,
}

impl AddressError {
    /// The condition of a refusal because of it.
    pub(super) fn condition(self) -> &'static str {
        INVALID_FIELD
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::QueueName => f.write_str("a fully qualified name has one address and one queue"),
        }
    }
}

impl From<NameError> for AddressError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl Names {
    /// Where messages go that are sent to `text`.
    pub(super) fn target(&self, text: &str) -> Result<Destination<Address>, AddressError> {
        let (routing, rest) = self.strip(text);
        let (name, queue) = match self.qualified(rest)? {
            Some((address, queue)) => (address, Some(queue)),
            None => (Address::parse(rest, self.dialect, self.max_bytes)?, None),
        };
        Ok(Destination {
            name,
            queue,
            routing,
        })
    }

    /// What is consumed under the name `text`.
    pub(super) fn source(&self, text: &str) -> Result<Destination<Filter>, AddressError> {
        let (routing, rest) = self.strip(text);
        let (name, queue) = match self.qualified(rest)? {
            Some((address, queue)) => (Filter::from(&address), Some(queue)),
            None => (Filter::parse(rest, self.dialect, self.max_bytes)?, None),
        };
        Ok(Destination {
            name,
            queue,
            routing,
        })
    }

    /// Writes an address so that sending to it means the same. A temporary one needs no prefix, its
    /// type is declared. A name that would be taken for a prefixed one gets the anycast prefix if
    /// no type is known, which no client can tell from an untyped one that nobody has used yet.
    pub(super) fn render(&self, address: &Address, routing: Option<RoutingType>) -> String {
        let name = address.render(self.dialect);
        let is_prefixed = self.strip(&name).0.is_some();
        let prefixes = match routing {
            Some(_) if is_temporary(address) && !is_prefixed => return name,
            None if !is_prefixed => return name,
            Some(RoutingType::Multicast) => &self.multicast_prefixes,
            Some(RoutingType::Anycast) | None => &self.anycast_prefixes,
        };
        match prefixes.first() {
            Some(prefix) => format!("{prefix}{name}"),
            None => name,
        }
    }

    /// The routing type that the prefix of a name says, and the rest.
    fn strip<'t>(&self, text: &'t str) -> (Option<RoutingType>, &'t str) {
        let kinds = [
            (RoutingType::Anycast, &self.anycast_prefixes),
            (RoutingType::Multicast, &self.multicast_prefixes),
        ];
        for (routing, prefixes) in kinds {
            let rest = prefixes.iter().find_map(|p| text.strip_prefix(&**p));
            if let Some(rest) = rest {
                return (Some(routing), rest);
            }
        }
        (None, text)
    }

    /// Address and queue of `address::queue`; `None` if the name is no such.
    fn qualified(&self, name: &str) -> Result<Option<(Address, QueueName)>, AddressError> {
        if self.dialect == Dialect::Mqtt || !name.contains("::") {
            return Ok(None);
        }
        let (address, queue) = parse_fqqn(name).ok_or(AddressError::QueueName)?;
        let address = Address::parse(address, self.dialect, self.max_bytes)?;
        let queue = QueueName::parse(queue, self.dialect, self.max_bytes)?;
        Ok(Some((address, queue)))
    }
}

impl Destination<Address> {
    /// How messages are sent there. `routing` is what the link or the message says; it is stronger
    /// than the prefix.
    pub(super) fn mode(&self, routing: Option<RoutingType>) -> SendMode {
        match routing.or(self.routing) {
            Some(RoutingType::Anycast) => SendMode::Anycast,
            Some(RoutingType::Multicast) => SendMode::Multicast,
            None => SendMode::Untyped,
        }
    }
}

impl Destination<Filter> {
    /// What is consumed, without a subscription of a name of its own. `routing` is what the link
    /// says; it is stronger than the prefix.
    pub(super) fn consumed(self, routing: Option<RoutingType>) -> Result<Source, AddressError> {
        let address = || self.name.to_address().ok_or(NameError::Wildcard);
        Ok(match (self.queue, routing.or(self.routing)) {
            (Some(queue), _) => Source::Queue {
                address: address()?,
                queue,
            },
            (None, Some(RoutingType::Anycast)) => Source::Anycast(address()?),
            (None, Some(RoutingType::Multicast)) => Source::Multicast(self.name),
            (None, None) => Source::Untyped(self.name),
        })
    }
}

/// Whether an address is one of the temporary ones, which all front-ends make under one level.
pub(super) fn is_temporary(address: &Address) -> bool {
    address.segments().next() == Some(TEMPORARY)
}

/// The first level of all temporary addresses.
const TEMPORARY: &str = "$temp";

#[cfg(test)]
mod tests;
