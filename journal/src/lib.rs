//! An append-only log of opaque records with group commit.
//!
//! It knows a kind byte, a payload and a counter of live bytes per segment; what a record means is
//! its user's business. Opening gives a [`Recovery`]: the newest checkpoint and the records behind
//! it. Starting that gives a [`Journal`]: records are appended to the open [`Batch`] under one
//! mutex, one thread writes and syncs batches and publishes the watermark, and whoever waits is
//! listed by number. The format is described in `docs/format.md`.
//!
//! Invariants: a position is never used twice; nothing is appended to a recovered segment; the
//! watermark takes batch ends only, and after a failed write or sync it never moves again.
//!
//! ```text
//! open ──> Recovery ──replay──> start ──> Journal ──close──> closed
//!              │ damage             append, wait │ failed write or sync
//!              └─> Error            step, read   └─> poisoned, for ever
//! ```
//!
//! ```
//! use std::{path::Path, sync::Arc};
//! use ternmq_journal::{Error, Options, Recovery, Seed, Step, vfs::SimDisk};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = SimDisk::new();
//! let open = |disk: SimDisk, salt| {
//!     let seed = Seed { uuid: [1; 16], salt, wall_us: 0 };
//!     Recovery::open(Arc::new(disk), Path::new("/data"), Options::default(), seed)
//! };
//! let journal = open(disk.clone(), 17)?.start()?;
//! let mut batch = journal.batch();
//! batch.reserve(5, 1)?;
//! let position = batch.append(32, 0, 0, b"hello", None, 5);
//! assert!(batch.wait(position.0, 3), "connection 3 waits for the sync");
//! drop(batch);
//! assert_eq!(journal.step()?, Step::Committed { waiters: vec![3] });
//!
//! // The power fails; what was durable is there.
//! open(disk.crash(0), 18)?.replay(|record| {
//!     assert_eq!((record.position, &record.payload[..]), (position, &b"hello"[..]));
//!     Ok::<(), Error>(())
//! })?;
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::indexing_slicing)
)]

mod batch;
mod block;
mod buffers;
mod chain;
mod checkpoint;
mod control;
mod error;
pub mod fuzz;
mod journal;
mod layout;
mod lock;
mod options;
mod page;
mod pool;
mod reader;
mod recovery;
mod segment;
mod segments;
mod start;
mod state;
#[cfg(test)]
mod tests;
mod thread;
pub mod vfs;
mod wire;
mod writer;

use bytes::Bytes;

pub use batch::Batch;
pub use block::{FLAG_IGNORABLE, USER_KIND_MIN};
pub use checkpoint::Checkpoint;
pub use error::{Error, Refused};
pub use journal::{Journal, Stats};
pub use options::{Options, Seed};
pub use recovery::Recovery;
pub use segment::{SegmentPhase, SegmentState};
pub use writer::Step;

/// Byte address of a record header in the life of the log; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A record that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name: where its first record header is.
    pub position: Position,
    /// What it is, to its user.
    pub kind: u8,
    /// Flags as they were appended.
    pub flags: u8,
    /// A number that the journal does not look at.
    pub tag: u32,
    /// The payload, whole.
    pub payload: Bytes,
}
