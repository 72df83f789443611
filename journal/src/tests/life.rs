//! Opening, closing, threads, the pool, and the real file system.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::Refused;
use crate::vfs::{Faults, OpenMode, RealVfs, Vfs};

/// A directory of the real file system, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ternmq-{name}-{}", std::process::id()));
        // One left by a killed run.
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self, life: u64) -> Result<Recovery, Error> {
        Recovery::open(Arc::new(RealVfs), &self.0, options(), seed(life))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn second_opener_is_told_who_holds_the_lock() {
    let scratch = Scratch::new("lock");
    let real = || scratch.open(0).map(drop);
    let (disk, _journal) = fresh();
    let simulated = || open(&disk, 1).map(drop);
    let first = scratch.open(0).unwrap();
    for second in [real(), simulated()] {
        let Err(Error::Locked { file, holder }) = second else {
            panic!("{second:?}")
        };
        assert!(file.ends_with("LOCK"));
        let expected = format!("node {} pid {}", "07".repeat(16), std::process::id());
        assert_eq!(holder, expected);
    }
    drop(first);
    real().unwrap();
}

#[test]
fn real_files_keep_a_log_through_lives_checkpoints_and_recycling() {
    let scratch = Scratch::new("real");
    for life in 0..3 {
        let recovery = scratch.open(life).unwrap();
        let known = recovery.checkpoint().map_or(0, |_| 40 * life as u32);
        let records = replay(&recovery).unwrap();
        assert_eq!(known as usize + records.len(), 40 * life as usize);
        let journal = recovery.start().unwrap();
        for n in 0..40 {
            fill_pool(&journal);
            let position = append(&journal, n, &vec![n as u8; 12_000]);
            commit(&journal);
            assert_eq!(
                journal.read(Position(position)).unwrap().payload,
                vec![n as u8; 12_000]
            );
            journal.dead(position, 12_000);
        }
        let applied = journal.close_batch(&mut journal.batch());
        journal
            .write_checkpoint(applied, &[(1, &life.to_le_bytes())])
            .unwrap();
        journal.close().unwrap();
    }
    let names = RealVfs.list(&scratch.0.join("journal")).unwrap();
    assert!(names.len() < 6, "segments are freed: {names:?}");
    assert!(RealVfs.list(&scratch.0.join("pool")).unwrap().len() <= 8);
}

#[test]
fn thread_releases_waiters_and_close_drains_everything() {
    let (disk, journal) = fresh();
    let (sender, receiver) = mpsc::sync_channel(16);
    let thread = journal
        .spawn(move |list| sender.send(list).unwrap(), |e| panic!("{e}"))
        .unwrap();
    let position = append(&journal, 1, b"x");
    if journal.batch().wait(position, 9) {
        assert_eq!(receiver.recv_timeout(Duration::from_secs(20)).unwrap(), [9]);
    }
    append(&journal, 2, b"nobody waits");
    journal.sync().unwrap();
    append(&journal, 3, b"at the end");
    journal.close().unwrap();
    thread.join().unwrap();
    assert_eq!(journal.batch().reserve(1, 1), Err(Refused::Closed));
    assert_eq!(
        tags(&replay(&open(&disk.crash(0), 1).unwrap()).unwrap()),
        [1, 2, 3]
    );
    assert!(open(&disk, 1).is_ok(), "the lock is released");
}

#[test]
fn thread_reports_poison_once_and_ends() {
    let (disk, journal) = fresh();
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = journal
        .spawn(|_| (), move |error| sender.send(error).unwrap())
        .unwrap();
    let position = append(&journal, 1, b"x");
    disk.set_faults(Faults {
        fail_sync: Some(0),
        ..Faults::default()
    });
    assert!(journal.batch().wait(position, 9));
    let error = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(
        matches!(
            error,
            Error::Io {
                operation: "fdatasync",
                ..
            }
        ),
        "{error}"
    );
    thread.join().unwrap();
    assert!(journal.sync().is_err());
    assert!(journal.durable() < position);
}

#[test]
fn appends_go_on_while_a_sync_is_stuck() {
    let (disk, journal) = fresh();
    let (sender, receiver) = mpsc::sync_channel(64);
    let thread = journal
        .spawn(move |list| sender.send(list).unwrap(), |e| panic!("{e}"))
        .unwrap();
    disk.stick_sync();
    let mut last = 0;
    for n in 0..20 {
        last = append(&journal, n, &[0; 10_000]);
        assert!(journal.batch().wait(last, n));
    }
    assert!(journal.stats().queued_batches > 0 && journal.durable() < last);
    disk.release_sync();
    let mut woken = Vec::new();
    while woken.len() < 20 {
        woken.extend(receiver.recv_timeout(Duration::from_secs(20)).unwrap());
    }
    assert!(woken.is_sorted());
    journal.close().unwrap();
    thread.join().unwrap();
}

#[test]
fn full_disk_stops_the_filler_and_nothing_else() {
    let disk = SimDisk::new();
    let journal = open(&disk, 0).unwrap().start().unwrap();
    disk.set_faults(Faults {
        space: Some(100_000),
        ..Faults::default()
    });
    let error = journal.filler_step().unwrap_err();
    assert!(
        matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    );
    assert!(
        disk.list(&dir().join("pool")).unwrap().is_empty(),
        "what was begun is given back"
    );
    append(&journal, 1, b"still taken");
    commit(&journal);
    disk.set_faults(Faults::default());
    assert!(journal.filler_step().unwrap());
}

#[test]
fn full_disk_is_told_once_and_so_is_its_end() {
    let disk = SimDisk::new();
    let journal = open(&disk, 0).unwrap().start().unwrap();
    disk.set_faults(Faults {
        space: Some(0),
        ..Faults::default()
    });
    let (sender, told) = mpsc::sync_channel(8);
    let on_change = move |error: Option<Error>| {
        let _ = sender.send(error.map(|error| error.to_string()));
    };
    let filler = journal.spawn_filler(on_change).unwrap();
    let patience = Duration::from_secs(20);
    let failure = told.recv_timeout(patience).unwrap().unwrap();
    assert!(failure.starts_with("fallocate of /data/pool/"), "{failure}");
    while journal.stats().prepare_failures < 2 {
        // Whoever takes a prepared segment wakes it like this.
        journal.filler_work.notify_one();
        thread::yield_now();
    }
    disk.set_faults(Faults::default());
    assert_eq!(told.recv_timeout(patience).unwrap(), None);
    journal.close().unwrap();
    filler.join().unwrap();
    assert!(told.recv().is_err(), "nothing more is told");
}

#[test]
fn l8_directory_that_is_taken_away_poisons_the_journal() {
    type TakeAway = fn(&SimDisk);
    let cases: [TakeAway; 2] = [
        |disk| disk.unlink(&dir().join("LOCK")).unwrap(),
        // Another log took its place.
        |disk| {
            disk.unlink(&dir().join("LOCK")).unwrap();
            drop(disk.open(&dir().join("LOCK"), OpenMode::Create).unwrap());
        },
    ];
    for take_away in cases {
        let (disk, journal) = fresh();
        assert!(!journal.filler_step().unwrap());
        take_away(&disk);
        assert!(matches!(journal.filler_step(), Err(Error::Gone { .. })));
        assert!(journal.stats().poisoned);
        assert!(matches!(journal.step(), Err(Error::Poisoned)));
        assert_eq!(journal.batch().reserve(1, 1), Err(Refused::Poisoned));
    }
}

#[test]
fn l8_real_directory_that_is_moved_replaced_or_removed_is_noticed() {
    let scratch = Scratch::new("gone");
    let journal = scratch.open(0).unwrap().start().unwrap();
    fill_pool(&journal);
    let moved = scratch.0.with_extension("moved");
    std::fs::rename(&scratch.0, &moved).unwrap();
    std::fs::create_dir(&scratch.0).unwrap();
    std::fs::write(scratch.0.join("LOCK"), b"").unwrap();
    let gone = journal.filler_step();
    std::fs::remove_dir_all(&moved).unwrap();
    assert!(matches!(gone, Err(Error::Gone { .. })), "{gone:?}");
    drop(journal);
    std::fs::remove_dir_all(&scratch.0).unwrap();
    let journal = scratch.open(0).unwrap().start().unwrap();
    std::fs::remove_dir_all(&scratch.0).unwrap();
    assert!(matches!(journal.filler_step(), Err(Error::Gone { .. })));
}

#[test]
fn l28_the_time_without_room_begins_with_a_refusal_and_ends_with_a_segment() {
    let (_disk, journal) = fresh();
    assert_eq!(journal.stats().no_room_ms, 0);
    while journal.batch().reserve(30_000, 1).is_ok() {
        append(&journal, 1, &[0; 30_000]);
        commit(&journal);
    }
    while journal.stats().no_room_ms == 0 {
        thread::yield_now();
    }
    assert!(journal.filler_step().unwrap());
    assert_eq!(journal.stats().no_room_ms, 0);
}

#[test]
fn filler_thread_keeps_the_pool_full_until_close() {
    let disk = SimDisk::new();
    let journal = open(&disk, 0).unwrap().start().unwrap();
    let filler = journal.spawn_filler(|_| {}).unwrap();
    for n in 0..30 {
        while journal.batch().reserve(30_000, 1).is_err() {
            thread::yield_now();
        }
        append(&journal, n, &[0; 30_000]);
        commit(&journal);
    }
    journal.close().unwrap();
    filler.join().unwrap();
}

#[test]
fn start_uses_a_prepared_file_and_drops_those_of_another_size() {
    let (disk, journal) = fresh();
    assert_eq!(journal.stats().prepared, 2);
    journal.close().unwrap();
    let stray = disk
        .open(&dir().join("pool/0000000000000009.tmp"), OpenMode::Create)
        .unwrap();
    stray.pwrite(0, b"half").unwrap();
    let second = open(&disk, 1).unwrap().start().unwrap();
    assert_eq!(second.stats().prepared, 1);
    second.close().unwrap();
    let larger = Options {
        segment_size: 512 * 1024,
        ..options()
    };
    let recovery = Recovery::open(Arc::new(disk.clone()), &dir(), larger, seed(2)).unwrap();
    let third = recovery.start().unwrap();
    assert_eq!(third.stats().prepared, 0);
    assert!(disk.list(&dir().join("pool")).unwrap().is_empty());
    append(&third, 1, &[0; 100_000]);
    commit(&third);
    third.close().unwrap();
    assert_eq!(tags(&replay(&open(&disk, 3).unwrap()).unwrap()), [1]);
}

#[test]
fn torn_control_page_leaves_the_life_before() {
    let (disk, journal) = fresh();
    append(&journal, 1, b"x");
    commit(&journal);
    journal.close().unwrap();
    let crashed = disk.crash(0);
    drop(open(&crashed, 1).unwrap());
    assert!(crashed.flip_bit(&dir().join("control.a"), 20, 0));
    let recovery = open(&crashed, 2).unwrap();
    assert_eq!(tags(&replay(&recovery).unwrap()), [1]);
}

#[test]
fn log_of_another_uuid_or_version_is_refused() {
    let (disk, journal) = fresh();
    journal.close().unwrap();
    let path = dir().join("journal/0000000000000000.tj");
    for (at, value) in [(32, 8), (8, 2), (20, 1)] {
        let other = disk.crash(0);
        let mut page = other.contents(&path).unwrap();
        page.truncate(4092);
        page[at] = value;
        let crc = crc32c::crc32c(&page).to_le_bytes();
        page.extend_from_slice(&crc);
        other
            .open(&path, OpenMode::Existing)
            .unwrap()
            .pwrite(0, &page)
            .unwrap();
        let result = open(&other, 1).map(drop);
        match at {
            32 => assert!(matches!(result, Err(Error::WrongLog { .. })), "{result:?}"),
            _ => assert!(
                matches!(result, Err(Error::Unsupported { .. })),
                "{result:?}"
            ),
        }
    }
}

#[test]
fn options_out_of_range_are_named() {
    let cases = [
        (
            Options {
                segment_size: 4096,
                ..options()
            },
            "segment_size",
        ),
        (
            Options {
                segment_size: 256 * 1024 + 1,
                ..options()
            },
            "segment_size",
        ),
        (
            Options {
                batch_bytes: 0,
                ..options()
            },
            "batch_bytes",
        ),
        (
            Options {
                prepared_segments: 1,
                ..options()
            },
            "prepared_segments",
        ),
        (
            Options {
                free_segments_max: 65,
                ..options()
            },
            "free_segments_max",
        ),
    ];
    for (options, expected) in cases {
        let result = Recovery::open(Arc::new(SimDisk::new()), &dir(), options, seed(0)).map(drop);
        assert!(
            matches!(result, Err(Error::BadOption { name }) if name == expected),
            "{expected}"
        );
    }
}

#[test]
fn closed_journal_leaves_the_directory_alone() {
    let (disk, journal) = fresh();
    append(&journal, 1, b"x");
    let applied = journal.close_batch(&mut journal.batch());
    commit(&journal);
    journal.state.lock().prepared.clear();
    journal.close().unwrap();
    let points = disk.points();
    assert!(!journal.filler_step().unwrap());
    assert!(matches!(
        journal.write_checkpoint(applied, &[]),
        Err(Error::Closed)
    ));
    assert!(matches!(journal.reclaim(), Err(Error::Closed)));
    assert_eq!(journal.step().unwrap(), Step::Idle);
    assert_eq!(disk.points(), points);
}
