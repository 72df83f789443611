//! Retained values and their replay to new subscriptions (L16).

use crate::broker::BrokerOptions;
use crate::command::{Command, Outcome, Publish, Retain, SendMode};
use crate::effect::Effect;
use crate::ids::ConnectionId;
use crate::testing::{
    SENDER, Shell, at_most_once, bodies, check, conn, delivered, durable, request, retain, run_of,
};

/// A broker that keeps values for these addresses, each its own name.
fn keeping(options: BrokerOptions, names: &[&str]) -> Shell {
    let mut shell = Shell::with(options);
    for name in names {
        shell.run(SENDER, vec![retain(durable(name, &[name]))]);
    }
    shell
}

fn subscribe(shell: &mut Shell, id: ConnectionId, pattern: &str, qos: u8) -> Vec<Effect> {
    let requests = vec![request(pattern, qos, true)];
    shell.run(
        id,
        vec![Command::Bind {
            requests,
            token: None,
        }],
    )
}

fn units(n: u32) -> BrokerOptions {
    let mut options = BrokerOptions::default();
    options.limits.units_per_call = n;
    options
}

// Mutant: `a.#` looked for from `a.` on in `literal_prefix`.
#[test]
fn l16_new_subscription_gets_the_values_that_match_in_order() {
    let names = ["a", "a.b", "a.b.c", "a0", "ab", "b", "b.c"];
    for (pattern, expected) in [
        ("#", &names[..]),
        ("a.#", &["a", "a.b", "a.b.c"]),
        ("*", &["a", "a0", "ab", "b"]),
        ("a.b", &["a.b"]),
        ("*.c", &["b.c"]),
        ("a.*.c", &["a.b.c"]),
        ("c", &[]),
    ] {
        for qos in [0, 1] {
            let mut shell = keeping(BrokerOptions::default(), &names);
            shell.attach(conn(1), "s");
            let effects = subscribe(&mut shell, conn(1), pattern, qos);
            assert_eq!(bodies(&effects), expected, "{pattern}");
            assert!(
                delivered(&effects)
                    .iter()
                    .all(|(_, delivery)| delivery.retained)
            );
            check(&shell.broker);
        }
    }
}

