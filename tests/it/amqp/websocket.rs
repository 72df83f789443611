//! Rule 107: AMQP over WebSocket.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::support::wire::{PATIENCE, Wire};

#[test]
fn r107_frames_do_not_follow_the_messages_that_carry_them() {
    let process = server("");
    for (listener, path) in [
        ("websocket", "/amqp"),
        ("http", "/amqp"),
        ("websocket", "/"),
    ] {
        let wire = Wire::websocket(process.address(listener), path, "amqp").unwrap();
        let mut client = Amqp::new(wire);
        let mut all = amqp::AMQP.to_vec();
        for body in [open(), amqp::begin(), amqp::sender("s", 0, "web")] {
            all.extend(amqp::frame(0, 0, &amqp::encoded(body), &[]));
        }
        // Two octets at first, then all but one, then that.
        let end = all.len() - 1;
        for part in [&all[..2], &all[2..end], &all[end..]] {
            client.bytes(part);
        }
        assert_eq!(client.header(), amqp::AMQP, "{listener} {path}");
        for name in ["open", "begin", "attach", "flow"] {
            client.expect(name);
        }
        client.send(0, 0, &amqp::message(true, &[b'x'; 100_000]));
        client.outcome(0, 0, "accepted");
        client.say(0, Composite::new("close"));
        client.expect("close");
    }
}

#[test]
fn r107_sasl_is_spoken_and_tls_is_not() {
    let process = server("");
    let connect = || {
        let wire = Wire::websocket(process.address("websocket"), "/amqp", "amqp").unwrap();
        Amqp::new(wire)
    };
    let mut client = connect();
    client.bytes(&amqp::SASL);
    assert_eq!(client.header(), amqp::SASL);
    client.expect("mechanisms");
    let mut client = connect();
    client.bytes(b"AMQP\x02\x01\0\0");
    assert_eq!(client.header(), amqp::AMQP);
    assert!(client.wire.input.exactly(1).is_err());
}

/// The subprotocol is `amqp` and nothing like it; text closes with 1003.
#[test]
fn r107_other_subprotocols_and_text_are_refused() {
    let process = server("");
    for subprotocol in ["AMQP", "amqp10", "amqpwsb10"] {
        let refused = Wire::websocket(process.address("websocket"), "/amqp", subprotocol);
        assert!(refused.is_err(), "{subprotocol}");
    }
    let mut socket = TcpStream::connect(process.address("websocket")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "GET /amqp HTTP/1.1\r\nHost: it\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Sec-WebSocket-Protocol: amqp\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    // A text frame of one masked letter.
    socket.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'A']).unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let frame = &all[end..];
    assert_eq!(frame[0], 0x88, "a close: {frame:?}");
    assert_eq!(frame[2..4], 1003_u16.to_be_bytes());
}
