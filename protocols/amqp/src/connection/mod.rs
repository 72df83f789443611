//! A connection: handshake, sessions and links of both peers, without a socket or a clock.
//!
//! The caller gives what it has read to [`Connection::poll_event`] until there is no event left,
//! and lets out what the machine appends to `out`. What the peer does wrong is answered at the
//! smallest place that the specification lets end: a link, a session, or the connection.

mod attach;
mod fit;
mod handshake;
mod links;
mod parting;
mod read;
mod settle;
#[cfg(test)]
mod tests;
mod timing;

use std::collections::BTreeMap;

use crate::error::Error;
use crate::event::{Event, LinkId, SessionId};
use crate::limits::Limits;
use crate::performative::{Open, Performative, Role};
use crate::session::{Session, SessionState};

pub use handshake::SaslOffer;
pub use settle::Sent;

use handshake::Handshake;
use timing::Timing;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Headers and SASL.
    Handshake(Handshake),
    /// AMQP is spoken; an open is missing.
    Opening {
        /// Ours has been sent.
        own: bool,
        /// The peer's has come.
        peer: bool,
    },
    /// Both have opened.
    Open,
    /// We have closed; what still comes is passed over.
    Closing,
    /// It is over.
    Closed,
}

/// The machine of one connection.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    phase: Phase,
    timing: Timing,
    /// Largest frame that the peer takes.
    remote_max_frame: u32,
    /// Highest channel that both take.
    channel_max: u16,
    /// By our channel.
    sessions: Vec<Option<Session>>,
    /// Our channel, by the peer's.
    channels: Vec<Option<u16>>,
    /// Links that are not detaching, by what identifies them: their name and what we are.
    names: BTreeMap<(Box<str>, bool), LinkId>,
    /// A disposition whose next part begins at this delivery; its frame is still in the input.
    disposition_at: Option<u32>,
    /// What the caller is to hear of besides what is in the input.
    told: Vec<Event<'static>>,
    /// A flow that the peer has asked for, of a session, or of a link in it. It is answered when
    /// the caller has seen its event.
    echo: Option<(SessionId, Option<u32>)>,
}

impl Connection {
    /// The side that is connected to; it waits for the client's header until `now_ms` and the
    /// limit.
    #[must_use]
    pub fn server(limits: Limits, sasl: SaslOffer, now_ms: u64) -> Self {
        Self::new(limits, Handshake::server(sasl), now_ms)
    }

    /// The side that connects; `out` gets its header, of SASL if it wants to authenticate.
    #[must_use]
    pub fn client(limits: Limits, sasl: bool, now_ms: u64, out: &mut Vec<u8>) -> Self {
        Self::new(limits, Handshake::client(sasl, out), now_ms)
    }

    fn new(limits: Limits, handshake: Handshake, now_ms: u64) -> Self {
        Self {
            limits,
            phase: Phase::Handshake(handshake),
            timing: Timing::new(now_ms, limits.open_timeout_ms),
            remote_max_frame: crate::frame::MIN_MAX_FRAME_SIZE,
            channel_max: 0,
            sessions: Vec::new(),
            channels: Vec::new(),
            names: BTreeMap::new(),
            disposition_at: None,
            told: Vec::new(),
            echo: None,
        }
    }

    /// Sends our open. The limits are filled in from the machine's own.
    ///
    /// # Errors
    /// It has been sent already, or it is too early, or who we are does not fit a frame that the
    /// peer takes: 512 bytes before its own open has come (T 2.7.1).
    pub fn open(&mut self, open: &Open<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let Phase::Opening { own: false, peer } = self.phase else {
            return Err(Error::IllegalState("T 2.7.1"));
        };
        let announced = Open {
            max_frame_size: self.limits.max_frame_size,
            channel_max: self.limits.channel_max,
            idle_timeout_ms: self.limits.idle_timeout_ms.map(|ms| ms / 2),
            ..*open
        };
        if !self.put_open(&announced, out) {
            return Err(Error::FrameSizeTooSmall);
        }
        self.phase = if peer {
            Phase::Open
        } else {
            Phase::Opening {
                own: true,
                peer: false,
            }
        };
        Ok(())
    }

