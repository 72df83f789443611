//! The server's side of a connection: order of frames, version, subscription ids, timers.
//!
//! Times are milliseconds of one monotonic clock. The machine answers nothing by itself: the caller
//! turns events into frames of [`crate::encode`], and errors into ERROR and a close.

use crate::ahead::LookAhead;
use crate::error::{Error, Fault};
use crate::event::{
    AckFrame, ConnectFrame, Event, SendFrame, SubscribeFrame, TransactionFrame, UnsubscribeFrame,
};
use crate::frame::{Command, Frame};
use crate::heartbeat::{Due, HeartBeat, Liveness};
use crate::limits::Limits;
use crate::parser::Parser;
use crate::subscriptions::Subscriptions;
use crate::version::Version;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitingConnect {
        deadline_ms: u64,
    },
    Connected,
    /// After DISCONNECT or an error: input is discarded, no timer runs.
    Closed,
}

/// What a timer asks for; see [`Connection::handle_timeout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timeout {
    /// Send a heart-beat ([`crate::encode::heart_beat`]); it counts as sent.
    SendBeat,
    /// The peer is too late: close, with ERROR if it can still be written.
    Dead(Error),
}

/// The server machine of one connection.
#[derive(Debug)]
pub struct Connection {
    parser: Parser,
    state: State,
    version: Option<Version>,
    limits: Limits,
    heart_beat: HeartBeat,
    liveness: Liveness,
    subscriptions: Subscriptions,
}

impl Connection {
    /// A connection that has just been accepted; the connect timeout runs from `now_ms`.
    #[must_use]
    pub fn server(limits: Limits, heart_beat: HeartBeat, now_ms: u64) -> Self {
        let deadline_ms = now_ms.saturating_add(limits.connect_timeout_ms);
        Self {
            parser: Parser::new(limits),
            state: State::AwaitingConnect { deadline_ms },
            version: None,
            limits,
            heart_beat,
            liveness: Liveness::default(),
            subscriptions: Subscriptions::default(),
        }
    }

