//! Sessions: subscriptions, a queue and an in-flight table that outlive connections.
//!
//! A session is one queue with a binding per filter, and one lane with one space of tags. While
//! nobody is attached the lane has no owner, so nothing is handed out to it.

mod removal;
mod resend;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::address::{Filter, QueueName};
use crate::broker::{Broker, Pass};
use crate::command::{Attach, BindOptions, BindTarget, Command, RoutingType, SettleMode, Will};
use crate::consumer::{ConsumerRef, Inflight, Lane, LaneRef};
use crate::deadline::{Deadline, DeadlineKey};
use crate::dialect::Dialect;
use crate::effect::{Answer, Effect, EndReason};
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, ConsumerKey, QueueId};
use crate::queue::Kind;
use crate::record::{self, SessionRecord};
use crate::retained::Replay;

/// A session in the broker's table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) struct SessionRef(pub(crate) u32);

/// One subscription of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subscription {
    pub(crate) options: BindOptions,
    /// Competes for a named queue.
    pub(crate) consumer: Option<ConsumerRef>,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: Arc<str>,
    pub(crate) principal: Arc<str>,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) lane: LaneRef,
    /// Made with the first subscription that needs it.
    pub(crate) queue: Option<QueueId>,
    pub(crate) subscriptions: BTreeMap<BindTarget, Subscription>,
    pub(crate) expiry_ms: Option<u64>,
    /// When it expires, in wall time; 0 while it is connected or if it never does.
    pub(crate) expires_at_ms: u64,
    pub(crate) durable: bool,
    pub(crate) hold: bool,
    /// New subscriptions that are getting retained values.
    pub(crate) replays: VecDeque<Replay>,
    /// Rises with each detachment, so that a stale deadline is noticed.
    pub(crate) detachment: u32,
    /// When that is.
    pub(crate) deadline: Option<DeadlineKey>,
    /// Listed for sending again what is unsettled.
    pub(crate) resend_listed: bool,
    /// Listed for sending retained values.
    pub(crate) replay_listed: bool,
    /// Tags below may have been used (law L13).
    pub(crate) tag_mark: u64,
    /// Published when the connection goes without taking it back (law L14).
    pub(crate) will: Option<Box<Will>>,
    /// When that is, while it waits for the client to come back.
    pub(crate) will_deadline: Option<DeadlineKey>,
    /// The log knows it: its end is written down.
    pub(crate) recorded: bool,
    /// Ids of messages that its client published once and has not released (law L13).
    pub(crate) receipts: BTreeSet<u16>,
    /// Subscriptions that have ids.
    pub(crate) with_ids: u32,
}

/// Tags reserved ahead by one record (law L13).
const TAGS_AHEAD: u64 = 1_024;

/// Subscriptions under `$` that an attachment tells of.
const MAX_RESERVED: usize = 32;

impl Broker {
    /// Takes or makes a session (law L12).
    pub(crate) fn attach(
        &mut self,
        id: ConnectionId,
        mut attach: Attach,
        pass: &mut Pass<'_>,
    ) -> Option<Command> {
        let token = attach.token;
        let longest = self.limits.max_name_bytes;
        if attach.name.len() > longest || attach.principal.len() > longest {
            pass.refuse(id, token, Refusal::BadName);
            return None;
        }
        let known = self.session_names.get(&attach.name).copied();
        if let Some(known) = known {
            if self
                .sessions
                .at(known.0)
                .is_some_and(|s| s.principal != attach.principal)
            {
                pass.refuse(id, token, Refusal::Forbidden);
                return None;
            }
            if !self.succeed(known, id, &attach, pass) {
                return Some(Command::Attach(attach));
            }
        } else if self.session_names.len() >= self.limits.max_sessions {
            pass.refuse(id, token, Refusal::LimitReached(Limit::Sessions));
            return None;
        }
        self.leave_other(id, known, pass);
        let known = known.filter(|known| self.is_named(*known, &attach.name));
        let session = known.unwrap_or_else(|| self.new_session(&attach));
        let will = attach.will.take();
        self.join(session, id, &attach, will, pass);
        let position = pass.position();
        self.open_lane(session, position);
        // What rests on nothing durable waits for nothing; discarding a durable one wrote records.
        pass.answer(
            id,
            token,
            position,
            Answer::Attached {
                present: known.is_some(),
                reserved: self.reserved_filters(session),
            },
        );
        if known.is_some() {
            self.start_resend(session);
        }
        None
    }

