//! Consumers with little credit at a time: a durable subscription that is detached now and then, a
//! judge of every outcome in the second mode, and one of what it rejected.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use super::books::Books;
use super::message::{Received, Verdict};
use super::wire::{
    ATTACH, DETACH, DISPOSITION, FLOW, Frame, TRANSFER, Value, boolean, connect, described, frame,
    list, null, symbol, text, ubyte, uint,
};
use crate::support::consumers::Shift;
use crate::support::ledger::Message;
use crate::support::process::Process;
use crate::support::publishers::ended;
use crate::support::wire::{Input, Output};

/// Where a place is consumed from, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Amqp {
    /// A durable subscription to `kill-fan`; everything is accepted and settled.
    Subscription,
    /// The queue `kill-judged`; outcomes are told first and settled by the server (T 2.6.12).
    Judge,
    /// What the judge rejected.
    Condemned,
}

/// A connected consumer.
struct Client {
    kind: Amqp,
    input: Input,
    output: Output,
    /// What it has and did not accept, by delivery id.
    held: BTreeMap<u32, (Message, Verdict)>,
    /// What it has released or accepted for good in this life of the server.
    released: BTreeSet<Message>,
    accepted: BTreeSet<Message>,
    /// Deliveries of the link, transfers of the session.
    deliveries: u32,
    transfers: u32,
}

impl Amqp {
    /// Connects, attaches and begins to consume as place number `place`.
    pub(in super::super) fn start(
        self,
        process: &Process,
        (shift, books): (&Arc<Shift>, &Arc<Books>),
        place: usize,
    ) -> JoinHandle<()> {
        shift.ledger.new_life(place);
        let container = format!("it-{self:?}");
        let (input, output) = connect(process.tcp("amqp"), &container, 0, WINDOW).unwrap();
        let mut client = Client {
            kind: self,
            input,
            output,
            held: BTreeMap::new(),
            released: BTreeSet::new(),
            accepted: BTreeSet::new(),
            deliveries: 0,
            transfers: 0,
        };
        client.attach().unwrap();
        let (shift, books) = (Arc::clone(shift), Arc::clone(books));
        std::thread::spawn(move || match client.consume(&shift, &books, place) {
            Err(error) if !ended(&error) => {
                let mut faults = shift.faults.lock().unwrap();
                faults.push(format!("{self:?}: {error}"));
            }
            _ => {}
        })
    }

    /// Address and capability of its source.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Subscription => ("kill-fan", "topic"),
            Self::Judge => ("kill-judged", "queue"),
            Self::Condemned => ("DLQ", "queue"),
        }
    }
}

impl Client {
    /// Attaches the link and gives it credit.
    fn attach(&mut self) -> io::Result<()> {
        let (address, capability) = self.kind.source();
        let second = self.kind == Amqp::Judge;
        let durability = if self.kind == Amqp::Subscription {
            2
        } else {
            0
        };
        let mut source = vec![text(address), uint(durability), symbol("never")];
        // Timeout, dynamic, its properties, distribution mode, filter, default outcome, outcomes.
        source.extend(vec![null(); 7]);
        source.push(symbol(capability));
        let target = described(0x29, &list(&[]));
        let mut fields = vec![text("it"), uint(0), boolean(true), ubyte(0)];
        fields.push(ubyte(u8::from(second)));
        fields.extend([described(0x28, &list(&source)), target]);
        self.output.write_all(&frame(ATTACH, &fields, b""))?;
        let answer = loop {
            match Frame::read(&mut self.input)? {
                // Of the session.
                frame if frame.code == FLOW => {}
                frame => break frame.expect(ATTACH)?,
            }
        };
        if answer.number(4) != u64::from(second) || *answer.field(5) == Value::Null {
            return Err(answer.unexpected());
        }
        // RFC 1982: where the server begins to count.
        self.deliveries = answer.serial(9);
        self.flow()
    }

    /// Opens window and credit as far as they go.
    fn flow(&mut self) -> io::Result<()> {
        let session = [uint(self.transfers), uint(WINDOW), uint(0), uint(u32::MAX)];
        let link = [uint(0), uint(self.deliveries), uint(CREDIT)];
        self.output
            .write_all(&frame(FLOW, &[&session[..], &link].concat(), b""))
    }

