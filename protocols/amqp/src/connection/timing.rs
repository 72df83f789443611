//! Silence in both directions (T 2.4.5), and patience with a peer that opens or closes.

use super::{Connection, Phase};
use crate::error::Error;
use crate::frame::put_empty_frame;

/// When something was heard and said last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    heard_ms: u64,
    said_ms: u64,
    /// When the peer must have done its part of the handshake or of the goodbye.
    patience_ms: Option<u64>,
    /// We say something at least this often.
    beat_ms: Option<u64>,
    /// We listen for this long at most.
    silence_ms: Option<u64>,
}

impl Timing {
    pub(super) fn new(now_ms: u64, patience_ms: u64) -> Self {
        Self {
            heard_ms: now_ms,
            said_ms: now_ms,
            patience_ms: Some(now_ms.saturating_add(patience_ms)),
            beat_ms: None,
            silence_ms: None,
        }
    }
}

/// The shortest time-out of a peer that is taken: less cannot be kept with certainty.
const MIN_IDLE_TIMEOUT_MS: u32 = 20;

impl Connection {
    /// Both sides have opened: from now on silence counts. The peer hears something twice within
    /// its time-out.
    ///
    /// # Errors
    /// Its time-out is too short to be kept.
    pub(super) fn begin_beats(
        &mut self,
        now_ms: u64,
        idle_timeout_ms: Option<u32>,
    ) -> Result<(), Error> {
        let asked = idle_timeout_ms.filter(|ms| *ms > 0);
        if asked.is_some_and(|ms| ms < MIN_IDLE_TIMEOUT_MS) {
            return Err(Error::Impatient);
        }
        self.timing.beat_ms = asked.map(|ms| u64::from(ms) / 2);
        self.timing.silence_ms = self.limits.idle_timeout_ms.map(u64::from);
        self.timing.patience_ms = None;
        (self.timing.heard_ms, self.timing.said_ms) = (now_ms, now_ms);
        Ok(())
    }

    pub(super) fn begin_goodbye(&mut self, now_ms: u64) {
        let until = now_ms.saturating_add(self.limits.close_timeout_ms);
        self.timing.patience_ms = Some(until);
        (self.timing.beat_ms, self.timing.silence_ms) = (None, None);
    }

    pub(super) fn note_heard(&mut self, now_ms: u64) {
        self.timing.heard_ms = now_ms;
    }

    /// Something was let out at this time, whatever it was.
    pub fn note_said(&mut self, now_ms: u64) {
        self.timing.said_ms = now_ms;
    }

    /// The peer has been kept from being heard: its silence counts from now.
    pub fn forgive_silence(&mut self, now_ms: u64) {
        self.timing.heard_ms = self.timing.heard_ms.max(now_ms);
    }

    /// When [`Connection::handle_timeout`] is wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let timing = &self.timing;
        let beat = timing.beat_ms.map(|ms| timing.said_ms.saturating_add(ms));
        let silence = timing
            .silence_ms
            .map(|ms| timing.heard_ms.saturating_add(ms));
        match self.phase {
            Phase::Closed => None,
            _ => [timing.patience_ms, beat, silence]
                .into_iter()
                .flatten()
                .min(),
        }
    }

    /// Says that we live if it is time to.
    ///
    /// # Errors
    /// The peer has been silent for too long; it has been told.
    pub fn handle_timeout(&mut self, now_ms: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        let timing = self.timing;
        let due =
            |since: u64, ms: Option<u64>| ms.is_some_and(|ms| now_ms.saturating_sub(since) >= ms);
        let impatient = timing.patience_ms.is_some_and(|until| now_ms >= until);
        if impatient || due(timing.heard_ms, timing.silence_ms) {
            self.fail(now_ms, Error::Idle, out);
            return Err(Error::Idle);
        }
        if due(timing.said_ms, timing.beat_ms) {
            put_empty_frame(out);
            self.timing.said_ms = now_ms;
        }
        Ok(())
    }
}
