//! What consumers note of messages that they give back.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use crate::broker::{Broker, BrokerOptions};
use crate::command::{Command, LeaseAction, LeaseId, Outcome, RoutingType, SendMode, Settle, Tags};
use crate::effect::{Answer, Effect, Out};
use crate::ids::{ConnectionId, ConsumerKey, Tag};
use crate::record::{NOTE, note_bytes};
use crate::settings::DeliveryAttempts;
use crate::testing::{
    SENDER, Shell, address, answers, check, conn, consume_on_credit, delivered, durable,
    durable_state, leased, text, transient,
};

fn settle(
    shell: &mut Shell,
    first: Tag,
    n: u32,
    outcome: Outcome,
    note: Option<&[u8]>,
) -> Vec<Effect> {
    let command = noted(shell, first, n, outcome, note);
    shell.run(conn(1), vec![command])
}

fn noted(shell: &mut Shell, first: Tag, n: u32, outcome: Outcome, note: Option<&[u8]>) -> Command {
    Command::Settle(Settle {
        consumer: ConsumerKey(1),
        tags: Tags::Range { first, n },
        outcome,
        note: note.map(Arc::from),
        token: shell.token(),
    })
}

/// Bodies and notes of deliveries.
fn notes(effects: &[Effect]) -> Vec<(String, String)> {
    let mut notes = Vec::new();
    for (_, delivery) in delivered(effects) {
        let note = delivery.note.as_deref().unwrap_or_default();
        let note = String::from_utf8_lossy(note);
        for index in delivery.first..delivery.first + delivery.count {
            notes.push((text(&delivery.run, index), note.to_string()));
        }
    }
    notes
}

fn expect(effects: &[Effect], expected: &[(&str, &str)]) {
    let notes = notes(effects);
    let notes: Vec<_> = notes
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(notes, expected);
}

/// What comes of the queue after the floor of law L11.
fn next(shell: &mut Shell) -> Vec<Effect> {
    shell.sleep(10)
}

fn three(shell: &mut Shell) {
    shell.consume(conn(1), 1, "q", 100);
    shell.send("q", &["a", "b", "c"]);
}

const FAILED: Outcome = Outcome::Failed { delay_ms: None };

/// Mutants caught: the note left out of `Broker::delivery`; the note dropped with
/// `Outcome::Failed`.
#[test]
fn r69_note_comes_with_each_later_delivery_in_place_of_the_one_before() {
    let mut shell = Shell::new();
    three(&mut shell);
    settle(&mut shell, 1, 3, Outcome::Released, None);
    expect(&next(&mut shell), &[("a", ""), ("b", ""), ("c", "")]);
    settle(&mut shell, 5, 1, FAILED, Some(b"one"));
    expect(&next(&mut shell), &[("b", "one")]);
    settle(&mut shell, 4, 1, Outcome::Released, None);
    settle(
        &mut shell,
        6,
        1,
        Outcome::Undeliverable { failed: false },
        Some(b"two"),
    );
    settle(&mut shell, 7, 1, Outcome::Released, None);
    shell.close(conn(1), &[]);
    next(&mut shell);
    let effects = shell.consume(conn(2), 1, "q", 100);
    expect(&effects, &[("a", ""), ("b", "one"), ("c", "two")]);
    check(&shell.broker);
}

/// Mutant caught: an empty note kept (`is_empty` in `Notes::put`).
#[test]
fn r69_empty_note_ends_the_one_before_and_none_leaves_it() {
    let mut shell = Shell::new();
    three(&mut shell);
    settle(&mut shell, 1, 1, Outcome::Released, Some(b"one"));
    expect(&next(&mut shell), &[("a", "one")]);
    settle(&mut shell, 4, 1, Outcome::Released, None);
    expect(&next(&mut shell), &[("a", "one")]);
    settle(&mut shell, 5, 1, Outcome::Released, Some(b""));
    expect(&next(&mut shell), &[("a", "")]);
    assert!(!durable_state(&shell.broker).concat().contains("Some([])"));
    check(&shell.broker);
}

