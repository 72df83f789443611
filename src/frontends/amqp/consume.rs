//! Links on which the peer receives: their attach, what it is told of its source, and their end.

use ternmq_amqp::types::{Map, Symbols, put_map, put_symbol, put_symbols, put_value};
use ternmq_amqp::{
    Attach, Durability, ExpiryPolicy, Fault, Lifetime, LinkId, SenderSettles, Source,
};
use ternmq_core::command::{Command, Consume, ConsumeOptions, SettleMode};
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_core::ids::ConsumerKey;

use super::Amqp;
use super::attach::Reply;
use super::confirm::Expect;
use super::connect::{SHARED_SUBSCRIPTIONS, map};
use super::consumer::{Closing, Consumer, ConsumerExpect, Modes};
use super::links::Link;
use super::message::whole;
use super::refuse::{INTERNAL, refusal};
use super::settle::{default_outcome, said};
use super::source::{Wanted, find_no_local};
use crate::frontends::Turn;

impl Amqp {
    pub(super) fn attach_consumer(&mut self, id: LinkId, attach: &Attach<'_>, turn: &mut Turn<'_>) {
        let Some(source) = &attach.source else {
            return self.find_subscription(id, attach, turn);
        };
        match self.wanted(source, attach, turn) {
            Ok(wanted) => {
                let modes = Modes {
                    settled: attach.sender_settles == SenderSettles::Settled,
                    browses: wanted.browse,
                    routing: wanted.routing,
                };
                let outcome = default_outcome(source.default_outcome.as_ref());
                let consumer = Consumer::new(modes, outcome);
                let key = self.links.insert(id, Link::Consumer(Box::new(consumer)));
                self.consume(ConsumerKey(key), attach, source, wanted, turn);
            }
            Err(rejection) => {
                self.refuse_link(id, attach, rejection.fault(), turn);
            }
        }
    }

    /// Asks for a consumer for a link, and keeps the answer to its attach until it is there.
    pub(super) fn consume(
        &mut self,
        key: ConsumerKey,
        attach: &Attach<'_>,
        source: &Source<'_>,
        wanted: Wanted,
        turn: &mut Turn<'_>,
    ) {
        let reply = self.reply(attach, source, &wanted);
        let Some((id, consumer)) = self.links.consumer_of(key) else {
            return;
        };
        consumer.subscription = wanted.durable().map(|named| named.queue.clone());
        consumer.temporary = wanted.temporary;
        // Credit may have come while something was looked up.
        let (credit, _) = self.machine.credit(id);
        let expect = ConsumerExpect::Consuming(key.0, reply);
        turn.commands.push(Command::Consume(Consume {
            consumer: key,
            source: wanted.from,
            settle: if consumer.modes.settled {
                SettleMode::OnWrite
            } else {
                SettleMode::Explicit
            },
            prefetch: self.options.max_unsettled,
            options: ConsumeOptions {
                until: consumer.until(credit),
                browse: wanted.browse,
                no_local: wanted.no_local,
                priority: priority(attach.properties.as_ref()),
            },
            token: Some(self.expected.add(Expect::Consumer(expect))),
        }));
    }

    /// The answer to an attach: the source as it was made (M 3.5.3).
    fn reply(&self, attach: &Attach<'_>, source: &Source<'_>, wanted: &Wanted) -> Reply {
        let name = wanted
            .temporary
            .as_ref()
            .map(|made| made.name(&self.options.names));
        let durable = wanted.durable().is_some();
        let outcome = default_outcome(source.default_outcome.as_ref());
        let (mut outcomes, mut capabilities, mut offered) = (Vec::new(), Vec::new(), Vec::new());
        put_symbols(&mut outcomes, OUTCOMES.into_iter());
        let in_effect = source.capabilities.iter().filter(|name| wanted.has(name));
        put_symbols(&mut capabilities, in_effect);
        if attach.desired_capabilities.contains(SHARED_SUBSCRIPTIONS) {
            put_symbol(&mut offered, SHARED_SUBSCRIPTIONS);
        }
        let (mut properties, mut filter) = (Vec::new(), Vec::new());
        if source.dynamic {
            let mut items = Vec::new();
            put_symbol(&mut items, "lifetime-policy");
            Lifetime::LinkClosed.put(&mut items);
            put_map(&mut properties, 2, &items);
        }
        if wanted.no_local
            && let Some(Ok(Some((key, value)))) = source.filter.as_ref().map(find_no_local)
        {
            let mut items = Vec::new();
            put_value(&mut items, &key);
            put_value(&mut items, &value);
            put_map(&mut filter, 2, &items);
        }
        let made = Source {
            address: name.as_deref().or(source.address),
            durability: match durable {
                true => Durability::Configuration,
                false => Durability::None,
            },
            expiry_policy: match durable {
                true => ExpiryPolicy::Never,
                false => ExpiryPolicy::LinkDetach,
            },
            timeout_s: 0,
            dynamic: source.dynamic,
            dynamic_node_properties: map(&properties),
            distribution_mode: source.distribution_mode,
            filter: map(&filter),
            default_outcome: Some(said(outcome)),
            outcomes: symbols(&outcomes),
            capabilities: symbols(&capabilities),
        };
        Reply::new(&Attach {
            source: Some(made),
            unsettled: None,
            incomplete_unsettled: false,
            max_message_size: None,
            offered_capabilities: symbols(&offered),
            desired_capabilities: Symbols::default(),
            properties: None,
            ..*attach
        })
    }

