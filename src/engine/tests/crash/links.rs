//! The connections of consumers with links, as AMQP has them: named subscriptions that are made,
//! filled, taken over and ended, every outcome, notes, credit, drains and temporary destinations.

use std::collections::BTreeMap;

use ternmq_core::command::{Close, NamedSubscription, Outcome};

use super::subscriptions::{Change, FIRST_ID, History, Kept, Note, PLANS, Subscription, Truth};
use super::*;

/// One life of them.
pub(super) struct Links {
    publisher: Peer,
    /// By plan; one each, or two if they share.
    consumers: Vec<Vec<Peer>>,
    temporary: Option<Peer>,
    browser: Option<Peer>,
    next_id: u64,
}

struct Peer {
    client: Client,
    asked: BTreeMap<u64, Asked>,
    held: BTreeMap<Tag, u64>,
    until: Tag,
}

/// What an answer will mean.
enum Asked {
    Change(usize, &'static str),
    Drain,
}

const KEY: ConsumerKey = ConsumerKey(1);
/// Places in [`PLANS`].
const SHARED: usize = 1;
const CHANGING: usize = 2;

impl Peer {
    fn new(world: &World) -> Self {
        Self {
            client: world.client(),
            asked: BTreeMap::new(),
            held: BTreeMap::new(),
            until: 1,
        }
    }

    fn ask(&mut self, asked: Asked) -> Token {
        let token = self.client.next_token();
        self.asked.insert(token.0, asked);
        token
    }

    fn consume(&mut self, source: Source, token: Token) {
        self.open(source, token, false);
    }

    fn open(&mut self, source: Source, token: Token, browse: bool) {
        self.client.submit(Command::Consume(Consume {
            consumer: KEY,
            source,
            settle: SettleMode::Explicit,
            prefetch: 1_000_000,
            options: ConsumeOptions {
                until: self.until,
                browse,
                ..ConsumeOptions::default()
            },
            token: Some(token),
        }));
    }

    /// Ends a connection; nothing that it held has failed.
    fn leave(mut self) {
        self.client.link.close(Close {
            polite: true,
            written: Vec::new(),
        });
    }
}

fn queue_name(name: &str) -> QueueName {
    QueueName::parse(name, Dialect::Canonical, 1_000).unwrap()
}

fn named(at: usize, to: &str) -> NamedSubscription {
    NamedSubscription {
        queue: queue_name(PLANS[at].name),
        filter: filter(to),
        durable: PLANS[at].durable,
        shared: PLANS[at].shared,
    }
}

impl Links {
    pub(super) fn connect(world: &World, seed: u64) -> Self {
        Self {
            publisher: Peer::new(world),
            consumers: PLANS.iter().map(|_| Vec::new()).collect(),
            temporary: None,
            browser: None,
            next_id: FIRST_ID + 1_000_000 * seed,
        }
    }

    /// Does something, as `random` says.
    pub(super) fn act(&mut self, random: u64, history: &mut History, world: &World) {
        let (at, more) = (usize::try_from(random / 32 % 4).unwrap(), random / 128);
        match random % 32 {
            0..6 => self.publish(more, history),
            6 | 7 => self.join(at, more, history, world),
            8 if more.is_multiple_of(4) => self.change(more, history, world),
            9..24 => self.settle(at, more, history),
            24..27 => self.credit(at, more),
            27 => self.drain(at),
            28 => self.browse(more, world),
            29 => self.temporary(history, world),
            30 => self.leave(at, history),
            _ if more.is_multiple_of(3) => self.end(at, history),
            _ => {}
        }
    }

    fn publish(&mut self, random: u64, history: &mut History) {
        let topic = if random.is_multiple_of(3) {
            "n.b"
        } else {
            "n.a"
        };
        let durable = if (random / 3).is_multiple_of(5) {
            Durable::No
        } else {
            Durable::Yes
        };
        let ids: Vec<u64> = (0..1 + random / 15 % 4).map(|n| self.next_id + n).collect();
        self.next_id += ids.len() as u64;
        let block: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let ends: Vec<u32> = (1..=ids.len()).map(|n| 8 * n as u32).collect();
        let envelope = run_of(topic, Bytes::new(), durable).envelope;
        let run = Run::new(envelope, Format(1), block.into(), &ends).unwrap();
        let change = history.add(Change::Publish {
            topic,
            ids,
            durable: durable == Durable::Yes,
        });
        let token = Some(self.publisher.ask(Asked::Change(change, "published")));
        self.publisher.client.submit(Command::Publish(Publish {
            run: Arc::new(run),
            mode: SendMode::Multicast,
            queue: None,
            retain: Retain::No,
            receipt: None,
            token,
        }));
    }

