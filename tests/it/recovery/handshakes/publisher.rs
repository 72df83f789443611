//! A publisher that keeps its session state over lives of the server, as a right client does.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::book::{Book, Stream, body, stream};
use super::wire::{
    Connection, NOT_FOUND, PUBACK, PUBCOMP, PUBREC, PUBREL, Version, acknowledged, unexpected,
};
use crate::support::ledger::Message;
use crate::support::mqtt::Packet;
use crate::support::random::Random;
use crate::support::wire::Wire;

pub(super) struct Publisher {
    number: usize,
    version: Version,
    random: Random,
    /// Oldest first.
    out: VecDeque<Sending>,
    last_id: u16,
    is_known: bool,
}

/// A message whose handshake is not finished.
struct Sending {
    id: u16,
    message: Message,
    step: Step,
    /// A part of it was sent on an earlier connection.
    again: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// PUBLISH was sent.
    Published,
    /// PUBREC came and PUBREL was sent.
    Released,
}

impl Publisher {
    pub(super) fn new(number: usize, version: Version, random: Random) -> Self {
        Self {
            number,
            version,
            random,
            out: VecDeque::new(),
            last_id: 0,
            is_known: false,
        }
    }

    /// Handshakes between PUBREC and PUBCOMP.
    pub(super) fn released(&self) -> usize {
        let released = |sending: &&Sending| sending.step == Step::Released;
        self.out.iter().filter(released).count()
    }

    /// Sends again what is not finished, then more until it is `enough`; ends with the connection,
    /// or when all is finished.
    pub(super) fn live(&mut self, wire: Wire, book: &Book, enough: &AtomicBool) -> io::Result<()> {
        let name = format!("publisher-{}", self.number);
        let mut connection = Connection::open(wire, self.version, &name, self.is_known)?;
        self.is_known = true;
        for sending in &mut self.out {
            sending.again = true;
        }
        for sending in &self.out {
            sending.send(&mut connection)?;
        }
        loop {
            while self.out.len() < WINDOW && !enough.load(Ordering::SeqCst) {
                let next = self.next(book);
                // What is half written is sent again.
                self.out.push_back(next);
                self.out[self.out.len() - 1].send(&mut connection)?;
            }
            if self.out.is_empty() {
                return Ok(());
            }
            let packet = connection.read()?;
            self.take(&packet, &mut connection, book)?;
        }
    }

    fn next(&mut self, book: &Book) -> Sending {
        let stream = Stream {
            publisher: self.number,
            qos: if self.random.within(0..=2) == 0 { 1 } else { 2 },
            retained: self.random.within(0..=7) == 0,
        };
        // Some clients take the lowest id that is free, some go round.
        if self.version == Version::V5 {
            self.last_id = 0;
        }
        loop {
            self.last_id = self.last_id % u16::MAX + 1;
            if self.out.iter().all(|sending| sending.id != self.last_id) {
                break;
            }
        }
        Sending {
            id: self.last_id,
            message: book.begin(stream),
            step: Step::Published,
            again: false,
        }
    }

    fn take(
        &mut self,
        packet: &Packet,
        connection: &mut Connection,
        book: &Book,
    ) -> io::Result<()> {
        let (id, reason) = acknowledged(packet)?;
        let wrong = || unexpected(packet);
        let at = self.out.iter().position(|sending| sending.id == id);
        let at = at.ok_or_else(wrong)?;
        let sending = &mut self.out[at];
        let qos = stream(sending.message).qos;
        match (packet.first, qos, sending.step) {
            (PUBACK, 1, Step::Published) => {
                book.confirmed(sending.message);
                self.out.remove(at);
            }
            (PUBREC, 2, Step::Published) => {
                book.confirmed(sending.message);
                sending.step = Step::Released;
                connection.ack(PUBREL, id)?;
            }
            // What the server has forgotten it has finished, in an earlier life.
            (PUBCOMP, 2, Step::Released) if reason != NOT_FOUND || sending.again => {
                self.out.remove(at);
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }
}

impl Sending {
    fn send(&self, connection: &mut Connection) -> io::Result<()> {
        if self.step == Step::Released {
            return connection.ack(PUBREL, self.id);
        }
        let stream = stream(self.message);
        let flags = u8::from(self.again) << 3 | stream.qos << 1 | u8::from(stream.retained);
        let body = body(self.message);
        connection.publish(0x30 | flags, &stream.topic(), self.id, &body)
    }
}

/// Handshakes of one publisher at a time.
const WINDOW: usize = 100;
