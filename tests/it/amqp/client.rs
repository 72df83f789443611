//! A raw AMQP client, written from the specification: one connection, one session on channel 0.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::amqp::{Frame, Value, composite, data, sections, sparse, symbol, text};
use crate::support::{Server, within};

pub(crate) const OPEN: u64 = 0x10;
pub(crate) const BEGIN: u64 = 0x11;
pub(crate) const ATTACH: u64 = 0x12;
pub(crate) const FLOW: u64 = 0x13;
pub(crate) const TRANSFER: u64 = 0x14;
pub(crate) const DISPOSITION: u64 = 0x15;
pub(crate) const DETACH: u64 = 0x16;
pub(crate) const END: u64 = 0x17;

/// The first handle of links on which it sends.
const SENDING: u32 = 50;

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Frames of the session that it still takes, and those that have come.
    pub(crate) window: u32,
    received: u32,
    /// Deliveries and transfers that it has sent.
    sent: u32,
    /// The handle of the next link on which it sends.
    sending: u32,
    /// Transfers that came while something else was waited for.
    early: VecDeque<Frame>,
}

/// A message that has come, whole.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    pub(crate) handle: u64,
    pub(crate) id: u32,
    pub(crate) settled: bool,
    pub(crate) frames: usize,
    pub(crate) sections: Vec<Value>,
}

impl Message {
    pub(crate) fn section(&self, code: u64) -> Option<&Value> {
        self.sections.iter().find(|section| section.code() == code)
    }

    /// What its one data section says.
    pub(crate) fn text(&self) -> String {
        match self.section(0x75) {
            Some(Value::Described(_, body)) => match &**body {
                Value::Binary(bytes) => String::from_utf8(bytes.clone()).unwrap(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?} in {self:?}"),
        }
    }

    /// `delivery-count` of its header.
    pub(crate) fn count(&self) -> u64 {
        let header = self.section(0x70).unwrap();
        match header.field(4) {
            Value::Null => 0,
            count => count.as_number(),
        }
    }

    /// A message annotation.
    pub(crate) fn annotation(&self, name: &str) -> Option<Value> {
        match self.section(0x72)? {
            Value::Described(_, map) => map.get(name).cloned(),
            other => panic!("{other:?}"),
        }
    }
}

/// A source with an address and other fields.
pub(crate) fn source(address: &str, others: &[(usize, Value)]) -> Value {
    let mut fields = vec![(0, text(address))];
    fields.extend_from_slice(others);
    sparse(0x28, &fields)
}

pub(crate) fn accepted() -> Value {
    composite(0x24, vec![])
}

pub(crate) fn released() -> Value {
    composite(0x26, vec![])
}

impl Client {
    /// An open connection of a container of its own, with a session.
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::named(server, "it", u32::MAX / 2).await
    }

