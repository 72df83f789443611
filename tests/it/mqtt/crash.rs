//! kill -9 and SIGTERM of the binary: QoS 2 step by step, retained values byte by byte, the end of a
//! session (rules 9, 13, 31, 43; MQ-17).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::client::{Client, puback};
use super::v5::client::{
    CONTENT_TYPE, Connect, Five, Message, PAYLOAD_FORMAT, Property, SESSION_EXPIRY, WILL_DELAY,
    ack, byte, long, pair, publish, string,
};
use super::version::{BOTH, Version};
use crate::support::mqtt::{Packet, Session};
use crate::support::process::{Home, Process};

const CONFIG: &str = "[storage]\nsegment_size = \"1MiB\"\n";

fn kept(process: &Process, version: Version, name: &str, present: bool) -> Client {
    let client = Client::over(process.tcp("mqtt"));
    version.enter(client, name, Session::Kept, present)
}

/// The receiving side of QoS 2: what it was given once, and ids that are not released.
#[derive(Default)]
struct Receiver {
    held: BTreeSet<u16>,
    got: Vec<u8>,
}

impl Receiver {
    /// Takes a PUBLISH or PUBREL; the id of the answer that is due, and its first byte.
    fn take(&mut self, packet: &Packet) -> (u8, u16) {
        if packet.first == 0x62 {
            let id = packet.id_of(0x62).unwrap();
            self.held.remove(&id);
            return (0x70, id);
        }
        let at = 2 + usize::from(packet.body[1]);
        let id = u16::from_be_bytes([packet.body[at], packet.body[at + 1]]);
        match packet.first & 6 {
            4 if self.held.insert(id) => self.got.extend(packet.body.last()),
            4 => assert_eq!(packet.first & 8, 8, "once more without DUP"),
            _ => return (0x40, id),
        }
        (0x50, id)
    }

    /// Takes the next message of QoS 2. The last steps of the round before may come once more: PUBACK
    /// and PUBCOMP ask for no sync.
    fn begin(&mut self, reader: &mut Client) -> u16 {
        loop {
            let packet = reader.packet();
            match self.take(&packet) {
                (0x50, id) => return id,
                (first, id) => reader.send(&ack(first, id, 0)),
            }
        }
    }

    /// Answers until the end is known and nothing is held.
    fn finish(&mut self, reader: &mut Client) {
        let mut ended = false;
        while !ended || !self.held.is_empty() {
            let packet = reader.packet();
            let (first, id) = self.take(&packet);
            ended |= first == 0x40;
            reader.send(&ack(first, id, 0));
        }
        reader.ping();
    }
}

/// Mutants caught: no record of the ids of what was published; none of deliveries that are begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r43_kill_9_between_any_two_steps_of_qos_2_loses_and_doubles_nothing() {
    for version in BOTH {
        let home = Home::new(CONFIG);
        let mut receiver = Receiver::default();
        for step in 0..5u8 {
            let process = home.start();
            let mut writer = kept(&process, version, "writer", step > 0);
            let mut reader = kept(&process, version, "reader", step > 0);
            if step == 0 {
                reader.subscribe(&[("r43/#", 2)]);
            }
            // The same id each time: it is free again.
            writer.send(&version.publish(0x34, "r43/x", 7, &[step]));
            if step >= 1 {
                writer.expect(&ack(0x50, 7, 0));
                let id = receiver.begin(&mut reader);
                if step >= 2 {
                    writer.send(&ack(0x62, 7, 0));
                    reader.send(&ack(0x50, id, 0));
                }
                if step >= 3 {
                    writer.expect(&ack(0x70, 7, 0));
                    let packet = reader.packet();
                    assert_eq!(receiver.take(&packet), (0x70, id));
                }
                if step >= 4 {
                    reader.send(&ack(0x70, id, 0));
                }
            }
            process.kill();
            let process = home.start();
            let mut writer = kept(&process, version, "writer", true);
            let mut reader = kept(&process, version, "reader", true);
            // In the second round PUBREC came, and the client forgot it.
            if step <= 1 {
                writer.send(&version.publish(0x3c, "r43/x", 7, &[step]));
                writer.expect(&ack(0x50, 7, 0));
            }
            if step < 3 {
                writer.send(&ack(0x62, 7, 0));
                assert_eq!(writer.packet().id_of(0x70).unwrap(), 7);
            }
            writer.publish("r43/end", b"end");
            receiver.finish(&mut reader);
            assert_eq!(receiver.got.iter().filter(|got| **got == step).count(), 1);
            process.kill();
        }
        assert_eq!(receiver.got, [0, 1, 2, 3, 4], "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_r13_and_l14_after_kill_9_a_client_has_ten_seconds_before_session_and_will_go() {
    let home = Home::new(CONFIG);
    let process = home.start();
    let expiry = [long(SESSION_EXPIRY, 2)];
    let delay = [long(WILL_DELAY, 1_000)];
    let connect = Connect {
        properties: &expiry,
        will: Some((0x0c, &delay, "r13/will", b"gone")),
        ..Connect::named("r13")
    };
    let mut client = Client::over(process.tcp("mqtt"));
    client.send(&connect.bytes());
    assert_eq!(client.packet().body[..2], [0, 0]);
    process.kill();
    // It counts as disconnected since the start, and its session would end after 2 s.
    let process = home.start();
    let began = Instant::now();
    let mut watcher = kept(&process, Version::Five, "watcher", false);
    watcher.subscribe(&[("r13/#", 1)]);
    watcher.expect_message("r13/will", b"gone");
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(9_000), "{waited:?}");
    assert!(waited < Duration::from_millis(15_000), "{waited:?}");
    let mut client = Client::over(process.tcp("mqtt"));
    client.send(
        &Connect {
            clean: false,
            ..connect
        }
        .bytes(),
    );
    assert_eq!(client.packet().body[..2], [0, 0]);
}

