//! What waits for what, and in which order things leave (L1, L2, L5, L6).

use crate::broker::Broker;
use crate::command::{Command, Outcome, SendMode, Source};
use crate::effect::{Answer, Effect};
use crate::record::{COUNT, MOVE, MSG, RecordSink, SETTLE};
use crate::settings::Dispatch;
use crate::testing::{
    SENDER, Shell, address, at_most_once, bodies, clean, conn, consume, delivered, durable,
    durable_state, filter, publish, settle, transient,
};

/// The position of the last record of a kind.
fn last(shell: &Shell, kind: u8) -> u64 {
    let records = shell.log.records.iter().rev();
    let mut found = records.filter(|(_, k, _)| *k == kind);
    found.next().expect("a record").0
}

fn positions(effects: &[Effect]) -> Vec<u64> {
    delivered(effects).iter().map(|(after, _)| *after).collect()
}

// Mutant: `AT_END` replaced by the name of the message in `publish`.
#[test]
fn l1_answer_waits_for_everything_decided_in_its_call() {
    let mut shell = Shell::new();
    let publishes = vec![
        publish(SendMode::Anycast, durable("q", &["a"]), shell.token()),
        publish(SendMode::Anycast, durable("q", &["b"]), shell.token()),
    ];
    let effects = shell.run(SENDER, publishes);
    let tail = shell.log.tail();
    for effect in &effects {
        let Effect::Answer { after, .. } = effect else {
            continue;
        };
        assert_eq!(*after, tail);
    }
    assert_eq!(effects.len(), 2);
}

#[test]
fn l1_answer_to_a_message_that_is_not_journalled_waits_for_the_newest_routing_change() {
    let mut shell = Shell::new();
    let (after, ..) = shell.publish(SENDER, SendMode::Publish, transient("t", &["a"]));
    assert_eq!(after, 0);
    shell.send("q", &["a"]);
    let routed = shell.broker.routes.position;
    assert!(routed > 0 && routed < shell.log.tail());
    let (after, ..) = shell.publish(SENDER, SendMode::Publish, transient("t", &["a"]));
    assert_eq!(after, routed);
}

// Mutant: `stored.name + 1` replaced by `stored.name` in `delivery_after`.
#[test]
fn l1_delivery_waits_for_the_record_of_its_message_and_no_more() {
    let mut shell = Shell::new();
    shell.send("q", &["old"]);
    let old = last(&shell, MSG);
    shell.send("other", &["x"]);
    let effects = shell.consume(conn(1), 1, "q", 10);
    // The consumer was opened after everything above, so its deliveries wait for that.
    assert_eq!(positions(&effects), [shell.log.tail()]);
    let opened = shell.log.tail();
    shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    let effects = shell.send("q", &["fresh"]);
    assert_eq!(positions(&effects), [last(&shell, MSG) + 1]);
    assert!(opened > old);
}

#[test]
fn l1_old_backlog_waits_for_nobody() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 1);
    shell.send("q", &["a"]);
    shell.send("q", &["b"]);
    let second = last(&shell, MSG);
    shell.send("other", &["x"]);
    let effects = shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    assert_eq!(positions(&effects), [second + 1]);
}

#[test]
fn l1_delivery_of_a_message_without_record_waits_only_for_its_subscription() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    let opened = shell.log.tail();
    shell.send("other", &["x"]);
    let (.., effects) = shell.publish(SENDER, SendMode::Anycast, transient("q", &["a"]));
    assert_eq!(positions(&effects), [opened]);
}

// Mutant: `after.max(queue.moved_after)` replaced by `after` in `delivery_after`.
#[test]
fn l1_moved_message_waits_for_its_move() {
    let mut shell = Shell::new();
    shell.consume(conn(2), 1, "DLQ", 10);
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a"]);
    let effects = shell.settle(conn(1), 1, 1, 1, Outcome::Rejected);
    assert_eq!(positions(&effects), [last(&shell, MOVE) + 1]);
}

#[test]
fn l1_immediate_dispatch_frees_deliveries_but_not_answers() {
    let mut shell = Shell::ruled("fast", |rule| rule.dispatch = Some(Dispatch::Immediate));
    shell.consume(conn(1), 1, "fast", 10);
    let opened = shell.log.tail();
    let (after, _, effects) = shell.publish(SENDER, SendMode::Anycast, durable("fast", &["a"]));
    assert_eq!(positions(&effects), [opened]);
    assert_eq!(after, shell.log.tail());
}

