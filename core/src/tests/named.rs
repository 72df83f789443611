//! Named subscriptions.

use bytes::Bytes;

use crate::broker::Broker;
use crate::command::{
    Command, Consume, ConsumeOptions, NamedSubscription, Outcome, RoutingType, SendMode,
    SettleMode, Source,
};
use crate::effect::{Answer, ConsumerEnd, Effect};
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, ConsumerKey, Token};
use crate::record::{DELETE_QUEUE, PUT_QUEUE};
use crate::testing::{
    SENDER, Shell, address, answers, bind_queue, bodies, check, conn, consume, durable,
    durable_state, filter, leased, queue_name, refusal, seen, transient,
};

/// A durable subscription that one consumer has.
fn subscription(name: &str, pattern: &str) -> NamedSubscription {
    NamedSubscription {
        queue: queue_name(name),
        filter: filter(pattern),
        durable: true,
        shared: false,
    }
}

fn volatile(name: &str, pattern: &str) -> NamedSubscription {
    NamedSubscription {
        durable: false,
        ..subscription(name, pattern)
    }
}

fn shared(name: &str, pattern: &str) -> NamedSubscription {
    NamedSubscription {
        shared: true,
        ..subscription(name, pattern)
    }
}

fn join(
    shell: &mut Shell,
    id: ConnectionId,
    key: u32,
    subscription: &NamedSubscription,
) -> Vec<Effect> {
    let token = shell.token();
    let source = Source::Subscription(subscription.clone());
    shell.run(id, vec![consume(key, source, 10, token)])
}

fn join_no_local(shell: &mut Shell, id: ConnectionId, key: u32, source: Source) -> Option<Refusal> {
    let consume = Consume {
        consumer: ConsumerKey(key),
        source,
        settle: SettleMode::Explicit,
        prefetch: 10,
        options: ConsumeOptions {
            no_local: true,
            ..ConsumeOptions::default()
        },
        token: shell.token(),
    };
    refusal(&shell.run(id, vec![Command::Consume(consume)]))
}

fn cancel(shell: &mut Shell, id: ConnectionId, key: u32) {
    let command = Command::Cancel {
        consumer: ConsumerKey(key),
        written: 0,
        token: None,
    };
    shell.run(id, vec![command]);
}

fn publish(shell: &mut Shell, id: ConnectionId, to: &str, texts: &[&str]) -> Vec<Effect> {
    shell.publish(id, SendMode::Multicast, durable(to, texts)).2
}

fn look_up(shell: &mut Shell, name: &str) -> Option<NamedSubscription> {
    let token = shell.token().expect("a token");
    let queue = queue_name(name);
    let effects = shell.run(conn(9), vec![Command::LookUp { queue, token }]);
    match answers(&effects)[..] {
        [Answer::Found { subscription, .. }] => Some(subscription.clone()),
        _ => {
            assert_eq!(refusal(&effects), Some(Refusal::NoDestination));
            None
        }
    }
}

fn unsubscribe(shell: &mut Shell, name: &str) -> Option<Refusal> {
    let command = Command::Unsubscribe {
        queue: queue_name(name),
        token: shell.token(),
    };
    let effects = shell.run(conn(9), vec![command]);
    let deleted = matches!(answers(&effects)[..], [Answer::Deleted]);
    assert_ne!(deleted, refusal(&effects).is_some());
    refusal(&effects)
}

/// Mutants caught: `durable` not asked in `remove_consumer`; the binding not restored by
/// `apply_queue`.
#[test]
fn r83_durable_subscription_outlives_its_consumer_and_a_restart() {
    let mut shell = Shell::new();
    let wanted = subscription("c.s", "t.*");
    join(&mut shell, conn(1), 1, &wanted);
    assert_eq!(bodies(&publish(&mut shell, SENDER, "t.x", &["a"])), ["a"]);
    shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    shell.close(conn(1), &[]);
    publish(&mut shell, SENDER, "t.y", &["b", "c"]);
    shell.sleep(1_000_000);
    shell.restart();
    check(&shell.broker);
    publish(&mut shell, SENDER, "t.x", &["d"]);
    assert_eq!(look_up(&mut shell, "c.s"), Some(wanted.clone()));
    let effects = join(&mut shell, conn(2), 1, &wanted);
    assert_eq!(bodies(&effects), ["b", "c", "d"]);
    assert_eq!(shell.log.count(PUT_QUEUE), 1);
    check(&shell.broker);
}

