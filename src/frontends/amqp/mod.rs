//! AMQP 1.0: links to producers and consumers of the broker, answers and deliveries to frames.
//!
//! A link on which the peer sends is a producer (`target`, `receive`, `confirm`), one on which it
//! receives a consumer with a lane of its own (`source`, `deliver`, `settle`). The machine lends
//! nothing: events are slices of the input, so front-end and machine are one struct. A message keeps
//! the bytes in which it came, without header and delivery annotations ([`FORMAT`]). Not yet:
//! transactions and delayed delivery, which are refused in the words of the specification, and
//! selectors, which are left out of what a link is told of its source.

mod address;
mod annotations;
mod attach;
mod confirm;
mod connect;
mod consume;
mod consumer;
mod containers;
mod deliver;
mod encode;
mod json;
mod links;
mod message;
mod options;
mod receive;
mod refuse;
mod render;
#[cfg(test)]
mod samples;
mod scalar;
mod settle;
mod source;
mod subscription;
mod target;
mod temporary;
#[cfg(test)]
mod tests;
mod view;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use ternmq_amqp::{Connection, Error, Event, Fault, LinkId, Role, SessionId};
use ternmq_core::command::Close;
use ternmq_core::effect::{Answer, ConsumerEnd};
use ternmq_core::ids::{ConsumerKey, Token};

use super::{End, Ended, Frontend, Parting, Turn};
use crate::engine::Outgoing;

use confirm::{Accepted, Expected};
use connect::Sasl;
use containers::Claim;
use deliver::Outbound;
use links::{Link, Links};
use receive::Inbox;

pub use address::Names;
pub use containers::Containers;
pub use message::{FORMAT, FORMAT_FOREIGN, FORMAT_MQTT_NAMES};
pub use options::{AmqpOptions, Mechanisms};
pub use view::{read, read_foreign, read_mqtt_names};

/// The front-end of one connection.
pub struct Amqp {
    options: Arc<AmqpOptions>,
    machine: Connection,
    sasl: Sasl,
    /// Names this connection in temporary addresses.
    name: Box<str>,
    /// Who the peer is, and its claim to be the only one of that name.
    container: Box<str>,
    claim: Option<Claim>,
    /// Nothing that still comes counts.
    leaving: bool,
    links: Links,
    /// Links that the peer has closed and that are answered when their subscription is gone, by the
    /// keys they had.
    closing: BTreeMap<LinkId, u32>,
    /// What the answers to come are for.
    expected: Expected,
    /// Deliveries of the peer that are accepted and not told so yet.
    accepted: Option<Accepted>,
    inbox: Inbox,
    outbound: Outbound,
    /// Nodes made so far.
    temporaries: u64,
}

impl Amqp {
    /// A front-end that waits for a protocol header.
    #[must_use]
    pub fn new(options: Arc<AmqpOptions>) -> Self {
        let machine = Connection::server(options.limits(), options.sasl_offer(), 0);
        Self {
            options,
            machine,
            sasl: Sasl::default(),
            name: Box::default(),
            container: Box::default(),
            claim: None,
            leaving: false,
            links: Links::default(),
            closing: BTreeMap::new(),
            expected: Expected::default(),
            accepted: None,
            inbox: Inbox::default(),
            outbound: Outbound::default(),
            temporaries: 0,
        }
    }

