//! Whole messages to publishes: consecutive ones that go the same way become one run, copied once
//! into one block, and what became of them is told in ranges.

use std::sync::Arc;

use ternmq_amqp::{DeliveryState, Fault, LinkId, Outcome};
use ternmq_core::command::{Command, Publish, Retain};
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_core::message::{Assurance, Envelope, Format, Run};

use super::Amqp;
use super::confirm::{Accepted, Expect};
use super::message::{Incoming, Rejection, incoming};
use super::receive::Mark;
use super::refuse::{NOT_FOUND, refusal};
use super::target::Place;
use crate::engine::Charge;
use crate::frontends::Turn;

/// Bytes of a run that is gathered; one larger message is a run of its own.
const RUN_BYTES: usize = 64 << 10;

/// Messages of a run; the core takes no more than this at a time (law L21).
const RUN_MESSAGES: usize = 4_096;

/// There is no memory for a message; the link is woken when there is.
pub(super) struct NoMemory;

/// Messages of one link that go the same way, while they are gathered.
#[derive(Debug)]
pub(super) struct Gathering {
    key: u32,
    /// What they named as their receiver, on the anonymous relay.
    to: Option<Box<str>>,
    place: Place,
    envelope: Envelope,
    /// Their message format.
    code: u32,
    format: Format,
    charge: Charge,
    /// Bytes that are charged.
    room: usize,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    sent: Sent,
}

/// Deliveries of one link that became one publish.
#[derive(Debug)]
pub(super) struct Sent {
    link: LinkId,
    key: u32,
    /// Some of them were settled by their sender.
    presettled: bool,
    /// The others.
    first: Option<Accepted>,
    more: Vec<Accepted>,
}

impl Sent {
    fn new(mark: Mark) -> Self {
        Self {
            link: mark.link,
            key: mark.key,
            presettled: false,
            first: None,
            more: Vec::new(),
        }
    }

    fn add(&mut self, mark: Mark) {
        if mark.settled {
            self.presettled = true;
            return;
        }
        let next = mark.accepted();
        let Some(first) = &mut self.first else {
            self.first = Some(next);
            return;
        };
        let last = self.more.last_mut().unwrap_or(first);
        if !last.join(next) {
            self.more.push(next);
        }
    }

    fn ranges(&self) -> impl Iterator<Item = Accepted> + '_ {
        self.first.iter().chain(&self.more).copied()
    }
}

impl Gathering {
    /// Whether a message may join.
    fn takes(&self, mark: Mark, message: &Incoming<'_>, to: Option<&str>) -> bool {
        let envelope = &self.envelope;
        self.key == mark.key
            && self.bytes.len() + message.size() <= self.room
            && self.ends.len() < RUN_MESSAGES
            && envelope.durable == message.durable
            && envelope.priority == message.priority
            && envelope.expires_ms == message.expires_ms
            && self.to.as_deref() == to
            && self.code == mark.format
    }

    fn push(&mut self, mark: Mark, message: &Incoming<'_>) {
        message.append(&mut self.bytes);
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.ends.push(end);
        self.sent.add(mark);
    }
}

impl Amqp {
    /// Adds a message to a run.
    ///
    /// # Errors
    /// There is no memory for it now.
    pub(super) fn gather(
        &mut self,
        mark: Mark,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), NoMemory> {
        if mark.transactional {
            let fault = Fault::new(
                "amqp:transaction:unknown-id",
                "there are no transactions yet",
            );
            self.reject(mark, fault, turn);
            return Ok(());
        }
        let message = match incoming(payload, mark.format, turn.now) {
            Ok(message) => message,
            Err(rejection) => {
                self.reject(mark, rejection.fault(), turn);
                return Ok(());
            }
        };
        let producer = self.links.producer(mark.link);
        let Some((_, producer)) = producer.filter(|(key, _)| *key == mark.key) else {
            return Ok(()); // Its link is gone.
        };
        let to = message.to.filter(|_| producer.place.is_none());
        if let Some(run) = &mut self.inbox.gathering
            && run.takes(mark, &message, to)
        {
            run.push(mark, &message);
            return Ok(());
        }
        let place = match self.place_of(mark.link, &message) {
            Ok(place) => place,
            Err(rejection) => {
                self.reject(mark, rejection.fault(), turn);
                return Ok(());
            }
        };
        self.begin_run(mark, &message, (place, to), turn)
    }

