//! What ties an address pattern to a receiver: the leaves of the topic trie.

use crate::ids::QueueId;
use crate::session::SessionRef;

/// One leaf entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Binding {
    pub(crate) holder: Holder,
    /// 0: messages come without a queue.
    pub(crate) qos: u8,
    /// Messages sent at most once go through the queue too.
    pub(crate) queued: bool,
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
            qos: 1,
            queued: true,
        }
    }
}