#[test]
fn l1_named_subscription_is_durable_before_its_consumer_hears_of_it() {
    let mut shell = Shell::new();
    let effects = join(&mut shell, conn(1), 1, &subscription("c.s", "t"));
    let (position, kind, _) = shell.log.records.last().expect("a record");
    assert_eq!(*kind, PUT_QUEUE);
    let Some(Effect::Answer { after, .. }) = effects.first() else {
        unreachable!("an answer");
    };
    assert!(after > position);
}

/// Mutants caught: the deliveries not taken back in `displace`; the consumer not told.
#[test]
fn r83_new_consumer_takes_the_subscription_over_with_what_was_unsettled_first() {
    let mut shell = Shell::new();
    let wanted = subscription("c.s", "t");
    join(&mut shell, conn(1), 7, &wanted);
    publish(&mut shell, SENDER, "t", &["a", "b", "c"]);
    shell.settle(conn(1), 7, 2, 1, Outcome::Accepted);
    let effects = join(&mut shell, conn(2), 1, &wanted);
    let end = effects.iter().position(|effect| match effect {
        Effect::ConsumerEnded {
            connection,
            consumer,
            why,
        } => (connection.slot, consumer.0, *why) == (1, 7, ConsumerEnd::TakenOver),
        _ => false,
    });
    let first = effects
        .iter()
        .position(|effect| matches!(effect, Effect::Deliver { .. }));
    assert!(end.expect("told") < first.expect("delivered"));
    let got: Vec<_> = seen(&effects)
        .into_iter()
        .map(|s| (s.connection, s.body, s.attempts))
        .collect();
    assert_eq!(got, [(2, "a".into(), 0), (2, "c".into(), 0)]);
    let effects = shell.settle(conn(1), 7, 1, 1, Outcome::Accepted);
    assert_eq!(
        refusal(&effects),
        Some(Refusal::Unknown),
        "it holds nothing"
    );
    assert_eq!(shell.broker.counts().messages, 2);
    cancel(&mut shell, conn(1), 7);
    assert_eq!(bodies(&publish(&mut shell, SENDER, "t", &["d"])), ["d"]);
    check(&shell.broker);
}

/// Mutant caught: `if !shared` taken out of `join_named`.
#[test]
fn r83_consumers_of_a_shared_subscription_compete() {
    let mut shell = Shell::new();
    let wanted = shared("s", "t");
    join(&mut shell, conn(1), 1, &wanted);
    join(&mut shell, conn(2), 1, &wanted);
    let effects = publish(&mut shell, SENDER, "t", &["a", "b", "c", "d"]);
    let of = |slot| {
        seen(&effects)
            .iter()
            .filter(|s| s.connection == slot)
            .count()
    };
    assert_eq!((of(1), of(2)), (2, 2));
    shell.close(conn(1), &[]);
    shell.close(conn(2), &[]);
    assert_eq!(shell.broker.counts().messages, 4);
    check(&shell.broker);
}

/// Mutants caught: `durable` not asked in `remove_consumer`, `is_last` neither; `unbind_named` left out of `delete_queue`.
#[test]
fn r83_subscription_that_is_not_durable_ends_with_its_last_consumer() {
    let mut shell = Shell::new();
    let wanted = NamedSubscription {
        shared: true,
        ..volatile("s", "t")
    };
    join(&mut shell, conn(1), 1, &wanted);
    join(&mut shell, conn(2), 1, &wanted);
    publish(&mut shell, SENDER, "t", &["a", "b"]);
    assert!(shell.log.records.is_empty(), "nothing is written down");
    cancel(&mut shell, conn(1), 1);
    assert_eq!(look_up(&mut shell, "s"), Some(wanted));
    cancel(&mut shell, conn(2), 1);
    assert_eq!(look_up(&mut shell, "s"), None);
    let counts = shell.broker.counts();
    assert_eq!(
        (counts.queues, counts.addresses, counts.messages),
        (0, 0, 0)
    );
    assert!(shell.broker.trie.is_empty());
    check(&shell.broker);
}

