//! kill -9 of the binary at random moments of full traffic, judged by what the outside world was
//! promised (laws L1, L2, L4, L5).
//!
//! `TERNMQ_KILL_ROUNDS` is the number of kills, `TERNMQ_BIN` the binary, `TERNMQ_SEED` the moments.

mod amqp;
mod handshakes;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use amqp::{Amqp, Books, is_condemned, is_judged};

use crate::support::consumers::{Consumer, Shift};
use crate::support::ledger::{Ledger, Message, Takes};
use crate::support::process::{Home, Process, wait_until};
use crate::support::publishers::{Plan, Publisher, Target};
use crate::support::random::{Random, number};

/// Even numbers go to every place of the multicast address, odd ones to the anycast queues in turn.
fn target(message: Message) -> Target {
    if is_fan(message) {
        Target::Topic("kill-fan")
    } else if is_work(message) {
        Target::Queue("kill-work")
    } else {
        Target::Queue("kill-judged")
    }
}

fn is_fan(message: Message) -> bool {
    message.number.is_multiple_of(2)
}

fn is_work(message: Message) -> bool {
    !is_fan(message) && !is_judged(message)
}

/// One directory over all its lives.
struct Run {
    home: Home,
    ledger: Arc<Ledger>,
    plan: Arc<Plan>,
    shift: Arc<Shift>,
    books: Arc<Books>,
}

