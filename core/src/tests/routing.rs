//! Who sees what: the table of design 5, cell by cell.

use std::fmt::Write;

use crate::address::{Address, QueueName};
use crate::command::{
    BindOptions, BindRequest, BindTarget, Command, Publish, QueueSpec, Retain, RoutingType,
};
use crate::command::{RetainedReplay, SendMode, Source};
use crate::effect::{Answer, Effect};
use crate::error::Refusal;
use crate::ids::ConnectionId;
use crate::settings::AddressRule;
use crate::testing::{
    SENDER, Shell, address, answers, bodies, clean, conn, consume, durable, filter, queue_name,
    refusal, transient,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    None,
    Anycast,
    Multicast,
    Both,
}

const STATES: [State; 4] = [State::None, State::Anycast, State::Multicast, State::Both];
const MODES: [SendMode; 4] = [
    SendMode::Publish,
    SendMode::Multicast,
    SendMode::Untyped,
    SendMode::Anycast,
];

/// A broker whose address `a` is in a state; one consumer sees each side of it, one consumes `#`.
fn shell(state: State, rule: fn(&mut AddressRule)) -> Shell {
    let mut shell = Shell::ruled("a", rule);
    let wildcard = Source::Multicast(filter("#"));
    shell.run(conn(3), vec![consume(1, wildcard, 100, None)]);
    let spec = |routing, name| QueueSpec {
        queue: queue_name(name),
        address: address("a"),
        routing,
        durable: true,
    };
    if matches!(state, State::Anycast | State::Both) {
        let spec = spec(RoutingType::Anycast, "a");
        shell.run(ConnectionId::BROKER, vec![Command::DeclareQueue(spec)]);
        shell.consume(conn(1), 1, "a", 100);
    }
    if matches!(state, State::Multicast | State::Both) {
        let declare = Command::DeclareAddress {
            address: address("a"),
            anycast: false,
            multicast: true,
        };
        shell.run(ConnectionId::BROKER, vec![declare]);
        let source = Source::Multicast(filter("a"));
        shell.run(conn(2), vec![consume(1, source, 100, None)]);
    }
    shell
}

/// Who got it: q the queue, s the subscription, w the wildcard, + a queue was made.
fn cell(shell: &mut Shell, mode: SendMode) -> String {
    let before = shell.broker.queues.len();
    let (_, answer, effects) = shell.publish(SENDER, mode, transient("a", &["x"]));
    if let Answer::Refused(why) = answer {
        return format!("{why:?}");
    }
    let mut seen = crate::testing::seen(&effects);
    seen.sort_by_key(|seen| seen.connection);
    let mut text: String = seen
        .iter()
        .map(|seen| ["q", "s", "w"][seen.connection as usize - 1])
        .collect();
    if shell.broker.queues.len() > before {
        text.push('+');
    }
    text
}

fn table(rule: fn(&mut AddressRule)) -> String {
    let mut table = String::new();
    for mode in MODES {
        write!(table, "{mode:?}:").unwrap();
        for state in STATES {
            let cell = cell(&mut shell(state, rule), mode);
            write!(table, " {cell}").unwrap();
        }
        table.push('\n');
    }
    table
}

// Mutant: `SendMode::Multicast if anycast && !multicast` answered with `Ok((false, true))`.
#[test]
#[expect(clippy::print_stdout, reason = "the table is the point")]
fn sends_reach_whom_the_table_of_design_5_names() {
    let found = table(|_| {});
    println!("         no address, anycast, multicast, both\n{found}");
    let expected = "\
        Publish: w qw sw qsw\n\
        Multicast: w WrongRoutingType sw sw\n\
        Untyped: + q sw qsw\n\
        Anycast: + q + q\n";
    assert_eq!(found, expected);
}

#[test]
fn sends_make_nothing_where_that_is_not_allowed() {
    let found = table(|rule| {
        rule.auto_create_queues = Some(false);
        rule.auto_create_addresses = Some(false);
    });
    let expected = "\
        Publish: w qw sw qsw\n\
        Multicast: w WrongRoutingType sw sw\n\
        Untyped: NoDestination q sw qsw\n\
        Anycast: NoDestination q WrongRoutingType q\n";
    assert_eq!(found, expected);
}

