//! Consumers that write every delivery, and every answer to an acknowledgement, into the ledger.
//! They end with the connection.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::http::Http;
use super::ledger::{Ledger, Message};
use super::mqtt::{Mqtt, Session};
use super::process::Process;
use super::publishers::ended;
use super::stomp::{Frame, Stomp, frame};

/// Where a place is consumed from, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Consumer {
    /// `client-individual`, each ACK with a receipt.
    Stomp(&'static str),
    /// Leases, settled in batches by `POST /v1/leases:settle`.
    Rest(&'static str),
    /// A persistent session with this filter at QoS 1; nothing answers a PUBACK.
    Session(&'static str),
}

/// What all consumers of a run share.
pub(crate) struct Shift {
    pub(crate) ledger: Arc<Ledger>,
    /// What went wrong, in words.
    pub(crate) faults: Mutex<Vec<String>>,
}

impl Consumer {
    /// Connects, subscribes and begins to consume as place number `place`.
    pub(crate) fn start(
        self,
        process: &Process,
        shift: &Arc<Shift>,
        place: usize,
    ) -> JoinHandle<()> {
        shift.ledger.new_life(place);
        let ledger = Arc::clone(&shift.ledger);
        let consume: Box<dyn FnOnce() -> io::Result<()> + Send> = match self {
            Self::Stomp(destination) => {
                let mut client = Stomp::connect(process.tcp("stomp")).unwrap();
                client.subscribe(destination).unwrap();
                Box::new(move || consume_stomp(client, &ledger, place))
            }
            Self::Rest(queue) => {
                let client = Http::new(process.tcp("http"));
                Box::new(move || consume_rest(client, queue, &ledger, place))
            }
            Self::Session(filter) => {
                let client = attach(process, filter).unwrap();
                Box::new(move || consume_session(client, &ledger, place))
            }
        };
        let shift = Arc::clone(shift);
        std::thread::spawn(move || match consume() {
            Err(error) if !ended(&error) => {
                let mut faults = shift.faults.lock().unwrap();
                faults.push(format!("{self:?}: {error}"));
            }
            _ => {}
        })
    }
}

/// Resumes the session, or makes it and subscribes.
fn attach(process: &Process, filter: &str) -> io::Result<Mqtt> {
    let mut client = Mqtt::connect(process.tcp("mqtt"), "it-session", Session::Kept, 0)?;
    if !client.session_present {
        client.subscribe(filter, 1)?;
    }
    Ok(client)
}

fn consume_stomp(mut client: Stomp, ledger: &Ledger, place: usize) -> io::Result<()> {
    loop {
        // Not `Stomp::next`: RECEIPTs of several ACKs come between messages.
        let read = match client.early() {
            Some(message) => message,
            None => Frame::read(&mut client.wire.input)?,
        };
        if read.command == "RECEIPT" {
            let receipt = read.header("receipt-id").unwrap_or_default();
            let acked = message_of(receipt)
                .ok_or_else(|| io::Error::other(format!("a receipt called {receipt}")))?;
            ledger.settled(place, acked);
            continue;
        }
        let message = read.expect("MESSAGE")?;
        let Some(delivered) = ledger.delivered(place, &message.body) else {
            continue;
        };
        let headers = [
            ("id", message.header("ack").unwrap_or_default()),
            ("receipt", &receipt_of(delivered)),
        ];
        client.wire.output.write_all(&frame("ACK", &headers, b""))?;
    }
}

fn consume_rest(mut client: Http, queue: &str, ledger: &Ledger, place: usize) -> io::Result<()> {
    let receive = format!("POST /v1/queues/{queue}/receive?max=50&wait=5s&lease=60s");
    loop {
        let answer = client.call(&receive, &["Accept: application/json"], b"")?;
        if answer.status == 204 {
            continue;
        }
        let answer: Value = serde_json::from_slice(&answer.expect(200)?.body)?;
        let mut leases = Vec::new();
        let mut delivered = Vec::new();
        for message in answer["messages"].as_array().into_iter().flatten() {
            let body = message["body"].as_str().unwrap_or_default();
            delivered.extend(ledger.delivered(place, body.as_bytes()));
            leases.push(message["lease"].clone());
        }
        let settle = json!({ "ack": leases }).to_string();
        let headers = ["Content-Type: application/json"];
        let answer = client.call("POST /v1/leases:settle", &headers, settle.as_bytes())?;
        let results: Value = serde_json::from_slice(&answer.expect(200)?.body)?;
        let settled = results["results"].as_array().into_iter().flatten();
        if settled.filter(|result| result["ok"] == true).count() != leases.len() {
            return Err(io::Error::other(format!("settling: {results}")));
        }
        for message in delivered {
            ledger.settled(place, message);
        }
    }
}

fn consume_session(mut client: Mqtt, ledger: &Ledger, place: usize) -> io::Result<()> {
    loop {
        let publish = client.next()?;
        ledger.delivered(place, &publish.body);
        if publish.qos != 1 {
            return Err(io::Error::other(format!(
                "a delivery at QoS {}",
                publish.qos
            )));
        }
        client.ack(publish.id)?;
    }
}

fn receipt_of(message: Message) -> String {
    format!("{}.{}", message.producer, message.number)
}

fn message_of(receipt: &str) -> Option<Message> {
    let (producer, number) = receipt.split_once('.')?;
    Some(Message {
        producer: producer.parse().ok()?,
        number: number.parse().ok()?,
    })
}
