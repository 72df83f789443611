//! What named subscriptions hold, command by command. What a crash leaves is what there was after
//! some of the commands, in their order: after all of them that were answered, at least.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use ternmq_core::address::Address;
use ternmq_core::command::Outcome;

/// A subscription that clients make and end.
pub(super) struct Plan {
    pub(super) name: &'static str,
    /// What it subscribes to: at first, and when it is made anew.
    pub(super) filters: [&'static str; 2],
    pub(super) shared: bool,
    pub(super) durable: bool,
}

pub(super) const PLANS: [Plan; 4] = [
    Plan {
        name: "n.single",
        filters: ["n.#", "n.#"],
        shared: false,
        durable: true,
    },
    Plan {
        name: "n.shared",
        filters: ["n.a", "n.a"],
        shared: true,
        durable: true,
    },
    Plan {
        name: "n.changing",
        filters: ["n.a", "n.b"],
        shared: false,
        durable: true,
    },
    Plan {
        name: "n.volatile",
        filters: ["n.#", "n.#"],
        shared: true,
        durable: false,
    },
];

/// Failures of a message that are too many.
const TOO_MANY: u32 = 2;

/// The first id of all messages here; others have lower ones.
pub(super) const FIRST_ID: u64 = 1 << 50;

pub(super) type Note = Arc<[u8]>;

/// One message in one place.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    pub(super) durable: bool,
    pub(super) failures: u32,
    pub(super) note: Option<Note>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Subscription {
    pub(super) filter: &'static str,
    /// By id, which is their order.
    pub(super) messages: BTreeMap<u64, Kept>,
}

/// Everything there is.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Truth {
    /// By their places in [`PLANS`].
    pub(super) subscriptions: BTreeMap<usize, Subscription>,
    /// What was moved to the dead letters, failures forgotten, and from which subscription.
    pub(super) dead: BTreeMap<(u64, usize), Kept>,
}

/// A command that changes what there is.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// It is there, with this filter: made, or made anew, if it was not.
    Join(usize, &'static str),
    End(usize),
    Publish {
        topic: &'static str,
        ids: Vec<u64>,
        durable: bool,
    },
    Settle {
        at: usize,
        ids: Vec<u64>,
        outcome: Outcome,
        note: Option<Note>,
    },
}

/// What was asked and answered in one life.
#[derive(Clone, Default, Debug)]
pub(super) struct History {
    base: Truth,
    changes: Vec<Change>,
    /// Whether each of them leaves something in the log; nothing is promised of the others (L1).
    journalled: Vec<bool>,
    /// So many of them cannot be taken back (law L1).
    sure: usize,
    /// Which change a message was published with.
    published: BTreeMap<u64, usize>,
    /// After all of them.
    pub(super) now: Truth,
    pub(super) temporaries: Vec<Address>,
    /// What happened, and how often.
    pub(super) counts: BTreeMap<&'static str, usize>,
    pub(super) faults: Vec<String>,
}

impl Subscription {
    fn takes(&self, topic: &str) -> bool {
        self.filter == "n.#" || self.filter == topic
    }
}

impl Truth {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Join(at, filter) => {
                let new = || Subscription {
                    filter,
                    messages: BTreeMap::new(),
                };
                let there = self.subscriptions.entry(*at).or_insert_with(new);
                if there.filter != *filter {
                    *there = new();
                }
            }
            Change::End(at) => drop(self.subscriptions.remove(at)),
            Change::Publish {
                topic,
                ids,
                durable,
            } => {
                let all = self.subscriptions.values_mut();
                for to in all.filter(|to| to.takes(topic)) {
                    let kept = Kept {
                        durable: *durable,
                        ..Kept::default()
                    };
                    to.messages.extend(ids.iter().map(|id| (*id, kept.clone())));
                }
            }
            Change::Settle {
                at,
                ids,
                outcome,
                note,
            } => {
                for id in ids {
                    self.settle(*at, *id, *outcome, note.as_ref());
                }
            }
        }
    }

    fn settle(&mut self, at: usize, id: u64, outcome: Outcome, note: Option<&Note>) {
        let Some(from) = self.subscriptions.get_mut(&at) else {
            return;
        };
        let Some(kept) = from.messages.get_mut(&id) else {
            return;
        };
        if let Some(note) = note {
            kept.note = Some(Arc::clone(note));
        }
        let (ends, dies) = match outcome {
            Outcome::Accepted => (true, false),
            Outcome::Released | Outcome::Undeliverable { failed: false } => (false, false),
            Outcome::Rejected => (true, true),
            Outcome::Failed { .. } | Outcome::Undeliverable { failed: true } => {
                kept.failures += 1;
                let exhausted = kept.failures == TOO_MANY;
                (exhausted, exhausted)
            }
        };
        if ends && let Some(mut kept) = from.messages.remove(&id) {
            kept.failures = 0;
            if dies {
                self.dead.insert((id, at), kept);
            }
        }
    }

    /// Whether a command leaves something in the log (law L9).
    fn journals(&self, change: &Change) -> bool {
        match change {
            Change::Join(at, _) | Change::End(at) => PLANS[*at].durable,
            Change::Publish { topic, durable, .. } => {
                let mut there = self.subscriptions.iter();
                *durable && there.any(|(at, to)| PLANS[*at].durable && to.takes(topic))
            }
            Change::Settle { at, ids, .. } => {
                let there = self.subscriptions.get(at);
                let kept = |id| there.and_then(|there| there.messages.get(id));
                PLANS[*at].durable && ids.iter().filter_map(kept).any(|kept| kept.durable)
            }
        }
    }

    /// What a crash leaves of it.
    fn durable(&self) -> Self {
        let mut left = self.clone();
        left.subscriptions.retain(|at, _| PLANS[*at].durable);
        for subscription in left.subscriptions.values_mut() {
            subscription.messages.retain(|_, kept| kept.durable);
        }
        left.dead.retain(|_, kept| kept.durable);
        left
    }
}

