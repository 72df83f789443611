//! What the client says of deliveries.

use ternmq_amqp::types::{Value, put_map, put_symbol, put_text};
use ternmq_amqp::{
    DeliveryState, Disposition, Fault, Outcome as Said, Performative, ReceiverSettles, Role, Source,
};
use ternmq_core::command::{Command, Outcome, Settle, Tags};
use ternmq_core::effect::Answer;
use ternmq_core::ids::ConsumerKey;

use super::peer::{Heard, Peer, messages, settled};

/// A link with five messages, all sent: their ids begin at 0, their tags at 1.
fn with_five() -> (Peer, ConsumerKey) {
    let mut peer = Peer::new(100);
    let key = peer.open(0, 10);
    peer.deliver(messages(key, 1, &["a", "b", "c", "d", "e"]));
    peer.hear();
    peer.ask();
    (peer, key)
}

fn settles(peer: &mut Peer) -> Vec<Settle> {
    let asked = peer.ask().into_iter().map(|command| match command {
        Command::Settle(settle) => settle,
        other => panic!("{other:?}"),
    });
    asked.collect()
}

fn ranges(peer: &mut Peer) -> Vec<(u64, u32, Outcome)> {
    let settles = settles(peer).into_iter().map(|settle| {
        assert_eq!(settle.token, None, "an answer asks for a sync (law L4)");
        match settle.tags {
            Tags::Range { first, n } => (first, n, settle.outcome),
            Tags::UpTo(_) => panic!("{settle:?}"),
        }
    });
    settles.collect()
}

/// Mutants: one command per disposition; outcomes that are joined.
#[test]
fn r62_consecutive_dispositions_of_one_outcome_are_one_settlement() {
    let (mut peer, _) = with_five();
    let accepted = |id| settled(id, id, Some(Said::Accepted));
    peer.say_all([accepted(0), accepted(1), accepted(2)]);
    assert_eq!(ranges(&mut peer), [(1, 3, Outcome::Accepted)]);
    peer.say_all([accepted(3), settled(4, 4, Some(Said::Released))]);
    assert_eq!(
        ranges(&mut peer),
        [(4, 1, Outcome::Accepted), (5, 1, Outcome::Released)]
    );
}

/// Mutant: a range ends at the first that is settled.
#[test]
fn r62_what_is_settled_already_or_was_never_sent_is_passed_over() {
    let (mut peer, _) = with_five();
    peer.settle(2, 2, Said::Accepted);
    assert_eq!(ranges(&mut peer), [(3, 1, Outcome::Accepted)]);
    peer.settle(0, 1_000_000, Said::Accepted);
    assert_eq!(
        ranges(&mut peer),
        [(1, 2, Outcome::Accepted), (4, 2, Outcome::Accepted)]
    );
    peer.settle(0, 1_000_000, Said::Accepted);
    assert_eq!(ranges(&mut peer), []);
}

/// Mutant: accepted by default.
#[test]
fn r64_without_a_state_the_default_outcome_counts_and_received_is_none() {
    let (mut peer, _) = with_five();
    peer.say(settled(0, 0, None));
    assert_eq!(ranges(&mut peer), [(1, 1, Outcome::Released)]);
    let received = DeliveryState::Received {
        section: 0,
        offset: 0,
    };
    for state in [None, Some(received)] {
        peer.say(Performative::Disposition(Disposition {
            role: Role::Receiver,
            first: 1,
            last: 1,
            settled: false,
            state,
            batchable: false,
        }));
        assert_eq!(ranges(&mut peer), []);
    }
    let source = Source {
        address: Some("queue://a"),
        default_outcome: Some(Said::Accepted),
        ..Source::default()
    };
    let key = peer.attached(Peer::attach(1, "other", source));
    peer.credit_after(1, 0, 1, false);
    peer.deliver(messages(key, 1, &["f"]));
    peer.hear();
    peer.ask();
    peer.say(settled(5, 5, None));
    assert_eq!(ranges(&mut peer), [(1, 1, Outcome::Accepted)]);
}

/// Mutant: `undeliverable-here` alone counts as failed.
#[test]
fn r67_r68_r69_outcomes_are_the_brokers() {
    let (mut peer, _) = with_five();
    let modified = |delivery_failed, undeliverable_here| Said::Modified {
        delivery_failed,
        undeliverable_here,
        annotations: None,
    };
    for (id, said, outcome) in [
        (0, Said::Rejected(None), Outcome::Rejected),
        (1, modified(true, false), Outcome::Failed { delay_ms: None }),
        (
            2,
            modified(false, true),
            Outcome::Undeliverable { failed: false },
        ),
        (
            3,
            modified(true, true),
            Outcome::Undeliverable { failed: true },
        ),
        (4, modified(false, false), Outcome::Released),
    ] {
        peer.settle(id, id, said);
        assert_eq!(ranges(&mut peer), [(u64::from(id) + 1, 1, outcome)]);
    }
}

