//! Attaches of links on which the client receives, and what they are told.

use ternmq_amqp::types::{Described, Descriptor};
use ternmq_amqp::types::{Map, Symbols, Value, put_map, put_symbol, put_symbols, put_value};
use ternmq_amqp::{
    Attach, Detach, DistributionMode, Durability, ExpiryPolicy, Lifetime, Outcome as Said,
    Performative, Source,
};
use ternmq_core::address::{Address, Filter, QueueName};
use ternmq_core::command::{self, Command, Consume, NamedSubscription};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;

use super::peer::{Heard, Peer};

fn address(text: &str) -> Address {
    Address::parse(text, Dialect::Canonical, 1_000).unwrap()
}

fn filter(text: &str) -> Filter {
    Filter::parse(text, Dialect::Canonical, 1_000).unwrap()
}

fn queue(text: &str) -> QueueName {
    QueueName::parse(text, Dialect::Canonical, 1_000).unwrap()
}

fn encoded(names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    put_symbols(&mut out, names.iter().copied());
    out
}

fn symbols(encoded: &[u8]) -> Symbols<'_> {
    Symbols::decode(encoded).unwrap()
}

fn consume(peer: &mut Peer, attach: Attach<'_>) -> Consume {
    peer.say(Performative::Attach(Box::new(attach)));
    peer.consume()
}

fn named(name: &str, to: &str, durable: bool, shared: bool) -> command::Source {
    command::Source::Subscription(NamedSubscription {
        queue: queue(name),
        filter: filter(to),
        durable,
        shared,
    })
}

/// Mutant: a prefix is stronger than a capability.
#[test]
fn r77_capability_prefix_and_what_is_there_say_what_is_consumed_in_this_order() {
    let mut peer = Peer::new(100);
    let cases: &[(&str, &[&str], command::Source)] = &[
        ("a", &[], command::Source::Untyped(filter("a"))),
        ("a", &["queue"], command::Source::Anycast(address("a"))),
        ("a", &["topic"], command::Source::Multicast(filter("a"))),
        ("queue://a", &[], command::Source::Anycast(address("a"))),
        (
            "topic://a.>",
            &[],
            command::Source::Multicast(filter("a.#")),
        ),
        ("a.*", &[], command::Source::Multicast(filter("a.*"))),
        (
            "queue://a",
            &["topic"],
            command::Source::Multicast(filter("a")),
        ),
        (
            "a::b",
            &["topic"],
            command::Source::Queue {
                address: address("a"),
                queue: queue("b"),
            },
        ),
    ];
    for (handle, (text, capabilities, expected)) in (0..).zip(cases) {
        let capabilities = encoded(capabilities);
        let source = Source {
            address: Some(text),
            capabilities: symbols(&capabilities),
            ..Source::default()
        };
        let name = handle.to_string();
        let asked = consume(&mut peer, Peer::attach(handle, &name, source));
        assert_eq!(asked.source, *expected, "{text}");
    }
}

/// Mutant: cut at the last `|`.
#[test]
fn r83_durable_and_shared_subscriptions_have_names() {
    let mut peer = Peer::new(100);
    let cases: &[(&str, &str, bool, &[&str], command::Source)] = &[
        (
            "topic://news",
            "sub",
            true,
            &[],
            named("client.sub", "news", true, false),
        ),
        (
            "news.>",
            "sub|2",
            true,
            &["shared"],
            named("client.sub", "news.#", true, true),
        ),
        (
            "news",
            "sub|volatile3",
            false,
            &["topic", "shared"],
            named("client.sub:shared-volatile", "news", false, true),
        ),
        (
            "news",
            "sub|global",
            true,
            &["topic", "shared", "global"],
            named("sub:global", "news", true, true),
        ),
        (
            "queue://jobs",
            "jobs",
            true,
            &[],
            command::Source::Anycast(address("jobs")),
        ),
        (
            "jobs",
            "plain",
            true,
            &[],
            command::Source::UntypedSubscription(NamedSubscription {
                queue: queue("client.plain"),
                filter: filter("jobs"),
                durable: true,
                shared: false,
            }),
        ),
    ];
    for (handle, (text, link, durable, capabilities, expected)) in (0..).zip(cases) {
        let capabilities = encoded(capabilities);
        let source = Source {
            address: Some(text),
            durability: if *durable {
                Durability::UnsettledState
            } else {
                Durability::None
            },
            capabilities: symbols(&capabilities),
            ..Source::default()
        };
        let asked = consume(&mut peer, Peer::attach(handle, link, source));
        assert_eq!(asked.source, *expected, "{text} {link}");
    }
}

