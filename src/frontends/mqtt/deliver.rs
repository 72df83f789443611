//! Deliveries to PUBLISH packets, and what becomes of them: packet ids, room, settlement.
//!
//! A message of MQTT is copied as it came in, with flags and packet id written anew; one of
//! another protocol is converted through the canonical view and counts as QoS 1.

use std::collections::VecDeque;

use ternmq_core::command::{Command, Outcome, Settle, Tags};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Delivery;
use ternmq_core::ids::{ConsumerKey, Tag};
use ternmq_core::message::{Ends, Run};
use ternmq_mqtt::{Conversion, Packets, Patch, Properties, QoS, Version};
use ternmq_mqtt::{convert, patch_head, patch_run};

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
    /// Encoded, not written: last tag, room, and whether the client will not acknowledge it.
    encoded: VecDeque<(Tag, u32, Option<u32>)>,
    /// The same of deliveries without a tag, numbered here.
    loose: VecDeque<(Tag, u32)>,
    loose_newest: Tag,
}

/// The packet id of a tag.
fn packet_id(tag: Tag) -> u16 {
    u16::try_from((tag.max(1) - 1) % IDS + 1).unwrap_or(1)
}

impl Deliveries {
    /// The deliveries that consecutive packet ids stand for, as far as they can have been sent.
    pub(super) fn settle(&self, consumer: ConsumerKey, first: u16, n: usize) -> Option<Settle> {
        let back = (Tag::from(packet_id(self.newest)) + IDS - Tag::from(first)) % IDS;
        let first = self.newest.checked_sub(back).filter(|tag| *tag > 0)?;
        let n = u32::try_from(n).ok()?;
        let tags = Tags::Range { first, n };
        Some(Settle {
            consumer,
            tags,
            outcome: Outcome::Accepted,
            token: None,
        })
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
            let quiet = (!acknowledged).then_some(delivery.count);
            self.encoded.push_back((last, room, quiet));
            output.mark(ConsumerKey::SESSION, last);
        }
    }

    /// The kernel took some output: gives back the room and says what was written.
    pub(super) fn written(&mut self, turn: &mut Turn<'_>) {
        let mut room = 0u32;
        let before = self.written;
        let written: Vec<_> = turn.output.take_written().collect();
        for (consumer, tag) in written {
            if consumer == UNSETTLED {
                while let Some((_, bytes)) = self.loose.pop_front_if(|(at, _)| *at <= tag) {
                    room = room.saturating_add(bytes);
                }
                continue;
            }
            // Tags sent again after a resumption are lower than the newest one written before.
            while let Some((last, bytes, quiet)) = self.encoded.pop_front() {
                room = room.saturating_add(bytes);
                if let Some(n) = quiet {
                    let tags = Tags::Range {
                        first: last + 1 - Tag::from(n),
                        n,
                    };
                    let consumer = ConsumerKey::SESSION;
                    let outcome = Outcome::Accepted;
                    let settle = Settle {
                        consumer,
                        tags,
                        outcome,
                        token: None,
                    };
                    turn.commands.push(Command::Settle(settle));
                }
                if last == tag {
                    break;
                }
            }
            self.written = self.written.max(tag);
        }
        if self.written > before {
            let (consumer, tag) = (ConsumerKey::SESSION, self.written);
            turn.commands.push(Command::Written { consumer, tag });
        }
        if room > 0 {
            turn.commands.push(Command::Room(room));
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
            Outgoing::Fanout { run, first, count } => {
                let patch = Patch {
                    first_id: 0,
                    qos: QoS::AtMostOnce,
                    dup: false,
                    retain: false,
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
    fn encode(&self, run: &Run, first: u32, count: u32, patch: Patch, output: &mut Output) -> bool {
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
        &self,
        run: &Run,
        (first, count): (u32, u32),
        patch: Patch,
        from: Version,
        output: &mut Output,
    ) -> bool {
        let ends = ends(run, first, count);
        let packets = Packets::new(run.slice(first, count), &ends);
        let conversion = Conversion {
            from,
            to: self.version,
            patch,
        };
        convert(output.buffer(), packets, conversion).is_ok()
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
    if mqtt && run.envelope.at_most_once {
        QoS::AtMostOnce
    } else {
        QoS::AtLeastOnce
    }
}

/// Copies packets of the receiver's encoding.
fn copy(run: &Run, first: u32, count: u32, patch: Patch, output: &mut Output) {
    let (start, end) = (run.start(first), run.end(first + count.max(1) - 1));
    let bytes = run.slice(first, count);
    let same = |first: u8| first == if patch.retain { 0x31 } else { 0x30 };
    if bytes.first().is_some_and(|first| same(*first)) {
        output.push(run.block().slice(start..end));
    } else if count == 1 && bytes.len() >= PIECE_BYTES {
        let rest = patch_head(output.buffer(), bytes, patch);
        output.push(run.block().slice(start + rest..end));
    } else {
        let ends = ends(run, first, count);
        patch_run(output.buffer(), Packets::new(bytes, &ends), patch);
    }
}

/// Where each of these messages ends, counted from the start of the first.
fn ends(run: &Run, first: u32, count: u32) -> Vec<u32> {
    match run.ends() {
        Ends::Even(length) => (1..=count).map(|k| k * length).collect(),
        Ends::Listed(_) => {
            let start = run.start(first);
            let end = |at| u32::try_from(run.end(at) - start).unwrap_or(u32::MAX);
            (first..first + count).map(end).collect()
        }
    }
}
