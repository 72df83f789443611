//! The translators between wire protocols and the broker's commands.
//!
//! A front-end owns the machine of its protocol and maps its events to commands, and answers and
//! deliveries back to bytes. It sees no socket, task or journal: the connection loop
//! (`crate::connection`) calls it, one call at a time, and does all waiting. Invariants: what it
//! appends to [`Turn::output`] leaves in that order; what it pushes to [`Turn::commands`] is one
//! batch with everything else of the same turn; a call never blocks and does work in proportion to
//! the bytes and effects it is given.
//!
//! REST is no byte protocol and does not come through here: its handlers use a link of their own.

pub mod amqp;
pub mod canonical;
pub mod mqtt;
mod output;
pub mod rest;
pub mod stomp;
#[cfg(test)]
mod tests;
pub mod websocket;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use ternmq_core::command::{Close, Command};
use ternmq_core::effect::{Answer, ConsumerEnd};
use ternmq_core::ids::{ConsumerKey, Now, Token};

use crate::engine::{Link, Outgoing};

pub use output::{Output, PIECE_BYTES};

/// One connection's translator, driven by the connection loop.
///
/// After an `Err` of any method the loop lets out what is in [`Turn::output`], calls
/// [`Frontend::close`] and ends the connection; no other method is called again. The same holds
/// after [`Frontend::handle_end`].
pub trait Frontend: Send {
    /// Takes what is complete in `input` and returns how many bytes that was. The rest, an
    /// unfinished frame, comes again in front of later input, not before [`Frontend::needed`]
    /// bytes are there. Immediate replies that need no order with answers (PINGRESP, heart-beats)
    /// go to the output; ordered last words (an ERROR after receipts) go by [`Command::Flush`] and
    /// are encoded when its answer comes back, with [`Frontend::wants_input`] false until then.
    ///
    /// A publish that [`Link::reserve`] refuses is parked with everything after it (law L20): those
    /// bytes count as taken, the front-end keeps them, at most the read-ahead of its options, and
    /// looks through what comes later for settlements, credit and pings alone.
    ///
    /// # Errors
    /// The connection ends, by the client's wish or fault.
    fn handle_input(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<usize, Ended>;

    /// Bytes the unfinished frame at the front of the input wants at least, as far as is known; 0
    /// if it is not. A hint, never above the frame limit; nothing is allocated on its word alone.
    fn needed(&self) -> usize {
        0
    }

    /// Encodes the answer to a command with a token. May push further commands. The token
    /// `u64::MAX` is the connection loop's own.
    ///
    /// # Errors
    /// The connection ends; this is how an ordered goodbye ends, too.
    fn handle_answer(
        &mut self,
        token: Token,
        answer: Answer,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended>;

    /// All answers that are due have been handled: what was gathered from them is encoded.
    fn handle_answers_end(&mut self, _turn: &mut Turn<'_>) {}

    /// Encodes messages for the client and marks their ends with [`Output::mark`] if anything
    /// hangs on their being written (law L10). Of a consumer that it has cancelled or been told the
    /// end of, it encodes nothing but still gives the room back (law L22).
    fn handle_delivery(&mut self, outgoing: &Outgoing, turn: &mut Turn<'_>);

    /// A consumer was closed by the broker.
    ///
    /// # Errors
    /// The protocol has no other word for it than the end of the connection.
    fn handle_consumer_ended(
        &mut self,
        consumer: ConsumerKey,
        why: ConsumerEnd,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended>;

    /// The kernel took some output: [`Output::take_written`] says which marked deliveries left, and
    /// [`Output::is_empty`] whether everything did. Pushes [`Command::Written`] and
    /// [`Command::Room`] as the protocol needs them; they travel with the next batch.
    fn handle_written(&mut self, turn: &mut Turn<'_>);

    /// The time of [`Frontend::poll_timeout`] has come.
    ///
    /// # Errors
    /// The client has been silent for too long.
    fn handle_timeout(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended>;

    /// When the front-end wants [`Frontend::handle_timeout`], on the mono clock in milliseconds.
    /// Asked after each turn and ignored while [`Frontend::parked`].
    fn poll_timeout(&self) -> Option<u64>;

    /// Appends the last words for an end that comes from the server; nothing if the protocol has
    /// none.
    fn handle_end(&mut self, why: End, turn: &mut Turn<'_>);

    /// What the connection leaves behind: the last delivery written of each lane. Called once, the
    /// last call of all, after a final [`Frontend::handle_written`].
    fn close(&mut self, parting: Parting) -> Close;

    /// Whether the client has said who it is (CONNECT). Until then `limits.connect_timeout_ms`
    /// holds.
    fn is_connected(&self) -> bool;

    /// Whether reading may go on; false while the parked bytes are at their limit and while an
    /// ordered goodbye waits for its answer.
    fn wants_input(&self) -> bool;

    /// Whether a publish is parked for want of budget (law L20). The loop then suspends the
    /// front-end's timeouts.
    fn parked(&self) -> bool;

    /// Budget has been set aside: handles the parked bytes, as far as it reaches. Liveness timers
    /// start anew.
    ///
    /// # Errors
    /// As [`Frontend::handle_input`].
    fn resume(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended>;

    /// `limits.block_timeout_ms` is over: refuses the parked publish in the protocol's words
    /// ([`ternmq_core::error::Refusal::AddressFull`]) and goes on with what is behind it.
    ///
    /// # Errors
    /// The protocol refuses by ending the connection.
    fn refuse_parked(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended>;
}

/// What a front-end works with during one call.
pub struct Turn<'a> {
    /// Read once per turn (law L17).
    pub now: Now,
    /// To reserve memory and to make blocks; the loop submits, takes and closes.
    pub link: &'a Link,
    /// Submitted as one batch, in order.
    pub commands: &'a mut Vec<Command>,
    /// Towards the client.
    pub output: &'a mut Output,
}

/// The client's reason to end; last words are in the output already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It said goodbye.
    Goodbye,
    /// It broke its protocol or was refused; the text is for the log and names no secret.
    Fault(Cow<'static, str>),
    /// It was silent for longer than it may be.
    Silent,
}

impl Ended {
    /// How the connection parts because of it.
    #[must_use]
    pub fn parting(&self) -> Parting {
        match self {
            Self::Goodbye => Parting::Polite,
            Self::Fault(_) | Self::Silent => Parting::Lost,
        }
    }
}

/// The server's reason to end a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Another connection took its session (law L12).
    TakenOver,
    /// The server is stopping.
    Stopping,
    /// The client did not say who it is within `limits.connect_timeout_ms`.
    ConnectTimeout,
}

/// Whether unsettled deliveries return uncounted (law L11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parting {
    /// Agreed: the client said goodbye, or the server stops.
    Polite,
    /// The connection broke.
    Lost,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// How its bytes travel.
    pub carrier: Carrier,
}

/// What carries a byte protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// TCP alone.
    Tcp,
    /// WebSocket messages.
    WebSocket,
}

/// A protocol that the connection loop drives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ByteProtocol {
    /// MQTT 3.1.1 and 5.0.
    Mqtt,
    /// AMQP 1.0.
    Amqp,
    /// STOMP 1.0 to 1.2.
    Stomp,
}

impl ByteProtocol {
    /// As shown in logs and as a label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Amqp => "amqp",
            Self::Stomp => "stomp",
        }
    }
}

impl fmt::Display for ByteProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

type Factory = Arc<dyn Fn(&Peer) -> Box<dyn Frontend> + Send + Sync>;

/// The front-ends this server has, by protocol.
#[derive(Clone, Default)]
pub struct Registry {
    factories: BTreeMap<ByteProtocol, Factory>,
}

impl Registry {
    /// Adds `protocol`; `make` gives each new connection its front-end and must not block.
    pub fn insert(
        &mut self,
        protocol: ByteProtocol,
        make: impl Fn(&Peer) -> Box<dyn Frontend> + Send + Sync + 'static,
    ) {
        self.factories.insert(protocol, Arc::new(make));
    }

    /// Whether clients may speak `protocol`.
    #[must_use]
    pub fn has(&self, protocol: ByteProtocol) -> bool {
        self.factories.contains_key(&protocol)
    }

    /// A front-end for a new connection; `None` if the server does not have the protocol.
    #[must_use]
    pub fn make(&self, protocol: ByteProtocol, peer: &Peer) -> Option<Box<dyn Frontend>> {
        self.factories.get(&protocol).map(|make| make(peer))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}
