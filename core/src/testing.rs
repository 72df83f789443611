//! What the tests of the broker share: a log in memory, a fake shell that holds the effects, short
//! ways to say the usual commands, and the invariants that hold between any two calls.

mod invariants;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use invariants::{check, durable_state};

use crate::address::{Address, Filter, QueueName};
use crate::broker::{Broker, BrokerOptions};
use crate::command::{
    Attach, BindOptions, BindRequest, BindTarget, Close, Command, Consume, ConsumeOptions, Outcome,
    Publish, Receive, Retain, RetainedReplay, SendMode, Settle, SettleMode, Source, Tags,
};
use crate::dialect::Dialect;
use crate::effect::{Answer, Delivery, Effect, Out};
use crate::ids::{ConnectionId, ConsumerKey, Now, Tag, Token};
use crate::message::{Assurance, Envelope, Format, Run};
use crate::record::RecordSink;
use crate::settings::{AddressPattern, AddressRule, SettingsTable};

/// All records, as a journal would keep them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    pub(crate) records: Vec<(u64, u8, Bytes)>,
    /// Nothing may be appended beyond this position.
    pub(crate) end: Option<u64>,
    tail: u64,
}

impl RecordSink for Log {
    fn append(&mut self, kind: u8, head: &[u8], body: Option<&Bytes>, _: u32) -> u64 {
        let position = self.tail.max(4_096);
        let mut payload = head.to_vec();
        payload.extend_from_slice(body.map_or(&[][..], |body| body));
        self.tail = position + 16 + payload.len() as u64;
        self.records.push((position, kind, payload.into()));
        position
    }

    fn tail(&self) -> u64 {
        self.tail
    }

    fn room(&self) -> usize {
        let room = self.end.map(|end| end.saturating_sub(self.tail));
        room.map_or(usize::MAX, |room| usize::try_from(room).unwrap())
    }
}

impl Log {
    /// How many records of a kind there are.
    pub(crate) fn count(&self, kind: u8) -> usize {
        self.records.iter().filter(|(_, k, _)| *k == kind).count()
    }
}

/// A broker with a log and a clock.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) broker: Broker,
    pub(crate) log: Log,
    pub(crate) now: Now,
    pub(crate) more: bool,
    pub(crate) next_deadline_ms: Option<u64>,
    pub(crate) dead: BTreeMap<u64, u64>,
    options: BrokerOptions,
    tokens: u64,
}

