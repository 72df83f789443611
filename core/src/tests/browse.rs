//! Consumers that look at a queue and take nothing (rule 78).

use crate::command::{
    Command, Consume, ConsumeOptions, Outcome, RoutingType, SendMode, SettleMode, Source,
};
use crate::effect::{Answer, Effect};
use crate::ids::{ConnectionId, ConsumerKey, Tag, Token};
use crate::testing::{
    SENDER, Shell, address, answers, bodies, check, conn, filter, leased, run_of, seen, settle,
};

fn browse_to(
    shell: &mut Shell,
    id: ConnectionId,
    key: u32,
    source: Source,
    until: Tag,
) -> Vec<Effect> {
    let consume = Consume {
        consumer: ConsumerKey(key),
        source,
        settle: SettleMode::Explicit,
        prefetch: u32::MAX,
        options: ConsumeOptions {
            until,
            browse: true,
            ..ConsumeOptions::default()
        },
        token: None,
    };
    shell.run(id, vec![Command::Consume(consume)])
}

fn browse(shell: &mut Shell, id: ConnectionId, key: u32, queue: &str) -> Vec<Effect> {
    browse_to(shell, id, key, Source::Anycast(address(queue)), Tag::MAX)
}

fn drain(key: u32) -> Command {
    Command::Drain {
        consumer: ConsumerKey(key),
        token: Token(77),
    }
}

fn drained(effects: &[Effect]) -> Option<Tag> {
    answers(effects)
        .into_iter()
        .find_map(|answer| match answer {
            Answer::Drained { next } => Some(*next),
            _ => None,
        })
}

// Mutant: `show` calls `hold` instead of `give_tags`.
#[test]
fn r78_browse_shows_all_and_takes_nothing() {
    let mut shell = Shell::new();
    shell.send("q", &["a", "b", "c"]);
    let effects = browse(&mut shell, conn(1), 1, "q");
    assert_eq!(bodies(&effects), ["a", "b", "c"]);
    let tags: Vec<Tag> = seen(&effects).iter().map(|seen| seen.tag).collect();
    assert_eq!(tags, [1, 2, 3]);
    assert_eq!(bodies(&shell.send("q", &["d"])), ["d"], "and what arrives");
    check(&shell.broker);
    shell.close(conn(1), &[(1, 4)]);
    let effects = shell.consume(conn(2), 1, "q", 10);
    assert_eq!(bodies(&effects), ["a", "b", "c", "d"]);
    assert!(
        seen(&effects).iter().all(|seen| seen.attempts == 0),
        "no attempt"
    );
    assert_eq!(shell.broker.counts().messages, 4);
}

// Mutant: the look at `is_browser` taken out of `settle`.
#[test]
fn r78_browse_what_is_said_of_its_deliveries_changes_nothing() {
    let mut shell = Shell::new();
    shell.send("q", &["a"]);
    browse(&mut shell, conn(1), 1, "q");
    let outcomes = [
        Outcome::Accepted,
        Outcome::Rejected,
        Outcome::Failed { delay_ms: None },
        Outcome::Undeliverable { failed: true },
    ];
    for outcome in outcomes {
        let effects = shell.settle(conn(1), 1, 1, 1, outcome);
        assert!(matches!(answers(&effects)[..], [Answer::Settled]));
        let effects = shell.run(conn(1), vec![settle(1, 1, 1, outcome, None)]);
        assert_eq!(effects.len(), 0);
    }
    let effects = shell.consume(conn(2), 1, "q", 10);
    assert_eq!(bodies(&effects), ["a"]);
    check(&shell.broker);
}

// Mutant: `available_from` begins at the index without `self.cursor.max`.
#[test]
fn r78_browse_passes_over_what_others_hold_and_what_comes_back_behind_it() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 2);
    shell.send("q", &["a", "b", "c"]);
    let effects = browse(&mut shell, conn(2), 1, "q");
    assert_eq!(bodies(&effects), ["c"], "a and b are out");
    let effects = shell.close(conn(1), &[]);
    assert_eq!(
        bodies(&effects),
        [] as [&str; 0],
        "a and b came back behind it"
    );
    let effects = browse(&mut shell, conn(3), 1, "q");
    assert_eq!(bodies(&effects), ["a", "b", "c"], "not behind this one");
    check(&shell.broker);
}

#[test]
fn r78_browse_leaves_what_waits_for_its_redelivery() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.send("q", &["a", "b"]);
    let delay_ms = Some(1_000);
    shell.settle(conn(1), 1, 1, 1, Outcome::Failed { delay_ms });
    shell.close(conn(1), &[]);
    let effects = browse(&mut shell, conn(2), 1, "q");
    assert_eq!(bodies(&effects), ["b"]);
}

// Mutant: `browse` asks `expire_if_due` of nothing.
#[test]
fn r78_browse_shows_nothing_that_is_over() {
    let mut shell = Shell::new();
    let now = shell.now.wall_ms;
    shell.publish(
        SENDER,
        SendMode::Anycast,
        run_of("q", &["old"], |envelope| envelope.expires_ms = now + 10),
    );
    shell.send("q", &["a"]);
    shell.now.wall_ms += 10; // The deadline runs on the other clock.
    let effects = browse(&mut shell, conn(1), 1, "q");
    assert_eq!(bodies(&effects), ["a"]);
    assert_eq!(shell.broker.counts().expired, 1);
}

