//! Law L13: messages handed over in two steps, across crashes of either side.

use std::sync::Arc;

use crate::command::{
    BindOptions, BindRequest, Command, Outcome, Publish, Retain, RetainedReplay, SendMode,
};
use crate::effect::{Answer, Effect};
use crate::error::Refusal;
use crate::ids::ConnectionId;
use crate::message::{Assurance, Run};
use crate::record::{RECEIPT, RecordSink, SETTLE, TAG};
use crate::testing::{
    SENDER, Shell, answers, bodies, check, clean, conn, delivered, durable, refusal, request,
    run_of,
};

fn exact(to: &str, bodies: &[&str]) -> Run {
    run_of(to, bodies, |envelope| {
        envelope.durable = true;
        envelope.assurance = Assurance::ExactlyOnce;
    })
}

fn once(shell: &mut Shell, id: ConnectionId, first: u16, run: Run) -> Vec<Effect> {
    let token = shell.token();
    let publish = Command::Publish(Publish {
        run: Arc::new(run),
        mode: SendMode::Publish,
        queue: None,
        retain: Retain::No,
        receipt: Some(first),
        token,
    });
    shell.run(id, vec![publish])
}

fn release(shell: &mut Shell, id: ConnectionId, first: u16, n: u16) -> Vec<bool> {
    let token = shell.token();
    known(&shell.run(id, vec![Command::Release { first, n, token }]))
}

fn received(shell: &mut Shell, id: ConnectionId, first: u64, n: u32) -> Vec<bool> {
    let token = shell.token();
    known(&shell.run(id, vec![Command::Received { first, n, token }]))
}

fn known(effects: &[Effect]) -> Vec<bool> {
    match answers(effects)[..] {
        [Answer::Known(known)] => known.clone(),
        ref other => panic!("{other:?}"),
    }
}

/// A durable session with a subscription of QoS 2.
fn subscriber(shell: &mut Shell, id: ConnectionId, name: &str) {
    shell.attach(id, name);
    shell.bind(id, "t", 2);
}

/// What a resumed session gets: (tag, body, duplicate, second step).
fn resent(effects: &[Effect]) -> Vec<(u64, String, bool, bool)> {
    let deliveries = delivered(effects).into_iter();
    deliveries
        .flat_map(|(_, d)| {
            (0..d.count).map(|n| {
                let body = crate::testing::text(&d.run, d.first + n);
                (d.tag + u64::from(n), body, d.duplicate, d.second_step)
            })
        })
        .collect()
}

/// Mutants caught: `release_ids` that keeps the ids in memory, or writes nothing.
#[test]
fn l13_what_a_session_has_sent_is_not_published_again_before_its_release() {
    let mut shell = Shell::new();
    shell.attach(SENDER, "sender");
    subscriber(&mut shell, conn(1), "s");
    let effects = once(&mut shell, SENDER, 7, exact("t", &["a", "b"]));
    assert_eq!(bodies(&effects), ["a", "b"]);
    let again = once(&mut shell, SENDER, 7, exact("t", &["a"]));
    assert_eq!(bodies(&again), [""; 0]);
    assert!(matches!(answers(&again)[..], [Answer::Published { .. }]));
    shell.restart();
    shell.attach(conn(2), "sender");
    assert_eq!(once(&mut shell, conn(2), 8, exact("t", &["b"])).len(), 1);
    assert_eq!(release(&mut shell, conn(2), 7, 3), [true, true, false]);
    assert_eq!(release(&mut shell, conn(2), 7, 2), [false, false]);
    shell.restart();
    shell.attach(conn(3), "sender");
    subscriber(&mut shell, conn(4), "s");
    let effects = once(&mut shell, conn(3), 7, exact("t", &["new"]));
    assert_eq!(bodies(&effects), ["new"]);
}

#[test]
fn l13_of_a_run_only_what_is_new_is_published() {
    let mut shell = Shell::new();
    shell.attach(SENDER, "sender");
    subscriber(&mut shell, conn(1), "s");
    once(&mut shell, SENDER, 65_535, exact("t", &["b"]));
    let effects = once(
        &mut shell,
        SENDER,
        65_534,
        exact("t", &["a", "b", "c", "d"]),
    );
    assert_eq!(bodies(&effects), ["a", "c", "d"], "65534, (65535), 1, 2");
    assert_eq!(answers(&effects).len(), 1);
    check(&shell.broker);
}

