//! Temporary destinations: private names that others know by an opaque one.
//!
//! A client's `/temp-queue/N` is its own: `$temp.<connection>.N` in the broker. Where another
//! client reads it, in `reply-to`, it is `/temp-queue/$<connection>.N`, and that name may be sent
//! to by everybody while the connection lasts; afterwards a send is refused. Only the owner
//! consumes. A name is made when its owner first uses it.
//!
//! One mode for replies: a `reply-to` with a temporary queue that the client has not subscribed to
//! subscribes it, with `ack:auto` and the destination itself as subscription id, as RabbitMQ does.
//! A later SUBSCRIBE to the queue takes the place of that subscription.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ternmq_core::address::Address;
use ternmq_core::command::{Command, RoutingType, SendMode};
use ternmq_core::dialect::Dialect;
use ternmq_stomp::Headers;

use super::destination::{
    DestinationError, Form, Spelling, TEMPORARY_QUEUE, TEMPORARY_TOPIC, Target,
};

/// Temporary destinations of one connection.
const MOST: usize = 1_000;

/// Begins the opaque name of a temporary destination.
const OPAQUE: char = '$';

/// The first level of all their addresses.
const ROOT: &str = "$temp";

fn delimiter(dialect: Dialect) -> char {
    match dialect {
        Dialect::Mqtt => '/',
        Dialect::Amq | Dialect::Canonical => '.',
    }
}

/// What this connection has made.
#[derive(Debug, Default)]
pub(super) struct Temporaries {
    made: BTreeSet<Address>,
}

/// A temporary destination: its address and whether this connection owns it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Temporary {
    pub(super) address: Address,
    pub(super) routing: RoutingType,
    pub(super) own: bool,
    /// It was named by the name that others know.
    pub(super) opaque: bool,
}

impl Temporary {
    /// Where a form leads; `None` if it is not temporary. `connection` names this one.
    pub(super) fn of(
        form: Form<'_>,
        connection: &str,
        spelling: Spelling,
    ) -> Result<Option<Self>, DestinationError> {
        let (name, routing) = match form {
            Form::TemporaryQueue(name) => (name, RoutingType::Anycast),
            Form::TemporaryTopic(name) => (name, RoutingType::Multicast),
            _ => return Ok(None),
        };
        let opaque = name.strip_prefix(OPAQUE);
        let (owner, name) = match opaque {
            Some(rest) => rest.split_once('.').ok_or(DestinationError::Foreign)?,
            None => (connection, name),
        };
        let delimiter = delimiter(spelling.dialect);
        let address = spelling.address(&format!("{ROOT}{delimiter}{owner}{delimiter}{name}"))?;
        Ok(Some(Self {
            address,
            routing,
            own: owner == connection,
            opaque: opaque.is_some(),
        }))
    }

    /// The opaque name of an address; `None` if it is not temporary.
    pub(super) fn publish(
        address: &Address,
        routing: Option<RoutingType>,
        dialect: Dialect,
    ) -> Option<String> {
        let text = address.render(dialect);
        let rest = text.strip_prefix(ROOT)?;
        let (owner, name) = rest.get(1..)?.split_once(delimiter(dialect))?;
        let prefix = match routing {
            Some(RoutingType::Multicast) => TEMPORARY_TOPIC,
            Some(RoutingType::Anycast) | None => TEMPORARY_QUEUE,
        };
        Some(format!("{prefix}{OPAQUE}{owner}.{name}"))
    }

    /// Where a SEND to it goes.
    pub(super) fn target(&self) -> Target {
        Target {
            address: self.address.clone(),
            mode: match self.routing {
                RoutingType::Anycast => SendMode::Anycast,
                RoutingType::Multicast => SendMode::Multicast,
            },
            queue: None,
        }
    }
}

impl Temporaries {
    /// Makes a destination of this connection if it does not exist yet.
    pub(super) fn ensure(
        &mut self,
        temporary: &Temporary,
        commands: &mut Vec<Command>,
    ) -> Result<(), DestinationError> {
        if !temporary.own || self.made.contains(&temporary.address) {
            return Ok(());
        }
        if self.made.len() >= MOST {
            return Err(DestinationError::TooManyTemporaries);
        }
        self.made.insert(temporary.address.clone());
        commands.push(Command::CreateTemporary {
            address: temporary.address.clone(),
            routing: temporary.routing,
            token: None,
        });
        Ok(())
    }
}

/// The header lines with the opaque name in the first `reply-to`, which names a temporary
/// destination by its private name. No character of the opaque part is ever escaped, so the lines stay
/// as they are otherwise.
pub(super) fn published_reply<'a>(headers: Headers<'a>, connection: &str) -> Cow<'a, [u8]> {
    let block = headers.block();
    let mut at = 0;
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        let one = Headers::new(line, headers.encoding());
        let is_reply = one
            .iter()
            .next()
            .is_some_and(|(name, _)| name == "reply-to");
        if !is_reply {
            at += line.len();
            continue;
        }
        let place = [TEMPORARY_QUEUE, TEMPORARY_TOPIC]
            .iter()
            .find_map(|prefix| {
                let found = line
                    .windows(prefix.len())
                    .position(|part| part == prefix.as_bytes())?;
                Some(at + found + prefix.len())
            });
        let Some((before, after)) = place.and_then(|place| block.split_at_checked(place)) else {
            break;
        };
        let opaque = format!("{OPAQUE}{connection}.");
        return [before, opaque.as_bytes(), after].concat().into();
    }
    Cow::Borrowed(block)
}
