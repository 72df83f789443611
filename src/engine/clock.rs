//! The two clocks, read by the shell alone (law L17).
//!
//! `mono_ms` counts from the start of the process. `wall_ms` never goes back; when the system's
//! clock jumps forward by more than a minute it runs on at the old offset for another minute, so
//! that nothing expires by a jump which an operator or NTP corrects at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use ternmq_core::ids::Now;

/// A forward jump above this is not believed for as long, in milliseconds.
const JUMP_MS: u64 = 60_000;
/// Mono time starts here, so that 0 can mean "never".
const MONO_START_MS: u64 = 1_000;

/// The clock of an engine; clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    shown: Arc<Shown>,
}

#[derive(Clone, Debug)]
enum Source {
    System(Instant),
    Manual(Arc<Manual>),
}

/// A clock that stands until it is set: for simulations.
#[derive(Debug, Default)]
pub struct Manual {
    mono_ms: AtomicU64,
    wall_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct Shown {
    wall_ms: AtomicU64,
    jumps: AtomicU64,
    drift: Mutex<Drift>,
}

/// How far wall is ahead of mono, as believed, and since when the system says something else.
#[derive(Debug, Default)]
struct Drift {
    offset_ms: Option<u64>,
    doubted_since_ms: Option<u64>,
}

impl Clock {
    /// The system's clocks.
    pub fn system() -> Self {
        Self::new(Source::System(Instant::now()))
    }

    /// A clock that stands still until somebody sets it.
    pub fn manual(manual: Arc<Manual>) -> Self {
        Self::new(Source::Manual(manual))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            shown: Arc::default(),
        }
    }

    /// Reads both.
    pub fn now(&self) -> Now {
        let (mono_ms, wall_ms) = self.read();
        let wall_ms = mono_ms + self.shown.offset(mono_ms, wall_ms);
        let before = self.shown.wall_ms.fetch_max(wall_ms, Ordering::Relaxed);
        Now {
            mono_ms,
            wall_ms: wall_ms.max(before),
        }
    }

    /// Forward jumps over 60 s so far.
    pub fn jumps(&self) -> u64 {
        self.shown.jumps.load(Ordering::Relaxed)
    }

    fn read(&self) -> (u64, u64) {
        match &self.source {
            Source::System(start) => {
                let mono = start.elapsed().as_millis();
                let wall = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_millis());
                let clip = |ms: u128| u64::try_from(ms).unwrap_or(u64::MAX / 2);
                (MONO_START_MS + clip(mono), clip(wall))
            }
            Source::Manual(manual) => (
                MONO_START_MS + manual.mono_ms.load(Ordering::Relaxed),
                manual.wall_ms.load(Ordering::Relaxed),
            ),
        }
    }
}

impl Manual {
    /// Lets both clocks run on by `ms`.
    pub fn advance(&self, ms: u64) {
        self.mono_ms.fetch_add(ms, Ordering::Relaxed);
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets the wall clock alone, as an operator or NTP does.
    pub fn set_wall(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::Relaxed);
    }
}

impl Shown {
    /// The offset of wall to mono to be shown.
    fn offset(&self, mono_ms: u64, wall_ms: u64) -> u64 {
        let read = wall_ms.saturating_sub(mono_ms);
        let mut drift = self.drift.lock();
        let believed = *drift.offset_ms.get_or_insert(read);
        if read <= believed.saturating_add(JUMP_MS) {
            drift.offset_ms = Some(read);
            drift.doubted_since_ms = None;
            return read;
        }
        let since = *drift.doubted_since_ms.get_or_insert_with(|| {
            self.jumps.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                ahead_ms = read - believed,
                "the wall clock jumped forward; expiry is delayed by 60 s"
            );
            mono_ms
        });
        if mono_ms.saturating_sub(since) < JUMP_MS {
            return believed;
        }
        drift.offset_ms = Some(read);
        drift.doubted_since_ms = None;
        read
    }
}