    /// Begins a session.
    ///
    /// # Errors
    /// The connection is not open, or has as many sessions as both sides take.
    pub fn begin(&mut self, out: &mut Vec<u8>) -> Result<SessionId, Error> {
        if self.phase != Phase::Open {
            return Err(Error::IllegalState("T 2.7.2"));
        }
        let id = self.add_session(Session::new(&self.limits))?;
        self.put_begin(id, out);
        Ok(id)
    }

    /// Whether both sides have opened and none has closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether nothing is to be read or written any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Bytes that the unfinished frame at the begin of the input has at least; 0 if that is not
    /// known.
    #[must_use]
    pub fn needed(&self, input: &[u8]) -> usize {
        match crate::frame::frame(input, self.limits.max_frame_size as usize) {
            Ok(crate::frame::Framed::Need(bytes)) => bytes,
            _ => 0,
        }
    }

    /// Bytes of the largest frame that the peer takes.
    pub(crate) fn remote_max_frame(&self) -> usize {
        self.remote_max_frame as usize
    }

    fn put_begin(&self, id: SessionId, out: &mut Vec<u8>) {
        if let Some(session) = self.session(id) {
            let begin = session.begin(&self.limits);
            Performative::Begin(begin).put(out, id.0);
        }
    }

    /// Gives a session the lowest free channel.
    fn add_session(&mut self, session: Session) -> Result<SessionId, Error> {
        let free = self.sessions.iter().position(Option::is_none);
        let at = free.unwrap_or(self.sessions.len());
        let channel = u16::try_from(at).ok();
        let channel = channel.filter(|channel| *channel <= self.channel_max);
        let channel = channel.ok_or(Error::OutOfChannels)?;
        match self.sessions.get_mut(at) {
            Some(place) => *place = Some(session),
            None => self.sessions.push(Some(session)),
        }
        Ok(SessionId(channel))
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(usize::from(id.0))?.as_ref()
    }

    fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(usize::from(id.0))?.as_mut()
    }

    /// A session that frames of ours may be about: none has ended it.
    fn live_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let is_open = self.is_open();
        let session = self.session_mut(id)?;
        (is_open && session.state != SessionState::Ending).then_some(session)
    }

    /// The session that the peer sends on this channel for.
    fn remote_session(&self, channel: u16) -> Option<SessionId> {
        let place = self.channels.get(usize::from(channel))?;
        place.map(SessionId)
    }

    fn name_channel(&mut self, channel: u16, id: SessionId) {
        let at = usize::from(channel);
        if self.channels.len() <= at {
            self.channels.resize(at + 1, None);
        }
        if let Some(place) = self.channels.get_mut(at) {
            *place = Some(id.0);
        }
    }

    /// Both sides have ended a session.
    fn remove_session(&mut self, id: SessionId) {
        self.forget_names(id);
        let place = self.sessions.get_mut(usize::from(id.0));
        let Some(session) = place.and_then(Option::take) else {
            return;
        };
        if let Some(channel) = session.remote_channel
            && let Some(place) = self.channels.get_mut(usize::from(channel))
        {
            *place = None;
        }
    }

    /// The links of a session are nobody's any more.
    fn forget_names(&mut self, id: SessionId) {
        self.names.retain(|_, link| link.session != id);
    }

    /// A name is this link's no more.
    fn forget_name(&mut self, key: &(Box<str>, bool), id: LinkId) {
        if self.names.get(key) == Some(&id) {
            self.names.remove(key);
        }
    }

    fn name_key(name: &str, role: Role) -> (Box<str>, bool) {
        (name.into(), role == Role::Receiver)
    }
}
