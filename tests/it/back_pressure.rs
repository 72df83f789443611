//! Full memory: publishers of every protocol wait and go on (law L20).

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::consumers::{Consumer, Shift};
use crate::support::ledger::{Ledger, Message, Takes, payload};
use crate::support::process::{Home, wait_until};
use crate::support::publishers::{Plan, Publisher, Target};
use crate::support::stomp::Stomp;
use crate::support::wire::PATIENCE;

/// Mutant seen caught: keep-alive that goes on while a publish is parked, in `arm` and
/// `handle_timeout` of connection/deadlines.rs ("no confirms of the Mqtt publisher").
#[test]
fn l20_full_memory_blocks_publishers_and_a_resumed_consumer_frees_them() {
    let process = Home::new(PRESSED).start();
    let places: [(&'static str, Takes); 1] = [("pressed", |_| true)];
    let ledger = Arc::new(Ledger::new(Publisher::ALL.len(), &places));
    let plan = Arc::new(Plan {
        ledger: Arc::clone(&ledger),
        target: |_| Target::Queue("pressed"),
        body_bytes: 4_096,
        keep_alive_s: 1,
        faults: Mutex::default(),
        enough: AtomicBool::new(false),
    });
    let start =
        |(producer, publisher): (usize, Publisher)| publisher.start(&process, &plan, producer);
    let publishers: Vec<_> = Publisher::ALL.into_iter().enumerate().map(start).collect();
    wait_for_silence(&ledger);
    let stalled: Vec<_> = (0..publishers.len())
        .map(|producer| ledger.confirms_of(producer))
        .collect();
    println!("blocked after {stalled:?} confirms, {:?}", ledger.sums());

    let shift = Arc::new(Shift {
        ledger: Arc::clone(&ledger),
        faults: Mutex::default(),
    });
    let consumer = Consumer::Stomp("/queue/pressed").start(&process, &shift, 0);
    for (producer, before) in stalled.into_iter().enumerate() {
        let publisher = Publisher::ALL[producer];
        let what = format!("confirms of the {publisher:?} publisher");
        wait_until(&what, PATIENCE, || {
            ledger.confirms_of(producer) >= before + 100
        });
    }
    plan.enough.store(true, Ordering::Relaxed);
    process.kill();
    publishers
        .into_iter()
        .for_each(|publisher| publisher.join());
    consumer.join().unwrap();
    let mut faults = ledger.faults();
    faults.append(&mut plan.faults.lock().unwrap());
    faults.append(&mut shift.faults.lock().unwrap());
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A client with a window has nothing more to say until it is answered: what the server has read
/// and kept while memory was full must not wait for more bytes.
/// Mutant seen caught: a connection loop that does not look at kept bytes when memory is free
/// ("1053 of 1061 confirmed").
#[test]
fn l20_what_was_read_ahead_is_confirmed_without_further_input() {
    for publisher in Publisher::ALL {
        let process = Home::new(PRESSED).start();
        let (mut input, mut output) = publisher.connect(&process, 0, 0).unwrap();
        input.set_patience(Duration::from_millis(500)).unwrap();
        let (mut sent, mut confirmed) = (0, 0);
        let message = |number| Message {
            producer: 0,
            number,
        };
        // Full memory: a whole window is open and nothing is answered.
        loop {
            while sent < confirmed + WINDOW {
                let body = payload(message(sent), WINDOW_BODY_BYTES);
                let target = Target::Queue("pressed");
                let bytes = publisher.encode(message(sent), target, &body);
                output.write_all(&bytes).unwrap();
                sent += 1;
            }
            match publisher.read_confirm(&mut input, message(confirmed)) {
                Ok(()) => confirmed += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{publisher:?}: {error}"),
            }
        }
        input.set_patience(PATIENCE).unwrap();
        let stomp = Stomp::connect(process.tcp("stomp"));
        let consuming = std::thread::spawn(move || -> io::Result<()> {
            let mut stomp = stomp?;
            stomp.subscribe("/queue/pressed")?;
            for _ in 0..sent {
                let message = stomp.next()?;
                stomp.ack(&message)?;
            }
            Ok(())
        });
        while confirmed < sent {
            if let Err(error) = publisher.read_confirm(&mut input, message(confirmed)) {
                panic!("{publisher:?}: {confirmed} of {sent} confirmed, then {error}");
            }
            confirmed += 1;
        }
        consuming.join().unwrap().unwrap();
    }
}

/// Returns once no publisher was confirmed anything for [`SILENCE`], which is longer than 1.5 times
/// the keep-alive of the MQTT publisher, although much is sent.
fn wait_for_silence(ledger: &Ledger) {
    let mut last = (ledger.confirms(), Instant::now());
    wait_until("full memory", Duration::from_secs(30), || {
        let confirms = ledger.confirms();
        if confirms != last.0 {
            last = (confirms, Instant::now());
        }
        last.1.elapsed() > SILENCE && ledger.sums().open_bytes > 1_000_000
    });
}

const PRESSED: &str = r#"
[storage]
segment_size = "1MiB"
[limits]
memory = "4MiB"
[[queue]]
name = "pressed"
"#;
/// More than `limits.read_ahead_bytes`, by less than one read.
const WINDOW: u64 = 72;
const WINDOW_BODY_BYTES: usize = 4_096;
const SILENCE: Duration = Duration::from_millis(2_500);
