//! ST-F18 and the promises for arbitrary input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{VERSIONS, connected_with};
use crate::encode::FrameWriter;
use crate::error::Fault;
use crate::event::Event;
use crate::frame::Command;
use crate::parser::Parser;
use crate::{Connection, Encoding, Limits, Version, fuzz};

fn versions() -> impl Strategy<Value = Version> {
    prop::sample::select(&VERSIONS[..])
}

/// What a version can carry as it is: see `Encoding::can_carry` and the padding of 1.0.
fn carried(encoding: Encoding, name: &str, value: &str) -> bool {
    let padded = |text: &str| text != text.trim_matches([' ', '\t', '\r']);
    let plain = encoding != Encoding::V1_0 || !(padded(name) || padded(value));
    plain
        && encoding.can_carry(name.as_bytes(), value.as_bytes())
        && !["content-length", "destination"].contains(&name)
}

/// Everything a machine makes of its input, with the input cut at `cuts`.
fn events(mut machine: Connection, input: &[u8], cuts: &[usize]) -> (Vec<String>, Option<Fault>) {
    let (mut seen, mut fault, mut start) = (Vec::new(), None, 0);
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    ends.push(input.len());
    ends.sort_unstable();
    for end in ends {
        let unread = input.get(start..end).unwrap_or_default();
        let mut consumed = 0;
        while let Some(event) = machine.poll_event(0, unread, &mut consumed) {
            match event {
                Ok(event) => seen.push(format!("{event:?}")),
                Err(error) => fault = Some(error.fault),
            }
        }
        start += consumed;
    }
    (seen, fault)
}

/// Octets that look like STOMP often enough to get deep.
fn stomp_like() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"CONNECT\n",
        b"SEND\n",
        b"SUBSCRIBE\r\n",
        b"UNSUBSCRIBE\n",
        b"ACK\n",
        b"BEGIN\n",
        b"DISCONNECT\n",
        b"XYZ\n",
        b"destination:/q\n",
        b"destination: /q \r\n",
        b"id:1\n",
        b"receipt:r\n",
        b"content-length:3\n",
        b"content-length:999\n",
        b"accept-version:1.2\n",
        b"accept-version:1.1\n",
        b"transaction:t\n",
        b"k:\\c\\n\n",
        b"k:\\r\n",
        b"k:\\t\n",
        b":\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b"\n\0",
        b"\n\0",
        b"\nabc\0",
        b"\na\0b\0",
        b"\\",
        b"\xff",
    ];
    vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn st_f18_any_headers_and_body_come_back_in_all_versions(
        version in versions(),
        headers in vec((any::<String>(), any::<String>()), 0..20),
        special in vec(("[a\\\\:\r\n \0]{1,6}", "[b\\\\:\r\n \0]{0,6}"), 0..10),
        body in vec(any::<u8>(), 0..2_000),
    ) {
        let encoding = Encoding::from(version);
        let headers: Vec<_> = headers
            .into_iter()
            .chain(special)
            .filter(|(name, value)| carried(encoding, name, value))
            .collect();
        let mut out = Vec::new();
        let mut writer = FrameWriter::new(&mut out, Command::Send, encoding);
        for (name, value) in &headers {
            writer.header(name, value);
        }
        writer.body(&body);
        let mut parser = Parser::new(Limits::default());
        parser.set_version(version);
        let mut consumed = 0;
        let frame = parser.poll_frame(&out, &mut consumed).unwrap().unwrap();
        prop_assert_eq!(consumed, out.len());
        prop_assert_eq!(frame.body, &body[..]);
        let mut read: Vec<_> =
            frame.headers.iter().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let length = read.pop().unwrap();
        prop_assert_eq!(length, ("content-length".to_owned(), body.len().to_string()));
        prop_assert_eq!(read, headers);
    }

    #[test]
    fn any_header_survives_storage_in_one_version_and_delivery_in_another(
        stored_in in versions(),
        target in versions(),
        headers in vec(("[a\\\\:\r\n]{1,6}", "[b\\\\:\r\n]{0,6}"), 0..12),
    ) {
        let both = [Encoding::from(stored_in), Encoding::from(target)];
        let headers: Vec<_> = headers
            .into_iter()
            .filter(|(name, value)| both.iter().all(|encoding| carried(*encoding, name, value)))
            .collect();
        let mut out = Vec::new();
        let mut writer = FrameWriter::new(&mut out, Command::Send, stored_in.into());
        writer.header("destination", "/q");
        for (name, value) in &headers {
            writer.header(name, value);
        }
        writer.body(b"");
        let mut machine = connected_with(stored_in, Limits::default());
        let Some(Ok(Event::Send(send))) = machine.poll_event(0, &out, &mut 0) else {
            panic!("no SEND")
        };
        let head = crate::encode::MessageHead {
            subscription: None,
            message_id: "m",
            destination: "/q",
            ack: None,
            redelivered: false,
            extra: &[],
        };
        let mut delivered = Vec::new();
        crate::encode::message(&mut delivered, &head, send.headers, target, send.body);
        let mut parser = Parser::new(Limits::default());
        parser.set_version(target);
        let frame = parser.poll_frame(&delivered, &mut 0).unwrap().unwrap();
        let read: Vec<_> = frame
            .headers
            .iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .filter(|(name, _)| !["message-id", "destination", "content-length"].contains(&&**name))
            .collect();
        prop_assert_eq!(read, headers);
    }

    #[test]
    fn arbitrary_chunking_gives_the_same_events(
        version in versions(),
        input in stomp_like(),
        cuts in vec(any::<usize>(), 0..30),
    ) {
        let limits = Limits { header_line_bytes: 24, header_block_bytes: 48, ..Limits::default() };
        let machine = || connected_with(version, limits);
        let whole = events(machine(), &input, &[]);
        prop_assert_eq!(events(machine(), &input, &cuts), whole.clone());
        let every: Vec<_> = (0..input.len()).collect();
        prop_assert_eq!(events(machine(), &input, &every), whole);
    }

    #[test]
    fn fuzz_decode_of_anything(data in vec(any::<u8>(), 0..300), like in stomp_like()) {
        fuzz::decode(&data);
        for choice in 0..4 {
            fuzz::decode(&[&[choice], &like[..]].concat());
        }
    }

    #[test]
    fn fuzz_machine_of_anything(data in vec(any::<u8>(), 0..300), like in stomp_like()) {
        fuzz::machine(&data);
        let connect = b"CONNECT\naccept-version:1.0,1.1,1.2\n\n\0";
        for piece in [0, 7, 255] {
            fuzz::machine(&[&[piece], &connect[..], &like].concat());
        }
    }
}
