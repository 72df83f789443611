//! What a client does with the packets of its server.

use super::{Client, ClientEvent, Received, State, put_copy};
use crate::client::inflight::Step;
use crate::codec::{Framed, frame};
use crate::error::Error;
use crate::packet::{Ack, AckKind, Auth, ConnAck, Disconnect, Packet, Publish, QoS, Version};
use crate::properties::{PropertyId, Value};
use crate::terms::Terms;

/// Packet Identifier not found, in PUBREL and PUBCOMP.
const UNKNOWN_ID: u8 = 0x92;
/// Packet too large.
const TOO_LARGE: u8 = 0x95;
/// QoS not supported.
const QOS_NOT_SUPPORTED: u8 = 0x9B;

impl Client {
    /// Reads the next event from `input`, beginning at `*consumed`, and moves `*consumed` behind
    /// it. Call it with the same input until it returns `None`; what is left then is an unfinished
    /// packet. After an error the machine is closed, and in MQTT 5.0 its output says why.
    pub fn poll_event<'a>(
        &'a mut self,
        now_ms: u64,
        input: &'a [u8],
        consumed: &mut usize,
    ) -> Option<Result<ClientEvent<'a>, Error>> {
        let mut event = match self.next_event(now_ms, input, consumed)? {
            Ok(event) => event,
            Err(error) => {
                self.fail(error);
                return Some(Err(error));
            }
        };
        if let ClientEvent::Publish(publish) = &mut event
            && publish.topic.is_empty()
            && let Some(alias) = alias_of(publish)
        {
            match self.aliases.topic(alias, self.alias_limits) {
                Ok(topic) => publish.topic = topic,
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(event))
    }

    /// The next event; a topic that only an alias names is still empty, and known.
    fn next_event<'a>(
        &mut self,
        now_ms: u64,
        input: &'a [u8],
        consumed: &mut usize,
    ) -> Option<Result<ClientEvent<'a>, Error>> {
        while self.state != State::Closed {
            if let Some((id, reason)) = self.refused.pop_front() {
                return Some(Ok(ClientEvent::Acknowledged { id, reason }));
            }
            let rest = input.get(*consumed..).unwrap_or_default();
            let read = match frame(rest, self.max_packet_size) {
                Ok(Framed::Need(_)) => return None,
                Ok(Framed::Frame(frame)) => {
                    *consumed += frame.bytes.len();
                    Packet::decode(frame, self.version)
                }
                Err(error) => Err(error),
            };
            let handled = read.and_then(|packet| self.handle_packet(now_ms, packet));
            if let Some(event) = handled.transpose() {
                return Some(event);
            }
        }
        None
    }

    /// Closes because of the server's error and says so, where the version can \[MQTT-4.13.1-1\].
    fn fail(&mut self, error: Error) {
        if self.state == State::Connected && self.version == Version::V5 {
            let goodbye = Disconnect {
                reason: error.reason_code(),
                ..Disconnect::default()
            };
            // A server that takes no packet of three bytes is told nothing.
            let _ = self.sender.put(&mut self.out, &Packet::Disconnect(goodbye));
        }
        self.state = State::Closed;
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
            (_, Packet::Auth(auth)) => {
                self.handle_auth(&auth)?;
                Ok(Some(ClientEvent::Auth(auth)))
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
                let expiry = disconnect.properties.value(PropertyId::SessionExpiry);
                if expiry.is_some() {
                    return Err(Error::Protocol("MQTT-3.14.2-2"));
                }
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
        if connack.session_present && self.clean_start {
            return Err(Error::Protocol("MQTT-3.2.2-2"));
        }
        let method = connack.properties.text(PropertyId::AuthMethod);
        if self.exchange.method() != method {
            return Err(Error::Protocol("MQTT-4.12.0-5"));
        }
        self.exchange.open();
        self.state = State::Connected;
        self.set_terms(Terms::of(connack.properties));
        if let Some(seconds) = self.terms.keep_alive_s {
            self.keep_alive_ms = u64::from(seconds) * 1_000;
        }
        // MQTT 3.1 has no Session Present: what is unacknowledged is sent again.
        if !connack.session_present && self.version != Version::V31 {
            self.forget_session();
        }
        self.last_sent_ms = now_ms;
        self.inflight.resume();
        self.send_waiting()
    }

    /// Sends again what waits for it, in its order \[MQTT-4.6.0-1\], as far as the server's window
    /// allows.
    fn send_waiting(&mut self) -> Result<(), Error> {
        let window = self.window_out();
        while let Some(waiting) = self.inflight.next_waiting(window) {
            let id = waiting.id;
            let refused = match waiting.packet {
                None => {
                    let release = Packet::Ack(Ack::success(AckKind::PubRel, id));
                    self.sender.put(&mut self.out, &release)?;
                    None
                }
                Some(_) if waiting.qos > self.terms.maximum_qos => Some(QOS_NOT_SUPPORTED),
                Some(packet) => {
                    let out = &mut self.out;
                    let written = put_copy(&mut self.sender, out, self.version, packet)?;
                    (written == 0).then_some(TOO_LARGE)
                }
            };
            match refused {
                None => self.inflight.sent_again(),
                Some(reason) => {
                    self.inflight.give_up();
                    self.refused.push_back((id, reason));
                }
            }
        }
        Ok(())
    }

    fn handle_auth(&mut self, auth: &Auth<'_>) -> Result<(), Error> {
        self.exchange.handle_server(auth)?;
        // The first exchange ends with CONNACK.
        if self.state == State::Connecting && auth.reason == 0 {
            return Err(Error::Protocol("4.12"));
        }
        Ok(())
    }

    fn handle_publish<'a>(
        &mut self,
        now_ms: u64,
        publish: Publish<'a>,
    ) -> Result<Option<ClientEvent<'a>>, Error> {
        if let Some(alias) = alias_of(&publish) {
            if publish.topic.is_empty() {
                self.aliases.topic(alias, self.alias_limits)?;
            } else {
                self.aliases
                    .learn(alias, publish.topic, self.alias_limits)?;
            }
        }
        let Some(id) = publish.id else {
            return Ok(Some(ClientEvent::Publish(publish)));
        };
        self.window.take(1)?;
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
            self.handle_release(now_ms, ack.id)?;
            return Ok(None);
        }
        match self.inflight.acknowledge(ack) {
            Step::Done => {
                self.send_waiting()?;
                Ok(Some(ClientEvent::Acknowledged {
                    id: ack.id,
                    reason: ack.reason,
                }))
            }
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

    fn handle_release(&mut self, now_ms: u64, id: u16) -> Result<(), Error> {
        let reason = match self.received.get(&id) {
            Some(Received::Recorded) => {
                self.received.remove(&id);
                self.window.give_back(1);
                0
            }
            Some(Received::Pending(_)) | None => UNKNOWN_ID,
        };
        let complete = Ack {
            reason,
            ..Ack::success(AckKind::PubComp, id)
        };
        self.send(now_ms, &Packet::Ack(complete))
    }
}

fn alias_of(publish: &Publish<'_>) -> Option<u16> {
    match publish.properties.value(PropertyId::TopicAlias) {
        Some(Value::Short(alias)) => Some(alias),
        _ => None,
    }
}
