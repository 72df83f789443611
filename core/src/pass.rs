//! One call of the broker: what it writes to, and how much it may still do (laws L1, L21).

use bytes::Bytes;

use crate::effect::{Answer, Effect, Out};
use crate::error::Refusal;
use crate::ids::{ConnectionId, Token};
use crate::limits::Limits;
use crate::record::{RecordSink, Settlements};

/// What one call carries through all functions.
pub(crate) struct Pass<'a> {
    pub(crate) log: &'a mut dyn RecordSink,
    pub(crate) out: &'a mut Out,
    pub(crate) settlements: Settlements,
    /// Units of work left (law L21).
    units: u32,
    /// Bytes of records that one step writes at most.
    step: usize,
    /// An answer waits for everything decided in this call.
    answers_wait: bool,
}

/// Runs `run` with a pass whose records and effects go nowhere.
pub(crate) fn discarded(out: &mut Out, run: impl FnOnce(&mut Pass<'_>)) {
    struct Nowhere;
    impl RecordSink for Nowhere {
        fn append(&mut self, _: u8, _: &[u8], _: Option<&Bytes>, _: u32) -> u64 {
            0
        }
        fn tail(&self) -> u64 {
            0
        }
    }
    let log = &mut Nowhere;
    let settlements = Settlements::default();
    run(&mut Pass {
        log,
        out,
        settlements,
        units: u32::MAX,
        step: 0,
        answers_wait: false,
    });
}

/// Replaced by the end of the newest batch when the call ends (law L1).
pub(crate) const AT_END: u64 = u64::MAX;

impl<'a> Pass<'a> {
    /// A call that writes to `log` and `out`, and does as much as `limits` allow.
    pub(crate) fn new(limits: &Limits, log: &'a mut dyn RecordSink, out: &'a mut Out) -> Self {
        Self {
            log,
            out,
            settlements: Settlements::default(),
            units: limits.units_per_call,
            step: limits.step_bytes(),
            answers_wait: false,
        }
    }

    /// Answers a command that has a token. `after` is a position, 0, or [`AT_END`].
    pub(crate) fn answer(
        &mut self,
        connection: ConnectionId,
        token: Option<Token>,
        after: u64,
        answer: Answer,
    ) {
        let Some(token) = token else { return };
        self.answers_wait |= after == AT_END;
        self.out.effects.push(Effect::Answer {
            connection,
            after,
            token,
            answer,
        });
    }

    /// Refuses a command that has a token. A refusal rests on state that may not be durable yet.
    pub(crate) fn refuse(&mut self, connection: ConnectionId, token: Option<Token>, why: Refusal) {
        self.answer(connection, token, AT_END, Answer::Refused(why));
    }

    /// The call ends at `tail`: answers that wait for all of it wait for that (law L1).
    pub(crate) fn stamp(&mut self, tail: u64) {
        if !self.answers_wait {
            return;
        }
        for effect in &mut self.out.effects {
            if let Effect::Answer { after, .. } = effect
                && *after == AT_END
            {
                *after = tail;
            }
        }
    }

    /// The end of everything decided so far, settlements included (law L1).
    pub(crate) fn position(&mut self) -> u64 {
        self.settlements.write(self.log);
        self.log.tail()
    }

    /// Whether records of `bytes` have room beside the settlements that the call ends with.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        bytes.saturating_add(self.settlements.bytes()) <= self.log.room()
    }

    /// For how many of `n` steps there is room in the log; units are not asked.
    pub(crate) fn steps(&self, n: u32) -> u32 {
        self.steps_beside(n, 0)
    }

    /// The same beside records of `bytes`.
    pub(crate) fn steps_beside(&self, n: u32, bytes: usize) -> u32 {
        let taken = self.settlements.bytes().saturating_add(bytes);
        let room = self.log.room().saturating_sub(taken);
        n.min(u32::try_from(room / self.step.max(1)).unwrap_or(u32::MAX))
    }

    /// Units of work left; none when a step might not have room for its records any more.
    pub(crate) fn units(&self) -> u32 {
        if self.fits(self.step) { self.units } else { 0 }
    }

    /// Takes up to `n` units; 0 when none is left.
    pub(crate) fn spend(&mut self, n: u32) -> u32 {
        let n = n.min(self.units);
        self.units -= n;
        n
    }
}
