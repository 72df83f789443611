//! Random numbers from a seed that a failing test prints.

use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

/// splitmix64.
pub(crate) struct Random(u64);

impl Random {
    /// From `TERNMQ_SEED`, or else the clock; prints the seed.
    pub(crate) fn from_environment() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = number("TERNMQ_SEED", now.as_nanos() as u64);
        println!("TERNMQ_SEED={seed}");
        Self(seed)
    }

    /// Another sequence of numbers.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.within(0..=u64::MAX - 1))
    }

    /// A number of `range`.
    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        range.start() + mixed % (range.end() - range.start() + 1)
    }
}

/// The number in the environment variable `key`, or `default`.
pub(crate) fn number(key: &str, default: u64) -> u64 {
    match std::env::var(key) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}
