//! Named subscriptions, prepared queues and notes when the power fails.

use ternmq_core::command::{NamedSubscription, Outcome};

use super::checkpoint::checkpoint;
use super::*;

fn subscription() -> Source {
    Source::Subscription(NamedSubscription {
        queue: QueueName::parse("c.s", Dialect::Canonical, 1_000).unwrap(),
        filter: filter("t.#"),
        durable: true,
        shared: false,
    })
}

fn multicast(client: &mut Client, to: &str, body: &[u8]) -> Token {
    let token = client.next_token();
    let block = Bytes::copy_from_slice(body);
    let mode = SendMode::Multicast;
    client.submit(publish(to, block, mode, Some(token), Durable::Yes));
    token
}

fn end(client: &mut Client, tag: Tag, outcome: Outcome, note: &[u8]) -> Token {
    let token = client.next_token();
    client.submit(Command::Settle(Settle {
        consumer: ConsumerKey(1),
        tags: Tags::Range { first: tag, n: 1 },
        outcome,
        note: Some(note.into()),
        token: Some(token),
    }));
    token
}

/// Bodies and notes that a new consumer gets.
fn noted(world: &World, source: Source) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut client = world.client();
    client.consume(1, source, 100);
    world.commit();
    let deliveries = client.take().deliveries;
    let one = |outgoing: Outgoing| match outgoing {
        Outgoing::Delivery(one) => {
            assert_eq!(one.count, 1, "notes differ");
            let note = one.note.as_deref().unwrap_or_default();
            (one.run.message(one.first).to_vec(), note.to_vec())
        }
        Outgoing::Fanout { .. } => unreachable!("it has a queue"),
    };
    deliveries.into_iter().map(one).collect()
}

fn pairs(expected: &[(&[u8], &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |(body, note): &(&[u8], &[u8])| (body.to_vec(), note.to_vec());
    expected.iter().map(pair).collect()
}

/// Mutant caught: PUT_QUEUE written without what it says of a named subscription.
#[test]
fn l1_r83_subscription_and_its_messages_survive_once_they_are_confirmed() {
    for cut in [false, true] {
        let world = World::new();
        let mut client = world.client();
        let consuming = client.consume(1, subscription(), 10);
        assert_eq!(client.answers(), [], "not before it is durable");
        world.commit();
        assert_eq!(client.answers(), [consuming]);
        let sent = multicast(&mut client, "t.x", b"1");
        world.commit();
        assert_eq!(client.answers(), [sent]);
        if cut {
            checkpoint(&world);
        }
        let sent = multicast(&mut client, "t.y", b"2");
        world.commit();
        assert_eq!(client.answers(), [sent]);
        for seed in 0..4 {
            let later = world.crash(seed);
            let mut other = later.client();
            other.consume(1, subscription(), 10);
            later.commit();
            assert_eq!(other.bodies(), [b"1", b"2"]);
            multicast(&mut other, "t", b"3");
            later.commit();
            assert_eq!(other.bodies(), [b"3"]);
        }
    }
}

/// Mutants caught: `checkpoint_notes` left out; `apply_note` that notes nothing.
#[test]
fn l6_l7_r69_notes_survive_once_their_settlement_is_confirmed() {
    for cut in [false, true] {
        let world = World::new();
        let mut client = world.client();
        client.consume(1, subscription(), 10);
        for body in [b"1", b"2", b"3"] {
            multicast(&mut client, "t.x", body);
        }
        world.commit();
        client.take();
        let failed = Outcome::Failed { delay_ms: None };
        let first = end(&mut client, 1, failed, b"one");
        let second = end(&mut client, 2, Outcome::Rejected, b"two");
        world.commit();
        assert_eq!(client.answers(), [first, second]);
        if cut {
            checkpoint(&world);
        }
        let third = end(&mut client, 3, Outcome::Released, b"three");
        world.commit();
        assert_eq!(client.answers(), [third]);
        for seed in 0..4 {
            let later = world.crash(seed);
            let left = noted(&later, subscription());
            assert_eq!(left, pairs(&[(b"1", b"one"), (b"3", b"three")]));
            let dead = noted(&later, Source::Anycast(address("DLQ")));
            assert_eq!(dead, pairs(&[(b"2", b"two")]));
        }
    }
}

#[test]
fn l1_prepared_queue_survives_once_its_producer_has_heard_of_it() {
    let world = World::new();
    let mut client = world.client();
    let token = client.next_token();
    client.submit(Command::Prepare {
        address: address("q"),
        queue: None,
        mode: SendMode::Anycast,
        token: Some(token),
    });
    assert_eq!(client.answers(), [], "not before it is durable");
    world.commit();
    assert_eq!(client.answers(), [token]);
    assert_eq!(world.crash(1).engine.stats().broker.queues, 1);
}