/// A delivery as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) connection: u32,
    pub(crate) consumer: u32,
    pub(crate) tag: Tag,
    pub(crate) body: String,
    pub(crate) attempts: u32,
    pub(crate) duplicate: bool,
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self::with(BrokerOptions::default())
    }

    /// With little room in an outbox, and few units for a call.
    pub(crate) fn small(outbox_bytes: u32, units_per_call: u32) -> Self {
        let mut options = BrokerOptions::default();
        options.limits.outbox_bytes = outbox_bytes;
        options.limits.units_per_call = units_per_call;
        Self::with(options)
    }

    pub(crate) fn with(options: BrokerOptions) -> Self {
        Self {
            broker: Broker::new(options.clone()),
            log: Log::default(),
            now: Now {
                mono_ms: 1_000,
                wall_ms: 1_000_000,
            },
            more: false,
            next_deadline_ms: None,
            dead: BTreeMap::new(),
            options,
            tokens: 0,
        }
    }

    /// With settings for the addresses a pattern matches.
    pub(crate) fn ruled(pattern: &str, set: impl FnOnce(&mut AddressRule)) -> Self {
        let mut rule = AddressRule::new(AddressPattern::parse(pattern).unwrap());
        set(&mut rule);
        Self::with(ruled(BrokerOptions::default(), rule))
    }

    /// One call.
    pub(crate) fn once(&mut self, id: ConnectionId, mut commands: Vec<Command>) -> Vec<Effect> {
        self.call(id, &mut commands)
    }

    /// One call; what it did not reach stays in `commands`.
    pub(crate) fn call(&mut self, id: ConnectionId, commands: &mut Vec<Command>) -> Vec<Effect> {
        let mut out = Out::default();
        self.broker
            .handle(self.now, id, commands, &mut self.log, &mut out);
        self.more = out.more;
        self.next_deadline_ms = out.next_deadline_ms;
        for (name, bytes) in out.dead {
            *self.dead.entry(name).or_default() += u64::from(bytes);
        }
        out.effects
    }

    /// One call, and more of them while work is left.
    pub(crate) fn run(&mut self, id: ConnectionId, mut commands: Vec<Command>) -> Vec<Effect> {
        let mut effects = self.call(id, &mut commands);
        let mut calls = 0;
        while self.more {
            effects.extend(self.call(id, &mut commands));
            calls += 1;
            assert!(calls < 100_000, "the broker never comes to rest");
        }
        effects
    }

    /// Lets time pass and does what is due then.
    pub(crate) fn sleep(&mut self, ms: u64) -> Vec<Effect> {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms;
        self.run(ConnectionId::BROKER, vec![Command::Tick])
    }

    pub(crate) fn token(&mut self) -> Option<Token> {
        self.tokens += 1;
        Some(Token(self.tokens))
    }

    pub(crate) fn publish(
        &mut self,
        id: ConnectionId,
        mode: SendMode,
        run: Run,
    ) -> (u64, Answer, Vec<Effect>) {
        let publish = publish(mode, run, self.token());
        let mut effects = self.run(id, vec![publish]);
        let at = effects
            .iter()
            .position(|effect| matches!(effect, Effect::Answer { .. }))
            .expect("an answer");
        match effects.remove(at) {
            Effect::Answer { after, answer, .. } => (after, answer, effects),
            other => unreachable!("{other:?}"),
        }
    }

    /// Sends bodies to the anycast queue of an address, durable, in one run.
    pub(crate) fn send(&mut self, queue: &str, bodies: &[&str]) -> Vec<Effect> {
        self.publish(SENDER, SendMode::Anycast, durable(queue, bodies))
            .2
    }

    /// Opens a consumer of an anycast queue.
    pub(crate) fn consume(
        &mut self,
        id: ConnectionId,
        key: u32,
        queue: &str,
        prefetch: u32,
    ) -> Vec<Effect> {
        let token = self.token();
        let source = Source::Anycast(address(queue));
        self.run(id, vec![consume(key, source, prefetch, token)])
    }

    pub(crate) fn settle(
        &mut self,
        id: ConnectionId,
        key: u32,
        first: Tag,
        n: u32,
        outcome: Outcome,
    ) -> Vec<Effect> {
        let token = self.token();
        self.run(id, vec![settle(key, first, n, outcome, token)])
    }

    pub(crate) fn attach(&mut self, id: ConnectionId, name: &str) -> Vec<Effect> {
        let token = self.token();
        self.run(id, vec![Command::Attach(attach(name, token))])
    }

    /// Subscribes the attached session, without retained values.
    pub(crate) fn bind(&mut self, id: ConnectionId, pattern: &str, qos: u8) -> Vec<Effect> {
        let requests = vec![request(pattern, qos, false)];
        let token = self.token();
        self.run(id, vec![Command::Bind { requests, token }])
    }

    pub(crate) fn receive_command(
        &mut self,
        queue: &str,
        n: u32,
        wait_ms: u64,
        lease_ms: u64,
    ) -> Command {
        self.tokens += 1;
        Command::Receive(Receive {
            source: Source::Anycast(address(queue)),
            max_messages: n,
            max_bytes: u32::MAX,
            wait_ms,
            lease_ms,
            token: Token(self.tokens),
        })
    }

    pub(crate) fn close(&mut self, id: ConnectionId, written: &[(u32, Tag)]) -> Vec<Effect> {
        self.run(id, vec![close(written)])
    }

    /// A new broker from the whole log; the old one crashed.
    pub(crate) fn restart(&mut self) {
        let mut broker = Broker::new(self.options.clone());
        broker.store.whole_bytes = self.broker.store.whole_bytes;
        for (position, kind, payload) in &self.log.records {
            broker.apply(*position, *kind, payload).unwrap();
        }
        self.broker = broker;
        self.load();
        self.broker.recovered(self.now);
    }

    /// Hands the recovered broker the bodies it wants.
    pub(crate) fn load(&mut self) {
        for name in self.broker.wanted_bodies() {
            let record = self.log.records.iter().find(|(at, ..)| *at == name);
            let (_, kind, payload) = record.expect("the record of a name");
            self.broker.load(name, *kind, payload, Bytes::from).unwrap();
        }
    }

    pub(crate) fn options(&self) -> &BrokerOptions {
        &self.options
    }
}

