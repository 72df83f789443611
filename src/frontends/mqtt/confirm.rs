//! Acknowledgements of both directions: what clients are told of their publishes, and what they
//! tell of deliveries (4.3, 4.4).

use ternmq_core::command::Command;
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_core::ids::Token;
use ternmq_mqtt::{
    Ack, AckKind, AckRun, Packet, PropertiesBuf, PropertyId, Value, Version, packet_id_after,
    put_acks,
};

use super::{Exit, PUBLISH, RECEIVED, RELEASE, State, reason, token};
use crate::frontends::Turn;

/// Consecutive packet ids, as they travel in a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ids {
    pub(super) first: u16,
    /// At most 4,096.
    pub(super) count: u16,
    /// Of messages published with QoS 2.
    pub(super) twice: bool,
    /// The code of a refusal that was decided here and waits for its turn; else 0.
    pub(super) reason: u8,
}

impl Ids {
    pub(super) fn new(first: u16, count: usize) -> Self {
        Self {
            first,
            count: u16::try_from(count).unwrap_or(u16::MAX),
            twice: false,
            reason: 0,
        }
    }

    fn value(self) -> u64 {
        u64::from(self.first)
            | u64::from(self.count) << 16
            | u64::from(self.twice) << 32
            | u64::from(self.reason) << 40
    }

    fn of(value: u64) -> Self {
        Self {
            first: (value & 0xffff) as u16,
            count: (value >> 16 & 0xffff) as u16,
            twice: value >> 32 & 1 == 1,
            reason: (value >> 40 & 0xff) as u8,
        }
    }

    /// The token of their publish.
    pub(super) fn publish_token(self) -> Token {
        token(PUBLISH, self.value())
    }
}

impl State {
    /// PUBACK or PUBREC in their turn. Returns how many exchanges have ended with them.
    pub(super) fn answer_publish(
        &mut self,
        value: u64,
        answer: &Answer,
        turn: &mut Turn<'_>,
    ) -> Result<usize, Exit> {
        let ids = Ids::of(value);
        self.unanswered = self.unanswered.saturating_sub(ids.count.into());
        let code = match answer {
            Answer::Published { routed: 0 } if self.version == Version::V5 => {
                reason::NO_SUBSCRIBERS
            }
            Answer::Refused(why) => {
                let code = reason::of(*why, reason::TOPIC_INVALID);
                let dropped = self.options.acknowledge_denied && *why == Refusal::Forbidden;
                if self.version < Version::V5 && !dropped {
                    return Err(Exit::close(code, format!("publish refused: {why}")));
                }
                tracing::debug!(%why, "publish refused");
                code
            }
            _ => ids.reason,
        };
        let kind = if ids.twice {
            AckKind::PubRec
        } else {
            AckKind::PubAck
        };
        self.put_acks(kind, ids.first, ids.count.into(), code, turn);
        let ended = kind == AckKind::PubAck || code >= reason::FIRST_REFUSAL;
        Ok(if ended { ids.count.into() } else { 0 })
    }

    /// What a client says of ids and messages.
    pub(super) fn acks(&mut self, run: &AckRun<'_>, turn: &mut Turn<'_>) {
        match run.kind {
            AckKind::PubRec if run.reason < reason::FIRST_REFUSAL => self.receive(run, turn),
            // A refused message is not offered again, to nobody [MQTT-4.8.2-6].
            AckKind::PubAck | AckKind::PubRec | AckKind::PubComp => {
                self.settle_ids(run.first_id, run.n, turn);
            }
            AckKind::PubRel => {
                let ids = Ids::new(run.first_id, run.n);
                turn.commands.push(Command::Release {
                    first: ids.first,
                    n: ids.count,
                    token: Some(token(RELEASE, ids.value())),
                });
            }
        }
    }

    /// PUBREC: the client has the messages, and hears so once that is certain (law L13).
    fn receive(&mut self, run: &AckRun<'_>, turn: &mut Turn<'_>) {
        let found = self.deliveries.tags(run.first_id, run.n);
        let known = found.map_or(0, |(_, n)| n);
        if let Some((first, n)) = found {
            let ids = Ids::new(run.first_id, n as usize);
            turn.commands.push(Command::Received {
                first,
                n,
                token: Some(token(RECEIVED, ids.value())),
            });
        }
        let unknown = run.n.saturating_sub(known as usize);
        if unknown > 0 {
            let first = packet_id_after(run.first_id, known as usize);
            let code = reason::ID_NOT_FOUND;
            self.put_acks(AckKind::PubRel, first, unknown, code, turn);
        }
    }

    /// PUBCOMP or PUBREL by what the core knew of the ids. Returns how many it knew.
    pub(super) fn answer_known(
        &mut self,
        kind: AckKind,
        value: u64,
        answer: &Answer,
        turn: &mut Turn<'_>,
    ) -> usize {
        let ids = Ids::of(value);
        let Answer::Known(known) = answer else {
            return 0; // The session has gone, and this connection with it.
        };
        let mut done = 0;
        for same in known.chunk_by(|a, b| a == b) {
            let first = packet_id_after(ids.first, done);
            let code = match same.first() {
                Some(true) => reason::SUCCESS,
                _ => reason::ID_NOT_FOUND,
            };
            self.put_acks(kind, first, same.len(), code, turn);
            done += same.len();
        }
        known.iter().filter(|known| **known).count()
    }

    /// Appends acknowledgements; before MQTT 5.0 they have no reason.
    fn put_acks(&self, kind: AckKind, first: u16, n: usize, code: u8, turn: &mut Turn<'_>) {
        let out = turn.output.buffer();
        if code == reason::SUCCESS || self.version < Version::V5 {
            return put_acks(out, kind, first, n);
        }
        let mut words = PropertiesBuf::new();
        if let Some(text) = reason::words(code) {
            let _ = words.push(PropertyId::ReasonString, Value::Text(text));
        }
        for offset in 0..n {
            let ack = Ack {
                kind,
                id: packet_id_after(first, offset),
                reason: code,
                properties: words.properties(),
            };
            // Five bytes without words; a client that takes less has no use for them.
            let _ = self.sender.put(out, &Packet::Ack(ack));
        }
    }

    /// Settles the deliveries of consecutive packet ids as far as they are out.
    fn settle_ids(&mut self, first: u16, count: usize, turn: &mut Turn<'_>) {
        if let Some(settle) = self.deliveries.settle(first, count) {
            turn.commands.push(Command::Settle(settle));
        }
    }
}
