//! A hash map whose growth never stops the broker: [`LargeMap`].
//!
//! A single table moves all its entries when it grows, which takes a tenth of a second for a
//! million of them, under a lock that is held for a millisecond at most (L21). This map is a
//! tree of small tables instead: one that is full is split in 64 by six further bits of the hash,
//! and 64 that have become nearly empty are joined. So no operation moves more than
//! 1,792 entries, and memory comes back with removal. Use it where peers decide how many
//! entries there are; [`Map`](crate::map::Map) is for tables that stay small.
//!
//! ```text
//! hash  63..57 tag in a table | 54..24 path through the tree, six bits a level | 10..0 slot
//! ```

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;

use crate::map::Seed;

/// A look-up table of any size with a given seed. Its order must never decide anything.
#[derive(Debug)]
pub struct LargeMap<K, V> {
    root: Part<K, V>,
    seed: Seed,
    len: usize,
}

impl<K: Hash + Eq, V> LargeMap<K, V> {
    /// An empty map; nothing is allocated.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            root: Part::Table(HashTable::new()),
            seed,
            len: 0,
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value under `key`.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let hash = self.seed.hash_one(key);
        let (mut part, mut level) = (&self.root, 0);
        loop {
            match part {
                Part::Split(split) => part = &split.parts[slot(hash, level)],
                Part::Table(table) => {
                    let entry = table.find(hash, |(held, _)| held.borrow() == key);
                    return entry.map(|(_, value)| value);
                }
            }
            level += 1;
        }
    }

    /// The value under `key`, to be changed.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let hash = self.seed.hash_one(key);
        let (mut part, mut level) = (&mut self.root, 0);
        loop {
            match part {
                Part::Split(split) => part = &mut split.parts[slot(hash, level)],
                Part::Table(table) => {
                    let entry = table.find_mut(hash, |(held, _)| held.borrow() == key);
                    return entry.map(|(_, value)| value);
                }
            }
            level += 1;
        }
    }

    /// Puts `value` under `key` and returns the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(held) = self.get_mut(&key) {
            return Some(std::mem::replace(held, value));
        }
        let (seed, hash) = (self.seed, self.seed.hash_one(&key));
        let table = self.table(hash, 1);
        table.insert_unique(hash, (key, value), |(held, _)| seed.hash_one(held));
        None
    }

    /// The value under `key`; `make` gives it and its key if there is none.
    pub fn get_or_insert_with<Q: Hash + Eq + ?Sized>(
        &mut self,
        key: &Q,
        make: impl FnOnce() -> (K, V),
    ) -> &mut V
    where
        K: Borrow<Q>,
    {
        let (seed, hash) = (self.seed, self.seed.hash_one(key));
        let added = usize::from(self.get(key).is_none());
        let table = self.table(hash, added);
        let is_key = |(held, _): &(K, V)| held.borrow() == key;
        let entry = table.entry(hash, is_key, |(held, _)| seed.hash_one(held));
        &mut entry.or_insert_with(make).into_mut().1
    }

    /// The table of `hash`, with room for the entries that are `added` to it: one or none.
    fn table(&mut self, hash: u64, added: usize) -> &mut HashTable<(K, V)> {
        self.len += added;
        let (mut part, mut level) = (&mut self.root, 0);
        loop {
            if added > 0 {
                part.split_if_full(level, self.seed);
            }
            match part {
                Part::Split(split) => {
                    split.len += added;
                    part = &mut split.parts[slot(hash, level)];
                }
                Part::Table(table) => return table,
            }
            level += 1;
        }
    }

    /// Takes the value under `key` out.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let removed = self.root.remove(key, self.seed.hash_one(key), 0, self.seed);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Calls `visit` with every entry, in no order that may matter.
    pub fn for_each(&self, mut visit: impl FnMut(&K, &V)) {
        self.root.for_each(&mut visit);
    }

    /// Takes all entries out, in no order that may matter.
    #[must_use]
    pub fn take_entries(&mut self) -> Vec<(K, V)> {
        let mut entries = Vec::with_capacity(self.len);
        let root = std::mem::replace(&mut self.root, Part::Table(HashTable::new()));
        root.drain_into(&mut |entry| entries.push(entry));
        self.len = 0;
        entries
    }
}

