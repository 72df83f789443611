//! The naive model: every queue is a vector of messages, each in one state. It is told what was
//! asked, checks what the broker decided, and knows no run, credit, index or record.

use crate::command::{LeaseId, Outcome};
use crate::ids::Tag;
use crate::testing::Seen;

/// Where a message of a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Available,
    Out { lane: usize, tag: Tag },
    Leased(LeaseId),
}

/// One message of one queue.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Of this entry: one message may be in a queue twice, as two dead letters.
    pub(super) entry: u64,
    pub(super) body: String,
    pub(super) state: State,
    pub(super) failures: u32,
    pub(super) attempts: u32,
    /// Lanes that set it aside.
    pub(super) excluded: Vec<usize>,
    /// A record names it in this queue.
    pub(super) journalled: bool,
    /// It has a record at all.
    pub(super) named: bool,
}

/// One queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) messages: Vec<Message>,
    pub(super) durable: bool,
    /// A session's: failures have no limit.
    pub(super) of_session: bool,
    pub(super) failed_receive: u64,
}

/// The in-flight table of one consumer or session.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) connection: Option<u32>,
    pub(super) key: u32,
    pub(super) queues: Vec<usize>,
    pub(super) on_write: bool,
    /// The entries it was shown, if it is a browser.
    pub(super) shown: Option<Vec<u64>>,
    pub(super) window: u32,
    /// Tags from here on may not follow.
    pub(super) until: Tag,
    pub(super) next_tag: Tag,
    pub(super) written: Tag,
    /// Up to here a connection that lost its session may have written.
    pub(super) handed: Tag,
}

/// A lease that somebody holds.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    pub(super) queue: usize,
    pub(super) receive: u64,
    pub(super) until_ms: u64,
    pub(super) set: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) queues: Vec<Queue>,
    pub(super) lanes: Vec<Option<Lane>>,
    pub(super) leases: Vec<Lease>,
    entries: u64,
}

/// The dead-letter queue is the first.
pub(super) const DEAD: usize = 0;
/// Failures until a message is dead-lettered.
pub(super) const MAX_FAILURES: u32 = 3;

/// What a message's body says of its priority.
pub(super) fn priority_of(body: &str) -> u8 {
    let said = body
        .rsplit_once('.')
        .and_then(|(_, said)| said.parse().ok());
    said.unwrap_or(4)
}

/// The place of the first of the highest priority that is wanted.
pub(super) fn first_of(messages: &[Message], wanted: impl Fn(&Message) -> bool) -> Option<usize> {
    let places = messages.iter().enumerate().filter(|(_, m)| wanted(m));
    let first = places.min_by_key(|(place, m)| (9 - priority_of(&m.body), *place));
    first.map(|(place, _)| place)
}

impl Model {
    pub(super) fn put(&mut self, queue: usize, body: &str, durable: bool, named: bool) {
        self.entries += 1;
        let queue = &mut self.queues[queue];
        queue.messages.push(Message {
            entry: self.entries,
            body: body.to_owned(),
            state: State::Available,
            failures: 0,
            attempts: 0,
            excluded: Vec::new(),
            journalled: durable && queue.durable,
            named,
        });
    }

    pub(super) fn lane_of(&self, connection: u32, key: u32) -> Option<usize> {
        let is = |lane: &Lane| lane.connection == Some(connection) && lane.key == key;
        self.lanes
            .iter()
            .position(|lane| lane.as_ref().is_some_and(is))
    }

    pub(super) fn lane(&mut self, lane: usize) -> &mut Lane {
        self.lanes[lane].as_mut().expect("a lane of the model")
    }

    /// What a lane holds: (tag, queue, place), in the order of tags.
    pub(super) fn held(&self, lane: usize) -> Vec<(Tag, usize, usize)> {
        let mut held = Vec::new();
        for &queue in &self.lanes[lane].as_ref().expect("a lane").queues {
            for (place, message) in self.queues[queue].messages.iter().enumerate() {
                if let State::Out { lane: at, tag } = message.state
                    && at == lane
                {
                    held.push((tag, queue, place));
                }
            }
        }
        held.sort_unstable();
        held
    }

