//! Bounded work, credit, room and fair shares (L21, L22, L23, L25).

use crate::broker::{Broker, BrokerOptions};
use crate::command::{Command, Outcome, RoutingType, SendMode, Source, Tags};
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, ConsumerKey};
use crate::limits::Limits;
use crate::testing::{
    SENDER, Shell, address, at_most_once, attach, bodies, check, clean, conn, consume,
    consume_on_credit, durable, filter, publish, refusal, seen, settle, transient,
};

fn limited(set: impl FnOnce(&mut Limits)) -> Shell {
    let mut options = BrokerOptions::default();
    set(&mut options.limits);
    Shell::with(options)
}

fn many(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("{n:04}")).collect()
}

fn send_many(shell: &mut Shell, queue: &str, n: usize) {
    let texts = many(n);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    shell.send(queue, &texts);
}

/// Calls until nothing is left; how many messages each call handed out.
fn calls(shell: &mut Shell, id: ConnectionId, commands: Vec<Command>) -> Vec<usize> {
    let mut each = vec![bodies(&shell.once(id, commands)).len()];
    while shell.more {
        each.push(bodies(&shell.once(ConnectionId::BROKER, Vec::new())).len());
        assert!(each.len() < 1_000);
    }
    each
}

// Mutant: `units == 0` never true in `pump`.
#[test]
fn l21_one_call_hands_out_so_many_and_says_that_more_is_left() {
    let mut shell = limited(|limits| limits.units_per_call = 10);
    send_many(&mut shell, "q", 35);
    let source = Source::Anycast(address("q"));
    let each = calls(&mut shell, conn(1), vec![consume(1, source, 100, None)]);
    assert_eq!(each, [10, 10, 10, 5]);
    check(&shell.broker);
}

#[test]
fn l21_expiry_of_a_long_run_is_cut_into_calls() {
    let mut shell = limited(|limits| limits.units_per_call = 10);
    let texts = many(35);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let run = crate::testing::run_of("q", &texts, |envelope| {
        envelope.durable = true;
        envelope.expires_ms = 1_000_005;
    });
    shell.publish(SENDER, SendMode::Anycast, run);
    shell.now.mono_ms += 5;
    shell.now.wall_ms += 5;
    shell.once(ConnectionId::BROKER, vec![Command::Tick]);
    let first = shell.broker.counts().expired;
    assert!((1..=10).contains(&first) && shell.more);
    shell.run(ConnectionId::BROKER, Vec::new());
    assert_eq!(shell.broker.counts().expired, 35);
    check(&shell.broker);
}

// Mutant: the check of units taken out of `lease_out`: it never ends.
#[test]
fn l21_receive_over_many_expired_messages_ends() {
    let texts = many(35);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for live in [true, false] {
        let mut shell = limited(|limits| limits.units_per_call = 10);
        if live {
            shell.send("q", &["a"]);
        }
        let run = crate::testing::run_of("q", &texts, |envelope| envelope.expires_ms = 1_000_005);
        shell.publish(SENDER, SendMode::Anycast, run);
        // The clock of the wall is ahead, so it is the receive that finds them.
        shell.now.wall_ms += 5;
        let receive = shell.receive_command("q", 3, 1_000, 1_000);
        let mut effects = shell.run(conn(1), vec![receive]);
        if !live {
            assert!(crate::testing::answers(&effects).is_empty(), "it waits");
            effects = shell.send("q", &["a"]);
        }
        assert_eq!(crate::testing::leased(&effects).len(), 1);
        check(&shell.broker);
    }
}

// Mutant: `discard_messages` spends nothing.
#[test]
fn l21_a_huge_queue_is_let_go_in_pieces() {
    let mut shell = limited(|limits| limits.units_per_call = 10);
    shell.attach(conn(1), "s");
    shell.bind(conn(1), "t", 1);
    shell.close(conn(1), &[]);
    let texts = many(35);
    for text in &texts {
        shell.publish(SENDER, SendMode::Publish, durable("t", &[text]));
    }
    let mut gone = clean("s", None);
    gone.durable = true;
    shell.once(conn(2), vec![Command::Attach(gone)]);
    assert!(shell.more);
    assert_eq!(shell.broker.counts().messages, 0, "counted as gone at once");
    assert!(shell.broker.store.len() >= 25);
    check(&shell.broker);
    shell.run(ConnectionId::BROKER, Vec::new());
    assert_eq!(shell.broker.store.len(), 0);
    assert_eq!(shell.dead.values().sum::<u64>(), 35 * 4);
}

