//! Laws L6, L7, L28: checkpoints, recovery from them, copying forward.

use std::path::Path;

use ternmq_journal::vfs::Vfs;

use super::*;

/// Takes all messages of a queue and leaves them unsettled.
fn drain(world: &World, name: &str) -> Vec<Vec<u8>> {
    let mut consumer = world.client();
    consumer.consume_queue(1, name, 100_000);
    world.commit();
    let mut all = Vec::new();
    loop {
        let released = consumer.take();
        if released.deliveries.is_empty() {
            return all;
        }
        all.extend(bodies(&released));
        consumer.submit(Command::Room(1 << 20));
        world.commit();
    }
}

/// A checkpoint with the journal thread's part done by hand.
pub(super) fn checkpoint(world: &World) {
    let shared = &world.engine.shared;
    std::thread::scope(|scope| {
        let checkpoint = scope.spawn(|| shared.checkpoint());
        while !checkpoint.is_finished() {
            world.step();
            std::thread::yield_now();
        }
        checkpoint.join().unwrap().unwrap();
    });
    world.commit();
}

#[test]
fn l7_recovery_from_checkpoint_and_log_gives_what_was_confirmed() {
    let world = World::new();
    world.declare("q");
    let mut client = world.client();
    client.send("q", b"1");
    client.send("q", b"2");
    world.commit();
    checkpoint(&world);
    client.send("q", b"3");
    client.take();
    world.commit();
    for seed in 0..4 {
        let later = world.crash(seed);
        assert_eq!(drain(&later, "q"), [b"1", b"2", b"3"]);
        // And once more, from what that life left.
        assert_eq!(drain(&later.crash(seed), "q"), [b"1", b"2", b"3"]);
    }
}

/// Mutant caught: `applied` taken from the watermark instead of from `close_batch`.
#[test]
fn l7_checkpoint_cut_anywhere_loses_and_repeats_nothing() {
    for cut in 0..12 {
        let world = World::new();
        world.declare("q");
        let mut client = world.client();
        for n in 0..20u8 {
            client.send("q", &[n]);
        }
        client.consume_queue(1, "q", 100);
        world.commit();
        let receipt = client.next_token();
        client.take();
        client.settle(1, 1, 10, Some(receipt));
        client.take();
        world.commit();
        assert_eq!(client.answers(), [receipt]);
        // Decided when the checkpoint is taken, durable or not when the power fails.
        for n in 20..23u8 {
            client.send("q", &[n]);
        }
        world.disk.cut_at(world.disk.points() + cut);
        let shared = &world.engine.shared;
        std::thread::scope(|scope| {
            let checkpoint = scope.spawn(|| shared.checkpoint());
            while !checkpoint.is_finished() {
                if shared.journal.step().is_err() {
                    break;
                }
                std::thread::yield_now();
            }
        });
        let expected: Vec<Vec<u8>> = (10..20u8).map(|n| vec![n]).collect();
        for seed in 0..3 {
            let found = drain(&world.crash(seed), "q");
            assert_eq!(found[..10], expected, "cut {cut}");
            let rest: Vec<Vec<u8>> = (20..20 + found.len() as u8 - 10).map(|n| vec![n]).collect();
            assert_eq!(found[10..], rest, "cut {cut}");
        }
    }
}

/// Publishes as long as it is told, with a pool that never runs dry.
fn publish_while(world: &World, client: &mut Client, go_on: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if !go_on() {
            return;
        }
        client.send("q", &[1; 1 << 20]);
        client.take();
        world.commit();
        while world.engine.shared.journal.filler_step().unwrap() {}
    }
    panic!("it never came");
}

#[test]
fn checkpoint_is_due_after_two_segments_of_log() {
    let world = World::prepared();
    world.declare("q");
    let mut client = world.client();
    let shared = &world.engine.shared;
    publish_while(&world, &mut client, || !*shared.checkpoints.due.lock());
    let tail = shared.journal.stats().tail;
    assert!((2 * SEGMENT..3 * SEGMENT).contains(&tail), "{tail}");
}

