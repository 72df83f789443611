//! Links come to be (T 2.6.3, 2.7.3).

use super::Connection;
use crate::error::Error;
use crate::event::{Event, LinkId, SessionId};
use crate::performative::{Attach, Fault, Performative, Role};
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
        self.stolen.push(id);
    }

    /// Attaches our end of a link that the peer has attached: `attach` is what it shall be. Name,
    /// handle and role are filled in.
    pub fn attach(&mut self, id: LinkId, attach: &Attach<'_>, out: &mut Vec<u8>) {
        self.put_attach(id, attach, out);
        if let Some(link) = self.link_mut(id) {
            link.state = LinkState::Attached;
        }
    }

    /// Attaches a link of our own; the peer's answer follows.
    ///
    /// # Errors
    /// The session is none, or has as many links as the peer takes, or an end of this name is still
    /// on its way.
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
        let place = self.session_mut(session).ok_or(Error::UnattachedHandle)?;
        let handle = place.add(link).ok_or(Error::TooManyLinks)?;
        let id = LinkId { session, handle };
        self.names.insert(key, id);
        self.put_attach(id, attach, out);
        Ok(id)
    }

    /// Refuses a link that the peer has attached: our end comes and goes, without the terminus
    /// that would be ours (T 2.6.3).
    pub fn refuse(&mut self, id: LinkId, attach: &Attach<'_>, error: Fault<'_>, out: &mut Vec<u8>) {
        let mut empty = *attach;
        match attach.role {
            Role::Sender => empty.target = None,
            Role::Receiver => empty.source = None,
        }
        self.put_attach(id, &empty, out);
        if let Some(link) = self.link_mut(id) {
            link.state = LinkState::Attached;
        }
        self.detach(id, true, Some(error), out);
    }

    pub(super) fn put_attach(&mut self, id: LinkId, attach: &Attach<'_>, out: &mut Vec<u8>) {
        let max_message_size = self.limits.max_message_size;
        let Some(link) = self.link_mut(id) else {
            return;
        };
        let receives = link.role == Role::Receiver;
        let own = Attach {
            name: &link.name.clone(),
            handle: id.handle,
            role: link.role,
            initial_delivery_count: (!receives).then_some(link.delivery_count),
            max_message_size: Some(max_message_size).filter(|max| receives && *max > 0),
            unsettled: None,
            incomplete_unsettled: false,
            ..*attach
        };
        link.note_own(&own);
        Performative::Attach(Box::new(own)).put(out, id.session.0);
    }

    pub(super) fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.session_mut(id.session)?.link_mut(id.handle)
    }
}
