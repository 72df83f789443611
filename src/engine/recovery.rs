//! From the files to a broker: checkpoint, log, bodies; before any listener binds.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Buf;
use parking_lot::Mutex;
use tokio::sync::Notify;

use ternmq_core::RecoveryError;
use ternmq_core::broker::Broker;
use ternmq_core::effect::Out;
use ternmq_core::record::AGAIN;
use ternmq_journal::vfs::Vfs;
use ternmq_journal::{Checkpoint, Journal, Options, Position, Record, Recovery, Seed};

use super::admission::Budget;
use super::checkpoint::{Checkpoints, SECTION_CORE, SECTION_PLACES, read_records};
use super::deadlines::Deadlines;
use super::error::EngineError;
use super::fanout::Fanouts;
use super::parked::Parked;
use super::places::Places;
use super::release::Releases;
use super::room::Share;
use super::slots::Slots;
use super::timed::{Syncs, TimedVfs};
use super::{EngineOptions, Poison, Shared, State};

impl Shared {
    /// Recovers what `options.data_dir` holds and begins a new life behind it.
    pub(crate) fn recover(
        vfs: Arc<dyn Vfs>,
        mut options: EngineOptions,
        seed: Seed,
    ) -> Result<Self, EngineError> {
        let min = Share::segment_min(&options.broker.limits);
        if options.segment_size < min {
            return Err(EngineError::SegmentSize { min });
        }
        options.broker.limits.outbox_bytes = options.outbox_bytes;
        options.broker.limits.subscription_bytes = options.subscription_bytes;
        let syncs = Arc::new(Syncs::default());
        let vfs = Arc::new(TimedVfs::new(vfs, Arc::clone(&syncs)));
        let journal_options = Options {
            segment_size: options.segment_size,
            ..Options::default()
        };
        let recovery = Recovery::open(vfs, &options.data_dir, journal_options, seed)?;
        for applied in recovery.refused_checkpoints() {
            tracing::error!(
                applied,
                "a checkpoint was refused: it is unsound, or ahead of the log because a disk lost \
                 what it had said was durable"
            );
        }
        let mut broker = Broker::new(options.broker.clone());
        let mut places = Places::default();
        let checkpoint = recovery.checkpoint();
        let applied = checkpoint.map_or(0, |checkpoint| checkpoint.applied);
        let size = apply_checkpoint(checkpoint, &mut broker, &mut places)?;
        recovery.replay(|record| apply_record(&record, &mut broker, &mut places))?;
        let journal = recovery.start()?;
        let work = Arc::new(Notify::new());
        let budget = Arc::new(Budget::new(options.memory, Arc::clone(&work)));
        load_bodies(&journal, &mut broker, &mut places, &budget)?;
        let share = Share::of(&journal, options.segment_size, &options.broker.limits);
        let clock = options.clock.clone();
        broker.recovered(clock.now());
        let deadlines = Deadlines::default();
        // The first step asks the core what it wants.
        deadlines.set_core(Some(0));
        Ok(Self {
            clock,
            state: Mutex::new(State {
                broker,
                out: Out::default(),
                order: Vec::new(),
                places,
                parked: Parked::default(),
            }),
            share,
            slots: Slots::new(options.max_connections),
            fanouts: Fanouts::default(),
            budget,
            releases: Arc::new(Releases::new(work)),
            deadlines,
            checkpoints: Checkpoints::new(
                options.segment_size,
                journal.stats().tail,
                applied,
                size,
            ),
            counters: Arc::default(),
            syncs,
            poison: Arc::new(Poison::default()),
            pool: Arc::default(),
            threads: Mutex::default(),
            stopping: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            journal,
            options,
        })
    }
}

/// Applies the sections of a checkpoint; returns their size in bytes.
fn apply_checkpoint(
    checkpoint: Option<&Checkpoint>,
    broker: &mut Broker,
    places: &mut Places,
) -> Result<u64, EngineError> {
    let mut size = 0;
    for (kind, section) in checkpoint.iter().flat_map(|found| &found.sections) {
        size += section.len() as u64;
        match *kind {
            SECTION_CORE => {
                read_records(section, |kind, payload| Ok(broker.apply(0, kind, payload)?))?;
            }
            SECTION_PLACES => *places = Places::decode(section)?,
            _ => return Err(EngineError::Checkpoint { section: "unknown" }),
        }
    }
    Ok(size)
}

/// Applies one record of the log.
fn apply_record(
    record: &Record,
    broker: &mut Broker,
    places: &mut Places,
) -> Result<(), EngineError> {
    let position = record.position.0;
    if record.kind == AGAIN {
        let name = record.payload.clone().try_get_u64_le();
        let kind = record.kind;
        let name = name.map_err(|_| RecoveryError::Malformed { kind, position })?;
        places.move_to(name, position, 0);
    }
    broker.apply(position, record.kind, &record.payload)?;
    Ok(())
}

/// Reads what the broker wants back into memory, in the order in which it lies on the disk.
fn load_bodies(
    journal: &Journal,
    broker: &mut Broker,
    places: &mut Places,
    budget: &Arc<Budget>,
) -> Result<(), EngineError> {
    let mut wanted = broker.wanted_bodies();
    wanted.sort_unstable();
    places.keep(&wanted);
    let mut found: Vec<(u64, u64)> = wanted
        .into_iter()
        .map(|name| (places.find(name), name))
        .collect();
    found.sort_unstable();
    for (position, name) in found {
        let record = journal.read(Position(position))?;
        let keep = |bytes| budget.keep(bytes);
        let live = broker.load(name, record.kind, &record.payload, keep)?;
        places.set_live(name, live);
        journal.add_live(position, live);
    }
    Ok(())
}