    /// What was negotiated; `None` before CONNECT. It outlives the end, for the last frame to send.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// The next event in `input[*consumed..]`. It borrows from the input; nothing is copied but
    /// values that hold an escape. `None` means that the rest is unfinished: the next call must see
    /// it again with more behind it. `consumed` only grows.
    ///
    /// # Errors
    /// Any breach of the protocol or of a limit. Send [`Error::encode`], then close; the machine is
    /// closed already and discards all further input, as it does after DISCONNECT.
    pub fn poll_event<'a>(
        &mut self,
        now_ms: u64,
        input: &'a [u8],
        consumed: &mut usize,
    ) -> Option<Result<Event<'a>, Error>> {
        if self.state == State::Closed {
            *consumed = input.len();
            return None;
        }
        let frame = match self.parser.poll_frame(input, consumed)? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(self.close(error))),
        };
        Some(self.handle_frame(now_ms, &frame).map_err(|fault| {
            let receipt_id = frame.receipt().map(|id| id.into_owned().into_boxed_str());
            self.close(Error { fault, receipt_id })
        }))
    }

    /// Looks through input that the machine is not to handle yet; `None` before CONNECT.
    #[must_use]
    pub fn look_ahead(&self) -> Option<LookAhead> {
        self.version
            .map(|version| LookAhead::new(self.limits, version))
    }

    /// Length in octets that the unfinished frame has at least; see [`Parser::needed`].
    #[must_use]
    pub fn needed(&self) -> usize {
        if self.state == State::Closed {
            0
        } else {
            self.parser.needed()
        }
    }

    /// Octets have left for the peer. The first call after CONNECT, that is CONNECTED, starts the
    /// heart-beats of this side.
    pub const fn note_sent(&mut self, now_ms: u64) {
        if matches!(self.state, State::Connected) {
            self.liveness.sent(now_ms);
        }
    }

    /// Octets have come from the peer, be it a part of a frame.
    pub const fn note_received(&mut self, now_ms: u64) {
        self.liveness.received(now_ms);
    }

    /// This side stops reading for a while: the peer cannot be late until `note_received`.
    pub const fn suspend_liveness(&mut self) {
        self.liveness.suspend();
    }

    /// When `handle_timeout` wants to be called, absolute.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        match self.state {
            State::AwaitingConnect { deadline_ms } => Some(deadline_ms),
            State::Connected => self.liveness.deadline(),
            State::Closed => None,
        }
    }

    /// What is due at `now_ms`; call until `None`.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Option<Timeout> {
        let fault = match self.state {
            State::AwaitingConnect { deadline_ms } if deadline_ms <= now_ms => {
                Fault::ConnectTimeout
            }
            State::Connected => match self.liveness.expire(now_ms)? {
                Due::Beat => return Some(Timeout::SendBeat),
                Due::Silent => Fault::PeerSilent,
            },
            State::AwaitingConnect { .. } | State::Closed => return None,
        };
        Some(Timeout::Dead(self.close(fault.into())))
    }

    fn close(&mut self, error: Error) -> Error {
        self.state = State::Closed;
        error
    }

    fn handle_frame<'a>(&mut self, now_ms: u64, frame: &Frame<'a>) -> Result<Event<'a>, Fault> {
        let is_connect = matches!(frame.command, Command::Connect | Command::Stomp);
        match (self.state, self.version) {
            (State::Connected, _) if is_connect => Err(Fault::AlreadyConnected),
            (State::Connected, Some(version)) => self.handle_request(version, frame),
            (State::AwaitingConnect { .. }, _) if is_connect => self.handle_connect(now_ms, frame),
            _ => Err(Fault::NotConnected),
        }
    }

    fn handle_connect<'a>(&mut self, now_ms: u64, frame: &Frame<'a>) -> Result<Event<'a>, Fault> {
        let offer = self.heart_beat.offer();
        let (connect, client) = ConnectFrame::new(frame, offer)?;
        self.liveness = Liveness::new(offer.agree(client), now_ms);
        self.parser.set_version(connect.version);
        self.version = Some(connect.version);
        self.state = State::Connected;
        Ok(Event::Connect(connect))
    }

    fn handle_request<'a>(
        &mut self,
        version: Version,
        frame: &Frame<'a>,
    ) -> Result<Event<'a>, Fault> {
        Ok(match frame.command {
            Command::Send => Event::Send(SendFrame::new(frame)?),
            Command::Ack => Event::Ack(AckFrame::new(frame, version)?),
            Command::Nack => Event::Nack(AckFrame::new(frame, version)?),
            Command::Subscribe => Event::Subscribe(self.subscribe(version, frame)?),
            Command::Unsubscribe => Event::Unsubscribe(self.unsubscribe(version, frame)?),
            Command::Begin => Event::Begin(TransactionFrame::new(frame)?),
            Command::Commit => Event::Commit(TransactionFrame::new(frame)?),
            Command::Abort => Event::Abort(TransactionFrame::new(frame)?),
            Command::Disconnect => {
                self.state = State::Closed;
                Event::Disconnect {
                    receipt: frame.receipt(),
                }
            }
            Command::Connect | Command::Stomp => return Err(Fault::AlreadyConnected),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                return Err(Fault::UnexpectedCommand);
            }
        })
    }

    fn subscribe<'a>(
        &mut self,
        version: Version,
        frame: &Frame<'a>,
    ) -> Result<SubscribeFrame<'a>, Fault> {
        let subscribe = SubscribeFrame::new(frame, version)?;
        let destination = (version == Version::V1_0).then_some(&*subscribe.destination);
        self.subscriptions
            .open(&self.limits, subscribe.id.as_deref(), destination)?;
        Ok(subscribe)
    }

    fn unsubscribe<'a>(
        &mut self,
        version: Version,
        frame: &Frame<'a>,
    ) -> Result<UnsubscribeFrame<'a>, Fault> {
        let mut unsubscribe = UnsubscribeFrame::new(frame, version)?;
        match (&unsubscribe.id, &unsubscribe.destination) {
            (Some(id), _) => self.subscriptions.close_id(id)?,
            (None, Some(name)) => unsubscribe.id = self.subscriptions.close_destination(name)?,
            (None, None) => return Err(Fault::MissingHeader("id")),
        }
        Ok(unsubscribe)
    }
}
