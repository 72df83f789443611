//! A link on which messages are sent, and what became of them.

use std::collections::BTreeMap;

use ternmq_amqp::{
    Attach, Connection, DeliveryState, Error, LinkId, Outgoing, ReceiverSettles, Role,
    SenderSettles, Sent, SessionId, Settled, Source, Target, Terminus,
};

use super::message::encode;
use super::options::{Condition, Node};
use super::receiving::capabilities;
use crate::client::{ClientError, Event, Message, Refusal, Verdict, WINDOW, WINDOW_BYTES};

/// One link, and the messages on it that wait for their outcome.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) link: LinkId,
    pub(super) address: String,
    /// The server has attached its end, with a target.
    pub(super) is_attached: bool,
    settled: bool,
    next_tag: u64,
    /// The message whose last transfer is to come.
    part: Option<Part>,
    /// Size of each message that waits for its outcome, by delivery id.
    unconfirmed: BTreeMap<u32, usize>,
    unconfirmed_bytes: usize,
}

/// What is left of a message.
#[derive(Debug)]
struct Part {
    bytes: Vec<u8>,
    /// So much of it is sent.
    at: usize,
}

impl Sending {
    /// Attaches a link to `node`; `settled` if the client wants to hear of no outcome.
    pub(super) fn attach(
        machine: &mut Connection,
        session: SessionId,
        node: &Node,
        settled: bool,
        out: &mut Vec<u8>,
    ) -> Result<Self, ClientError> {
        let encoded = capabilities(node.kind);
        let target = Target {
            address: Some(&node.address),
            capabilities: encoded.symbols(),
            ..Target::default()
        };
        let attach = Attach {
            sender_settles: if settled {
                SenderSettles::Settled
            } else {
                SenderSettles::Unsettled
            },
            receiver_settles: ReceiverSettles::First,
            source: Some(Source::default()),
            target: Some(Terminus::Target(target)),
            ..Attach::new(&node.address, 0, Role::Sender)
        };
        let link = machine.new_link(session, &attach, out)?;
        Ok(Self {
            link,
            address: node.address.clone(),
            is_attached: false,
            settled,
            next_tag: 0,
            part: None,
            unconfirmed: BTreeMap::new(),
            unconfirmed_bytes: 0,
        })
    }

    /// Whether the server, the session and the window take one more message.
    pub(super) fn has_room(&self, machine: &Connection) -> bool {
        let (credit, window) = machine.credit(self.link);
        self.is_attached
            && self.part.is_none()
            && (credit > 0 && window > 0)
            && self.unconfirmed.len() < usize::from(WINDOW)
            && self.unconfirmed_bytes < WINDOW_BYTES
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Whether nothing of a message is left to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.part.is_none()
    }

    /// Begins to send a message; its delivery id if an outcome will follow.
    pub(super) fn publish(
        &mut self,
        machine: &mut Connection,
        message: &Message,
        out: &mut Vec<u8>,
    ) -> Result<Option<u32>, ClientError> {
        let bytes = encode(message);
        let largest = machine.max_message_size(self.link);
        if largest > 0 && bytes.len() as u64 > largest {
            return Err(ClientError::TooLarge(largest));
        }
        let outgoing = Outgoing {
            tag: self.next_tag,
            settled: self.settled,
            format: 0,
        };
        let n = bytes.len().min(machine.payload_room());
        let sent = machine.transfer(self.link, outgoing, (n, n < bytes.len()), out);
        let Sent::Begun { delivery } = sent else {
            return Err(Error::TransferLimit("T 2.6.7").into());
        };
        self.next_tag += 1;
        out.extend_from_slice(bytes.get(..n).unwrap_or_default());
        if !self.settled {
            self.unconfirmed.insert(delivery, bytes.len());
            self.unconfirmed_bytes += bytes.len();
        }
        self.part = (n < bytes.len()).then_some(Part { bytes, at: n });
        Ok((!self.settled).then_some(delivery))
    }

    /// Sends more of a message that was begun, until `out` has `limit` bytes.
    pub(super) fn go_on(&mut self, machine: &mut Connection, limit: usize, out: &mut Vec<u8>) {
        let room = machine.payload_room();
        while let Some(part) = &mut self.part
            && out.len() < limit
        {
            let rest = part.bytes.get(part.at..).unwrap_or_default();
            let n = rest.len().min(room);
            if !machine.go_on(self.link, (n, n < rest.len()), out) {
                return;
            }
            out.extend_from_slice(rest.get(..n).unwrap_or_default());
            part.at += n;
            if part.at >= part.bytes.len() {
                self.part = None;
            }
        }
    }

    /// The server says what became of some messages.
    pub(super) fn take(
        &mut self,
        machine: &mut Connection,
        settled: &Settled<'_>,
        out: &mut Vec<u8>,
        events: &mut impl Extend<Event>,
    ) {
        let refusal = match settled.state {
            Some(DeliveryState::Outcome(outcome)) => Condition::of_outcome(outcome),
            None if settled.settled => Some(Condition::of(None, "settled without an outcome")),
            _ => return,
        };
        let verdict = match refusal {
            Some(condition) => Verdict::Refused(Refusal::Amqp(condition)),
            None => Verdict::Taken,
        };
        let last = settled.first.wrapping_add(settled.n.saturating_sub(1));
        if !settled.settled {
            let session = settled.link.session;
            machine.settle_sent(session, (settled.first, last), None, out);
        }
        for n in 0..settled.n {
            let id = settled.first.wrapping_add(n);
            if let Some(bytes) = self.unconfirmed.remove(&id) {
                self.unconfirmed_bytes -= bytes;
                events.extend([Event::Published(id, verdict.clone())]);
            }
        }
    }
}
