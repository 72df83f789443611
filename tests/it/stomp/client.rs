//! A raw STOMP client, written from the specification: it sends octets and reads frames.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, within};

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A frame from the server; headers as they stand on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) command: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// The first header of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// What ACK has to name in 1.2.
    pub(crate) fn ack(&self) -> &str {
        self.get("ack").unwrap()
    }

    /// Takes a whole frame off the front of `bytes`.
    fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let start = bytes.iter().position(|byte| *byte != b'\n')?;
        let head_end = bytes[start..].windows(2).position(|two| two == b"\n\n")? + start;
        let head = String::from_utf8(bytes[start..head_end].to_vec()).unwrap();
        let mut lines = head.split('\n');
        let command = lines.next().unwrap().to_owned();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let body = head_end + 2;
        let end = match length {
            Some((_, length)) => body + length.parse::<usize>().unwrap(),
            None => body + bytes[body..].iter().position(|byte| *byte == 0)?,
        };
        if bytes.len() <= end {
            return None;
        }
        assert_eq!(bytes[end], 0, "NUL after {head:?}");
        let frame = Self {
            command,
            headers,
            body: bytes[body..end].to_vec(),
        };
        bytes.drain(..=end);
        Some(frame)
    }
}

impl Client {
    /// A socket on which nothing has been said.
    pub(crate) async fn raw(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address("stomp")).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Connected with STOMP 1.2, without heart-beats.
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::speaking(server, "1.2").await
    }

    /// Two of them.
    pub(crate) async fn pair(server: &Server) -> (Self, Self) {
        (Self::connect(server).await, Self::connect(server).await)
    }

    /// Connected with a version, without heart-beats.
    pub(crate) async fn speaking(server: &Server, version: &str) -> Self {
        let mut client = Self::raw(server).await;
        client
            .send(format!("CONNECT\naccept-version:{version}\nhost:it\n\n\0"))
            .await;
        let connected = client.expect("CONNECTED").await;
        assert_eq!(connected.get("version"), Some(version));
        client
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer) {
                return frame;
            }
            let read = within(self.stream.read_buf(&mut self.buffer))
                .await
                .unwrap();
            assert!(
                read > 0,
                "closed after {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// The next frame, which must be a `command`.
    pub(crate) async fn expect(&mut self, command: &str) -> Frame {
        let frame = self.frame().await;
        assert_eq!(frame.command, command, "{frame:?}");
        frame
    }

    /// The next frame must be this RECEIPT.
    pub(crate) async fn receipt(&mut self, id: &str) {
        let frame = self.expect("RECEIPT").await;
        assert_eq!(frame.get("receipt-id"), Some(id));
    }

    /// The next frame must be the MESSAGE with this body.
    pub(crate) async fn message(&mut self, body: &str) -> Frame {
        let frame = self.expect("MESSAGE").await;
        assert_eq!(frame.text(), body, "{frame:?}");
        frame
    }

    /// The next frame must be ERROR, and the end within a second (ST-E1).
    pub(crate) async fn error(&mut self) -> Frame {
        let frame = self.expect("ERROR").await;
        assert!(frame.get("message").is_some(), "{frame:?}");
        assert!(frame.body.len() <= 1_024);
        self.end().await;
        frame
    }

    /// The server closes without a further frame, and without RST.
    pub(crate) async fn end(&mut self) {
        let mut rest = std::mem::take(&mut self.buffer);
        let read = self.stream.read_to_end(&mut rest);
        let closed = tokio::time::timeout(Duration::from_secs(1), read).await;
        closed.expect("closed within a second").unwrap();
        assert!(
            rest.iter().all(|byte| *byte == b'\n'),
            "{:?}",
            String::from_utf8_lossy(&rest)
        );
    }

    /// Sends to a destination and waits for the RECEIPT.
    pub(crate) async fn publish(&mut self, destination: &str, headers: &str, body: &str) {
        self.send(format!(
            "SEND\ndestination:{destination}\nreceipt:sent\n{headers}\n{body}\0"
        ))
        .await;
        self.receipt("sent").await;
    }

    /// Subscribes as `id` and waits for the RECEIPT.
    pub(crate) async fn subscribe(&mut self, id: &str, destination: &str, ack: &str) {
        self.send(format!(
            "SUBSCRIBE\nid:{id}\ndestination:{destination}\nack:{ack}\nreceipt:subscribed\n\n\0"
        ))
        .await;
        self.receipt("subscribed").await;
    }

    /// Says goodbye and reads the server's.
    pub(crate) async fn disconnect(mut self) {
        self.send("DISCONNECT\nreceipt:bye\n\n\0").await;
        self.receipt("bye").await;
        self.end().await;
    }
}
