//! A client of AMQP 1.0: one session, a link per address.
//!
//! It gives an `Endpoint`, which is the sans-I/O machine of `ternmq_amqp` and owned messages, a socket
//! and a clock.

mod endpoint;
mod message;
mod options;
mod receiving;
mod sending;
mod show;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use message::check_address;
pub use options::{Condition, Node, NodeKind, Options, Subscription};

use super::error::ClientError;
use super::message::Message;
use super::socket::{Socket, in_time, until};
use super::{Event, OUTPUT_BYTES};
use endpoint::Endpoint;

/// An open connection with a session.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    endpoint: Endpoint,
    server: String,
    began: Instant,
    /// Something was given to the socket, and [`Event::Sent`] has not been said of it.
    sending: bool,
}

impl Client {
    /// Connects and waits for the server's open and begin, all together for at most
    /// [`super::OPEN_SECONDS`].
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
        let mut client = Self {
            socket,
            endpoint: Endpoint::new(options, 0),
            server: options.server(),
            began: Instant::now(),
            sending: false,
        };
        client.wait_for(Endpoint::is_begun).await?;
        Ok(client)
    }

    /// Attaches a link to send on, and waits for the server's end of it; `settled` if no outcome is
    /// wanted. Once.
    ///
    /// # Errors
    /// The server refuses it, or does not answer within [`super::OPEN_SECONDS`].
    pub async fn send_to(&mut self, node: &Node, settled: bool) -> Result<(), ClientError> {
        self.endpoint.send_to(node, settled)?;
        in_time(self.server.clone(), self.wait_for(Endpoint::can_send)).await
    }

    /// Attaches a link to each node; [`Event::Subscribed`] will answer. Once.
    ///
    /// # Errors
    /// An address does not fit a frame that the server takes.
    pub fn subscribe(&mut self, subscription: &Subscription) -> Result<(), ClientError> {
        self.endpoint.subscribe(subscription)
    }

    async fn wait_for(&mut self, done: impl Fn(&Endpoint) -> bool) -> Result<(), ClientError> {
        // Until then nothing happens that is told on.
        while self.poll()?.is_none() && !done(&self.endpoint) {
            self.exchange().await?;
        }
        Ok(())
    }

    /// See [`super::Client::has_room`].
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.socket.unwritten() < OUTPUT_BYTES && self.endpoint.has_room()
    }

    /// See [`super::Client::unconfirmed`].
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.endpoint.unconfirmed()
    }

    /// See [`super::Client::publish`]; the message goes where [`Client::send_to`] said.
    ///
    /// # Errors
    /// It is larger than the server takes; the connection goes on.
    pub fn publish(&mut self, message: &Message) -> Result<Option<u32>, ClientError> {
        let id = self.endpoint.publish(message)?;
        self.sending = true;
        // From here on it counts as unwritten.
        self.take_output();
        Ok(id)
    }

    /// See [`super::Client::acknowledge`].
    pub fn acknowledge(&mut self, id: u32) {
        self.endpoint.acknowledge(id);
    }

    /// See [`super::Client::event`].
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

    /// See [`super::Client::ready_event`].
    ///
    /// # Errors
    /// Whatever ended the connection.
    pub fn ready_event(&mut self) -> Result<Option<Event>, ClientError> {
        let event = self.poll()?;
        if event.is_some() {
            return Ok(event);
        }
        self.take_output();
        if self.sending && self.socket.unwritten() == 0 && self.endpoint.is_idle() {
            self.sending = false;
            return Ok(Some(Event::Sent));
        }
        Ok(None)
    }

    /// See [`super::Client::close`].
    ///
    /// # Errors
    /// The connection was lost before everything was written, or the server took nothing for
    /// [`super::CLOSE_SECONDS`].
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.endpoint.close(self.now_ms());
        self.take_output();
        self.socket.close().await
    }

    fn poll(&mut self) -> Result<Option<Event>, ClientError> {
        let now_ms = self.now_ms();
        let Socket {
            input, consumed, ..
        } = &mut self.socket;
        let event = self.endpoint.poll(now_ms, input, consumed)?;
        if event.is_none() {
            self.socket.shift();
        }
        Ok(event)
    }

    /// Waits until the socket or the keep-alive has something to do, and does it once.
    async fn exchange(&mut self) -> Result<(), ClientError> {
        self.take_output();
        let deadline = self.endpoint.poll_timeout();
        let due = deadline.map(|at_ms| self.began + Duration::from_millis(at_ms));
        tokio::select! {
            exchanged = self.socket.exchange() => exchanged,
            () = until(due) => self.endpoint.handle_timeout(self.now_ms()),
        }
    }

    fn take_output(&mut self) {
        let limit = OUTPUT_BYTES.saturating_sub(self.socket.unwritten());
        let bytes = self.endpoint.take_output(self.now_ms(), limit);
        if !bytes.is_empty() {
            self.socket.put(bytes);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
