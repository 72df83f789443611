//! Sessions: taking over, resuming, ending (L12, L13), and what they hold.

use crate::command::{Attach, BindTarget, Close, Command, Outcome, SendMode};
use crate::effect::{Answer, Effect, EndReason};
use crate::error::Refusal;
use crate::ids::{ConnectionId, ConsumerKey};
use crate::record::{DELETE_SESSION, MSG, PUT_SESSION, RecordSink};
use crate::testing::{
    SENDER, Shell, answers, at_most_once, attach, bind_queue, bodies, check, clean, conn,
    delivered, durable, filter, publish, refusal, request, seen, transient,
};

/// A session with a subscription to `t`, attached by connection 1.
fn subscribed() -> Shell {
    let mut shell = Shell::new();
    shell.attach(conn(1), "s");
    shell.bind(conn(1), "t", 1);
    shell
}

fn send(shell: &mut Shell, body: &str) -> Vec<Effect> {
    let sent = shell.publish(SENDER, SendMode::Publish, durable("t", &[body]));
    sent.2
}

fn tags(effects: &[Effect]) -> Vec<(String, u64, bool)> {
    let seen = seen(effects).into_iter();
    seen.map(|seen| (seen.body, seen.tag, seen.duplicate))
        .collect()
}

// Mutant: `s.principal != attach.principal` replaced by `false`.
#[test]
fn l12_only_the_same_principal_takes_over() {
    let mut shell = subscribed();
    let mut other = attach("s", shell.token());
    other.principal = "somebody else".into();
    let effects = shell.run(conn(2), vec![Command::Attach(other)]);
    assert_eq!(refusal(&effects), Some(Refusal::Forbidden));
    let ended = |effect: &Effect| matches!(effect, Effect::End { .. });
    assert!(!effects.iter().any(ended));
    assert_eq!(bodies(&send(&mut shell, "a")), ["a"]);
}

// Mutant: `connection.ended = true` taken out of `take_over`.
#[test]
fn l12_takeover_ends_the_old_connection_and_drops_what_it_still_says() {
    let mut shell = subscribed();
    send(&mut shell, "a");
    let effects = shell.attach(conn(2), "s");
    let ends: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::End { connection, reason } => Some((connection.slot, *reason)),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [(1, EndReason::TakenOver)]);
    assert!(matches!(
        answers(&effects)[..],
        [Answer::Attached { present: true, .. }]
    ));
    assert_eq!(
        tags(&effects),
        [("a".to_owned(), 1, true)],
        "its client may have read it, although nobody has said so"
    );
    let published = shell.broker.counts().published;
    let late = vec![
        crate::testing::settle(0, 1, 1, Outcome::Accepted, shell.token()),
        publish(SendMode::Publish, durable("t", &["stale"]), shell.token()),
        publish(SendMode::Publish, transient("t", &["stale"]), shell.token()),
        publish(
            SendMode::Publish,
            at_most_once("t", &["read already"]),
            None,
        ),
    ];
    let effects = shell.run(conn(1), late);
    assert!(answers(&effects).is_empty());
    assert_eq!(bodies(&effects), ["read already"]);
    assert_eq!(shell.broker.counts().published, published + 1);
    assert_eq!(
        shell.broker.counts().messages,
        1,
        "not settled by the old connection"
    );
    shell.close(conn(1), &[]);
    assert_eq!(bodies(&send(&mut shell, "b")), ["b"], "the new one goes on");
}

// Mutant: `closed` never set in `close`.
#[test]
fn l12_command_of_a_closed_connection_is_dropped() {
    let mut shell = Shell::new();
    shell.send("q", &["a"]);
    shell.consume(conn(1), 1, "q", 10);
    shell.close(conn(1), &[]);
    assert!(shell.consume(conn(1), 1, "q", 10).is_empty());
    assert!(shell.broker.connection(conn(1)).is_none());
    let next = ConnectionId {
        generation: 2,
        ..conn(1)
    };
    assert_eq!(bodies(&shell.consume(next, 1, "q", 10)), ["a"]);
}

// Mutant: `delivery.duplicate = known > 0` replaced by `true`.
#[test]
fn resumed_session_gets_what_it_held_in_order_with_its_tags_and_dup_if_written() {
    let mut shell = subscribed();
    for body in ["a", "b", "c", "d"] {
        send(&mut shell, body);
    }
    shell.settle(conn(1), 0, 2, 1, Outcome::Accepted);
    shell.close(conn(1), &[(0, 3)]);
    send(&mut shell, "e");
    let effects = shell.attach(conn(2), "s");
    let again = [
        ("a", 1, true),
        ("c", 3, true),
        ("d", 4, false),
        ("e", 5, false),
    ];
    assert_eq!(
        tags(&effects),
        again.map(|(body, tag, dup)| (body.to_owned(), tag, dup))
    );
    check(&shell.broker);
}

