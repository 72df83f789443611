//! Clients against servers that our own is not: written down byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Running, client, run};

/// A server for one connection; `serve` gets it after CONNECT was read.
fn server(serve: impl FnOnce(TcpStream, Vec<u8>) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let connect = packet(&mut stream);
        serve(stream, connect);
    });
    (address, thread)
}

/// The next packet, of less than 128 bytes.
fn packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert!(head[1] < 128);
    let mut body = vec![0; head[1].into()];
    stream.read_exact(&mut body).unwrap();
    [&head[..], &body].concat()
}

const ACCEPTED: &[u8] = b"\x20\x03\x00\x00\x00";

#[test]
fn a_refused_login_is_code_3_with_the_servers_words() {
    let (address, server) = server(|mut stream, connect| {
        let login = b"\x00\x03ann\x00\x06s3cret";
        assert!(connect.ends_with(login), "{connect:?}");
        // CONNACK 0x86 with the reason string "no" and a control character.
        stream
            .write_all(b"\x20\x09\x00\x86\x06\x1f\x00\x03n\x1bo")
            .unwrap();
    });
    let mut command = client(address, &["pub", "t", "x", "--user", "ann"]);
    command.env("TERNMQ_PASSWORD", "s3cret");
    let outcome = Running::start(command, b"").finish();
    server.join().unwrap();
    assert_eq!(outcome.code, Some(3));
    let expected = "ternmq: the server refuses the connection: bad user name or password (0x86), \
                    \"no\"\n  hint: give --user";
    assert!(outcome.stderr.starts_with(expected), "{}", outcome.stderr);
}

#[test]
fn a_server_of_the_old_version_gets_a_hint() {
    let (address, server) = server(|mut stream, _| {
        // Return code 1 of MQTT 3.1.1: unacceptable protocol version.
        stream.write_all(b"\x20\x02\x00\x01").unwrap();
    });
    let outcome = run(address, &["pub", "t", "x"]);
    server.join().unwrap();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("--mqtt 3"), "{}", outcome.stderr);
}

#[test]
fn a_connection_that_breaks_before_the_confirm_is_code_6() {
    let (address, server) = server(|mut stream, _| {
        stream.write_all(ACCEPTED).unwrap();
        assert_eq!(packet(&mut stream)[0], 0x32);
    });
    let outcome = run(address, &["pub", "t", "x"]);
    server.join().unwrap();
    assert_eq!(outcome.code, Some(6), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("closed the connection"),
        "{}",
        outcome.stderr
    );
}