/// Mutant caught: `forget_notes` left out of `forget`.
#[test]
fn r69_note_goes_with_its_message() {
    let mut shell = Shell::new();
    three(&mut shell);
    settle(&mut shell, 1, 1, Outcome::Released, Some(b"one"));
    next(&mut shell);
    settle(&mut shell, 4, 1, Outcome::Accepted, Some(b"of no use"));
    check(&shell.broker);
    assert_eq!(shell.log.count(NOTE), 1);
}

/// Mutants caught: the notes left out of `move_messages`, and of `apply_move`.
#[test]
fn r67_note_of_a_rejected_message_arrives_at_the_dead_letter_address() {
    let mut shell = Shell::new();
    three(&mut shell);
    settle(&mut shell, 2, 1, Outcome::Rejected, Some(b"error"));
    settle(&mut shell, 1, 1, Outcome::Rejected, None);
    shell.restart();
    check(&shell.broker);
    let effects = shell.consume(conn(2), 1, "DLQ", 100);
    expect(&effects, &[("b", "error"), ("a", "")]);
    assert!(
        delivered(&effects)
            .iter()
            .all(|(_, one)| one.origin.is_some())
    );
}

#[test]
fn r67_note_goes_along_when_a_message_has_failed_too_often() {
    let mut shell = Shell::ruled("q", |rule| {
        let twice = NonZeroU32::new(2).unwrap();
        rule.max_delivery_attempts = Some(DeliveryAttempts::AtMost(twice));
    });
    three(&mut shell);
    settle(&mut shell, 1, 1, FAILED, Some(b"first"));
    next(&mut shell);
    settle(&mut shell, 4, 1, FAILED, None);
    settle(&mut shell, 2, 2, FAILED, Some(b"both"));
    next(&mut shell);
    settle(&mut shell, 5, 2, FAILED, Some(b"now these"));
    shell.restart();
    let effects = shell.consume(conn(2), 1, "DLQ", 100);
    expect(
        &effects,
        &[("a", "first"), ("b", "now these"), ("c", "now these")],
    );
    check(&shell.broker);
}

/// A note that lies in a queue of one connection is not written down; it still goes along.
#[test]
fn r67_note_of_a_queue_that_is_not_durable_goes_along_in_memory() {
    let mut shell = Shell::new();
    let command = Command::CreateTemporary {
        address: address("$temp.1.x"),
        routing: RoutingType::Anycast,
        token: None,
    };
    shell.run(conn(1), vec![command]);
    shell.consume(conn(1), 1, "$temp.1.x", 10);
    shell.send("$temp.1.x", &["a"]);
    settle(&mut shell, 1, 1, Outcome::Rejected, Some(b"error"));
    assert_eq!(shell.log.count(NOTE), 0);
    expect(&shell.consume(conn(2), 1, "DLQ", 10), &[("a", "error")]);
    check(&shell.broker);
}

/// Mutant caught: `JOURNALLED` not asked in `note`.
#[test]
fn l9_note_of_a_message_that_is_not_journalled_is_not_either() {
    let mut shell = Shell::new();
    shell.consume(conn(1), 1, "q", 10);
    shell.publish(SENDER, SendMode::Anycast, transient("q", &["a"]));
    settle(&mut shell, 1, 1, Outcome::Released, Some(b"one"));
    expect(&next(&mut shell), &[("a", "one")]);
    assert_eq!(shell.log.count(NOTE), 0);
}

