//! Queues that come and go, temporary ones, and leases.

use crate::command::{
    Command, LeaseAction, LeaseId, Outcome, QueueSpec, RoutingType, SendMode, Source,
};
use crate::effect::{Answer, Effect};
use crate::error::Refusal;
use crate::ids::{ConnectionId, Token};
use crate::settings::DeliveryAttempts;
use crate::testing::{
    SENDER, Shell, address, answers, bodies, check, conn, consume, durable, filter, leased,
    publish, queue_name, refusal, seen, transient,
};

fn queues(shell: &Shell) -> u64 {
    shell.broker.counts().queues
}

// Mutant: `unused_since_ms` never set again in `reap_if_unused`.
#[test]
fn auto_created_queue_goes_when_it_was_unused_for_5_s() {
    let mut shell = Shell::new();
    shell.send("q", &["a"]);
    shell.sleep(60_000);
    assert_eq!(queues(&shell), 1, "a message is in it");
    shell.consume(conn(1), 1, "q", 1);
    shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    shell.sleep(60_000);
    assert_eq!(queues(&shell), 1, "a consumer is there");
    shell.close(conn(1), &[]);
    shell.sleep(4_000);
    let poll = shell.receive_command("q", 1, 0, 1_000);
    shell.run(conn(2), vec![poll]);
    shell.sleep(4_999);
    assert_eq!(queues(&shell), 1, "polled 4,999 ms ago");
    shell.sleep(1);
    let counts = shell.broker.counts();
    assert_eq!((counts.queues, counts.addresses), (0, 0));
    assert_eq!(shell.broker.deadlines.len(), 0);
    shell.restart();
    assert_eq!(queues(&shell), 0);
}

#[test]
fn recovered_queue_that_nobody_uses_goes_too() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 1);
    shell.restart();
    assert_eq!(queues(&shell), 1);
    shell.sleep(5_000);
    assert_eq!(queues(&shell), 0);
}

// Mutant: `self.auto_created &&` taken out of `may_be_reaped`.
#[test]
fn queue_that_the_configuration_declares_stays() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 1);
    shell.close(conn(1), &[]);
    let spec = QueueSpec {
        queue: queue_name("q"),
        address: address("q"),
        routing: RoutingType::Anycast,
        durable: true,
    };
    shell.run(ConnectionId::BROKER, vec![Command::DeclareQueue(spec)]);
    shell.sleep(100_000);
    assert_eq!(queues(&shell), 1);
}

fn temporary(name: &str, routing: RoutingType) -> Command {
    Command::CreateTemporary {
        address: address(name),
        routing,
        token: None,
    }
}

// Mutant: `is_some_and(|owner| owner != consumer)` replaced by `is_none()` in `anycast_to_consume`.
#[test]
fn temporary_queue_is_its_owners_and_goes_with_it() {
    let mut shell = Shell::new();
    shell.run(conn(1), vec![temporary("$temp.1.x", RoutingType::Anycast)]);
    assert_eq!(
        refusal(&shell.consume(conn(2), 1, "$temp.1.x", 1)),
        Some(Refusal::Forbidden)
    );
    let named = Source::Queue {
        address: address("$temp.1.x"),
        queue: queue_name("$temp.1.x"),
    };
    let token = shell.token();
    let effects = shell.run(conn(2), vec![consume(1, named, 1, token)]);
    assert_eq!(refusal(&effects), Some(Refusal::Forbidden));
    shell.consume(conn(1), 1, "$temp.1.x", 10);
    assert_eq!(bodies(&shell.send("$temp.1.x", &["a", "b"])), ["a", "b"]);
    shell.close(conn(1), &[]);
    let counts = shell.broker.counts();
    assert_eq!(
        (counts.queues, counts.addresses, counts.messages),
        (0, 0, 0)
    );
    let (_, answer, _) = shell.publish(SENDER, SendMode::Anycast, durable("$temp.1.x", &["late"]));
    assert!(matches!(answer, Answer::Refused(Refusal::NoDestination)));
    check(&shell.broker);
}

