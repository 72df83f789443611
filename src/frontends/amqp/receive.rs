//! Transfers of producers to whole messages. What finds no memory waits with all that follows (law
//! L20), while settlements and credit behind it are handled.

use std::collections::VecDeque;

use ternmq_amqp::{Arrival, DeliveryState, Fault, LinkId, Outcome, ReceiverSettles};
use ternmq_core::error::Refusal;

use super::confirm::Accepted;
use super::gather::Gathering;
use super::refuse::{RESOURCE_LIMIT, refusal};
use super::{Amqp, AmqpOptions};
use crate::frontends::Turn;

/// What a message that waits counts besides its bytes.
const PARKED_BYTES: usize = 128;

/// What came of the peer and is not a command yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) gathering: Option<Box<Gathering>>,
    parked: VecDeque<Parked>,
    parked_bytes: usize,
    /// Bytes asked for in vain: what was set aside fits them.
    pub(super) wanted: Option<usize>,
    /// Bytes of deliveries whose last part is to come, of all links.
    partial_bytes: usize,
    /// Bytes of input that are not handled yet: what may follow a message in its run.
    pub(super) rest: usize,
    /// What the unfinished frame at the front of the input wants.
    pub(super) needed: usize,
}

/// A delivery whose last part is to come.
#[derive(Debug, Default)]
pub(super) struct Partial {
    bytes: Vec<u8>,
}

/// Which delivery a message is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) link: LinkId,
    pub(super) key: u32,
    delivery: u32,
    pub(super) format: u32,
    /// Its sender will not hear of it.
    pub(super) settled: bool,
    /// Its sender settles first.
    second: bool,
    /// It belongs to a transaction.
    pub(super) transactional: bool,
}

/// A message that waits for memory.
#[derive(Debug)]
struct Parked {
    mark: Mark,
    payload: Box<[u8]>,
}

impl Mark {
    fn new(arrival: &Arrival<'_>, key: u32) -> Self {
        Self {
            link: arrival.link,
            key,
            delivery: arrival.delivery,
            format: arrival.format,
            settled: arrival.settled,
            second: arrival.receiver_settles == ReceiverSettles::Second,
            transactional: matches!(arrival.state, Some(DeliveryState::Transactional { .. })),
        }
    }

    pub(super) fn accepted(self) -> Accepted {
        Accepted {
            session: self.link.session,
            first: self.delivery,
            last: self.delivery,
            settled: !self.second,
        }
    }
}

impl Inbox {
    pub(super) fn is_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Whether more may be kept.
    pub(super) fn takes(&self, options: &AmqpOptions) -> bool {
        self.parked_bytes < options.read_ahead_bytes.max(1)
    }

    /// A delivery is not to be completed.
    pub(super) fn forget(&mut self, partial: Option<&Partial>) {
        let bytes = partial.map_or(0, |partial| partial.bytes.len());
        self.partial_bytes -= bytes;
    }

    fn park(&mut self, mark: Mark, payload: &[u8]) {
        self.parked_bytes += payload.len() + PARKED_BYTES;
        self.parked.push_back(Parked {
            mark,
            payload: payload.into(),
        });
    }

    fn unpark(&mut self) -> Option<Parked> {
        let parked = self.parked.pop_front()?;
        self.parked_bytes -= parked.payload.len() + PARKED_BYTES;
        if self.parked.is_empty() {
            self.parked = VecDeque::new();
        }
        Some(parked)
    }
}

impl Amqp {
    /// A part of a delivery, mostly the whole.
    pub(super) fn receive(&mut self, arrival: &Arrival<'_>, turn: &mut Turn<'_>) {
        let Some((key, producer)) = self.links.producer(arrival.link) else {
            return;
        };
        if arrival.aborted {
            let partial = producer.partial.take();
            return self.inbox.forget(partial.as_ref());
        }
        let mark = Mark::new(arrival, key);
        if !arrival.more && producer.partial.is_none() {
            return self.take(mark, arrival.payload, turn);
        }
        // As much as one message of the largest size, and what else is usual beside it.
        let most = 2 * self.options.max_message_bytes;
        let bytes = self.inbox.partial_bytes + arrival.payload.len();
        if bytes > most {
            let words = "too many unfinished deliveries of this connection";
            let fault = Fault::new(RESOURCE_LIMIT, words);
            return self.end_link(arrival.link, fault, turn);
        }
        self.inbox.partial_bytes = bytes;
        let partial = producer.partial.get_or_insert_with(Partial::default);
        partial.bytes.extend_from_slice(arrival.payload);
        if arrival.more {
            return;
        }
        if let Some(partial) = producer.partial.take() {
            self.inbox.forget(Some(&partial));
            self.take(mark, &partial.bytes, turn);
        }
    }

    /// A whole message.
    fn take(&mut self, mark: Mark, payload: &[u8], turn: &mut Turn<'_>) {
        if self.inbox.is_parked() || self.gather(mark, payload, turn).is_err() {
            self.inbox.park(mark, payload);
        }
    }

    /// Handles what waits, as far as memory reaches.
    pub(super) fn unpark(&mut self, turn: &mut Turn<'_>) {
        while let Some(Parked { mark, payload }) = self.inbox.unpark() {
            if self.gather(mark, &payload, turn).is_err() {
                self.inbox.parked_bytes += payload.len() + PARKED_BYTES;
                self.inbox.parked.push_front(Parked { mark, payload });
                return;
            }
        }
    }

    /// Memory did not come in time.
    pub(super) fn refuse_first_parked(&mut self, turn: &mut Turn<'_>) {
        self.inbox.wanted = None;
        if let Some(Parked { mark, .. }) = self.inbox.unpark() {
            let mut words = String::new();
            let fault = refusal(Refusal::AddressFull, &mut words);
            self.reject(mark, fault, turn);
        }
    }

    /// Refuses a message that does not become a publish.
    pub(super) fn reject(&mut self, mark: Mark, fault: Fault<'_>, turn: &mut Turn<'_>) {
        let producer = self.links.producer(mark.link);
        let told =
            producer.is_some_and(|(key, producer)| key == mark.key && producer.takes_rejected);
        if told && !mark.settled {
            let state = DeliveryState::Outcome(Outcome::Rejected(Some(fault)));
            self.tell(mark.accepted(), state, turn);
        } else if self.links.id_of(mark.key) == Some(mark.link) {
            self.end_link(mark.link, fault, turn);
        }
    }
}
