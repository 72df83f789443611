//! STOMP 1.0 to 1.2: frames to commands, answers and deliveries to frames.
//!
//! A subscription is a consumer of the core; there is no session. A message keeps the header lines
//! its sender wrote ([`FORMAT`]). Everything that can be refused is answered in the order of frames,
//! so RECEIPTs and the ERROR that ends a connection need no order of their own. Not yet:
//! transactions, selectors, browsers, durable subscriptions, scheduling; each is refused in words.

mod ack;
mod confirm;
mod destination;
mod held;
mod message;
mod parked;
mod refuse;
mod send;
mod stored;
mod subscribe;
mod temporary;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use ternmq_core::command::{Close, Outcome};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::{Answer, ConsumerEnd};
use ternmq_core::ids::{ConsumerKey, Token};
use ternmq_stomp::encode::{self, ConnectedFrame};
use ternmq_stomp::event::ConnectFrame;
use ternmq_stomp::{Connection, Event, HeartBeat, Limits, Timeout, Version};

use super::{End, Ended, Frontend, Parting, Turn};
use crate::engine::Outgoing;

use ack::{Settling, nack_outcome};
use confirm::{Confirms, LastWords};
use destination::{Destinations, Spelling};
use message::Encoded;
use parked::Parked;
use refuse::TRANSACTIONS;
use send::Gathering;
use subscribe::Subscriptions;
use temporary::Temporaries;

pub use stored::FORMAT;
pub use view::read;

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct StompOptions {
    /// Largest body, in bytes.
    pub max_body_bytes: usize,
    /// Subscriptions of one connection.
    pub max_subscriptions: usize,
    /// Longest destination in its canonical form, in bytes.
    pub max_name_bytes: usize,
    /// Bytes kept of a client while its SEND waits for memory.
    pub read_ahead_bytes: usize,
    /// What this side offers.
    pub heart_beat: HeartBeat,
    /// How names and wildcards are spelled.
    pub dialect: Dialect,
    /// Unsettled messages of a subscription that does not say.
    pub prefetch: u32,
    /// The `server` header of CONNECTED; `None` keeps it to ourselves.
    pub server: Option<String>,
    /// Tells this life of the broker from others (law L19); random.
    pub boot_epoch: u32,
}

impl StompOptions {
    /// An offer of heart-beats, in milliseconds: how often this side sends, and wants to hear; 0 is
    /// never. No agreed interval is shorter than half a second.
    #[must_use]
    pub fn heart_beat(send_ms: u64, receive_ms: u64) -> HeartBeat {
        HeartBeat {
            send_ms,
            receive_ms,
            ..HeartBeat::default()
        }
    }

    fn spelling(&self) -> Spelling {
        Spelling {
            dialect: self.dialect,
            max_bytes: self.max_name_bytes,
        }
    }
}

/// The front-end of one connection.
pub struct Stomp {
    machine: Connection,
    state: State,
}

/// Everything but the machine, which lends its events while they are handled.
struct State {
    options: Arc<StompOptions>,
    version: Version,
    connected: bool,
    /// The last frame that counts has come: input is discarded, deliveries stay where they are.
    leaving: bool,
    /// Names this connection in message ids, acks and temporary destinations.
    name: Box<str>,
    confirms: Confirms,
    gathering: Option<Box<Gathering>>,
    settling: Option<Settling>,
    subscriptions: Subscriptions,
    encoded: Encoded,
    destinations: Destinations,
    temporaries: Temporaries,
    parked: Parked,
}

/// What to do after an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Go,
    /// The event is not handled: it and what follows waits for memory.
    Park,
}

impl Stomp {
    /// A front-end that waits for CONNECT.
    #[must_use]
    pub fn new(options: Arc<StompOptions>) -> Self {
        let limits = Limits {
            body_bytes: options.max_body_bytes,
            subscriptions: options.max_subscriptions,
            ..Limits::default()
        };
        let machine = Connection::server(limits, options.heart_beat, 0);
        let state = State {
            options,
            version: Version::V1_0,
            connected: false,
            leaving: false,
            name: Box::default(),
            confirms: Confirms::default(),
            gathering: None,
            settling: None,
            subscriptions: Subscriptions::default(),
            encoded: Encoded::default(),
            destinations: Destinations::default(),
            temporaries: Temporaries::default(),
            parked: Parked::default(),
        };
        Self { machine, state }
    }

