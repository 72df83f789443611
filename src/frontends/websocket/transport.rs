//! WebSocket messages as a stream of bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::{Buf, Bytes};
use futures_core::Stream;
use futures_sink::Sink;
use tokio_tungstenite::tungstenite::Error as WireError;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use super::ByteProtocol;
use crate::connection::Transport;

/// A WebSocket that the connection loop reads and writes as bytes.
pub(super) struct WebSocketTransport {
    socket: WebSocket,
    /// What is left of the message that is being read.
    message: Bytes,
    /// Bytes of output in the message that is being written.
    in_flight: usize,
    opcode: Opcode,
    close_code: u16,
    close_sent: bool,
}

/// In which kind of message the server answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opcode {
    /// Binary, and text from the client is an error (MQTT-6.0.0-1, AMQP-WSB 1.0 2.4).
    BinaryOnly,
    /// The client has sent nothing but text: text where it is UTF-8 (stomp.md A8).
    Text,
    /// The client has sent binary or nothing: binary.
    Binary,
}

impl WebSocketTransport {
    pub(super) fn new(socket: WebSocket, protocol: ByteProtocol) -> Self {
        Self {
            socket,
            message: Bytes::new(),
            in_flight: 0,
            opcode: match protocol {
                ByteProtocol::Mqtt | ByteProtocol::Amqp => Opcode::BinaryOnly,
                ByteProtocol::Stomp => Opcode::Text,
            },
            close_code: CLOSE_NORMAL,
            close_sent: false,
        }
    }

    /// The next message that carries bytes; `None` when the client sends no more.
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        for _ in 0..MESSAGES_PER_POLL {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => return Poll::Ready(Err(self.fail(error))),
                Some(Ok(Message::Text(text))) => {
                    if self.opcode == Opcode::BinaryOnly {
                        self.close_code = CLOSE_UNSUPPORTED;
                        return Poll::Ready(Err(invalid("a text message on a binary protocol")));
                    }
                    if !text.is_empty() {
                        return Poll::Ready(Ok(Some(text.into())));
                    }
                }
                Some(Ok(Message::Binary(bytes))) => {
                    if self.opcode == Opcode::Text {
                        self.opcode = Opcode::Binary;
                    }
                    if !bytes.is_empty() {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
                // The library answers pings and closes by itself; the stream ends after a close.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {}
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sorts an error of the library and chooses the close code that tells it (RFC 6455 7.4.1).
    fn fail(&mut self, error: axum::Error) -> io::Error {
        let text = error.to_string();
        self.close_code = match error.into_inner().downcast::<WireError>().map(|e| *e) {
            Ok(WireError::Io(error)) => return error,
            Ok(
                WireError::ConnectionClosed
                | WireError::AlreadyClosed
                | WireError::Protocol(ProtocolError::ResetWithoutClosingHandshake),
            ) => return io::ErrorKind::ConnectionReset.into(),
            Ok(WireError::Capacity(_)) => CLOSE_TOO_LARGE,
            Ok(WireError::Utf8(_)) => CLOSE_NOT_UTF8,
            _ => CLOSE_PROTOCOL,
        };
        invalid(text)
    }

    /// One message of all that waits.
    fn compose(&self, slices: &[IoSlice<'_>]) -> Message {
        let mut bytes = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
        for slice in slices {
            bytes.extend_from_slice(slice);
        }
        if self.opcode != Opcode::Text {
            return Message::Binary(bytes.into());
        }
        match String::from_utf8(bytes) {
            Ok(text) => Message::Text(text.into()),
            Err(error) => Message::Binary(error.into_bytes().into()),
        }
    }
}

impl Transport for WebSocketTransport {
    fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.message.is_empty() {
            match ready!(self.poll_message(context))? {
                None => return Poll::Ready(Ok(0)),
                Some(message) => self.message = message,
            }
        }
        let count = self.message.len().min(into.len());
        if let Some(into) = into.get_mut(..count) {
            self.message.copy_to_slice(into);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.in_flight == 0 {
            ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(io::Error::other)?;
            let message = self.compose(slices);
            self.in_flight = slices.iter().map(|slice| slice.len()).sum();
            Pin::new(&mut self.socket)
                .start_send(message)
                .map_err(io::Error::other)?;
        }
        // Nothing counts as written before the kernel has it (law L10).
        ready!(Pin::new(&mut self.socket).poll_flush(context)).map_err(io::Error::other)?;
        Poll::Ready(Ok(std::mem::take(&mut self.in_flight)))
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.close_sent {
            ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(io::Error::other)?;
            let frame = CloseFrame {
                code: self.close_code,
                reason: "".into(),
            };
            Pin::new(&mut self.socket)
                .start_send(Message::Close(Some(frame)))
                .map_err(io::Error::other)?;
            self.close_sent = true;
        }
        Pin::new(&mut self.socket)
            .poll_flush(context)
            .map_err(io::Error::other)
    }
}

fn invalid(text: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Messages without bytes that one poll looks through before others get their turn.
const MESSAGES_PER_POLL: usize = 32;

// RFC 6455 7.4.1.
const CLOSE_NORMAL: u16 = 1000;
const CLOSE_PROTOCOL: u16 = 1002;
const CLOSE_UNSUPPORTED: u16 = 1003;
const CLOSE_NOT_UTF8: u16 = 1007;
const CLOSE_TOO_LARGE: u16 = 1009;
