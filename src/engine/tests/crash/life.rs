//! One life of a whole broker, stepped by hand: clients that publish, consume, settle, lease,
//! subscribe and vanish, and the parts of the engine, in an order that a seed chooses.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

use ternmq_core::command::{Close, LeaseAction, LeaseId, Outcome, Receive};
use ternmq_core::settings::{AddressPattern, AddressRule, DeliveryAttempts, SettingsTable};

use crate::engine::EngineError;
use crate::engine::checkpoint::Serialised;

use super::hands::Hands;
use super::ledger::{End, Home, Ledger};
use super::links::Links;
use super::*;

pub(super) const QUEUES: [&str; 3] = ["a", "b", "c"];
pub(super) const SESSIONS: [&str; 2] = ["one", "two"];
pub(super) const RETAINED: usize = 3;
const TOPIC: &str = "t.x";

/// What an answer will mean.
enum Asked {
    Publish(Vec<(Home, u64)>),
    Value(usize, u64),
    End(Vec<(Home, u64)>, End),
    Session(usize, Vec<u64>),
    Receive(usize),
}

/// A client, and what it holds.
struct Peer {
    client: Client,
    home: Option<Home>,
    asked: BTreeMap<u64, Asked>,
    held: VecDeque<(Tag, u64)>,
    leases: Vec<(LeaseId, usize, u64)>,
    written: Tag,
}

impl Peer {
    fn new(world: &World, home: Option<Home>) -> Self {
        Self {
            client: world.client(),
            home,
            asked: BTreeMap::new(),
            held: VecDeque::new(),
            leases: Vec::new(),
            written: 0,
        }
    }
}

/// A broker, its clients and its ledger.
pub(super) struct Life {
    pub(super) world: World,
    pub(super) ledger: Ledger,
    random: u64,
    senders: Vec<Peer>,
    consumers: Vec<Peer>,
    sessions: Vec<Option<Peer>>,
    leaser: Peer,
    hands: Hands,
    links: Links,
    checkpoint: Option<Serialised>,
    pub(super) checkpoints: usize,
    next_id: u64,
}

/// The smallest segments, and two attempts.
pub(super) fn change(options: &mut EngineOptions) {
    options.segment_size = 256 << 10;
    let mut rule = AddressRule::new(AddressPattern::any());
    let two = NonZeroU32::new(2).unwrap();
    rule.max_delivery_attempts = Some(DeliveryAttempts::AtMost(two));
    rule.auto_delete_queues = Some(false);
    options.broker.settings = SettingsTable::new(vec![rule]);
}

/// Recovers what is on a disk.
pub(super) fn open(disk: &SimDisk) -> Result<World, EngineError> {
    let time = Arc::new(Manual::default());
    time.set_wall(1_000_000);
    let mut options = options(&time);
    change(&mut options);
    let engine = Engine::open(Arc::new(disk.clone()), options, seed(disk.points() + 1))?;
    let disk = disk.clone();
    let world = World { disk, time, engine };
    world.engine.shared.step_deadlines();
    Ok(world)
}

impl Life {
    /// Begins a life on a disk. An error means that the power failed.
    pub(super) fn start(disk: &SimDisk, seed: u64, mut ledger: Ledger) -> Result<Self, Ledger> {
        let Ok(world) = open(disk) else {
            return Err(ledger);
        };
        let mut life = Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            senders: (0..2).map(|_| Peer::new(&world, None)).collect(),
            consumers: Vec::new(),
            sessions: SESSIONS.iter().map(|_| None).collect(),
            leaser: Peer::new(&world, None),
            hands: Hands::connect(&world, &mut ledger.handshakes),
            links: Links::connect(&world, seed),
            checkpoint: None,
            checkpoints: 0,
            // A later life has a later seed, so its numbers are higher.
            next_id: 1_000_000 * seed,
            world,
            ledger,
        };
        let declare = |name: &&str| {
            Command::DeclareQueue(QueueSpec {
                queue: QueueName::parse(name, Dialect::Canonical, 1_000).unwrap(),
                address: address(name),
                routing: RoutingType::Anycast,
                durable: true,
            })
        };
        life.world
            .engine
            .declare(QUEUES.iter().chain(&["DLQ"]).map(declare).collect());
        // Answers of declarations wait for nobody: what comes after is behind their records.
        for queue in 0..QUEUES.len() {
            life.open_consumer(queue);
        }
        Ok(life)
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

    /// Acts this often. False when the power has failed.
    pub(super) fn run(&mut self, actions: u32) -> bool {
        for _ in 0..actions {
            if !self.act() {
                return false;
            }
            self.take_all();
        }
        // Everything asked is answered in the end, if the power stays.
        for _ in 0..4 {
            if !self.step_all() {
                return false;
            }
            self.take_all();
        }
        true
    }