fn filters() -> Vec<u8> {
    let (mut items, mut map) = (Vec::new(), Vec::new());
    let mut described = |name, code, value: &[u8]| {
        put_symbol(&mut items, name);
        let descriptor = Descriptor::Code(code);
        let encoded = value;
        put_value(
            &mut items,
            &Value::Described(Described {
                descriptor,
                encoded,
            }),
        );
    };
    described("no-local", 0x0000_468C_0000_0003, b"\x45");
    described("selector", 0x0000_468C_0000_0004, b"\xa1\x05a = 1");
    put_map(&mut map, 4, &items);
    map
}

fn map(encoded: &[u8]) -> Map<'_> {
    match Value::decode(encoded) {
        Ok(Value::Map(map)) => map,
        other => panic!("{other:?}"),
    }
}

/// Mutants: the peer's source sent back; the selector among the filters in effect.
#[test]
fn r35_r79_r85_the_answer_says_what_was_made_of_the_source() {
    let mut peer = Peer::new(100);
    let (filters, asked) = (filters(), encoded(&["topic", "shared", "unknown"]));
    let (desired, mut properties, mut items) = (encoded(&["SHARED-SUBS", "x"]), vec![], vec![]);
    put_symbol(&mut items, "priority");
    put_value(&mut items, &Value::Byte(-7));
    put_map(&mut properties, 2, &items);
    let source = Source {
        address: Some("news"),
        durability: Durability::UnsettledState,
        expiry_policy: ExpiryPolicy::Never,
        timeout_s: 5,
        distribution_mode: Some(DistributionMode::Copy),
        filter: Some(map(&filters)),
        capabilities: symbols(&asked),
        ..Source::default()
    };
    for (handle, name, shared) in [(0, "one", true), (1, "two", false)] {
        let just_topic = encoded(&["topic", "unknown"]);
        let source = Source {
            capabilities: if shared {
                source.capabilities
            } else {
                symbols(&just_topic)
            },
            ..source
        };
        let made = consume(
            &mut peer,
            Attach {
                desired_capabilities: symbols(&desired),
                properties: Some(map(&properties)),
                ..Peer::attach(handle, name, source)
            },
        );
        assert_eq!(made.options.priority, -7, "r45");
        assert!(!made.options.browse, "r78: a subscription is a copy");
        assert_eq!(made.options.no_local, !shared, "r81");
        peer.answer(made.token, Answer::Consuming);
        peer.hear();
        let heard = peer.attaches.pop_back().unwrap();
        let Ok((Performative::Attach(answer), _)) = Performative::decode(&heard) else {
            panic!("{heard:?}");
        };
        assert_eq!(answer.initial_delivery_count, Some(0), "r36");
        assert_eq!(
            answer.offered_capabilities.iter().collect::<Vec<_>>(),
            ["SHARED-SUBS"]
        );
        assert_eq!(answer.properties, None);
        let told = answer.source.unwrap();
        assert_eq!(told.address, Some("news"));
        assert_eq!(told.durability, Durability::Configuration);
        assert_eq!(
            (told.expiry_policy, told.timeout_s),
            (ExpiryPolicy::Never, 0)
        );
        assert_eq!(told.default_outcome, Some(Said::Released));
        assert_eq!(told.outcomes.iter().count(), 4);
        let effective: Vec<_> = told.capabilities.iter().collect();
        if shared {
            assert_eq!(effective, ["topic", "shared"]);
            assert_eq!(told.filter, None);
        } else {
            assert_eq!(effective, ["topic"]);
            let filters = told.filter.unwrap();
            assert_eq!(filters.len(), 1);
            assert!(filters.find("no-local").unwrap().is_some());
        }
    }
}

