//! Windows and credit (T 2.5.6, 2.6.7).

use super::{LinkState, Session, SessionState};
use crate::error::Error;
use crate::performative::{Flow, LinkFlow, Performative, Role};

/// What a flow of the peer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlowChange {
    /// Windows alone.
    Session,
    /// The credit of a link on which we send.
    Credit {
        handle: u32,
        credit: u32,
        drain: bool,
    },
    /// The sender of a link has used up its credit because we asked for it.
    Drained { handle: u32 },
}

impl Session {
    /// Takes a flow of the peer: first what it says of the session, then of the link, even if the
    /// window then is closed.
    pub(crate) fn take_flow(&mut self, flow: &Flow<'_>) -> Result<FlowChange, Error> {
        self.take_window(flow)?;
        let Some(link_flow) = &flow.link else {
            return Ok(FlowChange::Session);
        };
        let first = self.first_outgoing;
        let (handle, link) = self.remote_link(link_flow.handle)?;
        if link.state == LinkState::Detaching {
            return Ok(FlowChange::Session);
        }
        match link.role {
            Role::Sender => {
                link.take_credit(link_flow, first);
                Ok(FlowChange::Credit {
                    handle,
                    credit: link.credit,
                    drain: link.drain,
                })
            }
            Role::Receiver => {
                link.take_count(link_flow);
                if link.drain && link.credit == 0 {
                    link.drain = false;
                    return Ok(FlowChange::Drained { handle });
                }
                Ok(FlowChange::Session)
            }
        }
    }

    fn take_window(&mut self, flow: &Flow<'_>) -> Result<(), Error> {
        const ERRANT: Error = Error::ErrantLink("T 2.5.6");
        let known = flow.next_incoming_id.unwrap_or(self.first_outgoing);
        // It cannot have seen what was not sent.
        if self.next_outgoing.wrapping_sub(known) > u32::MAX / 2 {
            return Err(ERRANT);
        }
        // Frames come in their order: it has sent what we have seen.
        if flow.next_outgoing_id != self.next_incoming {
            return Err(ERRANT);
        }
        let limit = known.wrapping_add(flow.incoming_window);
        let left = limit.wrapping_sub(self.next_outgoing);
        self.remote_window = if left > u32::MAX / 2 { 0 } else { left };
        Ok(())
    }

    /// Our state as a flow, of a link as well if one is named.
    pub(crate) fn flow<'a>(&self, handle: Option<u32>) -> Performative<'a> {
        let begun = self.state != SessionState::Beginning;
        let link = handle.and_then(|handle| Some((handle, self.link(handle)?)));
        // What is not attached has no handle that the peer knows.
        let link = link.filter(|(_, link)| link.state == LinkState::Attached);
        Performative::Flow(Flow {
            next_incoming_id: begun.then_some(self.next_incoming),
            incoming_window: self.window,
            next_outgoing_id: self.next_outgoing,
            outgoing_window: u32::MAX / 2,
            link: link.map(|(handle, link)| LinkFlow {
                handle,
                delivery_count: Some(link.delivery_count),
                link_credit: Some(link.credit),
                available: link.available,
                drain: link.drain,
            }),
            echo: false,
            properties: None,
        })
    }

    /// Opens the window again, if it is half used.
    pub(crate) fn refill_window(&mut self) -> bool {
        let low = self.window <= self.full_window / 2;
        if low {
            self.window = self.full_window;
        }
        low
    }

    /// Fills the credit of a link on which we receive up to its goal, if half of it is used.
    pub(crate) fn refill_credit(&mut self, handle: u32) -> bool {
        let Some(link) = self.link_mut(handle) else {
            return false;
        };
        let missing = link.missing_credit();
        if let Some(goal) = missing {
            link.grant(goal);
        }
        missing.is_some()
    }

    /// Transfer frames that the peer takes now.
    pub(crate) fn remote_window(&self) -> u32 {
        self.remote_window
    }

    pub(super) fn count_sent_frame(&mut self) {
        self.next_outgoing = self.next_outgoing.wrapping_add(1);
        self.remote_window = self.remote_window.saturating_sub(1);
    }

    pub(super) fn count_received_frame(&mut self) -> Result<(), Error> {
        self.next_incoming = self.next_incoming.wrapping_add(1);
        self.window = self.window.checked_sub(1).ok_or(Error::WindowViolation)?;
        Ok(())
    }
}
