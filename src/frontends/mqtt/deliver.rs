//! What becomes of deliveries: packet ids, room, settlement. How they are written is in `encode`.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use ternmq_core::command::{Command, Outcome, Settle, Tags};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Delivery;
use ternmq_core::ids::{ConsumerKey, Tag};
use ternmq_core::message::{Assurance, Run};
use ternmq_mqtt::{
    AckKind, Patch, Properties, PropertiesBuf, PropertyId, QoS, Value, Version, put_acks,
};

use super::State;
use super::encode::Messages;
use super::options::is_denied;
use crate::engine::Outgoing;
use crate::frontends::{Output, Turn};

/// Marks deliveries that are not settled by the client: they have no packet id.
const UNSETTLED: ConsumerKey = ConsumerKey(u32::MAX);

/// Packet ids in use at a time; see [`Tag`].
const IDS: Tag = 65_535;

/// What has been encoded and what the kernel took of it.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// The newest tag encoded.
    newest: Tag,
    /// The newest tag written.
    written: Tag,
    /// Encoded, not written. Tags rise: a resumed session gets all that it holds, oldest first,
    /// before anything new, and each once.
    encoded: VecDeque<Encoded>,
    /// Numbers and room of deliveries without a tag, numbered here.
    loose: VecDeque<(Tag, u32)>,
    loose_newest: Tag,
}

/// A delivery in the output.
#[derive(Debug)]
struct Encoded {
    last: Tag,
    count: u32,
    room: u32,
    /// The client will acknowledge it; else it is settled when it is written (law L10).
    acknowledged: bool,
}

impl Encoded {
    fn settled(&self) -> Settle {
        let first = self.last + 1 - Tag::from(self.count);
        accepted(first, self.count)
    }
}

fn accepted(first: Tag, n: u32) -> Settle {
    Settle {
        consumer: ConsumerKey::SESSION,
        tags: Tags::Range { first, n },
        outcome: Outcome::Accepted,
        note: None,
        token: None,
    }
}

/// The packet id of a tag.
pub(super) fn packet_id(tag: Tag) -> u16 {
    u16::try_from((tag.max(1) - 1) % IDS + 1).unwrap_or(1)
}

impl Deliveries {
    /// The deliveries that consecutive packet ids stand for, as far as they can have been sent:
    /// the newest ones with these ids. Which of them are held the core knows.
    pub(super) fn tags(&self, first: u16, n: usize) -> Option<(Tag, u32)> {
        let back = (Tag::from(packet_id(self.newest)) + IDS - Tag::from(first)) % IDS;
        let first = self.newest.checked_sub(back).filter(|tag| *tag > 0)?;
        let n = Tag::try_from(n).ok()?.min(self.newest - first + 1);
        Some((first, u32::try_from(n).ok()?))
    }

    /// They are done.
    pub(super) fn settle(&self, first: u16, n: usize) -> Option<Settle> {
        self.tags(first, n).map(|(first, n)| accepted(first, n))
    }

    /// The client does not take a delivery at all: nothing is encoded, and it is done.
    fn pass_over(&mut self, delivery: &Delivery, commands: &mut Vec<Command>) {
        if delivery.tag > 0 {
            let last = delivery.tag + Tag::from(delivery.count) - 1;
            self.newest = self.newest.max(last);
        }
        commands.push(Command::Room(delivery.room()));
    }

    /// Notes an encoded delivery at the end of the output.
    fn note(&mut self, delivery: &Delivery, acknowledged: bool, output: &mut Output) {
        let room = delivery.room();
        if delivery.tag == 0 {
            self.loose_newest += 1;
            self.loose.push_back((self.loose_newest, room));
            output.mark(UNSETTLED, self.loose_newest);
        } else {
            let last = delivery.tag + Tag::from(delivery.count) - 1;
            self.newest = self.newest.max(last);
            self.encoded.push_back(Encoded {
                last,
                count: delivery.count,
                room,
                acknowledged,
            });
            output.mark(ConsumerKey::SESSION, last);
        }
    }

    /// The kernel took some output: gives back the room and says what was written.
    pub(super) fn written(&mut self, output: &mut Output, commands: &mut Vec<Command>) {
        let mut room = 0u32;
        let before = self.written;
        for (consumer, tag) in output.take_written() {
            if consumer == UNSETTLED {
                while let Some((_, bytes)) = self.loose.pop_front_if(|(at, _)| *at <= tag) {
                    room = room.saturating_add(bytes);
                }
                continue;
            }
            while let Some(done) = self.encoded.pop_front_if(|encoded| encoded.last <= tag) {
                room = room.saturating_add(done.room);
                if !done.acknowledged {
                    commands.push(Command::Settle(done.settled()));
                }
            }
            self.written = tag;
        }
        if self.written > before {
            let (consumer, tag) = (ConsumerKey::SESSION, self.written);
            commands.push(Command::Written { consumer, tag });
        }
        if room > 0 {
            commands.push(Command::Room(room));
        }
        if self.encoded.is_empty() && self.loose.is_empty() {
            self.encoded.shrink_to(16);
            self.loose.shrink_to(0);
        }
    }

    /// For the end of the connection.
    pub(super) fn last_written(&self) -> Option<(ConsumerKey, Tag)> {
        (self.written > 0).then_some((ConsumerKey::SESSION, self.written))
    }
}

