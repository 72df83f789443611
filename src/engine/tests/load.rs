//! Laws L20, L21, L23: budget, bounded work, slow subscribers, a stuck disk.

use super::*;

fn topic(client: &mut Client, name: &str, key: u32) {
    client.consume(key, Source::Multicast(filter(name)), 10_000);
}

/// Mutant caught: `reserve` without the queue (a later, smaller reservation barges in).
#[test]
fn l20_budget_is_given_in_the_order_of_asking() {
    let world = World::open(SimDisk::new(), |options| options.memory = 10_000);
    let (first, second, third) = (world.client(), world.client(), world.client());
    let charge = first.link.reserve(9_000).unwrap();
    assert!(second.link.reserve(5_000).is_none());
    assert!(third.link.reserve(10).is_none(), "others wait already");
    let block = first.link.block(charge, &[1; 9_000]);
    let part = block.slice(..10);
    drop(block);
    world.engine.shared.step_releases();
    assert_eq!(second.rings(), 0, "charged until the last reference goes");
    drop(part);
    world.engine.shared.step_releases();
    assert_eq!((second.rings(), third.rings()), (1, 1));
    assert!(second.take().budget);
    let charge = second.link.reserve(5_000).unwrap();
    assert_eq!(charge.bytes(), 5_000);
    assert!(third.take().budget);
    assert!(third.link.reserve(10).is_some());
}

/// Mutant caught: no `withdraw` at a close.
#[test]
fn l20_waiter_that_goes_passes_its_turn_on() {
    let world = World::open(SimDisk::new(), |options| options.memory = 10_000);
    let (first, second, third) = (world.client(), world.client(), world.client());
    let charge = first.link.reserve(5_000).unwrap();
    assert!(second.link.reserve(9_000).is_none());
    assert!(third.link.reserve(100).is_none());
    drop(second);
    world.engine.shared.step_releases();
    assert!(third.take().budget);
    assert!(third.link.reserve(100).is_some());
    drop(charge);
    assert_eq!(world.engine.stats().memory_used, 0);
}

/// A run of 100 messages of which one stays, copied after a while and read again after a crash.
/// Mutants caught: `keep` of the sink, and of `load_bodies`, without a charge.
#[test]
fn l20_l22_copied_and_recovered_blocks_are_charged() {
    const OVERHEAD: u64 = 256;
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    let charge = client.link.reserve(10_000).unwrap();
    let block = client.link.block(charge, &[7; 10_000]);
    let envelope = run_of("q", Bytes::new(), Durable::Yes).envelope;
    let run = Run::even(envelope, Format(1), block, 100, 100).unwrap();
    client.submit(Command::Publish(Publish {
        run: Arc::new(run),
        mode: SendMode::Anycast,
        queue: None,
        retain: Retain::No,
        token: None,
    }));
    client.consume_queue(1, "q", 1_000);
    world.commit();
    assert_eq!(client.bodies().len(), 100);
    client.settle(1, 2, 99, None);
    world.commit();
    assert_eq!(world.engine.stats().memory_used, 10_000 + OVERHEAD);
    let crashed = world.crash(1);
    assert_eq!(crashed.engine.stats().memory_used, 10_000 + OVERHEAD);
    for world in [world, crashed] {
        for _ in 0..2 {
            world.time.advance(1_000);
            world.engine.shared.step_deadlines();
        }
        assert_eq!(world.engine.stats().memory_used, 100 + OVERHEAD);
    }
}

/// Mutant caught: the grant is kept for ever.
#[test]
fn l20_budget_set_aside_and_not_used_lapses() {
    let world = World::open(SimDisk::new(), |options| options.memory = 10_000);
    let (first, second) = (world.client(), world.client());
    let charge = first.link.reserve(5_000).unwrap();
    assert!(second.link.reserve(9_000).is_none());
    drop(charge);
    world.engine.shared.step_releases();
    assert!(second.take().budget);
    assert!(world.engine.stats().memory_used > 9_000);
    second.take();
    assert_eq!(world.engine.stats().memory_used, 0);
}

#[test]
fn l20_publish_above_the_whole_budget_waits_for_nothing() {
    let world = World::open(SimDisk::new(), |options| options.memory = 10_000);
    let client = world.client();
    assert!(client.link.largest_publish() < 10_000);
    assert!(client.link.reserve(10_000).is_none());
    assert_eq!(world.engine.stats().waiting_for_memory, 0);
    assert!(client.link.reserve(client.link.largest_publish()).is_some());
}

/// Mutant caught: `make_room` that answers `NoRoom` for every refusal.
#[test]
fn l7_publish_above_a_quarter_of_a_segment_is_refused_and_the_largest_is_not() {
    use ternmq_core::error::Refusal;
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    let largest = client.link.largest_publish();
    let accepted = client.send("q", &vec![1; largest]);
    let refused = client.send("q", &vec![1; SEGMENT as usize / 4]);
    world.commit();
    let released = client.take();
    assert_eq!(refusals(&released), [(refused, Refusal::TooLarge)]);
    assert_eq!(released.answers.front().map(|(t, _)| *t), Some(accepted));
}

