//! One batch of commands of one connection: decided, appended and handed out (design 2.7).
//!
//! Under the engine's lock there is no I/O, no wake-up, no copy of a body and no free of one. Lock
//! order: engine, open batch, outbox.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::MutexGuard;

use ternmq_core::command::Command;
use ternmq_core::effect::{Answer, Delivery, Effect, EndReason};
use ternmq_core::ids::{ConnectionId, Now};
use ternmq_core::message::Run;
use ternmq_core::record::RecordSink;
use ternmq_journal::Batch;

use super::admission::Budget;
use super::fanout::Fanout;
use super::group::{GROUP_BYTES, GROUP_UNITS, Groups, is_one_group};
use super::outbox::Contents;
use super::parked::wants_log;
use super::release::Wakes;
use super::stats::nanos_since;
use super::{Shared, State};

/// How often a call goes on by itself with work that is left over.
const ROUNDS_MAX: usize = 8;

/// The journal's open batch and the budget, as the core sees them.
struct Sink<'a, 'b> {
    batch: &'a mut Batch<'b>,
    budget: &'a Arc<Budget>,
}

impl RecordSink for Sink<'_, '_> {
    fn append(&mut self, kind: u8, head: &[u8], body: Option<&Bytes>, live: u32) -> u64 {
        self.batch.append(kind, 0, 0, head, body, live).0
    }

    fn tail(&self) -> u64 {
        self.batch.tail()
    }

    fn keep(&self, bytes: Vec<u8>) -> Bytes {
        self.budget.keep(bytes)
    }

    fn room(&self) -> usize {
        if cfg!(mutant = "room_is_not_asked") {
            return usize::MAX;
        }
        self.batch.room()
    }
}

/// A panic between a decision and its record leaves memory and log apart: the process must end,
/// and recovery starts from the log (law L27).
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// Commands of one connection, to be decided in one hold of the lock.
pub(crate) struct Call<'a> {
    pub(crate) now: Now,
    pub(crate) id: ConnectionId,
    pub(crate) commands: &'a mut Vec<Command>,
    /// The connection makes the call itself, and looks into its outbox afterwards.
    pub(crate) own: bool,
    /// Bytes of records that its first command, which is alone then, writes at once.
    pub(crate) needs: usize,
    /// The places of its answers in the confirm stream are kept already.
    pub(crate) answers_awaited: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(now: Now, id: ConnectionId, commands: &'a mut Vec<Command>) -> Self {
        Self {
            now,
            id,
            commands,
            own: true,
            needs: 0,
            answers_awaited: false,
        }
    }
}

/// What one hold of the lock leaves to do after it.
#[derive(Default)]
pub(crate) struct Aftermath {
    pub(crate) wakes: Wakes,
    /// Answers to the broker's own commands.
    answers: Vec<Answer>,
    /// Dropped outside the lock.
    garbage: Vec<Arc<Run>>,
    purged: Vec<Delivery>,
    pub(crate) more: bool,
    /// See [`Call::needs`].
    needs: usize,
}

impl Aftermath {
    /// Room of deliveries that were taken back out of an outbox (law L22).
    pub(crate) fn purged_room(&self) -> u32 {
        self.purged.iter().map(Delivery::room).sum()
    }
}

impl Shared {
    /// Decides all commands, in order, and leaves `commands` empty. Returns the answers to the
    /// broker's own commands.
    pub(crate) fn submit(&self, id: ConnectionId, commands: &mut Vec<Command>) -> Vec<Answer> {
        let mut answers = Vec::new();
        let most_bytes = GROUP_BYTES.min(self.share.bodies);
        if is_one_group(commands, most_bytes) {
            self.submit_group(id, commands, &mut answers);
            return answers;
        }
        let mut groups = Groups::new(commands.drain(..), most_bytes);
        let mut group = Vec::with_capacity(GROUP_UNITS);
        while groups.fill(&mut group) {
            self.submit_group(id, &mut group, &mut answers);
        }
        answers
    }