// Mutant: the check of `is_temporary` taken out of `sides`.
#[test]
fn temporary_topic_is_its_owners_and_goes_with_it() {
    let mut shell = Shell::new();
    shell.run(
        conn(1),
        vec![temporary("$temp.1.t", RoutingType::Multicast)],
    );
    let source = Source::Multicast(filter("$temp.1.t"));
    let token = shell.token();
    let effects = shell.run(conn(2), vec![consume(1, source.clone(), 1, token)]);
    assert_eq!(refusal(&effects), Some(Refusal::Forbidden));
    shell.run(conn(1), vec![consume(1, source.clone(), 10, None)]);
    let (.., effects) = shell.publish(SENDER, SendMode::Multicast, transient("$temp.1.t", &["a"]));
    assert_eq!(bodies(&effects), ["a"]);
    shell.close(conn(1), &[]);
    let (_, answer, _) = shell.publish(SENDER, SendMode::Multicast, transient("$temp.1.t", &["b"]));
    assert!(matches!(answer, Answer::Refused(Refusal::NoDestination)));
    let token = shell.token();
    let effects = shell.run(conn(1), vec![consume(1, source, 1, token)]);
    assert!(effects.is_empty(), "closed");
    assert_eq!(shell.broker.counts().addresses, 0);
}

#[test]
fn consumers_of_a_queue_that_goes_are_told() {
    let mut shell = Shell::new();
    shell.run(conn(1), vec![temporary("$temp.1.x", RoutingType::Anycast)]);
    let receive = Command::Receive(crate::command::Receive {
        source: Source::Anycast(address("$temp.1.x")),
        max_messages: 1,
        max_bytes: 1,
        wait_ms: 1_000,
        lease_ms: 1,
        token: Token(5),
    });
    shell.run(conn(1), vec![receive]);
    let effects = shell.close(conn(1), &[]);
    assert!(answers(&effects).is_empty(), "nobody is there to hear it");
    assert_eq!(shell.broker.deadlines.len(), 0);
}

/// A shell whose queue `q` has messages a, b, c, all leased for a second in one receive.
fn three_leases() -> (Shell, Vec<LeaseId>) {
    let mut shell = Shell::ruled("q", |rule| {
        let once = std::num::NonZeroU32::new(2).unwrap();
        rule.max_delivery_attempts = Some(DeliveryAttempts::AtMost(once));
    });
    shell.send("q", &["a", "b", "c"]);
    let receive = shell.receive_command("q", 3, 0, 1_000);
    let effects = shell.run(conn(1), vec![receive]);
    let leases = leased(&effects).iter().map(|one| one.lease).collect();
    (shell, leases)
}

fn lease(lease: LeaseId, action: LeaseAction) -> Vec<Command> {
    let token = Some(Token(7));
    vec![Command::Lease {
        lease,
        action,
        token,
    }]
}

// Mutant: `held.epoch == lease.epoch` replaced by `true`.
#[test]
fn lease_settles_once() {
    let (mut shell, leases) = three_leases();
    let accepted = LeaseAction::Settle(Outcome::Accepted);
    let effects = shell.run(conn(1), lease(leases[0], accepted));
    assert!(matches!(answers(&effects)[..], [Answer::Settled]));
    let effects = shell.run(conn(1), lease(leases[0], accepted));
    assert_eq!(refusal(&effects), Some(Refusal::LeaseGone));
    let effects = shell.run(conn(1), lease(leases[1], LeaseAction::Return));
    assert!(matches!(answers(&effects)[..], [Answer::Settled]));
    let receive = shell.receive_command("q", 3, 0, 1_000);
    let effects = shell.run(conn(1), vec![receive]);
    assert_eq!(
        leased(&effects)[0].delivery.attempts,
        0,
        "returned, uncounted"
    );
    let effects = shell.run(conn(1), lease(leases[1], accepted));
    assert_eq!(
        refusal(&effects),
        Some(Refusal::LeaseGone),
        "of an earlier receive"
    );
    check(&shell.broker);
}