    /// A message was delivered: it must have been the first available one of its queue, within
    /// the window; or one that the lane holds, sent again with its old tag.
    pub(super) fn delivered(&mut self, seen: &Seen) {
        let lane = self
            .lane_of(seen.connection, seen.consumer)
            .expect("an open consumer");
        if self.lane(lane).shown.is_some() {
            return self.shown(lane, seen);
        }
        let held = self.held(lane).len();
        let state = self.lanes[lane].as_mut().expect("a lane");
        let queues = state.queues.clone();
        for queue in queues {
            let messages = &mut self.queues[queue].messages;
            let out = State::Out {
                lane,
                tag: seen.tag,
            };
            if let Some(again) = messages.iter().find(|m| m.state == out) {
                assert_eq!(again.body, seen.body, "the same tag, the same message");
                let known = seen.tag <= state.written;
                assert!(seen.duplicate || !known, "{seen:?}");
                let maybe = seen.tag <= state.handed;
                assert!(!seen.duplicate || known || maybe, "{seen:?}");
                return;
            }
            let is = |m: &Message| m.body == seen.body && m.state == State::Available;
            let Some(place) = messages.iter().position(is) else {
                continue;
            };
            let open = |m: &Message| m.state == State::Available && !m.excluded.contains(&lane);
            let first = first_of(messages, open);
            assert_eq!(
                first,
                Some(place),
                "{seen:?} is not the first for its consumer"
            );
            assert_eq!(seen.tag, state.next_tag, "{seen:?}");
            assert_eq!(seen.attempts, messages[place].attempts, "{seen:?}");
            assert!(held < state.window as usize, "{seen:?} is above the window");
            assert!(seen.tag < state.until, "{seen:?} is above the credit");
            assert!(!seen.duplicate, "{seen:?}");
            state.next_tag += 1;
            messages[place].state = out;
            return;
        }
        unreachable!("{seen:?} is in none of the queues of its consumer");
    }

    /// A browser was shown a message: an available one, behind all that it was shown before.
    fn shown(&mut self, lane: usize, seen: &Seen) {
        let state = self.lanes[lane].as_mut().expect("a lane");
        let messages = &self.queues[state.queues[0]].messages;
        let is = |m: &Message| m.body == seen.body && m.state == State::Available;
        let shown = state.shown.as_mut().expect("a browser");
        let place_of = |entry: u64| messages.iter().position(|m| m.entry == entry);
        let mut from = 0;
        while let Some(last) = shown.last() {
            if let Some(place) = place_of(*last) {
                from = place + 1;
                break;
            }
            shown.pop();
        }
        let next = messages[from..].iter().find(|m| is(m));
        let next = next.unwrap_or_else(|| unreachable!("{seen:?} is not to be shown"));
        assert_eq!(seen.attempts, next.attempts, "{seen:?}");
        assert_eq!(seen.tag, state.next_tag, "{seen:?}");
        assert!(seen.tag < state.until, "{seen:?} is above the credit");
        shown.push(next.entry);
        state.next_tag += 1;
    }

