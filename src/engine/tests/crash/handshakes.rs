//! Clients that hand messages over in two steps and keep what they know of them over crashes (law
//! L13), and one with a will (law L14).
//!
//! What is here is what such clients remember, and what their applications saw; their connections
//! are in [`hands`](super::hands).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;

pub(super) const SENDERS: usize = 3;
pub(super) const RECEIVERS: usize = 2;
/// In the numbers of messages, above their senders.
const WILLS: u64 = 9;
const SENDER_SHIFT: u32 = 40;

/// What all clients remember.
#[derive(Clone, Debug)]
pub(super) struct Handshakes {
    pub(super) senders: Vec<Sender>,
    pub(super) receivers: Vec<Receiver>,
    pub(super) wills: Vec<Will>,
    pub(super) counts: Counts,
    faults: Vec<String>,
}

/// How often there was what a test must not be without.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counts {
    /// Messages between their first and second steps as the power failed: in and out.
    open_in: usize,
    open_out: usize,
    /// Second steps that came again.
    steps_again: usize,
    /// Messages that came again and were held back.
    held_back: usize,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.open_in += other.open_in;
        self.open_out += other.open_out;
        self.steps_again += other.steps_again;
        self.held_back += other.held_back;
    }

    pub(super) fn is_rich(self) -> bool {
        let counts = [
            self.open_in,
            self.open_out,
            self.steps_again,
            self.held_back,
        ];
        counts.iter().all(|count| *count > 20)
    }
}

/// Sends its messages in order; the last of [`SENDERS`] at least once, the others exactly once.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) exact: bool,
    /// Its session was seen.
    pub(super) known: bool,
    pub(super) next: u64,
    pub(super) last_id: u16,
    /// Oldest first.
    pub(super) out: VecDeque<Sending>,
    /// The last that was to be retained.
    pub(super) kept: Option<u64>,
}

/// A message whose handshake is not finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sending {
    pub(super) id: u16,
    pub(super) number: u64,
    pub(super) retain: bool,
    pub(super) step: Step,
    /// This step was sent on an earlier connection too.
    pub(super) again: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Sent,
    Confirmed,
    /// The release was sent.
    Released,
}

/// Takes everything.
#[derive(Clone, Default, Debug)]
pub(super) struct Receiver {
    /// Its session was seen.
    pub(super) known: bool,
    /// Its subscription was granted.
    pub(super) bound: bool,
    /// What the application has of each sender: all below.
    next: BTreeMap<u64, u64>,
    wills: BTreeMap<u64, usize>,
    /// Not finished.
    pub(super) held: BTreeMap<Tag, Held>,
    finished: BTreeSet<Tag>,
    /// The highest tag of any delivery.
    pub(super) highest: Tag,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    body: u64,
    /// The message came on this connection, so it may be answered.
    pub(super) heard: bool,
    /// The answer was sent on this connection.
    pub(super) asked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Will {
    pub(super) due: Due,
    /// Its connection was lost, and it has no delay.
    pub(super) decided: bool,
    pub(super) delay_ms: u64,
}

/// Whether a will must come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Perhaps,
    Must,
    /// It was taken back, and is not there any more.
    Never,
    /// It was taken back; nothing has said yet that this is durable.
    TakenBack,
}

impl Default for Handshakes {
    fn default() -> Self {
        let sender = |at| Sender {
            exact: at + 1 < SENDERS,
            known: false,
            next: 0,
            last_id: 0,
            out: VecDeque::new(),
            kept: None,
        };
        Self {
            senders: (0..SENDERS).map(sender).collect(),
            receivers: (0..RECEIVERS).map(|_| Receiver::default()).collect(),
            wills: Vec::new(),
            counts: Counts::default(),
            faults: Vec::new(),
        }
    }
}

pub(super) fn body_of(sender: usize, number: u64) -> u64 {
    (sender as u64) << SENDER_SHIFT | number
}

pub(super) fn body_of_will(number: usize) -> u64 {
    WILLS << SENDER_SHIFT | number as u64
}

impl Sender {
    /// The next id that is free, of those around the end of all: they are used again soon.
    pub(super) fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = match self.last_id {
                u16::MAX => 1,
                25 => u16::MAX - 25,
                id => id + 1,
            };
            if self.out.iter().all(|sending| sending.id != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// The first step is answered.
    pub(super) fn confirmed(&mut self, first: u16, n: usize) {
        let from = self.out.iter().position(|sending| sending.id == first);
        let from = from.unwrap_or(self.out.len());
        if !self.exact {
            self.out.drain(from..from + n);
            return;
        }
        let sendings = self.out.iter_mut().skip(from).take(n);
        for sending in sendings {
            (sending.step, sending.again) = (Step::Confirmed, false);
        }
    }

    /// The second step is answered; what is sent for the first time must be known.
    pub(super) fn released(&mut self, first: u16, known: &[bool]) -> Result<(), String> {
        let from = self.out.iter().position(|sending| sending.id == first);
        let from = from.ok_or_else(|| format!("release of {first}, which is not there"))?;
        let sendings = self.out.drain(from..from + known.len());
        let wrong = sendings.zip(known).find(|(s, known)| !s.again && !**known);
        wrong.map_or(Ok(()), |(sending, _)| Err(format!("forgot {sending:?}")))
    }
}

/// Whether an id comes right behind another; they go round.
pub(super) fn follows(id: u16, next: u16) -> bool {
    id % u16::MAX + 1 == next
}

impl Handshakes {
    /// The power has failed: what nothing durable was heard of may be undone.
    pub(super) fn new_life(&mut self) {
        let mut is_covered = false;
        for will in self.wills.iter_mut().rev() {
            will.decided &= is_covered;
            is_covered |= matches!(will.due, Due::Must | Due::Never);
            if will.due == Due::TakenBack {
                will.due = Due::Perhaps;
            }
        }
    }

