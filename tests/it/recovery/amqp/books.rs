//! What AMQP consumers know beside the ledger.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::ledger::Message;

/// What consumers know beside the ledger, over all lives.
pub(in super::super) struct Books {
    /// Which producer of the ledger is an AMQP one.
    pub(super) publisher: usize,
    pub(super) body_bytes: usize,
    /// How often messages have failed, as the server has answered.
    pub(super) failures: Mutex<BTreeMap<Message, u64>>,
    /// Deliveries of messages that failed before.
    pub(super) failed_before: AtomicU64,
    pub(super) released: AtomicU64,
    pub(super) condemned: AtomicU64,
    pub(super) detached: AtomicU64,
}

impl Books {
    pub(in super::super) fn new(publisher: usize, body_bytes: usize) -> Self {
        Self {
            publisher,
            body_bytes,
            failures: Mutex::default(),
            failed_before: AtomicU64::new(0),
            released: AtomicU64::new(0),
            condemned: AtomicU64::new(0),
            detached: AtomicU64::new(0),
        }
    }

    /// Everything that is to be proved happened.
    pub(in super::super) fn assert_rich(&self) {
        let counts = [
            ("failed before", &self.failed_before),
            ("released", &self.released),
            ("condemned", &self.condemned),
            ("detached", &self.detached),
        ];
        let counts = counts.map(|(what, count)| (what, count.load(Ordering::Relaxed)));
        println!("{counts:?}");
        assert!(counts.iter().all(|(_, count)| *count > 0), "{counts:?}");
    }
}