impl State {
    pub(super) fn deliver(&mut self, outgoing: &Outgoing, turn: &mut Turn<'_>) {
        match outgoing {
            Outgoing::Fanout {
                run,
                first,
                count,
                retained,
                subscriptions,
            } => {
                let expires_ms = run.envelope.expires_ms;
                if expires_ms > 0 && expires_ms <= turn.now.wall_ms {
                    return;
                }
                if self.is_hidden(run) {
                    return turn.link.count_denied(u64::from(*count));
                }
                let patch = Patch {
                    first_id: 0,
                    qos: QoS::AtMostOnce,
                    dup: false,
                    retain: *retained,
                };
                let messages = Messages {
                    run,
                    first: *first,
                    count: *count,
                    patch,
                    expiry_s: expiry_s(run, turn),
                    subscription_ids: subscriptions.as_deref().unwrap_or_default(),
                    added: Properties::default(),
                };
                let dropped = self.encode(&messages, turn.output);
                turn.link.count_too_large(dropped.len() as u64);
            }
            Outgoing::Delivery(delivery) if delivery.second_step => {
                let (first, n) = (packet_id(delivery.tag), delivery.count as usize);
                put_acks(turn.output.buffer(), AckKind::PubRel, first, n);
                self.deliveries.note(delivery, true, turn.output);
            }
            // Others still want what is in a queue of its own name, so it stays theirs.
            Outgoing::Delivery(delivery) if !delivery.named && self.is_hidden(&delivery.run) => {
                self.deliveries.pass_over(delivery, turn.commands);
                turn.link.count_denied(u64::from(delivery.count));
                if delivery.tag > 0 {
                    let settle = accepted(delivery.tag, delivery.count);
                    turn.commands.push(Command::Settle(settle));
                }
            }
            Outgoing::Delivery(delivery) => self.deliver_messages(delivery, turn),
        }
    }

    /// Whether nobody may have messages of this address: other protocols may publish there, and a
    /// subscription may be wider than what is denied, or older.
    fn is_hidden(&self, run: &Run) -> bool {
        let deny = &self.options.deny;
        !deny.is_empty() && is_denied(deny, &run.envelope.address.render(Dialect::Mqtt))
    }

    /// How often it was delivered before, for clients that want to know. DUP does not say so: it is
    /// about packets \[MQTT-3.3.1-3\].
    fn delivery_count(&self, delivery: &Delivery) -> PropertiesBuf {
        let mut block = PropertiesBuf::new();
        if self.options.delivery_count && self.version == Version::V5 && delivery.attempts > 0 {
            let count = delivery.attempts.to_string();
            let _ = block.push(
                PropertyId::UserProperty,
                Value::Pair("delivery-count", &count),
            );
        }
        block
    }

    fn deliver_messages(&mut self, delivery: &Delivery, turn: &mut Turn<'_>) {
        let run = &*delivery.run;
        let qos = delivered_qos(delivery);
        let patch = Patch {
            first_id: packet_id(delivery.tag),
            qos,
            dup: delivery.duplicate && qos > QoS::AtMostOnce,
            retain: delivery.retained,
        };
        let count = self.delivery_count(delivery);
        // Where an expired message was moved to it has no age any more (law L15).
        let expiry_s = expiry_s(run, turn).filter(|_| delivery.origin.is_none());
        let messages = Messages {
            run,
            first: delivery.first,
            count: delivery.count,
            patch,
            expiry_s,
            subscription_ids: delivery.subscriptions.as_deref().unwrap_or_default(),
            added: count.properties(),
        };
        let dropped = self.encode(&messages, turn.output);
        if dropped.len() < delivery.count as usize {
            let acknowledged = qos > QoS::AtMostOnce;
            self.deliveries.note(delivery, acknowledged, turn.output);
        } else {
            self.deliveries.pass_over(delivery, turn.commands);
        }
        // Too large for the client counts as completed [MQTT-3.1.2-25].
        turn.link.count_too_large(dropped.len() as u64);
        if delivery.tag > 0 {
            for offset in dropped {
                let settle = accepted(delivery.tag + Tag::from(offset), 1);
                turn.commands.push(Command::Settle(settle));
            }
        }
    }
}

/// The QoS that a delivery leaves with: the lower of what was asked for and what was granted. What
/// did not come over MQTT counts as QoS 1.
fn delivered_qos(delivery: &Delivery) -> QoS {
    if delivery.tag == 0 {
        return QoS::AtMostOnce;
    }
    let sent = match delivery.run.envelope.assurance {
        Assurance::AtMostOnce => QoS::AtMostOnce,
        Assurance::AtLeastOnce => QoS::AtLeastOnce,
        Assurance::ExactlyOnce => QoS::ExactlyOnce,
    };
    sent.min(QoS::from_bits(delivery.granted).unwrap_or(QoS::ExactlyOnce))
}

/// Seconds that are left of a message's life: what its sender gave it less the whole seconds it has
/// been here \[MQTT-3.3.2-6\].
fn expiry_s(run: &Run, turn: &Turn<'_>) -> Option<u32> {
    let expires_ms = run.envelope.expires_ms;
    let left_ms = expires_ms.saturating_sub(turn.now.wall_ms);
    (expires_ms > 0).then(|| u32::try_from(left_ms.div_ceil(1_000)).unwrap_or(u32::MAX))
}
