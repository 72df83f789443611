//! Room in the log, and what happens when there is none (laws L7, L28).

use parking_lot::MutexGuard;

use ternmq_core::broker::RECORD_SLACK;
use ternmq_core::command::Command;
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_core::ids::{ConnectionId, Now};
use ternmq_journal::{Batch, Refused};

use super::parked::{body_bytes, token, wants_log};
use super::release::ROOM_WAITER;
use super::submit::{Aftermath, Call};
use super::{Shared, State};

/// Records of one call beyond one per command: one per unit of work (law L21).
const RECORDS_EXTRA: usize = 4_096;
/// Parked commands are looked at again after this many milliseconds.
const RETRY_MS: u64 = 100;

impl Shared {
    /// Reserves room for what the commands of a call may append. Publishes that cannot have it are
    /// refused or parked, and taken out of the call. `false`: nothing can be decided now.
    pub(crate) fn make_room(
        &self,
        state: &mut State,
        batch: &mut Batch<'_>,
        call: &mut Call<'_>,
    ) -> bool {
        if state.parked.holds(call.id) {
            // Its publishes stay in order, and its end comes after them.
            self.park(state, call, |command| {
                matches!(command, Command::Publish(_) | Command::Close(_))
            });
        }
        let refused = match reserve(batch, call.commands) {
            Ok(()) => return true,
            Err(refused) => refused,
        };
        match refused {
            Refused::TooLarge => self.refuse(call, Refusal::TooLarge, wants_log),
            Refused::NoRoom => self.park(state, call, |command| {
                wants_log(command) || matches!(command, Command::Close(_))
            }),
            Refused::Poisoned | Refused::Closed => {
                self.refuse(call, Refusal::Unavailable, |_| true);
                return false;
            }
        }
        let settlements = reserve(batch, call.commands);
        if settlements.is_err() {
            // Not even these have room: they wait as well, and are never refused.
            self.park(state, call, |command| !matches!(command, Command::Tick));
        }
        if !state.parked.is_empty() {
            batch.wait_room(ROOM_WAITER);
        }
        settlements.is_ok()
    }

    /// Moves the commands chosen to the parked ones. All answers of the call keep their order.
    fn park(&self, state: &mut State, call: &mut Call<'_>, choose: impl Fn(&Command) -> bool) {
        if !call.commands.iter().any(&choose) {
            return;
        }
        self.await_answers(call);
        let Call { now, id, .. } = *call;
        for command in call.commands.extract_if(.., |command| choose(command)) {
            if matches!(command, Command::Publish(_)) && state.parked.is_full() {
                self.answer(id, &command, Refusal::DiskFull);
            } else {
                state.parked.push(id, command, now.mono_ms);
            }
        }
        self.deadlines.set_leftover(now.mono_ms + RETRY_MS);
    }

    /// Tries parked commands again, oldest first, and refuses those that waited too long.
    pub(crate) fn retry_parked(&self) {
        loop {
            let mut aftermath = Aftermath::default();
            let mut state = self.state.lock();
            let now = self.clock.now();
            let done = self.retry_oldest(&mut state, now, &mut aftermath);
            let left = !state.parked.is_empty();
            MutexGuard::unlock_fair(state);
            let room = aftermath.purged_room();
            if aftermath.more {
                self.deadlines.set_leftover(now.mono_ms);
            }
            self.finish(aftermath);
            let Some(id) = done else {
                if left {
                    self.deadlines.set_leftover(now.mono_ms + RETRY_MS);
                }
                return;
            };
            if room > 0 {
                self.submit(id, &mut vec![Command::Room(room)]);
            }
        }
    }

