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
use super::submit::Aftermath;
use super::{Shared, State};

/// Records of one call beyond one per command: one per unit of work (law L21).
const RECORDS_EXTRA: usize = 4_096;
/// Parked commands are looked at again after this many milliseconds.
const RETRY_MS: u64 = 100;

impl Shared {
    /// Reserves room for what the commands may append. Publishes that cannot have it are refused
    /// or parked, and taken out of `commands`. `false`: nothing can be decided now.
    pub(crate) fn make_room(
        &self,
        state: &mut State,
        batch: &mut Batch<'_>,
        now: Now,
        id: ConnectionId,
        commands: &mut Vec<Command>,
    ) -> bool {
        if state.parked.holds(id) {
            self.park(state, now, id, commands, |command| {
                matches!(command, Command::Publish(_))
            });
        }
        let refused = match reserve(batch, commands) {
            Ok(()) => return true,
            Err(refused) => refused,
        };
        match refused {
            Refused::TooLarge => self.refuse(id, commands, Refusal::TooLarge, wants_log),
            Refused::NoRoom => {
                batch.wait_room(ROOM_WAITER);
                self.park(state, now, id, commands, wants_log);
            }
            Refused::Poisoned | Refused::Closed => {
                self.refuse(id, commands, Refusal::Unavailable, |_| true);
                return false;
            }
        }
        if reserve(batch, commands).is_ok() {
            return true;
        }
        // Not even settlements: they wait as well, and are never refused.
        batch.wait_room(ROOM_WAITER);
        self.park(state, now, id, commands, |command| {
            !matches!(command, Command::Tick)
        });
        false
    }

    /// Moves the commands chosen to the parked ones. All answers of the batch keep their order.
    fn park(
        &self,
        state: &mut State,
        now: Now,
        id: ConnectionId,
        commands: &mut Vec<Command>,
        choose: impl Fn(&Command) -> bool,
    ) {
        if !commands.iter().any(&choose) {
            return;
        }
        self.await_answers(id, commands);
        for command in commands.extract_if(.., |command| choose(command)) {
            let publish = matches!(command, Command::Publish(_));
            if publish && state.parked.is_full() {
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
            let mut commands = Vec::new();
            let again = self.retry_oldest(&mut state, now, &mut commands, &mut aftermath);
            if again {
                MutexGuard::unlock_fair(state);
            } else {
                if !state.parked.is_empty() {
                    self.deadlines.set_leftover(now.mono_ms + RETRY_MS);
                }
                drop(state);
            }
            if aftermath.more {
                self.deadlines.set_leftover(now.mono_ms);
            }
            self.finish(aftermath);
            if !again {
                return;
            }
        }
    }

    /// Decides or refuses the oldest parked command; `false` if it must wait on.
    fn retry_oldest(
        &self,
        state: &mut State,
        now: Now,
        commands: &mut Vec<Command>,
        aftermath: &mut Aftermath,
    ) -> bool {
        let Some((id, command, since_ms)) = state.parked.front() else {
            return false;
        };
        let cancelled = match command {
            Command::Cancel { consumer, .. } => Some(*consumer),
            _ => None,
        };
        let late = now.mono_ms.saturating_sub(since_ms) >= self.options.block_timeout_ms;
        let publish = matches!(command, Command::Publish(_));
        let mut batch = self.journal.batch();
        if reserve(&mut batch, std::slice::from_ref(command)).is_ok() {
            commands.extend(state.parked.pop().map(|(_, command)| command));
            self.handle(state, batch, now, id, commands);
            self.hand_out(state, id, cancelled, aftermath);
            return true;
        }
        if late && publish {
            drop(batch);
            if let Some((id, command)) = state.parked.pop() {
                self.answer(id, &command, Refusal::DiskFull);
                if let Some(outbox) = self.slots.outbox(id.slot) {
                    let durable = self.journal.durable();
                    let none = ConnectionId::BROKER;
                    aftermath.wakes.push(outbox, id, none, durable, |_| {});
                }
            }
            return true;
        }
        batch.wait_room(ROOM_WAITER);
        false
    }

    /// Takes the commands chosen out and refuses them.
    fn refuse(
        &self,
        id: ConnectionId,
        commands: &mut Vec<Command>,
        refusal: Refusal,
        choose: impl Fn(&Command) -> bool,
    ) {
        self.await_answers(id, commands);
        for command in commands.extract_if(.., |command| choose(command)) {
            self.answer(id, &command, refusal);
        }
    }

    /// Keeps the places of all answers of a batch, as some will come before earlier ones.
    fn await_answers(&self, id: ConnectionId, commands: &[Command]) {
        let Some(outbox) = self.slots.outbox(id.slot) else {
            return;
        };
        let mut contents = outbox.contents.lock();
        if contents.is_open(id.generation) {
            let waits = |command: &&Command| !matches!(command, Command::Receive(_));
            for token in commands.iter().filter(waits).filter_map(token) {
                contents.await_answer(token);
            }
        }
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