// Mutant: `queue.failed_receive != lease.receive` replaced by `true` in `lease_ended`.
#[test]
fn l11_expired_leases_are_attempts_and_only_the_oldest_fails() {
    let (mut shell, _) = three_leases();
    shell.sleep(1_000);
    let receive = shell.receive_command("q", 3, 0, 1_000);
    let effects = shell.run(conn(1), vec![receive]);
    let attempts: Vec<u32> = leased(&effects)
        .iter()
        .map(|l| l.delivery.attempts)
        .collect();
    assert_eq!(attempts, [1, 1, 1]);
    shell.sleep(1_000);
    // The oldest has failed twice, which is the most here.
    assert_eq!(shell.broker.counts().dead_lettered, 1);
    let effects = shell.consume(conn(2), 1, "q", 10);
    let left: Vec<_> = seen(&effects)
        .into_iter()
        .map(|s| (s.body, s.attempts))
        .collect();
    assert_eq!(left, [("b".to_owned(), 2), ("c".to_owned(), 2)]);
}

#[test]
fn extended_lease_ends_later() {
    let (mut shell, leases) = three_leases();
    shell.sleep(900);
    let effects = shell.run(
        conn(1),
        lease(leases[0], LeaseAction::Extend { lease_ms: 500 }),
    );
    assert!(matches!(
        answers(&effects)[..],
        [Answer::Extended { lease_ms: 500 }]
    ));
    shell.sleep(499);
    let accepted = LeaseAction::Settle(Outcome::Accepted);
    let effects = shell.run(conn(1), lease(leases[1], accepted));
    assert_eq!(refusal(&effects), Some(Refusal::LeaseGone));
    let effects = shell.run(conn(1), lease(leases[0], accepted));
    assert!(matches!(answers(&effects)[..], [Answer::Settled]));
    check(&shell.broker);
}

#[test]
fn lease_outlives_the_connection_that_took_it() {
    let (mut shell, leases) = three_leases();
    shell.close(conn(1), &[]);
    let accepted = LeaseAction::Settle(Outcome::Accepted);
    let effects = shell.run(conn(2), lease(leases[2], accepted));
    assert!(matches!(answers(&effects)[..], [Answer::Settled]));
}

#[test]
fn waiting_receive_is_answered_by_a_message_or_by_its_time() {
    let mut shell = Shell::new();
    let receive = shell.receive_command("q", 5, 100, 1_000);
    assert!(shell.run(conn(1), vec![receive]).is_empty());
    let effects = shell.send("q", &["a", "b"]);
    assert_eq!(leased(&effects).len(), 2);
    let receive = shell.receive_command("q", 5, 100, 1_000);
    shell.run(conn(1), vec![receive]);
    assert!(shell.sleep(99).is_empty());
    let effects = shell.sleep(1);
    assert!(matches!(answers(&effects)[..], [Answer::Received(none)] if none.is_empty()));
    let receive = shell.receive_command("q", 5, 100, 1_000);
    let Command::Receive(waiting) = &receive else {
        unreachable!("a receive");
    };
    let token = waiting.token;
    shell.run(
        conn(1),
        vec![receive, Command::CancelReceive { receive: token }],
    );
    assert!(answers(&shell.send("q", &["c"])).is_empty(), "withdrawn");
    check(&shell.broker);
}

#[test]
fn receive_takes_no_more_bytes_than_it_asks_for_but_one_message() {
    let mut shell = Shell::new();
    shell.send("q", &["0123456789", "0123456789", "x"]);
    for expected in [1, 2] {
        let mut receive = shell.receive_command("q", 5, 0, 1_000);
        if let Command::Receive(receive) = &mut receive {
            receive.max_bytes = if expected == 1 { 5 } else { 11 };
        }
        let effects = shell.run(conn(1), vec![receive]);
        assert_eq!(leased(&effects).len(), expected);
    }
}

// Mutant: `queue.turn >= queue.ready.len()` replaced by `false` in `taker`.
#[test]
fn receives_and_consumers_share_a_queue() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 100);
    let receive = shell.receive_command("q", 1, 10_000, 1_000);
    shell.run(conn(2), vec![receive]);
    let commands = (0..3).map(|_| publish(SendMode::Anycast, durable("q", &["x"]), None));
    let effects = shell.run(SENDER, commands.collect());
    let delivered = |effect: &&Effect| matches!(effect, Effect::Deliver { .. });
    assert_eq!(effects.iter().filter(delivered).count(), 2);
    assert_eq!(leased(&effects).len(), 1);
}
