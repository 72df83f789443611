//! While a packet waits, for memory or for the CONNACK, everything behind it is kept (law L20):
//! settlements and pings alone are looked for and done at once.

use ternmq_core::command::Command;
use ternmq_core::ids::ConsumerKey;
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
}

impl Parked {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

const PUBACK: u8 = 4;
const PINGREQ: u8 = 12;

impl State {
    /// Keeps whole packets until the read-ahead is full; returns how many bytes were taken. What
    /// cannot be framed is left for the machine, which will say what is wrong with it.
    pub(super) fn look_through(&mut self, input: &[u8], turn: &mut Turn<'_>) -> usize {
        let mut at = 0;
        while self.parked.len() < self.options.read_ahead_bytes {
            let rest = input.get(at..).unwrap_or_default();
            let Ok(Framed::Frame(packet)) = frame(rest, self.options.max_packet_bytes) else {
                break;
            };
            at += packet.bytes.len();
            match packet.bytes {
                &[first, 2, high, low] if self.may_pass(first, PUBACK) => {
                    self.settle_ids(u16::from_be_bytes([high, low]), 1, turn);
                }
                &[first, 0] if self.may_pass(first, PINGREQ) => {
                    put_ping_resp(turn.output.buffer());
                }
                bytes => self.parked.bytes.extend_from_slice(bytes),
            }
        }
        at
    }

    fn may_pass(&self, first: u8, kind: u8) -> bool {
        self.hold == Hold::Budget && first == kind << 4
    }

    /// Settles the deliveries of consecutive packet ids as far as they are out.
    pub(super) fn settle_ids(&mut self, first: u16, count: usize, turn: &mut Turn<'_>) {
        if let Some(settle) = self.deliveries.settle(ConsumerKey::SESSION, first, count) {
            turn.commands.push(Command::Settle(settle));
        }
    }
}
