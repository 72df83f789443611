//! Law L7: what one call writes fits into its reservation, whatever a client has piled up. An
//! append beyond it would poison the journal.

use std::collections::BTreeSet;

use ternmq_core::command::{Close, Outcome};
use ternmq_core::error::Refusal;

use super::*;

/// The smallest there is: a commit is 64 KiB.
const SMALL: u64 = 256 << 10;

fn small() -> World {
    let world = World::open(SimDisk::new(), |options| {
        options.segment_size = SMALL;
        options.outbox_bytes = 1 << 24;
        options.max_connections = 10_000;
    });
    settle(&world);
    world
}

/// Lets every part do what it has to, prepared segments and checkpoints included.
fn settle(world: &World) {
    let shared = &world.engine.shared;
    let mut rounds = 0;
    while rounds < 3 || world.engine.stats().waiting_for_disk > 0 {
        rounds += 1;
        assert!(!world.engine.stats().journal.poisoned);
        assert!(rounds < 1_000, "parked commands make no progress");
        while shared.journal.filler_step().unwrap() {}
        world.commit();
        if std::mem::take(&mut *shared.checkpoints.due.lock()) {
            checkpoint::checkpoint(world);
        }
        world.time.advance(200);
        shared.step_deadlines();
        shared.step_releases();
    }
    assert!(!world.engine.stats().journal.poisoned);
}

/// A name of about this many bytes.
fn long_name(prefix: &str, bytes: usize) -> String {
    format!("{prefix}{}", "n".repeat(bytes))
}

fn long_address(name: &str) -> Address {
    Address::parse(name, Dialect::Canonical, 5_000).unwrap()
}

fn publish_to(client: &mut Client, name: &str, bodies: u32, mode: SendMode) -> Token {
    let token = client.next_token();
    let mut run = run_of("q", Bytes::from(vec![b'x'; bodies as usize]), Durable::Yes);
    run.envelope.address = long_address(name);
    let run = Run::even(run.envelope, Format(1), run_block(bodies), bodies, 1).unwrap();
    client.submit(Command::Publish(Publish {
        run: Arc::new(run),
        mode,
        queue: None,
        retain: Retain::No,
        receipt: None,
        token: Some(token),
    }));
    token
}

fn run_block(bodies: u32) -> Bytes {
    Bytes::from(vec![b'x'; bodies as usize])
}

/// Single messages, so that each is a piece of its own.
fn fill(world: &World, client: &mut Client, name: &str, messages: u32) {
    for n in 0..messages {
        publish_to(client, name, 1, SendMode::Anycast);
        if n % 200 == 199 {
            settle(world);
        }
    }
    settle(world);
    let (answers, refused) = {
        let released = client.take();
        (released.answers.len(), refusals(&released))
    };
    assert_eq!((answers, refused), (messages as usize, vec![]));
}

fn consume_all(world: &World, name: &str, prefetch: u32) -> (Client, u32) {
    let mut consumer = world.client();
    consumer.consume(1, Source::Anycast(long_address(name)), prefetch);
    settle(world);
    let released = consumer.take();
    let count = released
        .deliveries
        .iter()
        .map(|outgoing| match outgoing {
            Outgoing::Delivery(delivery) => delivery.count,
            Outgoing::Fanout { .. } => 0,
        })
        .sum();
    (consumer, count)
}

/// Mutant caught: `end_pieces` that does not ask for room.
#[test]
fn l7_rejecting_thousands_of_messages_with_long_names_takes_many_commits() {
    let world = small();
    let name = long_name("reject.", 3_000);
    let mut producer = world.client();
    fill(&world, &mut producer, &name, 1_500);
    let (mut consumer, count) = consume_all(&world, &name, 2_000);
    assert_eq!(count, 1_500);
    let receipt = consumer.next_token();
    consumer.submit(Command::Settle(Settle {
        consumer: ConsumerKey(1),
        tags: Tags::Range { first: 1, n: 1_500 },
        outcome: Outcome::Rejected,
        note: None,
        token: Some(receipt),
    }));
    settle(&world);
    assert_eq!(consumer.answers(), [receipt]);
    let later = world.crash(0);
    settle(&later);
    let (_consumer, dead) = consume_all(&later, "DLQ", 2_000);
    assert_eq!(dead, 1_500);
}

/// Mutant caught: `give_back` that does not ask for room.
#[test]
fn l7_connection_lost_with_thousands_of_written_deliveries_takes_many_commits() {
    let world = small();
    let mut producer = world.client();
    fill(&world, &mut producer, "close", 4_000);
    let (mut consumer, count) = consume_all(&world, "close", 5_000);
    assert_eq!(count, 4_000);
    let commits = world.engine.stats().journal.commits;
    consumer.link.close(Close {
        polite: false,
        written: vec![(ConsumerKey(1), 4_000)],
    });
    settle(&world);
    assert!(world.engine.stats().journal.commits > commits + 2);
    let later = world.crash(0);
    let mut consumer = later.client();
    consumer.consume_queue(1, "close", 5_000);
    settle(&later);
    let attempts: BTreeSet<u32> = consumer
        .take()
        .deliveries
        .iter()
        .map(|outgoing| match outgoing {
            Outgoing::Delivery(delivery) => delivery.attempts,
            Outgoing::Fanout { .. } => 0,
        })
        .collect();
    assert_eq!(attempts, BTreeSet::from([1]));
}

