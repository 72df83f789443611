//! Messages to PUBLISH packets. A message of MQTT is copied as it came in, with flags, packet id
//! and, for a receiver of 5.0, the properties of its way written anew; one of another protocol is
//! converted through the canonical view. Large bodies are not copied.

#[cfg(test)]
mod tests;

use ternmq_core::dialect::Dialect;
use ternmq_core::ids::Tag;
use ternmq_core::message::Run;
use ternmq_mqtt::{
    Copies, Expiry, Packets, Patch, Properties, PropertiesBuf, Publish, Sender, Version,
    patch_head, patch_run,
};

use super::deliver::packet_id;
use super::{FORMAT, FORMAT_V5, State, translate};
use crate::frontends::{Output, PIECE_BYTES, canonical};

/// Messages of a run for one receiver.
pub(super) struct Messages<'a> {
    pub(super) run: &'a Run,
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) patch: Patch,
    /// What is left of their life; `None` is without end.
    pub(super) expiry_s: Option<u32>,
    pub(super) subscription_ids: &'a [u32],
    /// What is told besides.
    pub(super) added: Properties<'a>,
}

impl Messages<'_> {
    /// The patch of messages behind the first `offset`.
    fn patch_at(&self, offset: u32) -> Patch {
        Patch {
            first_id: packet_id(Tag::from(self.patch.first_id) + Tag::from(offset)),
            ..self.patch
        }
    }

    fn copies(&self, from: Version, offset: u32) -> Copies<'_> {
        Copies {
            from,
            patch: self.patch_at(offset),
            expiry: self.expiry_s.map_or(Expiry::Never, Expiry::Left),
            subscription_ids: self.subscription_ids,
            added: self.added,
        }
    }
}

impl State {
    /// Appends messages; returns the places of those that are too large for the client, counted
    /// from the first.
    pub(super) fn encode(&mut self, messages: &Messages<'_>, output: &mut Output) -> Vec<u32> {
        match messages.run.format {
            FORMAT if self.version < Version::V5 => {
                copy(messages, 0, messages.count, output);
                Vec::new()
            }
            FORMAT => self.convert(messages, Version::V311, output),
            FORMAT_V5 => self.convert(messages, Version::V5, output),
            _ => self.translate(messages, output),
        }
    }

    fn convert(&mut self, messages: &Messages<'_>, from: Version, output: &mut Output) -> Vec<u32> {
        let mut dropped = Vec::new();
        in_parts(messages, 0, messages.count, |packets, offset| {
            let copies = messages.copies(from, offset);
            let n = u32::try_from(packets.len()).unwrap_or(u32::MAX);
            if from == self.version && self.sender.is_patch(packets, copies) {
                copy(messages, offset, n, output);
            } else if n == 1 && packets.bytes().len() >= PIECE_BYTES {
                let sent = put_large(
                    &mut self.sender,
                    messages,
                    (offset, packets),
                    copies,
                    output,
                );
                if !sent {
                    dropped.push(offset);
                }
            } else {
                let mut at = 0;
                while at < n {
                    let rest = packets.slice(at as usize, packets.len());
                    let copies = messages.copies(from, offset + at);
                    let written = self.sender.put_run(output.buffer(), rest, copies);
                    at += u32::try_from(written.unwrap_or(0)).unwrap_or(n);
                    if at < n {
                        dropped.push(offset + at);
                        at += 1;
                    }
                }
            }
        });
        dropped
    }

    /// Messages of another protocol.
    fn translate(&mut self, messages: &Messages<'_>, output: &mut Output) -> Vec<u32> {
        let envelope = &messages.run.envelope;
        let topic = envelope.address.render(Dialect::Mqtt);
        let mut dropped = Vec::new();
        for offset in 0..messages.count {
            let view = canonical::view(messages.run, messages.first + offset);
            let patch = messages.patch_at(offset);
            let mut properties = PropertiesBuf::new();
            if self.version == Version::V5 {
                let ids = messages.subscription_ids;
                properties = translate::properties(&view, envelope, messages.expiry_s);
                properties.extend(messages.added, |_| true);
                translate::add_ids(&mut properties, ids);
            }
            let packet = Publish {
                topic: &topic,
                qos: patch.qos,
                retain: patch.retain,
                dup: patch.dup,
                id: Some(patch.first_id),
                properties: properties.properties(),
                payload: &view.body,
            };
            if self.sender.put_publish(output.buffer(), &packet) != Ok(1) {
                dropped.push(offset);
            }
        }
        dropped
    }
}

/// Appends one large packet, its body from where it is; false if it is too large for the client.
fn put_large(
    sender: &mut Sender,
    messages: &Messages<'_>,
    (offset, packets): (u32, Packets<'_>),
    copies: Copies<'_>,
    output: &mut Output,
) -> bool {
    let run = messages.run;
    let Ok(Some(rest)) = sender.put_head(output.buffer(), packets.bytes(), copies) else {
        return false;
    };
    let index = messages.first + offset;
    output.push(run.block().slice(run.start(index) + rest..run.end(index)));
    true
}

/// Copies packets of the receiver's encoding that differ in flags and ids alone: `count` of them
/// behind the first `offset`.
fn copy(messages: &Messages<'_>, offset: u32, count: u32, output: &mut Output) {
    let (run, first) = (messages.run, messages.first + offset);
    let patch = messages.patch_at(offset);
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
        in_parts(messages, offset, count, |packets, offset| {
            patch_run(out, packets, messages.patch_at(offset));
        });
    }
}

/// Goes through `count` messages behind the first `offset` in parts whose ends need no allocation;
/// the second argument is how many messages came before.
fn in_parts(
    messages: &Messages<'_>,
    offset: u32,
    count: u32,
    mut visit: impl FnMut(Packets<'_>, u32),
) {
    let run = messages.run;
    let mut ends = [0; PART];
    let mut done = 0;
    while done < count {
        let (from, n) = (
            messages.first + offset + done,
            (count - done).min(PART as u32),
        );
        let start = run.start(from);
        for (end, message) in ends.iter_mut().zip(from..from + n) {
            *end = u32::try_from(run.end(message) - start).unwrap_or(u32::MAX);
        }
        let ends = ends.get(..n as usize).unwrap_or_default();
        visit(Packets::new(run.slice(from, n), ends), offset + done);
        done += n;
    }
}

/// Messages of a part.
const PART: usize = 64;
