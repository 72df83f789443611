//! Random commands against the [model](super::model). `TERNMQ_MODEL_SEED` and
//! `TERNMQ_MODEL_COMMANDS` choose the seed and the number; a failure prints the seed.

#![expect(clippy::print_stdout, reason = "a failing seed is the bug report")]

use std::num::NonZeroU32;

use super::model::{
    Lane, Lease, MAX_FAILURES, Message, Model, Queue, State, first_of, priority_of,
};
use crate::broker::{Broker, BrokerOptions};
use crate::command::{
    BindRequest, BindTarget, Close, Command, Consume, ConsumeOptions, LeaseAction, Outcome,
    QueueSpec, RoutingType, SendMode, SettleMode, Source,
};
use crate::effect::{Answer, Effect};
use crate::ids::{ConnectionId, ConsumerKey, Tag, Token};
use crate::settings::{AddressPattern, AddressRule, DeliveryAttempts};
use crate::testing::{
    Shell, address, attach, bind_queue, check, clean, conn, durable_state, filter, publish,
    queue_name, request, ruled, run_of, seen, settle,
};

const SLOTS: u64 = 5;
const ANYCAST: [&str; 4] = ["DLQ", "a.one", "a.two", "a.three"];
const TOPICS: [&str; 3] = ["t.x", "t.y", "t.x.deep"];
const FILTERS: [&str; 4] = ["t.x", "t.*", "t.#", "t.y"];
const SESSIONS: usize = 3;
/// Tokens of drains, less the key of the consumer.
const DRAINS: u64 = 1_000;

/// A session as the model knows it: the last is not durable.
struct Session {
    lane: Option<usize>,
    own: Option<usize>,
    filters: Vec<usize>,
    named: Vec<usize>,
}