/// The tables whose entries agree in the first bits of the path.
#[derive(Debug)]
enum Part<K, V> {
    Table(HashTable<(K, V)>),
    Split(Box<Split<K, V>>),
}

#[derive(Debug)]
struct Split<K, V> {
    /// Of all parts together.
    len: usize,
    parts: [Part<K, V>; FAN_OUT],
}

impl<K: Hash + Eq, V> Part<K, V> {
    /// Makes 64 tables of one that holds [`PART_MAX`] entries.
    fn split_if_full(&mut self, level: u32, seed: Seed) {
        let Self::Table(table) = self else {
            return;
        };
        if table.len() < PART_MAX || level == LEVELS_MAX {
            return;
        }
        let mut tables = [const { HashTable::new() }; FAN_OUT];
        let len = table.len();
        for entry in table.drain() {
            let hash = seed.hash_one(&entry.0);
            let part = &mut tables[slot(hash, level)];
            part.insert_unique(hash, entry, |(held, _)| seed.hash_one(held));
        }
        *self = Self::Split(Box::new(Split {
            len,
            parts: tables.map(Self::Table),
        }));
    }

    fn remove<Q: Hash + Eq + ?Sized>(
        &mut self,
        key: &Q,
        hash: u64,
        level: u32,
        seed: Seed,
    ) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Table(table) => {
                let entry = table
                    .find_entry(hash, |(held, _)| held.borrow() == key)
                    .ok()?;
                let ((_, value), _) = entry.remove();
                if table.len() < table.capacity() / 4 {
                    table.shrink_to(table.len() * 2, |(held, _)| seed.hash_one(held));
                }
                Some(value)
            }
            Self::Split(split) => {
                let value = split.parts[slot(hash, level)].remove(key, hash, level + 1, seed)?;
                split.len -= 1;
                self.join_if_sparse(seed);
                Some(value)
            }
        }
    }

    /// Makes one table of 64 that hold [`JOIN_MAX`] entries together.
    fn join_if_sparse(&mut self, seed: Seed) {
        let Self::Split(split) = self else {
            return;
        };
        if split.len > JOIN_MAX {
            return;
        }
        let mut joined = HashTable::with_capacity(split.len);
        let sparse = std::mem::replace(self, Self::Table(HashTable::new()));
        sparse.drain_into(&mut |entry| {
            let hash = seed.hash_one(&entry.0);
            joined.insert_unique(hash, entry, |(held, _)| seed.hash_one(held));
        });
        *self = Self::Table(joined);
    }

    fn drain_into(self, take: &mut impl FnMut((K, V))) {
        match self {
            Self::Table(table) => table.into_iter().for_each(take),
            Self::Split(split) => split
                .parts
                .into_iter()
                .for_each(|part| part.drain_into(take)),
        }
    }

    fn for_each(&self, visit: &mut impl FnMut(&K, &V)) {
        match self {
            Self::Table(table) => table.iter().for_each(|(key, value)| visit(key, value)),
            Self::Split(split) => split.parts.iter().for_each(|part| part.for_each(visit)),
        }
    }
}

/// The part of a split at `level` that holds `hash`.
fn slot(hash: u64, level: u32) -> usize {
    (hash >> (PATH_SHIFT + level * FAN_OUT_BITS)) as usize % FAN_OUT
}

/// Most entries of one table: what 2,048 slots hold.
const PART_MAX: usize = 1_792;

/// Far below [`PART_MAX`], so that nothing is split and joined by turns.
const JOIN_MAX: usize = 448;

/// Bits of the hash below the path; a table uses fewer.
const PATH_SHIFT: u32 = 24;

const FAN_OUT_BITS: u32 = 6;
const FAN_OUT: usize = 1 << FAN_OUT_BITS;

/// The path ends below the seven bits that a table uses as tags: enough for 10^12 entries.
const LEVELS_MAX: u32 = 5;

#[cfg(test)]
mod tests;
