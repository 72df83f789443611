//! A client of MQTT.
//!
//! It gives the sans-I/O machine of `ternmq_mqtt` a socket, a clock and owned messages.

mod options;
mod packet;
mod reason;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ternmq_mqtt::{Client as Machine, ClientEvent, Disconnect, Limits, PropertiesBuf};

pub use options::{Options, Subscription, Will};
pub use packet::{check_filter, check_topic};
pub use reason::Reason;
pub use ternmq_mqtt::{RetainHandling, Version};

use super::error::ClientError;
use super::message::Message;
use super::socket::{Socket, in_time, until};
use super::{Event, OUTPUT_BYTES, Refusal, Verdict, WINDOW, WINDOW_BYTES};

/// An open connection.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    machine: Machine,
    began: Instant,
    /// Something was given to the socket, and [`Event::Sent`] has not been said of it.
    sending: bool,
    /// Size of each message that waits for its confirmation, by packet id.
    unconfirmed: BTreeMap<u32, usize>,
    unconfirmed_bytes: usize,
}

impl Client {
    /// Connects and waits for the server's word, both together for at most [`super::OPEN_SECONDS`].
    ///
    /// # Errors
    /// Nobody listens, nobody answers, or the server refuses.
    pub async fn open(options: &Options) -> Result<Self, ClientError> {
        in_time(options.server(), Self::open_at_leisure(options)).await
    }

    async fn open_at_leisure(options: &Options) -> Result<Self, ClientError> {
        let connected = Socket::connect(&options.host, options.port).await;
        let socket = connected.map_err(|source| ClientError::Connect {
            server: options.server(),
            source,
        })?;
        let limits = Limits {
            max_packet_size: MAX_PACKET_BYTES,
            topic_alias_bytes: usize::from(options::TOPIC_ALIASES) * usize::from(u16::MAX),
            ..Limits::default()
        };
        let mut client = Self {
            socket,
            machine: Machine::new(limits, window(options.version)),
            began: Instant::now(),
            sending: false,
            unconfirmed: BTreeMap::new(),
            unconfirmed_bytes: 0,
        };
        let now_ms = client.now_ms();
        options.connect(|packet| client.machine.connect(now_ms, packet))?;
        while client.poll(opened)?.is_none() {
            client.exchange().await?;
        }
        Ok(client)
    }

