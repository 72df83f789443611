//! Transfers and dispositions of the peer (T 2.6.12, 2.6.14, 2.7.5, 2.7.6).

use super::Session;
use super::deliveries::{Deliveries, Found};
use super::link::{LinkState, Partial};
use super::tags::Tag;
use crate::error::{Error, Section};
use crate::performative::{
    DeliveryState, Disposition, ReceiverSettles, Role, SenderSettles, Transfer,
};

const TRANSFER: Section = "T 2.7.5";

/// What a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) handle: u32,
    pub(crate) delivery: u32,
    pub(crate) first: bool,
    pub(crate) settled: bool,
    pub(crate) format: u32,
    pub(crate) receiver_settles: ReceiverSettles,
}

/// An error, and the link that it happened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OnLink {
    pub(crate) handle: u32,
    pub(crate) error: Error,
}

impl Session {
    /// Takes a transfer; `None` if it crossed our detach and counts for nothing.
    ///
    /// # Errors
    /// Errors of the session as such, those of a link with it.
    pub(crate) fn take_transfer(
        &mut self,
        transfer: &Transfer<'_>,
        bytes: usize,
    ) -> Result<Result<Option<Received>, OnLink>, Error> {
        self.count_received_frame()?;
        let (handle, link) = self.remote_link(transfer.handle)?;
        if link.role == Role::Sender {
            return Err(Error::ErrantLink(TRANSFER));
        }
        let is_detaching = link.state == LinkState::Detaching;
        let partial = match link.partial {
            Some(partial) => match Self::goes_on(partial, transfer) {
                Ok(partial) => partial,
                Err(error) => return Ok(Err(OnLink { handle, error })),
            },
            None => {
                let begun = self.begin_delivery(handle, transfer);
                if is_detaching {
                    return Ok(Ok(None));
                }
                match begun {
                    Ok(partial) => partial,
                    Err(error) => return Ok(Err(OnLink { handle, error })),
                }
            }
        };
        let first = self.link(handle).is_some_and(|link| link.partial.is_none());
        Ok(self.finish_transfer(handle, first, partial, transfer, bytes))
    }

    /// The first transfer of a delivery: its id is the next, and it uses credit.
    fn begin_delivery(&mut self, handle: u32, transfer: &Transfer<'_>) -> Result<Partial, Error> {
        let id = transfer.delivery_id.ok_or(Error::NotAllowed(TRANSFER))?;
        let tag = transfer.delivery_tag.ok_or(Error::NotAllowed(TRANSFER))?;
        let tag = Tag::new(tag);
        let received = self.received.get_or_insert_with(|| Deliveries::new(id));
        if received.next_id() != id {
            return Err(Error::NotAllowed("T 2.6.12"));
        }
        received.push(handle, id.into());
        let link = self.links.get_mut(handle as usize);
        let link = link
            .and_then(Option::as_mut)
            .ok_or(Error::UnattachedHandle)?;
        link.count_received()?;
        let settled = match link.sender_settles {
            SenderSettles::Settled => true,
            SenderSettles::Unsettled | SenderSettles::Mixed => transfer.settled.unwrap_or(false),
        };
        if !settled && !link.tags.note(tag, received) {
            return Err(Error::NotAllowed("T 2.6.12"));
        }
        Ok(Partial {
            id,
            tag,
            settled,
            format: transfer.message_format.unwrap_or(0),
            bytes: 0,
        })
    }

    /// A further transfer of a delivery: it says nothing else than the first.
    fn goes_on(partial: Partial, transfer: &Transfer<'_>) -> Result<Partial, Error> {
        let same_id = transfer.delivery_id.is_none_or(|id| id == partial.id);
        let tag = transfer.delivery_tag.map(Tag::new);
        let same_tag = tag.is_none_or(|tag| tag == partial.tag);
        let format = transfer.message_format.unwrap_or(partial.format);
        if !same_id || !same_tag || format != partial.format {
            return Err(Error::NotAllowed(TRANSFER));
        }
        Ok(Partial {
            settled: partial.settled || transfer.settled == Some(true),
            ..partial
        })
    }

    fn finish_transfer(
        &mut self,
        handle: u32,
        first: bool,
        mut partial: Partial,
        transfer: &Transfer<'_>,
        bytes: usize,
    ) -> Result<Option<Received>, OnLink> {
        let on_link = |error| OnLink { handle, error };
        let Some(link) = self.link_mut(handle) else {
            return Ok(None);
        };
        let receiver_settles = transfer.receiver_settles.unwrap_or(link.receiver_settles);
        if receiver_settles == ReceiverSettles::Second
            && link.receiver_settles == ReceiverSettles::First
        {
            return Err(on_link(Error::SettlesSecond));
        }
        if !transfer.aborted {
            partial.bytes += bytes as u64;
            if link.max_message_size > 0 && partial.bytes > link.max_message_size {
                return Err(on_link(Error::MessageSize));
            }
        }
        let done = transfer.aborted || !transfer.more;
        link.partial = (!done).then_some(partial);
        let is_detaching = link.state == LinkState::Detaching;
        let settled = partial.settled || transfer.aborted;
        if done && settled {
            self.settle_received(partial.id, partial.id);
        }
        Ok((!is_detaching).then_some(Received {
            handle,
            delivery: partial.id,
            first,
            settled,
            format: partial.format,
            receiver_settles,
        }))
    }

    /// Deliveries that we received and nobody settled.
    pub(crate) fn received_unsettled(&self) -> u32 {
        self.received.as_ref().map_or(0, Deliveries::unsettled)
    }

    /// Deliveries that we received are settled.
    pub(crate) fn settle_received(&mut self, first: u32, last: u32) {
        let Some(received) = &mut self.received else {
            return;
        };
        while let Some(found) = received.find(first, last) {
            received.take(&found);
        }
    }

    /// The first part, from `from` on, of what a disposition of the peer is about. It is settled
    /// if the peer says so. A receiver that does not settle yet tells an outcome once; what else is
    /// said before the settlement changes nothing, and is about nothing.
    pub(crate) fn take_disposition(
        &mut self,
        disposition: &Disposition<'_>,
        from: u32,
    ) -> Option<Found> {
        let deliveries = match disposition.role {
            Role::Receiver => &mut self.sent,
            Role::Sender => self.received.as_mut()?,
        };
        if disposition.settled {
            let found = deliveries.find(from, disposition.last)?;
            deliveries.take(&found);
            return Some(found);
        }
        let is_told = !matches!(
            disposition.state,
            None | Some(DeliveryState::Received { .. })
        );
        if disposition.role == Role::Sender || !is_told {
            return None;
        }
        deliveries.tell(from, disposition.last)
    }
}
