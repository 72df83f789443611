//! CONNECT: a session is attached, then CONNACK.

use std::sync::Arc;

use ternmq_core::command::{Attach, Command};
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_mqtt::{ConnAck, Connect, Sender, Terms, Version};

use super::{CONNECT, Flow, State, token};
use crate::frontends::{Ended, Turn};

/// Who a client is that does not say so.
const ANONYMOUS: &str = "anonymous";

/// Reason codes of MQTT 5.0; CONNACK of older versions gets the nearest return code.
const UNSUPPORTED_VERSION: u8 = 0x84;
const CLIENT_ID_INVALID: u8 = 0x85;
const NOT_AUTHORIZED: u8 = 0x87;
const SERVER_UNAVAILABLE: u8 = 0x88;

impl State {
    pub(super) fn connect(
        &mut self,
        packet: &Connect<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Ended> {
        self.version = packet.version;
        let terms = Terms::of(packet.properties);
        self.sender = Sender::new(packet.version, terms, &self.options.limits());
        if packet.version == Version::V5 {
            self.refuse_connect(UNSUPPORTED_VERSION, turn);
            return Err(Ended::Fault("MQTT 5.0 is not served yet".into()));
        }
        if packet.will.is_some() {
            tracing::warn!(
                client = packet.client_id,
                "will accepted but not sent: not served yet"
            );
        }
        if packet.client_id.len() > self.options.max_name_bytes {
            self.refuse_connect(CLIENT_ID_INVALID, turn);
            return Err(Ended::Fault("client id is too long".into()));
        }
        self.keep_alive_s = packet.keep_alive_s;
        if let Some(max) = self.options.max_keep_alive_s
            && (self.keep_alive_s == 0 || self.keep_alive_s > max)
        {
            self.keep_alive_s = max;
        }
        let id = turn.link.id();
        let name: Arc<str> = match packet.client_id {
            "" => format!("$anonymous-{}-{}", id.slot, id.generation).into(),
            name => name.into(),
        };
        turn.commands.push(Command::Attach(Attach {
            name,
            principal: packet.username.unwrap_or(ANONYMOUS).into(),
            clean: packet.clean_start,
            expiry_ms: if packet.clean_start {
                Some(0)
            } else {
                self.options.session_expiry_ms
            },
            durable: !packet.clean_start,
            hold: false,
            window: self.options.max_inflight.into(),
            will: None,
            token: Some(token(CONNECT, 0)),
        }));
        Ok(Flow::Connecting)
    }

    /// Whether a session is resumed.
    pub(super) fn answer_connect(
        &mut self,
        answer: &Answer,
        turn: &mut Turn<'_>,
    ) -> Result<bool, Ended> {
        match answer {
            Answer::Attached { present } => {
                self.connected = true;
                Ok(*present)
            }
            Answer::Refused(why) => {
                let reason = match why {
                    Refusal::Forbidden => NOT_AUTHORIZED,
                    _ => SERVER_UNAVAILABLE,
                };
                self.refuse_connect(reason, turn);
                Err(Ended::Fault(format!("session refused: {why}").into()))
            }
            _ => Err(Ended::Fault("session not attached".into())),
        }
    }

    fn refuse_connect(&self, reason: u8, turn: &mut Turn<'_>) {
        put(&ConnAck::refused(reason), self.version, turn);
    }
}

fn put(ack: &ConnAck<'_>, version: Version, turn: &mut Turn<'_>) {
    // A packet of four bytes always encodes.
    let _ = ack.encode(version, turn.output.buffer());
}
