//! Retained values go when their time is over, whether or not anybody asks for them.

use std::collections::BTreeSet;

use crate::address::Address;
use crate::broker::{Broker, Pass};
use crate::deadline::{Deadline, DeadlineKey};
use crate::retained::RetainedValue;

/// Values with an expiry. One deadline is set for all of them: that of the earliest.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    /// Wall times and addresses.
    due: BTreeSet<(u64, Address)>,
    deadline: Option<(u64, DeadlineKey)>,
}

impl Broker {
    /// A value is kept that may have an expiry.
    pub(super) fn watch_retained(&mut self, address: &Address, value: RetainedValue) {
        if let Some(expires_ms) = self.expiry_of(value) {
            let entry = (expires_ms, address.clone());
            self.retained.expiries.due.insert(entry);
            self.await_retained();
        }
    }

    /// A value has gone.
    pub(super) fn forget_expiry(&mut self, address: &Address, value: RetainedValue) {
        if let Some(expires_ms) = self.expiry_of(value) {
            let entry = (expires_ms, address.clone());
            self.retained.expiries.due.remove(&entry);
        }
    }

    fn expiry_of(&self, value: RetainedValue) -> Option<u64> {
        let run = self.store.run(value.run)?;
        Some(run.envelope.expires_ms).filter(|expires_ms| *expires_ms > 0)
    }

    /// Sets the deadline of the earliest, unless an earlier one is set.
    fn await_retained(&mut self) {
        let expiries = &mut self.retained.expiries;
        let Some((earliest, _)) = expiries.due.first() else {
            return;
        };
        // The wall clock may lag behind the deadline (law L17): then it is looked at again soon.
        let wait = earliest.saturating_sub(self.now.wall_ms).max(1);
        let due = self.now.mono_ms.saturating_add(wait);
        match expiries.deadline {
            Some((set, _)) if set <= due => return,
            Some((_, key)) => self.deadlines.cancel(key),
            None => {}
        }
        let key = self.deadlines.set(due, Deadline::ExpireRetained);
        expiries.deadline = Some((due, key));
    }

    /// The deadline has come: values whose time is over go.
    pub(crate) fn expire_retained(&mut self, pass: &mut Pass<'_>) {
        self.retained.expiries.deadline = None;
        while let Some((expires_ms, address)) = self.retained.expiries.due.first().cloned()
            && expires_ms <= self.now.wall_ms
            && pass.units() > 0
        {
            pass.spend(1);
            self.counts.expired += 1;
            self.unretain(&address, pass);
        }
        self.await_retained();
    }

    /// Recovery: now that bodies are here, values have expiries.
    pub(crate) fn recover_expiries(&mut self) {
        let values = self.retained.values.iter();
        let due = values.filter_map(|(address, value)| {
            let expires_ms = self.expiry_of(*value)?;
            Some((expires_ms, address.clone()))
        });
        self.retained.expiries.due = due.collect();
        self.await_retained();
    }
}
