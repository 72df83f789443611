//! Much goes through and little stays: how many segments are in use, and how soon a server is back.
//!
//! `TERNMQ_VOLUME_MB` is how much is published and consumed.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use crate::support::ledger::{Message, payload, read_payload};
use crate::support::mqtt::{self, Mqtt, Packet, Session};
use crate::support::process::{Home, Process, count_files, wait_until};
use crate::support::random::number;
use crate::support::stomp::{Stomp, frame};
use crate::support::wire::PATIENCE;

/// Mutants seen caught: a journal that frees no segment ("no freed segments"), PUT_RETAINED records
/// that recovery skips.
#[test]
fn l28_what_stays_behind_pins_few_segments_and_recovery_reads_only_those() {
    let home = Home::new(CONFIG);
    let process = home.start();
    let messages = number("TERNMQ_VOLUME_MB", 100) * 1_000_000 / BODY_BYTES as u64;
    let began = Instant::now();
    let most = pass_through(&home, &process, messages).unwrap();
    let took = began.elapsed();
    let in_use = || count_files(&home.journal(), "tj");
    wait_until("freed segments", PATIENCE, || in_use() < SEGMENTS);
    println!(
        "{messages} messages of {BODY_BYTES} B in {took:?}: at most {most} segments in use, {} at the \
         end, RSS {} KiB",
        in_use(),
        process.resident_bytes() / 1024
    );
    assert!(most < SEGMENTS, "{most} segments in use");

    let mut publisher = client(&process, "volume-last").unwrap();
    for number in 0..LIVE {
        publisher.publish("volume", &body(number)).unwrap();
    }
    process.kill();
    let process = home.start();
    let started_in = process.started_in;
    println!("started in {started_in:?} after kill -9 with {LIVE} messages live");
    assert!(started_in < START, "started in {started_in:?}");
    expect_live(&process).unwrap();
    expect_retained(&process).unwrap();
    expect_dead_letters(&process).unwrap();
}

fn client(process: &Process, name: &str) -> io::Result<Mqtt> {
    Mqtt::connect(process.tcp("mqtt"), name, Session::Clean, 0)
}

/// Leaves retained values and dead letters behind, spread over all that goes through.
struct Leaver {
    mqtt: Mqtt,
    stomp: Stomp,
}

impl Leaver {
    fn new(process: &Process) -> io::Result<Self> {
        let mqtt = client(process, "volume-retained")?;
        let mut stomp = Stomp::connect(process.tcp("stomp"))?;
        stomp.subscribe("/queue/volume-doomed")?;
        Ok(Self { mqtt, stomp })
    }

    fn leave(&mut self, number: u64) -> io::Result<()> {
        let topic = format!("volume-retained/{number}");
        self.mqtt.retain(&topic, &small(number))?;
        let dead = number / (RETAINED / DEAD);
        if !number.is_multiple_of(RETAINED / DEAD) || dead >= DEAD {
            return Ok(());
        }
        self.stomp.send("/queue/volume-doomed", &small(dead))?;
        let message = self.stomp.next()?;
        let id = message.header("ack").unwrap_or_default();
        let nack = [("id", id), ("requeue", "false")];
        self.stomp.confirmed("NACK", &nack, b"")
    }
}