/// Mutant caught: `displace` by way of `remove_consumer`.
#[test]
fn r83_taking_over_does_not_end_a_subscription_that_is_not_durable() {
    let mut shell = Shell::new();
    let wanted = volatile("s", "t");
    join(&mut shell, conn(1), 1, &wanted);
    publish(&mut shell, SENDER, "t", &["a"]);
    let effects = join(&mut shell, conn(2), 1, &wanted);
    assert_eq!(bodies(&effects), ["a"]);
    shell.close(conn(2), &[]);
    assert_eq!(look_up(&mut shell, "s"), None);
    check(&shell.broker);
}

/// Mutant caught: `Kind::Named` not bounded.
#[test]
fn l23_named_subscription_that_is_not_durable_drops_its_oldest() {
    let mut shell = Shell::new();
    shell.broker.limits.subscription_bytes = 3 * 33;
    let never = Command::Consume(Consume {
        consumer: ConsumerKey(1),
        source: Source::Subscription(volatile("s", "t")),
        settle: SettleMode::Explicit,
        prefetch: 0,
        options: ConsumeOptions::default(),
        token: None,
    });
    shell.run(conn(1), vec![never]);
    for text in ["a", "b", "c", "d", "e"] {
        publish(&mut shell, SENDER, "t", &[text]);
    }
    assert_eq!(shell.broker.counts().dropped_full, 2);
    let effects = join(&mut shell, conn(2), 1, &volatile("s", "t"));
    assert_eq!(bodies(&effects), ["c", "d", "e"]);
    check(&shell.broker);
}

/// Mutants caught: `InUse` left out of `as_wanted`; `known == wanted` that does not look at the
/// filter, at `shared`, at `no_local`, or at whether it is durable.
#[test]
fn r83_changed_subscription_is_made_anew_if_it_is_idle_and_refused_if_not() {
    let wanted = subscription("s", "t");
    let others = [subscription("s", "u"), shared("s", "t"), volatile("s", "t")];
    for other in others {
        let mut shell = Shell::new();
        join(&mut shell, conn(1), 1, &wanted);
        let effects = join(&mut shell, conn(2), 1, &other);
        assert_eq!(refusal(&effects), Some(Refusal::InUse));
        shell.close(conn(1), &[]);
        publish(&mut shell, SENDER, "t", &["old"]);
        assert_eq!(bodies(&join(&mut shell, conn(2), 1, &other)), [""; 0]);
        assert_eq!(shell.log.count(DELETE_QUEUE), 1);
        assert_eq!(look_up(&mut shell, "s"), Some(other.clone()));
        let to = other.filter.as_str();
        assert_eq!(bodies(&publish(&mut shell, SENDER, to, &["new"])), ["new"]);
        check(&shell.broker);
    }
    let mut shell = Shell::new();
    join(&mut shell, conn(1), 1, &wanted);
    let source = Source::Subscription(wanted);
    let refused = join_no_local(&mut shell, conn(2), 1, source.clone());
    assert_eq!(refused, Some(Refusal::InUse));
    shell.close(conn(1), &[]);
    publish(&mut shell, SENDER, "t", &["old"]);
    assert_eq!(join_no_local(&mut shell, conn(2), 1, source), None);
    assert_eq!(shell.broker.counts().messages, 0);
    // Whoever looks it up hears of it, and can join it as it is.
    let (queue, token) = (queue_name("s"), Token(77));
    let effects = shell.run(conn(9), vec![Command::LookUp { queue, token }]);
    let found = answers(&effects);
    assert!(matches!(found[..], [Answer::Found { no_local: true, .. }]));
}

/// Mutants caught: `is_consumed` that is never true; a queue that is no subscription deleted.
#[test]
fn r84_unsubscribe_deletes_an_idle_subscription_and_is_refused_for_an_active_one() {
    let mut shell = Shell::new();
    let wanted = subscription("s", "t");
    assert_eq!(unsubscribe(&mut shell, "s"), Some(Refusal::NoDestination));
    shell.send("q", &["kept"]);
    assert_eq!(unsubscribe(&mut shell, "q"), Some(Refusal::NoDestination));
    join(&mut shell, conn(1), 1, &wanted);
    publish(&mut shell, SENDER, "t", &["a"]);
    assert_eq!(unsubscribe(&mut shell, "s"), Some(Refusal::InUse));
    assert_eq!(look_up(&mut shell, "s"), Some(wanted));
    cancel(&mut shell, conn(1), 1);
    assert_eq!(unsubscribe(&mut shell, "s"), None);
    assert_eq!(look_up(&mut shell, "s"), None);
    assert_eq!(shell.broker.counts().messages, 1, "of the other queue");
    shell.restart();
    assert_eq!(look_up(&mut shell, "s"), None);
    check(&shell.broker);
}