/// 10,000 consumers of which one has credit: each message asks that one alone.
// Mutant: `lane.parked.push(to)` taken out of `readiness`. With `count > 0` taken out of `taker` it
// never ends.
#[test]
fn l21_consumers_without_credit_are_not_asked_again() {
    const CONSUMERS: u32 = 10_000;
    let mut shell = Shell::new();
    for key in 1..=CONSUMERS {
        let source = Source::Anycast(address("q"));
        shell.run(conn(1), vec![consume_on_credit(key, source)]);
    }
    let asked = |shell: &Shell| shell.broker.queues.values().next().unwrap().ready.len();
    assert_eq!(asked(&shell), CONSUMERS as usize);
    shell.send("q", &["a"]);
    assert_eq!(asked(&shell), 0);
    let credit = Command::Credit {
        consumer: ConsumerKey(77),
        until: 1_000,
    };
    let mut effects = shell.run(conn(1), vec![credit]);
    for _ in 0..100 {
        assert_eq!(seen(&effects)[0].consumer, 77);
        assert_eq!(asked(&shell), 1);
        effects = shell.send("q", &["b"]);
    }
    check(&shell.broker);
}

/// Who leaves is unlinked wherever it stands, asked or parked; the others keep their turns.
// Mutant: `state.links.before = before` taken out of `Ring::remove`.
#[test]
fn l21_consumer_that_leaves_is_unlinked_and_the_others_keep_their_turns() {
    let mut shell = Shell::new();
    for slot in 1..=9 {
        let prefetch = if slot % 4 == 0 { 1 } else { 100 };
        shell.consume(conn(slot), 1, "q", prefetch);
    }
    send_many(&mut shell, "q", 9);
    for gone in [5, 9, 1, 8, 4] {
        shell.close(conn(gone), &[]);
        check(&shell.broker);
    }
    let mut order = Vec::new();
    for _ in 0..8 {
        order.push(seen(&shell.send("q", &["x"]))[0].connection);
    }
    order[..4].sort_unstable();
    assert_eq!(order[..4], [2, 3, 6, 7]);
    let again = [order[4], order[5], order[6], order[7]];
    assert_eq!(
        again
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        4
    );
}

/// A connection that goes ends its consumers and temporary destinations in steps, and is the same
/// connection until the last of them.
// Mutants: `pass.spend(1) == 0` replaced by `false` in `end_lanes`, in `end_temporaries`.
#[test]
fn l21_connection_with_much_to_end_is_closed_in_steps() {
    let mut shell = limited(|limits| limits.units_per_call = 10);
    for key in 1..=25 {
        shell.consume(conn(1), key, "q", 1);
        let address = address(&format!("$temp.1.{key}"));
        let routing = RoutingType::Anycast;
        shell.run(
            conn(1),
            vec![Command::CreateTemporary {
                address,
                routing,
                token: None,
            }],
        );
    }
    send_many(&mut shell, "q", 30);
    let mut commands = vec![crate::testing::close(&[(1, 1), (2, 2)])];
    let mut queues = vec![shell.broker.counts().queues];
    let mut consumers = vec![shell.broker.consumers.len()];
    while !commands.is_empty() {
        let effects = shell.call(conn(1), &mut commands);
        assert!(bodies(&effects).is_empty());
        queues.push(shell.broker.counts().queues);
        consumers.push(shell.broker.consumers.len());
        check(&shell.broker);
    }
    for steps in [
        consumers.as_slice(),
        &queues.iter().map(|n| *n as usize).collect::<Vec<_>>(),
    ] {
        assert!(steps.windows(2).all(|w| w[0] - w[1] <= 10), "{steps:?}");
    }
    shell.run(ConnectionId::BROKER, Vec::new());
    assert_eq!(
        (shell.broker.consumers.len(), shell.broker.counts().queues),
        (0, 1)
    );
    assert_eq!(shell.broker.counts().messages, 30);
    check(&shell.broker);
}

