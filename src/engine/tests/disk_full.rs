//! Law L28: no room on the disk.

use ternmq_core::error::Refusal;
use ternmq_journal::vfs::Faults;

use super::*;

/// Fills the log until a publish is parked. Returns how many were taken.
fn fill(world: &World, client: &mut Client) -> usize {
    world.disk.set_faults(Faults {
        space: Some(0),
        ..Faults::default()
    });
    for n in 0..1_000 {
        if world.engine.stats().waiting_for_disk > 0 {
            return n;
        }
        client.send("q", &[1; 50_000]);
        world.commit();
    }
    panic!("the disk never filled");
}

fn space_returns(world: &World) {
    world.disk.set_faults(Faults::default());
    while world.engine.shared.journal.filler_step().unwrap() {}
    world.commit();
}

/// Mutant caught: `reserve` for settlements that leaves the reserved segment alone.
#[test]
fn l28_full_disk_parks_publishes_and_lets_settlements_through() {
    let world = World::prepared();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    consumer.consume_queue(1, "q", 10_000);
    world.commit();
    let sent = fill(&world, &mut producer);
    assert_eq!(producer.answers().len(), sent - 1, "the last one is parked");
    let got = consumer.bodies().len();
    assert!(got > 3);
    // One by one, a commit each: they need the reserved segment.
    let segments = || world.engine.stats().journal.segments;
    let before = segments();
    for tag in 1..=got as u64 {
        let receipt = consumer.next_token();
        consumer.settle(1, tag, 1, Some(receipt));
        world.commit();
        assert_eq!(consumer.answers(), [receipt]);
    }
    assert_eq!(segments(), before + 1);
    // What needs no log goes on for others.
    let mut other = world.client();
    let token = other.send_transient("q", b"t");
    assert!(other.answers().contains(&token));
}

/// Mutant caught: parked publishes are tried newest first, or answers do not keep their places.
#[test]
fn l28_parked_publishes_go_on_in_order_when_room_comes() {
    let world = World::prepared();
    world.declare("q");
    let mut producer = world.client();
    fill(&world, &mut producer);
    producer.take();
    let (a, b) = (producer.send("q", b"a"), producer.send("q", b"b"));
    let transient = producer.send_transient("q", b"c");
    assert_eq!(producer.answers(), []);
    producer.rings();
    space_returns(&world);
    assert!(producer.rings() > 0);
    let answers = producer.answers();
    assert_eq!(answers[answers.len() - 3..], [a, b, transient]);
    assert_eq!(world.engine.stats().waiting_for_disk, 0);
    let mut consumer = world.client();
    consumer.consume_queue(1, "q", 10_000);
    world.commit();
    let mut last = Vec::new();
    loop {
        let released = consumer.take();
        if released.deliveries.is_empty() {
            break;
        }
        last.extend(bodies(&released));
        consumer.submit(Command::Room(1 << 20));
        world.commit();
    }
    assert_eq!(last[last.len() - 3..], [b"a", b"b", b"c"]);
}

/// Mutant caught: `late` is never true.
#[test]
fn l28_publish_parked_for_block_timeout_is_refused() {
    let world = World::prepared();
    world.declare("q");
    let mut producer = world.client();
    fill(&world, &mut producer);
    producer.take();
    let later = producer.send("q", &[2; 50_000]);
    world.time.advance(29_000);
    world.engine.shared.step_deadlines();
    assert!(producer.take().is_empty());
    producer.rings();
    world.time.advance(1_500);
    world.engine.shared.step_deadlines();
    assert_eq!(producer.rings(), 1);
    let refused = refusals(&producer.take());
    assert_eq!(refused.last(), Some(&(later, Refusal::DiskFull)));
    assert_eq!(world.engine.stats().waiting_for_disk, 0);
}

/// Mutant caught: the slot is given back while commands of its last owner are parked.
#[test]
fn l28_connection_that_ends_with_parked_publishes_keeps_its_slot_until_they_are_done() {
    let world = World::prepared();
    world.declare("q");
    let mut producer = world.client();
    fill(&world, &mut producer);
    let slot = producer.link.id().slot;
    drop(producer);
    let mut successor = world.client();
    assert_ne!(successor.link.id().slot, slot);
    space_returns(&world);
    assert_eq!(world.engine.stats().waiting_for_disk, 0);
    let mut next = world.client();
    assert_eq!(next.link.id().slot, slot);
    for client in [&mut next, &mut successor] {
        let token = client.send("q", b"x");
        world.commit();
        assert_eq!(client.answers(), [token]);
    }
}

/// Mutant caught: the cancel passes the settlement, so that what was accepted comes again.
#[test]
fn l2_l28_nothing_passes_a_settlement_that_has_no_room_either() {
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    for body in [b"1", b"2"] {
        client.send("q", body);
    }
    client.consume_queue(1, "q", 10);
    world.commit();
    assert_eq!(client.bodies(), [b"1", b"2"]);
    let shared = &world.engine.shared;
    let accept = Command::Settle(Settle {
        consumer: ConsumerKey(1),
        tags: Tags::Range { first: 1, n: 1 },
        outcome: ternmq_core::command::Outcome::Accepted,
        note: None,
        token: None,
    });
    // As if the reserved segment were full.
    let now_ms = shared.clock.now().mono_ms;
    let mut state = shared.state.lock();
    state.parked.push(client.link.id(), accept, now_ms);
    drop(state);
    client.submit(Command::Cancel {
        consumer: ConsumerKey(1),
        written: 2,
        token: None,
    });
    shared.retry_parked();
    assert!(shared.state.lock().parked.is_empty());
    let mut other = world.client();
    other.consume_queue(1, "q", 10);
    world.commit();
    assert_eq!(other.bodies(), [b"2"]);
}