#[test]
fn resumed_session_is_sent_as_much_as_the_room_takes_then_the_rest() {
    let mut options = crate::broker::BrokerOptions::default();
    options.limits.outbox_bytes = 3 * 33;
    let mut shell = Shell::with(options);
    shell.attach(conn(1), "s");
    shell.bind(conn(1), "t", 1);
    for body in ["a", "b", "c", "d", "e"] {
        send(&mut shell, body);
        shell.run(conn(1), vec![Command::Room(33)]);
    }
    shell.close(conn(1), &[]);
    assert_eq!(bodies(&shell.attach(conn(2), "s")), ["a", "b", "c"]);
    send(&mut shell, "f");
    let effects = shell.run(conn(2), vec![Command::Room(33)]);
    assert_eq!(bodies(&effects), ["d"]);
    let effects = shell.run(conn(2), vec![Command::Room(99)]);
    assert_eq!(
        bodies(&effects),
        ["e", "f"],
        "the backlog behind what is sent again"
    );
    check(&shell.broker);
}

#[test]
fn session_expires_after_its_time_unless_it_came_back() {
    let mut shell = subscribed();
    shell.close(conn(1), &[]);
    shell.sleep(3_599_999);
    let effects = shell.attach(conn(2), "s");
    assert!(matches!(
        answers(&effects)[..],
        [Answer::Attached { present: true, .. }]
    ));
    shell.sleep(10_000_000);
    shell.close(conn(2), &[]);
    shell.sleep(3_599_999);
    assert_eq!(shell.broker.counts().sessions, 1);
    send(&mut shell, "kept");
    shell.sleep(1);
    assert_eq!(shell.broker.counts().sessions, 0);
    assert_eq!(shell.broker.counts().messages, 0);
    assert_eq!(shell.log.count(DELETE_SESSION), 1);
    check(&shell.broker);
    shell.restart();
    assert_eq!(shell.broker.counts().sessions, 0);
}

// Mutant: `self.deadlines.cancel(deadline)` taken out of `join`.
#[test]
fn l26_deadlines_of_sessions_and_receives_do_not_pile_up() {
    let mut shell = subscribed();
    for generation in 1..100 {
        let id = ConnectionId {
            generation,
            ..conn(2)
        };
        shell.attach(id, "s");
        shell.close(id, &[]);
        let receive = shell.receive_command("q", 1, 60_000, 60_000);
        shell.run(conn(3), vec![receive]);
        let effects = shell.send("q", &["x"]);
        let lease = crate::testing::leased(&effects)[0].lease;
        let action = crate::command::LeaseAction::Settle(Outcome::Accepted);
        let token = None;
        shell.run(
            conn(3),
            vec![Command::Lease {
                lease,
                action,
                token,
            }],
        );
    }
    assert!(
        shell.broker.deadlines.len() <= 2,
        "{}",
        shell.broker.deadlines.len()
    );
}

#[test]
fn restart_counts_sessions_as_disconnected() {
    let mut shell = subscribed();
    send(&mut shell, "a");
    shell.restart();
    shell.sleep(3_599_999);
    assert_eq!(shell.broker.counts().sessions, 1);
    shell.sleep(1);
    assert_eq!(shell.broker.counts().sessions, 0);
}

#[test]
fn clean_start_discards_and_says_so() {
    let mut shell = subscribed();
    shell.close(conn(1), &[]);
    send(&mut shell, "a");
    let mut fresh = attach("s", shell.token());
    fresh.clean = true;
    let effects = shell.run(conn(2), vec![Command::Attach(fresh)]);
    assert!(matches!(
        answers(&effects)[..],
        [Answer::Attached { present: false, .. }]
    ));
    assert!(bodies(&effects).is_empty());
    assert!(bodies(&send(&mut shell, "b")).is_empty());
    check(&shell.broker);
}

#[test]
fn session_that_ends_with_its_connection_leaves_nothing() {
    let mut shell = Shell::new();
    shell.run(conn(1), vec![Command::Attach(clean("s", None))]);
    shell.bind(conn(1), "t", 1);
    send(&mut shell, "a");
    shell.close(conn(1), &[(0, 1)]);
    let counts = shell.broker.counts();
    let left = (
        counts.sessions,
        counts.messages,
        counts.queues,
        counts.addresses,
    );
    assert_eq!(left, (0, 0, 0, 0));
    assert!(shell.broker.trie.is_empty());
    assert!(shell.log.records.is_empty());
}

