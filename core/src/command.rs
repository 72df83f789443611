//! What a connection asks of the broker. Commands of one socket read travel as one batch.

use std::sync::Arc;

use crate::address::{Address, Filter, QueueName};
use crate::ids::{ConsumerKey, QueueId, Tag, Token};
use crate::message::Run;

pub use crate::settings::RoutingType;

/// One request. A command with a token is answered exactly once; one without is not.
#[derive(Debug)]
pub enum Command {
    /// Route and store a run of messages.
    Publish(Publish),
    /// Open a consumer.
    Consume(Consume),
    /// Close a consumer; what it holds unsettled returns to its queue, uncounted (law L10).
    Cancel {
        /// Which one.
        consumer: ConsumerKey,
        /// Deliveries up to this tag were encoded and count as written.
        written: Tag,
        /// Answered once no further delivery of it can follow.
        token: Option<Token>,
    },
    /// Settle deliveries of a lane.
    Settle(Settle),
    /// How far a consumer may be served (AMQP's link credit). An absolute figure, so that what
    /// crosses a delivery on the way counts nothing twice.
    Credit {
        /// Which one.
        consumer: ConsumerKey,
        /// Deliveries with tags below this one may follow.
        until: Tag,
    },
    /// Hand a consumer what is available now, as far as its credit reaches, and then say so.
    Drain {
        /// Which one.
        consumer: ConsumerKey,
        /// Answered with [`crate::effect::Answer::Drained`].
        token: Token,
    },
    /// The kernel took everything of this lane up to `tag`: settles what settles on write (law L10).
    Written {
        /// Which lane.
        consumer: ConsumerKey,
        /// The last delivery written.
        tag: Tag,
    },
    /// Bytes of deliveries that have left the connection's outbox (law L22).
    Room(u32),
    /// Take or make a session.
    Attach(Attach),
    /// How long the attached session lives without a connection from now on.
    Expire {
        /// 0 ends with the connection, `None` never ends.
        expiry_ms: Option<u64>,
    },
    /// The client takes its will back (law L14).
    ForgetWill,
    /// The sender has heard that messages published once have arrived: their ids may be used for
    /// others (law L13).
    Release {
        /// The first; they go round behind 65,535.
        first: u16,
        /// How many.
        n: u16,
        /// Answered with whether each was known.
        token: Option<Token>,
    },
    /// The client of the session has messages that were sent exactly once: they are never sent
    /// again, but the second step is (law L13).
    Received {
        /// The first.
        first: Tag,
        /// How many.
        n: u32,
        /// Answered with whether each was held.
        token: Option<Token>,
    },
    /// Add subscriptions to the attached session.
    Bind {
        /// In the order of the answer.
        requests: Vec<BindRequest>,
        /// Answered with one grant per request.
        token: Option<Token>,
    },
    /// Remove subscriptions of the attached session.
    Unbind {
        /// Exactly as they were bound.
        filters: Vec<BindTarget>,
        /// Answered with whether each existed.
        token: Option<Token>,
    },
    /// Make a temporary queue or topic that lives as long as this connection.
    CreateTemporary {
        /// Its canonical address, unique in the broker: the front-end puts its connection in.
        address: Address,
        /// What it offers.
        routing: RoutingType,
        /// Answered with [`crate::effect::Answer::Created`].
        token: Option<Token>,
    },
    /// Delete a temporary queue or topic of this connection before the connection ends.
    DeleteTemporary {
        /// Its canonical address.
        address: Address,
        /// Answered with [`crate::effect::Answer::Deleted`].
        token: Option<Token>,
    },
    /// Make what a publish to a destination needs, if it may be made, so that a producer hears of
    /// a refusal before it sends.
    Prepare {
        /// The canonical address.
        address: Address,
        /// Straight to this queue of the address.
        queue: Option<QueueName>,
        /// How messages will be addressed.
        mode: SendMode,
        /// Answered with [`crate::effect::Answer::Prepared`].
        token: Option<Token>,
    },
    /// Look a named subscription up.
    LookUp {
        /// Its queue.
        queue: QueueName,
        /// Answered with [`crate::effect::Answer::Found`], or refused with
        /// [`crate::error::Refusal::NoDestination`].
        token: Token,
    },
    /// End a named subscription that nobody consumes from, with everything in its queue.
    Unsubscribe {
        /// Its queue.
        queue: QueueName,
        /// Answered with [`crate::effect::Answer::Deleted`].
        token: Option<Token>,
    },
    /// Pull messages as leases, waiting if there are none.
    Receive(Receive),
    /// Settle, extend or return a lease.
    Lease {
        /// Which one.
        lease: LeaseId,
        /// What to do with it.
        action: LeaseAction,
        /// Answered with [`crate::effect::Answer::Settled`] or a refusal.
        token: Option<Token>,
    },
    /// Withdraw a waiting [`Receive`].
    CancelReceive {
        /// Its token.
        receive: Token,
    },
    /// Declare an address (configuration).
    DeclareAddress {
        /// Canonical name.
        address: Address,
        /// Offers anycast.
        anycast: bool,
        /// Offers multicast.
        multicast: bool,
    },
    /// Declare a queue (configuration).
    DeclareQueue(QueueSpec),
    /// Finish once everything decided so far is durable (a stop, a DISCONNECT with receipt).
    Flush {
        /// Answered with [`crate::effect::Answer::Flushed`].
        token: Token,
    },
    /// The connection is gone. Always the last command of a connection.
    Close(Close),
    /// Do what has become due.
    Tick,
}

