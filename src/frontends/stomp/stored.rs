//! How a message of STOMP is kept: format 2 of the broker's messages.
//!
//! ```text
//! u8      version: 10, 11 or 12, which says how the header lines are escaped; 128 is added if names
//!         in them are spelled as in MQTT, not as in ActiveMQ
//! u32 LE  length of the header lines, in bytes
//!         header lines as they came, each with its end, without command and blank line
//!         body
//! ```
//!
//! Messages are journalled in this form: it never changes. One line may differ from what came: a
//! `reply-to` that names a temporary destination of its sender has the name that all others know.

use ternmq_core::dialect::Dialect;
use ternmq_core::message::Format;
use ternmq_stomp::{Encoding, Headers, Version};

/// The format's number.
pub const FORMAT: Format = Format(2);

/// Bytes before the header lines.
const HEAD_BYTES: usize = 5;

/// In the version: names are spelled as in MQTT.
const MQTT_NAMES: u8 = 128;

/// A message as it is kept, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    pub(super) headers: Headers<'a>,
    /// How names in the headers are spelled.
    pub(super) dialect: Dialect,
    pub(super) body: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Reads an encoded message; `None` if it is none.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let [version, length @ ..] = *head;
        let dialect = match version & MQTT_NAMES {
            0 => Dialect::Amq,
            _ => Dialect::Mqtt,
        };
        let encoding = match version & !MQTT_NAMES {
            10 => Encoding::V1_0,
            11 => Encoding::V1_1,
            12 => Encoding::V1_2,
            _ => return None,
        };
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        let (block, body) = rest.split_at_checked(length)?;
        Some(Self {
            headers: Headers::new(block, encoding),
            dialect,
            body,
        })
    }
}

/// Bytes of a message once it is encoded.
pub(super) fn size(block: &[u8], body: &[u8]) -> usize {
    HEAD_BYTES + block.len() + body.len()
}

/// How the header lines of a message are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writing {
    pub(super) version: Version,
    pub(super) dialect: Dialect,
}

/// Appends a message. The parser's limits keep a header block far below 4 GiB.
pub(super) fn append(out: &mut Vec<u8>, writing: Writing, block: &[u8], body: &[u8]) {
    let version = match writing.version {
        Version::V1_0 => 10,
        Version::V1_1 => 11,
        Version::V1_2 => 12,
    };
    out.push(match writing.dialect {
        Dialect::Mqtt => version | MQTT_NAMES,
        Dialect::Amq | Dialect::Canonical => version,
    });
    let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(block);
    out.extend_from_slice(body);
}
