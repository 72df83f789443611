//! Whatever connections submit, in whatever order: nothing panics, the journal is not poisoned, and
//! every command that has a token is answered once, in order (laws L2, L7, L27).

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
use ternmq_core::command::{
    Close, ConsumeOptions, LeaseAction, LeaseId, NamedSubscription, Outcome, Receive, RoutingType,
};
use ternmq_core::ids::QueueId;
use ternmq_journal::vfs::Faults;

use super::*;

/// One thing that happens: which, and what it is done with.
type Op = (u8, u16, u16);

/// A connection and what it has not been told yet.
struct Peer {
    client: Client,
    /// In the order of the commands.
    open: VecDeque<u64>,
    /// Receives and drains, which may be answered out of order.
    receives: BTreeSet<u64>,
    leases: Vec<LeaseId>,
}

impl Peer {
    fn new(world: &World) -> Self {
        Self {
            client: world.client(),
            open: VecDeque::new(),
            receives: BTreeSet::new(),
            leases: Vec::new(),
        }
    }

    fn token(&mut self) -> Option<Token> {
        let token = self.client.next_token();
        self.open.push_back(token.0);
        Some(token)
    }

    /// Looks at what came. False when the connection has to end.
    fn take(&mut self) -> bool {
        let released = self.client.take();
        for (token, answer) in released.answers {
            if let Answer::Received(leased) = &answer {
                self.leases.extend(leased.iter().map(|one| one.lease));
            }
            if !self.receives.remove(&token.0) {
                assert_eq!(self.open.pop_front(), Some(token.0), "answered out of turn");
            }
        }
        let room = released.deliveries.iter().map(|outgoing| match outgoing {
            Outgoing::Delivery(delivery) => delivery.room(),
            Outgoing::Fanout { .. } => 0,
        });
        let room = room.sum();
        if room > 0 {
            self.client.submit(Command::Room(room));
        }
        released.end.is_none()
    }
}

fn name(n: u16) -> String {
    match n % 7 {
        0 => format!("long.{}", "n".repeat(3_000)),
        n => format!("a.{n}"),
    }
}

fn tags(a: u16, b: u16) -> Tags {
    if a.is_multiple_of(4) {
        Tags::UpTo(u64::from(b % 64))
    } else {
        let (first, n) = (u64::from(a % 64), u32::from(b % 40));
        Tags::Range { first, n }
    }
}

fn outcome(n: u16) -> Outcome {
    match n % 7 {
        0 => Outcome::Released,
        5 => Outcome::Undeliverable { failed: false },
        6 => Outcome::Undeliverable { failed: true },
        1 => Outcome::Failed { delay_ms: None },
        2 => Outcome::Failed { delay_ms: Some(50) },
        3 => Outcome::Rejected,
        _ => Outcome::Accepted,
    }
}

fn key(n: u16) -> ConsumerKey {
    match n % 4 {
        0 => ConsumerKey::SESSION,
        n => ConsumerKey(n.into()),
    }
}

fn some_filter(n: u16) -> Filter {
    match n % 3 {
        0 => filter("a.*"),
        1 => filter("#"),
        _ => Filter::parse(&name(n), Dialect::Canonical, 4_096).unwrap(),
    }
}

fn target(n: u16) -> BindTarget {
    let text = name(n);
    if n.is_multiple_of(5) {
        BindTarget::Queue {
            address: Address::parse(&text, Dialect::Canonical, 4_096).unwrap(),
            queue: QueueName::parse(&text, Dialect::Canonical, 4_096).unwrap(),
        }
    } else {
        BindTarget::Filter(some_filter(n))
    }
}

fn source(n: u16) -> Source {
    let address = Address::parse(&name(n), Dialect::Canonical, 4_096).unwrap();
    match n % 6 {
        5 => {
            let named = NamedSubscription {
                queue: (&address).into(),
                filter: some_filter(n / 6),
                durable: !n.is_multiple_of(4),
                shared: n.is_multiple_of(7),
            };
            if n.is_multiple_of(5) {
                Source::UntypedSubscription(named)
            } else {
                Source::Subscription(named)
            }
        }
        0 => Source::Multicast(some_filter(n / 5)),
        1 => Source::Untyped(some_filter(n / 5)),
        2 => Source::Queue {
            queue: (&address).into(),
            address,
        },
        _ => Source::Anycast(address),
    }
}