impl Run {
    fn new() -> Self {
        let places: [(&'static str, Takes); 7] = [
            ("STOMP on kill-fan::fan-stomp", is_fan),
            ("REST on kill-fan::fan-rest", is_fan),
            ("MQTT session on kill-fan", is_fan),
            ("STOMP on kill-work", is_work),
            ("AMQP subscription to kill-fan", is_fan),
            ("AMQP on kill-judged", is_judged),
            ("AMQP on DLQ", is_condemned),
        ];
        let ledger = Arc::new(Ledger::new(AMQP_PUBLISHER + 1, &places));
        Self {
            home: Home::new(CONFIG),
            plan: Arc::new(Plan {
                ledger: Arc::clone(&ledger),
                target,
                body_bytes: BODY_BYTES,
                faults: Mutex::default(),
                keep_alive_s: 0,
                enough: AtomicBool::new(false),
            }),
            shift: Arc::new(Shift {
                ledger: Arc::clone(&ledger),
                faults: Mutex::default(),
            }),
            books: Arc::new(Books::new(AMQP_PUBLISHER, BODY_BYTES)),
            ledger,
        }
    }

    /// Starts consumers and waits until all that was ever confirmed has been delivered.
    fn consume(&self, process: &Process) -> Vec<JoinHandle<()>> {
        let start =
            |(place, consumer): (usize, &Consumer)| consumer.start(process, &self.shift, place);
        let mut consumers: Vec<_> = CONSUMERS.iter().enumerate().map(start).collect();
        for consumer in AMQP_CONSUMERS {
            let place = consumers.len();
            consumers.push(consumer.start(process, (&self.shift, &self.books), place));
        }
        let mut progress = (0, Instant::now());
        loop {
            self.assert_no_fault();
            let missing: Vec<_> = (0..consumers.len())
                .filter_map(|place| self.ledger.missing(place))
                // What was given back is not done with.
                .chain(self.ledger.unsettled(JUDGE))
                .collect();
            if missing.is_empty() {
                break;
            }
            let (delivered, settled, twice) = self.ledger.deliveries();
            let done = delivered as u64 + settled as u64 + twice;
            if done != progress.0 {
                progress = (done, Instant::now());
            }
            assert!(progress.1.elapsed() < STALLED, "lost: {missing:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        consumers
    }

    fn assert_no_fault(&self) {
        let mut faults = self.ledger.faults();
        faults.append(&mut self.plan.faults.lock().unwrap());
        faults.append(&mut self.shift.faults.lock().unwrap());
        assert!(faults.is_empty(), "{faults:#?}");
    }

    /// One life that ends by SIGKILL in full traffic.
    fn round(&self, round: u64, random: &mut Random) {
        let process = self.home.start();
        let started_in = process.started_in;
        let consumers = self.consume(&process);
        let before = self.ledger.sums();
        let start = |(producer, publisher): (usize, Publisher)| {
            publisher.start(&process, &self.plan, producer)
        };
        let publishers: Vec<_> = Publisher::ALL.into_iter().enumerate().map(start).collect();
        let amqp = amqp::publish(&process, &self.plan, AMQP_PUBLISHER);
        let confirms = self.ledger.confirms() + CONFIRMS;
        wait_until("1,000 confirms", Duration::from_secs(30), || {
            self.assert_no_fault();
            self.ledger.confirms() >= confirms
        });
        // Not to synchronise: the moment of the kill is what is random here.
        let delay = random.within(10..=500);
        std::thread::sleep(Duration::from_millis(delay));
        process.kill();
        publishers
            .into_iter()
            .for_each(|publisher| publisher.join());
        amqp.join();
        for consumer in consumers {
            consumer.join().unwrap();
        }
        let after = self.ledger.sums();
        let open = after.open_bytes - before.open_bytes;
        let (delivered, settled, twice) = self.ledger.deliveries();
        println!(
            "round {round}: started in {started_in:?}, killed after {delay} ms; this round sent {} \
             confirmed {} open {open} B; all rounds delivered {delivered} settled {settled} \
             again {twice}",
            after.sent - before.sent,
            after.confirmed - before.confirmed,
        );
        self.assert_no_fault();
        assert!(
            open > OPEN_BYTES,
            "only {open} B were sent and not confirmed"
        );
    }
}

/// Mutants seen caught: answers that wait for no position (engine/outbox.rs, `push_answer` with
/// `after` 0: "came after its ack"), SETTLE records that recovery skips ("came after its ack"),
/// PUT_BINDING records that it skips ("lost").
#[test]
fn l1_and_du_05_confirmed_messages_outlive_kill_nine_in_order_and_once_settled_stay_away() {
    let run = Run::new();
    let mut random = Random::from_environment();
    for round in 1..=number("TERNMQ_KILL_ROUNDS", 3) {
        run.round(round, &mut random);
    }
    let process = run.home.start();
    let consumers = run.consume(&process);
    process.kill();
    for consumer in consumers {
        consumer.join().unwrap();
    }
    run.assert_no_fault();
    assert_eq!(run.ledger.idle(), Vec::<String>::new());
    run.books.assert_rich();
}

const CONSUMERS: [Consumer; 4] = [
    Consumer::Stomp("kill-fan::fan-stomp"),
    Consumer::Rest("kill-fan::fan-rest"),
    Consumer::Session("kill-fan"),
    Consumer::Stomp("/queue/kill-work"),
];
const AMQP_CONSUMERS: [Amqp; 3] = [Amqp::Subscription, Amqp::Judge, Amqp::Condemned];
/// The number of the AMQP publisher, behind the others.
const AMQP_PUBLISHER: usize = Publisher::ALL.len();
/// The place of [`Amqp::Judge`].
const JUDGE: usize = CONSUMERS.len() + 1;
const CONFIG: &str = r#"
[limits]
memory = "64MiB"
[storage]
segment_size = "256KiB"
[[address]]
name = "kill-fan"
routing = ["multicast"]
[[queue]]
name = "fan-stomp"
address = "kill-fan"
routing = "multicast"
[[queue]]
name = "fan-rest"
address = "kill-fan"
routing = "multicast"
[[queue]]
name = "kill-work"
[[queue]]
name = "kill-judged"
[[queue]]
name = "DLQ"
"#;
/// Confirms of a round before the time to the kill begins.
const CONFIRMS: u64 = 1_000;
/// What must be sent and not confirmed at the kill.
const OPEN_BYTES: u64 = 1_000_000;
const BODY_BYTES: usize = 2_048;
/// Nothing is delivered any more. Shorter than the patience of an idle consumer, which would hide
/// what is missing.
const STALLED: Duration = Duration::from_secs(10);
