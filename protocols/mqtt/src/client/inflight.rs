//! What a client has sent and not seen acknowledged, and the packet ids that are taken.

use std::collections::{BTreeSet, VecDeque};

use crate::error::Error;
use crate::packet::{Ack, AckKind, QoS, packet_id_after};

/// Unacknowledged publishes in sending order, with the packet ids of this direction; SUBSCRIBE
/// and UNSUBSCRIBE take theirs from the same space (2.2.1).
#[derive(Debug, Default)]
pub(super) struct Inflight {
    publishes: VecDeque<Outgoing>,
    requests: BTreeSet<u16>,
    taken: BTreeSet<u16>,
    last_id: u16,
    /// How many of the publishes, from the front, were sent on this connection; those behind wait
    /// to be sent again when the window has room.
    in_use: usize,
}

/// What is to be sent again.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    pub(super) id: u16,
    pub(super) qos: QoS,
    /// The PUBLISH; none if PUBREL is due.
    pub(super) packet: Option<&'a [u8]>,
}

#[derive(Debug)]
struct Outgoing {
    id: u16,
    qos: QoS,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Sent; the packet, without alias, is kept to be sent again on resume.
    Published(Vec<u8>),
    /// PUBREL was sent; the message is the server's.
    Released,
}

/// What an acknowledgement led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The publish has ended.
    Done,
    /// PUBREL is due.
    Release,
    /// Nothing waited for it.
    Unknown,
}

impl Inflight {
    pub(super) fn len(&self) -> usize {
        self.publishes.len()
    }

    /// Takes the next free packet id.
    pub(super) fn take_id(&mut self) -> Result<u16, Error> {
        if self.taken.len() >= usize::from(u16::MAX) {
            return Err(Error::WindowFull);
        }
        let mut id = packet_id_after(self.last_id.max(1), usize::from(self.last_id != 0));
        while self.taken.contains(&id) {
            id = packet_id_after(id, 1);
        }
        self.taken.insert(id);
        self.last_id = id;
        Ok(id)
    }

    /// Gives back an id that was not used after all.
    pub(super) fn free_id(&mut self, id: u16) {
        self.taken.remove(&id);
    }

    pub(super) fn publish(&mut self, id: u16, qos: QoS, packet: Vec<u8>) {
        self.in_use += 1;
        self.publishes.push_back(Outgoing {
            id,
            qos,
            stage: Stage::Published(packet),
        });
    }

    pub(super) fn request(&mut self, id: u16) {
        self.requests.insert(id);
    }

    /// SUBACK or UNSUBACK came; whether anything waited for it.
    pub(super) fn answer(&mut self, id: u16) -> bool {
        let known = self.requests.remove(&id);
        if known {
            self.taken.remove(&id);
        }
        known
    }

    /// PUBACK, PUBREC or PUBCOMP came. Servers answer in order, so the search from the front
    /// ends at once.
    pub(super) fn acknowledge(&mut self, ack: &Ack<'_>) -> Step {
        let found = self
            .publishes
            .iter()
            .take(self.in_use)
            .position(|publish| publish.id == ack.id);
        let Some((at, publish)) = found.and_then(|at| Some((at, self.publishes.get_mut(at)?)))
        else {
            return Step::Unknown;
        };
        match (ack.kind, publish.qos, &publish.stage) {
            (AckKind::PubRec, QoS::ExactlyOnce, Stage::Published(_)) if ack.reason < 0x80 => {
                publish.stage = Stage::Released;
                Step::Release
            }
            (AckKind::PubRec, QoS::ExactlyOnce, Stage::Released) => Step::Release,
            (AckKind::PubAck, QoS::AtLeastOnce, Stage::Published(_))
            | (AckKind::PubRec, QoS::ExactlyOnce, Stage::Published(_))
            | (AckKind::PubComp, QoS::ExactlyOnce, Stage::Released) => {
                self.publishes.remove(at);
                self.taken.remove(&ack.id);
                self.in_use -= 1;
                Step::Done
            }
            _ => Step::Unknown,
        }
    }

    /// The connection is gone: requests without answer are forgotten.
    pub(super) fn connection_lost(&mut self) {
        for id in std::mem::take(&mut self.requests) {
            self.taken.remove(&id);
        }
    }

    /// The server has no session: nothing of it is owed any more.
    pub(super) fn clear(&mut self) {
        self.publishes.clear();
        self.in_use = 0;
        self.requests.clear();
        self.taken.clear();
    }

    /// The session goes on over a new connection: everything waits to be sent again
    /// \[MQTT-4.4.0-1\], PUBLISH with DUP \[MQTT-3.3.1-1\].
    pub(super) fn resume(&mut self) {
        self.in_use = 0;
        for publish in &mut self.publishes {
            if let Stage::Published(packet) = &mut publish.stage
                && let Some(first) = packet.first_mut()
            {
                *first |= 0x08;
            }
        }
    }

    /// The oldest that waits, if fewer than `window` exchanges are open. One that has come to
    /// PUBREL counts, though the server may not count it.
    pub(super) fn next_waiting(&self, window: usize) -> Option<Waiting<'_>> {
        if self.in_use >= window {
            return None;
        }
        let publish = self.publishes.get(self.in_use)?;
        Some(Waiting {
            id: publish.id,
            qos: publish.qos,
            packet: match &publish.stage {
                Stage::Published(packet) => Some(packet),
                Stage::Released => None,
            },
        })
    }

    /// The oldest that waited was sent.
    pub(super) fn sent_again(&mut self) {
        self.in_use = self.publishes.len().min(self.in_use + 1);
    }

    /// The oldest that waits is given up.
    pub(super) fn give_up(&mut self) {
        if let Some(publish) = self.publishes.remove(self.in_use) {
            self.taken.remove(&publish.id);
        }
    }
}
