//! The broker: one call decides one batch of commands (design 2.2).
//!
//! What it decides goes out as effects and is written down as records of what became true, so that
//! replaying them needs no decision (law L6). It never waits, reads no clock and knows no protocol.
//! Work that touches many messages is bounded: what is left is done by later calls (law L21).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::address::{Address, Filter, QueueName};
use crate::binding::Binding;
use crate::command::{Command, Publish};
use crate::connection::Place;
use crate::consumer::{Consumer, Inflight, Lane};
use crate::deadline::{Deadline, Deadlines};
use crate::effect::{Answer, Out};
use crate::exactly_once::Begun;
use crate::ids::{ConnectionId, Now, QueueId};
use crate::large_map::LargeMap;
use crate::limits::Limits;
use crate::map::{Map, Seed};
use crate::named::Named;
pub(crate) use crate::pass::{AT_END, Pass, discarded};
use crate::queue::Queue;
use crate::record::{RecordSink, Settlements};
use crate::retained::Retained;
use crate::router::{AddressState, Routes};
use crate::session::{Session, SessionRef};
use crate::settings::SettingsTable;
use crate::slots::Slots;
use crate::store::{RunRef, Store};
use crate::topic_trie::TopicTrie;

/// Everything a broker is made from.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// Ceilings.
    pub limits: Limits,
    /// What holds for which addresses.
    pub settings: SettingsTable,
    /// Where no will is published, whatever was allowed when its client connected.
    pub denied_wills: Arc<[Filter]>,
    /// Seed of every look-up table.
    pub seed: u64,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            settings: SettingsTable::new(Vec::new()),
            denied_wills: Arc::default(),
            seed: 0,
        }
    }
}

/// The broker.
#[derive(Debug)]
pub struct Broker {
    pub(crate) limits: Limits,
    pub(crate) settings: SettingsTable,
    pub(crate) denied_wills: Arc<[Filter]>,
    pub(crate) now: Now,
    pub(crate) store: Store,
    pub(crate) queues: Map<QueueId, Box<Queue>>,
    pub(crate) queue_names: Map<QueueName, QueueId>,
    pub(crate) next_queue: u32,
    pub(crate) addresses: LargeMap<Address, AddressState>,
    pub(crate) trie: TopicTrie<Binding>,
    /// Filters of the consumers' own subscriptions.
    pub(crate) subscriptions: Map<QueueId, Filter>,
    /// Queues of shared subscriptions by group and filter.
    pub(crate) shared: Map<(Arc<str>, Filter), QueueId>,
    /// The same the other way round.
    pub(crate) groups: Map<QueueId, (Arc<str>, Filter)>,
    pub(crate) named: Map<QueueId, Named>,
    pub(crate) routes: Routes,
    pub(crate) sessions: Slots<Box<Session>>,
    pub(crate) session_names: Map<Arc<str>, SessionRef>,
    pub(crate) lanes: Slots<Box<Lane>>,
    pub(crate) consumers: Slots<Consumer>,
    pub(crate) connections: Vec<Place>,
    pub(crate) retained: Retained,
    pub(crate) deadlines: Deadlines,
    pub(crate) work: VecDeque<Work>,
    pub(crate) lease_epoch: u32,
    pub(crate) receives: u64,
    pub(crate) counts: Counts,
    /// Runs that recovery knows by name.
    pub(crate) recovering: Map<u64, RunRef>,
    /// What recovery knows of deliveries begun in two steps.
    pub(crate) begun: BTreeMap<SessionRef, Begun>,
    /// The state contains every record below this position (law L6).
    pub(crate) applied: u64,
    pub(crate) seed: Seed,
    /// Reused by settlements.
    pub(crate) scratch: Vec<Inflight>,
    settlements: Settlements,
    /// Reused by publishes.
    pub(crate) targets: Vec<(QueueId, u16)>,
}

/// Work that one call may leave to the next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Hand out what is available.
    Pump(QueueId),
    /// Send a resumed session what it had not settled, then go on.
    Resend(SessionRef),
    /// Send retained values to a new subscription.
    Replay(SessionRef),
    /// Let go of the messages of a queue that is gone.
    Discard(Box<Queue>),
    /// Do what was due and had no room in the log.
    Meet(Deadline),
    /// Publish a will for more queues than there was room for in the log.
    Will(Box<Publish>),
    /// Take the subscriptions of a session that is gone out of the tables.
    EndSubscriptions(SessionRef),
    /// Copy what is alive of nearly dead blocks.
    Thin,
}

