//! What the source of a link stands for: a queue, a subscription, or a node that is made for it.

use ternmq_amqp::types::{Descriptor, Map, Value};
use ternmq_amqp::{Attach, DistributionMode, Durability, Source};
use ternmq_core::command::{self, RoutingType};

use super::Amqp;
use super::message::Rejection;
use super::refuse::INVALID_FIELD;
use super::subscription::Kind;
use super::target::routing;
use super::temporary::Temporary;
use crate::frontends::Turn;

/// What a link shall consume.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) from: command::Source,
    /// The routing type, if it is known.
    pub(super) routing: Option<RoutingType>,
    /// The node that was made for the link.
    pub(super) temporary: Option<Temporary>,
    pub(super) no_local: bool,
    pub(super) browse: bool,
}

impl Wanted {
    fn named(&self) -> Option<&command::NamedSubscription> {
        match &self.from {
            command::Source::Subscription(named) | command::Source::UntypedSubscription(named) => {
                Some(named)
            }
            _ => None,
        }
    }

    /// The subscription that outlives the link, unless its address turns out to be a queue.
    pub(super) fn durable(&self) -> Option<&command::NamedSubscription> {
        self.named().filter(|named| named.durable)
    }

    /// Whether a capability is in effect.
    pub(super) fn has(&self, capability: &str) -> bool {
        let shared = self.named().is_some_and(|named| named.shared);
        let is = |routing| self.routing == Some(routing);
        match capability {
            "queue" => is(RoutingType::Anycast),
            "topic" => is(RoutingType::Multicast),
            "temporary-queue" => is(RoutingType::Anycast) && self.temporary.is_some(),
            "temporary-topic" => is(RoutingType::Multicast) && self.temporary.is_some(),
            "shared" | "global" => shared,
            _ => false,
        }
    }
}

impl Amqp {
    pub(super) fn wanted(
        &mut self,
        source: &Source<'_>,
        attach: &Attach<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<Wanted, Rejection> {
        let asked_no_local = match &source.filter {
            Some(filter) => find_no_local(filter)?.is_some(),
            None => false,
        };
        let mut wanted = if source.dynamic {
            let properties = source.dynamic_node_properties.as_ref();
            let made = self.make_temporary(source.capabilities, properties, turn)?;
            Wanted {
                from: match made.routing {
                    RoutingType::Anycast => command::Source::Anycast(made.address.clone()),
                    RoutingType::Multicast => command::Source::Multicast((&made.address).into()),
                },
                routing: Some(made.routing),
                temporary: Some(made),
                no_local: false,
                browse: false,
            }
        } else {
            self.existing(source, attach)?
        };
        let is_queue = matches!(
            wanted.from,
            command::Source::Anycast(_) | command::Source::Queue { .. }
        );
        wanted.no_local = asked_no_local && !is_queue && !wanted.has("shared");
        // A subscription is a copy already.
        let copies = source.distribution_mode == Some(DistributionMode::Copy);
        let subscribes = matches!(
            wanted.from,
            command::Source::Multicast(_) | command::Source::Subscription(_)
        );
        wanted.browse = copies && !subscribes;
        Ok(wanted)
    }

    /// What a source with an address stands for. Its capabilities say the type, else a prefix of the
    /// address, else what is there.
    fn existing(&self, source: &Source<'_>, attach: &Attach<'_>) -> Result<Wanted, Rejection> {
        let Some(address) = source.address else {
            return Err(Rejection::new(INVALID_FIELD, "the source has no address"));
        };
        let found = self.options.names.source(address)?;
        let asked = routing(source.capabilities);
        let mut typed = asked.or(found.routing);
        if found.name.to_address().is_none() {
            // Only subscriptions have wildcards.
            typed = typed.or(Some(RoutingType::Multicast));
        }
        let shared = source.capabilities.contains("shared");
        let durable = source.durability != Durability::None;
        let is_named = typed != Some(RoutingType::Anycast) && (shared || durable);
        let from = if is_named && found.queue.is_none() {
            let kind = Kind {
                durable,
                shared,
                global: source.capabilities.contains("global"),
            };
            let named = self.named_subscription(attach.name, kind, found.name)?;
            match typed {
                None => command::Source::UntypedSubscription(named),
                Some(_) => command::Source::Subscription(named),
            }
        } else {
            found.consumed(typed)?
        };
        Ok(Wanted {
            from,
            routing: typed,
            temporary: None,
            no_local: false,
            browse: false,
        })
    }
}

/// Of what a filter asks for, that its own messages are not to come.
pub(super) fn find_no_local<'a>(
    filter: &Map<'a>,
) -> Result<Option<(Value<'a>, Value<'a>)>, Rejection> {
    for pair in filter.iter() {
        let (key, value) = pair?;
        if let Value::Described(described) = &value
            && matches!(
                described.descriptor,
                Descriptor::Code(NO_LOCAL_CODE) | Descriptor::Symbol(NO_LOCAL)
            )
        {
            return Ok(Some((key, value)));
        }
    }
    Ok(None)
}

const NO_LOCAL: &str = "apache.org:no-local-filter:list";
const NO_LOCAL_CODE: u64 = 0x0000_468C_0000_0003;
