//! Temporary queues and topics that are made, refused and deleted on request.

use crate::command::{Command, Outcome, RoutingType, SendMode, Source};
use crate::effect::{Answer, ConsumerEnd, Effect};
use crate::error::{Limit, Refusal};
use crate::ids::ConnectionId;
use crate::testing::{
    SENDER, Shell, address, answers, bodies, check, conn, consume, durable, filter, refusal,
    transient,
};

fn create(
    shell: &mut Shell,
    id: ConnectionId,
    name: &str,
    routing: RoutingType,
) -> Option<Refusal> {
    let command = Command::CreateTemporary {
        address: address(name),
        routing,
        token: shell.token(),
    };
    let effects = shell.run(id, vec![command]);
    let created = matches!(answers(&effects)[..], [Answer::Created]);
    assert_ne!(created, refusal(&effects).is_some());
    refusal(&effects)
}

fn delete(shell: &mut Shell, id: ConnectionId, name: &str) -> Vec<Effect> {
    let command = Command::DeleteTemporary {
        address: address(name),
        token: shell.token(),
    };
    shell.run(id, vec![command])
}

fn ended(effects: &[Effect]) -> Vec<(u32, u32, ConsumerEnd)> {
    let ended = effects.iter().filter_map(|effect| match effect {
        Effect::ConsumerEnded {
            connection,
            consumer,
            why,
        } => Some((connection.slot, consumer.0, *why)),
        _ => None,
    });
    ended.collect()
}

/// Mutants caught: `Forbidden` and `NoDestination` changed over in `delete_temporary`; the queue
/// left in the connection's `temporaries`.
#[test]
fn r75_temporary_queue_is_deleted_by_its_owner_alone_with_messages_and_consumers() {
    let mut shell = Shell::new();
    assert_eq!(
        create(&mut shell, conn(1), "$temp.1.x", RoutingType::Anycast),
        None
    );
    shell.consume(conn(1), 7, "$temp.1.x", 1);
    shell.send("$temp.1.x", &["a", "b"]);
    let effects = delete(&mut shell, conn(2), "$temp.1.x");
    assert_eq!(refusal(&effects), Some(Refusal::Forbidden));
    let effects = delete(&mut shell, conn(1), "$temp.1.y");
    assert_eq!(refusal(&effects), Some(Refusal::NoDestination));
    let effects = delete(&mut shell, conn(1), "$temp.1.x");
    assert!(matches!(answers(&effects)[..], [Answer::Deleted]));
    assert_eq!(ended(&effects), [(1, 7, ConsumerEnd::Deleted)]);
    let counts = shell.broker.counts();
    assert_eq!(
        (counts.queues, counts.addresses, counts.messages),
        (0, 0, 0)
    );
    let (_, answer, _) = shell.publish(SENDER, SendMode::Anycast, durable("$temp.1.x", &["c"]));
    assert!(matches!(answer, Answer::Refused(Refusal::NoDestination)));
    let effects = delete(&mut shell, conn(1), "$temp.1.x");
    assert_eq!(refusal(&effects), Some(Refusal::NoDestination));
    // The name is free, and what it was is not ended with the connection once more.
    assert_eq!(
        create(&mut shell, conn(2), "$temp.1.x", RoutingType::Anycast),
        None
    );
    shell.close(conn(1), &[]);
    let effects = shell.consume(conn(3), 1, "$temp.1.x", 1);
    assert_eq!(refusal(&effects), Some(Refusal::Forbidden));
    check(&shell.broker);
}

/// Mutant caught: no subscription ended in `delete_temporary`.
#[test]
fn r75_temporary_topic_ends_its_subscriptions_and_leaves_those_to_more() {
    let mut shell = Shell::new();
    assert_eq!(
        create(&mut shell, conn(1), "$temp.1.t", RoutingType::Multicast),
        None
    );
    let exact = Source::Multicast(filter("$temp.1.t"));
    let wide = Source::Multicast(filter("$temp.#"));
    shell.run(
        conn(1),
        vec![consume(1, exact, 10, None), consume(2, wide, 10, None)],
    );
    let (.., effects) = shell.publish(SENDER, SendMode::Multicast, transient("$temp.1.t", &["a"]));
    assert_eq!(bodies(&effects), ["a", "a"]);
    let effects = delete(&mut shell, conn(1), "$temp.1.t");
    assert_eq!(ended(&effects), [(1, 1, ConsumerEnd::Deleted)]);
    let (_, answer, _) = shell.publish(SENDER, SendMode::Multicast, transient("$temp.1.t", &["b"]));
    assert!(matches!(answer, Answer::Refused(Refusal::NoDestination)));
    assert_eq!(shell.broker.counts().addresses, 0);
    check(&shell.broker);
}

