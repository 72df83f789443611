//! Links on which the peer sends: where their messages go.

use ternmq_amqp::types::{Symbols, put_symbol};
use ternmq_amqp::{Attach, Fault, LinkId, Outcome, Source, Target, Terminus};
use ternmq_core::address::{Address, QueueName};
use ternmq_core::command::{Command, RoutingType, SendMode};
use ternmq_core::effect::Answer;

use super::Amqp;
use super::address::Destination;
use super::attach::Reply;
use super::confirm::Expect;
use super::connect::ANONYMOUS_RELAY;
use super::links::Link;
use super::message::Rejection;
use super::receive::Partial;
use super::refuse::{INTERNAL, INVALID_FIELD, NOT_IMPLEMENTED, refusal};
use super::temporary::Temporary;
use crate::frontends::Turn;

/// A link to the broker.
#[derive(Debug)]
pub(super) struct Producer {
    /// Where its messages go; `None`: each says so itself (the anonymous relay).
    pub(super) place: Option<Place>,
    /// It can be told `rejected` (M 3.5.3).
    pub(super) takes_rejected: bool,
    /// A delivery whose last part is to come.
    pub(super) partial: Option<Partial>,
    /// The node that was made for it.
    temporary: Option<Temporary>,
}

/// Where messages go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) address: Address,
    /// Straight to this queue of the address.
    pub(super) queue: Option<QueueName>,
    pub(super) mode: SendMode,
}

impl Place {
    /// With the type that something beside the address says; a prefix of the address is weaker.
    pub(super) fn new(destination: Destination<Address>, said: Option<RoutingType>) -> Self {
        Self {
            mode: destination.mode(said),
            address: destination.name,
            queue: destination.queue,
        }
    }
}

/// The routing type that capabilities of a terminus ask for.
pub(super) fn routing(capabilities: Symbols<'_>) -> Option<RoutingType> {
    let mut names = capabilities.iter();
    names.find_map(|name| match name {
        "queue" | "temporary-queue" => Some(RoutingType::Anycast),
        "topic" | "temporary-topic" => Some(RoutingType::Multicast),
        _ => None,
    })
}

impl Amqp {
    pub(super) fn attach_producer(&mut self, id: LinkId, attach: &Attach<'_>, turn: &mut Turn<'_>) {
        let target = match &attach.target {
            Some(Terminus::Target(target)) => *target,
            Some(Terminus::Coordinator(_)) => {
                let fault = Fault::new(NOT_IMPLEMENTED, "there are no transactions yet");
                return self.refuse_link(id, attach, fault, turn);
            }
            None => {
                let fault = Fault::new(INVALID_FIELD, "the link has no target");
                return self.refuse_link(id, attach, fault, turn);
            }
        };
        match self.place(&target, turn) {
            Ok((place, temporary)) => self.prepare(id, attach, &target, (place, temporary), turn),
            Err(rejection) => {
                self.refuse_link(id, attach, rejection.fault(), turn);
            }
        }
    }

    /// Where a target is, and the node that is made for it.
    fn place(
        &mut self,
        target: &Target<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(Option<Place>, Option<Temporary>), Rejection> {
        if target.dynamic {
            let properties = target.dynamic_node_properties.as_ref();
            let made = self.make_temporary(target.capabilities, properties, turn)?;
            return Ok((Some(made.place()), Some(made)));
        }
        let Some(address) = target.address else {
            return Ok((None, None));
        };
        let found = self.options.names.target(address)?;
        let place = Place::new(found, routing(target.capabilities));
        Ok((Some(place), None))
    }

    /// Asks for what the link needs, and keeps its answer until that is there.
    fn prepare(
        &mut self,
        id: LinkId,
        attach: &Attach<'_>,
        target: &Target<'_>,
        (place, temporary): (Option<Place>, Option<Temporary>),
        turn: &mut Turn<'_>,
    ) {
        let name = temporary
            .as_ref()
            .map(|made| made.name(&self.options.names));
        let relay = place.is_none();
        let mut offered = Vec::new();
        put_symbol(&mut offered, ANONYMOUS_RELAY);
        let reply = Reply::new(&Attach {
            target: Some(Terminus::Target(Target {
                address: name.as_deref().or(target.address),
                ..*target
            })),
            offered_capabilities: if relay {
                Symbols::decode(&offered).unwrap_or_default()
            } else {
                Symbols::default()
            },
            desired_capabilities: Symbols::default(),
            properties: None,
            ..*attach
        });
        let producer = Producer {
            place: place.clone(),
            takes_rejected: takes_rejected(attach.source.as_ref()),
            partial: None,
            temporary,
        };
        let key = self.links.insert(id, Link::Producer(producer));
        let Some(place) = place else {
            self.open_producer(id, &reply, turn);
            return;
        };
        let token = self.expected.add(Expect::Prepared(key, reply));
        turn.commands.push(Command::Prepare {
            address: place.address,
            queue: place.queue,
            mode: place.mode,
            token: Some(token),
        });
    }

    /// The broker has answered a producer's attach.
    pub(super) fn prepared(
        &mut self,
        key: u32,
        reply: &Reply,
        answer: &Answer,
        turn: &mut Turn<'_>,
    ) {
        let Some(id) = self.links.id_of(key) else {
            return;
        };
        let why = match answer {
            Answer::Prepared => return self.open_producer(id, reply, turn),
            Answer::Refused(why) => Some(*why),
            _ => None,
        };
        let mut words = String::new();
        let fault = match why {
            Some(why) => refusal(why, &mut words),
            None => Fault::new(INTERNAL, "an answer to something else"),
        };
        if let Some(attach) = reply.read() {
            self.refuse_link(id, &attach, fault, turn);
        }
        self.detached(id, false, turn);
    }

    fn open_producer(&mut self, id: LinkId, reply: &Reply, turn: &mut Turn<'_>) {
        self.accept_link(id, reply, turn);
        let credit = self.options.credit;
        self.machine.set_credit(id, credit, turn.output.buffer());
    }

    /// A producer is gone; what it sent before has been pushed.
    pub(super) fn end_producer(&mut self, producer: Producer, turn: &mut Turn<'_>) {
        self.inbox.forget(producer.partial.as_ref());
        if let Some(temporary) = producer.temporary {
            self.delete_temporary(&temporary, turn);
        }
    }
}

/// Whether a peer that sends can be told that a message is no good: it lists its outcomes, and none
/// listed is all.
fn takes_rejected(source: Option<&Source<'_>>) -> bool {
    source.is_none_or(|source| {
        source.outcomes.is_empty()
            || source.outcomes.contains("amqp:rejected:list")
            || matches!(source.default_outcome, Some(Outcome::Rejected(_)))
    })
}