/// How a message was addressed (the table of design 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendMode {
    /// An MQTT PUBLISH: subscriptions always, and the anycast side if the address has one.
    Publish,
    /// Typed multicast: STOMP `/topic/`, REST topics.
    Multicast,
    /// Typed anycast: STOMP `/queue/`, REST queues.
    Anycast,
    /// No type given.
    Untyped,
}

/// A publish: one run, one route.
#[derive(Debug)]
pub struct Publish {
    /// The messages.
    pub run: Arc<Run>,
    /// How they were addressed.
    pub mode: SendMode,
    /// Straight to this queue of the address (`address::queue`).
    pub queue: Option<QueueName>,
    /// Replace the retained value of the address; an empty `retained_empty` run removes it.
    pub retain: Retain,
    /// The sender's id of the first message, of the others the next (they go round behind 65,535,
    /// without 0): remembered by its session with the message until it is released. What is known
    /// is not published again (law L13).
    pub receipt: Option<u16>,
    /// Answered once, for all messages of the run.
    pub token: Option<Token>,
}

impl Publish {
    /// Whether it may put a body into the log (law L9).
    #[must_use]
    pub fn may_be_journalled(&self) -> bool {
        self.run.envelope.durable || self.retain == Retain::Store
    }
}

/// What a publish does to the retained value of its address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retain {
    /// Nothing.
    No,
    /// The last message of the run becomes it.
    Store,
    /// It is removed.
    Remove,
}

/// Where a consumer takes its messages from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Typed anycast: the queue of that name, made if it may be.
    Anycast(Address),
    /// Typed multicast: a subscription of its own, which ends with the consumer.
    Multicast(Filter),
    /// The anycast queue if there is one or nothing exists, else a subscription.
    Untyped(Filter),
    /// `address::queue`: an existing queue.
    Queue {
        /// Of this address.
        address: Address,
        /// This queue.
        queue: QueueName,
    },
    /// A subscription with a name (JMS durable and shared ones), made if there is none.
    Subscription(NamedSubscription),
    /// The anycast queue of the address if it has one, else the subscription with a name.
    UntypedSubscription(NamedSubscription),
}

/// A subscription that consumers join by its name. Its queue is an ordinary multicast one, which
/// `address::queue` names in every protocol if the filter has no wildcards. The core does not know
/// principals: that a name is its client's own is for the front-end to see to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedSubscription {
    /// Its queue.
    pub queue: QueueName,
    /// To what. If it is subscribed to something else, or otherwise, and nobody consumes from it, it
    /// is made anew and what it held goes; else that is refused with
    /// [`crate::error::Refusal::InUse`].
    pub filter: Filter,
    /// It stays when its last consumer goes, and is journalled.
    pub durable: bool,
    /// Any number of consumers compete for it; else a new one takes it from the one before, which
    /// ends ([`crate::effect::ConsumerEnd::TakenOver`]).
    pub shared: bool,
}