/// Mutant: copy on a queue takes the messages.
#[test]
fn r78_copies_of_a_queue_are_for_browsers() {
    let mut peer = Peer::new(100);
    let source = Source {
        address: Some("queue://a"),
        distribution_mode: Some(DistributionMode::Copy),
        ..Source::default()
    };
    assert!(
        consume(&mut peer, Peer::attach(0, "browser", source))
            .options
            .browse
    );
}

/// Mutant: the link stays when the broker refuses.
#[test]
fn r34_a_refusal_is_an_attach_without_source_and_a_detach() {
    let mut peer = Peer::new(100);
    let source = Source {
        address: Some("queue://a"),
        ..Source::default()
    };
    let asked = consume(&mut peer, Peer::attach(0, "l", source));
    peer.answer(asked.token, Answer::Refused(Refusal::NoDestination));
    let gone = |condition: &str| {
        [
            Heard::Attached(0, None),
            Heard::Detached(0, Some(condition.into())),
        ]
    };
    assert_eq!(peer.hear(), gone("amqp:not-found"));
    assert!(peer.ask().is_empty());
    let detach = Detach {
        handle: 0,
        closed: true,
        error: None,
    };
    peer.say(Performative::Detach(detach));
    for (address, condition) in [
        (Some("a::b::c"), "amqp:invalid-field"),
        (None, "amqp:invalid-field"),
    ] {
        let source = Source {
            address,
            ..Source::default()
        };
        peer.say(Performative::Attach(Box::new(Peer::attach(0, "l", source))));
        assert_eq!(peer.hear(), gone(condition));
        assert!(peer.ask().is_empty());
        peer.say(Performative::Detach(detach));
    }
}

/// Mutants: the node is left behind; a lifetime that is not kept is promised.
#[test]
fn r75_a_dynamic_node_is_named_and_goes_with_its_link() {
    let mut peer = Peer::new(100);
    let topic = encoded(&["temporary-topic"]);
    let source = Source {
        dynamic: true,
        capabilities: symbols(&topic),
        ..Source::default()
    };
    peer.say(Performative::Attach(Box::new(Peer::attach(
        0, "tmp", source,
    ))));
    let asked = peer.ask();
    let (made, consume) = match asked.as_slice() {
        [
            Command::CreateTemporary { address, .. },
            Command::Consume(consume),
        ] => (address, consume),
        other => panic!("{other:?}"),
    };
    assert_eq!(consume.source, command::Source::Multicast(made.into()));
    peer.answer(consume.token, Answer::Consuming);
    peer.hear();
    let heard = peer.attaches.pop_back().unwrap();
    let Ok((Performative::Attach(answer), _)) = Performative::decode(&heard) else {
        panic!("{heard:?}");
    };
    let told = answer.source.unwrap();
    assert_eq!(told.address, Some(made.render(Dialect::Amq).as_str()));
    assert!(told.dynamic);
    let lifetime = Lifetime::of(told.dynamic_node_properties.as_ref());
    assert_eq!(lifetime, Some(Lifetime::LinkClosed));
    assert!(told.capabilities.contains("temporary-topic"));
    let detach = Detach {
        handle: 0,
        closed: true,
        error: None,
    };
    peer.say(Performative::Detach(detach));
    let asked = peer.ask();
    assert!(
        matches!(&asked[..], [Command::Cancel { .. }, Command::DeleteTemporary { address, .. }] if address == made),
        "{asked:?}"
    );

    let (mut items, mut properties) = (Vec::new(), Vec::new());
    put_symbol(&mut items, "lifetime-policy");
    Lifetime::NoMessages.put(&mut items);
    put_map(&mut properties, 2, &items);
    let source = Source {
        dynamic_node_properties: Some(map(&properties)),
        ..source
    };
    peer.hear();
    peer.say(Performative::Attach(Box::new(Peer::attach(
        1, "t2", source,
    ))));
    let heard = peer.hear();
    let refused = Heard::Detached(0, Some("amqp:not-implemented".into()));
    assert_eq!(heard.last(), Some(&refused));
}

