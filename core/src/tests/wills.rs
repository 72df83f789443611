//! Law L14: wills.

use std::sync::Arc;

use crate::broker::BrokerOptions;
use crate::command::{Attach, Command, Retain, SendMode, Will};
use crate::effect::Effect;
use crate::ids::ConnectionId;
use crate::record::{DELETE_SESSION, DELETE_WILL, MSG, PUT_WILL, RecordSink};
use crate::testing::{Shell, attach, bodies, clean, close, conn, delivered, durable, filter, seen};

const WATCHER: ConnectionId = ConnectionId {
    slot: 50,
    generation: 1,
};

fn with_will(attach: Attach, delay_ms: u64) -> Command {
    saying("gone", attach, delay_ms)
}

fn saying(body: &str, attach: Attach, delay_ms: u64) -> Command {
    let will = Will {
        run: Arc::new(durable("will", &[body])),
        mode: SendMode::Publish,
        retain: Retain::No,
        delay_ms,
        ttl_ms: None,
    };
    Command::Attach(Attach {
        will: Some(Box::new(will)),
        ..attach
    })
}

fn watched() -> Shell {
    let mut shell = Shell::new();
    shell.attach(WATCHER, "watcher");
    shell.bind(WATCHER, "will", 1);
    shell
}

fn wills(effects: &[Effect]) -> usize {
    seen(effects)
        .iter()
        .filter(|seen| seen.body.starts_with("gone"))
        .count()
}

#[test]
fn a_lost_connection_publishes_its_will_and_a_goodbye_does_not() {
    let mut shell = watched();
    shell.run(conn(1), vec![with_will(clean("c", None), 0)]);
    assert_eq!(wills(&shell.close(conn(1), &[])), 1);
    shell.run(conn(2), vec![with_will(clean("c", None), 0)]);
    assert_eq!(
        wills(&shell.run(conn(2), vec![Command::ForgetWill, close(&[])])),
        0
    );
    assert_eq!(wills(&shell.sleep(100_000)), 0);
}

/// Mutant caught: a check at the attachment alone, which another configuration has made.
#[test]
fn az_01_a_will_is_checked_again_when_it_is_published() {
    let mut shell = Shell::with(BrokerOptions {
        denied_wills: [filter("will"), filter("will.#")].into(),
        ..BrokerOptions::default()
    });
    shell.attach(WATCHER, "watcher");
    shell.bind(WATCHER, "#", 1);
    shell.run(conn(1), vec![with_will(clean("c", None), 0)]);
    assert_eq!(wills(&shell.close(conn(1), &[])), 0);
    assert_eq!(shell.broker.counts().dropped_denied, 1);
    assert_eq!(wills(&shell.sleep(100_000)), 0);
}

#[test]
fn a_delayed_will_waits_for_its_client_and_for_the_end_of_the_session() {
    let mut shell = watched();
    let session = |expiry_ms| Attach {
        expiry_ms: Some(expiry_ms),
        ..attach("c", None)
    };
    shell.run(conn(1), vec![with_will(session(60_000), 5_000)]);
    assert_eq!(wills(&shell.close(conn(1), &[])), 0);
    assert_eq!(wills(&shell.sleep(4_999)), 0);
    assert_eq!(wills(&shell.sleep(1)), 1);

    shell.run(conn(2), vec![with_will(session(3_000), 5_000)]);
    shell.close(conn(2), &[]);
    assert_eq!(wills(&shell.sleep(2_999)), 0);
    assert_eq!(wills(&shell.sleep(1)), 1, "the session ends first");

    shell.run(conn(3), vec![with_will(session(60_000), 5_000)]);
    shell.close(conn(3), &[]);
    shell.run(conn(4), vec![Command::Attach(session(60_000))]);
    assert_eq!(wills(&shell.sleep(60_000)), 0, "resumed in time");

    shell.run(conn(4), vec![Command::ForgetWill, close(&[])]);
    shell.run(conn(5), vec![with_will(session(60_000), 5_000)]);
    shell.close(conn(5), &[]);
    let clean = Attach {
        clean: true,
        ..session(60_000)
    };
    assert_eq!(
        wills(&shell.run(conn(6), vec![Command::Attach(clean)])),
        1,
        "it has ended"
    );
}

