//! SUBSCRIBE and UNSUBSCRIBE.

use ternmq_core::address::{Address, Filter as CoreFilter, QueueName, parse_fqqn};
use ternmq_core::command::{BindOptions, BindRequest, BindTarget, Command, RetainedReplay};
use ternmq_core::dialect::Dialect;
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_mqtt::topic::Filter;
use ternmq_mqtt::{
    Packet, PropertiesBuf, PropertyId, RetainHandling, SubAck, Subscribe, SubscribeOptions,
    UnsubAck, Unsubscribe, Value, Version,
};

use super::options::is_denied;
use super::{Exit, Fifo, REQUEST, State, reason, token};
use crate::frontends::Turn;

/// What is asked of a queue instead of a topic: `$queue/name`.
const QUEUE_PREFIX: &str = "$queue/";

/// Requests whose answer is awaited, in order.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: Fifo<Request>,
}

#[derive(Debug)]
struct Request {
    kind: Kind,
    id: u16,
    /// One per filter; `None` is answered by the core, in order.
    codes: Vec<Option<u8>>,
    /// Filters among them that match topics of the server.
    own: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Subscribe,
    Unsubscribe,
}

impl State {
    pub(super) fn subscribe(&mut self, packet: &Subscribe<'_>, turn: &mut Turn<'_>) {
        let (mut codes, mut requests) = (Vec::new(), Vec::new());
        let id = packet.properties.integer(PropertyId::SubscriptionId);
        let mut own = Vec::new();
        for subscription in packet.subscriptions.iter() {
            let target = match subscription.filter {
                Ok(filter) => self.target(filter),
                Err(_) => Err(reason::FILTER_INVALID),
            };
            codes.push(target.as_ref().err().copied());
            let Ok(target) = target else { continue };
            if let Ok(filter) = subscription.filter
                && filter.share.is_none()
            {
                own.push(filter.text);
            }
            requests.push(request(target, subscription.options, id.unwrap_or(0)));
        }
        self.requests.waiting.push_back(Request {
            kind: Kind::Subscribe,
            id: packet.id,
            codes,
            own: self.sys.wanted(&own),
        });
        turn.commands.push(Command::Bind {
            requests,
            token: Some(token(REQUEST, u64::from(packet.id))),
        });
    }

    pub(super) fn unsubscribe(&mut self, packet: &Unsubscribe<'_>, turn: &mut Turn<'_>) {
        let (mut codes, mut filters) = (Vec::new(), Vec::new());
        for filter in packet.filters.iter() {
            let target = match filter {
                Ok(filter) => {
                    self.sys.forget(filter.text);
                    self.target_of(filter).map_err(|_| reason::NO_SUBSCRIPTION)
                }
                Err(_) => Err(reason::FILTER_INVALID),
            };
            codes.push(target.as_ref().err().copied());
            filters.extend(target);
        }
        self.requests.waiting.push_back(Request {
            kind: Kind::Unsubscribe,
            id: packet.id,
            codes,
            own: Vec::new(),
        });
        turn.commands.push(Command::Unbind {
            filters,
            token: Some(token(REQUEST, u64::from(packet.id))),
        });
    }

    /// What a filter stands for, or why nobody may have that.
    fn target(&self, filter: Filter<'_>) -> Result<BindTarget, u8> {
        let deny = &self.options.deny;
        let target = self.target_of(filter);
        let queue_denied = match &target {
            Ok(BindTarget::Queue { address, .. }) => {
                is_denied(deny, &address.render(Dialect::Mqtt))
            }
            _ => false,
        };
        if queue_denied || is_denied(deny, filter.text) || is_denied(deny, filter.pattern) {
            return Err(if self.options.obscure_denied {
                reason::UNSPECIFIED
            } else {
                reason::NOT_AUTHORIZED
            });
        }
        target
    }

