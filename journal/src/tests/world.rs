//! A user of the journal with a state of its own, and a model of what that state may be after a
//! crash: what some prefix of its appends made, not shorter than what had been durable.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut, Bytes};

use crate::vfs::SimDisk;
use crate::{Error, Journal, Options, Position, Record, Recovery, Refused, Seed, Step};

const PUT: u8 = 32;
const DELETE: u8 = 33;
const SECTION: u32 = 9;

/// What is live: tag, and where its newest record is with which payload.
pub(super) type Live = BTreeMap<u32, (u64, Bytes)>;

pub(super) fn options() -> Options {
    Options {
        segment_size: 64 * 1024,
        batch_bytes: 12 * 1024,
        prepared_segments: 3,
        free_segments_max: 4,
    }
}

pub(super) fn open(disk: &SimDisk, life: u64) -> Result<Recovery, Error> {
    let seed = Seed {
        uuid: [3; 16],
        salt: 99 + life,
        wall_us: 1,
    };
    Recovery::open(Arc::new(disk.clone()), Path::new("/data"), options(), seed)
}

fn apply(live: &mut Live, record: &Record) {
    match record.kind {
        PUT => {
            live.insert(record.tag, (record.position.0, record.payload.clone()));
        }
        DELETE => {
            live.remove(&record.tag);
        }
        other => panic!("nobody appended kind {other}"),
    }
}

/// The state that a recovery comes to.
pub(super) fn recovered(recovery: &Recovery) -> Result<Live, Error> {
    let mut live = Live::new();
    if let Some(checkpoint) = recovery.checkpoint() {
        let (kind, mut section) = checkpoint.sections[0].clone();
        assert_eq!(kind, SECTION);
        while !section.is_empty() {
            let tag = bytes::Buf::get_u32_le(&mut section);
            let position = bytes::Buf::get_u64_le(&mut section);
            let len = bytes::Buf::get_u32_le(&mut section) as usize;
            live.insert(tag, (position, section.split_to(len)));
        }
    }
    recovery.replay(|record| {
        apply(&mut live, &record);
        Ok::<(), Error>(())
    })?;
    for (position, payload) in live.values() {
        recovery.add_live(*position, payload.len() as u32);
    }
    Ok(live)
}

/// What happened, for the model.
#[derive(Default, Clone)]
pub(super) struct History {
    /// State behind each group of records that was reserved together, with the group's end.
    states: Vec<(u64, Live)>,
    durable: u64,
}

impl History {
    /// Whether nothing ever began.
    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Whether a crash may leave this state.
    pub(super) fn allows(&self, live: &Live) -> bool {
        let certain = self.states.partition_point(|(end, _)| *end <= self.durable);
        let fits = |(_, state): &(u64, Live)| state == live;
        self.states[certain.saturating_sub(1)..].iter().any(fits)
    }
}

/// A stream of decisions from a seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// The running user.
pub(super) struct World {
    pub(super) journal: Arc<Journal>,
    pub(super) live: Live,
    pub(super) history: History,
    dice: Dice,
    next_tag: u32,
}

impl World {
    /// Recovers and starts. The history begins with what was recovered.
    pub(super) fn start(disk: &SimDisk, life: u64, seed: u64) -> Result<Self, Error> {
        let recovery = open(disk, life)?;
        let live = recovered(&recovery)?;
        let journal = recovery.start()?;
        let durable = journal.durable();
        let history = History {
            states: vec![(durable, live.clone())],
            durable,
        };
        let next_tag = u32::try_from(life).unwrap() * 100_000;
        Ok(Self {
            journal,
            live,
            history,
            dice: Dice(seed * 7919 + 1),
            next_tag,
        })
    }

    /// Does `count` random things; the first error ends it. Notes what is durable in any case.
    pub(super) fn run(&mut self, count: u32) -> Result<(), Error> {
        let result = (0..count).try_for_each(|_| self.act());
        self.history.durable = self.journal.durable();
        result
    }

    fn act(&mut self) -> Result<(), Error> {
        match self.dice.below(16) {
            0..6 => self.publish(),
            6..9 => self.settle(),
            9..12 => self.commit(),
            12 => self.journal.step().map(drop),
            13 => self.journal.filler_step().map(drop),
            14 => self.checkpoint(),
            _ => self.copy_forward(),
        }
    }

