//! From an address to queues and subscriptions: the table of design 5.
//!
//! A route is computed once per address and routing version; every bind, unbind, create, delete
//! and attachment changes the version (law L24).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::address::{Address, QueueName};
use crate::binding::{Binding, Holder};
use crate::broker::{Broker, Pass};
use crate::command::{BindOptions, Publish, Retain, RoutingType, SendMode};
use crate::effect::{Effect, Target};
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, QueueId};
use crate::large_map::LargeMap;
use crate::map::Seed;
use crate::message::Run;
use crate::queue::{AS_PUBLISHED, granted_flag};
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
    /// Queues that do not get what one connection publishes.
    not_local: Box<[(QueueId, ConnectionId)]>,
    /// Queues of sessions.
    sessions: Box<[Share]>,
    /// Connections that get messages sent at most once.
    at_most_once: Box<[Group]>,
    /// Connections that get all others without a queue.
    direct: Box<[Group]>,
    /// Ids of the subscriptions that match, rising, of sessions that have some, in their order.
    ids: Box<[(SessionRef, Arc<[u32]>)]>,
}

/// The queue of a session on a route.
#[derive(Debug)]
struct Share {
    queue: QueueId,
    /// Gets messages sent at most once too.
    queued: bool,
    /// Whose messages it does not get.
    not_from: Option<ConnectionId>,
    qos: u8,
    retain_as_published: bool,
}

impl Share {
    /// Flags of its entries.
    fn flags(&self, retain: Retain) -> u16 {
        let retained = self.retain_as_published && retain != Retain::No;
        granted_flag(self.qos) | if retained { AS_PUBLISHED } else { 0 }
    }
}

/// Connections that get the same bytes.
#[derive(Debug)]
pub(crate) struct Group {
    no_local: bool,
    retain_as_published: bool,
    subscriptions: Option<Arc<[u32]>>,
    targets: Arc<[Target]>,
}

impl Group {
    /// How many get a message of this sender.
    pub(crate) fn count(&self, from: ConnectionId) -> usize {
        self.targets.len() - usize::from(self.leaves_out(from))
    }

    /// Whether the sender is one of them and does not want what it sends.
    fn leaves_out(&self, from: ConnectionId) -> bool {
        self.no_local && self.targets.iter().any(|target| target.connection == from)
    }

    /// Sends them a run.
    pub(crate) fn send(
        &self,
        from: ConnectionId,
        run: &Arc<Run>,
        (after, retained): (u64, bool),
        pass: &mut Pass<'_>,
    ) {
        let targets = if self.leaves_out(from) {
            let others = self.targets.iter().filter(|t| t.connection != from);
            others.copied().collect()
        } else {
            Arc::clone(&self.targets)
        };
        if !targets.is_empty() {
            pass.out.effects.push(Effect::Fanout {
                run: Arc::clone(run),
                first: 0,
                count: run.count(),
                after,
                retained: retained && self.retain_as_published,
                subscriptions: self.subscriptions.clone(),
                targets,
            });
        }
    }
}

impl Route {
    /// Who gets a message without a queue.
    pub(crate) fn groups(&self, at_most_once: bool) -> &[Group] {
        if at_most_once {
            &self.at_most_once
        } else {
            &self.direct
        }
    }

    /// Ids of a session's subscriptions that match, rising.
    pub(crate) fn ids_of(&self, session: SessionRef) -> Option<Arc<[u32]>> {
        let at = self
            .ids
            .binary_search_by_key(&session, |(of, _)| *of)
            .ok()?;
        self.ids.get(at).map(|(_, ids)| Arc::clone(ids))
    }
}

/// Whether an address is one of a connection's temporary ones, as front-ends name them.
pub(crate) fn is_temporary(address: &Address) -> bool {
    address.as_str().starts_with("$temp")
}

/// Remembered routes.
#[derive(Debug)]
pub(crate) struct Routes {
    version: u64,
    cache: LargeMap<Address, (u64, Arc<Route>)>,
    /// What is in the cache, the oldest first. When it is full one goes: to empty it at once would
    /// hold the lock for tens of milliseconds (law L21).
    order: VecDeque<Address>,
    /// The newest record that changed routing: answers that rest on nothing else wait for it.
    pub(crate) position: u64,
}