// Mutant: `if waited_for { name + 1 }` replaced by `if false { .. }` for the fan-out.
#[test]
fn l1_fan_out_of_a_journalled_message_waits_for_it() {
    let mut shell = Shell::new();
    shell.attach(conn(1), "keeps");
    shell.bind(conn(1), "t", 1);
    shell.run(conn(2), vec![Command::Attach(clean("watches", None))]);
    shell.bind(conn(2), "t", 0);
    let (.., effects) = shell.publish(SENDER, SendMode::Publish, durable("t", &["a"]));
    let fanouts: Vec<u64> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Fanout { after, .. } => Some(*after),
            _ => None,
        })
        .collect();
    assert_eq!(fanouts, [last(&shell, MSG) + 1]);
    let (.., effects) = shell.publish(SENDER, SendMode::Publish, at_most_once("t", &["a"]));
    let free = |effect: &Effect| matches!(effect, Effect::Fanout { after: 0, .. });
    assert!(effects.iter().any(free));
}

#[test]
fn l2_nothing_of_a_subscription_precedes_its_answer() {
    let mut shell = Shell::new();
    shell.attach(conn(1), "s");
    let effects = shell.bind(conn(1), "t", 1);
    let Some(Effect::Answer { after: bound, .. }) = effects.first() else {
        unreachable!("{effects:?}");
    };
    let (.., effects) = shell.publish(SENDER, SendMode::Publish, transient("t", &["a"]));
    assert_eq!(positions(&effects), [*bound]);
    assert!(*bound > 0);
}

/// Mutant caught: `resend_piece` that looks at the message's own position alone.
#[test]
fn l2_nothing_of_a_resumed_session_precedes_the_answer_to_its_attachment() {
    let mut shell = Shell::new();
    shell.attach(conn(1), "s");
    shell.bind(conn(1), "t", 1);
    shell.publish(SENDER, SendMode::Publish, durable("t", &["a"]));
    shell.close(conn(1), &[]);
    let effects = shell.attach(conn(2), "s");
    let opened = shell.log.tail();
    assert_eq!(positions(&effects), [opened]);
}

#[test]
fn l2_returned_messages_keep_their_place() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 3);
    shell.send("q", &["a", "b", "c", "d"]);
    shell.settle(conn(1), 1, 2, 1, Outcome::Released);
    let effects = shell.close(conn(1), &[]);
    assert!(bodies(&effects).is_empty());
    shell.sleep(10);
    let effects = shell.consume(conn(2), 1, "q", 10);
    assert_eq!(bodies(&effects), ["a", "b", "c", "d"]);
}

#[test]
fn l5_transient_messages_take_sequences_but_leave_no_record() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a"]);
    shell.publish(SENDER, SendMode::Anycast, transient("q", &["b"]));
    let effects = shell.send("q", &["c"]);
    assert_eq!(delivered(&effects)[0].1.sequence, 3);
    let before = shell.log.records.len();
    shell.settle(conn(1), 1, 2, 1, Outcome::Accepted);
    assert_eq!(
        shell.log.records.len(),
        before,
        "the settlement of a transient message"
    );
    shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    assert_eq!(shell.log.count(SETTLE), 1);
}

// Mutant: the line in `apply_settle` that raises `queue.next` taken out.
#[test]
fn l5_no_sequence_that_a_record_names_is_given_again() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a", "b"]);
    shell.settle(conn(1), 1, 1, 2, Outcome::Accepted);
    // The log behind a checkpoint in which the queue was empty: only the settlement is replayed.
    shell.log.records.retain(|(_, kind, _)| *kind != MSG);
    shell.restart();
    shell.send("q", &["c"]);
    let effects = shell.consume(conn(1), 1, "q", 10);
    assert_eq!(delivered(&effects)[0].1.sequence, 3);
}

#[test]
fn l5_settlements_follow_the_messages_they_cover() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    let commands = vec![
        publish(SendMode::Anycast, durable("q", &["a", "b"]), None),
        publish(SendMode::Anycast, durable("q", &["c"]), None),
    ];
    shell.run(SENDER, commands);
    let commands = vec![
        settle(1, 3, 1, Outcome::Accepted, None),
        settle(1, 1, 1, Outcome::Accepted, None),
        publish(SendMode::Anycast, durable("q", &["d"]), None),
    ];
    shell.run(conn(1), commands);
    let kinds: Vec<u8> = shell
        .log
        .records
        .iter()
        .rev()
        .take(2)
        .map(|r| r.1)
        .collect();
    assert_eq!(
        kinds,
        [SETTLE, MSG],
        "one record for both, behind the message"
    );
    shell.restart();
    let effects = shell.consume(conn(1), 1, "q", 10);
    assert_eq!(bodies(&effects), ["b", "d"]);
}

