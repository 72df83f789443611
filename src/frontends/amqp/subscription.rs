//! Subscriptions that have a name: `<container>.<link>`, as users of Artemis know them.
//!
//! JMS clients append `|` and more to the link names of one subscription, so that several links of
//! a connection can share it; that is cut off. One that ends with its consumers and one of all
//! containers say so at the end of their names, which keeps them apart from the others.

use ternmq_amqp::types::{Symbols, put_symbols};
use ternmq_amqp::{Attach, Durability, LinkId, SenderSettles, Source};
use ternmq_core::address::{Filter, QueueName};
use ternmq_core::command::{self, Command, NamedSubscription, RoutingType};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Answer;
use ternmq_core::ids::ConsumerKey;

use super::Amqp;
use super::attach::Reply;
use super::confirm::Expect;
use super::consumer::{Consumer, ConsumerExpect, Modes};
use super::links::Link;
use super::message::Rejection;
use super::refuse::INVALID_FIELD;
use super::settle::default_outcome;
use super::source::Wanted;
use crate::frontends::Turn;

/// Which kind of subscription it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kind {
    pub(super) durable: bool,
    pub(super) shared: bool,
    /// Shared by all containers.
    pub(super) global: bool,
}

impl Amqp {
    pub(super) fn named_subscription(
        &self,
        link: &str,
        kind: Kind,
        filter: Filter,
    ) -> Result<NamedSubscription, Rejection> {
        Ok(NamedSubscription {
            queue: self.subscription_queue(link, kind)?,
            filter,
            durable: kind.durable,
            shared: kind.shared,
        })
    }

    fn subscription_queue(&self, link: &str, kind: Kind) -> Result<QueueName, Rejection> {
        let name = name(&self.container, link, kind);
        QueueName::parse(&name, Dialect::Canonical, self.options.names.max_bytes)
            .map_err(|error| Rejection::new(INVALID_FIELD, format!("{error} (subscription)")))
    }

    /// A link without source is one to the durable subscription of its name (T 2.6.3): so clients
    /// find out what it is, and end it.
    pub(super) fn find_subscription(
        &mut self,
        id: LinkId,
        attach: &Attach<'_>,
        turn: &mut Turn<'_>,
    ) {
        let kind = Kind {
            durable: true,
            shared: attach.desired_capabilities.contains("shared"),
            global: attach.desired_capabilities.contains("global"),
        };
        let queue = match self.subscription_queue(attach.name, kind) {
            Ok(queue) => queue,
            Err(rejection) => {
                return self.refuse_link(id, attach, rejection.fault(), turn);
            }
        };
        let modes = Modes {
            settled: attach.sender_settles == SenderSettles::Settled,
            browses: false,
            routing: Some(RoutingType::Multicast),
        };
        let mut consumer = Consumer::new(modes, default_outcome(None));
        consumer.looked_up = true;
        let key = self.links.insert(id, Link::Consumer(Box::new(consumer)));
        let expect = ConsumerExpect::Found(key, Reply::new(attach));
        let token = self.expected.add(Expect::Consumer(expect));
        turn.commands.push(Command::LookUp { queue, token });
    }

    /// What a link without source asked for has been looked up.
    pub(super) fn found(
        &mut self,
        key: ConsumerKey,
        asked: &Reply,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) {
        let Some(id) = self.links.id_of(key.0) else {
            return;
        };
        let (named, no_local, attach) = match (answer, asked.read()) {
            (
                Answer::Found {
                    subscription,
                    no_local,
                },
                Some(attach),
            ) => (subscription, no_local, attach),
            (answer, _) => return self.refuse_consumer(id, asked, &answer, turn),
        };
        let mut capabilities = Vec::new();
        let shared = named.shared.then_some("shared");
        put_symbols(&mut capabilities, ["topic"].into_iter().chain(shared));
        let address = named.filter.render(self.options.names.dialect);
        let source = Source {
            address: Some(&address),
            durability: Durability::Configuration,
            capabilities: Symbols::decode(&capabilities).unwrap_or_default(),
            ..Source::default()
        };
        let wanted = Wanted {
            from: command::Source::Subscription(named),
            routing: Some(RoutingType::Multicast),
            temporary: None,
            no_local,
            browse: false,
        };
        self.consume(key, &attach, &source, wanted, turn);
    }
}

/// The canonical name of the queue of a subscription. The container is one segment of it, so that
/// no two containers have the same.
fn name(container: &str, link: &str, kind: Kind) -> String {
    let mut name = String::new();
    if !kind.global {
        put_segment(&mut name, container);
        name.push('.');
    }
    let said = link.split('|').next().unwrap_or_default();
    for (index, segment) in said.split('.').enumerate() {
        if index > 0 {
            name.push('.');
        }
        put_segment(&mut name, segment);
    }
    if kind.shared && !kind.durable {
        name.push_str(":shared-volatile");
    }
    if kind.global {
        name.push_str(":global");
    }
    name
}

/// Appends text as one segment of a canonical name.
fn put_segment(name: &mut String, text: &str) {
    for (at, character) in text.char_indices() {
        let rest = text.get(at + character.len_utf8()..).unwrap_or_default();
        let before = text.get(..at).unwrap_or_default();
        let escaped = match character {
            '.' => "%2E",
            '*' => "%2A",
            '#' => "%23",
            '>' => "%3E",
            '%' => "%25",
            '/' => "%2F",
            ':' if rest.starts_with(':') || before.ends_with(':') => "%3A",
            _ => {
                name.push(character);
                continue;
            }
        };
        name.push_str(escaped);
    }
}

#[cfg(test)]
mod tests;
