//! Bodies of the fuzz targets, shared with the property tests. They take any bytes and assert
//! what must hold for all of them; a panic is a finding.

mod broker;
mod ledger;
mod pair;

pub use self::pair::pair;

use crate::client::Client;
use crate::codec::{Framed, frame};
use crate::connection::{Accept, Connection, Event};
use crate::copies::Copies;
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{Connect, Packet, QoS, Version, packet_id_after};
use crate::patch::Patch;
use crate::properties::{Properties, PropertyId};
use crate::run::{Packets, PublishRun};
use crate::sender::Sender;
use crate::terms::Terms;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// Decodes the first packet of `data` in every version. What decodes must encode, and decode
/// again to the same packet.
pub fn decode(data: &[u8]) {
    let Ok(Framed::Frame(found)) = frame(data, data.len()) else {
        return;
    };
    for version in VERSIONS {
        let Ok(packet) = Packet::decode(found, version) else {
            continue;
        };
        let mut out = Vec::new();
        assert_eq!(packet.encode(version, &mut out), Ok(()));
        let Ok(Framed::Frame(again)) = frame(&out, out.len()) else {
            unreachable!("an encoded packet is complete: {out:02x?}");
        };
        assert_eq!(again.bytes.len(), out.len());
        assert_eq!(Packet::decode(again, version), Ok(packet));
    }
}

/// Feeds `data` to both machines; its first byte chooses the version, its second how the rest is
/// cut. The server's events must not depend on the cut, and patched copies must decode.
pub fn machine(data: &[u8]) {
    let [choice, cut, rest @ ..] = data else {
        return;
    };
    let mut input = Vec::new();
    if let Some(version) = VERSIONS.get(usize::from(choice % 4)) {
        let connect = sample_connect(*version);
        assert_eq!(connect.encode(&mut input), Ok(()));
    }
    input.extend_from_slice(rest);
    let whole = transcript(&input, input.len());
    assert_eq!(whole, transcript(&input, usize::from(*cut).max(1)));
    drive_client(rest, VERSIONS.get(usize::from(choice % 3)).copied());
}

fn sample_connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 60,
        client_id: "fuzz",
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    }
}

/// The events of a server machine that gets `input` in pieces of `cut` bytes, packet by packet.
fn transcript(input: &[u8], cut: usize) -> Vec<String> {
    let mut machine = Connection::server(Limits::default(), 0);
    let mut lines = Vec::new();
    let mut buffer = Vec::new();
    for piece in input.chunks(cut.max(1)) {
        buffer.extend_from_slice(piece);
        let mut consumed = 0;
        loop {
            let before = consumed;
            let opens = match machine.poll_event(0, &buffer, &mut consumed) {
                Some(Ok(event)) => {
                    assert!(consumed > before && consumed <= buffer.len());
                    record(&event, &mut lines)
                }
                Some(Err(error)) => {
                    lines.push(format!("{error}"));
                    machine.put_goodbye(error, &mut Vec::new());
                    return lines;
                }
                None => break,
            };
            if opens {
                let accepted = machine.accept(0, &Accept::default(), &mut Vec::new());
                assert!(accepted != Err(Error::NotConnected));
                if accepted.is_err() {
                    return lines;
                }
            }
        }
        if machine.is_closed() {
            return lines;
        }
        buffer.drain(..consumed);
        assert!(machine.needed() > buffer.len());
    }
    lines
}

/// Writes an event down and returns whether it was a CONNECT.
fn record(event: &Event<'_>, lines: &mut Vec<String>) -> bool {
    match event {
        Event::Connect(connect) => {
            lines.push(format!("{connect:?}"));
            return true;
        }
        Event::Publish(run) => {
            assert!(!run.is_empty());
            check_copies(run);
            for (i, packet) in run.packets.iter().enumerate() {
                let topic = run.topic;
                lines.push(format!(
                    "{topic} {:?} {:?} {packet:02x?}",
                    run.id(i),
                    run.payload(i)
                ));
            }
        }
        Event::Acks(run) => {
            for i in 0..run.n {
                let id = packet_id_after(run.first_id, i);
                lines.push(format!(
                    "{:?} {id} {} {:?}",
                    run.kind, run.reason, run.properties
                ));
            }
        }
        other => lines.push(format!("{other:?}")),
    }
    false
}

/// Copies for every granted QoS and both encodings decode to the same messages.
fn check_copies(run: &PublishRun<'_>) {
    let other = if run.version == Version::V5 {
        Version::V311
    } else {
        Version::V5
    };
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let patch = Patch {
            first_id: 65_535,
            qos,
            dup: true,
            retain: true,
        };
        for to in [run.version, other] {
            let mut stored = Vec::new();
            let mut ends = Vec::new();
            for i in 0..run.len() {
                let before = stored.len();
                assert_eq!(run.put_plain(&mut stored, i), Ok(()));
                assert_eq!(stored.len() - before, run.plain_len(i));
                ends.push(u32::try_from(stored.len()).unwrap_or(u32::MAX));
            }
            let packets = Packets::new(&stored, &ends);
            let mut sender = Sender::new(to, Terms::default(), &Limits::default());
            let mut copies = Vec::new();
            let written = sender.put_run(&mut copies, packets, Copies::new(run.version, patch));
            assert_eq!(written, Ok(run.len()));
            check_copy(run, to, patch, &copies);
        }
    }
}

fn check_copy(run: &PublishRun<'_>, to: Version, patch: Patch, copies: &[u8]) {
    let qos = run.qos.min(patch.qos);
    let mut rest = copies;
    for (i, payload) in run.payloads().enumerate() {
        let Ok(Framed::Frame(found)) = frame(rest, rest.len()) else {
            unreachable!("a copy is a complete packet: {rest:02x?}");
        };
        rest = rest.get(found.bytes.len()..).unwrap_or_default();
        let Ok(Packet::Publish(copy)) = Packet::decode(found, to) else {
            unreachable!("a copy decodes: {found:02x?}");
        };
        assert_eq!((copy.topic, copy.payload), (run.topic, payload));
        assert_eq!((copy.qos, copy.retain), (qos, true));
        let id = (qos > QoS::AtMostOnce).then(|| packet_id_after(patch.first_id, i));
        assert_eq!((copy.id, copy.dup), (id, id.is_some()));
        if run.version == to {
            let forwarded = |(id, _): &(PropertyId, _)| *id != PropertyId::TopicAlias;
            let expected = run.properties.iter().filter(forwarded);
            assert!(copy.properties.iter().eq(expected));
        }
    }
    assert!(rest.is_empty());
}

fn drive_client(input: &[u8], version: Option<Version>) {
    let mut client = Client::new(Limits::default(), 10);
    let connect = sample_connect(version.unwrap_or(Version::V311));
    assert_eq!(client.connect(0, &connect), Ok(()));
    let mut answered = vec![0x20, 2, 0, 0];
    if connect.version == Version::V5 {
        answered = vec![0x20, 3, 0, 0, 0];
    }
    answered.extend_from_slice(input);
    let mut consumed = 0;
    while let Some(Ok(_)) = client.poll_event(0, &answered, &mut consumed) {
        assert!(consumed <= answered.len());
    }
}