/// The name is free at once, also for a session with the same subscriptions.
// Mutants: `pass.spend(1) == 0` replaced by `false` in `end_subscriptions`; `is_named` by `true`.
#[test]
fn l21_session_with_many_subscriptions_goes_in_steps() {
    let mut shell = limited(|limits| limits.units_per_call = 10);
    shell.attach(conn(1), "s");
    for n in 0..35 {
        shell.bind(conn(1), &format!("t.{n}"), 1);
    }
    shell.close(conn(1), &[]);
    let mut clean = attach("s", shell.token());
    clean.clean = true;
    let mut effects = shell.once(conn(2), vec![Command::Attach(clean)]);
    let present = |effects: &[_]| match crate::testing::answers(effects)[..] {
        [crate::effect::Answer::Attached { present, .. }] => *present,
        _ => panic!("{effects:?}"),
    };
    assert!(!present(&effects) && shell.more);
    assert!(shell.broker.sessions.len() == 2 && shell.broker.counts().sessions == 1);
    check(&shell.broker);
    let request = crate::testing::request("t.34", 1, false);
    let token = shell.token();
    let requests = vec![request];
    effects = shell.once(conn(2), vec![Command::Bind { requests, token }]);
    assert!(shell.more && refusal(&effects).is_none());
    shell.restart();
    assert_eq!(shell.broker.sessions.len(), 1);
    effects = shell.attach(conn(3), "s");
    assert!(present(&effects));
    for (topic, routed) in [("t.33", 0), ("t.34", 1)] {
        let (_, answer, _) = shell.publish(SENDER, SendMode::Publish, durable(topic, &["x"]));
        let crate::effect::Answer::Published { routed: n } = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(n, routed, "{topic}");
    }
    check(&shell.broker);
}

/// What is kept beside the index of a queue goes with its messages, in the same steps.
// Mutant: `self.leases.remove` taken out of `Queue::discard`.
#[test]
fn l21_leases_and_counts_of_a_queue_that_goes_are_let_go_with_its_messages() {
    let mut shell = limited(|limits| limits.units_per_call = 10);
    let temporary = Command::CreateTemporary {
        address: address("$temp.1.x"),
        routing: RoutingType::Anycast,
        token: None,
    };
    shell.run(conn(1), vec![temporary]);
    for text in many(30) {
        shell.send("$temp.1.x", &[&text]);
    }
    let receive = shell.receive_command("$temp.1.x", 30, 0, 60_000);
    shell.run(conn(1), vec![receive]);
    let deadlines = shell.broker.deadlines.len();
    assert!(deadlines >= 10, "{deadlines} leases");
    shell.close(conn(1), &[]);
    assert_eq!(shell.broker.deadlines.len(), 0);
    assert_eq!(shell.broker.store.len(), 0);
}

// Mutant: `piece.sequence >= share.below` replaced by `true` in `share`.
#[test]
fn runs_are_spread_evenly_and_cut_by_credit() {
    let mut shell = Shell::new();
    for (key, prefetch) in [(1, 100), (2, 100), (3, 1)] {
        shell.consume(conn(1), key, "q", prefetch);
    }
    let texts = many(12);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let effects = shell.send("q", &texts);
    let got = |key| {
        seen(&effects)
            .iter()
            .filter(|seen| seen.consumer == key)
            .count()
    };
    assert_eq!(got(3), 1);
    assert_eq!((got(1) + got(2), got(1).abs_diff(got(2)) <= 4), (11, true));
    for key in [1, 2] {
        shell.settle(conn(1), key, 1, 1, Outcome::Accepted);
    }
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 100);
    shell.consume(conn(2), 1, "q", 100);
    for _ in 0..3 {
        let effects = shell.send("q", &texts[..10]);
        let got = |slot| {
            seen(&effects)
                .iter()
                .filter(|seen| seen.connection == slot)
                .count()
        };
        assert_eq!((got(1), got(2)), (5, 5));
    }
}

#[test]
fn single_messages_go_round() {
    let mut shell = Shell::new();
    for slot in 1..=3 {
        shell.consume(conn(slot), 1, "q", 100);
    }
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(seen(&shell.send("q", &["x"]))[0].connection);
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 3]);
}

// Mutant: the binary search of `fits` replaced by `room / size of the first`.
#[test]
fn l22_run_is_cut_by_the_room_of_the_outbox() {
    let mut shell = limited(|limits| limits.outbox_bytes = 400);
    shell.consume(conn(1), 1, "q", 100);
    let large = "x".repeat(100);
    let effects = shell.send("q", &["a", &large, &large, &large, "b"]);
    assert_eq!(bodies(&effects).len(), 3, "33 + 132 + 132 bytes of 400");
    for (back, more) in [(28, 0), (1, 1), (32, 0), (1, 1)] {
        let effects = shell.run(conn(1), vec![Command::Room(back)]);
        assert_eq!(bodies(&effects).len(), more);
    }
    check(&shell.broker);
}

