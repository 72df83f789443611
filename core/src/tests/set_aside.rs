//! What a consumer cannot process and others may (rule 69, `undeliverable-here`).

use std::num::NonZeroU32;

use crate::broker::BrokerOptions;
use crate::command::{
    Command, Consume, ConsumeOptions, LeaseAction, Outcome, SendMode, SettleMode, Source,
};
use crate::effect::{Answer, Effect, MoveReason};
use crate::ids::{ConnectionId, ConsumerKey, Tag, Token};
use crate::settings::DeliveryAttempts;
use crate::testing::{
    SENDER, Shell, address, answers, bodies, check, conn, delivered, leased, run_of, seen,
};

const ASIDE: Outcome = Outcome::Undeliverable { failed: false };
const FAILED: Outcome = Outcome::Undeliverable { failed: true };
const NOTHING: [&str; 0] = [];

fn prioritized(shell: &mut Shell, id: ConnectionId, priority: i32) -> Vec<Effect> {
    let consume = Consume {
        consumer: ConsumerKey(1),
        source: Source::Anycast(address("q")),
        settle: SettleMode::Explicit,
        prefetch: 100,
        options: ConsumeOptions {
            priority,
            ..ConsumeOptions::default()
        },
        token: None,
    };
    shell.run(id, vec![Command::Consume(consume)])
}

fn drain(shell: &mut Shell, id: ConnectionId) -> Option<Tag> {
    let consumer = ConsumerKey(1);
    let token = Token(9);
    let effects = shell.run(id, vec![Command::Drain { consumer, token }]);
    answers(&effects)
        .into_iter()
        .find_map(|answer| match answer {
            Answer::Drained { next } => Some(*next),
            _ => None,
        })
}

// Mutant: `first_for` looks at nothing that is excluded.
#[test]
fn r69_undeliverable_here_goes_to_others_in_order_and_holds_nobody_up() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 2);
    shell.send("q", &["a", "b", "c", "d", "e"]);
    let effects = shell.settle(conn(1), 1, 1, 1, ASIDE);
    assert_eq!(bodies(&effects), ["c"], "what follows, at once");
    let effects = shell.settle(conn(1), 1, 2, 2, Outcome::Accepted);
    assert_eq!(bodies(&effects), ["d", "e"]);
    check(&shell.broker);
    shell.settle(conn(1), 1, 4, 1, ASIDE);
    // Alone, it gets neither again, and they wait for somebody else.
    assert_eq!(bodies(&shell.sleep(1_000)), NOTHING);
    shell.settle(conn(1), 1, 5, 1, Outcome::Accepted);
    shell.send("q", &["f", "g", "h"]);
    let effects = shell.consume(conn(2), 1, "q", 10);
    assert_eq!(
        bodies(&effects),
        ["a", "d", "h"],
        "in the order of the queue"
    );
    assert!(
        seen(&effects).iter().all(|seen| seen.attempts == 0),
        "uncounted"
    );
    check(&shell.broker);
}

// Mutant: `put_back` looks at nothing that is excluded.
#[test]
fn r69_undeliverable_here_stays_so_when_others_give_it_back() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 1);
    shell.send("q", &["a"]);
    shell.settle(conn(1), 1, 1, 1, ASIDE);
    let effects = shell.consume(conn(2), 1, "q", 1);
    assert_eq!(bodies(&effects), ["a"]);
    let effects = shell.settle(conn(2), 1, 1, 1, Outcome::Released);
    assert_eq!(
        bodies(&effects),
        NOTHING,
        "nobody else may have it: it waits (L11)"
    );
    let effects = shell.sleep(10);
    assert_eq!(seen(&effects)[0].connection, 2);
    shell.settle(conn(2), 1, 2, 1, ASIDE);
    assert_eq!(bodies(&shell.sleep(10)), NOTHING, "excluded for both");
    check(&shell.broker);
    shell.close(conn(2), &[]);
    assert_eq!(bodies(&shell.sleep(10)), NOTHING, "still not for the first");
    assert_eq!(bodies(&shell.consume(conn(3), 1, "q", 1)), ["a"]);
}

