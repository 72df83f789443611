//! Laws L2, L10, L12: orders, cancels, connections that end.

use ternmq_core::command::Close;

use super::*;

/// Mutant caught: `push_delivery` ignores `lanes`.
#[test]
fn l2_transient_message_does_not_overtake_a_held_one_to_the_same_consumer() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    consumer.consume_queue(1, "q", 10);
    world.commit();
    consumer.take();
    producer.send("q", b"durable");
    producer.send_transient("q", b"transient");
    assert!(consumer.bodies().is_empty());
    world.commit();
    let expected: [&[u8]; 2] = [b"durable", b"transient"];
    assert_eq!(consumer.bodies(), expected);
}

/// Mutant caught: one FIFO for all deliveries of a connection.
#[test]
fn l2_held_delivery_does_not_hold_another_consumer() {
    let world = World::new();
    world.declare("a");
    world.declare("b");
    let (mut producer, mut consumer) = (world.client(), world.client());
    consumer.consume_queue(1, "a", 10);
    consumer.consume_queue(2, "b", 10);
    world.commit();
    consumer.take();
    consumer.rings();
    producer.send("a", b"held");
    producer.send_transient("b", b"free");
    assert_eq!(consumer.rings(), 1);
    assert_eq!(consumer.bodies(), [b"free"]);
    world.commit();
    assert_eq!(consumer.bodies(), [b"held"]);
}

/// Mutant caught: answers taken as soon as each of them may leave.
#[test]
fn l2_confirms_leave_in_the_order_of_their_commands() {
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    let held = client.send("q", b"durable");
    let free = client.send_transient("q", b"transient");
    assert_eq!(client.answers(), []);
    world.commit();
    assert_eq!(client.answers(), [held, free]);
}

#[test]
fn l2_nothing_of_a_subscription_leaves_before_its_answer() {
    let world = World::new();
    let mut client = world.client();
    // The queue is made by this, durably: its answer waits, so the old message must wait as well.
    world.declare("q");
    client.send("q", b"a");
    world.commit();
    client.take();
    client.send("q", b"b");
    client.consume_queue(1, "q", 10);
    assert!(client.take().is_empty());
    world.commit();
    let released = client.take();
    assert_eq!(released.answers.len(), 2);
    assert_eq!(bodies(&released), [b"a", b"b"]);
}

/// Mutant caught: no `purge`.
#[test]
fn l10_cancel_takes_back_what_has_not_left() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut first) = (world.client(), world.client());
    first.consume_queue(1, "q", 10);
    world.commit();
    first.take();
    producer.send("q", b"a");
    world.commit();
    // Not taken yet when the cancel is decided.
    let token = first.next_token();
    first.submit(Command::Cancel {
        consumer: ConsumerKey(1),
        written: 0,
        token: Some(token),
    });
    world.commit();
    let released = first.take();
    assert!(
        released.deliveries.is_empty(),
        "no MESSAGE after the RECEIPT"
    );
    assert_eq!(released.answers.len(), 1);
    let mut second = world.client();
    second.consume_queue(1, "q", 10);
    world.commit();
    let released = second.take();
    assert_eq!(bodies(&released), [b"a"]);
    let attempts = released.deliveries.iter().map(|outgoing| match outgoing {
        Outgoing::Delivery(delivery) => delivery.attempts,
        Outgoing::Fanout { .. } => 99,
    });
    assert_eq!(attempts.max(), Some(0), "it was never written");
}

#[test]
fn l10_room_of_what_a_cancel_took_back_returns() {
    let world = World::open(SimDisk::new(), |options| options.outbox_bytes = 4_096);
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    consumer.consume_queue(1, "q", 100);
    world.commit();
    consumer.take();
    for _ in 0..3 {
        producer.send_transient("q", &[1; 1_200]);
    }
    consumer.submit(Command::Cancel {
        consumer: ConsumerKey(1),
        written: 0,
        token: None,
    });
    consumer.consume_queue(2, "q", 100);
    world.commit();
    assert_eq!(consumer.bodies().len(), 3);
}

