//! How many bytes of records a command may write at once, so that it is not begun without room.
//!
//! Commands that touch many messages are carried out in steps, each bounded by
//! [`Limits::step_bytes`](crate::limits::Limits::step_bytes); they need nothing here. The others are
//! done whole, or left to a call that has the room.

use crate::broker::{Broker, Pass};
use crate::command::{Attach, BindTarget, Command};
use crate::ids::ConnectionId;
use crate::record::{self, RECORD_OVERHEAD};
use crate::session::SessionRef;

/// Numbers and flags of a record beside its names.
const NUMBERS: usize = 64;

impl Broker {
    /// Bytes of records that a command writes at most before it can stop. Queues of a publish are
    /// counted when they are known.
    pub(crate) fn record_bytes(&self, id: ConnectionId, command: &Command) -> usize {
        match command {
            Command::Publish(publish) => {
                // Its queue may have to be made, or its retained value be removed.
                let names = 2 * publish.run.envelope.address.as_str().len();
                let message = if publish.may_be_journalled() {
                    record::message_bytes(&publish.run, 1)
                } else {
                    0
                };
                names + 2 * (NUMBERS + RECORD_OVERHEAD) + message
            }
            Command::Bind { requests, .. } => {
                let targets = requests.iter().map(|request| &request.target);
                self.queue_bytes(id) + self.target_bytes(id, targets)
            }
            Command::Attach(attach) => self.attach_bytes(attach),
            Command::Unbind { filters, .. } => self.target_bytes(id, filters.iter()),
            Command::Consume(_)
            | Command::Prepare { .. }
            | Command::Unsubscribe { .. }
            | Command::Receive(_)
            | Command::Lease { .. }
            | Command::DeclareQueue(_) => self.limits.step_bytes(),
            Command::Expire { .. } | Command::ForgetWill | Command::Release { .. } => {
                self.limits.step_bytes()
            }
            Command::Settle(settle) => match self.note_bytes(settle.note.as_ref()) {
                0 => 0,
                note => note + self.limits.step_bytes(),
            },
            Command::Received { .. }
            | Command::Written { .. }
            | Command::Cancel { .. }
            | Command::Close(_)
            | Command::Room(_)
            | Command::Credit { .. }
            | Command::Drain { .. }
            | Command::LookUp { .. }
            | Command::CreateTemporary { .. }
            | Command::DeleteTemporary { .. }
            | Command::CancelReceive { .. }
            | Command::DeclareAddress { .. }
            | Command::Flush { .. }
            | Command::Tick => 0,
        }
    }

    /// Of an attachment: the session's record twice, the end of its predecessor, and the record of
    /// the session that the connection had before.
    pub(crate) fn attach_bytes(&self, attach: &Attach) -> usize {
        let will = attach.will.as_ref().map_or(0, |will| {
            let bytes = record::message_bytes(&will.run, 0);
            bytes + attach.name.len() + NUMBERS + RECORD_OVERHEAD
        });
        self.limits.step_bytes() + 2 * (attach.name.len() + attach.principal.len()) + will
    }

    /// Whether there is room to publish the will of a session now and to write down that it has none
    /// any more, or else what that needs: a crash must not come between the two (law L14).
    pub(crate) fn has_room_for_will(&self, session: SessionRef, pass: &mut Pass<'_>) -> bool {
        let state = self.sessions.at(session.0);
        let Some(will) = state.and_then(|state| state.will.as_ref()) else {
            return true;
        };
        // A step has room for the names and some hundred queues.
        let bytes = record::message_bytes(&will.run, 0) + self.limits.step_bytes();
        let fits = pass.fits(bytes);
        if !fits {
            pass.out.needs = pass.out.needs.max(bytes);
        }
        fits
    }

    /// Of the record of a session's queue, named by the session and by its escaped name.
    fn queue_bytes(&self, id: ConnectionId) -> usize {
        4 * self.session_name_bytes(id) + NUMBERS + RECORD_OVERHEAD
    }

    fn session_name_bytes(&self, id: ConnectionId) -> usize {
        let session = self.connection(id).and_then(|c| c.session);
        let session = session.and_then(|session| self.sessions.at(session.0));
        session.map_or(0, |session| session.name.len())
    }

    /// Of the records of subscriptions, each of which names the session; one to a queue may make it.
    fn target_bytes<'a>(
        &self,
        id: ConnectionId,
        targets: impl Iterator<Item = &'a BindTarget>,
    ) -> usize {
        let name = self.session_name_bytes(id);
        let bytes = |target: &BindTarget| match target {
            BindTarget::Filter(filter) => filter.as_str().len(),
            BindTarget::Shared { group, filter } => {
                3 * (group.len() + filter.as_str().len()) + NUMBERS + RECORD_OVERHEAD
            }
            BindTarget::Queue { address, queue } => {
                3 * (address.as_str().len() + queue.as_str().len()) + NUMBERS + RECORD_OVERHEAD
            }
        };
        targets
            .map(|target| name + bytes(target) + NUMBERS + RECORD_OVERHEAD)
            .sum()
    }
}
