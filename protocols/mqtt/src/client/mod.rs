//! The client's side of a connection: commands and bytes in, events and bytes out.
//!
//! It keeps the client's half of the session across connections: unacknowledged publishes, the
//! ids of QoS 2 messages it has answered, and packet ids. Received messages of QoS 1 and 2 are
//! acknowledged by command, when the caller has taken them over. What this side accepts (largest
//! packet, Receive Maximum, Topic Alias Maximum, authentication method) it reads from the
//! properties of the CONNECT it is given, so that it enforces what it has announced.

mod inflight;
mod receive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use self::inflight::Inflight;
use crate::aliases::{AliasLimits, InboundAliases};
use crate::auth::Exchange;
use crate::copies::Copies;
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{
    Ack, AckKind, Auth, ConnAck, Connect, Disconnect, FilterList, Packet, Publish, QoS, SubAck,
    Subscribe, SubscribeOptions, SubscriptionList, UnsubAck, Unsubscribe, Version, put_ping_req,
};
use crate::patch::Patch;
use crate::properties::{Properties, PropertyId};
use crate::run::Packets;
use crate::sender::Sender;
use crate::terms::Terms;
use crate::topic;
use crate::window::Window;

/// What a server sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEvent<'a> {
    /// The answer to CONNECT. With reason 0 the session is open; otherwise the machine is closed.
    Connected(ConnAck<'a>),
    /// A message, its topic in full. Above QoS 0 it waits for [`Client::acknowledge`].
    Publish(Publish<'a>),
    /// A publish of ours has ended: PUBACK, PUBCOMP, a refusing PUBREC, or the server of a new
    /// connection does not take what is to be sent again.
    Acknowledged {
        /// The packet id that [`Client::publish`] returned.
        id: u16,
        /// The server's reason code, from 0x80 a refusal; 0x95 and 0x9B are also the machine's own.
        reason: u8,
    },
    /// The answer to [`Client::subscribe`].
    Subscribed(SubAck<'a>),
    /// The answer to [`Client::unsubscribe`].
    Unsubscribed(UnsubAck<'a>),
    /// PINGRESP.
    Pong,
    /// A step of enhanced authentication, to be answered with [`Client::authenticate`] if its
    /// reason is 0x18.
    Auth(Auth<'a>),
    /// The server's goodbye (MQTT 5.0).
    Disconnect(Disconnect<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Connecting,
    Connected,
}

/// Where a received message above QoS 0 stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    /// Handed out, waits for [`Client::acknowledge`].
    Pending(QoS),
    /// PUBREC was sent; a repeat is answered again and not handed out again.
    Recorded,
}

/// The client machine of one session.
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    state: State,
    version: Version,
    clean_start: bool,
    keep_alive_ms: u64,
    last_sent_ms: u64,
    ping_sent_ms: Option<u64>,
    max_inflight: usize,
    /// What the server has announced.
    terms: Terms,
    sender: Sender,
    inflight: Inflight,
    /// Publishes that the server of this connection does not take, and why.
    refused: VecDeque<(u16, u8)>,
    /// The largest packet the server may send, in bytes.
    max_packet_size: usize,
    alias_limits: AliasLimits,
    aliases: InboundAliases,
    window: Window,
    exchange: Exchange,
    received: BTreeMap<u16, Received>,
    out: Vec<u8>,
}

impl Client {
    /// A machine that is not connected. `limits` bounds what the server may send, `max_inflight`
    /// the publishes without acknowledgement (1 to 65,535).
    pub fn new(limits: Limits, max_inflight: u16) -> Self {
        let terms = Terms::default();
        Self {
            limits,
            state: State::Closed,
            version: Version::V311,
            clean_start: false,
            keep_alive_ms: 0,
            last_sent_ms: 0,
            ping_sent_ms: None,
            max_inflight: usize::from(max_inflight.max(1)),
            terms,
            sender: Sender::new(Version::V311, terms, &limits),
            inflight: Inflight::default(),
            refused: VecDeque::new(),
            max_packet_size: limits.max_packet_size,
            alias_limits: AliasLimits::inbound(&limits),
            aliases: InboundAliases::default(),
            window: Window::new(u16::MAX),
            exchange: Exchange::new(Properties::default()),
            received: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// Opens a connection, the first or a further one of this session.
    ///
    /// # Errors
    /// `Protocol` while a connection is open; `Unencodable`, also if unacknowledged messages are
    /// kept in the encoding of another version and `clean_start` does not give them up.
    pub fn connect(&mut self, now_ms: u64, connect: &Connect<'_>) -> Result<(), Error> {
        if self.state != State::Closed {
            return Err(Error::Protocol("MQTT-3.1.0-2"));
        }
        self.connection_lost();
        if connect.clean_start {
            self.forget_session();
        } else if connect.version != self.version && self.inflight.len() > 0 {
            return Err(Error::Unencodable);
        }
        connect.encode(&mut self.out)?;
        self.state = State::Connecting;
        self.version = connect.version;
        self.clean_start = connect.clean_start;
        self.keep_alive_ms = u64::from(connect.keep_alive_s) * 1_000;
        self.set_terms(Terms::default());
        // Before MQTT 5.0 nothing of it is written.
        let announced = match connect.version {
            Version::V5 => connect.properties,
            Version::V31 | Version::V311 => Properties::default(),
        };
        self.announced(Terms::of(announced));
        self.exchange = Exchange::new(announced);
        self.last_sent_ms = now_ms;
        Ok(())
    }

    /// Takes note of what the server has announced.
    fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
        self.sender = Sender::new(self.version, terms, &self.limits);
    }

    /// Takes note of what this side has announced.
    fn announced(&mut self, own: Terms) {
        let limits = &self.limits;
        self.max_packet_size = limits.max_packet_size.min(own.max_packet_size as usize);
        self.alias_limits = AliasLimits {
            maximum: own.topic_alias_maximum,
            bytes: limits.topic_alias_bytes,
            statement: "MQTT-3.1.2-26",
        };
        self.aliases = InboundAliases::default();
        self.window = Window::new(own.receive_maximum);
    }

    /// Sends a message and returns its packet id above QoS 0. Id and DUP of `message` are the
    /// machine's to set, and so is a topic alias, which it may not bring along.
    ///
    /// # Errors
    /// `NotConnected`, `WindowFull`, `TopicNameInvalid`; `Unencodable`, also for a size, a QoS or
    /// a RETAIN that the server does not take; the connection goes on.
    pub fn publish(&mut self, now_ms: u64, message: Publish<'_>) -> Result<Option<u16>, Error> {
        self.check_connected()?;
        topic::check_name(message.topic)?;
        let refused = message.properties.value(PropertyId::TopicAlias).is_some()
            || message.qos > self.terms.maximum_qos
            || (message.retain && !self.terms.retain_available);
        if refused {
            return Err(Error::Unencodable);
        }
        let publish = Publish {
            id: None,
            dup: false,
            ..message
        };
        if message.qos == QoS::AtMostOnce {
            let written = self.sender.put_publish(&mut self.out, &publish)?;
            self.check_written(now_ms, written)?;
            return Ok(None);
        }
        if self.inflight.len() >= self.window_out() {
            return Err(Error::WindowFull);
        }
        let id = self.inflight.take_id()?;
        let sent = self.send_new(
            now_ms,
            Publish {
                id: Some(id),
                ..publish
            },
        );
        if sent.is_err() {
            self.inflight.free_id(id);
        }
        sent.map(|()| Some(id))
    }

    /// Sends a new message above QoS 0 and keeps it, without alias, to be sent again on resume.
    fn send_new(&mut self, now_ms: u64, publish: Publish<'_>) -> Result<(), Error> {
        let mut packet = Vec::new();
        publish.encode(self.version, &mut packet)?;
        let written = put_copy(&mut self.sender, &mut self.out, self.version, &packet)?;
        self.check_written(now_ms, written)?;
        let id = publish.id.unwrap_or_default();
        self.inflight.publish(id, publish.qos, packet);
        Ok(())
    }

    fn check_written(&mut self, now_ms: u64, written: usize) -> Result<(), Error> {
        if written == 0 {
            return Err(Error::Unencodable);
        }
        self.last_sent_ms = now_ms;
        Ok(())
    }

    /// Subscribes and returns the packet id that SUBACK will carry.
    ///
    /// # Errors
    /// `NotConnected`, `WindowFull`, `TopicFilterInvalid`, `Protocol` without any entry,
    /// `Unencodable`.
    pub fn subscribe(
        &mut self,
        now_ms: u64,
        entries: &[(&str, SubscribeOptions)],
        properties: Properties<'_>,
    ) -> Result<u16, Error> {
        self.check_connected()?;
        let mut buffer = Vec::new();
        let subscriptions = SubscriptionList::build(&mut buffer, self.version, entries)?;
        let id = self.inflight.take_id()?;
        self.request(
            now_ms,
            id,
            &Packet::Subscribe(Subscribe {
                id,
                properties,
                subscriptions,
            }),
        )
    }

    /// Ends subscriptions and returns the packet id that UNSUBACK will carry.
    ///
    /// # Errors
    /// As [`Client::subscribe`].
    pub fn unsubscribe(&mut self, now_ms: u64, filters: &[&str]) -> Result<u16, Error> {
        self.check_connected()?;
        let mut buffer = Vec::new();
        let filters = FilterList::build(&mut buffer, filters)?;
        let properties = Properties::default();
        let id = self.inflight.take_id()?;
        self.request(
            now_ms,
            id,
            &Packet::Unsubscribe(Unsubscribe {
                id,
                properties,
                filters,
            }),
        )
    }

    /// Takes over a received message: PUBACK at QoS 1, PUBREC at QoS 2.
    ///
    /// # Errors
    /// `NotConnected`, `UnknownPacketId` if no message of this connection waits under the id.
    pub fn acknowledge(&mut self, now_ms: u64, id: u16) -> Result<(), Error> {
        self.answer_message(now_ms, id, 0)
    }

    /// Refuses a received message with a reason code from 0x80 (MQTT 5.0): PUBACK or PUBREC, and
    /// nothing more will be heard of it.
    ///
    /// # Errors
    /// As [`Client::acknowledge`]; `Unencodable` before MQTT 5.0, which cannot refuse, and for
    /// another reason.
    pub fn refuse(&mut self, now_ms: u64, id: u16, reason: u8) -> Result<(), Error> {
        if self.version < Version::V5 || reason < 0x80 {
            return Err(Error::Unencodable);
        }
        self.answer_message(now_ms, id, reason)
    }

    fn answer_message(&mut self, now_ms: u64, id: u16, reason: u8) -> Result<(), Error> {
        self.check_connected()?;
        let Some(Received::Pending(qos)) = self.received.get(&id).copied() else {
            return Err(Error::UnknownPacketId);
        };
        let kind = match qos {
            QoS::ExactlyOnce => AckKind::PubRec,
            QoS::AtMostOnce | QoS::AtLeastOnce => AckKind::PubAck,
        };
        let ack = Ack {
            reason,
            ..Ack::success(kind, id)
        };
        self.send(now_ms, &Packet::Ack(ack))?;
        if kind == AckKind::PubRec && reason < 0x80 {
            self.received.insert(id, Received::Recorded);
        } else {
            self.received.remove(&id);
            self.window.give_back(1);
        }
        Ok(())
    }

    /// Sends a step of enhanced authentication: reason 0x18 answers the server's, 0x19 begins to
    /// authenticate again. Its properties name the method of CONNECT.
    ///
    /// # Errors
    /// `NotConnected`; `Protocol` if it is not the client's turn or the method is another.
    pub fn authenticate(&mut self, now_ms: u64, auth: &Auth<'_>) -> Result<(), Error> {
        if self.state == State::Closed {
            return Err(Error::NotConnected);
        }
        self.exchange.handle_client(auth)?;
        self.send(now_ms, &Packet::Auth(*auth))
    }

    /// Says goodbye and closes.
    ///
    /// # Errors
    /// `NotConnected`, `Unencodable`.
    pub fn disconnect(&mut self, now_ms: u64, goodbye: &Disconnect<'_>) -> Result<(), Error> {
        self.check_connected()?;
        self.send(now_ms, &Packet::Disconnect(*goodbye))?;
        self.state = State::Closed;
        Ok(())
    }

    /// The network connection has ended. What the session keeps, it keeps; unsent bytes and
    /// unanswered requests are forgotten.
    pub fn connection_lost(&mut self) {
        self.state = State::Closed;
        self.ping_sent_ms = None;
        self.out.clear();
        self.inflight.connection_lost();
        self.received
            .retain(|_, received| *received == Received::Recorded);
    }

    /// How many publishes may be sent before the window is full.
    pub fn room(&self) -> usize {
        self.window_out().saturating_sub(self.inflight.len())
    }

    /// The lower of `max_inflight` and the server's Receive Maximum.
    fn window_out(&self) -> usize {
        self.max_inflight
            .min(usize::from(self.terms.receive_maximum))
    }

    /// What the server has announced in CONNACK.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// Takes the bytes to send.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        if self.out.is_empty() {
            None
        } else {
            Some(std::mem::take(&mut self.out))
        }
    }

    /// When [`Client::handle_timeout`] is due: a PINGREQ is to be sent, or its answer is overdue.
    pub fn poll_timeout(&self) -> Option<u64> {
        if self.state != State::Connected || self.keep_alive_ms == 0 {
            return None;
        }
        let since_ms = self.ping_sent_ms.unwrap_or(self.last_sent_ms);
        Some(since_ms.saturating_add(self.keep_alive_ms))
    }

    /// Sends PINGREQ when nothing was sent for the keep-alive time.
    ///
    /// # Errors
    /// `Timeout` if a PINGREQ was not answered for as long; the machine is closed then.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Result<(), Error> {
        match self.poll_timeout() {
            Some(deadline_ms) if now_ms >= deadline_ms => {}
            _ => return Ok(()),
        }
        if self.ping_sent_ms.is_some() {
            self.state = State::Closed;
            return Err(Error::Timeout);
        }
        put_ping_req(&mut self.out);
        self.ping_sent_ms = Some(now_ms);
        self.last_sent_ms = now_ms;
        Ok(())
    }

    fn forget_session(&mut self) {
        self.inflight.clear();
        self.received.clear();
    }

    fn request(&mut self, now_ms: u64, id: u16, packet: &Packet<'_>) -> Result<u16, Error> {
        if let Err(error) = self.send(now_ms, packet) {
            self.inflight.free_id(id);
            return Err(error);
        }
        self.inflight.request(id);
        Ok(id)
    }

    fn send(&mut self, now_ms: u64, packet: &Packet<'_>) -> Result<(), Error> {
        self.sender.put(&mut self.out, packet)?;
        self.last_sent_ms = now_ms;
        Ok(())
    }

    fn check_connected(&self) -> Result<(), Error> {
        if self.state == State::Connected {
            Ok(())
        } else {
            Err(Error::NotConnected)
        }
    }
}

/// Appends a kept packet as it is sent now: with its own id and flags, perhaps with an alias.
/// Returns how many were written: none if it is too large for the server.
fn put_copy(
    sender: &mut Sender,
    out: &mut Vec<u8>,
    version: Version,
    packet: &[u8],
) -> Result<usize, Error> {
    let end = u32::try_from(packet.len()).map_err(|_| Error::Unencodable)?;
    let packets = Packets::new(packet, std::slice::from_ref(&end));
    sender.put_run(out, packets, Copies::new(version, Patch::as_stored(packet)))
}
