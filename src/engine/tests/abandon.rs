//! What a handler does whose client has gone (law L11), and how a reservation grows (law L20).

use ternmq_core::command::{LeaseAction, Receive};

use super::*;

fn receive(client: &mut Client) -> Token {
    let token = client.next_token();
    client.submit(Command::Receive(Receive {
        source: Source::Anycast(address("q")),
        max_messages: 1,
        max_bytes: 1_000,
        wait_ms: 60_000,
        lease_ms: 3_600_000,
        token,
    }));
    token
}

/// The answer is held for the disk when its client goes: its message must not stay leased.
///
/// Mutant seen caught: `abandon_answers` that looks at what may leave alone.
#[test]
fn l11_message_of_an_answer_that_was_never_released_comes_back() {
    let world = World::prepared();
    world.declare("q");
    let (mut gone, mut sender) = (world.client(), world.client());
    let token = receive(&mut gone);
    sender.send("q", b"a");
    assert!(gone.answers().is_empty(), "law L1: not durable yet");
    let abandoned = gone.link.abandon_answers();
    let [(of, Answer::Received(leased))] = &abandoned[..] else {
        panic!("{abandoned:?}");
    };
    assert_eq!(*of, token);
    gone.submit(Command::Lease {
        lease: leased[0].lease,
        action: LeaseAction::Return,
        token: None,
    });
    assert!(gone.link.abandon_answers().is_empty());
    let mut next = world.client();
    receive(&mut next);
    world.commit();
    let answers = next.take().answers;
    let Some((_, Answer::Received(leased))) = answers.front() else {
        panic!("{answers:?}");
    };
    assert_eq!(leased[0].delivery.attempts, 0);
}

#[test]
fn l20_joined_charges_return_together() {
    let world = World::new();
    let client = world.client();
    let before = world.engine.stats().memory_used;
    let mut charge = client.link.reserve(1_000).unwrap();
    charge.join(client.link.reserve(500).unwrap());
    assert!(charge.bytes() >= 1_500);
    let block = client.link.block(charge, &[7; 1_200]);
    let held = world.engine.stats().memory_used - before;
    assert!((1_200..1_500).contains(&held), "{held}");
    drop(block);
    assert_eq!(world.engine.stats().memory_used, before);
}