/// Mutant: `Progress::is_complete` without `unconfirmed`.
#[test]
fn qos_2_ends_only_after_pubcomp() {
    let (address, server) = server(|mut stream, _| {
        stream.write_all(ACCEPTED).unwrap();
        assert_eq!(packet(&mut stream)[0], 0x34);
        stream.write_all(b"\x50\x02\x00\x01").unwrap();
        assert_eq!(packet(&mut stream), b"\x62\x02\x00\x01");
        stream.write_all(b"\x70\x02\x00\x01").unwrap();
        assert_eq!(packet(&mut stream), b"\xe0\x00");
    });
    let outcome = run(address, &["pub", "t", "x", "--qos", "2", "--verbose"]);
    server.join().unwrap();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("confirmed: 1"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_a_server_does_not_take_is_not_sent() {
    for (option, property, expected) in [
        ("--qos=1", b"\x24\x00", "takes no QoS above 0"),
        ("--retain", b"\x25\x00", "keeps no retained values"),
    ] {
        let (address, server) = server(move |mut stream, _| {
            stream.write_all(b"\x20\x05\x00\x00\x02").unwrap();
            stream.write_all(property).unwrap();
            assert_eq!(
                packet(&mut stream),
                b"\xe0\x00",
                "a goodbye and nothing else"
            );
        });
        let outcome = run(address, &["pub", "t", "x", option]);
        server.join().unwrap();
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

/// The server confirms one message at a time. Mutant: `has_room` without `machine.room()`.
#[test]
fn a_window_of_one_is_kept() {
    let (address, server) = server(|mut stream, _| {
        stream
            .write_all(b"\x20\x06\x00\x00\x03\x21\x00\x01")
            .unwrap();
        for _ in 0..3 {
            let publish = packet(&mut stream);
            let id = [publish[5], publish[6]];
            stream.write_all(&[b"\x40\x02", &id[..]].concat()).unwrap();
        }
        assert_eq!(packet(&mut stream), b"\xe0\x00");
    });
    let outcome = run(address, &["pub", "t", "x", "--repeat", "3"]);
    server.join().unwrap();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

/// Mutant: no branch for the keep-alive in `Client::exchange`.
#[test]
fn silence_is_filled_with_pings_and_unanswered_ones_are_code_6() {
    let (address, server) = server(|mut stream, connect| {
        assert_eq!(connect[10..12], [0, 1], "keep-alive of one second");
        stream.write_all(ACCEPTED).unwrap();
        assert_eq!(packet(&mut stream)[0], 0x82);
        stream.write_all(b"\x90\x04\x00\x01\x00\x01").unwrap();
        assert_eq!(packet(&mut stream), b"\xc0\x00");
        // Until the client has given up.
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let outcome = run(address, &["sub", "t", "--keep-alive", "1s"]);
    server.join().unwrap();
    assert_eq!(outcome.code, Some(6), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("does not answer pings"),
        "{}",
        outcome.stderr
    );
}

/// Mutant: the failure returned at once by `gather`.
#[test]
fn lines_before_a_goodbye_are_written() {
    let (address, server) = server(|mut stream, _| {
        stream.write_all(ACCEPTED).unwrap();
        assert_eq!(packet(&mut stream)[0], 0x82);
        let goodbye =
            b"\x90\x04\x00\x01\x00\x01\x30\x05\x00\x01t\x00a\x30\x05\x00\x01t\x00b\xe0\x01\x8b";
        stream.write_all(goodbye).unwrap();
    });
    let outcome = run(address, &["sub", "t", "--format", "{body}"]);
    server.join().unwrap();
    assert_eq!(outcome.code, Some(6), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("server shutting down"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stdout, "a\nb\n");
}

#[test]
fn what_is_confirmed_stays_so_without_a_goodbye() {
    let (address, server) = server(|mut stream, _| {
        stream.write_all(ACCEPTED).unwrap();
        assert_eq!(packet(&mut stream)[0], 0x32);
        stream.write_all(b"\x40\x02\x00\x01\xe0\x01\x8b").unwrap();
    });
    let outcome = run(address, &["pub", "t", "x"]);
    server.join().unwrap();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn bytes_that_are_no_mqtt_are_an_error_and_no_panic() {
    let page = "HTTP/1.1 400 Bad Request\r\n\r\n";
    // As MQTT, the first would be a packet that has not ended, the second one that is malformed.
    for (bytes, code) in [(page.to_owned(), 6), (page.repeat(10), 1)] {
        let (address, server) = server(move |mut stream, _| {
            stream.write_all(bytes.as_bytes()).unwrap();
        });
        let outcome = run(address, &["sub", "t"]);
        server.join().unwrap();
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("hint:"), "{}", outcome.stderr);
    }
}

/// Mutant: `WINDOW` for every version.
#[test]
fn before_mqtt_5_no_more_than_20_messages_wait() {
    let (address, server) = server(|mut stream, _| {
        stream.write_all(b"\x20\x02\x00\x00").unwrap();
        let sent: Vec<_> = (0..20).map(|_| packet(&mut stream)).collect();
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let more = stream.read(&mut [0]).unwrap_err();
        assert_eq!(more.kind(), ErrorKind::WouldBlock);
        stream.set_read_timeout(None).unwrap();
        for publish in sent {
            stream
                .write_all(&[b"\x40\x02", &publish[5..7]].concat())
                .unwrap();
        }
        let publish = packet(&mut stream);
        stream
            .write_all(&[b"\x40\x02", &publish[5..7]].concat())
            .unwrap();
        assert_eq!(packet(&mut stream), b"\xe0\x00");
    });
    let outcome = run(address, &["pub", "t", "x", "--repeat", "21", "--mqtt", "3"]);
    server.join().unwrap();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}
