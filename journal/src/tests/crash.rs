//! The power fails at every sync, rename and unlink of a scenario, and of its recovery.

use super::world::{History, Live, World, open, recovered};
use crate::Error;
use crate::vfs::SimDisk;

const ACTIONS: u32 = 250;

/// A scenario that reaches every moving part, up to the cut.
fn scenario(disk: &SimDisk, seed: u64) -> Result<History, (History, Error)> {
    let mut world = match World::start(disk, 0, seed) {
        Ok(world) => world,
        Err(error) => return Err((History::default(), error)),
    };
    match world.run(ACTIONS) {
        Ok(()) => {
            world.check_bodies();
            let segments = world.journal.segments();
            assert!(segments[0].base > 0, "nothing was reclaimed: {segments:?}");
            Ok(world.history)
        }
        Err(error) => Err((world.history, error)),
    }
}

/// Recovers, checks the state and the bodies behind it, works on, and recovers again.
fn check(disk: &SimDisk, history: &History, context: &str) -> Live {
    let recovery = open(disk, 1).unwrap_or_else(|error| panic!("{context}: {error}"));
    let live = recovered(&recovery).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(
        live.is_empty() && history.is_empty() || history.allows(&live),
        "{context}: {live:?}"
    );
    drop(recovery);
    let mut world = World::start(disk, 2, 5).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(world.live, live, "{context}: the second recovery differs");
    world.check_bodies();
    world.run(6).unwrap();
    world.commit().unwrap();
    let again = recovered(&open(&disk.crash(0), 3).unwrap()).unwrap();
    assert_eq!(again, world.live, "{context}: the next life lost something");
    live
}

#[test]
fn l1_l7_l8_every_cut_leaves_what_was_durable_and_nothing_invented() {
    for seed in [1, 2] {
        let disk = SimDisk::new();
        let whole = scenario(&disk, seed).unwrap_or_else(|(_, error)| panic!("{error}"));
        check(&disk.crash(0), &whole, "no cut");
        let points = disk.points();
        assert!(
            points > 150,
            "the scenario does too little: {points} points"
        );
        for cut in 0..points {
            let disk = SimDisk::new();
            disk.cut_at(cut);
            let Err((history, _)) = scenario(&disk, seed) else {
                panic!("cut {cut} was not reached");
            };
            let survivals = [0, cut * 31 + 2, 1, cut * 37 + 3];
            for &survival in &survivals[..4 / seed as usize] {
                let context = format!("seed {seed} cut {cut} survival {survival}");
                check(&disk.crash(survival), &history, &context);
            }
        }
    }
}

#[test]
fn l6_recovery_cut_anywhere_comes_to_the_same_log() {
    let disk = SimDisk::new();
    scenario(&disk, 3).unwrap_or_else(|(_, error)| panic!("{error}"));
    let points = disk.points();
    for cut in (points / 2..points).step_by(7) {
        let disk = SimDisk::new();
        disk.cut_at(cut);
        let Err((history, _)) = scenario(&disk, 3) else {
            panic!("cut {cut} was not reached")
        };
        let crashed = disk.crash(cut + 2);
        let live = check(&crashed.kill(), &history, "recovery not cut");
        let before = crashed.points();
        for second in 0.. {
            let torn = crashed.kill();
            torn.cut_at(before + second);
            if World::start(&torn, 1, 0).is_ok() {
                assert!(second > 8, "recovery has more steps than that");
                break;
            }
            for survival in [0, 1, second + 2] {
                let context = format!("cut {cut}, in recovery {second}, survival {survival}");
                let again = check(&torn.crash(survival), &history, &context);
                assert_eq!(again, live, "{context}");
            }
        }
    }
}

#[test]
fn unsynced_commits_torn_in_any_way_are_never_taken_for_damage() {
    let disk = SimDisk::new();
    let world = World::start(&disk, 0, 0).unwrap();
    for n in 0..4u32 {
        let mut batch = world.journal.batch();
        batch.reserve(3000, 1).unwrap();
        batch.append(32, 0, n, &[n as u8; 3000], None, 0);
        drop(batch);
        world.journal.step().unwrap();
        for survival in 0..60 {
            let recovery = open(&disk.crash(survival), 1);
            let live = recovered(&recovery.unwrap_or_else(|e| panic!("{survival}: {e}"))).unwrap();
            let prefix = u32::try_from(live.len()).unwrap();
            assert!(live.keys().copied().eq(0..prefix), "{survival}: {live:?}");
        }
    }
}
