//! Room in the log, and what happens when there is none (laws L7, L28).

use parking_lot::MutexGuard;

use ternmq_core::command::Command;
use ternmq_core::effect::Answer;
use ternmq_core::error::Refusal;
use ternmq_core::ids::{ConnectionId, Now};
use ternmq_core::limits::Limits;
use ternmq_journal::{Batch, Journal, Refused};

use super::group::GROUP_UNITS;
use super::parked::{body_bytes, token, waits_behind, wants_log};
use super::release::ROOM_WAITER;
use super::submit::{Aftermath, Call};
use super::{Shared, State};

/// Records that move no body take at least this many bytes of what is reserved for them.
const RECORD_BYTES: usize = 128;
/// Bytes reserved for the records of a call beside bodies, at most.
const RECORDS_MAX: usize = 512 << 10;
/// What the headers of blocks may take of a reservation, twice.
const BLOCKS: usize = 8 << 10;
/// What a commit must hold beside the records of one step of the core.
const COMMIT_REST: usize = 23 << 10;
const SEGMENT_MIN: u64 = 256 << 10;
/// Parked commands are looked at again after this many milliseconds.
const RETRY_MS: u64 = 100;

/// What one call may append: a share of a commit, which is a quarter of a segment (law L7).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Bytes for records beside bodies. The core stops when they are used up, and goes on in the
    /// next call.
    records: usize,
    /// Bytes for bodies, at most.
    pub(crate) bodies: usize,
}

impl Share {
    /// Of the commits of this journal.
    pub(crate) fn of(journal: &Journal, segment_size: u64, limits: &Limits) -> Self {
        let step = limits.step_bytes() + BLOCKS;
        let commit = usize::try_from(segment_size / 4).unwrap_or(usize::MAX);
        let records = (commit / 4).min(RECORDS_MAX).max(step);
        let most = journal.largest_reservation(GROUP_UNITS + records / RECORD_BYTES);
        let bodies = most.saturating_sub(records);
        Self { records, bodies }
    }

    /// The smallest segment that works with these limits.
    pub(crate) fn segment_min(limits: &Limits) -> u64 {
        let commit = limits.step_bytes() + BLOCKS + COMMIT_REST;
        (4 * commit as u64).max(SEGMENT_MIN)
    }

    /// Reserves room for the records of these commands, of which the first writes `needs` bytes at
    /// once; settlements may use the reserved segment.
    fn reserve(
        &self,
        batch: &mut Batch<'_>,
        commands: &[Command],
        needs: usize,
    ) -> Result<(), Refused> {
        let logged = commands.iter().filter(|command| wants_log(command));
        let bodies: usize = logged.map(body_bytes).sum();
        let bytes = (bodies + self.records).max(needs + BLOCKS);
        let records = commands.len() + self.records / RECORD_BYTES;
        match batch.reserve(bytes, records) {
            Err(Refused::NoRoom) if !commands.iter().any(wants_log) => {
                batch.reserve_settlement(bytes, records)
            }
            result => result,
        }
    }
}

impl Shared {
    /// Reserves room for what these commands may append; see [`Share::reserve`]. An overdue
    /// checkpoint holds up publishes like a lack of segments.
    fn reserve(
        &self,
        batch: &mut Batch<'_>,
        commands: &[Command],
        needs: usize,
    ) -> Result<(), Refused> {
        if self.checkpoints.is_overdue(batch.tail()) && commands.iter().any(wants_log) {
            return Err(Refused::NoRoom);
        }
        self.share.reserve(batch, commands, needs)
    }

