//! From an address to queues and subscriptions: the table of design 5.
//!
//! A route is computed once per address and routing version; every bind, unbind, create, delete
//! and attachment changes the version (law L24).

use std::sync::Arc;

use crate::address::{Address, QueueName};
use crate::binding::{Binding, Holder};
use crate::broker::{Broker, Pass};
use crate::command::{Publish, RoutingType, SendMode};
use crate::effect::Target;
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, QueueId};
use crate::map::{Map, Seed};
use crate::session::SessionRef;

/// An address that something declared, created or bound to.
#[derive(Debug, Default)]
pub(crate) struct AddressState {
    /// By the configuration; stays without queues.
    pub(crate) declared: bool,
    /// Offers anycast, also without a queue.
    pub(crate) declared_anycast: bool,
    /// Offers multicast, also without a binding.
    pub(crate) multicast: bool,
    pub(crate) anycast: Vec<QueueId>,
    turn: usize,
    /// Bindings of exactly this address.
    pub(crate) exact: u32,
    /// The connection of a temporary address.
    pub(crate) owner: Option<ConnectionId>,
}

impl AddressState {
    pub(crate) fn has_anycast(&self) -> bool {
        self.declared_anycast || !self.anycast.is_empty()
    }

    fn has_multicast(&self) -> bool {
        self.multicast || self.exact > 0
    }

    /// Offers something.
    pub(crate) fn has_any(&self) -> bool {
        self.has_anycast() || self.has_multicast()
    }

    fn is_unused(&self) -> bool {
        !self.declared && self.owner.is_none() && self.anycast.is_empty() && self.exact == 0
    }
}

/// Where a multicast message of one address goes.
#[derive(Debug)]
pub(crate) struct Route {
    /// Queues that get every message.
    queues: Box<[QueueId]>,
    /// Queues of sessions that get what is to be settled.
    sessions: Box<[QueueId]>,
    /// Connections that get messages sent at most once.
    at_most_once: Arc<[Target]>,
    /// Connections that get all others without a queue.
    direct: Arc<[Target]>,
}

/// Whether an address is one of a connection's temporary ones, as front-ends name them.
pub(crate) fn is_temporary(address: &Address) -> bool {
    address.as_str().starts_with("$temp")
}

/// Remembered routes.
#[derive(Debug)]
pub(crate) struct Routes {
    version: u64,
    cache: Map<Address, (u64, Arc<Route>)>,
    /// Of every message that has no target without a queue.
    nobody: Arc<[Target]>,
    /// The newest record that changed routing: answers that rest on nothing else wait for it.
    pub(crate) position: u64,
}

impl Routes {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            version: 0,
            cache: Map::with_hasher(seed),
            nobody: Arc::new([]),
            position: 0,
        }
    }

    /// Something that routes depend on has changed.
    pub(crate) fn change(&mut self) {
        self.version += 1;
    }
}

/// Matches of one session, merged.
struct Merged {
    session: SessionRef,
    qos: u8,
    queued: bool,
}

impl Broker {
    /// Where the messages of a publish go: queues into `self.targets`, the rest as fan-out targets.
    pub(crate) fn plan(
        &mut self,
        publish: &Publish,
        pass: &mut Pass<'_>,
    ) -> Result<Arc<[Target]>, Refusal> {
        self.targets.clear();
        let envelope = &publish.run.envelope;
        let address = &envelope.address;
        if let Some(queue) = &publish.queue {
            let queue = self.named_queue(address, queue, None)?;
            self.targets.push(queue);
            return Ok(Arc::clone(&self.routes.nobody));
        }
        let (anycast, multicast) = self.sides(address, publish.mode, pass)?;
        if anycast && let Some(queue) = self.next_anycast(address) {
            self.targets.push(queue);
        }
        if !multicast {
            return Ok(Arc::clone(&self.routes.nobody));
        }
        let route = self.route(address);
        self.targets.extend_from_slice(&route.queues);
        if envelope.at_most_once {
            Ok(Arc::clone(&route.at_most_once))
        } else {
            self.targets.extend_from_slice(&route.sessions);
            Ok(Arc::clone(&route.direct))
        }
    }

    /// Which sides of an address a send uses, making what it may make.
    fn sides(
        &mut self,
        address: &Address,
        mode: SendMode,
        pass: &mut Pass<'_>,
    ) -> Result<(bool, bool), Refusal> {
        let state = self.addresses.get(address);
        let anycast = state.is_some_and(AddressState::has_anycast);
        let multicast = state.is_some_and(AddressState::has_multicast);
        let has_queue = state.is_some_and(|state| !state.anycast.is_empty());
        if state.is_none() && mode != SendMode::Publish && is_temporary(address) {
            return Err(Refusal::NoDestination); // Its owner is gone.
        }
        if anycast && !has_queue && mode != SendMode::Multicast {
            // Declared, but nobody has used it yet.
            let made = self.auto_create(address, pass);
            return match mode {
                SendMode::Publish => Ok((made.is_ok(), true)),
                SendMode::Untyped if multicast => Ok((made.is_ok(), true)),
                _ => made.map(|_| (true, false)),
            };
        }
        match mode {
            SendMode::Publish => Ok((has_queue, true)),
            SendMode::Multicast if anycast && !multicast => Err(Refusal::WrongRoutingType),
            SendMode::Multicast => Ok((false, true)),
            SendMode::Untyped if multicast => Ok((has_queue, true)),
            SendMode::Untyped if !anycast && self.defaults_to_multicast(address) => {
                Ok((false, true))
            }
            SendMode::Untyped | SendMode::Anycast => {
                if !has_queue {
                    self.auto_create(address, pass)?;
                }
                Ok((true, false))
            }
        }
    }