// Mutant: `Next::Skipped` does not move the cursor: the replay never gets past the first ten.
#[test]
fn l16_replay_over_many_values_that_do_not_match_comes_to_its_end() {
    let names: Vec<String> = (0..50).map(|n| format!("{n:02}.x")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("99.y");
    let mut shell = keeping(units(10), &names);
    shell.attach(conn(1), "s");
    let effects = subscribe(&mut shell, conn(1), "*.y", 1);
    assert_eq!(bodies(&effects), ["99.y"]);
}

// Mutant: `backlog <= unsettled` replaced by `true` in `may_replay`.
#[test]
fn l16_replay_is_paced_by_what_the_client_settles() {
    let names: Vec<String> = (0..20).map(|n| format!("t.{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut shell = keeping(BrokerOptions::default(), &names);
    let mut attach = crate::testing::attach("s", None);
    attach.window = 3;
    shell.run(conn(1), vec![Command::Attach(attach)]);
    let mut got = bodies(&subscribe(&mut shell, conn(1), "#", 1));
    assert_eq!(got.len(), 3);
    assert!(
        shell.broker.counts().messages <= 4,
        "the others are not in its queue"
    );
    let mut tag = 1;
    while got.len() < 20 {
        let effects = shell.settle(conn(1), 0, tag, 1, Outcome::Accepted);
        got.extend(bodies(&effects));
        tag += 1;
        assert!(tag < 30);
    }
    assert_eq!(got, names);
    check(&shell.broker);
}

#[test]
fn l16_replay_reads_the_value_that_is_current_when_it_gets_there() {
    let mut shell = keeping(BrokerOptions::default(), &["t.a", "t.b", "t.c"]);
    let mut attach = crate::testing::attach("s", None);
    attach.window = 1;
    shell.run(conn(1), vec![Command::Attach(attach)]);
    // t.a is out and t.b in the queue: the cursor stands before t.c.
    assert_eq!(bodies(&subscribe(&mut shell, conn(1), "#", 1)), ["t.a"]);
    let run = durable("t.c", &["new"]);
    let publish = Command::Publish(Publish {
        run: run.into(),
        mode: SendMode::Anycast,
        queue: None,
        retain: Retain::Store,
        receipt: None,
        token: None,
    });
    shell.run(SENDER, vec![publish]);
    let mut got = Vec::new();
    for tag in 1..4 {
        got.extend(bodies(&shell.settle(conn(1), 0, tag, 1, Outcome::Accepted)));
    }
    assert_eq!(got, ["t.b", "new"]);
}

// Mutant: `replaying` always false in `binding_record`.
#[test]
fn l16_unfinished_replay_of_a_durable_session_begins_again_after_a_restart() {
    let names = ["t.a", "t.b", "t.c"];
    let mut shell = keeping(BrokerOptions::default(), &names);
    let mut attach = crate::testing::attach("s", None);
    attach.window = 1;
    shell.run(conn(1), vec![Command::Attach(attach)]);
    assert_eq!(bodies(&subscribe(&mut shell, conn(1), "#", 1)), ["t.a"]);
    shell.settle(conn(1), 0, 1, 1, Outcome::Accepted);
    shell.restart();
    let effects = shell.attach(conn(2), "s");
    let got = bodies(&effects);
    assert!(got.ends_with(&names.map(str::to_owned)), "{got:?}");
    for (tag, _) in (delivered(&effects)[0].1.tag..).zip(&got) {
        shell.settle(conn(2), 0, tag, 1, Outcome::Accepted);
    }
    shell.restart();
    assert!(
        bodies(&shell.attach(conn(3), "s")).is_empty(),
        "it has ended now"
    );
}

#[test]
fn l16_replay_goes_on_where_it_was_when_its_session_comes_back() {
    let mut shell = keeping(BrokerOptions::default(), &["t.a", "t.b"]);
    let mut attach = crate::testing::attach("s", None);
    attach.window = 1;
    shell.run(conn(1), vec![Command::Attach(attach)]);
    subscribe(&mut shell, conn(1), "#", 1);
    shell.settle(conn(1), 0, 1, 1, Outcome::Accepted);
    shell.close(conn(1), &[(0, 2)]);
    let effects = shell.attach(conn(2), "s");
    assert_eq!(bodies(&effects), ["t.b"]);
    check(&shell.broker);
}

#[test]
fn retained_value_is_replaced_removed_and_recovered() {
    let mut shell = keeping(BrokerOptions::default(), &["t", "u"]);
    shell.run(SENDER, vec![retain(at_most_once("t", &["second"]))]);
    let remove = Command::Publish(Publish {
        run: run_of("u", &[""], |_| {}).into(),
        mode: SendMode::Publish,
        queue: None,
        retain: Retain::Remove,
        receipt: None,
        token: None,
    });
    shell.run(SENDER, vec![remove]);
    for _ in 0..2 {
        shell.attach(conn(1), "s");
        assert_eq!(bodies(&subscribe(&mut shell, conn(1), "#", 1)), ["second"]);
        check(&shell.broker);
        shell.restart();
    }
    assert_eq!(shell.dead.values().sum::<u64>(), 2, "t and u");
}

/// Mutant caught: a deadline that is not set again after a restart, for the next value, or for an
/// earlier one.
#[test]
fn r31_and_mq_08_values_go_at_their_time_though_nobody_asks() {
    let mut shell = Shell::new();
    for (topic, expires_ms) in [
        ("a", 1_000_900),
        ("b", 1_000_300),
        ("c", 0),
        ("d", 1_000_600),
        ("e", 1_000_500),
    ] {
        let run = run_of(topic, &["x"], |envelope| envelope.expires_ms = expires_ms);
        shell.run(SENDER, vec![retain(run)]);
    }
    // Replaced by one without end.
    shell.run(SENDER, vec![retain(run_of("d", &["y"], |_| {}))]);
    let retained = |shell: &Shell| shell.broker.counts().retained;
    shell.sleep(299);
    assert_eq!(retained(&shell), 5);
    shell.sleep(1);
    assert_eq!((retained(&shell), shell.broker.counts().expired), (4, 1));
    shell.sleep(200);
    assert_eq!((retained(&shell), shell.broker.counts().expired), (3, 2));
    shell.restart();
    shell.sleep(399);
    assert_eq!(retained(&shell), 3);
    shell.sleep(1);
    assert_eq!(retained(&shell), 2);
    shell.restart();
    assert_eq!(retained(&shell), 2);
}

// Mutant: `send_retained` that looks at no expiry.
#[test]
fn expired_value_is_not_sent() {
    for qos in [0, 1] {
        let mut shell = Shell::new();
        let run = run_of("t", &["x"], |envelope| envelope.expires_ms = 1_000_010);
        shell.run(SENDER, vec![retain(run)]);
        // Its deadline is still to come.
        shell.now.wall_ms += 10;
        shell.attach(conn(1), "s");
        assert!(bodies(&subscribe(&mut shell, conn(1), "#", qos)).is_empty());
        assert_eq!(shell.broker.counts().expired, 0, "it was never queued");
    }
}

// Mutant: no `watch_expiry` in `enqueue_retained`.
#[test]
fn value_that_expires_in_the_queue_of_its_subscriber_is_gone() {
    let mut shell = keeping(BrokerOptions::default(), &["t.a"]);
    let run = run_of("t.b", &["x"], |envelope| envelope.expires_ms = 1_000_010);
    shell.run(SENDER, vec![retain(run)]);
    let mut attach = crate::testing::attach("s", None);
    attach.window = 1;
    shell.run(conn(1), vec![Command::Attach(attach)]);
    assert_eq!(bodies(&subscribe(&mut shell, conn(1), "#", 1)), ["t.a"]);
    assert_eq!(shell.broker.counts().expired, 0);
    shell.sleep(10);
    assert_eq!(shell.broker.counts().expired, 2, "there and in the queue");
    assert_eq!(
        bodies(&shell.settle(conn(1), 0, 1, 1, Outcome::Accepted)),
        [""; 0]
    );
}

// Mutant: no `write_ref` in `enqueue_retained`.
#[test]
fn l9_value_that_a_subscriber_has_not_settled_comes_again_after_a_restart() {
    let mut shell = keeping(BrokerOptions::default(), &["t"]);
    shell.attach(conn(1), "s");
    assert_eq!(bodies(&subscribe(&mut shell, conn(1), "t", 1)), ["t"]);
    shell.restart();
    let effects = shell.attach(conn(2), "s");
    assert_eq!(bodies(&effects), ["t"]);
    let tag = delivered(&effects)[0].1.tag;
    shell.settle(conn(2), 0, tag, 1, Outcome::Accepted);
    shell.restart();
    assert_eq!(bodies(&shell.attach(conn(3), "s")), [""; 0]);
}

// Mutant: `bound` alone in `send_retained`.
#[test]
fn l1_value_that_came_after_the_subscription_waits_until_it_is_in_the_log() {
    let names = ["t.a", "t.b", "t.c", "t.d", "t.e", "t.f"];
    let mut options = BrokerOptions::default();
    options.limits.outbox_bytes = 100;
    let mut shell = keeping(options, &names);
    shell.attach(conn(1), "s");
    let mut effects = subscribe(&mut shell, conn(1), "#", 0);
    assert!(bodies(&effects).len() < 5);
    shell.run(SENDER, vec![retain(durable("t.f", &["new"]))]);
    let (position, ..) = shell.log.records[shell.log.records.len() - 1];
    while !bodies(&effects).contains(&"new".to_owned()) {
        let room = delivered(&effects).iter().map(|(_, d)| d.room()).sum();
        assert!(room > 0, "the replay has stopped");
        effects = shell.run(conn(1), vec![Command::Room(room)]);
    }
    let (after, _) = delivered(&effects)[bodies(&effects).len() - 1];
    assert!(after > position);
}

// Mutant: `may_replay` that looks at no room.
#[test]
fn l22_replay_at_qos_0_takes_no_more_than_the_room() {
    let names: Vec<String> = (0..20).map(|n| format!("t.{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut options = BrokerOptions::default();
    options.limits.outbox_bytes = 300;
    let mut shell = keeping(options, &names);
    shell.attach(conn(1), "s");
    let mut effects = subscribe(&mut shell, conn(1), "#", 0);
    let mut got = Vec::new();
    while got.len() < names.len() {
        let new = bodies(&effects);
        let room = delivered(&effects).iter().map(|(_, d)| d.room()).sum();
        assert!(!new.is_empty() && room <= 300, "{room} bytes for {new:?}");
        got.extend(new);
        effects = shell.run(conn(1), vec![Command::Room(room)]);
    }
    assert_eq!(got, names);
}