// Mutant: `self.room >= self.room_max` replaced by `false` in `fits`.
#[test]
fn l22_one_delivery_always_fits_an_empty_outbox_and_is_paid_back_whole() {
    let mut shell = limited(|limits| limits.outbox_bytes = 100);
    shell.consume(conn(1), 1, "q", 100);
    let large = "x".repeat(1_000);
    let effects = shell.send("q", &[&large, "a", "b"]);
    assert_eq!(bodies(&effects).len(), 1);
    let effects = shell.run(conn(1), vec![Command::Room(964)]);
    assert!(
        bodies(&effects).is_empty(),
        "68 bytes of it are still in the outbox"
    );
    let effects = shell.run(conn(1), vec![Command::Room(36)]);
    assert_eq!(bodies(&effects), ["a", "b"]);
}

// Mutant: the consumer not noted in `starved`.
#[test]
fn l22_every_connection_that_lacked_room_is_served_when_it_has_some() {
    let mut shell = limited(|limits| limits.outbox_bytes = 33);
    for slot in 1..=2 {
        shell.consume(conn(slot), 1, "q", 100);
    }
    shell.send("q", &["a", "b", "c", "d"]);
    for (slot, body) in [(2, "c"), (1, "d")] {
        let effects = shell.run(conn(slot), vec![Command::Room(33)]);
        assert_eq!(bodies(&effects), [body]);
    }
}

#[test]
fn l22_one_slow_connection_does_not_hold_up_the_others() {
    let mut shell = limited(|limits| limits.outbox_bytes = 33);
    for slot in 1..=2 {
        shell.consume(conn(slot), 1, "q", 100);
    }
    for n in 0..10 {
        let effects = shell.send("q", &["x"]);
        assert_eq!(seen(&effects)[0].connection, if n == 0 { 1 } else { 2 });
        shell.run(conn(2), vec![Command::Room(33)]);
    }
}

// Mutant: `is_bounded` false for sessions.
#[test]
fn l23_slow_subscriber_without_durability_drops_its_oldest_and_nobody_elses() {
    let mut shell = limited(|limits| limits.subscription_bytes = 5 * 34);
    shell.run(
        conn(1),
        vec![consume_on_credit(1, Source::Multicast(filter("t")))],
    );
    let mut slow = clean("slow", None);
    slow.window = 0;
    shell.run(conn(2), vec![Command::Attach(slow)]);
    shell.bind(conn(2), "t", 1);
    let mut keeps = attach("keeps", None);
    keeps.window = 0;
    shell.run(conn(3), vec![Command::Attach(keeps)]);
    shell.bind(conn(3), "t", 1);
    for n in 10..20 {
        shell.publish(SENDER, SendMode::Multicast, durable("t", &[&n.to_string()]));
    }
    assert_eq!(shell.broker.counts().dropped_full, 10);
    assert_eq!(shell.broker.counts().messages, 5 + 5 + 10);
    let credit = Command::Credit {
        consumer: ConsumerKey(1),
        until: 11,
    };
    let effects = shell.run(conn(1), vec![credit]);
    assert_eq!(bodies(&effects), ["15", "16", "17", "18", "19"]);
    check(&shell.broker);
}

#[test]
fn l23_what_is_out_is_not_dropped() {
    let mut shell = limited(|limits| limits.subscription_bytes = 2 * 33);
    shell.run(
        conn(1),
        vec![consume(1, Source::Multicast(filter("t")), 2, None)],
    );
    for body in ["a", "b", "c", "d"] {
        shell.publish(SENDER, SendMode::Multicast, transient("t", &[body]));
    }
    let effects = shell.settle(conn(1), 1, 1, 2, Outcome::Accepted);
    assert!(bodies(&effects).is_empty(), "c and d were above the limit");
    assert_eq!(shell.broker.counts().dropped_full, 2);
}

// What the author had walked over every tag of the range, which takes hours.
#[test]
fn l21_settling_a_range_of_four_billion_costs_what_is_held() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a", "b", "c"]);
    shell.settle(conn(1), 1, 2, 1, Outcome::Accepted);
    for first in [0, 1, u64::MAX] {
        shell.run(
            conn(1),
            vec![settle(1, first, u32::MAX, Outcome::Accepted, None)],
        );
    }
    assert_eq!(shell.broker.counts().messages, 0);
    check(&shell.broker);
}