#[test]
fn r42_closing_a_consumer_keeps_the_subscription_and_what_it_held_uncounted() {
    let mut shell = Shell::new();
    let wanted = subscription("s", "t");
    join(&mut shell, conn(1), 1, &wanted);
    publish(&mut shell, SENDER, "t", &["a", "b"]);
    let command = Command::Cancel {
        consumer: ConsumerKey(1),
        written: 2,
        token: None,
    };
    shell.run(conn(1), vec![command]);
    let effects = join(&mut shell, conn(2), 1, &wanted);
    let got: Vec<_> = seen(&effects)
        .into_iter()
        .map(|s| (s.body, s.attempts))
        .collect();
    assert_eq!(got, [("a".into(), 0), ("b".into(), 0)]);
}

/// Mutant caught: `is_taken` not asked in `named_queue`.
#[test]
fn r83_others_consume_a_subscription_by_its_name_if_nobody_has_it() {
    let mut shell = Shell::new();
    let by_name = || Source::Queue {
        address: address("t"),
        queue: queue_name("c.s"),
    };
    let wanted = subscription("c.s", "t");
    join(&mut shell, conn(1), 1, &wanted);
    let token = shell.token();
    let effects = shell.run(conn(2), vec![consume(1, by_name(), 10, token)]);
    assert_eq!(refusal(&effects), Some(Refusal::InUse));
    cancel(&mut shell, conn(1), 1);
    publish(&mut shell, SENDER, "t", &["a"]);
    let effects = shell.run(conn(2), vec![consume(1, by_name(), 10, None)]);
    assert_eq!(bodies(&effects), ["a"]);
    let effects = join(&mut shell, conn(1), 2, &wanted);
    assert_eq!(bodies(&effects), ["a"], "its own consumer takes it over");
    cancel(&mut shell, conn(1), 2);
    let receive = Command::Receive(crate::command::Receive {
        source: by_name(),
        max_messages: 5,
        max_bytes: 100,
        wait_ms: 0,
        lease_ms: 10,
        token: Token(77),
    });
    assert_eq!(leased(&shell.run(conn(3), vec![receive])).len(), 1);
    check(&shell.broker);
}

/// Mutant caught: a session's consumer not told by `displace` (`forget_consumer`).
#[test]
fn r83_session_that_consumes_a_subscription_by_name_loses_it_to_its_own_consumer() {
    let mut shell = Shell::new();
    let wanted = subscription("t.s", "t");
    join(&mut shell, conn(1), 1, &wanted);
    cancel(&mut shell, conn(1), 1);
    shell.attach(conn(2), "session");
    let mut request = bind_queue("t");
    request.target = crate::command::BindTarget::Queue {
        address: address("t"),
        queue: queue_name("t.s"),
    };
    let target = request.target.clone();
    let requests = vec![request];
    shell.run(
        conn(2),
        vec![Command::Bind {
            requests,
            token: None,
        }],
    );
    assert_eq!(bodies(&publish(&mut shell, SENDER, "t", &["a"])), ["a"]);
    let effects = join(&mut shell, conn(1), 2, &wanted);
    assert_eq!(bodies(&effects), ["a"]);
    let filters = vec![target];
    shell.run(
        conn(2),
        vec![Command::Unbind {
            filters,
            token: None,
        }],
    );
    assert_eq!(bodies(&publish(&mut shell, SENDER, "t", &["b"])), ["b"]);
    check(&shell.broker);
}