    pub(super) fn answer_consumer(
        &mut self,
        expect: ConsumerExpect,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) {
        match expect {
            ConsumerExpect::Consuming(key, reply) => {
                self.consuming(ConsumerKey(key), &reply, &answer, turn);
            }
            ConsumerExpect::Found(key, reply) => {
                self.found(ConsumerKey(key), &reply, answer, turn);
            }
            ConsumerExpect::Drained(key) => self.drained(ConsumerKey(key), &answer, turn),
            ConsumerExpect::Closed(closing) => self.closed(closing, &answer, turn),
            ConsumerExpect::Settled(owed) => self.settle_owed(&owed, &answer, turn),
        }
    }

    /// The broker has answered a consumer's attach.
    fn consuming(&mut self, key: ConsumerKey, reply: &Reply, answer: &Answer, turn: &mut Turn<'_>) {
        let Some(id) = self.links.id_of(key.0) else {
            return; // It was detached in the meantime.
        };
        match answer {
            Answer::Consuming => {
                self.accept_link(id, reply, turn);
                let consumer = self.links.consumer(id);
                if consumer.is_some_and(|(_, consumer)| consumer.subscription.is_some()) {
                    self.machine.hold_close(id);
                }
            }
            answer => self.refuse_consumer(id, reply, answer, turn),
        }
    }

    /// The broker has no such consumer.
    pub(super) fn refuse_consumer(
        &mut self,
        id: LinkId,
        reply: &Reply,
        answer: &Answer,
        turn: &mut Turn<'_>,
    ) {
        let mut words = String::new();
        let fault = match answer {
            Answer::Refused(why) => refusal(*why, &mut words),
            _ => Fault::new(INTERNAL, "an answer to something else"),
        };
        if let Some(attach) = reply.read() {
            self.refuse_link(id, &attach, fault, turn);
        }
        if let Some((_, Link::Consumer(consumer))) = self.links.remove(id) {
            self.drop_consumer(*consumer, turn);
        }
    }

    /// A consumer is gone from the broker; what was encoded still leaves.
    pub(super) fn drop_consumer(&mut self, consumer: Consumer, turn: &mut Turn<'_>) {
        let room = consumer.room();
        if room > 0 {
            turn.commands.push(Command::Room(room));
        }
        if let Some(temporary) = consumer.temporary {
            self.delete_temporary(&temporary, turn);
        }
    }

    /// A link is gone, `closed` for good, and its durable subscription with it. A message of which a
    /// part is sent goes back as if nothing had been.
    pub(super) fn end_consumer(
        &mut self,
        (id, key): (LinkId, u32),
        mut consumer: Consumer,
        closed: bool,
        turn: &mut Turn<'_>,
    ) {
        turn.commands.push(Command::Cancel {
            consumer: ConsumerKey(key),
            written: consumer.sent,
            token: None,
        });
        let subscription = consumer.subscription.take().filter(|_| closed);
        let looked_up = consumer.looked_up;
        self.drop_consumer(consumer, turn);
        if let Some(queue) = subscription {
            // The answer says that it is gone, so it comes when that is durable (law L1).
            let strict = looked_up;
            let expect = ConsumerExpect::Closed(Closing { id, key, strict });
            let token = Some(self.expected.add(Expect::Consumer(expect)));
            turn.commands.push(Command::Unsubscribe { queue, token });
            self.closing.insert(id, key);
        }
    }

    /// The subscription of a link that was closed is gone, or others still consume from it.
    fn closed(&mut self, closing: Closing, answer: &Answer, turn: &mut Turn<'_>) {
        let Closing { id, key, strict } = closing;
        if self.closing.get(&id) != Some(&key) {
            return; // Its session has ended.
        }
        self.closing.remove(&id);
        let mut words = String::new();
        let fault = match answer {
            Answer::Refused(why @ Refusal::InUse) if strict => Some(refusal(*why, &mut words)),
            _ => None,
        };
        self.machine.answer_close(id, fault, turn.output.buffer());
    }
}

/// The priority of a consumer, among the properties of its link.
fn priority(properties: Option<&Map<'_>>) -> i32 {
    let found = properties.and_then(|properties| properties.find("priority").ok().flatten());
    let number = found.and_then(|value| whole(&value)).unwrap_or(0);
    let number = number.clamp(i32::MIN.into(), i32::MAX.into());
    i32::try_from(number).unwrap_or(0)
}

fn symbols(encoded: &[u8]) -> Symbols<'_> {
    Symbols::decode(encoded).unwrap_or_default()
}

/// The outcomes that a peer may tell.
const OUTCOMES: [&str; 4] = [
    "amqp:accepted:list",
    "amqp:rejected:list",
    "amqp:released:list",
    "amqp:modified:list",
];