// Mutant: `readmit` not called when a consumer goes.
#[test]
fn r69_undeliverable_here_ends_with_the_consumer() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 2);
    shell.send("q", &["a", "b"]);
    shell.settle(conn(1), 1, 1, 1, ASIDE);
    let cancel = Command::Cancel {
        consumer: ConsumerKey(1),
        written: 0,
        token: None,
    };
    shell.run(conn(1), vec![cancel]);
    check(&shell.broker);
    let effects = shell.consume(conn(1), 1, "q", 2);
    assert_eq!(
        bodies(&effects),
        ["a", "b"],
        "a new one, though of the same key"
    );
}

#[test]
fn r69_undeliverable_here_counts_only_if_it_failed() {
    let mut shell = Shell::ruled("q", |rule| {
        let two = NonZeroU32::new(2).unwrap();
        rule.max_delivery_attempts = Some(DeliveryAttempts::AtMost(two));
    });
    shell.consume(conn(9), 1, "DLQ", 10);
    shell.consume(conn(1), 1, "q", 1);
    shell.send("q", &["a"]);
    shell.settle(conn(1), 1, 1, 1, FAILED);
    let effects = shell.consume(conn(2), 1, "q", 1);
    assert_eq!(seen(&effects)[0].attempts, 1);
    let effects = shell.settle(conn(2), 1, 1, 1, FAILED);
    let dead = delivered(&effects);
    let origin = dead[0].1.origin.as_ref().unwrap();
    assert_eq!(origin.reason, MoveReason::MaxDeliveryAttempts);
    check(&shell.broker);
}

// Mutant: `space` in `exclude` is `usize::MAX`.
#[test]
fn r69_l25_what_is_too_much_to_be_set_aside_is_rejected() {
    let mut options = BrokerOptions::default();
    options.limits.max_set_aside = 2;
    let mut shell = Shell::with(options);
    shell.consume(conn(9), 1, "DLQ", 10);
    shell.consume(conn(1), 1, "q", 5);
    shell.send("q", &["a", "b", "c", "d"]);
    let effects = shell.settle(conn(1), 1, 1, 3, ASIDE);
    let dead = delivered(&effects);
    assert_eq!(bodies(&effects), ["c"]);
    let origin = dead[0].1.origin.as_ref().unwrap();
    assert_eq!(origin.reason, MoveReason::Rejected);
    // What others consume makes space again.
    shell.consume(conn(2), 1, "q", 5);
    shell.settle(conn(2), 1, 1, 1, Outcome::Accepted);
    let effects = shell.settle(conn(1), 1, 4, 1, ASIDE);
    assert_eq!(seen(&effects)[0].connection, 2, "d");
    check(&shell.broker);
}

#[test]
fn r69_receives_and_browsers_may_have_what_is_set_aside() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 3);
    shell.send("q", &["a", "b", "c"]);
    shell.settle(conn(1), 1, 1, 1, ASIDE);
    let consume = Consume {
        consumer: ConsumerKey(1),
        source: Source::Anycast(address("q")),
        settle: SettleMode::Explicit,
        prefetch: 1,
        options: ConsumeOptions {
            browse: true,
            ..ConsumeOptions::default()
        },
        token: None,
    };
    let effects = shell.run(conn(3), vec![Command::Consume(consume)]);
    assert_eq!(bodies(&effects), ["a"]);
    let receive = shell.receive_command("q", 3, 0, 1_000);
    let effects = shell.run(conn(2), vec![receive]);
    assert_eq!(leased(&effects).len(), 1);
    check(&shell.broker);
    // A lease has no consumer to be remembered: it fails or is released.
    let action = LeaseAction::Settle(FAILED);
    let lease = leased(&effects)[0].lease;
    let token = None;
    shell.run(
        conn(2),
        vec![Command::Lease {
            lease,
            action,
            token,
        }],
    );
    check(&shell.broker);
    let receive = shell.receive_command("q", 3, 0, 1_000);
    let effects = shell.run(conn(2), vec![receive]);
    assert_eq!(leased(&effects)[0].delivery.attempts, 1);
}

