//! How a connection learns, once and never too late, that something of it may leave (design 2.8, law L3).
//!
//! Two promises make it up. [`Pending`] is the wake-up that somebody has already given: who raises
//! it wakes, the owner lowers it *before* it looks. [`Listing`] is the wake-up that the journal has
//! been asked for: the slot is listed with the batch that a held effect waits for. Both are changed
//! under the lock of the outbox, with a watermark that was read under it: an older one would take a
//! listing for outstanding that has been used up. The listing itself happens after that lock is
//! released, as the batch mutex comes before it in the lock order. This file is compiled by the
//! loom test as it is.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

/// What is asked of the journal; the loom test has its own.
pub(crate) trait Waitlist {
    /// Lists `slot` with the batch that holds `after`; `false` if that is durable already.
    fn list(&self, after: u64, slot: u32) -> bool;
}

/// The flag "somebody has woken the owner, and it has not looked since".
#[derive(Debug, Default)]
pub(crate) struct Pending(AtomicBool);

impl Pending {
    /// Says that there is something to see; `true` if the caller must wake the owner.
    pub(crate) fn raise(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Whether the owner is going to look.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// The owner is about to look. A swap, so that it sees what came before a raise it takes away.
    pub(crate) fn lower(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

/// The position whose batch the owner is listed with, or is about to be; 0 for none.
#[derive(Debug, Default)]
pub(crate) struct Listing(u64);

impl Listing {
    /// The position to list the owner for, if a held effect waits for `first_held` and no listing
    /// that is still outstanding covers it. The caller must then list it, or wake the owner if
    /// that comes too late. `durable` must have been read under the lock of the outbox: as long as
    /// it is below the listing, the wake-up is still to come and will find what is there now.
    pub(crate) fn extend(&mut self, first_held: Option<u64>, durable: u64) -> Option<u64> {
        let after = first_held?;
        let outstanding = self.0 > durable && self.0 <= after;
        if outstanding {
            return None;
        }
        self.0 = after;
        Some(after)
    }
}

/// What is left to do for the owner once the lock of its outbox is released.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Nothing: it will look, or a listing covers it.
    None,
    /// Wake it.
    Wake,
    /// List it; if that comes too late, raise `pending` and wake it.
    List(u64),
}

/// Decides, under the lock of the outbox, what a push into it has to do: `ready` says whether
/// something may leave now, `first_held` what the first held effect waits for.
pub(crate) fn notice(
    pending: &Pending,
    listing: &mut Listing,
    ready: bool,
    first_held: Option<u64>,
    durable: u64,
) -> Notice {
    if ready {
        return if pending.raise() {
            Notice::Wake
        } else {
            Notice::None
        };
    }
    if pending.is_raised() {
        // It has not looked yet: it will find this and list itself.
        return Notice::None;
    }
    match listing.extend(first_held, durable) {
        Some(after) => Notice::List(after),
        None => Notice::None,
    }
}

/// The owner's side: `look` moves out, under the lock of the outbox, what the watermark allows and
/// says, by [`Listing::extend`], for what the owner must be listed. Returns when it may park.
pub(crate) fn collect(
    log: &impl Waitlist,
    slot: u32,
    pending: &Pending,
    mut look: impl FnMut() -> Option<u64>,
) {
    pending.lower();
    while let Some(after) = look() {
        if log.list(after, slot) {
            return;
        }
    }
}