    fn handle(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Ended> {
        match event {
            Event::SaslInit {
                mechanism,
                response,
                ..
            } => return self.sasl_init(mechanism, response, turn),
            Event::SaslResponse(response) => return self.sasl_response(response, turn),
            Event::Open(open) => return self.open(&open, turn),
            Event::Attach(link, attach) => self.attach(link, &attach, turn),
            Event::Transfer(arrival) => self.receive(&arrival, turn),
            Event::Credit {
                link,
                credit,
                drain,
            } => self.credit(link, credit, drain, turn),
            Event::Settled(settled) if settled.role == Role::Receiver => {
                self.settled(&settled, turn);
            }
            Event::Detach { link, closed, .. } => self.detached(link, closed, turn),
            Event::LinkFailed(link, _) => self.detached(link, false, turn),
            Event::End(session, _) | Event::SessionFailed(session, _) => {
                self.ended(session, turn);
            }
            Event::Close(_) => {
                self.seal(turn);
                // Who has heard our close may come again at once.
                self.claim = None;
                return Err(Ended::Goodbye);
            }
            // The others are of the client's side, or want nothing of us: a sender that settles what
            // we have said of its deliveries, a session that has begun. What a wider window is good
            // for is sent when all is handled.
            _ => {}
        }
        Ok(())
    }

    /// A link is gone, by the peer or by the machine; `closed` for good.
    fn detached(&mut self, id: LinkId, closed: bool, turn: &mut Turn<'_>) {
        // What was sent on it before counts.
        self.seal(turn);
        match self.links.remove(id) {
            Some((_, Link::Producer(producer))) => self.end_producer(producer, turn),
            Some((key, Link::Consumer(consumer))) => {
                self.end_consumer((id, key), *consumer, closed, turn);
            }
            None => {}
        }
    }

    /// A session is gone with all its links, which are suspended.
    fn ended(&mut self, session: SessionId, turn: &mut Turn<'_>) {
        self.closing.retain(|id, _| id.session != session);
        for id in self.links.of_session(session) {
            self.detached(id, false, turn);
        }
    }

    /// Ends a link for a fault that is not the machine's to find.
    fn end_link(&mut self, id: LinkId, fault: Fault<'_>, turn: &mut Turn<'_>) {
        let out = turn.output.buffer();
        self.machine.detach(id, true, Some(fault), out);
        self.detached(id, false, turn);
    }

    fn failed(&mut self, error: Error) -> Ended {
        self.leaving = true;
        match error {
            Error::Idle => Ended::Silent,
            error => Ended::Fault(error.to_string().into()),
        }
    }
}

impl Frontend for Amqp {
    fn handle_input(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Ended> {
        let mut at = 0;
        while !self.leaving {
            let now = turn.now.mono_ms;
            self.inbox.rest = input.len() - at;
            let out = turn.output.buffer();
            match self.machine.poll_event(now, input, &mut at, out) {
                None => break,
                Some(Ok(event)) => self.handle(event, turn)?,
                Some(Err(error)) => {
                    self.seal(turn);
                    return Err(self.failed(error));
                }
            }
        }
        self.seal(turn);
        self.send_waiting(turn);
        let rest = input.get(at..).unwrap_or_default();
        self.inbox.needed = self.machine.needed(rest);
        Ok(if self.leaving { input.len() } else { at })
    }

    fn needed(&self) -> usize {
        self.inbox.needed
    }

    fn handle_answer(
        &mut self,
        token: Token,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        self.answer(token, answer, turn);
        Ok(())
    }

    fn handle_answers_end(&mut self, turn: &mut Turn<'_>) {
        self.tell_accepted(turn);
    }

    fn handle_delivery(&mut self, outgoing: &Outgoing, turn: &mut Turn<'_>) {
        // What comes after the goodbye goes back to its queue with the end of the connection.
        if !self.leaving {
            self.deliver(outgoing, turn);
        }
    }

    fn handle_consumer_ended(
        &mut self,
        consumer: ConsumerKey,
        why: ConsumerEnd,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        if let Some(id) = self.links.id_of(consumer.0) {
            let fault = refuse::consumer_end(why);
            self.machine
                .detach(id, true, Some(fault), turn.output.buffer());
            // The core has closed it already.
            if let Some((_, Link::Consumer(consumer))) = self.links.remove(id) {
                self.drop_consumer(*consumer, turn);
            }
        }
        Ok(())
    }

    fn handle_written(&mut self, turn: &mut Turn<'_>) {
        self.machine.note_said(turn.now.mono_ms);
        self.written(turn);
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let (now, out) = (turn.now.mono_ms, turn.output.buffer());
        let due = self.machine.handle_timeout(now, out);
        due.map_err(|error| self.failed(error))
    }

    fn poll_timeout(&self) -> Option<u64> {
        // The connection loop watches over the time until the open.
        let connected = self.is_connected();
        self.machine.poll_timeout().filter(|_| connected)
    }

    fn handle_end(&mut self, why: End, turn: &mut Turn<'_>) {
        let fault = refuse::end(why);
        let out = turn.output.buffer();
        self.machine.close(turn.now.mono_ms, Some(fault), out);
        self.leaving = true;
    }

    fn close(&mut self, parting: Parting) -> Close {
        Close {
            polite: parting == Parting::Polite,
            written: self.links.written().collect(),
        }
    }

    fn is_connected(&self) -> bool {
        self.machine.is_open() || self.leaving
    }

    fn wants_input(&self) -> bool {
        !self.leaving && !self.expected.is_full() && self.inbox.takes(&self.options)
    }

    fn parked(&self) -> bool {
        self.inbox.is_parked()
    }

    fn resume(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        self.machine.forgive_silence(turn.now.mono_ms);
        self.unpark(turn);
        self.seal(turn);
        self.send_waiting(turn);
        Ok(())
    }

    fn refuse_parked(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        self.refuse_first_parked(turn);
        self.unpark(turn);
        self.seal(turn);
        self.send_waiting(turn);
        Ok(())
    }
}
