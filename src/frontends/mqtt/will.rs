//! The will of a CONNECT as the message it becomes (3.1.2.5, law L14).

use std::sync::Arc;

use ternmq_core::command::{Retain, SendMode, Will};
use ternmq_core::message::{Envelope, Run};
use ternmq_mqtt::Will as Wish;
use ternmq_mqtt::{Connect, Properties, PropertiesBuf, PropertyId, Publish, QoS, Version};

use super::publish::{NORMAL_PRIORITY, assurance, is_reserved};
use super::{Exit, State, format, reason};
use crate::frontends::Turn;

impl State {
    /// What a client wants to be published when it vanishes.
    pub(super) fn will(
        &mut self,
        packet: &Connect<'_>,
        turn: &Turn<'_>,
    ) -> Result<Option<Box<Will>>, Exit> {
        let Some(wish) = packet.will else {
            return Ok(None);
        };
        let destination = self
            .topics
            .resolve(wish.topic)
            .map_err(|_| Exit::close(reason::TOPIC_INVALID, "topic of the will"))?;
        if destination.denied || is_reserved(wish.topic) {
            return Err(Exit::close(reason::NOT_AUTHORIZED, "will is not allowed"));
        }
        if destination.queue.is_some() {
            return Err(Exit::close(
                reason::TOPIC_INVALID,
                "a will goes to a topic, not to a queue",
            ));
        }
        let bytes = encode(&wish, packet.version)?;
        let charge = turn
            .link
            .reserve(bytes.len())
            .ok_or_else(|| Exit::close(reason::QUOTA, "no memory for the will"))?;
        let envelope = Envelope {
            address: destination.address.clone(),
            durable: wish.qos > QoS::AtMostOnce,
            assurance: assurance(wish.qos),
            priority: NORMAL_PRIORITY,
            expires_ms: 0,
            timestamp_ms: turn.now.wall_ms,
        };
        let block = turn.link.block(charge, &bytes);
        let seconds = |id| wish.properties.integer(id).map(|s| u64::from(s) * 1_000);
        Ok(Some(Box::new(Will {
            run: Arc::new(Run::single(envelope, format(packet.version), block)),
            mode: SendMode::Publish,
            retain: match (wish.retain, wish.payload.is_empty()) {
                (false, _) => Retain::No,
                (true, false) => Retain::Store,
                (true, true) => Retain::Remove,
            },
            delay_ms: seconds(PropertyId::WillDelay).unwrap_or(0),
            ttl_ms: seconds(PropertyId::MessageExpiry),
        })))
    }
}

/// The PUBLISH that the will is stored as; receivers get packet ids of their own.
fn encode(wish: &Wish<'_>, version: Version) -> Result<Vec<u8>, Exit> {
    let mut properties = PropertiesBuf::new();
    properties.extend(wish.properties, |id| id != PropertyId::WillDelay);
    let packet = Publish {
        topic: wish.topic,
        qos: wish.qos,
        retain: wish.retain,
        dup: false,
        id: Some(1),
        properties: if version < Version::V5 {
            Properties::default()
        } else {
            properties.properties()
        },
        payload: wish.payload,
    };
    let mut bytes = Vec::new();
    match packet.encode(version, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Exit::close(reason::TOO_LARGE, "will is too large")),
    }
}
