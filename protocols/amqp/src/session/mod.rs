//! One session: its windows, its links and its unsettled deliveries (T 2.5).

mod deliveries;
mod flow;
mod link;
mod receive;
mod send;
mod tags;

use deliveries::Deliveries;
pub(crate) use flow::FlowChange;
pub(crate) use link::{Link, LinkState};
pub use send::Outgoing;

use crate::error::Error;
use crate::limits::Limits;
use crate::performative::Begin;

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// We have begun, the peer has not yet.
    Beginning,
    /// Both have.
    Begun,
    /// We have ended; what still comes is passed over.
    Ending,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) state: SessionState,
    /// The channel that the peer sends on.
    pub(crate) remote_channel: Option<u16>,
    /// Highest handle that the peer takes.
    pub(crate) remote_handle_max: u32,
    /// Transfer frames that the peer takes.
    remote_window: u32,
    /// Id of our next transfer frame.
    next_outgoing: u32,
    first_outgoing: u32,
    /// Id of the peer's next transfer frame.
    next_incoming: u32,
    /// Transfer frames that we still take.
    window: u32,
    full_window: u32,
    /// By our handle.
    links: Vec<Option<Link>>,
    /// Our handle, by the peer's.
    handles: Vec<Option<u32>>,
    /// Sent and not settled.
    pub(crate) sent: Deliveries,
    /// Received and not settled; numbered by the peer, from its first transfer on.
    received: Option<Deliveries>,
}

impl Session {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: SessionState::Beginning,
            remote_channel: None,
            remote_handle_max: 0,
            remote_window: 0,
            next_outgoing: limits.first_id,
            first_outgoing: limits.first_id,
            next_incoming: 0,
            window: limits.incoming_window,
            full_window: limits.incoming_window,
            links: Vec::new(),
            handles: Vec::new(),
            sent: Deliveries::new(limits.first_id),
            received: None,
        }
    }

    /// The begin that we send.
    pub(crate) fn begin<'a>(&self, limits: &Limits) -> Begin<'a> {
        Begin {
            remote_channel: self.remote_channel,
            next_outgoing_id: self.next_outgoing,
            incoming_window: self.window,
            outgoing_window: limits.max_unsettled,
            handle_max: limits.handle_max,
            offered_capabilities: Default::default(),
            desired_capabilities: Default::default(),
            properties: None,
        }
    }

    /// Takes what the peer's begin says.
    pub(crate) fn note_peer(&mut self, channel: u16, begin: &Begin<'_>) {
        self.state = SessionState::Begun;
        self.remote_channel = Some(channel);
        self.next_incoming = begin.next_outgoing_id;
        self.remote_window = begin.incoming_window;
        self.remote_handle_max = begin.handle_max;
    }

    pub(crate) fn link(&self, handle: u32) -> Option<&Link> {
        self.links.get(handle as usize)?.as_ref()
    }

    pub(crate) fn link_mut(&mut self, handle: u32) -> Option<&mut Link> {
        self.links.get_mut(handle as usize)?.as_mut()
    }

    /// Links and their handles, those that are detaching as well.
    pub(crate) fn links(&self) -> impl Iterator<Item = (u32, &Link)> {
        let links = (0..).zip(&self.links);
        links.filter_map(|(handle, link)| Some((handle, link.as_ref()?)))
    }

    /// Links, those that are detaching as well.
    pub(crate) fn count_links(&self) -> usize {
        self.links.iter().flatten().count()
    }

    /// Our handle of what the peer calls so.
    pub(crate) fn handle_of(&self, remote: u32) -> Option<u32> {
        self.handles.get(remote as usize).copied().flatten()
    }

    /// The link that the peer calls so.
    fn remote_link(&mut self, remote: u32) -> Result<(u32, &mut Link), Error> {
        let handle = self.handle_of(remote).ok_or(Error::UnattachedHandle)?;
        let link = self.link_mut(handle).ok_or(Error::UnattachedHandle)?;
        Ok((handle, link))
    }

    /// Gives a link the lowest free handle, `None` if that is above what the peer takes.
    pub(crate) fn add(&mut self, link: Link) -> Option<u32> {
        let free = self.links.iter().position(Option::is_none);
        let at = free.unwrap_or(self.links.len());
        let handle = u32::try_from(at).ok()?;
        if handle > self.remote_handle_max {
            return None;
        }
        match self.links.get_mut(at) {
            Some(place) => *place = Some(link),
            None => self.links.push(Some(link)),
        }
        Some(handle)
    }

    /// The peer calls a link of ours so.
    ///
    /// # Errors
    /// It calls another one so.
    pub(crate) fn name(&mut self, remote: u32, handle: u32) -> Result<(), Error> {
        let at = remote as usize;
        if self.handle_of(remote).is_some() {
            return Err(Error::HandleInUse);
        }
        if self.handles.len() <= at {
            self.handles.resize(at + 1, None);
        }
        if let Some(place) = self.handles.get_mut(at) {
            *place = Some(handle);
        }
        Ok(())
    }

    /// The peer calls a link nothing any more.
    pub(crate) fn free_remote_handle(&mut self, handle: u32) {
        let link = self.link_mut(handle);
        let remote = link.and_then(|link| link.remote_handle.take());
        if let Some(place) = remote.and_then(|remote| self.handles.get_mut(remote as usize)) {
            *place = None;
        }
    }

    /// A link is gone: its handles are free, and its deliveries forgotten.
    pub(crate) fn remove(&mut self, handle: u32) -> Option<Link> {
        self.free_remote_handle(handle);
        let link = self.links.get_mut(handle as usize)?.take()?;
        self.forget_deliveries(handle);
        Some(link)
    }

    /// The deliveries of a link are nobody's any more.
    pub(crate) fn forget_deliveries(&mut self, handle: u32) {
        self.sent.forget(handle);
        if let Some(received) = &mut self.received {
            received.forget(handle);
        }
    }
}