    fn consume(&mut self, shift: &Shift, books: &Books, place: usize) -> io::Result<()> {
        let mut payload = Vec::new();
        let mut since_flow = 0;
        loop {
            let frame = Frame::read(&mut self.input)?;
            match frame.code {
                FLOW => {}
                DISPOSITION => self.settled(&frame, shift, books, place)?,
                TRANSFER => {
                    self.transfers = self.transfers.wrapping_add(1);
                    payload.extend_from_slice(&frame.payload);
                    if frame.number(5) == 1 {
                        continue;
                    }
                    let received = Received::read(&std::mem::take(&mut payload))?;
                    self.deliveries = self.deliveries.wrapping_add(1);
                    self.delivered(frame.serial(1), &received, (shift, books), place)?;
                    since_flow += 1;
                    if since_flow == CREDIT / 2 {
                        since_flow = 0;
                        self.flow()?;
                    }
                    let seen = self.deliveries.is_multiple_of(BETWEEN_DETACHES);
                    if seen && self.kind == Amqp::Subscription {
                        self.detach()?;
                        books.detached.fetch_add(1, Ordering::Relaxed);
                        shift.ledger.new_life(place);
                    }
                }
                _ => return Err(frame.unexpected()),
            }
        }
    }

    fn delivered(
        &mut self,
        id: u32,
        received: &Received,
        (shift, books): (&Shift, &Books),
        place: usize,
    ) -> io::Result<()> {
        let Some(message) = shift.ledger.delivered(place, &received.body) else {
            return Ok(());
        };
        let wrong = received.check(message, books.publisher, books.body_bytes);
        let wrong = wrong.or_else(|| self.wrong(message, received, books));
        if let Some(wrong) = wrong {
            return Err(io::Error::other(wrong));
        }
        let verdict = match self.kind {
            Amqp::Judge => {
                let released = self.released.contains(&message);
                Verdict::of(message, received.failures, released)
            }
            Amqp::Subscription | Amqp::Condemned => Verdict::Accept,
        };
        if received.failures > 0 {
            books.failed_before.fetch_add(1, Ordering::Relaxed);
        }
        match verdict {
            Verdict::Accept if self.kind != Amqp::Judge => {
                self.accepted.insert(message);
            }
            Verdict::Release => {
                books.released.fetch_add(1, Ordering::Relaxed);
                self.released.insert(message);
                shift.ledger.given_back(place, message);
            }
            Verdict::Fail(_) => shift.ledger.given_back(place, message),
            Verdict::Accept => {}
            Verdict::Reject => drop(books.condemned.fetch_add(1, Ordering::Relaxed)),
        }
        let settled = self.kind != Amqp::Judge;
        if !settled {
            if matches!(verdict, Verdict::Accept | Verdict::Reject) {
                shift.ledger.ending(place, message);
            }
            self.held.insert(id, (message, verdict));
        }
        let fields = [
            boolean(true),
            uint(id),
            null(),
            boolean(settled),
            verdict.encode(),
        ];
        self.output.write_all(&frame(DISPOSITION, &fields, b""))
    }

    /// What is wrong with the history of a message.
    fn wrong(&self, message: Message, received: &Received, books: &Books) -> Option<String> {
        let (failures, noted) = (received.failures, received.noted());
        match self.kind {
            Amqp::Condemned if !received.was_condemned() => {
                Some(format!("{message:?} without its history: {received:?}"))
            }
            Amqp::Judge => {
                let answered = books.failures.lock().unwrap().get(&message).copied();
                // Count and note are of one commit.
                let right = failures == noted && failures >= answered.unwrap_or(0);
                (!right).then(|| {
                    format!("{message:?} failed {failures}, noted {noted}, answered {answered:?}")
                })
            }
            _ if self.accepted.contains(&message) => {
                Some(format!("{message:?} again, which was accepted"))
            }
            _ => None,
        }
    }

    /// The server has settled what the judge has said.
    fn settled(
        &mut self,
        frame: &Frame,
        shift: &Shift,
        books: &Books,
        place: usize,
    ) -> io::Result<()> {
        let first = frame.serial(1);
        let last = match frame.field(2) {
            Value::Null => first,
            last => last.number() as u32,
        };
        if frame.number(0) != 0 || frame.number(3) != 1 {
            return Err(frame.unexpected());
        }
        for id in first..=last {
            let (message, verdict) = self.held.remove(&id).ok_or_else(|| frame.unexpected())?;
            match verdict {
                Verdict::Accept | Verdict::Reject => shift.ledger.settled(place, message),
                Verdict::Release => {}
                Verdict::Fail(failures) => {
                    books.failures.lock().unwrap().insert(message, failures);
                }
            }
        }
        Ok(())
    }

    /// Lets go of the subscription and takes it up again; what comes meanwhile comes again.
    fn detach(&mut self) -> io::Result<()> {
        let detach = [uint(0), boolean(false)];
        self.output.write_all(&frame(DETACH, &detach, b""))?;
        loop {
            let frame = Frame::read(&mut self.input)?;
            match frame.code {
                FLOW => {}
                TRANSFER => self.transfers = self.transfers.wrapping_add(1),
                DETACH => break,
                _ => return Err(frame.unexpected()),
            }
        }
        self.attach()
    }
}

const WINDOW: u32 = 200;
const CREDIT: u32 = 60;
/// Deliveries of the subscription.
const BETWEEN_DETACHES: u32 = 200;