    /// The client of the wills comes back with another; gives its number.
    pub(super) fn new_will(&mut self, delay_ms: u64) -> usize {
        for will in &mut self.wills {
            if will.due == Due::Must && !will.decided {
                will.due = Due::Perhaps;
            }
        }
        self.wills.push(Will {
            due: Due::Perhaps,
            decided: false,
            delay_ms,
        });
        self.wills.len() - 1
    }

    /// That was answered.
    pub(super) fn will_stands(&mut self, number: usize) {
        let (earlier, rest) = self.wills.split_at_mut(number);
        for will in earlier {
            if will.due == Due::TakenBack {
                will.due = Due::Never;
            }
        }
        rest[0].due = Due::Must;
    }

    /// What is between its first and its second step.
    pub(super) fn open(&self) -> Counts {
        let out = self.senders.iter().flat_map(|sender| &sender.out);
        let held = self.receivers.iter().map(|receiver| receiver.held.len());
        Counts {
            open_in: out.filter(|sending| sending.step != Step::Sent).count(),
            open_out: held.sum(),
            ..Counts::default()
        }
    }

    pub(super) fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// A session that was seen must be there.
    pub(super) fn present(known: &mut bool, present: bool) -> Result<(), String> {
        let lost = *known && !present;
        *known = true;
        if lost {
            return Err("its session is gone".into());
        }
        Ok(())
    }

    /// One message to a receiver, or its second step; gives whether it is settled with that.
    pub(super) fn delivered(
        &mut self,
        at: usize,
        delivery: &Delivery,
        tag: Tag,
        body: u64,
    ) -> Result<bool, String> {
        let receiver = &mut self.receivers[at];
        if delivery.second_step {
            return receiver.second_step(tag, &mut self.counts).map(|()| true);
        }
        if let Some(held) = receiver.held.get_mut(&tag) {
            if held.body != body || held.asked || !delivery.duplicate {
                return Err(format!("{tag} again: {held:?}, {body:x}"));
            }
            held.heard = true;
            self.counts.held_back += 1;
            return Ok(false);
        }
        let exact = delivery.run.envelope.assurance == Assurance::ExactlyOnce;
        if tag <= receiver.highest && (exact || !delivery.duplicate) {
            return Err(format!("{tag} for {body:x} after {}", receiver.highest));
        }
        receiver.highest = receiver.highest.max(tag);
        receiver.application(body, exact)?;
        if exact {
            let held = Held {
                body,
                heard: true,
                asked: false,
            };
            receiver.held.insert(tag, held);
        }
        Ok(!exact)
    }

    /// The broker knows, or does not, that a receiver has a message.
    pub(super) fn received(&mut self, at: usize, tag: Tag, known: bool) -> Result<(), String> {
        let receiver = &mut self.receivers[at];
        if !known || receiver.held.remove(&tag).is_none() {
            return Err(format!("received {tag}, known {known}"));
        }
        receiver.finished.insert(tag);
        Ok(())
    }

    /// What is wrong with what was seen; `values` are what is retained by each sender.
    pub(super) fn check(&self, values: &[Option<u64>]) -> Result<(), String> {
        if let Some(fault) = self.faults.first() {
            return Err(fault.clone());
        }
        for (at, receiver) in self.receivers.iter().enumerate() {
            for (from, sender) in self.senders.iter().enumerate() {
                let next = receiver.next.get(&(from as u64)).copied().unwrap_or(0);
                if next != sender.next || !sender.out.is_empty() {
                    let left = sender.out.len();
                    let sent = sender.next;
                    return Err(format!(
                        "receiver {at}: {next} of {sent} from {from}, {left} out"
                    ));
                }
            }
            if let Some((tag, held)) = receiver.held.first_key_value() {
                return Err(format!("receiver {at}: {tag} {held:?} is not finished"));
            }
            for (number, will) in self.wills.iter().enumerate() {
                let came = receiver.wills.get(&(number as u64)).copied().unwrap_or(0);
                let right = match will.due {
                    Due::Must => came == 1,
                    Due::Never => came == 0,
                    Due::Perhaps | Due::TakenBack => came <= 1,
                };
                if !right {
                    return Err(format!(
                        "receiver {at}: will {number} {will:?} {came} times"
                    ));
                }
            }
        }
        for (at, sender) in self.senders.iter().enumerate() {
            let wanted = sender.kept.map(|number| body_of(at, number));
            if wanted.is_some() && values[at] != wanted {
                return Err(format!("value of {at}: {:?}, not {wanted:?}", values[at]));
            }
        }
        Ok(())
    }
}

impl Receiver {
    /// The second step of a message comes again, or for the first time if its answer was lost.
    fn second_step(&mut self, tag: Tag, counts: &mut Counts) -> Result<(), String> {
        if self.held.remove(&tag).is_none() && !self.finished.contains(&tag) {
            return Err(format!("second step of {tag}, which never came"));
        }
        counts.steps_again += 1;
        self.finished.insert(tag);
        Ok(())
    }

    /// A message reaches the application.
    fn application(&mut self, body: u64, exact: bool) -> Result<(), String> {
        let (sender, number) = (body >> SENDER_SHIFT, body & ((1 << SENDER_SHIFT) - 1));
        if sender == WILLS {
            *self.wills.entry(number).or_default() += 1;
            return Ok(());
        }
        let next = self.next.entry(sender).or_default();
        let right = if exact {
            number == *next
        } else {
            number <= *next
        };
        if !right {
            return Err(format!("{number} of {sender} instead of {next}"));
        }
        *next = (*next).max(number + 1);
        Ok(())
    }
}
