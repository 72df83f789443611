//! What the outside world knows: what was asked, what was answered, and so what may and what must
//! be there after a crash.

use std::collections::BTreeMap;

use super::handshakes::{Counts, Handshakes};
use super::subscriptions::{History, Truth};

/// Where a message is kept: a queue or a session, by its place in the world's lists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Home {
    Queue(usize),
    Session(usize),
}

/// What somebody asked for to end a message's stay, and whether that was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Settled as accepted, not answered: it may be there or not.
    AckAsked,
    /// Answered: it must not come back.
    Acked,
    /// Rejected, not answered: it is at home or among the dead letters.
    MoveAsked,
    /// Answered: it is among the dead letters.
    Moved,
}

/// One message in one home. A lease that lapsed may be asked to end when another has ended it, and
/// is refused then, so one message can be asked about twice.
#[derive(Clone, Copy, Default, Debug)]
struct Entry {
    /// Its publish was answered, or a consumer has seen it: a crash cannot take it.
    confirmed: bool,
    durable: bool,
    ack_asked: bool,
    acked: bool,
    /// Somebody asked, or a failure that nobody asked for (a lost connection) may have been the last.
    may_move: bool,
    moved: bool,
}

/// Values that an address had.
#[derive(Clone, Default, Debug)]
struct Values {
    /// In the order in which they were sent, from the last that was confirmed on.
    possible: Vec<u64>,
    /// The first of them is confirmed.
    confirmed: bool,
}

/// Everything that was asked and answered.
#[derive(Clone, Default, Debug)]
pub(super) struct Ledger {
    entries: BTreeMap<(Home, u64), Entry>,
    retained: BTreeMap<usize, Values>,
    /// Sessions whose making was answered.
    pub(super) sessions: BTreeMap<usize, bool>,
    pub(super) confirms: usize,
    pub(super) ends: usize,
    pub(super) handshakes: Box<Handshakes>,
    pub(super) history: Box<History>,
}

/// What a new life handed to a fresh consumer.
#[derive(Default, Debug)]
pub(super) struct Found {
    /// In the order in which they came.
    pub(super) homes: BTreeMap<Home, Vec<u64>>,
    pub(super) dead: Vec<u64>,
    pub(super) retained: BTreeMap<usize, u64>,
    pub(super) sessions: BTreeMap<usize, bool>,
    /// What named subscriptions hold.
    pub(super) kept: Truth,
    /// What came again of handshakes.
    pub(super) again: Counts,
}

impl Ledger {
    pub(super) fn sent(&mut self, home: Home, id: u64, durable: bool) {
        let entry = Entry {
            durable,
            ..Entry::default()
        };
        self.entries.insert((home, id), entry);
    }

    /// The publish was answered, or the message was seen: both wait for its record (law L1).
    pub(super) fn confirmed(&mut self, home: Home, id: u64) {
        if let Some(entry) = self.entries.get_mut(&(home, id)) {
            self.confirms += usize::from(!entry.confirmed);
            entry.confirmed = true;
        }
    }

    pub(super) fn end(&mut self, home: Home, id: u64, end: End) {
        if let Some(entry) = self.entries.get_mut(&(home, id)) {
            match end {
                End::AckAsked => entry.ack_asked = true,
                End::Acked => entry.acked = true,
                End::MoveAsked => entry.may_move = true,
                End::Moved => entry.moved = true,
            }
            self.ends += usize::from(end == End::Acked || end == End::Moved);
        }
    }

    /// Its consumer was lost, which may be its last allowed failure.
    pub(super) fn may_move(&mut self, home: Home, id: u64) {
        if let Some(entry) = self.entries.get_mut(&(home, id)) {
            entry.may_move = true;
        }
    }

    /// Everything of a session is discarded; `end` says whether that was answered.
    pub(super) fn clean(&mut self, session: usize, ids: &[u64], end: End) {
        for id in ids {
            self.end(Home::Session(session), *id, end);
        }
    }