fn noted(settle: &Settle) -> Vec<(String, String)> {
    let Some(Value::Map(map)) = settle
        .note
        .as_deref()
        .map(|note| Value::decode(note).unwrap())
    else {
        return Vec::new();
    };
    let pairs = map.iter().map(|pair| match pair.unwrap() {
        (Value::Symbol(key), Value::Text(value) | Value::Symbol(value)) => {
            (key.to_owned(), value.to_owned())
        }
        other => panic!("{other:?}"),
    });
    pairs.collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// Mutants: an earlier note forgotten; the note of one message given to its neighbours.
#[test]
fn r69_changed_annotations_are_laid_over_the_earlier_ones() {
    let mut peer = Peer::new(100);
    let key = peer.open(0, 10);
    let map = |key, value| {
        let (mut items, mut map) = (Vec::new(), Vec::new());
        put_symbol(&mut items, key);
        put_text(&mut items, value);
        put_map(&mut map, 2, &items);
        map
    };
    peer.deliver(messages(key, 1, &["a"]));
    let mut second = messages(key, 2, &["b"]);
    second.note = Some(map("x-opt-first", "1").into());
    peer.deliver(second);
    peer.deliver(messages(key, 3, &["c"]));
    peer.hear();
    peer.ask();
    let changes = map("x-opt-next", "2");
    let Ok(Value::Map(annotations)) = Value::decode(&changes) else {
        panic!();
    };
    peer.settle(
        0,
        2,
        Said::Modified {
            delivery_failed: true,
            undeliverable_here: false,
            annotations: Some(annotations),
        },
    );
    let settles = settles(&mut peer);
    let notes: Vec<_> = settles.iter().map(noted).collect();
    let next = pair("x-opt-next", "2");
    assert_eq!(
        notes,
        [
            vec![next.clone()],
            vec![next.clone(), pair("x-opt-first", "1")],
            vec![next]
        ]
    );
}

/// Mutant: the error is not noted.
#[test]
fn r67_the_error_of_a_rejection_goes_with_the_message() {
    let (mut peer, _) = with_five();
    let error = Fault::new("amqp:decode-error", "no good");
    peer.settle(0, 4, Said::Rejected(Some(error)));
    let settles = settles(&mut peer);
    assert_eq!(settles.len(), 1);
    assert_eq!(
        noted(&settles[0]),
        [
            pair("x-opt-rejection-condition", "amqp:decode-error"),
            pair("x-opt-rejection-description", "no good")
        ]
    );
}

fn unsettled(first: u32, last: u32, outcome: Said<'_>) -> Performative<'_> {
    Performative::Disposition(Disposition {
        role: Role::Receiver,
        first,
        last,
        settled: false,
        state: Some(DeliveryState::Outcome(outcome)),
        batchable: false,
    })
}

fn second_mode() -> Peer {
    let mut peer = Peer::new(100);
    let source = Source {
        address: Some("queue://a"),
        ..Source::default()
    };
    let attach = ternmq_amqp::Attach {
        receiver_settles: ReceiverSettles::Second,
        ..Peer::attach(0, "second", source)
    };
    let key = peer.attached(attach);
    peer.credit(0, 10, false);
    peer.deliver(messages(key, 1, &["a", "b", "c", "d", "e"]));
    peer.hear();
    peer.ask();
    peer
}

/// Mutants: settled before the broker has agreed; told twice.
#[test]
fn r65_l4_a_peer_that_settles_second_hears_when_the_outcome_is_safe() {
    let mut peer = second_mode();
    peer.say(unsettled(0, 2, Said::Accepted));
    let mut asked = settles(&mut peer);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].tags, Tags::Range { first: 1, n: 3 });
    assert_eq!(peer.hear(), []);
    peer.answer(asked[0].token, Answer::Settled);
    let state = "Some(Outcome(Accepted))".to_owned();
    assert_eq!(peer.hear(), [Heard::Settled(0, 2, state)]);
    peer.say(settled(0, 2, Some(Said::Accepted)));
    asked = settles(&mut peer);
    assert!(asked.is_empty(), "{asked:?}");
}

/// Mutants: what is told twice is settled twice, so that its neighbours are never; an echo of what
/// the peer has settled meanwhile.
#[test]
fn r65_an_outcome_that_is_told_again_says_nothing_new() {
    let mut peer = second_mode();
    peer.say(unsettled(1, 2, Said::Accepted));
    let told = settles(&mut peer);
    peer.say(unsettled(0, 3, Said::Accepted));
    let again = settles(&mut peer);
    let tags: Vec<_> = again.iter().map(|settle| settle.tags).collect();
    assert_eq!(
        tags,
        [
            Tags::Range { first: 1, n: 1 },
            Tags::Range { first: 4, n: 1 }
        ]
    );
    peer.say(settled(0, 4, Some(Said::Accepted)));
    assert_eq!(ranges(&mut peer), [(5, 1, Outcome::Accepted)]);
    for settle in told.iter().chain(&again) {
        peer.answer(settle.token, Answer::Settled);
    }
    assert_eq!(peer.hear(), []);
}

/// Mutant: the delivery is settled as if there were no transaction.
#[test]
fn r101_an_outcome_in_a_transaction_ends_the_link() {
    let (mut peer, key) = with_five();
    peer.say(Performative::Disposition(Disposition {
        role: Role::Receiver,
        first: 0,
        last: 0,
        settled: true,
        state: Some(DeliveryState::Transactional {
            txn_id: b"t",
            outcome: Some(Said::Accepted),
        }),
        batchable: false,
    }));
    let asked = peer.ask();
    assert!(
        matches!(asked[..], [Command::Cancel { consumer, written: 5, .. }] if consumer == key),
        "{asked:?}"
    );
    let condition = "amqp:transaction:unknown-id".to_owned();
    assert_eq!(peer.hear(), [Heard::Detached(0, Some(condition))]);
}
