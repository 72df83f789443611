//! kill -9 between the steps of QoS 1 and QoS 2 handshakes of persistent sessions, in both
//! directions, judged by what the applications at both ends saw (laws L2, L13, L16).
//!
//! `TERNMQ_KILL_ROUNDS` is the number of kills, `TERNMQ_BIN` the binary, `TERNMQ_SEED` the moments.

mod book;
mod publisher;
mod subscriber;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use book::{Book, Place};
use publisher::Publisher;
use subscriber::{Hand, Plan, Subscriber};
use wire::Version;

use crate::support::mqtt::{Mqtt, Session};
use crate::support::process::{Home, Process, wait_until};
use crate::support::publishers::ended;
use crate::support::random::{Random, number};

/// One directory and its clients over all lives of the server.
struct Run {
    home: Home,
    book: Arc<Book>,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    random: Random,
    /// Lives that ended between PUBREC and PUBCOMP: in and out, and how many handshakes.
    cut: [(u64, usize); 2],
    started_in: Vec<Duration>,
}

/// The threads of the clients in one life.
struct Life {
    publishers: Vec<JoinHandle<Publisher>>,
    subscribers: Vec<JoinHandle<Subscriber>>,
    enough: Arc<AtomicBool>,
}

impl Run {
    fn new() -> Self {
        let mut random = Random::from_environment();
        let publisher =
            |(number, &version): (usize, &Version)| Publisher::new(number, version, random.fork());
        let publishers = PUBLISHERS.iter().enumerate().map(publisher).collect();
        Self {
            home: Home::new(CONFIG),
            book: Arc::new(Book::new(PUBLISHERS.len(), &PLACES)),
            publishers,
            subscribers: SUBSCRIBERS.map(Subscriber::new).into(),
            random,
            cut: [(0, 0); 2],
            started_in: Vec::new(),
        }
    }

    /// Starts the server, with small segments or large ones in turn, and looks at what it kept.
    fn start(&mut self) -> Process {
        let segment = ["256KiB", "4MiB"][self.started_in.len() % 2];
        let process = self
            .home
            .start_with(&[&format!("storage.segment_size={segment}")]);
        self.started_in.push(process.started_in);
        let values = retained_values(&process).unwrap();
        self.book.check_values(&values);
        self.book.assert_no_fault();
        process
    }

    /// Every client comes back and goes on.
    fn resume(&mut self, process: &Process) -> Life {
        let enough = Arc::new(AtomicBool::new(false));
        let mut subscribers = Vec::new();
        for mut subscriber in self.subscribers.drain(..) {
            let connection = subscriber.connect(process.tcp("mqtt")).unwrap();
            let book = Arc::clone(&self.book);
            subscribers.push(std::thread::spawn(move || {
                let end = subscriber.live(connection, &book);
                note(end, "a subscriber", &book);
                subscriber
            }));
        }
        let mut publishers = Vec::new();
        for mut publisher in self.publishers.drain(..) {
            let (wire, book) = (process.tcp("mqtt"), Arc::clone(&self.book));
            let enough = Arc::clone(&enough);
            publishers.push(std::thread::spawn(move || {
                let end = publisher.live(wire, &book, &enough);
                note(end, "a publisher", &book);
                publisher
            }));
        }
        Life {
            publishers,
            subscribers,
            enough,
        }
    }

    /// Waits for new confirms.
    fn flow(&self, confirms: u64) {
        let confirmed = || self.book.counts.confirms.load(Ordering::SeqCst);
        let goal = confirmed() + confirms;
        wait_until("confirms", Duration::from_secs(30), || {
            self.book.assert_no_fault();
            confirmed() >= goal
        });
    }

    /// The clients of a life that the server has ended.
    fn gather(&mut self, life: Life) {
        let join = |thread: JoinHandle<Publisher>| thread.join().unwrap();
        self.publishers = life.publishers.into_iter().map(join).collect();
        let join = |thread: JoinHandle<Subscriber>| thread.join().unwrap();
        self.subscribers = life.subscribers.into_iter().map(join).collect();
        self.book.assert_no_fault();
    }

    /// One life that ends by SIGKILL in full traffic.
    fn round(&mut self, round: u64) {
        let process = self.start();
        let before = self.book.begun();
        let life = self.resume(&process);
        self.flow(CONFIRMS);
        // Not to synchronise: the moment of the kill is what is random here.
        let delay = self.random.within(0..=300);
        std::thread::sleep(Duration::from_millis(delay));
        process.kill();
        self.gather(life);
        let cut = [
            self.publishers.iter().map(Publisher::released).sum(),
            self.subscribers.iter().map(Subscriber::held).sum::<usize>(),
        ];
        for (sum, now) in self.cut.iter_mut().zip(cut) {
            sum.0 += u64::from(now > 0);
            sum.1 += now;
        }
        let started_in = self.started_in.last().unwrap();
        println!(
            "round {round}: started in {started_in:?}, killed after {delay} ms; sent {}; cut between \
             PUBREC and PUBCOMP {} in, {} out",
            self.book.begun() - before,
            cut[0],
            cut[1],
        );
    }

