//! The PROXY protocol of HAProxy, versions 1 and 2: where the client of a proxy comes from.
//!
//! Section numbers are those of HAProxy's `doc/proxy-protocol.txt`. This finds the end of a header
//! within its ceiling, which a peer controls; what is in it is read by `proxy-header`, which gets
//! nothing but the whole of it. TLVs are skipped.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use ipnet::IpNet;
use proxy_header::{ParseConfig, ProxyHeader};
use tokio::net::TcpStream;

use super::read_more;
use crate::config::{Listener, ProxyProtocol};
use crate::connection::ProxyFault;

/// Whose headers count.
pub(super) struct Proxies {
    /// Empty is anybody's.
    from: Vec<IpNet>,
}

impl Proxies {
    /// Those of a listener; `None` if its clients connect themselves.
    pub(super) fn of(listener: &Listener) -> Option<Self> {
        match listener.proxy_protocol {
            ProxyProtocol::Off => None,
            ProxyProtocol::Required => Some(Self {
                from: listener.proxy_from.clone(),
            }),
        }
    }

    /// Whether a proxy may connect from `address`.
    pub(super) fn trusts(&self, address: SocketAddr) -> bool {
        // An IPv6 socket shows IPv4 clients as `::ffff:a.b.c.d`.
        let ip = address.ip().to_canonical();
        self.from.is_empty() || self.from.iter().any(|network| network.contains(&ip))
    }
}

/// A whole header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Header {
    /// Of the client; `None` if the proxy speaks for itself (LOCAL) or does not know (UNKNOWN).
    client: Option<SocketAddr>,
    /// In bytes.
    length: usize,
}

/// Reads the header that a connection begins with: the client's address if it names one, and what
/// was read behind it.
///
/// # Errors
/// There is none, it is wrong or too long, or the connection ends in it.
pub(super) async fn read_header(
    stream: &TcpStream,
) -> Result<(Option<SocketAddr>, Vec<u8>), ProxyFault> {
    let mut input = Vec::new();
    loop {
        let read = read_more(stream, &mut input).await;
        read.map_err(|_| ProxyFault::Incomplete)?;
        if let Some(header) = parse(&input)? {
            return Ok((header.client, input.split_off(header.length)));
        }
    }
}

/// The header that `input` begins with; `None` if it takes more bytes. At [`MAX_BYTES`] it is never
/// `None`.
fn parse(input: &[u8]) -> Result<Option<Header>, ProxyFault> {
    let Some(length) = length(input)? else {
        return Ok(None);
    };
    let whole = input.get(..length).unwrap_or_default();
    if whole.starts_with(SIGNATURE) && whole.get(SIGNATURE.len()) == Some(&LOCAL) {
        // Whatever addresses are in it must be ignored (2.2), wrong ones too.
        return Ok(Some(Header {
            client: None,
            length,
        }));
    }
    let options = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    match ProxyHeader::parse(whole, options) {
        Ok((header, taken)) if taken == length => Ok(Some(Header {
            client: header.proxied_address().map(|proxied| proxied.source),
            length,
        })),
        _ => Err(ProxyFault::Malformed),
    }
}

/// Length of the header that `input` begins with; `None` if not all of it is there.
fn length(input: &[u8]) -> Result<Option<usize>, ProxyFault> {
    if SIGNATURE.starts_with(input) || GREETING.starts_with(input) {
        return Ok(None);
    }
    if input.starts_with(GREETING) {
        let line = input.get(..MAX_LINE_BYTES).unwrap_or(input);
        let end = line.iter().position(|byte| *byte == b'\n');
        return match end {
            Some(end) => Ok(Some(end + 1)),
            None if line.len() == MAX_LINE_BYTES => Err(ProxyFault::TooLong),
            None => Ok(None),
        };
    }
    if !input.starts_with(SIGNATURE) {
        return Err(ProxyFault::Missing);
    }
    let Some(&[high, low]) = input.get(FIXED_BYTES - 2..FIXED_BYTES) else {
        return Ok(None);
    };
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BYTES {
        return Err(ProxyFault::TooLong);
    }
    Ok((input.len() >= length).then_some(length))
}

/// What a header of version 1 begins with (2.1).
const GREETING: &[u8] = b"PROXY ";
/// The longest line of version 1, with its end (2.1).
const MAX_LINE_BYTES: usize = 107;
/// What a header of version 2 begins with (2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length of the rest.
const FIXED_BYTES: usize = 16;
/// Version 2, command LOCAL.
const LOCAL: u8 = 0x20;
/// The longest header that is read. Those of real proxies are below 600 bytes, TLVs and Unix
/// addresses included.
const MAX_BYTES: usize = 4 << 10;
