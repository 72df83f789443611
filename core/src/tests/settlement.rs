//! How deliveries end (L10, L11, L15), time to live and L17.

use std::num::NonZeroU32;

use crate::command::{
    Close, Command, Consume, ConsumeOptions, Outcome, SendMode, SettleMode, Source,
};
use crate::effect::{Effect, MoveReason};
use crate::ids::{ConnectionId, ConsumerKey, Tag};
use crate::record::MOVE;
use crate::settings::DeliveryAttempts;
use crate::testing::{
    SENDER, Shell, address, bodies, check, clean, conn, delivered, durable, run_of, seen,
};

fn on_write(shell: &mut Shell, id: ConnectionId, key: u32, queue: &str, prefetch: u32) {
    let consume = Consume {
        consumer: ConsumerKey(key),
        source: Source::Anycast(address(queue)),
        settle: SettleMode::OnWrite,
        prefetch,
        options: ConsumeOptions::default(),
        token: None,
    };
    shell.run(id, vec![Command::Consume(consume)]);
}

fn written(key: u32, tag: Tag) -> Vec<Command> {
    let consumer = ConsumerKey(key);
    vec![Command::Written { consumer, tag }]
}

fn attempts_of(effects: &[Effect]) -> Vec<(String, u32)> {
    let seen = seen(effects).into_iter();
    seen.map(|seen| (seen.body, seen.attempts)).collect()
}

fn at_most(rule: &mut crate::settings::AddressRule, n: u32) {
    rule.max_delivery_attempts = Some(DeliveryAttempts::AtMost(NonZeroU32::new(n).unwrap()));
}

fn failed() -> Outcome {
    Outcome::Failed { delay_ms: None }
}

// Mutant: `OnWrite` settlement in `written` taken out.
#[test]
fn l10_delivery_that_nobody_settles_is_settled_when_it_is_written() {
    let mut shell = Shell::new();
    on_write(&mut shell, conn(1), 1, "q", 2);
    let effects = shell.send("q", &["a", "b", "c"]);
    assert_eq!(bodies(&effects), ["a", "b"]);
    let effects = shell.run(conn(1), written(1, 1));
    assert_eq!(bodies(&effects), ["c"]);
    shell.close(conn(1), &[(1, 2)]);
    let effects = shell.consume(conn(2), 1, "q", 10);
    assert_eq!(attempts_of(&effects), [("c".to_owned(), 0)]);
}

#[test]
fn l10_cancel_keeps_what_was_encoded_and_returns_the_rest_uncounted() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a", "b", "c"]);
    let cancel = Command::Cancel {
        consumer: ConsumerKey(1),
        written: 2,
        token: shell.token(),
    };
    shell.run(conn(1), vec![cancel]);
    let effects = shell.consume(conn(2), 1, "q", 10);
    let back = [
        ("a".to_owned(), 0),
        ("b".to_owned(), 0),
        ("c".to_owned(), 0),
    ];
    assert_eq!(attempts_of(&effects), back);
}

// Mutant: `u32::from(first)` replaced by 1 in `take_back`.
#[test]
fn l11_lost_connection_counts_what_was_written_and_fails_only_the_oldest() {
    let mut shell = Shell::ruled("q", |rule| at_most(rule, 2));
    shell.send("q", &["a", "b", "c"]);
    for life in 1..=3 {
        let id = ConnectionId {
            generation: life,
            ..conn(1)
        };
        shell.consume(id, 1, "q", 10);
        shell.close(id, &[(1, Tag::from(life) * 2)]);
    }
    // Life 1 wrote a and b, life 2 all: a failed twice and is gone; then b failed once.
    let effects = shell.consume(conn(2), 1, "DLQ", 10);
    assert_eq!(bodies(&effects), ["a"]);
    let effects = shell.consume(conn(2), 2, "q", 10);
    assert_eq!(
        attempts_of(&effects),
        [("b".to_owned(), 3), ("c".to_owned(), 2)]
    );
}

#[test]
fn l11_polite_end_counts_nothing() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a"]);
    let close = Close {
        polite: true,
        written: vec![(ConsumerKey(1), 1)],
    };
    shell.run(conn(1), vec![Command::Close(close)]);
    let effects = shell.consume(conn(2), 1, "q", 10);
    assert_eq!(attempts_of(&effects), [("a".to_owned(), 0)]);
}

// Mutant: `>=` replaced by `>` in `dead_letter_if_exhausted`.
#[test]
fn l11_message_that_fails_too_often_is_dead_lettered_with_its_origin() {
    let mut shell = Shell::ruled("q", |rule| at_most(rule, 3));
    shell.consume(conn(2), 1, "DLQ", 10);
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a"]);
    for attempt in 1..=3 {
        let effects = shell.settle(conn(1), 1, attempt, 1, failed());
        let dead = delivered(&effects);
        assert_eq!(dead.len(), usize::from(attempt == 3));
        if let Some((_, delivery)) = dead.first() {
            let origin = delivery.origin.as_ref().unwrap();
            assert_eq!(origin.reason, MoveReason::MaxDeliveryAttempts);
            assert_eq!((origin.address.as_str(), origin.queue.as_str()), ("q", "q"));
            assert_eq!(delivery.attempts, 0, "L15: a new count");
        }
        shell.sleep(10);
    }
    assert_eq!(shell.broker.counts().dead_lettered, 1);
}

