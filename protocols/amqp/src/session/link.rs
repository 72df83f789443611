//! One link: who calls it what, its credit and the delivery that is under way.

use super::tags::{Tag, Tags};
use crate::error::Error;
use crate::performative::{Attach, LinkFlow, ReceiverSettles, Role, SenderSettles};

/// How far a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// One side has attached.
    Attaching,
    /// Both have.
    Attached,
    /// We have detached, the peer has not yet.
    Detaching,
}

/// A delivery whose last transfer is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) id: u32,
    pub(super) tag: Tag,
    pub(crate) settled: bool,
    pub(crate) format: u32,
    /// Bytes of it so far.
    pub(crate) bytes: u64,
}

/// One link of a session.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: Box<str>,
    /// What we are.
    pub(crate) role: Role,
    pub(crate) state: LinkState,
    /// What the peer calls it, once it has attached.
    pub(crate) remote_handle: Option<u32>,
    pub(crate) sender_settles: SenderSettles,
    pub(crate) receiver_settles: ReceiverSettles,
    /// Deliveries so far, as the sender counts them.
    pub(crate) delivery_count: u32,
    /// Deliveries that may still come, as far as we know.
    pub(crate) credit: u32,
    /// Of a link on which we receive: the delivery count that the widest credit so far ends at. What
    /// was sent before less credit was heard of may still come (T 2.6.10).
    limit: u32,
    /// What credit is filled up to; 0 leaves it alone.
    pub(crate) credit_goal: u32,
    /// The receiver wants what is there, or the credit back.
    pub(crate) drain: bool,
    /// Bytes of a message that the receiver takes at most; 0 is any.
    pub(crate) max_message_size: u64,
    /// Under way.
    pub(crate) partial: Option<Partial>,
    /// Of a link on which we receive.
    pub(crate) tags: Tags,
    /// Of a link on which we send: messages that wait for credit, as far as the caller says.
    pub(crate) available: Option<u32>,
    /// The caller answers when the peer closes it.
    pub(crate) answered_by_caller: bool,
}

impl Link {
    pub(crate) fn new(name: &str, role: Role, delivery_count: u32) -> Self {
        Self {
            name: name.into(),
            role,
            state: LinkState::Attaching,
            remote_handle: None,
            sender_settles: SenderSettles::default(),
            receiver_settles: ReceiverSettles::default(),
            delivery_count,
            credit: 0,
            limit: delivery_count,
            credit_goal: 0,
            drain: false,
            max_message_size: 0,
            partial: None,
            answered_by_caller: false,
            tags: Tags::default(),
            available: None,
        }
    }

    /// Takes what the peer's attach says.
    pub(crate) fn note_peer(&mut self, attach: &Attach<'_>) {
        self.remote_handle = Some(attach.handle);
        match self.role {
            Role::Receiver => {
                self.delivery_count = attach.initial_delivery_count.unwrap_or(0);
                self.limit = self.delivery_count;
                self.sender_settles = attach.sender_settles;
            }
            Role::Sender => {
                self.receiver_settles = attach.receiver_settles;
                self.max_message_size = attach.max_message_size.unwrap_or(0);
            }
        }
    }

    /// Takes what our own attach says: when each side settles, and the largest message.
    pub(crate) fn note_own(
        &mut self,
        (sender_settles, receiver_settles): (SenderSettles, ReceiverSettles),
        max_message_size: u64,
    ) {
        match self.role {
            Role::Receiver => {
                self.receiver_settles = receiver_settles;
                self.max_message_size = max_message_size;
            }
            Role::Sender => self.sender_settles = sender_settles,
        }
    }

    /// A flow of the receiver: the credit we have from now on (T 2.6.7). Numbers are serial, and
    /// what is less than nothing is nothing.
    pub(crate) fn take_credit(&mut self, flow: &LinkFlow, initial: u32) {
        if let Some(granted) = flow.link_credit {
            let count = flow.delivery_count.unwrap_or(initial);
            let limit = count.wrapping_add(granted);
            let left = limit.wrapping_sub(self.delivery_count);
            self.credit = if left > u32::MAX / 2 { 0 } else { left };
        }
        self.drain = flow.drain;
    }

    /// A flow of the sender: it may have used up credit without a delivery.
    pub(crate) fn take_count(&mut self, flow: &LinkFlow) {
        let Some(count) = flow.delivery_count else {
            return;
        };
        let used = count.wrapping_sub(self.delivery_count);
        if used <= u32::MAX / 2 {
            self.delivery_count = count;
            self.credit = self.credit.saturating_sub(used);
            if self.limit.wrapping_sub(count) > u32::MAX / 2 {
                self.limit = count;
            }
        }
    }

    /// Credit of a link on which we receive: this many deliveries may come.
    pub(crate) fn grant(&mut self, credit: u32) {
        self.credit = credit;
        let limit = self.delivery_count.wrapping_add(credit);
        if limit.wrapping_sub(self.limit) <= u32::MAX / 2 {
            self.limit = limit;
        }
    }

    /// One delivery of the peer has begun.
    pub(crate) fn count_received(&mut self) -> Result<(), Error> {
        if self.delivery_count == self.limit {
            return Err(Error::TransferLimit("T 2.6.7"));
        }
        self.delivery_count = self.delivery_count.wrapping_add(1);
        self.credit = self.credit.saturating_sub(1);
        Ok(())
    }

    /// One delivery of ours has begun; false if there is no credit for it.
    pub(crate) fn count_sent(&mut self) -> bool {
        let Some(credit) = self.credit.checked_sub(1) else {
            return false;
        };
        self.credit = credit;
        self.delivery_count = self.delivery_count.wrapping_add(1);
        self.available = self.available.map(|n| n.saturating_sub(1));
        true
    }

    /// Credit that is missing, once it is worth a frame: when half of it is used.
    pub(crate) fn missing_credit(&self) -> Option<u32> {
        let low = self.credit <= self.credit_goal / 2;
        (low && self.credit < self.credit_goal && !self.drain).then_some(self.credit_goal)
    }
}
