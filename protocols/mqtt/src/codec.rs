//! Framing: where one packet ends and the next begins, and how packets are appended to an output
//! buffer.
//!
//! A frame's total size is compared with the limit as soon as its length is known, before anybody
//! waits for, or buffers, its body. The length takes the fewest bytes possible \[MQTT-1.5.5-1\],
//! which makes the header length a function of the total length.

use crate::error::Error;

/// The largest remaining length the wire can say (2.1.4).
pub(crate) const MAX_REMAINING: usize = 268_435_455;

/// The result of [`frame`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framed<'a> {
    /// The packet is not complete: at least so many bytes, counted from its start, are needed.
    Need(usize),
    /// One complete packet.
    Frame(Frame<'a>),
}

/// One complete packet, not yet decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Type (upper four bits) and flags (lower four).
    pub first: u8,
    /// Bytes of the fixed header, 2 to 5.
    pub head_len: usize,
    /// The whole packet.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Everything after the fixed header.
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(self.head_len..).unwrap_or_default()
    }

    /// Refuses other flags than `flags` \[MQTT-2.1.3-1\].
    pub(crate) fn check_flags(&self, flags: u8) -> Result<(), Error> {
        if self.first & 0x0F == flags {
            Ok(())
        } else {
            Err(Error::Malformed("MQTT-2.1.3-1"))
        }
    }
}

/// Splits the first packet off `input`. `max_total` bounds the whole packet in bytes, header
/// included (2.1.4, 3.2.2.3.6).
///
/// # Errors
/// `Malformed` for a length of more than four bytes or more bytes than it needs, `PacketTooLarge`
/// above `max_total`.
#[inline]
pub fn frame(input: &[u8], max_total: usize) -> Result<Framed<'_>, Error> {
    let Some((&first, rest)) = input.split_first() else {
        return Ok(Framed::Need(2));
    };
    let Some((remaining, len)) = varint(rest)? else {
        return Ok(Framed::Need(input.len() + 1));
    };
    let head_len = 1 + len;
    let total = head_len + remaining as usize;
    if total > max_total {
        return Err(Error::PacketTooLarge);
    }
    Ok(match input.get(..total) {
        Some(bytes) => Framed::Frame(Frame {
            first,
            head_len,
            bytes,
        }),
        None => Framed::Need(total),
    })
}

/// Reads a variable byte integer: its value and length, or `None` while it is unfinished.
#[inline]
pub(crate) fn varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, Error> {
    let mut value = 0;
    for (i, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            if byte == 0 && i > 0 {
                return Err(Error::Malformed("MQTT-1.5.5-1"));
            }
            return Ok(Some((value, i + 1)));
        }
    }
    if bytes.len() < 4 {
        Ok(None)
    } else {
        Err(Error::Malformed("1.5.5"))
    }
}

/// Bytes of the fixed header of a packet of `total` bytes.
#[inline]
pub(crate) fn head_len(total: usize) -> usize {
    match total {
        0..=129 => 2,
        130..=16_386 => 3,
        16_387..=2_097_155 => 4,
        _ => 5,
    }
}

/// Appends `value`, at most [`MAX_REMAINING`], as a variable byte integer.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, value: usize) {
    let (bytes, n) = varint_bytes(value);
    out.extend(bytes.into_iter().take(n));
}

/// A variable byte integer and how many of the bytes it takes.
#[inline]
fn varint_bytes(value: usize) -> ([u8; 4], usize) {
    let group = |shift: usize| {
        let more = if value >> (shift + 7) > 0 { 0x80 } else { 0 };
        let [low, ..] = (value >> shift).to_le_bytes();
        low & 0x7F | more
    };
    let n = match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    };
    ([group(0), group(7), group(14), group(21)], n)
}

/// Bytes of a block of `len` bytes with its length as a variable byte integer in front.
pub(crate) fn block_len(len: usize) -> usize {
    varint_len(len) + len
}

/// Bytes of `value` as a variable byte integer.
pub(crate) fn varint_len(value: usize) -> usize {
    varint_bytes(value).1
}

/// Appends two bytes of length and `bytes`.
pub(crate) fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Error> {
    let len = u16::try_from(bytes.len()).map_err(|_| Error::Unencodable)?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends a string, which must not hold U+0000 \[MQTT-1.5.4-2\].
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) -> Result<(), Error> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(Error::Unencodable);
    }
    put_binary(out, text.as_bytes())
}

/// Appends one packet whose body `body` writes. After an error `out` is as it was before.
pub(crate) fn put_packet(
    out: &mut Vec<u8>,
    first: u8,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(&[first, 0]);
    let body_start = out.len();
    let written = body(out);
    let remaining = out.len() - body_start;
    if written.is_err() || remaining > MAX_REMAINING {
        out.truncate(start);
        return written.and(Err(Error::Unencodable));
    }
    let (len, n) = varint_bytes(remaining);
    out.splice(start + 1..body_start, len.into_iter().take(n));
    Ok(())
}
