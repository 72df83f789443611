//! SUBSCRIBE and UNSUBSCRIBE.

use ternmq_core::address::{Address, Filter, QueueName, parse_fqqn};
use ternmq_core::command::{BindRequest, BindTarget, Command};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_mqtt::{Properties, QoS, SubAck, Subscribe, UnsubAck, Unsubscribe, Version};

use super::{Fifo, REQUEST, State, token};
use crate::frontends::{Ended, Turn};

/// SUBACK's refusal before MQTT 5.0.
const FAILURE: u8 = 0x80;

/// What is asked of a queue instead of a topic: `$queue/name`.
const QUEUE_PREFIX: &str = "$queue/";

/// Requests whose answer is awaited, in order.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: Fifo<Request>,
}

#[derive(Debug)]
struct Request {
    id: u16,
    /// One per filter; `None` is answered by the core, in order.
    codes: Vec<Option<u8>>,
}

impl State {
    pub(super) fn subscribe(
        &mut self,
        packet: &Subscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let (mut codes, mut requests) = (Vec::new(), Vec::new());
        for subscription in packet.subscriptions.iter() {
            let target = match subscription.filter {
                Ok(filter) if filter.share.is_none() => self.target(filter.text),
                _ => None,
            };
            codes.push(if target.is_some() {
                None
            } else {
                Some(FAILURE)
            });
            if let Some(target) = target {
                requests.push(BindRequest {
                    target,
                    qos: subscription.options.qos.min(QoS::AtLeastOnce) as u8,
                    queued: false,
                    retained: true,
                });
            }
        }
        self.requests.waiting.push_back(Request {
            id: packet.id,
            codes,
        });
        turn.commands.push(Command::Bind {
            requests,
            token: Some(token(REQUEST, u64::from(packet.id))),
        });
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        packet: &Unsubscribe<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let mut filters = Vec::new();
        for filter in packet.filters.iter().flatten() {
            filters.extend(self.target(filter.text));
        }
        self.requests.waiting.push_back(Request {
            id: packet.id,
            codes: Vec::new(),
        });
        turn.commands.push(Command::Unbind {
            filters,
            token: Some(token(REQUEST, u64::from(packet.id))),
        });
        Ok(())
    }

    /// What a filter stands for; `None` for what no client may have.
    fn target(&self, text: &str) -> Option<BindTarget> {
        let max = self.options.max_name_bytes;
        if let Some(name) = text.strip_prefix(QUEUE_PREFIX) {
            let address = Address::parse(name, Dialect::Mqtt, max).ok()?;
            let queue = QueueName::from(&address);
            return Some(BindTarget::Queue { address, queue });
        }
        if let Some((address, queue)) = parse_fqqn(text) {
            let address = Address::parse(address, Dialect::Mqtt, max).ok()?;
            let queue = QueueName::parse(queue, Dialect::Mqtt, max).ok()?;
            return Some(BindTarget::Queue { address, queue });
        }
        let filter = Filter::parse(text, Dialect::Mqtt, max).ok()?;
        Some(BindTarget::Filter(filter))
    }

    pub(super) fn answer_request(
        &mut self,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let Some(request) = self.requests.waiting.pop_front() else {
            return Ok(());
        };
        let id = request.id;
        let properties = Properties::default();
        let written = match answer {
            Answer::Bound(granted) => {
                let mut granted = granted.into_iter().map(|one| one.unwrap_or(FAILURE));
                let code = |code: Option<u8>| code.or_else(|| granted.next()).unwrap_or(FAILURE);
                let reasons: Vec<u8> = request.codes.into_iter().map(code).collect();
                if self.version == Version::V31 && reasons.contains(&FAILURE) {
                    return Err(Ended::Fault(
                        "subscription refused, for which MQTT 3.1 has no word".into(),
                    ));
                }
                let packet = SubAck {
                    id,
                    properties,
                    reasons: &reasons,
                };
                packet.encode(self.version, turn.output.buffer())
            }
            Answer::Unbound(_) => {
                let packet = UnsubAck {
                    id,
                    properties,
                    reasons: &[],
                };
                packet.encode(self.version, turn.output.buffer())
            }
            // Too much for one request: none of its filters is granted.
            Answer::Refused(Refusal::TooLarge) if !request.codes.is_empty() => {
                let reasons = vec![FAILURE; request.codes.len()];
                let packet = SubAck {
                    id,
                    properties,
                    reasons: &reasons,
                };
                packet.encode(self.version, turn.output.buffer())
            }
            _ => return Err(Ended::Fault("subscription without a session".into())),
        };
        written.map_err(|error| Ended::Fault(error.to_string().into()))
    }
}
