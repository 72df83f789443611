//! `[storage]`: the journal's place and shape.

use std::path::PathBuf;

use serde::Deserialize;

use super::size::ByteSize;

/// Where and how messages are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Directory of all state, created if missing; a relative path starts at the working directory.
    /// Default `./data`.
    pub data_dir: PathBuf,
    /// Size of a journal segment, in bytes; a message is at most a quarter of it (L7). 256KiB to
    /// 512MiB, a multiple of 4KiB; default 64MiB. Names longer than 4KiB want more than 256KiB. A
    /// directory may hold segments of several sizes.
    pub segment_size: ByteSize,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./data"),
            segment_size: ByteSize::mib(64),
        }
    }
}
