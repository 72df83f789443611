//! Frames of the peer to events.

use super::{Connection, Phase};
use crate::error::{Error, Scope};
use crate::event::{Arrival, Event, LinkId, SessionId, Settled};
use crate::frame::{Frame, FrameKind, Framed, MIN_MAX_FRAME_SIZE, frame};
use crate::performative::{Begin, Disposition, Flow, Open, Performative, Transfer};
use crate::session::{FlowChange, Session, SessionState};

impl Connection {
    /// The next event of `input` from `at` on; `None` if more input or an answer is wanted. What
    /// the machine has to say itself is appended to `out`.
    ///
    /// # Errors
    /// The connection ends; the peer has been told, as far as it can be.
    pub fn poll_event<'a>(
        &mut self,
        now_ms: u64,
        input: &'a [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Option<Result<Event<'a>, Error>> {
        loop {
            let before = (*at, self.phase, self.disposition_at);
            if let Some(told) = self.told.pop() {
                return Some(Ok(told));
            }
            if let Some((id, handle)) = self.echo {
                self.put_flow(id, handle, out);
            }
            match self.step(now_ms, input, at, out) {
                Ok(Some(event)) => return Some(Ok(event)),
                Ok(None) if before == (*at, self.phase, self.disposition_at) => return None,
                Ok(None) => {}
                Err(error) => {
                    self.fail(now_ms, error, out);
                    return Some(Err(error));
                }
            }
        }
    }