#[test]
fn l12_a_takeover_publishes_a_will_without_delay_alone() {
    let mut shell = watched();
    shell.run(conn(1), vec![with_will(attach("c", None), 0)]);
    let effects = shell.run(conn(2), vec![with_will(attach("c", None), 9_000)]);
    assert_eq!(wills(&effects), 1);
    let effects = shell.run(conn(3), vec![Command::Attach(attach("c", None))]);
    assert_eq!(wills(&effects), 0);
    assert_eq!(wills(&shell.sleep(60_000)), 0);
}

#[test]
fn l14_wills_outlive_a_crash_and_give_clients_ten_seconds() {
    for (attach, name) in [(attach("c", None), "durable"), (clean("c", None), "clean")] {
        let mut shell = watched();
        shell.run(conn(1), vec![with_will(attach, 0)]);
        assert_eq!(shell.log.count(PUT_WILL), 1);
        shell.restart();
        shell.attach(WATCHER, "watcher");
        assert_eq!(wills(&shell.sleep(9_999)), 0, "{name}");
        assert_eq!(wills(&shell.sleep(1)), 1, "{name}");
        shell.restart();
        shell.attach(WATCHER, "watcher");
        assert_eq!(wills(&shell.sleep(60_000)), 0, "{name}: once");
    }
}

/// Mutant caught: `recover_will` that knows the ten seconds alone.
#[test]
fn l14_a_delay_above_ten_seconds_is_waited_for_after_a_crash() {
    let mut shell = watched();
    shell.run(conn(1), vec![with_will(attach("c", None), 15_000)]);
    shell.restart();
    shell.attach(WATCHER, "watcher");
    assert_eq!(wills(&shell.sleep(14_999)), 0);
    assert_eq!(wills(&shell.sleep(1)), 1);
}

#[test]
fn l14_a_client_that_comes_back_in_time_keeps_its_will_from_being_published() {
    let mut shell = watched();
    shell.run(conn(1), vec![with_will(attach("c", None), 0)]);
    shell.restart();
    shell.attach(WATCHER, "watcher");
    shell.run(conn(1), vec![with_will(attach("c", None), 0)]);
    assert_eq!(wills(&shell.sleep(60_000)), 0);
    shell.run(conn(1), vec![Command::ForgetWill, close(&[])]);
    assert_eq!(shell.log.count(DELETE_WILL), 1);
    shell.restart();
    shell.attach(WATCHER, "watcher");
    assert_eq!(wills(&shell.sleep(60_000)), 0);
}

/// Mutant caught: `write_will` that never writes DELETE_WILL.
#[test]
fn l14_a_will_that_was_not_sent_as_its_client_resumed_is_not_sent_after_a_crash() {
    let mut shell = watched();
    shell.run(conn(1), vec![with_will(attach("c", None), 9_000)]);
    shell.close(conn(1), &[]);
    shell.run(conn(2), vec![Command::Attach(attach("c", None))]);
    shell.restart();
    shell.attach(WATCHER, "watcher");
    assert_eq!(wills(&shell.sleep(60_000)), 0);
}

/// Mutants caught: `end_will_wait` that cancels nothing, `join` without it.
#[test]
fn l26_a_client_that_comes_and_goes_leaves_no_deadlines_of_its_wills() {
    let mut shell = watched();
    for slot in 1..49 {
        let forever = Attach {
            expiry_ms: None,
            ..attach("c", None)
        };
        shell.run(conn(slot), vec![with_will(forever, u64::MAX / 2)]);
        shell.close(conn(slot), &[]);
    }
    assert_eq!(shell.broker.counts().sessions, 2);
    let deadlines = shell.broker.deadlines.len();
    assert!(deadlines < 5, "{deadlines} deadlines");
}

#[test]
fn a_session_written_down_for_its_will_alone_ends_in_the_log_too() {
    let mut shell = watched();
    shell.run(conn(1), vec![with_will(clean("c", None), 0)]);
    shell.close(conn(1), &[]);
    assert_eq!(shell.log.count(DELETE_SESSION), 1);
    shell.restart();
    assert_eq!(shell.broker.counts().sessions, 1, "the watcher's");
}

