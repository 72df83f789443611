//! What a disk holds and what only the cache holds: file contents by sector, names by operation.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The unit a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Numbers from a seed (splitmix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Which unsynced changes a crash keeps.
pub(super) enum Survival {
    Nothing,
    Everything,
    /// Each by a throw: so many of 256 are kept.
    Some(Dice, u8),
}

impl Survival {
    /// Seed 0 keeps nothing, 1 everything, all others an arbitrary subset, sparse or dense.
    pub(super) fn of(seed: u64) -> Self {
        match seed {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => {
                let mut dice = Dice(seed);
                let [share, ..] = dice.roll().to_le_bytes();
                Self::Some(dice, share)
            }
        }
    }

    fn keeps(&mut self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Some(dice, share) => {
                let [throw, ..] = dice.roll().to_le_bytes();
                throw < *share
            }
        }
    }
}

/// A file: what reads see, and what is on the disk.
#[derive(Debug, Default, Clone)]
pub(super) struct Contents {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors written and not synced.
    dirty: BTreeSet<usize>,
    /// Sectors whose sync failed: marked clean, never written again, seen until the cache drops.
    lost: BTreeSet<usize>,
    /// Emptied since the last sync.
    emptied: bool,
}

fn sectors(range: &Range<usize>) -> impl Iterator<Item = usize> + use<> {
    range.start / SECTOR..range.end.div_ceil(SECTOR)
}

/// Copies a sector, making `to` long enough.
fn copy_sector(sector: usize, from: &[u8], to: &mut Vec<u8>) {
    let begin = sector * SECTOR;
    let source = from.get(begin..).unwrap_or_default();
    let source = source.get(..SECTOR).unwrap_or(source);
    if to.len() < begin + source.len() {
        to.resize(begin + source.len(), 0);
    }
    if let Some(target) = to.get_mut(begin..begin + source.len()) {
        target.copy_from_slice(source);
    }
}

