//! What goes out: functions that append whole frames to a buffer.
//!
//! Headers are escaped for the version they are written in; `content-length` is always there and
//! always right (STOMP 1.2 "Header content-length"). A header that a version cannot express (a line
//! end in 1.0 or in CONNECTED) is left out rather than let it forge another.

use memchr::{memchr, memmem};

use crate::frame::Command;
use crate::headers::{Encoding, Headers};
use crate::heartbeat::Intervals;
use crate::version::Version;

/// Octets of an ERROR body at most.
const ERROR_BODY_BYTES: usize = 1024;

/// Writes one frame; every frame of this crate goes through it or through [`message`].
#[derive(Debug)]
pub struct FrameWriter<'o> {
    out: &'o mut Vec<u8>,
    encoding: Encoding,
}

impl<'o> FrameWriter<'o> {
    /// Begins a frame. CONNECT, STOMP and CONNECTED take `Encoding::Handshake`.
    pub fn new(out: &'o mut Vec<u8>, command: Command, encoding: Encoding) -> Self {
        out.extend_from_slice(command.as_str().as_bytes());
        out.push(b'\n');
        Self { out, encoding }
    }

    /// Adds a header, unless this version cannot express it.
    pub fn header(&mut self, name: &str, value: &str) -> &mut Self {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        if self.encoding.can_carry(name, value) {
            self.encoding.append(self.out, name);
            self.out.push(b':');
            self.encoding.append(self.out, value);
            self.out.push(b'\n');
        }
        self
    }

    /// Adds a header of a known name, given with its colon.
    fn known(&mut self, name: &'static [u8], value: &str) {
        let value = value.as_bytes();
        if self.encoding.can_carry(b"known", value) {
            self.out.extend_from_slice(name);
            self.encoding.append(self.out, value);
            self.out.push(b'\n');
        }
    }

    /// Adds a header if there is a value for it.
    pub fn optional(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Ends a frame without body.
    pub fn end(self) {
        self.out.extend_from_slice(b"\n\0");
    }

    /// Adds `content-length` and the body, and ends the frame.
    pub fn body(self, body: &[u8]) {
        content_length(self.out, body.len());
        self.out.push(b'\n');
        self.out.extend_from_slice(body);
        self.out.push(0);
    }
}

/// Appends a heart-beat: one end of line (STOMP 1.2 "Heart-beating").
pub fn heart_beat(out: &mut Vec<u8>) {
    out.push(b'\n');
}

/// A CONNECTED frame (STOMP 1.2 "CONNECTED Frame").
#[derive(Debug, Clone, Copy)]
pub struct ConnectedFrame<'a> {
    /// What was negotiated.
    pub version: Version,
    /// Names the session.
    pub session: Option<&'a str>,
    /// `name["/"version]` of the server; `None` keeps it to itself.
    pub server: Option<&'a str>,
    /// What the server offers, from `ConnectFrame::heart_beat`; not sent to 1.0.
    pub heart_beat: Intervals,
    /// Echo of a `request-id`, which old ActiveMQ clients send.
    pub response_id: Option<&'a str>,
}

/// Appends CONNECTED.
pub fn connected(out: &mut Vec<u8>, frame: &ConnectedFrame<'_>) {
    let mut writer = FrameWriter::new(out, Command::Connected, Encoding::Handshake);
    writer.header("version", frame.version.as_str());
    if frame.version > Version::V1_0 {
        writer.header("heart-beat", &frame.heart_beat.to_string());
    }
    writer
        .optional("session", frame.session)
        .optional("server", frame.server)
        .optional("response-id", frame.response_id);
    writer.end();
}

/// Appends RECEIPT for a `receipt` header.
pub fn receipt(out: &mut Vec<u8>, version: Version, receipt_id: &str) {
    let mut writer = FrameWriter::new(out, Command::Receipt, version.into());
    writer.header("receipt-id", receipt_id);
    writer.end();
}

/// An ERROR frame (STOMP 1.2 "ERROR"); the connection closes after it.
#[derive(Debug, Clone, Copy)]
pub struct ErrorFrame<'a> {
    /// The short text. No secrets.
    pub message: &'a str,
    /// The `receipt` of the frame that failed.
    pub receipt_id: Option<&'a str>,
    /// The versions that are spoken here, when none was in common.
    pub version: Option<&'a str>,
    /// More text; cut after 1,024 octets.
    pub body: &'a str,
}

