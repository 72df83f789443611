//! A histogram that any thread adds to without a lock.
//!
//! Log-linear: every power of two is cut into eight, so a value is known within 12.5 %. Values are
//! nanoseconds, or whatever the caller counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets per power of two, as a power of two.
const SHARE_BITS: u32 = 3;
const SHARE: u64 = 1 << SHARE_BITS;
const BUCKETS: usize = ((64 - SHARE_BITS as usize) << SHARE_BITS) + SHARE as usize;

/// Counts values by size.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

/// A histogram at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    buckets: Box<[u64]>,
    /// Number of values.
    pub count: u64,
    /// Sum of all values.
    pub sum: u64,
    /// The largest value.
    pub max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Adds a value.
    pub fn add(&self, value: u64) {
        if let Some(bucket) = self.buckets.get(bucket(value)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// What it holds now.
    pub fn snapshot(&self) -> Snapshot {
        let buckets: Box<[u64]> = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect();
        Snapshot {
            count: buckets.iter().sum(),
            buckets,
            sum: self.sum.load(Ordering::Relaxed),
            max: self.max.load(Ordering::Relaxed),
        }
    }
}

impl Snapshot {
    /// The value that a share `q` (0 to 1) of all values does not exceed, at most 12.5 % too high;
    /// 0 without values.
    pub fn quantile(&self, q: f64) -> u64 {
        let wanted = (self.count as f64 * q.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return upper(index).min(self.max);
            }
        }
        self.max
    }

    /// Number of values known to be at most `bound` (for cumulative buckets of a metrics page).
    pub fn at_most(&self, bound: u64) -> u64 {
        self.buckets
            .iter()
            .enumerate()
            .take_while(|(index, _)| upper(*index) <= bound)
            .map(|(_, count)| count)
            .sum()
    }
}

/// The bucket of a value: its power of two, and the three bits below the highest.
fn bucket(value: u64) -> usize {
    if value < SHARE {
        return value as usize;
    }
    let power = 63 - value.leading_zeros();
    let share = (value >> (power - SHARE_BITS)) - SHARE;
    (((power - SHARE_BITS + 1) as usize) << SHARE_BITS) + share as usize
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let (row, share) = (index >> SHARE_BITS, (index as u64) % SHARE);
    if row == 0 {
        return share;
    }
    let shift = row - 1;
    ((SHARE + share) << shift) + ((1 << shift) - 1)
}
