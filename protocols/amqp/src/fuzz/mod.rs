//! What must hold for any input; shared by the property tests and fuzz targets.

mod pair;

pub use pair::pair;

use crate::types::{Value, check, put_value};
use crate::{
    Connection, Event, FrameKind, Framed, Limits, Open, Performative, Sasl, SaslCode, SaslOffer,
    Sections, frame,
};

/// Largest frame of the fuzzed side.
const MAX_FRAME: usize = 64 << 10;

/// Reads everything that `bytes` may be. Nothing panics, and what can be read is written so that
/// it reads the same.
pub fn decode(bytes: &[u8]) {
    frames(bytes);
    if let Ok((performative, _)) = Performative::decode(bytes) {
        let mut out = Vec::new();
        performative.put(&mut out, 0);
        let again = Performative::decode(out.get(8..).unwrap_or_default());
        assert_eq!(again, Ok((performative, &[][..])), "{bytes:02x?}");
    }
    if let Ok(sasl) = Sasl::decode(bytes) {
        let mut out = Vec::new();
        sasl.put(&mut out);
        let again = Sasl::decode(out.get(8..).unwrap_or_default());
        assert_eq!(again, Ok(sasl), "{bytes:02x?}");
    }
    if let Ok(value) = Value::decode(bytes) {
        let whole = check(bytes).is_ok();
        let mut out = Vec::new();
        put_value(&mut out, &value);
        assert_eq!(check(&out).is_ok(), whole, "{bytes:02x?}");
    }
    message(bytes);
}

fn frames(bytes: &[u8]) {
    let mut at = 0;
    while let Ok(Framed::Frame(found)) = frame(bytes.get(at..).unwrap_or_default(), MAX_FRAME) {
        assert!(found.len >= 8);
        at += found.len;
        match found.kind {
            FrameKind::Sasl => drop(Sasl::decode(found.body)),
            FrameKind::Amqp { .. } => drop(Performative::decode(found.body)),
        }
    }
}

fn message(bytes: &[u8]) {
    let Ok(sections) = Sections::read(bytes) else {
        return;
    };
    let parts = [&sections.header, &sections.properties];
    assert!(parts.iter().all(|part| part.end <= bytes.len()));
    assert!(sections.bare().end <= bytes.len());
    if let Ok(header) = sections.read_header(bytes) {
        let mut out = Vec::new();
        header.put(&mut out);
        let again = Sections::read(&out).and_then(|sections| sections.read_header(&out));
        assert_eq!(again, Ok(header));
    }
    if let Ok(properties) = sections.read_properties(bytes) {
        let mut out = Vec::new();
        properties.put(&mut out);
        let again = Sections::read(&out);
        let again = again.and_then(|sections| sections.read_properties(&out));
        assert_eq!(again, Ok(properties));
    }
    for pairs in [
        sections.read_annotations(bytes),
        sections.read_application_properties(bytes),
    ]
    .into_iter()
    .flatten()
    {
        assert!(pairs.iter().count() <= bytes.len());
    }
    assert!(sections.read_body(bytes).count() <= bytes.len());
}

/// Gives `bytes` to a server in pieces of `piece` bytes. Nothing panics, no input is taken twice,
/// and what is answered are
/// frames that the client takes.
pub fn input(bytes: &[u8], piece: usize) {
    let offer = SaslOffer {
        mechanisms: &["ANONYMOUS"],
        required: false,
    };
    let mut machine = Connection::server(Limits::default(), offer, 0);
    let (mut input, mut out) = (Vec::new(), Vec::new());
    for part in bytes.chunks(piece.max(1)) {
        input.extend_from_slice(part);
        let mut at = 0;
        while let Some(Ok(event)) = machine.poll_event(0, &input, &mut at, &mut out) {
            answer(&mut machine, &event, &mut out);
        }
        assert!(at <= input.len());
        input.drain(..at);
    }
    let mut rest = out.as_slice();
    while let Some(header) = rest.strip_prefix(b"AMQP") {
        rest = header.get(4..).unwrap_or_default();
        rest = after_frames(rest, machine.remote_max_frame());
    }
    assert!(rest.is_empty(), "answered what is no frame: {rest:02x?}");
}

/// What stands behind the frames, of at most `max` bytes, at the begin of some bytes.
fn after_frames(mut rest: &[u8], max: usize) -> &[u8] {
    while let Ok(Framed::Frame(found)) = frame(rest, max) {
        rest = rest.get(found.len..).unwrap_or_default();
    }
    rest
}

fn answer(machine: &mut Connection, event: &Event<'_>, out: &mut Vec<u8>) {
    match event {
        Event::SaslInit { .. } => drop(machine.sasl_outcome(SaslCode::Ok, out)),
        Event::Open(_) => drop(machine.open(&Open::new("server"), out)),
        Event::Attach(link, attach) => {
            machine.attach(*link, attach, out);
            machine.set_credit(*link, 10, out);
        }
        _ => {}
    }
}
