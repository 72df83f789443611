//! Consumers of different priorities (rule 45; Artemis' consumer priority).

use crate::broker::BrokerOptions;
use crate::command::{Command, Consume, ConsumeOptions, LeaseAction, Outcome, SettleMode, Source};
use crate::effect::Effect;
use crate::ids::{ConnectionId, ConsumerKey, Token};
use crate::testing::{Shell, address, bodies, check, conn, leased, seen};

fn consume(shell: &mut Shell, id: ConnectionId, key: u32, priority: i32, prefetch: u32) {
    let consume = Consume {
        consumer: ConsumerKey(key),
        source: Source::Anycast(address("q")),
        settle: SettleMode::Explicit,
        prefetch,
        options: ConsumeOptions {
            priority,
            ..ConsumeOptions::default()
        },
        token: None,
    };
    shell.run(id, vec![Command::Consume(consume)]);
}

/// Which slots got messages, in order.
fn slots(effects: &[Effect]) -> Vec<u32> {
    seen(effects).iter().map(|seen| seen.connection).collect()
}

// Mutant: `push_back` puts all into the normal ring.
#[test]
fn r45_consumer_priority_takes_what_it_can_and_leaves_the_rest_to_the_next() {
    let mut shell = Shell::new();
    consume(&mut shell, conn(1), 1, -1, 100);
    consume(&mut shell, conn(2), 1, 0, 2);
    consume(&mut shell, conn(3), 1, 5, 2);
    let effects = shell.send("q", &["a", "b", "c", "d", "e", "f"]);
    assert_eq!(slots(&effects), [3, 3, 2, 2, 1, 1]);
    check(&shell.broker);
    shell.settle(conn(3), 1, 1, 2, Outcome::Accepted);
    let effects = shell.send("q", &["g", "h", "i"]);
    assert_eq!(slots(&effects), [3, 3, 1]);
    check(&shell.broker);
}

#[test]
fn r45_consumer_priority_below_zero_stands_aside_until_room_runs_out_for_others() {
    let mut options = BrokerOptions::default();
    options.limits.outbox_bytes = 66;
    let mut shell = Shell::with(options);
    consume(&mut shell, conn(1), 1, -3, 100);
    consume(&mut shell, conn(2), 1, 0, 100);
    let effects = shell.send("q", &["a", "b", "c"]);
    assert_eq!(slots(&effects), [2, 2, 1]);
    shell.run(conn(2), vec![Command::Room(33)]);
    let effects = shell.send("q", &["d", "e"]);
    assert_eq!(slots(&effects), [2, 1]);
    check(&shell.broker);
}

// Mutant: `priority != share.priority` taken out of `share`.
#[test]
fn r45_consumer_priority_is_fair_among_equals_of_each_level() {
    let mut shell = Shell::new();
    for slot in 1..=2 {
        consume(&mut shell, conn(slot), 1, 0, 100);
    }
    consume(&mut shell, conn(3), 1, 9, 2);
    let effects = shell.send("q", &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    let got = |slot| slots(&effects).iter().filter(|s| **s == slot).count();
    assert_eq!((got(1), got(2), got(3)), (4, 4, 2));
    for slot in [4, 5] {
        consume(&mut shell, conn(slot), 1, 7, 100);
    }
    let effects = shell.send("q", &["a", "b", "c", "d"]);
    let mut turns = slots(&effects);
    turns.sort_unstable();
    assert_eq!(turns, [4, 4, 5, 5]);
}

// Mutant: the ring kept when it is empty (`rings.remove` taken out).
#[test]
fn r45_consumer_priority_ends_with_its_consumer() {
    let mut shell = Shell::new();
    consume(&mut shell, conn(1), 1, 0, 100);
    consume(&mut shell, conn(2), 1, 4, 100);
    assert_eq!(slots(&shell.send("q", &["a"])), [2]);
    let effects = shell.close(conn(2), &[]);
    assert_eq!(slots(&effects), [1], "what it held");
    assert_eq!(slots(&shell.send("q", &["b"])), [1]);
    check(&shell.broker);
}

// Mutant: `priority < 0` replaced by `false` in `is_waiters_turn`.
#[test]
fn r45_receives_come_between_the_consumers_above_and_below_zero() {
    let mut shell = Shell::new();
    consume(&mut shell, conn(1), 1, -1, 100);
    let receive = shell.receive_command("q", 1, 1_000, 1_000);
    shell.run(conn(3), vec![receive]);
    let effects = shell.send("q", &["a", "b"]);
    assert_eq!((leased(&effects).len(), slots(&effects)), (1, vec![1]));
    let lease = leased(&effects)[0].lease;
    let settle = Command::Lease {
        lease,
        action: LeaseAction::Settle(Outcome::Accepted),
        token: Some(Token(0)),
    };
    shell.run(conn(3), vec![settle]);
    consume(&mut shell, conn(2), 1, 1, 1);
    let receive = shell.receive_command("q", 1, 1_000, 1_000);
    shell.run(conn(3), vec![receive]);
    let effects = shell.send("q", &["c", "d"]);
    assert_eq!(
        (slots(&effects), bodies(&effects)),
        (vec![2], vec!["c".into()])
    );
    assert_eq!(leased(&effects).len(), 1, "d");
    check(&shell.broker);
}

// Mutant: `members(…) == 1` replaced by `self.consumers.len() == 1`.
#[test]
fn r45_l11_what_the_first_in_rank_gives_back_waits_before_it_sees_it_again() {
    let mut shell = Shell::new();
    consume(&mut shell, conn(1), 1, 0, 1);
    consume(&mut shell, conn(2), 1, 2, 1);
    shell.send("q", &["a"]);
    let effects = shell.settle(conn(2), 1, 1, 1, Outcome::Released);
    assert_eq!(slots(&effects), [] as [u32; 0], "nothing spins");
    assert_eq!(slots(&shell.sleep(10)), [2]);
    check(&shell.broker);
}
