//! One connection's end of the engine.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;

use bytes::Bytes;
use parking_lot::Mutex;

use ternmq_core::command::{Close, Command};
use ternmq_core::effect::Answer;
use ternmq_core::ids::{ConnectionId, Token};

use super::admission::{self, Charge};
use super::outbox::{Contents, Outbox, Released};
use super::{Shared, watch};

/// A connection: a slot with an outbox. It is used by one task at a time. Dropping it without
/// [`Link::close`] tells the core that the connection was lost with nothing written.
pub struct Link {
    pub(super) shared: Arc<Shared>,
    id: ConnectionId,
    closed: bool,
    /// What [`Link::ask`] took and did not want.
    pub(super) stash: Mutex<Option<Box<Released>>>,
    pub(super) tokens: AtomicU64,
}

impl Link {
    pub(super) fn new(shared: Arc<Shared>, id: ConnectionId) -> Self {
        Self {
            shared,
            id,
            closed: false,
            stash: Mutex::default(),
            tokens: AtomicU64::new(super::ask::FIRST_TOKEN),
        }
    }

    /// Its number.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Decides a batch of commands in order and leaves `commands` empty. Effects are in the
    /// outboxes when this returns; nobody wakes this connection for its own: call [`Link::take`].
    /// The tokens of commands that are not answered yet must differ: one that waits for room in the
    /// log is decided behind later ones, and keeps its place among the answers by its token.
    pub fn submit(&self, commands: &mut Vec<Command>) {
        if self.closed {
            commands.clear();
            return;
        }
        self.shared.submit(self.id, commands);
    }

    /// Reserves memory for the body of a publish (law L20). `None`: there is none now; the publish
    /// must be parked, and [`Released::budget`] is raised when some has been set aside. What was
    /// set aside lapses if it is not reserved before the second [`Link::take`] from then. Bodies
    /// above [`Link::largest_publish`] never get any: refuse them at once.
    pub fn reserve(&self, bytes: usize) -> Option<Charge> {
        let shared = &self.shared;
        shared.budget.reserve(&shared.slots, self.id, bytes)
    }

    /// Counts messages that are not sent because this client takes none so large.
    pub fn count_too_large(&self, messages: u64) {
        self.shared.counters.add_too_large(messages);
    }

    /// Counts messages that are not sent because this client may not have them.
    pub fn count_denied(&self, messages: u64) {
        self.shared.counters.add_denied(messages);
    }

    /// The largest body, in bytes, that one publish may have.
    pub fn largest_publish(&self) -> usize {
        self.shared.largest_publish()
    }

    /// Copies a body into one exact-size block. The charge returns when its last reference goes;
    /// what it has above the body's size returns now.
    pub fn block(&self, charge: Charge, bytes: &[u8]) -> Bytes {
        admission::block(charge, bytes)
    }

    /// [`Link::block`] of bytes that were gathered one by one.
    pub fn gathered(&self, charge: Charge, bytes: Vec<u8>) -> Bytes {
        admission::gathered(charge, bytes)
    }

    /// Sets whom to wake. Before the first [`Link::take`], and whenever the task changes.
    pub fn set_waker(&self, waker: &Waker) {
        if let Some(outbox) = self.outbox() {
            let mut contents = outbox.contents.lock();
            match &mut contents.waker {
                Some(current) => current.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
    }

    /// Moves out everything that may leave now, keeps the rest in order (laws L1, L2) and sees to
    /// it that the waker is called when more may (law L3). Adds to what is in `into`.
    pub fn take(&self, into: &mut Released) {
        self.unstash(into);
        self.collect(|contents, durable| contents.take(into, durable));
    }

    /// As [`Link::take`], but leaves the deliveries where they are bounded (laws L22, L23): for a
    /// connection whose output is full. It must call [`Link::take`] once that has drained.
    pub fn take_answers(&self, into: &mut Released) {
        self.unstash(into);
        self.collect(|contents, durable| contents.take_answers(into, durable));
    }

    /// Moves out every answer, those included that wait for the disk: for the handler of a request
    /// whose client has gone, to undo what they gave. They must not be shown to anybody (law L1).
    pub fn abandon_answers(&self) -> Vec<(Token, Answer)> {
        let mut released = Released::default();
        self.unstash(&mut released);
        let mut answers: Vec<_> = released.answers.into();
        if let Some(outbox) = self.outbox() {
            answers.append(&mut outbox.contents.lock().abandon_answers());
        }
        answers
    }

    fn collect(&self, mut look: impl FnMut(&mut Contents, u64) -> Option<u64>) {
        let Some(outbox) = self.outbox() else { return };
        let journal = &*self.shared.journal;
        watch::collect(journal, self.id.slot, &outbox.pending, || {
            let mut contents = outbox.contents.lock();
            let durable = if cfg!(mutant = "confirm_before_sync") {
                u64::MAX
            } else {
                journal.durable()
            };
            look(&mut contents, durable)
        });
    }

    /// Its outbox; none once it is closed, as the slot may be another's then.
    fn outbox(&self) -> Option<&Outbox> {
        let outbox = self.shared.slots.outbox(self.id.slot);
        outbox.filter(|_| !self.closed)
    }

    fn unstash(&self, into: &mut Released) {
        let Some(stash) = self.stash.lock().take() else {
            return;
        };
        into.answers.extend(stash.answers);
        into.deliveries.extend(stash.deliveries);
        into.consumers_ended.extend(stash.consumers_ended);
        into.end = into.end.or(stash.end);
        into.timeout |= stash.timeout;
        into.budget |= stash.budget;
        into.stopping |= stash.stopping;
    }

    /// Sets when [`Released::timeout`] is raised, in milliseconds of the mono clock; it fires up to
    /// 32 ms late. Cheap to move back.
    pub fn set_timeout(&self, at_mono_ms: Option<u64>) {
        if !self.closed {
            self.shared.set_timeout(self.id, at_mono_ms);
        }
    }

    /// Ends the connection; nothing of it leaves after this.
    pub fn close(&mut self, close: Close) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.shared
            .submit(self.id, &mut vec![Command::Close(close)]);
        self.shared.disconnect(self.id);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close(Close::default());
    }
}
