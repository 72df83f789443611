//! The parser: octets in, frames out.
//!
//! It is incremental: an unfinished frame stays in the caller's buffer, the parser remembers how
//! far it has looked and goes on from there, so that octets that trickle in cost no second scan.
//! It checks what every frame of a version must obey; which frames and headers are legal when is
//! the machines' matter.

use std::borrow::Cow;

use memchr::memchr;

use crate::error::{Error, Fault};
use crate::frame::{Command, FIELDS, Field, Frame, Span};
use crate::headers::{Encoding, Headers};
use crate::limits::Limits;
use crate::version::Version;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Ends of line between frames, which are heart-beats.
    Between,
    Command,
    Headers,
    Body,
}

/// What is known of the unfinished frame. Offsets count from its first octet.
#[derive(Debug, Clone, Copy)]
struct Partial {
    /// `None` is an unknown command: its headers are read for the sake of `receipt`.
    command: Option<Command>,
    encoding: Encoding,
    /// Start of the line, later of the body.
    start: usize,
    /// Up to here the end of line or the NUL has been looked for.
    scanned: usize,
    headers: Span,
    header_count: usize,
    spans: [Span; FIELDS],
    content_length: Option<usize>,
}

impl Partial {
    const fn new(encoding: Encoding) -> Self {
        let absent = Span { start: 0, end: 0 };
        Self {
            command: None,
            encoding,
            start: 0,
            scanned: 0,
            headers: absent,
            header_count: 0,
            spans: [absent; FIELDS],
            content_length: None,
        }
    }
}

/// An incremental parser of one direction of one connection.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    encoding: Encoding,
    stage: Stage,
    partial: Partial,
}

