//! Receive Maximum as the receiver counts it (4.9).

use crate::error::Error;

/// Publishes above QoS 0 that have come and are not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Window {
    maximum: usize,
    used: usize,
}

impl Window {
    pub(crate) fn new(maximum: u16) -> Self {
        Self {
            maximum: usize::from(maximum.max(1)),
            used: 0,
        }
    }

    /// How many more may come.
    pub(crate) fn free(&self) -> usize {
        self.maximum - self.used
    }

    /// `n` more have come.
    pub(crate) fn take(&mut self, n: usize) -> Result<(), Error> {
        if n > self.free() {
            return Err(Error::ReceiveMaximumExceeded);
        }
        self.used += n;
        Ok(())
    }

    /// The last packet of `n` exchanges was sent. Exchanges of an earlier connection end here as
    /// well and were never counted, so the count stops at zero, as the sender's does at its
    /// maximum (4.9).
    pub(crate) fn give_back(&mut self, n: usize) {
        self.used = self.used.saturating_sub(n);
    }
}
