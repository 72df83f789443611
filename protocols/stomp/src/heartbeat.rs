//! Heart-beats: what both sides agree on, and who is late (STOMP 1.2 "Heart-beating").
//!
//! With an agreed interval of n ms a beat is due after 0.8 n without output, and the peer counts as
//! dead after 2.25 n without input. Any octet counts. Without agreement, and in 1.0, nobody is cut.

use std::fmt;

use crate::error::Fault;

/// Longest interval that is told from a longer one; some 49 days.
const MOST_MS: u64 = u32::MAX as u64;

/// What this side offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartBeat {
    /// Milliseconds between two sends that this side can guarantee; 0 = sends no beats.
    pub send_ms: u64,
    /// Milliseconds between two receipts that this side wants; 0 = wants no beats.
    pub receive_ms: u64,
    /// No agreed interval is shorter than this many milliseconds.
    pub minimum_ms: u64,
}

impl Default for HeartBeat {
    fn default() -> Self {
        Self {
            send_ms: 10_000,
            receive_ms: 10_000,
            minimum_ms: 500,
        }
    }
}

impl HeartBeat {
    /// The value of this side's `heart-beat` header: the offer, not below the minimum.
    #[must_use]
    pub fn offer(self) -> Intervals {
        let clamp = |ms: u64| {
            if ms == 0 {
                0
            } else {
                ms.max(self.minimum_ms).min(MOST_MS)
            }
        };
        Intervals {
            send_ms: clamp(self.send_ms),
            receive_ms: clamp(self.receive_ms),
        }
    }
}

/// A `heart-beat` header: what its sender can guarantee and what it wants; 0 = none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Intervals {
    /// Milliseconds between two sends of the header's sender.
    pub send_ms: u64,
    /// Milliseconds between two sends that it wants from the other side.
    pub receive_ms: u64,
}

impl Intervals {
    /// Reads a header; an absent one means `0,0`. Huge values are clamped.
    ///
    /// # Errors
    /// `Fault::BadHeartBeat` unless it is two decimal numbers below 2^63 with a comma between.
    pub fn parse(header: Option<&str>) -> Result<Self, Fault> {
        let Some(text) = header else {
            return Ok(Self::default());
        };
        let (send, receive) = text.split_once(',').ok_or(Fault::BadHeartBeat)?;
        Ok(Self {
            send_ms: milliseconds(send)?,
            receive_ms: milliseconds(receive)?,
        })
    }

    /// What is agreed, seen from the side that sends `self`: the larger of what the sender can and
    /// the receiver wants, 0 when one of them says 0.
    #[must_use]
    pub fn agree(self, peer: Self) -> Self {
        let larger = |can: u64, wanted: u64| {
            if can == 0 || wanted == 0 {
                0
            } else {
                can.max(wanted)
            }
        };
        Self {
            send_ms: larger(self.send_ms, peer.receive_ms),
            receive_ms: larger(peer.send_ms, self.receive_ms),
        }
    }
}

impl fmt::Display for Intervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.send_ms, self.receive_ms)
    }
}

fn milliseconds(text: &str) -> Result<u64, Fault> {
    let digits = text.trim_matches(' ');
    if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Fault::BadHeartBeat);
    }
    let value = digits.parse::<i64>().map_err(|_| Fault::BadHeartBeat)?;
    Ok(value.unsigned_abs().min(MOST_MS))
}

/// What a timer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send one end of line.
    Beat,
    /// The peer has been silent for too long.
    Silent,
}

/// The two timers of a connection. Times are milliseconds of one monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Liveness {
    agreed: Intervals,
    sent_at: Option<u64>,
    received_at: Option<u64>,
}

impl Liveness {
    /// Timers for an agreement. The peer's starts now, our own with the first [`Liveness::sent`],
    /// so that no beat leaves before CONNECTED.
    #[must_use]
    pub const fn new(agreed: Intervals, now_ms: u64) -> Self {
        Self {
            agreed,
            sent_at: None,
            received_at: Some(now_ms),
        }
    }

    /// Octets have left.
    pub const fn sent(&mut self, now_ms: u64) {
        self.sent_at = Some(now_ms);
    }

    /// Octets have come.
    pub const fn received(&mut self, now_ms: u64) {
        self.received_at = Some(now_ms);
    }

    /// Stops the peer's timer until the next [`Liveness::received`]: for as long as this side does
    /// not read, silence proves nothing.
    pub const fn suspend(&mut self) {
        self.received_at = None;
    }

    /// The earliest deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        match (self.beat_at(), self.silent_at()) {
            (Some(beat), Some(silent)) => Some(beat.min(silent)),
            (beat, silent) => beat.or(silent),
        }
    }

    /// What is due now; a beat counts as sent.
    pub fn expire(&mut self, now_ms: u64) -> Option<Due> {
        if self.silent_at().is_some_and(|at| at <= now_ms) {
            return Some(Due::Silent);
        }
        if self.beat_at().is_some_and(|at| at <= now_ms) {
            self.sent(now_ms);
            return Some(Due::Beat);
        }
        None
    }

    fn beat_at(&self) -> Option<u64> {
        let interval = self.agreed.send_ms;
        let sent_at = self.sent_at.filter(|_| interval > 0)?;
        Some(sent_at.saturating_add((interval.saturating_mul(4) / 5).max(1)))
    }

    fn silent_at(&self) -> Option<u64> {
        let interval = self.agreed.receive_ms;
        let received_at = self.received_at.filter(|_| interval > 0)?;
        Some(received_at.saturating_add(interval.saturating_mul(9) / 4))
    }
}
