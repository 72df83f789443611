//! What the broker decided. Every effect says which position must be durable before it may leave
//! (law L1): `after` is compared with the journal's watermark, 0 waits for nothing.

use std::sync::Arc;

use crate::address::{Address, Filter, QueueName};
use crate::command::{LeaseId, NamedSubscription};
use crate::error::Refusal;
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Tag, Token};
use crate::message::Run;

/// One decision for one or many connections.
#[derive(Debug)]
pub enum Effect {
    /// To the confirm stream of a connection, in order (law L2).
    Answer {
        /// To whom.
        connection: ConnectionId,
        /// Leaves when the watermark has reached this.
        after: u64,
        /// The mark of the command.
        token: Token,
        /// What came of it.
        answer: Answer,
    },
    /// A run to a consumer.
    Deliver {
        /// To whom.
        connection: ConnectionId,
        /// Leaves when the watermark has reached this.
        after: u64,
        /// What.
        delivery: Delivery,
    },
    /// A run without queue to many connections; expanded outside the lock (law L21).
    Fanout {
        /// The messages.
        run: Arc<Run>,
        /// First message of the run.
        first: u32,
        /// Number of messages.
        count: u32,
        /// Leaves when the watermark has reached this.
        after: u64,
        /// Published as a retained value, and these want to know.
        retained: bool,
        /// Ids of their subscriptions that match, rising.
        subscriptions: Option<Arc<[u32]>>,
        /// To whom, shared with the route.
        targets: Arc<[Target]>,
    },
    /// The connection must end.
    End {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: EndReason,
    },
    /// A consumer was closed by the broker.
    ConsumerEnded {
        /// Of this connection.
        connection: ConnectionId,
        /// Which.
        consumer: ConsumerKey,
        /// Why.
        why: ConsumerEnd,
    },
}

/// A receiver of messages without queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// To whom.
    pub connection: ConnectionId,
    /// Not before the subscription's own answer has left.
    pub after: u64,
}

/// Messages handed to a lane.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The lane.
    pub consumer: ConsumerKey,
    /// Tag of the first message; the others follow. 0: no settlement is expected (QoS 0).
    pub tag: Tag,
    /// The messages.
    pub run: Arc<Run>,
    /// First message of the run.
    pub first: u32,
    /// Number of messages.
    pub count: u32,
    /// Attempts before this one (law L11), the same for all.
    pub attempts: u32,
    /// Sent again to a session that came back, after it had been written before.
    pub duplicate: bool,
    /// The receiver has the messages already: only the second step is due (law L13).
    pub second_step: bool,
    /// Comes because of a new subscription, or was published as a retained value and the
    /// subscription wants to know.
    pub retained: bool,
    /// The QoS that its subscription was granted: what its sender asked for is cut to it.
    pub granted: u8,
    /// Ids of the subscriptions that match, rising.
    pub subscriptions: Option<Arc<[u32]>>,
    /// From which queue, and the sequence of the first message; 0 if from none.
    pub queue: QueueId,
    /// Sequence of the first message in its queue.
    pub sequence: u64,
    /// Where it was before it was dead-lettered or expired.
    pub origin: Option<Arc<Origin>>,
    /// What was noted of the messages when they were settled last, all the same
    /// ([`Settle::note`](crate::command::Settle::note)).
    pub note: Option<Arc<[u8]>>,
    /// From a queue that has a name of its own, for which anybody competes; not because of a
    /// subscription of the session or its group.
    pub named: bool,
}

/// Why a message is where it was not sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The address it was sent to.
    pub address: Address,
    /// The queue it was taken from.
    pub queue: QueueName,
    /// Why.
    pub reason: MoveReason,
    /// Wall time of the move.
    pub time_ms: u64,
}

/// Why a message was moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveReason {
    /// Its time to live ended.
    Expired,
    /// Too many failed attempts.
    MaxDeliveryAttempts,
    /// A consumer rejected it.
    Rejected,
}

impl MoveReason {
    /// As shown to clients.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::MaxDeliveryAttempts => "max-delivery-attempts",
            Self::Rejected => "rejected",
        }
    }
}

/// The answer to a command.
#[derive(Debug)]
pub enum Answer {
    /// A publish: the number of queues and subscriptions that took it.
    Published {
        /// 0: nobody.
        routed: u32,
    },
    /// A consumer is open.
    Consuming,
    /// A consumer is closed.
    Cancelled,
    /// There was nothing more for a consumer, or its credit was used up.
    Drained {
        /// All its deliveries before this tag have been decided; the next gets it.
        next: Tag,
    },
    /// A temporary queue or topic is there.
    Created,
    /// A temporary destination or a subscription is gone.
    Deleted,
    /// A publish would find its destination.
    Prepared,
    /// A named subscription exists.
    Found {
        /// What it is.
        subscription: NamedSubscription,
        /// It does not take what its consumer's own connection publishes: whoever joins it without
        /// saying so as well wants another
        /// ([`ConsumeOptions::no_local`](crate::command::ConsumeOptions::no_local)).
        no_local: bool,
    },
    /// Deliveries or a lease are settled.
    Settled,
    /// A lease was extended.
    Extended {
        /// Milliseconds from now.
        lease_ms: u64,
    },
    /// A session is attached.
    Attached {
        /// It existed.
        present: bool,
        /// What it has subscribed to under addresses that begin with `$`, at most 32: some of them
        /// are served by others than the broker.
        reserved: Vec<Filter>,
    },
    /// Subscriptions: the granted QoS or a refusal, in order.
    Bound(Vec<Result<u8, Refusal>>),
    /// Removed subscriptions: whether each existed.
    Unbound(Vec<bool>),
    /// Ids released or messages received: whether each was known.
    Known(Vec<bool>),
    /// Leased messages; none when the wait has ended.
    Received(Vec<Leased>),
    /// Everything decided before is durable.
    Flushed,
    /// Refused; nothing was changed.
    Refused(Refusal),
}

/// One leased message.
#[derive(Debug)]
pub struct Leased {
    /// Its name.
    pub lease: LeaseId,
    /// The message (`tag` is 0, `count` 1).
    pub delivery: Delivery,
}

/// Why the broker closed a consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsumerEnd {
    /// Its queue is gone.
    Deleted,
    /// Its subscription is another's now.
    TakenOver,
}

/// Why a connection must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndReason {
    /// Another connection took its session.
    TakenOver,
}

/// Everything that one batch of commands caused. The caller keeps it and gives it again, so that
/// its allocations are used again.
#[derive(Debug, Default)]
pub struct Out {
    /// In the order in which they were decided.
    pub effects: Vec<Effect>,
    /// Last references to runs, to be dropped outside the lock (law L21).
    pub garbage: Vec<Arc<Run>>,
    /// Record positions whose bytes are dead: (name, bytes).
    pub dead: Vec<(u64, u32)>,
    /// When the core wants its next tick, on the mono clock.
    pub next_deadline_ms: Option<u64>,
    /// Work is left: call again soon, with the commands that were left or none (law L21).
    pub more: bool,
    /// The first command left over writes up to this many bytes of records at once. 0: no more than
    /// any call has room for.
    pub needs: usize,
}