    fn target_of(&self, filter: Filter<'_>) -> Result<BindTarget, u8> {
        let max = self.options.max_name_bytes;
        let bad = |_| reason::FILTER_INVALID;
        let (address, queue) = if let Some(group) = filter.share {
            let pattern = CoreFilter::parse(filter.pattern, Dialect::Mqtt, max).map_err(bad)?;
            return Ok(BindTarget::Shared {
                group: group.into(),
                filter: pattern,
            });
        } else if let Some(name) = filter.text.strip_prefix(QUEUE_PREFIX) {
            let address = Address::parse(name, Dialect::Mqtt, max).map_err(bad)?;
            let queue = QueueName::from(&address);
            (address, queue)
        } else if let Some((address, queue)) = parse_fqqn(filter.text) {
            let address = Address::parse(address, Dialect::Mqtt, max).map_err(bad)?;
            let queue = QueueName::parse(queue, Dialect::Mqtt, max).map_err(bad)?;
            (address, queue)
        } else {
            let pattern = CoreFilter::parse(filter.text, Dialect::Mqtt, max).map_err(bad)?;
            return Ok(BindTarget::Filter(pattern));
        };
        Ok(BindTarget::Queue { address, queue })
    }

    pub(super) fn answer_request(
        &mut self,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) -> Result<(), Exit> {
        let Some(request) = self.requests.waiting.pop_front() else {
            return Ok(());
        };
        let id = request.id;
        let kind = request.kind;
        let mut own = Vec::new();
        let reasons = match answer {
            Answer::Bound(granted) => {
                own = request.own;
                let granted = granted.into_iter().map(|one| {
                    one.unwrap_or_else(|refusal| reason::of(refusal, reason::FILTER_INVALID))
                });
                merged(request.codes, granted)
            }
            Answer::Unbound(existed) => {
                let existed = existed.into_iter().map(|existed| {
                    if existed {
                        reason::SUCCESS
                    } else {
                        reason::NO_SUBSCRIPTION
                    }
                });
                merged(request.codes, existed)
            }
            // Too much for one request: none of its filters is granted, or taken away.
            Answer::Refused(Refusal::TooLarge) if kind == Kind::Subscribe => {
                vec![reason::QUOTA; request.codes.len()]
            }
            Answer::Refused(Refusal::TooLarge) if self.version == Version::V5 => {
                vec![reason::IMPLEMENTATION; request.codes.len()]
            }
            _ => {
                return Err(Exit::close(
                    reason::IMPLEMENTATION,
                    "subscription without a session, or too much in one UNSUBSCRIBE",
                ));
            }
        };
        let refused = reasons.iter().any(|code| *code >= reason::FIRST_REFUSAL);
        if refused && self.version == Version::V31 {
            return Err(Exit::close(
                reason::UNSPECIFIED,
                "subscription refused, for which MQTT 3.1 has no word",
            ));
        }
        let words = words(&reasons);
        let (properties, reasons) = (words.properties(), reasons.as_slice());
        let packet = match kind {
            Kind::Subscribe => Packet::SubAck(SubAck {
                id,
                properties,
                reasons,
            }),
            Kind::Unsubscribe => Packet::UnsubAck(UnsubAck {
                id,
                properties,
                reasons,
            }),
        };
        let written = self.sender.put(turn.output.buffer(), &packet);
        written.map_err(|error| Exit::close(reason::TOO_LARGE, error.to_string()))?;
        self.show_own(own, turn);
        Ok(())
    }
}

fn request(target: BindTarget, options: SubscribeOptions, id: u32) -> BindRequest {
    BindRequest {
        target,
        options: BindOptions {
            qos: options.qos as u8,
            queued: false,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            id,
        },
        retained: match options.retain_handling {
            RetainHandling::Always => RetainedReplay::Always,
            RetainHandling::IfNew => RetainedReplay::IfNew,
            RetainHandling::Never => RetainedReplay::Never,
        },
    }
}

/// A Reason String that says of the first refused filters what is wrong with them.
fn words(reasons: &[u8]) -> PropertiesBuf {
    let refused = (1..).zip(reasons);
    let texts: Vec<String> = refused
        .filter_map(|(n, code)| Some(format!("filter {n}: {}", reason::words(*code)?)))
        .take(EXPLAINED_FILTERS)
        .collect();
    let mut words = PropertiesBuf::new();
    if !texts.is_empty() {
        let _ = words.push(PropertyId::ReasonString, Value::Text(&texts.join("; ")));
    }
    words
}

/// Refused filters of a request that are explained.
const EXPLAINED_FILTERS: usize = 8;

/// The codes that were known, and the core's in the places between.
fn merged(known: Vec<Option<u8>>, answered: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut answered = answered.into_iter();
    known
        .into_iter()
        .map(|code| code.or_else(|| answered.next()))
        .map(|code| code.unwrap_or(reason::UNSPECIFIED))
        .collect()
}
