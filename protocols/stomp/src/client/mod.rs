//! The client's side of a connection, for bridges, tools and tests.
//!
//! Requests append frames to a buffer in the version that was negotiated; receipt ids are the
//! caller's. Times are milliseconds of one monotonic clock.

mod frames;

pub use frames::{
    AckOptions, ClientEvent, ConnectOptions, MessageFrame, SendOptions, SubscribeOptions,
};

use crate::connection::Timeout;
use crate::encode::FrameWriter;
use crate::error::{Error, Fault};
use crate::event::AckTarget;
use crate::frame::{Command, Field, Frame};
use crate::headers::Encoding;
use crate::heartbeat::{Due, HeartBeat, Intervals, Liveness};
use crate::limits::Limits;
use crate::parser::Parser;
use crate::version::Version;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// CONNECT may be or has been sent.
    Opening,
    Connected(Version),
    Closed,
}

/// The client machine of one connection.
#[derive(Debug)]
pub struct Client {
    parser: Parser,
    state: State,
    offer: Intervals,
    liveness: Liveness,
}

impl Client {
    /// A client that has yet to send CONNECT.
    #[must_use]
    pub fn new(limits: Limits, heart_beat: HeartBeat) -> Self {
        Self {
            parser: Parser::new(limits),
            state: State::Opening,
            offer: heart_beat.offer(),
            liveness: Liveness::default(),
        }
    }

    /// Appends CONNECT. How long to wait for the answer is the caller's decision.
    pub fn connect(&self, out: &mut Vec<u8>, options: &ConnectOptions<'_>) {
        let mut writer = FrameWriter::new(out, Command::Connect, Encoding::Handshake);
        writer
            .header("accept-version", options.accept_version)
            .header("host", options.host)
            .header("heart-beat", &self.offer.to_string())
            .optional("login", options.login)
            .optional("passcode", options.passcode);
        add_all(&mut writer, options.headers);
        writer.end();
    }

    /// Appends SEND.
    ///
    /// # Errors
    /// As all requests: `Fault::NotConnected` before CONNECTED and after the end.
    pub fn send(&self, out: &mut Vec<u8>, options: &SendOptions<'_>) -> Result<(), Error> {
        let mut writer = self.begin_frame(out, Command::Send)?;
        writer
            .header("destination", options.destination)
            .optional("transaction", options.transaction)
            .optional("receipt", options.receipt);
        add_all(&mut writer, options.headers);
        writer.body(options.body);
        Ok(())
    }

    /// Appends SUBSCRIBE.
    ///
    /// # Errors
    /// `Fault::NotConnected`.
    pub fn subscribe(
        &self,
        out: &mut Vec<u8>,
        options: &SubscribeOptions<'_>,
    ) -> Result<(), Error> {
        let mut writer = self.begin_frame(out, Command::Subscribe)?;
        writer
            .header("id", options.id)
            .header("destination", options.destination)
            .header("ack", options.ack.as_str())
            .optional("receipt", options.receipt);
        add_all(&mut writer, options.headers);
        writer.end();
        Ok(())
    }

    /// Appends UNSUBSCRIBE.
    ///
    /// # Errors
    /// `Fault::NotConnected`.
    pub fn unsubscribe(
        &self,
        out: &mut Vec<u8>,
        id: &str,
        receipt: Option<&str>,
    ) -> Result<(), Error> {
        let mut writer = self.begin_frame(out, Command::Unsubscribe)?;
        writer.header("id", id).optional("receipt", receipt);
        writer.end();
        Ok(())
    }

    /// Appends ACK.
    ///
    /// # Errors
    /// `Fault::NotConnected`.
    pub fn ack(&self, out: &mut Vec<u8>, options: &AckOptions<'_>) -> Result<(), Error> {
        self.settle(out, Command::Ack, options)
    }

    /// Appends NACK.
    ///
    /// # Errors
    /// `Fault::NotConnected`; `Fault::UnknownCommand` in 1.0, which has no NACK.
    pub fn nack(&self, out: &mut Vec<u8>, options: &AckOptions<'_>) -> Result<(), Error> {
        if self.state == State::Connected(Version::V1_0) {
            return Err(Fault::UnknownCommand.into());
        }
        self.settle(out, Command::Nack, options)
    }

    /// Appends BEGIN.
    ///
    /// # Errors
    /// `Fault::NotConnected`.
    pub fn begin(
        &self,
        out: &mut Vec<u8>,
        transaction: &str,
        receipt: Option<&str>,
    ) -> Result<(), Error> {
        self.demarcate(out, Command::Begin, transaction, receipt)
    }

    /// Appends COMMIT.
    ///
    /// # Errors
    /// `Fault::NotConnected`.
    pub fn commit(
        &self,
        out: &mut Vec<u8>,
        transaction: &str,
        receipt: Option<&str>,
    ) -> Result<(), Error> {
        self.demarcate(out, Command::Commit, transaction, receipt)
    }

    /// Appends ABORT.
    ///
    /// # Errors
    /// `Fault::NotConnected`.
    pub fn abort(
        &self,
        out: &mut Vec<u8>,
        transaction: &str,
        receipt: Option<&str>,
    ) -> Result<(), Error> {
        self.demarcate(out, Command::Abort, transaction, receipt)
    }

    /// Appends DISCONNECT. Events go on coming until the server closes, the receipt last.
    ///
    /// # Errors
    /// `Fault::NotConnected`.
    pub fn disconnect(&self, out: &mut Vec<u8>, receipt: Option<&str>) -> Result<(), Error> {
        let mut writer = self.begin_frame(out, Command::Disconnect)?;
        writer.optional("receipt", receipt);
        writer.end();
        Ok(())
    }