    fn defaults_to_multicast(&self, address: &Address) -> bool {
        self.settings.resolve(address.as_str()).default_routing == RoutingType::Multicast
    }

    /// Makes the anycast queue that is named like its address, if the settings allow it.
    pub(crate) fn auto_create(
        &mut self,
        address: &Address,
        pass: &mut Pass<'_>,
    ) -> Result<QueueId, Refusal> {
        let settings = self.settings.resolve(address.as_str());
        let known = self.addresses.get(address);
        let offered = known.is_some_and(AddressState::has_anycast);
        let allowed = settings.auto_create_queues && (offered || settings.auto_create_addresses);
        if !allowed || address.as_str().starts_with('$') {
            let exists = known.is_some();
            return Err(if exists {
                Refusal::WrongRoutingType
            } else {
                Refusal::NoDestination
            });
        }
        if self.queues.len() >= self.limits.max_queues {
            return Err(Refusal::LimitReached(Limit::Queues));
        }
        if known.is_none() && self.addresses.len() >= self.limits.max_addresses {
            return Err(Refusal::LimitReached(Limit::Addresses));
        }
        let name = QueueName::from(address);
        if self.queue_names.contains_key(&name) {
            return Err(Refusal::DestinationExists);
        }
        Ok(self.create_queue(name, address, RoutingType::Anycast, true, true, pass))
    }

    /// The next anycast queue of an address, in turn.
    pub(crate) fn next_anycast(&mut self, address: &Address) -> Option<QueueId> {
        let state = self.addresses.get_mut(address)?;
        let turn = if state.turn < state.anycast.len() {
            state.turn
        } else {
            0
        };
        state.turn = turn + 1;
        state.anycast.get(turn).copied()
    }

    /// The anycast queue that a consumer of an address takes from; it is made if it may be.
    pub(crate) fn anycast_to_consume(
        &mut self,
        address: &Address,
        consumer: ConnectionId,
        pass: &mut Pass<'_>,
    ) -> Result<QueueId, Refusal> {
        if let Some(state) = self.addresses.get(address) {
            if state.owner.is_some_and(|owner| owner != consumer) {
                return Err(Refusal::Forbidden);
            }
            if let Some(&queue) = state.anycast.first() {
                return Ok(queue);
            }
        }
        self.auto_create(address, pass)
    }

    /// `address::queue`, for every protocol the one place that decides who may name a queue. The
    /// queue of a session or subscription is not found, whoever asks: it could be read or filled by
    /// somebody else, and its owner has it anyway. A temporary one is its connection's to consume.
    pub(crate) fn named_queue(
        &self,
        address: &Address,
        name: &QueueName,
        consumer: Option<ConnectionId>,
    ) -> Result<QueueId, Refusal> {
        let id = *self.queue_names.get(name).ok_or(Refusal::NoDestination)?;
        let owner = self.addresses.get(address).and_then(|state| state.owner);
        if owner.is_some() && consumer.is_some() && owner != consumer {
            return Err(Refusal::Forbidden);
        }
        let here = self
            .queues
            .get(&id)
            .is_some_and(|queue| queue.address == *address && queue.is_addressable());
        if here {
            Ok(id)
        } else {
            Err(Refusal::NoDestination)
        }
    }

    /// The multicast route of an address.
    fn route(&mut self, address: &Address) -> Arc<Route> {
        let version = self.routes.version;
        if let Some((at, route)) = self.routes.cache.get(address)
            && *at == version
        {
            return Arc::clone(route);
        }
        let route = Arc::new(self.compute_route(address));
        if self.routes.cache.len() >= self.limits.cached_routes {
            self.routes.cache.clear();
        }
        self.routes
            .cache
            .insert(address.clone(), (version, Arc::clone(&route)));
        route
    }

    fn compute_route(&self, address: &Address) -> Route {
        let mut queues = Vec::new();
        let mut merged: Vec<Merged> = Vec::new();
        self.trie
            .matches(address, |binding: &Binding| match binding.holder {
                Holder::Queue(id) => queues.push(id),
                Holder::Session(session) => {
                    let Binding { qos, queued, .. } = *binding;
                    merged.push(Merged {
                        session,
                        qos,
                        queued,
                    });
                }
            });
        queues.sort_unstable();
        queues.dedup();
        merged.sort_by_key(|m| m.session);
        merged.dedup_by(|next, first| {
            let same = next.session == first.session;
            if same {
                first.qos = first.qos.max(next.qos);
                first.queued |= next.queued;
            }
            same
        });
        self.split_route(queues, &merged)
    }

    fn split_route(&self, mut queues: Vec<QueueId>, merged: &[Merged]) -> Route {
        let mut sessions = Vec::new();
        let (mut at_most_once, mut direct) = (Vec::new(), Vec::new());
        for one in merged {
            let Some(session) = self.sessions.at(one.session.0) else {
                continue;
            };
            let target = session.connection.map(|connection| {
                let after = self
                    .lanes
                    .at(session.lane.0)
                    .map_or(0, |lane| lane.opened_after);
                Target { connection, after }
            });
            match session.queue {
                Some(queue) if one.queued => queues.push(queue),
                Some(queue) if one.qos > 0 => {
                    sessions.push(queue);
                    at_most_once.extend(target);
                }
                _ => {
                    at_most_once.extend(target);
                    direct.extend(target);
                }
            }
        }
        Route {
            queues: queues.into(),
            sessions: sessions.into(),
            at_most_once: at_most_once.into(),
            direct: direct.into(),
        }
    }

    /// Drops an address that nothing uses any more.
    pub(crate) fn forget_address(&mut self, address: &Address) {
        if self
            .addresses
            .get(address)
            .is_some_and(AddressState::is_unused)
        {
            self.addresses.remove(address);
        }
    }
}
