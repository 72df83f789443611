//! Links come to be (T 2.6.3, 2.7.3).

use super::Connection;
use crate::error::Error;
use crate::event::{Event, LinkId, SessionId};
use crate::performative::{Attach, Fault, Role};
use crate::session::{Link, LinkState, Session};

impl Connection {
    /// The peer's attach: the answer to ours, or a new link.
    pub(super) fn take_attach<'a>(
        &mut self,
        id: SessionId,
        attach: Box<Attach<'a>>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Error> {
        if attach.handle > self.limits.handle_max {
            return Err(Error::Framing("T 2.7.2"));
        }
        let role = attach.role.peer();
        let key = Self::name_key(attach.name, role);
        let known = self.names.get(&key).copied();
        if let Some(link) = known.filter(|link| link.session == id && self.is_awaited(*link)) {
            let session = self.session_mut(id).ok_or(Error::UnattachedHandle)?;
            session.name(attach.handle, link.handle)?;
            let Some(own) = session.link_mut(link.handle) else {
                return Ok(None);
            };
            own.note_peer(&attach);
            if own.state == LinkState::Detaching {
                return Ok(None); // The peer's detach follows.
            }
            own.state = LinkState::Attached;
            return Ok(Some(Event::Attach(link, attach)));
        }
        let first = self.limits.first_id;
        let links = self.sessions.iter().flatten().map(Session::count_links);
        if links.sum::<usize>() > 2 * self.limits.max_links {
            // It leaves the links that it was refused attached.
            return Err(Error::ErrantLink("T 2.6.3"));
        }
        let session = self.session_mut(id).ok_or(Error::UnattachedHandle)?;
        if session.handle_of(attach.handle).is_some() {
            return Err(Error::HandleInUse);
        }
        let mut link = Link::new(attach.name, role, first);
        link.note_peer(&attach);
        // Without a handle that the peer takes the link cannot even be refused.
        let handle = session.add(link).ok_or(Error::OutOfHandles)?;
        session.name(attach.handle, handle)?;
        let link = LinkId {
            session: id,
            handle,
        };
        let stolen = self.names.insert(key, link);
        if let Some(stolen) = stolen {
            self.steal(stolen, out);
        }
        if self.names.len() > self.limits.max_links {
            let error = Error::TooManyLinks;
            let fault = Fault::new(error.condition(), error.description());
            self.refuse(link, &attach, fault, out);
            return Ok(Some(Event::LinkFailed(link, error)));
        }
        Ok(Some(Event::Attach(link, attach)))
    }

    /// Whether we have attached a link and the peer has not yet.
    fn is_awaited(&self, id: LinkId) -> bool {
        let link = self
            .session(id.session)
            .and_then(|session| session.link(id.handle));
        link.is_some_and(|link| link.remote_handle.is_none())
    }

    /// The name of a link is another's now.
    fn steal(&mut self, id: LinkId, out: &mut Vec<u8>) {
        let error = Error::Stolen;
        let fault = Fault::new(error.condition(), error.description());
        self.detach(id, true, Some(fault), out);
        self.told.push(Event::LinkFailed(id, error));
    }

    /// Attaches our end of a link that the peer has attached: `attach` is what it shall be. Name,
    /// handle and role are filled in. Properties and capabilities are left out if the peer takes no
    /// frame that large; if it still is too large, the link is refused and fails
    /// ([`Event::LinkFailed`]). Nothing happens if the link is gone meanwhile.
    pub fn attach(&mut self, id: LinkId, attach: &Attach<'_>, out: &mut Vec<u8>) {
        if !self.is_offered(id) || self.put_own(id, attach, out) {
            return;
        }
        let error = Error::FrameSizeTooSmall;
        let fault = Fault::new(error.condition(), error.description());
        if self.put_bare_attach(id, Some(attach), out) {
            self.detach(id, true, Some(fault), out);
            self.told.push(Event::LinkFailed(id, error));
        }
    }

    /// Attaches a link of our own; the peer's answer follows.
    ///
    /// # Errors
    /// The session is none, or has as many links as the peer takes, or an end of this name is still
    /// on its way, or the peer takes no frame as large as the attach.
    pub fn new_link(
        &mut self,
        session: SessionId,
        attach: &Attach<'_>,
        out: &mut Vec<u8>,
    ) -> Result<LinkId, Error> {
        let key = Self::name_key(attach.name, attach.role);
        if self.names.contains_key(&key) {
            return Err(Error::IllegalState("T 2.6.1"));
        }
        let link = Link::new(attach.name, attach.role, self.limits.first_id);
        let place = self.live_mut(session).ok_or(Error::UnattachedHandle)?;
        let handle = place.add(link).ok_or(Error::TooManyLinks)?;
        let id = LinkId { session, handle };
        if !self.put_own(id, attach, out) {
            let session = self.session_mut(session);
            session.and_then(|session| session.remove(handle));
            return Err(Error::FrameSizeTooSmall);
        }
        self.names.insert(key, id);
        Ok(id)
    }

    /// Refuses a link that the peer has attached: our end comes and goes, without the terminus
    /// that would be ours (T 2.6.3). Nothing happens if the link is gone meanwhile.
    pub fn refuse(&mut self, id: LinkId, attach: &Attach<'_>, error: Fault<'_>, out: &mut Vec<u8>) {
        if self.is_offered(id) && self.put_bare_attach(id, Some(attach), out) {
            self.detach(id, true, Some(error), out);
        }
    }

    /// Whether the peer has attached a link that we have not.
    pub(super) fn is_offered(&mut self, id: LinkId) -> bool {
        let session = self.live_mut(id.session);
        let link = session.and_then(|session| session.link(id.handle));
        link.is_some_and(|link| link.state == LinkState::Attaching && link.remote_handle.is_some())
    }

    /// Attaches our end of a link that will not be: without the terminus that would be ours, and
    /// without the peer's as well if they do not fit. Where the name alone is too large no frame
    /// can be about the link: the session fails, and false is returned.
    pub(super) fn put_bare_attach(
        &mut self,
        id: LinkId,
        attach: Option<&Attach<'_>>,
        out: &mut Vec<u8>,
    ) -> bool {
        let role = self.link_mut(id).map_or(Role::Sender, |link| link.role);
        let bare = Attach::new("", 0, role);
        let mut half = attach.copied().unwrap_or(bare);
        match role {
            Role::Receiver => half.target = None,
            Role::Sender => half.source = None,
        }
        if self.put_own(id, &half, out) || self.put_own(id, &bare, out) {
            return true;
        }
        let failed = self.fail_session(id.session, Error::FrameSizeTooSmall, out);
        self.told.push(failed);
        false
    }

    /// Appends our attach of a link, and notes what it says; false if it is too large for the peer.
    fn put_own(&mut self, id: LinkId, attach: &Attach<'_>, out: &mut Vec<u8>) -> bool {
        let Some(link) = self
            .session(id.session)
            .and_then(|session| session.link(id.handle))
        else {
            return false;
        };
        let receives = link.role == Role::Receiver;
        let max_message_size = self.limits.max_message_size;
        let own = Attach {
            name: &link.name,
            handle: id.handle,
            role: link.role,
            initial_delivery_count: (!receives).then_some(link.delivery_count),
            max_message_size: Some(max_message_size).filter(|max| receives && *max > 0),
            unsettled: None,
            incomplete_unsettled: false,
            ..*attach
        };
        if !self.put_attach(&own, id.session.0, out) {
            return false;
        }
        let (modes, max) = (
            (own.sender_settles, own.receiver_settles),
            own.max_message_size.unwrap_or(0),
        );
        if let Some(link) = self.link_mut(id) {
            link.note_own(modes, max);
            if link.remote_handle.is_some() {
                link.state = LinkState::Attached;
            }
        }
        true
    }

    pub(super) fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.session_mut(id.session)?.link_mut(id.handle)
    }
}