    fn act(&mut self) -> bool {
        if self.below(4) == 0 {
            let random = self.below(1 << 40);
            self.hands
                .act(random, &mut self.ledger.handshakes, &self.world);
            return true;
        }
        if self.below(3) == 0 {
            let random = self.below(1 << 40);
            self.links
                .act(random, &mut self.ledger.history, &self.world);
            return true;
        }
        match self.below(100) {
            0..20 => self.publish(),
            20..26 => self.publish_topic(),
            26..30 => self.publish_value(),
            30..56 => self.settle_some(),
            56..59 => self.receive(),
            59..64 => self.settle_lease(),
            64..65 => self.lose_consumer(),
            65..69 => self.toggle_session(),
            69..86 => return self.step(),
            86..91 => return self.fill(),
            91..94 => self.pass_time(),
            _ => return self.step_checkpoint(),
        }
        true
    }

    /// One turn of the journal thread. False when the power has failed.
    fn step(&self) -> bool {
        let shared = &self.world.engine.shared;
        match shared.journal.step() {
            Ok(Step::Idle) => true,
            Ok(Step::Committed { waiters }) => {
                shared.counters.committed(shared.journal.durable());
                shared.releases.hand_over(waiters);
                shared.step_releases();
                true
            }
            Err(error) => {
                shared.poison.set(&error);
                false
            }
        }
    }

    fn fill(&self) -> bool {
        self.world.engine.shared.journal.filler_step().is_ok()
    }

    fn step_all(&mut self) -> bool {
        for _ in 0..3 {
            if !self.fill() || !self.step() {
                return false;
            }
        }
        self.pass_time();
        self.step()
    }

    fn pass_time(&mut self) {
        let ms = self.below(200);
        self.world.time.advance(ms);
        self.world.engine.shared.step_deadlines();
    }

    /// Begins a checkpoint, or writes the one begun down when its log is durable: what happened
    /// meanwhile must not be in it, and must be replayed.
    fn step_checkpoint(&mut self) -> bool {
        let shared = &self.world.engine.shared;
        let Some(state) = self.checkpoint.take() else {
            self.checkpoint = Some(shared.serialise());
            return true;
        };
        if shared.journal.durable() < state.applied {
            self.checkpoint = Some(state);
            return self.step();
        }
        self.checkpoints += 1;
        shared.keep(&state).is_ok()
    }

    fn body(&mut self, id: u64) -> Vec<u8> {
        let padding = match self.below(12) {
            0 | 1 => 9_000,
            2 => 1_500,
            _ => self.below(150),
        };
        let mut body = id.to_le_bytes().to_vec();
        body.resize(8 + usize::try_from(padding).unwrap(), b'.');
        body
    }