    /// One more consumer, which takes a subscription over if that has one already and is not shared.
    fn join(&mut self, at: usize, random: u64, history: &mut History, world: &World) {
        let plan = &PLANS[at];
        if plan.shared && self.consumers[at].len() == 2 {
            return;
        }
        let there = history.now.subscriptions.get(&at);
        let mut filter = there.map_or(plan.filters[0], |there| there.filter);
        let mut what = "joined";
        if self.consumers[at].is_empty() && random.is_multiple_of(3) {
            let other = plan.filters[usize::from(filter == plan.filters[0])];
            what = if other == filter { what } else { "made anew" };
            filter = other;
        } else if !plan.shared && !self.consumers[at].is_empty() {
            what = "taken over";
        }
        let mut peer = Peer::new(world);
        peer.until = 1 + random / 3 % 20;
        let change = history.add(Change::Join(at, filter));
        let token = peer.ask(Asked::Change(change, what));
        peer.consume(Source::Subscription(named(at, filter)), token);
        if !plan.shared {
            self.consumers[at].clear();
        }
        self.consumers[at].push(peer);
    }

    /// A subscription to something else under the same name.
    fn change(&mut self, random: u64, history: &mut History, world: &World) {
        while !self.consumers[CHANGING].is_empty() {
            self.leave(CHANGING, history);
        }
        self.join(CHANGING, random * 3, history, world);
    }

    /// Somebody looks at a queue, in place of whoever did before.
    fn browse(&mut self, random: u64, world: &World) {
        let source = match random % 3 {
            0 => Source::Anycast(address(QUEUES[0])),
            1 => Source::Anycast(address("DLQ")),
            _ => Source::Queue {
                address: address(PLANS[SHARED].filters[0]),
                queue: queue_name(PLANS[SHARED].name),
            },
        };
        let mut peer = Peer::new(world);
        peer.until = 1 + random / 3 % 40;
        let token = peer.client.next_token();
        peer.open(source, token, true);
        self.browser = Some(peer);
    }

    fn leave(&mut self, at: usize, history: &mut History) {
        let Some(peer) = self.consumers[at].pop() else {
            return;
        };
        peer.leave();
        if self.consumers[at].is_empty() && !PLANS[at].durable {
            history.add(Change::End(at));
        }
    }

    /// Ends a durable subscription.
    fn end(&mut self, at: usize, history: &mut History) {
        if !PLANS[at].durable || !history.now.subscriptions.contains_key(&at) {
            return;
        }
        for peer in self.consumers[at].drain(..).chain(self.browser.take()) {
            peer.leave();
        }
        let change = history.add(Change::End(at));
        let token = Some(self.publisher.ask(Asked::Change(change, "ended")));
        let queue = queue_name(PLANS[at].name);
        let command = Command::Unsubscribe { queue, token };
        self.publisher.client.submit(command);
    }

    fn settle(&mut self, at: usize, random: u64, history: &mut History) {
        // The first from there on who has something.
        let holds = |at: &usize| self.consumers[*at].iter().any(|peer| !peer.held.is_empty());
        let Some(at) = (at..PLANS.len()).chain(0..at).find(holds) else {
            return;
        };
        let mut peers = self.consumers[at].iter_mut();
        let Some(peer) = peers.find(|peer| !peer.held.is_empty()) else {
            return;
        };
        let skipped = usize::try_from(random / 2 % 2).unwrap();
        let mut tags = peer.held.keys().copied().skip(skipped);
        let Some(first) = tags.next() else { return };
        let more = (first + 1..)
            .zip(tags)
            .take_while(|(next, tag)| next == tag);
        let n = 1 + more.take(usize::try_from(random / 8 % 5).unwrap()).count();
        let ids: Vec<u64> = (first..)
            .take(n)
            .filter_map(|tag| peer.held.remove(&tag))
            .collect();
        let failed = !(random / 40).is_multiple_of(3);
        let outcome = match random / 120 % 10 {
            0..5 => Outcome::Accepted,
            _ if !PLANS[at].durable => Outcome::Released,
            5 => Outcome::Released,
            6 | 7 => Outcome::Failed { delay_ms: None },
            8 => Outcome::Undeliverable { failed },
            _ => Outcome::Rejected,
        };
        let notes = outcome != Outcome::Accepted
            && PLANS[at].durable
            && !(random / 1_200).is_multiple_of(3);
        let note: Option<Note> = notes.then(|| random.to_le_bytes()[..6].into());
        let n = u32::try_from(ids.len()).unwrap();
        let change = history.add(Change::Settle {
            at,
            ids,
            outcome,
            note: note.clone(),
        });
        let answered = !(random / 3_600).is_multiple_of(3);
        let token = answered.then(|| peer.ask(Asked::Change(change, "settled")));
        peer.client.submit(Command::Settle(Settle {
            consumer: KEY,
            tags: Tags::Range { first, n },
            outcome,
            note,
            token,
        }));
    }