/// The options with one rule.
pub(crate) fn ruled(options: BrokerOptions, rule: AddressRule) -> BrokerOptions {
    let settings = SettingsTable::new(vec![rule]);
    BrokerOptions {
        settings,
        ..options
    }
}

/// Sends; consumes nothing.
pub(crate) const SENDER: ConnectionId = conn(900);

pub(crate) const fn conn(slot: u32) -> ConnectionId {
    ConnectionId {
        slot,
        generation: 1,
    }
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text, Dialect::Canonical, 1_024).unwrap()
}

pub(crate) fn filter(text: &str) -> Filter {
    Filter::parse(text, Dialect::Canonical, 1_024).unwrap()
}

pub(crate) fn queue_name(text: &str) -> QueueName {
    QueueName::parse(text, Dialect::Canonical, 1_024).unwrap()
}

pub(crate) fn run_of(to: &str, bodies: &[&str], set: impl FnOnce(&mut Envelope)) -> Run {
    let mut envelope = Envelope {
        address: address(to),
        durable: false,
        assurance: Assurance::AtLeastOnce,
        priority: 4,
        expires_ms: 0,
        timestamp_ms: 0,
    };
    set(&mut envelope);
    let block: Vec<u8> = bodies.concat().into_bytes();
    let mut end = 0;
    let ends: Vec<u32> = bodies
        .iter()
        .map(|body| {
            end += u32::try_from(body.len()).unwrap();
            end
        })
        .collect();
    Run::new(envelope, Format(1), block.into(), &ends).unwrap()
}

pub(crate) fn durable(to: &str, bodies: &[&str]) -> Run {
    run_of(to, bodies, |envelope| envelope.durable = true)
}

pub(crate) fn transient(to: &str, bodies: &[&str]) -> Run {
    run_of(to, bodies, |_| {})
}

pub(crate) fn at_most_once(to: &str, bodies: &[&str]) -> Run {
    run_of(to, bodies, |envelope| {
        envelope.assurance = Assurance::AtMostOnce;
    })
}

pub(crate) fn publish(mode: SendMode, run: Run, token: Option<Token>) -> Command {
    Command::Publish(Publish {
        run: Arc::new(run),
        mode,
        queue: None,
        retain: Retain::No,
        receipt: None,
        token,
    })
}

pub(crate) fn retain(run: Run) -> Command {
    Command::Publish(Publish {
        run: Arc::new(run),
        mode: SendMode::Publish,
        queue: None,
        retain: Retain::Store,
        receipt: None,
        token: None,
    })
}

pub(crate) fn consume(key: u32, source: Source, prefetch: u32, token: Option<Token>) -> Command {
    Command::Consume(Consume {
        consumer: ConsumerKey(key),
        source,
        settle: SettleMode::Explicit,
        prefetch,
        options: ConsumeOptions::default(),
        token,
    })
}

/// A consumer that gets nothing before it is given credit.
pub(crate) fn consume_on_credit(key: u32, source: Source) -> Command {
    Command::Consume(Consume {
        consumer: ConsumerKey(key),
        source,
        settle: SettleMode::Explicit,
        prefetch: u32::MAX,
        options: ConsumeOptions {
            until: 0,
            ..ConsumeOptions::default()
        },
        token: None,
    })
}

pub(crate) fn settle(
    key: u32,
    first: Tag,
    n: u32,
    outcome: Outcome,
    token: Option<Token>,
) -> Command {
    Command::Settle(Settle {
        consumer: ConsumerKey(key),
        tags: Tags::Range { first, n },
        outcome,
        note: None,
        token,
    })
}

