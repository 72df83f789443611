//! The server's half of a pair: a session that survives its connections, as a broker would keep it.

use std::collections::{BTreeSet, VecDeque};

use super::ledger::{Ledger, Letter};
use crate::connection::{Accept, Connection, Event};
use crate::limits::Limits;
use crate::packet::{Ack, AckKind, Packet, Publish, QoS, packet_id_after, put_ping_resp};
use crate::properties::Properties;
use crate::run::{AckRun, PublishRun};
use crate::sender::Sender;

/// Packet Identifier not found.
const UNKNOWN_ID: u8 = 0x92;

/// A broker with one client.
#[derive(Debug, Default)]
pub(super) struct Broker {
    session: Option<Session>,
    link: Option<Link>,
}

/// What the broker knows beyond a connection.
#[derive(Debug, Default)]
struct Session {
    /// QoS 2 messages between PUBREC and PUBREL.
    recorded: BTreeSet<u16>,
    inflight: VecDeque<Sent>,
    last_id: u16,
}

#[derive(Debug)]
struct Sent {
    id: u16,
    letter: Letter,
    released: bool,
}

/// One connection.
#[derive(Debug)]
struct Link {
    machine: Connection,
    /// Present once the session is open.
    sender: Option<Sender>,
    input: Vec<u8>,
    /// Answers that are not given yet, in the order of what they answer.
    owed: VecDeque<Ack<'static>>,
    /// Ids of exchanges that the client has begun on this connection.
    open: BTreeSet<u16>,
}

impl Broker {
    /// A new connection; the one before is lost with everything that was not handled.
    pub(super) fn connect(&mut self, limits: Limits, now_ms: u64) {
        self.link = Some(Link {
            machine: Connection::server(limits, now_ms),
            sender: None,
            input: Vec::new(),
            owed: VecDeque::new(),
            open: BTreeSet::new(),
        });
    }

    /// Whether the client is still in time.
    pub(super) fn handle_timeout(&mut self, now_ms: u64) -> bool {
        self.link
            .as_mut()
            .is_none_or(|link| link.machine.handle_timeout(now_ms).is_ok())
    }

    /// Handles bytes of the client.
    pub(super) fn handle(
        &mut self,
        now_ms: u64,
        bytes: &[u8],
        ledger: &mut Ledger,
        out: &mut Vec<u8>,
    ) {
        let Some(link) = &mut self.link else { return };
        link.input.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let event = link.machine.poll_event(now_ms, &link.input, &mut at);
            let connects = match event {
                None => break,
                Some(Err(error)) => unreachable!("the server refuses its client: {error}"),
                Some(Ok(event)) => {
                    let session = self.session.get_or_insert_default();
                    match event {
                        Event::Connect(_) => true,
                        other => {
                            let (owed, open) = (&mut link.owed, &mut link.open);
                            session.handle(other, owed, open, ledger, out);
                            false
                        }
                    }
                }
            };
            if connects {
                let session = self.session.get_or_insert_default();
                session.open(link, now_ms, out);
            }
        }
        link.input.drain(..at);
    }

    /// Gives the oldest answer that is owed.
    pub(super) fn answer(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(link) = &mut self.link else {
            return false;
        };
        let (Some(sender), Some(ack)) = (&link.sender, link.owed.pop_front()) else {
            return false;
        };
        assert_eq!(sender.put(out, &Packet::Ack(ack)), Ok(()));
        if matches!(ack.kind, AckKind::PubAck | AckKind::PubComp) && ack.reason == 0 {
            link.open.remove(&ack.id);
            link.machine.acknowledged(1);
        }
        true
    }

    /// Sends a message, if the client's window and the connection allow.
    pub(super) fn publish(&mut self, qos: QoS, ledger: &mut Ledger, out: &mut Vec<u8>) {
        let (Some(link), Some(session)) = (&mut self.link, &mut self.session) else {
            return;
        };
        let window = usize::from(link.machine.terms().receive_maximum.min(8));
        let Some(sender) = &mut link.sender else {
            return;
        };
        let letter = ledger.next(qos);
        if qos == QoS::AtMostOnce {
            put(sender, out, letter, None, Attempt::First);
        } else if session.inflight.len() < window {
            let id = session.next_id();
            put(sender, out, letter, Some(id), Attempt::First);
            session.inflight.push_back(Sent {
                id,
                letter,
                released: false,
            });
        } else {
            return;
        }
        ledger.sent(letter);
    }
}