    /// The next event in `input[*consumed..]`; as [`crate::Connection::poll_event`].
    ///
    /// # Errors
    /// Any breach of the protocol by the server; close the connection.
    pub fn poll_event<'a>(
        &mut self,
        now_ms: u64,
        input: &'a [u8],
        consumed: &mut usize,
    ) -> Option<Result<ClientEvent<'a>, Error>> {
        if self.state == State::Closed {
            *consumed = input.len();
            return None;
        }
        let event = match self.parser.poll_frame(input, consumed)? {
            Ok(frame) => self.handle_frame(now_ms, &frame).map_err(Error::from),
            Err(error) => Err(error),
        };
        if matches!(event, Err(_) | Ok(ClientEvent::Error { .. })) {
            self.state = State::Closed;
        }
        Some(event)
    }

    /// Length in octets that the unfinished frame has at least; see [`Parser::needed`].
    #[must_use]
    pub fn needed(&self) -> usize {
        if self.state == State::Closed {
            0
        } else {
            self.parser.needed()
        }
    }

    /// Octets have left for the server.
    pub const fn note_sent(&mut self, now_ms: u64) {
        self.liveness.sent(now_ms);
    }

    /// Octets have come from the server.
    pub const fn note_received(&mut self, now_ms: u64) {
        self.liveness.received(now_ms);
    }

    /// When `handle_timeout` wants to be called, absolute.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        match self.state {
            State::Connected(_) => self.liveness.deadline(),
            State::Opening | State::Closed => None,
        }
    }

    /// What is due at `now_ms`; call until `None`.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Option<Timeout> {
        if !matches!(self.state, State::Connected(_)) {
            return None;
        }
        Some(match self.liveness.expire(now_ms)? {
            Due::Beat => Timeout::SendBeat,
            Due::Silent => {
                self.state = State::Closed;
                Timeout::Dead(Fault::PeerSilent.into())
            }
        })
    }

    fn settle(
        &self,
        out: &mut Vec<u8>,
        command: Command,
        options: &AckOptions<'_>,
    ) -> Result<(), Error> {
        let mut writer = self.begin_frame(out, command)?;
        match options.target {
            AckTarget::Ack(id) => writer.header("id", id),
            AckTarget::Message {
                message_id,
                subscription,
            } => writer
                .header("message-id", message_id)
                .optional("subscription", subscription.as_deref()),
        };
        writer
            .optional("transaction", options.transaction)
            .optional("receipt", options.receipt);
        writer.end();
        Ok(())
    }

    fn demarcate(
        &self,
        out: &mut Vec<u8>,
        command: Command,
        transaction: &str,
        receipt: Option<&str>,
    ) -> Result<(), Error> {
        let mut writer = self.begin_frame(out, command)?;
        writer
            .header("transaction", transaction)
            .optional("receipt", receipt);
        writer.end();
        Ok(())
    }

    fn begin_frame<'o>(
        &self,
        out: &'o mut Vec<u8>,
        command: Command,
    ) -> Result<FrameWriter<'o>, Error> {
        match self.state {
            State::Connected(version) => Ok(FrameWriter::new(out, command, version.into())),
            State::Opening | State::Closed => Err(Fault::NotConnected.into()),
        }
    }

    fn handle_frame<'a>(
        &mut self,
        now_ms: u64,
        frame: &Frame<'a>,
    ) -> Result<ClientEvent<'a>, Fault> {
        match (frame.command, self.state) {
            (Command::Error, _) => Ok(ClientEvent::Error {
                message: frame.headers.get("message"),
                receipt_id: frame.field(Field::ReceiptId),
                headers: frame.headers,
                body: frame.body,
            }),
            (Command::Connected, State::Opening) => self.handle_connected(now_ms, frame),
            (Command::Connected, _) => Err(Fault::AlreadyConnected),
            (Command::Message, State::Connected(version)) => {
                Ok(ClientEvent::Message(MessageFrame::new(frame, version)?))
            }
            (Command::Receipt, State::Connected(_)) => {
                let receipt_id = frame
                    .field(Field::ReceiptId)
                    .ok_or(Fault::MissingHeader("receipt-id"))?;
                Ok(ClientEvent::Receipt { receipt_id })
            }
            (Command::Message | Command::Receipt, _) => Err(Fault::NotConnected),
            _ => Err(Fault::UnexpectedCommand),
        }
    }

    fn handle_connected<'a>(
        &mut self,
        now_ms: u64,
        frame: &Frame<'a>,
    ) -> Result<ClientEvent<'a>, Fault> {
        // A 1.0 server names no version.
        let version = match frame.headers.get("version") {
            Some(text) => Version::parse(&text).ok_or(Fault::NoCommonVersion)?,
            None => Version::V1_0,
        };
        let server = frame.headers.get("heart-beat");
        let heart_beat = self.offer.agree(Intervals::parse(server.as_deref())?);
        self.liveness = Liveness::new(heart_beat, now_ms);
        self.liveness.sent(now_ms);
        self.parser.set_version(version);
        self.state = State::Connected(version);
        Ok(ClientEvent::Connected {
            version,
            session: frame.headers.get("session"),
            server: frame.headers.get("server"),
            heart_beat,
        })
    }
}

fn add_all(writer: &mut FrameWriter<'_>, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        writer.header(name, value);
    }
}
