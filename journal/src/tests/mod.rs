//! The journal as a whole, on the simulated disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::checkpoint;
use crate::vfs::SimDisk;
use crate::{Error, Journal, Options, Position, Record, Recovery, Seed, Step};

mod basics;
mod crash;
mod damage;
mod format;
mod laws;
mod life;
mod robust;
mod world;

/// Where the tests' log is on the simulated disk.
fn dir() -> PathBuf {
    PathBuf::from("/data")
}

/// Small segments, so that they roll.
fn options() -> Options {
    Options {
        segment_size: 256 * 1024,
        batch_bytes: 32 * 1024,
        ..Options::default()
    }
}

/// A seed for the n-th life.
fn seed(life: u64) -> Seed {
    Seed {
        uuid: [7; 16],
        salt: 0x5a17 + life,
        wall_us: 1_700_000_000_000_000,
    }
}

fn open(disk: &SimDisk, life: u64) -> Result<Recovery, Error> {
    Recovery::open(
        Arc::new(disk.clone()),
        Path::new(&dir()),
        options(),
        seed(life),
    )
}

/// A new log with a filled pool.
fn fresh() -> (SimDisk, Arc<Journal>) {
    let disk = SimDisk::new();
    let journal = open(&disk, 0).unwrap().start().unwrap();
    fill_pool(&journal);
    (disk, journal)
}

fn fill_pool(journal: &Journal) {
    while journal.filler_step().unwrap() {}
}

/// All records that replay gives.
fn replay(recovery: &Recovery) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    recovery.replay(|record| {
        records.push(record);
        Ok::<(), Error>(())
    })?;
    Ok(records)
}

/// Appends one record of kind 32 in a reservation of its own.
fn append(journal: &Journal, tag: u32, payload: &[u8]) -> u64 {
    let mut batch = journal.batch();
    batch.reserve(payload.len(), 1).unwrap();
    let body = Bytes::copy_from_slice(payload);
    batch
        .append(
            32,
            0,
            tag,
            &[],
            Some(&body),
            u32::try_from(payload.len()).unwrap(),
        )
        .0
}

/// Waits for all that was appended and steps until it is durable; returns the waiters.
fn commit(journal: &Journal) -> Vec<u32> {
    {
        let mut batch = journal.batch();
        let tail = batch.tail();
        let _ = batch.wait(tail, 0);
    }
    let mut all = Vec::new();
    while let Step::Committed { waiters } = journal.step().unwrap() {
        all.extend(waiters);
    }
    all
}

fn tags(records: &[Record]) -> Vec<u32> {
    records.iter().map(|record| record.tag).collect()
}