    /// What a session may hold now.
    pub(super) fn ids(&self, home: Home) -> Vec<u64> {
        let of_home = self.entries.range((home, 0)..=(home, u64::MAX));
        of_home.map(|((_, id), _)| *id).collect()
    }

    pub(super) fn value_sent(&mut self, address: usize, id: u64) {
        self.retained.entry(address).or_default().possible.push(id);
    }

    pub(super) fn value_confirmed(&mut self, address: usize, id: u64) {
        let values = self.retained.entry(address).or_default();
        if let Some(at) = values.possible.iter().position(|value| *value == id) {
            values.possible.drain(..at);
            values.confirmed = true;
        }
    }

    /// What is wrong with what was found.
    pub(super) fn check(&self, found: &Found) -> Result<(), String> {
        let mut seen: BTreeMap<(Home, u64), usize> = BTreeMap::new();
        for (home, ids) in &found.homes {
            if let Some(pair) = ids.windows(2).find(|pair| pair[0] >= pair[1]) {
                return Err(format!("{home:?}: {} before {}", pair[0], pair[1]));
            }
            for id in ids {
                if !self.entries.contains_key(&(*home, *id)) {
                    return Err(format!("{home:?}: {id} was never sent there"));
                }
                *seen.entry((*home, *id)).or_default() += 1;
            }
        }
        for ((home, id), entry) in &self.entries {
            let at_home = seen.get(&(*home, *id)).copied().unwrap_or(0);
            let dead = match home {
                Home::Queue(_) => found.dead.iter().filter(|dead| *dead == id).count(),
                Home::Session(_) => 0,
            };
            if !entry.allows(at_home, dead) {
                return Err(format!(
                    "{home:?} {id}: {entry:?}, found {at_home} times at home, {dead} times dead"
                ));
            }
        }
        self.check_retained(found)?;
        self.history.check(&found.kept)?;
        for (session, confirmed) in &self.sessions {
            if *confirmed && found.sessions.get(session) != Some(&true) {
                return Err(format!("session {session} is gone"));
            }
        }
        Ok(())
    }

    fn check_retained(&self, found: &Found) -> Result<(), String> {
        for (address, values) in &self.retained {
            let right = match found.retained.get(address) {
                Some(value) => values.possible.contains(value),
                None => !values.confirmed,
            };
            if !right {
                let value = found.retained.get(address);
                return Err(format!("value of {address}: {values:?}, found {value:?}"));
            }
        }
        Ok(())
    }

    /// A new life goes on from what was found: that is the truth now.
    pub(super) fn resolve(&mut self, found: &Found) {
        self.history.resolve(&found.kept);
        self.entries.clear();
        for (home, ids) in &found.homes {
            for id in ids {
                self.sent(*home, *id, true);
                self.confirmed(*home, *id);
            }
        }
        self.retained.clear();
        for (address, value) in &found.retained {
            self.value_sent(*address, *value);
            self.value_confirmed(*address, *value);
        }
        let present = found.sessions.iter().filter(|(_, present)| **present);
        self.sessions = present.map(|(session, _)| (*session, true)).collect();
        for id in &found.dead {
            // Any queue will do: it is nowhere but among the dead letters.
            self.sent(Home::Queue(0), *id, true);
            self.end(Home::Queue(0), *id, End::Moved);
        }
    }
}

impl Entry {
    fn allows(self, at_home: usize, dead: usize) -> bool {
        if self.acked {
            return at_home + dead == 0;
        }
        let must_be = self.confirmed && self.durable && !self.ack_asked;
        if self.moved {
            // A dead letter that is not durable dies with its life.
            return at_home == 0 && (dead == 1 || dead == 0 && !self.durable);
        }
        let once = at_home + dead == 1 || at_home + dead == 0 && !must_be;
        once && (dead == 0 || self.may_move || self.moved)
    }
}