/// When a delivery is settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SettleMode {
    /// By the client.
    Explicit,
    /// When it is written (law L10).
    OnWrite,
}

/// Opens a consumer.
#[derive(Debug)]
pub struct Consume {
    /// The front-end's number for it.
    pub consumer: ConsumerKey,
    /// From where.
    pub source: Source,
    /// Who settles.
    pub settle: SettleMode,
    /// Unsettled deliveries it may hold; credit returns when one is settled.
    pub prefetch: u32,
    /// What else it wants.
    pub options: ConsumeOptions,
    /// Answered with [`crate::effect::Answer::Consuming`].
    pub token: Option<Token>,
}

/// What a consumer may want besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumeOptions {
    /// Deliveries with tags below this one may follow; see [`Command::Credit`].
    pub until: Tag,
    /// It looks at what is available and takes nothing: its deliveries need no settlement, and what
    /// is said of them changes nothing. A subscription cannot be browsed: its consumer takes.
    pub browse: bool,
    /// Not what its own connection publishes, if it subscribes, while it is there; nothing to a
    /// subscription that is shared.
    pub no_local: bool,
    /// Consumers of a higher number are served first, as long as they can take anything; 0 is
    /// normal.
    pub priority: i32,
}

impl Default for ConsumeOptions {
    /// As much as the prefetch allows, for good, like everybody else.
    fn default() -> Self {
        Self {
            until: Tag::MAX,
            browse: false,
            no_local: false,
            priority: 0,
        }
    }
}

/// Settles deliveries of a lane.
#[derive(Clone, Debug)]
pub struct Settle {
    /// Which lane.
    pub consumer: ConsumerKey,
    /// Which deliveries.
    pub tags: Tags,
    /// How they end.
    pub outcome: Outcome,
    /// What later deliveries of these messages are to carry, in place of what they carried before
    /// and in the encoding of the front-end (AMQP's changed annotations). Kept with a durable
    /// message, and where a rejected one goes.
    pub note: Option<Arc<[u8]>>,
    /// Answered with [`crate::effect::Answer::Settled`].
    pub token: Option<Token>,
}

/// A set of deliveries of one lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tags {
    /// `n` consecutive ones.
    Range {
        /// The first.
        first: Tag,
        /// How many.
        n: u32,
    },
    /// All unsettled up to this one, which must be unsettled itself.
    UpTo(Tag),
}

impl Tags {
    /// The part of the set from `tag` on, which must be in it.
    pub(crate) fn from(self, tag: Tag) -> Self {
        match self {
            Self::Range { first, n } => {
                let before = u32::try_from(tag.saturating_sub(first)).unwrap_or(n);
                Self::Range {
                    first: tag,
                    n: n.saturating_sub(before),
                }
            }
            Self::UpTo(_) => self,
        }
    }
}

/// How a delivery ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Consumed.
    Accepted,
    /// Returned, uncounted.
    Released,
    /// Returned and counted as an attempt that failed; not before `delay_ms` if given.
    Failed {
        /// Overrides the redelivery delay of the address.
        delay_ms: Option<u64>,
    },
    /// Returned, and not for this consumer again; others may have them. What is more than
    /// [`Limits::max_set_aside`](crate::limits::Limits::max_set_aside) is rejected.
    Undeliverable {
        /// Counted as an attempt that failed.
        failed: bool,
    },
    /// To the dead-letter address at once.
    Rejected,
}

impl Outcome {
    /// Whether each message may need a record of its own.
    pub(crate) fn is_counted_singly(self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Undeliverable { .. })
    }
}

