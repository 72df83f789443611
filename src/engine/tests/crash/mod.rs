//! Laws L1, L5, L6, L7, L9, L13, L14, L15, L28: the power fails at every sync, rename and unlink of a
//! whole broker, and of its recovery. What was answered is there, what was settled stays settled,
//! nothing is invented, order is kept.
//!
//! `TERNMQ_CRASH_CUTS` sets how many cuts of each scenario are tried (default 40; 0 means all),
//! `TERNMQ_CRASH_SEED` the first seed, `TERNMQ_CRASH_SEEDS` how many.

mod hands;
mod handshakes;
mod ledger;
mod life;
mod links;
mod subscriptions;

use super::*;

use handshakes::Handshakes;
use ledger::{Found, Home, Ledger};
use life::{Life, QUEUES, RETAINED, SESSIONS, attach, bind, id_of};

const ACTIONS: u32 = 1_800;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A scenario up to the cut, if there is one, and what the outside world knows then.
fn scenario(disk: &SimDisk, seed: u64, ledger: Ledger) -> (Ledger, Option<usize>) {
    match Life::start(disk, seed, ledger) {
        Ok(mut life) => {
            let whole = life.run(ACTIONS);
            let checkpoints = whole.then_some(life.checkpoints);
            (life.ledger.clone(), checkpoints)
        }
        Err(ledger) => (ledger, None),
    }
}

/// Makes everything durable, with prepared segments.
fn settle(world: &World) {
    for _ in 0..4 {
        while world.engine.shared.journal.filler_step().unwrap() {}
        world.commit();
        world.time.advance(50);
        world.engine.shared.step_deadlines();
    }
}

/// Answers, and messages as (retained, id), in order.
type Drained = (Vec<(Token, Answer)>, Vec<(bool, u64)>);

/// Takes everything that a client gets, in order.
fn drain(world: &World, client: &Client) -> Drained {
    let (mut answers, mut bodies) = (Vec::new(), Vec::new());
    loop {
        settle(world);
        let released = client.take();
        if released.answers.is_empty() && released.deliveries.is_empty() {
            return (answers, bodies);
        }
        answers.extend(released.answers);
        for outgoing in released.deliveries {
            let Outgoing::Delivery(delivery) = outgoing else {
                continue;
            };
            for index in delivery.first..delivery.first + delivery.count {
                bodies.push((delivery.retained, id_of(delivery.run.message(index))));
            }
            if delivery.consumer == ConsumerKey::SESSION && delivery.tag > 0 {
                let (first, n) = (delivery.tag, delivery.count);
                client.submit(Command::Settle(Settle {
                    consumer: ConsumerKey::SESSION,
                    tags: Tags::Range { first, n },
                    outcome: ternmq_core::command::Outcome::Accepted,
                    note: None,
                    token: None,
                }));
            }
            client.submit(Command::Room(delivery.room()));
        }
    }
}

/// What fresh consumers of a recovered broker get.
fn found(world: &World) -> Found {
    let mut found = Found::default();
    settle(world);
    for (queue, name) in QUEUES.iter().enumerate() {
        let mut consumer = world.client();
        consumer.consume_queue(1, name, 1_000_000);
        let ids = drain(world, &consumer).1.into_iter().map(|(_, id)| id);
        found.homes.insert(Home::Queue(queue), ids.collect());
    }
    let mut consumer = world.client();
    consumer.consume_queue(1, "DLQ", 1_000_000);
    let dead = drain(world, &consumer).1.into_iter();
    let dead = dead.map(|(_, id)| id);
    found.dead = dead.filter(|id| *id < subscriptions::FIRST_ID).collect();
    for (session, name) in SESSIONS.iter().enumerate() {
        let mut client = world.client();
        let token = attach(&mut client, name, false);
        let (answers, bodies) = drain(world, &client);
        let present = answers.iter().any(|(answered, answer)| {
            *answered == token && matches!(answer, Answer::Attached { present: true, .. })
        });
        found.sessions.insert(session, present);
        let ids = bodies.into_iter().map(|(_, id)| id).collect();
        found.homes.insert(Home::Session(session), ids);
    }
    for at in 0..RETAINED {
        let mut client = world.client();
        attach(&mut client, &format!("value-{at}"), true);
        bind(&mut client, &format!("r.{at}"), true);
        let values: Vec<_> = drain(world, &client).1;
        assert!(values.len() <= 1 && values.iter().all(|(retained, _)| *retained));
        if let Some((_, id)) = values.first() {
            found.retained.insert(at, *id);
        }
    }
    found
}

