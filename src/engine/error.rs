//! What can go wrong when an engine opens, runs or ends.

use std::{error, fmt};

use ternmq_core::RecoveryError;

/// An error of the engine. None of them is a peer's: those get a refusal.
#[derive(Debug)]
#[non_exhaustive]
pub enum EngineError {
    /// The journal could not be opened, written or closed.
    Journal(ternmq_journal::Error),
    /// A record is malformed, or needs a newer version.
    Record(RecoveryError),
    /// A section of the checkpoint does not have the form this version writes.
    Checkpoint {
        /// Which one.
        section: &'static str,
    },
    /// A thread could not be started.
    Thread(std::io::Error),
    /// `storage.segment_size` is too small: one commit must be able to hold one call's records.
    SegmentSize {
        /// The smallest that works, in bytes.
        min: u64,
    },
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => write!(f, "journal: {error}"),
            Self::Record(error) => write!(f, "the log cannot be applied: {error}"),
            Self::Checkpoint { section } => {
                write!(f, "section `{section}` of the checkpoint is malformed")
            }
            Self::Thread(error) => write!(f, "a thread could not be started: {error}"),
            Self::SegmentSize { min } => {
                write!(f, "storage.segment_size must be at least {min} bytes")
            }
        }
    }
}

impl error::Error for EngineError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Journal(error) => Some(error),
            Self::Thread(error) => Some(error),
            Self::Record(error) => Some(error),
            Self::Checkpoint { .. } | Self::SegmentSize { .. } => None,
        }
    }
}

impl From<ternmq_journal::Error> for EngineError {
    fn from(error: ternmq_journal::Error) -> Self {
        Self::Journal(error)
    }
}

impl From<RecoveryError> for EngineError {
    fn from(error: RecoveryError) -> Self {
        Self::Record(error)
    }
}
