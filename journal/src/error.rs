//! What can go wrong in the journal, by culprit: the disk, the operator, or what was found on disk.

use std::error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of the journal. After one from a write or a sync the journal is poisoned for good.
#[derive(Debug)]
pub enum Error {
    /// A system call failed.
    Io {
        /// Name of the call.
        operation: &'static str,
        /// File or directory it was made on.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory belongs to a running process; stop it or choose another directory.
    Locked {
        /// The lock file.
        file: PathBuf,
        /// Node id and process id that the holder left there.
        holder: String,
    },
    /// Data that had been durable cannot be read back; nothing was cut (storage 3.2).
    Damaged {
        /// File that is damaged or missing.
        file: PathBuf,
        /// First damaged position (byte offset in files without positions).
        from: u64,
        /// First position behind the damage that can be trusted again.
        to: u64,
    },
    /// The file was written by a format or with features that this version does not know.
    Unsupported {
        /// The file.
        file: PathBuf,
    },
    /// The file belongs to another log.
    WrongLog {
        /// The file.
        file: PathBuf,
    },
    /// The log names a journal record that this version does not know and must not skip.
    UnknownKind {
        /// Where the record is.
        position: u64,
        /// Its kind.
        kind: u8,
    },
    /// An option is out of range.
    BadOption {
        /// Name of the option.
        name: &'static str,
    },
    /// No record begins at this position, or not any more.
    NoRecord {
        /// The position asked for.
        position: u64,
    },
    /// The record is still in memory, its batch is not written yet.
    NotWritten {
        /// The position asked for.
        position: u64,
    },
    /// More was appended than had been reserved: a mistake of the caller.
    Unreserved,
    /// An earlier write or sync failed: no watermark moves any more (law L8).
    Poisoned,
    /// The lock's file was removed, moved or replaced: what is written here is not where the next
    /// start will look. The journal is poisoned.
    Gone {
        /// Where the lock was taken.
        file: PathBuf,
    },
    /// The journal is closed.
    Closed,
}

impl Error {
    /// What tells one failure of the pool from another: its files have a new name each time.
    pub(crate) fn cause(&self) -> (&'static str, Option<io::ErrorKind>) {
        match self {
            Self::Io {
                operation, source, ..
            } => (operation, Some(source.kind())),
            _ => ("", None),
        }
    }

    /// Names the call and the path of an I/O error.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                operation,
                path,
                source,
            } => {
                write!(f, "{operation} of {} failed: {source}", path.display())
            }
            Self::Locked { file, holder } => {
                write!(
                    f,
                    "{} is held by {holder}; stop that process first",
                    file.display()
                )
            }
            Self::Damaged { file, from, to } => write!(
                f,
                "{} is damaged from {from:#x} to {to:#x}, which had been durable; nothing was cut",
                file.display()
            ),
            Self::Unsupported { file } => {
                write!(f, "{} needs a newer version", file.display())
            }
            Self::WrongLog { file } => write!(f, "{} belongs to another log", file.display()),
            Self::UnknownKind { position, kind } => {
                write!(
                    f,
                    "record kind {kind} at {position:#x} needs a newer version"
                )
            }
            Self::BadOption { name } => write!(f, "journal option {name} is out of range"),
            Self::NoRecord { position } => write!(f, "no record at {position:#x}"),
            Self::NotWritten { position } => {
                write!(f, "record at {position:#x} is not written yet")
            }
            Self::Unreserved => write!(f, "appended more than was reserved"),
            Self::Poisoned => write!(f, "an earlier write or sync failed"),
            Self::Gone { file } => write!(
                f,
                "{} is not there any more: somebody moved or removed the data directory",
                file.display()
            ),
            Self::Closed => write!(f, "the journal is closed"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a batch has no room for a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It would take more than a quarter of a segment (law L7): it never fits.
    TooLarge,
    /// No prepared segment is left but the one kept for settlements and checkpoints (law L28).
    NoRoom,
    /// The journal is poisoned (law L8).
    Poisoned,
    /// The journal is closed.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "larger than a quarter of a segment",
            Self::NoRoom => "no prepared segment is left",
            Self::Poisoned => "the journal is poisoned",
            Self::Closed => "the journal is closed",
        })
    }
}

impl error::Error for Refused {}