    /// Ends the hold of another connection on a session, and the session if a new one is wanted.
    /// False if the room for records did not reach, also not for those of the attachment: what was
    /// done is done, and the attachment goes on with it.
    fn succeed(
        &mut self,
        known: SessionRef,
        id: ConnectionId,
        attach: &Attach,
        pass: &mut Pass<'_>,
    ) -> bool {
        let state = self.sessions.at(known.0);
        let held = state.and_then(|state| state.connection);
        let is_taken = held.is_some_and(|held| held != id);
        if is_taken {
            if !self.vacate(known, false, pass) || !self.has_room_for_will(known, pass) {
                return false;
            }
            self.take_over(known, id, pass);
        }
        // An expiry of 0 ended the session with the connection it is taken from.
        if attach.clean && self.is_named(known, &attach.name) {
            if !self.has_room_for_will(known, pass) {
                return false;
            }
            self.remove_session(known, pass);
        }
        let bytes = self.attach_bytes(attach);
        let fits = pass.fits(bytes);
        if !fits {
            pass.out.needs = pass.out.needs.max(bytes);
        }
        fits
    }

    /// Whether a session still has its name: one that is being removed has none.
    fn is_named(&self, session: SessionRef, name: &str) -> bool {
        self.session_names.get(name) == Some(&session)
    }

    /// A connection has one session: one that it had before is detached.
    fn leave_other(&mut self, id: ConnectionId, keep: Option<SessionRef>, pass: &mut Pass<'_>) {
        let held = self
            .connection(id)
            .and_then(|connection| connection.session);
        let held = held.filter(|held| Some(*held) != keep);
        if let Some(other) = held {
            self.detach(other, true, pass);
        }
    }

    /// Ends another connection's hold on a session.
    fn take_over(&mut self, session: SessionRef, by: ConnectionId, pass: &mut Pass<'_>) {
        let old = self.sessions.at(session.0).and_then(|s| s.connection);
        let Some(old) = old.filter(|old| *old != by) else {
            return;
        };
        let reason = EndReason::TakenOver;
        pass.out.effects.push(Effect::End {
            connection: old,
            reason,
        });
        if let Some(connection) = self.connection_mut(old) {
            connection.session = None;
            connection.ended = true;
            connection.remove_lane(ConsumerKey::SESSION);
        }
        self.note_handed_out(session);
        self.detach(session, false, pass);
    }

    /// What the connection of a session was given may have reached its client, although it has not
    /// said so yet: the client can be back before the old connection tells what the kernel took.
    fn note_handed_out(&mut self, session: SessionRef) {
        let lane = self.sessions.at(session.0).map(|session| session.lane);
        if let Some(lane) = lane.and_then(|lane| self.lanes.at_mut(lane.0)) {
            let handed = lane.resend.unwrap_or(lane.next_tag).saturating_sub(1);
            lane.maybe_written = lane.maybe_written.max(handed);
        }
    }

    fn new_session(&mut self, attach: &Attach) -> SessionRef {
        let lane = LaneRef(
            self.lanes
                .insert(Box::new(Lane::new(ConsumerKey::SESSION, 0))),
        );
        let session = Session {
            name: Arc::clone(&attach.name),
            principal: Arc::clone(&attach.principal),
            connection: None,
            lane,
            queue: None,
            subscriptions: BTreeMap::new(),
            expiry_ms: attach.expiry_ms,
            expires_at_ms: 0,
            durable: attach.durable,
            hold: attach.hold,
            replays: VecDeque::new(),
            detachment: 0,
            deadline: None,
            resend_listed: false,
            replay_listed: false,
            tag_mark: 1 + TAGS_AHEAD,
            will: None,
            will_deadline: None,
            recorded: false,
            receipts: BTreeSet::new(),
            with_ids: 0,
        };
        self.insert_session(session)
    }

    /// Puts a session into the tables.
    pub(crate) fn insert_session(&mut self, session: Session) -> SessionRef {
        let (name, lane) = (Arc::clone(&session.name), session.lane);
        let session = SessionRef(self.sessions.insert(Box::new(session)));
        self.session_names.insert(name, session);
        if let Some(lane) = self.lanes.at_mut(lane.0) {
            lane.session = Some(session);
        }
        session
    }

