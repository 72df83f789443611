//! What a peer says of deliveries: consecutive ones of one outcome become one settlement.
//!
//! A peer that settles after us (receiver mode second) tells an outcome first and waits for our
//! word; the outcome counts then, and the settlement that follows says nothing new.

use ternmq_amqp::types::Map;
use ternmq_amqp::{DeliveryState, Fault, Outcome as Said, Settled};
use ternmq_core::command::{Command, Outcome, Settle, Tags};
use ternmq_core::effect::Answer;
use ternmq_core::ids::{ConsumerKey, Tag};

use super::Amqp;
use super::annotations::{note, rejection_note};
use super::confirm::Expect;
use super::consumer::{Consumer, ConsumerExpect, Owed};
use super::refuse::{INVALID_FIELD, UNKNOWN_TRANSACTION};
use crate::frontends::Turn;

/// What a peer wants to have noted of messages.
#[derive(Clone, Copy, Debug)]
enum Remark<'a> {
    None,
    Annotations(Map<'a>),
    Error(Fault<'a>),
}

impl Remark<'_> {
    fn note(&self, existing: Option<&[u8]>) -> Option<std::sync::Arc<[u8]>> {
        match self {
            Self::None => None,
            Self::Annotations(changes) => note(existing, changes),
            Self::Error(error) => rejection_note(existing, Some(error)),
        }
    }
}

/// What becomes of messages by an outcome; `None` if it is none of a message.
fn outcome_of<'a>(said: &Said<'a>) -> Option<(Outcome, Remark<'a>)> {
    Some(match *said {
        Said::Accepted => (Outcome::Accepted, Remark::None),
        Said::Released => (Outcome::Released, Remark::None),
        Said::Rejected(error) => (Outcome::Rejected, error.map_or(Remark::None, Remark::Error)),
        Said::Modified {
            delivery_failed: failed,
            undeliverable_here,
            annotations,
        } => (
            match (undeliverable_here, failed) {
                (true, failed) => Outcome::Undeliverable { failed },
                (false, true) => Outcome::Failed { delay_ms: None },
                (false, false) => Outcome::Released,
            },
            annotations.map_or(Remark::None, Remark::Annotations),
        ),
        Said::Declared(_) => return None,
    })
}

/// The default outcome of a source (M 3.5.3).
pub(super) fn default_outcome(said: Option<&Said<'_>>) -> Outcome {
    let outcome = said.and_then(outcome_of);
    outcome.map_or(Outcome::Released, |(outcome, _)| outcome)
}

/// An outcome as the peer says it.
pub(super) fn said(outcome: Outcome) -> Said<'static> {
    let modified = |delivery_failed, undeliverable_here| Said::Modified {
        delivery_failed,
        undeliverable_here,
        annotations: None,
    };
    match outcome {
        Outcome::Accepted => Said::Accepted,
        Outcome::Released => Said::Released,
        Outcome::Rejected => Said::Rejected(None),
        Outcome::Failed { .. } => modified(true, false),
        Outcome::Undeliverable { failed } => modified(failed, true),
    }
}

impl Amqp {
    /// The peer says how deliveries stand.
    pub(super) fn settled(&mut self, settled: &Settled<'_>, turn: &mut Turn<'_>) {
        let Some((key, consumer)) = self.links.consumer(settled.link) else {
            return;
        };
        let by_default = (consumer.default_outcome, Remark::None);
        let (outcome, remark) = match &settled.state {
            Some(DeliveryState::Outcome(said)) => match outcome_of(said) {
                Some(found) => found,
                None => {
                    let fault = Fault::new(INVALID_FIELD, "not an outcome of a message");
                    return self.end_link(settled.link, fault, turn);
                }
            },
            Some(DeliveryState::Transactional { .. }) => {
                let fault = Fault::new(UNKNOWN_TRANSACTION, "there are no transactions yet");
                return self.end_link(settled.link, fault, turn);
            }
            Some(DeliveryState::Received { .. }) | None if settled.settled => by_default,
            Some(DeliveryState::Received { .. }) | None => return,
        };
        let (first, end) = (settled.tag, settled.tag + Tag::from(settled.n));
        let mut at = first;
        while at < end {
            let (told, to) = consumer.told(at, end);
            let from = std::mem::replace(&mut at, to);
            if told {
                continue;
            }
            let (note, to) = noted(consumer, (from, to), remark);
            at = to;
            let n = u32::try_from(to - from).unwrap_or(settled.n);
            let token = (!settled.settled).then(|| {
                consumer.tell(from, to);
                let id = offset(settled.first, from - first);
                let owed = Owed {
                    key: key.0,
                    tag: from,
                    ids: (id, id.wrapping_add(n - 1)),
                    n,
                    outcome,
                };
                let expect = ConsumerExpect::Settled(owed);
                self.expected.add(Expect::Consumer(expect))
            });
            let settle = Settle {
                consumer: key,
                tags: Tags::Range { first: from, n },
                outcome,
                note,
                token,
            };
            push(turn.commands, settle);
        }
        consumer.forget_notes(first, end);
        if settled.settled {
            consumer.forget(first, end);
        }
    }

    /// Deliveries are settled whose outcome the peer has told before.
    pub(super) fn settle_owed(&mut self, owed: &Owed, answer: &Answer, turn: &mut Turn<'_>) {
        let key = ConsumerKey(owed.key);
        let (Some((id, consumer)), Answer::Settled) = (self.links.consumer_of(key), answer) else {
            return;
        };
        let end = owed.tag + Tag::from(owed.n);
        if consumer.told(owed.tag, end) != (true, end) {
            return; // The peer did not wait.
        }
        consumer.forget(owed.tag, end);
        let state = DeliveryState::Outcome(said(owed.outcome));
        let out = turn.output.buffer();
        self.machine
            .settle_sent(id.session, owed.ids, Some(state), out);
    }
}

/// The note of the first messages of a range, and where those end that have the same.
fn noted(
    consumer: &Consumer,
    (from, to): (Tag, Tag),
    remark: Remark<'_>,
) -> (Option<std::sync::Arc<[u8]>>, Tag) {
    if matches!(remark, Remark::None) {
        return (None, to);
    }
    match consumer.notes.get(&from) {
        Some(existing) => (remark.note(Some(existing)), from + 1),
        None => {
            let next = consumer.notes.range(from..to).next();
            (remark.note(None), next.map_or(to, |(tag, _)| *tag))
        }
    }
}

/// The id of a delivery that comes `by` after another.
fn offset(id: u32, by: u64) -> u32 {
    // Ids go round.
    id.wrapping_add(u32::try_from(by & u64::from(u32::MAX)).unwrap_or(0))
}

/// Adds a settlement to the one before if it continues that.
fn push(commands: &mut Vec<Command>, next: Settle) {
    if let Some(Command::Settle(before)) = commands.last_mut()
        && let (
            Tags::Range { first, n },
            Tags::Range {
                first: tag,
                n: more,
            },
        ) = (&mut before.tags, next.tags)
        && *first + Tag::from(*n) == tag
        && before.consumer == next.consumer
        && before.outcome == next.outcome
        && before.note.is_none()
        && next.note.is_none()
        && before.token.is_none()
        && next.token.is_none()
    {
        *n += more;
        return;
    }
    commands.push(Command::Settle(next));
}
