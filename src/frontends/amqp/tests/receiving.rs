//! Deliveries to transfers: credit, windows, drains, large messages, and the room of all.

use ternmq_amqp::{Attach, Detach, Performative, SenderSettles, Source};
use ternmq_core::command::{Command, Outcome, SettleMode, Tags};
use ternmq_core::effect::Answer;
use ternmq_core::ids::{ConsumerKey, Tag};

use super::peer::{FRAME_BYTES, Heard, Peer, body, messages};

/// Room that was given back since this was asked last.
fn room(peer: &mut Peer) -> u32 {
    let asked = peer.ask().into_iter().map(|command| match command {
        Command::Room(bytes) => bytes,
        _ => 0,
    });
    asked.sum()
}

/// The newest word on how far a consumer may be served.
fn until(asked: &[Command]) -> Option<Tag> {
    let mut asked = asked.iter().rev();
    asked.find_map(|command| match command {
        Command::Credit { until, .. } => Some(*until),
        _ => None,
    })
}

/// Deliveries that were settled, and how.
fn settled(asked: &[Command]) -> Vec<(Tag, u32, Outcome)> {
    let asked = asked.iter().filter_map(|command| match command {
        Command::Settle(settle) => match settle.tags {
            Tags::Range { first, n } => Some((first, n, settle.outcome)),
            Tags::UpTo(_) => None,
        },
        _ => None,
    });
    asked.collect()
}

/// Mutant: the next consumer's credit begins at 0.
#[test]
fn r46_credit_is_told_as_the_first_delivery_that_must_not_come() {
    let mut peer = Peer::new(100);
    let key = peer.open(0, 3);
    peer.deliver(messages(key, 1, &["a", "b"]));
    assert_eq!(peer.bodies(), ["a", "b"]);
    peer.ask();
    peer.credit_after(0, 2, 10, false);
    assert_eq!(until(&peer.ask()), Some(13));
    peer.credit_after(0, 2, 0, false);
    assert_eq!(until(&peer.ask()), Some(3));
}

/// Mutant: what the window does not take is forgotten; room that comes back with the first part.
#[test]
fn r25_what_the_window_does_not_take_waits_in_order() {
    let mut peer = Peer::new(2);
    let (one, two) = (peer.open(0, 10), peer.open(1, 10));
    let first = messages(one, 1, &["a", "b", "c"]);
    let all = first.room();
    peer.deliver(first);
    peer.deliver(messages(one, 4, &["d"]));
    peer.deliver(messages(two, 1, &["x"]));
    assert_eq!(peer.bodies(), ["a", "b"]);
    assert_eq!(room(&mut peer), all * 2 / 3);
    peer.open_window(1);
    assert_eq!(peer.bodies(), ["c"]);
    peer.open_window(10);
    let mut rest = peer.bodies();
    rest.sort();
    assert_eq!(rest, ["d", "x"]);
    assert_eq!(room(&mut peer), all, "the other three of six");
}

/// Mutant: held until there is credit again, and the other link waits for room.
#[test]
fn r49_l22_what_came_for_credit_that_is_gone_returns_to_its_queue() {
    let mut peer = Peer::new(100);
    let key = peer.open(0, 5);
    peer.credit(0, 2, false);
    assert_eq!(until(&peer.ask()), Some(3));
    let crossing = messages(key, 1, &["a", "b", "c", "d", "e"]);
    let all = crossing.room();
    peer.deliver(crossing);
    let asked = peer.ask();
    assert_eq!(settled(&asked), [(3, 3, Outcome::Released)]);
    assert!(
        matches!(asked[..], [Command::Settle(_), Command::Room(bytes)] if bytes == all * 3 / 5)
    );
    assert_eq!(peer.bodies(), ["a", "b"]);
    assert_eq!(room(&mut peer), all * 2 / 5);
    peer.credit_after(0, 2, 4, false);
    assert_eq!(until(&peer.ask()), Some(10), "tags go on behind those");
}

/// Mutant: credit counted from the first that is held.
#[test]
fn r49_credit_goes_on_behind_what_waits_for_the_window() {
    let mut peer = Peer::new(1);
    let key = peer.open(0, 4);
    peer.deliver(messages(key, 1, &["a", "b", "c", "d"]));
    peer.credit_after(0, 1, 1, false);
    let asked = peer.ask();
    assert_eq!(settled(&asked), [(3, 2, Outcome::Released)]);
    assert_eq!(until(&asked), Some(5));
    peer.credit_after(0, 1, 3, false);
    assert_eq!(until(&peer.ask()), Some(7), "one waits, two may come");
    peer.deliver(messages(key, 5, &["c", "d"]));
    peer.hear();
    peer.open_window(10);
    assert_eq!(peer.bodies(), ["b", "c", "d"]);
}

