//! Bad input, slow and silent peers, full memory: each gets its protocol's answer, nobody else
//! notices, and the memory comes back.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::support::http::{Http, Response, request};
use crate::support::mqtt::{Mqtt, Session, connect, packet, publish};
use crate::support::process::{Home, Process, wait_until};
use crate::support::stomp::{Frame, Stomp, frame};
use crate::support::wire::Wire;

/// What a client gets before the connection ends.
enum Answer {
    /// Nothing.
    Nothing,
    /// These bytes.
    Bytes(&'static [u8]),
    /// A STOMP ERROR.
    StompError,
    /// An HTTP answer with one of these codes.
    Http(&'static [u16]),
    /// A WebSocket close frame with this code.
    WebSocketClose(u16),
}

/// One kind of bad input.
struct Bad {
    what: &'static str,
    listener: &'static str,
    bytes: Vec<u8>,
    /// Comes before the verdict and is right, such as CONNACK.
    before: &'static [u8],
    answer: Answer,
}

/// Whether the client ends its side after the bytes: the server must not wait for more.
const TRUNCATED: &str = "truncated";

/// Mutants seen caught: an MQTT machine without packet limit ("oversized PUBLISH"), a connection
/// loop that forgets what came with CONNECT ("remaining length of 5 bytes").
#[test]
fn bad_input_gets_its_protocols_error_and_others_are_served() {
    let process = Home::new(CONFIG).start();
    let mut canaries = Canaries::connect(&process).unwrap();
    // What the first connections allocate for good is not a leak.
    try_all(&process, &mut canaries);
    let before = process.resident_bytes();
    for _ in 0..ROUNDS {
        try_all(&process, &mut canaries);
    }
    wait_until("memory as before", Duration::from_secs(10), || {
        process.resident_bytes() < before + RSS_BYTES
    });
    println!(
        "RSS before {} KiB, after {} KiB",
        before / 1024,
        process.resident_bytes() / 1024
    );
}

fn try_all(process: &Process, canaries: &mut Canaries) {
    let mut faults = String::new();
    for bad in table() {
        let began = Instant::now();
        if let Err(error) = bad.check(process) {
            let waited = began.elapsed();
            faults.push_str(&format!(
                "{} on {}: {error} after {waited:?}\n",
                bad.what, bad.listener
            ));
            // Each may have waited for as long as there is patience; more would only say it again.
            let ready = Http::new(process.tcp("http")).call("GET /readyz", &[], b"");
            let ready = ready.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
            let said = faults.lines().count();
            assert!(
                said < FAULTS,
                "\n{faults}\n{ready:?}\n{}",
                process.last_words()
            );
        }
        if let Err(error) = canaries.sing(process) {
            panic!("after {} on {}: {error}", bad.what, bad.listener);
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

impl Bad {
    fn check(&self, process: &Process) -> io::Result<()> {
        let mut wire = process.tcp(self.listener);
        // The server may close after the first wrong byte, while more is on its way.
        let _ = wire.output.write_all(&self.bytes);
        if self.what.contains(TRUNCATED) {
            let _ = wire.half_close();
        }
        let before = wire.input.exactly(self.before.len())?;
        if before != self.before {
            return Err(io::Error::other(format!("first came {before:x?}")));
        }
        let good = match &self.answer {
            Answer::Nothing => true,
            Answer::Bytes(wanted) => wire.input.exactly(wanted.len())? == *wanted,
            Answer::StompError => {
                if !self.before.is_empty() {
                    // The headers of CONNECTED.
                    Frame::read(&mut wire.input)?;
                }
                Frame::read(&mut wire.input)?.command == "ERROR"
            }
            Answer::Http(codes) => codes.contains(&Response::read(&mut wire.input)?.status),
            Answer::WebSocketClose(code) => {
                wire.input.until(b"\r\n\r\n")?;
                let frame = wire.input.exactly(4)?;
                frame[0] == 0x88 && frame[2..] == code.to_be_bytes()
            }
        };
        if !good {
            let rest = wire.input.until_closed()?;
            let rest = String::from_utf8_lossy(&rest).into_owned();
            return Err(io::Error::other(format!("another answer; then {rest:?}")));
        }
        let rest = wire.input.until_closed()?;
        // A close frame or an ERROR may say more than its code.
        let may_say_more = matches!(self.answer, Answer::WebSocketClose(_) | Answer::Http(_));
        if rest.is_empty() || may_say_more {
            return Ok(());
        }
        Err(io::Error::other(format!("after the end {rest:x?}")))
    }
}

/// One connected client of each protocol, who must be served all the time.
struct Canaries {
    mqtt: Mqtt,
    stomp: Stomp,
    websocket: Mqtt,
}

impl Canaries {
    fn connect(process: &Process) -> io::Result<Self> {
        let mut mqtt = Mqtt::connect(process.tcp("mqtt"), "canary", Session::Clean, 0)?;
        mqtt.subscribe("canary", 1)?;
        let mut stomp = Stomp::connect(process.tcp("stomp"))?;
        stomp.subscribe("/topic/canary")?;
        let wire = Wire::websocket(process.address("websocket"), "/mqtt", "mqtt")?;
        let mut websocket = Mqtt::connect(wire, "canary-websocket", Session::Clean, 0)?;
        websocket.subscribe("canary", 1)?;
        Ok(Self {
            mqtt,
            stomp,
            websocket,
        })
    }

    fn sing(&mut self, process: &Process) -> io::Result<()> {
        Http::new(process.tcp("http")).publish("topics/canary", b"song")?;
        for mqtt in [&mut self.mqtt, &mut self.websocket] {
            let heard = mqtt.next()?;
            mqtt.ack(heard.id)?;
        }
        let heard = self.stomp.next()?;
        self.stomp.ack(&heard)
    }
}

fn table() -> Vec<Bad> {
    let mut all = mqtt_table();
    all.extend(stomp_table());
    all.extend(http_table());
    all.extend(websocket_table());
    all.extend(detection_table());
    all
}

const CONNACK: &[u8] = &[0x20, 2, 0, 0];

fn mqtt_table() -> Vec<Bad> {
    let bad = |what, bytes: Vec<u8>| Bad {
        what,
        listener: "mqtt",
        bytes,
        before: b"",
        answer: Answer::Nothing,
    };
    let later = |what, rest: &[u8]| Bad {
        before: CONNACK,
        ..bad(what, [&connect("bad", Session::Clean, 0), rest].concat())
    };
    let mut level = connect("bad", Session::Clean, 0);
    level[8] = 9;
    let mut invalid = connect("bad", Session::Clean, 0);
    *invalid.last_mut().unwrap() = 0xff;
    let whole = connect("bad", Session::Clean, 0);
    let mut all = vec![
        bad("garbage", garbage()),
        bad("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        bad(
            "malformed remaining length",
            vec![0x10, 255, 255, 255, 255, 255],
        ),
        bad("invalid UTF-8", invalid),
        bad("truncated CONNECT", whole[..whole.len() - 2].to_vec()),
        bad("PINGREQ first", vec![0xc0, 0]),
        bad("oversized first packet", vec![0x10, 0xff, 0xff, 0xff, 0x7f]),
        later("second CONNECT", &whole),
        later("oversized PUBLISH", &[0x32, 0xff, 0xff, 0xff, 0x7f]),
        later(
            "remaining length of 5 bytes",
            &[0x32, 255, 255, 255, 255, 1],
        ),
        later("QoS 3", &packet(0x36, b"\x00\x01t\x00\x01x")),
        later("wildcard in a topic", &publish("a/#", 1, b"")),
        later("packet id 0", &publish("a", 0, b"")),
        later("SUBSCRIBE flags", &packet(0x80, b"\x00\x01\x00\x01t\x00")),
        later("SUBSCRIBE without filter", &packet(0x82, b"\x00\x01")),
        later("topic longer than its packet", &packet(0x30, b"\xff\xfft")),
        later("reserved packet type", &[0xf0, 0]),
        later("truncated PUBLISH", &[0x32, 100, 0, 1, b't']),
    ];
    all.push(Bad {
        answer: Answer::Bytes(&[0x20, 3, 0, 0x84, 0]),
        ..bad("protocol level 9", level)
    });
    all
}

fn stomp_table() -> Vec<Bad> {
    const CONNECTED: &[u8] = b"CONNECTED\n";
    let first = |what, bytes: &[u8]| Bad {
        what,
        listener: "stomp",
        bytes: bytes.to_vec(),
        before: b"",
        answer: Answer::StompError,
    };
    let hello = frame("CONNECT", &[("accept-version", "1.2"), ("host", "it")], b"");
    let later = |what, rest: &[u8]| Bad {
        before: CONNECTED,
        ..first(what, &[hello.as_slice(), rest].concat())
    };
    let mut all = vec![
        first("garbage", &garbage()),
        first("MQTT", &connect("bad", Session::Clean, 0)),
        first("an endless command", &[b'A'; 4096]),
        first(
            "SEND first",
            &frame("SEND", &[("destination", "/queue/a")], b"x"),
        ),
        first(
            "no common version",
            b"CONNECT\naccept-version:9.9\nhost:it\n\n\0",
        ),
        later("unknown command", b"HELLO\n\n\0"),
        later(
            "undefined escape",
            b"SEND\ndestination:/queue/a\nk:\\t\n\n\0",
        ),
        later(
            "header without colon",
            b"SEND\ndestination:/queue/a\nnocolon\n\n\0",
        ),
        later(
            "negative content-length",
            b"SEND\ndestination:/queue/a\ncontent-length:-1\n\nx\0",
        ),
        later(
            "announced 18 EB",
            b"SEND\ndestination:/queue/a\ncontent-length:18446744073709551615\n\nx\0",
        ),
        later(
            "announced 2 GB",
            b"SEND\ndestination:/queue/a\ncontent-length:2000000000\n\nx\0",
        ),
        later(
            "no NUL after the body",
            b"SEND\ndestination:/queue/a\ncontent-length:1\n\nxyz\0",
        ),
        later("invalid UTF-8", b"SEND\ndestination:/queue/\xff\n\nx\0"),
        later("second CONNECT", &hello),
        later("unknown ack", b"ACK\nid:1\n\n\0"),
        later("no destination", b"SEND\n\nx\0"),
        later(
            "an endless header",
            &[b"SEND\nk:".as_slice(), &[b'v'; 100_000]].concat(),
        ),
    ];
    all.push(Bad {
        answer: Answer::Nothing,
        ..first("truncated CONNECT", b"CONNECT\naccept-ver")
    });
    all
}

fn http_table() -> Vec<Bad> {
    let bad = |what, bytes: &[u8], codes| Bad {
        what,
        listener: "http",
        bytes: bytes.to_vec(),
        before: b"",
        answer: Answer::Http(codes),
    };
    let close = ["Connection: close"];
    let post = b"POST /v1/queues/bad/messages HTTP/1.1\r\nHost: it\r\nConnection: close\r\n";
    let posted = |rest: &[u8]| [post.as_slice(), rest].concat();
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: it\r\n\r\n",
        "a".repeat(1_000_000)
    );
    vec![
        bad("garbage", &garbage(), &[400]),
        bad(
            "bad escape",
            &request("POST /v1/queues/%zz/messages", &close, b"x"),
            &[400],
        ),
        bad(
            "bad UTF-8",
            &request("POST /v1/queues/%ff/messages", &close, b"x"),
            &[400],
        ),
        bad(
            "no such path",
            &request("GET /nowhere", &close, b""),
            &[404],
        ),
        bad("endless path", long.as_bytes(), &[400, 414, 431]),
        bad(
            "announced 100 GB",
            &posted(b"Content-Length: 100000000000\r\n\r\nx"),
            &[413],
        ),
        bad(
            "negative length",
            &posted(b"Content-Length: -1\r\n\r\nx"),
            &[400],
        ),
        bad(
            "two lengths",
            &posted(b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
            &[400],
        ),
        bad(
            "bad chunk",
            &posted(b"Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n0\r\n\r\n"),
            &[400],
        ),
    ]
}

fn websocket_table() -> Vec<Bad> {
    const UPGRADE: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: it\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    let bad = |what, rest: &[u8], answer| Bad {
        what,
        listener: "websocket",
        bytes: [UPGRADE, rest].concat(),
        before: b"",
        answer,
    };
    let plain = |what, bytes: Vec<u8>, codes| Bad {
        bytes,
        ..bad(what, b"", Answer::Http(codes))
    };
    let get = request("GET /mqtt", &["Connection: close"], b"");
    vec![
        plain("garbage", garbage(), &[400]),
        plain("no upgrade", get, &[400, 426]),
        bad(
            "unmasked frame",
            b"\x82\x02\xc0\x00",
            Answer::WebSocketClose(1002),
        ),
        bad(
            "reserved opcode",
            b"\x83\x80\x00\x00\x00\x00",
            Answer::WebSocketClose(1002),
        ),
        bad(
            "text on MQTT",
            b"\x81\x81\x00\x00\x00\x00x",
            Answer::WebSocketClose(1003),
        ),
        bad(
            "announced 1 TB",
            b"\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00x",
            Answer::WebSocketClose(1009),
        ),
    ]
}

fn detection_table() -> Vec<Bad> {
    let bad = |what, bytes: &[u8]| Bad {
        what,
        listener: "auto",
        bytes: bytes.to_vec(),
        before: b"",
        answer: Answer::Nothing,
    };
    vec![
        bad("garbage", &garbage()),
        bad("OpenWire", b"\x00\x00\x00\xf0\x01ActiveMQ\x00\x00\x00\x0c"),
        bad("truncated", b"C"),
    ]
}

/// No protocol begins like this, and it has no line end.
fn garbage() -> Vec<u8> {
    (0..64_u8)
        .map(|index| 0xf9 ^ index.wrapping_mul(37) | 0x80)
        .collect()
}

/// Mutant seen caught: a connection loop without connect timeout ("not cut").
#[test]
fn slow_loris_is_cut_at_the_connect_timeout_and_others_are_served() {
    let process = Home::new(CONFIG).start();
    let mut canaries = Canaries::connect(&process).unwrap();
    let openings: [(&str, Vec<u8>); 4] = [
        (
            "mqtt",
            connect("slow-loris-with-a-long-name", Session::Clean, 0),
        ),
        (
            "stomp",
            b"CONNECT\naccept-version:1.2\nhost:it\n\n\0".to_vec(),
        ),
        (
            "http",
            b"GET /livez HTTP/1.1\r\nHost: it\r\nX: y\r\n\r\n".to_vec(),
        ),
        (
            "auto",
            b"CONNECT\naccept-version:1.2\nhost:it\n\n\0".to_vec(),
        ),
    ];
    let began = Instant::now();
    let mut slow: Vec<_> = openings
        .iter()
        .flat_map(|(listener, bytes)| (0..LORISES).map(move |_| (*listener, bytes)))
        .map(|(listener, bytes)| (listener, bytes.iter(), process.tcp(listener)))
        .collect();
    // One byte each now and then: activity must not extend the time to say who one is.
    while !slow.is_empty() {
        slow.retain_mut(|(_, bytes, wire)| {
            let byte = bytes.next().copied().unwrap_or(b'y');
            wire.output.write_all(&[byte]).is_ok()
        });
        let late: Vec<_> = slow.iter().map(|(listener, ..)| listener).collect();
        assert!(began.elapsed() < CONNECT_TIMEOUT * 5, "not cut: {late:?}");
        canaries.sing(&process).unwrap();
        std::thread::sleep(CONNECT_TIMEOUT / 20);
    }
    assert!(began.elapsed() >= CONNECT_TIMEOUT / 2, "cut too early");
}

const CONFIG: &str = r#"
[storage]
segment_size = "1MiB"
[limits]
connect_timeout_ms = 1000
[limits.max_frame_bytes]
http = "256KiB"
"#;
const ROUNDS: usize = 2;
/// A table ends at this many faults.
const FAULTS: usize = 3;
const RSS_BYTES: u64 = 16 << 20;
const LORISES: usize = 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