    /// A run of up to 20 messages.
    fn new_run(&mut self, to: &str, most: u64, durable: Durable) -> (Run, Vec<u64>) {
        let (mut block, mut ends, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let count = match self.below(3) {
            0 => 1 + self.below(most),
            _ => 1,
        };
        for _ in 0..count {
            self.next_id += 1;
            ids.push(self.next_id);
            let body = self.body(self.next_id);
            if block.len() + body.len() > 12_000 && !block.is_empty() {
                ids.pop();
                break;
            }
            block.extend_from_slice(&body);
            ends.push(u32::try_from(block.len()).unwrap());
        }
        let envelope = run_of(to, Bytes::new(), durable).envelope;
        let run = Run::new(envelope, Format(1), block.into(), &ends).unwrap();
        (run, ids)
    }

    fn submit_publish(&mut self, run: Run, mode: SendMode, retain: Retain, asked: Asked) {
        let at = self.pick(self.senders.len());
        let sender = &mut self.senders[at];
        let token = sender.client.next_token();
        sender.asked.insert(token.0, asked);
        sender.client.submit(Command::Publish(Publish {
            run: Arc::new(run),
            mode,
            queue: None,
            retain,
            receipt: None,
            token: Some(token),
        }));
    }

    fn publish(&mut self) {
        let queue = self.pick(QUEUES.len());
        let durable = if self.below(5) == 0 {
            Durable::No
        } else {
            Durable::Yes
        };
        let (run, ids) = self.new_run(QUEUES[queue], 20, durable);
        let home = Home::Queue(queue);
        for id in &ids {
            self.ledger.sent(home, *id, durable == Durable::Yes);
        }
        let asked = ids.into_iter().map(|id| (home, id)).collect();
        self.submit_publish(run, SendMode::Anycast, Retain::No, Asked::Publish(asked));
    }

    /// To every session there is.
    fn publish_topic(&mut self) {
        let (run, ids) = self.new_run(TOPIC, 5, Durable::Yes);
        let mut asked = Vec::new();
        for session in 0..SESSIONS.len() {
            if !self.ledger.sessions.contains_key(&session) {
                continue;
            }
            let home = Home::Session(session);
            for id in &ids {
                self.ledger.sent(home, *id, true);
                asked.push((home, *id));
            }
        }
        self.submit_publish(run, SendMode::Multicast, Retain::No, Asked::Publish(asked));
    }

    fn publish_value(&mut self) {
        let at = self.pick(RETAINED);
        let (run, ids) = self.new_run(&format!("r.{at}"), 1, Durable::Yes);
        self.ledger.value_sent(at, ids[0]);
        let asked = Asked::Value(at, ids[0]);
        self.submit_publish(run, SendMode::Multicast, Retain::Store, asked);
    }

    fn open_consumer(&mut self, queue: usize) {
        let mut peer = Peer::new(&self.world, Some(Home::Queue(queue)));
        peer.client.consume_queue(1, QUEUES[queue], 60);
        self.consumers.push(peer);
    }

    /// Ends some of what a consumer or a session holds.
    fn settle_some(&mut self) {
        let at = self.pick(QUEUES.len() + SESSIONS.len());
        let n = self.pick(30) + 1;
        let (reject, answered) = (self.below(8) == 0, self.below(3) > 0);
        let peer = match at.checked_sub(QUEUES.len()) {
            None => Some(&mut self.consumers[at]),
            Some(session) => self.sessions[session].as_mut(),
        };
        let Some(peer) = peer else { return };
        let Some(home) = peer.home else { return };
        let reject = reject && matches!(home, Home::Queue(_));
        let Some(&(first, _)) = peer.held.front() else {
            return;
        };
        let consecutive = peer.held.iter().zip(first..);
        let n = consecutive
            .take(n)
            .take_while(|((tag, _), want)| tag == want)
            .count();
        let ended: Vec<_> = peer.held.drain(..n).map(|(_, id)| (home, id)).collect();
        let (outcome, asked, done) = if reject {
            (Outcome::Rejected, End::MoveAsked, End::Moved)
        } else {
            (Outcome::Accepted, End::AckAsked, End::Acked)
        };
        for (home, id) in &ended {
            self.ledger.end(*home, *id, asked);
        }
        let token = answered.then(|| peer.client.next_token());
        if let Some(token) = token {
            peer.asked.insert(token.0, Asked::End(ended, done));
        }
        let consumer = match home {
            Home::Queue(_) => ConsumerKey(1),
            Home::Session(_) => ConsumerKey::SESSION,
        };
        let n = u32::try_from(n).unwrap();
        let tags = Tags::Range { first, n };
        peer.client.submit(Command::Settle(Settle {
            consumer,
            tags,
            outcome,
            note: None,
            token,
        }));
    }

    fn receive(&mut self) {
        let queue = self.pick(QUEUES.len());
        let token = self.leaser.client.next_token();
        self.leaser.asked.insert(token.0, Asked::Receive(queue));
        self.leaser.client.submit(Command::Receive(Receive {
            source: Source::Anycast(address(QUEUES[queue])),
            max_messages: 4,
            max_bytes: 1 << 20,
            wait_ms: 100,
            lease_ms: 1_000,
            token,
        }));
    }

    fn settle_lease(&mut self) {
        let reject = self.below(4) == 0;
        let Some((lease, queue, id)) = self.leaser.leases.pop() else {
            return;
        };
        let home = Home::Queue(queue);
        let (outcome, asked, done) = if reject {
            (Outcome::Rejected, End::MoveAsked, End::Moved)
        } else {
            (Outcome::Accepted, End::AckAsked, End::Acked)
        };
        self.ledger.end(home, id, asked);
        let token = self.leaser.client.next_token();
        let ended = Asked::End(vec![(home, id)], done);
        self.leaser.asked.insert(token.0, ended);
        self.leaser.client.submit(Command::Lease {
            lease,
            action: LeaseAction::Settle(outcome),
            token: Some(token),
        });
    }

    /// A connection breaks, and another takes its place.
    fn lose_consumer(&mut self) {
        let queue = self.pick(QUEUES.len());
        let mut peer = self.consumers.remove(queue);
        let home = Home::Queue(queue);
        for (_, id) in &peer.held {
            self.ledger.may_move(home, *id);
        }
        peer.client.link.close(Close {
            polite: false,
            written: vec![(ConsumerKey(1), peer.written)],
        });
        self.open_consumer(queue);
        let new = self.consumers.pop().unwrap();
        self.consumers.insert(queue, new);
    }

    /// Attaches a session or lets go of it; now and then what there was is discarded.
    fn toggle_session(&mut self) {
        let at = self.pick(SESSIONS.len());
        let clean = self.below(6) == 0;
        if self.sessions[at].is_some() && self.below(3) > 0 {
            return;
        }
        if let Some(mut peer) = self.sessions[at].take() {
            peer.client.link.close(Close::default());
            return;
        }
        let mut peer = Peer::new(&self.world, Some(Home::Session(at)));
        let mut discarded = Vec::new();
        if clean {
            discarded = self.ledger.ids(Home::Session(at));
            self.ledger.clean(at, &discarded, End::AckAsked);
        }
        let known = self.ledger.sessions.get(&at).copied().unwrap_or(false);
        // A session that is discarded is made anew in the same commit.
        self.ledger.sessions.insert(at, known);
        let token = attach(&mut peer.client, SESSIONS[at], clean);
        peer.asked.insert(token.0, Asked::Session(at, discarded));
        bind(&mut peer.client, "t.#", false);
        self.sessions[at] = Some(peer);
    }

    /// Without consumers, subscriptions hold what they must.
    pub(super) fn end_links(mut self) -> Result<(), String> {
        self.links.end_all(&mut self.ledger.history, &self.world)
    }

    /// Everybody looks at what came.
    fn take_all(&mut self) {
        let Self {
            ledger,
            senders,
            consumers,
            sessions,
            leaser,
            hands,
            links,
            ..
        } = self;
        hands.take(&mut ledger.handshakes);
        links.take(&mut ledger.history);
        let peers = senders.iter_mut().chain(consumers);
        for peer in peers.chain(sessions.iter_mut().flatten()).chain([leaser]) {
            let released = peer.client.take();
            for (token, answer) in released.answers {
                peer.answered(token, answer, ledger);
            }
            for outgoing in released.deliveries {
                peer.delivered(outgoing, ledger);
            }
        }
    }
}

impl Peer {
    fn answered(&mut self, token: Token, answer: Answer, ledger: &mut Ledger) {
        let Some(asked) = self.asked.remove(&token.0) else {
            return;
        };
        let refused = matches!(answer, Answer::Refused(_));
        match asked {
            Asked::Receive(queue) => {
                let Answer::Received(leased) = answer else {
                    return;
                };
                for one in leased {
                    let delivery = one.delivery;
                    let id = id_of(delivery.run.message(delivery.first));
                    ledger.confirmed(Home::Queue(queue), id);
                    // It may lapse, which is a failure.
                    ledger.may_move(Home::Queue(queue), id);
                    self.leases.push((one.lease, queue, id));
                }
            }
            _ if refused => {}
            Asked::Publish(places) => {
                for (home, id) in places {
                    ledger.confirmed(home, id);
                }
            }
            Asked::Value(at, id) => ledger.value_confirmed(at, id),
            Asked::End(places, end) => {
                for (home, id) in places {
                    ledger.end(home, id, end);
                }
            }
            Asked::Session(at, discarded) => {
                ledger.sessions.insert(at, true);
                ledger.clean(at, &discarded, End::Acked);
            }
        }
    }