    /// Reserves room for what the commands of a call may append. Publishes that cannot have it are
    /// refused or parked, and taken out of the call. `false`: nothing can be decided now.
    pub(crate) fn make_room(
        &self,
        state: &mut State,
        batch: &mut Batch<'_>,
        call: &mut Call<'_>,
    ) -> bool {
        if state.parked.holds_settlements(call.id) {
            self.park(state, call, |command| !matches!(command, Command::Tick));
        } else if state.parked.holds(call.id) {
            self.park(state, call, waits_behind);
        }
        let refused = match self.reserve(batch, call.commands, call.needs) {
            Ok(()) => return true,
            Err(refused) => refused,
        };
        match refused {
            Refused::TooLarge => {
                let alone = call.needs > 0;
                self.refuse(call, Refusal::TooLarge, |command| {
                    alone || wants_log(command)
                });
            }
            Refused::NoRoom => self.park(state, call, |command| {
                wants_log(command) || matches!(command, Command::Close(_))
            }),
            Refused::Poisoned | Refused::Closed => {
                self.refuse(call, Refusal::Unavailable, |_| true);
                return false;
            }
        }
        let needs = if call.commands.is_empty() {
            0
        } else {
            call.needs
        };
        let settlements = self.reserve(batch, call.commands, needs);
        if settlements.is_err() {
            // Not even these have room: they wait as well, and are never refused.
            self.park(state, call, |command| !matches!(command, Command::Tick));
            // What is due is asked for again, or the core would sleep until somebody comes.
            self.deadlines.set_leftover(call.now.mono_ms + RETRY_MS);
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
        let first = std::slice::from_ref(command);
        let refusal = match self.reserve(&mut batch, first, 0) {
            Ok(()) => {
                let commands: Vec<Command> = state.parked.pop().into_iter().collect();
                if let Some(left) = self.decide_parked(state, batch, (now, id), commands, aftermath)
                {
                    state.parked.push_front(id, left, since_ms);
                    self.journal.batch().wait_room(ROOM_WAITER);
                    return None;
                }
                if close && self.is_closed(id) {
                    self.slots.give_back(id.slot);
                }
                return Some(id);
            }
            // It was parked behind others without a look at its size.
            Err(Refused::TooLarge) => Refusal::TooLarge,
            Err(_) if late && publish => Refusal::DiskFull,
            Err(_) => {
                batch.wait_room(ROOM_WAITER);
                self.checkpoints.hurry(batch.tail(), now.mono_ms);
                return None;
            }
        };
        drop(batch);
        let command = state.parked.pop()?;
        self.refuse_parked(id, &command, refusal, aftermath);
        Some(id)
    }

    /// Answers a command that was parked, and wakes its connection.
    fn refuse_parked(
        &self,
        id: ConnectionId,
        command: &Command,
        refusal: Refusal,
        aftermath: &mut Aftermath,
    ) {
        self.answer(id, command, refusal);
        if let Some(outbox) = self.slots.outbox(id.slot) {
            let nobody = ConnectionId::BROKER;
            let wakes = &mut aftermath.wakes;
            wakes.push(outbox, id, nobody, &self.journal, |_, _| {});
        }
    }

    /// Decides a command that was parked, in as many commits as it takes. Gives back what is left
    /// when there is no more room.
    fn decide_parked<'a>(
        &'a self,
        state: &mut State,
        mut batch: Batch<'a>,
        (now, id): (Now, ConnectionId),
        mut commands: Vec<Command>,
        aftermath: &mut Aftermath,
    ) -> Option<Command> {
        loop {
            let mut call = Call::new(now, id, &mut commands);
            call.own = false;
            let needs = self.handle(state, batch, &mut call, aftermath);
            commands.first()?;
            batch = self.journal.batch();
            match self.reserve(&mut batch, &commands, needs) {
                Ok(()) => {}
                Err(Refused::TooLarge) => {
                    let refused = commands.pop()?;
                    drop(batch);
                    self.refuse_parked(id, &refused, Refusal::TooLarge, aftermath);
                    return None;
                }
                Err(_) => return commands.pop(),
            }
        }
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
            // Receives and drains may wait for long, and confirm nothing.
            let waits = |command: &&Command| {
                !matches!(command, Command::Receive(_) | Command::Drain { .. })
            };
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