/// Takes or makes a session, which outlives connections.
#[derive(Debug)]
pub struct Attach {
    /// Unique name within the broker.
    pub name: Arc<str>,
    /// Only the same principal may take over (law L12).
    pub principal: Arc<str>,
    /// Discard what there was.
    pub clean: bool,
    /// How long it lives without a connection; 0 ends with it, `None` never ends.
    pub expiry_ms: Option<u64>,
    /// Journalled, with durable queue; else it ends with the process.
    pub durable: bool,
    /// Deliveries from named queues wait for the session to come back instead of returning at once.
    pub hold: bool,
    /// Unsettled deliveries it may hold.
    pub window: u32,
    /// Published when the connection goes without taking it back.
    pub will: Option<Box<Will>>,
    /// Answered with [`crate::effect::Answer::Attached`].
    pub token: Option<Token>,
}

/// A message for others, for a client that vanishes (law L14).
#[derive(Clone, Debug)]
pub struct Will {
    /// One message; its time is set when it is published.
    pub run: Arc<Run>,
    /// How it is addressed.
    pub mode: SendMode,
    /// [`Retain::No`], [`Retain::Store`] or, for an empty one, [`Retain::Remove`].
    pub retain: Retain,
    /// Waits this long for the client to come back, or until the session ends.
    pub delay_ms: u64,
    /// Time to live from its publication.
    pub ttl_ms: Option<u64>,
}

/// What a session subscribes to.
#[derive(Clone, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum BindTarget {
    /// Everything sent multicast to matching addresses.
    Filter(Filter),
    /// Competes for the messages of a queue.
    Queue {
        /// Of this address.
        address: Address,
        /// This queue.
        queue: QueueName,
    },
    /// Competes with the other sessions of the group for everything sent multicast to matching
    /// addresses.
    Shared {
        /// Name of the group; each filter of it is a group of its own.
        group: Arc<str>,
        /// To what.
        filter: Filter,
    },
}

/// One subscription of a session.
#[derive(Clone, Debug)]
pub struct BindRequest {
    /// To what.
    pub target: BindTarget,
    /// How.
    pub options: BindOptions,
    /// When to send retained values.
    pub retained: RetainedReplay,
}

/// How a subscription gets its messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BindOptions {
    /// 0 gets messages without a queue; 1 and 2 from the session's queue, 2 in two steps (law L13).
    pub qos: u8,
    /// Messages sent at most once go through the session's queue too, so that none is missed
    /// between two connections.
    pub queued: bool,
    /// Not what the session's own connection publishes.
    pub no_local: bool,
    /// Live messages keep the mark of a retained one.
    pub retain_as_published: bool,
    /// Told with each message; 0 is none.
    pub id: u32,
}

/// When a new subscription gets retained values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetainedReplay {
    /// Each time.
    Always,
    /// If the session has no such subscription yet.
    IfNew,
    /// Not at all.
    Never,
}

/// Pulls messages as leases (REST).
#[derive(Debug)]
pub struct Receive {
    /// From where; [`Source::Multicast`] is not possible.
    pub source: Source,
    /// At most this many.
    pub max_messages: u32,
    /// Stop adding messages above this many bytes; the first one always fits.
    pub max_bytes: u32,
    /// Answer empty after this time.
    pub wait_ms: u64,
    /// Length of the leases.
    pub lease_ms: u64,
    /// Answered with [`crate::effect::Answer::Received`].
    pub token: Token,
}

/// Names a lease. Front-ends sign it before they show it (law L19).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LeaseId {
    /// Of this queue.
    pub queue: QueueId,
    /// This message.
    pub sequence: u64,
    /// Which handing-out of it.
    pub epoch: u32,
}

/// What to do with a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseAction {
    /// Settle the message.
    Settle(Outcome),
    /// Never reached the client: back to its place, uncounted.
    Return,
    /// Ends this long from now instead.
    Extend {
        /// Milliseconds.
        lease_ms: u64,
    },
}

/// A queue to declare.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueSpec {
    /// Its name.
    pub queue: QueueName,
    /// What it is bound to.
    pub address: Address,
    /// How.
    pub routing: RoutingType,
    /// Journalled.
    pub durable: bool,
}

/// The end of a connection.
#[derive(Debug, Default)]
pub struct Close {
    /// The client said goodbye: unsettled deliveries return uncounted.
    pub polite: bool,
    /// The last delivery written, per lane.
    pub written: Vec<(ConsumerKey, Tag)>,
}
