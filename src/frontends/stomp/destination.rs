//! Destinations: what a client writes into `destination` and `reply-to`, and where it leads.
//!
//! `/queue/N` is typed anycast, `/topic/N` typed multicast, a bare `N` untyped unless
//! `destination-type` says otherwise; `/amq/queue/N` is a queue that must exist. Each `N` may be
//! `address::queue`. `/temp-queue/N` and `/temp-topic/N` are private, see `temporary`.

use std::borrow::Cow;
use std::fmt;

use ternmq_core::address::{Address, Filter, QueueName, parse_fqqn};
use ternmq_core::command::{SendMode, Source};
use ternmq_core::dialect::{Dialect, NameError};

/// Destinations remembered per connection; beyond, the oldest goes.
const REMEMBERED: usize = 8;

pub(super) const QUEUE: &str = "/queue/";
pub(super) const TOPIC: &str = "/topic/";
pub(super) const TEMPORARY_QUEUE: &str = "/temp-queue/";
pub(super) const TEMPORARY_TOPIC: &str = "/temp-topic/";
const EXISTING_QUEUE: &str = "/amq/queue/";
const EXCHANGE: &str = "/exchange/";

/// A destination without its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form<'a> {
    Queue(&'a str),
    Topic(&'a str),
    /// Never created.
    Existing(&'a str),
    TemporaryQueue(&'a str),
    TemporaryTopic(&'a str),
    Bare(&'a str),
}

/// Why a destination leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DestinationError {
    Name(NameError),
    /// `address::queue` in a place or spelling that has no meaning.
    QueueName,
    Exchange,
    /// `destination-type` is neither ANYCAST nor MULTICAST.
    RoutingType,
    TooManyTemporaries,
    /// Somebody else's temporary destination cannot be consumed, nor made.
    Foreign,
}

impl DestinationError {
    /// The message of the ERROR it leads to.
    pub(super) fn words(self) -> Cow<'static, str> {
        let slug = match self {
            Self::Name(_) | Self::QueueName | Self::RoutingType => "malformed",
            Self::Exchange => "unsupported",
            Self::TooManyTemporaries => "limit-reached",
            Self::Foreign => "forbidden",
        };
        format!("{slug} - {self} (destination)").into()
    }
}

impl fmt::Display for DestinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::QueueName => f.write_str("a fully qualified name has one address and one queue"),
            Self::Exchange => f.write_str(
                "there are no exchanges: use /queue/NAME for a queue, /topic/NAME for a topic",
            ),
            Self::RoutingType => f.write_str("a destination type is ANYCAST or MULTICAST"),
            Self::TooManyTemporaries => f.write_str("too many temporary destinations"),
            Self::Foreign => {
                f.write_str("a temporary destination of another connection cannot be consumed")
            }
        }
    }
}

impl From<NameError> for DestinationError {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl<'a> Form<'a> {
    /// Takes the prefix off.
    pub(super) fn of(text: &'a str) -> Result<Self, DestinationError> {
        if text.starts_with(EXCHANGE) {
            return Err(DestinationError::Exchange);
        }
        Ok(if let Some(name) = text.strip_prefix(QUEUE) {
            Self::Queue(name)
        } else if let Some(name) = text.strip_prefix(TOPIC) {
            Self::Topic(name)
        } else if let Some(name) = text.strip_prefix(TEMPORARY_QUEUE) {
            Self::TemporaryQueue(name)
        } else if let Some(name) = text.strip_prefix(TEMPORARY_TOPIC) {
            Self::TemporaryTopic(name)
        } else if let Some(name) = text.strip_prefix(EXISTING_QUEUE) {
            Self::Existing(name)
        } else {
            Self::Bare(text)
        })
    }

    /// What destinations of this kind begin with, as they are shown to clients.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Queue(_) | Self::Existing(_) | Self::TemporaryQueue(_) => QUEUE,
            Self::Topic(_) | Self::TemporaryTopic(_) => TOPIC,
            Self::Bare(_) => "",
        }
    }

    /// With a type from a header; a prefix is stronger.
    pub(super) fn typed(self, header: Option<&str>) -> Result<Self, DestinationError> {
        let (Self::Bare(name), Some(header)) = (self, header) else {
            return Ok(self);
        };
        match header {
            _ if header.eq_ignore_ascii_case("ANYCAST") => Ok(Self::Queue(name)),
            _ if header.eq_ignore_ascii_case("MULTICAST") => Ok(Self::Topic(name)),
            _ => Err(DestinationError::RoutingType),
        }
    }
}

