//! What was sent, what was promised and what applications got, over all lives of a server.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::support::ledger::{Message, payload, read_payload};

/// Messages of one publisher at one QoS to one topic, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) publisher: usize,
    pub(super) qos: u8,
    pub(super) retained: bool,
}

/// One session, or the sessions that share a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Gets every message, those of a stream in their order.
    Own { qos: u8 },
    /// Some of its members get each message; granted QoS 2.
    Shared,
}

/// The books. Threads write them as bytes come in.
pub(super) struct Book {
    /// By [`Stream::index`].
    streams: Vec<Progress>,
    places: Vec<(Place, Mutex<Got>)>,
    faults: Mutex<Vec<String>>,
    pub(super) counts: Counts,
}

/// Of one stream.
#[derive(Default)]
struct Progress {
    begun: AtomicU64,
    /// All below this number.
    confirmed: AtomicU64,
}

/// What a place has: per stream every number below the first, and some above it.
type Got = BTreeMap<usize, (u64, Vec<u64>)>;

#[derive(Default)]
pub(super) struct Counts {
    pub(super) confirms: AtomicU64,
    pub(super) received: AtomicU64,
    /// QoS 1 messages that came again.
    pub(super) repeats: AtomicU64,
    /// QoS 2 messages that came again and were held back by their packet id.
    pub(super) held_back: AtomicU64,
    /// Second steps that were sent again.
    pub(super) steps_again: AtomicU64,
    /// Handshakes that subscribers have not finished.
    pub(super) open: AtomicUsize,
}

impl Stream {
    fn index(self) -> usize {
        self.publisher * 4 + usize::from(self.qos - 1) * 2 + usize::from(self.retained)
    }

    fn at(index: usize) -> Self {
        Self {
            publisher: index / 4,
            qos: [1, 2][index / 2 % 2],
            retained: index % 2 == 1,
        }
    }

    pub(super) fn topic(self) -> String {
        let kind = if self.retained { "kept" } else { "live" };
        format!("{kind}/{}/{}", self.publisher, self.qos)
    }
}

/// The bytes of a message.
pub(super) fn body(message: Message) -> Vec<u8> {
    payload(message, BODY_BYTES)
}

/// The stream that a message belongs to.
pub(super) fn stream(message: Message) -> Stream {
    Stream::at(message.producer)
}

impl Book {
    pub(super) fn new(publishers: usize, places: &[Place]) -> Self {
        Self {
            streams: (0..4 * publishers).map(|_| Progress::default()).collect(),
            places: places
                .iter()
                .map(|&place| (place, Mutex::default()))
                .collect(),
            faults: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// Numbers the next message of a stream.
    pub(super) fn begin(&self, stream: Stream) -> Message {
        let producer = stream.index();
        let number = self.streams[producer].begun.fetch_add(1, Ordering::SeqCst);
        Message { producer, number }
    }

    /// PUBACK or PUBREC was read; they come in the order of the publishes (law L2).
    pub(super) fn confirmed(&self, message: Message) {
        self.counts.confirms.fetch_add(1, Ordering::SeqCst);
        let before = self.streams[message.producer]
            .confirmed
            .fetch_add(1, Ordering::SeqCst);
        if before != message.number {
            self.fault(format!("{message:?} confirmed instead of {before}"));
        }
    }

    /// The application behind a place got a message, after what its client did with packet ids.
    pub(super) fn received(&self, place: usize, topic: &str, bytes: &[u8]) {
        self.counts.received.fetch_add(1, Ordering::SeqCst);
        let Some(message) = self.known(topic, bytes) else {
            return self.fault(format!("place {place}: invented or misrouted on {topic}"));
        };
        let (kind, got) = &self.places[place];
        let mut got = got.lock().unwrap();
        let (below, above) = got.entry(message.producer).or_default();
        let new = message.number >= *below && !above.contains(&message.number);
        let exact = stream(message).qos == 2 && *kind != (Place::Own { qos: 1 });
        if !new && exact {
            return self.fault(format!("place {place}: {message:?} came twice"));
        }
        if !new {
            self.counts.repeats.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if *kind != Place::Shared && message.number != *below {
            self.fault(format!("place {place}: {message:?} came before {below}"));
        }
        above.push(message.number);
        while let Some(at) = above.iter().position(|number| number == below) {
            above.swap_remove(at);
            *below += 1;
        }
    }

    /// Which message this is, byte by byte.
    fn known(&self, topic: &str, bytes: &[u8]) -> Option<Message> {
        let message = read_payload(bytes)?;
        let begun = self.streams.get(message.producer)?;
        let right = message.number < begun.begun.load(Ordering::SeqCst)
            && stream(message).topic() == topic
            && body(message) == bytes;
        right.then_some(message)
    }

    /// What was sent and did not come, in words.
    pub(super) fn missing(&self) -> Option<String> {
        for (producer, progress) in self.streams.iter().enumerate() {
            let begun = progress.begun.load(Ordering::SeqCst);
            if progress.confirmed.load(Ordering::SeqCst) != begun {
                return Some(format!("confirms of {:?}", Stream::at(producer)));
            }
            for (place, (_, got)) in self.places.iter().enumerate() {
                let got = got.lock().unwrap();
                let below = got.get(&producer).map_or(0, |(below, _)| *below);
                if !Stream::at(producer).retained && below != begun {
                    let stream = Stream::at(producer);
                    return Some(format!("place {place}: {stream:?} from {below} of {begun}"));
                }
            }
        }
        None
    }

    /// Compares retained values, by topic, with the last that was confirmed or a later one.
    pub(super) fn check_values(&self, values: &BTreeMap<String, Vec<u8>>) {
        for (producer, progress) in self.streams.iter().enumerate() {
            let stream = Stream::at(producer);
            if !stream.retained {
                continue;
            }
            let topic = stream.topic();
            let value = values.get(&topic);
            let number = value
                .and_then(|bytes| self.known(&topic, bytes))
                .map(|m| m.number);
            let confirmed = progress.confirmed.load(Ordering::SeqCst);
            if number.is_none_or(|number| number + 1 < confirmed) && confirmed > 0 {
                self.fault(format!(
                    "value of {topic}: {number:?}, confirmed {confirmed}"
                ));
            }
        }
    }

    pub(super) fn fault(&self, what: String) {
        let mut faults = self.faults.lock().unwrap();
        if faults.len() < FAULTS_SHOWN {
            faults.push(what);
        }
    }

    pub(super) fn assert_no_fault(&self) {
        let faults = self.faults.lock().unwrap().clone();
        assert!(faults.is_empty(), "{faults:#?}");
    }

    /// How many messages were begun.
    pub(super) fn begun(&self) -> u64 {
        let begun = |progress: &Progress| progress.begun.load(Ordering::SeqCst);
        self.streams.iter().map(begun).sum()
    }
}

const BODY_BYTES: usize = 200;
const FAULTS_SHOWN: usize = 10;