#[test]
fn r78_browse_obeys_credit_and_is_drained_at_the_tail() {
    let mut shell = Shell::new();
    shell.send("q", &["a", "b", "c"]);
    let source = Source::Anycast(address("q"));
    let effects = browse_to(&mut shell, conn(1), 1, source, 2);
    assert_eq!(bodies(&effects), ["a"]);
    let effects = shell.run(conn(1), vec![drain(1)]);
    assert_eq!((bodies(&effects).len(), drained(&effects)), (0, Some(2)));
    let consumer = ConsumerKey(1);
    let credit = Command::Credit { consumer, until: 9 };
    let effects = shell.run(conn(1), vec![credit, drain(1)]);
    assert_eq!(bodies(&effects), ["b", "c"]);
    assert_eq!(drained(&effects), Some(4));
    check(&shell.broker);
}

// Mutant: `has_to_show` always false.
#[test]
fn r78_l22_browse_waits_for_room_and_so_does_its_drain() {
    let mut shell = Shell::small(66, 4_096);
    shell.send("q", &["a", "b", "c"]);
    let effects = browse(&mut shell, conn(1), 1, "q");
    assert_eq!(bodies(&effects), ["a", "b"]);
    let effects = shell.run(conn(1), vec![drain(1)]);
    assert_eq!((bodies(&effects).len(), drained(&effects)), (0, None));
    check(&shell.broker);
    let effects = shell.run(conn(1), vec![Command::Room(66)]);
    assert_eq!(
        (bodies(&effects), drained(&effects)),
        (vec!["c".into()], Some(4))
    );
}

// Mutant: `turn` always begins with the first.
#[test]
fn r78_l21_browsers_share_the_units_of_a_call() {
    let mut shell = Shell::small(1 << 20, 2);
    shell.send("q", &["a", "b", "c", "d", "e", "f"]);
    for slot in 1..=2 {
        let source = Source::Anycast(address("q"));
        browse_to(&mut shell, conn(slot), 1, source, 0);
    }
    let consumer = ConsumerKey(1);
    let until = Tag::MAX;
    shell.once(conn(1), vec![Command::Credit { consumer, until }]);
    let effects = shell.run(conn(2), vec![Command::Credit { consumer, until }]);
    let second: Vec<u32> = seen(&effects).iter().map(|seen| seen.connection).collect();
    assert_eq!(second, [2, 2, 1, 1, 2, 2, 1, 1, 2, 2]);
    check(&shell.broker);
}

// Mutant: `takers` counts browsers.
#[test]
fn r78_browse_sees_what_a_pause_keeps_from_the_consumer() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 1);
    shell.send("q", &["a"]);
    browse(&mut shell, conn(2), 1, "q");
    let effects = shell.settle(conn(1), 1, 1, 1, Outcome::Released);
    assert_eq!(bodies(&effects), [] as [&str; 0], "the only consumer waits");
    let effects = browse(&mut shell, conn(3), 1, "q");
    assert_eq!(bodies(&effects), ["a"]);
    let effects = shell.sleep(10);
    assert_eq!(seen(&effects)[0].connection, 1);
    check(&shell.broker);
}

#[test]
fn r78_browsers_consumers_and_receives_live_on_one_queue() {
    let mut shell = Shell::new();
    browse(&mut shell, conn(1), 1, "q");
    shell.consume(conn(2), 1, "q", 1);
    let receive = shell.receive_command("q", 1, 1_000, 1_000);
    shell.run(conn(3), vec![receive]);
    let effects = shell.send("q", &["a", "b", "c"]);
    let got = seen(&effects);
    let slots: Vec<u32> = got.iter().map(|seen| seen.connection).collect();
    assert_eq!((slots, leased(&effects).len()), (vec![2, 1], 1));
    assert_eq!((got[0].body.as_str(), got[1].body.as_str()), ("a", "c"));
    check(&shell.broker);
}

// Mutant: `may_be_browsed` always true.
#[test]
fn r78_subscription_cannot_be_browsed() {
    let mut shell = Shell::new();
    browse_to(
        &mut shell,
        conn(1),
        1,
        Source::Multicast(filter("t")),
        Tag::MAX,
    );
    shell.publish(SENDER, SendMode::Multicast, run_of("t", &["a"], |_| {}));
    let effects = shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    assert!(matches!(answers(&effects)[..], [Answer::Settled]));
    assert_eq!(shell.broker.counts().messages, 0);
}

#[test]
fn r78_browser_keeps_an_auto_created_queue_like_any_consumer() {
    let mut shell = Shell::new();
    browse(&mut shell, conn(1), 1, "q");
    shell.sleep(60_000);
    assert_eq!(shell.broker.counts().queues, 1);
    shell.close(conn(1), &[]);
    shell.sleep(60_000);
    assert_eq!(shell.broker.counts().queues, 0);
    check(&shell.broker);
}

#[test]
fn r78_browser_of_a_queue_that_goes_is_told() {
    let mut shell = Shell::new();
    let create = Command::CreateTemporary {
        address: address("temporary-1"),
        routing: RoutingType::Anycast,
        token: None,
    };
    shell.run(conn(1), vec![create]);
    browse(&mut shell, conn(1), 1, "temporary-1");
    shell.send("temporary-1", &["a"]);
    let queue = *shell.broker.queues.keys().next().unwrap();
    let mut out = crate::effect::Out::default();
    crate::broker::discarded(&mut out, |pass| shell.broker.delete_queue(queue, pass));
    let ended = |effect: &Effect| matches!(effect, Effect::ConsumerEnded { .. });
    assert!(out.effects.iter().any(ended));
    shell.close(conn(1), &[]);
    check(&shell.broker);
}