/// Everything of a retained value.
type Value = (Vec<u8>, Vec<Property>);

fn values(process: &Process, count: usize) -> BTreeMap<String, Value> {
    let mut reader = Client::over(process.tcp("mqtt"));
    reader.send(&Connect::named("reader").bytes());
    assert_eq!(reader.packet().body[..2], [0, 0]);
    assert_eq!(reader.subscribe5(&[], &[("mq17/#", 1), ("end", 0)]), [1, 0]);
    let mut found = BTreeMap::new();
    for _ in 0..count {
        let message = Message::of(&reader.packet());
        assert_eq!(message.first & 1, 1);
        if message.id > 0 {
            reader.send(&puback(message.id));
        }
        let value = (message.body, message.properties);
        assert_eq!(found.insert(message.topic, value), None);
    }
    reader.send(&publish(0x30, "end", 0, &[], b"end"));
    reader.message5("end", b"end");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r31_and_mq_17_retained_values_survive_kill_9_and_sigterm_with_their_properties() {
    let home = Home::new(CONFIG);
    let process = home.start();
    let mut writer = Client::over(process.tcp("mqtt"));
    writer.send(&Connect::named("writer").bytes());
    writer.packet();
    let mut wanted = BTreeMap::new();
    for n in 0..300usize {
        let topic = format!("mq17/{}/é", n % 200);
        let body = match n % 4 {
            0 => vec![n as u8],
            1 => vec![0xff; 300],
            2 => format!("é {n}").into_bytes(),
            _ => vec![n as u8; 100_000],
        };
        let properties = vec![
            pair("z", &n.to_string()),
            byte(PAYLOAD_FORMAT, 0),
            pair("a", ""),
            string(CONTENT_TYPE, "text/x"),
        ];
        writer.send(&publish(0x33, &topic, 1, &properties, &body));
        assert_eq!(writer.expect_ack(0x40, 1).0 & 0x80, 0);
        wanted.insert(topic, (body, properties));
    }
    for n in 0..20 {
        let topic = format!("mq17/{}/é", n * 7);
        writer.send(&publish(0x33, &topic, 1, &[], b""));
        writer.expect_ack(0x40, 1);
        wanted.remove(&topic);
    }
    process.kill();
    let process = home.start();
    assert_eq!(values(&process, wanted.len()), wanted);
    // QoS 0 is kept over a clean stop, and so is all the rest.
    let mut writer = Client::over(process.tcp("mqtt"));
    writer.send(&Connect::named("writer").bytes());
    writer.packet();
    writer.send(&publish(0x31, "mq17/zero", 0, &[], b"QoS 0"));
    writer.ping();
    wanted.insert("mq17/zero".to_owned(), (b"QoS 0".to_vec(), Vec::new()));
    process.terminate();
    writer.expect_disconnect(0x8b);
    process.stopped();
    let process = home.start();
    assert_eq!(values(&process, wanted.len()), wanted);
}