impl Broker {
    /// An empty broker.
    #[must_use]
    pub fn new(options: BrokerOptions) -> Self {
        let seed = Seed::new(options.seed);
        Self {
            routes: Routes::new(seed),
            limits: options.limits,
            settings: options.settings,
            denied_wills: options.denied_wills,
            now: Now::default(),
            store: Store::default(),
            queues: Map::with_hasher(seed),
            queue_names: Map::with_hasher(seed),
            next_queue: 1,
            addresses: LargeMap::new(seed),
            trie: TopicTrie::new(seed),
            subscriptions: Map::with_hasher(seed),
            shared: Map::with_hasher(seed),
            groups: Map::with_hasher(seed),
            named: Map::with_hasher(seed),
            sessions: Slots::default(),
            session_names: Map::with_hasher(seed),
            lanes: Slots::default(),
            consumers: Slots::default(),
            connections: Vec::new(),
            retained: Retained::default(),
            deadlines: Deadlines::default(),
            work: VecDeque::new(),
            lease_epoch: 0,
            receives: 0,
            counts: Counts::default(),
            recovering: Map::with_hasher(seed),
            begun: BTreeMap::new(),
            applied: 0,
            seed,
            settlements: Settlements::default(),
            scratch: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Decides a batch of one connection, in order, and takes the commands out of `commands`.
    /// Records go to `log`, everything else to `out`, which the caller empties between calls.
    ///
    /// Commands of a connection that is closed, or whose slot has been given to another, are
    /// dropped (law L12). What the room of `log` does not reach stays in `commands`, the first of
    /// them perhaps begun: call again with them. `log` must have room for [`Limits::step_bytes`], and
    /// for `out.needs` if that was set. If `out.more` is set there is work left: call again, also
    /// with an empty batch, after letting others in.
    pub fn handle(
        &mut self,
        now: Now,
        connection: ConnectionId,
        commands: &mut Vec<Command>,
        log: &mut dyn RecordSink,
        out: &mut Out,
    ) {
        self.now = now;
        let mut pass = Pass::new(&self.limits, log, out);
        pass.settlements = std::mem::take(&mut self.settlements);
        pass.out.needs = 0;
        self.run_commands(connection, commands, &mut pass);
        self.run_due(&mut pass);
        self.run_work(&mut pass);
        self.finish(pass);
        out.more |= !commands.is_empty();
    }

    /// Carries the commands out, as far as the room for their records reaches.
    fn run_commands(
        &mut self,
        connection: ConnectionId,
        commands: &mut Vec<Command>,
        pass: &mut Pass<'_>,
    ) {
        let mut all = commands.drain(..);
        if let Some(first) = self.first_left(connection, &mut all, pass) {
            let left: Vec<Command> = std::iter::once(first).chain(all).collect();
            commands.extend(left);
        }
    }

    /// The first command for which the room for records does not reach, or what is left of it.
    fn first_left(
        &mut self,
        connection: ConnectionId,
        commands: &mut impl Iterator<Item = Command>,
        pass: &mut Pass<'_>,
    ) -> Option<Command> {
        for command in commands {
            if !self.accepts(connection, &command) {
                continue;
            }
            let bytes = self.record_bytes(connection, &command);
            if !pass.fits(bytes) {
                pass.out.needs = bytes;
                return Some(command);
            }
            let left = self.command(connection, command, pass);
            if left.is_some() {
                return left;
            }
        }
        None
    }

    /// Carries a command out. Gives back what is left of it if the room for records does not reach.
    fn command(
        &mut self,
        connection: ConnectionId,
        command: Command,
        pass: &mut Pass<'_>,
    ) -> Option<Command> {
        match command {
            Command::Publish(publish) => return self.publish(connection, publish, pass),
            Command::Settle(settle) => return self.settle(connection, settle, pass),
            Command::Attach(attach) => return self.attach(connection, attach, pass),
            Command::Close(close) => return self.close(connection, close, pass),
            Command::Written { consumer, tag } => {
                let done = self.written(connection, consumer, tag, pass);
                return (!done).then_some(command);
            }
            Command::Room(bytes) => self.give_room(connection, bytes),
            Command::Credit { consumer, until } => self.credit(connection, consumer, until),
            Command::Consume(consume) => self.consume(connection, consume, pass),
            Command::Cancel {
                consumer,
                written,
                token,
            } => {
                let done = self.cancel(connection, consumer, written, token, pass);
                return (!done).then_some(command);
            }
            Command::Expire { expiry_ms } => self.set_expiry(connection, expiry_ms, pass),
            Command::ForgetWill => self.forget_will(connection, pass),
            Command::Release { first, n, token } => {
                self.release_ids(connection, (first, n), token, pass);
            }
            Command::Received { first, n, token } => {
                return self.received(connection, (first, n), token, pass);
            }
            Command::Bind { requests, token } => self.bind(connection, requests, token, pass),
            Command::Unbind { filters, token } => self.unbind(connection, &filters, token, pass),
            Command::CreateTemporary {
                address,
                routing,
                token,
            } => {
                self.create_temporary(connection, address, routing, token, pass);
            }
            Command::Drain { consumer, token } => self.drain(connection, consumer, token, pass),
            Command::LookUp { queue, token } => self.look_up(connection, queue, token, pass),
            Command::DeleteTemporary { address, token } => {
                return self.delete_temporary(connection, address, token, pass);
            }
            Command::Prepare {
                address,
                queue,
                mode,
                token,
            } => {
                self.prepare(connection, (&address, queue.as_ref()), mode, token, pass);
            }
            Command::Unsubscribe { queue, token } => {
                self.unsubscribe(connection, &queue, token, pass);
            }
            Command::Receive(receive) => self.receive(connection, receive, pass),
            Command::CancelReceive { receive } => self.cancel_receive(connection, receive),
            Command::Lease {
                lease,
                action,
                token,
            } => {
                self.lease(connection, lease, action, token, pass);
            }
            Command::DeclareAddress {
                address,
                anycast,
                multicast,
            } => {
                self.declare_address(address, anycast, multicast);
            }
            Command::DeclareQueue(spec) => self.declare_queue(spec, pass),
            Command::Flush { token } => {
                pass.answer(connection, Some(token), AT_END, Answer::Flushed);
            }
            Command::Tick => {}
        }
        None
    }

    fn run_work(&mut self, pass: &mut Pass<'_>) {
        while pass.units() > 0 {
            let Some(work) = self.work.pop_front() else {
                break;
            };
            match work {
                Work::Pump(queue) => self.pump(queue, pass),
                Work::Resend(session) => self.resend(session, pass),
                Work::Replay(session) => self.replay_retained(session, pass),
                Work::Discard(queue) => self.discard_messages(queue, pass),
                // The next call has the room that is needed.
                Work::Meet(deadline) => {
                    if !self.meet(deadline, pass) {
                        break;
                    }
                }
                Work::Will(publish) => {
                    if !self.carry_will(*publish, pass) {
                        break;
                    }
                }
                Work::EndSubscriptions(session) => self.end_subscriptions(session, pass),
                Work::Thin => self.thin(pass),
            }
        }
    }

    /// Lists a queue for handing out, once.
    pub(crate) fn list(&mut self, queue: QueueId) {
        if let Some(state) = self.queues.get_mut(&queue)
            && !state.listed
        {
            state.listed = true;
            self.work.push_back(Work::Pump(queue));
        }
    }

    fn finish(&mut self, mut pass: Pass<'_>) {
        pass.settlements.write(pass.log);
        self.settlements = std::mem::take(&mut pass.settlements);
        self.watch_sparse();
        let tail = pass.log.tail();
        self.applied = self.applied.max(tail);
        pass.stamp(tail);
        pass.out.next_deadline_ms = self.deadlines.next();
        pass.out.more = !self.work.is_empty() || self.deadlines.is_due(self.now.mono_ms);
    }

    /// The state in numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            queues: self.queues.len() as u64,
            addresses: self.addresses.len() as u64,
            sessions: self.session_names.len() as u64,
            retained: self.retained.len() as u64,
            ..self.counts
        }
    }
}

/// Numbers for the metrics, kept as things happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Queues.
    pub queues: u64,
    /// Messages in all queues.
    pub messages: u64,
    /// Addresses that something declared, created or bound to.
    pub addresses: u64,
    /// Sessions.
    pub sessions: u64,
    /// Retained values.
    pub retained: u64,
    /// Messages published.
    pub published: u64,
    /// Messages handed to consumers, fan-outs included.
    pub delivered: u64,
    /// Messages settled as accepted.
    pub accepted: u64,
    /// Messages routed to nobody.
    pub unrouted: u64,
    /// Messages whose time to live ended.
    pub expired: u64,
    /// Messages moved to a dead-letter address.
    pub dead_lettered: u64,
    /// Messages dropped by a full non-durable subscription.
    pub dropped_full: u64,
    /// Messages dropped because a dead-letter or expiry address is not set.
    pub dropped_no_address: u64,
    /// Messages whose notes were dropped, too long or too many.
    pub dropped_notes: u64,
    /// Wills dropped because nothing may be published where they were to go.
    pub dropped_denied: u64,
}