// Mutant: `next > state.tag_mark + 1` in `reserve_ids`: the first tag at the mark is used again.
#[test]
fn l13_tags_after_a_restart_start_above_the_mark() {
    for messages in [1_024, 1_025, 1_026, 3_000] {
        let mut shell = subscribed();
        for n in 0..messages {
            send(&mut shell, "a");
            let room = Command::Room(33);
            let settle = crate::testing::settle(0, n + 1, 1, Outcome::Accepted, None);
            shell.run(conn(1), vec![settle, room]);
        }
        let marks = shell.log.count(PUT_SESSION);
        assert!(marks <= 4, "{marks} records for {messages} deliveries");
        shell.restart();
        shell.attach(conn(2), "s");
        let effects = send(&mut shell, "b");
        let tag = delivered(&effects)[0].1.tag;
        assert!(tag > messages, "{tag} after {messages}");
    }
}

// Mutant: `self.open_lane(session, position)` taken out of `reserve_ids`.
#[test]
fn l13_no_tag_leaves_before_the_mark_above_it_is_written() {
    let mut shell = subscribed();
    shell.run(conn(1), vec![Command::Room(1 << 20)]);
    let mut marks = vec![shell.log.tail()];
    let mut seen = 0;
    for n in 0..1_100 {
        let before = shell.log.count(PUT_SESSION);
        let (.., effects) = shell.publish(SENDER, SendMode::Publish, transient("t", &["a"]));
        if shell.log.count(PUT_SESSION) > before {
            marks.push(shell.log.tail());
        }
        let after = delivered(&effects)[0].0;
        assert_eq!(after, if marks.len() > 1 { marks[1] } else { after });
        seen += usize::from(marks.len() > 1);
        let settle = crate::testing::settle(0, n + 1, 1, Outcome::Accepted, None);
        shell.run(conn(1), vec![settle, Command::Room(33)]);
    }
    assert!(marks.len() == 2 && seen > 50);
}

fn named(hold: bool) -> Shell {
    let mut shell = Shell::new();
    let session = Attach {
        hold,
        ..attach("s", None)
    };
    shell.run(conn(1), vec![Command::Attach(session)]);
    let requests = vec![bind_queue("q")];
    shell.run(
        conn(1),
        vec![Command::Bind {
            requests,
            token: None,
        }],
    );
    shell.send("q", &["a", "b"]);
    shell
}

// Mutant: `!hold ||` replaced by `hold ||` in `detach`.
#[test]
fn messages_of_a_named_queue_return_at_once_or_wait_for_the_session() {
    let mut shell = named(false);
    shell.close(conn(1), &[(0, 1)]);
    let effects = shell.consume(conn(2), 1, "q", 10);
    let attempts: Vec<u32> = seen(&effects).iter().map(|seen| seen.attempts).collect();
    assert_eq!(attempts, [1, 0]);

    let mut shell = named(true);
    shell.close(conn(1), &[(0, 1)]);
    assert!(bodies(&shell.consume(conn(2), 1, "q", 10)).is_empty());
    let effects = shell.attach(conn(3), "s");
    assert_eq!(
        tags(&effects),
        [("a".to_owned(), 1, true), ("b".to_owned(), 2, false)]
    );
    check(&shell.broker);
}

#[test]
fn unsubscribing_from_a_named_queue_returns_what_was_held_of_it() {
    let mut shell = named(false);
    let filters = vec![bind_queue("q").target, BindTarget::Filter(filter("none"))];
    let token = shell.token();
    let effects = shell.run(conn(1), vec![Command::Unbind { filters, token }]);
    let Answer::Unbound(existed) = answers(&effects)[0] else {
        unreachable!("{effects:?}");
    };
    assert_eq!(existed[..], [true, false]);
    assert_eq!(bodies(&shell.consume(conn(2), 1, "q", 10)), ["a", "b"]);
    check(&shell.broker);
}

// Mutant: `self.lane_moved(lane)` taken out of `remove_binding`.
#[test]
fn window_that_unsubscribing_frees_is_used_by_the_other_queues() {
    let mut shell = Shell::new();
    let session = Attach {
        window: 2,
        ..attach("s", None)
    };
    shell.run(conn(1), vec![Command::Attach(session)]);
    let requests = vec![bind_queue("one"), bind_queue("two")];
    shell.run(
        conn(1),
        vec![Command::Bind {
            requests,
            token: None,
        }],
    );
    shell.send("one", &["a", "b"]);
    assert!(bodies(&shell.send("two", &["c"])).is_empty());
    let filters = vec![bind_queue("one").target];
    let effects = shell.run(
        conn(1),
        vec![Command::Unbind {
            filters,
            token: None,
        }],
    );
    assert_eq!(bodies(&effects), ["c"]);
}