/// Mutants caught: `not_from` not asked in `split_route`; `routes.change` left out of `leave_out`;
/// `leave_out` left out of `remove_consumer`.
#[test]
fn l24_no_local_holds_for_the_connection_that_consumes_as_long_as_it_does() {
    let mut shell = Shell::new();
    let source = Source::Subscription(subscription("s", "t"));
    let texts = |shell: &mut Shell, id, text: &str| bodies(&publish(shell, id, "t", &[text])).len();
    assert_eq!(join_no_local(&mut shell, conn(1), 1, source.clone()), None);
    assert_eq!(texts(&mut shell, conn(1), "own"), 0);
    assert_eq!(texts(&mut shell, conn(2), "other's"), 1);
    assert_eq!(join_no_local(&mut shell, conn(2), 1, source), None);
    assert_eq!(texts(&mut shell, conn(1), "now another's"), 1);
    assert_eq!(texts(&mut shell, conn(2), "now its own"), 0);
    cancel(&mut shell, conn(2), 1);
    publish(&mut shell, conn(2), "t", &["of nobody's connection"]);
    assert_eq!(shell.broker.counts().messages, 3);
    check(&shell.broker);
}

#[test]
fn l24_no_local_of_a_consumers_own_subscription() {
    let mut shell = Shell::new();
    let source = Source::Multicast(filter("t"));
    assert_eq!(join_no_local(&mut shell, conn(1), 1, source), None);
    shell.run(
        conn(1),
        vec![consume(2, Source::Multicast(filter("#")), 10, None)],
    );
    assert_eq!(bodies(&publish(&mut shell, conn(1), "t", &["a"])).len(), 1);
    assert_eq!(bodies(&publish(&mut shell, conn(2), "t", &["b"])).len(), 2);
}

/// Mutant caught: `!subscription.shared` taken out of `join_named`.
#[test]
fn r83_no_local_means_nothing_to_a_shared_subscription() {
    let mut shell = Shell::new();
    let source = Source::Subscription(shared("s", "t"));
    assert_eq!(join_no_local(&mut shell, conn(1), 1, source), None);
    assert_eq!(bodies(&publish(&mut shell, conn(1), "t", &["a"])), ["a"]);
    let effects = join(&mut shell, conn(2), 1, &shared("s", "t"));
    assert_eq!(refusal(&effects), None, "it is the same one");
}

/// Mutant caught: `may_subscribe` left out of `may_join`.
#[test]
fn l25_named_subscriptions_are_refused_like_others_and_have_limits() {
    let mut shell = Shell::ruled("closed.#", |rule| {
        rule.auto_create_addresses = Some(false);
    });
    let refused =
        |shell: &mut Shell, wanted: &NamedSubscription| refusal(&join(shell, conn(1), 1, wanted));
    let closed = subscription("s", "closed.t");
    assert_eq!(refused(&mut shell, &closed), Some(Refusal::NoDestination));
    let declare = Command::DeclareAddress {
        address: address("closed.t"),
        anycast: true,
        multicast: false,
    };
    shell.run(ConnectionId::BROKER, vec![declare]);
    assert_eq!(
        refused(&mut shell, &closed),
        Some(Refusal::WrongRoutingType)
    );
    shell.send("q", &["a"]);
    let taken = subscription("q", "t");
    assert_eq!(
        refused(&mut shell, &taken),
        Some(Refusal::DestinationExists)
    );
    let reserved = subscription("$subscription.9", "t");
    assert_eq!(refused(&mut shell, &reserved), Some(Refusal::BadName));
    shell.broker.limits.max_name_bytes = 8;
    let long = subscription("long.name", "t");
    assert_eq!(refused(&mut shell, &long), Some(Refusal::BadName));
    let long = subscription("s", "long.name");
    assert_eq!(refused(&mut shell, &long), Some(Refusal::BadName));
    shell.broker.limits.max_queues = 1;
    let full = Some(Refusal::LimitReached(Limit::Queues));
    assert_eq!(refused(&mut shell, &subscription("s", "t")), full);
    shell.broker.limits.max_name_bytes = 100;
    let command = Command::CreateTemporary {
        address: address("$temp.1.t"),
        routing: RoutingType::Multicast,
        token: None,
    };
    shell.run(conn(1), vec![command]);
    let outlives = subscription("s", "$temp.1.t");
    assert_eq!(refused(&mut shell, &outlives), Some(Refusal::Forbidden));
    shell.broker.limits.max_queues = 2;
    let ends = volatile("s", "$temp.1.t");
    assert_eq!(refused(&mut shell, &ends), None);
    let address = address("$temp.1.t");
    let effects = shell.run(
        conn(1),
        vec![Command::DeleteTemporary {
            address,
            token: None,
        }],
    );
    let ended = |effect: &&Effect| matches!(effect, Effect::ConsumerEnded { .. });
    assert_eq!(effects.iter().filter(ended).count(), 1);
    assert_eq!(look_up(&mut shell, "s"), None);
    check(&shell.broker);
}