impl History {
    /// A command is given; returns its number.
    pub(super) fn add(&mut self, change: Change) -> usize {
        self.journalled.push(self.now.journals(&change));
        self.now.apply(&change);
        let at = self.changes.len();
        if let Change::Publish { ids, .. } = &change {
            self.published.extend(ids.iter().map(|id| (*id, at)));
        }
        self.changes.push(change);
        at
    }

    /// A command was answered, so that nothing up to it can be taken back if it is in the log.
    pub(super) fn answered(&mut self, at: usize) {
        if self.journalled[at] {
            self.sure = self.sure.max(at + 1);
        }
    }

    /// A message of a subscription came.
    pub(super) fn delivered(&mut self, at: usize, id: u64, failures: u32, note: Option<&Note>) {
        if let Some(published) = self.published.get(&id).filter(|_| PLANS[at].durable) {
            self.answered(*published);
        }
        let there = self.now.subscriptions.get(&at);
        let kept = there.and_then(|there| there.messages.get(&id));
        let right =
            kept.is_some_and(|kept| kept.failures == failures && kept.note.as_ref() == note);
        if !right {
            let name = PLANS[at].name;
            self.fault(format!("{name} {id}: {failures} {note:?}, not {kept:?}"));
        }
        self.count("with a note", usize::from(note.is_some()));
    }

    pub(super) fn count(&mut self, what: &'static str, n: usize) {
        *self.counts.entry(what).or_default() += n;
    }

    pub(super) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// What is wrong with what was found behind a crash.
    pub(super) fn check(&self, found: &Truth) -> Result<(), String> {
        if let Some(fault) = self.faults.first() {
            return Err(fault.clone());
        }
        let mut truth = self.base.clone();
        let mut wrong = None;
        for (done, change) in (0..).zip(self.changes.iter().map(Some).chain([None])) {
            if done >= self.sure {
                let left = truth.durable();
                if left == *found {
                    return Ok(());
                }
                wrong =
                    wrong.or_else(|| Some(format!("after {done}: {}", difference(&left, found))));
            }
            if let Some(change) = change {
                truth.apply(change);
            }
        }
        let sure = self.sure;
        Err(format!(
            "nothing between {sure} and {} commands: {}",
            self.changes.len(),
            wrong.unwrap_or_default()
        ))
    }

    /// What is wrong with what was found and nothing has crashed.
    pub(super) fn check_alive(&self, found: &Truth) -> Result<(), String> {
        match self.now == *found {
            true => Ok(()),
            false => Err(difference(&self.now, found)),
        }
    }

    /// A new life goes on from what was found.
    pub(super) fn resolve(&mut self, found: &Truth) {
        *self = Self {
            base: found.clone(),
            now: found.clone(),
            temporaries: std::mem::take(&mut self.temporaries),
            ..Self::default()
        };
    }

    /// Whether everything happened that is to be proved.
    pub(super) fn is_rich(&self) -> bool {
        let wanted = [
            "joined",
            "taken over",
            "made anew",
            "ended",
            "with a note",
            "settled",
            "drained",
            "browsed",
            "temporary",
        ];
        let happened = |what| self.counts.get(what).is_some_and(|count| *count > 1);
        wanted.iter().all(happened) && self.now.dead.len() > 1
    }
}

/// Where two states differ first, in words.
fn difference(wanted: &Truth, found: &Truth) -> String {
    if wanted.dead != found.dead {
        return format!("dead letters: {}", first(&wanted.dead, &found.dead));
    }
    for (at, plan) in PLANS.iter().enumerate() {
        let both = [wanted, found].map(|truth| truth.subscriptions.get(&at));
        let name = plan.name;
        match both {
            [Some(wanted), Some(found)] if wanted != found => {
                let (filter, other) = (wanted.filter, found.filter);
                let messages = first(&wanted.messages, &found.messages);
                return format!("{name} to {filter}, found {other}: {messages}");
            }
            [Some(_), None] => return format!("{name} is gone"),
            [None, Some(_)] => return format!("{name} is there"),
            _ => {}
        }
    }
    "nothing".into()
}

fn first<K: Ord + Debug>(wanted: &BTreeMap<K, Kept>, found: &BTreeMap<K, Kept>) -> String {
    let ids: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let differing = ids.into_iter().find(|id| wanted.get(id) != found.get(id));
    differing.map_or_else(String::new, |id| {
        format!("{id:?}: {:?}, found {:?}", wanted.get(id), found.get(id))
    })
}