struct Run {
    shell: Shell,
    model: Model,
    random: u64,
    bodies: u64,
    receives: u64,
    sets: u64,
    /// Subscriptions of consumers: (queue, filter).
    subscriptions: Vec<(usize, usize)>,
    sessions: Vec<Session>,
    generations: Vec<u32>,
    /// Drains not answered, or not known to have been dropped with their connection.
    drains: u64,
    /// Room taken and not given back, per slot.
    outstanding: Vec<u64>,
    /// Print every command and check after each (`TERNMQ_MODEL_TRACE=1`).
    trace: bool,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rule = AddressRule::new(AddressPattern::parse("#").unwrap());
        let max = NonZeroU32::new(MAX_FAILURES).unwrap();
        rule.max_delivery_attempts = Some(DeliveryAttempts::AtMost(max));
        let mut options = ruled(BrokerOptions::default(), rule);
        // Every other seed with little room, every other pair with little work per call.
        options.limits.outbox_bytes = [1 << 20, 600][(seed % 2) as usize];
        options.limits.units_per_call = [4_096, 7][(seed / 2 % 2) as usize];
        options.limits.max_set_aside = usize::MAX;
        let mut shell = Shell::with(options);
        shell.broker.store.whole_bytes = 2;
        let mut run = Self {
            shell,
            model: Model::default(),
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            bodies: 0,
            receives: 0,
            sets: 0,
            subscriptions: Vec::new(),
            sessions: Vec::new(),
            generations: vec![1; SLOTS as usize],
            drains: 0,
            outstanding: vec![0; SLOTS as usize],
            trace: number("TERNMQ_MODEL_TRACE", 0) == 1,
        };
        for name in ANYCAST {
            let spec = QueueSpec {
                queue: queue_name(name),
                address: address(name),
                routing: RoutingType::Anycast,
                durable: true,
            };
            run.shell
                .run(ConnectionId::BROKER, vec![Command::DeclareQueue(spec)]);
            run.new_queue(true, false);
        }
        run.sessions = (0..SESSIONS).map(|_| Session::new()).collect();
        run
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % n
    }

    fn pick(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).unwrap()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn new_queue(&mut self, durable: bool, of_session: bool) -> usize {
        self.model.queues.push(Queue {
            durable,
            of_session,
            ..Queue::default()
        });
        self.model.queues.len() - 1
    }

    fn new_lane(&mut self, connection: u32, key: u32, window: u32, on_write: bool) -> usize {
        self.model.lanes.push(Some(Lane {
            connection: Some(connection),
            key,
            queues: Vec::new(),
            on_write,
            shown: None,
            window,
            until: Tag::MAX,
            next_tag: 1,
            written: 0,
            handed: 0,
        }));
        self.model.lanes.len() - 1
    }

    fn id(&self, slot: u32) -> ConnectionId {
        ConnectionId {
            generation: self.generations[slot as usize],
            ..conn(slot)
        }
    }

    /// Sends commands and checks what comes of them.
    fn run(&mut self, slot: u32, commands: Vec<Command>) -> Vec<Effect> {
        if self.trace {
            println!("{slot}: {commands:?}");
        }
        let effects = self.shell.run(self.id(slot), commands);
        self.judge(&effects);
        effects
    }

    fn judge(&mut self, effects: &[Effect]) {
        for effect in effects {
            let one = std::slice::from_ref(effect);
            match effect {
                Effect::Deliver {
                    connection,
                    delivery,
                    ..
                } => {
                    self.outstanding[connection.slot as usize] += u64::from(delivery.room());
                    for seen in seen(one).iter().filter(|seen| seen.tag != 0) {
                        self.model.delivered(seen);
                    }
                }
                Effect::Answer {
                    connection,
                    token,
                    answer: Answer::Drained { next },
                    ..
                } => {
                    let key = u32::try_from(token.0 - DRAINS).unwrap();
                    let lane = self.model.lane_of(connection.slot, key).expect("a lane");
                    assert_eq!(*next, self.model.lane(lane).next_tag, "drained");
                    self.drains = self.drains.checked_sub(1).expect("one answer each");
                }
                Effect::Answer {
                    answer: Answer::Received(leased),
                    ..
                } => {
                    for one in leased {
                        self.leased(one.lease, &one.delivery.run, one.delivery.first);
                    }
                }
                _ => {}
            }
        }
    }

    fn leased(&mut self, id: crate::command::LeaseId, run: &crate::message::Run, index: u32) {
        let body = crate::testing::text(run, index);
        let is = |m: &Message| m.body == body && m.state == State::Available;
        let holds = |queue: &Queue| queue.messages.iter().any(is);
        let queue = self.model.queues[..ANYCAST.len()].iter().position(holds);
        let queue = queue.expect("a message of a queue");
        let messages = &mut self.model.queues[queue].messages;
        let first = first_of(messages, |m| m.state == State::Available);
        let first = first.expect("an available message");
        assert_eq!(messages[first].body, body, "a lease takes the first");
        messages[first].state = State::Leased(id);
        self.sets += 1;
        self.model.leases.push(Lease {
            id,
            queue,
            receive: self.receives,
            until_ms: self.shell.now.mono_ms + 1_000,
            set: self.sets,
        });
    }

    fn step(&mut self) {
        let slot = u32::try_from(self.below(SLOTS)).unwrap();
        match self.below(100) {
            0..20 => self.publish_anycast(slot),
            20..32 => self.publish_topic(slot),
            32..38 => self.open(slot),
            38..41 => self.cancel(slot),
            41..66 => self.settle(slot),
            66..76 => self.written_and_room(slot),
            76..78 => self.close(slot),
            78 => self.credit_and_drain(slot),
            79..83 => self.attach(slot),
            83..87 => self.bind(slot),
            87..89 => self.unbind(slot),
            89..92 => self.receive(slot),
            92..96 => self.lease(slot),
            _ => self.sleep(),
        }
    }

    fn bodies(&mut self) -> Vec<String> {
        let n = if self.chance(50) {
            1
        } else {
            1 + self.below(20)
        };
        let first = self.bodies;
        self.bodies += n;
        let priority = if self.chance(70) { 4 } else { self.below(10) };
        let body = |n| format!("m{n}.{priority}");
        (first..first + n).map(body).collect()
    }

    fn publish_anycast(&mut self, slot: u32) {
        let queue = self.pick(ANYCAST.len());
        if self.model.queues[queue].messages.len() > 200 {
            return;
        }
        let (bodies, durable) = (self.bodies(), self.chance(60));
        for body in &bodies {
            self.model.put(queue, body, durable, durable);
        }
        let run = self.made(ANYCAST[queue], &bodies, durable, false);
        self.run(slot, vec![publish(SendMode::Anycast, run, None)]);
    }

    fn made(&self, to: &str, bodies: &[String], durable: bool, qos0: bool) -> crate::message::Run {
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        run_of(to, &bodies, |envelope| {
            envelope.durable = durable;
            envelope.priority = priority_of(bodies[0]);
            if qos0 {
                envelope.assurance = crate::message::Assurance::AtMostOnce;
            }
        })
    }

    fn publish_topic(&mut self, slot: u32) {
        let topic = self.pick(TOPICS.len());
        let (bodies, qos0) = (self.bodies(), self.chance(30));
        let durable = !qos0 && self.chance(60);
        let to = address(TOPICS[topic]);
        let matches = |f: &usize| crate::topic_trie::matches_filter(&filter(FILTERS[*f]), &to);
        let mut queues: Vec<usize> = Vec::new();
        let subscribed = self
            .subscriptions
            .iter()
            .filter(|(_, filter)| matches(filter));
        queues.extend(subscribed.map(|(queue, _)| *queue));
        let mut direct = Vec::new();
        for session in &self.sessions {
            if session.filters.iter().any(matches) {
                if qos0 {
                    let lane = session
                        .lane
                        .and_then(|lane| self.model.lanes[lane].as_ref());
                    direct.extend(lane.and_then(|lane| lane.connection));
                } else {
                    queues.extend(session.own);
                }
            }
        }
        if queues
            .iter()
            .any(|queue| self.model.queues[*queue].messages.len() > 200)
        {
            return;
        }
        let named = durable && queues.iter().any(|queue| self.model.queues[*queue].durable);
        for queue in queues {
            for body in &bodies {
                self.model.put(queue, body, durable, named);
            }
        }
        let run = self.made(TOPICS[topic], &bodies, durable, qos0);
        let effects = self.run(slot, vec![publish(SendMode::Multicast, run, None)]);
        let mut targets: Vec<u32> = Vec::new();
        for effect in &effects {
            if let Effect::Fanout { targets: to, .. } = effect {
                targets.extend(to.iter().map(|target| target.connection.slot));
            }
        }
        targets.sort_unstable();
        direct.sort_unstable();
        assert_eq!(targets, direct, "who gets messages without a queue");
    }

    fn open(&mut self, slot: u32) {
        let key = 1 + u32::try_from(self.below(3)).unwrap();
        if self.model.lane_of(slot, key).is_some() {
            return;
        }
        let (window, on_write) = (1 + u32::try_from(self.below(30)).unwrap(), self.chance(30));
        let lane = self.new_lane(slot, key, window, on_write);
        let browse = self.chance(15);
        let source = if self.chance(60) {
            let queue = self.pick(ANYCAST.len());
            self.model.lane(lane).queues.push(queue);
            if browse {
                self.model.lane(lane).shown = Some(Vec::new());
                self.model.lane(lane).on_write = false;
            }
            Source::Anycast(address(ANYCAST[queue]))
        } else {
            let pattern = self.pick(FILTERS.len());
            let queue = self.new_queue(false, false);
            self.subscriptions.push((queue, pattern));
            self.model.lane(lane).queues.push(queue);
            Source::Multicast(filter(FILTERS[pattern]))
        };
        let settle = if on_write {
            SettleMode::OnWrite
        } else {
            SettleMode::Explicit
        };
        let consume = Consume {
            consumer: ConsumerKey(key),
            source,
            settle,
            prefetch: window,
            options: ConsumeOptions {
                priority: [0, 0, 0, 3, -2][self.pick(5)],
                browse,
                ..ConsumeOptions::default()
            },
            token: None,
        };
        self.run(slot, vec![Command::Consume(consume)]);
    }

    /// A lane of a connection, and a tag it may have written up to.
    fn lane(&mut self, slot: u32) -> Option<(usize, u32, Tag)> {
        let key = u32::try_from(self.below(4)).unwrap();
        let lane = self.model.lane_of(slot, key)?;
        let (from, to) = (
            self.model.lane(lane).written,
            self.model.lane(lane).next_tag,
        );
        let written = from + self.below(to - from);
        Some((lane, key, written))
    }

    fn write(&mut self, lane: usize, written: Tag) {
        self.model.lane(lane).written = written;
        if self.model.lane(lane).on_write {
            self.accept(lane, |tag| tag <= written);
        }
    }

    fn accept(&mut self, lane: usize, chosen: impl Fn(Tag) -> bool) {
        self.end(lane, Outcome::Accepted, chosen);
    }

    fn end(&mut self, lane: usize, outcome: Outcome, chosen: impl Fn(Tag) -> bool) {
        for (tag, queue, _) in self.model.held(lane) {
            if chosen(tag) {
                let out = State::Out { lane, tag };
                let messages = &self.model.queues[queue].messages;
                let found = messages.iter().find(|m| m.state == out);
                let entry = found.unwrap().entry;
                self.model.end(queue, entry, outcome);
            }
        }
    }

    fn cancel(&mut self, slot: u32) {
        let Some((lane, key, written)) = self.lane(slot).filter(|(_, key, _)| *key != 0) else {
            return;
        };
        self.write(lane, written);
        self.end_lane(lane, true);
        let cancel = Command::Cancel {
            consumer: ConsumerKey(key),
            written,
            token: None,
        };
        self.run(slot, vec![cancel]);
    }

    fn end_lane(&mut self, lane: usize, polite: bool) {
        self.model.take_back(lane, None, polite);
        self.model.readmit(lane, None);
        let gone = self.model.lanes[lane].take().expect("a lane");
        for queue in gone.queues.iter().filter(|queue| **queue >= ANYCAST.len()) {
            self.model.queues[*queue].messages.clear();
            self.subscriptions.retain(|(other, _)| other != queue);
        }
    }

    fn settle(&mut self, slot: u32) {
        let Some((lane, key, _)) = self.lane(slot) else {
            return;
        };
        if self.model.lane(lane).shown.is_some() {
            // Whatever is said of what a browser saw, nothing comes of it.
            let n = u32::try_from(self.below(9)).unwrap();
            let command = settle(key, 1, n, Outcome::Accepted, None);
            self.run(slot, vec![command]);
            return;
        }
        let held = self.model.held(lane);
        if held.is_empty() {
            return;
        }
        let at = if self.chance(70) {
            0
        } else {
            self.pick(held.len())
        };
        let first = held[at].0;
        let most = held[at..]
            .iter()
            .zip(first..)
            .take_while(|(h, tag)| h.0 == *tag)
            .count();
        let n = 1 + self.below(most as u64);
        let outcome = match self.below(10) {
            0 => Outcome::Released,
            1 => Outcome::Failed { delay_ms: None },
            2 if self.chance(30) => Outcome::Rejected,
            2 => {
                let failed = self.chance(50);
                Outcome::Undeliverable { failed }
            }
            _ => Outcome::Accepted,
        };
        self.end(lane, outcome, |tag| (first..first + n).contains(&tag));
        let command = settle(key, first, u32::try_from(n).unwrap(), outcome, None);
        self.run(slot, vec![command]);
    }

    fn written_and_room(&mut self, slot: u32) {
        let mut commands = Vec::new();
        if let Some((lane, key, tag)) = self.lane(slot) {
            self.write(lane, tag);
            let consumer = ConsumerKey(key);
            commands.push(Command::Written { consumer, tag });
        }
        let out = self.outstanding[slot as usize];
        let back = if self.chance(50) {
            out
        } else {
            self.below(out + 1)
        };
        self.outstanding[slot as usize] -= back;
        commands.push(Command::Room(u32::try_from(back).unwrap()));
        self.run(slot, commands);
    }

    /// A consumer gets more or less credit and may ask to be told when nothing is left; it is told
    /// once, now or when there is room.
    fn credit_and_drain(&mut self, slot: u32) {
        let Some((lane, key, _)) = self.lane(slot).filter(|(_, key, _)| *key != 0) else {
            return;
        };
        let state = self.model.lane(lane);
        let next = state.next_tag;
        let until = next + self.below(20);
        self.model.lane(lane).until = until;
        let consumer = ConsumerKey(key);
        let mut commands = vec![Command::Credit { consumer, until }];
        if self.chance(70) {
            let token = Token(DRAINS + u64::from(key));
            self.drains += 1;
            commands.push(Command::Drain { consumer, token });
        }
        self.run(slot, commands);
        let out = self.outstanding[slot as usize];
        let room = Command::Room(u32::try_from(out).unwrap());
        self.outstanding[slot as usize] = 0;
        self.run(slot, vec![room]);
        self.model.lane(lane).until = Tag::MAX;
        let until = Tag::MAX;
        self.run(slot, vec![Command::Credit { consumer, until }]);
    }

    fn close(&mut self, slot: u32) {
        let polite = self.chance(30);
        let mut written = Vec::new();
        for key in 0..4 {
            let Some(lane) = self.model.lane_of(slot, key) else {
                continue;
            };
            let (from, to) = (
                self.model.lane(lane).written,
                self.model.lane(lane).next_tag,
            );
            let tag = from + self.below(to - from);
            self.write(lane, tag);
            written.push((ConsumerKey(key), tag));
        }
        self.detach(slot, polite);
        for key in 1..4 {
            if let Some(lane) = self.model.lane_of(slot, key) {
                self.end_lane(lane, polite);
            }
        }
        self.run(slot, vec![Command::Close(Close { polite, written })]);
        self.generations[slot as usize] += 1;
        self.outstanding[slot as usize] = 0;
    }

    /// The session of a connection loses it; the last one ends.
    fn detach(&mut self, slot: u32, polite: bool) {
        let Some(lane) = self.model.lane_of(slot, 0) else {
            return;
        };
        let named: Vec<usize> = (0..ANYCAST.len()).collect();
        self.model.take_back(lane, Some(&named), polite);
        self.model.lane(lane).connection = None;
        let session = self
            .sessions
            .iter()
            .position(|s| s.lane == Some(lane))
            .expect("a session");
        if session == SESSIONS - 1 {
            self.end_session(session);
        }
    }

    fn end_session(&mut self, session: usize) {
        let gone = std::mem::replace(&mut self.sessions[session], Session::new());
        if let Some(queue) = gone.own {
            self.model.queues[queue].messages.clear();
        }
        if let Some(lane) = gone.lane {
            self.model.readmit(lane, None);
            self.model.lanes[lane] = None;
        }
    }

    fn attach(&mut self, slot: u32) {
        let session = self.pick(SESSIONS);
        if self.model.lane_of(slot, 0).is_some() || self.has_consumers(slot) {
            return;
        }
        let known = self.sessions[session].lane;
        let before = known.and_then(|lane| self.model.lane(lane).connection);
        if let Some(before) = before {
            self.detach(before, false);
            if let Some(lane) = self.sessions[session].lane {
                let lane = self.model.lane(lane);
                lane.handed = lane.next_tag - 1;
            }
        }
        let durable = session != SESSIONS - 1;
        let lane = match self.sessions[session].lane {
            Some(lane) => lane,
            None => self.new_lane(slot, 0, 0, false),
        };
        self.sessions[session].lane = Some(lane);
        self.model.lane(lane).connection = Some(slot);
        self.model.lane(lane).window = 40;
        let name = format!("session {session}");
        let mut attach = if durable {
            attach(&name, None)
        } else {
            clean(&name, None)
        };
        attach.window = 40;
        if durable {
            attach.expiry_ms = None;
        }
        self.run(slot, vec![Command::Attach(attach)]);
        if let Some(before) = before {
            // Whoever lost its session may only end.
            for key in 1..4 {
                if let Some(lane) = self.model.lane_of(before, key) {
                    self.end_lane(lane, false);
                }
            }
            let effects = self
                .shell
                .run(self.id(before), vec![Command::Close(Close::default())]);
            self.judge(&effects);
            self.generations[before as usize] += 1;
            self.outstanding[before as usize] = 0;
        }
    }

    fn has_consumers(&self, slot: u32) -> bool {
        (1..4).any(|key| self.model.lane_of(slot, key).is_some())
    }

    fn attached(&self, slot: u32) -> Option<usize> {
        let lane = self.model.lane_of(slot, 0)?;
        self.sessions
            .iter()
            .position(|session| session.lane == Some(lane))
    }

    fn bind(&mut self, slot: u32) {
        let Some(session) = self.attached(slot) else {
            return;
        };
        let lane = self.model.lane_of(slot, 0).expect("a lane");
        let requested: BindRequest = if self.chance(70) {
            let pattern = self.pick(FILTERS.len());
            if self.sessions[session].own.is_none() {
                let own = self.new_queue(session != SESSIONS - 1, true);
                self.sessions[session].own = Some(own);
                self.model.lane(lane).queues.push(own);
            }
            if !self.sessions[session].filters.contains(&pattern) {
                self.sessions[session].filters.push(pattern);
            }
            request(FILTERS[pattern], 1, false)
        } else {
            let queue = 1 + self.pick(ANYCAST.len() - 1);
            if !self.sessions[session].named.contains(&queue) {
                self.sessions[session].named.push(queue);
                self.model.lane(lane).queues.push(queue);
            }
            bind_queue(ANYCAST[queue])
        };
        let requests = vec![requested];
        self.run(
            slot,
            vec![Command::Bind {
                requests,
                token: None,
            }],
        );
    }

    fn unbind(&mut self, slot: u32) {
        let Some(session) = self.attached(slot) else {
            return;
        };
        let lane = self.model.lane_of(slot, 0).expect("a lane");
        let target = if self.chance(50) && !self.sessions[session].named.is_empty() {
            let queue = self.sessions[session].named.remove(0);
            self.model.take_back(lane, Some(&[queue]), true);
            self.model.readmit(lane, Some(queue));
            self.model.lane(lane).queues.retain(|other| *other != queue);
            bind_queue(ANYCAST[queue]).target
        } else if let Some(pattern) = self.sessions[session].filters.pop() {
            BindTarget::Filter(filter(FILTERS[pattern]))
        } else {
            return;
        };
        let filters = vec![target];
        self.run(
            slot,
            vec![Command::Unbind {
                filters,
                token: None,
            }],
        );
    }

    fn receive(&mut self, slot: u32) {
        let queue = self.pick(ANYCAST.len());
        let n = 1 + u32::try_from(self.below(8)).unwrap();
        self.receives += 1;
        let command = self.shell.receive_command(ANYCAST[queue], n, 0, 1_000);
        self.run(slot, vec![command]);
    }

    fn lease(&mut self, slot: u32) {
        if self.model.leases.is_empty() {
            return;
        }
        let at = self.pick(self.model.leases.len());
        let lease = self.model.leases[at].clone();
        let messages = &self.model.queues[lease.queue].messages;
        let held = messages.iter().find(|m| m.state == State::Leased(lease.id));
        let entry = held.expect("a leased message").entry;
        let action = match self.below(10) {
            0 => LeaseAction::Return,
            1 => LeaseAction::Settle(Outcome::Failed { delay_ms: None }),
            2 => LeaseAction::Extend { lease_ms: 1_500 },
            _ => LeaseAction::Settle(Outcome::Accepted),
        };
        if let LeaseAction::Extend { lease_ms } = action {
            self.sets += 1;
            self.model.leases[at].until_ms = self.shell.now.mono_ms + lease_ms;
            self.model.leases[at].set = self.sets;
        } else {
            self.model.leases.remove(at);
        }
        match action {
            LeaseAction::Return => self.model.free(lease.queue, entry),
            LeaseAction::Settle(outcome) => self.model.end(lease.queue, entry, outcome),
            LeaseAction::Extend { .. } => {}
        }
        let command = Command::Lease {
            lease: lease.id,
            action,
            token: Some(Token(0)),
        };
        let effects = self.run(slot, vec![command]);
        let refused = |effect: &Effect| {
            matches!(
                effect,
                Effect::Answer {
                    answer: Answer::Refused(_),
                    ..
                }
            )
        };
        assert!(!effects.iter().any(refused), "a live lease");
    }

    fn sleep(&mut self) {
        let ms = if self.chance(90) {
            self.below(15)
        } else {
            self.below(1_200)
        };
        self.model.expire_leases(self.shell.now.mono_ms + ms);
        let effects = self.shell.sleep(ms);
        self.judge(&effects);
    }

    /// Replays the log in several ways, then goes on with what came of it.
    fn crash(&mut self) {
        self.compare_replays();
        self.shell.restart();
        for slot in 0..SLOTS as usize {
            self.generations[slot] = 1;
            self.outstanding[slot] = 0;
        }
        self.model.crash();
        for queue in ANYCAST.len()..self.model.queues.len() {
            if !self.model.queues[queue].durable {
                self.model.queues[queue].messages.clear();
            }
        }
        self.subscriptions.clear();
        let next_tags: Vec<(usize, Tag)> = self.recovered_lanes();
        for (place, lane) in self.model.lanes.iter_mut().enumerate() {
            let kept = next_tags.iter().find(|(at, _)| *at == place);
            match (lane.as_mut(), kept) {
                (Some(lane), Some((_, next))) => {
                    lane.connection = None;
                    lane.next_tag = *next;
                    lane.written = next - 1;
                }
                _ => *lane = None,
            }
        }
        self.sessions[SESSIONS - 1] = Session::new();
        self.check();
    }

    /// Lanes of the sessions that survive, with the tags they go on with.
    fn recovered_lanes(&self) -> Vec<(usize, Tag)> {
        let mut lanes = Vec::new();
        for (number, session) in self.sessions[..SESSIONS - 1].iter().enumerate() {
            let name = format!("session {number}");
            let known = self.shell.broker.session_names.get(name.as_str());
            let (Some(lane), Some(known)) = (session.lane, known) else {
                continue;
            };
            let state = self.shell.broker.sessions.at(known.0).unwrap();
            let next = self.shell.broker.lanes.at(state.lane.0).unwrap().next_tag;
            lanes.push((lane, next));
        }
        lanes
    }

    fn compare_replays(&mut self) {
        let now = durable_state(&self.shell.broker);
        let records = self.shell.log.records.clone();
        let options = self.shell.options().clone();
        let replay = |broker: &mut Broker, from: usize| {
            for (position, kind, payload) in &records[from..] {
                broker.apply(*position, *kind, payload).unwrap();
            }
        };
        let mut whole = Broker::new(options.clone());
        replay(&mut whole, 0);
        assert_eq!(durable_state(&whole), now, "the log");
        let suffix = self.pick(records.len());
        replay(&mut whole, suffix);
        assert_eq!(durable_state(&whole), now, "a suffix of the log once more");
        let cut = self.pick(records.len());
        let mut half = Broker::new(options.clone());
        for (position, kind, payload) in &records[..cut] {
            half.apply(*position, *kind, payload).unwrap();
        }
        let mut resumed = Broker::new(options);
        half.checkpoint(&mut |kind, payload| {
            resumed.apply(0, kind, &payload.to_vec().into()).unwrap();
        });
        let from = self.pick(cut + 1);
        replay(&mut resumed, from);
        assert_eq!(
            durable_state(&resumed),
            now,
            "a checkpoint and the rest of the log"
        );
    }

    fn check(&self) {
        check(&self.shell.broker);
        assert_eq!(
            self.model.total(),
            self.shell.broker.counts().messages,
            "messages"
        );
        for slot in 0..SLOTS as u32 {
            if let Some(connection) = self.shell.broker.connection(self.id(slot)) {
                let out = i64::from(connection.room_max) - connection.room;
                assert_eq!(
                    out, self.outstanding[slot as usize] as i64,
                    "room of {slot}"
                );
            }
        }
    }
}

impl Session {
    fn new() -> Self {
        Self {
            lane: None,
            own: None,
            filters: Vec::new(),
            named: Vec::new(),
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// Nothing is lost, doubled or out of order; counts equal a recount; the log holds the state.
#[test]
fn random_commands_do_what_a_vector_of_queues_would() {
    let seed = number("TERNMQ_MODEL_SEED", 1);
    let commands = number("TERNMQ_MODEL_COMMANDS", 100_000);
    println!("TERNMQ_MODEL_SEED={seed} TERNMQ_MODEL_COMMANDS={commands}");
    let mut run = Run::new(seed);
    for n in 1..=commands {
        run.step();
        if n % 64 == 0 || run.trace {
            run.check();
        }
        if n % 2_048 == 0 {
            run.crash();
        }
        if n % 8_192 == 0 {
            // A fresh log, and other limits.
            run = Run::new(seed + n / 8_192);
        }
    }
}
