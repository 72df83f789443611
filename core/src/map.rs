//! The hash map of the core: hashbrown with a small hasher whose seed is an argument.
//!
//! The standard map is banned here because it draws its seed itself, so that two runs of one
//! simulation would differ. Keys come from peers (names, client ids), so the hash folds a full
//! 64 x 64 bit product with two secret words: without the seed nobody can prepare collisions.
//!
//! The order in which a map iterates depends on the seed and must never decide anything (L25):
//! what is iterated to decide is kept in a vector or an ordered map. A table that peers can make
//! large is a [`LargeMap`](crate::large_map::LargeMap), which grows without a pause.

use std::fmt;
use std::hash::{BuildHasher, Hasher};

/// A look-up table with a given seed; make one with `Map::with_hasher(seed)`.
pub type Map<K, V> = hashbrown::HashMap<K, V, Seed>;

/// The secret of every [`Map`] of one broker, drawn by the shell at start.
#[derive(Clone, Copy)]
pub struct Seed {
    state: u64,
    key: u64,
}

impl Seed {
    /// Spreads `seed` over the two words of the hasher. Equal seeds give equal hashes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: spread(seed),
            key: spread(seed.wrapping_add(GOLDEN)),
        }
    }
}

impl fmt::Debug for Seed {
    /// Keeps the secret out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl BuildHasher for Seed {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher {
            state: self.state,
            key: self.key,
        }
    }
}

/// A wyhash-like hasher: each 16 bytes cost one multiplication. Not for storage: its results are
/// not stable between versions.
#[derive(Clone)]
pub struct SeededHasher {
    state: u64,
    key: u64,
}

impl SeededHasher {
    fn word(&mut self, word: u64) {
        self.state = fold(self.state ^ word, self.key);
    }

    fn block(&mut self, block: [u8; 16]) {
        let block = u128::from_le_bytes(block);
        let (low, high) = halves(block);
        self.state = fold(low ^ self.key, high ^ self.state);
    }
}

impl Hasher for SeededHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((block, tail)) = rest.split_first_chunk::<16>() {
            self.block(*block);
            rest = tail;
        }
        let mut last = [0; 16];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        // The length tells "a" from "a\0": padding alone would not.
        self.state = self.state.rotate_left(23) ^ bytes.len() as u64;
        self.block(last);
    }

    fn write_u8(&mut self, value: u8) {
        self.word(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.word(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.word(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

/// The 128-bit product of two words, its halves joined.
fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = halves(u128::from(a) * u128::from(b));
    low ^ high
}

fn halves(value: u128) -> (u64, u64) {
    (value as u64, (value >> 64) as u64)
}

/// One step of SplitMix64: close seeds give unrelated words. Odd, so that a product never
/// collapses to nothing.
fn spread(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(GOLDEN);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (word ^ (word >> 31)) | 1
}

/// 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests;
