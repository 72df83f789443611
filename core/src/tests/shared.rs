//! Subscriptions with options, and those that sessions share.

use crate::broker::BrokerOptions;
use crate::command::{
    BindOptions, BindRequest, BindTarget, Command, Outcome, RetainedReplay, SendMode,
};
use crate::effect::{Answer, Effect};
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, ConsumerKey};
use crate::message::Assurance;
use crate::record::TAG;
use crate::testing::{
    SENDER, Shell, answers, at_most_once, attach, bodies, check, clean, conn, delivered, durable,
    filter, request, retain, run_of, seen,
};

fn shared(group: &str, pattern: &str, qos: u8) -> BindRequest {
    BindRequest {
        target: BindTarget::Shared {
            group: group.into(),
            filter: filter(pattern),
        },
        ..request(pattern, qos, false)
    }
}

fn with(pattern: &str, options: BindOptions) -> BindRequest {
    BindRequest {
        options,
        ..request(pattern, 0, false)
    }
}

fn bind(shell: &mut Shell, id: ConnectionId, requests: Vec<BindRequest>) -> Vec<Effect> {
    let token = shell.token();
    shell.run(id, vec![Command::Bind { requests, token }])
}

fn publish(shell: &mut Shell, id: ConnectionId, bodies: &[&str]) -> Vec<Effect> {
    shell.publish(id, SendMode::Publish, durable("t", bodies)).2
}

fn on(effects: &[Effect], slot: u32) -> Vec<String> {
    let seen = seen(effects).into_iter().filter(|s| s.connection == slot);
    seen.map(|seen| seen.body).collect()
}

#[test]
fn rule_60_each_group_gets_one_copy_and_plain_subscriptions_theirs() {
    let mut shell = Shell::new();
    for slot in 1..=4 {
        shell.attach(conn(slot), &format!("s{slot}"));
    }
    bind(&mut shell, conn(1), vec![shared("g", "t", 1)]);
    bind(&mut shell, conn(2), vec![shared("g", "t", 1)]);
    bind(
        &mut shell,
        conn(3),
        vec![shared("h", "t", 1), shared("g", "#", 1)],
    );
    bind(&mut shell, conn(4), vec![request("t", 1, false)]);
    let effects = publish(&mut shell, SENDER, &["a", "b", "c", "d"]);
    assert_eq!(on(&effects, 1).len() + on(&effects, 2).len(), 4);
    assert!(!on(&effects, 1).is_empty() && !on(&effects, 2).is_empty());
    assert_eq!(on(&effects, 3).len(), 8, "two groups");
    assert_eq!(on(&effects, 4), ["a", "b", "c", "d"]);
    check(&shell.broker);
}

#[test]
fn groups_outlive_a_restart_with_what_waits_for_them() {
    let mut shell = Shell::new();
    shell.run(conn(1), vec![Command::Attach(clean("transient", None))]);
    bind(&mut shell, conn(1), vec![shared("g", "t", 1)]);
    shell.attach(conn(2), "durable");
    bind(&mut shell, conn(2), vec![shared("g", "t", 1)]);
    shell.close(conn(1), &[]);
    shell.close(conn(2), &[]);
    publish(&mut shell, SENDER, &["a", "b"]);
    shell.restart();
    check(&shell.broker);
    let effects = shell.attach(conn(3), "durable");
    assert_eq!(bodies(&effects), ["a", "b"]);
    shell.attach(conn(4), "other");
    bind(&mut shell, conn(4), vec![shared("g", "t", 1)]);
    let effects = publish(&mut shell, SENDER, &["c", "d"]);
    assert_eq!((on(&effects, 3).len(), on(&effects, 4).len()), (1, 1));
}

/// Mutants caught: `end_shared` that leaves the group in the table, or its binding.
#[test]
fn the_last_member_takes_the_groups_queue_with_it() {
    let mut shell = Shell::new();
    let before = shell.broker.counts();
    shell.attach(conn(1), "s");
    bind(&mut shell, conn(1), vec![shared("g", "t", 1)]);
    publish(&mut shell, SENDER, &["a"]);
    let filters = vec![shared("g", "t", 1).target];
    shell.run(
        conn(1),
        vec![Command::Unbind {
            filters,
            token: None,
        }],
    );
    let after = shell.broker.counts();
    assert_eq!((after.queues, after.messages), (before.queues, 0));
    bind(&mut shell, conn(1), vec![shared("g", "t", 1)]);
    let effects = publish(&mut shell, SENDER, &["b"]);
    assert_eq!(on(&effects, 1), ["b"], "a group made anew");
    let filters = vec![shared("g", "t", 1).target];
    let token = None;
    shell.run(conn(1), vec![Command::Unbind { filters, token }]);
    assert!(shell.broker.trie.is_empty());
    shell.restart();
    assert_eq!(shell.broker.counts().queues, before.queues);
    check(&shell.broker);
}