impl Session {
    /// Lets the client in and sends again what it has not acknowledged.
    fn open(&mut self, link: &mut Link, now_ms: u64, out: &mut Vec<u8>) {
        let accept = Accept {
            session_present: true,
            ..Accept::default()
        };
        assert_eq!(link.machine.accept(now_ms, &accept, out), Ok(()));
        let Some(mut sender) = link.machine.sender() else {
            unreachable!("a version was read");
        };
        for sent in &self.inflight {
            if sent.released {
                let release = Ack::success(AckKind::PubRel, sent.id);
                assert_eq!(sender.put(out, &Packet::Ack(release)), Ok(()));
            } else {
                put(&mut sender, out, sent.letter, Some(sent.id), Attempt::Again);
            }
        }
        link.sender = Some(sender);
    }

    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = packet_id_after(self.last_id.max(1), 1);
            if self.inflight.iter().all(|sent| sent.id != self.last_id) {
                return self.last_id;
            }
        }
    }

    fn handle(
        &mut self,
        event: Event<'_>,
        owed: &mut VecDeque<Ack<'static>>,
        open: &mut BTreeSet<u16>,
        ledger: &mut Ledger,
        out: &mut Vec<u8>,
    ) {
        match event {
            Event::Publish(run) => {
                for i in 0..run.len() {
                    self.handle_publish(&run, i, owed, open, ledger);
                }
            }
            Event::Acks(run) => {
                for i in 0..run.n {
                    let id = packet_id_after(run.first_id, i);
                    self.handle_ack(&run, id, owed);
                }
            }
            Event::Ping => put_ping_resp(out),
            other => unreachable!("nobody sends {other:?}"),
        }
    }

    fn handle_publish(
        &mut self,
        run: &PublishRun<'_>,
        i: usize,
        owed: &mut VecDeque<Ack<'static>>,
        open: &mut BTreeSet<u16>,
        ledger: &mut Ledger,
    ) {
        let letter = Letter::read(run.topic, run.payload(i));
        assert_eq!(letter.qos, run.qos);
        let Some(id) = run.id(i) else {
            ledger.arrived(letter);
            return;
        };
        assert!(open.insert(id), "id {id} is in use on this connection");
        let kind = if run.qos == QoS::ExactlyOnce {
            AckKind::PubRec
        } else {
            AckKind::PubAck
        };
        if kind == AckKind::PubAck || self.recorded.insert(id) {
            ledger.arrived(letter);
        }
        owed.push_back(Ack::success(kind, id));
    }

    fn handle_ack(&mut self, run: &AckRun<'_>, id: u16, owed: &mut VecDeque<Ack<'static>>) {
        if run.kind == AckKind::PubRel {
            let reason = if self.recorded.remove(&id) {
                0
            } else {
                UNKNOWN_ID
            };
            owed.push_back(Ack {
                reason,
                ..Ack::success(AckKind::PubComp, id)
            });
            return;
        }
        let Some(at) = self.inflight.iter().position(|sent| sent.id == id) else {
            assert_eq!(run.kind, AckKind::PubRec, "{run:?} for id {id}");
            return;
        };
        if run.kind == AckKind::PubRec {
            if let Some(sent) = self.inflight.get_mut(at) {
                assert_eq!(sent.letter.qos, QoS::ExactlyOnce);
                sent.released = true;
            }
            owed.push_back(Ack::success(AckKind::PubRel, id));
        } else {
            self.inflight.remove(at);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

fn put(sender: &mut Sender, out: &mut Vec<u8>, letter: Letter, id: Option<u16>, attempt: Attempt) {
    let payload = letter.payload();
    let publish = Publish {
        topic: letter.topic(),
        qos: letter.qos,
        retain: false,
        dup: attempt == Attempt::Again,
        id,
        properties: Properties::default(),
        payload: &payload,
    };
    assert_eq!(sender.put_publish(out, &publish), Ok(1));
}