    fn credit(&mut self, at: usize, random: u64) {
        for peer in &mut self.consumers[at] {
            peer.until += random % 30;
            let until = peer.until;
            peer.client.submit(Command::Credit {
                consumer: KEY,
                until,
            });
        }
    }

    fn drain(&mut self, at: usize) {
        for peer in &mut self.consumers[at] {
            let token = peer.ask(Asked::Drain);
            peer.client.submit(Command::Drain {
                consumer: KEY,
                token,
            });
        }
    }

    /// A temporary queue with something in it, which goes with its connection or before.
    fn temporary(&mut self, history: &mut History, world: &World) {
        if let Some(peer) = self.temporary.take() {
            let address = history.temporaries.last().cloned().unwrap();
            if history.temporaries.len().is_multiple_of(2) {
                let token = None;
                peer.client
                    .submit(Command::DeleteTemporary { address, token });
            }
            return peer.leave();
        }
        let name = format!("temporary.{}", self.next_id);
        self.next_id += 1;
        history.temporaries.push(address(&name));
        history.count("temporary", 1);
        let mut peer = Peer::new(world);
        peer.client.submit(Command::CreateTemporary {
            address: address(&name),
            routing: RoutingType::Anycast,
            token: None,
        });
        self.publisher
            .client
            .send(&name, &self.next_id.to_le_bytes());
        peer.client.consume_queue(1, &name, 10);
        self.temporary = Some(peer);
    }

    /// All consumers leave; what there is goes to others, a crash or none.
    pub(super) fn end_all(&mut self, history: &mut History, world: &World) -> Result<(), String> {
        self.browser = None;
        for at in 0..PLANS.len() {
            while !self.consumers[at].is_empty() {
                self.leave(at, history);
            }
        }
        history.check_alive(&found(world, history)?)
    }

    /// Everybody looks at what came.
    pub(super) fn take(&mut self, history: &mut History) {
        if let Some(peer) = &self.temporary {
            peer.client.take();
        }
        if let Some(peer) = &self.browser {
            for outgoing in peer.client.take().deliveries {
                if let Outgoing::Delivery(delivery) = outgoing {
                    history.count("browsed", 1);
                    peer.client.submit(Command::Room(delivery.room()));
                }
            }
        }
        for (token, answer) in self.publisher.client.take().answers {
            self.publisher.answered(token, &answer, history);
        }
        for (at, peers) in self.consumers.iter_mut().enumerate() {
            for peer in peers {
                peer.take(at, history);
            }
        }
    }
}

impl Peer {
    fn take(&mut self, at: usize, history: &mut History) {
        let released = self.client.take();
        if let Some(ended) = released.consumers_ended.first() {
            history.fault(format!("{}: {ended:?}", PLANS[at].name));
        }
        for (token, answer) in released.answers {
            self.answered(token, &answer, history);
        }
        for outgoing in released.deliveries {
            let Outgoing::Delivery(delivery) = outgoing else {
                continue;
            };
            for offset in 0..delivery.count {
                let tag = delivery.tag + Tag::from(offset);
                let id = id_of(delivery.run.message(delivery.first + offset));
                history.delivered(at, id, delivery.attempts, delivery.note.as_ref());
                if tag >= self.until {
                    history.fault(format!("{id} behind the credit"));
                }
                self.held.insert(tag, id);
            }
            self.client.submit(Command::Room(delivery.room()));
        }
    }