    fn join(
        &mut self,
        session: SessionRef,
        id: ConnectionId,
        attach: &Attach,
        will: Option<Box<Will>>,
        pass: &mut Pass<'_>,
    ) {
        self.end_will_wait(session);
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        state.connection = Some(id);
        let had_will = state.will.is_some();
        state.will = will;
        state.expiry_ms = attach.expiry_ms;
        state.expires_at_ms = 0;
        state.hold = attach.hold;
        let deadline = state.deadline.take();
        let lane = state.lane;
        let bound = !state.subscriptions.is_empty();
        if let Some(deadline) = deadline {
            self.deadlines.cancel(deadline);
        }
        if let Some(lane) = self.lanes.at_mut(lane.0) {
            lane.owner = Some(id);
            lane.window = attach.window;
            lane.opened_after = 0;
        }
        if let Some(connection) = self.connection_mut(id) {
            connection.session = Some(session);
            connection.put_lane(ConsumerKey::SESSION, lane);
        }
        if bound {
            self.routes.change();
        }
        self.write_session(session, pass);
        self.write_will(session, had_will, pass);
    }

    /// Nothing leaves the session's lane before this position.
    pub(crate) fn open_lane(&mut self, session: SessionRef, position: u64) {
        let lane = self.sessions.at(session.0).map(|session| session.lane);
        if let Some(lane) = lane.and_then(|lane| self.lanes.at_mut(lane.0)) {
            lane.opened_after = lane.opened_after.max(position);
        }
    }

    /// Writes a durable session down.
    pub(crate) fn write_session(&mut self, session: SessionRef, pass: &mut Pass<'_>) {
        let Some(record) = self
            .sessions
            .at(session.0)
            .and_then(|s| self.session_record(s))
        else {
            return;
        };
        let head = record.encode();
        self.routes.position = pass.log.append(record::PUT_SESSION, head.bytes(), None, 0) + 1;
        if let Some(state) = self.sessions.at_mut(session.0) {
            state.recorded = true;
        }
    }

    /// The record of a session that is durable or has a will.
    pub(crate) fn session_record(&self, session: &Session) -> Option<SessionRecord> {
        let lane = self.lanes.at(session.lane.0)?;
        let wanted = session.durable || session.will.is_some();
        wanted.then(|| SessionRecord {
            name: Arc::clone(&session.name),
            principal: Arc::clone(&session.principal),
            expiry_ms: session.expiry_ms,
            expires_at_ms: session.expires_at_ms,
            window: lane.window,
            tag_mark: session.tag_mark,
            durable: session.durable,
        })
    }

    /// A delivery has used tags: keeps the mark of a durable session ahead of them.
    pub(crate) fn reserve_ids(&mut self, lane: LaneRef, pass: &mut Pass<'_>) {
        let Some(state) = self.lanes.at(lane.0) else {
            return;
        };
        let (Some(session), next) = (state.session, state.next_tag) else {
            return;
        };
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        if state.durable && next > state.tag_mark {
            state.tag_mark = next + TAGS_AHEAD;
            self.write_session(session, pass);
            // The tags must not leave before the mark is above them.
            let position = pass.log.tail();
            self.open_lane(session, position);
        }
    }

    /// The queue of a session, made when it is needed first.
    pub(crate) fn session_queue(&mut self, session: SessionRef, pass: &mut Pass<'_>) {
        let Some(state) = self.sessions.at(session.0) else {
            return;
        };
        if state.queue.is_some() {
            return;
        }
        let durable = state.durable;
        let text = format!("$session.{}", escape(&state.name));
        let name = match QueueName::parse(&text, Dialect::Canonical, usize::MAX) {
            Ok(name) if !self.queue_names.contains_key(&name) => name,
            _ => match self.internal_names("$session-queue") {
                Ok((name, _)) => name,
                Err(_) => return,
            },
        };
        let Ok((_, address)) = self.internal_names("$session-queue") else {
            return;
        };
        let queue = self.new_queue(name, &address, RoutingType::Multicast, |queue| {
            queue.kind = Kind::Session(session);
            queue.durable = durable;
        });
        self.adopt_queue(session, queue);
        if durable {
            self.write_queue(queue, pass);
        }
    }