fn some_publish(a: u16, b: u16, token: Option<Token>) -> Command {
    let durable = if b.is_multiple_of(3) {
        Durable::No
    } else {
        Durable::Yes
    };
    let mut envelope = run_of("a", Bytes::new(), durable).envelope;
    envelope.address = Address::parse(&name(a), Dialect::Canonical, 4_096).unwrap();
    if durable == Durable::No && b.is_multiple_of(2) {
        envelope.assurance = ternmq_core::message::Assurance::AtMostOnce;
    }
    envelope.expires_ms = if a.is_multiple_of(6) { 1_000_100 } else { 0 };
    let (count, length) = (u32::from(b % 50) + 1, u32::from(a % 900));
    let block = Bytes::from(vec![7; (count * length) as usize]);
    Command::Publish(Publish {
        run: Arc::new(Run::even(envelope, Format(1), block, count, length).unwrap()),
        mode: [
            SendMode::Publish,
            SendMode::Multicast,
            SendMode::Anycast,
            SendMode::Untyped,
        ][usize::from(a % 4)],
        queue: None,
        retain: match b % 8 {
            0 => Retain::Store,
            1 => Retain::Remove,
            _ => Retain::No,
        },
        receipt: None,
        token,
    })
}

fn some_bind(a: u16, b: u16, token: Option<Token>) -> Command {
    Command::Bind {
        requests: (0..b % 6)
            .map(|n| BindRequest {
                target: target(a.wrapping_add(n)),
                options: BindOptions {
                    qos: u8::from(!a.is_multiple_of(3)),
                    queued: b.is_multiple_of(2),
                    no_local: a.is_multiple_of(5),
                    retain_as_published: a.is_multiple_of(7),
                    id: u32::from(b % 3),
                },
                retained: if a.is_multiple_of(2) {
                    RetainedReplay::Always
                } else {
                    RetainedReplay::IfNew
                },
            })
            .collect(),
        token,
    }
}

/// A command of a connection, if the operation is one.
fn command((kind, a, b): Op, peer: &mut Peer) -> Option<Command> {
    Some(match kind % 18 {
        0..4 => some_publish(a, b, peer.token()),
        4 => Command::Consume(Consume {
            consumer: ConsumerKey(u32::from(a % 4)),
            source: source(b),
            settle: if a.is_multiple_of(3) {
                SettleMode::OnWrite
            } else {
                SettleMode::Explicit
            },
            prefetch: u32::from(b % 100),
            options: ConsumeOptions {
                until: if a.is_multiple_of(5) { 3 } else { Tag::MAX },
                browse: a.is_multiple_of(7),
                no_local: b.is_multiple_of(6),
                priority: i32::from(a % 3) - 1,
            },
            token: peer.token(),
        }),
        5 | 6 => Command::Settle(Settle {
            consumer: key(a),
            tags: tags(a, b),
            outcome: outcome(b),
            note: note(a),
            token: if b.is_multiple_of(3) {
                None
            } else {
                peer.token()
            },
        }),
        7 => Command::Attach(Attach {
            name: name(a % 4).into(),
            principal: if b == 0 { "other" } else { "user" }.into(),
            clean: a.is_multiple_of(3),
            expiry_ms: [Some(0), Some(500), None][usize::from(b % 3)],
            durable: !b.is_multiple_of(4),
            hold: a.is_multiple_of(2),
            window: u32::from(b % 50),
            will: None,
            token: peer.token(),
        }),
        8 => some_bind(a, b, peer.token()),
        9 => Command::Unbind {
            filters: (0..b % 3).map(|n| target(a.wrapping_add(n))).collect(),
            token: peer.token(),
        },
        10 => Command::Cancel {
            consumer: key(a),
            written: u64::from(b % 64),
            token: peer.token(),
        },
        11 => Command::Written {
            consumer: key(a),
            tag: u64::from(b % 64),
        },
        12 => {
            let token = peer.client.next_token();
            peer.receives.insert(token.0);
            Command::Receive(Receive {
                source: source(a),
                max_messages: u32::from(b % 9),
                max_bytes: u32::from(b),
                wait_ms: u64::from(b % 300),
                lease_ms: u64::from(a % 300),
                token,
            })
        }
        13 => Command::Lease {
            lease: peer.leases.pop().unwrap_or(LeaseId {
                queue: QueueId(u32::from(a)),
                sequence: b.into(),
                epoch: 1,
            }),
            action: match a % 3 {
                0 => LeaseAction::Return,
                1 => LeaseAction::Extend { lease_ms: 100 },
                _ => LeaseAction::Settle(outcome(b)),
            },
            token: peer.token(),
        },
        14 => Command::Credit {
            consumer: key(a),
            until: Tag::from(b % 50),
        },
        15 => {
            // It may wait for room, so it is answered in its own time.
            let token = peer.client.next_token();
            peer.receives.insert(token.0);
            let consumer = key(a);
            Command::Drain { consumer, token }
        }
        16 => node(a, b, peer.token()),
        _ => return None,
    })
}

