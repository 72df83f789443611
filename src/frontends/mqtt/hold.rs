//! While a packet waits, for memory or for the CONNACK, everything behind it is kept (law L20):
//! settlements and pings alone are looked for and done at once.

use ternmq_mqtt::{Ack, AckRun, Frame, Framed, frame, put_ping_resp};

use super::State;
use crate::frontends::Turn;

/// Why packets are not handled now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hold {
    /// They are.
    No,
    /// Nothing behind CONNECT is handled before its answer \[MQTT-3.1.4-6\].
    Connecting,
    /// A publish waits for memory.
    Budget,
}

/// Whole packets that wait. Empty and without memory most of the time.
#[derive(Debug, Default)]
pub(super) struct Parked {
    bytes: Vec<u8>,
    /// Bytes of the unfinished packet behind them, which the connection loop keeps.
    unfinished: usize,
    /// Nothing behind the bytes counts: they end with DISCONNECT, or with what cannot be framed.
    ended: bool,
    /// Bytes asked of the budget, 0 if nothing is.
    asked: usize,
}

impl Parked {
    /// Whether more may be kept.
    pub(super) fn has_space(&self, most: usize) -> bool {
        !self.ended && self.bytes.len() + self.unfinished < most
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        (self.unfinished, self.ended) = (0, false);
        std::mem::take(&mut self.bytes)
    }

    /// A publish waits for this many bytes, or has got them (0).
    pub(super) fn ask(&mut self, bytes: usize) {
        self.asked = bytes;
    }

    /// Whether the next reservation is served by what was set aside.
    pub(super) fn is_granted(&self) -> bool {
        self.asked > 0
    }

    /// Bytes that the next reservation may ask for: not more than what was set aside, or it lapses
    /// and the connection queues again.
    pub(super) fn portion(&self, largest: usize) -> usize {
        match self.asked {
            0 => largest,
            asked => asked.min(largest),
        }
    }
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
const ACKS_FROM: u8 = 4;
const ACKS_TO: u8 = 7;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;

impl State {
    /// Keeps the whole packets of a read; returns how many bytes were taken, all but an unfinished
    /// packet. What cannot be framed is kept as well: the machine will say what is wrong with it
    /// when its turn has come.
    pub(super) fn look_through(&mut self, input: &[u8], turn: &mut Turn<'_>) -> usize {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if self.parked.ended {
                return input.len();
            }
            match frame(rest, self.options.max_packet_bytes) {
                Ok(Framed::Frame(packet)) => {
                    at += packet.bytes.len();
                    self.look_at(packet, turn);
                }
                Ok(Framed::Need(_)) => {
                    self.parked.unfinished = rest.len();
                    return at;
                }
                Err(_) => {
                    self.parked.bytes.extend_from_slice(rest);
                    self.parked.ended = true;
                }
            }
        }
    }

    fn look_at(&mut self, packet: Frame<'_>, turn: &mut Turn<'_>) {
        if self.hold == Hold::Budget {
            // What is malformed waits, and that is the machine's to say.
            match (packet.first >> 4, packet.bytes) {
                (ACKS_FROM..=ACKS_TO, _) => {
                    if let Ok(ack) = Ack::decode(packet, self.version) {
                        return self.acks(&run_of(ack), turn);
                    }
                }
                (_, &[first, 0]) if first == PINGREQ << 4 => {
                    return put_ping_resp(turn.output.buffer());
                }
                _ => {}
            }
        }
        self.parked.bytes.extend_from_slice(packet.bytes);
        self.parked.ended = packet.first >> 4 == DISCONNECT;
    }
}

/// A run of one.
fn run_of(ack: Ack<'_>) -> AckRun<'_> {
    AckRun {
        kind: ack.kind,
        first_id: ack.id,
        n: 1,
        reason: ack.reason,
        properties: ack.properties,
    }
}