#[test]
fn named_queue_subscription_survives_a_restart() {
    let mut shell = named(false);
    shell.settle(conn(1), 0, 1, 2, Outcome::Accepted);
    shell.restart();
    shell.attach(conn(2), "s");
    assert_eq!(bodies(&shell.send("q", &["c"])), ["c"]);
}

// Mutant: `forget_consumer` does nothing.
#[test]
fn subscription_to_a_queue_that_goes_leaves_other_consumers_alone() {
    let mut shell = Shell::new();
    shell.attach(conn(1), "s");
    let temporary = Command::CreateTemporary {
        address: crate::testing::address("$temp.1.x"),
        routing: crate::command::RoutingType::Anycast,
        token: None,
    };
    shell.run(conn(1), vec![temporary]);
    let requests = vec![bind_queue("$temp.1.x")];
    shell.run(
        conn(1),
        vec![Command::Bind {
            requests,
            token: None,
        }],
    );
    shell.close(conn(1), &[]);
    shell.consume(conn(2), 1, "q", 10); // Takes the place of the consumer that went.
    shell.attach(conn(3), "s");
    let filters = vec![bind_queue("$temp.1.x").target];
    shell.run(
        conn(3),
        vec![Command::Unbind {
            filters,
            token: None,
        }],
    );
    assert_eq!(bodies(&shell.send("q", &["a"])), ["a"]);
    check(&shell.broker);
}

#[test]
fn message_that_matches_several_filters_comes_once() {
    let mut shell = subscribed();
    shell.bind(conn(1), "#", 1);
    assert_eq!(bodies(&send(&mut shell, "a")), ["a"]);
    let (.., effects) = shell.publish(SENDER, SendMode::Publish, at_most_once("t", &["b"]));
    assert_eq!(bodies(&effects), ["b"]);
}

#[test]
fn unsubscribed_session_gets_no_more_but_keeps_its_queue() {
    let mut shell = subscribed();
    shell.close(conn(1), &[]);
    send(&mut shell, "a");
    shell.attach(conn(2), "s");
    let filters = vec![BindTarget::Filter(filter("t"))];
    shell.run(
        conn(2),
        vec![Command::Unbind {
            filters,
            token: None,
        }],
    );
    assert!(bodies(&send(&mut shell, "b")).is_empty());
    shell.restart();
    let effects = shell.attach(conn(3), "s");
    assert_eq!(bodies(&effects), ["a"]);
    assert!(bodies(&send(&mut shell, "c")).is_empty());
}

#[test]
fn second_attachment_of_a_connection_leaves_its_first_session() {
    let mut shell = subscribed();
    shell.attach(conn(1), "other");
    send(&mut shell, "a");
    let close = Close {
        polite: true,
        written: vec![(ConsumerKey::SESSION, 0)],
    };
    shell.run(conn(1), vec![Command::Close(close)]);
    assert_eq!(bodies(&shell.attach(conn(2), "s")), ["a"]);
    shell.attach(conn(2), "s");
    shell.settle(conn(2), 0, 1, 1, Outcome::Accepted);
    assert_eq!(
        shell.broker.counts().messages,
        0,
        "attached twice, one lane"
    );
    check(&shell.broker);
}

#[test]
fn session_resumed_after_a_crash_has_its_backlog() {
    let mut shell = subscribed();
    for body in ["a", "b"] {
        send(&mut shell, body);
    }
    shell.settle(conn(1), 0, 1, 1, Outcome::Accepted);
    shell.restart();
    let effects = shell.attach(conn(2), "s");
    assert_eq!(bodies(&effects), ["b"]);
    assert_eq!(shell.log.count(MSG), 2);
    let requests = vec![request("t", 1, false)];
    shell.run(
        conn(2),
        vec![Command::Bind {
            requests,
            token: None,
        }],
    );
    assert_eq!(bodies(&send(&mut shell, "c")), ["c"]);
}

/// A connected client without messages has one of each (design 2.5). An allocator gives blocks of
/// 128, 192 and 224 bytes. Mutant seen caught: `detachment` of 64 bits.
#[test]
fn what_the_broker_keeps_of_an_idle_client_is_small() {
    let session = size_of::<crate::session::Session>();
    let lane = size_of::<crate::consumer::Lane>();
    let connection = size_of::<crate::connection::Connection>();
    assert!(session <= 224, "session {session}");
    assert!(lane <= 192, "lane {lane}");
    assert!(connection <= 128, "connection {connection}");
}