/// Of up to 60,000 bytes, which is more than a commit takes here.
fn note(n: u16) -> Option<Arc<[u8]>> {
    let bytes = usize::from(n % 5) * 15_000;
    n.is_multiple_of(3).then(|| Arc::from(vec![7; bytes]))
}

/// On a temporary destination, a named subscription, or what a publish needs.
fn node(a: u16, b: u16, token: Option<Token>) -> Command {
    let address = Address::parse(&name(b), Dialect::Canonical, 4_096).unwrap();
    let temporary = Address::parse(&format!("$temp.{}", b % 3), Dialect::Canonical, 4_096);
    let temporary = temporary.unwrap();
    match a % 5 {
        0 => Command::CreateTemporary {
            address: temporary,
            routing: [RoutingType::Anycast, RoutingType::Multicast][usize::from(b % 2)],
            token,
        },
        1 => Command::DeleteTemporary {
            address: temporary,
            token,
        },
        2 => Command::Prepare {
            queue: b.is_multiple_of(5).then(|| (&address).into()),
            address,
            mode: [SendMode::Multicast, SendMode::Untyped][usize::from(b % 2)],
            token,
        },
        3 => Command::Unsubscribe {
            queue: (&address).into(),
            token,
        },
        _ => Command::LookUp {
            queue: (&address).into(),
            token: token.expect("a token"),
        },
    }
}

/// Something else than a command: the parts of the engine, the clock, the disk, an end.
fn elsewhere(world: &World, (_, a, b): Op, peer: &mut Peer) {
    match a % 6 {
        0 => {
            world.step();
        }
        1 => {
            // Fails while the disk is full.
            let _filled = world.engine.shared.journal.filler_step();
        }
        2 => {
            world.time.advance(u64::from(b % 400));
            world.engine.shared.step_deadlines();
        }
        3 => world.disk.set_faults(Faults {
            space: b.is_multiple_of(3).then_some(0),
            ..Faults::default()
        }),
        4 => world.engine.shared.step_releases(),
        _ => {
            let written = vec![(key(b), u64::from(b % 64))];
            let polite = b.is_multiple_of(2);
            peer.client.link.close(Close { polite, written });
            *peer = Peer::new(world);
        }
    }
}

fn run(ops: Vec<Op>) {
    let world = World::open(SimDisk::new(), |options| {
        options.segment_size = 256 << 10;
        options.outbox_bytes = 100_000;
    });
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::new(&world)).collect();
    let mut batch = Vec::new();
    for op in ops {
        let at = usize::from(op.0 / 16) % peers.len();
        let peer = &mut peers[at];
        match command(op, peer) {
            Some(command) => batch.push(command),
            None => elsewhere(&world, op, peer),
        }
        peer.client.link.submit(&mut batch);
        for peer in &mut peers {
            if !peer.take() {
                *peer = Peer::new(&world);
            }
        }
    }
    world.disk.set_faults(Faults::default());
    for _ in 0..60 {
        while world.engine.shared.journal.filler_step().unwrap() {}
        world.commit();
        world.time.advance(20);
        world.engine.shared.step_deadlines();
        for peer in &mut peers {
            if !peer.take() {
                *peer = Peer::new(&world);
            }
        }
    }
    let stats = world.engine.stats();
    assert!(!stats.journal.poisoned);
    assert_eq!(stats.waiting_for_disk, 0);
    for peer in &peers {
        let unanswered = (&peer.open, &peer.receives);
        assert!(
            peer.open.is_empty() && peer.receives.is_empty(),
            "{unanswered:?}"
        );
    }
    // What it left behind can be recovered.
    drop(peers);
    world.commit();
    World::open(world.disk.crash(2), |options| {
        options.segment_size = 256 << 10;
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(96),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn l2_l7_l27_any_input_is_answered_in_order_and_poisons_nothing(
        ops in prop::collection::vec(any::<Op>(), 1..250)
    ) {
        run(ops);
    }
}