fn drain_token(asked: Vec<Command>) -> ternmq_core::ids::Token {
    let mut asked = asked.into_iter().filter_map(|command| match command {
        Command::Drain { token, .. } => Some(token),
        _ => None,
    });
    let token = asked.next().expect("a drain");
    assert!(asked.next().is_none(), "one at a time");
    token
}

/// Mutants: drained when the broker says so; credit that the broker keeps.
#[test]
fn r47_a_drain_is_answered_behind_what_it_brought() {
    let mut peer = Peer::new(1);
    let key = peer.open(0, 10);
    peer.credit(0, 10, true);
    let token = drain_token(peer.ask());
    peer.deliver(messages(key, 1, &["a", "b"]));
    peer.answer(Some(token), Answer::Drained { next: 4 });
    assert_eq!(peer.bodies(), ["a"]);
    peer.open_window(10);
    assert_eq!(peer.bodies(), ["b"]);
    peer.ask();
    peer.deliver(messages(key, 3, &["c"]));
    assert_eq!(until(&peer.ask()), Some(4), "the broker takes it back, too");
    let heard = peer.hear();
    assert!(matches!(heard[0], Heard::Transfer { .. }), "{heard:?}");
    assert_eq!(heard[1..], [Heard::Drained(0, 10, 0)]);
}

/// Mutant: `again` forgotten.
#[test]
fn r47_a_drain_that_comes_during_another_is_asked_for_anew() {
    let mut peer = Peer::new(100);
    peer.open(0, 1);
    peer.credit(0, 1, true);
    peer.credit(0, 5, true);
    let token = drain_token(peer.ask());
    peer.answer(Some(token), Answer::Drained { next: 1 });
    assert_eq!(peer.hear(), []);
    let token = drain_token(peer.ask());
    peer.answer(Some(token), Answer::Drained { next: 1 });
    assert_eq!(peer.hear(), [Heard::Drained(0, 5, 0)]);
}

/// A message of many frames, and what it looks like.
fn large(letter: &str) -> String {
    letter.repeat(300 << 10)
}

/// Mutants: one message after the other; the room of a large message taken to its end.
#[test]
fn r60_large_messages_take_turns_and_end_whole() {
    let mut peer = Peer::new(u32::MAX / 2);
    let (one, two) = (peer.open(0, 10), peer.open(1, 10));
    let (first, second) = (large("x"), large("y"));
    let (a, b) = (
        messages(one, 1, &[&first, "end"]),
        messages(two, 1, &[&second]),
    );
    let all = a.room() + b.room();
    peer.deliver(a);
    peer.deliver(b);
    assert!(peer.output.len() < 300 << 10, "each has begun");
    peer.write(200 << 10);
    let early = room(&mut peer);
    assert!(
        early < all - (100 << 10) && early > all - (200 << 10),
        "{early} of {all}"
    );
    let heard = peer.hear();
    let mut messages = [Vec::new(), Vec::new()];
    let mut order = Vec::new();
    for frame in heard {
        let Heard::Transfer {
            link,
            more,
            payload,
            ..
        } = frame
        else {
            panic!("{frame:?}");
        };
        order.push(link);
        messages[link as usize].extend(payload);
        if !more && link == 0 && messages[0].len() > 1_000 {
            assert_eq!(body(&std::mem::take(&mut messages[0])), first);
        }
    }
    assert_eq!(body(&messages[0]), "end");
    assert_eq!(body(&messages[1]), second);
    order.dedup();
    assert!(order.len() >= 6, "{order:?}");
    assert_eq!(early + room(&mut peer), all);
}