impl Contents {
    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        let range = offset..offset + data.len();
        if self.cached.len() < range.end {
            self.cached.resize(range.end, 0);
        }
        for sector in sectors(&range) {
            self.dirty.insert(sector);
            self.lost.remove(&sector);
        }
        if let Some(target) = self.cached.get_mut(range) {
            target.copy_from_slice(data);
        }
    }

    pub(super) fn read(&self, offset: usize, into: &mut [u8]) -> usize {
        let source = self.cached.get(offset..).unwrap_or_default();
        let len = source.len().min(into.len());
        if let (Some(from), Some(to)) = (source.get(..len), into.get_mut(..len)) {
            to.copy_from_slice(from);
        }
        len
    }

    pub(super) fn extend(&mut self, len: usize) {
        if self.cached.len() < len {
            self.cached.resize(len, 0);
        }
    }

    pub(super) fn empty(&mut self) {
        self.cached.clear();
        self.dirty.clear();
        self.lost.clear();
        self.emptied = true;
    }

    pub(super) fn sync(&mut self) {
        if std::mem::take(&mut self.emptied) {
            self.durable.clear();
        }
        for sector in std::mem::take(&mut self.dirty) {
            copy_sector(sector, &self.cached, &mut self.durable);
        }
        if self.durable.len() < self.cached.len() {
            self.durable.resize(self.cached.len(), 0);
        }
    }

    /// A sync that failed: as ext4 does, the pages are clean now, and wrong.
    pub(super) fn fail_sync(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.lost.append(&mut dirty);
    }

    pub(super) fn drop_cache(&mut self) {
        for sector in std::mem::take(&mut self.lost) {
            let end = self.cached.len().min((sector + 1) * SECTOR);
            if let Some(stale) = self.cached.get_mut(sector * SECTOR..end) {
                stale.fill(0);
            }
            copy_sector(sector, &self.durable, &mut self.cached);
        }
    }

    pub(super) fn flip(&mut self, offset: usize, bit: u8) {
        for image in [&mut self.cached, &mut self.durable] {
            if let Some(byte) = image.get_mut(offset) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// What is left after the power fails.
    fn crashed(&self, survival: &mut Survival) -> Self {
        let mut durable = self.durable.clone();
        if self.emptied && survival.keeps() {
            durable.clear();
        }
        for &sector in &self.dirty {
            if survival.keeps() {
                copy_sector(sector, &self.cached, &mut durable);
            }
        }
        if durable.len() < self.cached.len() && survival.keeps() {
            durable.resize(self.cached.len(), 0);
        }
        Self {
            cached: durable.clone(),
            durable,
            ..Self::default()
        }
    }
}

/// A change of names that is not durable yet.
#[derive(Debug, Clone)]
enum NameChange {
    Link(PathBuf),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    fn touches(&self, dir: &Path) -> bool {
        match self {
            Self::Link(path) | Self::Unlink(path) => path.parent() == Some(dir),
            Self::Rename(from, to) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }

    /// Makes the change, unless one it builds on is missing.
    fn apply(self, file: u64, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Link(path) => {
                names.insert(path, file);
            }
            Self::Unlink(path) => {
                if names.get(&path) == Some(&file) {
                    names.remove(&path);
                }
            }
            Self::Rename(from, to) => {
                if names.get(&from) == Some(&file) {
                    names.remove(&from);
                    names.insert(to, file);
                }
            }
        }
    }
}

/// Files and their names. Directories are durable at once.
#[derive(Debug, Default, Clone)]
pub(super) struct Image {
    pub(super) files: BTreeMap<u64, Contents>,
    pub(super) names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    pending: Vec<(u64, NameChange)>,
    pub(super) dirs: BTreeSet<PathBuf>,
    next_file: u64,
}

impl Image {
    pub(super) fn create(&mut self, path: &Path) -> u64 {
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, Contents::default());
        self.change(file, NameChange::Link(path.to_path_buf()));
        file
    }

    /// Whether there was such a file.
    pub(super) fn unlink(&mut self, path: &Path) -> bool {
        let Some(&file) = self.names.get(path) else {
            return false;
        };
        self.change(file, NameChange::Unlink(path.to_path_buf()));
        true
    }

    /// Whether there was such a file.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> bool {
        let Some(&file) = self.names.get(from) else {
            return false;
        };
        self.change(
            file,
            NameChange::Rename(from.to_path_buf(), to.to_path_buf()),
        );
        true
    }

    fn change(&mut self, file: u64, change: NameChange) {
        change.clone().apply(file, &mut self.names);
        self.pending.push((file, change));
    }

    /// Makes the names of a directory durable, and what those files were called before.
    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let touched: BTreeSet<u64> = self
            .pending
            .iter()
            .filter(|(_, change)| change.touches(dir))
            .map(|&(file, _)| file)
            .collect();
        let pending = std::mem::take(&mut self.pending);
        let (done, left) = pending
            .into_iter()
            .partition(|(file, _)| touched.contains(file));
        self.pending = left;
        let done: Vec<(u64, NameChange)> = done;
        for (file, change) in done {
            change.apply(file, &mut self.durable_names);
        }
    }

    /// What is left after the power fails: any subset of the unsynced sectors and name changes.
    pub(super) fn crashed(&self, mut survival: Survival) -> Self {
        let mut names = self.durable_names.clone();
        for (file, change) in &self.pending {
            if survival.keeps() {
                change.clone().apply(*file, &mut names);
            }
        }
        let mut files = BTreeMap::new();
        for file in names.values() {
            if let Some(contents) = self.files.get(file) {
                files.insert(*file, contents.crashed(&mut survival));
            }
        }
        Self {
            files,
            durable_names: names.clone(),
            names,
            pending: Vec::new(),
            dirs: self.dirs.clone(),
            next_file: self.next_file,
        }
    }
}
