//! CONNECT: a session is attached, then CONNACK with what differs from what the client asked for.

use std::sync::{Arc, LazyLock};

use ternmq_core::command::{Attach, Will};
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_core::ids::Now;
use ternmq_mqtt::{Connect, PropertiesBuf, PropertyId, Sender, Terms, Value, Version};

use super::{Exit, Flow, State, reason};
use crate::frontends::Turn;

/// Who a client is that does not say so; all of them share the name.
static ANONYMOUS: LazyLock<Arc<str>> = LazyLock::new(|| "anonymous".into());

/// What CONNACK will tell a client of MQTT 5.0.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The id that was given to it.
    assigned: Option<Arc<str>>,
    /// The life of its session in seconds, if it is not what it asked for.
    expiry_s: Option<u32>,
    /// For the topics it wants answers on.
    response: Option<String>,
}

impl State {
    pub(super) fn connect(
        &mut self,
        packet: &Connect<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Exit> {
        self.version = packet.version;
        let terms = Terms::of(packet.properties);
        self.sender = Sender::new(packet.version, terms, &self.options.limits());
        if packet.client_id.len() > self.options.max_name_bytes {
            return Err(Exit::close(
                reason::CLIENT_ID_INVALID,
                "client id is too long",
            ));
        }
        self.keep_alive_s = packet.keep_alive_s;
        // Who cannot be told of another keep-alive gets the one it asks for.
        if packet.version == Version::V5
            && let Some(max) = self.options.max_keep_alive_s
            && (self.keep_alive_s == 0 || self.keep_alive_s > max)
        {
            self.keep_alive_s = max;
        }
        let name = self.name(packet, turn);
        let expiry_ms = self.expiry(packet, terms);
        let will = self.will(packet, turn)?;
        let attach = self.attachment(packet, terms, (name, expiry_ms, will));
        self.authenticate(packet, attach, turn)
    }

    fn attachment(
        &self,
        packet: &Connect<'_>,
        terms: Terms,
        (name, expiry_ms, will): (Arc<str>, Option<u64>, Option<Box<Will>>),
    ) -> Attach {
        Attach {
            name,
            principal: match packet.username {
                Some(name) => name.into(),
                None => Arc::clone(&ANONYMOUS),
            },
            clean: packet.clean_start,
            expiry_ms,
            durable: expiry_ms != Some(0),
            hold: false,
            window: self.options.max_inflight.min(terms.receive_maximum).into(),
            will,
            token: Some(super::token(super::CONNECT, 0)),
        }
    }

    /// The client's id, or one that nobody else has \[MQTT-3.1.3-6\].
    fn name(&mut self, packet: &Connect<'_>, turn: &Turn<'_>) -> Arc<str> {
        let id = turn.link.id();
        let name: Arc<str> = match packet.client_id {
            "" => {
                let epoch = self.options.epoch;
                format!("auto-{epoch:016x}-{}-{}", id.slot, id.generation).into()
            }
            name => name.into(),
        };
        if packet.version == Version::V5 {
            let prefix = self.options.response_prefix.as_deref();
            // The response topic must hold no wildcard \[MQTT-3.3.2-14\].
            let response = prefix.filter(|_| !name.contains(['+', '#']));
            self.opening = Some(Box::new(Opening {
                assigned: packet.client_id.is_empty().then(|| Arc::clone(&name)),
                expiry_s: None,
                response: response.map(|prefix| format!("{prefix}{name}")),
            }));
        }
        name
    }

    /// How long the session lives without a connection, and what the client is told of it.
    fn expiry(&mut self, packet: &Connect<'_>, terms: Terms) -> Option<u64> {
        if packet.version < Version::V5 {
            return if packet.clean_start {
                Some(0)
            } else {
                self.options.session_expiry_ms
            };
        }
        let granted = self.granted_expiry(terms.session_expiry_s);
        let seconds = seconds(granted);
        if let Some(opening) = &mut self.opening {
            opening.expiry_s = (seconds != terms.session_expiry_s).then_some(seconds);
        }
        granted
    }

    /// What is granted of a Session Expiry Interval, in milliseconds; `None` is for ever.
    pub(super) fn granted_expiry(&self, asked_s: u32) -> Option<u64> {
        let asked = (asked_s != u32::MAX).then_some(u64::from(asked_s) * 1_000);
        match (asked, self.options.session_expiry_ms) {
            (Some(asked), Some(most)) => Some(asked.min(most)),
            (asked, most) => asked.or(most),
        }
    }

    /// Whether a session is resumed.
    pub(super) fn answer_connect(&mut self, answer: &Answer, now: Now) -> Result<bool, Exit> {
        match answer {
            Answer::Attached { present, reserved } => {
                self.connected = true;
                self.resume_own(reserved, now);
                Ok(*present)
            }
            Answer::Refused(why) => {
                let reason = match why {
                    Refusal::Forbidden => reason::NOT_AUTHORIZED,
                    Refusal::BadName => reason::CLIENT_ID_INVALID,
                    _ => reason::SERVER_UNAVAILABLE,
                };
                Err(Exit::close(reason, format!("session refused: {why}")))
            }
            _ => Err(Exit::close(
                reason::SERVER_UNAVAILABLE,
                "session not attached",
            )),
        }
    }

    /// The properties of CONNACK that are not the machine's. A value that cannot be one is left out.
    pub(super) fn announcements(&mut self) -> PropertiesBuf {
        let mut properties = PropertiesBuf::new();
        let Some(opening) = self.opening.take() else {
            return properties;
        };
        let data = self.authentication.as_mut();
        let data = data.map(|authentication| std::mem::take(&mut authentication.data));
        let data = data.filter(|data| !data.is_empty());
        let said = [
            (PropertyId::SessionExpiry, opening.expiry_s.map(Value::Long)),
            (
                PropertyId::AssignedClientId,
                opening.assigned.as_deref().map(Value::Text),
            ),
            (
                PropertyId::ResponseInfo,
                opening.response.as_deref().map(Value::Text),
            ),
            (PropertyId::AuthData, data.as_deref().map(Value::Binary)),
        ];
        for (id, value) in said {
            if let Some(value) = value {
                let _ = properties.push(id, value);
            }
        }
        properties
    }
}

/// As a Session Expiry Interval.
fn seconds(expiry_ms: Option<u64>) -> u32 {
    match expiry_ms {
        None => u32::MAX,
        Some(ms) => u32::try_from(ms / 1_000).unwrap_or(u32::MAX),
    }
}