// Mutant: `pause_if_alone` after `Failed` taken out.
#[test]
fn l11_message_that_comes_straight_back_waits_10_ms_and_keeps_its_place() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 2);
    shell.send("q", &["a", "b", "c"]);
    for outcome in [failed(), Outcome::Released] {
        let effects = shell.settle(conn(1), 1, 1, 1, outcome);
        assert!(bodies(&effects).is_empty(), "nothing spins");
        assert!(bodies(&shell.sleep(9)).is_empty());
        let effects = shell.sleep(1);
        assert_eq!(bodies(&effects), ["a"], "before c");
        shell.close(conn(1), &[]);
        shell = {
            let mut fresh = Shell::new();
            fresh.consume(conn(1), 1, "q", 2);
            fresh.send("q", &["a", "b", "c"]);
            fresh
        };
    }
}

#[test]
fn l11_rejection_in_the_dead_letter_queue_does_not_spin() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "DLQ", 10);
    shell.send("DLQ", &["a"]);
    let effects = shell.settle(conn(1), 1, 1, 1, Outcome::Rejected);
    assert!(bodies(&effects).is_empty());
    assert_eq!(bodies(&shell.sleep(10)), ["a"]);
}

// Mutant: `powi(exponent)` replaced by `powi(0)`.
#[test]
fn l11_redelivery_delay_grows_up_to_its_cap() {
    let mut shell = Shell::ruled("q", |rule| {
        rule.redelivery_delay_ms = Some(100);
        rule.redelivery_multiplier = Some(3.0);
        rule.max_redelivery_delay_ms = Some(500);
    });
    shell.consume(conn(1), 1, "q", 1);
    shell.send("q", &["a"]);
    for (attempt, delay) in [(1, 100), (2, 300), (3, 500), (4, 500)] {
        shell.settle(conn(1), 1, attempt, 1, failed());
        check(&shell.broker);
        assert!(
            bodies(&shell.sleep(delay - 1)).is_empty(),
            "attempt {attempt}"
        );
        assert_eq!(bodies(&shell.sleep(1)), ["a"]);
    }
    let outcome = Outcome::Failed { delay_ms: Some(20) };
    shell.settle(conn(1), 1, 5, 1, outcome);
    assert!(bodies(&shell.sleep(19)).is_empty());
    assert_eq!(bodies(&shell.sleep(1)), ["a"]);
}

#[test]
fn l11_connection_loss_of_a_clean_session_counts_named_queues() {
    let mut shell = Shell::new();
    shell.send("q", &["a"]);
    shell.run(conn(1), vec![Command::Attach(clean("s", None))]);
    let requests = vec![crate::testing::bind_queue("q")];
    shell.run(
        conn(1),
        vec![Command::Bind {
            requests,
            token: None,
        }],
    );
    shell.close(conn(1), &[(0, 1)]);
    let effects = shell.consume(conn(2), 1, "q", 10);
    assert_eq!(attempts_of(&effects), [("a".to_owned(), 1)]);
}

// Mutant: the stay in `dead_letter` taken out.
#[test]
fn l15_failure_in_the_dead_letter_queue_stays_there() {
    let mut shell = Shell::ruled("#", |rule| at_most(rule, 1));
    shell.consume(conn(1), 1, "DLQ", 10);
    shell.send("DLQ", &["a"]);
    for attempt in 1..4 {
        shell.settle(conn(1), 1, attempt, 1, failed());
        let effects = shell.sleep(10);
        assert_eq!(attempts_of(&effects), [("a".to_owned(), 0)], "a new count");
    }
    assert_eq!(shell.log.count(MOVE), 0);
    shell.restart();
    let effects = shell.consume(conn(2), 1, "DLQ", 10);
    assert_eq!(attempts_of(&effects), [("a".to_owned(), 0)]);
}

fn expiring(to: &str, bodies: &[&str], at_ms: u64) -> crate::message::Run {
    run_of(to, bodies, |envelope| {
        envelope.durable = true;
        envelope.expires_ms = at_ms;
    })
}

// Mutant: `piece.flags & MOVED == 0` taken out of `is_over`.
#[test]
fn l15_expired_messages_move_in_one_record_and_expire_no_more() {
    let mut shell = Shell::new();
    let due = shell.now.wall_ms + 50;
    shell.publish(SENDER, SendMode::Anycast, expiring("q", &["a", "b"], due));
    shell.sleep(49);
    assert_eq!(shell.broker.counts().expired, 0);
    shell.sleep(1);
    assert_eq!(shell.broker.counts().expired, 2);
    assert_eq!(shell.log.count(MOVE), 1);
    shell.sleep(100_000);
    let effects = shell.consume(conn(1), 1, "ExpiryQueue", 10);
    assert_eq!(bodies(&effects), ["a", "b"]);
    let origin = delivered(&effects)[0].1.origin.clone().unwrap();
    assert_eq!((origin.reason, origin.time_ms), (MoveReason::Expired, due));
    shell.restart();
    let effects = shell.consume(conn(2), 1, "ExpiryQueue", 10);
    assert_eq!(bodies(&effects), ["a", "b"]);
    check(&shell.broker);
}

