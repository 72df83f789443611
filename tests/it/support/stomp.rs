//! A STOMP 1.2 client, written from the specification for these tests.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::wire::{Input, Output, Wire};

/// A connected client.
pub(crate) struct Stomp {
    pub(crate) wire: Wire,
    early: VecDeque<Frame>,
    last_receipt: u64,
}

/// A frame from the server.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) command: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// Reads one frame; line ends between frames are skipped.
    pub(crate) fn read(input: &mut Input) -> io::Result<Self> {
        let command = loop {
            let line = line(input)?;
            if !line.is_empty() {
                break line;
            }
        };
        let mut headers = Vec::new();
        loop {
            let line = line(input)?;
            match line.split_once(':') {
                Some((name, value)) => headers.push((unescaped(name), unescaped(value))),
                None if line.is_empty() => break,
                None => return Err(io::Error::other(format!("header line {line:?}"))),
            }
        }
        let mut frame = Self {
            command,
            headers,
            body: Vec::new(),
        };
        let length = frame.header("content-length").map(str::parse::<usize>);
        frame.body = match length {
            Some(Ok(length)) => input.exactly(length + 1)?,
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => input.until(b"\0")?,
        };
        match frame.body.pop() {
            Some(0) => Ok(frame),
            _ => Err(io::Error::other("no NUL after the body")),
        }
    }

    /// The first header called `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// This frame if it is a `command`; the error shows what it is instead.
    pub(crate) fn expect(self, command: &str) -> io::Result<Self> {
        if self.command == command {
            return Ok(self);
        }
        Err(io::Error::other(format!(
            "{} {:?} {} instead of {command}",
            self.command,
            self.headers,
            String::from_utf8_lossy(&self.body)
        )))
    }
}

impl Stomp {
    /// Connects without heart-beats and reads CONNECTED.
    pub(crate) fn connect(mut wire: Wire) -> io::Result<Self> {
        wire.output.write_all(&frame(
            "CONNECT",
            &[("accept-version", "1.2"), ("host", "it")],
            b"",
        ))?;
        Frame::read(&mut wire.input)?.expect("CONNECTED")?;
        Ok(Self {
            wire,
            early: VecDeque::new(),
            last_receipt: 0,
        })
    }

    /// Sends a frame and waits for its RECEIPT; messages before it are kept for [`Stomp::next`].
    pub(crate) fn confirmed(
        &mut self,
        command: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        self.last_receipt += 1;
        let receipt = format!("r{}", self.last_receipt);
        let mut all = vec![("receipt", receipt.as_str())];
        all.extend_from_slice(headers);
        self.wire.output.write_all(&frame(command, &all, body))?;
        loop {
            let answer = Frame::read(&mut self.wire.input)?;
            if answer.command == "MESSAGE" {
                self.early.push_back(answer);
                continue;
            }
            let answer = answer.expect("RECEIPT")?;
            return match answer.header("receipt-id") {
                Some(id) if id == receipt => Ok(()),
                other => Err(io::Error::other(format!(
                    "receipt {other:?}, not {receipt}"
                ))),
            };
        }
    }

    /// Sends a persistent message and waits for its RECEIPT.
    pub(crate) fn send(&mut self, destination: &str, body: &[u8]) -> io::Result<()> {
        let headers = [("destination", destination), ("persistent", "true")];
        self.confirmed("SEND", &headers, body)
    }

    /// Subscribes with `client-individual` acknowledgement and waits for the RECEIPT.
    pub(crate) fn subscribe(&mut self, destination: &str) -> io::Result<()> {
        let headers = [
            ("id", "s"),
            ("destination", destination),
            ("ack", "client-individual"),
        ];
        self.confirmed("SUBSCRIBE", &headers, b"")
    }

    /// The next MESSAGE.
    pub(crate) fn next(&mut self) -> io::Result<Frame> {
        match self.early.pop_front() {
            Some(frame) => Ok(frame),
            None => Frame::read(&mut self.wire.input)?.expect("MESSAGE"),
        }
    }

    /// A MESSAGE that came before a RECEIPT that was waited for.
    pub(crate) fn early(&mut self) -> Option<Frame> {
        self.early.pop_front()
    }

    /// Acknowledges `message` and waits for the RECEIPT.
    pub(crate) fn ack(&mut self, message: &Frame) -> io::Result<()> {
        let id = message.header("ack").unwrap_or_default().to_owned();
        self.confirmed("ACK", &[("id", &id)], b"")
    }

    /// The halves, for reading and writing on different threads.
    pub(crate) fn split(self) -> (Input, Output) {
        (self.wire.input, self.wire.output)
    }
}

/// The bytes of a frame; header values must need no escape.
pub(crate) fn frame(command: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{command}\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}:{value}\n").as_bytes());
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("content-length:{}\n", body.len()).as_bytes());
    }
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes.push(0);
    bytes
}

fn line(input: &mut Input) -> io::Result<String> {
    let mut line = input.until(b"\n")?;
    line.pop();
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(io::Error::other)
}

fn unescaped(text: &str) -> String {
    text.replace("\\c", ":")
        .replace("\\n", "\n")
        .replace("\\r", "\r")
        .replace("\\\\", "\\")
}