/// Mutant caught: `state.owner.is_some()` replaced by `true` in `sides`.
#[test]
fn r75_what_still_subscribes_to_a_temporary_topic_does_not_keep_it() {
    let mut shell = Shell::new();
    create(&mut shell, conn(1), "$temp.1.t", RoutingType::Multicast);
    shell.attach(conn(2), "s");
    shell.bind(conn(2), "$temp.1.t", 1);
    let (_, answer, _) = shell.publish(SENDER, SendMode::Multicast, durable("$temp.1.t", &["a"]));
    assert!(matches!(answer, Answer::Published { routed: 1 }));
    delete(&mut shell, conn(1), "$temp.1.t");
    let (_, answer, _) = shell.publish(SENDER, SendMode::Multicast, durable("$temp.1.t", &["b"]));
    assert!(matches!(answer, Answer::Refused(Refusal::NoDestination)));
}

#[test]
fn r76_temporary_queue_of_another_takes_messages_and_gives_none() {
    let mut shell = Shell::new();
    create(&mut shell, conn(1), "$temp.1.x", RoutingType::Anycast);
    let (_, answer, _) = shell.publish(conn(2), SendMode::Untyped, durable("$temp.1.x", &["a"]));
    assert!(matches!(answer, Answer::Published { routed: 1 }));
    let effects = shell.consume(conn(2), 1, "$temp.1.x", 1);
    assert_eq!(refusal(&effects), Some(Refusal::Forbidden));
    assert_eq!(bodies(&shell.consume(conn(1), 1, "$temp.1.x", 1)), ["a"]);
    shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    check(&shell.broker);
}

#[test]
fn r75_each_refusal_of_a_temporary_destination_says_why() {
    let mut shell = Shell::new();
    shell.broker.limits.max_subscriptions = 2;
    shell.broker.limits.max_name_bytes = 20;
    let queue =
        |shell: &mut Shell, slot, name| create(shell, conn(slot), name, RoutingType::Anycast);
    assert_eq!(queue(&mut shell, 1, "$temp.1.x"), None);
    let exists = Some(Refusal::DestinationExists);
    assert_eq!(queue(&mut shell, 1, "$temp.1.x"), exists);
    let long = "$temp.1.xxxxxxxxxxxxxxxxxxxx";
    assert_eq!(queue(&mut shell, 1, long), Some(Refusal::BadName));
    assert_eq!(queue(&mut shell, 1, "$temp.1.y"), None);
    let limit = |limit| Some(Refusal::LimitReached(limit));
    assert_eq!(
        queue(&mut shell, 1, "$temp.1.z"),
        limit(Limit::Subscriptions)
    );
    shell.broker.limits.max_queues = 2;
    assert_eq!(queue(&mut shell, 2, "$temp.2.x"), limit(Limit::Queues));
    shell.broker.limits.max_addresses = 2;
    assert_eq!(queue(&mut shell, 2, "$temp.2.x"), limit(Limit::Addresses));
}

/// Mutant caught: `Some(Command::DeleteTemporary)` replaced by `None`.
#[test]
fn l21_temporary_topic_with_many_subscriptions_is_deleted_in_steps() {
    let mut shell = Shell::new();
    create(&mut shell, conn(1), "$temp.1.t", RoutingType::Multicast);
    for key in 1..=30 {
        let source = Source::Multicast(filter("$temp.1.t"));
        shell.run(conn(1), vec![consume(key, source, 1, None)]);
    }
    shell.broker.limits.units_per_call = 7;
    let token = shell.token();
    let address = address("$temp.1.t");
    let mut commands = vec![Command::DeleteTemporary { address, token }];
    let effects = shell.call(conn(1), &mut commands);
    assert_eq!((commands.len(), ended(&effects).len()), (1, 7));
    let effects = shell.run(conn(1), commands);
    assert_eq!(ended(&effects).len(), 23);
    assert!(matches!(answers(&effects)[..], [Answer::Deleted]));
    check(&shell.broker);
}
