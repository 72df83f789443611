//! Headers, SASL, open and close.

use super::*;
use crate::{Close, Sasl};

#[test]
fn r2_r5_everything_may_come_in_one_write() {
    let mut server = Server::with(Server::limits(), OFFER);
    let mut bytes = SASL.to_vec();
    let init = Sasl::Init {
        mechanism: "ANONYMOUS",
        response: None,
        hostname: None,
    };
    init.put(&mut bytes);
    bytes.extend_from_slice(AMQP);
    Performative::Open(Open::new("c")).put(&mut bytes, 0);
    Performative::Begin(begin()).put(&mut bytes, 2);
    attach("l", 5, Role::Sender).put(&mut bytes, 2);
    // In one piece, and octet by octet.
    for octets in [bytes.len(), 1] {
        let mut server = Server::with(Server::limits(), OFFER);
        for part in bytes.chunks(octets) {
            server.write(part);
        }
        assert_eq!(
            server.seen,
            ["init ANONYMOUS", "open c", "begin 0", "attach 0 l"]
        );
        let said = server.said();
        assert_eq!(
            said[..5],
            ["header 3", "sasl", "sasl", "header 0", "open \"server\""]
        );
        assert_eq!(
            said[5..7],
            [
                "0 begin Some(2)",
                "0 attach 0 \"l\" source true target true"
            ]
        );
    }
    server.write(b"AMQP\x09\x01\0\0");
    assert_eq!(
        (server.failed, server.said()),
        (Some(Error::Protocol), vec!["header 0".into()])
    );
}

#[test]
fn r1_a_server_that_wants_sasl_says_so_to_who_does_without() {
    let required = SaslOffer {
        required: true,
        ..OFFER
    };
    let mut server = Server::with(Server::limits(), required);
    server.write(AMQP);
    assert_eq!(server.failed, Some(Error::Protocol));
    assert_eq!(server.said(), ["header 3"]);
    assert!(server.machine.is_closed());
}

#[test]
fn r3_sasl_out_of_order_and_failed_is_the_end() {
    let mut server = Server::with(Server::limits(), OFFER);
    let mut bytes = SASL.to_vec();
    Sasl::Response(b"x").put(&mut bytes);
    server.write(&bytes);
    assert_eq!(server.failed, Some(Error::Sasl));
    let mut server = Server::with(Server::limits(), OFFER);
    let mut bytes = SASL.to_vec();
    let init = Sasl::Init {
        mechanism: "OTHER",
        response: None,
        hostname: None,
    };
    init.put(&mut bytes);
    bytes.extend_from_slice(AMQP);
    server.write(&bytes);
    assert_eq!(server.said(), ["header 3", "sasl", "sasl"]);
    assert!(server.machine.is_closed());
}

#[test]
fn r6_r7_r8_what_comes_instead_of_an_open_is_told_in_close() {
    let small = Open {
        max_frame_size: 511,
        ..Open::new("c")
    };
    let many = "amqp:connection:framing-error";
    for (what, channel, performative, condition) in [
        (
            "no open",
            0,
            Performative::Begin(begin()),
            "amqp:illegal-state",
        ),
        (
            "another channel",
            1,
            Performative::Open(Open::new("c")),
            "amqp:illegal-state",
        ),
        ("frames of 511", 0, Performative::Open(small), many),
    ] {
        let mut server = Server::with(Server::limits(), OFFER);
        server.write(AMQP);
        server.send(channel, performative);
        let said = server.said();
        assert_eq!(
            said[1..],
            ["open \"\"".to_owned(), format!("close {condition}")],
            "{what}"
        );
        assert!(server.machine.is_closed(), "{what}");
    }
    for (what, bytes, condition) in [
        ("a size of 7", &[0, 0, 0, 7, 2, 0, 0, 0][..], many),
        ("a size above the limit", &[0, 1, 0, 0, 2, 0, 0, 0], many),
        ("a frame of SASL", &[0, 0, 0, 8, 2, 1, 0, 0], many),
        (
            "garbage",
            &[0, 0, 0, 9, 2, 0, 0, 0, 0xff],
            "amqp:decode-error",
        ),
    ] {
        let mut server = Server::opened();
        server.write(bytes);
        assert_eq!(server.said(), [format!("close {condition}")], "{what}");
    }
}

#[test]
fn r16_closes_are_answered_once_and_what_crosses_ours_is_passed_over() {
    let close = || Performative::Close(Close::default());
    let mut server = Server::begun();
    server.send(0, close());
    assert_eq!(
        (server.said(), server.seen.clone()),
        (vec!["close".into()], vec!["close".into()])
    );
    assert!(server.machine.is_closed());
    server.write(b"whatever");
    assert!(server.input.is_empty() && server.failed.is_none());
    let mut server = Server::begun();
    server.machine.close(0, None, &mut server.out);
    server.machine.close(0, None, &mut server.out);
    server.send(0, attach("l", 0, Role::Sender));
    server.send(0, close());
    assert_eq!(server.said(), ["close"]);
    assert!(server.seen.is_empty() && server.machine.is_closed());
}

#[test]
fn r11_empty_frames_are_nothing() {
    let mut server = Server::begun();
    server.write(&[0, 0, 0, 8, 2, 0, 0, 9]);
    assert!(server.said().is_empty() && server.seen.is_empty() && server.failed.is_none());
}
