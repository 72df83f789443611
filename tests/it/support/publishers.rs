//! Open-loop publishers: one thread writes as fast as the kernel takes it, another reads confirms
//! into the ledger. Both end with the connection.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::http::{Response, request};
use super::ledger::{Ledger, Message, payload};
use super::mqtt::{self, Mqtt, Packet, Session};
use super::process::Process;
use super::stomp::{Frame, Stomp, frame};
use super::wire::{Input, Output};

/// What confirms a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publisher {
    /// PUBACK of a QoS 1 PUBLISH.
    Mqtt,
    /// RECEIPT of a persistent SEND.
    Stomp,
    /// 201 of a POST; requests are pipelined.
    Rest,
}

/// Where a message goes.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// An address with routing type multicast.
    Topic(&'static str),
    /// An address with routing type anycast.
    Queue(&'static str),
}

/// What all publishers of a run share.
pub(crate) struct Plan {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) target: fn(Message) -> Target,
    /// Length of a body in bytes.
    pub(crate) body_bytes: usize,
    /// MQTT keep-alive, 0 for none.
    pub(crate) keep_alive_s: u16,
    /// Answers that are no confirms, in words.
    pub(crate) faults: Mutex<Vec<String>>,
    /// True ends all writers.
    pub(crate) enough: AtomicBool,
}

/// The running threads of one publisher.
pub(crate) struct Publishing {
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
}

impl Publishing {
    /// Waits for the end of the connection.
    pub(crate) fn join(self) {
        self.writer.join().unwrap();
        self.reader.join().unwrap();
    }
}

impl Publisher {
    pub(crate) const ALL: [Self; 3] = [Self::Mqtt, Self::Stomp, Self::Rest];

    /// Connects and begins to publish as producer number `producer`.
    pub(crate) fn start(self, process: &Process, plan: &Arc<Plan>, producer: usize) -> Publishing {
        let (input, output) = self.connect(process, producer, plan.keep_alive_s).unwrap();
        let number = plan.ledger.next_number(producer);
        let first = Message { producer, number };
        let writing = Arc::clone(plan);
        let writer = std::thread::spawn(move || self.write(&writing, producer, output));
        let reading = Arc::clone(plan);
        let reader = std::thread::spawn(move || {
            if let Err(error) = self.read(&reading, first, input) {
                let mut faults = reading.faults.lock().unwrap();
                faults.push(format!("{self:?} publisher {producer}: {error}"));
            }
        });
        Publishing { writer, reader }
    }

    /// Connects as producer number `producer`.
    pub(crate) fn connect(
        self,
        process: &Process,
        producer: usize,
        keep_alive_s: u16,
    ) -> io::Result<(Input, Output)> {
        match self {
            Self::Mqtt => {
                let client = format!("it-producer-{producer}");
                let wire = process.tcp("mqtt");
                Ok(Mqtt::connect(wire, &client, Session::Clean, keep_alive_s)?.split())
            }
            Self::Stomp => Ok(Stomp::connect(process.tcp("stomp"))?.split()),
            Self::Rest => {
                let wire = process.tcp("http");
                Ok((wire.input, wire.output))
            }
        }
    }

    fn write(self, plan: &Plan, producer: usize, mut output: Output) {
        while !plan.enough.load(Ordering::Relaxed) {
            let message = plan.ledger.begin(producer, plan.body_bytes);
            let body = payload(message, plan.body_bytes);
            let bytes = self.encode(message, (plan.target)(message), &body);
            // The connection ends when the server is killed.
            if output.write_all(&bytes).is_err() {
                break;
            }
            plan.ledger.sent(message);
        }
    }

    /// The bytes that publish `message`.
    pub(crate) fn encode(self, message: Message, target: Target, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Mqtt => {
                let (Target::Topic(name) | Target::Queue(name)) = target;
                mqtt::publish(name, packet_id(message), body)
            }
            Self::Stomp => {
                let destination = match target {
                    Target::Topic(name) => format!("/topic/{name}"),
                    Target::Queue(name) => format!("/queue/{name}"),
                };
                let headers = [
                    ("destination", destination.as_str()),
                    ("persistent", "true"),
                    ("receipt", &message.number.to_string()),
                ];
                frame("SEND", &headers, body)
            }
            Self::Rest => {
                let line = match target {
                    Target::Topic(name) => format!("POST /v1/topics/{name}/messages"),
                    Target::Queue(name) => format!("POST /v1/queues/{name}/messages"),
                };
                request(&line, &["Content-Type: text/plain"], body)
            }
        }
    }

    /// Reads confirms, which come in the order of the publishes (law L2), until the connection ends.
    fn read(self, plan: &Plan, mut next: Message, mut input: Input) -> io::Result<()> {
        loop {
            match self.read_confirm(&mut input, next) {
                Ok(()) => plan.ledger.confirmed(next),
                Err(error) if ended(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
            next.number += 1;
        }
    }

    /// Reads the confirm of `next`; anything else is an error.
    pub(crate) fn read_confirm(self, input: &mut Input, next: Message) -> io::Result<()> {
        let (got, wanted) = match self {
            Self::Mqtt => {
                let id = Packet::read(input)?.id_of(0x40)?;
                (id.to_string(), packet_id(next).to_string())
            }
            Self::Stomp => {
                let receipt = Frame::read(input)?.expect("RECEIPT")?;
                let id = receipt.header("receipt-id").unwrap_or_default();
                (id.to_owned(), next.number.to_string())
            }
            Self::Rest => {
                Response::read(input)?.expect(201)?;
                return Ok(());
            }
        };
        if got == wanted {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "confirm of {got} instead of {wanted}"
        )))
    }
}

/// Whether `error` is the end of a connection and nothing worse.
pub(crate) fn ended(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

fn packet_id(message: Message) -> u16 {
    (message.number % u64::from(u16::MAX)) as u16 + 1
}
