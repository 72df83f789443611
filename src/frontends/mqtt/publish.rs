//! PUBLISH: a run of packets becomes one command; its bytes are copied once, out of the read buffer.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ternmq_core::command::{Command, Publish, Retain, SendMode};
use ternmq_core::dialect::Dialect;
use ternmq_core::ids::Token;
use ternmq_core::message::{Assurance, Envelope, Run};
use ternmq_mqtt::{PropertyId, PublishRun, QoS, Version, packet_id_after};

use super::blocks::{Blocks, NoMemory};
use super::confirm::Ids;
use super::topics::Destination;
use super::{Exit, Flow, State, format, reason};
use crate::frontends::Turn;

/// The server's own topics: nobody else publishes there.
const RESERVED: &str = "$SYS";

/// Priority of a message whose protocol has none.
pub(super) const NORMAL_PRIORITY: u8 = 4;

/// Bytes that are written anew at a time.
const REWRITTEN_BYTES: usize = 64 << 10;

/// Whether a topic is one of the server's own.
pub(super) fn is_reserved(topic: &str) -> bool {
    let own = topic.strip_prefix(RESERVED);
    own.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn assurance(qos: QoS) -> Assurance {
    match qos {
        QoS::AtMostOnce => Assurance::AtMostOnce,
        QoS::AtLeastOnce => Assurance::AtLeastOnce,
        QoS::ExactlyOnce => Assurance::ExactlyOnce,
    }
}

/// Why packets are not published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    Denied,
    Topic,
    Memory,
    Payload,
}

impl Why {
    /// The code for it, and the words for who has no code.
    fn reason(self) -> (u8, &'static str) {
        match self {
            Self::Denied => (reason::NOT_AUTHORIZED, "publish is not allowed"),
            Self::Topic => (reason::TOPIC_INVALID, "topic refused"),
            Self::Memory => (reason::QUOTA, "no memory for a publish"),
            Self::Payload => (reason::PAYLOAD_FORMAT_INVALID, "the payload is not UTF-8"),
        }
    }

    fn exit(self) -> Exit {
        let (reason, words) = self.reason();
        Exit::close(reason, words)
    }
}

