//! Messages of different priorities: the higher first, in their order within one (law L2; rule 88).

use crate::command::{Outcome, SendMode};
use crate::testing::{SENDER, Shell, bodies, check, conn, run_of};

fn send(shell: &mut Shell, to: &str, all: &[(&str, u8)]) {
    for (body, priority) in all {
        let run = run_of(to, &[body], |envelope| {
            envelope.durable = true;
            envelope.priority = *priority;
        });
        shell.publish(SENDER, SendMode::Anycast, run);
    }
}

const MIXED: [(&str, u8); 7] = [
    ("low", 1),
    ("normal", 4),
    ("high", 9),
    ("normal too", 4),
    ("low too", 1),
    ("high too", 9),
    ("lowest", 0),
];
const IN_ORDER: [&str; 7] = [
    "high",
    "high too",
    "normal",
    "normal too",
    "low",
    "low too",
    "lowest",
];

// Mutant: `first_before_line` always `None`.
#[test]
fn l2_higher_priorities_come_first_and_each_in_its_order() {
    let mut shell = Shell::new();
    send(&mut shell, "q", &MIXED);
    check(&shell.broker);
    let effects = shell.consume(conn(1), 1, "q", 100);
    assert_eq!(bodies(&effects), IN_ORDER);
    check(&shell.broker);
}

// Mutants: `reinstate` puts all into `returned`; the pause of law L11 is not lifted for who joins.
#[test]
fn l2_what_is_released_returns_to_its_place_in_its_priority() {
    let mut shell = Shell::new();
    send(&mut shell, "q", &MIXED);
    shell.consume(conn(1), 1, "q", 100);
    shell.settle(conn(1), 1, 3, 5, Outcome::Released);
    check(&shell.broker);
    let effects = shell.consume(conn(2), 1, "q", 100);
    assert_eq!(bodies(&effects), IN_ORDER[2..]);
    check(&shell.broker);
}

// Mutants: `flags: 0` in the MOVE record; `priority_flags` left out of `try_publish`.
#[test]
fn l6_priorities_outlive_a_restart_and_a_move() {
    let mut shell = Shell::new();
    send(&mut shell, "q", &MIXED);
    shell.restart();
    check(&shell.broker);
    let effects = shell.consume(conn(1), 1, "q", 100);
    assert_eq!(bodies(&effects), IN_ORDER);
    // In the order in which they were sent, so that the dead letters are not in it already.
    for tag in [5, 3, 1, 4, 6, 2, 7] {
        shell.settle(conn(1), 1, tag, 1, Outcome::Rejected);
    }
    shell.restart();
    check(&shell.broker);
    let effects = shell.consume(conn(1), 1, "DLQ", 100);
    assert_eq!(bodies(&effects), IN_ORDER);
    check(&shell.broker);
}