/// How names are spelled on this connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spelling {
    pub(super) dialect: Dialect,
    pub(super) max_bytes: usize,
}

/// Where a SEND goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) mode: SendMode,
    /// Straight to this queue of the address.
    pub(super) queue: Option<QueueName>,
}

impl Spelling {
    pub(super) fn address(self, name: &str) -> Result<Address, DestinationError> {
        Ok(Address::parse(name, self.dialect, self.max_bytes)?)
    }

    fn queue(self, name: &str) -> Result<QueueName, DestinationError> {
        Ok(QueueName::parse(name, self.dialect, self.max_bytes)?)
    }

    fn filter(self, name: &str) -> Result<Filter, DestinationError> {
        Ok(Filter::parse(name, self.dialect, self.max_bytes)?)
    }

    /// Address and queue of `address::queue`; `None` if the name is no such.
    fn qualified(self, name: &str) -> Result<Option<(Address, QueueName)>, DestinationError> {
        if !name.contains("::") {
            return Ok(None);
        }
        let (address, queue) = parse_fqqn(name).ok_or(DestinationError::QueueName)?;
        Ok(Some((self.address(address)?, self.queue(queue)?)))
    }

    /// Where a SEND to a destination that is not temporary goes.
    pub(super) fn target(self, form: Form<'_>) -> Result<Target, DestinationError> {
        let (name, mode) = match form {
            Form::Queue(name) | Form::Existing(name) | Form::TemporaryQueue(name) => {
                (name, SendMode::Anycast)
            }
            Form::Topic(name) | Form::TemporaryTopic(name) => (name, SendMode::Multicast),
            Form::Bare(name) => (name, SendMode::Untyped),
        };
        if let Some((address, queue)) = self.qualified(name)? {
            let queue = Some(queue);
            return Ok(Target {
                address,
                mode,
                queue,
            });
        }
        let address = self.address(name)?;
        let queue = matches!(form, Form::Existing(_)).then(|| QueueName::from(&address));
        Ok(Target {
            address,
            mode,
            queue,
        })
    }

    /// What a SUBSCRIBE to a destination that is not temporary consumes.
    pub(super) fn source(self, form: Form<'_>) -> Result<Source, DestinationError> {
        let (Form::Queue(name)
        | Form::Topic(name)
        | Form::Existing(name)
        | Form::TemporaryQueue(name)
        | Form::TemporaryTopic(name)
        | Form::Bare(name)) = form;
        if let Some((address, queue)) = self.qualified(name)? {
            return Ok(Source::Queue { address, queue });
        }
        Ok(match form {
            Form::Queue(name) | Form::TemporaryQueue(name) => Source::Anycast(self.address(name)?),
            Form::Topic(name) | Form::TemporaryTopic(name) => Source::Multicast(self.filter(name)?),
            Form::Bare(name) => Source::Untyped(self.filter(name)?),
            Form::Existing(name) => {
                let address = self.address(name)?;
                let queue = QueueName::from(&address);
                Source::Queue { address, queue }
            }
        })
    }
}

/// The destinations used last: a client sends to few.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    known: Vec<(Box<str>, Target)>,
    replace: usize,
}

impl Destinations {
    pub(super) fn find(&self, text: &str) -> Option<&Target> {
        let found = self.known.iter().find(|(known, _)| **known == *text);
        found.map(|(_, target)| target)
    }

    pub(super) fn remember(&mut self, text: &str, target: &Target) {
        let entry = (Box::from(text), target.clone());
        if self.known.len() < REMEMBERED {
            self.known.push(entry);
            return;
        }
        self.replace = (self.replace + 1) % REMEMBERED;
        if let Some(place) = self.known.get_mut(self.replace) {
            *place = entry;
        }
    }
}