    /// Of this container; the session takes `window` frames.
    pub(crate) async fn named(server: &Server, container: &str, window: u32) -> Self {
        let stream = TcpStream::connect(server.address("amqp")).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self {
            stream,
            buffer: Vec::new(),
            window,
            received: 0,
            sent: 0,
            sending: SENDING,
            early: VecDeque::new(),
        };
        client.write(b"AMQP\0\x01\0\0").await;
        client
            .say(OPEN, &[(0, text(container)), (2, Value::Uint(4_096))])
            .await;
        client
            .say(
                BEGIN,
                &[
                    (1, Value::Uint(0)),
                    (2, Value::Uint(window)),
                    (3, Value::Uint(1_000)),
                    (4, Value::Uint(100)),
                ],
            )
            .await;
        while client.buffer.len() < 8 {
            client.read().await;
        }
        let header: Vec<u8> = client.buffer.drain(..8).collect();
        assert_eq!(header, b"AMQP\0\x01\0\0");
        client.expect(OPEN).await;
        client.expect(BEGIN).await;
        client
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// A frame on channel 0.
    pub(crate) async fn say(&mut self, code: u64, fields: &[(usize, Value)]) {
        let frame = Frame::new(0, sparse(code, fields));
        self.write(&frame.encoded()).await;
    }

    async fn read(&mut self) {
        let read = within(self.stream.read_buf(&mut self.buffer))
            .await
            .unwrap();
        assert!(read > 0, "closed");
    }

    /// The next frame that is not empty.
    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            let Some(frame) = Frame::take(&mut self.buffer) else {
                self.read().await;
                continue;
            };
            if frame.code() == TRANSFER {
                self.received += 1;
                self.window = self.window.checked_sub(1).expect("within the window");
            }
            if frame.code() != 0 {
                return frame;
            }
        }
    }

    /// The next frame of this kind; transfers before it are kept, flows that nobody waits for
    /// passed over, all else is wrong.
    pub(crate) async fn expect(&mut self, code: u64) -> Frame {
        if code == TRANSFER
            && let Some(early) = self.early.pop_front()
        {
            return early;
        }
        loop {
            let frame = self.frame().await;
            match frame.code() {
                found if found == code => return frame,
                TRANSFER => self.early.push_back(frame),
                found => assert_eq!(found, FLOW, "{frame:?}"),
            }
        }
    }

    /// The server has handled all it was told before.
    pub(crate) async fn quiet(&mut self) {
        self.session_flow(true).await;
        let answer = self.expect(FLOW).await;
        assert!(answer.field(4).is_null(), "{answer:?}");
    }

    /// Nothing comes for a while.
    pub(crate) async fn silence(&mut self, ms: u64) {
        assert!(self.early.is_empty(), "{:?}", self.early);
        assert!(self.buffer.is_empty(), "{:?}", self.buffer);
        let read = self.stream.read_buf(&mut self.buffer);
        let waited = tokio::time::timeout(Duration::from_millis(ms), read).await;
        assert!(waited.is_err(), "{:?}", Frame::take(&mut self.buffer));
    }

    /// The attach of a link on which it receives; other fields of the attach.
    pub(crate) async fn say_receiver(
        &mut self,
        handle: u32,
        name: &str,
        source: Value,
        others: &[(usize, Value)],
    ) {
        let mut fields = vec![
            (0, text(name)),
            (1, Value::Uint(handle)),
            (2, Value::Bool(true)),
            (5, source),
            (6, composite(0x29, vec![])),
        ];
        fields.extend_from_slice(others);
        self.say(ATTACH, &fields).await;
    }

    /// Attaches; the answer, which has a source.
    pub(crate) async fn receiver(&mut self, handle: u32, name: &str, source: Value) -> Frame {
        self.receiver_with(handle, name, source, &[]).await
    }

    pub(crate) async fn receiver_with(
        &mut self,
        handle: u32,
        name: &str,
        source: Value,
        others: &[(usize, Value)],
    ) -> Frame {
        self.say_receiver(handle, name, source, others).await;
        let answer = self.expect(ATTACH).await;
        assert!(!answer.field(5).is_null(), "{answer:?}");
        answer
    }

    /// Attaches and gets refused; the condition.
    pub(crate) async fn refused(
        &mut self,
        handle: u32,
        name: &str,
        source: Value,
        others: &[(usize, Value)],
    ) -> String {
        self.say_receiver(handle, name, source, others).await;
        let answer = self.expect(ATTACH).await;
        assert!(answer.field(5).is_null(), "{answer:?}");
        let condition = self.expect_detach().await;
        self.say_detach(handle, true).await;
        condition.expect("an error")
    }

    /// The next frame is a detach for good; its condition.
    pub(crate) async fn expect_detach(&mut self) -> Option<String> {
        let detach = self.expect(DETACH).await;
        assert_eq!(detach.field(1), Value::Bool(true), "{detach:?}");
        match detach.field(2) {
            Value::Null => None,
            error => Some(error.field(0).as_text().to_owned()),
        }
    }

    pub(crate) async fn say_detach(&mut self, handle: u32, closed: bool) {
        let fields = [(0, Value::Uint(handle)), (1, Value::Bool(closed))];
        self.say(DETACH, &fields).await;
    }

    /// Detaches, and hears the answer.
    pub(crate) async fn detach(&mut self, handle: u32, closed: bool) {
        self.say_detach(handle, closed).await;
        let answer = self.expect(DETACH).await;
        let is_closed = answer.field(1) == Value::Bool(true);
        assert_eq!((is_closed, answer.field(2)), (closed, Value::Null), "r43");
    }

    /// A flow of a link on which it receives, after `count` deliveries on it.
    pub(crate) async fn credit(&mut self, handle: u32, count: u32, credit: u32) {
        self.link_flow(handle, count, credit, false).await;
    }

    /// A drain; the delivery count and credit that its answer tells.
    pub(crate) async fn drain(&mut self, handle: u32, count: u32, credit: u32) {
        self.link_flow(handle, count, credit, true).await;
    }

    /// The answer to a drain: the delivery count, no credit.
    pub(crate) async fn drained(&mut self) -> u64 {
        assert!(self.early.is_empty(), "{:?}", self.early);
        let flow = self.frame().await;
        assert_eq!(flow.code(), FLOW, "{flow:?}");
        assert_eq!(flow.field(6).as_number(), 0, "no credit is left");
        assert_eq!(flow.field(8), Value::Bool(true), "drain");
        flow.field(5).as_number()
    }

    async fn link_flow(&mut self, handle: u32, count: u32, credit: u32, drain: bool) {
        let mut fields = self.session_fields();
        fields.extend([
            (4, Value::Uint(handle)),
            (5, Value::Uint(count)),
            (6, Value::Uint(credit)),
            (8, Value::Bool(drain)),
        ]);
        self.say(FLOW, &fields).await;
    }

    fn session_fields(&self) -> Vec<(usize, Value)> {
        vec![
            (0, Value::Uint(self.received)),
            (1, Value::Uint(self.window)),
            (2, Value::Uint(self.sent)),
            (3, Value::Uint(1_000)),
        ]
    }

    pub(crate) async fn session_flow(&mut self, echo: bool) {
        let mut fields = self.session_fields();
        fields.push((9, Value::Bool(echo)));
        self.say(FLOW, &fields).await;
    }

    /// The next message; frames of one are not mixed with others of its link.
    pub(crate) async fn message(&mut self) -> Message {
        let first = self.expect(TRANSFER).await;
        let (handle, mut more) = (first.field(0).as_number(), first.field(5));
        let mut payload = first.payload.clone();
        let mut frames = 1;
        while more == Value::Bool(true) {
            let next = self.expect(TRANSFER).await;
            assert_eq!(next.field(0).as_number(), handle);
            more = next.field(5);
            payload.extend(next.payload);
            frames += 1;
        }
        Message {
            handle,
            id: u32::try_from(first.field(1).as_number()).unwrap(),
            settled: first.field(4) == Value::Bool(true),
            frames,
            sections: sections(&payload),
        }
    }

    /// The texts of the next messages.
    pub(crate) async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.message().await.text());
        }
        texts
    }

    /// Says how deliveries end, and settles them.
    pub(crate) async fn settle(&mut self, first: u32, last: u32, outcome: Value) {
        self.disposition(first, last, true, outcome).await;
    }

    pub(crate) async fn disposition(
        &mut self,
        first: u32,
        last: u32,
        settled: bool,
        outcome: Value,
    ) {
        let fields = [
            (0, Value::Bool(true)),
            (1, Value::Uint(first)),
            (2, Value::Uint(last)),
            (3, Value::Bool(settled)),
            (4, outcome),
        ];
        self.say(DISPOSITION, &fields).await;
    }

    /// An echo of a link on which it receives is asked for.
    pub(crate) async fn ask_echo(&mut self, handle: u32, count: u32, credit: u32) {
        let mut fields = self.session_fields();
        fields.extend([
            (4, Value::Uint(handle)),
            (5, Value::Uint(count)),
            (6, Value::Uint(credit)),
            (9, Value::Bool(true)),
        ]);
        self.say(FLOW, &fields).await;
    }

    /// Attaches a link on which it would send, and gets refused; the condition.
    pub(crate) async fn refused_target(
        &mut self,
        handle: u32,
        name: &str,
        address: &str,
    ) -> String {
        self.say_sender(handle, name, address).await;
        let answer = self.expect(ATTACH).await;
        assert!(answer.field(6).is_null(), "{answer:?}");
        let condition = self.expect_detach().await;
        self.say_detach(handle, true).await;
        condition.expect("an error")
    }

    async fn say_sender(&mut self, handle: u32, name: &str, address: &str) {
        let target = sparse(0x29, &[(0, text(address))]);
        self.say(
            ATTACH,
            &[
                (0, text(name)),
                (1, Value::Uint(handle)),
                (2, Value::Bool(false)),
                (5, composite(0x28, vec![])),
                (6, target),
                (9, Value::Uint(0)),
            ],
        )
        .await;
    }

    /// Sends durable messages to an address, on a link of its own, and waits until all are stored.
    pub(crate) async fn fill(&mut self, address: &str, texts: &[&str]) {
        self.send(address, texts, false).await;
        let mut told = 0;
        while told < texts.len() as u64 {
            let said = self.expect(DISPOSITION).await;
            assert_eq!(said.field(4).code(), 0x24, "{said:?}");
            let first = said.field(1).as_number();
            let last = match said.field(2) {
                Value::Null => first,
                last => last.as_number(),
            };
            told += last - first + 1;
        }
        self.detach(self.sending, true).await;
    }

    /// The same without hearing of it; the link stays.
    pub(crate) async fn fill_without_waiting(&mut self, address: &str, texts: &[&str]) {
        self.send(address, texts, true).await;
        self.sending += 1;
    }

    async fn send(&mut self, address: &str, texts: &[&str], settled: bool) {
        let name = format!("{} to {address}", self.sending);
        self.say_sender(self.sending, &name, address).await;
        let answer = self.expect(ATTACH).await;
        assert!(!answer.field(6).is_null(), "{answer:?}");
        self.expect(FLOW).await;
        for body in texts {
            let mut frame = Frame::new(
                0,
                sparse(
                    TRANSFER,
                    &[
                        (0, Value::Uint(self.sending)),
                        (1, Value::Uint(self.sent)),
                        (2, Value::Binary(self.sent.to_be_bytes().to_vec())),
                        (3, Value::Uint(0)),
                        (4, Value::Bool(settled)),
                    ],
                ),
            );
            frame.payload = composite(0x70, vec![Value::Bool(true)]).encoded();
            frame.payload.extend(data(body.as_bytes()));
            self.sent += 1;
            self.write(&frame.encoded()).await;
        }
    }
}

/// A field of a link's attach: the properties.
pub(crate) fn properties(pairs: &[(&str, Value)]) -> (usize, Value) {
    let pairs = pairs
        .iter()
        .map(|(key, value)| (symbol(key), value.clone()));
    (13, Value::Map(pairs.collect()))
}
