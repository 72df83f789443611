//! While a packet waits, for memory or for the CONNACK, everything behind it is kept (law L20):
//! settlements and pings alone are looked for and done at once.

use ternmq_core::command::Command;
use ternmq_mqtt::{Framed, frame, put_ping_resp};

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

const PUBACK: u8 = 4;
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
                    self.look_at(packet.bytes, turn);
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

    fn look_at(&mut self, packet: &[u8], turn: &mut Turn<'_>) {
        match packet {
            // Id 0 is malformed, and that is the machine's to say.
            &[first, 2, high, low] if self.may_pass(first, PUBACK) && (high, low) != (0, 0) => {
                self.settle_ids(u16::from_be_bytes([high, low]), 1, turn);
            }
            &[first, 0] if self.may_pass(first, PINGREQ) => {
                put_ping_resp(turn.output.buffer());
            }
            packet => {
                self.parked.bytes.extend_from_slice(packet);
                self.parked.ended = packet.first().is_some_and(|first| first >> 4 == DISCONNECT);
            }
        }
    }

    fn may_pass(&self, first: u8, kind: u8) -> bool {
        self.hold == Hold::Budget && first == kind << 4
    }

    /// Settles the deliveries of consecutive packet ids as far as they are out.
    pub(super) fn settle_ids(&mut self, first: u16, count: usize, turn: &mut Turn<'_>) {
        if let Some(settle) = self.deliveries.settle(first, count) {
            turn.commands.push(Command::Settle(settle));
        }
    }
}
