//! SEND: consecutive messages that go the same way become one run, copied once into one block.

use std::borrow::Cow;
use std::sync::Arc;

use ternmq_core::command::{Command, Publish, Retain};
use ternmq_core::error::Refusal;
use ternmq_core::message::{Assurance, Envelope, Run};
use ternmq_stomp::event::SendFrame;

use super::confirm::LastWords;
use super::destination::{DestinationError, Form, Target};
use super::refuse::TRANSACTIONS;
use super::stored::{self, FORMAT, Writing};
use super::temporary::{Temporary, published_reply};
use super::{Flow, State};
use crate::engine::Charge;
use crate::frontends::{Ended, Turn};

/// Bytes of a run that is gathered; one larger message is a run of its own.
const RUN_BYTES: usize = 64 << 10;

/// Messages of a run; the core takes no more than this at a time (law L21).
const RUN_MESSAGES: usize = 4_096;

const NORMAL_PRIORITY: u8 = 4;
const HIGHEST_PRIORITY: u8 = 9;

/// Begins the headers of ActiveMQ's scheduler.
const SCHEDULED: &str = "AMQ_SCHEDULED_";

/// Messages that go the same way, while they are gathered.
pub(super) struct Gathering {
    target: Target,
    envelope: Envelope,
    charge: Charge,
    /// Bytes that are charged.
    room: usize,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    receipts: u32,
}

/// The headers of a SEND that the broker reads.
#[derive(Debug, Default)]
struct Wishes<'a> {
    durable: bool,
    priority: Option<u8>,
    /// Wall time in milliseconds; 0 is never.
    expires_ms: Option<u64>,
    /// Wall time in milliseconds, when the client says that it made the message.
    timestamp_ms: Option<u64>,
    kind: Option<Cow<'a, str>>,
    reply_to: Option<Cow<'a, str>>,
}

impl<'a> Wishes<'a> {
    /// Reads them in one pass; of repeated headers the first counts (ST-F15).
    fn read(frame: &SendFrame<'a>, wall_ms: u64) -> Result<Self, Cow<'static, str>> {
        let mut wishes = Self::default();
        let mut persistent = None;
        for (name, value) in frame.headers {
            match &*name {
                "persistent" => {
                    persistent.get_or_insert(value.eq_ignore_ascii_case("true"));
                }
                "priority" if wishes.priority.is_none() => {
                    let number = number(&name, &value)?.clamp(0, HIGHEST_PRIORITY.into());
                    wishes.priority = u8::try_from(number).ok();
                }
                "expires" if wishes.expires_ms.is_none() => {
                    let time = number(&name, &value)?;
                    wishes.expires_ms = Some(u64::try_from(time).unwrap_or(0));
                }
                "expiration" if wishes.expires_ms.is_none() => {
                    let after = number(&name, &value)?;
                    let after = u64::try_from(after)
                        .map_err(|_| "malformed - expiration is a duration in milliseconds")?;
                    wishes.expires_ms = Some(wall_ms.saturating_add(after).max(1));
                }
                // Any other text is a header like those that the broker does not read.
                "timestamp" if wishes.timestamp_ms.is_none() => {
                    wishes.timestamp_ms = value.trim().parse().ok();
                }
                "destination-type" => wishes.kind = wishes.kind.or(Some(value)),
                "reply-to" => wishes.reply_to = wishes.reply_to.or(Some(value)),
                _ if name.starts_with(SCHEDULED) => {
                    let message = "unsupported - scheduled delivery is not served yet (header ";
                    return Err(format!("{message}{name})").into());
                }
                _ => {}
            }
        }
        wishes.durable = persistent.unwrap_or(false);
        Ok(wishes)
    }
}

fn number(name: &str, value: &str) -> Result<i64, Cow<'static, str>> {
    let parsed = value.trim().parse::<i64>();
    parsed.map_err(|_| format!("malformed - {name} is a whole number").into())
}