    /// Whether one more message can be published without holding more than the window in memory.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.machine.room() > 0
            && self.unconfirmed_bytes < WINDOW_BYTES
            && self.socket.unwritten() < OUTPUT_BYTES
    }

    /// How many messages above QoS 0 wait for their confirmation.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Gives a message to the connection; above QoS 0 its packet id, which [`Event::Published`]
    /// will name. It leaves with the next [`Client::event`]. Look at [`Client::has_room`] first.
    ///
    /// # Errors
    /// What the server does not take: QoS, RETAIN, the size; the connection goes on.
    pub fn publish(&mut self, message: &Message) -> Result<Option<u32>, ClientError> {
        let terms = self.machine.terms();
        if message.qos > terms.maximum_qos {
            return Err(ClientError::QosNotSupported(terms.maximum_qos as u8));
        }
        if message.retain && !terms.retain_available {
            return Err(ClientError::RetainNotSupported);
        }
        let mut block = PropertiesBuf::new();
        let packet = message.packet(&mut block)?;
        let id = self.machine.publish(self.now_ms(), packet)?.map(u32::from);
        if let Some(id) = id {
            let size = message.body.len();
            self.unconfirmed.insert(id, size);
            self.unconfirmed_bytes += size;
        }
        self.sending = true;
        // From here on it counts as unwritten.
        self.take_output();
        Ok(id)
    }

    /// Subscribes; [`Event::Subscribed`] will answer.
    ///
    /// # Errors
    /// The filters do not fit a packet.
    pub fn subscribe(&mut self, subscription: &Subscription) -> Result<(), ClientError> {
        let now_ms = self.now_ms();
        let properties = ternmq_mqtt::Properties::default();
        let entries = subscription.entries();
        self.machine.subscribe(now_ms, &entries, properties)?;
        Ok(())
    }

    /// Tells the server that a message has been taken over; leaves with the next
    /// [`Client::event`] or [`Client::close`].
    ///
    /// # Errors
    /// No message waits under `id`.
    pub fn acknowledge(&mut self, id: u32) -> Result<(), ClientError> {
        let now_ms = self.now_ms();
        let id = u16::try_from(id).unwrap_or(0); // 0 is the id of no message.
        Ok(self.machine.acknowledge(now_ms, id)?)
    }

    /// The next event; reads, writes and keeps the connection alive until there is one. Dropping
    /// the future loses nothing.
    ///
    /// # Errors
    /// Whatever ended the connection.
    pub async fn event(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.ready_event()? {
                return Ok(event);
            }
            self.exchange().await?;
        }
    }

    /// An event that has arrived already.
    ///
    /// # Errors
    /// As [`Client::event`].
    pub fn ready_event(&mut self) -> Result<Option<Event>, ClientError> {
        let event = self.poll(event)?;
        if let Some(Event::Published(id, _)) = &event {
            let size = self.unconfirmed.remove(id).unwrap_or(0);
            self.unconfirmed_bytes -= size;
        }
        if event.is_some() {
            return Ok(event);
        }
        self.take_output();
        if self.sending && self.socket.unwritten() == 0 {
            self.sending = false;
            return Ok(Some(Event::Sent));
        }
        Ok(None)
    }

    /// Writes what waits, says goodbye and waits a moment for the server to close, so that nothing
    /// of it is lost on the way.
    ///
    /// # Errors
    /// The connection was lost before everything was written, or the server took nothing for
    /// [`super::CLOSE_SECONDS`].
    pub async fn close(mut self) -> Result<(), ClientError> {
        let now_ms = self.now_ms();
        self.machine.disconnect(now_ms, &Disconnect::default())?;
        self.take_output();
        self.socket.close().await
    }

    /// What `take` makes of the next packets that are complete.
    fn poll<T>(
        &mut self,
        take: fn(ClientEvent<'_>) -> Result<Option<T>, ClientError>,
    ) -> Result<Option<T>, ClientError> {
        let now_ms = self.now_ms();
        while let Some(event) =
            self.machine
                .poll_event(now_ms, &self.socket.input, &mut self.socket.consumed)
        {
            if let Some(taken) = take(event?)? {
                return Ok(Some(taken));
            }
        }
        self.socket.shift();
        Ok(None)
    }

    /// Waits until the socket or the keep-alive has something to do, and does it once.
    async fn exchange(&mut self) -> Result<(), ClientError> {
        self.take_output();
        let deadline = self.machine.poll_timeout();
        let due = deadline.map(|at_ms| self.began + Duration::from_millis(at_ms));
        tokio::select! {
            exchanged = self.socket.exchange() => exchanged,
            () = until(due) => {
                let now_ms = self.now_ms();
                Ok(self.machine.handle_timeout(now_ms)?)
            }
        }
    }

    fn take_output(&mut self) {
        if let Some(bytes) = self.machine.poll_output() {
            self.socket.put(bytes);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Waits for CONNACK.
fn opened(event: ClientEvent<'_>) -> Result<Option<()>, ClientError> {
    match event {
        ClientEvent::Connected(connack) if connack.reason == 0 => Ok(Some(())),
        ClientEvent::Connected(connack) => Err(ClientError::Refused {
            reason: Reason(connack.reason),
            said: reason::said(connack.properties),
        }),
        _ => Ok(None),
    }
}

/// What of an open connection is told on.
fn event(event: ClientEvent<'_>) -> Result<Option<Event>, ClientError> {
    Ok(match event {
        ClientEvent::Publish(publish) => {
            let id = publish.id.map(u32::from);
            let message = Box::new(Message::received(&publish));
            Some(Event::Message(message, id))
        }
        ClientEvent::Acknowledged { id, reason } => {
            Some(Event::Published(id.into(), verdict(Reason(reason))))
        }
        ClientEvent::Subscribed(suback) => {
            let reasons = suback.reasons.iter().copied().map(Reason);
            Some(Event::Subscribed(reasons.map(granted).collect()))
        }
        ClientEvent::Disconnect(goodbye) => {
            return Err(ClientError::Disconnected {
                reason: Reason(goodbye.reason),
                said: reason::said(goodbye.properties),
            });
        }
        ClientEvent::Connected(_)
        | ClientEvent::Unsubscribed(_)
        | ClientEvent::Pong
        | ClientEvent::Auth(_) => None,
    })
}

/// MQTT 5.0 servers say what they take; of others mosquitto, for one, ends a connection with more
/// than [`WINDOW_BEFORE_5`] messages of QoS 2 on their way.
fn window(version: Version) -> u16 {
    match version {
        Version::V5 => WINDOW,
        Version::V31 | Version::V311 => WINDOW_BEFORE_5,
    }
}

fn verdict(reason: Reason) -> Verdict {
    match reason {
        Reason::NO_MATCHING_SUBSCRIBERS => Verdict::Unmatched,
        reason if reason.is_refusal() => Verdict::Refused(Refusal::Mqtt(reason)),
        _ => Verdict::Taken,
    }
}

/// The QoS of a subscription.
fn granted(reason: Reason) -> Result<u8, Refusal> {
    if reason.is_refusal() {
        return Err(Refusal::Mqtt(reason));
    }
    Ok(reason.0)
}

/// [`WINDOW`] before MQTT 5.0, where servers cannot say how much they take.
pub const WINDOW_BEFORE_5: u16 = 20;
/// The largest packet there can be: 268,435,455 bytes behind a header of 5.
const MAX_PACKET_BYTES: usize = 268_435_460;
