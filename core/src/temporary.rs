//! Temporary queues and topics: anybody may send to them, their connection alone consumes from them,
//! and they end with it or before (AMQP's dynamic nodes, JMS' temporary destinations). They are
//! never written down.

use crate::address::{Address, Filter, QueueName};
use crate::binding::{Binding, Holder};
use crate::broker::{Broker, Pass};
use crate::command::{Command, RoutingType};
use crate::effect::Answer;
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, QueueId, Token};
use crate::queue::Kind;

impl Broker {
    /// Makes a queue or topic that lives as long as this connection.
    pub(crate) fn create_temporary(
        &mut self,
        id: ConnectionId,
        address: Address,
        routing: RoutingType,
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) {
        if let Err(why) = self.may_create_temporary(id, &address, routing) {
            return pass.refuse(id, token, why);
        }
        let queue = match routing {
            RoutingType::Anycast => self.new_queue((&address).into(), &address, routing, |queue| {
                queue.kind = Kind::Temporary(id);
            }),
            RoutingType::Multicast => QueueId(0),
        };
        let state = self.address_state(&address);
        state.owner = Some(id);
        state.multicast |= routing == RoutingType::Multicast;
        self.routes.change();
        if let Some(connection) = self.connection_mut(id) {
            connection.temporaries.push((address, queue));
        }
        let position = pass.position();
        pass.answer(id, token, position, Answer::Created);
    }

    fn may_create_temporary(
        &self,
        id: ConnectionId,
        address: &Address,
        routing: RoutingType,
    ) -> Result<(), Refusal> {
        let held = self.connection(id).map_or(0, |c| c.temporaries.len());
        let taken = self.addresses.get(address).is_some()
            || self.queue_names.contains_key(&QueueName::from(address));
        if address.as_str().len() > self.limits.max_name_bytes {
            Err(Refusal::BadName)
        } else if taken {
            Err(Refusal::DestinationExists)
        } else if held >= self.limits.max_subscriptions {
            Err(Refusal::LimitReached(Limit::Subscriptions))
        } else if self.addresses.len() >= self.limits.max_addresses {
            Err(Refusal::LimitReached(Limit::Addresses))
        } else if routing == RoutingType::Anycast && self.queues.len() >= self.limits.max_queues {
            Err(Refusal::LimitReached(Limit::Queues))
        } else {
            Ok(())
        }
    }

    /// Deletes a temporary destination of this connection with its messages; consumers of it, of
    /// the queue or of exactly the topic, end. Gives the command back if the units did not reach.
    pub(crate) fn delete_temporary(
        &mut self,
        id: ConnectionId,
        address: Address,
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) -> Option<Command> {
        let owner = self.addresses.get(&address).and_then(|state| state.owner);
        if owner != Some(id) {
            let why = owner.map_or(Refusal::NoDestination, |_| Refusal::Forbidden);
            pass.refuse(id, token, why);
            return None;
        }
        for queue in self.subscriptions_to(&address) {
            if pass.spend(1) == 0 {
                return Some(Command::DeleteTemporary { address, token });
            }
            self.end_subscription(queue, pass);
        }
        let held = self.connection_mut(id).and_then(|connection| {
            let mut held = connection.temporaries.iter();
            let at = held.position(|(other, _)| *other == address)?;
            Some(connection.temporaries.remove(at))
        });
        if let Some((address, queue)) = held {
            self.end_temporary(&address, queue, pass);
        }
        let position = pass.position();
        pass.answer(id, token, position, Answer::Deleted);
        None
    }

    /// Queues of consumers that subscribe to exactly this address.
    fn subscriptions_to(&self, address: &Address) -> Vec<QueueId> {
        let filter = Filter::from(address);
        let mut queues = Vec::new();
        self.trie.matches(address, |binding: &Binding| {
            if let Holder::Queue(id) = binding.holder
                && self.filter_of(id) == Some(&filter)
            {
                queues.push(id);
            }
        });
        queues.sort_unstable();
        queues
    }

    fn filter_of(&self, id: QueueId) -> Option<&Filter> {
        let own = self.subscriptions.get(&id);
        own.or_else(|| self.named.get(&id).map(|named| &named.filter))
    }

    /// Ends the temporary destinations of a connection that is going. False if the units did not
    /// reach.
    pub(crate) fn end_temporaries(&mut self, id: ConnectionId, pass: &mut Pass<'_>) -> bool {
        while let Some(connection) = self.connection_mut(id)
            && !connection.temporaries.is_empty()
        {
            if pass.spend(1) == 0 {
                return false;
            }
            let Some((address, queue)) = connection.temporaries.pop() else {
                break;
            };
            self.end_temporary(&address, queue, pass);
        }
        true
    }

    fn end_temporary(&mut self, address: &Address, queue: QueueId, pass: &mut Pass<'_>) {
        self.delete_queue(queue, pass);
        if let Some(state) = self.addresses.get_mut(address) {
            state.owner = None;
            state.multicast = false;
        }
        self.forget_address(address);
        self.routes.change();
    }
}