    fn delivered(&mut self, outgoing: Outgoing, ledger: &mut Ledger) {
        let (Outgoing::Delivery(delivery), Some(home)) = (outgoing, self.home) else {
            return;
        };
        let room = delivery.room();
        for offset in 0..delivery.count {
            let tag = delivery.tag + u64::from(offset);
            let id = id_of(delivery.run.message(delivery.first + offset));
            ledger.confirmed(home, id);
            self.held.push_back((tag, id));
            self.written = self.written.max(tag);
        }
        let consumer = delivery.consumer;
        let tag = self.written;
        let mut commands = vec![Command::Room(room), Command::Written { consumer, tag }];
        self.client.link.submit(&mut commands);
    }
}

pub(super) fn id_of(body: &[u8]) -> u64 {
    u64::from_le_bytes(*body.first_chunk().expect("a body of the test"))
}

/// Attaches a durable session; gives the token.
pub(super) fn attach(client: &mut Client, name: &str, clean: bool) -> Token {
    let token = client.next_token();
    client.submit(Command::Attach(Attach {
        name: name.into(),
        principal: "user".into(),
        clean,
        expiry_ms: None,
        durable: true,
        hold: false,
        window: 1_000,
        will: None,
        token: Some(token),
    }));
    token
}

pub(super) fn bind(client: &mut Client, pattern: &str, retained: bool) {
    let token = client.next_token();
    client.submit(Command::Bind {
        requests: vec![BindRequest {
            target: BindTarget::Filter(filter(pattern)),
            options: BindOptions {
                qos: 1,
                ..BindOptions::default()
            },
            retained: if retained {
                RetainedReplay::Always
            } else {
                RetainedReplay::Never
            },
        }],
        token: Some(token),
    });
}
