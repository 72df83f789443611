//! Looking through frames that wait: settlements are told from the rest, nothing is handled.
//!
//! A server that cannot take a SEND yet keeps it with everything behind it, but settlements must not
//! wait for it. Frames are only cut here; the machine of the connection sees them later.

use crate::event::AckFrame;
use crate::frame::{Command, Frame};
use crate::limits::Limits;
use crate::parser::Parser;
use crate::version::Version;

/// A reader of frames that a [`Connection`](crate::Connection) has not seen yet.
#[derive(Debug)]
pub struct LookAhead {
    parser: Parser,
    version: Version,
}

/// What a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ahead<'a> {
    /// ACK outside a transaction.
    Ack(AckFrame<'a>),
    /// NACK outside a transaction.
    Nack(AckFrame<'a>),
    /// DISCONNECT: what comes behind it is discarded.
    Disconnect,
    /// Any other frame.
    Other,
    /// The input cannot be cut into frames from here on: the machine will say why.
    Broken,
}

impl LookAhead {
    pub(crate) fn new(limits: Limits, version: Version) -> Self {
        let mut parser = Parser::new(limits);
        parser.set_version(version);
        Self { parser, version }
    }

    /// The next whole frame of `input[*consumed..]`; `None` when the rest is unfinished, and then the
    /// next call must see it again with more behind it. `consumed` is at the end of the frame, but
    /// stays where it is for [`Ahead::Broken`].
    pub fn poll<'a>(&mut self, input: &'a [u8], consumed: &mut usize) -> Option<Ahead<'a>> {
        Some(match self.parser.poll_frame(input, consumed)? {
            Ok(frame) => self.tell(&frame),
            Err(_) => Ahead::Broken,
        })
    }

    fn tell<'a>(&self, frame: &Frame<'a>) -> Ahead<'a> {
        let make = match frame.command {
            Command::Ack => Ahead::Ack,
            Command::Nack => Ahead::Nack,
            Command::Disconnect => return Ahead::Disconnect,
            _ => return Ahead::Other,
        };
        match AckFrame::new(frame, self.version) {
            Ok(ack) if ack.transaction.is_none() => make(ack),
            _ => Ahead::Other,
        }
    }
}