    /// Decides or refuses the oldest parked command; says whose it was. `None`: it must wait on.
    fn retry_oldest(
        &self,
        state: &mut State,
        now: Now,
        aftermath: &mut Aftermath,
    ) -> Option<ConnectionId> {
        let (id, command, since_ms) = state.parked.front()?;
        let late = now.mono_ms.saturating_sub(since_ms) >= self.options.block_timeout_ms;
        let publish = matches!(command, Command::Publish(_));
        let close = matches!(command, Command::Close(_));
        let mut batch = self.journal.batch();
        if reserve(&mut batch, std::slice::from_ref(command)).is_ok() {
            let mut commands: Vec<Command> = state.parked.pop().into_iter().collect();
            let mut call = Call::new(now, id, &mut commands);
            call.own = false;
            self.handle(state, batch, &mut call, aftermath);
            if close && self.is_closed(id) {
                self.slots.give_back(id.slot);
            }
            return Some(id);
        }
        if !(late && publish) {
            batch.wait_room(ROOM_WAITER);
            return None;
        }
        drop(batch);
        let command = state.parked.pop()?;
        self.answer(id, &command, Refusal::DiskFull);
        if let Some(outbox) = self.slots.outbox(id.slot) {
            let nobody = ConnectionId::BROKER;
            let wakes = &mut aftermath.wakes;
            wakes.push(outbox, id, nobody, &self.journal, |_, _| {});
        }
        Some(id)
    }

    /// Takes the commands chosen out of a call and refuses them.
    fn refuse(&self, call: &mut Call<'_>, refusal: Refusal, choose: impl Fn(&Command) -> bool) {
        self.await_answers(call);
        for command in call.commands.extract_if(.., |command| choose(command)) {
            self.answer(call.id, &command, refusal);
        }
    }

    /// Keeps the places of all answers of a call, as some will come before earlier ones.
    fn await_answers(&self, call: &mut Call<'_>) {
        if std::mem::replace(&mut call.answers_awaited, true) {
            return;
        }
        let Some(outbox) = self.slots.outbox(call.id.slot) else {
            return;
        };
        let mut contents = outbox.contents.lock();
        if contents.is_open(call.id.generation) {
            // A receive may wait for long, and confirms nothing.
            let waits = |command: &&Command| !matches!(command, Command::Receive(_));
            for token in call.commands.iter().filter(waits).filter_map(token) {
                contents.await_answer(token);
            }
        }
    }

    /// Takes the slot of a connection back; the core has seen its Close, or will see it when
    /// parked commands are done.
    pub(crate) fn disconnect(&self, id: ConnectionId) {
        let Some(outbox) = self.slots.outbox(id.slot) else {
            return;
        };
        let state = self.state.lock();
        let contents = outbox.close(id.generation);
        let parked = state.parked.holds(id);
        drop(state);
        if contents.is_some_and(|contents| contents.queued_for_budget) {
            self.budget.withdraw(id);
        }
        if !parked {
            self.slots.give_back(id.slot);
        }
    }

    fn is_closed(&self, id: ConnectionId) -> bool {
        let outbox = self.slots.outbox(id.slot);
        outbox.is_some_and(|outbox| !outbox.contents.lock().is_open(id.generation))
    }

    /// Answers a command that the core does not see.
    fn answer(&self, id: ConnectionId, command: &Command, refusal: Refusal) {
        let Some(token) = token(command) else { return };
        let Some(outbox) = self.slots.outbox(id.slot) else {
            return;
        };
        let mut contents = outbox.contents.lock();
        if contents.is_open(id.generation) {
            contents.push_answer(0, token, Answer::Refused(refusal));
        }
    }
}

/// Reserves room for the records of these commands; settlements may use the reserved segment.
fn reserve(batch: &mut Batch<'_>, commands: &[Command]) -> Result<(), Refused> {
    let logged = commands.iter().filter(|command| wants_log(command));
    let bodies: usize = logged.map(body_bytes).sum();
    let bytes = bodies + RECORD_SLACK;
    let records = commands.len() + RECORDS_EXTRA;
    match batch.reserve(bytes, records) {
        Err(Refused::NoRoom) if !commands.iter().any(wants_log) => {
            batch.reserve_settlement(bytes, records)
        }
        result => result,
    }
}