    /// Appends records as one group.
    fn group(&mut self, records: &[(u8, u32, Bytes)]) -> Result<(), Error> {
        let bytes = records.iter().map(|(_, _, payload)| payload.len()).sum();
        loop {
            let reserved = self.journal.batch().reserve(bytes, records.len());
            match reserved {
                Ok(()) => break,
                Err(Refused::NoRoom) => self.journal.filler_step().map(drop)?,
                Err(Refused::Poisoned) => return Err(Error::Poisoned),
                Err(refused) => panic!("{refused}"),
            }
        }
        let mut dead = Vec::new();
        {
            let mut batch = self.journal.batch();
            for (kind, tag, payload) in records {
                let (head, body) = (
                    payload.slice(..payload.len() / 3),
                    payload.slice(payload.len() / 3..),
                );
                let live = if *kind == PUT {
                    payload.len() as u32
                } else {
                    0
                };
                let position = batch.append(*kind, 0, *tag, &head, Some(&body), live);
                let last = match *kind {
                    PUT => self.live.insert(*tag, (position.0, payload.clone())),
                    _ => self.live.remove(tag),
                };
                dead.extend(last);
            }
            self.history.states.push((batch.tail(), self.live.clone()));
        }
        for (position, payload) in dead {
            self.journal.dead(position, payload.len() as u32);
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), Error> {
        let mut records = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let size = [20, 300, 2000, 3500][self.dice.below(4) as usize];
            self.next_tag += 1;
            records.push((
                PUT,
                self.next_tag,
                Bytes::from(vec![self.next_tag as u8; size]),
            ));
        }
        self.group(&records)
    }

    /// Mostly the oldest, as queues do; one in four stays.
    fn settle(&mut self) -> Result<(), Error> {
        let tags: Vec<u32> = self
            .live
            .keys()
            .filter(|tag| *tag % 8 != 0)
            .take(6)
            .copied()
            .collect();
        let records: Vec<_> = tags
            .into_iter()
            .map(|tag| (DELETE, tag, Bytes::new()))
            .collect();
        if records.is_empty() {
            Ok(())
        } else {
            self.group(&records)
        }
    }

    pub(super) fn commit(&mut self) -> Result<(), Error> {
        let waits = {
            let mut batch = self.journal.batch();
            let tail = batch.tail();
            batch.wait(tail, 1)
        };
        if waits {
            while self.journal.step()? != Step::Idle {}
        }
        assert!(self.journal.durable() >= self.history.states.last().unwrap().0);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), Error> {
        let applied = self.journal.close_batch(&mut self.journal.batch());
        let mut section = Vec::new();
        for (tag, (position, payload)) in &self.live {
            section.put_u32_le(*tag);
            section.put_u64_le(*position);
            section.put_u32_le(payload.len() as u32);
            section.put_slice(payload);
        }
        if self.dice.below(2) == 0 {
            // Decided behind the checkpoint and not durable: must not be taken for settled.
            self.settle()?;
        }
        if self.journal.batch().wait(applied, 1) {
            while self.journal.durable() < applied {
                self.journal.step()?;
            }
        }
        self.journal
            .write_checkpoint(applied, &[(SECTION, &section)])
    }

    /// Appends again what lives in the oldest nearly empty segment.
    fn copy_forward(&mut self) -> Result<(), Error> {
        let Some(Range { start: base, end }) = self.journal.victims(50, 1).pop() else {
            return Ok(());
        };
        let records: Vec<_> = self
            .live
            .iter()
            .filter(|(_, (position, _))| (base..end).contains(position))
            .map(|(tag, (_, payload))| (PUT, *tag, payload.clone()))
            .collect();
        records.chunks(3).try_for_each(|chunk| self.group(chunk))
    }

    /// Every live body must be there, whatever was reclaimed.
    pub(super) fn check_bodies(&self) {
        for (tag, (position, payload)) in &self.live {
            match self.journal.read(Position(*position)) {
                Ok(record) => assert_eq!((record.tag, &record.payload), (*tag, payload)),
                Err(Error::NotWritten { .. }) => assert!(*position > self.journal.durable()),
                Err(error) => panic!("body of {tag} at {position:#x}: {error}"),
            }
        }
    }
}
