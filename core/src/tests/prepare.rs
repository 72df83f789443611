//! What a producer hears before it sends.

use crate::command::{Command, QueueSpec, RoutingType, SendMode, Source};
use crate::effect::{Answer, Effect};
use crate::error::{Limit, Refusal};
use crate::ids::ConnectionId;
use crate::record::PUT_QUEUE;
use crate::testing::{
    SENDER, Shell, address, answers, conn, consume, durable, filter, queue_name, refusal,
};

fn prepare(
    shell: &mut Shell,
    to: &str,
    queue: Option<&str>,
    mode: SendMode,
) -> (u64, Option<Refusal>) {
    let command = Command::Prepare {
        address: address(to),
        queue: queue.map(queue_name),
        mode,
        token: shell.token(),
    };
    let effects = shell.run(conn(1), vec![command]);
    let prepared = matches!(answers(&effects)[..], [Answer::Prepared]);
    assert_ne!(prepared, refusal(&effects).is_some());
    let Some(Effect::Answer { after, .. }) = effects.first() else {
        unreachable!("an answer");
    };
    (*after, refusal(&effects))
}

/// Mutant caught: `reap_if_unused` taken out of `prepare`.
#[test]
fn l1_prepared_queue_is_durable_before_the_answer_and_goes_if_it_stays_unused() {
    let mut shell = Shell::new();
    let (after, refused) = prepare(&mut shell, "q", None, SendMode::Anycast);
    assert_eq!(refused, None);
    let (position, kind, _) = shell.log.records.last().expect("a record");
    assert_eq!(*kind, PUT_QUEUE);
    assert!(after > *position, "the answer waits for the queue");
    assert_eq!(shell.broker.counts().queues, 1);
    prepare(&mut shell, "q", None, SendMode::Untyped);
    assert_eq!(shell.log.count(PUT_QUEUE), 1);
    shell.sleep(5_000);
    assert_eq!(shell.broker.counts().queues, 0);
    let (_, answer, _) = shell.publish(SENDER, SendMode::Anycast, durable("q", &["a"]));
    assert!(matches!(answer, Answer::Published { routed: 1 }));
}

/// Mutant caught: `prepare` that answers without asking `sides`.
#[test]
fn r77_prepare_is_refused_exactly_as_the_publish_would_be() {
    let mut shell = Shell::ruled("closed.#", |rule| {
        rule.auto_create_queues = Some(false);
    });
    for (name, routing) in [
        ("any", RoutingType::Anycast),
        ("multi", RoutingType::Multicast),
    ] {
        let spec = QueueSpec {
            queue: queue_name(name),
            address: address(name),
            routing,
            durable: true,
        };
        shell.run(ConnectionId::BROKER, vec![Command::DeclareQueue(spec)]);
    }
    let modes = [
        SendMode::Publish,
        SendMode::Multicast,
        SendMode::Anycast,
        SendMode::Untyped,
    ];
    let names = ["any", "multi", "closed.x", "$reserved.x", "$temp.9.x"];
    for (mode, name) in modes
        .iter()
        .flat_map(|mode| names.map(|name| (*mode, name)))
    {
        let (_, prepared) = prepare(&mut shell, name, None, mode);
        let (_, answer, _) = shell.publish(SENDER, mode, durable(name, &["a"]));
        let published = match answer {
            Answer::Refused(why) => Some(why),
            _ => None,
        };
        assert_eq!(prepared, published, "{name} {mode:?}");
    }
    let (_, refused) = prepare(&mut shell, "any", Some("any"), SendMode::Untyped);
    assert_eq!(refused, None);
    let (_, refused) = prepare(&mut shell, "any", Some("other"), SendMode::Untyped);
    assert_eq!(refused, Some(Refusal::NoDestination));
    shell.broker.limits.max_queues = 0;
    let (_, refused) = prepare(&mut shell, "new", None, SendMode::Anycast);
    assert_eq!(refused, Some(Refusal::LimitReached(Limit::Queues)));
}

#[test]
fn r76_prepare_for_a_temporary_destination_asks_for_its_owners_life_only() {
    let mut shell = Shell::new();
    let command = Command::CreateTemporary {
        address: address("$temp.2.x"),
        routing: RoutingType::Anycast,
        token: None,
    };
    shell.run(conn(2), vec![command]);
    let (_, refused) = prepare(&mut shell, "$temp.2.x", None, SendMode::Anycast);
    assert_eq!(refused, None);
    shell.close(conn(2), &[]);
    let (_, refused) = prepare(&mut shell, "$temp.2.x", None, SendMode::Anycast);
    assert_eq!(refused, Some(Refusal::NoDestination));
}

#[test]
fn prepare_of_a_topic_makes_nothing() {
    let mut shell = Shell::new();
    let (_, refused) = prepare(&mut shell, "t", None, SendMode::Multicast);
    assert_eq!(refused, None);
    let counts = shell.broker.counts();
    assert_eq!((counts.queues, counts.addresses), (0, 0));
    let source = Source::Multicast(filter("t"));
    shell.run(conn(2), vec![consume(1, source, 1, None)]);
    let (_, refused) = prepare(&mut shell, "t", None, SendMode::Untyped);
    assert_eq!(refused, None);
    assert_eq!(shell.broker.counts().queues, 1, "the subscription's");
}
