//! Queues and addresses come and go.

use crate::address::{Address, Filter, QueueName};
use crate::binding::Binding;
use crate::broker::{Broker, Pass, Work};
use crate::command::{QueueSpec, RoutingType};
use crate::consumer::{ConsumerRef, LaneRef};
use crate::deadline::Deadline;
use crate::effect::{ConsumerEnd, Effect};
use crate::error::Refusal;
use crate::ids::QueueId;
use crate::queue::{Kind, Queue};
use crate::record::{self, QueueRecord, Writer};
use crate::session::SessionRef;

/// An unused auto-created queue stays at least this long, so that a client that polls does not make
/// it anew each time.
const REAP_FLOOR_MS: u64 = 5_000;

impl Broker {
    /// An address of the configuration.
    pub(crate) fn declare_address(&mut self, address: Address, anycast: bool, multicast: bool) {
        let state = self.address_state(&address);
        state.declared = true;
        state.declared_anycast |= anycast;
        state.multicast |= multicast;
        self.routes.change();
    }

    /// A queue of the configuration. One that exists already stays as it is.
    pub(crate) fn declare_queue(&mut self, spec: QueueSpec, pass: &mut Pass<'_>) {
        let QueueSpec {
            queue,
            address,
            routing,
            durable,
        } = spec;
        let known = self
            .queue_names
            .get(&queue)
            .and_then(|id| self.queues.get_mut(id));
        if let Some(known) = known {
            known.auto_created = false;
        } else {
            self.create_queue(queue, &address, routing, durable, false, pass);
        }
        let anycast = routing == RoutingType::Anycast;
        self.declare_address(address, anycast, !anycast);
    }

    /// Makes a queue and writes it down if it is durable.
    pub(crate) fn create_queue(
        &mut self,
        name: QueueName,
        address: &Address,
        routing: RoutingType,
        durable: bool,
        auto_created: bool,
        pass: &mut Pass<'_>,
    ) -> QueueId {
        let id = self.new_queue(name, address, routing, |queue| {
            queue.durable = durable;
            queue.auto_created = auto_created;
        });
        if durable {
            self.write_queue(id, pass);
        }
        id
    }

    /// Writes a queue down.
    pub(crate) fn write_queue(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        let Some(record) = self.queues.get(&id).map(|queue| self.queue_record(queue)) else {
            return;
        };
        let position = pass
            .log
            .append(record::PUT_QUEUE, record.encode().bytes(), None, 0);
        self.routes.position = position + 1;
    }

    /// The record of a queue.
    pub(crate) fn queue_record(&self, queue: &Queue) -> QueueRecord {
        let session = match queue.kind {
            Kind::Session(session) => self.sessions.at(session.0).map(|s| s.name.clone()),
            _ => None,
        };
        QueueRecord {
            id: queue.id,
            name: queue.name.clone(),
            address: queue.address.clone(),
            routing: queue.routing,
            auto_created: queue.auto_created,
            session,
            shared: self.groups.get(&queue.id).cloned(),
            named: self.named.get(&queue.id).cloned(),
        }
    }

    /// Makes a queue, without a record. Plain and temporary ones are bound to their address.
    pub(crate) fn new_queue(
        &mut self,
        name: QueueName,
        address: &Address,
        routing: RoutingType,
        set: impl FnOnce(&mut Queue),
    ) -> QueueId {
        let id = QueueId(self.next_queue);
        self.next_queue += 1;
        self.insert_queue(id, name, address, routing, set);
        id
    }

    /// Makes a queue of a given number.
    pub(crate) fn insert_queue(
        &mut self,
        id: QueueId,
        name: QueueName,
        address: &Address,
        routing: RoutingType,
        set: impl FnOnce(&mut Queue),
    ) {
        let settings = self.settings.resolve(address.as_str()).into();
        let mut queue = Queue::new(id, name.clone(), address.clone(), routing, settings);
        set(&mut queue);
        if matches!(queue.kind, Kind::Plain | Kind::Temporary(_)) {
            match routing {
                RoutingType::Anycast => {
                    self.address_state(address).anycast.push(id);
                }
                RoutingType::Multicast => self.bind_queue(&Filter::from(address), id),
            }
        }
        self.queue_names.insert(name, id);
        self.queues.insert(id, Box::new(queue));
        self.routes.change();
    }

    /// Sends a queue what matches a filter.
    pub(crate) fn bind_queue(&mut self, filter: &Filter, id: QueueId) {
        self.trie.insert(filter, Binding::queue(id));
        self.add_exact(filter);
        self.routes.change();
    }

    /// Ends such a binding.
    pub(crate) fn unbind_queue(&mut self, filter: &Filter, id: QueueId) {
        if self.trie.remove(filter, &Binding::queue(id)) {
            self.remove_exact(filter);
            self.routes.change();
        }
    }

    /// A filter without wildcards makes its address.
    pub(crate) fn add_exact(&mut self, filter: &Filter) {
        if let Some(address) = filter.to_address() {
            self.address_state(&address).exact += 1;
        }
    }

    /// The opposite.
    pub(crate) fn remove_exact(&mut self, filter: &Filter) {
        let Some(address) = filter.to_address() else {
            return;
        };
        if let Some(state) = self.addresses.get_mut(&address) {
            state.exact = state.exact.saturating_sub(1);
        }
        self.forget_address(&address);
    }