impl Parser {
    /// A parser that expects CONNECT or CONNECTED first.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        let encoding = Encoding::Handshake;
        Self {
            limits,
            encoding,
            stage: Stage::Between,
            partial: Partial::new(encoding),
        }
    }

    /// The frames that follow are written in this version.
    pub fn set_version(&mut self, version: Version) {
        self.encoding = version.into();
    }

    /// Length in octets that the unfinished frame has at least, counted from its first octet,
    /// which is the first that was not consumed; 0 between frames. Never more than the limits
    /// allow for a frame.
    #[must_use]
    pub fn needed(&self) -> usize {
        match (self.stage, self.partial.content_length) {
            (Stage::Between, _) => 0,
            (Stage::Body, Some(length)) => {
                self.partial.start.saturating_add(length).saturating_add(1)
            }
            _ => self.partial.scanned + 1,
        }
    }

    /// The next whole frame of `input[*consumed..]`; `None` when the rest is unfinished, and then
    /// the next call must see the same rest again with more behind it. Ends of line between frames
    /// are passed over. After an error the connection must be closed.
    ///
    /// # Errors
    /// Any breach of the format or of a limit.
    pub fn poll_frame<'a>(
        &mut self,
        input: &'a [u8],
        consumed: &mut usize,
    ) -> Option<Result<Frame<'a>, Error>> {
        if self.stage == Stage::Between {
            self.skip_line_ends(input, consumed)?;
        }
        let bytes = input.get(*consumed..)?;
        match self.advance(bytes) {
            Ok(None) => None,
            Ok(Some(end)) => {
                self.stage = Stage::Between;
                *consumed += end + 1;
                self.frame(bytes, end).map(Ok)
            }
            Err(fault) => {
                // What follows an unknown command need not look like headers.
                let unknown = self.stage == Stage::Headers && self.partial.command.is_none();
                let fault = if unknown {
                    Fault::UnknownCommand
                } else {
                    fault
                };
                let receipt_id = self
                    .receipt(bytes)
                    .map(|id| id.into_owned().into_boxed_str());
                Some(Err(Error { fault, receipt_id }))
            }
        }
    }

    /// Consumes heart-beats and enters a frame; `None` when no frame has begun.
    fn skip_line_ends(&mut self, input: &[u8], consumed: &mut usize) -> Option<()> {
        loop {
            match input.get(*consumed..)? {
                [b'\n', ..] => *consumed += 1,
                [b'\r', b'\n', ..] if self.encoding.has_crlf() => *consumed += 2,
                [] => return None,
                [b'\r'] if self.encoding.has_crlf() => return None,
                _ => break,
            }
        }
        self.stage = Stage::Command;
        self.partial = Partial::new(self.encoding);
        Some(())
    }

    /// Goes on with the frame; gives the offset of its NUL.
    fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        if self.stage == Stage::Command && !self.read_command(bytes)? {
            return Ok(None);
        }
        if self.stage == Stage::Headers && !self.read_headers(bytes)? {
            return Ok(None);
        }
        self.read_body(bytes)
    }

    /// The next line without its end, or `None` when the end is not there yet.
    fn line(&mut self, bytes: &[u8], limit: usize, too_long: Fault) -> Result<Option<Span>, Fault> {
        let partial = &mut self.partial;
        let start = partial.start;
        let Some(found) = bytes
            .get(partial.scanned..)
            .and_then(|rest| memchr(b'\n', rest))
        else {
            partial.scanned = partial.scanned.max(bytes.len());
            // The last octet may be the CR of an end of line.
            let over = partial.scanned - start
                > limit.saturating_add(usize::from(partial.encoding.has_crlf()));
            return if over { Err(too_long) } else { Ok(None) };
        };
        let line_feed = partial.scanned + found;
        partial.start = line_feed + 1;
        partial.scanned = partial.start;
        let mut line = Span {
            start,
            end: line_feed,
        };
        if partial.encoding.has_crlf() && bytes.get(start..line_feed).is_some_and(ends_with_cr) {
            line.end -= 1;
        }
        if line.end - line.start > limit {
            Err(too_long)
        } else {
            Ok(Some(line))
        }
    }

    fn read_command(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let limit = self.limits.command_bytes;
        let Some(line) = self.line(bytes, limit, Fault::CommandTooLong)? else {
            return Ok(false);
        };
        let command = bytes.get(line.start..line.end).and_then(Command::parse);
        if command.is_some_and(Command::is_handshake) {
            self.partial.encoding = Encoding::Handshake;
        } else if command.is_none() && self.encoding == Encoding::Handshake {
            // Another protocol, most likely: there may never be an end of its headers.
            return Err(Fault::UnknownCommand);
        }
        self.partial.command = command;
        self.partial.headers.start = self.partial.start;
        self.stage = Stage::Headers;
        Ok(true)
    }

    fn read_headers(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let limits = self.limits;
        let first = self.partial.headers.start;
        loop {
            // A line that starts with NUL is the end of a frame whose blank line is missing.
            if bytes.get(self.partial.start) == Some(&0) {
                return Err(Fault::MalformedHeader);
            }
            let limit = limits.header_line_bytes;
            let Some(line) = self.line(bytes, limit, Fault::HeaderLineTooLong)? else {
                return Ok(false);
            };
            if line.start == line.end {
                self.partial.headers.end = line.start;
                break;
            }
            self.partial.header_count += 1;
            if self.partial.header_count > limits.header_count {
                return Err(Fault::TooManyHeaders);
            }
            if self.partial.start - first > limits.header_block_bytes {
                return Err(Fault::HeadersTooLarge);
            }
            self.read_header(bytes, line)?;
        }
        let block = self.partial.headers.of(bytes).unwrap_or_default();
        self.partial.encoding.check(block)?;
        if self.partial.command.is_none() {
            return Err(Fault::UnknownCommand);
        }
        self.partial.content_length = self.content_length(bytes)?;
        self.stage = Stage::Body;
        Ok(true)
    }

    fn read_header(&mut self, bytes: &[u8], line: Span) -> Result<(), Fault> {
        let text = line.of(bytes).ok_or(Fault::MalformedHeader)?;
        let (name, value) = self
            .partial
            .encoding
            .name(text)
            .ok_or(Fault::MalformedHeader)?;
        let slot = Field::of(name).and_then(|field| self.partial.spans.get_mut(field as usize));
        if let Some(span) = slot
            && span.start == 0
        {
            *span = Span {
                start: line.end - value.len(),
                end: line.end,
            };
        }
        Ok(())
    }

    /// `content-length`, checked before anything is waited for or kept.
    fn content_length(&self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let span = self.partial.spans.get(Field::ContentLength as usize);
        let Some(value) = span.and_then(|span| span.of(bytes)) else {
            return Ok(None);
        };
        let digits = self.partial.encoding.unpadded(value);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Fault::BadContentLength);
        }
        let length = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok());
        match length {
            Some(length) if length <= self.body_limit() => Ok(Some(length)),
            // A number beyond usize is beyond every limit.
            _ => Err(Fault::BodyTooLarge),
        }
    }

    /// How long a body this frame may have.
    fn body_limit(&self) -> usize {
        let most = self.limits.body_bytes;
        match self.encoding {
            Encoding::Handshake => most.min(self.limits.header_block_bytes),
            _ => most,
        }
    }

    /// 1.0 says that a body where none belongs is ignored; the others refuse it.
    fn refuses_body(&self) -> bool {
        let has_body = self.partial.command.is_some_and(Command::has_body);
        !has_body && self.partial.encoding != Encoding::V1_0
    }

    /// The offset of the NUL that ends the frame.
    fn read_body(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let start = self.partial.start;
        if self.refuses_body() {
            return match bytes.get(start) {
                _ if self.partial.content_length.is_some_and(|length| length > 0) => {
                    Err(Fault::UnexpectedBody)
                }
                Some(0) => Ok(Some(start)),
                Some(_) => Err(Fault::UnexpectedBody),
                None => Ok(None),
            };
        }
        if let Some(length) = self.partial.content_length {
            let end = start.saturating_add(length);
            return match bytes.get(end) {
                Some(0) => Ok(Some(end)),
                Some(_) => Err(Fault::ContentLengthMismatch),
                None => Ok(None),
            };
        }
        let found = bytes
            .get(self.partial.scanned..)
            .and_then(|rest| memchr(0, rest));
        let end = match found {
            Some(at) => self.partial.scanned + at,
            None => bytes.len().max(self.partial.scanned),
        };
        self.partial.scanned = end;
        if end - start > self.body_limit() {
            return Err(Fault::BodyTooLarge);
        }
        Ok(found.map(|_| end))
    }

    /// Borrows the parts of a frame whose end was found.
    fn frame<'a>(&self, bytes: &'a [u8], end: usize) -> Option<Frame<'a>> {
        let partial = &self.partial;
        let command = partial.command?;
        let body = bytes.get(partial.start..end)?;
        Some(Frame {
            command,
            headers: Headers::new(partial.headers.of(bytes)?, partial.encoding),
            content_length: partial.content_length,
            body: if command.has_body() { body } else { &[] },
            bytes,
            spans: partial.spans,
        })
    }

    /// The receipt that a broken frame asks for, as far as its headers are here.
    fn receipt<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        let partial = &self.partial;
        if partial.headers.start == 0 || partial.command.is_some_and(Command::is_handshake) {
            return None;
        }
        let rest = bytes.get(partial.headers.start..)?;
        let most = self.limits.header_block_bytes.min(rest.len());
        for line in rest.get(..most)?.split_inclusive(|octet| *octet == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else {
                break;
            };
            let line = match line {
                [text @ .., b'\r'] if partial.encoding.has_crlf() => text,
                _ => line,
            };
            if line.is_empty() {
                break;
            }
            if let Some((b"receipt", value)) = partial.encoding.split(line) {
                return Some(partial.encoding.decode(value));
            }
        }
        None
    }
}

fn ends_with_cr(line: &[u8]) -> bool {
    line.last() == Some(&b'\r')
}
