//! Append, sync, read, recover.

use super::*;

#[test]
fn appended_records_come_back_in_order_after_a_power_failure() {
    let (disk, journal) = fresh();
    let positions: Vec<u64> = (0..100)
        .map(|n| append(&journal, n, &vec![n as u8; n as usize * 7]))
        .collect();
    assert!(positions.is_sorted());
    assert_eq!(commit(&journal), [0]);
    assert_eq!(journal.durable(), journal.batch().tail());
    let recovery = open(&disk.crash(0), 1).unwrap();
    let records = replay(&recovery).unwrap();
    assert_eq!(tags(&records), (0..100).collect::<Vec<_>>());
    for (record, position) in records.iter().zip(positions) {
        assert_eq!(record.position.0, position);
        assert_eq!(
            record.payload,
            vec![record.tag as u8; record.tag as usize * 7]
        );
        assert_eq!(journal.read(record.position).unwrap(), *record);
    }
}

#[test]
fn log_rolls_over_segments_and_goes_on_in_the_next_life() {
    let (disk, journal) = fresh();
    for n in 0..100 {
        append(&journal, n, &[n as u8; 10_000]);
        commit(&journal);
        fill_pool(&journal);
    }
    assert!(journal.segments().len() >= 4, "{:?}", journal.segments());
    let disk = disk.crash(0);
    let recovery = open(&disk, 1).unwrap();
    assert_eq!(
        tags(&replay(&recovery).unwrap()),
        (0..100).collect::<Vec<_>>()
    );
    let second = recovery.start().unwrap();
    append(&second, 100, b"again");
    commit(&second);
    second.close().unwrap();
    let recovery = open(&disk.crash(0), 2).unwrap();
    assert_eq!(
        tags(&replay(&recovery).unwrap()),
        (0..=100).collect::<Vec<_>>()
    );
}
