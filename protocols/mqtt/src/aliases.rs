//! Topic aliases (3.3.2.3.4): one table per direction and connection, bounded in entries and in
//! bytes of topics, and empty until the first alias is used.

use std::collections::BTreeMap;

use crate::error::{Error, Statement};
use crate::limits::Limits;

/// What the peer's aliases mean.
#[derive(Debug, Default)]
pub(crate) struct InboundAliases {
    topics: BTreeMap<u16, Box<str>>,
    bytes: usize,
}

/// How many aliases and how many bytes of topics a table may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AliasLimits {
    pub(crate) maximum: u16,
    pub(crate) bytes: usize,
    /// Who gives out an alias beyond the maximum breaks this.
    pub(crate) statement: Statement,
}

impl AliasLimits {
    pub(crate) fn inbound(limits: &Limits) -> Self {
        Self {
            maximum: limits.topic_alias_maximum,
            bytes: limits.topic_alias_bytes,
            statement: "MQTT-3.3.2-9",
        }
    }

    pub(crate) fn outbound(limits: &Limits, peer_maximum: u16) -> Self {
        Self {
            maximum: limits.topic_aliases_out.min(peer_maximum),
            bytes: limits.topic_alias_bytes,
            statement: "MQTT-3.1.2-26",
        }
    }
}

impl InboundAliases {
    /// Takes note of an alias that came with a topic; a mapping may change.
    pub(crate) fn learn(
        &mut self,
        alias: u16,
        topic: &str,
        limits: AliasLimits,
    ) -> Result<(), Error> {
        check_alias(alias, limits)?;
        let known = self.topics.get(&alias).map_or("", |known| known);
        if known == topic {
            return Ok(());
        }
        let bytes = self.bytes - known.len() + topic.len();
        if bytes > limits.bytes {
            return Err(Error::QuotaExceeded("3.3.2.3.4"));
        }
        self.bytes = bytes;
        self.topics.insert(alias, topic.into());
        Ok(())
    }

    /// The topic of an alias that came without one.
    pub(crate) fn topic(&self, alias: u16, limits: AliasLimits) -> Result<&str, Error> {
        check_alias(alias, limits)?;
        match self.topics.get(&alias) {
            Some(topic) => Ok(topic),
            None => Err(Error::Protocol("MQTT-3.3.2-7")),
        }
    }
}

/// Refuses an alias beyond what was announced; zero is no alias \[MQTT-3.3.2-8\].
fn check_alias(alias: u16, limits: AliasLimits) -> Result<(), Error> {
    if alias == 0 || alias > limits.maximum {
        return Err(Error::TopicAliasInvalid(limits.statement));
    }
    Ok(())
}

/// The aliases this side has given out. The first topics that are sent get them and keep them:
/// a table that evicts would, with more topics than aliases, look up and announce for every
/// packet and save nothing.
#[derive(Debug)]
pub(crate) struct OutboundAliases {
    limits: AliasLimits,
    aliases: BTreeMap<Box<[u8]>, u16>,
    bytes: usize,
}

/// An alias takes three bytes, and may lengthen the length of the property block by one: below
/// five bytes of topic it saves nothing, and a packet could grow over its receiver's maximum.
const MIN_TOPIC_BYTES: usize = 5;

/// How a PUBLISH names its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By the topic alone.
    Topic,
    /// By the topic, which from now on has this alias.
    Announce(u16),
    /// By the alias alone.
    Alias(u16),
}

impl OutboundAliases {
    pub(crate) fn new(limits: AliasLimits) -> Self {
        Self {
            limits,
            aliases: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// How the next PUBLISH to `topic` is to name it.
    pub(crate) fn naming(&self, topic: &[u8]) -> Naming {
        if topic.len() < MIN_TOPIC_BYTES {
            return Naming::Topic;
        }
        if let Some(alias) = self.aliases.get(topic) {
            return Naming::Alias(*alias);
        }
        let next = u16::try_from(self.aliases.len() + 1).unwrap_or(u16::MAX);
        let fits = next <= self.limits.maximum && self.bytes + topic.len() <= self.limits.bytes;
        if fits {
            Naming::Announce(next)
        } else {
            Naming::Topic
        }
    }

    /// A PUBLISH that names its topic as `naming` says was written.
    pub(crate) fn written(&mut self, topic: &[u8], naming: Naming) {
        if let Naming::Announce(alias) = naming {
            self.bytes += topic.len();
            self.aliases.insert(topic.into(), alias);
        }
    }
}