    /// A life in which everything comes to its end.
    fn finish(&mut self) {
        let process = self.start();
        let life = self.resume(&process);
        self.flow(CONFIRMS / 10);
        life.enough.store(true, Ordering::SeqCst);
        let mut progress = (0, Instant::now());
        loop {
            self.book.assert_no_fault();
            let open = self.book.counts.open.load(Ordering::SeqCst);
            let missing = self.book.missing();
            if missing.is_none() && open == 0 {
                break;
            }
            let received = self.book.counts.received.load(Ordering::SeqCst);
            if received != progress.0 {
                progress = (received, Instant::now());
            }
            let stalled = progress.1.elapsed() > STALLED;
            assert!(!stalled, "{open} handshakes open, missing: {missing:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        process.kill();
        self.gather(life);
    }

    fn report(&self) {
        let counts = &self.book.counts;
        let mut started_in = self.started_in.clone();
        started_in.sort();
        println!(
            "{} messages, {} receptions, {} QoS 1 again, {} held back by id, {} PUBREL again; {} \
             starts in {:?} (median), {:?} at most; cut in {:?}, out {:?} (rounds, handshakes)",
            self.book.begun(),
            counts.received.load(Ordering::SeqCst),
            counts.repeats.load(Ordering::SeqCst),
            counts.held_back.load(Ordering::SeqCst),
            counts.steps_again.load(Ordering::SeqCst),
            started_in.len(),
            started_in[started_in.len() / 2],
            started_in[started_in.len() - 1],
            self.cut[0],
            self.cut[1],
        );
    }
}

fn note(end: io::Result<()>, who: &str, book: &Book) {
    match end {
        Err(error) if !ended(&error) => book.fault(format!("{who}: {error}")),
        _ => {}
    }
}

/// What a new subscriber gets, by topic.
fn retained_values(process: &Process) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut client = Mqtt::connect(process.tcp("mqtt"), "values", Session::Clean, 0)?;
    client.subscribe("kept/#", 0)?;
    // Comes behind all values there are.
    client.subscribe("last", 0)?;
    client.publish("last", b"")?;
    let mut values = BTreeMap::new();
    loop {
        let publish = client.next()?;
        if publish.topic == "last" {
            return Ok(values);
        }
        values.insert(publish.topic, publish.body);
    }
}

/// Mutants seen caught, in core: no RECEIPT record, none at the release, no TAG record of a delivery,
/// none of its PUBREC.
#[test]
fn l13_every_step_of_a_handshake_outlives_kill_nine() {
    let rounds = number("TERNMQ_KILL_ROUNDS", 3);
    let mut run = Run::new();
    for round in 1..=rounds {
        run.round(round);
    }
    run.finish();
    // Nothing of what is finished comes again.
    run.finish();
    run.start().kill();
    run.report();
    let enough = rounds < 20 || run.cut.iter().all(|(rounds, _)| *rounds > 0);
    assert!(enough, "no kill between PUBREC and PUBCOMP: {:?}", run.cut);
}

const PUBLISHERS: [Version; 2] = [Version::V3, Version::V5];
const PLACES: [Place; 4] = [
    Place::Own { qos: 2 },
    Place::Own { qos: 2 },
    Place::Own { qos: 1 },
    Place::Shared,
];
const SUBSCRIBERS: [Plan; 5] = [
    Plan {
        name: "own-3",
        version: Version::V3,
        filter: "live/#",
        qos: 2,
        hand: Hand::AtPublish,
        place: 0,
    },
    Plan {
        name: "own-5",
        version: Version::V5,
        filter: "live/#",
        qos: 2,
        hand: Hand::AtRelease,
        place: 1,
    },
    Plan {
        name: "cut-down",
        version: Version::V5,
        filter: "live/+/+",
        qos: 1,
        hand: Hand::AtPublish,
        place: 2,
    },
    Plan {
        name: "member-1",
        version: Version::V5,
        filter: "$share/group/live/#",
        qos: 2,
        hand: Hand::AtPublish,
        place: 3,
    },
    Plan {
        name: "member-2",
        version: Version::V5,
        filter: "$share/group/live/#",
        qos: 2,
        hand: Hand::AtRelease,
        place: 3,
    },
];
const CONFIG: &str = r#"
[limits]
memory = "64MiB"
"#;
/// Confirms of a round before the time to the kill begins.
const CONFIRMS: u64 = 1_000;
/// Nothing comes any more.
const STALLED: Duration = Duration::from_secs(10);
