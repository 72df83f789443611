//! What the outside world was promised, written when the bytes of the promise arrived.
//!
//! A producer numbers its messages from 0. A message is *sent* when the kernel took its last byte
//! and *confirmed* when its confirm was read. A place (queue or session) has *delivered* it when its
//! body was read, and *settled* it when the answer to its acknowledgement was read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The books of one server directory, over all its lives.
pub(crate) struct Ledger {
    producers: Vec<Mutex<Producer>>,
    places: Vec<Mutex<Place>>,
    confirms: AtomicU64,
}

#[derive(Default)]
struct Producer {
    /// Bytes and state of each message, by number.
    messages: Vec<(usize, State)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Numbered; perhaps the server has a part of it.
    Begun,
    Sent,
    Confirmed,
}

struct Place {
    name: &'static str,
    /// Which messages come here.
    takes: Takes,
    seen: BTreeMap<Message, Seen>,
    /// Newest message of each producer that this life has delivered.
    newest: BTreeMap<usize, u64>,
    /// What this life was to deliver again.
    given_back: BTreeSet<Message>,
    /// Acknowledged, and the answer is to come.
    ending: BTreeSet<Message>,
    twice: u64,
    faults: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Delivered,
    /// Acknowledged in a life that ended before the answer was read.
    Perhaps,
    Settled,
}

/// Whether a message comes to a place.
pub(crate) type Takes = fn(Message) -> bool;

/// Which message of which producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Message {
    pub(crate) producer: usize,
    pub(crate) number: u64,
}

/// Sums over all producers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) sent: u64,
    pub(crate) confirmed: u64,
    /// Bytes that were sent and not confirmed.
    pub(crate) open_bytes: u64,
}

impl Ledger {
    /// Books for `producers` producers and the named places with what each takes.
    pub(crate) fn new(producers: usize, places: &[(&'static str, Takes)]) -> Self {
        let place = |&(name, takes)| {
            Mutex::new(Place {
                name,
                takes,
                seen: BTreeMap::new(),
                newest: BTreeMap::new(),
                given_back: BTreeSet::new(),
                ending: BTreeSet::new(),
                twice: 0,
                faults: Vec::new(),
            })
        };
        Self {
            producers: (0..producers).map(|_| Mutex::default()).collect(),
            places: places.iter().map(place).collect(),
            confirms: AtomicU64::new(0),
        }
    }

    /// Numbers the next message of `producer`, which will have `bytes` bytes.
    pub(crate) fn begin(&self, producer: usize, bytes: usize) -> Message {
        let mut books = self.producers[producer].lock().unwrap();
        books.messages.push((bytes, State::Begun));
        let number = books.messages.len() as u64 - 1;
        Message { producer, number }
    }

    /// The kernel took the last byte of `message`.
    pub(crate) fn sent(&self, message: Message) {
        let mut books = self.producers[message.producer].lock().unwrap();
        let state = &mut books.messages[message.number as usize].1;
        // Its confirm may have been faster than this thread.
        if *state == State::Begun {
            *state = State::Sent;
        }
    }

    /// The confirm of `message` was read.
    pub(crate) fn confirmed(&self, message: Message) {
        let mut books = self.producers[message.producer].lock().unwrap();
        books.messages[message.number as usize].1 = State::Confirmed;
        self.confirms.fetch_add(1, Ordering::Relaxed);
    }

    /// How many confirms were read so far.
    pub(crate) fn confirms(&self) -> u64 {
        self.confirms.load(Ordering::Relaxed)
    }

    /// How many messages of `producer` were confirmed.
    pub(crate) fn confirms_of(&self, producer: usize) -> usize {
        let books = self.producers[producer].lock().unwrap();
        let confirmed = books
            .messages
            .iter()
            .filter(|(_, state)| *state == State::Confirmed);
        confirmed.count()
    }

    /// The number that the next message of `producer` will have.
    pub(crate) fn next_number(&self, producer: usize) -> u64 {
        self.producers[producer].lock().unwrap().messages.len() as u64
    }

    /// How many messages and bytes there are, all producers together.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for producer in &self.producers {
            for &(bytes, state) in &producer.lock().unwrap().messages {
                sums.sent += u64::from(state != State::Begun);
                sums.confirmed += u64::from(state == State::Confirmed);
                if state == State::Sent {
                    sums.open_bytes += bytes as u64;
                }
            }
        }
        sums
    }

    /// A new connection of the place: order begins anew, and what was not settled comes again.
    pub(crate) fn new_life(&self, place: usize) {
        let mut place = self.places[place].lock().unwrap();
        place.newest.clear();
        place.given_back.clear();
        for message in std::mem::take(&mut place.ending) {
            place.seen.insert(message, Seen::Perhaps);
        }
    }

    /// `place` does not want `message` now: it comes again, out of its order.
    pub(crate) fn given_back(&self, place: usize, message: Message) {
        let mut place = self.places[place].lock().unwrap();
        place.given_back.insert(message);
    }