/// A queue needs leave to be made, and its address too unless it offers anycast already.
// Mutants: `settings.auto_create_queues &&` or `offered ||` taken out of `auto_create`.
#[test]
fn queues_and_addresses_are_made_only_where_the_settings_allow_it() {
    let table = [
        (
            false,
            true,
            [
                Some(Refusal::WrongRoutingType),
                Some(Refusal::NoDestination),
            ],
        ),
        (true, false, [None, Some(Refusal::NoDestination)]),
        (true, true, [None, None]),
    ];
    for (queues, addresses, expected) in table {
        let mut shell = Shell::ruled("#", |rule| {
            rule.auto_create_queues = Some(queues);
            rule.auto_create_addresses = Some(addresses);
        });
        let declare = Command::DeclareAddress {
            address: address("declared"),
            anycast: true,
            multicast: false,
        };
        shell.run(ConnectionId::BROKER, vec![declare]);
        let sent = ["declared", "new"].map(|to| {
            let (_, answer, _) = shell.publish(SENDER, SendMode::Anycast, durable(to, &["x"]));
            match answer {
                Answer::Refused(why) => Some(why),
                _ => None,
            }
        });
        assert_eq!(sent, expected, "queues {queues}, addresses {addresses}");
    }
}

/// What a consumer of a source is given when everything is sent to its address afterwards.
fn receives(state: State, source: Source, rule: fn(&mut AddressRule)) -> String {
    let mut shell = shell(state, rule);
    let queues = shell.broker.queues.len();
    let token = shell.token();
    let effects = shell.run(conn(9), vec![consume(1, source, 100, token)]);
    if let Some(why) = refusal(&effects) {
        return format!("{why:?}");
    }
    let made = if shell.broker.queues.len() > queues {
        "+"
    } else {
        ""
    };
    let mut got = String::new();
    for (mode, mark) in [(SendMode::Anycast, 'q'), (SendMode::Publish, 's')] {
        shell.close(conn(1), &[]);
        let (.., effects) = shell.publish(SENDER, mode, transient("a", &["x"]));
        let seen = crate::testing::seen(&effects);
        got.extend(
            seen.iter()
                .filter(|seen| seen.connection == 9)
                .map(|_| mark),
        );
    }
    format!("{got}{made}")
}

fn receiving(source: &Source, rule: fn(&mut AddressRule)) -> Vec<String> {
    let row = STATES.map(|state| receives(state, source.clone(), rule));
    row.to_vec()
}

// Mutant: `takes_anycast` answers `false` for an address without state.
#[test]
fn consumers_take_from_the_side_they_name_or_the_one_there_is() {
    let anycast = Source::Anycast(address("a"));
    // An MQTT publish goes to one queue too, so the queue's consumer sees both sends.
    assert_eq!(receiving(&anycast, |_| {}), ["qs+", "qs", "qs+", "qs"]);
    let multicast = Source::Multicast(filter("a"));
    assert_eq!(receiving(&multicast, |_| {}), ["s+"; 4]);
    let untyped = Source::Untyped(filter("a"));
    assert_eq!(receiving(&untyped, |_| {}), ["qs+", "qs", "s+", "qs"]);
    let closed = |rule: &mut AddressRule| {
        rule.auto_create_queues = Some(false);
        rule.auto_create_addresses = Some(false);
    };
    let (none, wrong) = ("NoDestination", "WrongRoutingType");
    assert_eq!(receiving(&anycast, closed), [none, "qs", wrong, "qs"]);
    assert_eq!(receiving(&multicast, closed), [none, wrong, "s+", "s+"]);
    assert_eq!(receiving(&untyped, closed), [none, "qs", "s+", "qs"]);
}