/// Mutants caught: `checkpoint_notes` left out; `apply_note` that notes nothing.
#[test]
fn l6_l7_notes_come_back_from_the_log_and_from_a_checkpoint_and_once_only() {
    let mut shell = Shell::new();
    three(&mut shell);
    settle(&mut shell, 1, 2, FAILED, Some(b"first"));
    next(&mut shell);
    settle(&mut shell, 4, 1, Outcome::Rejected, None);
    settle(&mut shell, 5, 1, Outcome::Released, Some(b"second"));
    next(&mut shell);
    settle(&mut shell, 3, 1, Outcome::Rejected, Some(b"third"));
    let now = durable_state(&shell.broker);
    let records = shell.log.records.clone();
    for cut in 0..=records.len() {
        let mut half = Broker::new(BrokerOptions::default());
        for (position, kind, payload) in &records[..cut] {
            half.apply(*position, *kind, payload).unwrap();
        }
        let mut resumed = Broker::new(BrokerOptions::default());
        half.checkpoint(&mut |kind, payload| {
            let payload = Bytes::copy_from_slice(payload);
            resumed.apply(0, kind, &payload).unwrap();
        });
        for _ in 0..2 {
            for (position, kind, payload) in &records[cut / 2..] {
                resumed.apply(*position, *kind, payload).unwrap();
            }
            assert_eq!(durable_state(&resumed), now, "cut before record {cut}");
        }
    }
    shell.restart();
    let effects = shell.consume(conn(2), 1, "DLQ", 10);
    expect(&effects, &[("a", "first"), ("c", "third")]);
    let effects = shell.consume(conn(2), 2, "q", 10);
    expect(&effects, &[("b", "second")]);
    check(&shell.broker);
}

/// Mutants caught: `noted_alike` that cuts nothing; `max_note_bytes` not asked in `note`; the notes before not counted off in it
/// (`cost_of`); its ceiling not asked.
#[test]
fn l25_notes_that_are_too_long_or_too_much_for_the_queue_are_dropped_and_counted() {
    let mut shell = Shell::new();
    shell.broker.limits.max_note_bytes = 10;
    shell.broker.limits.notes_bytes = 2 * 74;
    three(&mut shell);
    settle(&mut shell, 1, 1, Outcome::Released, Some(&[b'x'; 11]));
    assert_eq!(shell.broker.counts().dropped_notes, 1);
    expect(&next(&mut shell), &[("a", "")]);
    settle(&mut shell, 4, 1, Outcome::Released, Some(&[b'x'; 10]));
    settle(&mut shell, 2, 1, Outcome::Released, Some(&[b'x'; 10]));
    next(&mut shell);
    // Full: an other is dropped, one in place of another is not.
    settle(&mut shell, 3, 1, Outcome::Released, Some(b"z"));
    assert_eq!(shell.broker.counts().dropped_notes, 2);
    settle(&mut shell, 5, 1, Outcome::Released, Some(&[b'y'; 10]));
    assert_eq!(shell.broker.counts().dropped_notes, 2);
    shell.close(conn(1), &[]);
    next(&mut shell);
    let effects = shell.consume(conn(2), 1, "q", 10);
    let expected = [("a", "yyyyyyyyyy"), ("b", "xxxxxxxxxx"), ("c", "")];
    expect(&effects, &expected);
    check(&shell.broker);
}

/// What the log says of notes that found no space where they went equals what is there. Mutants
/// caught: the record left out of `notes_to_move`; `fit` not asked there.
#[test]
fn l6_notes_that_find_no_space_at_the_dead_letter_address_end_in_the_log_too() {
    let mut shell = Shell::new();
    shell.broker.limits.notes_bytes = 4 * 65;
    three(&mut shell);
    settle(&mut shell, 1, 3, Outcome::Rejected, Some(b"1"));
    shell.send("q", &["d", "e"]);
    settle(&mut shell, 4, 2, Outcome::Released, Some(b"2"));
    next(&mut shell);
    settle(&mut shell, 6, 2, Outcome::Rejected, None);
    assert_eq!(shell.broker.counts().dropped_notes, 1);
    let now = durable_state(&shell.broker);
    shell.restart();
    assert_eq!(durable_state(&shell.broker), now);
    let effects = shell.consume(conn(2), 1, "DLQ", 10);
    let expected = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "2"), ("e", "")];
    expect(&effects, &expected);
    check(&shell.broker);
}