    /// Where a message goes: where its link does, or to whom it names.
    fn place_of(&mut self, link: LinkId, message: &Incoming<'_>) -> Result<Place, Rejection> {
        let place = self.links.producer(link);
        if let Some(place) = place.and_then(|(_, producer)| producer.place.clone()) {
            return Ok(place);
        }
        let Some(to) = message.to else {
            let words = "the message names no address in `to`";
            return Err(Rejection::new(NOT_FOUND, words));
        };
        let found = self.options.names.target(to)?;
        Ok(Place::new(found, message.routing))
    }

    fn begin_run(
        &mut self,
        mark: Mark,
        message: &Incoming<'_>,
        (place, to): (Place, Option<&str>),
        turn: &mut Turn<'_>,
    ) -> Result<(), NoMemory> {
        self.seal(turn);
        let size = message.size();
        let largest = turn.link.largest_publish();
        if size > largest {
            let mut words = String::new();
            let fault = refusal(Refusal::TooLarge, &mut words);
            self.reject(mark, fault, turn);
            return Ok(());
        }
        let wanted = self.inbox.wanted.take();
        let wanted = wanted
            .unwrap_or(self.inbox.rest.min(RUN_BYTES))
            .min(largest)
            .max(size);
        let Some(charge) = turn.link.reserve(wanted) else {
            self.inbox.wanted = Some(wanted);
            return Err(NoMemory);
        };
        let mut run = Box::new(Gathering {
            key: mark.key,
            to: to.map(Box::from),
            envelope: Envelope {
                address: place.address.clone(),
                durable: message.durable,
                assurance: Assurance::AtLeastOnce,
                priority: message.priority,
                expires_ms: message.expires_ms,
                timestamp_ms: turn.now.wall_ms,
            },
            place,
            code: mark.format,
            format: message.format(self.options.names.dialect),
            charge,
            room: wanted,
            bytes: Vec::with_capacity(wanted),
            ends: Vec::new(),
            sent: Sent::new(mark),
        });
        run.push(mark, message);
        self.inbox.gathering = Some(run);
        Ok(())
    }

    /// Closes what is gathered: it becomes a command.
    pub(super) fn seal(&mut self, turn: &mut Turn<'_>) {
        let Some(run) = self.inbox.gathering.take() else {
            return;
        };
        let block = turn.link.gathered(run.charge, run.bytes);
        let Some(messages) = Run::new(run.envelope, run.format, block, &run.ends) else {
            return;
        };
        let token = self.expected.add(Expect::Published(run.sent));
        turn.commands.push(Command::Publish(Publish {
            run: Arc::new(messages),
            mode: run.place.mode,
            queue: run.place.queue,
            retain: Retain::No,
            receipt: None,
            token: Some(token),
        }));
    }

    /// The broker has answered a publish.
    pub(super) fn published(&mut self, sent: &Sent, answer: &Answer, turn: &mut Turn<'_>) {
        let why = match answer {
            Answer::Refused(why) => *why,
            _ => {
                for range in sent.ranges() {
                    self.note_accepted(range, turn);
                }
                return;
            }
        };
        self.tell_accepted(turn);
        let mut words = String::new();
        let fault = refusal(why, &mut words);
        // A sender that settles itself hears of what cannot be mended by the end of its link.
        let for_good = !matches!(why, Refusal::AddressFull | Refusal::DiskFull);
        let id = self.links.id_of(sent.key);
        let producer = id.and_then(|id| self.links.producer(id));
        let told = producer.is_none_or(|(_, producer)| producer.takes_rejected);
        if told {
            for range in sent.ranges() {
                let state = DeliveryState::Outcome(Outcome::Rejected(Some(fault)));
                self.tell(range, state, turn);
            }
        }
        if id == Some(sent.link) && (!told || (sent.presettled && for_good)) {
            self.end_link(sent.link, fault, turn);
        }
    }
}
