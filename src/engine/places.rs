//! Where the bytes of a message are now (law L28).
//!
//! A message is named by the position of its first record, for ever. Copying forward moves its
//! bytes; only moved messages are in this table. An entry goes when its last live byte is dead.

use std::collections::HashMap;

use super::error::EngineError;

/// Bytes of an entry in the checkpoint: name, position, live bytes.
const ENTRY: usize = 20;

/// Names of moved messages and their places.
#[derive(Debug, Default)]
pub(crate) struct Places {
    moved: HashMap<u64, Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    position: u64,
    live: u32,
}

impl Places {
    /// Where the record `name` is now.
    pub(crate) fn find(&self, name: u64) -> u64 {
        self.moved.get(&name).map_or(name, |place| place.position)
    }

    /// The record `name` has been written again at `position`, `live` bytes of it alive. Returns
    /// where it was before.
    pub(crate) fn move_to(&mut self, name: u64, position: u64, live: u32) -> u64 {
        self.moved
            .insert(name, Place { position, live })
            .map_or(name, |place| place.position)
    }

    /// `bytes` bytes of `name` are dead. Returns where they are.
    pub(crate) fn remove_live(&mut self, name: u64, bytes: u32) -> u64 {
        let Some(place) = self.moved.get_mut(&name) else {
            return name;
        };
        let position = place.position;
        place.live = place.live.saturating_sub(bytes);
        if place.live == 0 {
            self.moved.remove(&name);
        }
        position
    }

    /// Recovery: that many bytes of `name` are alive. Returns where they are.
    pub(crate) fn set_live(&mut self, name: u64, live: u32) -> u64 {
        match self.moved.get_mut(&name) {
            Some(place) => {
                place.live = live;
                place.position
            }
            None => name,
        }
    }

    /// Recovery: forgets what nobody wants any more; `wanted` is ordered.
    pub(crate) fn keep(&mut self, wanted: &[u64]) {
        self.moved
            .retain(|name, _| wanted.binary_search(name).is_ok());
    }

    /// The table as a section of a checkpoint: entries of three little-endian numbers, by name.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut entries: Vec<_> = self.moved.iter().collect();
        entries.sort_unstable_by_key(|(name, _)| **name);
        let mut section = Vec::with_capacity(entries.len() * ENTRY);
        for (name, place) in entries {
            section.extend_from_slice(&name.to_le_bytes());
            section.extend_from_slice(&place.position.to_le_bytes());
            section.extend_from_slice(&place.live.to_le_bytes());
        }
        section
    }

    /// Reads [`Places::encode`].
    pub(crate) fn decode(section: &[u8]) -> Result<Self, EngineError> {
        let mut moved = HashMap::with_capacity(section.len() / ENTRY);
        let mut rest = section;
        while let Some((entry, after)) = rest.split_first_chunk::<ENTRY>() {
            let (name, entry) = entry.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
            let (position, live) = entry.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
            let live = live.first_chunk::<4>().unwrap_or(&[0; 4]);
            let place = Place {
                position: u64::from_le_bytes(*position),
                live: u32::from_le_bytes(*live),
            };
            moved.insert(u64::from_le_bytes(*name), place);
            rest = after;
        }
        if rest.is_empty() {
            Ok(Self { moved })
        } else {
            Err(EngineError::Checkpoint { section: "places" })
        }
    }
}