/// Every other message is known, so that the rest takes more records than one run would. Mutants
/// caught: the rest of the run with the id of its first message; no room asked for the receipts.
#[test]
fn l13_a_run_for_which_the_log_has_no_room_goes_on_with_its_ids() {
    let mut options = crate::broker::BrokerOptions::default();
    options.limits.max_name_bytes = 8;
    let texts = ["a", "-", "b", "-", "c", "-", "d", "-", "e", "-"];
    let mut cut = 0;
    for room in 0..2_000 {
        let mut shell = Shell::with(options.clone());
        shell.attach(SENDER, "sender");
        subscriber(&mut shell, conn(1), "s");
        for id in (8..18).step_by(2) {
            once(&mut shell, SENDER, id, exact("t", &["-"]));
        }
        let known = shell.log.count(RECEIPT);
        let mut commands = vec![Command::Publish(Publish {
            run: Arc::new(exact("t", &texts)),
            mode: SendMode::Publish,
            queue: None,
            retain: Retain::No,
            receipt: Some(7),
            token: shell.token(),
        })];
        let end = shell.log.tail() + room;
        shell.log.end = Some(end);
        let mut effects = shell.call(SENDER, &mut commands);
        assert!(shell.log.tail() <= end, "{} > {end}", shell.log.tail());
        cut += usize::from(!commands.is_empty() && shell.log.count(RECEIPT) > known);
        shell.log.end = None;
        effects.extend(shell.run(SENDER, commands));
        assert_eq!(bodies(&effects), ["a", "b", "c", "d", "e"], "{room} B");
        assert_eq!(release(&mut shell, SENDER, 7, 10), [true; 10], "{room} B");
    }
    assert!(cut > 100, "{cut} runs were cut");
}

#[test]
fn l13_a_refused_publish_leaves_no_id() {
    let mut shell = Shell::new();
    shell.attach(SENDER, "sender");
    let token = shell.token();
    let publish = Command::Publish(Publish {
        run: Arc::new(exact("$nobody", &["a"])),
        mode: SendMode::Anycast,
        queue: None,
        retain: Retain::No,
        receipt: Some(5),
        token,
    });
    let effects = shell.run(SENDER, vec![publish]);
    assert_eq!(refusal(&effects), Some(Refusal::NoDestination));
    assert_eq!(release(&mut shell, SENDER, 5, 1), [false]);
}

#[test]
fn l13_a_begun_delivery_keeps_its_tag_across_restarts_and_ends_once() {
    let mut shell = Shell::new();
    subscriber(&mut shell, conn(1), "s");
    let effects = {
        shell.attach(SENDER, "sender");
        once(&mut shell, SENDER, 1, exact("t", &["a", "b", "c"]))
    };
    assert_eq!(shell.log.count(TAG), 1);
    let tag_at = shell.log.records.iter().rfind(|r| r.1 == TAG).unwrap().0;
    assert!(delivered(&effects).iter().all(|(after, _)| *after > tag_at));
    let first = delivered(&effects)[0].1.tag;
    assert_eq!(received(&mut shell, conn(1), first, 1), [true]);
    shell.settle(
        conn(1),
        crate::ids::ConsumerKey::SESSION.0,
        first + 2,
        1,
        Outcome::Accepted,
    );
    for life in 2..4 {
        shell.restart();
        check(&shell.broker);
        let effects = shell.attach(conn(life), "s");
        let expected = [
            (first, "a".to_owned(), true, true),
            (first + 1, "b".to_owned(), true, false),
        ];
        assert_eq!(resent(&effects), expected, "life {life}");
    }
    let life = conn(3);
    let key = crate::ids::ConsumerKey::SESSION.0;
    shell.settle(life, key, first, 1, Outcome::Accepted);
    assert_eq!(received(&mut shell, life, first + 1, 1), [true]);
    shell.settle(life, key, first + 1, 1, Outcome::Accepted);
    assert!(shell.log.count(SETTLE) >= 2);
    shell.restart();
    assert_eq!(resent(&shell.attach(conn(9), "s")), []);
    check(&shell.broker);
}

#[test]
fn l13_what_was_not_begun_keeps_its_place_behind_a_restart() {
    let mut shell = Shell::new();
    shell.attach(SENDER, "sender");
    let mut attach = crate::testing::attach("s", None);
    attach.window = 2;
    shell.run(conn(1), vec![Command::Attach(attach)]);
    shell.bind(conn(1), "t", 2);
    once(&mut shell, SENDER, 1, exact("t", &["a", "b", "c", "d"]));
    let first = 1;
    received(&mut shell, conn(1), first, 1);
    shell.restart();
    check(&shell.broker);
    let effects = shell.attach(conn(2), "s");
    let bodies: Vec<String> = resent(&effects).into_iter().map(|r| r.1).collect();
    assert_eq!(bodies, ["a", "b", "c", "d"]);
    let tags: Vec<u64> = resent(&effects).into_iter().map(|r| r.0).collect();
    assert!(tags[..2] == [1, 2] && tags[2] > 1_024, "{tags:?}");
}

