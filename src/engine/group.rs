//! How a batch is cut into holds of the engine's lock, so that none is long (law L21).
//!
//! The numbers are from `benches/engine_lock.rs`: a publish of one message takes 0.1 to 0.35 us
//! under the lock, settling one that travelled alone about 0.05 us, a hold by itself 0.3 us.

use ternmq_core::command::{Command, Settle, Tags};
use ternmq_core::ids::Tag;

use super::parked::body_bytes;

/// Work of one hold; a command is one unit.
pub(crate) const GROUP_UNITS: usize = 32;
/// Bytes of bodies in one hold, unless a single publish has more.
pub(crate) const GROUP_BYTES: usize = 1 << 20;
/// Messages that are settled for one unit.
const SETTLED_PER_UNIT: u32 = 8;
/// Messages that are settled in one hold, as far as that may be cut.
const SETTLED_MAX: u32 = SETTLED_PER_UNIT * GROUP_UNITS as u32;

/// The groups of a batch, in order.
pub(crate) struct Groups<I> {
    rest: I,
    /// What did not fit into the last group.
    next: Option<Command>,
    most_bytes: usize,
}

impl<I: Iterator<Item = Command>> Groups<I> {
    /// Of `commands`, each with at most `most_bytes` of bodies.
    pub(crate) fn new(commands: I, most_bytes: usize) -> Self {
        Self {
            rest: commands,
            next: None,
            most_bytes,
        }
    }

    /// Puts the next group into `group`, which is empty; `false` if there is none.
    pub(crate) fn fill(&mut self, group: &mut Vec<Command>) -> bool {
        let (mut bytes, mut work) = (0, 0);
        while let Some(command) = self.next.take().or_else(|| self.rest.next()) {
            bytes += body_bytes(&command);
            work += units(&command);
            if !group.is_empty() && (bytes > self.most_bytes || work > GROUP_UNITS) {
                self.next = Some(command);
                break;
            }
            let (command, rest) = split(command);
            let last = ends_group(&command);
            group.push(command);
            self.next = rest;
            if last || self.next.is_some() {
                break;
            }
        }
        !group.is_empty()
    }
}

/// Whether one hold of the lock takes all of `commands`.
pub(crate) fn is_one_group(commands: &[Command], most_bytes: usize) -> bool {
    let work: usize = commands.iter().map(units).sum();
    let bytes: usize = commands.iter().map(body_bytes).sum();
    let before_last = commands.split_last().map_or(commands, |(_, before)| before);
    let single = before_last.is_empty();
    work <= GROUP_UNITS && (single || bytes <= most_bytes) && !before_last.iter().any(ends_group)
}

/// A Cancel ends a group: what its consumer has in the outbox is taken back before anything later
/// is decided (law L10).
fn ends_group(command: &Command) -> bool {
    matches!(command, Command::Cancel { .. })
}

fn units(command: &Command) -> usize {
    match command {
        Command::Settle(Settle {
            tags: Tags::Range { n, .. },
            ..
        }) => n.div_ceil(SETTLED_PER_UNIT).max(1) as usize,
        _ => 1,
    }
}

/// Cuts a long settlement in two. One that is answered is decided as a whole.
fn split(command: Command) -> (Command, Option<Command>) {
    let Command::Settle(settle) = &command else {
        return (command, None);
    };
    match settle.tags {
        Tags::Range { first, n } if n > SETTLED_MAX && settle.token.is_none() => {
            let part = |first, n| {
                Command::Settle(Settle {
                    tags: Tags::Range { first, n },
                    ..settle.clone()
                })
            };
            let behind = part(first + Tag::from(SETTLED_MAX), n - SETTLED_MAX);
            (part(first, SETTLED_MAX), Some(behind))
        }
        _ => (command, None),
    }
}