    /// Ends one message of a queue.
    pub(super) fn end(&mut self, queue: usize, entry: u64, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => self.remove(queue, entry),
            Outcome::Released => self.free(queue, entry),
            Outcome::Undeliverable { failed } => {
                let place = self.place(queue, entry);
                let message = &mut self.queues[queue].messages[place];
                if let State::Out { lane, .. } = message.state {
                    message.excluded.push(lane);
                }
                if failed {
                    self.count(queue, entry, 1);
                } else {
                    self.free(queue, entry);
                }
            }
            Outcome::Failed { .. } => self.count(queue, entry, 1),
            Outcome::Rejected => self.dead_letter(queue, entry),
        }
    }

    fn place(&self, queue: usize, entry: u64) -> usize {
        let messages = &self.queues[queue].messages;
        messages
            .iter()
            .position(|m| m.entry == entry)
            .expect("a message")
    }

    pub(super) fn remove(&mut self, queue: usize, entry: u64) {
        let place = self.place(queue, entry);
        self.queues[queue].messages.remove(place);
    }

    pub(super) fn free(&mut self, queue: usize, entry: u64) {
        let place = self.place(queue, entry);
        self.queues[queue].messages[place].state = State::Available;
    }

    /// An attempt, and failures; then back, or to the dead letters.
    pub(super) fn count(&mut self, queue: usize, entry: u64, failures: u32) {
        let place = self.place(queue, entry);
        let state = &mut self.queues[queue];
        let message = &mut state.messages[place];
        message.attempts += 1;
        message.failures += failures;
        if failures > 0 && !state.of_session && message.failures >= MAX_FAILURES {
            self.dead_letter(queue, entry);
        } else {
            message.state = State::Available;
        }
    }

    fn dead_letter(&mut self, queue: usize, entry: u64) {
        let place = self.place(queue, entry);
        let mut message = if queue == DEAD {
            self.queues[DEAD].messages[place].clone()
        } else {
            self.queues[queue].messages.remove(place)
        };
        (message.attempts, message.failures) = (0, 0);
        message.state = State::Available;
        if queue == DEAD {
            self.queues[DEAD].messages[place] = message; // It stays where it is (L15).
        } else {
            message.journalled = message.named;
            message.excluded.clear();
            self.queues[DEAD].messages.push(message);
        }
    }

    /// The client of a lane goes away: what was written is counted unless it said goodbye, the
    /// oldest of each queue as a failure.
    pub(super) fn take_back(&mut self, lane: usize, only: Option<&[usize]>, polite: bool) {
        let written = if polite { 0 } else { self.lane(lane).written };
        let mut failed = Vec::new();
        for (tag, queue, place) in self.held(lane) {
            if only.is_some_and(|only| !only.contains(&queue)) {
                continue;
            }
            // Places shift when an earlier message goes to the dead letters.
            let messages = &self.queues[queue].messages;
            let at = messages
                .iter()
                .position(|m| m.state == State::Out { lane, tag });
            let entry = messages[at.unwrap_or(place)].entry;
            if tag > written {
                self.free(queue, entry);
            } else if failed.contains(&queue) {
                self.count(queue, entry, 0);
            } else {
                failed.push(queue);
                self.count(queue, entry, 1);
            }
        }
    }

    /// Leases that have ended by now.
    pub(super) fn expire_leases(&mut self, now_ms: u64) {
        let mut due: Vec<Lease> = self.leases.clone();
        due.retain(|lease| lease.until_ms <= now_ms);
        due.sort_by_key(|lease| (lease.until_ms, lease.set));
        for lease in due {
            let older = |other: &Lease| {
                other.queue == lease.queue
                    && other.receive == lease.receive
                    && other.id.sequence < lease.id.sequence
            };
            let oldest = !self.leases.iter().any(older);
            self.leases.retain(|other| other.id != lease.id);
            let queue = &mut self.queues[lease.queue];
            let counts = oldest && queue.failed_receive != lease.receive;
            if counts {
                queue.failed_receive = lease.receive;
            }
            let held = queue
                .messages
                .iter()
                .find(|m| m.state == State::Leased(lease.id));
            let entry = held.expect("a leased message").entry;
            self.count(lease.queue, entry, u32::from(counts));
        }
    }

    /// The process died and came back: what no record names is gone, nothing is out.
    pub(super) fn crash(&mut self) {
        for queue in &mut self.queues {
            queue.messages.retain(|message| message.journalled);
            for message in &mut queue.messages {
                message.state = State::Available;
                message.excluded.clear();
            }
            queue.failed_receive = 0;
        }
        self.leases.clear();
    }

    /// A lane consumes from a queue no more, or from none: it has set nothing aside there.
    pub(super) fn readmit(&mut self, lane: usize, only: Option<usize>) {
        for (at, queue) in self.queues.iter_mut().enumerate() {
            if only.is_none_or(|only| only == at) {
                for message in &mut queue.messages {
                    message.excluded.retain(|other| *other != lane);
                }
            }
        }
    }

    /// Messages in all queues.
    pub(super) fn total(&self) -> u64 {
        self.queues
            .iter()
            .map(|queue| queue.messages.len() as u64)
            .sum()
    }
}
