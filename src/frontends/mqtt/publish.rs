//! PUBLISH: a run of packets becomes one command; its block is copied once, out of the read buffer.

use std::sync::Arc;

use bytes::Bytes;
use ternmq_core::command::{Command, Publish, Retain, SendMode};
use ternmq_core::message::{Envelope, Run};
use ternmq_mqtt::{AckRun, PublishRun, QoS};

use super::topics::Destination;
use super::{FORMAT, Flow, Hold, PUBLISH, State, token};
use crate::frontends::{Ended, Turn};

/// The server's own topics: nobody else publishes there.
const RESERVED: &str = "$SYS/";

/// Priority of a message whose protocol has none.
const NORMAL_PRIORITY: u8 = 4;

impl State {
    pub(super) fn publish(
        &mut self,
        run: &PublishRun<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Ended> {
        if run.qos == QoS::ExactlyOnce {
            tracing::warn!(
                topic = run.topic,
                "PUBLISH with QoS 2 refused: not served yet"
            );
            return Err(Ended::Fault("QoS 2 is not served yet".into()));
        }
        if run.topic.starts_with(RESERVED) || (run.retain && !self.options.retain_available) {
            return Err(Ended::Fault("publish is not allowed".into()));
        }
        let destination = self
            .topics
            .resolve(run.topic)
            .map_err(|error| Ended::Fault(format!("topic refused: {error}").into()))?;
        let bytes = run.packets.bytes();
        if bytes.len() > turn.link.largest_publish() {
            return Err(Ended::Fault(
                "publish is larger than the server's memory".into(),
            ));
        }
        let Some(charge) = turn.link.reserve(bytes.len()) else {
            return Ok(Flow::Park(Hold::Budget));
        };
        let block = turn.link.block(charge, bytes);
        let envelope = Envelope {
            address: destination.address.clone(),
            durable: run.qos > QoS::AtMostOnce,
            at_most_once: run.qos == QoS::AtMostOnce,
            priority: NORMAL_PRIORITY,
            expires_ms: 0,
            timestamp_ms: turn.now.wall_ms,
        };
        if run.retain {
            self.publish_retained(run, &destination, &envelope, &block, turn);
        } else if let Some(messages) = Run::new(envelope, FORMAT, block, run.packets.ends()) {
            let command = Publish {
                run: Arc::new(messages),
                mode: SendMode::Publish,
                queue: destination.queue,
                retain: Retain::No,
                token: run.first_id.map(|first| publish_token(first, run.len())),
            };
            turn.commands.push(Command::Publish(command));
        }
        Ok(Flow::Go)
    }

    /// Each message replaces the value of the one before: one command per message.
    fn publish_retained(
        &self,
        run: &PublishRun<'_>,
        destination: &Destination,
        envelope: &Envelope,
        block: &Bytes,
        turn: &mut Turn<'_>,
    ) {
        let mut start = 0;
        for (i, &end) in run.packets.ends().iter().enumerate() {
            let packet = block.slice(start..end as usize);
            start = end as usize;
            let empty = run.payload(i).is_empty();
            let command = Publish {
                run: Arc::new(Run::single(envelope.clone(), FORMAT, packet)),
                mode: SendMode::Publish,
                queue: destination.queue.clone(),
                retain: if empty { Retain::Remove } else { Retain::Store },
                token: run.id(i).map(|id| publish_token(id, 1)),
            };
            turn.commands.push(Command::Publish(command));
        }
    }

    pub(super) fn settle(&mut self, run: &AckRun<'_>, turn: &mut Turn<'_>) -> Result<(), Ended> {
        match run.kind {
            ternmq_mqtt::AckKind::PubAck => {
                self.settle_ids(run.first_id, run.n, turn);
                Ok(())
            }
            // Nothing was sent with QoS 2, so no such packet can belong to anything.
            _ => Ok(()),
        }
    }
}

fn publish_token(first: u16, count: usize) -> ternmq_core::ids::Token {
    token(PUBLISH, (count as u64) << 16 | u64::from(first))
}
