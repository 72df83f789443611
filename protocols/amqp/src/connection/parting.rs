//! Ends of links, sessions and connections, ours and the peer's (T 2.4.3, 2.5.4, 2.6.4).

use super::{Connection, Phase};
use crate::error::Error;
use crate::event::{Event, LinkId, SessionId};
use crate::performative::{Close, Detach, End, Fault, Open, Performative};
use crate::session::{LinkState, SessionState};

impl Connection {
    /// Closes the connection. If we have not opened, an open precedes it (T 2.4.1).
    pub fn close(&mut self, now_ms: u64, error: Option<Fault<'_>>, out: &mut Vec<u8>) {
        match self.phase {
            Phase::Closing | Phase::Closed => return,
            _ if self.is_mute() => {
                self.phase = Phase::Closed;
                return;
            }
            Phase::Opening { own: false, .. } => {
                // Nobody has been named yet.
                let _ = self.open(&Open::new(""), out);
            }
            _ => {}
        }
        self.put_fault(error, 0, out, |error| Performative::Close(Close { error }));
        self.phase = Phase::Closing;
        self.begin_goodbye(now_ms);
    }

    /// Ends a session, with all its links; the peer's end follows.
    pub fn end(&mut self, id: SessionId, error: Option<Fault<'_>>, out: &mut Vec<u8>) {
        self.forget_names(id);
        if let Some(session) = self.live_mut(id) {
            session.state = SessionState::Ending;
            self.put_fault(error, id.0, out, |error| Performative::End(End { error }));
        }
    }

    /// Detaches a link, `closed` for good; the peer's detach follows. One of the peer's that has
    /// not been answered is attached first, without termini.
    pub fn detach(
        &mut self,
        id: LinkId,
        closed: bool,
        error: Option<Fault<'_>>,
        out: &mut Vec<u8>,
    ) {
        if self.is_offered(id) && !self.put_bare_attach(id, None, out) {
            return;
        }
        let session = self.live_mut(id.session);
        let Some(link) = session.and_then(|session| session.link_mut(id.handle)) else {
            return;
        };
        if link.state == LinkState::Detaching {
            return;
        }
        link.state = LinkState::Detaching;
        let is_awaited = link.remote_handle.is_none();
        let key = Self::name_key(&link.name, link.role);
        if let Some(session) = self.session_mut(id.session) {
            session.forget_deliveries(id.handle);
        }
        if !is_awaited {
            self.forget_name(&key, id);
        }
        self.put_fault(error, id.session.0, out, |error| {
            Performative::Detach(Detach {
                handle: id.handle,
                closed,
                error,
            })
        });
    }

    /// The peer's detach: answered in kind, unless it answers ours.
    pub(super) fn take_detach<'a>(
        &mut self,
        id: SessionId,
        detach: &Detach<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Error> {
        let session = self.session_mut(id).ok_or(Error::UnattachedHandle)?;
        let handle = session
            .handle_of(detach.handle)
            .ok_or(Error::UnattachedHandle)?;
        let link = LinkId {
            session: id,
            handle,
        };
        let own = session.link(handle);
        let was_ours = own.is_some_and(|link| link.state == LinkState::Detaching);
        let waits = own.is_some_and(|link| link.answered_by_caller) && !was_ours && detach.closed;
        if waits {
            self.begin_close(link);
            return Ok(Some(Event::Detach {
                link,
                closed: true,
                error: detach.error,
            }));
        }
        self.detach(link, detach.closed, None, out);
        let removed = self
            .session_mut(id)
            .and_then(|session| session.remove(handle));
        if let Some(removed) = removed {
            self.forget_name(&Self::name_key(&removed.name, removed.role), link);
        }
        Ok((!was_ours).then_some(Event::Detach {
            link,
            closed: detach.closed,
            error: detach.error,
        }))
    }

    /// When the peer closes this link, the caller answers with [`Connection::answer_close`]: what the
    /// answer promises takes its time.
    pub fn hold_close(&mut self, link: LinkId) {
        if let Some(link) = self.link_mut(link) {
            link.answered_by_caller = true;
        }
    }

    /// Answers the close of a link that was held.
    pub fn answer_close(&mut self, id: LinkId, error: Option<Fault<'_>>, out: &mut Vec<u8>) {
        let closed = self
            .live_mut(id.session)
            .and_then(|session| session.link_mut(id.handle))
            .is_some_and(|link| {
                link.state == LinkState::Detaching
                    && link.answered_by_caller
                    && link.remote_handle.is_none()
            });
        if !closed {
            return;
        }
        self.put_fault(error, id.session.0, out, |error| {
            Performative::Detach(Detach {
                handle: id.handle,
                closed: true,
                error,
            })
        });
        if let Some(session) = self.session_mut(id.session) {
            session.remove(id.handle);
        }
    }

    /// The peer has closed a link and is not answered yet; its name and the peer's handle are free.
    fn begin_close(&mut self, id: LinkId) {
        let Some(link) = self.link_mut(id) else {
            return;
        };
        link.state = LinkState::Detaching;
        let key = Self::name_key(&link.name, link.role);
        self.forget_name(&key, id);
        if let Some(session) = self.session_mut(id.session) {
            session.free_remote_handle(id.handle);
            session.forget_deliveries(id.handle);
        }
    }

    /// The peer's end: answered, unless it answers ours.
    pub(super) fn take_end<'a>(
        &mut self,
        id: SessionId,
        end: &End<'a>,
        out: &mut Vec<u8>,
    ) -> Option<Event<'a>> {
        let was_ours = self
            .session(id)
            .is_some_and(|session| session.state == SessionState::Ending);
        self.end(id, None, out);
        self.remove_session(id);
        (!was_ours).then_some(Event::End(id, end.error))
    }

    /// The peer's close: answered, unless it answers ours.
    pub(super) fn take_close<'a>(
        &mut self,
        now_ms: u64,
        close: &Close<'a>,
        out: &mut Vec<u8>,
    ) -> Option<Event<'a>> {
        let was_ours = self.phase == Phase::Closing;
        self.close(now_ms, None, out);
        self.phase = Phase::Closed;
        (!was_ours).then_some(Event::Close(close.error))
    }

    /// Ends the connection for an error of the peer, which is told if a frame can tell it.
    pub(super) fn fail(&mut self, now_ms: u64, error: Error, out: &mut Vec<u8>) {
        let fault = Fault::new(error.condition(), error.description());
        self.close(now_ms, Some(fault), out);
        self.phase = Phase::Closed;
    }

    /// Ends a link for an error of the peer.
    pub(super) fn fail_link<'a>(
        &mut self,
        link: LinkId,
        error: Error,
        out: &mut Vec<u8>,
    ) -> Event<'a> {
        let fault = Fault::new(error.condition(), error.description());
        self.detach(link, true, Some(fault), out);
        Event::LinkFailed(link, error)
    }

    /// Ends a session for an error of the peer.
    pub(super) fn fail_session<'a>(
        &mut self,
        id: SessionId,
        error: Error,
        out: &mut Vec<u8>,
    ) -> Event<'a> {
        let fault = Fault::new(error.condition(), error.description());
        self.end(id, Some(fault), out);
        Event::SessionFailed(id, error)
    }
}