    /// Decides a group, then works on while the core says that something is left.
    fn submit_group(
        &self,
        id: ConnectionId,
        commands: &mut Vec<Command>,
        answers: &mut Vec<Answer>,
    ) {
        let (mut more, mut needs) = self.turn(id, commands, 0, answers);
        // What had no room for its records goes on in later commits.
        while !commands.is_empty() {
            let behind = if needs > 0 {
                commands.split_off(1)
            } else {
                Vec::new()
            };
            (more, needs) = self.turn(id, commands, needs, answers);
            commands.extend(behind);
        }
        for _ in 0..ROUNDS_MAX {
            if !more {
                return;
            }
            (more, needs) = self.turn(ConnectionId::BROKER, commands, needs, answers);
        }
        // Somebody else's turn.
        self.deadlines.set_leftover(self.clock.now().mono_ms);
    }

    /// One hold of the lock and what comes after it. `commands` keeps what is to be done next. Says
    /// whether work is left, and what the next command needs.
    fn turn(
        &self,
        id: ConnectionId,
        commands: &mut Vec<Command>,
        needs: usize,
        answers: &mut Vec<Answer>,
    ) -> (bool, usize) {
        let mut aftermath = self.hold(id, commands, needs);
        let (room, more) = (aftermath.purged_room(), aftermath.more);
        let mut needs = aftermath.needs;
        answers.append(&mut aftermath.answers);
        self.finish(aftermath);
        if room > 0 {
            commands.insert(0, Command::Room(room));
            needs = 0;
        }
        (more, needs)
    }

    /// One hold of the engine's lock; leaves in `commands` what had no room for its records.
    fn hold(&self, id: ConnectionId, commands: &mut Vec<Command>, needs: usize) -> Aftermath {
        let asked = Instant::now();
        let mut state = self.state.lock();
        self.counters.lock_wait.add(nanos_since(asked));
        let held = Instant::now();
        let mut aftermath = Aftermath::default();
        let now = self.clock.now();
        self.journal.set_wall(micros(now.wall_ms));
        let mut call = Call::new(now, id, commands);
        call.needs = needs;
        self.decide(&mut state, &mut call, &mut aftermath);
        self.counters.lock_hold.add(nanos_since(held));
        if aftermath.more {
            MutexGuard::unlock_fair(state);
        } else {
            drop(state);
        }
        aftermath
    }

    /// The part outside the lock.
    pub(crate) fn finish(&self, aftermath: Aftermath) {
        let Aftermath {
            wakes,
            garbage,
            purged,
            ..
        } = aftermath;
        self.finish_wakes(wakes);
        self.drain_fanouts();
        drop((garbage, purged));
    }

    /// Makes room, lets the core decide and hands out its effects.
    fn decide(&self, state: &mut State, call: &mut Call<'_>, aftermath: &mut Aftermath) {
        let mut batch = self.journal.batch();
        if self.make_room(state, &mut batch, call) {
            aftermath.needs = self.handle(state, batch, call, aftermath);
        } else {
            call.commands.clear();
        }
    }

