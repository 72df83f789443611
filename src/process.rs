//! What the server asks of the process it lives in: a log, room for file descriptors, small pages.

#[cfg(test)]
mod tests;

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::level_filters::LevelFilter;

use crate::config::{Format, Level, Logging};

/// Sends the log to standard error. A program that embeds the server and has a log of its own
/// keeps it.
pub fn init_log(logging: &Logging) {
    let level = match logging.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr);
    // An error says that the embedding program was first.
    let _ = match logging.format {
        Format::Human => log.try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
}

/// Gives the process small pages only: the allocator asks for huge ones, and an idle server would
/// hold 20 MiB instead of 7 for a few kilobytes in each of them. Linux' flag is the process', not
/// the thread's.
///
/// # Errors
/// What the system says when it refuses; nothing but memory is lost.
pub fn use_small_pages() -> io::Result<()> {
    rustix::thread::disable_transparent_huge_pages(true)?;
    Ok(())
}

/// The hard limit on open files, to which a server raises its own; `None` is no limit.
#[must_use]
pub fn file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the soft limit on open files to the hard limit and returns it; `None` is no limit. Each
/// connection is an open file.
///
/// # Errors
/// What the system says when it refuses; the old limit then stays.
pub fn raise_file_limit() -> io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(limit.maximum)
}
