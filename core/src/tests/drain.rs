//! Credit and drains of consumers that count what they may get (AMQP 2.6.7, rules 46-49).

use crate::command::{Close, Command, Outcome, Source};
use crate::effect::{Answer, Effect};
use crate::error::Refusal;
use crate::ids::{ConnectionId, ConsumerKey, Tag, Token};
use crate::testing::{
    SENDER, Shell, address, answers, bodies, check, conn, consume_on_credit, refusal,
};

fn on_credit(shell: &mut Shell, id: ConnectionId, key: u32, queue: &str) {
    let source = Source::Anycast(address(queue));
    shell.run(id, vec![consume_on_credit(key, source)]);
}

fn credit(key: u32, until: Tag) -> Command {
    let consumer = ConsumerKey(key);
    Command::Credit { consumer, until }
}

fn drain(key: u32, token: u64) -> Command {
    Command::Drain {
        consumer: ConsumerKey(key),
        token: Token(token),
    }
}

/// The answered drains: token and next tag.
fn drained(effects: &[Effect]) -> Vec<(u64, Tag)> {
    let drained = effects.iter().filter_map(|effect| match effect {
        Effect::Answer {
            token,
            answer: Answer::Drained { next },
            after,
            ..
        } => {
            assert_eq!(*after, 0, "it rests on nothing that could be lost");
            Some((token.0, *next))
        }
        _ => None,
    });
    drained.collect()
}

// Mutant: `pump` calls `end_drains` before `serve`.
#[test]
fn r47_drain_hands_out_what_is_there_up_to_the_credit_and_answers_behind_it() {
    let mut shell = Shell::new();
    on_credit(&mut shell, conn(1), 1, "q");
    shell.send("q", &["a", "b", "c"]);
    let effects = shell.run(conn(1), vec![credit(1, 3), drain(1, 7)]);
    assert_eq!(bodies(&effects), ["a", "b"]);
    assert!(matches!(effects.last(), Some(Effect::Answer { .. })));
    assert_eq!(drained(&effects), [(7, 3)]);
    let effects = shell.run(conn(1), vec![credit(1, 10), drain(1, 8)]);
    assert_eq!(bodies(&effects), ["c"]);
    assert_eq!(drained(&effects), [(8, 4)], "the queue is empty");
    check(&shell.broker);
}

#[test]
fn r47_drain_of_an_empty_queue_and_one_without_credit_are_answered_at_once() {
    let mut shell = Shell::new();
    on_credit(&mut shell, conn(1), 1, "q");
    let effects = shell.run(conn(1), vec![credit(1, 5), drain(1, 1)]);
    assert_eq!(drained(&effects), [(1, 1)]);
    let effects = shell.run(conn(1), vec![credit(1, 0), drain(1, 2)]);
    assert_eq!(drained(&effects), [(2, 1)]);
    shell.send("q", &["a"]);
    let effects = shell.run(conn(1), vec![drain(1, 3)]);
    assert_eq!(
        (bodies(&effects).len(), drained(&effects)),
        (0, vec![(3, 1)])
    );
}

#[test]
fn r47_a_full_window_counts_as_credit_used_up() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 2);
    shell.send("q", &["a", "b", "c"]);
    let effects = shell.run(conn(1), vec![drain(1, 1)]);
    assert_eq!(drained(&effects), [(1, 3)]);
    let effects = shell.settle(conn(1), 1, 1, 2, Outcome::Accepted);
    assert_eq!(
        (bodies(&effects).len(), drained(&effects).len()),
        (1, 0),
        "one answer per drain"
    );
}

// Mutant: `list_drain` in `unpark` taken out.
#[test]
fn r47_l22_drain_waits_for_room_and_goes_on_with_it() {
    let mut shell = Shell::small(66, 4_096);
    on_credit(&mut shell, conn(1), 1, "q");
    shell.send("q", &["a", "b", "c"]);
    let effects = shell.run(conn(1), vec![credit(1, 100), drain(1, 1)]);
    assert_eq!((bodies(&effects).len(), drained(&effects).len()), (2, 0));
    check(&shell.broker);
    let effects = shell.run(conn(1), vec![Command::Room(33)]);
    assert_eq!(
        (bodies(&effects).len(), drained(&effects)),
        (1, vec![(1, 4)])
    );
    check(&shell.broker);
}

// Mutant: `credit_taken` not called.
#[test]
fn r47_l22_drain_that_waits_for_room_ends_with_the_credit() {
    let mut shell = Shell::small(33, 4_096);
    on_credit(&mut shell, conn(1), 1, "q");
    shell.send("q", &["a", "b"]);
    let effects = shell.run(conn(1), vec![credit(1, 100), drain(1, 1)]);
    assert_eq!(drained(&effects), []);
    let effects = shell.run(conn(1), vec![credit(1, 2)]);
    assert_eq!(drained(&effects), [(1, 2)]);
    let effects = shell.run(conn(1), vec![Command::Room(33)]);
    assert_eq!((bodies(&effects).len(), drained(&effects).len()), (0, 0));
}