    /// One frame, or one step of the handshake.
    fn step<'a>(
        &mut self,
        now_ms: u64,
        input: &'a [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Error> {
        match self.phase {
            Phase::Handshake(step) => return self.poll_handshake(step, input, at, out),
            Phase::Opening {
                own: false,
                peer: true,
            } => return Ok(None),
            Phase::Closed => {
                *at = input.len();
                return Ok(None);
            }
            Phase::Opening { .. } | Phase::Open | Phase::Closing => {}
        }
        let rest = input.get(*at..).unwrap_or_default();
        let Framed::Frame(found) = frame(rest, self.limits.max_frame_size as usize)? else {
            return Ok(None);
        };
        let FrameKind::Amqp { channel } = found.kind else {
            return Err(Error::Framing("T 2.3.1"));
        };
        self.note_heard(now_ms);
        let event = self.take_frame(now_ms, channel, found, out)?;
        if self.disposition_at.is_none() {
            *at += found.len;
        }
        Ok(event)
    }

    fn take_frame<'a>(
        &mut self,
        now_ms: u64,
        channel: u16,
        found: Frame<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Error> {
        if found.body.is_empty() {
            return Ok(None);
        }
        let (performative, payload) = match Performative::decode(found.body) {
            Err(error) if error.scope() == Scope::Session => {
                return self.fail_on_channel(channel, error, out);
            }
            decoded => decoded?,
        };
        if self.phase == Phase::Closing {
            return Ok(match performative {
                Performative::Close(close) => self.take_close(now_ms, &close, out),
                _ => None,
            });
        }
        match (self.phase, performative) {
            (Phase::Opening { own, .. }, Performative::Open(open)) => {
                self.take_open(now_ms, channel, own, &open)?;
                Ok(Some(Event::Open(open)))
            }
            (Phase::Open, Performative::Close(close)) => Ok(self.take_close(now_ms, &close, out)),
            (Phase::Open, Performative::Begin(begin)) => {
                self.take_begin(channel, &begin, out).map(Some)
            }
            // It belongs to no session, so none can be missing.
            (Phase::Open, Performative::Open(_)) => Err(Error::IllegalState("T 2.4.1")),
            (Phase::Open, performative) => {
                let id = self.remote_session(channel);
                let id = id.ok_or(Error::NotBegun)?;
                self.in_session(id, performative, payload, out)
            }
            _ => Err(Error::IllegalState("T 2.4.1")),
        }
    }

    /// A frame that can be read has a field of no use: its session ends, if it has one.
    fn fail_on_channel<'a>(
        &mut self,
        channel: u16,
        error: Error,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Error> {
        match self.remote_session(channel) {
            Some(id) if self.live_mut(id).is_some() => Ok(Some(self.fail_session(id, error, out))),
            Some(_) => Ok(None),
            None => Err(error),
        }
    }

    fn take_open(
        &mut self,
        now_ms: u64,
        channel: u16,
        own: bool,
        open: &Open<'_>,
    ) -> Result<(), Error> {
        if channel != 0 {
            return Err(Error::IllegalState("T 2.4.1"));
        }
        if open.max_frame_size < MIN_MAX_FRAME_SIZE {
            return Err(Error::Framing("T 2.7.1"));
        }
        self.remote_max_frame = open.max_frame_size;
        self.channel_max = self.limits.channel_max.min(open.channel_max);
        self.begin_beats(now_ms, open.idle_timeout_ms)?;
        self.phase = if own {
            Phase::Open
        } else {
            Phase::Opening {
                own: false,
                peer: true,
            }
        };
        Ok(())
    }

    /// The peer's begin: the answer to ours, or a new session, which is answered.
    fn take_begin<'a>(
        &mut self,
        channel: u16,
        begin: &Begin<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Event<'a>, Error> {
        if channel > self.limits.channel_max {
            return Err(Error::Framing("T 2.7.1"));
        }
        if self.remote_session(channel).is_some() {
            return Err(Error::IllegalState("T 2.5.1"));
        }
        let (id, is_answer) = match begin.remote_channel {
            Some(own) => (SessionId(own), true),
            None => (self.add_session(Session::new(&self.limits))?, false),
        };
        let session = self.session_mut(id).ok_or(Error::IllegalState("T 2.5.1"))?;
        if session.remote_channel.is_some() {
            return Err(Error::IllegalState("T 2.5.1"));
        }
        let is_ending = session.state == SessionState::Ending;
        session.note_peer(channel, begin);
        if is_ending {
            session.state = SessionState::Ending;
        }
        self.name_channel(channel, id);
        if !is_answer {
            self.put_begin(id, out);
        }
        Ok(Event::Begin(id, *begin))
    }

    /// What belongs to a session. Its errors end no more than it.
    fn in_session<'a>(
        &mut self,
        id: SessionId,
        performative: Performative<'a>,
        payload: &'a [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Error> {
        if let Performative::End(end) = &performative {
            return Ok(self.take_end(id, end, out));
        }
        let session = self.session(id);
        if session.is_none_or(|session| session.state == SessionState::Ending) {
            return Ok(None);
        }
        let taken = match performative {
            Performative::Attach(attach) => self.take_attach(id, attach, out),
            Performative::Flow(flow) => self.take_flow(id, &flow),
            Performative::Transfer(transfer) => self.take_transfer(id, &transfer, payload, out),
            Performative::Disposition(disposition) => Ok(self.take_disposition(id, &disposition)),
            Performative::Detach(detach) => self.take_detach(id, &detach, out),
            _ => Err(Error::IllegalState("T 2.4.1")),
        };
        match taken {
            Err(error) if error.scope() < Scope::Connection => {
                self.disposition_at = None;
                Ok(Some(self.fail_session(id, error, out)))
            }
            taken => taken,
        }
    }

    fn take_flow<'a>(
        &mut self,
        id: SessionId,
        flow: &Flow<'_>,
    ) -> Result<Option<Event<'a>>, Error> {
        let session = self.session_mut(id).ok_or(Error::UnattachedHandle)?;
        let change = session.take_flow(flow)?;
        if flow.echo {
            let own_handle = flow.link.and_then(|link| session.handle_of(link.handle));
            self.echo = Some((id, own_handle));
        }
        let link = |handle| LinkId {
            session: id,
            handle,
        };
        Ok(match change {
            FlowChange::Session => Some(Event::Window(id)),
            FlowChange::Credit {
                handle,
                credit,
                drain,
            } => Some(Event::Credit {
                link: link(handle),
                credit,
                drain,
            }),
            FlowChange::Drained { handle } => Some(Event::Drained(link(handle))),
        })
    }

    fn take_transfer<'a>(
        &mut self,
        id: SessionId,
        transfer: &Transfer<'a>,
        payload: &'a [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Error> {
        let limit = self.limits.max_unsettled;
        let session = self.session_mut(id).ok_or(Error::UnattachedHandle)?;
        if session.received_unsettled() > limit {
            return Err(Error::TooManyUnsettled);
        }
        let received = match session.take_transfer(transfer, payload.len())? {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(None),
            Err(on_link) => {
                let link = LinkId {
                    session: id,
                    handle: on_link.handle,
                };
                return Ok(Some(self.fail_link(link, on_link.error, out)));
            }
        };
        let link = LinkId {
            session: id,
            handle: received.handle,
        };
        self.refill(link, out);
        Ok(Some(Event::Transfer(Arrival {
            link,
            delivery: received.delivery,
            first: received.first,
            more: transfer.more && !transfer.aborted,
            aborted: transfer.aborted,
            settled: received.settled,
            receiver_settles: received.receiver_settles,
            format: received.format,
            state: transfer.state,
            payload: if transfer.aborted { &[] } else { payload },
        })))
    }

    /// One part of a disposition; while there are more, its frame stays in the input.
    fn take_disposition<'a>(
        &mut self,
        id: SessionId,
        disposition: &Disposition<'a>,
    ) -> Option<Event<'a>> {
        let from = self.disposition_at.take().unwrap_or(disposition.first);
        let session = self.session_mut(id)?;
        let found = session.take_disposition(disposition, from)?;
        let last = found.first.wrapping_add(found.piece.n - 1);
        let next = (last != disposition.last).then(|| last.wrapping_add(1));
        self.disposition_at = next;
        Some(Event::Settled(Settled {
            link: LinkId {
                session: id,
                handle: found.piece.handle,
            },
            role: disposition.role,
            first: found.first,
            tag: found.piece.tag,
            n: found.piece.n,
            settled: disposition.settled,
            state: disposition.state,
        }))
    }
}