/// Recovers a disk and compares what is there with what must be.
fn check(disk: &SimDisk, ledger: &Ledger, context: &str) -> Found {
    let world = life::open(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let kept = links::found(&world, &ledger.history);
    let kept = kept.unwrap_or_else(|wrong| panic!("{context}: {wrong}"));
    let mut found = found(&world);
    found.kept = kept;
    if let Err(wrong) = ledger.check(&found) {
        panic!("{context}: {wrong}");
    }
    match hands::finish(&world, (*ledger.handshakes).clone()) {
        Ok(again) => found.again = again,
        Err(wrong) => panic!("{context}: {wrong}"),
    }
    found
}

/// Cuts to try of `points` there are, spread evenly, others for each seed.
fn cuts(points: u64, seed: u64, share: u64) -> impl Iterator<Item = u64> {
    let wanted = number("TERNMQ_CRASH_CUTS", 40) / share;
    let step = match wanted {
        0 if share == 1 || number("TERNMQ_CRASH_CUTS", 40) == 0 => 1,
        0 => points,
        wanted => points.div_ceil(wanted),
    };
    let step = usize::try_from(step.max(1)).unwrap();
    (seed % step as u64..points).step_by(step)
}

fn seeds() -> std::ops::Range<u64> {
    let first = number("TERNMQ_CRASH_SEED", 1);
    first..first + number("TERNMQ_CRASH_SEEDS", 2)
}

/// Mutants caught: `confirm_before_sync` and the others of `tests/mutants/table` that name it; a
/// checkpoint without notes, a move that leaves them, a subscription of another filter that stays.
#[test]
fn l1_l5_l6_l15_every_cut_keeps_what_was_answered_and_invents_nothing() {
    for seed in seeds() {
        let disk = SimDisk::new();
        let mut life = Life::start(&disk, seed, Ledger::default()).unwrap();
        assert!(life.run(ACTIONS) && life.checkpoints > 2, "checkpoints");
        let ledger = life.ledger.clone();
        assert!(ledger.confirms > 100, "{} confirms", ledger.confirms);
        assert!(ledger.ends > 10, "{} ends", ledger.ends);
        let points = disk.points();
        assert!(points > 100, "{points} points");
        check(&disk.crash(0), &ledger, &format!("seed {seed}, no cut"));
        let history = &ledger.history;
        assert!(history.is_rich(), "{:?}", history.counts);
        assert_eq!(life.end_links(), Ok(()), "seed {seed}, still alive");
        let mut handshakes = Handshakes::default().counts;
        for cut in cuts(points, seed, 1) {
            let disk = SimDisk::new();
            disk.cut_at(cut);
            let (ledger, whole) = scenario(&disk, seed, Ledger::default());
            assert!(whole.is_none(), "cut {cut} was not reached");
            handshakes.add(ledger.handshakes.open());
            for survival in [0, cut * 31 + 2] {
                let context = format!("seed {seed} cut {cut} survival {survival}");
                handshakes.add(check(&disk.crash(survival), &ledger, &context).again);
            }
        }
        assert!(handshakes.is_rich(), "{handshakes:?}");
    }
}

/// A life behind a crash, which crashes too.
#[test]
fn l6_l7_second_life_loses_nothing_of_the_first() {
    for seed in seeds() {
        let disk = SimDisk::new();
        scenario(&disk, seed, Ledger::default());
        for cut in cuts(disk.points(), seed, 5) {
            let disk = SimDisk::new();
            disk.cut_at(cut);
            let (mut ledger, _) = scenario(&disk, seed, Ledger::default());
            let crashed = disk.crash(cut + 2);
            let context = format!("seed {seed} cut {cut}");
            let found = check(&crashed.kill(), &ledger, &context);
            ledger.resolve(&found);
            crashed.cut_at(cut % 150 + 20);
            let (ledger, _) = scenario(&crashed, seed + 17, ledger);
            for survival in [0, cut + 5] {
                let context = format!("{context}, second life, survival {survival}");
                check(&crashed.crash(survival), &ledger, &context);
            }
        }
    }
}

#[test]
fn l6_recovery_cut_anywhere_comes_to_the_same_state() {
    for seed in seeds() {
        let disk = SimDisk::new();
        scenario(&disk, seed, Ledger::default());
        for cut in cuts(disk.points(), seed, 10) {
            let disk = SimDisk::new();
            disk.cut_at(cut);
            let (ledger, _) = scenario(&disk, seed, Ledger::default());
            let crashed = disk.crash(cut + 3);
            for second in 0.. {
                let torn = crashed.kill();
                torn.cut_at(second);
                if life::open(&torn).is_ok() {
                    assert!(second > 0, "recovery passes no point");
                    break;
                }
                let context = format!("seed {seed} cut {cut}, in recovery {second}");
                check(&torn.crash(second % 3), &ledger, &context);
            }
        }
    }
}

/// Everything that one client gets of a queue.
fn ids_of(world: &World, queue: &str) -> Vec<u64> {
    let mut consumer = world.client();
    consumer.consume_queue(1, queue, 1_000_000);
    let bodies = drain(world, &consumer).1;
    bodies.into_iter().map(|(_, id)| id).collect()
}

/// A log whose middle segments hold no live body, but an ack, and a state that covers them; the
/// disk is cut `after` so many points of the checkpoint.
fn checkpoint_cut(disk: &SimDisk, after: u64) {
    let world = life::open(disk).unwrap();
    settle(&world);
    for name in ["keep", "pass"] {
        world.declare(name);
    }
    let mut client = world.client();
    for id in [1u64, 2] {
        client.send("keep", &id.to_le_bytes());
    }
    client.consume_queue(1, "keep", 10);
    client.consume_queue(2, "pass", 10);
    settle(&world);
    client.take();
    let shared = &world.engine.shared;
    let keep = || {
        let state = shared.serialise();
        settle(&world);
        shared.keep(&state).is_ok()
    };
    // The older of two is what frees segments.
    assert!(keep() && keep());
    let receipt = client.next_token();
    client.settle(1, 1, 1, Some(receipt));
    settle(&world);
    assert_eq!(client.answers(), [receipt]);
    for tag in 1..=80 {
        client.send("pass", &[0; 12_000]);
        settle(&world);
        client.take();
        client.submit(Command::Room(20_000));
        client.settle(2, tag, 1, None);
    }
    settle(&world);
    let state = shared.serialise();
    settle(&world);
    disk.cut_at(disk.points() + after);
    // An error if the cut was reached.
    let _kept = shared.keep(&state);
}

/// Mutant caught: `segment_freed_before_checkpoint`.
#[test]
fn l28_segment_is_not_freed_before_the_checkpoint_that_covers_it_is_in_place() {
    for after in 0..16 {
        let disk = SimDisk::new();
        checkpoint_cut(&disk, after);
        for survival in [0, 1, after + 2] {
            let world = life::open(&disk.crash(survival));
            let context = format!("cut {after} survival {survival}");
            let world = world.unwrap_or_else(|error| panic!("{context}: {error}"));
            settle(&world);
            assert_eq!(ids_of(&world, "keep"), [2], "{context}");
        }
    }
}
