//! Commands that wait for a prepared segment (law L28).
//!
//! When the disk is full, publishes that want the log wait here, and with them everything their
//! connection publishes later; settlements go on with the reserved segment. If not even they have
//! room, everything that their connection asks later waits behind them. A publish that waits longer
//! than `block_timeout` is refused. Answers keep their place in the confirm stream (law L2).

use std::collections::{BTreeMap, VecDeque};

use ternmq_core::command::{Command, Publish};
use ternmq_core::ids::{ConnectionId, Token};

/// Beyond this many commands a publish is refused at once. The budget, which each is charged to with
/// an overhead, ends the waiting of others before: then connections park what they read (law L20).
const PARKED_MAX: usize = 1 << 18;

/// The waiting commands, oldest first. Their bodies are charged to the budget.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    queue: VecDeque<ParkedCommand>,
    /// How many of each connection.
    counts: BTreeMap<ConnectionId, Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Those that others may not pass.
    settlements: usize,
}

#[derive(Debug)]
struct ParkedCommand {
    id: ConnectionId,
    command: Command,
    since_ms: u64,
}

impl Parked {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= PARKED_MAX
    }

    /// Whether commands of this connection wait.
    pub(crate) fn holds(&self, id: ConnectionId) -> bool {
        !self.queue.is_empty() && self.counts.contains_key(&id)
    }

    /// Whether what it asks now waits as well, whatever it is.
    pub(crate) fn holds_settlements(&self, id: ConnectionId) -> bool {
        let counts = self.counts.get(&id);
        counts.is_some_and(|counts| counts.settlements > 0)
    }

    fn count(&mut self, id: ConnectionId, command: &Command) {
        let counts = self.counts.entry(id).or_default();
        counts.all += 1;
        counts.settlements += usize::from(!waits_behind(command));
    }

    pub(crate) fn push(&mut self, id: ConnectionId, command: Command, since_ms: u64) {
        self.count(id, &command);
        self.queue.push_back(ParkedCommand {
            id,
            command,
            since_ms,
        });
    }

    /// Puts what is left of the oldest back.
    pub(crate) fn push_front(&mut self, id: ConnectionId, command: Command, since_ms: u64) {
        self.count(id, &command);
        self.queue.push_front(ParkedCommand {
            id,
            command,
            since_ms,
        });
    }

    /// Whose command is the oldest, and since when it waits.
    pub(crate) fn front(&self) -> Option<(ConnectionId, &Command, u64)> {
        let front = self.queue.front()?;
        Some((front.id, &front.command, front.since_ms))
    }

    pub(crate) fn pop(&mut self) -> Option<Command> {
        let ParkedCommand { id, command, .. } = self.queue.pop_front()?;
        if let Some(counts) = self.counts.get_mut(&id) {
            counts.all -= 1;
            counts.settlements -= usize::from(!waits_behind(&command));
            if counts.all == 0 {
                self.counts.remove(&id);
            }
        }
        Some(command)
    }
}

/// Whether this command waits behind publishes of its connection: they stay in order, and its end
/// comes after them.
pub(crate) fn waits_behind(command: &Command) -> bool {
    matches!(command, Command::Publish(_) | Command::Close(_))
}

/// Whether this command may put a body into the log (law L9).
pub(crate) fn wants_log(command: &Command) -> bool {
    match command {
        Command::Publish(publish) => publish.may_be_journalled(),
        _ => false,
    }
}

/// Bytes of the body it may put there.
pub(crate) fn body_bytes(command: &Command) -> usize {
    match command {
        Command::Publish(Publish { run, .. }) => run.block().len(),
        _ => 0,
    }
}

/// The mark of its answer.
pub(crate) fn token(command: &Command) -> Option<Token> {
    match command {
        Command::Publish(c) => c.token,
        Command::Consume(c) => c.token,
        Command::Settle(c) => c.token,
        Command::Attach(c) => c.token,
        Command::Receive(c) => Some(c.token),
        Command::Flush { token } | Command::Drain { token, .. } | Command::LookUp { token, .. } => {
            Some(*token)
        }
        Command::Cancel { token, .. }
        | Command::Bind { token, .. }
        | Command::Unbind { token, .. }
        | Command::Release { token, .. }
        | Command::Received { token, .. }
        | Command::CreateTemporary { token, .. }
        | Command::DeleteTemporary { token, .. }
        | Command::Prepare { token, .. }
        | Command::Unsubscribe { token, .. }
        | Command::Lease { token, .. } => *token,
        Command::Credit { .. }
        | Command::Expire { .. }
        | Command::ForgetWill
        | Command::Written { .. }
        | Command::Room(_)
        | Command::CancelReceive { .. }
        | Command::DeclareAddress { .. }
        | Command::DeclareQueue(_)
        | Command::Close(_)
        | Command::Tick => None,
    }
}
