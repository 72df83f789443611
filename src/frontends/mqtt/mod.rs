//! MQTT 3.1 and 3.1.1: packets to commands, answers and deliveries to packets.
//!
//! One session of the core per client id; its lane's tags become packet ids. A message keeps the
//! PUBLISH packet it came in as its encoded original ([`FORMAT`]), so most deliveries are copies
//! with another packet id. Not yet: QoS 2, wills, shared subscriptions and MQTT 5.0.

mod blocks;
mod connect;
mod deliver;
mod hold;
mod publish;
mod subscribe;
#[cfg(test)]
mod tests;
mod topics;
mod view;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use ternmq_core::command::{Close, Command};
use ternmq_core::effect::Answer;
use ternmq_core::ids::{ConsumerKey, Token};
use ternmq_core::message::Format;
use ternmq_mqtt::{
    Accept, AckKind, Connection, Error, Event, Limits, Sender, Terms, Version, put_acks,
    put_ping_resp,
};

use super::{End, Ended, Frontend, Parting, Turn};
use crate::engine::Outgoing;

use blocks::Blocks;
use deliver::Deliveries;
use hold::{Hold, Parked};
use subscribe::Requests;
use topics::Topics;

pub use view::{read, read_v5};

/// The encoded original of a message of MQTT 3.1 and 3.1.1: its PUBLISH packet as on the wire.
pub const FORMAT: Format = Format(1);
/// The same of MQTT 5.0, property block included.
pub const FORMAT_V5: Format = Format(4);

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct MqttOptions {
    /// Largest packet, in bytes.
    pub max_packet_bytes: usize,
    /// Unsettled deliveries of a session.
    pub max_inflight: u16,
    /// Longest life of a session without connection; `None` is for ever.
    pub session_expiry_ms: Option<u64>,
    /// Longest keep-alive, in seconds.
    pub max_keep_alive_s: Option<u16>,
    /// A PUBLISH may ask to be retained.
    pub retain_available: bool,
    /// Longest topic or filter in its canonical form, in bytes.
    pub max_name_bytes: usize,
    /// Bytes kept of a client while its publish waits for memory.
    pub read_ahead_bytes: usize,
}

impl MqttOptions {
    fn limits(&self) -> Limits {
        Limits {
            max_packet_size: self.max_packet_bytes,
            ..Limits::default()
        }
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
    /// QoS 1 messages taken and not confirmed yet.
    unanswered: u32,
    /// DISCONNECT has come.
    leaving: bool,
}

/// What to do after an event.
enum Flow {
    Go,
    /// Everything behind CONNECT waits.
    Connecting,
    /// What begins here in the input waits for memory, and everything behind it.
    Park(usize),
}

/// The kinds of command that are answered, in the top byte of a token.
const PUBLISH: u64 = 1;
const CONNECT: u64 = 2;
const REQUEST: u64 = 3;
const GOODBYE: u64 = 4;

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
            topics: Topics::new(options.max_name_bytes),
            options,
            version: Version::V311,
            keep_alive_s: 0,
            connected: false,
            hold: Hold::No,
            parked: Parked::default(),
            requests: Requests::default(),
            deliveries: Deliveries::default(),
            unanswered: 0,
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
            let (hold, from) = match self.state.handle(event, &mut blocks, turn)? {
                Flow::Go => continue,
                Flow::Connecting => (Hold::Connecting, at),
                Flow::Park(from) => (Hold::Budget, from),
            };
            self.state.hold = hold;
            let rest = input.get(from..).unwrap_or_default();
            return Ok(from + self.state.look_through(rest, turn));
        }
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
    ) -> Result<Flow, Ended> {
        match event {
            Event::Publish(run) => return self.publish(&run, blocks, turn),
            Event::Acks(run) => self.settle(&run, turn),
            Event::Ping => put_ping_resp(turn.output.buffer()),
            Event::Subscribe(packet) => self.subscribe(&packet, turn)?,
            Event::Unsubscribe(packet) => self.unsubscribe(&packet, turn)?,
            Event::Connect(packet) => return self.connect(&packet, turn),
            Event::Disconnect(_) => return self.disconnect(turn),
            Event::Auth(_) => return Err(Ended::Fault("AUTH is not served yet".into())),
        }
        Ok(Flow::Go)
    }

    /// What was published before is still confirmed: the answer depends on no timing.
    fn disconnect(&mut self, turn: &mut Turn<'_>) -> Result<Flow, Ended> {
        self.leaving = true;
        if self.unanswered == 0 {
            return Err(Ended::Goodbye);
        }
        let token = token(GOODBYE, 0);
        turn.commands.push(Command::Flush { token });
        Ok(Flow::Go)
    }

    fn answer_publish(
        &mut self,
        value: u64,
        answer: &Answer,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        match answer {
            Answer::Refused(why) => Err(Ended::Fault(format!("publish refused: {why}").into())),
            _ => {
                let (first, count) = ((value & 0xffff) as u16, (value >> 16) as usize);
                self.unanswered = self.unanswered.saturating_sub((value >> 16) as u32);
                put_acks(turn.output.buffer(), AckKind::PubAck, first, count);
                Ok(())
            }
        }
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
        match token.0 >> 56 {
            PUBLISH => self.state.answer_publish(value, &answer, turn),
            CONNECT => {
                let accept = Accept {
                    session_present: self.state.answer_connect(&answer, turn)?,
                    keep_alive_s: Some(self.state.keep_alive_s),
                    ..Accept::default()
                };
                let accepted = self
                    .machine
                    .accept(turn.now.mono_ms, &accept, turn.output.buffer());
                accepted.map_err(|error| Ended::Fault(error.to_string().into()))?;
                self.unpark(turn)
            }
            GOODBYE => Err(Ended::Goodbye),
            _ => self.state.answer_request(answer, turn),
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
        _turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        Ok(()) // A session outlives the queues it competes for; MQTT has no word for it.
    }

    fn handle_written(&mut self, turn: &mut Turn<'_>) {
        self.state.deliveries.written(turn.output, turn.commands);
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        match self.machine.handle_timeout(turn.now.mono_ms) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.machine.put_goodbye(error, turn.output.buffer());
                Err(Ended::Silent)
            }
        }
    }

    fn poll_timeout(&self) -> Option<u64> {
        // The connection loop watches over the time until CONNECT.
        self.machine.poll_timeout().filter(|_| self.state.connected)
    }

    fn handle_end(&mut self, _why: End, _turn: &mut Turn<'_>) {
        self.machine.close(); // Before MQTT 5.0 a server has no last words.
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

    fn refuse_parked(&mut self, _turn: &mut Turn<'_>) -> Result<(), Ended> {
        // Before MQTT 5.0 a publish cannot be refused but by the end of the connection.
        Err(Ended::Fault(
            "no memory for a publish within the block timeout".into(),
        ))
    }
}

/// Answers in the order of the requests they belong to.
type Fifo<T> = VecDeque<T>;
