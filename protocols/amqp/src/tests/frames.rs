//! Protocol headers, frames and the SASL layer.

use super::hex;
use crate::types::Symbols;
use crate::{
    Error, Frame, FrameKind, Framed, Protocol, ProtocolHeader, Sasl, SaslCode, frame,
    put_empty_frame, put_mechanisms,
};

#[test]
fn r1_headers_are_told_apart_as_early_as_can_be() {
    for (bytes, header) in [
        (
            &b"AMQP\0\x01\0\0"[..],
            Some(ProtocolHeader::Known(Protocol::Amqp)),
        ),
        (
            b"AMQP\x03\x01\0\0more",
            Some(ProtocolHeader::Known(Protocol::Sasl)),
        ),
        (
            b"AMQP\x02\x01\0\0",
            Some(ProtocolHeader::Known(Protocol::Tls)),
        ),
        (b"", None),
        (b"AMQP\x03\x01", None),
        (b"AMQP\x01", Some(ProtocolHeader::Unknown)),
        (b"AMQP\0\0\x09\x01", Some(ProtocolHeader::Unknown)),
        (b"GET ", Some(ProtocolHeader::Unknown)),
    ] {
        assert_eq!(ProtocolHeader::read(bytes), header, "{bytes:?}");
    }
}

#[test]
fn r8_heads_of_frames_are_checked_before_their_body_comes() {
    let whole = |kind, body, len| Ok(Framed::Frame(Frame { kind, body, len }));
    let amqp = |channel| FrameKind::Amqp { channel };
    for (bytes, read) in [
        ("", Ok(Framed::Need(8))),
        ("00000010 020000", Ok(Framed::Need(8))),
        ("00000010 02000000", Ok(Framed::Need(16))),
        ("00000008 02000001", whole(amqp(1), &[][..], 8)),
        ("00000009 02010000 07 08", whole(FrameKind::Sasl, &[7], 9)),
        // An extended header is passed over.
        ("0000000d 03000000 ffffffff 07", whole(amqp(0), &[7], 13)),
        ("00000007 02000000", Err(Error::Framing("T 2.3.1"))),
        ("00000000 02000000", Err(Error::Framing("T 2.3.1"))),
        ("00000008 01000000", Err(Error::Framing("T 2.3.1"))),
        ("0000000b 03000000", Err(Error::Framing("T 2.3.1"))),
        ("00000008 02020000", Err(Error::Framing("T 2.3.1"))),
        ("00000201 02000000", Err(Error::Framing("T 2.7.1"))),
        ("ffffffff 02000000", Err(Error::Framing("T 2.7.1"))),
    ] {
        assert_eq!(frame(&hex(bytes), 512), read, "{bytes}");
    }
    let mut out = Vec::new();
    put_empty_frame(&mut out);
    assert_eq!(out, hex("00000008 02000000"));
}

#[test]
fn r3_frames_of_sasl_go_both_ways() {
    let init = Sasl::Init {
        mechanism: "PLAIN",
        response: Some(b"\0a\0b"),
        hostname: Some("h"),
    };
    let outcome = Sasl::Outcome {
        code: SaslCode::Auth,
        data: None,
    };
    for (frame_of, bytes) in [
        (
            init,
            "0000001e 02010000 00 53 41 c0 11 03 a3 05 504c41494e a0 04 00610062 a1 01 68",
        ),
        (
            Sasl::Challenge(&[1]),
            "00000011 02010000 00 53 42 c0 04 01 a0 01 01",
        ),
        (
            Sasl::Response(&[]),
            "00000010 02010000 00 53 43 c0 03 01 a0 00",
        ),
        (outcome, "00000010 02010000 00 53 44 c0 03 01 50 01"),
    ] {
        let mut out = Vec::new();
        frame_of.put(&mut out);
        assert_eq!(out, hex(bytes));
        assert_eq!(Sasl::decode(&out[8..]), Ok(frame_of));
    }
    let mut out = Vec::new();
    put_mechanisms(&mut out, ["PLAIN", "ANONYMOUS"].into_iter());
    let Ok(Sasl::Mechanisms(names)) = Sasl::decode(&out[8..]) else {
        panic!("no mechanisms");
    };
    assert!(names.iter().eq(["PLAIN", "ANONYMOUS"]));
    assert_eq!(
        Sasl::decode(&hex("00 53 40 c0 04 01 a3 01 61")).map(is_one),
        Ok(true)
    );
    for broken in [
        "",
        "40",
        "00 53 10 45",
        "00 53 41 45",
        "00 53 44 c0 03 01 50 09",
    ] {
        assert!(Sasl::decode(&hex(broken)).is_err(), "{broken}");
    }
}

fn is_one(frame: Sasl<'_>) -> bool {
    let one = |names: Symbols<'_>| names.iter().eq(["a"]);
    matches!(frame, Sasl::Mechanisms(names) if one(names))
}
