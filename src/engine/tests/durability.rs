//! Laws L1, L3, L4, L8, L9: what leaves when, and what a failed disk stops.

use ternmq_core::error::Refusal;
use ternmq_journal::vfs::Faults;

use super::*;

/// Mutant caught: `Contents::take` without the comparison with the watermark.
#[test]
fn l1_confirm_leaves_only_when_its_batch_is_durable() {
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    let token = client.send("q", b"a");
    assert_eq!(client.answers(), []);
    world.steps();
    assert_eq!(client.answers(), [token]);
}

/// Mutant caught: `push_delivery` puts every delivery into `ready`.
#[test]
fn l1_delivery_leaves_only_when_its_message_is_durable() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    consumer.consume_queue(1, "q", 10);
    world.commit();
    consumer.take();
    producer.send("q", b"a");
    assert!(consumer.bodies().is_empty());
    world.commit();
    assert_eq!(consumer.bodies(), [b"a"]);
}

#[test]
fn l1_old_backlog_does_not_wait_for_the_open_batch() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    for body in [b"1", b"2", b"3"] {
        producer.send("q", body);
    }
    consumer.consume_queue(1, "q", 1);
    world.commit();
    let first = consumer.take();
    assert_eq!(bodies(&first), [b"1"]);
    // A new message lies in the open batch; the next of the backlog leaves all the same.
    producer.send("q", b"4");
    consumer.settle(1, 1, 1, None);
    assert_eq!(consumer.bodies(), [b"2"]);
}

#[test]
fn l1_what_was_confirmed_is_there_after_a_crash_and_nothing_else_was_shown() {
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    client.send("q", b"confirmed");
    world.commit();
    assert_eq!(client.answers().len(), 1);
    client.send("q", b"unconfirmed");
    let world = world.crash(0);
    let mut consumer = world.client();
    consumer.consume_queue(1, "q", 10);
    world.commit();
    assert_eq!(consumer.bodies(), [b"confirmed"]);
}

#[test]
fn l1_transient_message_waits_for_nobody() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    consumer.consume_queue(1, "q", 10);
    world.commit();
    consumer.take();
    let token = producer.send_transient("q", b"t");
    assert_eq!(producer.answers(), [token]);
    assert_eq!(consumer.bodies(), [b"t"]);
    assert_eq!(consumer.rings(), 1);
}

/// Mutant caught: `Wakes::push` lists with the open batch only (see also the loom test).
#[test]
fn l3_effect_of_a_closed_batch_is_released_with_that_batch() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    producer.send("q", b"a");
    // The batch is closed and on its way when the delivery out of it is decided.
    let shared = &world.engine.shared;
    let mut batch = shared.journal.batch();
    shared.journal.close_batch(&mut batch);
    drop(batch);
    consumer.consume_queue(1, "q", 10);
    assert!(consumer.bodies().is_empty());
    consumer.rings();
    assert!(world.step());
    assert_eq!(consumer.rings(), 1);
    assert_eq!(consumer.bodies(), [b"a"]);
}

#[test]
fn l3_held_effect_costs_its_receiver_one_wake_up() {
    let world = World::new();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    consumer.consume_queue(1, "q", 10);
    world.commit();
    consumer.take();
    consumer.rings();
    producer.send("q", b"a");
    producer.send("q", b"b");
    assert_eq!(consumer.rings(), 0, "it could do nothing yet");
    world.steps();
    assert_eq!(consumer.rings(), 1);
    assert_eq!(consumer.bodies(), [b"a", b"b"]);
}

#[test]
fn l3_take_releases_what_became_durable_while_nobody_woke() {
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    let token = client.send("q", b"a");
    // Durable, but the releaser has not run.
    assert!(world.engine.shared.journal.batch().wait(u64::MAX, 999));
    world.engine.shared.journal.step().unwrap();
    assert_eq!(client.answers(), [token]);
}

#[test]
fn l4_only_an_answered_settlement_asks_for_a_sync() {
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    client.send("q", b"a");
    client.send("q", b"b");
    client.consume_queue(1, "q", 10);
    client.take();
    world.commit();
    assert_eq!(client.bodies().len(), 2);
    let syncs = || world.engine.stats().journal.syncs;
    let before = syncs();
    client.settle(1, 1, 1, None);
    client.take();
    world.steps();
    assert_eq!(syncs(), before);
    let receipt = client.next_token();
    client.settle(1, 2, 1, Some(receipt));
    assert_eq!(client.answers(), []);
    world.steps();
    assert_eq!(syncs(), before + 1);
    assert_eq!(client.answers(), [receipt]);
}

#[test]
fn l8_failed_sync_ends_all_confirms_and_every_later_publish() {
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    client.send("q", b"a");
    world.disk.set_faults(Faults {
        fail_sync: Some(0),
        ..Faults::default()
    });
    client.take();
    assert!(world.engine.shared.journal.step().is_err());
    assert!(client.take().is_empty());
    // A disk that says the next sync succeeded is not believed.
    assert!(world.engine.shared.journal.step().is_err());
    client.send("q", b"b");
    let released = client.take();
    assert!(released.answers.is_empty(), "behind the confirm of `a`");
    let mut other = world.client();
    let token = other.send("q", b"c");
    assert_eq!(refusals(&other.take()), [(token, Refusal::Unavailable)]);
}

#[test]
fn l9_unjournalled_confirm_promises_this_life_only() {
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    client.send_transient("q", b"t");
    assert_eq!(client.answers().len(), 1);
    let world = world.crash(1);
    let mut consumer = world.client();
    consumer.consume_queue(1, "q", 10);
    world.commit();
    assert!(consumer.bodies().is_empty());
}
