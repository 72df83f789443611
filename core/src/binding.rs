//! What ties an address pattern to a receiver: the leaves of the topic trie.

use crate::command::BindOptions;
use crate::ids::QueueId;
use crate::session::SessionRef;

/// One leaf entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Binding {
    pub(crate) holder: Holder,
    pub(crate) options: BindOptions,
}

/// Who gets what matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holder {
    /// A queue of its own: a declared multicast queue, or the subscription of a consumer.
    Queue(QueueId),
    /// A session, once however many of its filters match.
    Session(SessionRef),
}

impl Binding {
    /// Every message to a queue.
    pub(crate) fn queue(id: QueueId) -> Self {
        Self {
            holder: Holder::Queue(id),
            options: BindOptions::default(),
        }
    }

    /// What a subscription of a session asks for.
    pub(crate) fn session(session: SessionRef, options: BindOptions) -> Self {
        Self {
            holder: Holder::Session(session),
            options,
        }
    }
}
