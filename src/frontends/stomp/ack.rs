//! ACK and NACK: consecutive ones of one read become one settlement.

use ternmq_core::command::{Command, Outcome, Settle, Tags};
use ternmq_core::ids::{ConsumerKey, Tag};
use ternmq_stomp::event::{AckFrame, AckMode, AckTarget};

use super::State;
use super::confirm::Confirms;
use super::refuse::TRANSACTIONS;
use super::subscribe::names_subscription;
use crate::frontends::{Ended, Turn};

/// Begins a `message-id`; the rest is the `ack` of the same delivery.
pub(super) const MESSAGE_ID: char = 'm';

/// Settlements that are gathered.
#[derive(Debug)]
pub(super) struct Settling {
    consumer: ConsumerKey,
    tags: Tags,
    outcome: Outcome,
    receipts: u32,
}

impl Settling {
    /// Adds another one if it continues these.
    fn extend(&mut self, next: &Self) -> bool {
        if self.consumer != next.consumer || self.outcome != next.outcome {
            return false;
        }
        match (&mut self.tags, next.tags) {
            (
                Tags::Range { first, n },
                Tags::Range {
                    first: tag,
                    n: more,
                },
            ) if *first + Tag::from(*n) == tag => {
                *n += more;
            }
            (Tags::UpTo(tag), Tags::UpTo(next)) if *tag < next => *tag = next,
            _ => return false,
        }
        self.receipts += next.receipts;
        true
    }

    /// The command, and how many receipts hang on its answer; without any it is not answered, since
    /// an answer asks for a sync (law L4).
    pub(super) fn command(self, confirms: &mut Confirms) -> (Command, u32) {
        let settle = Settle {
            consumer: self.consumer,
            tags: self.tags,
            outcome: self.outcome,
            note: None,
            token: (self.receipts > 0).then(|| confirms.token()),
        };
        (Command::Settle(settle), self.receipts)
    }
}

impl State {
    /// Handles ACK, and NACK with `accepted` false.
    pub(super) fn settle(
        &mut self,
        frame: &AckFrame<'_>,
        outcome: Outcome,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let receipt = frame.receipt.as_deref();
        if frame.transaction.is_some() {
            return self.refuse(TRANSACTIONS, receipt, turn);
        }
        let Some(mut settling) = self.take_held(frame, outcome) else {
            let message = "unknown - no such unsettled delivery on this connection".into();
            return self.refuse(message, receipt, turn);
        };
        settling.receipts = u32::from(receipt.is_some());
        let extended = self
            .settling
            .as_mut()
            .is_some_and(|open| open.extend(&settling));
        if !extended {
            self.seal(turn);
            self.settling = Some(settling);
        }
        self.confirms.note(receipt);
        Ok(())
    }

    /// Takes what a frame names out of the unsettled deliveries; `None` if it names none.
    pub(super) fn take_held(&mut self, frame: &AckFrame<'_>, outcome: Outcome) -> Option<Settling> {
        let (consumer, tag, said) = match &frame.target {
            AckTarget::Ack(ack) => {
                let (consumer, tag) = self.parse_ack(ack)?;
                (consumer, tag, None)
            }
            AckTarget::Message {
                message_id,
                subscription,
            } => {
                let (consumer, tag) = self.parse_ack(message_id.strip_prefix(MESSAGE_ID)?)?;
                (consumer, tag, Some(subscription.as_deref()))
            }
        };
        let version = self.version;
        let subscription = self.subscriptions.get_mut(consumer)?;
        if let Some(said) = said
            && !names_subscription(version, subscription.id(), said)
        {
            return None;
        }
        let tags = match subscription.ack {
            AckMode::Auto => return None,
            AckMode::Client => Tags::UpTo(subscription.held.take_up_to(tag).then_some(tag)?),
            AckMode::ClientIndividual => {
                let first = subscription.held.take(tag).then_some(tag)?;
                Tags::Range { first, n: 1 }
            }
        };
        Some(Settling {
            consumer,
            tags,
            outcome,
            receipts: 0,
        })
    }

    /// The delivery an `ack` value names. It begins with the name of the connection, boot epoch
    /// included, so one from another life or connection is none (law L19).
    fn parse_ack(&self, text: &str) -> Option<(ConsumerKey, Tag)> {
        let rest = text.strip_prefix(&*self.name)?.strip_prefix('-')?;
        let (consumer, tag) = rest.split_once('-')?;
        let consumer = ConsumerKey(u32::from_str_radix(consumer, 16).ok()?);
        Some((consumer, Tag::from_str_radix(tag, 16).ok()?))
    }
}

/// How a NACK ends a delivery: back with a failure counted, or dead-lettered at once (RabbitMQ's
/// `requeue:false`).
pub(super) fn nack_outcome(frame: &AckFrame<'_>) -> Outcome {
    let requeue = frame.headers.get("requeue");
    if requeue.is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        Outcome::Rejected
    } else {
        Outcome::Failed { delay_ms: None }
    }
}