#[test]
fn l15_message_that_expires_in_the_expiry_queue_stays_in_it() {
    let mut shell = Shell::new();
    let due = shell.now.wall_ms + 50;
    shell.publish(
        SENDER,
        SendMode::Anycast,
        expiring("ExpiryQueue", &["a"], due),
    );
    shell.sleep(60);
    let effects = shell.consume(conn(1), 1, "ExpiryQueue", 10);
    assert_eq!(bodies(&effects), ["a"]);
    shell.restart();
    let effects = shell.consume(conn(2), 1, "ExpiryQueue", 10);
    assert_eq!(bodies(&effects), ["a"]);
}

#[test]
fn l17_a_wall_clock_that_lags_delays_expiry_and_loses_none() {
    let mut shell = Shell::new();
    let due = shell.now.wall_ms + 50;
    shell.publish(SENDER, SendMode::Anycast, expiring("q", &["a", "b"], due));
    shell.now.wall_ms -= 20;
    shell.sleep(50);
    assert_eq!(shell.broker.counts().expired, 0);
    shell.sleep(20);
    assert_eq!(shell.broker.counts().expired, 2);
}

#[test]
fn l26_messages_that_are_settled_long_before_they_expire_leave_few_deadlines() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    for n in 0..20_000 {
        let due = shell.now.wall_ms + 3_600_000 + 7_200_000 * (n % 2);
        shell.publish(SENDER, SendMode::Anycast, expiring("q", &["a"], due));
        shell.settle(conn(1), 1, n + 1, 1, Outcome::Accepted);
        shell.sleep(1);
    }
    let deadlines = shell.broker.deadlines.len();
    assert!(deadlines < 50, "{deadlines} deadlines");
    let due = shell.now.wall_ms + 3_600_000;
    shell.close(conn(1), &[]);
    shell.publish(SENDER, SendMode::Anycast, expiring("q", &["late"], due));
    shell.sleep(3_599_999);
    assert_eq!(shell.broker.counts().expired, 0);
    shell.sleep(4_096);
    assert_eq!(shell.broker.counts().expired, 1);
    check(&shell.broker);
}

/// Mutant caught: `discard_messages` that leaves the deadlines.
#[test]
fn l26_a_queue_that_is_gone_leaves_no_expiry_deadlines() {
    let mut shell = Shell::new();
    for slot in 1..100 {
        let source = Source::Multicast(crate::testing::filter("t"));
        shell.run(
            conn(slot),
            vec![crate::testing::consume(1, source, 0, None)],
        );
        let due = shell.now.wall_ms + 3_600_000;
        shell.publish(SENDER, SendMode::Multicast, expiring("t", &["a"], due));
        shell.close(conn(slot), &[]);
    }
    assert_eq!(shell.broker.deadlines.len(), 0);
}

#[test]
fn l17_what_is_out_expires_when_it_comes_back() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 1);
    let due = shell.now.wall_ms + 50;
    shell.publish(SENDER, SendMode::Anycast, expiring("q", &["a", "b"], due));
    shell.sleep(60);
    assert_eq!(shell.broker.counts().expired, 1, "only b was available");
    shell.close(conn(1), &[]);
    assert_eq!(shell.broker.counts().expired, 2);
    check(&shell.broker);
}

// Mutant: `bytes` not taken away in `remove_messages`.
#[test]
fn l23_expired_messages_of_a_subscription_free_its_bytes() {
    let mut options = crate::broker::BrokerOptions::default();
    options.limits.subscription_bytes = 1_000;
    let mut shell = Shell::with(options);
    let source = Source::Multicast(crate::testing::filter("t"));
    shell.run(conn(1), vec![crate::testing::consume(1, source, 0, None)]);
    for _ in 0..50 {
        let due = shell.now.wall_ms + 5;
        shell.publish(
            SENDER,
            SendMode::Multicast,
            expiring("t", &["0123456789"], due),
        );
        shell.sleep(5);
    }
    assert_eq!(shell.broker.counts().dropped_full, 0);
    assert_eq!(shell.broker.counts().expired, 50);
}

#[test]
fn accepted_messages_are_gone_and_their_bytes_reported_dead_once() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.publish(SENDER, SendMode::Anycast, durable("q", &["abc", "defgh"]));
    shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    shell.settle(conn(1), 1, 2, 1, Outcome::Accepted);
    let dead: Vec<u64> = shell.dead.values().copied().collect();
    assert_eq!(dead, [8]);
    assert_eq!(shell.broker.store.len(), 0);
}