    /// `place` got `body`; returns the message it is, unless the server made it up.
    pub(crate) fn delivered(&self, place: usize, body: &[u8]) -> Option<Message> {
        let message = read_payload(body);
        let mut place = self.places[place].lock().unwrap();
        let Some(message) = message.filter(|&message| self.knows(message)) else {
            place.fault("invented", format!("a body of {} bytes", body.len()));
            return None;
        };
        if !(place.takes)(message) {
            place.fault("misrouted", format!("{message:?}"));
        }
        if !place.given_back.remove(&message) {
            let newest = place.newest.insert(message.producer, message.number);
            if newest.is_some_and(|newest| newest >= message.number) {
                let before = if place.seen.contains_key(&message) {
                    "for another time"
                } else {
                    "for the first time"
                };
                place.fault(
                    "out of order",
                    format!("{message:?} {before} after {newest:?}"),
                );
            }
        }
        match place.seen.insert(message, Seen::Delivered) {
            Some(Seen::Settled) => place.fault("came after its ack", format!("{message:?}")),
            Some(Seen::Delivered | Seen::Perhaps) => place.twice += 1,
            None => {}
        }
        Some(message)
    }

    /// `message` is acknowledged for good.
    pub(crate) fn ending(&self, place: usize, message: Message) {
        self.places[place].lock().unwrap().ending.insert(message);
    }

    /// The answer to the acknowledgement of `message` was read.
    pub(crate) fn settled(&self, place: usize, message: Message) {
        let mut place = self.places[place].lock().unwrap();
        place.ending.remove(&message);
        place.seen.insert(message, Seen::Settled);
    }

    /// What was confirmed and `place` has not delivered, in words; `None` is the best news.
    pub(crate) fn missing(&self, place: usize) -> Option<String> {
        self.open(place, |seen| seen.is_some())
    }

    /// What was confirmed and `place` has not settled, in words; its consumer tells of
    /// [`Ledger::ending`].
    pub(crate) fn unsettled(&self, place: usize) -> Option<String> {
        self.open(place, |seen| {
            matches!(seen, Some(Seen::Perhaps | Seen::Settled))
        })
    }

    fn open(&self, place: usize, is_done: fn(Option<Seen>) -> bool) -> Option<String> {
        let mut open = Vec::new();
        let place = self.places[place].lock().unwrap();
        for (producer, books) in self.producers.iter().enumerate() {
            let books = books.lock().unwrap();
            for (number, &(_, state)) in (0..).zip(&books.messages) {
                let message = Message { producer, number };
                let due = state == State::Confirmed && (place.takes)(message);
                if due && !is_done(place.seen.get(&message).copied()) {
                    open.push(message);
                }
            }
        }
        let (first, last) = (open.first()?, open.last()?);
        let count = open.len();
        Some(format!(
            "{}: {count}, from {first:?} to {last:?}",
            place.name
        ))
    }

    /// Delivered, settled and delivered again, all places together.
    pub(crate) fn deliveries(&self) -> (usize, usize, u64) {
        let mut sums = (0, 0, 0);
        for place in &self.places {
            let place = place.lock().unwrap();
            let settled = place.seen.values().filter(|&&seen| seen == Seen::Settled);
            sums.0 += place.seen.len();
            sums.1 += settled.count();
            sums.2 += place.twice;
        }
        sums
    }

    /// Producers without a confirm and places without a delivery: they prove nothing.
    pub(crate) fn idle(&self) -> Vec<String> {
        let producers = (0..self.producers.len())
            .filter(|&producer| self.confirms_of(producer) == 0)
            .map(|producer| format!("producer {producer}"));
        let places = self.places.iter().filter_map(|place| {
            let place = place.lock().unwrap();
            place.seen.is_empty().then(|| place.name.to_owned())
        });
        producers.chain(places).collect()
    }

    /// Everything that went wrong.
    pub(crate) fn faults(&self) -> Vec<String> {
        let faults = |place: &Mutex<Place>| place.lock().unwrap().faults.clone();
        self.places.iter().flat_map(faults).collect()
    }

    fn knows(&self, message: Message) -> bool {
        let producer = self.producers.get(message.producer);
        producer.is_some_and(|books| (books.lock().unwrap().messages.len() as u64) > message.number)
    }
}

impl Place {
    fn fault(&mut self, kind: &str, what: String) {
        if self.faults.len() < FAULTS_SHOWN {
            self.faults.push(format!("{}: {kind}: {what}", self.name));
        }
    }
}

/// A text of about `bytes` bytes that says which message it is, with a hash over everything.
pub(crate) fn payload(message: Message, bytes: usize) -> Vec<u8> {
    let Message { producer, number } = message;
    let mut text = format!("{producer} {number} ").into_bytes();
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ producer as u64;
    while text.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.push(b'a' + (state >> 59) as u8 % 26);
    }
    let hash = hash(&text);
    text.extend_from_slice(format!(" {hash:016x}").as_bytes());
    text
}

/// Which message a payload is; `None` if the hash says that it was not made here.
pub(crate) fn read_payload(body: &[u8]) -> Option<Message> {
    let text = std::str::from_utf8(body).ok()?;
    let (content, written) = text.rsplit_once(' ')?;
    if u64::from_str_radix(written, 16).ok()? != hash(content.as_bytes()) {
        return None;
    }
    let mut words = content.split(' ');
    Some(Message {
        producer: words.next()?.parse().ok()?,
        number: words.next()?.parse().ok()?,
    })
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

const FAULTS_SHOWN: usize = 10;
