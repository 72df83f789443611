//! Nodes that are made for a link and go with it (M 3.5.3, 3.5.10).

use ternmq_amqp::Lifetime;
use ternmq_amqp::types::{Map, Symbols};
use ternmq_core::address::Address;
use ternmq_core::command::{Command, RoutingType, SendMode};
use ternmq_core::dialect::Dialect;

use super::Amqp;
use super::address::Names;
use super::message::Rejection;
use super::refuse::{INTERNAL, NOT_IMPLEMENTED};
use super::target::{Place, routing};
use crate::frontends::Turn;

/// A temporary queue or topic of this connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Temporary {
    pub(super) address: Address,
    pub(super) routing: RoutingType,
}

impl Temporary {
    /// What the peer calls it.
    pub(super) fn name(&self, names: &Names) -> String {
        names.render(&self.address, Some(self.routing))
    }

    pub(super) fn place(&self) -> Place {
        Place {
            address: self.address.clone(),
            queue: None,
            mode: match self.routing {
                RoutingType::Anycast => SendMode::Anycast,
                RoutingType::Multicast => SendMode::Multicast,
            },
        }
    }
}

impl Amqp {
    /// Makes a node: a queue, unless the capabilities name a topic. If the broker refuses it, what is
    /// asked of it next is refused as well.
    ///
    /// # Errors
    /// A lifetime that is not kept here.
    pub(super) fn make_temporary(
        &mut self,
        capabilities: Symbols<'_>,
        properties: Option<&Map<'_>>,
        turn: &mut Turn<'_>,
    ) -> Result<Temporary, Rejection> {
        match Lifetime::of(properties) {
            None | Some(Lifetime::LinkClosed) => {}
            Some(_) => {
                let words = "a dynamic node is deleted when its link is closed, by no other rule";
                return Err(Rejection::new(NOT_IMPLEMENTED, words));
            }
        }
        let routing = routing(capabilities).unwrap_or(RoutingType::Anycast);
        let kind = match routing {
            RoutingType::Anycast => "queue",
            RoutingType::Multicast => "topic",
        };
        self.temporaries += 1;
        let name = format!("$temp.{kind}.{}.{}", self.name, self.temporaries);
        let address = Address::parse(&name, Dialect::Canonical, usize::MAX);
        let address = address.map_err(|error| Rejection::new(INTERNAL, error.to_string()))?;
        turn.commands.push(Command::CreateTemporary {
            address: address.clone(),
            routing,
            token: None,
        });
        Ok(Temporary { address, routing })
    }

    /// Its link is gone.
    pub(super) fn delete_temporary(&mut self, temporary: &Temporary, turn: &mut Turn<'_>) {
        turn.commands.push(Command::DeleteTemporary {
            address: temporary.address.clone(),
            token: None,
        });
    }
}
