//! The client's side of a connection: commands and bytes in, events and bytes out.
//!
//! It keeps the client's half of the session across connections: unacknowledged publishes, the
//! ids of QoS 2 messages it has answered, and packet ids. Received messages of QoS 1 and 2 are
//! acknowledged by command, when the caller has taken them over.

mod inflight;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::inflight::{Inflight, Step};
use crate::codec::{Framed, frame};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{
    Ack, AckKind, ConnAck, Connect, Disconnect, FilterList, Packet, Publish, QoS, SubAck,
    Subscribe, SubscribeOptions, SubscriptionList, UnsubAck, Unsubscribe, Version, put_ping_req,
};
use crate::properties::{Properties, PropertyId};
use crate::topic;

/// Packet Identifier not found, in PUBREL and PUBCOMP.
const UNKNOWN_ID: u8 = 0x92;

/// What a server sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEvent<'a> {
    /// The answer to CONNECT. With reason 0 the session is open; otherwise the machine is closed.
    Connected(ConnAck<'a>),
    /// A message. Above QoS 0 it waits for [`Client::acknowledge`].
    Publish(Publish<'a>),
    /// A publish of ours has ended: PUBACK, PUBCOMP, or a refusing PUBREC.
    Acknowledged {
        /// The packet id that [`Client::publish`] returned.
        id: u16,
        /// The server's reason code, from 0x80 a refusal.
        reason: u8,
    },
    /// The answer to [`Client::subscribe`].
    Subscribed(SubAck<'a>),
    /// The answer to [`Client::unsubscribe`].
    Unsubscribed(UnsubAck<'a>),
    /// PINGRESP.
    Pong,
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
    keep_alive_ms: u64,
    last_sent_ms: u64,
    ping_sent_ms: Option<u64>,
    max_inflight: usize,
    /// The lower of `max_inflight` and the server's Receive Maximum.
    window: usize,
    /// The server's Maximum Packet Size.
    max_out: usize,
    inflight: Inflight,
    received: BTreeMap<u16, Received>,
    out: Vec<u8>,
}

impl Client {
    /// A machine that is not connected. `limits` bounds what the server may send, `max_inflight`
    /// the publishes without acknowledgement (1 to 65,535).
    pub fn new(limits: Limits, max_inflight: u16) -> Self {
        let max_inflight = usize::from(max_inflight.max(1));
        Self {
            limits,
            state: State::Closed,
            version: Version::V311,
            keep_alive_ms: 0,
            last_sent_ms: 0,
            ping_sent_ms: None,
            max_inflight,
            window: max_inflight,
            max_out: usize::MAX,
            inflight: Inflight::default(),
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
        self.keep_alive_ms = u64::from(connect.keep_alive_s) * 1_000;
        self.window = self.max_inflight;
        self.max_out = usize::MAX;
        self.last_sent_ms = now_ms;
        Ok(())
    }

    /// Sends a message and returns its packet id above QoS 0. The id and DUP of `message` are
    /// the machine's to set.
    ///
    /// # Errors
    /// `NotConnected`, `WindowFull`, `TopicNameInvalid`, `Unencodable`; the connection goes on.
    pub fn publish(&mut self, now_ms: u64, message: Publish<'_>) -> Result<Option<u16>, Error> {
        self.check_connected()?;
        topic::check_name(message.topic)?;
        if message.qos == QoS::AtMostOnce {
            let publish = Publish {
                id: None,
                dup: false,
                ..message
            };
            self.send(now_ms, &Packet::Publish(publish))?;
            return Ok(None);
        }
        if self.inflight.len() >= self.window {
            return Err(Error::WindowFull);
        }
        let id = self.inflight.take_id()?;
        let start = self.out.len();
        let publish = Publish {
            id: Some(id),
            dup: false,
            ..message
        };
        if let Err(error) = self.send(now_ms, &Packet::Publish(publish)) {
            self.inflight.free_id(id);
            return Err(error);
        }
        let packet = self.out.get(start..).unwrap_or_default().to_vec();
        self.inflight.publish(id, message.qos, packet);
        Ok(Some(id))
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
        self.check_connected()?;
        let kind = match self.received.get(&id) {
            Some(Received::Pending(QoS::ExactlyOnce)) => {
                self.received.insert(id, Received::Recorded);
                AckKind::PubRec
            }
            Some(Received::Pending(_)) => {
                self.received.remove(&id);
                AckKind::PubAck
            }
            Some(Received::Recorded) | None => return Err(Error::UnknownPacketId),
        };
        self.send(now_ms, &Packet::Ack(Ack::success(kind, id)))
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
        self.window.saturating_sub(self.inflight.len())
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

    /// Reads the next event from `input`, beginning at `*consumed`, and moves `*consumed` behind
    /// it. Call it with the same input until it returns `None`; what is left then is an unfinished
    /// packet. After an error the machine is closed.
    pub fn poll_event<'a>(
        &mut self,
        now_ms: u64,
        input: &'a [u8],
        consumed: &mut usize,
    ) -> Option<Result<ClientEvent<'a>, Error>> {
        while self.state != State::Closed {
            let rest = input.get(*consumed..).unwrap_or_default();
            let read = match frame(rest, self.limits.max_packet_size) {
                Ok(Framed::Need(_)) => return None,
                Ok(Framed::Frame(frame)) => {
                    *consumed += frame.bytes.len();
                    Packet::decode(frame, self.version)
                }
                Err(error) => Err(error),
            };
            match read.and_then(|packet| self.handle_packet(now_ms, packet)) {
                Ok(Some(event)) => return Some(Ok(event)),
                Ok(None) => {}
                Err(error) => {
                    self.state = State::Closed;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn handle_packet<'a>(
        &mut self,
        now_ms: u64,
        packet: Packet<'a>,
    ) -> Result<Option<ClientEvent<'a>>, Error> {
        match (self.state, packet) {
            (State::Connecting, Packet::ConnAck(connack)) => {
                self.handle_connack(now_ms, &connack)?;
                Ok(Some(ClientEvent::Connected(connack)))
            }
            (State::Connecting, _) => Err(Error::Protocol("MQTT-3.2.0-1")),
            (_, Packet::Publish(publish)) => self.handle_publish(now_ms, publish),
            (_, Packet::Ack(ack)) => self.handle_ack(now_ms, &ack),
            (_, Packet::SubAck(suback)) => {
                let known = self.inflight.answer(suback.id);
                Ok(known.then_some(ClientEvent::Subscribed(suback)))
            }
            (_, Packet::UnsubAck(unsuback)) => {
                let known = self.inflight.answer(unsuback.id);
                Ok(known.then_some(ClientEvent::Unsubscribed(unsuback)))
            }
            (_, Packet::PingResp) => {
                self.ping_sent_ms = None;
                Ok(Some(ClientEvent::Pong))
            }
            (_, Packet::Disconnect(disconnect)) if self.version == Version::V5 => {
                self.state = State::Closed;
                Ok(Some(ClientEvent::Disconnect(disconnect)))
            }
            // A second CONNACK [MQTT-3.2.0-2], and what flows to servers only (2.1.2).
            _ => Err(Error::Protocol("2.1.2")),
        }
    }

    fn handle_connack(&mut self, now_ms: u64, connack: &ConnAck<'_>) -> Result<(), Error> {
        if connack.reason != 0 {
            self.state = State::Closed;
            return Ok(());
        }
        self.state = State::Connected;
        let integer = |id| connack.properties.integer(id);
        if let Some(maximum) = integer(PropertyId::ReceiveMaximum) {
            self.window = self.max_inflight.min(maximum as usize);
        }
        if let Some(maximum) = integer(PropertyId::MaximumPacketSize) {
            self.max_out = maximum as usize;
        }
        if let Some(seconds) = integer(PropertyId::ServerKeepAlive) {
            self.keep_alive_ms = u64::from(seconds) * 1_000;
        }
        // MQTT 3.1 has no Session Present: what is unacknowledged is sent again.
        if !connack.session_present && self.version != Version::V31 {
            self.forget_session();
        }
        self.last_sent_ms = now_ms;
        self.inflight.put_again(self.version, &mut self.out)
    }

    fn handle_publish<'a>(
        &mut self,
        now_ms: u64,
        publish: Publish<'a>,
    ) -> Result<Option<ClientEvent<'a>>, Error> {
        if publish.properties.value(PropertyId::TopicAlias).is_some() {
            return Err(Error::TopicAliasInvalid("MQTT-3.1.2-26"));
        }
        let Some(id) = publish.id else {
            return Ok(Some(ClientEvent::Publish(publish)));
        };
        match self.received.get(&id) {
            Some(Received::Recorded) if publish.qos == QoS::ExactlyOnce => {
                self.send(now_ms, &Packet::Ack(Ack::success(AckKind::PubRec, id)))?;
                Ok(None)
            }
            Some(Received::Pending(QoS::ExactlyOnce)) if publish.qos == QoS::ExactlyOnce => {
                Ok(None)
            }
            _ => {
                self.received.insert(id, Received::Pending(publish.qos));
                Ok(Some(ClientEvent::Publish(publish)))
            }
        }
    }

    fn handle_ack<'a>(
        &mut self,
        now_ms: u64,
        ack: &Ack<'_>,
    ) -> Result<Option<ClientEvent<'a>>, Error> {
        if ack.kind == AckKind::PubRel {
            let reason = match self.received.remove(&ack.id) {
                Some(Received::Recorded) => 0,
                Some(Received::Pending(_)) | None => UNKNOWN_ID,
            };
            let complete = Ack {
                reason,
                ..Ack::success(AckKind::PubComp, ack.id)
            };
            self.send(now_ms, &Packet::Ack(complete))?;
            return Ok(None);
        }
        match self.inflight.acknowledge(ack) {
            Step::Done => Ok(Some(ClientEvent::Acknowledged {
                id: ack.id,
                reason: ack.reason,
            })),
            Step::Release => {
                self.send(now_ms, &Packet::Ack(Ack::success(AckKind::PubRel, ack.id)))?;
                Ok(None)
            }
            Step::Unknown if ack.kind == AckKind::PubRec && ack.reason < 0x80 => {
                let unknown = Ack {
                    reason: UNKNOWN_ID,
                    ..Ack::success(AckKind::PubRel, ack.id)
                };
                self.send(now_ms, &Packet::Ack(unknown))?;
                Ok(None)
            }
            Step::Unknown => Ok(None),
        }
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
        let start = self.out.len();
        packet.encode(self.version, &mut self.out)?;
        if self.out.len() - start > self.max_out {
            self.out.truncate(start);
            return Err(Error::Unencodable);
        }
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