    /// Lets the core decide, its room being reserved, and hands out what it has put into
    /// `state.out`. What the room did not reach stays in `call.commands`; the result is what the
    /// first of them needs.
    pub(crate) fn handle(
        &self,
        state: &mut State,
        mut batch: Batch<'_>,
        call: &mut Call<'_>,
        aftermath: &mut Aftermath,
    ) -> usize {
        let cancelled = match call.commands.last() {
            Some(Command::Cancel { consumer, .. }) => Some(*consumer),
            _ => None,
        };
        let publishes = call.commands.iter().any(wants_log);
        let before = batch.tail();
        let State { broker, out, .. } = state;
        let guard = AbortOnUnwind;
        let mut sink = Sink {
            batch: &mut batch,
            budget: &self.budget,
        };
        broker.handle(call.now, call.id, call.commands, &mut sink, out);
        std::mem::forget(guard);
        let tail = batch.tail();
        drop(batch);
        if publishes && tail > before {
            self.counters.appended(tail, Instant::now());
        }
        self.checkpoints.appended(tail);
        for (name, bytes) in state.out.dead.drain(..) {
            let position = state.places.remove_live(name, bytes);
            self.journal.dead(position, bytes);
        }
        self.deadlines.set_core(state.out.next_deadline_ms);
        aftermath.more |= std::mem::take(&mut state.out.more);
        aftermath.garbage.append(&mut state.out.garbage);
        let own = if call.own {
            call.id
        } else {
            ConnectionId::BROKER
        };
        self.push_effects(state, own, aftermath);
        if let Some(consumer) = cancelled
            && let Some(outbox) = self.slots.outbox(call.id.slot)
        {
            let mut contents = outbox.contents.lock();
            if contents.is_open(call.id.generation) {
                contents.purge(consumer, &mut aftermath.purged);
            }
        }
        std::mem::take(&mut state.out.needs)
    }

    /// Puts effects into outboxes, one lock per connection: they are sorted by slot, and stay in
    /// order within it.
    fn push_effects(&self, state: &mut State, own: ConnectionId, aftermath: &mut Aftermath) {
        let State { out, order, .. } = state;
        let mut fanouts = Vec::new();
        order.clear();
        for (index, effect) in out.effects.iter_mut().enumerate() {
            match connection_of(effect) {
                Some(id) if id == ConnectionId::BROKER => {
                    if let Effect::Answer { answer, .. } = take_effect(effect) {
                        aftermath.answers.push(answer);
                    }
                }
                Some(id) => order.push((id, index)),
                None => fanouts.extend(fanout_of(take_effect(effect))),
            }
        }
        if !order.is_sorted() {
            order.sort_unstable();
        }
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            let Some((id, _)) = group.first() else {
                continue;
            };
            let Some(outbox) = self.slots.outbox(id.slot) else {
                continue;
            };
            aftermath
                .wakes
                .push(outbox, *id, own, &self.journal, |contents, durable| {
                    for (_, index) in group {
                        if let Some(effect) = out.effects.get_mut(*index) {
                            push_effect(contents, take_effect(effect), durable);
                        }
                    }
                });
        }
        out.effects.clear();
        self.fanouts.push(&mut fanouts);
    }
}

/// Milliseconds as the journal writes times, for humans.
fn micros(wall_ms: u64) -> i64 {
    i64::try_from(wall_ms.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

fn connection_of(effect: &Effect) -> Option<ConnectionId> {
    match effect {
        Effect::Answer { connection, .. }
        | Effect::Deliver { connection, .. }
        | Effect::End { connection, .. }
        | Effect::ConsumerEnded { connection, .. } => Some(*connection),
        Effect::Fanout { .. } => None,
    }
}

fn fanout_of(effect: Effect) -> Option<Fanout> {
    match effect {
        Effect::Fanout {
            run,
            first,
            count,
            after,
            retained,
            subscriptions,
            targets,
        } => Some(Fanout {
            run,
            first,
            count,
            after,
            retained,
            subscriptions,
            targets,
        }),
        _ => None,
    }
}

/// Moves an effect out of a list that is cleared later.
fn take_effect(effect: &mut Effect) -> Effect {
    let taken = Effect::End {
        connection: ConnectionId::BROKER,
        reason: EndReason::TakenOver,
    };
    std::mem::replace(effect, taken)
}

fn push_effect(contents: &mut Contents, effect: Effect, durable: u64) {
    match effect {
        Effect::Answer {
            after,
            token,
            answer,
            ..
        } => contents.push_answer(after, token, answer),
        Effect::Deliver {
            after, delivery, ..
        } => contents.push_delivery(after, delivery, durable),
        Effect::End { reason, .. } => contents.set_end(reason),
        Effect::ConsumerEnded { consumer, why, .. } => contents.push_consumer_ended(consumer, why),
        Effect::Fanout { .. } => {}
    }
}