/// A durable session that lives an hour beyond its connection.
pub(crate) fn attach(name: &str, token: Option<Token>) -> Attach {
    Attach {
        name: name.into(),
        principal: "somebody".into(),
        clean: false,
        expiry_ms: Some(3_600_000),
        durable: true,
        hold: false,
        window: 100,
        will: None,
        token,
    }
}

/// A session that ends with its connection.
pub(crate) fn clean(name: &str, token: Option<Token>) -> Attach {
    Attach {
        clean: true,
        expiry_ms: Some(0),
        durable: false,
        ..attach(name, token)
    }
}

pub(crate) fn request(pattern: &str, qos: u8, retained: bool) -> BindRequest {
    BindRequest {
        target: BindTarget::Filter(filter(pattern)),
        options: BindOptions {
            qos,
            ..BindOptions::default()
        },
        retained: if retained {
            RetainedReplay::Always
        } else {
            RetainedReplay::Never
        },
    }
}

pub(crate) fn bind_queue(queue: &str) -> BindRequest {
    BindRequest {
        target: BindTarget::Queue {
            address: address(queue),
            queue: queue_name(queue),
        },
        options: BindOptions {
            qos: 1,
            queued: true,
            ..BindOptions::default()
        },
        retained: RetainedReplay::Never,
    }
}

pub(crate) fn close(written: &[(u32, Tag)]) -> Command {
    let written = written.iter().map(|(key, tag)| (ConsumerKey(*key), *tag));
    Command::Close(Close {
        polite: false,
        written: written.collect(),
    })
}

/// The messages of all deliveries, one by one, fan-outs included (tag 0).
pub(crate) fn seen(effects: &[Effect]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for effect in effects {
        match effect {
            Effect::Deliver {
                connection,
                delivery,
                ..
            } => seen.extend(each(*connection, delivery)),
            Effect::Fanout {
                run,
                first,
                count,
                targets,
                ..
            } => {
                for target in targets.iter() {
                    seen.extend((*first..first + count).map(|index| Seen {
                        connection: target.connection.slot,
                        consumer: 0,
                        tag: 0,
                        body: text(run, index),
                        attempts: 0,
                        duplicate: false,
                    }));
                }
            }
            _ => {}
        }
    }
    seen
}

fn each(connection: ConnectionId, delivery: &Delivery) -> Vec<Seen> {
    (0..delivery.count)
        .map(|offset| Seen {
            connection: connection.slot,
            consumer: delivery.consumer.0,
            tag: if delivery.tag == 0 {
                0
            } else {
                delivery.tag + Tag::from(offset)
            },
            body: text(&delivery.run, delivery.first + offset),
            attempts: delivery.attempts,
            duplicate: delivery.duplicate,
        })
        .collect()
}

pub(crate) fn text(run: &Run, index: u32) -> String {
    String::from_utf8(run.message(index).to_vec()).unwrap()
}

/// Only the bodies.
pub(crate) fn bodies(effects: &[Effect]) -> Vec<String> {
    seen(effects).into_iter().map(|seen| seen.body).collect()
}

/// The deliveries themselves.
pub(crate) fn delivered(effects: &[Effect]) -> Vec<(u64, &Delivery)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Deliver {
                after, delivery, ..
            } => Some((*after, delivery)),
            _ => None,
        })
        .collect()
}

/// The leased messages of all answers.
pub(crate) fn leased(effects: &[Effect]) -> Vec<&crate::effect::Leased> {
    let received = answers(effects)
        .into_iter()
        .filter_map(|answer| match answer {
            Answer::Received(leased) => Some(leased),
            _ => None,
        });
    received.flatten().collect()
}

/// The answers, in order.
pub(crate) fn answers(effects: &[Effect]) -> Vec<&Answer> {
    let answers = effects.iter().filter_map(|effect| match effect {
        Effect::Answer { answer, .. } => Some(answer),
        _ => None,
    });
    answers.collect()
}

/// The one refusal among the answers.
pub(crate) fn refusal(effects: &[Effect]) -> Option<crate::error::Refusal> {
    answers(effects)
        .into_iter()
        .find_map(|answer| match answer {
            Answer::Refused(why) => Some(*why),
            _ => None,
        })
}
