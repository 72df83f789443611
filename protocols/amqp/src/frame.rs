//! Protocol headers (T 2.2) and frames (T 2.3).

use crate::error::Error;

/// Bytes of a frame before its body, without an extended header.
pub const FRAME_HEAD_BYTES: usize = 8;

/// The smallest maximum frame size that a peer may announce, and what both may send before they
/// know each other's (T 2.7.1).
pub const MIN_MAX_FRAME_SIZE: u32 = 512;

/// Bytes of a protocol header.
pub const PROTOCOL_HEADER_BYTES: usize = 8;

/// What follows a protocol header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Frames of AMQP.
    Amqp,
    /// A TLS handshake (S 5.2.1).
    Tls,
    /// Frames of SASL (S 5.3.1).
    Sasl,
}

/// What a protocol header said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolHeader {
    /// A protocol in the version that is spoken here.
    Known(Protocol),
    /// Another protocol or version.
    Unknown,
}

impl Protocol {
    /// The header that asks for it, or agrees.
    #[must_use]
    pub fn header(self) -> [u8; PROTOCOL_HEADER_BYTES] {
        let id = match self {
            Self::Amqp => 0,
            Self::Tls => 2,
            Self::Sasl => 3,
        };
        [b'A', b'M', b'Q', b'P', id, 1, 0, 0]
    }
}

impl ProtocolHeader {
    /// Reads a header at the begin of `bytes`; `None` until there are enough of them to tell.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let known = [Protocol::Amqp, Protocol::Tls, Protocol::Sasl];
        let found = known.into_iter().find(|protocol| {
            let header = protocol.header();
            bytes.starts_with(&header)
        });
        let may_come = known.into_iter().any(|protocol| {
            let header = protocol.header();
            header.starts_with(bytes)
        });
        match found {
            Some(protocol) => Some(Self::Known(protocol)),
            None if may_come => None,
            None => Some(Self::Unknown),
        }
    }
}

/// The two kinds of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// On a channel of AMQP.
    Amqp {
        /// The channel.
        channel: u16,
    },
    /// Of the SASL layer.
    Sasl,
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which layer it is of.
    pub kind: FrameKind,
    /// What it carries; nothing in a frame that only says that its sender lives (T 2.4.5).
    pub body: &'a [u8],
    /// Its bytes in all.
    pub len: usize,
}

/// What stands at the begin of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// The begin of one that has this many bytes, or whose size comes with that many.
    Need(usize),
}

/// Reads the frame at the begin of `bytes`; `max` is the largest that is taken.
///
/// # Errors
/// It is larger, or its head is none (T 2.3.1). Decided before the body is there.
pub fn frame(bytes: &[u8], max: usize) -> Result<Framed<'_>, Error> {
    const BROKEN: Error = Error::Framing("T 2.3.1");
    let Some((&[a, b, c, d, doff, kind, high, low], _)) =
        bytes.split_first_chunk::<FRAME_HEAD_BYTES>()
    else {
        return Ok(Framed::Need(FRAME_HEAD_BYTES));
    };
    let size = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| BROKEN)?;
    let head = usize::from(doff) * 4;
    if head < FRAME_HEAD_BYTES || size < head {
        return Err(BROKEN);
    }
    if size > max {
        return Err(Error::Framing("T 2.7.1"));
    }
    let kind = match kind {
        0 => FrameKind::Amqp {
            channel: u16::from_be_bytes([high, low]),
        },
        1 => FrameKind::Sasl,
        _ => return Err(BROKEN),
    };
    let Some(body) = bytes.get(head..size) else {
        return Ok(Framed::Need(size));
    };
    Ok(Framed::Frame(Frame {
        kind,
        body,
        len: size,
    }))
}

/// Begins a frame at the end of `out`; returns where, for [`end_frame`].
pub(crate) fn begin_frame(out: &mut Vec<u8>, kind: FrameKind) -> usize {
    let start = out.len();
    let (kind, channel) = match kind {
        FrameKind::Amqp { channel } => (0, channel),
        FrameKind::Sasl => (1, 0),
    };
    let [high, low] = channel.to_be_bytes();
    out.extend([0, 0, 0, 0, 2, kind, high, low]);
    start
}

/// Writes the size of the frame that begins at `start` and of which `rest` bytes are written
/// elsewhere.
pub(crate) fn end_frame(out: &mut [u8], start: usize, rest: usize) {
    let size = u32::try_from(out.len() - start + rest).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..start + 4) {
        head.copy_from_slice(&size.to_be_bytes());
    }
}

/// Appends a frame without a body (T 2.4.5).
pub fn put_empty_frame(out: &mut Vec<u8>) {
    let start = begin_frame(out, FrameKind::Amqp { channel: 0 });
    end_frame(out, start, 0);
}