impl State {
    /// Publishes a run, as far as there is memory.
    pub(super) fn publish(
        &mut self,
        run: &PublishRun<'_>,
        blocks: &mut Blocks<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Exit> {
        if std::mem::take(&mut self.refuse_next) {
            self.refuse(run, 0..run.len(), Why::Memory, turn)?;
            return Ok(Flow::Go);
        }
        let why = match self.topics.resolve(run.topic) {
            Ok(destination) if destination.denied || is_reserved(run.topic) => Why::Denied,
            Ok(_) if run.bad_payload => Why::Payload,
            Ok(destination) if run.alias.is_some() || destination.queue.is_some() => {
                let destination = destination.clone();
                return self.publish_rewritten(run, &destination, blocks, turn);
            }
            Ok(_) => return self.publish_copied(run, blocks, turn),
            Err(_) => Why::Topic,
        };
        self.refuse(run, 0..run.len(), why, turn)?;
        Ok(Flow::Go)
    }

    /// Publishes the packets as they came.
    fn publish_copied(
        &mut self,
        run: &PublishRun<'_>,
        blocks: &mut Blocks<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Exit> {
        let (mut first, mut start) = (0, 0);
        while let Some(rest) = run
            .packets
            .ends()
            .get(first..)
            .filter(|rest| !rest.is_empty())
        {
            let most = self.parked.portion(turn.link.largest_publish());
            let count = fitting(rest, start, most);
            let end = rest.get(count - 1).map_or(start, |end| *end as usize);
            if end - start > turn.link.largest_publish() {
                self.refuse(run, first..first + 1, Why::Memory, turn)?;
                (first, start) = (first + 1, end);
                continue;
            }
            let wanted = start..end;
            // A share set aside is used for what it was asked for, or it lapses.
            let block = if run.retain || self.parked.is_granted() {
                blocks.exact(wanted, turn.link)
            } else {
                blocks.shared(wanted, turn.link)
            };
            let block = match block {
                Ok(block) => block,
                Err(NoMemory(bytes)) => {
                    self.parked.ask(bytes);
                    return Ok(Flow::park(blocks.offset(start), run, first));
                }
            };
            self.parked.ask(0);
            let part = Part {
                first,
                start,
                ends: rest.get(..count).unwrap_or_default(),
                block,
            };
            let to = self.topics.resolve(run.topic);
            publish_part(run, part, to.map_err(|_| Why::Topic.exit())?, turn)?;
            self.note_unanswered(run, count);
            (first, start) = (first + count, end);
        }
        Ok(Flow::Go)
    }

    /// Publishes packets that are written anew: to `address::queue`, of which what is stored names
    /// the address alone, as receivers do, and those whose topic is an alias.
    fn publish_rewritten(
        &mut self,
        run: &PublishRun<'_>,
        to: &Destination,
        blocks: &Blocks<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Exit> {
        let named = to.queue.is_some().then(|| to.address.render(Dialect::Mqtt));
        let mut plain = *run;
        plain.topic = named.as_deref().unwrap_or(run.topic);
        let (mut first, mut start) = (0, 0);
        while first < run.len() {
            let largest = turn.link.largest_publish();
            let most = self.parked.portion(largest).min(REWRITTEN_BYTES);
            let ends = plain_ends(&plain, first, most);
            let count = ends.len().max(1);
            let bytes = ends.last().map_or(0, |end| *end as usize);
            let behind = run.packets.ends().get(first + count - 1);
            let behind = behind.map_or(start, |end| *end as usize);
            if bytes > largest {
                self.refuse(run, first..first + 1, Why::Memory, turn)?;
                (first, start) = (first + 1, behind);
                continue;
            }
            let Some(charge) = turn.link.reserve(bytes) else {
                self.parked.ask(bytes);
                return Ok(Flow::park(blocks.offset(start), run, first));
            };
            self.parked.ask(0);
            let mut copy = Vec::with_capacity(bytes);
            for i in first..first + count {
                let written = plain.put_plain(&mut copy, i);
                written.map_err(|_| Exit::close(reason::TOO_LARGE, "publish is too large"))?;
            }
            let part = Part {
                first,
                start: 0,
                ends: &ends,
                block: turn.link.block(charge, &copy),
            };
            publish_part(run, part, to, turn)?;
            self.note_unanswered(run, count);
            (first, start) = (first + count, behind);
        }
        Ok(Flow::Go)
    }

    /// Does not publish packets: MQTT 5.0 has acknowledgements for that, which keep their turn.
    /// Before, and there alone, the connection ends, or what is denied is acknowledged like any
    /// other \[MQTT-3.3.5-2 of 3.1.1\]. QoS 0 is passed over.
    fn refuse(
        &mut self,
        run: &PublishRun<'_>,
        packets: Range<usize>,
        why: Why,
        turn: &mut Turn<'_>,
    ) -> Result<(), Exit> {
        let dropped = self.options.acknowledge_denied && why == Why::Denied;
        if run.version < Version::V5 && !dropped {
            return Err(why.exit());
        }
        self.parked.ask(0);
        tracing::debug!(topic = run.topic, ?why, "publish refused");
        let Some(first) = run.id(packets.start) else {
            return Ok(());
        };
        let (reason, _) = why.reason();
        let ids = Ids {
            twice: run.qos == QoS::ExactlyOnce,
            reason,
            ..Ids::new(first, packets.len())
        };
        let token = ids.publish_token();
        turn.commands.push(Command::Flush { token });
        self.note_unanswered(run, packets.len());
        Ok(())
    }

    fn note_unanswered(&mut self, run: &PublishRun<'_>, count: usize) {
        if run.first_id.is_some() {
            self.unanswered += u32::try_from(count).unwrap_or(u32::MAX);
        }
    }
}

/// Where packets from `first` on end when they are written anew, at least one and as many as fit
/// into `most` bytes.
fn plain_ends(plain: &PublishRun<'_>, first: usize, most: usize) -> Vec<u32> {
    let mut ends = Vec::new();
    let mut total = 0;
    for i in first..plain.len() {
        total += plain.plain_len(i);
        if total > most && !ends.is_empty() {
            break;
        }
        ends.push(u32::try_from(total).unwrap_or(u32::MAX));
    }
    ends
}

/// Packets of a run that are published together.
struct Part<'a> {
    /// Index of the first within the run.
    first: usize,
    /// Where it begins, counted as `ends` are.
    start: usize,
    /// Where each ends.
    ends: &'a [u32],
    block: Bytes,
}

/// How many packets, at least one, end within `most` bytes of `start`.
fn fitting(ends: &[u32], start: usize, most: usize) -> usize {
    let limit = start.saturating_add(most);
    match ends.last() {
        Some(last) if *last as usize <= limit => ends.len(),
        _ => ends.partition_point(|end| *end as usize <= limit).max(1),
    }
}

fn publish_part(
    run: &PublishRun<'_>,
    part: Part<'_>,
    to: &Destination,
    turn: &mut Turn<'_>,
) -> Result<(), Exit> {
    if run.retain {
        publish_retained(run, &part, to, turn);
        return Ok(());
    }
    let id = run.first_id.map(|id| packet_id_after(id, part.first));
    let count = part.ends.len();
    let (envelope, format) = (envelope(run, to, turn), format(run.version));
    let messages = match (count, part.start) {
        (1, _) => Some(Run::single(envelope, format, part.block)),
        (_, 0) => Run::new(envelope, format, part.block, part.ends),
        (_, start) => {
            let start = u32::try_from(start).unwrap_or(u32::MAX);
            let ends: Vec<u32> = part.ends.iter().map(|end| end - start).collect();
            Run::new(envelope, format, part.block, &ends)
        }
    };
    let messages = messages
        .ok_or_else(|| Exit::close(reason::IMPLEMENTATION, "a run of publishes has no block"))?;
    turn.commands.push(Command::Publish(Publish {
        run: Arc::new(messages),
        mode: SendMode::Publish,
        queue: to.queue.clone(),
        retain: Retain::No,
        receipt: id.filter(|_| run.qos == QoS::ExactlyOnce),
        token: id.map(|id| publish_token(run, id, count)),
    }));
    Ok(())
}

/// Each message replaces the value of the one before: one command per message.
fn publish_retained(run: &PublishRun<'_>, part: &Part<'_>, to: &Destination, turn: &mut Turn<'_>) {
    let mut start = part.start;
    for (i, &end) in part.ends.iter().enumerate() {
        let end = end as usize;
        let packet = part.block.slice(start - part.start..end - part.start);
        start = end;
        let envelope = envelope(run, to, turn);
        let empty = run.payload(part.first + i).is_empty();
        let id = run.id(part.first + i);
        turn.commands.push(Command::Publish(Publish {
            run: Arc::new(Run::single(envelope, format(run.version), packet)),
            mode: SendMode::Publish,
            queue: to.queue.clone(),
            retain: if empty { Retain::Remove } else { Retain::Store },
            receipt: id.filter(|_| run.qos == QoS::ExactlyOnce),
            token: id.map(|id| publish_token(run, id, 1)),
        }));
    }
}

fn envelope(run: &PublishRun<'_>, to: &Destination, turn: &Turn<'_>) -> Envelope {
    let life_s = run.properties.integer(PropertyId::MessageExpiry);
    let now = turn.now.wall_ms;
    Envelope {
        address: to.address.clone(),
        durable: run.qos > QoS::AtMostOnce,
        assurance: assurance(run.qos),
        priority: NORMAL_PRIORITY,
        expires_ms: life_s.map_or(0, |s| now.saturating_add(u64::from(s) * 1_000)),
        timestamp_ms: now,
    }
}

fn publish_token(run: &PublishRun<'_>, first: u16, count: usize) -> Token {
    let ids = Ids {
        twice: run.qos == QoS::ExactlyOnce,
        ..Ids::new(first, count)
    };
    ids.publish_token()
}