/// How a session comes to part with its will: delay and expiry, and what happens then.
type Parting = (u64, Option<u64>, fn() -> Vec<Command>);

const PARTINGS: [Parting; 6] = [
    (0, None, || vec![close(&[])]),
    (0, Some(0), || vec![close(&[])]),
    (1_000, None, || vec![Command::Tick]),
    (9_000, Some(1_000), || vec![Command::Tick]),
    (0, None, || vec![Command::Attach(attach("c", None))]),
    (9_000, None, || {
        let clean = true;
        let attach = attach("c", None);
        vec![Command::Attach(Attach { clean, ..attach })]
    }),
];

/// A crash between two calls finds the will or what it says. Mutants caught: `has_room_for_will`
/// that is always true, and no call of it in `close`, `meet` or `succeed`.
#[test]
fn l14_a_will_ends_in_the_call_that_publishes_it() {
    let mut options = BrokerOptions::default();
    options.limits.max_name_bytes = 32;
    let step = options.limits.step_bytes();
    let long = "gone".repeat(step);
    for (way, (delay_ms, expiry_ms, commands)) in PARTINGS.into_iter().enumerate() {
        for room in (step..7 * step).step_by(16) {
            let mut shell = Shell::with(options.clone());
            shell.attach(WATCHER, "watcher");
            shell.bind(WATCHER, "will", 1);
            let session = Attach {
                expiry_ms,
                ..attach("c", None)
            };
            shell.run(conn(1), vec![saying(&long, session, delay_ms)]);
            let mut commands = commands();
            let id = match commands[0] {
                Command::Tick => {
                    shell.close(conn(1), &[]);
                    shell.now.mono_ms += 1_000;
                    ConnectionId::BROKER
                }
                Command::Attach(Attach { clean: false, .. }) => conn(2),
                Command::Attach(_) => {
                    shell.close(conn(1), &[]);
                    conn(2)
                }
                _ => conn(1),
            };
            let end = shell.log.tail() + room as u64;
            shell.log.end = Some(end);
            let mut effects = shell.call(id, &mut commands);
            assert!(shell.log.tail() <= end, "way {way}, {room} B");
            let ended = shell.log.count(DELETE_WILL) + shell.log.count(DELETE_SESSION);
            let published = shell.log.count(MSG);
            assert_eq!(ended > 0, published > 0, "way {way}, {room} B");
            shell.log.end = None;
            effects.extend(shell.run(id, commands));
            assert_eq!(wills(&effects), 1, "way {way}, {room} B");
            shell.restart();
            shell.attach(WATCHER, "watcher");
            assert_eq!(wills(&shell.sleep(60_000)), 0, "way {way}, {room} B");
        }
    }
}

/// Mutant caught: `carry_will` that forgets what had no room.
#[test]
fn a_will_for_more_queues_than_its_call_has_room_for_is_published_by_the_next() {
    let mut options = BrokerOptions::default();
    options.limits.max_name_bytes = 32;
    let step = options.limits.step_bytes();
    let mut shell = Shell::with(options);
    for slot in 100..200 {
        shell.attach(conn(slot), &format!("s{slot}"));
        shell.bind(conn(slot), "will", 1);
    }
    shell.run(conn(1), vec![with_will(attach("c", None), 0)]);
    shell.log.end = Some(shell.log.tail() + step as u64 + 300);
    let mut commands = vec![close(&[])];
    let mut effects = shell.call(conn(1), &mut commands);
    assert!(shell.more && wills(&effects) == 0);
    shell.log.end = None;
    effects.extend(shell.run(conn(1), commands));
    assert_eq!(wills(&effects), 100);
}

#[test]
fn time_to_live_of_a_will_counts_from_its_publication() {
    let mut shell = watched();
    let Command::Attach(mut attach) = with_will(attach("c", None), 0) else {
        unreachable!()
    };
    attach.will.as_mut().unwrap().ttl_ms = Some(1_000);
    shell.run(conn(1), vec![Command::Attach(attach)]);
    shell.sleep(50_000);
    let effects = shell.close(conn(1), &[]);
    assert_eq!(bodies(&effects), ["gone"]);
    let (_, delivery) = delivered(&effects)[0];
    assert_eq!(delivery.run.envelope.expires_ms, shell.now.wall_ms + 1_000);
}