// Mutant: `has_for` always true.
#[test]
fn r47_l22_drain_ends_when_others_took_what_had_no_room() {
    let mut shell = Shell::small(33, 4_096);
    on_credit(&mut shell, conn(1), 1, "q");
    shell.send("q", &["a", "b"]);
    shell.run(conn(1), vec![credit(1, 100)]);
    shell.consume(conn(2), 1, "q", 10);
    let effects = shell.run(conn(1), vec![drain(1, 1)]);
    assert_eq!(drained(&effects), [(1, 2)]);
}

// Mutant: `pump` calls `end_drains` although `serve` says false.
#[test]
fn r47_l21_drain_is_not_answered_while_units_are_missing() {
    let mut shell = Shell::small(1 << 20, 4);
    on_credit(&mut shell, conn(1), 1, "q");
    shell.send("q", &["a", "b", "c", "d", "e", "f"]);
    let effects = shell.once(conn(1), vec![credit(1, 100), drain(1, 1)]);
    assert_eq!((bodies(&effects).len(), drained(&effects).len()), (4, 0));
    assert!(shell.more);
    let effects = shell.run(ConnectionId::BROKER, Vec::new());
    assert_eq!(
        (bodies(&effects).len(), drained(&effects)),
        (2, vec![(1, 7)])
    );
}

// Mutant: `paused` false in `pump`.
#[test]
fn r47_l11_drain_finds_nothing_in_a_queue_that_pauses() {
    let mut shell = Shell::new();
    on_credit(&mut shell, conn(1), 1, "q");
    shell.send("q", &["a"]);
    shell.run(conn(1), vec![credit(1, 100)]);
    shell.settle(conn(1), 1, 1, 1, Outcome::Released);
    let effects = shell.run(conn(1), vec![drain(1, 1)]);
    assert_eq!(
        (bodies(&effects).len(), drained(&effects)),
        (0, vec![(1, 2)])
    );
    assert_eq!(bodies(&shell.sleep(10)), ["a"]);
}

#[test]
fn r47_second_drain_answers_the_first() {
    let mut shell = Shell::small(33, 4_096);
    on_credit(&mut shell, conn(1), 1, "q");
    shell.send("q", &["a", "b"]);
    shell.run(conn(1), vec![credit(1, 100), drain(1, 1)]);
    let effects = shell.run(conn(1), vec![drain(1, 2)]);
    assert_eq!(drained(&effects), [(1, 2)]);
    let effects = shell.run(conn(1), vec![Command::Room(33)]);
    assert_eq!(drained(&effects), [(2, 3)]);
}

// Mutant: `refuse_drain` left out of `remove_consumer`.
#[test]
fn r47_drain_of_a_consumer_that_ends_is_refused_and_none_follows_a_close() {
    let mut shell = Shell::small(33, 4_096);
    for slot in 1..=2 {
        on_credit(&mut shell, conn(slot), 1, "q");
    }
    shell.send("q", &["a", "b", "c", "d"]);
    for slot in 1..=2 {
        let effects = shell.run(conn(slot), vec![credit(1, 100), drain(1, 1)]);
        assert_eq!((bodies(&effects).len(), drained(&effects).len()), (1, 0));
    }
    let cancel = Command::Cancel {
        consumer: ConsumerKey(1),
        written: 1,
        token: Some(Token(2)),
    };
    let effects = shell.run(conn(1), vec![cancel]);
    let seen = answers(&effects);
    assert!(
        matches!(
            seen[..],
            [Answer::Refused(Refusal::Unknown), Answer::Cancelled]
        ),
        "{seen:?}"
    );
    let effects = shell.run(conn(2), vec![Command::Close(Close::default())]);
    assert_eq!(answers(&effects).len(), 0);
    check(&shell.broker);
}

#[test]
fn r47_drain_of_a_consumer_whose_queue_goes_is_refused() {
    let mut shell = Shell::small(33, 4_096);
    let create = Command::CreateTemporary {
        address: address("temporary-1"),
        routing: crate::command::RoutingType::Anycast,
        token: None,
    };
    shell.run(conn(1), vec![create]);
    let source = Source::Anycast(address("temporary-1"));
    shell.run(conn(1), vec![consume_on_credit(1, source)]);
    shell.send("temporary-1", &["a", "b"]);
    shell.run(conn(1), vec![credit(1, 100), drain(1, 1)]);
    let queue = *shell.broker.queues.keys().next().unwrap();
    let mut out = crate::effect::Out::default();
    crate::broker::discarded(&mut out, |pass| shell.broker.delete_queue(queue, pass));
    assert_eq!(refusal(&out.effects), Some(Refusal::Unknown));
    let effects = shell.run(conn(1), vec![drain(1, 2)]);
    assert_eq!(
        refusal(&effects),
        Some(Refusal::Unknown),
        "its lane has nobody"
    );
}

#[test]
fn r47_drain_of_nobody_is_refused() {
    let mut shell = Shell::new();
    let effects = shell.run(SENDER, vec![drain(1, 1)]);
    assert_eq!(refusal(&effects), Some(Refusal::Unknown));
    shell.attach(conn(1), "s");
    let effects = shell.run(conn(1), vec![drain(0, 1)]);
    assert_eq!(refusal(&effects), Some(Refusal::Unknown), "of a session");
}
