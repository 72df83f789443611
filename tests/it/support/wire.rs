//! A byte stream to the server, plain or in WebSocket messages, with a deadline on every wait.
//!
//! Both halves may live on different threads: an open-loop publisher writes on one and reads
//! confirms on the other. The WebSocket side is RFC 6455 by hand, so that the server's own library
//! is not its judge.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a read or write may wait before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub(crate) struct Wire {
    pub(crate) input: Input,
    pub(crate) output: Output,
    socket: TcpStream,
}

/// The reading half, with what was read and not yet taken.
pub(crate) struct Input {
    source: Source,
    buffer: Vec<u8>,
    taken: usize,
}

enum Source {
    Tcp(TcpStream),
    WebSocket(TcpStream, Vec<u8>),
}

/// The writing half.
pub(crate) enum Output {
    Tcp(TcpStream),
    WebSocket(TcpStream),
}

impl Wire {
    /// Connects over TCP.
    pub(crate) fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self {
            input: Input::new(Source::Tcp(socket.try_clone()?)),
            output: Output::Tcp(socket.try_clone()?),
            socket,
        })
    }

    /// Connects and upgrades to a WebSocket on `path` with `subprotocol`.
    pub(crate) fn websocket(
        address: SocketAddr,
        path: &str,
        subprotocol: &str,
    ) -> io::Result<Self> {
        let mut tcp = Self::tcp(address)?;
        // Key and answer are the example of RFC 6455, 1.3.
        tcp.output.write_all(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
            )
            .as_bytes(),
        )?;
        let head = String::from_utf8_lossy(&tcp.input.until(b"\r\n\r\n")?).to_lowercase();
        let wanted = [
            "101 switching protocols".to_owned(),
            "s3pplmbitxaq9kygzzhzrbk+xoo=".to_owned(),
            format!("sec-websocket-protocol: {subprotocol}"),
        ];
        if let Some(missing) = wanted.iter().find(|part| !head.contains(part.as_str())) {
            return Err(io::Error::other(format!("no {missing:?} in {head:?}")));
        }
        let rest = tcp.input.rest();
        Ok(Self {
            input: Input::new(Source::WebSocket(tcp.socket.try_clone()?, rest)),
            output: Output::WebSocket(tcp.socket.try_clone()?),
            socket: tcp.socket,
        })
    }

    /// Ends the sending side; what the server still says can be read.
    pub(crate) fn half_close(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }
}

impl Input {
    /// Changes how long reads wait.
    pub(crate) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        let (Source::Tcp(socket) | Source::WebSocket(socket, _)) = &self.source;
        socket.set_read_timeout(Some(patience))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            taken: 0,
        }
    }

    /// The next `count` bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() - self.taken < count {
            self.fill()?;
        }
        self.taken += count;
        Ok(self.buffer[self.taken - count..self.taken].to_vec())
    }

    /// All bytes up to and with `end`.
    pub(crate) fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        let mut searched = self.taken;
        loop {
            let found = self.buffer[searched..]
                .windows(end.len())
                .position(|window| window == end);
            if let Some(at) = found {
                return self.exactly(searched - self.taken + at + end.len());
            }
            let pending = self.buffer.len() - self.taken;
            self.fill()?;
            searched = self.taken + (pending + 1).saturating_sub(end.len());
        }
    }

    /// Everything until the server closes the connection, by FIN or RST.
    pub(crate) fn until_closed(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    return Ok(self.rest());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.taken);
        self.buffer.clear();
        self.taken = 0;
        rest
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        match &mut self.source {
            Source::Tcp(socket) => read_some(socket, &mut self.buffer),
            Source::WebSocket(socket, raw) => read_message_part(socket, raw, &mut self.buffer),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::WebSocket(socket) => {
                socket.write_all(&binary_frame(bytes))?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read_some(socket: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 64 * 1024];
    match socket.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            into.extend_from_slice(&chunk[..count]);
            Ok(())
        }
    }
}

/// Appends the payload of the next data frame; a close frame is the end of the stream.
fn read_message_part(
    socket: &mut TcpStream,
    raw: &mut Vec<u8>,
    into: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        let Some((opcode, head, length)) = frame_head(raw) else {
            read_some(socket, raw)?;
            continue;
        };
        while raw.len() < head + length {
            read_some(socket, raw)?;
        }
        let payload: Vec<u8> = raw.drain(..head + length).skip(head).collect();
        match opcode {
            0..=2 => {
                into.extend_from_slice(&payload);
                return Ok(());
            }
            8 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

/// Opcode, length of the head and of the payload of an unmasked frame, once its head is there.
fn frame_head(raw: &[u8]) -> Option<(u8, usize, usize)> {
    let opcode = raw.first()? & 0x0f;
    match *raw.get(1)? {
        126 => {
            let length = u16::from_be_bytes([*raw.get(2)?, *raw.get(3)?]);
            Some((opcode, 4, usize::from(length)))
        }
        127 => {
            let length = u64::from_be_bytes(raw.get(2..10)?.try_into().ok()?);
            Some((opcode, 10, usize::try_from(length).ok()?))
        }
        length => Some((opcode, 2, usize::from(length))),
    }
}

/// A final binary frame, masked as a client must.
fn binary_frame(payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0x11, 0xc3, 0x0f];
    let mut frame = vec![0x82];
    if let Ok(length @ ..126) = u8::try_from(payload.len()) {
        frame.push(0x80 | length);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        frame.push(0x80 | 126);
        frame.extend(length.to_be_bytes());
    } else {
        frame.push(0x80 | 127);
        frame.extend((payload.len() as u64).to_be_bytes());
    }
    frame.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}
