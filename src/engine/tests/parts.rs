//! The small parts by themselves: clock, histogram, places.

use crate::engine::Histogram;
use crate::engine::outbox::{Contents, Outbox};
use crate::engine::places::Places;

use super::*;

fn clock() -> (Arc<Manual>, Clock) {
    let manual = Arc::new(Manual::default());
    manual.set_wall(1_000_000);
    let clock = Clock::manual(Arc::clone(&manual));
    clock.now();
    (manual, clock)
}

#[test]
fn l17_wall_never_goes_back() {
    let (manual, clock) = clock();
    let before = clock.now();
    manual.set_wall(500_000);
    manual.advance(10);
    let after = clock.now();
    assert!(after.wall_ms >= before.wall_ms);
    assert_eq!(after.mono_ms, before.mono_ms + 10);
}

#[test]
fn l17_jump_over_a_minute_is_counted_and_believed_a_minute_later() {
    let (manual, clock) = clock();
    manual.set_wall(1_000_000 + 3_600_000);
    assert_eq!(clock.now().wall_ms, 1_000_000);
    assert_eq!(clock.jumps(), 1);
    manual.advance(59_000);
    assert_eq!(clock.now().wall_ms, 1_059_000);
    manual.advance(1_000);
    assert_eq!(clock.now().wall_ms, 1_060_000 + 3_600_000);
    assert_eq!(clock.jumps(), 1);
}

#[test]
fn l17_and_ck_01_jump_that_is_taken_back_expires_nothing() {
    let (manual, clock) = clock();
    manual.set_wall(1_000_000 + 3_600_000);
    clock.now();
    manual.set_wall(1_000_000);
    manual.advance(100_000);
    assert_eq!(clock.now().wall_ms, 1_100_000);
}

#[test]
fn l17_small_jump_is_believed_at_once() {
    let (manual, clock) = clock();
    manual.set_wall(1_050_000);
    assert_eq!(clock.now().wall_ms, 1_050_000);
    assert_eq!(clock.jumps(), 0);
}

#[test]
fn histogram_knows_values_within_an_eighth() {
    let histogram = Histogram::default();
    for value in [0, 1, 7, 8, 9, 1_000, 123_456, u64::MAX / 3] {
        let alone = Histogram::default();
        alone.add(value);
        let shown = alone.snapshot().quantile(1.0);
        assert_eq!(shown, value, "the largest value is exact");
        histogram.add(value);
    }
    let snapshot = histogram.snapshot();
    assert_eq!(snapshot.count, 8);
    let median = snapshot.quantile(0.5);
    assert!((8..=9).contains(&median));
    let late = snapshot.quantile(0.8);
    assert!((123_456..=123_456 * 9 / 8).contains(&late), "{late}");
    assert_eq!(snapshot.at_most(9), 5);
}

#[test]
fn histogram_takes_every_value_into_a_bucket() {
    let histogram = Histogram::default();
    for power in 0..64 {
        histogram.add(1 << power);
        histogram.add((1 << power) - 1);
    }
    histogram.add(u64::MAX);
    assert_eq!(histogram.snapshot().count, 129);
    assert_eq!(histogram.snapshot().at_most(u64::MAX), 129);
}

#[test]
fn l28_place_of_a_moved_message_goes_with_its_last_live_byte() {
    let mut places = Places::default();
    assert_eq!(places.find(10), 10);
    assert_eq!(places.move_to(10, 500, 30), 10);
    assert_eq!(places.move_to(10, 900, 30), 500);
    assert_eq!(places.remove_live(10, 20), 900);
    assert_eq!(places.find(10), 900);
    let copy = Places::decode(&places.encode()).unwrap();
    assert_eq!(copy.find(10), 900);
    assert_eq!(places.remove_live(10, 10), 900);
    assert_eq!(places.find(10), 10);
    assert!(Places::decode(&[0; 21]).is_err());
}

fn delivery(consumer: u32) -> Delivery {
    Delivery {
        consumer: ConsumerKey(consumer),
        tag: 1,
        run: Arc::new(run_of("q", Bytes::new(), Durable::Yes)),
        first: 0,
        count: 1,
        attempts: 0,
        duplicate: false,
        second_step: false,
        retained: false,
        granted: 1,
        subscriptions: None,
        queue: ternmq_core::ids::QueueId(1),
        sequence: 1,
        origin: None,
        note: None,
        named: false,
    }
}

/// Consumers whose deliveries leave at this watermark.
fn leaving(contents: &mut Contents, durable: u64) -> Vec<u32> {
    let mut released = Released::default();
    contents.take(&mut released, durable);
    let consumer = |outgoing: &Outgoing| match outgoing {
        Outgoing::Delivery(delivery) => delivery.consumer.0,
        Outgoing::Fanout { .. } => 0,
    };
    released.deliveries.iter().map(consumer).collect()
}

/// Mutant caught: `push_delivery` that always appends to `held`.
#[test]
fn l2_delivery_of_an_earlier_batch_is_not_held_by_another_consumers_later_one() {
    let mut contents = Contents::default();
    contents.push_delivery(20, delivery(1), 0);
    contents.push_delivery(10, delivery(2), 0);
    contents.push_delivery(5, delivery(1), 0);
    assert_eq!(leaving(&mut contents, 10), [2]);
    contents.push_delivery(0, delivery(2), 10);
    contents.push_delivery(0, delivery(1), 10);
    assert_eq!(leaving(&mut contents, 10), [2]);
    assert_eq!(leaving(&mut contents, 20), [1, 1, 1]);
}

/// Mutant: `shrink` in `outbox.rs` does nothing.
#[test]
fn outbox_that_was_emptied_is_as_small_as_a_new_one() {
    assert!(std::mem::size_of::<Outbox>() <= 96);
    let world = World::new();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    consumer.consume_queue(1, "q", 10);
    producer.send("q", b"a");
    let idle = |client: &Client| {
        let outbox = world.engine.shared.slots.outbox(client.link.id().slot);
        outbox.unwrap().contents.lock().is_idle()
    };
    assert_eq!(producer.answers(), []);
    assert!(!idle(&producer), "a confirm waits for the disk");
    world.commit();
    assert_eq!(producer.answers().len(), 1);
    assert_eq!(consumer.bodies(), [b"a"]);
    assert!(idle(&producer) && idle(&consumer));
}