// Mutant: the branch "declared, but nobody has used it yet" taken out of `sides`.
#[test]
fn declared_anycast_address_without_queue_gets_one_at_the_first_send() {
    for mode in [SendMode::Publish, SendMode::Untyped, SendMode::Anycast] {
        let mut shell = Shell::new();
        let declare = Command::DeclareAddress {
            address: address("a"),
            anycast: true,
            multicast: true,
        };
        shell.run(ConnectionId::BROKER, vec![declare]);
        let (_, answer, _) = shell.publish(SENDER, mode, durable("a", &["x"]));
        assert!(
            matches!(answer, Answer::Published { routed: 1 }),
            "{mode:?}"
        );
        let effects = shell.consume(conn(1), 1, "a", 10);
        assert_eq!(bodies(&effects), ["x"], "{mode:?}");
    }
}

// Mutant: `Ok((true, false))` for typed anycast replaced by `Ok((true, true))` in `sides`.
#[test]
fn wildcard_subscription_never_sees_typed_anycast_sends_nor_dead_letters() {
    let mut shell = shell(State::Anycast, |_| {});
    let (.., effects) = shell.publish(SENDER, SendMode::Anycast, durable("a", &["x"]));
    let seen = crate::testing::seen(&effects);
    assert!(seen.iter().all(|seen| seen.connection == 1));
    let outcome = crate::command::Outcome::Rejected;
    let effects = shell.settle(conn(1), 1, 1, 1, outcome);
    assert!(bodies(&effects).is_empty());
}

#[test]
fn first_level_wildcard_does_not_match_dollar_addresses() {
    let mut shell = shell(State::None, |_| {});
    let (_, answer, _) = shell.publish(SENDER, SendMode::Publish, transient("$SYS.x", &["x"]));
    assert!(matches!(answer, Answer::Published { routed: 0 }));
}

fn to_queue(queue: &str) -> Command {
    Command::Publish(Publish {
        run: durable("a", &["x"]).into(),
        mode: SendMode::Anycast,
        queue: Some(queue_name(queue)),
        retain: Retain::No,
        receipt: None,
        token: Some(crate::ids::Token(1)),
    })
}

// Mutant: `queue.address == *address &&` taken out of `named_queue`.
#[test]
fn fully_qualified_name_reaches_one_queue_of_its_address() {
    let mut shell = Shell::new();
    for (name, at) in [("one", "a"), ("two", "a"), ("three", "b")] {
        let spec = QueueSpec {
            queue: queue_name(name),
            address: address(at),
            routing: RoutingType::Multicast,
            durable: true,
        };
        shell.run(ConnectionId::BROKER, vec![Command::DeclareQueue(spec)]);
    }
    let effects = shell.run(SENDER, vec![to_queue("two")]);
    assert!(matches!(
        answers(&effects)[..],
        [Answer::Published { routed: 1 }]
    ));
    for name in ["three", "four"] {
        let effects = shell.run(SENDER, vec![to_queue(name)]);
        assert_eq!(refusal(&effects), Some(Refusal::NoDestination));
    }
    let from = |name: &str| Source::Queue {
        address: address("a"),
        queue: queue_name(name),
    };
    let effects = shell.run(conn(1), vec![consume(1, from("one"), 10, None)]);
    assert!(bodies(&effects).is_empty());
    let effects = shell.run(conn(1), vec![consume(2, from("two"), 10, None)]);
    assert_eq!(bodies(&effects), ["x"]);
}

/// Every way to name a queue, by a stranger and by its owner, of sessions and subscriptions.
// Mutant: `&& queue.is_addressable()` taken out of `named_queue`.
#[test]
fn queues_of_sessions_and_subscriptions_are_found_by_nobody() {
    let mut shell = Shell::new();
    shell.attach(conn(1), "s");
    shell.bind(conn(1), "t", 1);
    let own = Source::Multicast(filter("t"));
    shell.run(conn(3), vec![consume(1, own, 10, None)]);
    let queues = shell.broker.queues.values();
    let names: Vec<_> = queues
        .map(|queue| (queue.address.clone(), queue.name.clone()))
        .collect();
    assert_eq!(names.len(), 2);
    for (address, queue) in names {
        for who in [conn(1), conn(2)] {
            shell.attach(who, if who == conn(1) { "s" } else { "other" });
            let effects = naming(&mut shell, who, &address, &queue);
            let refused = |effects: &Vec<_>| refusal(effects) == Some(Refusal::NoDestination);
            assert!(effects.iter().take(3).all(refused), "{effects:?}");
            let bound = answers(&effects[3]);
            assert!(
                matches!(bound[..], [Answer::Bound(one)] if one[..] == [Err(Refusal::NoDestination)]),
                "{bound:?}"
            );
        }
    }
    assert_eq!(shell.broker.counts().messages, 0);
}

