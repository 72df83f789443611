//! PUBLISH: a run of packets becomes one command; its bytes are copied once, out of the read buffer.

use std::sync::Arc;

use bytes::Bytes;
use ternmq_core::command::{Command, Publish, Retain, SendMode};
use ternmq_core::dialect::Dialect;
use ternmq_core::message::{Envelope, Run};
use ternmq_mqtt::{AckKind, AckRun, Publish as Packet, PublishRun, QoS, packet_id_after, put_acks};

use super::blocks::{Blocks, NoMemory};
use super::topics::Destination;
use super::{FORMAT, Flow, PUBLISH, State, token};
use crate::frontends::{Ended, Turn};

/// The server's own topics: nobody else publishes there.
const RESERVED: &str = "$SYS";

/// Priority of a message whose protocol has none.
const NORMAL_PRIORITY: u8 = 4;

impl State {
    /// Publishes a run, as far as there is memory.
    pub(super) fn publish(
        &mut self,
        run: &PublishRun<'_>,
        blocks: &mut Blocks<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Ended> {
        self.check(run)?;
        let destination = self
            .topics
            .resolve(run.topic)
            .map_err(|error| Ended::Fault(format!("topic refused: {error}").into()))?;
        if destination.queue.is_some() {
            let destination = destination.clone();
            return self.publish_named(run, &destination, blocks, turn);
        }
        let ends = run.packets.ends();
        let (mut first, mut start) = (0, 0);
        while let Some(rest) = ends.get(first..).filter(|rest| !rest.is_empty()) {
            let most = self.parked.portion(turn.link.largest_publish());
            let count = fitting(rest, start, most);
            let end = rest.get(count - 1).map_or(start, |end| *end as usize);
            if end - start > turn.link.largest_publish() {
                return Err(Ended::Fault(
                    "publish is larger than the server's memory".into(),
                ));
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
                    return Ok(Flow::Park(blocks.offset(start)));
                }
            };
            self.parked.ask(0);
            let part = Part {
                first,
                start,
                ends: rest.get(..count).unwrap_or_default(),
                block,
            };
            if run.retain {
                publish_retained(run, &part, destination, turn);
            } else {
                publish_part(run, part, destination, turn)?;
            }
            self.unanswered += u32::from(run.first_id.is_some()) * count as u32;
            (first, start) = (first + count, end);
        }
        Ok(Flow::Go)
    }

    fn check(&self, run: &PublishRun<'_>) -> Result<(), Ended> {
        if run.qos == QoS::ExactlyOnce {
            tracing::warn!(
                topic = run.topic,
                "PUBLISH with QoS 2 refused: not served yet"
            );
            return Err(Ended::Fault("QoS 2 is not served yet".into()));
        }
        let own = run.topic.strip_prefix(RESERVED);
        let reserved = own.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if reserved || (run.retain && !self.options.retain_available) {
            return Err(Ended::Fault("publish is not allowed".into()));
        }
        Ok(())
    }

    /// Publishes to `address::queue`. What is stored names the address alone, as receivers do.
    fn publish_named(
        &mut self,
        run: &PublishRun<'_>,
        to: &Destination,
        blocks: &Blocks<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Ended> {
        let topic = to.address.render(Dialect::Mqtt);
        let mut start = 0;
        for (i, end) in run.packets.ends().iter().enumerate() {
            let packet = Packet {
                topic: &topic,
                qos: run.qos,
                retain: run.retain,
                dup: false,
                id: run.id(i),
                properties: run.properties,
                payload: run.payload(i),
            };
            let mut bytes = Vec::new();
            packet
                .encode(run.version, &mut bytes)
                .map_err(|error| Ended::Fault(error.to_string().into()))?;
            let Some(charge) = turn.link.reserve(bytes.len()) else {
                self.parked.ask(bytes.len());
                return Ok(Flow::Park(blocks.offset(start)));
            };
            self.parked.ask(0);
            let block = turn.link.block(charge, &bytes);
            let ends = [u32::try_from(bytes.len()).unwrap_or(u32::MAX)];
            let part = Part {
                first: i,
                start: 0,
                ends: &ends,
                block,
            };
            if run.retain {
                publish_retained(run, &part, to, turn);
            } else {
                publish_part(run, part, to, turn)?;
            }
            self.unanswered += u32::from(run.first_id.is_some());
            start = *end as usize;
        }
        Ok(Flow::Go)
    }

    pub(super) fn settle(&mut self, run: &AckRun<'_>, turn: &mut Turn<'_>) {
        match run.kind {
            AckKind::PubAck => self.settle_ids(run.first_id, run.n, turn),
            // No QoS 2 message is begun, so its id is unknown, and that is complete.
            AckKind::PubRel => {
                put_acks(turn.output.buffer(), AckKind::PubComp, run.first_id, run.n);
            }
            // Nothing was sent with QoS 2, so these belong to nothing.
            AckKind::PubRec | AckKind::PubComp => {}
        }
    }
}

/// Packets of a run that are published together.
struct Part<'a> {
    /// Index of the first within the run.
    first: usize,
    /// Where it begins within the run.
    start: usize,
    /// Where each ends within the run.
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
) -> Result<(), Ended> {
    let id = run.first_id.map(|id| packet_id_after(id, part.first));
    let count = part.ends.len();
    let envelope = envelope(run, to, turn);
    let messages = match (count, part.start) {
        (1, _) => Some(Run::single(envelope, FORMAT, part.block)),
        (_, 0) => Run::new(envelope, FORMAT, part.block, part.ends),
        (_, start) => {
            let start = u32::try_from(start).unwrap_or(u32::MAX);
            let ends: Vec<u32> = part.ends.iter().map(|end| end - start).collect();
            Run::new(envelope, FORMAT, part.block, &ends)
        }
    };
    let messages = messages.ok_or(Ended::Fault("a run of publishes has no block".into()))?;
    turn.commands.push(Command::Publish(Publish {
        run: Arc::new(messages),
        mode: SendMode::Publish,
        queue: to.queue.clone(),
        retain: Retain::No,
        token: id.map(|id| publish_token(id, count)),
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
        turn.commands.push(Command::Publish(Publish {
            run: Arc::new(Run::single(envelope, FORMAT, packet)),
            mode: SendMode::Publish,
            queue: to.queue.clone(),
            retain: if empty { Retain::Remove } else { Retain::Store },
            token: run.id(part.first + i).map(|id| publish_token(id, 1)),
        }));
    }
}

fn envelope(run: &PublishRun<'_>, to: &Destination, turn: &Turn<'_>) -> Envelope {
    Envelope {
        address: to.address.clone(),
        durable: run.qos > QoS::AtMostOnce,
        at_most_once: run.qos == QoS::AtMostOnce,
        priority: NORMAL_PRIORITY,
        expires_ms: 0,
        timestamp_ms: turn.now.wall_ms,
    }
}

fn publish_token(first: u16, count: usize) -> ternmq_core::ids::Token {
    token(PUBLISH, (count as u64) << 16 | u64::from(first))
}