#[test]
fn settling_what_is_not_held_is_refused_and_changes_nothing() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a", "b"]);
    for (first, n) in [(1, 3), (0, 1), (3, 1), (1, 0)] {
        let effects = shell.settle(conn(1), 1, first, n, Outcome::Accepted);
        assert_eq!(refusal(&effects), Some(Refusal::Unknown), "{first}+{n}");
    }
    let up_to = crate::command::Settle {
        consumer: ConsumerKey(1),
        tags: Tags::UpTo(3),
        outcome: Outcome::Accepted,
        note: None,
        token: shell.token(),
    };
    let effects = shell.run(conn(1), vec![Command::Settle(up_to)]);
    assert_eq!(refusal(&effects), Some(Refusal::Unknown));
    assert_eq!(shell.broker.counts().messages, 2);
}

#[test]
fn l25_limits_are_refusals() {
    let mut shell = limited(|limits| {
        limits.max_queues = 2;
        limits.max_sessions = 1;
        limits.max_subscriptions = 2;
        limits.max_waiters = 1;
        limits.max_retained = 1;
    });
    shell.send("q", &["a"]);
    shell.send("r", &["a"]);
    let limit = |limit| Some(Refusal::LimitReached(limit));
    let token = shell.token();
    let effects = shell.run(
        SENDER,
        vec![publish(SendMode::Anycast, durable("s", &["a"]), token)],
    );
    assert_eq!(refusal(&effects), limit(Limit::Queues));
    shell.attach(conn(1), "one");
    assert_eq!(
        refusal(&shell.attach(conn(2), "two")),
        limit(Limit::Sessions)
    );
    let temporary = |name| Command::CreateTemporary {
        address: address(name),
        routing: RoutingType::Anycast,
        token: None,
    };
    shell.run(conn(3), vec![temporary("$temp.3.x")]);
    assert_eq!(shell.broker.counts().queues, 2);
    shell.consume(conn(4), 1, "q", 1);
    shell.consume(conn(4), 2, "q", 1);
    assert_eq!(
        refusal(&shell.consume(conn(4), 3, "q", 1)),
        limit(Limit::Subscriptions)
    );
    shell.close(conn(4), &[]);
    shell.consume(conn(5), 1, "q", 10);
    let waiting = [1, 2].map(|_| shell.receive_command("q", 1, 9, 9));
    let refused = waiting.map(|receive| refusal(&shell.run(conn(6), vec![receive])));
    assert_eq!(refused, [None, limit(Limit::Waiters)]);
    let retain = |to: &str| crate::testing::retain(at_most_once(to, &["a"]));
    shell.run(SENDER, vec![retain("t")]);
    shell.run(SENDER, vec![retain("u")]);
    assert_eq!(shell.broker.counts().retained, 1);
}

/// Addresses that clients make, subscriptions of a session, and names.
// Mutants: each of the three checks replaced by `false`.
#[test]
fn l25_addresses_subscriptions_and_names_are_limited() {
    let mut shell = limited(|limits| {
        limits.max_addresses = 2;
        limits.max_subscriptions = 2;
        limits.max_name_bytes = 10;
    });
    let limit = |limit| Some(Refusal::LimitReached(limit));
    let mut send = |to: &str| {
        let token = shell.token();
        let command = publish(SendMode::Anycast, durable(to, &["a"]), token);
        refusal(&shell.run(SENDER, vec![command]))
    };
    assert_eq!((send("q"), send("r")), (None, None));
    assert_eq!((send("s"), send("q")), (limit(Limit::Addresses), None));
    for name in ["0123456789a", "0123456789"] {
        let expected = (name.len() > 10).then_some(Refusal::BadName);
        assert_eq!(refusal(&shell.attach(conn(1), name)), expected);
    }
    let mut bind = |filters: &[&str]| {
        let requests = filters.iter();
        let requests = requests.map(|filter| crate::testing::request(filter, 0, false));
        let (requests, token) = (requests.collect(), shell.token());
        let effects = shell.run(conn(1), vec![Command::Bind { requests, token }]);
        match crate::testing::answers(&effects)[..] {
            [crate::effect::Answer::Bound(granted)] => granted.clone(),
            _ => panic!("{effects:?}"),
        }
    };
    let refused = Err(Refusal::LimitReached(Limit::Subscriptions));
    assert_eq!(bind(&["t.*", "u.*", "v.*"]), [Ok(0), Ok(0), refused]);
    assert_eq!(bind(&["u.*", "w.*"]), [Ok(0), refused], "one again");
}

/// Work that never comes to rest would hang here.
#[test]
fn empty_batches_are_harmless() {
    let mut shell = Shell::new();
    shell.run(ConnectionId::BROKER, vec![Command::Tick]);
    assert!(!shell.more && shell.next_deadline_ms.is_none());
    let _: &Broker = &shell.broker;
}
