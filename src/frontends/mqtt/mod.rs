//! MQTT 3.1, 3.1.1 and 5.0: packets to commands, answers and deliveries to packets.
//!
//! One session of the core per client id; its lane's tags become packet ids. A message keeps the
//! PUBLISH packet it came in as its encoded original ([`FORMAT`], [`FORMAT_V5`]), so most deliveries
//! are copies with another packet id. The versions share all code; where they differ is in what
//! the machine reads and writes, and in how a refusal is told.

pub mod auth;
mod blocks;
mod confirm;
mod connect;
mod deliver;
mod encode;
mod hold;
mod options;
mod publish;
mod reason;
mod subscribe;
mod sys;
#[cfg(test)]
mod tests;
mod topics;
mod translate;
mod view;
mod will;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use ternmq_core::command::{Close, Command};
use ternmq_core::effect::{Answer, ConsumerEnd};
use ternmq_core::ids::{ConsumerKey, Token};
use ternmq_core::message::Format;
use ternmq_mqtt::{
    Accept, AckKind, Auth, Connection, Disconnect, Error, Event, PropertiesBuf, PropertyId,
    PublishRun, Sender, Terms, Value, Version, put_ping_resp,
};

use super::{End, Ended, Frontend, Parting, Turn};
use crate::engine::Outgoing;

use auth::{Authentication, Reply};
use blocks::Blocks;
use connect::Opening;
use deliver::Deliveries;
use hold::{Hold, Parked};
use subscribe::Requests;
use sys::Sys;
use topics::Topics;

pub use options::{MqttOptions, SysValues};
pub use view::{read, read_v5};

/// The encoded original of a message of MQTT 3.1 and 3.1.1: its PUBLISH packet as on the wire.
pub const FORMAT: Format = Format(1);
/// The same of MQTT 5.0, property block included.
pub const FORMAT_V5: Format = Format(4);

/// The encoded original of what a client of this version publishes.
fn format(version: Version) -> Format {
    if version < Version::V5 {
        FORMAT
    } else {
        FORMAT_V5
    }
}

/// The front-end of one connection.
pub struct Mqtt {
    machine: Connection,
    state: State,
}

/// Everything but the machine, which lends its events while they are handled.
struct State {
    options: Arc<MqttOptions>,
    version: Version,
    sender: Sender,
    keep_alive_s: u16,
    connected: bool,
    hold: Hold,
    parked: Parked,
    topics: Topics,
    requests: Requests,
    deliveries: Deliveries,
    /// Until CONNACK.
    opening: Option<Box<Opening>>,
    authentication: Option<Box<Authentication>>,
    sys: Sys,
    /// Messages above QoS 0 taken and not confirmed yet.
    unanswered: u32,
    /// The publish that comes next has waited for memory too long.
    refuse_next: bool,
    /// DISCONNECT has come.
    leaving: bool,
}

/// What to do after an event.
enum Flow {
    Go,
    /// Everything behind CONNECT waits.
    Connecting,
    /// The client is answered with AUTH.
    Auth(Reply),
    /// A publish waits for memory, and everything behind it.
    Park {
        /// Where it begins in the input.
        from: usize,
        /// Messages above QoS 0 in it: it will be read again.
        unread: usize,
    },
}

impl Flow {
    /// Packets of a run from `first` on wait; they begin at `from` in the input.
    fn park(from: usize, run: &PublishRun<'_>, first: usize) -> Self {
        let unread = match run.first_id {
            Some(_) => run.len() - first,
            None => 0,
        };
        Self::Park { from, unread }
    }
}

/// How a connection ends from here.
enum Exit {
    /// The client said goodbye.
    Goodbye,
    /// For a reason of MQTT 5.0, in a refusing CONNACK or in DISCONNECT, which older versions do
    /// not have; the text is for the log and its Reason String.
    Close(u8, Cow<'static, str>),
}

impl Exit {
    fn close(reason: u8, why: impl Into<Cow<'static, str>>) -> Self {
        Self::Close(reason, why.into())
    }
}

/// The kinds of command that are answered, in the top byte of a token.
const PUBLISH: u64 = 1;
const CONNECT: u64 = 2;
const REQUEST: u64 = 3;
const GOODBYE: u64 = 4;
const RELEASE: u64 = 5;
const RECEIVED: u64 = 6;

fn token(kind: u64, value: u64) -> Token {
    Token(kind << 56 | value)
}

impl Mqtt {
    /// A front-end that waits for CONNECT.
    #[must_use]
    pub fn new(options: Arc<MqttOptions>) -> Self {
        let limits = options.limits();
        let state = State {
            sender: Sender::new(Version::V311, Terms::default(), &limits),
            topics: Topics::new(options.max_name_bytes, Arc::clone(&options.deny)),
            options,
            version: Version::V311,
            keep_alive_s: 0,
            connected: false,
            hold: Hold::No,
            parked: Parked::default(),
            requests: Requests::default(),
            deliveries: Deliveries::default(),
            opening: None,
            authentication: None,
            sys: Sys::default(),
            unanswered: 0,
            refuse_next: false,
            leaving: false,
        };
        Self {
            machine: Connection::server(limits, 0),
            state,
        }
    }