/// Mutant caught: `expire` that does not ask for room.
#[test]
fn l7_thousands_of_messages_that_expire_at_once_take_many_commits() {
    let world = small();
    let name = long_name("expire.", 3_500);
    let mut producer = world.client();
    for n in 0..600 {
        let mut run = run_of("q", Bytes::from_static(b"x"), Durable::Yes);
        run.envelope.address = long_address(&name);
        run.envelope.expires_ms = 10_000_000;
        let token = Some(producer.next_token());
        producer.submit(Command::Publish(Publish {
            run: Arc::new(run),
            mode: SendMode::Anycast,
            queue: None,
            retain: Retain::No,
            receipt: None,
            token,
        }));
        if n % 100 == 99 {
            settle(&world);
        }
    }
    world.time.advance(10_000_000);
    for _ in 0..20 {
        settle(&world);
    }
    let later = world.crash(0);
    settle(&later);
    assert_eq!(consume_all(&later, "ExpiryQueue", 1_000).1, 600);
}

fn attach(client: &mut Client, name: &str) {
    let token = client.next_token();
    client.submit(Command::Attach(Attach {
        name: name.into(),
        principal: "user".into(),
        clean: false,
        expiry_ms: None,
        durable: true,
        hold: false,
        window: 100,
        will: None,
        token: Some(token),
    }));
}

fn bind(client: &mut Client, filters: impl Iterator<Item = String>) -> Token {
    let token = client.next_token();
    let request = |name: String| BindRequest {
        target: BindTarget::Filter(Filter::parse(&name, Dialect::Canonical, 5_000).unwrap()),
        options: BindOptions {
            qos: 1,
            ..BindOptions::default()
        },
        retained: RetainedReplay::Never,
    };
    client.submit(Command::Bind {
        requests: filters.map(request).collect(),
        token: Some(token),
    });
    token
}

/// Mutant caught: `record_bytes` that does not count filters.
#[test]
fn l7_subscribing_to_more_than_a_commit_holds_is_refused_and_less_is_not() {
    let world = small();
    let mut client = world.client();
    attach(&mut client, &long_name("session", 1_000));
    settle(&world);
    client.take();
    let small = bind(&mut client, (0..20).map(|n| format!("t.{n}")));
    let large = bind(
        &mut client,
        (0..500).map(|n| long_name(&format!("u.{n}."), 1_000)),
    );
    let small_again = bind(&mut client, (0..20).map(|n| format!("v.{n}")));
    settle(&world);
    let released = client.take();
    assert_eq!(refusals(&released), [(large, Refusal::TooLarge)]);
    let answered: Vec<Token> = released.answers.iter().map(|(token, _)| *token).collect();
    assert_eq!(answered, [small, large, small_again]);
}

/// Mutant caught: `publish` that does not count its queues.
#[test]
fn l7_message_for_more_queues_than_a_commit_can_name_is_refused() {
    let world = small();
    let mut clients = Vec::new();
    let mut sender = world.client();
    for n in 0..6_000 {
        let mut client = world.client();
        attach(&mut client, &format!("s{n}"));
        bind(&mut client, std::iter::once("news".to_owned()));
        clients.push(client);
        if n % 100 == 0 {
            settle(&world);
        }
        if n == 1_000 {
            publish_to(&mut sender, "news", 1, SendMode::Multicast);
            settle(&world);
            assert_eq!(refusals(&sender.take()), []);
        }
    }
    let token = publish_to(&mut sender, "news", 1, SendMode::Multicast);
    settle(&world);
    assert_eq!(refusals(&sender.take()), [(token, Refusal::TooLarge)]);
}

/// Mutant caught: `make_room` that asks for less than the command needs, so that it never ends.
#[test]
fn l28_subscribing_on_a_full_disk_waits_for_room_and_is_answered() {
    use ternmq_journal::vfs::Faults;
    let world = small();
    let mut client = world.client();
    attach(&mut client, &long_name("session", 1_000));
    settle(&world);
    client.take();
    world.disk.set_faults(Faults {
        space: Some(0),
        ..Faults::default()
    });
    let mut asked = Vec::new();
    while world.engine.stats().waiting_for_disk < 2 {
        let filters = (0..20).map(|n| long_name(&format!("t.{}.{n}.", asked.len()), 1_000));
        asked.push(bind(&mut client, filters));
        world.commit();
        assert!(asked.len() < 100, "the disk never filled");
    }
    let before = client.answers();
    assert_eq!(before.len(), asked.len() - 2);
    world.disk.set_faults(Faults::default());
    settle(&world);
    assert_eq!(client.answers(), asked[before.len()..]);
}
