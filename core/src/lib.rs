//! Core of the broker.
#![warn(missing_docs)]

pub mod address;
pub mod dialect;
pub mod large_map;
pub mod map;
pub mod topic_trie;
