//! Annotations that the broker adds: where a message was before, and what those who had it noted.

use std::collections::BTreeSet;
use std::sync::Arc;

use ternmq_amqp::types::{Map, Value, put_descriptor, put_map, put_symbol, put_value};
use ternmq_amqp::{Fault, MessageId};
use ternmq_core::effect::{MoveReason, Origin};

use super::address::Names;

/// Message annotations that are put together. Of values for one key the first one counts.
#[derive(Debug, Default)]
pub(super) struct Annotations<'a> {
    keys: BTreeSet<&'a str>,
    /// Keys and values.
    items: Vec<u8>,
    count: u32,
}

impl<'a> Annotations<'a> {
    pub(super) fn put(&mut self, key: &'a str, value: &Value<'_>) {
        if self.keys.insert(key) {
            put_symbol(&mut self.items, key);
            put_value(&mut self.items, value);
            self.count += 2;
        }
    }

    /// All pairs of a map, up to the first that cannot be read.
    pub(super) fn put_all(&mut self, map: &Map<'a>) {
        for (key, value) in map.iter().map_while(Result::ok) {
            // Keys are symbols; numbers are reserved, and passed on (M 3.2.10).
            let is_new = match key {
                Value::Symbol(name) | Value::Text(name) => self.keys.insert(name),
                _ => true,
            };
            if is_new {
                put_value(&mut self.items, &key);
                put_value(&mut self.items, &value);
                self.count += 2;
            }
        }
    }

    /// What was noted of a message.
    pub(super) fn put_note(&mut self, note: &'a [u8]) {
        if let Ok(Value::Map(map)) = Value::decode(note) {
            self.put_all(&map);
        }
    }

    /// Where a message was before it was moved.
    pub(super) fn put_origin(&mut self, origin: &Origin, id: Option<MessageId<'_>>, names: &Names) {
        let address = names.render(&origin.address, None);
        self.put("x-opt-ORIG-ADDRESS", &Value::Text(&address));
        let queue = origin.queue.render(names.dialect);
        self.put("x-opt-ORIG-QUEUE", &Value::Text(&queue));
        if let Some(id) = id {
            self.put("x-opt-ORIG-MESSAGE-ID", &id_value(id));
        }
        let time_ms = i64::try_from(origin.time_ms).unwrap_or(i64::MAX);
        if origin.reason == MoveReason::Expired {
            self.put("x-opt-ACTUAL-EXPIRY", &Value::Long(time_ms));
        }
        let reason = Value::Text(origin.reason.as_str());
        self.put("x-opt-dead-letter-reason", &reason);
        self.put("x-opt-dead-letter-time", &Value::Timestamp(time_ms));
    }

    /// Appends them as a section; nothing if there are none.
    pub(super) fn finish(&self, out: &mut Vec<u8>) {
        if self.count > 0 {
            put_descriptor(out, MESSAGE_ANNOTATIONS);
            put_map(out, self.count, &self.items);
        }
    }
}

fn id_value(id: MessageId<'_>) -> Value<'_> {
    match id {
        MessageId::Ulong(number) => Value::Ulong(number),
        MessageId::Uuid(bytes) => Value::Uuid(bytes),
        MessageId::Binary(bytes) => Value::Binary(bytes),
        MessageId::Text(text) => Value::Text(text),
    }
}

/// The note of a message with the changes of whoever had it now
/// ([`Settle::note`](ternmq_core::command::Settle::note)). What would make it longer than 16 KiB
/// is not noted.
pub(super) fn note(existing: Option<&[u8]>, changes: &Map<'_>) -> Option<Arc<[u8]>> {
    let earlier = || existing.map(Arc::from);
    if changes.is_empty() || changes.values().encoded().len() > MAX_NOTE_BYTES {
        return earlier();
    }
    let mut merged = Annotations::default();
    merged.put_all(changes);
    if let Some(existing) = existing {
        merged.put_note(existing);
    }
    let mut note = Vec::with_capacity(merged.items.len() + 16);
    put_map(&mut note, merged.count, &merged.items);
    if note.len() > MAX_NOTE_BYTES {
        return earlier();
    }
    Some(note.into())
}

/// The note of a message that was rejected, with the error that its receiver gave.
pub(super) fn rejection_note(
    existing: Option<&[u8]>,
    error: Option<&Fault<'_>>,
) -> Option<Arc<[u8]>> {
    let Some(error) = error else {
        return existing.map(Arc::from);
    };
    let mut said = Annotations::default();
    let condition = Value::Symbol(error.condition);
    said.put("x-opt-rejection-condition", &condition);
    let description = error.description.map(shortened);
    if let Some(description) = description {
        said.put("x-opt-rejection-description", &Value::Text(description));
    }
    let mut encoded = Vec::with_capacity(said.items.len() + 16);
    put_map(&mut encoded, said.count, &said.items);
    match Value::decode(&encoded) {
        Ok(Value::Map(said)) => note(existing, &said),
        _ => existing.map(Arc::from),
    }
}

/// The beginning of a description.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_DESCRIPTION_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

const MESSAGE_ANNOTATIONS: u64 = 0x72;

/// Longest note, encoded.
const MAX_NOTE_BYTES: usize = 16 << 10;

/// Longest description of an error that is noted.
const MAX_DESCRIPTION_BYTES: usize = 1 << 10;

#[cfg(test)]
mod tests;
