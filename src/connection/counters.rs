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
    proxy_faults: [AtomicU64; ProxyFault::ALL.len()],
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

/// Why a connection was closed that a proxy should have introduced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyFault {
    /// It comes from no proxy of the listener.
    Untrusted,
    /// It does not begin with a header.
    Missing,
    /// Its header breaks the rules.
    Malformed,
    /// Its header is longer than any is read.
    TooLong,
    /// Its header did not end in time, or before the connection did.
    Incomplete,
}

impl ProxyFault {
    /// Every fault.
    pub const ALL: [Self; 5] = [
        Self::Untrusted,
        Self::Missing,
        Self::Malformed,
        Self::TooLong,
        Self::Incomplete,
    ];

    /// As shown in logs and as a label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Incomplete => "incomplete",
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

    /// Connections closed for a fault of their proxy.
    #[must_use]
    pub fn proxy_faults(&self, fault: ProxyFault) -> u64 {
        self.proxy_faults[fault as usize].load(Ordering::Relaxed)
    }

    /// Counts a fault and tells how many there are now.
    pub(crate) fn count_proxy_fault(&self, fault: ProxyFault) -> u64 {
        self.proxy_faults[fault as usize].fetch_add(1, Ordering::Relaxed) + 1
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
