//! Frames within what the peer takes (T 2.7.1): what can be left out goes first, and nothing larger
//! is ever written.

use super::Connection;
use crate::performative::{Attach, DeliveryState, Disposition, Fault, Open, Outcome, Performative};
use crate::types::Symbols;

impl Connection {
    /// Appends a frame.
    ///
    /// # Errors
    /// It has so many bytes too many; nothing was appended.
    pub(super) fn put(
        &self,
        performative: &Performative<'_>,
        channel: u16,
        out: &mut Vec<u8>,
    ) -> Result<(), usize> {
        let start = out.len();
        performative.put(out, channel);
        let excess = (out.len() - start).saturating_sub(self.remote_max_frame as usize);
        if excess > 0 {
            out.truncate(start);
            return Err(excess);
        }
        Ok(())
    }

    /// Appends a frame that has a fault to tell, with as much of it as fits.
    pub(super) fn put_fault<'f>(
        &self,
        mut fault: Option<Fault<'f>>,
        channel: u16,
        out: &mut Vec<u8>,
        frame: impl Fn(Option<Fault<'f>>) -> Performative<'f>,
    ) {
        while let Err(excess) = self.put(&frame(fault), channel, out) {
            let Some(told) = fault else {
                return; // Without a fault they are smaller than any limit.
            };
            fault = shorter(told, excess);
        }
    }

    /// Appends a disposition; annotations and the words of a fault are left out as far as needed.
    pub(super) fn put_disposition(
        &self,
        disposition: &Disposition<'_>,
        channel: u16,
        out: &mut Vec<u8>,
    ) {
        let whole = Performative::Disposition(*disposition);
        if self.put(&whole, channel, out).is_ok() {
            return;
        }
        let fault = disposition.state.and_then(fault_of);
        self.put_fault(fault, channel, out, |fault| {
            Performative::Disposition(Disposition {
                state: disposition.state.map(|state| with_fault(state, fault)),
                ..*disposition
            })
        });
    }

    /// Appends our attach, without properties and capabilities if it would be too large; false if
    /// it still is.
    pub(super) fn put_attach(&self, attach: &Attach<'_>, channel: u16, out: &mut Vec<u8>) -> bool {
        let less = Attach {
            properties: None,
            ..*attach
        };
        let least = Attach {
            offered_capabilities: Symbols::default(),
            desired_capabilities: Symbols::default(),
            ..less
        };
        [*attach, less, least].into_iter().any(|attach| {
            let attach = Performative::Attach(Box::new(attach));
            self.put(&attach, channel, out).is_ok()
        })
    }

    /// Appends our open, likewise.
    pub(super) fn put_open(&self, open: &Open<'_>, out: &mut Vec<u8>) -> bool {
        let less = Open {
            properties: None,
            ..*open
        };
        let least = Open {
            outgoing_locales: Symbols::default(),
            incoming_locales: Symbols::default(),
            offered_capabilities: Symbols::default(),
            desired_capabilities: Symbols::default(),
            ..less
        };
        let mut forms = [*open, less, least].into_iter();
        forms.any(|open| self.put(&Performative::Open(open), 0, out).is_ok())
    }
}

/// A fault with fewer bytes: without its info, or else without the end of its description, or
/// else none.
fn shorter(fault: Fault<'_>, excess: usize) -> Option<Fault<'_>> {
    if fault.info.is_some() {
        return Some(Fault {
            info: None,
            ..fault
        });
    }
    let text = fault.description?;
    let end = text.floor_char_boundary(text.len().saturating_sub(excess));
    Some(Fault {
        description: text.get(..end).filter(|text| !text.is_empty()),
        ..fault
    })
}

fn fault_of(state: DeliveryState<'_>) -> Option<Fault<'_>> {
    match state {
        DeliveryState::Outcome(Outcome::Rejected(fault))
        | DeliveryState::Transactional {
            outcome: Some(Outcome::Rejected(fault)),
            ..
        } => fault,
        _ => None,
    }
}

/// A state with another fault, and without annotations.
fn with_fault<'f>(state: DeliveryState<'f>, fault: Option<Fault<'f>>) -> DeliveryState<'f> {
    let lighter = |outcome| match outcome {
        Outcome::Rejected(_) => Outcome::Rejected(fault),
        Outcome::Modified {
            delivery_failed,
            undeliverable_here,
            ..
        } => Outcome::Modified {
            delivery_failed,
            undeliverable_here,
            annotations: None,
        },
        outcome => outcome,
    };
    match state {
        DeliveryState::Outcome(outcome) => DeliveryState::Outcome(lighter(outcome)),
        DeliveryState::Transactional { txn_id, outcome } => DeliveryState::Transactional {
            txn_id,
            outcome: outcome.map(lighter),
        },
        state @ DeliveryState::Received { .. } => state,
    }
}
