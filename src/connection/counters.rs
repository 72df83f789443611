//! What connections count, for the operator.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Connections that are open, and how others ended since the start.
#[derive(Debug, Default)]
pub struct Counters {
    open: AtomicU32,
    refused: AtomicU64,
    goodbye: AtomicU64,
    lost: AtomicU64,
    fault: AtomicU64,
    silent: AtomicU64,
    connect_timeout: AtomicU64,
    write_stall: AtomicU64,
    taken_over: AtomicU64,
    stopping: AtomicU64,
    panicked: AtomicU64,
}

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The client said goodbye.
    Goodbye,
    /// The connection broke or the client closed it without goodbye.
    Lost,
    /// The client broke its protocol or was refused.
    Fault,
    /// The client was silent for longer than it may be.
    Silent,
    /// The client did not say who it is in time.
    ConnectTimeout,
    /// The client did not take its output in time (law L22).
    WriteStall,
    /// Another connection took its session (law L12).
    TakenOver,
    /// The server is stopping.
    Stopping,
    /// A front-end panicked (law L27).
    Panicked,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Goodbye,
        Self::Lost,
        Self::Fault,
        Self::Silent,
        Self::ConnectTimeout,
        Self::WriteStall,
        Self::TakenOver,
        Self::Stopping,
        Self::Panicked,
    ];

    /// As shown in logs and as a label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Lost => "lost",
            Self::Fault => "fault",
            Self::Silent => "silent",
            Self::ConnectTimeout => "connect_timeout",
            Self::WriteStall => "write_stall",
            Self::TakenOver => "taken_over",
            Self::Stopping => "stopping",
            Self::Panicked => "panicked",
        }
    }
}

impl Counters {
    /// Connections that are open, whatever they speak.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Acquire)
    }

    /// Connections that were closed at once because there were too many.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// One more is open, unless `max` are; then it is counted as refused.
    pub(crate) fn enter(&self, max: u32) -> bool {
        let entered = self
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < max).then(|| open + 1)
            });
        if entered.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        entered.is_ok()
    }

    /// One that had entered is gone.
    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// Connections of byte protocols that ended for `reason`.
    #[must_use]
    pub fn ended(&self, reason: Reason) -> u64 {
        self.counter(reason).load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, reason: Reason) {
        self.counter(reason).fetch_add(1, Ordering::Relaxed);
    }

    fn counter(&self, reason: Reason) -> &AtomicU64 {
        match reason {
            Reason::Goodbye => &self.goodbye,
            Reason::Lost => &self.lost,
            Reason::Fault => &self.fault,
            Reason::Silent => &self.silent,
            Reason::ConnectTimeout => &self.connect_timeout,
            Reason::WriteStall => &self.write_stall,
            Reason::TakenOver => &self.taken_over,
            Reason::Stopping => &self.stopping,
            Reason::Panicked => &self.panicked,
        }
    }
}
