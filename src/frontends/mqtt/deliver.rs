//! Deliveries to PUBLISH packets, and what becomes of them: packet ids, room, settlement.
//!
//! A message of MQTT is copied as it came in, with flags and packet id written anew; one of
//! another protocol is converted through the canonical view and counts as QoS 1.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use ternmq_core::command::{Command, Outcome, Settle, Tags};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Delivery;
use ternmq_core::ids::{ConsumerKey, Tag};
use ternmq_core::message::Run;
use ternmq_mqtt::{Copies, Packets, Patch, Properties, QoS, Version};
use ternmq_mqtt::{patch_head, patch_run};

use super::{FORMAT, FORMAT_V5, State};
use crate::engine::Outgoing;
use crate::frontends::{Output, PIECE_BYTES, Turn, canonical};

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
        token: None,
    }
}

/// The packet id of a tag.
fn packet_id(tag: Tag) -> u16 {
    u16::try_from((tag.max(1) - 1) % IDS + 1).unwrap_or(1)
}

impl Deliveries {
    /// The deliveries that consecutive packet ids stand for, as far as they can have been sent:
    /// the newest ones with these ids. Which of them are held the core knows.
    pub(super) fn settle(&self, first: u16, n: usize) -> Option<Settle> {
        let back = (Tag::from(packet_id(self.newest)) + IDS - Tag::from(first)) % IDS;
        let first = self.newest.checked_sub(back).filter(|tag| *tag > 0)?;
        let n = Tag::try_from(n).ok()?.min(self.newest - first + 1);
        Some(accepted(first, u32::try_from(n).ok()?))
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
                ..
            } => {
                let patch = Patch {
                    first_id: 0,
                    qos: QoS::AtMostOnce,
                    dup: false,
                    retain: *retained,
                };
                self.encode(run, *first, *count, patch, turn.output);
            }
            Outgoing::Delivery(delivery) => {
                let asked = if delivery.tag == 0 {
                    QoS::AtMostOnce
                } else {
                    QoS::AtLeastOnce
                };
                let patch = Patch {
                    first_id: packet_id(delivery.tag),
                    qos: asked,
                    dup: delivery.duplicate && asked > QoS::AtMostOnce,
                    retain: delivery.retained,
                };
                let Delivery {
                    run, first, count, ..
                } = delivery;
                let sent = self.encode(run, *first, *count, patch, turn.output);
                let acknowledged = sent && asked.min(stored_qos(run)) > QoS::AtMostOnce;
                self.deliveries.note(delivery, acknowledged, turn.output);
            }
        }
    }

    /// Appends messages of a run; false if MQTT cannot carry them.
    fn encode(
        &mut self,
        run: &Run,
        first: u32,
        count: u32,
        patch: Patch,
        output: &mut Output,
    ) -> bool {
        match run.format {
            FORMAT if self.version < Version::V5 => {
                copy(run, first, count, patch, output);
                true
            }
            FORMAT => self.convert(run, (first, count), patch, Version::V311, output),
            FORMAT_V5 => self.convert(run, (first, count), patch, Version::V5, output),
            _ => self.translate(run, (first, count), patch, output),
        }
    }

    fn convert(
        &mut self,
        run: &Run,
        messages: (u32, u32),
        patch: Patch,
        from: Version,
        output: &mut Output,
    ) -> bool {
        let mut sent = true;
        in_parts(run, messages, |packets, offset| {
            let first_id = packet_id(Tag::from(patch.first_id) + Tag::from(offset));
            let copies = Copies::new(from, Patch { first_id, ..patch });
            let written = self.sender.put_run(output.buffer(), packets, copies);
            sent &= written == Ok(packets.len());
        });
        sent
    }

    /// Messages of another protocol.
    fn translate(
        &self,
        run: &Run,
        (first, count): (u32, u32),
        patch: Patch,
        output: &mut Output,
    ) -> bool {
        let topic = run.envelope.address.render(Dialect::Mqtt);
        let mut sent = true;
        for offset in 0..count {
            let view = canonical::view(run, first + offset);
            let tag = Tag::from(patch.first_id) + Tag::from(offset);
            let packet = ternmq_mqtt::Publish {
                topic: &topic,
                qos: patch.qos,
                retain: patch.retain,
                dup: patch.dup,
                id: Some(packet_id(tag)),
                properties: Properties::default(),
                payload: &view.body,
            };
            sent &= packet.encode(self.version, output.buffer()).is_ok();
        }
        sent
    }
}

/// The QoS a run was published with; other protocols count as QoS 1.
fn stored_qos(run: &Run) -> QoS {
    let mqtt = run.format == FORMAT || run.format == FORMAT_V5;
    if mqtt && run.envelope.is_at_most_once() {
        QoS::AtMostOnce
    } else {
        QoS::AtLeastOnce
    }
}

/// Copies packets of the receiver's encoding.
fn copy(run: &Run, first: u32, count: u32, patch: Patch, output: &mut Output) {
    let (start, end) = (run.start(first), run.end(first + count.max(1) - 1));
    let bytes = run.slice(first, count);
    let large = bytes.len() >= PIECE_BYTES;
    let same = bytes.first() == Some(if patch.retain { &0x31 } else { &0x30 });
    if same && large {
        output.push(run.block().slice(start..end));
    } else if same {
        output.buffer().extend_from_slice(bytes);
    } else if count == 1 && large {
        let rest = patch_head(output.buffer(), bytes, patch);
        output.push(run.block().slice(start + rest..end));
    } else {
        let out = output.buffer();
        in_parts(run, (first, count), |packets, offset| {
            let first_id = packet_id(Tag::from(patch.first_id) + Tag::from(offset));
            patch_run(out, packets, Patch { first_id, ..patch });
        });
    }
}

/// Goes through messages of a run in parts whose ends need no allocation; the second argument is
/// how many came before.
fn in_parts(run: &Run, (first, count): (u32, u32), mut visit: impl FnMut(Packets<'_>, u32)) {
    let mut ends = [0; PART];
    let mut done = 0;
    while done < count {
        let (from, n) = (first + done, (count - done).min(PART as u32));
        let start = run.start(from);
        for (end, message) in ends.iter_mut().zip(from..from + n) {
            *end = u32::try_from(run.end(message) - start).unwrap_or(u32::MAX);
        }
        let ends = ends.get(..n as usize).unwrap_or_default();
        visit(Packets::new(run.slice(from, n), ends), done);
        done += n;
    }
}

/// Messages of a part.
const PART: usize = 64;
