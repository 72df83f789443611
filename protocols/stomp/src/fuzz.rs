//! Bodies of the fuzz targets, shared with the property tests. They panic where a promise of this
//! crate is broken.

use std::borrow::Cow;

use crate::connection::Connection;
use crate::encode::FrameWriter;
use crate::frame::Frame;
use crate::headers::Headers;
use crate::heartbeat::HeartBeat;
use crate::limits::Limits;
use crate::parser::Parser;
use crate::version::Version;

/// Reads frames out of anything; what is read must come back the same from the encoder. The first
/// octet chooses the version.
pub fn decode(data: &[u8]) {
    let Some((choice, input)) = data.split_first() else {
        return;
    };
    let version = [
        None,
        Some(Version::V1_0),
        Some(Version::V1_1),
        Some(Version::V1_2),
    ]
    .get(usize::from(choice % 4))
    .copied()
    .flatten();
    let mut parser = parser(version, limits());
    let mut consumed = 0;
    while let Some(Ok(frame)) = parser.poll_frame(input, &mut consumed) {
        assert!(consumed <= input.len(), "consumed more than there is");
        let again = encode(&frame);
        // Escapes may make it longer than it was.
        let mut reader = self::parser(version, Limits::default());
        let copy = reader.poll_frame(&again, &mut 0).and_then(Result::ok);
        let same = copy.is_some_and(|copy| {
            copy.command == frame.command
                && copy.body == frame.body
                && passed_on(copy.headers).eq(passed_on(frame.headers))
        });
        assert!(same, "a frame changed on its way through the encoder");
    }
    assert!(
        parser.needed() <= most_needed(),
        "asks for more than a frame may have"
    );
}

/// Feeds anything to a server, in pieces whose size the first octet chooses.
pub fn machine(data: &[u8]) {
    let Some((piece, input)) = data.split_first() else {
        return;
    };
    let mut machine = Connection::server(limits(), HeartBeat::default(), 0);
    let mut start = 0;
    let mut end = 0;
    let mut now_ms = 0;
    while end < input.len() {
        end = input.len().min(end + usize::from(*piece) + 1);
        now_ms += 100;
        machine.note_received(now_ms);
        let unread = input.get(start..end).unwrap_or_default();
        let mut consumed = 0;
        loop {
            let before = consumed;
            let event = machine.poll_event(now_ms, unread, &mut consumed);
            assert!(
                before <= consumed && consumed <= unread.len(),
                "consumed goes astray"
            );
            if let Some(Err(error)) = &event {
                let mut out = Vec::new();
                error.encode(&mut out, machine.version());
                assert!(out.ends_with(b"\0"), "an ERROR frame without end");
                assert!(machine.poll_timeout().is_none(), "alive after an error");
            }
            if event.is_none() {
                break;
            }
        }
        start += consumed;
        assert!(
            machine.needed() <= most_needed(),
            "asks for more than a frame may have"
        );
        machine.handle_timeout(now_ms);
    }
}

/// Small ceilings, so that fuzzing reaches them.
fn limits() -> Limits {
    Limits {
        header_line_bytes: 64,
        header_count: 8,
        header_block_bytes: 256,
        body_bytes: 512,
        subscriptions: 4,
        ..Limits::default()
    }
}

fn most_needed() -> usize {
    let limits = limits();
    let lines = limits.header_block_bytes + limits.header_line_bytes;
    limits.command_bytes + lines + limits.body_bytes + 8
}

fn parser(version: Option<Version>, limits: Limits) -> Parser {
    let mut parser = Parser::new(limits);
    if let Some(version) = version {
        parser.set_version(version);
    }
    parser
}

fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = FrameWriter::new(&mut out, frame.command, frame.headers.encoding());
    for (name, value) in passed_on(frame.headers) {
        writer.header(&name, &value);
    }
    if frame.body.is_empty() {
        writer.end();
    } else {
        writer.body(frame.body);
    }
    out
}

/// The headers without `content-length`, of which the writer adds its own.
fn passed_on<'a>(headers: Headers<'a>) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
    headers.iter().filter(|(name, _)| name != "content-length")
}
