//! A subscriber that keeps packet ids of QoS 2 over lives of the server, as a right client does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::Ordering;

use super::book::Book;
use super::wire::{Connection, PUBACK, PUBCOMP, PUBREC, PUBREL, Version, acknowledged, unexpected};
use crate::support::mqtt::{Packet, Publish};
use crate::support::wire::Wire;

/// When the application gets a message of QoS 2 (figure 4.3 of the specification).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hand {
    /// When PUBLISH comes; its id is kept until PUBREL.
    AtPublish,
    /// When PUBREL comes; the message is kept until then.
    AtRelease,
}

/// Who subscribes to what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) version: Version,
    pub(super) filter: &'static str,
    pub(super) qos: u8,
    pub(super) hand: Hand,
    /// Number of its place in the [`Book`].
    pub(super) place: usize,
}

pub(super) struct Subscriber {
    plan: Plan,
    /// Between PUBREC and PUBREL.
    held: BTreeMap<u16, Publish>,
    /// Those whose PUBLISH may come again, because another connection heard of it.
    heard: BTreeSet<u16>,
    /// Whose PUBREL came on an earlier connection: it may come again.
    finished: BTreeSet<u16>,
    /// Whose PUBREL came on this one.
    released: BTreeSet<u16>,
    is_known: bool,
}

impl Subscriber {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            held: BTreeMap::new(),
            heard: BTreeSet::new(),
            finished: BTreeSet::new(),
            released: BTreeSet::new(),
            is_known: false,
        }
    }

    /// Handshakes between PUBREC and PUBCOMP.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Comes back to its session; the first time it makes it and subscribes, once for ever.
    pub(super) fn connect(&mut self, wire: Wire) -> io::Result<Connection> {
        let Plan { name, version, .. } = self.plan;
        let mut connection = Connection::open(wire, version, name, self.is_known)?;
        if !self.is_known {
            connection.subscribe(self.plan.filter, self.plan.qos)?;
        }
        self.is_known = true;
        self.heard = self.held.keys().copied().collect();
        self.finished.append(&mut self.released);
        Ok(connection)
    }

    /// Takes what comes until the connection ends.
    pub(super) fn live(&mut self, mut connection: Connection, book: &Book) -> io::Result<()> {
        loop {
            let packet = connection.read()?;
            match packet.first {
                PUBREL => self.release(&packet, &mut connection, book)?,
                _ => self.take(&packet, &mut connection, book)?,
            }
        }
    }

    fn take(
        &mut self,
        packet: &Packet,
        connection: &mut Connection,
        book: &Book,
    ) -> io::Result<()> {
        let publish = connection.message(packet)?;
        let (place, id) = (self.plan.place, publish.id);
        if publish.qos == 1 {
            book.received(place, &publish.topic, &publish.body);
            return connection.ack(PUBACK, id);
        }
        if publish.qos != 2 || self.plan.qos != 2 {
            return Err(unexpected(packet));
        }
        if let Some(held) = self.held.get(&id) {
            let same = held.body == publish.body && held.topic == publish.topic;
            if !same || !publish.dup || !self.heard.remove(&id) {
                return Err(unexpected(packet));
            }
            book.counts.held_back.fetch_add(1, Ordering::SeqCst);
            return connection.ack(PUBREC, id);
        }
        if self.plan.hand == Hand::AtPublish {
            book.received(place, &publish.topic, &publish.body);
        }
        self.finished.remove(&id);
        self.released.remove(&id);
        self.held.insert(id, publish);
        book.counts.open.fetch_add(1, Ordering::SeqCst);
        connection.ack(PUBREC, id)
    }

    fn release(
        &mut self,
        packet: &Packet,
        connection: &mut Connection,
        book: &Book,
    ) -> io::Result<()> {
        let (id, reason) = acknowledged(packet)?;
        if reason != 0 {
            return Err(unexpected(packet));
        }
        match self.held.remove(&id) {
            Some(publish) => {
                if self.plan.hand == Hand::AtRelease {
                    book.received(self.plan.place, &publish.topic, &publish.body);
                }
                self.heard.remove(&id);
                book.counts.open.fetch_sub(1, Ordering::SeqCst);
            }
            // The server has lost that PUBCOMP came, which nothing answers.
            None if self.finished.remove(&id) => {
                book.counts.steps_again.fetch_add(1, Ordering::SeqCst);
            }
            None => return Err(unexpected(packet)),
        }
        self.released.insert(id);
        connection.ack(PUBCOMP, id)
    }
}