    /// Handles complete packets; returns how many bytes they were.
    fn parse(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Ended> {
        let mut blocks = Blocks::new(input, self.state.options.max_packet_bytes);
        let mut at = 0;
        loop {
            blocks.begin_at(at);
            let event = match self.machine.poll_event(turn.now.mono_ms, input, &mut at) {
                None => return Ok(at),
                Some(Err(error)) => return Err(self.fault(error, turn)),
                Some(Ok(event)) => event,
            };
            let flow = match self.state.handle(event, &mut blocks, turn) {
                Ok(flow) => flow,
                Err(exit) => return Err(self.leave(exit, turn)),
            };
            let (hold, from) = match flow {
                Flow::Go => continue,
                Flow::Auth(reply) => {
                    self.answer_auth(&reply, turn)?;
                    continue;
                }
                Flow::Connecting => (Hold::Connecting, at),
                Flow::Park { from, unread } => {
                    self.machine.acknowledged(unread);
                    (Hold::Budget, from)
                }
            };
            self.state.hold = hold;
            let rest = input.get(from..).unwrap_or_default();
            return Ok(from + self.state.look_through(rest, turn));
        }
    }

    /// Says why, as far as the version has words, and ends.
    fn leave(&mut self, exit: Exit, turn: &mut Turn<'_>) -> Ended {
        match exit {
            Exit::Goodbye => Ended::Goodbye,
            Exit::Close(reason, why) => {
                let mut words = PropertiesBuf::new();
                let _ = words.push(PropertyId::ReasonString, Value::Text(&why));
                // A client that takes no packet of five bytes is told nothing.
                let out = turn.output.buffer();
                let _ = self.machine.close_with(reason, words.properties(), out);
                Ended::Fault(why)
            }
        }
    }

    fn answer_auth(&mut self, reply: &Reply, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let mut properties = PropertiesBuf::new();
        if let Some(authentication) = &self.state.authentication {
            let name = authentication.method.name();
            let _ = properties.push(PropertyId::AuthMethod, Value::Text(name));
        }
        if !reply.data.is_empty() {
            let _ = properties.push(PropertyId::AuthData, Value::Binary(&reply.data));
        }
        let auth = Auth {
            reason: reply.reason,
            properties: properties.properties(),
        };
        let written = self.machine.put_auth(&auth, turn.output.buffer());
        written.map_err(|error| self.fault(error, turn))
    }

    /// CONNACK, and what was parked behind CONNECT.
    fn accept(&mut self, answer: &Answer, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let present = self.state.answer_connect(answer, turn.now);
        let present = present.map_err(|exit| self.leave(exit, turn))?;
        let properties = self.state.announcements();
        let accept = Accept {
            session_present: present,
            keep_alive_s: Some(self.state.keep_alive_s),
            properties: properties.properties(),
        };
        let out = turn.output.buffer();
        let accepted = self.machine.accept(turn.now.mono_ms, &accept, out);
        accepted.map_err(|error| Ended::Fault(error.to_string().into()))?;
        self.unpark(turn)
    }

    /// The client broke a rule: tells it, as far as its version has words.
    fn fault(&self, error: Error, turn: &mut Turn<'_>) -> Ended {
        self.machine.put_goodbye(error, turn.output.buffer());
        Ended::Fault(Cow::Owned(error.to_string()))
    }

    /// Handles what was parked.
    fn unpark(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        self.state.hold = Hold::No;
        let parked = self.state.parked.take();
        if !parked.is_empty() {
            self.parse(&parked, turn)?;
        }
        Ok(())
    }
}

impl State {
    fn handle(
        &mut self,
        event: Event<'_>,
        blocks: &mut Blocks<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Exit> {
        match event {
            Event::Publish(run) => return self.publish(&run, blocks, turn),
            Event::Acks(run) => self.acks(&run, turn),
            Event::Ping => put_ping_resp(turn.output.buffer()),
            Event::Subscribe(packet) => self.subscribe(&packet, turn),
            Event::Unsubscribe(packet) => self.unsubscribe(&packet, turn),
            Event::Connect(packet) => return self.connect(&packet, turn),
            Event::Disconnect(packet) => return self.disconnect(&packet, turn),
            Event::Auth(packet) => return self.auth(&packet, turn),
        }
        Ok(Flow::Go)
    }

    /// What was published before is still confirmed: the answer depends on no timing. The will
    /// stays unless the client left for no reason \[MQTT-3.14.4-3\].
    fn disconnect(&mut self, packet: &Disconnect<'_>, turn: &mut Turn<'_>) -> Result<Flow, Exit> {
        self.leaving = true;
        if let Some(asked_s) = packet.properties.integer(PropertyId::SessionExpiry) {
            let expiry_ms = self.granted_expiry(asked_s);
            turn.commands.push(Command::Expire { expiry_ms });
        }
        if packet.reason == reason::SUCCESS {
            turn.commands.push(Command::ForgetWill);
        }
        if self.unanswered == 0 {
            return Err(Exit::Goodbye);
        }
        let token = token(GOODBYE, 0);
        turn.commands.push(Command::Flush { token });
        Ok(Flow::Go)
    }
}

impl Frontend for Mqtt {
    fn handle_input(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Ended> {
        match self.state.hold {
            Hold::No => self.parse(input, turn),
            _ => Ok(self.state.look_through(input, turn)),
        }
    }

    fn needed(&self) -> usize {
        if self.state.hold == Hold::No {
            self.machine.needed()
        } else {
            0
        }
    }

    fn handle_answer(
        &mut self,
        token: Token,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let value = token.0 & ((1 << 56) - 1);
        let done = match token.0 >> 56 {
            PUBLISH => self.state.answer_publish(value, &answer, turn),
            CONNECT => return self.accept(&answer, turn),
            RELEASE => Ok(self
                .state
                .answer_known(AckKind::PubComp, value, &answer, turn)),
            RECEIVED => {
                self.state
                    .answer_known(AckKind::PubRel, value, &answer, turn);
                Ok(0)
            }
            GOODBYE => Err(Exit::Goodbye),
            _ => self.state.answer_request(answer, turn).map(|()| 0),
        };
        match done {
            Ok(done) => {
                self.machine.acknowledged(done);
                Ok(())
            }
            Err(exit) => Err(self.leave(exit, turn)),
        }
    }

    fn handle_delivery(&mut self, outgoing: &Outgoing, turn: &mut Turn<'_>) {
        if !self.state.leaving {
            self.state.deliver(outgoing, turn);
        }
    }

    fn handle_consumer_ended(
        &mut self,
        _consumer: ConsumerKey,
        _why: ConsumerEnd,
        _turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        Ok(()) // A session outlives the queues it competes for; MQTT has no word for it.
    }

    fn handle_written(&mut self, turn: &mut Turn<'_>) {
        self.state.deliveries.written(turn.output, turn.commands);
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        match self.machine.handle_timeout(turn.now.mono_ms) {
            Ok(()) => {
                self.state.refresh_own(turn);
                Ok(())
            }
            Err(error) => {
                self.machine.put_goodbye(error, turn.output.buffer());
                Err(Ended::Silent)
            }
        }
    }

    fn poll_timeout(&self) -> Option<u64> {
        // The connection loop watches over the time until CONNECT.
        let machine = self.machine.poll_timeout().filter(|_| self.state.connected);
        let sys = self.state.sys.poll_timeout();
        machine.into_iter().chain(sys).min()
    }

    fn handle_end(&mut self, why: End, turn: &mut Turn<'_>) {
        let mut properties = PropertiesBuf::new();
        let reference = self.state.options.server_reference.as_deref();
        let reason = match (why, reference) {
            (End::Stopping, Some(server)) => {
                let _ = properties.push(PropertyId::ServerReference, Value::Text(server));
                reason::USE_ANOTHER_SERVER
            }
            (End::ConnectTimeout, _) => return self.machine.close(),
            // What CONNACK has no code for.
            _ if !self.state.connected => reason::SERVER_UNAVAILABLE,
            (End::Stopping, None) => reason::SHUTTING_DOWN,
            (End::TakenOver, _) => reason::TAKEN_OVER,
        };
        let words = match why {
            End::TakenOver => "another connection has taken the session over",
            End::Stopping | End::ConnectTimeout => "the server is stopping",
        };
        let _ = properties.push(PropertyId::ReasonString, Value::Text(words));
        let (properties, out) = (properties.properties(), turn.output.buffer());
        // Not for a client that takes no packet of this size.
        let _ = self.machine.close_with(reason, properties, out);
    }

    fn close(&mut self, parting: Parting) -> Close {
        Close {
            polite: parting == Parting::Polite || self.state.leaving,
            written: self.state.deliveries.last_written().into_iter().collect(),
        }
    }

    fn is_connected(&self) -> bool {
        self.state.connected
    }

    fn wants_input(&self) -> bool {
        let most = self.state.options.read_ahead_bytes;
        !self.state.leaving && self.state.parked.has_space(most)
    }

    fn parked(&self) -> bool {
        self.state.hold == Hold::Budget
    }

    fn resume(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        if self.state.hold == Hold::Budget {
            self.unpark(turn)
        } else {
            Ok(())
        }
    }

    fn refuse_parked(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        if self.state.version < Version::V5 {
            // A publish cannot be refused but by the end of the connection.
            return Err(Ended::Fault(
                "no memory for a publish within the block timeout".into(),
            ));
        }
        self.state.refuse_next = true;
        self.unpark(turn)
    }
}

/// Answers in the order of the requests they belong to.
type Fifo<T> = VecDeque<T>;