/// Mutant: who got something keeps its place as well.
#[test]
fn r60_a_narrow_window_is_shared() {
    let mut peer = Peer::new(1);
    let (one, two) = (peer.open(0, 10), peer.open(1, 10));
    peer.deliver(messages(one, 1, &[&large("x")]));
    peer.deliver(messages(two, 1, &["small"]));
    peer.hear();
    let mut links = Vec::new();
    for _ in 0..2 {
        peer.open_window(3);
        for heard in peer.hear() {
            match heard {
                Heard::Transfer { link, .. } => links.push(link),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(links.len(), 6);
    assert!(links.contains(&1), "{links:?}");
}

/// Mutant: the message begins anew.
#[test]
fn r60_a_message_goes_on_where_the_window_has_cut_it() {
    let mut peer = Peer::new(3);
    let key = peer.open(0, 10);
    let text = large("z");
    peer.deliver(messages(key, 1, &[&text]));
    let mut payload = Vec::new();
    let mut frames = 0;
    loop {
        for heard in peer.hear() {
            let Heard::Transfer {
                id,
                payload: part,
                more,
                ..
            } = heard
            else {
                panic!("{heard:?}");
            };
            assert_eq!(id.is_some(), frames == 0);
            payload.extend(part);
            frames += 1;
            if !more {
                assert_eq!(body(&payload), text);
                assert!(frames > (300 << 10) / FRAME_BYTES);
                return;
            }
        }
        peer.open_window(100);
    }
}

/// Mutants: the half-sent message counts as written; room that is given back twice, or never.
#[test]
fn l10_l22_what_a_detached_link_has_not_sent_returns_and_gives_its_room_back_once() {
    let mut peer = Peer::new(4);
    let key = peer.open(0, 10);
    let text = large("z");
    let first = messages(key, 1, &["a", &text, "b"]);
    let second = messages(key, 4, &["c"]);
    let all = first.room() + second.room();
    peer.deliver(first);
    peer.deliver(second);
    let mut back = room(&mut peer);
    let detach = Detach {
        handle: 0,
        closed: false,
        error: None,
    };
    peer.say(Performative::Detach(detach));
    let asked = peer.ask();
    assert!(
        matches!(asked[0], Command::Cancel { consumer, written: 1, token: None } if consumer == key),
        "{asked:?}"
    );
    for command in asked {
        if let Command::Room(bytes) = command {
            back += bytes;
        }
    }
    // One more comes from the broker's side of the crossing.
    let late = messages(key, 5, &["late"]);
    let late_room = late.room();
    peer.deliver(late);
    peer.hear();
    assert_eq!(back + room(&mut peer), all + late_room);
    peer.hear();
    assert_eq!(room(&mut peer), 0);
}

/// Mutant: room that is lost with a consumer that the broker has ended.
#[test]
fn l22_a_consumer_that_the_broker_ends_gives_its_room_back() {
    let mut peer = Peer::new(1);
    let key = peer.open(0, 10);
    let two = messages(key, 1, &["a", "b"]);
    let all = two.room();
    peer.deliver(two);
    peer.consumer_ended(key);
    let heard = peer.hear();
    let gone = Heard::Detached(0, Some("amqp:resource-deleted".into()));
    assert_eq!(heard.last(), Some(&gone), "r44");
    assert_eq!(room(&mut peer), all);
}

/// Mutants: credit lost with what is not sent; the message goes with the next disposition.
#[test]
fn r37_what_is_too_large_for_the_peer_is_rejected_and_costs_no_credit() {
    let mut peer = Peer::new(100);
    let source = Source {
        address: Some("queue://a"),
        ..Source::default()
    };
    let key = peer.attached(Attach {
        max_message_size: Some(100),
        ..Peer::attach(0, "small", source)
    });
    peer.credit(0, 3, false);
    peer.hear();
    peer.ask();
    let delivery = messages(key, 1, &["a", &"x".repeat(100), "b"]);
    let all = delivery.room();
    peer.deliver(delivery);
    assert_eq!(settled(&peer.commands), [(2, 1, Outcome::Rejected)]);
    assert_eq!(until(&peer.commands), Some(5));
    assert_eq!(peer.bodies(), ["a", "b"]);
    assert_eq!(room(&mut peer), all);
}

/// Mutant: settled when it is encoded.
#[test]
fn r38_l10_pre_settled_deliveries_are_settled_as_they_are_written() {
    let mut peer = Peer::new(100);
    let source = Source {
        address: Some("queue://a"),
        ..Source::default()
    };
    let attach = Attach {
        sender_settles: SenderSettles::Settled,
        ..Peer::attach(0, "fast", source)
    };
    peer.say(Performative::Attach(Box::new(attach)));
    let consume = peer.consume();
    assert_eq!(consume.settle, SettleMode::OnWrite);
    peer.answer(consume.token, Answer::Consuming);
    peer.credit(0, 3, false);
    peer.hear();
    peer.ask();
    peer.deliver(messages(consume.consumer, 1, &["a", "b", "c"]));
    assert!(peer.ask().is_empty());
    let third = peer.output.len() / 3;
    peer.write(2 * third + 1);
    assert_eq!(written(&peer.ask()), Some((consume.consumer, 2)));
    let heard = peer.hear();
    assert!(
        heard
            .iter()
            .all(|heard| matches!(heard, Heard::Transfer { settled: true, .. })),
        "{heard:?}"
    );
    assert_eq!(written(&peer.ask()), Some((consume.consumer, 3)));
}

fn written(asked: &[Command]) -> Option<(ConsumerKey, Tag)> {
    asked.iter().find_map(|command| match command {
        Command::Written { consumer, tag } => Some((*consumer, *tag)),
        _ => None,
    })
}
