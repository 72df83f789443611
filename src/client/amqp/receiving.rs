//! Links on which messages are received.

use std::collections::BTreeMap;

use ternmq_amqp::types::{Symbols, put_symbol};
use ternmq_amqp::{
    Arrival, Attach, Connection, DeliveryState, LinkId, Outcome, ReceiverSettles, Role,
    SenderSettles, SessionId, Source, Target, Terminus,
};

use super::message::decode;
use super::options::{NodeKind, Subscription};
use crate::client::{ClientError, Event, QoS, Refusal, WINDOW};

/// The links of a subscription.
#[derive(Debug)]
pub(super) struct Receiving {
    session: SessionId,
    links: BTreeMap<LinkId, Arriving>,
    /// The server's answer to each node asked for.
    answers: Vec<Option<Result<u8, Refusal>>>,
    /// The answers have been told.
    is_told: bool,
    settled: bool,
    /// Messages that may still come; `None` is any number.
    wanted: Option<u64>,
    /// Deliveries taken over, which the server has not been told.
    taken: Option<(u32, u32)>,
}

/// One link.
#[derive(Debug)]
struct Arriving {
    address: String,
    /// Which of the nodes asked for it is.
    place: usize,
    /// The message that is arriving.
    bytes: Vec<u8>,
}

impl Receiving {
    /// Attaches a link to each node.
    pub(super) fn attach(
        machine: &mut Connection,
        session: SessionId,
        subscription: &Subscription,
        out: &mut Vec<u8>,
    ) -> Result<Self, ClientError> {
        let mut links = BTreeMap::new();
        for (place, node) in subscription.nodes.iter().enumerate() {
            let encoded = capabilities(node.kind);
            let source = Source {
                address: Some(&node.address),
                capabilities: encoded.symbols(),
                ..Source::default()
            };
            let name = format!("{place} {}", node.address);
            let attach = Attach {
                sender_settles: if subscription.settled {
                    SenderSettles::Settled
                } else {
                    SenderSettles::Unsettled
                },
                receiver_settles: ReceiverSettles::First,
                source: Some(source),
                target: Some(Terminus::Target(Target::default())),
                ..Attach::new(&name, 0, Role::Receiver)
            };
            let link = machine.new_link(session, &attach, out)?;
            let arriving = Arriving {
                address: node.address.clone(),
                place,
                bytes: Vec::new(),
            };
            links.insert(link, arriving);
        }
        Ok(Self {
            session,
            links,
            answers: vec![None; subscription.nodes.len()],
            is_told: false,
            settled: subscription.settled,
            wanted: subscription.wanted,
            taken: None,
        })
    }

    /// The address of a link.
    pub(super) fn address(&self, link: LinkId) -> Option<&str> {
        Some(&self.links.get(&link)?.address)
    }

    /// The server has attached a link, or refused it.
    pub(super) fn answer(
        &mut self,
        machine: &mut Connection,
        link: LinkId,
        answer: Result<(), Refusal>,
        out: &mut Vec<u8>,
    ) -> Option<Event> {
        let place = self.links.get(&link)?.place;
        if answer.is_ok() {
            self.grant(machine, link, out);
        }
        let qos = if self.settled { 0 } else { 1 };
        let known = self.answers.get_mut(place)?;
        *known = Some(answer.map(|()| qos));
        if self.is_told || self.answers.iter().any(Option::is_none) {
            return None;
        }
        self.is_told = true;
        let answers = self.answers.iter().flatten();
        Some(Event::Subscribed(answers.cloned().collect()))
    }

    /// Whether a link has had no answer yet.
    pub(super) fn is_awaited(&self, link: LinkId) -> bool {
        let place = self.links.get(&link).map(|arriving| arriving.place);
        let answer = place.and_then(|place| self.answers.get(place));
        answer.is_some_and(Option::is_none)
    }

    /// Credit for what is wanted, and for a window of it at most.
    fn grant(&self, machine: &mut Connection, link: LinkId, out: &mut Vec<u8>) {
        let window = u32::from(WINDOW);
        match self.wanted.map(u32::try_from) {
            Some(Ok(wanted)) if wanted <= window => {
                if machine.credit(link).0 == 0 {
                    machine.set_credit(link, wanted, out);
                }
                // From here on it is not filled up.
                machine.set_credit(link, 0, out);
            }
            _ => machine.set_credit(link, window, out),
        }
    }

    /// A part of a message; the message if it was the last.
    pub(super) fn take(
        &mut self,
        machine: &mut Connection,
        part: &Arrival<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Event> {
        let arriving = self.links.get_mut(&part.link)?;
        if part.first || part.aborted {
            arriving.bytes.clear();
        }
        arriving.bytes.extend_from_slice(part.payload);
        if part.more || part.aborted {
            return None;
        }
        let bytes = std::mem::take(&mut arriving.bytes);
        let qos = if part.settled {
            QoS::AtMostOnce
        } else {
            QoS::AtLeastOnce
        };
        let message = decode(&bytes, &arriving.address, qos);
        self.wanted = self.wanted.map(|wanted| wanted.saturating_sub(1));
        self.grant(machine, part.link, out);
        let id = (!part.settled).then_some(part.delivery);
        Some(Event::Message(Box::new(message), id))
    }

    /// A message has been taken over.
    pub(super) fn acknowledge(&mut self, machine: &mut Connection, id: u32, out: &mut Vec<u8>) {
        match &mut self.taken {
            Some((_, last)) if last.wrapping_add(1) == id => *last = id,
            _ => {
                self.flush(machine, out);
                self.taken = Some((id, id));
            }
        }
    }

    /// Tells the server what has been taken over.
    pub(super) fn flush(&mut self, machine: &mut Connection, out: &mut Vec<u8>) {
        if let Some(range) = self.taken.take() {
            let accepted = DeliveryState::Outcome(Outcome::Accepted);
            machine.settle_received(self.session, range, accepted, true, out);
        }
    }
}

/// The capabilities that ask for a kind of node, encoded.
pub(super) struct Capabilities(Vec<u8>);

pub(super) fn capabilities(kind: Option<NodeKind>) -> Capabilities {
    let mut encoded = Vec::new();
    if let Some(kind) = kind {
        put_symbol(&mut encoded, kind.capability());
    }
    Capabilities(encoded)
}

impl Capabilities {
    pub(super) fn symbols(&self) -> Symbols<'_> {
        Symbols::decode(&self.0).unwrap_or_default()
    }
}