#[test]
fn l28_publishes_wait_for_an_overdue_checkpoint_and_settlements_do_not() {
    let world = World::prepared();
    world.declare("q");
    let (mut producer, mut consumer) = (world.client(), world.client());
    consumer.consume_queue(1, "q", 10_000);
    let waiting = || world.engine.stats().waiting_for_disk;
    publish_while(&world, &mut producer, || waiting() == 0);
    assert_eq!(world.engine.stats().journal.segments, 5);
    assert!(!consumer.bodies().is_empty());
    let receipt = consumer.next_token();
    consumer.settle(1, 1, 1, Some(receipt));
    world.commit();
    assert!(consumer.answers().contains(&receipt));
    assert_eq!((waiting(), producer.answers().len()), (1, 0));
    checkpoint(&world);
    world.commit();
    assert_eq!((waiting(), producer.answers().len()), (0, 1));
}

/// What recovery makes of the disk when its newest checkpoint has rotted.
fn without_newest_checkpoint(world: &World) -> World {
    let disk = world.disk.crash(0);
    let dir = Path::new("/data/ckpt");
    let mut names = disk.list(dir).unwrap();
    names.sort_unstable();
    if names.len() > 1 {
        assert!(disk.flip_bit(&dir.join(names.last().unwrap()), 60, 1));
    }
    World::open(disk, |_| {})
}

/// Mutants caught: a moved message is looked for where its name says; AGAIN is not replayed.
#[test]
fn l28_live_messages_of_nearly_dead_segments_move_and_survive() {
    let world = World::prepared();
    world.declare("keep");
    world.declare("pass");
    let mut client = world.client();
    client.consume_queue(1, "pass", 100_000);
    let shared = &world.engine.shared;
    let mut tag = 1;
    let mut kept = Vec::new();
    for round in 0..6u8 {
        let body = vec![round; 100];
        client.send("keep", &body);
        kept.push(body);
        for _ in 0..10 {
            client.send("pass", &[9; 1 << 19]);
            client.take();
            world.commit();
            let count = u32::try_from(client.bodies().len()).unwrap();
            client.settle(1, tag, count, None);
            client.submit(Command::Room(1 << 20));
            tag += u64::from(count);
            while shared.journal.filler_step().unwrap() {}
        }
        checkpoint(&world);
        assert_eq!(drain(&without_newest_checkpoint(&world), "keep"), kept);
    }
    for _ in 0..4 {
        checkpoint(&world);
        assert_eq!(drain(&without_newest_checkpoint(&world), "keep"), kept);
        client.send("pass", b"x");
        client.take();
        world.commit();
    }
    let stats = world.engine.stats();
    assert!(stats.copied_forward > 0, "nothing was copied");
    let first = shared.journal.segments().first().unwrap().base;
    assert!(first > 0, "the first segment was never freed");
    for seed in 0..3 {
        let later = world.crash(seed);
        assert_eq!(drain(&later, "keep"), kept);
        // The places come back from the checkpoint of a later life, too.
        checkpoint(&later);
        assert_eq!(drain(&later.crash(seed), "keep"), kept);
    }
}

/// An empty message is alive as well: its segment must stay.
#[test]
fn l28_segment_of_an_empty_message_is_kept() {
    let world = World::prepared();
    world.declare("keep");
    let mut client = world.client();
    client.send("keep", b"");
    world.declare("pass");
    client.consume_queue(1, "pass", 100_000);
    let mut tag = 1;
    for _ in 0..6 {
        for _ in 0..5 {
            client.send("pass", &[9; 1 << 20]);
            client.take();
            world.commit();
            client.settle(1, tag, 1, None);
            client.submit(Command::Room(2 << 20));
            client.take();
            tag += 1;
            while world.engine.shared.journal.filler_step().unwrap() {}
        }
        checkpoint(&world);
    }
    assert_eq!(drain(&world.crash(0), "keep"), [b""]);
}

#[test]
fn refused_directory_names_the_segment_size_that_works() {
    use crate::engine::EngineError;
    let time = Arc::new(Manual::default());
    let small = EngineOptions {
        segment_size: 128 << 10,
        ..options(&time)
    };
    let refused = Engine::open(Arc::new(SimDisk::new()), small, seed(1));
    assert!(matches!(
        refused.err(),
        Some(EngineError::SegmentSize { min: 262_144 })
    ));
    let smallest = EngineOptions {
        segment_size: 256 << 10,
        ..options(&time)
    };
    assert!(Engine::open(Arc::new(SimDisk::new()), smallest, seed(1)).is_ok());
}