    /// Handles complete frames; returns how many bytes they were.
    fn parse(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Ended> {
        let mut at = 0;
        while !self.state.leaving {
            let before = at;
            let event = match self.machine.poll_event(turn.now.mono_ms, input, &mut at) {
                None => break,
                Some(Err(error)) => {
                    self.fault(error, turn)?;
                    break;
                }
                Some(Ok(event)) => event,
            };
            let done = self.state.parked.is_done(at);
            let flow = match event {
                Event::Send(frame) => self.state.send(&frame, input.len() - before, turn)?,
                Event::Ack(frame) | Event::Nack(frame) if done => {
                    self.state.owe(&frame, turn);
                    Flow::Go
                }
                event => self.state.handle(event, turn).map(|()| Flow::Go)?,
            };
            if flow == Flow::Park {
                let rest = input.get(before..).unwrap_or_default();
                return Ok(before + self.park(rest, before, turn));
            }
        }
        self.state.seal(turn);
        Ok(if self.state.leaving { input.len() } else { at })
    }
}

impl State {
    fn handle(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Ended> {
        match event {
            Event::Connect(frame) => {
                self.connect(&frame, turn);
                Ok(())
            }
            Event::Send(_) => Ok(()), // Handled before: it may have to wait.
            Event::Ack(frame) => self.settle(&frame, Outcome::Accepted, turn),
            Event::Nack(frame) => self.settle(&frame, nack_outcome(&frame), turn),
            Event::Subscribe(frame) => self.subscribe(&frame, turn),
            Event::Unsubscribe(frame) => self.unsubscribe(&frame, turn),
            Event::Begin(frame) | Event::Commit(frame) | Event::Abort(frame) => {
                self.refuse(TRANSACTIONS, frame.receipt.as_deref(), turn)
            }
            Event::Disconnect { receipt } => self.disconnect(receipt.as_deref(), turn),
        }
    }

    /// Any login is accepted, so none is read, and there is one virtual host, whatever `host` says.
    fn connect(&mut self, frame: &ConnectFrame<'_>, turn: &mut Turn<'_>) {
        self.version = frame.version;
        self.connected = true;
        let (epoch, id) = (self.options.boot_epoch, turn.link.id());
        self.name = format!("{epoch:08x}-{:x}-{:x}", id.slot, id.generation).into();
        let request_id = frame.headers.get("request-id");
        let answer = ConnectedFrame {
            version: frame.version,
            session: Some(&self.name),
            server: self.options.server.as_deref(),
            heart_beat: frame.heart_beat,
            response_id: request_id.as_deref(),
        };
        encode::connected(turn.output.buffer(), &answer);
    }

    fn say(&self, message: &'static str, turn: &mut Turn<'_>) -> Ended {
        let words = LastWords {
            message: message.into(),
            receipt_id: None,
        };
        words.say(self.version, turn.output.buffer())
    }
}

impl Frontend for Stomp {
    fn handle_input(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Ended> {
        self.machine.note_received(turn.now.mono_ms);
        if self.state.leaving {
            return Ok(input.len());
        }
        if self.state.parked.is_waiting() {
            self.machine.suspend_liveness();
            return Ok(self.state.look_through(input, 0, turn));
        }
        self.parse(input, turn)
    }

    fn needed(&self) -> usize {
        if self.state.parked.is_waiting() {
            0
        } else {
            self.machine.needed()
        }
    }

    fn handle_answer(
        &mut self,
        _token: Token,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let out = turn.output.buffer();
        self.state.confirms.answer(&answer, self.state.version, out)
    }

    fn handle_delivery(&mut self, outgoing: &Outgoing, turn: &mut Turn<'_>) {
        // What comes after the goodbye goes back to its queue with the end of the connection.
        if !self.state.leaving {
            self.state.deliver(outgoing, turn);
        }
    }

    fn handle_consumer_ended(
        &mut self,
        consumer: ConsumerKey,
        _why: ConsumerEnd,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        if self.state.subscriptions.remove(consumer).is_none() {
            return Ok(());
        }
        Err(self
            .state
            .say("no-destination - the queue was deleted", turn))
    }

    fn handle_written(&mut self, turn: &mut Turn<'_>) {
        self.machine.note_sent(turn.now.mono_ms);
        self.state.written(turn);
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        while let Some(due) = self.machine.handle_timeout(turn.now.mono_ms) {
            match due {
                // What waits to be written is a sign of life, too.
                Timeout::SendBeat if turn.output.is_empty() => {
                    encode::heart_beat(turn.output.buffer());
                }
                Timeout::SendBeat => {}
                Timeout::Dead(error) => {
                    error.encode(turn.output.buffer(), self.machine.version());
                    return Err(Ended::Silent);
                }
            }
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<u64> {
        // The connection loop watches over the time until CONNECT.
        self.machine.poll_timeout().filter(|_| self.state.connected)
    }

    fn handle_end(&mut self, why: End, turn: &mut Turn<'_>) {
        let message = match why {
            End::Stopping => "unavailable - the broker is stopping",
            End::ConnectTimeout => "no CONNECT in time",
            End::TakenOver => "taken over by another connection",
        };
        self.state.say(message, turn);
    }

    fn close(&mut self, parting: Parting) -> Close {
        let written = self.state.subscriptions.iter();
        Close {
            polite: parting == Parting::Polite,
            written: written
                .filter(|(_, one)| one.written > 0)
                .map(|(key, one)| (*key, one.written))
                .collect(),
        }
    }

    fn is_connected(&self) -> bool {
        self.state.connected
    }

    fn wants_input(&self) -> bool {
        let State {
            leaving,
            parked,
            confirms,
            options,
            ..
        } = &self.state;
        !leaving && !confirms.is_full() && parked.takes(options.read_ahead_bytes)
    }

    fn parked(&self) -> bool {
        self.state.parked.is_waiting()
    }

    fn resume(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        if self.parked() {
            self.unpark(turn)
        } else {
            Ok(())
        }
    }

    fn refuse_parked(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        self.state.refuse_parked(turn)
    }
}