/// What rejects end in the dead-letter address, as from any queue. Mutant caught: `Kind::Named` not
/// written to (`is_addressable`).
#[test]
fn r67_wildcard_subscription_has_dead_letters_and_takes_sends_by_name() {
    let mut shell = Shell::new();
    join(&mut shell, conn(1), 1, &subscription("s", "t.#"));
    publish(&mut shell, SENDER, "t.x", &["a"]);
    shell.settle(conn(1), 1, 1, 1, Outcome::Rejected);
    assert_eq!(bodies(&shell.consume(conn(2), 1, "DLQ", 1)), ["a"]);
    join(&mut shell, conn(1), 2, &subscription("e", "t.y"));
    let run = std::sync::Arc::new(transient("t.y", &["direct"]));
    let publish = crate::command::Publish {
        run,
        mode: SendMode::Untyped,
        queue: Some(queue_name("e")),
        retain: crate::command::Retain::No,
        receipt: None,
        token: None,
    };
    assert_eq!(
        bodies(&shell.run(SENDER, vec![Command::Publish(publish)])),
        ["direct"]
    );
}

/// Mutant caught: the name not looked up in `move_target`.
#[test]
fn l15_subscription_called_like_the_dead_letter_address_does_not_lose_its_name_to_it() {
    let mut shell = Shell::new();
    let wanted = subscription("DLQ", "t");
    join(&mut shell, conn(1), 1, &wanted);
    publish(&mut shell, SENDER, "t", &["a"]);
    shell.settle(conn(1), 1, 1, 1, Outcome::Rejected);
    assert_eq!(bodies(&shell.consume(conn(2), 1, "DLQ", 1)), ["a"]);
    assert_eq!(look_up(&mut shell, "DLQ"), Some(wanted));
    check(&shell.broker);
}

/// Mutant caught: the option not missed in `read_named` (`reader.is_empty()`).
#[test]
fn l6_queue_records_of_earlier_versions_are_read() {
    // As the first version wrote it: queue 7 `q` of the address `a`, multicast, auto-created.
    let mut old = vec![7, 0, 0, 0, 1, 0, 0, 0, b'q', 1, 0, 0, 0, b'a', 1, 1, 0, 0];
    for _ in 0..2 {
        let mut broker = Broker::new(crate::broker::BrokerOptions::default());
        broker
            .apply(4_096, PUT_QUEUE, &Bytes::from(old.clone()))
            .unwrap();
        let state = durable_state(&broker);
        assert_eq!(state.len(), 1);
        assert!(
            state[0].contains("QueueId(7)") && state[0].contains("named: None"),
            "{state:?}"
        );
        old.push(0); // As this version writes it.
    }
    old.truncate(18);
    old.push(1);
    let mut broker = Broker::new(crate::broker::BrokerOptions::default());
    assert!(
        broker.apply(4_096, PUT_QUEUE, &Bytes::from(old)).is_err(),
        "cut off"
    );
}

/// Mutant caught: the subscription whatever there is.
#[test]
fn r77_a_name_without_a_type_is_a_subscription_unless_there_is_a_queue() {
    let mut shell = Shell::new();
    let mut join = |key, source| {
        let token = shell.token();
        let effects = shell.run(conn(1), vec![consume(key, source, 10, token)]);
        assert_eq!(refusal(&effects), None);
    };
    join(1, Source::Anycast(address("jobs")));
    for (key, to) in [(2, "jobs"), (3, "news"), (4, "jobs.#")] {
        let name = format!("c.{key}");
        join(key, Source::UntypedSubscription(subscription(&name, to)));
    }
    assert_eq!(look_up(&mut shell, "c.2"), None, "it takes from the queue");
    for (name, to) in [("c.3", "news"), ("c.4", "jobs.#")] {
        assert_eq!(look_up(&mut shell, name), Some(subscription(name, to)));
    }
    check(&shell.broker);
}