/// Publishes through one connection and consumes through another, at most [`AHEAD`] messages
/// apart; returns the most segments that were in use at any time.
fn pass_through(home: &Home, process: &Process, messages: u64) -> io::Result<usize> {
    let mut consumer = Stomp::connect(process.tcp("stomp"))?;
    consumer.subscribe("/queue/volume")?;
    // Full: the publisher waits for the consumer.
    let (ahead, published) = sync_channel(AHEAD);
    let consuming = std::thread::spawn(move || consume(consumer, &published));
    let (mut confirms, mut output) = client(process, "volume-publisher")?.split();
    let reading = std::thread::spawn(move || -> io::Result<()> {
        for _ in 0..messages {
            Packet::read(&mut confirms)?.id_of(0x40)?;
        }
        Ok(())
    });
    let mut leaver = Leaver::new(process)?;
    let mut most = 0;
    for number in 0..messages {
        let left = number / (messages / RETAINED);
        if number.is_multiple_of(messages / RETAINED) && left < RETAINED {
            leaver.leave(left)?;
        }
        // Closed: the consumer has failed, which its result will tell.
        if ahead.send(number).is_err() {
            break;
        }
        let id = (number % u64::from(u16::MAX)) as u16 + 1;
        output.write_all(&mqtt::publish("volume", id, &body(number)))?;
        most = most.max(count_files(&home.journal(), "tj"));
    }
    drop(ahead);
    consuming.join().unwrap()?;
    reading.join().unwrap()?;
    Ok(most)
}

fn consume(mut consumer: Stomp, published: &Receiver<u64>) -> io::Result<()> {
    for number in published {
        let message = consumer.next()?;
        expect(&message.body, number)?;
        let id = message.header("ack").unwrap_or_default();
        let ack = frame("ACK", &[("id", id)], b"");
        consumer.wire.output.write_all(&ack)?;
    }
    // Its receipt says that all of them are settled.
    consumer.confirmed("UNSUBSCRIBE", &[("id", "s")], b"")
}

fn expect_live(process: &Process) -> io::Result<()> {
    let mut stomp = Stomp::connect(process.tcp("stomp"))?;
    stomp.subscribe("/queue/volume")?;
    for number in 0..LIVE {
        let message = stomp.next()?;
        expect(&message.body, number)?;
        stomp.ack(&message)?;
    }
    Ok(())
}

fn expect_retained(process: &Process) -> io::Result<()> {
    let mut mqtt = client(process, "volume-reader")?;
    mqtt.subscribe("volume-retained/#", 1)?;
    let mut left: Vec<u64> = (0..RETAINED).collect();
    while !left.is_empty() {
        let publish = mqtt.next()?;
        mqtt.ack(publish.id)?;
        let known = left.iter().position(|number| {
            publish.retain && publish.topic == format!("volume-retained/{number}")
        });
        let Some(at) = known else {
            return Err(io::Error::other(format!("unexpected {}", publish.topic)));
        };
        expect(&publish.body, left.swap_remove(at))?;
    }
    Ok(())
}

fn expect_dead_letters(process: &Process) -> io::Result<()> {
    let mut stomp = Stomp::connect(process.tcp("stomp"))?;
    stomp.subscribe("/queue/DLQ")?;
    for number in 0..DEAD {
        expect(&stomp.next()?.body, number)?;
    }
    Ok(())
}

fn body(number: u64) -> Vec<u8> {
    payload(message(number), BODY_BYTES)
}

fn small(number: u64) -> Vec<u8> {
    payload(message(number), SMALL_BYTES)
}

fn message(number: u64) -> Message {
    Message {
        producer: 0,
        number,
    }
}

fn expect(body: &[u8], wanted: u64) -> io::Result<()> {
    match read_payload(body) {
        Some(message) if message.number == wanted => Ok(()),
        other => Err(io::Error::other(format!("{other:?} instead of {wanted}"))),
    }
}

/// Small segments, so that many of them are filled.
const CONFIG: &str = r#"
[storage]
segment_size = "1MiB"
[[queue]]
name = "volume"
"#;
const BODY_BYTES: usize = 64 * 1024;
const SMALL_BYTES: usize = 512;
const RETAINED: u64 = 100;
const DEAD: u64 = 3;
const LIVE: u64 = 10;
const AHEAD: usize = 16;
/// Fewer are in use at any time: those since the older of two checkpoints, which are two apart, or
/// four when the disk is slow, and one begun at each end.
const SEGMENTS: usize = 12;
/// A server is back sooner after kill -9.
const START: Duration = Duration::from_millis(500);