    /// Makes a queue the session's own.
    pub(crate) fn adopt_queue(&mut self, session: SessionRef, queue: QueueId) {
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        state.queue = Some(queue);
        let lane = state.lane;
        self.add_consumer(lane, queue, SettleMode::Explicit, 0);
    }

    /// The connection of a session has ended.
    pub(crate) fn detach(&mut self, session: SessionRef, polite: bool, pass: &mut Pass<'_>) {
        let Some(state) = self.sessions.at_mut(session.0) else {
            return;
        };
        state.connection = None;
        state.detachment = state.detachment.wrapping_add(1);
        let (lane, detachment) = (state.lane, state.detachment);
        let (expiry, bound) = (state.expiry_ms, !state.subscriptions.is_empty());
        if let Some(lane) = self.lanes.at_mut(lane.0) {
            lane.owner = None;
            lane.resend = None;
        }
        if bound {
            self.routes.change();
        }
        // First, as there was room for it.
        self.leave_will(session, pass);
        self.vacate(session, polite, pass);
        if expiry == Some(0) {
            return self.remove_session(session, pass);
        }
        if let Some(expiry) = expiry
            && let Some(state) = self.sessions.at_mut(session.0)
        {
            state.expires_at_ms = self.now.wall_ms.saturating_add(expiry);
            let due = self.now.mono_ms.saturating_add(expiry);
            let deadline = Deadline::Session {
                session,
                detachment,
            };
            state.deadline = Some(self.deadlines.set(due, deadline));
        }
        self.write_session(session, pass);
    }

    /// Gives back what a session without its client holds of named queues, unless it waits for it:
    /// others compete for it. False if the room for records did not reach.
    pub(crate) fn vacate(
        &mut self,
        session: SessionRef,
        polite: bool,
        pass: &mut Pass<'_>,
    ) -> bool {
        let Some(state) = self.sessions.at(session.0) else {
            return true;
        };
        let (own, lane) = (state.queue, state.lane);
        let waits = state.hold && state.expiry_ms != Some(0);
        let Some(held) = self.lanes.at_mut(lane.0) else {
            return true;
        };
        held.owner = None;
        // What was begun in two steps is finished with this session (law L13).
        let kept = move |piece: &Inflight| Some(piece.queue) == own || piece.is_begun();
        if waits || held.inflight.iter().all(kept) {
            return true;
        }
        self.give_back(lane, kept, polite, pass)
    }

    /// How long a session lives without a connection from now on.
    pub(crate) fn set_expiry(
        &mut self,
        id: ConnectionId,
        expiry_ms: Option<u64>,
        pass: &mut Pass<'_>,
    ) {
        let session = self.connection(id).and_then(|c| c.session);
        if let Some(session) = session
            && let Some(state) = self.sessions.at_mut(session.0)
        {
            state.expiry_ms = expiry_ms;
            self.write_session(session, pass);
        }
    }

    /// What a session has subscribed to under `$`.
    fn reserved_filters(&self, session: SessionRef) -> Vec<Filter> {
        let Some(state) = self.sessions.at(session.0) else {
            return Vec::new();
        };
        let filters = state
            .subscriptions
            .range(BindTarget::Filter(Filter::first_reserved())..)
            .map_while(|(target, _)| match target {
                BindTarget::Filter(filter) => Some(filter),
                BindTarget::Queue { .. } | BindTarget::Shared { .. } => None,
            });
        filters
            .take_while(|filter| filter.is_reserved())
            .take(MAX_RESERVED)
            .cloned()
            .collect()
    }

    /// The subscription of a session to a filter.
    pub(crate) fn subscription(
        &self,
        session: SessionRef,
        filter: &Filter,
    ) -> Option<Subscription> {
        let target = BindTarget::Filter(filter.clone());
        self.sessions
            .at(session.0)?
            .subscriptions
            .get(&target)
            .copied()
    }
}

/// One segment of a canonical name that stands for any text.
fn escape(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        let colons = c == ':' && before == ':';
        if matches!(c, '.' | '*' | '#' | '>' | '%' | '/') || colons {
            segment.push_str(&format!("%{:02X}", c as u32));
        } else {
            segment.push(c);
        }
        before = c;
    }
    segment
}