impl Routes {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            version: 0,
            cache: LargeMap::new(seed),
            order: VecDeque::new(),
            position: 0,
        }
    }

    /// Something that routes depend on has changed.
    pub(crate) fn change(&mut self) {
        self.version += 1;
    }

    fn cached(&self, address: &Address) -> Option<&Arc<Route>> {
        let (version, route) = self.cache.get(address)?;
        (*version == self.version).then_some(route)
    }

    /// Remembers the route of an address among `most`.
    fn remember(&mut self, address: &Address, route: &Arc<Route>, most: usize) {
        let entry = (self.version, Arc::clone(route));
        if self.cache.insert(address.clone(), entry).is_some() {
            return;
        }
        self.order.push_back(address.clone());
        if self.order.len() > most
            && let Some(oldest) = self.order.pop_front()
        {
            self.cache.remove(&oldest);
        }
    }
}

/// Matches of one session, merged.
struct Merged {
    session: SessionRef,
    options: BindOptions,
    ids: Vec<u32>,
}

impl Merged {
    fn add(&mut self, next: &mut Self) {
        let (all, one) = (&mut self.options, next.options);
        all.qos = all.qos.max(one.qos);
        all.queued |= one.queued;
        all.no_local &= one.no_local;
        all.retain_as_published |= one.retain_as_published;
        self.ids.append(&mut next.ids);
    }
}

impl Broker {
    /// Where the messages of a publish go: queues into `self.targets`, the rest by the route.
    pub(crate) fn plan(
        &mut self,
        from: ConnectionId,
        publish: &Publish,
        pass: &mut Pass<'_>,
    ) -> Result<Option<Arc<Route>>, Refusal> {
        self.targets.clear();
        let envelope = &publish.run.envelope;
        let address = &envelope.address;
        if let Some(queue) = &publish.queue {
            let queue = self.named_queue(address, queue, None)?;
            self.targets.push((queue, 0));
            return Ok(None);
        }
        let (anycast, multicast) = self.sides(address, publish.mode, pass)?;
        if anycast && let Some(queue) = self.next_anycast(address) {
            self.targets.push((queue, 0));
        }
        if !multicast {
            return Ok(None);
        }
        let route = self.route(address);
        self.targets
            .extend(route.queues.iter().map(|queue| (*queue, 0)));
        let others = route.not_local.iter().filter(|(_, not)| *not != from);
        self.targets.extend(others.map(|(queue, _)| (*queue, 0)));
        let at_most_once = envelope.is_at_most_once();
        let takes = |share: &&Share| {
            (share.queued || !at_most_once) && share.not_from.is_none_or(|not| not != from)
        };
        let shares = route.sessions.iter().filter(takes);
        self.targets
            .extend(shares.map(|share| (share.queue, share.flags(publish.retain))));
        Ok(Some(route))
    }