    /// Removes a queue and everything in it.
    pub(crate) fn delete_queue(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        self.end_consumers(id, pass);
        let Some(mut queue) = self.queues.remove(&id) else {
            return;
        };
        if self.queue_names.get(&queue.name) == Some(&id) {
            self.queue_names.remove(&queue.name);
        }
        if matches!(queue.kind, Kind::Plain | Kind::Temporary(_))
            && let Some(state) = self.addresses.get_mut(&queue.address)
        {
            state.anycast.retain(|other| *other != id);
        }
        if queue.routing == RoutingType::Multicast && queue.kind == Kind::Plain {
            self.unbind_queue(&Filter::from(&queue.address), id);
        }
        self.unbind_named(id);
        self.forget_address(&queue.address);
        self.counts.messages = self.counts.messages.saturating_sub(queue.index.live());
        for waiter in std::mem::take(&mut queue.waiters) {
            self.forget_waiter(&waiter);
            pass.refuse(
                waiter.connection,
                Some(waiter.token),
                Refusal::NoDestination,
            );
        }
        self.routes.change();
        if queue.durable {
            let mut head = Writer::default();
            head.u32(id.0);
            let position = pass.log.append(record::DELETE_QUEUE, head.bytes(), None, 0);
            self.routes.position = position + 1;
        }
        self.discard_messages(queue, pass);
    }

    /// Lets go of the messages of a queue that is gone, as far as the units reach (law L21).
    pub(crate) fn discard_messages(&mut self, mut queue: Box<Queue>, pass: &mut Pass<'_>) {
        while let Some(first) = queue.expiries.first_entry() {
            if pass.spend(1) == 0 {
                return self.work.push_back(Work::Discard(queue));
            }
            let (_, deadline) = first.remove();
            self.deadlines.cancel(deadline);
        }
        while let Some(mut piece) = queue.index.next(0, u32::MAX) {
            piece.count = pass.spend(piece.count);
            if piece.count == 0 {
                return self.work.push_back(Work::Discard(queue));
            }
            for lease in queue.discard(piece) {
                self.deadlines.cancel(lease.deadline);
            }
            self.store
                .release(piece.run, piece.first, piece.count, pass.out);
        }
    }

    /// Consumers of a queue that goes are told so.
    fn end_consumers(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        let consumers = self
            .queues
            .get_mut(&id)
            .map(|q| std::mem::take(&mut q.consumers));
        for consumer in consumers.unwrap_or_default() {
            self.refuse_drain(consumer, pass);
            let Some(gone) = self.consumers.remove(consumer.0) else {
                continue;
            };
            let Some(lane) = self.lanes.at_mut(gone.lane.0) else {
                continue;
            };
            lane.forget(consumer, gone.parked);
            lane.cut_consumer(consumer, &mut Vec::new());
            self.tell_ended(gone.lane, consumer, ConsumerEnd::Deleted, pass);
            self.lane_moved(gone.lane); // Its other queues may use what it held.
        }
    }

    /// Tells the client of a consumer that is gone; of a session's, nobody is told.
    pub(crate) fn tell_ended(
        &mut self,
        lane: LaneRef,
        consumer: ConsumerRef,
        why: ConsumerEnd,
        pass: &mut Pass<'_>,
    ) {
        let Some(lane) = self.lanes.at(lane.0) else {
            return;
        };
        match (lane.owner, lane.session) {
            (Some(connection), None) => {
                let consumer = lane.key;
                pass.out.effects.push(Effect::ConsumerEnded {
                    connection,
                    consumer,
                    why,
                });
            }
            (_, Some(session)) => self.forget_consumer(session, consumer),
            (None, None) => {}
        }
    }

    /// A session's subscription to a named queue has nothing to take from any more.
    fn forget_consumer(&mut self, session: SessionRef, consumer: ConsumerRef) {
        if let Some(state) = self.sessions.at_mut(session.0) {
            for subscription in state.subscriptions.values_mut() {
                if subscription.consumer == Some(consumer) {
                    subscription.consumer = None;
                }
            }
        }
    }

    /// An auto-created queue that has become unused is looked at again later.
    pub(crate) fn reap_if_unused(&mut self, id: QueueId) {
        let now = self.now.mono_ms;
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        if queue.may_be_reaped() {
            queue.unused_since_ms = now;
            if !std::mem::replace(&mut queue.reaping, true) {
                let due = now.saturating_add(reap_delay(queue));
                self.deadlines.set(due, Deadline::Reap(id));
            }
        }
    }

    /// Deletes a queue that has stayed unused.
    pub(crate) fn reap(&mut self, id: QueueId, pass: &mut Pass<'_>) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.reaping = false;
        if !queue.may_be_reaped() {
            return; // Looked at again when it is next unused.
        }
        let due = queue.unused_since_ms.saturating_add(reap_delay(queue));
        if due <= self.now.mono_ms {
            self.delete_queue(id, pass);
        } else {
            queue.reaping = true;
            self.deadlines.set(due, Deadline::Reap(id));
        }
    }
}

fn reap_delay(queue: &Queue) -> u64 {
    let delay = queue.settings.auto_delete_queues_delay_ms;
    delay.max(REAP_FLOOR_MS)
}