/// Mutant caught: no limit in `shared_queue`.
#[test]
fn l25_groups_count_among_the_queues() {
    let mut options = BrokerOptions::default();
    options.limits.max_queues = 2;
    let mut shell = Shell::with(options);
    shell.attach(conn(1), "s");
    let requests = ["g", "h", "i", "g"].map(|group| shared(group, "t", 1));
    let effects = bind(&mut shell, conn(1), requests.into());
    let Answer::Bound(granted) = answers(&effects)[0] else {
        panic!("{effects:?}")
    };
    let refused = Err(Refusal::LimitReached(Limit::Queues));
    assert_eq!(granted[..], [Ok(1), Ok(1), refused, Ok(1)]);
}

#[test]
fn rule_62_qos_1_goes_to_another_member_and_qos_2_to_nobody_else() {
    let mut shell = Shell::new();
    shell.run(
        conn(1),
        vec![Command::Attach(crate::command::Attach {
            expiry_ms: Some(5_000),
            ..attach("first", None)
        })],
    );
    bind(&mut shell, conn(1), vec![shared("g", "t", 2)]);
    let exact = run_of("t", &["two"], |envelope| {
        envelope.durable = true;
        envelope.assurance = Assurance::ExactlyOnce;
    });
    shell.publish(SENDER, SendMode::Publish, exact);
    publish(&mut shell, SENDER, &["one"]);
    shell.attach(conn(2), "second");
    bind(&mut shell, conn(2), vec![shared("g", "t", 2)]);
    let key = ConsumerKey::SESSION.0;
    let effects = shell.close(conn(1), &[(key, 2)]);
    assert_eq!(on(&effects, 2), ["one"]);
    let effects = shell.sleep(5_000);
    assert_eq!(on(&effects, 2), [""; 0], "not the other");
    shell.settle(conn(2), key, 1, 1, Outcome::Accepted);
    assert_eq!(shell.broker.counts().messages, 0);
    check(&shell.broker);
}

/// Granted QoS 1 is no promise of once: a message of QoS 2 goes to another member as well. Mutant
/// caught: `is_exact` that does not look at the grant.
#[test]
fn rule_62_qos_2_granted_as_1_goes_to_another_member() {
    let mut shell = Shell::new();
    for (slot, name) in [(1, "first"), (2, "second")] {
        shell.attach(conn(slot), name);
        bind(&mut shell, conn(slot), vec![shared("g", "t", 1)]);
    }
    let exact = run_of("t", &["two"], |envelope| {
        envelope.durable = true;
        envelope.assurance = Assurance::ExactlyOnce;
    });
    let effects = shell.publish(SENDER, SendMode::Publish, exact).2;
    assert_eq!(shell.log.count(TAG), 0);
    let (from, to) = match on(&effects, 1).len() {
        1 => (conn(1), 2),
        _ => (conn(2), 1),
    };
    let effects = shell.close(from, &[(ConsumerKey::SESSION.0, 1)]);
    assert_eq!(on(&effects, to), ["two"]);
}

#[test]
fn rule_61_no_retained_value_comes_on_a_shared_subscription() {
    let mut shell = Shell::new();
    shell.run(SENDER, vec![retain(durable("t", &["kept"]))]);
    shell.attach(conn(1), "s");
    let request = BindRequest {
        retained: RetainedReplay::Always,
        ..shared("g", "t", 1)
    };
    assert_eq!(bodies(&bind(&mut shell, conn(1), vec![request])), [""; 0]);
}

