//! Input that no client sends by accident, and what a broker makes of it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use ternmq_amqp::{FrameKind, Framed, Open, Performative, frame};

use super::process::Broker;

/// Bytes behind a header, an open and a begin.
pub struct Case {
    pub name: &'static str,
    bytes: Vec<u8>,
}

/// The inputs of decision 0003, and some that are like them.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case {
            name: "10,000 lists in one another",
            bytes: attach(&nested(10_000)),
        },
        Case {
            name: "a list of 2^32 - 1 items",
            bytes: attach(&[0xd0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]),
        },
        Case {
            name: "an array of 2^32 - 1 nulls",
            bytes: attach(&[0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40]),
        },
        Case {
            name: "a disposition from 0 to 2^32 - 1",
            bytes: disposition(0, u32::MAX),
        },
        Case {
            name: "a disposition from 0 to 2^31 - 1",
            bytes: disposition(0, u32::MAX / 2),
        },
        Case {
            name: "a begin on channel 60,000",
            bytes: begin(60_000),
        },
        Case {
            name: "a frame that is no performative",
            bytes: framed(0, &[0x53, 0x77]),
        },
    ];
    for (size, name) in [
        (5, "a frame of 5 bytes"),
        (6, "a frame of 6 bytes"),
        (7, "a frame of 7 bytes"),
    ] {
        cases.push(Case {
            name,
            bytes: vec![0, 0, 0, size, 2, 0, 0, 0],
        });
    }
    cases
}

/// What the broker does in words.
pub fn judge(broker: &mut Broker, case: &Case) -> String {
    let mut stream = connect(broker.port);
    let mut bytes = b"AMQP\0\x01\0\0".to_vec();
    Performative::Open(Open::new("card-client")).put(&mut bytes, 0);
    bytes.extend(begin(0));
    stream.write_all(&bytes).expect("written");
    // Its own header, open and begin come first.
    let mut answers = Vec::new();
    read(&mut stream, &mut answers, |answers| {
        words(answers).contains("begin")
    });
    let before = answers.len();
    let cpu = broker.cpu();
    let _ = stream.write_all(&case.bytes);
    let ended = read(&mut stream, &mut answers, |answers| {
        words(&answers[before..]).contains("close")
    });
    let said = words(&answers[before..]);
    thread::sleep(PATIENCE);
    if !broker.is_alive() {
        return "the process aborts".to_owned();
    }
    let busy = broker.cpu() - cpu;
    if busy > PATIENCE / 2 {
        return format!("hangs: {:.1} s of CPU and more", busy.as_secs_f64());
    }
    if !serves(broker.port) {
        return "serves nobody any more".to_owned();
    }
    match (said.is_empty(), ended) {
        (true, true) => "closes without a word".to_owned(),
        (true, false) => "goes on".to_owned(),
        (false, _) => said,
    }
}

/// How long a broker has for an answer, and how long it is looked at afterwards.
const PATIENCE: Duration = Duration::from_secs(2);

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

/// Whether another client gets an open and a begin.
fn serves(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut bytes = b"AMQP\0\x01\0\0".to_vec();
    Performative::Open(Open::new("another")).put(&mut bytes, 0);
    bytes.extend(begin(0));
    let mut answers = Vec::new();
    let _ = stream.write_all(&bytes);
    read(&mut stream, &mut answers, |answers| {
        words(answers).contains("begin")
    });
    words(&answers).contains("begin")
}

/// Reads until `enough`, the end, or no patience is left; whether the broker ended it.
fn read(stream: &mut TcpStream, into: &mut Vec<u8>, enough: impl Fn(&[u8]) -> bool) -> bool {
    let mut buffer = [0; 4_096];
    while !enough(into) {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(n) => into.extend_from_slice(&buffer[..n]),
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
    false
}

/// What the frames of some bytes say.
fn words(mut bytes: &[u8]) -> String {
    let mut said = Vec::new();
    if let Some(rest) = bytes.strip_prefix(b"AMQP\0\x01\0\0") {
        bytes = rest;
    }
    while let Ok(Framed::Frame(found)) = frame(bytes, 1 << 20) {
        bytes = &bytes[found.len..];
        if found.body.is_empty() || found.kind == FrameKind::Sasl {
            continue;
        }
        let Ok((performative, _)) = Performative::decode(found.body) else {
            said.push("?".to_owned());
            continue;
        };
        let fault = |what: &str, error: Option<ternmq_amqp::Fault<'_>>| {
            let condition = error.map_or("", |error| error.condition);
            format!("{what} {condition}").trim_end().to_owned()
        };
        said.push(match performative {
            Performative::Open(_) => "open".to_owned(),
            Performative::Begin(_) => "begin".to_owned(),
            Performative::Attach(_) => "attach".to_owned(),
            Performative::Detach(detach) => fault("detach", detach.error),
            Performative::End(end) => fault("end", end.error),
            Performative::Close(close) => fault("close", close.error),
            _ => continue,
        });
    }
    said.join(", ")
}

fn framed(channel: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).expect("a frame");
    let mut out = size.to_be_bytes().to_vec();
    out.extend([2, 0]);
    out.extend(channel.to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// A performative with these encoded fields.
fn performative(channel: u16, code: u8, count: u32, fields: &[u8]) -> Vec<u8> {
    let size = u32::try_from(fields.len() + 4).expect("a list");
    let mut body = vec![0, 0x53, code, 0xd0];
    body.extend(size.to_be_bytes());
    body.extend(count.to_be_bytes());
    body.extend_from_slice(fields);
    framed(channel, &body)
}

/// null, 0, 2,048, 2,048: remote channel, next outgoing id, and the windows.
fn begin(channel: u16) -> Vec<u8> {
    let fields = [0x40, 0x43, 0x70, 0, 0, 8, 0, 0x70, 0, 0, 8, 0];
    performative(channel, 0x11, 4, &fields)
}

/// An attach of a receiver whose properties hold a value.
fn attach(value: &[u8]) -> Vec<u8> {
    let mut fields = b"\xa1\x01l\x43\x41".to_vec();
    // Settle modes, source, target, unsettled, incomplete, count, size, capabilities.
    fields.extend([0x40; 10]);
    let size = u32::try_from(4 + 3 + value.len()).expect("a map");
    fields.push(0xd1);
    fields.extend(size.to_be_bytes());
    fields.extend([0, 0, 0, 2, 0xa3, 1, b'x']);
    fields.extend_from_slice(value);
    performative(0, 0x12, 14, &fields)
}

/// A list in a list, and so on.
fn nested(depth: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(9 * depth + 1);
    for level in 0..depth {
        let rest = u32::try_from(4 + 9 * (depth - level - 1) + 1).expect("a list");
        out.push(0xd0);
        out.extend(rest.to_be_bytes());
        out.extend([0, 0, 0, 1]);
    }
    out.push(0x45);
    out
}

/// A disposition of a receiver: settled, accepted.
fn disposition(first: u32, last: u32) -> Vec<u8> {
    let mut fields = vec![0x41, 0x70];
    fields.extend(first.to_be_bytes());
    fields.push(0x70);
    fields.extend(last.to_be_bytes());
    fields.extend([0x41, 0, 0x53, 0x24, 0x45]);
    performative(0, 0x15, 5, &fields)
}