/// A settlement with a note is carried out as far as the room for its records reaches, and says what
/// the rest needs. Mutants caught: the note not counted in `record_bytes`, or in `end_noted`.
#[test]
fn l21_l28_noted_settlement_writes_no_more_than_there_is_room_for() {
    let mut shell = Shell::new();
    shell.broker.limits.max_name_bytes = 16;
    let step = shell.broker.limits.step_bytes() as u64;
    let anycast = crate::command::Source::Anycast(address("q"));
    shell.run(conn(1), vec![consume_on_credit(1, anycast)]);
    for text in ["a", "b", "c", "d", "e"] {
        shell.publish(SENDER, SendMode::Anycast, durable("q", &[text]));
    }
    let credit = Command::Credit {
        consumer: ConsumerKey(1),
        until: 6,
    };
    shell.run(conn(1), vec![credit]);
    let note = [7; 5_000];
    let one = note_bytes(&note) as u64 + step;
    let mut commands = vec![noted(&mut shell, 1, 5, Outcome::Rejected, Some(&note))];
    shell.log.end = Some(crate::record::RecordSink::tail(&shell.log) + step);
    let mut out = Out::default();
    let broker = &mut shell.broker;
    broker.handle(shell.now, conn(1), &mut commands, &mut shell.log, &mut out);
    assert_eq!((commands.len(), out.needs as u64), (1, one));
    let mut calls = 0;
    let mut answered = 0;
    while !commands.is_empty() {
        // Room for one, and for another without its note.
        let room = one + step;
        let from = shell.log.records.len();
        shell.log.end = Some(crate::record::RecordSink::tail(&shell.log) + room);
        let effects = shell.call(conn(1), &mut commands);
        answered += answers(&effects).len();
        let written = shell.log.records[from..].iter();
        let bytes: u64 = written.map(|(.., payload)| payload.len() as u64 + 16).sum();
        assert!(bytes <= room, "{bytes} of {room}");
        let notes = shell.log.records[from..]
            .iter()
            .filter(|(_, kind, _)| *kind == NOTE);
        assert!(notes.count() <= 1);
        check(&shell.broker);
        calls += 1;
        assert!(calls < 20, "it goes on");
    }
    assert_eq!((shell.log.count(NOTE), answered), (5, 1));
    assert_eq!(shell.broker.counts().dead_lettered, 5);
    shell.log.end = None;
    shell.restart();
    let effects = shell.consume(conn(2), 1, "DLQ", 10);
    assert_eq!(delivered(&effects).len(), 5);
    assert!(
        delivered(&effects)
            .iter()
            .all(|(_, one)| one.note.as_deref() == Some(&note[..]))
    );
}

#[test]
fn notes_come_with_leases_too() {
    let mut shell = Shell::new();
    three(&mut shell);
    settle(&mut shell, 2, 1, Outcome::Released, Some(b"one"));
    shell.close(conn(1), &[]);
    next(&mut shell);
    let receive = shell.receive_command("q", 5, 0, 1_000);
    let effects = shell.run(conn(2), vec![receive]);
    let leased = leased(&effects);
    let notes: Vec<_> = leased
        .iter()
        .map(|one| one.delivery.note.as_deref())
        .collect();
    assert_eq!(notes, [None, Some(&b"one"[..]), None]);
    let lease: LeaseId = leased[1].lease;
    let action = LeaseAction::Settle(Outcome::Rejected);
    let command = Command::Lease {
        lease,
        action,
        token: shell.token(),
    };
    let effects = shell.run(ConnectionId::BROKER, vec![command]);
    assert!(matches!(answers(&effects)[..], [Answer::Settled]));
    expect(&shell.consume(conn(3), 1, "DLQ", 10), &[("b", "one")]);
}