#[test]
fn rule_55_no_local_leaves_out_what_the_client_itself_sends() {
    let mut shell = Shell::new();
    for (slot, qos) in [(1, 0), (2, 1)] {
        shell.attach(conn(slot), &format!("s{slot}"));
        let options = BindOptions {
            qos,
            no_local: true,
            ..BindOptions::default()
        };
        bind(&mut shell, conn(slot), vec![with("t", options)]);
    }
    let effects = publish(&mut shell, conn(1), &["a"]);
    assert_eq!((on(&effects, 1).len(), on(&effects, 2).len()), (0, 1));
    let effects = publish(&mut shell, conn(2), &["b"]);
    assert_eq!((on(&effects, 1).len(), on(&effects, 2).len()), (1, 0));
    shell.close(conn(2), &[]);
    shell.attach(conn(3), "s2");
    let effects = publish(&mut shell, conn(3), &["c"]);
    assert_eq!(on(&effects, 3), [""; 0], "also after it came back");
}

#[test]
fn rule_56_ids_of_all_matching_subscriptions_come_with_live_queued_and_retained_messages() {
    let mut shell = Shell::new();
    shell.attach(conn(1), "s");
    let options = |qos, id| BindOptions {
        qos,
        id,
        ..BindOptions::default()
    };
    let requests = vec![
        with("t", options(1, 9)),
        with("#", options(0, 4)),
        with("other", options(1, 5)),
        with("*", options(0, 0)),
    ];
    bind(&mut shell, conn(1), requests);
    let effects = publish(&mut shell, SENDER, &["live"]);
    let (_, delivery) = delivered(&effects)[0];
    assert_eq!(delivery.subscriptions.as_deref(), Some(&[4, 9][..]));
    let effects = shell
        .publish(SENDER, SendMode::Publish, at_most_once("t", &["fan-out"]))
        .2;
    let Some(Effect::Fanout { subscriptions, .. }) = effects.first() else {
        panic!("{effects:?}")
    };
    assert_eq!(subscriptions.as_deref(), Some(&[4, 9][..]));
    shell.close(conn(1), &[]);
    publish(&mut shell, SENDER, &["queued"]);
    shell.restart();
    let effects = shell.attach(conn(2), "s");
    let ids = delivered(&effects)
        .into_iter()
        .map(|(_, d)| d.subscriptions.clone());
    assert!(
        ids.into_iter()
            .all(|ids| ids.as_deref() == Some(&[4, 9][..]))
    );
    bind(&mut shell, conn(2), vec![with("t", options(1, 0))]);
    let effects = publish(&mut shell, SENDER, &["renewed"]);
    let (_, delivery) = delivered(&effects)[0];
    assert_eq!(delivery.subscriptions.as_deref(), Some(&[4][..]));
}

#[test]
fn rule_32_live_messages_keep_the_mark_only_where_it_was_asked_for() {
    let mut shell = Shell::new();
    for (slot, qos, retain_as_published) in
        [(1, 1, true), (2, 1, false), (3, 0, true), (4, 0, false)]
    {
        shell.attach(conn(slot), &format!("s{slot}"));
        let options = BindOptions {
            qos,
            retain_as_published,
            ..BindOptions::default()
        };
        bind(&mut shell, conn(slot), vec![with("t", options)]);
    }
    let effects = shell.run(SENDER, vec![retain(durable("t", &["a"]))]);
    for effect in &effects {
        match effect {
            Effect::Deliver {
                connection,
                delivery,
                ..
            } => {
                assert_eq!(delivery.retained, connection.slot == 1);
            }
            Effect::Fanout {
                retained, targets, ..
            } => {
                assert_eq!(targets.len(), 1);
                assert_eq!(*retained, targets[0].connection.slot == 3);
            }
            _ => {}
        }
    }
    assert_eq!(bodies(&effects).len(), 4);
}

#[test]
fn rule_54_retained_values_come_always_once_or_never() {
    let mut shell = Shell::new();
    shell.run(SENDER, vec![retain(durable("t", &["kept"]))]);
    shell.attach(conn(1), "s");
    let mut ask = |retained| {
        let request = BindRequest {
            retained,
            ..request("t", 1, false)
        };
        let effects = bind(&mut shell, conn(1), vec![request]);
        for (_, d) in delivered(&effects) {
            shell.settle(conn(1), ConsumerKey::SESSION.0, d.tag, 1, Outcome::Accepted);
        }
        bodies(&effects).len()
    };
    assert_eq!(ask(RetainedReplay::Never), 0);
    assert_eq!(ask(RetainedReplay::IfNew), 0, "it is there already");
    assert_eq!(ask(RetainedReplay::Always), 1);
    assert_eq!(ask(RetainedReplay::Always), 1);
}
