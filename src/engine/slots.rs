//! The table of connections: an outbox per slot, found without a lock, used again after a close.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use ternmq_core::ids::ConnectionId;

use super::outbox::Outbox;

/// Slots made at once, when the first of them is given out.
const CHUNK: u32 = 256;

/// All slots, up to the limit given at start.
#[derive(Debug)]
pub(crate) struct Slots {
    chunks: Vec<OnceLock<Box<[Outbox]>>>,
    limit: u32,
    /// Slots given out at least once: everything below exists.
    used: AtomicU32,
    free: Mutex<Vec<u32>>,
}

impl Slots {
    /// An empty table for at most `limit` connections at a time.
    pub(crate) fn new(limit: u32) -> Self {
        let chunks = limit.div_ceil(CHUNK) as usize;
        Self {
            chunks: std::iter::repeat_with(OnceLock::new).take(chunks).collect(),
            limit,
            used: AtomicU32::new(0),
            free: Mutex::new(Vec::new()),
        }
    }

    /// Gives out a slot; `None` at the limit.
    pub(crate) fn open(&self) -> Option<ConnectionId> {
        let slot = {
            let mut free = self.free.lock();
            match free.pop() {
                Some(slot) => slot,
                None => {
                    let slot = self.used.load(Ordering::Relaxed);
                    if slot >= self.limit {
                        return None;
                    }
                    self.chunk(slot)?
                        .get_or_init(|| (0..CHUNK).map(|_| Outbox::default()).collect());
                    self.used.store(slot + 1, Ordering::Release);
                    slot
                }
            }
        };
        let generation = self.outbox(slot)?.open();
        Some(ConnectionId { slot, generation })
    }

    /// Takes a slot back whose outbox has been closed.
    pub(crate) fn give_back(&self, slot: u32) {
        self.free.lock().push(slot);
    }

    /// The outbox of a slot that has been given out at some time.
    pub(crate) fn outbox(&self, slot: u32) -> Option<&Outbox> {
        self.chunk(slot)?.get()?.get((slot % CHUNK) as usize)
    }

    /// Connections that are open.
    pub(crate) fn count(&self) -> u32 {
        let free = self.free.lock();
        let used = self.used.load(Ordering::Relaxed);
        used - u32::try_from(free.len()).unwrap_or(used)
    }

    /// Slots given out at least once.
    pub(crate) fn used(&self) -> u32 {
        self.used.load(Ordering::Acquire)
    }

    fn chunk(&self, slot: u32) -> Option<&OnceLock<Box<[Outbox]>>> {
        self.chunks.get((slot / CHUNK) as usize)
    }
}