// Mutant: `has_for` asks `available` instead of `available_to`.
#[test]
fn r47_r69_drain_ends_where_only_what_is_set_aside_is_left() {
    let mut options = BrokerOptions::default();
    options.limits.outbox_bytes = 33;
    let mut shell = Shell::with(options);
    for slot in 1..=2 {
        shell.consume(conn(slot), 1, "q", 10);
    }
    shell.send("q", &["a"]);
    shell.settle(conn(1), 1, 1, 1, ASIDE);
    assert_eq!(drain(&mut shell, conn(1)), Some(2));
    shell.settle(conn(2), 1, 1, 1, ASIDE);
    // The second has room again and takes all; the first has none, and lacks it for nothing.
    for body in ["b", "c"] {
        shell.run(conn(2), vec![Command::Room(33)]);
        let effects = shell.send("q", &[body]);
        assert_eq!(seen(&effects)[0].connection, 2);
    }
    assert_eq!(drain(&mut shell, conn(1)), Some(2));
    check(&shell.broker);
}

// Mutant: the idle are not put back into the line (`push_back` in `serve_around` taken out).
#[test]
fn r69_r45_undeliverable_here_goes_down_the_priorities() {
    let mut shell = Shell::new();
    prioritized(&mut shell, conn(1), 5);
    prioritized(&mut shell, conn(2), 0);
    shell.send("q", &["a", "b"]);
    let effects = shell.settle(conn(1), 1, 1, 1, ASIDE);
    let got = seen(&effects);
    assert_eq!((got.len(), got[0].connection), (1, 2));
    let effects = shell.settle(conn(2), 1, 1, 1, ASIDE);
    assert_eq!(bodies(&effects), NOTHING);
    check(&shell.broker);
    let effects = shell.send("q", &["c", "d"]);
    let slots: Vec<u32> = seen(&effects).iter().map(|seen| seen.connection).collect();
    assert_eq!(slots, [1, 1], "the first goes on with what follows");
    check(&shell.broker);
}

#[test]
fn r69_what_is_set_aside_expires() {
    let mut shell = Shell::new();
    let now = shell.now.wall_ms;
    shell.consume(conn(1), 1, "q", 10);
    let run = run_of("q", &["a", "b"], |envelope| envelope.expires_ms = now + 50);
    shell.publish(SENDER, SendMode::Anycast, run);
    shell.settle(conn(1), 1, 1, 2, ASIDE);
    check(&shell.broker);
    shell.sleep(60);
    assert_eq!(shell.broker.counts().expired, 2);
    check(&shell.broker);
}

#[test]
fn r69_l21_units_and_rounds_are_kept_around_what_is_set_aside() {
    let mut options = BrokerOptions::default();
    options.limits.units_per_call = 3;
    let mut shell = Shell::with(options);
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a", "b", "c"]);
    shell.settle(conn(1), 1, 1, 3, ASIDE);
    shell.send("q", &["d", "e", "f", "g", "h"]);
    check(&shell.broker);
    let source = Source::Anycast(address("q"));
    let consume = crate::testing::consume(1, source, 10, None);
    let mut each = vec![bodies(&shell.once(conn(2), vec![consume]))];
    while shell.more {
        each.push(bodies(&shell.once(ConnectionId::BROKER, Vec::new())));
    }
    assert!(each.iter().all(|bodies| bodies.len() <= 3));
    assert_eq!(each.concat(), ["a", "b", "c"]);
    check(&shell.broker);
}

#[test]
fn r69_nothing_is_set_aside_after_a_restart() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a"]);
    shell.settle(conn(1), 1, 1, 1, ASIDE);
    shell.restart();
    let effects = shell.consume(conn(1), 1, "q", 10);
    assert_eq!(bodies(&effects), ["a"]);
}