    /// Which sides of an address a send uses, making what it may make.
    pub(crate) fn sides(
        &mut self,
        address: &Address,
        mode: SendMode,
        pass: &mut Pass<'_>,
    ) -> Result<(bool, bool), Refusal> {
        let state = self.addresses.get(address);
        let anycast = state.is_some_and(AddressState::has_anycast);
        let multicast = state.is_some_and(AddressState::has_multicast);
        let has_queue = state.is_some_and(|state| !state.anycast.is_empty());
        let is_kept = state.is_some_and(|state| state.owner.is_some() || state.declared);
        if !is_kept && mode != SendMode::Publish && is_temporary(address) {
            return Err(Refusal::NoDestination); // Its owner is gone, whoever still subscribes.
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
    /// queue of a session or of a subscription without a name is not found, whoever asks: it could be
    /// read or filled by somebody else, and its owner has it anyway. A temporary one is its
    /// connection's to consume; a named subscription that is not shared has one consumer.
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
        if !here {
            Err(Refusal::NoDestination)
        } else if consumer.is_some() && self.is_taken(id) {
            Err(Refusal::InUse)
        } else {
            Ok(id)
        }
    }

    /// The multicast route of an address.
    pub(crate) fn route(&mut self, address: &Address) -> Arc<Route> {
        if let Some(route) = self.routes.cached(address) {
            return Arc::clone(route);
        }
        let route = Arc::new(self.compute_route(address));
        let most = self.limits.cached_routes;
        self.routes.remember(address, &route, most);
        route
    }

    fn compute_route(&self, address: &Address) -> Route {
        let mut queues = Vec::new();
        let mut merged: Vec<Merged> = Vec::new();
        self.trie
            .matches(address, |binding: &Binding| match binding.holder {
                Holder::Queue(id) => queues.push(id),
                Holder::Session(session) => merged.push(Merged {
                    session,
                    options: binding.options,
                    ids: Some(binding.options.id)
                        .filter(|id| *id != 0)
                        .into_iter()
                        .collect(),
                }),
            });
        queues.sort_unstable();
        queues.dedup();
        merged.sort_by_key(|m| m.session);
        merged.dedup_by(|next, first| {
            let same = next.session == first.session;
            if same {
                first.add(next);
            }
            same
        });
        self.split_route(queues, merged)
    }

    fn split_route(&self, mut queues: Vec<QueueId>, merged: Vec<Merged>) -> Route {
        let not_from = |id: &QueueId| Some((*id, self.queues.get(id)?.not_from()?));
        let not_local = queues.iter().filter_map(not_from).collect();
        queues.retain(|id| not_from(id).is_none());
        let (mut sessions, mut all_ids) = (Vec::new(), Vec::new());
        let (mut at_most_once, mut direct) = (Groups::default(), Groups::default());
        for mut one in merged {
            let Some(session) = self.sessions.at(one.session.0) else {
                continue;
            };
            let opened = self.lanes.at(session.lane.0).map(|lane| lane.opened_after);
            let target = session.connection.map(|connection| Target {
                connection,
                after: opened.unwrap_or(0),
            });
            let options = one.options;
            let queue = session.queue.filter(|_| options.queued || options.qos > 0);
            if let Some(queue) = queue {
                sessions.push(Share {
                    queue,
                    queued: options.queued,
                    not_from: session.connection.filter(|_| options.no_local),
                    qos: options.qos,
                    retain_as_published: options.retain_as_published,
                });
            }
            one.ids.sort_unstable();
            one.ids.dedup();
            let ids: Option<Arc<[u32]>> = (!one.ids.is_empty()).then(|| one.ids.into());
            if queue.is_none() {
                direct.add(options, &ids, target);
            }
            if queue.is_none() || !options.queued {
                at_most_once.add(options, &ids, target);
            }
            all_ids.extend(ids.map(|ids| (one.session, ids)));
        }
        Route {
            queues: queues.into(),
            not_local,
            sessions: sessions.into(),
            at_most_once: at_most_once.finish(),
            direct: direct.finish(),
            ids: all_ids.into(),
        }
    }

    /// An address, made if there is none.
    pub(crate) fn address_state(&mut self, address: &Address) -> &mut AddressState {
        let make = || (address.clone(), AddressState::default());
        self.addresses.get_or_insert_with(address, make)
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

/// What the bytes of a connection depend on: no-local, retain-as-published, ids.
type Alike = (bool, bool, Option<Arc<[u32]>>);

/// Connections by that.
#[derive(Default)]
struct Groups(BTreeMap<Alike, Vec<Target>>);

impl Groups {
    fn add(&mut self, options: BindOptions, ids: &Option<Arc<[u32]>>, target: Option<Target>) {
        let (no_local, retain) = (options.no_local, options.retain_as_published);
        let key = (no_local, retain, ids.clone());
        if let Some(target) = target {
            self.0.entry(key).or_default().push(target);
        }
    }

    fn finish(self) -> Box<[Group]> {
        let group = |((no_local, retain_as_published, subscriptions), targets)| Group {
            no_local,
            retain_as_published,
            subscriptions,
            targets: Vec::into(targets),
        };
        self.0.into_iter().map(group).collect()
    }
}

#[cfg(test)]
mod tests;