fn look_up(peer: &mut Peer, attach: Attach<'_>) -> (QueueName, ternmq_core::ids::Token) {
    peer.say(Performative::Attach(Box::new(Attach {
        source: None,
        ..attach
    })));
    match peer.ask().pop() {
        Some(Command::LookUp { queue, token }) => (queue, token),
        other => panic!("{other:?}"),
    }
}

/// Mutants: credit that came meanwhile is lost; the subscription outlives its end; `hold_close` taken
/// out of `consuming`.
#[test]
fn r84_a_link_without_source_finds_its_subscription_and_can_end_it() {
    let mut peer = Peer::new(100);
    let attach = Peer::attach(0, "sub|global", Source::default());
    let global = encoded(&["shared", "global"]);
    let (named, token) = look_up(
        &mut peer,
        Attach {
            desired_capabilities: symbols(&global),
            ..attach
        },
    );
    assert_eq!(named, queue("sub:global"));
    peer.credit(0, 5, false);
    peer.ask();
    let source = NamedSubscription {
        queue: named.clone(),
        filter: filter("news.#"),
        durable: true,
        shared: true,
    };
    let found = Answer::Found {
        subscription: source.clone(),
        no_local: true,
    };
    peer.answer(Some(token), found);
    let consume = peer.consume();
    assert_eq!(consume.source, command::Source::Subscription(source));
    assert_eq!(consume.options.until, 6);
    assert!(consume.options.no_local, "else it would be made anew");
    peer.answer(consume.token, Answer::Consuming);
    assert_eq!(peer.hear(), [Heard::Attached(0, Some("news.>".into()))]);
    let detach = Detach {
        handle: 0,
        closed: true,
        error: None,
    };
    peer.say(Performative::Detach(detach));
    let asked = peer.ask();
    let [Command::Cancel { .. }, Command::Unsubscribe { queue, token }] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(*queue, named);
    // The peer hears that it is gone when that is durable (law L1), or that it is not.
    assert!(peer.hear().is_empty(), "too early");
    let condition = "amqp:resource-locked".to_owned();
    peer.answer(*token, Answer::Refused(Refusal::InUse));
    assert_eq!(peer.hear(), [Heard::Detached(0, Some(condition))]);
}

/// Mutant: the link is attached all the same.
#[test]
fn r84_a_link_without_source_or_subscription_is_refused() {
    let mut peer = Peer::new(100);
    let (_, token) = look_up(&mut peer, Peer::attach(0, "sub", Source::default()));
    peer.answer(Some(token), Answer::Refused(Refusal::NoDestination));
    assert_eq!(
        peer.hear(),
        [
            Heard::Attached(0, None),
            Heard::Detached(0, Some("amqp:not-found".into()))
        ]
    );
}

/// Mutant: the subscription is gone with its first link.
#[test]
fn r42_a_suspended_link_keeps_its_subscription() {
    let mut peer = Peer::new(100);
    let source = Source {
        address: Some("topic://news"),
        durability: Durability::Configuration,
        ..Source::default()
    };
    peer.attached(Peer::attach(0, "sub", source));
    let detach = Detach {
        handle: 0,
        closed: false,
        error: None,
    };
    peer.say(Performative::Detach(detach));
    assert!(matches!(peer.ask()[..], [Command::Cancel { .. }]));
    // So does one whose attach is answered late.
    peer.say(Performative::Attach(Box::new(Peer::attach(
        0, "sub", source,
    ))));
    let consume = peer.consume();
    peer.say(Performative::Detach(detach));
    assert!(matches!(peer.ask()[..], [Command::Cancel { .. }]));
    peer.hear();
    peer.answer(consume.token, Answer::Consuming);
    assert_eq!(peer.hear(), []);
}