/// Mutant caught: `checkpoint_exactly_once` that takes ids with gaps for one run.
#[test]
fn l13_a_checkpoint_holds_ids_and_begun_deliveries() {
    let mut shell = Shell::new();
    shell.attach(SENDER, "sender");
    subscriber(&mut shell, conn(1), "s");
    once(&mut shell, SENDER, 3, exact("t", &["a"]));
    once(&mut shell, SENDER, 5, exact("u", &["b", "c"]));
    received(&mut shell, conn(1), 1, 1);
    let mut records = Vec::new();
    shell
        .broker
        .checkpoint(&mut |kind, payload| records.push((kind, payload.to_vec())));
    let mut broker = crate::broker::Broker::new(shell.options().clone());
    for (kind, payload) in records {
        broker.apply(0, kind, &payload.into()).unwrap();
    }
    shell.broker = broker;
    shell.load();
    shell.broker.recovered(shell.now);
    shell.attach(conn(2), "sender");
    let known = release(&mut shell, conn(2), 2, 6);
    assert_eq!(known, [false, true, false, true, true, false]);
    let effects = shell.attach(conn(3), "s");
    assert_eq!(resent(&effects), [(1, "a".to_owned(), true, true)]);
}

/// Its client is told so, and the delivery stays what it is. Mutant caught: `received` that looks
/// at no piece's phase.
#[test]
fn l13_what_was_sent_at_least_once_is_not_received() {
    let mut shell = Shell::new();
    subscriber(&mut shell, conn(1), "s");
    shell.publish(SENDER, SendMode::Publish, durable("t", &["a"]));
    assert_eq!(received(&mut shell, conn(1), 1, 1), [false]);
    shell.restart();
    let effects = shell.attach(conn(2), "s");
    let (_, body, _, second_step) = resent(&effects).remove(0);
    assert_eq!((body.as_str(), second_step), ("a", false));
}

#[test]
fn l13_a_session_without_journal_does_it_in_memory() {
    let mut shell = Shell::new();
    shell.run(SENDER, vec![Command::Attach(clean("sender", None))]);
    shell.run(conn(1), vec![Command::Attach(clean("s", None))]);
    shell.bind(conn(1), "t", 2);
    let effects = once(&mut shell, SENDER, 1, exact("t", &["a"]));
    assert_eq!(bodies(&effects), ["a"]);
    assert_eq!(
        bodies(&once(&mut shell, SENDER, 1, exact("t", &["a"]))),
        [""; 0]
    );
    assert_eq!(received(&mut shell, conn(1), 1, 1), [true]);
    assert_eq!(received(&mut shell, conn(1), 2, 1), [false]);
    assert_eq!((shell.log.count(TAG), shell.log.count(RECEIPT)), (0, 0));
}

#[test]
fn granted_qos_cuts_what_the_sender_asked_for() {
    let mut shell = Shell::new();
    shell.attach(SENDER, "sender");
    for (slot, qos) in [(1, 0), (2, 1), (3, 2)] {
        shell.attach(conn(slot), &format!("s{qos}"));
        shell.bind(conn(slot), "t", qos);
    }
    let effects = once(&mut shell, SENDER, 1, exact("t", &["a"]));
    let granted: Vec<u8> = delivered(&effects).iter().map(|(_, d)| d.granted).collect();
    assert_eq!(granted, [1, 2], "QoS 0 came without a queue");
    assert_eq!(shell.log.count(TAG), 1);
    assert_eq!(bodies(&effects).len(), 3);
}

/// A retained value comes with the QoS it was sent with, cut to what was granted.
#[test]
fn a_retained_value_is_handed_over_in_two_steps_too() {
    let mut shell = Shell::new();
    shell.run(SENDER, vec![crate::testing::retain(exact("t", &["a"]))]);
    shell.attach(conn(1), "s");
    let requests = vec![BindRequest {
        options: BindOptions {
            qos: 2,
            ..BindOptions::default()
        },
        retained: RetainedReplay::IfNew,
        ..request("t", 2, true)
    }];
    let token = shell.token();
    let effects = shell.run(conn(1), vec![Command::Bind { requests, token }]);
    let (_, delivery) = delivered(&effects)[0];
    assert!(delivery.retained && delivery.granted == 2);
    assert_eq!(shell.log.count(TAG), 1);
}