/// Appends ERROR; `version` is `None` before CONNECT.
pub fn error(out: &mut Vec<u8>, version: Option<Version>, frame: &ErrorFrame<'_>) {
    let encoding = version.map_or(Encoding::Handshake, Encoding::from);
    let mut writer = FrameWriter::new(out, Command::Error, encoding);
    writer
        .header("message", frame.message)
        .optional("receipt-id", frame.receipt_id)
        .optional("version", frame.version)
        .header("content-type", "text/plain");
    let end = frame.body.floor_char_boundary(ERROR_BODY_BYTES);
    writer.body(frame.body.get(..end).unwrap_or_default().as_bytes());
}

/// The headers of a MESSAGE that the server decides (STOMP 1.2 "MESSAGE").
#[derive(Debug, Clone, Copy)]
pub struct MessageHead<'a> {
    /// Id of the subscription; may be absent in 1.0 only.
    pub subscription: Option<&'a str>,
    /// Names the delivery.
    pub message_id: &'a str,
    /// Where the message was sent, with the prefix its sender wrote.
    pub destination: &'a str,
    /// What ACK has to name in 1.2; absent in `auto` mode.
    pub ack: Option<&'a str>,
    /// Adds `redelivered:true`.
    pub redelivered: bool,
    /// More headers of the server. They stand before the stored ones and so win over them.
    pub extra: &'a [(&'a str, &'a str)],
}

/// Appends MESSAGE: the server's headers, then those of `stored` that the server does not own,
/// copied as they are where `stored` and `target` escape alike, else decoded and escaped anew.
pub fn message(
    out: &mut Vec<u8>,
    head: &MessageHead<'_>,
    stored: Headers<'_>,
    target: Version,
    body: &[u8],
) {
    out.reserve(256 + stored.block().len() + body.len());
    message_head(out, head, stored, target, body.len());
    out.extend_from_slice(body);
    out.push(0);
}

/// As [`message`], up to and with the blank line: the caller appends a body of `body_bytes` octets,
/// which it may send from where it is, and a NUL.
pub fn message_head(
    out: &mut Vec<u8>,
    head: &MessageHead<'_>,
    stored: Headers<'_>,
    target: Version,
    body_bytes: usize,
) {
    let mut writer = FrameWriter::new(out, Command::Message, target.into());
    if let Some(subscription) = head.subscription {
        writer.known(b"subscription:", subscription);
    }
    writer.known(b"message-id:", head.message_id);
    writer.known(b"destination:", head.destination);
    if let Some(ack) = head.ack {
        writer.known(b"ack:", ack);
    }
    if head.redelivered {
        writer.known(b"redelivered:", "true");
    }
    for (name, value) in head.extra {
        writer.header(name, value);
    }
    copy_stored(&mut writer, stored);
    content_length(writer.out, body_bytes);
    writer.out.push(b'\n');
}

fn copy_stored(writer: &mut FrameWriter<'_>, stored: Headers<'_>) {
    let alike = escape_alike(stored, writer.encoding);
    for line in stored.lines() {
        if is_server_owned(line.name) {
            continue;
        }
        if alike {
            writer.out.extend_from_slice(line.whole);
            writer.out.push(b'\n');
        } else {
            let encoding = stored.encoding();
            writer.header(&encoding.decode(line.name), &encoding.decode(line.value));
        }
    }
}

/// Whether the lines of a block mean the same in another encoding. 1.1 and 1.2 differ in CR alone:
/// 1.1 has it raw, 1.2 as `\r`.
fn escape_alike(stored: Headers<'_>, target: Encoding) -> bool {
    match (stored.encoding(), target) {
        (from, to) if from == to => true,
        (Encoding::V1_1, Encoding::V1_2) => memchr(b'\r', stored.block()).is_none(),
        (Encoding::V1_2, Encoding::V1_1) => {
            memchr(b'\\', stored.block()).is_none()
                || memmem::find(stored.block(), b"\\r").is_none()
        }
        _ => false,
    }
}

/// Headers that a sender may not pass on to receivers.
fn is_server_owned(name: &[u8]) -> bool {
    matches!(
        name,
        b"destination"
            | b"content-length"
            | b"receipt"
            | b"transaction"
            | b"message-id"
            | b"subscription"
            | b"ack"
            | b"redelivered"
            | b"JMSXUserID"
    )
}

fn content_length(out: &mut Vec<u8>, length: usize) {
    let mut digits = [0_u8; 20];
    let mut rest = length;
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(b"content-length:");
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
    out.push(b'\n');
}