    fn answered(&mut self, token: Token, answer: &Answer, history: &mut History) {
        let refused = matches!(answer, Answer::Refused(_));
        match self.asked.remove(&token.0) {
            Some(Asked::Change(_, what)) if refused => history.fault(format!("{what}: {answer:?}")),
            Some(Asked::Change(change, what)) => {
                history.answered(change);
                history.count(what, 1);
            }
            Some(Asked::Drain) => history.count("drained", 1),
            None => {}
        }
    }
}

/// What there is on a recovered broker, which stays as it is.
pub(super) fn found(world: &World, history: &History) -> Result<Truth, String> {
    let mut truth = Truth::default();
    let mut consumers = Vec::new();
    let mut asking = Peer::new(world);
    for plan in &PLANS {
        let token = asking.client.next_token();
        let queue = queue_name(plan.name);
        asking.client.submit(Command::LookUp { queue, token });
    }
    settle(world);
    let answers = asking.client.take().answers;
    for ((at, plan), (_, answer)) in PLANS.iter().enumerate().zip(answers) {
        let Answer::Found { subscription, .. } = answer else {
            continue;
        };
        let mut filters = plan.filters.into_iter();
        let to = filters.find(|to| subscription == named(at, to));
        let filter = to.ok_or_else(|| format!("{subscription:?}"))?;
        let messages = BTreeMap::new();
        truth
            .subscriptions
            .insert(at, Subscription { filter, messages });
        let source = Source::Subscription(subscription);
        consumers.push((Some(at), consumer(world, source)));
    }
    consumers.push((None, consumer(world, Source::Anycast(address("DLQ")))));
    loop {
        settle(world);
        let mut came = false;
        for (at, peer) in &consumers {
            for outgoing in peer.client.take().deliveries {
                came = true;
                if let Outgoing::Delivery(delivery) = outgoing {
                    peer.client.submit(Command::Room(delivery.room()));
                    note_found(*at, &delivery, &mut truth)?;
                }
            }
        }
        if !came {
            break;
        }
    }
    consumers.into_iter().for_each(|(_, peer)| peer.leave());
    no_temporaries(world, asking, history)?;
    settle(world);
    Ok(truth)
}

fn consumer(world: &World, source: Source) -> Peer {
    let mut peer = Peer::new(world);
    peer.until = Tag::MAX;
    let token = peer.client.next_token();
    peer.consume(source, token);
    peer
}

fn note_found(at: Option<usize>, delivery: &Delivery, truth: &mut Truth) -> Result<(), String> {
    let origin = delivery.origin.as_ref().map(|origin| &origin.queue);
    let from = PLANS
        .iter()
        .position(|plan| origin == Some(&queue_name(plan.name)));
    for index in delivery.first..delivery.first + delivery.count {
        let id = id_of(delivery.run.message(index));
        let kept = Kept {
            durable: delivery.run.envelope.durable,
            failures: delivery.attempts,
            note: delivery.note.clone(),
        };
        let in_order = match (at, from) {
            (Some(at), None) => {
                let there = truth.subscriptions.get_mut(&at);
                let messages = &mut there.ok_or("no subscription")?.messages;
                let last = messages.last_key_value().map(|(last, _)| *last);
                messages.insert(id, kept);
                last.is_none_or(|last| last < id)
            }
            (None, Some(from)) => truth.dead.insert((id, from), kept).is_none(),
            // Dead letters of others.
            (None, None) => id < FIRST_ID,
            (Some(_), Some(_)) => false,
        };
        if !in_order {
            return Err(format!("{id} of {from:?} is out of place in {at:?}"));
        }
    }
    Ok(())
}

/// Nothing of temporary destinations is left.
fn no_temporaries(world: &World, mut peer: Peer, history: &History) -> Result<(), String> {
    let some = || history.temporaries.iter().rev().take(3);
    for address in some() {
        let queue = QueueName::from(address);
        let address = address.clone();
        let token = peer.client.next_token();
        peer.consume(Source::Queue { address, queue }, token);
    }
    settle(world);
    let answers = peer.client.take().answers;
    let refused = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Answer::Refused(_)));
    if refused.count() != some().count() {
        return Err(format!("{answers:?} of {:?}", history.temporaries));
    }
    peer.leave();
    Ok(())
}