/// Consumes from a queue, receives from it, sends to it and binds to it.
fn naming(
    shell: &mut Shell,
    who: ConnectionId,
    address: &Address,
    queue: &QueueName,
) -> [Vec<Effect>; 4] {
    let source = || Source::Queue {
        address: address.clone(),
        queue: queue.clone(),
    };
    let token = shell.token();
    let consume = consume(7, source(), 10, token);
    let mut receive = shell.receive_command("q", 1, 0, 1_000);
    if let Command::Receive(receive) = &mut receive {
        receive.source = source();
    }
    let send = Command::Publish(Publish {
        run: durable(address.as_str(), &["forged"]).into(),
        mode: SendMode::Anycast,
        queue: Some(queue.clone()),
        retain: Retain::No,
        receipt: None,
        token: shell.token(),
    });
    let target = BindTarget::Queue {
        address: address.clone(),
        queue: queue.clone(),
    };
    let bind = Command::Bind {
        requests: vec![BindRequest {
            target,
            options: BindOptions {
                qos: 1,
                queued: true,
                ..BindOptions::default()
            },
            retained: RetainedReplay::Never,
        }],
        token: shell.token(),
    };
    [consume, receive, send, bind].map(|command| shell.run(who, vec![command]))
}

// Mutant: `state.turn = turn + 1` replaced by `state.turn = turn` in `next_anycast`.
#[test]
fn anycast_queues_of_one_address_take_turns() {
    let mut shell = Shell::new();
    for name in ["one", "two"] {
        let spec = QueueSpec {
            queue: queue_name(name),
            address: address("a"),
            routing: RoutingType::Anycast,
            durable: true,
        };
        shell.run(ConnectionId::BROKER, vec![Command::DeclareQueue(spec)]);
    }
    for body in ["1", "2", "3", "4"] {
        shell.send("a", &[body]);
    }
    let live: Vec<u64> = shell
        .broker
        .queues
        .values()
        .map(|q| q.index.live())
        .collect();
    assert_eq!(live, [2, 2]);
}

// Mutant: `self.routes.change()` taken out of `put_subscription`.
#[test]
fn l24_remembered_route_ends_with_every_change_of_bindings() {
    let mut shell = Shell::new();
    let routed = |shell: &mut Shell| match shell
        .publish(SENDER, SendMode::Publish, transient("t", &["x"]))
        .1
    {
        Answer::Published { routed } => routed,
        other => unreachable!("{other:?}"),
    };
    assert_eq!(routed(&mut shell), 0);
    shell.run(
        conn(1),
        vec![consume(1, Source::Multicast(filter("t")), 10, None)],
    );
    assert_eq!(routed(&mut shell), 1);
    shell.run(conn(2), vec![Command::Attach(clean("s", None))]);
    shell.bind(conn(2), "t", 0);
    assert_eq!(routed(&mut shell), 2);
    shell.close(conn(2), &[]);
    assert_eq!(routed(&mut shell), 1);
    shell.close(conn(1), &[]);
    assert_eq!(routed(&mut shell), 0);
}

#[test]
fn l24_route_follows_a_session_to_its_new_connection() {
    let mut shell = Shell::new();
    for slot in 1..=2 {
        let mut attach = clean("s", None);
        (attach.clean, attach.expiry_ms) = (false, Some(1_000));
        shell.run(conn(slot), vec![Command::Attach(attach)]);
        if slot == 1 {
            shell.bind(conn(1), "t", 0);
        }
        let (.., effects) = shell.publish(SENDER, SendMode::Publish, transient("t", &["x"]));
        let to: Vec<u32> = crate::testing::seen(&effects)
            .iter()
            .map(|s| s.connection)
            .collect();
        assert_eq!(to, [slot]);
    }
}
