//! The server's side of one connection: bytes in, events out.
//!
//! The machine frames, validates and groups what a client sends, and keeps its liveness. It owns
//! neither session nor packet ids (they are the broker's) and buffers nothing: events borrow the
//! caller's read buffer, and an unfinished packet stays in it. What it writes itself is CONNACK,
//! AUTH and the goodbye, whose rules depend on its state; the rest is the [`Sender`]'s.

mod extension;
mod goodbye;
mod open;
mod read;
#[cfg(test)]
mod tests;

use crate::acks::AckRun;
use crate::auth::Turn;
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{Auth, Connect, Disconnect, Subscribe, Unsubscribe, Version};
use crate::run::{PublishRun, Rules};
use crate::sender::Sender;
use crate::terms::Terms;

use self::extension::Extension;
use self::read::{Read, read_auth, read_connect, read_event};

pub use self::open::Accept;

/// What a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The first packet. Nothing further is read until [`Connection::accept`] or
    /// [`Connection::close`] \[MQTT-3.1.4-6\].
    Connect(Connect<'a>),
    /// One or more messages.
    Publish(PublishRun<'a>),
    /// One or more acknowledgements.
    Acks(AckRun<'a>),
    /// SUBSCRIBE.
    Subscribe(Subscribe<'a>),
    /// UNSUBSCRIBE.
    Unsubscribe(Unsubscribe<'a>),
    /// PINGREQ, to be answered with PINGRESP.
    Ping,
    /// DISCONNECT. Nothing is read after it.
    Disconnect(Disconnect<'a>),
    /// A step of enhanced authentication, with the method CONNECT has named; to be answered with
    /// [`Connection::put_auth`], before CONNACK also with [`Connection::accept`], or with
    /// [`Connection::close_with`].
    Auth(Auth<'a>),
}

/// The server machine of one connection.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    state: State,
    /// The version of CONNECT, once it was read.
    version: Option<Version>,
    /// Whether CONNACK has said success, so that a goodbye is a DISCONNECT.
    accepted: bool,
    last_packet_ms: u64,
    needed: usize,
    /// End offsets of the run that was handed out last; freed when a read is used up, so that an
    /// idle connection holds no memory.
    ends: Vec<u32>,
    /// What MQTT 5.0 adds; nothing for an older client.
    extension: Option<Box<Extension>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitingConnect,
    /// CONNECT was handed out and is being decided; the client has asked for this keep-alive.
    Connecting {
        keep_alive_s: u16,
    },
    Connected {
        version: Version,
        keep_alive_s: u16,
    },
    Closed,
}

impl Connection {
    /// A machine that waits for CONNECT since `now_ms`.
    pub fn server(limits: Limits, now_ms: u64) -> Self {
        Self {
            limits,
            state: State::AwaitingConnect,
            version: None,
            accepted: false,
            last_packet_ms: now_ms,
            needed: 2,
            ends: Vec::new(),
            extension: None,
        }
    }

    /// Reads the next event from `input`, beginning at `*consumed`, and moves `*consumed` behind
    /// it. Call it with the same input until it returns `None`; what is left then is an unfinished
    /// packet, to be given again with more bytes behind it (see [`Connection::needed`]).
    ///
    /// After an error the machine is closed; [`Connection::put_goodbye`] writes what the peer is
    /// told.
    pub fn poll_event<'a>(
        &'a mut self,
        now_ms: u64,
        input: &'a [u8],
        consumed: &mut usize,
    ) -> Option<Result<Event<'a>, Error>> {
        let rest = input.get(*consumed..).unwrap_or_default();
        let read = match self.state {
            State::Closed => return None,
            State::AwaitingConnect => read_connect(rest, &self.limits, &mut self.version),
            State::Connecting { .. } if self.extension.as_deref().is_some_and(is_clients_turn) => {
                read_auth(rest, self.limits.max_connect_size)
            }
            State::Connecting { .. } => return None,
            State::Connected { version, .. } => {
                let window = self.extension.as_deref().map(Extension::window);
                let rules = Rules {
                    version,
                    limits: self.limits,
                    window: window.unwrap_or(usize::MAX),
                };
                self.ends.clear();
                read_event(rest, rules, &mut self.ends)
            }
        };
        let (event, len) = match read {
            Ok(Read::Event(event, len)) => (event, len),
            Ok(Read::Need(needed)) => {
                self.needed = needed;
                return None;
            }
            Err(error) => {
                self.state = State::Closed;
                return Some(Err(error));
            }
        };
        *consumed += len;
        self.last_packet_ms = now_ms;
        if let Event::Connect(connect) = &event {
            self.extension = Extension::new(connect, &self.limits);
        }
        let handled = match self.extension.as_deref_mut() {
            Some(extension) => extension.handle(event, &self.limits),
            None => Ok(event),
        };
        match &handled {
            Ok(Event::Connect(connect)) => {
                let keep_alive_s = connect.keep_alive_s;
                self.state = State::Connecting { keep_alive_s };
            }
            Ok(Event::Disconnect(_)) | Err(_) => self.state = State::Closed,
            Ok(_) => {}
        }
        Some(handled)
    }

    /// Bytes that the unfinished packet needs, counted from its start, before
    /// [`Connection::poll_event`] can go on; never more than the packet limit.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// The last packet of `n` exchanges above QoS 0 was written: PUBACK, PUBCOMP, or a PUBREC from
    /// 0x80. As many more publishes may come (Receive Maximum, 4.9). To be said of every one.
    pub fn acknowledged(&mut self, n: usize) {
        if let Some(extension) = &mut self.extension {
            extension.give_back(n);
        }
    }

    /// What the client has announced in CONNECT.
    pub fn terms(&self) -> Terms {
        self.extension
            .as_deref()
            .map_or_else(Terms::default, Extension::terms)
    }

    /// A writer of packets to this client, once CONNECT was read; the caller keeps the one.
    pub fn sender(&self) -> Option<Sender> {
        Some(Sender::new(self.version?, self.terms(), &self.limits))
    }

    /// Reads nothing any more: CONNECT was refused, or the server ends the connection.
    pub fn close(&mut self) {
        self.state = State::Closed;
    }

    /// Whether the machine reads nothing any more.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The version of the connection, once CONNECT has said it.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// When [`Connection::handle_timeout`] is due, in milliseconds of the caller's clock: 1.5
    /// times the keep-alive after the last complete packet \[MQTT-3.1.2-22\], or the end of the
    /// wait for CONNECT.
    pub fn poll_timeout(&self) -> Option<u64> {
        let wait_ms = match self.state {
            State::AwaitingConnect => self.limits.connect_timeout_ms,
            State::Connecting { .. } if self.extension.as_deref().is_some_and(is_clients_turn) => {
                self.limits.connect_timeout_ms
            }
            State::Connected {
                keep_alive_s: 0, ..
            }
            | State::Connecting { .. }
            | State::Closed => {
                return None;
            }
            State::Connected { keep_alive_s, .. } => u64::from(keep_alive_s) * 1_500,
        };
        Some(self.last_packet_ms.saturating_add(wait_ms))
    }

    /// Closes the machine if its deadline has passed.
    ///
    /// # Errors
    /// `Timeout`.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Result<(), Error> {
        match self.poll_timeout() {
            Some(deadline_ms) if now_ms >= deadline_ms => {
                self.state = State::Closed;
                Err(Error::Timeout)
            }
            _ => Ok(()),
        }
    }
}

/// Whether the server has sent an AUTH that the client is to answer.
fn is_clients_turn(extension: &Extension) -> bool {
    extension.turn() == Turn::Client
}