#[test]
fn l5_ack_of_an_unknown_sequence_changes_nothing() {
    let mut shell = Shell::new();
    shell.send("q", &["a"]);
    shell.consume(conn(1), 1, "q", 10);
    shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    let settled = shell.log.records.last().cloned().unwrap();
    let mut broker = Broker::new(shell.options().clone());
    for (position, kind, payload) in &shell.log.records {
        broker.apply(*position, *kind, payload).unwrap();
    }
    let before = durable_state(&broker);
    broker.apply(settled.0 + 1_000, SETTLE, &settled.2).unwrap();
    assert_eq!(durable_state(&broker), before);
}

// Mutant: `position < self.applied` replaced by `false` in `apply`.
#[test]
fn l6_replaying_a_suffix_twice_equals_once() {
    let mut shell = Shell::new();
    for clean in [false, true] {
        // The second attachment discards the first session and makes another of its name.
        let mut attach = crate::testing::attach("s", None);
        attach.clean = clean;
        shell.run(conn(1), vec![Command::Attach(attach)]);
        shell.bind(conn(1), "t", 1);
        shell.publish(SENDER, SendMode::Publish, durable("t", &["a"]));
    }
    let records = shell.log.records.clone();
    for from in 0..records.len() {
        let mut broker = Broker::new(shell.options().clone());
        for (position, kind, payload) in records.iter().chain(&records[from..]) {
            broker.apply(*position, *kind, payload).unwrap();
        }
        assert_eq!(
            durable_state(&broker),
            durable_state(&shell.broker),
            "from {from}"
        );
    }
}

#[test]
fn l6_counts_survive_as_results() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a", "b", "c"]);
    shell.close(conn(1), &[(1, 2)]);
    assert_eq!(shell.log.count(COUNT), 2, "one failure, one attempt");
    shell.restart();
    let effects = shell.consume(conn(2), 1, "q", 10);
    let attempts: Vec<u32> = crate::testing::seen(&effects)
        .iter()
        .map(|s| s.attempts)
        .collect();
    assert_eq!(attempts, [1, 1, 0]);
}

#[test]
fn l9_a_retained_message_sent_at_most_once_is_journalled_and_waited_for_by_nobody() {
    let mut shell = Shell::new();
    shell.attach(conn(1), "s");
    let mut requested = crate::testing::request("t", 1, false);
    requested.options.queued = true;
    let requests = vec![requested];
    shell.run(
        conn(1),
        vec![Command::Bind {
            requests,
            token: None,
        }],
    );
    let opened = shell.log.tail();
    let effects = shell.run(
        SENDER,
        vec![crate::testing::retain(at_most_once("t", &["a"]))],
    );
    assert_eq!(shell.log.count(MSG), 1);
    assert_eq!(positions(&effects), [opened]);
    let before = shell.log.records.len();
    shell.settle(conn(1), 0, 1, 1, Outcome::Accepted);
    assert_eq!(
        shell.log.records.len(),
        before,
        "in the queue it was transient"
    );
}

// Mutant: `run.envelope.durable &&` taken out of `write_if_durable`.
#[test]
fn l9_only_a_durable_message_with_a_durable_target_is_journalled() {
    let mut shell = Shell::new();
    let source = Source::Multicast(filter("t"));
    shell.run(conn(1), vec![consume(1, source, 10, None)]);
    shell.publish(SENDER, SendMode::Multicast, durable("t", &["a"]));
    assert_eq!(
        shell.log.count(MSG),
        0,
        "a consumer's own subscription is not durable"
    );
    shell.publish(SENDER, SendMode::Anycast, transient("q", &["a"]));
    assert_eq!(shell.log.count(MSG), 0, "a transient message");
    let (_, answer, _) = shell.publish(SENDER, SendMode::Anycast, durable("q", &["a"]));
    assert!(matches!(answer, Answer::Published { routed: 1 }));
    assert_eq!(shell.log.count(MSG), 1);
    assert_eq!(address("q").as_str(), "q");
}
