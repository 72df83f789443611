//! Deliveries to MESSAGE frames, and what becomes of them: room, marks, settlement.
//!
//! A message of STOMP keeps the header lines its sender wrote, server-owned ones aside; one of
//! another protocol is converted through the canonical view.

use std::collections::VecDeque;
use std::fmt::Write;

use bytes::Bytes;
use ternmq_core::command::{Command, SettleMode};
use ternmq_core::effect::{Delivery, Origin};
use ternmq_core::ids::{ConsumerKey, Tag};
use ternmq_stomp::encode::{MessageHead, message_head};
use ternmq_stomp::event::AckMode;
use ternmq_stomp::{Encoding, Headers};

use super::State;
use super::ack::MESSAGE_ID;
use super::stored::{FORMAT, Stored};
use super::view;
use crate::engine::Outgoing;
use crate::frontends::{Output, PIECE_BYTES, Turn, canonical};

/// Deliveries that are encoded and not written, in the order of the output.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    /// Lane, last tag and room of each.
    waiting: VecDeque<(ConsumerKey, Tag, u32)>,
}

impl Encoded {
    /// Everything of a lane up to `tag` is written, and all that was encoded before: gives its room.
    fn pass(&mut self, consumer: ConsumerKey, tag: Tag) -> u32 {
        let mut room = 0u32;
        let passed =
            |(key, last, _): &mut (ConsumerKey, Tag, u32)| *key == consumer && *last <= tag;
        while let Some((.., bytes)) = self.waiting.pop_front_if(passed) {
            room = room.saturating_add(bytes);
        }
        if self.waiting.is_empty() {
            self.waiting.shrink_to(16);
        }
        room
    }
}

/// What is the same in all messages of a delivery.
struct Common<'a> {
    subscription: Option<&'a str>,
    /// Shown instead of where the message was sent.
    destination: Option<&'a str>,
    /// Of destinations that were not written in STOMP.
    prefix: &'static str,
    acknowledged: bool,
    redelivered: bool,
    origin: Option<&'a Origin>,
    attempts: String,
    timestamp: String,
}

impl State {
    pub(super) fn deliver(&mut self, outgoing: &Outgoing, turn: &mut Turn<'_>) {
        // Fan-outs go to sessions alone, and STOMP has none.
        let Outgoing::Delivery(delivery) = outgoing else {
            return;
        };
        let Some(subscription) = self.subscriptions.get_mut(delivery.consumer) else {
            turn.commands.push(Command::Room(delivery.room()));
            return;
        };
        let last = delivery.tag + Tag::from(delivery.count) - 1;
        subscription.encoded = last;
        if subscription.settle_mode() == SettleMode::Explicit {
            subscription.held.push(delivery.tag, delivery.count);
        }
        let moved = delivery.origin.is_some() || subscription.temporary;
        let Some(subscription) = self.subscriptions.get(delivery.consumer) else {
            return;
        };
        let common = Common {
            subscription: subscription.id(),
            destination: moved.then_some(&*subscription.destination),
            prefix: subscription.prefix,
            acknowledged: subscription.ack != AckMode::Auto,
            redelivered: delivery.attempts > 0,
            origin: delivery.origin.as_deref(),
            attempts: delivery.attempts.to_string(),
            timestamp: delivery.run.envelope.timestamp_ms.to_string(),
        };
        let mut id = format!("{MESSAGE_ID}{}-{:x}-", self.name, delivery.consumer.0);
        let prefix = id.len();
        for offset in 0..delivery.count {
            id.truncate(prefix);
            let tag = delivery.tag + Tag::from(offset);
            let _ = write!(id, "{tag:x}"); // A String takes all.
            self.encode(delivery, delivery.first + offset, &id, &common, turn.output);
            turn.output.mark(delivery.consumer, tag);
        }
        let entry = (delivery.consumer, last, delivery.room());
        self.encoded.waiting.push_back(entry);
    }

    /// Appends one message of a delivery.
    fn encode(
        &self,
        delivery: &Delivery,
        index: u32,
        id: &str,
        common: &Common<'_>,
        output: &mut Output,
    ) {
        let run = &*delivery.run;
        let mut extra: Vec<(&str, &str)> = Vec::new();
        if common.redelivered {
            extra.push(("delivery-count", &common.attempts));
        }
        let read = if run.format == FORMAT {
            Stored::read(run.message(index))
        } else {
            None
        };
        if read.is_some_and(|stored| stored.headers.get("timestamp").is_none()) {
            extra.push(("timestamp", &common.timestamp));
        }
        let sent_to = read.and_then(|stored| stored.headers.get("destination"));
        let rendered;
        let sent_to = match &sent_to {
            Some(sent_to) => &**sent_to,
            None => {
                let dialect = self.options.spelling().dialect;
                rendered = common.prefix.to_owned() + &run.envelope.address.render(dialect);
                &*rendered
            }
        };
        let time;
        if let Some(origin) = common.origin {
            time = origin.time_ms.to_string();
            extra.extend([
                ("original-destination", sent_to),
                ("original-queue", origin.queue.as_str()),
                ("dead-letter-reason", origin.reason.as_str()),
                ("dead-letter-time", &*time),
            ]);
        }
        let mut head = MessageHead {
            subscription: common.subscription,
            message_id: id,
            destination: common.destination.unwrap_or(sent_to),
            ack: common
                .acknowledged
                .then(|| id.strip_prefix(MESSAGE_ID))
                .flatten(),
            redelivered: common.redelivered,
            extra: &extra,
        };
        if let Some(Stored { headers, body, .. }) = read {
            message_head(output.buffer(), &head, headers, self.version, body.len());
            let end = run.end(index);
            let shared = || run.block().slice(end - body.len()..end);
            return append_body(body, shared, output);
        }
        let seen = canonical::view(run, index);
        let headers = view::headers(&seen, &run.envelope, self.options.spelling().dialect);
        let converted = headers.iter().map(|(name, value)| (&**name, &**value));
        let all: Vec<_> = extra.iter().copied().chain(converted).collect();
        head.extra = &all;
        let none = Headers::new(&[], Encoding::V1_2);
        message_head(output.buffer(), &head, none, self.version, seen.body.len());
        append_body(&seen.body, || seen.body_of(run), output);
    }

    /// The kernel took some output: gives back room and says what was written (law L10).
    pub(super) fn written(&mut self, turn: &mut Turn<'_>) {
        let mut room = 0u32;
        for (consumer, tag) in turn.output.take_written() {
            room = room.saturating_add(self.encoded.pass(consumer, tag));
            let Some(subscription) = self.subscriptions.get_mut(consumer) else {
                continue;
            };
            subscription.written = tag;
            if subscription.settle_mode() == SettleMode::OnWrite {
                turn.commands.push(Command::Written { consumer, tag });
            }
        }
        if room > 0 {
            turn.commands.push(Command::Room(room));
        }
    }
}

/// Appends a body, by reference if it is large, and the NUL.
fn append_body(body: &[u8], shared: impl FnOnce() -> Bytes, output: &mut Output) {
    if body.len() < PIECE_BYTES {
        output.buffer().extend_from_slice(body);
    } else {
        output.push(shared());
    }
    output.buffer().push(0);
}
