//! Subscriptions that sessions share: one queue per group and filter, for which they compete.

use std::sync::Arc;

use crate::address::Filter;
use crate::broker::{Broker, Pass};
use crate::command::RoutingType;
use crate::error::{Limit, Refusal};
use crate::ids::QueueId;
use crate::queue::Kind;
use crate::session::SessionRef;

impl Broker {
    /// The queue of a group, made with its first member and durable from its first durable one on.
    pub(crate) fn shared_queue(
        &mut self,
        session: SessionRef,
        group: &Arc<str>,
        filter: &Filter,
        pass: &mut Pass<'_>,
    ) -> Result<QueueId, Refusal> {
        let durable = self.sessions.at(session.0).is_some_and(|s| s.durable);
        let key = (Arc::clone(group), filter.clone());
        let id = match self.shared.get(&key).copied() {
            Some(id) => id,
            None if self.queues.len() >= self.limits.max_queues => {
                return Err(Refusal::LimitReached(Limit::Queues));
            }
            None => {
                let (name, address) = self.internal_names("$shared")?;
                let id = self.new_queue(name, &address, RoutingType::Multicast, |queue| {
                    queue.kind = Kind::Shared;
                });
                self.bind_shared(id, key);
                id
            }
        };
        if let Some(queue) = self
            .queues
            .get_mut(&id)
            .filter(|queue| durable && !queue.durable)
        {
            queue.durable = true;
            self.write_queue(id, pass);
        }
        Ok(id)
    }

    /// Makes a queue the group's.
    pub(crate) fn bind_shared(&mut self, id: QueueId, key: (Arc<str>, Filter)) {
        self.bind_queue(&key.1, id);
        self.groups.insert(id, key.clone());
        self.shared.insert(key, id);
    }

    /// The last session has left the group.
    pub(crate) fn end_shared(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        if let Some(key) = self.groups.remove(&id) {
            self.unbind_queue(&key.1, id);
            self.shared.remove(&key);
        }
        self.delete_queue(id, pass);
    }
}