/// Mutant caught: `more` is ignored.
#[test]
fn l21_work_above_the_units_of_one_call_is_finished() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    for _ in 0..20_000 {
        producer.send_transient("q", b"x");
    }
    consumer.consume_queue(1, "q", 20_000);
    world.commit();
    assert_eq!(consumer.bodies().len(), 20_000);
}

/// Mutant caught: no `set_leftover` after the last round.
#[test]
fn l21_work_above_the_rounds_of_one_submit_is_left_to_the_deadline_task() {
    let world = World::open(SimDisk::new(), |options| options.outbox_bytes = 1 << 23);
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    for _ in 0..60_000 {
        producer.send_transient("q", b"x");
    }
    consumer.consume_queue(1, "q", 60_000);
    world.commit();
    let first = consumer.bodies().len();
    assert!((20_000..60_000).contains(&first), "{first}");
    world.engine.shared.step_deadlines();
    assert_eq!(first + consumer.bodies().len(), 60_000);
}

/// Mutant caught: `expand` without the order of the FIFO, or one wake per message.
#[test]
fn l21_fanout_reaches_every_target_in_order() {
    let world = World::new();
    let mut subscribers: Vec<Client> = (0..50).map(|_| world.client()).collect();
    for subscriber in &mut subscribers {
        subscriber.subscribe_at_most_once("t.#");
    }
    world.commit();
    for subscriber in &subscribers {
        subscriber.take();
        subscriber.rings();
    }
    let producer = world.client();
    let mut commands = (0..100u8).map(|n| at_most_once("t.a", &[n])).collect();
    producer.link.submit(&mut commands);
    let expected: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n]).collect();
    for subscriber in &subscribers {
        assert_eq!(subscriber.rings(), 1);
        assert_eq!(subscriber.bodies(), expected);
    }
}

/// Mutant caught: `drain_fanouts` that does not look again after letting go.
#[test]
fn l21_fanout_left_by_a_busy_drainer_is_not_forgotten() {
    let world = World::new();
    let mut subscriber = world.client();
    subscriber.subscribe_at_most_once("t");
    world.commit();
    subscriber.take();
    let producer = world.client();
    let draining = world.engine.shared.fanouts.drain.lock();
    producer.submit(at_most_once("t", b"a"));
    assert!(subscriber.bodies().is_empty());
    drop(draining);
    world.engine.shared.drain_fanouts();
    assert_eq!(subscriber.bodies(), [b"a"]);
}

/// Mutant caught: `push_fanout` without its limit.
#[test]
fn l23_slow_subscriber_loses_its_oldest_and_nobody_elses() {
    let world = World::open(SimDisk::new(), |options| {
        options.subscription_bytes = 10_000;
    });
    let (mut slow, mut quick) = (world.client(), world.client());
    slow.subscribe_at_most_once("t");
    quick.subscribe_at_most_once("t");
    world.commit();
    slow.take();
    quick.take();
    let producer = world.client();
    let mut got = 0;
    for n in 0..100u8 {
        producer.submit(at_most_once("t", &[n; 1_000]));
        got += quick.bodies().len();
    }
    assert_eq!(got, 100);
    let left = slow.bodies();
    assert!(left.len() < 10 && !left.is_empty());
    assert_eq!(left.last().unwrap()[0], 99);
    assert_eq!(world.engine.stats().dropped_slow as usize, 100 - left.len());
}

#[test]
fn l23_stuck_sync_stops_durable_effects_alone() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut subscriber) = (world.client(), world.client());
    topic(&mut subscriber, "t", 1);
    world.commit();
    subscriber.take();
    producer.send("q", b"durable");
    producer.take();
    world.disk.stick_sync();
    let journal = Arc::clone(&world.engine.shared.journal);
    let thread = std::thread::spawn(move || journal.step().is_ok());
    while journal_is_idle(&world) {
        std::thread::yield_now();
    }
    let transient = Bytes::from_static(b"t");
    producer.submit(publish(
        "t",
        transient,
        SendMode::Multicast,
        None,
        Durable::No,
    ));
    assert_eq!(subscriber.bodies(), [b"t"]);
    assert!(producer.take().is_empty());
    world.disk.release_sync();
    assert!(thread.join().unwrap());
    assert_eq!(producer.answers().len(), 1);
}

/// Whether the journal has not begun to sync.
fn journal_is_idle(world: &World) -> bool {
    !world.engine.shared.syncs.is_running()
}

/// Mutants: `is_one_group` is always true; `split` never cuts.
#[test]
fn l21_long_batch_is_decided_in_several_holds_of_the_lock() {
    let world = World::new();
    let mut client = world.client();
    client.consume_queue(1, "q", 10);
    let holds = || world.engine.stats().lock_hold.count;
    let before = holds();
    let mut batch: Vec<Command> = (0..100).map(|_| at_most_once("t", b"a")).collect();
    client.link.submit(&mut batch);
    assert_eq!(holds() - before, 4, "32 publishes each");
    assert!(batch.is_empty());
    let before = holds();
    client.settle(1, 1, 600, None);
    assert_eq!(holds() - before, 3, "256 messages each");
    let before = holds();
    let token = client.next_token();
    client.settle(1, 1, 600, Some(token));
    assert_eq!(holds() - before, 1, "it has one answer");
}
