//! Blocks that are nearly dead (L22).

use crate::command::{Outcome, SendMode, Source};
use crate::ids::ConnectionId;
use crate::message::Run;
use crate::store::{BYTES_PER_UNIT, SPARSE_MS, WHOLE_BYTES};
use crate::testing::{
    SENDER, Shell, bodies, check, conn, consume, durable, filter, leased, transient,
};

const MESSAGES: u32 = 200;

/// More than stays whole: `MESSAGES` bodies of 100 bytes.
fn large(to: &str) -> Run {
    let texts: Vec<String> = (0..MESSAGES).map(|n| format!("{n:0100}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert!(texts.concat().len() > WHOLE_BYTES);
    durable(to, &texts)
}

/// Bytes of all blocks.
fn blocks(shell: &Shell) -> usize {
    let runs = shell.broker.store.iter();
    runs.map(|(_, s)| s.run.as_ref().map_or(0, |run| run.block().len()))
        .sum()
}

/// Long enough for what is sparse to be copied.
fn wait(shell: &mut Shell) {
    shell.sleep(SPARSE_MS);
    shell.sleep(SPARSE_MS);
}

/// Settles all messages of a queue of one run but `kept`.
fn settle_but(shell: &mut Shell, queue: &str, kept: u32) {
    shell.consume(conn(1), 1, queue, MESSAGES);
    let tag = u64::from(kept) + 1;
    if kept > 0 {
        shell.settle(conn(1), 1, 1, kept, Outcome::Accepted);
    }
    let behind = MESSAGES - kept - 1;
    shell.settle(conn(1), 1, tag + 1, behind, Outcome::Accepted);
}

// Mutants: `parts.kept() < bytes / 2` replaced by `false`; `is_new` or `was_last` by `false`.
#[test]
fn l22_block_that_is_nearly_dead_is_copied_and_its_messages_stay_what_they_are() {
    let mut shell = Shell::new();
    shell.publish(SENDER, SendMode::Anycast, large("q"));
    settle_but(&mut shell, "q", 77);
    assert_eq!(blocks(&shell), 20_000);
    check(&shell.broker);
    wait(&mut shell);
    assert_eq!(blocks(&shell), 100);
    check(&shell.broker);
    let effects = shell.close(conn(1), &[]);
    assert!(bodies(&effects).is_empty());
    let effects = shell.consume(conn(2), 1, "q", 10);
    assert_eq!(bodies(&effects), [format!("{:0100}", 77)]);
    shell.settle(conn(2), 1, 1, 1, Outcome::Accepted);
    assert_eq!(shell.broker.store.len(), 0);
    assert_eq!(shell.dead.values().sum::<u64>(), 20_000);
    assert_eq!(shell.next_deadline_ms, None);
}

// Mutant: `bytes / 2` replaced by `bytes` in `is_sparse`.
#[test]
fn l22_block_of_which_half_is_alive_stays() {
    let mut shell = Shell::new();
    shell.publish(SENDER, SendMode::Anycast, large("q"));
    shell.consume(conn(1), 1, "q", MESSAGES);
    shell.settle(conn(1), 1, 1, 100, Outcome::Accepted);
    wait(&mut shell);
    assert_eq!(blocks(&shell), 20_000);
    shell.settle(conn(1), 1, 101, 1, Outcome::Accepted);
    wait(&mut shell);
    assert_eq!(blocks(&shell), 9_900);
    check(&shell.broker);
}

/// Each of two queues keeps another message, a third is retained.
// Mutant: `self.store.retain(run, index, 1)` with `0` for the index in `retain`.
#[test]
fn l22_what_any_queue_or_the_retained_value_keeps_is_alive() {
    let mut shell = Shell::new();
    for key in [1, 2] {
        let source = Source::Multicast(filter("t"));
        shell.run(conn(1), vec![consume(key, source, MESSAGES, None)]);
    }
    shell.run(SENDER, vec![crate::testing::retain(large("t"))]);
    for (key, kept) in [(1, 3), (2, 7)] {
        shell.settle(conn(1), key, 1, kept, Outcome::Accepted);
        let behind = MESSAGES - kept - 1;
        shell.settle(conn(1), key, u64::from(kept) + 2, behind, Outcome::Accepted);
        wait(&mut shell);
        check(&shell.broker);
    }
    assert_eq!(blocks(&shell), 300);
    let run = shell.broker.store.iter().next().unwrap().1.run.clone();
    let run = run.unwrap();
    for kept in [3, 7, MESSAGES - 1] {
        assert_eq!(run.message(kept), format!("{kept:0100}").as_bytes());
    }
}

/// A subscription that drops its oldest counts the mean of the run that came.
// Mutant: `mean_size` of the store taken from the block of now.
#[test]
fn l23_copied_block_does_not_change_what_a_subscription_counts() {
    let mut shell = Shell::new();
    let source = Source::Multicast(filter("t"));
    shell.run(conn(1), vec![consume(1, source, MESSAGES, None)]);
    shell.publish(SENDER, SendMode::Multicast, large("t"));
    shell.settle(conn(1), 1, 1, MESSAGES - 1, Outcome::Accepted);
    wait(&mut shell);
    assert_eq!(blocks(&shell), 100);
    let bytes = |shell: &Shell| shell.broker.queues.values().next().unwrap().bytes;
    assert_eq!(bytes(&shell), 132);
    shell.settle(conn(1), 1, MESSAGES.into(), 1, Outcome::Accepted);
    assert_eq!(bytes(&shell), 0);
}

// Mutant: the units of `thin` not spent.
#[test]
fn l21_l22_blocks_are_copied_a_few_per_call() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", u32::MAX);
    for round in 0..20 {
        shell.publish(SENDER, SendMode::Anycast, large("q"));
        let first = round * u64::from(MESSAGES) + 1;
        shell.settle(conn(1), 1, first, MESSAGES - 40, Outcome::Accepted);
    }
    shell.broker.limits.units_per_call = 10;
    shell.sleep(SPARSE_MS);
    shell.now.mono_ms += SPARSE_MS;
    let mut left = vec![blocks(&shell)];
    let mut more = true;
    while more {
        shell.once(ConnectionId::BROKER, Vec::new());
        left.push(blocks(&shell));
        more = shell.more;
    }
    // 4,000 bytes of each block are alive.
    let at_once = 10 * BYTES_PER_UNIT / 4_000 * 16_000;
    assert!(
        left.windows(2).all(|w| w[0] - w[1] <= 2 * at_once),
        "{left:?}"
    );
    assert_eq!(left.last(), Some(&(20 * 4_000)));
    check(&shell.broker);
}

/// A restart reads whole blocks; what is nearly dead is copied soon after.
// Mutant: `recount_references` taken out of `recovered`.
#[test]
fn l22_recovered_blocks_that_are_nearly_dead_are_copied() {
    let mut shell = Shell::new();
    shell.publish(SENDER, SendMode::Anycast, large("q"));
    shell.publish(SENDER, SendMode::Anycast, large("whole"));
    settle_but(&mut shell, "q", 5);
    shell.restart();
    check(&shell.broker);
    assert_eq!(blocks(&shell), 40_000);
    wait(&mut shell);
    assert_eq!(blocks(&shell), 20_100);
    check(&shell.broker);
    let receive = shell.receive_command("q", 10, 0, 1_000);
    let effects = shell.run(conn(1), vec![receive]);
    let [one] = leased(&effects)[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(
        one.delivery.run.message(5),
        format!("{:0100}", 5).as_bytes()
    );
}

/// What an AGAIN holds of a copied run loads as what is left of it.
#[test]
fn l22_l28_copied_run_is_written_again_and_loaded() {
    let mut shell = Shell::new();
    shell.publish(SENDER, SendMode::Anycast, large("q"));
    settle_but(&mut shell, "q", 199);
    wait(&mut shell);
    let again = shell.broker.alive(&|_| true);
    let [(name, payload, live)] = &again[..] else {
        panic!("{again:?}");
    };
    assert!(payload.len() < 1_200 && *live == 100, "ends and one body");
    let log = shell.log.clone();
    shell.restart();
    let mut broker = crate::broker::Broker::new(shell.options().clone());
    for (position, kind, payload) in &log.records {
        broker.apply(*position, *kind, payload).unwrap();
    }
    assert_eq!(broker.wanted_bodies(), [*name]);
    broker
        .load(*name, crate::record::AGAIN, payload, bytes::Bytes::from)
        .unwrap();
    broker.recovered(shell.now);
    check(&broker);
    let (_, stored) = broker.store.iter().next().unwrap();
    let run = stored.run.as_ref().unwrap();
    assert_eq!(run.message(199), format!("{:0100}", 199).as_bytes());
}

/// Small runs may share a block, so it stays whole; and a run of one message dies at once.
#[test]
fn l22_small_blocks_and_single_messages_are_left_alone() {
    let mut shell = Shell::new();
    let large = "x".repeat(WHOLE_BYTES);
    shell.send("q", &[&large[..WHOLE_BYTES / 2], &large[..WHOLE_BYTES / 2]]);
    shell.publish(SENDER, SendMode::Anycast, transient("one", &[&large, "y"]));
    shell.consume(conn(1), 1, "q", 10);
    shell.settle(conn(1), 1, 1, 1, Outcome::Accepted);
    wait(&mut shell);
    assert_eq!(blocks(&shell), 2 * WHOLE_BYTES + 1);
    check(&shell.broker);
}
