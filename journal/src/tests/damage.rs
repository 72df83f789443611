//! Bits that flip: what had been durable is reported, never cut; a torn tail is no damage.

use super::*;
use crate::vfs::{OpenMode, Vfs};

fn first_segment() -> PathBuf {
    dir().join("journal/0000000000000000.tj")
}

/// Three commits; the last is vouched for by nothing unless the journal closes.
fn three_commits() -> (SimDisk, Arc<Journal>, Vec<usize>) {
    let (disk, journal) = fresh();
    let mut at = Vec::new();
    for n in 0..3 {
        let position = append(&journal, n, &[n as u8 + 1; 600]);
        at.push(usize::try_from(position).unwrap() - 48);
        commit(&journal);
    }
    (disk, journal, at)
}

#[test]
fn every_flipped_bit_of_a_durable_commit_is_reported_with_file_and_range() {
    let (disk, journal, at) = three_commits();
    journal.close().unwrap();
    for commit in at {
        for offset in commit..commit + 48 + 16 + 600 {
            let rotten = disk.crash(0);
            assert!(rotten.flip_bit(&first_segment(), offset, offset as u8));
            match open(&rotten, 1).map(drop) {
                Err(Error::Damaged { file, from, to }) => {
                    assert_eq!((file, from), (first_segment(), commit as u64));
                    assert!(to > offset as u64);
                }
                other => panic!("offset {offset}: {other:?}"),
            }
        }
    }
}

#[test]
fn torn_last_commit_is_cut_and_the_rest_is_there() {
    let (disk, _journal, at) = three_commits();
    for offset in at[2]..at[2] + 48 + 16 + 600 {
        let torn = disk.crash(0);
        torn.flip_bit(&first_segment(), offset, 3);
        let recovery = open(&torn, 1).unwrap();
        assert_eq!(tags(&replay(&recovery).unwrap()), [0, 1], "offset {offset}");
    }
}

#[test]
fn torn_commits_that_no_later_block_vouches_for_are_cut_together() {
    let (disk, journal) = fresh();
    append(&journal, 0, b"durable");
    commit(&journal);
    let first = append(&journal, 1, b"written");
    journal.step().unwrap();
    append(&journal, 2, b"written too");
    journal.step().unwrap();
    let torn = disk.crash(1);
    torn.flip_bit(&first_segment(), usize::try_from(first).unwrap(), 0);
    assert_eq!(tags(&replay(&open(&torn, 1).unwrap()).unwrap()), [0]);
}

#[test]
fn damage_in_an_earlier_segment_is_found_by_the_next_header() {
    let (disk, journal) = fresh();
    for n in 0..30 {
        append(&journal, n, &[1; 20_000]);
        commit(&journal);
        fill_pool(&journal);
    }
    let end = usize::try_from(journal.segments()[0].end).unwrap();
    disk.flip_bit(&first_segment(), end - 9, 1);
    let recovery = open(&disk.crash(0), 1).unwrap();
    let error = replay(&recovery).unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { file, .. } if *file == first_segment()),
        "{error}"
    );
    let name = Position(journal.segments()[0].end - 20_016);
    assert!(matches!(journal.read(name), Err(Error::Damaged { .. })));
}

#[test]
fn damaged_or_missing_header_of_a_written_segment_is_damage() {
    let (disk, _journal, _) = three_commits();
    let rotten = disk.crash(0);
    rotten.flip_bit(&first_segment(), 60, 1);
    assert!(matches!(
        open(&rotten, 1).map(drop),
        Err(Error::Damaged { .. })
    ));
    assert!(
        rotten.contents(&first_segment()).is_some(),
        "nothing was cut"
    );
}

#[test]
fn missing_segment_is_damage() {
    let (disk, journal) = fresh();
    while journal.segments().len() < 4 {
        append(&journal, 0, &[1; 30_000]);
        commit(&journal);
        fill_pool(&journal);
    }
    for segment in &journal.segments()[..2] {
        let torn = disk.crash(0);
        torn.unlink(&dir().join(format!("journal/{:016x}.tj", segment.base)))
            .unwrap();
        let result = open(&torn, 1).and_then(|recovery| replay(&recovery));
        assert!(
            matches!(result, Err(Error::Damaged { .. })),
            "{:#x}",
            segment.base
        );
    }
}

#[test]
fn segments_without_checkpoint_or_control_are_damage_and_never_a_new_log() {
    let (disk, _journal, _) = three_commits();
    let torn = disk.crash(0);
    torn.unlink(&dir().join("control.b")).unwrap();
    assert!(matches!(
        open(&torn, 1).map(drop),
        Err(Error::Damaged { .. })
    ));
    let (disk, journal, _) = three_commits();
    let applied = journal.close_batch(&mut journal.batch());
    journal.write_checkpoint(applied, &[(1, b"state")]).unwrap();
    let torn = disk.crash(0);
    torn.unlink(&first_segment()).unwrap();
    assert!(matches!(
        open(&torn, 1).map(drop),
        Err(Error::Damaged { .. })
    ));
}

#[test]
fn read_errors_are_errors_and_short_reads_are_not() {
    use crate::vfs::Faults;
    let (disk, _journal, _) = three_commits();
    for call in 0..8 {
        let faulty = disk.crash(0);
        faulty.set_faults(Faults {
            fail_read: Some(call),
            ..Faults::default()
        });
        let result = open(&faulty, 1).and_then(|recovery| replay(&recovery));
        assert!(matches!(result, Err(Error::Io { .. })) || result.is_ok_and(|all| all.len() == 3));
        let faulty = disk.crash(0);
        faulty.set_faults(Faults {
            short_read: Some(call),
            ..Faults::default()
        });
        assert_eq!(replay(&open(&faulty, 1).unwrap()).unwrap().len(), 3);
    }
}

#[test]
fn header_that_names_an_end_inside_a_commit_is_damage() {
    let (disk, journal) = fresh();
    while journal.segments().len() < 2 {
        append(&journal, 0, &[1; 30_000]);
        commit(&journal);
    }
    commit(&journal);
    let path = dir().join(format!("journal/{:016x}.tj", journal.segments()[1].base));
    let mut page = disk.contents(&path).unwrap();
    page.truncate(4092);
    let end = journal.segments()[0].end - 8;
    page[72..80].copy_from_slice(&end.to_le_bytes());
    let crc = crc32c::crc32c(&page).to_le_bytes();
    page.extend_from_slice(&crc);
    disk.open(&path, OpenMode::Existing)
        .unwrap()
        .pwrite(0, &page)
        .unwrap();
    let error = replay(&open(&disk.kill(), 1).unwrap()).unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { to, .. } if *to == end),
        "{error}"
    );
}
