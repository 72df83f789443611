//! Header lines: how each version writes them, and a view over a block of them.
//!
//! A block is kept as it came, escapes included, so that it can be stored and sent again without
//! work. Decoding is lazy and borrows unless a value holds an escape. The parser has checked a
//! block before anybody sees it; for blocks from elsewhere decoding is lenient and cannot fail:
//! a line without name is passed over, an undefined escape stays as it is.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr2, memchr3};

use crate::error::Fault;
use crate::version::Version;

/// How the header lines of a frame are written (STOMP 1.2 "Value Encoding").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// CONNECT and CONNECTED of every version: no escapes, LF or CR LF.
    Handshake,
    /// Other frames of 1.0: no escapes, LF, blanks around names and values are padding.
    V1_0,
    /// Other frames of 1.1: escapes `\n`, `\c`, `\\`; a CR belongs to the value.
    V1_1,
    /// Other frames of 1.2: escape `\r` too, LF or CR LF.
    V1_2,
}

impl From<Version> for Encoding {
    fn from(version: Version) -> Self {
        match version {
            Version::V1_0 => Self::V1_0,
            Version::V1_1 => Self::V1_1,
            Version::V1_2 => Self::V1_2,
        }
    }
}

impl Encoding {
    /// Whether CR LF ends a line as LF does.
    pub(crate) const fn has_crlf(self) -> bool {
        matches!(self, Self::Handshake | Self::V1_2)
    }

    const fn has_escapes(self) -> bool {
        matches!(self, Self::V1_1 | Self::V1_2)
    }

    /// The octet an escape stands for.
    const fn unescape(self, code: u8) -> Option<u8> {
        match (self, code) {
            (Self::V1_1 | Self::V1_2, b'n') => Some(b'\n'),
            (Self::V1_1 | Self::V1_2, b'c') => Some(b':'),
            (Self::V1_1 | Self::V1_2, b'\\') => Some(b'\\'),
            (Self::V1_2, b'r') => Some(b'\r'),
            _ => None,
        }
    }

    /// Checks a block whose lines all have a name: escapes, bare CR, UTF-8.
    pub(crate) fn check(self, block: &[u8]) -> Result<(), Fault> {
        let mut rest = block;
        loop {
            let found = match self {
                Self::Handshake => memchr(b'\r', rest),
                Self::V1_0 => None,
                Self::V1_1 => memchr(b'\\', rest),
                Self::V1_2 => memchr2(b'\\', b'\r', rest),
            };
            let Some(tail) = found.and_then(|at| rest.get(at..)) else {
                break;
            };
            match tail {
                [b'\r', b'\n', ..] => {}
                [b'\r', ..] => return Err(Fault::MalformedHeader),
                [_, code, ..] if self.unescape(*code).is_some() => {}
                _ => return Err(Fault::UndefinedEscape),
            }
            rest = tail.get(2..).unwrap_or_default();
        }
        match std::str::from_utf8(block) {
            Ok(_) => Ok(()),
            Err(_) => Err(Fault::NotUtf8),
        }
    }

    /// Name of a line without padding, and what follows the colon; `None` without a name. A NUL at
    /// the start is no name: it ends a frame whose blank line is missing.
    pub(crate) fn name(self, line: &[u8]) -> Option<(&[u8], &[u8])> {
        let (name, rest) = line.split_at_checked(memchr(b':', line)?)?;
        let name = self.unpadded(name);
        match name.first() {
            None | Some(0) => None,
            Some(_) => Some((name, rest.get(1..)?)),
        }
    }

    /// Name and value of a line, without padding and still escaped.
    pub(crate) fn split(self, line: &[u8]) -> Option<(&[u8], &[u8])> {
        self.name(line)
            .map(|(name, value)| (name, self.unpadded(value)))
    }

    /// Without the blanks around, in 1.0; later versions never pad.
    pub(crate) fn unpadded(self, mut text: &[u8]) -> &[u8] {
        if self == Self::V1_0 {
            while let [b' ' | b'\t' | b'\r', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\r'] = text {
                text = rest;
            }
        }
        text
    }