#[test]
fn l10_dropped_link_is_a_lost_connection_with_nothing_written() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut first) = (world.client(), world.client());
    first.consume_queue(1, "q", 10);
    producer.send("q", b"a");
    world.commit();
    assert_eq!(first.bodies(), [b"a"]);
    drop(first);
    let mut second = world.client();
    second.consume_queue(1, "q", 10);
    world.commit();
    assert_eq!(second.bodies(), [b"a"]);
}

/// Mutant caught: `is_open` without the generation.
#[test]
fn l12_successor_of_a_slot_gets_nothing_decided_for_the_one_before() {
    let world = World::new();
    let mut first = world.client();
    first.subscribe_at_most_once("t");
    world.commit();
    let slot = first.link.id().slot;
    let producer = world.client();
    // Decided for the first, expanded when the second has its slot.
    let draining = world.engine.shared.fanouts.drain.lock();
    producer.submit(at_most_once("t", b"a"));
    drop(first);
    let second = world.client();
    assert_eq!(second.link.id().slot, slot);
    drop(draining);
    world.engine.shared.drain_fanouts();
    assert_eq!(second.rings(), 0);
    assert!(second.take().is_empty());
}

/// Mutant caught: `Link::outbox` that does not ask whether the link is closed.
#[test]
fn l12_closed_link_does_not_take_what_is_its_successors() {
    let world = World::new();
    world.declare("q");
    let mut first = world.client();
    first.link.close(Close::default());
    let mut second = world.client();
    assert_eq!(second.link.id().slot, first.link.id().slot);
    let token = second.send_transient("q", b"a");
    assert!(first.take().is_empty());
    first.send_transient("q", b"b");
    assert_eq!(second.answers(), [token]);
    assert_eq!(world.engine.stats().broker.messages, 1);
}

#[test]
fn stop_is_told_to_every_connection_and_refuses_new_ones() {
    let world = World::new();
    let client = world.client();
    world.engine.stop();
    assert_eq!(client.rings(), 1);
    assert!(client.take().stopping);
    assert!(world.engine.connect().is_err());
}

#[test]
fn connections_are_limited_and_slots_come_back() {
    let world = World::open(SimDisk::new(), |options| options.max_connections = 2);
    let first = world.client();
    let _second = world.client();
    assert!(world.engine.connect().is_err());
    drop(first);
    assert!(world.engine.connect().is_ok());
    assert_eq!(world.engine.stats().connections, 1);
}

#[test]
fn timeout_fires_once_and_can_be_moved_back_for_nothing() {
    let world = World::new();
    let client = world.client();
    let shared = &world.engine.shared;
    let now = world.engine.now().mono_ms;
    client.link.set_timeout(Some(now + 100));
    client.link.set_timeout(Some(now + 1_000));
    world.time.advance(200);
    shared.step_deadlines();
    assert!(client.take().is_empty());
    world.time.advance(900);
    shared.step_deadlines();
    assert_eq!(client.rings(), 1);
    assert!(client.take().timeout);
    world.time.advance(10_000);
    assert_eq!(shared.step_deadlines(), None);
    assert!(client.take().is_empty());
    client
        .link
        .set_timeout(Some(world.engine.now().mono_ms + 50));
    client.link.set_timeout(None);
    world.time.advance(1_000);
    shared.step_deadlines();
    assert!(client.take().is_empty());
}

/// Mutant caught: `time_out` that takes every entry for the current one.
#[test]
fn timeout_entries_left_behind_are_forgotten_when_they_come_up() {
    let world = World::new();
    let client = world.client();
    let shared = &world.engine.shared;
    for _ in 0..10 {
        let now = world.engine.now().mono_ms;
        client.link.set_timeout(Some(now + 60_000));
        client.link.set_timeout(Some(now + 50));
        world.time.advance(100);
        shared.step_deadlines();
        assert!(client.take().timeout);
    }
    client
        .link
        .set_timeout(Some(world.engine.now().mono_ms + 200_000));
    for _ in 0..100 {
        world.time.advance(1_000);
        shared.step_deadlines();
    }
    assert_eq!(shared.deadlines.len(), 1);
}
