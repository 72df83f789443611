//! The server's side of one connection: bytes in, events out.
//!
//! The machine frames, validates and groups what a client sends, and keeps its liveness. It owns
//! neither session nor packet ids (they are the broker's) and buffers nothing: events borrow the
//! caller's read buffer, and an unfinished packet stays in it.

#[cfg(test)]
mod tests;

use crate::codec::{Frame, Framed, frame};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{
    ConnAck, Connect, Disconnect, Subscribe, Unsubscribe, Version, check_empty, read_version,
};
use crate::reader::Reader;
use crate::run::{AckRun, PublishRun, Rules, Source, read_acks, read_publishes};

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitingConnect,
    /// CONNECT was handed out and is being decided.
    Connecting,
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
            State::Connecting | State::Closed => return None,
            State::AwaitingConnect => {
                read_connect(rest, self.limits.max_connect_size, &mut self.version)
            }
            State::Connected { version, .. } => {
                let rules = Rules {
                    version,
                    max_total: self.limits.max_packet_size,
                };
                self.ends.clear();
                read_event(rest, rules, &mut self.ends)
            }
        };
        match read {
            Ok(Read::Need(needed)) => {
                self.needed = needed;
                None
            }
            Ok(Read::Event(event, len)) => {
                *consumed += len;
                self.last_packet_ms = now_ms;
                match event {
                    Event::Connect(_) => self.state = State::Connecting,
                    Event::Disconnect(_) => self.state = State::Closed,
                    _ => {}
                }
                Some(Ok(event))
            }
            Err(error) => {
                self.state = State::Closed;
                Some(Err(error))
            }
        }
    }

    /// Bytes that the unfinished packet needs, counted from its start, before
    /// [`Connection::poll_event`] can go on; never more than the packet limit.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// Lets a CONNECT in. `keep_alive_s` is the client's, or the server's own if CONNACK says so
    /// (Server Keep Alive). Does nothing unless a CONNECT is being decided.
    pub fn accept(&mut self, now_ms: u64, keep_alive_s: u16) {
        if let (State::Connecting, Some(version)) = (self.state, self.version) {
            self.state = State::Connected {
                version,
                keep_alive_s,
            };
            self.accepted = true;
            self.last_packet_ms = now_ms;
        }
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
            State::Connected {
                keep_alive_s: 0, ..
            }
            | State::Connecting
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

    /// Appends what the peer is told before the connection closes because of `error`
    /// \[MQTT-4.13.1-1\]: a refusing CONNACK before success, then DISCONNECT. Nothing where the
    /// version has no words for it.
    pub fn put_goodbye(&self, error: Error, out: &mut Vec<u8>) {
        let reason = error.reason_code();
        let refusal = ConnAck::refused(reason);
        let written = match (self.version, error) {
            // Answered in the style of the level that was asked for; a bridge sets its top bit.
            (None, Error::UnsupportedVersion(level)) if level & 0x7F >= 5 => {
                refusal.encode(Version::V5, out)
            }
            (None, Error::UnsupportedVersion(_)) => refusal.encode(Version::V311, out),
            (Some(Version::V5), _) if self.accepted => Disconnect {
                reason,
                ..Disconnect::default()
            }
            .encode(Version::V5, out),
            (Some(Version::V5), _) => refusal.encode(Version::V5, out),
            (Some(version), Error::ClientIdInvalid(_)) => refusal.encode(version, out),
            (None | Some(Version::V31 | Version::V311), _) => Ok(()),
        };
        debug_assert!(written.is_ok(), "packets of a few bytes always encode");
    }
}

/// What one look at the input gave.
enum Read<'a> {
    Need(usize),
    Event(Event<'a>, usize),
}

fn read_connect<'a>(
    input: &'a [u8],
    max_total: usize,
    version: &mut Option<Version>,
) -> Result<Read<'a>, Error> {
    // A peer that speaks something else is turned away at its first byte.
    if input.first().is_some_and(|first| first >> 4 != 1) {
        return Err(Error::Protocol("MQTT-3.1.0-1"));
    }
    let frame = match frame(input, max_total)? {
        Framed::Need(needed) => return Ok(Read::Need(needed)),
        Framed::Frame(frame) => frame,
    };
    *version = Some(read_version(&mut Reader::new(frame.body()))?);
    Ok(Read::Event(
        Event::Connect(Connect::decode(frame)?),
        frame.bytes.len(),
    ))
}

fn read_event<'a>(
    input: &'a [u8],
    rules: Rules,
    ends: &'a mut Vec<u32>,
) -> Result<Read<'a>, Error> {
    let frame = match frame(input, rules.max_total)? {
        Framed::Need(needed) => {
            *ends = Vec::new();
            return Ok(Read::Need(needed));
        }
        Framed::Frame(frame) => frame,
    };
    let len = frame.bytes.len();
    let source = Source {
        first: frame,
        input,
        rules,
    };
    match frame.first >> 4 {
        3 => {
            let run = read_publishes(source, ends)?;
            Ok(Read::Event(Event::Publish(run), run.packets.bytes().len()))
        }
        4..=7 => {
            let (run, len) = read_acks(source)?;
            Ok(Read::Event(Event::Acks(run), len))
        }
        _ => Ok(Read::Event(read_control(frame, rules.version)?, len)),
    }
}

fn read_control(frame: Frame<'_>, version: Version) -> Result<Event<'_>, Error> {
    match frame.first >> 4 {
        1 => Err(Error::Protocol("MQTT-3.1.0-2")),
        8 => Ok(Event::Subscribe(Subscribe::decode(frame, version)?)),
        10 => Ok(Event::Unsubscribe(Unsubscribe::decode(frame, version)?)),
        12 => {
            check_empty(frame)?;
            Ok(Event::Ping)
        }
        14 => Ok(Event::Disconnect(Disconnect::decode(frame, version)?)),
        // CONNACK, SUBACK, UNSUBACK and PINGRESP flow the other way only (2.1.2).
        2 | 9 | 11 | 13 => Err(Error::Protocol("2.1.2")),
        // No authentication method was accepted, so AUTH has no place.
        15 if version == Version::V5 => Err(Error::Protocol("MQTT-4.12.0-6")),
        _ => Err(Error::Malformed("2.1.2")),
    }
}
