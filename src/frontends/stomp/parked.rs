//! While a SEND waits for memory, everything behind it is kept (law L20): settlements alone are
//! looked for and done at once.

use std::collections::VecDeque;

use ternmq_core::command::{Command, Outcome};
use ternmq_core::error::Refusal;
use ternmq_stomp::event::AckFrame;
use ternmq_stomp::{Ahead, LookAhead};

use super::ack::nack_outcome;
use super::confirm::LastWords;
use super::{State, Stomp};
use crate::frontends::{Ended, Turn};

/// Whole frames that wait. Empty and without memory most of the time.
#[derive(Debug, Default)]
pub(super) struct Parked {
    bytes: Vec<u8>,
    /// Bytes of the unfinished frame behind them, which the connection loop keeps.
    unfinished: usize,
    /// Ends of settlements within `bytes` that are done already and only owe their receipt.
    done: VecDeque<usize>,
    /// The same of the bytes that are being handled again.
    replayed: VecDeque<usize>,
    /// While a SEND waits.
    ahead: Option<Box<LookAhead>>,
    /// Nothing in what follows counts: it is behind DISCONNECT, or no frame can be found in it.
    ended: bool,
    /// Bytes asked for in vain: what was set aside fits them.
    pub(super) wanted: Option<usize>,
    /// The receipt of the SEND that waits.
    pub(super) receipt: Option<Box<str>>,
}

impl Parked {
    pub(super) fn is_waiting(&self) -> bool {
        self.ahead.is_some()
    }

    /// Whether more may be kept.
    pub(super) fn takes(&self, most: usize) -> bool {
        !self.ended && self.bytes.len() + self.unfinished < most
    }

    /// Whether the settlement that ends at `end` of the bytes that are being handled again is done;
    /// asked in their order.
    pub(super) fn is_done(&mut self, end: usize) -> bool {
        self.replayed.pop_front_if(|at| *at == end).is_some()
    }
}

impl Stomp {
    /// A SEND found no memory: it and all that follows waits. `base` is where `input` begins within
    /// what is being handled. Returns the bytes taken.
    pub(super) fn park(&mut self, input: &[u8], base: usize, turn: &mut Turn<'_>) -> usize {
        self.machine.suspend_liveness();
        self.state.parked.ahead = self.machine.look_ahead().map(Box::new);
        self.state.look_through(input, base, turn)
    }

    /// Handles what waits, as far as memory reaches.
    pub(super) fn unpark(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let parked = &mut self.state.parked;
        parked.ahead = None;
        parked.ended = false;
        parked.unfinished = 0;
        let bytes = std::mem::take(&mut parked.bytes);
        parked.replayed = std::mem::take(&mut parked.done);
        self.machine.note_received(turn.now.mono_ms);
        self.parse(&bytes, turn)?;
        self.state.parked.replayed = VecDeque::new();
        Ok(())
    }
}

impl State {
    /// Keeps all whole frames and does settlements at once; returns how many bytes were taken. One
    /// read may go beyond the read-ahead, then no more is read. `base` as for [`Stomp::park`].
    pub(super) fn look_through(&mut self, input: &[u8], base: usize, turn: &mut Turn<'_>) -> usize {
        let Some(mut ahead) = self.parked.ahead.take() else {
            return 0;
        };
        let mut at = 0;
        loop {
            let before = at;
            let Some(found) = ahead.poll(input, &mut at) else {
                break;
            };
            let fate = match found {
                _ if self.parked.is_done(base + at) => Early::OwesReceipt,
                Ahead::Ack(ack) => self.settle_early(&ack, Outcome::Accepted, turn),
                Ahead::Nack(nack) => self.settle_early(&nack, nack_outcome(&nack), turn),
                Ahead::Other => Early::Waits,
                Ahead::Disconnect => {
                    self.parked.ended = true;
                    Early::Waits
                }
                Ahead::Broken => {
                    // The machine will say why, when it gets there.
                    self.parked.ended = true;
                    at = input.len();
                    Early::Waits
                }
            };
            if fate == Early::Done {
                continue;
            }
            let frame = input.get(before..at).unwrap_or_default();
            self.parked.bytes.extend_from_slice(frame);
            if fate == Early::OwesReceipt {
                self.parked.done.push_back(self.parked.bytes.len());
            }
            if self.parked.ended {
                at = input.len();
                break;
            }
        }
        self.parked.ahead = Some(ahead);
        self.parked.unfinished = input.len().saturating_sub(at);
        at
    }

    /// Does a settlement before the frames it stands behind. Its receipt keeps its place.
    fn settle_early(
        &mut self,
        frame: &AckFrame<'_>,
        outcome: Outcome,
        turn: &mut Turn<'_>,
    ) -> Early {
        let Some(settling) = self.take_held(frame, outcome) else {
            return Early::Waits;
        };
        let (command, _) = settling.command(&mut self.confirms);
        turn.commands.push(command);
        if frame.receipt.is_some() {
            Early::OwesReceipt
        } else {
            Early::Done
        }
    }

    /// The receipt of a settlement that was done early.
    pub(super) fn owe(&mut self, frame: &AckFrame<'_>, turn: &mut Turn<'_>) {
        self.seal(turn);
        let receipts = self.confirms.note(frame.receipt.as_deref());
        let token = self.confirms.token();
        turn.commands.push(Command::Flush { token });
        self.confirms.expect(receipts);
    }

    /// Memory did not come in time: the SEND that waits is refused, and with it the connection.
    pub(super) fn refuse_parked(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let receipt = std::mem::take(&mut self.parked).receipt;
        let words = LastWords::refusal(Refusal::AddressFull, receipt);
        self.end_with(words, turn)
    }
}

/// What became of a frame that was looked at early.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Early {
    /// It is kept.
    Waits,
    Done,
    /// Done, but kept for its receipt.
    OwesReceipt,
}