impl State {
    /// `rest` are the bytes of input from this frame on: what may follow it in its run.
    pub(super) fn send(
        &mut self,
        frame: &SendFrame<'_>,
        rest: usize,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Ended> {
        let receipt = frame.receipt.as_deref();
        if frame.transaction.is_some() {
            return self.refuse(TRANSACTIONS, receipt, turn).map(|()| Flow::Go);
        }
        let wishes = match Wishes::read(frame, turn.now.wall_ms) {
            Ok(wishes) => wishes,
            Err(message) => return self.refuse(message, receipt, turn).map(|()| Flow::Go),
        };
        let found = self.target(frame, &wishes, turn).and_then(|target| {
            let block = self.reply(frame, &wishes, turn)?;
            Ok((target, block))
        });
        let (target, block) = match found {
            Ok(found) => found,
            Err(error) => {
                return self.refuse(error.words(), receipt, turn).map(|()| Flow::Go);
            }
        };
        let size = stored::size(&block, frame.body);
        let largest = turn.link.largest_publish();
        if size > largest {
            let words = LastWords::refusal(Refusal::TooLarge, receipt.map(Box::from));
            return self.end_with(words, turn).map(|()| Flow::Go);
        }
        let envelope = Envelope {
            address: target.address.clone(),
            durable: wishes.durable,
            assurance: Assurance::AtLeastOnce,
            priority: wishes.priority.unwrap_or(NORMAL_PRIORITY),
            expires_ms: wishes.expires_ms.unwrap_or(0),
            timestamp_ms: wishes.timestamp_ms.unwrap_or(turn.now.wall_ms),
        };
        let fits = self
            .gathering
            .as_ref()
            .is_some_and(|run| run.takes(&target, &envelope, size));
        if !fits {
            self.seal(turn);
            let wanted = self.parked.wanted.take();
            let wanted = wanted.unwrap_or(rest.min(RUN_BYTES)).min(largest).max(size);
            let Some(charge) = turn.link.reserve(wanted) else {
                self.parked.wanted = Some(wanted);
                self.parked.receipt = receipt.map(Box::from);
                return Ok(Flow::Park);
            };
            self.gathering = Some(Box::new(Gathering {
                target,
                envelope,
                charge,
                room: wanted,
                bytes: Vec::with_capacity(size),
                ends: Vec::new(),
                receipts: 0,
            }));
        }
        if let Some(run) = &mut self.gathering {
            let writing = Writing {
                version: self.version,
                dialect: self.options.dialect,
            };
            stored::append(&mut run.bytes, writing, &block, frame.body);
            run.ends
                .push(u32::try_from(run.bytes.len()).unwrap_or(u32::MAX));
            run.receipts += self.confirms.note(receipt);
        }
        Ok(Flow::Go)
    }

    /// Where a SEND goes; makes a temporary destination of this connection.
    fn target(
        &mut self,
        frame: &SendFrame<'_>,
        wishes: &Wishes<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Target, DestinationError> {
        let known = self.destinations.find(&frame.destination);
        if let Some(target) = known.filter(|_| wishes.kind.is_none()) {
            return Ok(target.clone());
        }
        let form = Form::of(&frame.destination)?.typed(wishes.kind.as_deref())?;
        let spelling = self.options.spelling();
        let target = match Temporary::of(form, &self.name, spelling)? {
            Some(temporary) => {
                self.temporaries.ensure(&temporary, turn.commands)?;
                temporary.target()
            }
            None => spelling.target(form)?,
        };
        if wishes.kind.is_none() {
            self.destinations.remember(&frame.destination, &target);
        }
        Ok(target)
    }

    /// The header lines to keep: `reply-to` is made known to others. One that is no destination is
    /// a header like any other, as ActiveMQ has it.
    fn reply<'a>(
        &mut self,
        frame: &SendFrame<'a>,
        wishes: &Wishes<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Cow<'a, [u8]>, DestinationError> {
        let block = Cow::Borrowed(frame.headers.block());
        let Some(reply_to) = &wishes.reply_to else {
            return Ok(block);
        };
        let spelling = self.options.spelling();
        let temporary =
            Form::of(reply_to).and_then(|form| Temporary::of(form, &self.name, spelling));
        let Ok(Some(temporary)) = temporary else {
            return Ok(block);
        };
        if !temporary.own || temporary.opaque {
            return Ok(block);
        }
        self.temporaries.ensure(&temporary, turn.commands)?;
        self.subscribe_reply(reply_to, &temporary, turn);
        Ok(published_reply(frame.headers, &self.name))
    }

    /// Closes what is gathered: it becomes a command.
    pub(super) fn seal(&mut self, turn: &mut Turn<'_>) {
        if let Some(settling) = self.settling.take() {
            let (command, receipts) = settling.command(&mut self.confirms);
            turn.commands.push(command);
            if receipts > 0 {
                self.confirms.expect(receipts);
            }
        }
        let Some(gathered) = self.gathering.take() else {
            return;
        };
        let block = turn.link.block(gathered.charge, &gathered.bytes);
        let run = Run::new(gathered.envelope, FORMAT, block, &gathered.ends);
        let Some(run) = run else { return };
        turn.commands.push(Command::Publish(Publish {
            run: Arc::new(run),
            mode: gathered.target.mode,
            queue: gathered.target.queue,
            retain: Retain::No,
            receipt: None,
            token: Some(self.confirms.token()),
        }));
        self.confirms.expect(gathered.receipts);
    }
}

impl Gathering {
    /// Whether a message may join.
    fn takes(&self, target: &Target, envelope: &Envelope, size: usize) -> bool {
        self.bytes.len() + size <= self.room
            && self.ends.len() < RUN_MESSAGES
            && self.target == *target
            && self.envelope == *envelope
    }
}