    /// The text that escaped octets stand for.
    pub(crate) fn decode(self, raw: &[u8]) -> Cow<'_, str> {
        if !self.has_escapes() || memchr(b'\\', raw).is_none() {
            return match std::str::from_utf8(raw) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => String::from_utf8_lossy(raw),
            };
        }
        let mut text = Vec::with_capacity(raw.len());
        let mut rest = raw;
        while let [first, tail @ ..] = rest {
            let escaped = match tail {
                [code, after @ ..] if *first == b'\\' => self.unescape(*code).map(|o| (o, after)),
                _ => None,
            };
            let (octet, after) = escaped.unwrap_or((*first, tail));
            text.push(octet);
            rest = after;
        }
        Cow::Owned(String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether a header can be written at all. What has no escapes cannot carry a line end, nor a
    /// name with a colon: such a header is left out, for it would end the line and forge another.
    pub(crate) fn can_carry(self, name: &[u8], value: &[u8]) -> bool {
        let plain = match self {
            Self::V1_1 | Self::V1_2 => true,
            Self::V1_0 => memchr2(b'\n', b':', name).is_none() && memchr(b'\n', value).is_none(),
            Self::Handshake => {
                memchr3(b'\n', b'\r', b':', name).is_none()
                    && memchr2(b'\n', b'\r', value).is_none()
            }
        };
        plain && !matches!(name.first(), None | Some(0))
    }

    /// Appends text in this encoding; the caller has asked `can_carry`.
    pub(crate) fn append(self, out: &mut Vec<u8>, text: &[u8]) {
        // Without early return the compiler looks at many octets at a time.
        let special = |octet: u8| match octet {
            b'\\' | b':' | b'\n' => true,
            b'\r' => self == Self::V1_2,
            _ => false,
        };
        if !self.has_escapes() || !text.iter().fold(false, |any, octet| any | special(*octet)) {
            out.extend_from_slice(text);
            return;
        }
        for octet in text {
            match octet {
                b'\\' => out.extend_from_slice(b"\\\\"),
                b':' => out.extend_from_slice(b"\\c"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' if self == Self::V1_2 => out.extend_from_slice(b"\\r"),
                other => out.push(*other),
            }
        }
    }
}

/// A block of header lines as they stood in a frame, without the blank line after them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    block: &'a [u8],
    encoding: Encoding,
}

impl<'a> Headers<'a> {
    /// A view over a block that was taken from a frame with [`Headers::block`].
    #[must_use]
    pub const fn new(block: &'a [u8], encoding: Encoding) -> Self {
        Self { block, encoding }
    }

    /// The raw lines, each with its end of line, still escaped.
    #[must_use]
    pub const fn block(self) -> &'a [u8] {
        self.block
    }

    /// How the lines are escaped; to be kept with a stored block.
    #[must_use]
    pub const fn encoding(self) -> Encoding {
        self.encoding
    }

    /// The first header of this name, decoded; repeated ones are history (STOMP 1.2 "Repeated
    /// Header Entries").
    #[must_use]
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.iter()
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All headers in their order, decoded, repeated ones too.
    #[must_use]
    pub fn iter(self) -> Iter<'a> {
        Iter {
            lines: self.lines(),
            encoding: self.encoding,
        }
    }

    /// Lines without their end, with name and value, all still escaped.
    pub(crate) fn lines(self) -> Lines<'a> {
        Lines {
            rest: self.block,
            encoding: self.encoding,
        }
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Shows names and values, but no passcode.
impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| {
            let value = if name == "passcode" {
                Cow::Borrowed("***")
            } else {
                value
            };
            (name, value)
        });
        f.debug_map().entries(shown).finish()
    }
}

/// Iterator over decoded headers; see [`Headers::iter`].
#[derive(Clone)]
pub struct Iter<'a> {
    lines: Lines<'a>,
    encoding: Encoding,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        Some((
            self.encoding.decode(line.name),
            self.encoding.decode(line.value),
        ))
    }
}

/// One header line, escaped as it came.
pub(crate) struct Line<'a> {
    /// The whole line without its end.
    pub(crate) whole: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

#[derive(Clone)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    encoding: Encoding,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        while !self.rest.is_empty() {
            let end = memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let (line, tail) = self.rest.split_at_checked(end)?;
            self.rest = tail.get(1..).unwrap_or_default();
            let whole = match line {
                [text @ .., b'\r'] if self.encoding.has_crlf() => text,
                _ => line,
            };
            if let Some((name, value)) = self.encoding.split(whole) {
                return Some(Line { whole, name, value });
            }
        }
        None
    }
}
