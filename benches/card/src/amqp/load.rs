//! One sender and one receiver over a queue.

use std::thread;
use std::time::{Duration, Instant};

use ternmq_amqp::types::{put_binary, put_descriptor};
use ternmq_amqp::{
    Connection, DeliveryState, Event, LinkId, Outcome, Outgoing, Role, Sections, Sent,
};

use super::client::Client;
use super::process::Broker;

const BODY_BYTES: usize = 256;
const CREDIT: u32 = 500;
const IN_FLIGHT: u64 = 1_000;
const ACCEPTED: DeliveryState<'static> = DeliveryState::Outcome(Outcome::Accepted);

/// How much, and how fast.
#[derive(Clone, Copy)]
pub struct Load {
    pub messages: u64,
    /// Messages a second; as fast as they are taken without one.
    pub rate: Option<u64>,
}

/// What came of it.
pub struct Outcomes {
    /// Messages received a second.
    pub rate: f64,
    /// CPU time of the broker per message.
    pub cpu_us: f64,
    pub p50_us: u64,
    pub p99_us: u64,
}

impl Load {
    pub fn run(self, broker: &Broker) -> Outcomes {
        let (receiver, source) = Client::attach(broker.port, Role::Receiver);
        let (sender, target) = Client::attach(broker.port, Role::Sender);
        let (cpu, begun) = (broker.cpu(), Instant::now());
        let receiving = thread::spawn(move || receive(receiver, source, self.messages, begun));
        send(sender, target, self, begun);
        let mut latencies_us = receiving.join().expect("a receiver");
        let taken = begun.elapsed();
        let used = broker.cpu() - cpu;
        latencies_us.sort_unstable();
        let at = |part: usize| latencies_us[latencies_us.len() * part / 100];
        Outcomes {
            rate: self.messages as f64 / taken.as_secs_f64(),
            cpu_us: used.as_secs_f64() * 1e6 / self.messages as f64,
            p50_us: at(50),
            p99_us: at(99),
        }
    }

    /// How many messages are due.
    fn due(self, begun: Instant) -> u64 {
        match self.rate {
            Some(rate) => {
                let due = begun.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000;
                self.messages.min(due as u64)
            }
            None => self.messages,
        }
    }
}

fn send(mut client: Client, link: LinkId, load: Load, begun: Instant) {
    if load.rate.is_some() {
        client.set_patience(Duration::from_micros(200));
    }
    let (mut sent, mut confirmed) = (0_u64, 0_u64);
    while confirmed < load.messages {
        let due = load.due(begun);
        while sent < due && sent - confirmed < IN_FLIGHT {
            let message = message(begun);
            let outgoing = Outgoing {
                tag: sent,
                settled: false,
                format: 0,
            };
            let payload = (message.len(), false);
            let begun = client
                .machine
                .transfer(link, outgoing, payload, &mut client.out);
            if begun == Sent::Blocked {
                break;
            }
            client.out.extend_from_slice(&message);
            sent += 1;
        }
        let mut take = |_: &mut Connection, event: &Event<'_>| {
            if let Event::Settled(settled) = event {
                assert_eq!(settled.state, Some(ACCEPTED));
                confirmed += u64::from(settled.n);
            }
            false
        };
        if load.rate.is_some() {
            client.exchange_soon(&mut take);
        } else {
            client.exchange(&mut take);
        }
    }
}

fn receive(mut client: Client, link: LinkId, messages: u64, begun: Instant) -> Vec<u64> {
    client.machine.set_credit(link, CREDIT, &mut client.out);
    let mut latencies_us = Vec::new();
    while (latencies_us.len() as u64) < messages {
        let mut range = None;
        client.exchange(|_, event| {
            if let Event::Transfer(part) = event {
                assert!(part.first && !part.more, "256 B are one frame");
                let now = begun.elapsed().as_micros() as u64;
                latencies_us.push(now - stamp(part.payload));
                let first = range.map_or(part.delivery, |(first, _)| first);
                range = Some((first, part.delivery));
            }
            false
        });
        if let Some(range) = range {
            client
                .machine
                .settle_received(link.session, range, ACCEPTED, true, &mut client.out);
        }
    }
    client.write();
    latencies_us
}

/// Data that begins with when it was made.
fn message(begun: Instant) -> Vec<u8> {
    let mut body = [b'x'; BODY_BYTES];
    body[..8].copy_from_slice(&(begun.elapsed().as_micros() as u64).to_be_bytes());
    let mut message = Vec::with_capacity(BODY_BYTES + 8);
    put_descriptor(&mut message, 0x75);
    put_binary(&mut message, &body);
    message
}

fn stamp(message: &[u8]) -> u64 {
    let sections = Sections::read(message).expect("a message");
    let body = sections.read_body(message).next();
    let Some(Ok(ternmq_amqp::types::Value::Binary(body))) = body else {
        panic!("no data");
    };
    u64::from_be_bytes(body[..8].try_into().expect("8 bytes"))
}
