//! A client and a broker, both played by a test, with the front-end between them.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use ternmq_amqp::{
    Attach, Begin, Disposition, Flow, Framed, LinkFlow, Open, Outcome, Performative, Role, Source,
    Target, Terminus, frame,
};
use ternmq_core::command::{Command, Consume};
use ternmq_core::effect::{Answer, Delivery};
use ternmq_core::ids::{ConsumerKey, Now, Tag, Token};
use ternmq_core::message::Run;

use crate::engine::{Engine, Link, Outgoing};
use crate::frontends::amqp::{Amqp, AmqpOptions, Containers, FORMAT, Mechanisms, Names};
use crate::frontends::tests::{delivery, envelope, idle};
use crate::frontends::{Frontend, Output, Turn};

/// What the client takes in one frame, and of a message in one transfer.
pub(super) const FRAME_BYTES: u32 = 1_024;

fn options() -> AmqpOptions {
    AmqpOptions {
        max_message_bytes: 1 << 20,
        max_links: 100,
        names: Names::AMQ,
        read_ahead_bytes: 4 << 10,
        credit: 10,
        max_unsettled: 1_000,
        idle_timeout_ms: 0,
        mechanisms: Mechanisms {
            external: false,
            plain: true,
            anonymous: true,
        },
        boot_epoch: 7,
        containers: Containers::default(),
    }
}

/// A frame from the front-end, in short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// Link and the address of its source.
    Attached(u32, Option<String>),
    Transfer {
        link: u32,
        /// Of the first transfer.
        id: Option<u32>,
        more: bool,
        settled: bool,
        payload: Vec<u8>,
    },
    /// Link, delivery count, and credit of a drained link.
    Drained(u32, u32, u32),
    /// First and last delivery, and the state.
    Settled(u32, u32, String),
    /// Link and condition.
    Detached(u32, Option<String>),
    Other(String),
}

/// The front-end between both.
pub(super) struct Peer {
    link: Link,
    _engine: Engine,
    frontend: Amqp,
    pub(super) output: Output,
    /// What the broker is asked.
    pub(super) commands: Vec<Command>,
    heard: Vec<u8>,
    /// The client's session: frames it takes, and how many it has got.
    window: u32,
    received: u32,
    begun: u32,
    /// All frames with attaches, as they came.
    pub(super) attaches: VecDeque<Vec<u8>>,
}

impl Peer {
    /// A client with an open session that takes `window` frames.
    pub(super) fn new(window: u32) -> Self {
        let engine = idle(8 << 20);
        let mut peer = Self {
            link: engine.connect().unwrap(),
            _engine: engine,
            frontend: Amqp::new(Arc::new(options())),
            output: Output::default(),
            commands: Vec::new(),
            heard: Vec::new(),
            window,
            received: 0,
            begun: 0,
            attaches: VecDeque::new(),
        };
        peer.feed(b"AMQP\0\x01\0\0");
        let open = Open {
            max_frame_size: FRAME_BYTES,
            ..Open::new("client")
        };
        peer.say(Performative::Open(open));
        peer.say(Performative::Begin(Begin {
            remote_channel: None,
            next_outgoing_id: 0,
            incoming_window: window,
            outgoing_window: 100,
            handle_max: 100,
            offered_capabilities: Default::default(),
            desired_capabilities: Default::default(),
            properties: None,
        }));
        peer.output = Output::default();
        peer
    }

    fn turn<T>(&mut self, call: impl FnOnce(&mut Amqp, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn {
            now: Now {
                mono_ms: 1,
                wall_ms: 1,
            },
            link: &self.link,
            commands: &mut self.commands,
            output: &mut self.output,
        };
        call(&mut self.frontend, &mut turn)
    }

    fn feed(&mut self, bytes: &[u8]) {
        let taken = self.turn(|amqp, turn| amqp.handle_input(bytes, turn));
        assert_eq!(taken, Ok(bytes.len()));
    }

    /// The client says this.
    pub(super) fn say(&mut self, performative: Performative<'_>) {
        self.say_all([performative]);
    }

    /// All of it in one read.
    pub(super) fn say_all<'a>(&mut self, all: impl IntoIterator<Item = Performative<'a>>) {
        let mut bytes = Vec::new();
        for performative in all {
            performative.put(&mut bytes, 0);
        }
        self.feed(&bytes);
    }

    /// The attach of a link on which the client receives.
    pub(super) fn attach<'a>(handle: u32, name: &'a str, source: Source<'a>) -> Attach<'a> {
        Attach {
            source: Some(source),
            target: Some(Terminus::Target(Target::default())),
            ..Attach::new(name, handle, Role::Receiver)
        }
    }

    /// Attaches; the broker agrees.
    pub(super) fn attached(&mut self, attach: Attach<'_>) -> ConsumerKey {
        self.say(Performative::Attach(Box::new(attach)));
        let consume = self.consume();
        self.answer(consume.token, Answer::Consuming);
        consume.consumer
    }

    /// A link to the queue `a` with this credit.
    pub(super) fn open(&mut self, handle: u32, credit: u32) -> ConsumerKey {
        let name = handle.to_string();
        let source = Source {
            address: Some("queue://a"),
            ..Source::default()
        };
        let key = self.attached(Self::attach(handle, &name, source));
        self.credit(handle, credit, false);
        self.ask();
        self.hear();
        key
    }

    /// What the broker is asked, the only thing, is a consumer.
    pub(super) fn consume(&mut self) -> Consume {
        let mut asked = self.ask();
        match (asked.pop(), asked.is_empty()) {
            (Some(Command::Consume(consume)), true) => consume,
            other => panic!("{other:?} after {asked:?}"),
        }
    }

    /// All the broker is asked.
    pub(super) fn ask(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    pub(super) fn answer(&mut self, token: Option<Token>, answer: Answer) {
        let token = token.unwrap();
        self.turn(|amqp, turn| amqp.handle_answer(token, answer, turn))
            .unwrap();
    }

    /// The client grants credit on a link of which it has seen no delivery.
    pub(super) fn credit(&mut self, handle: u32, credit: u32, drain: bool) {
        let count = self.begun;
        self.credit_after(handle, count, credit, drain);
    }

    /// The same after this many deliveries on it.
    pub(super) fn credit_after(&mut self, handle: u32, count: u32, credit: u32, drain: bool) {
        self.flow(Some(LinkFlow {
            handle,
            delivery_count: Some(count),
            link_credit: Some(credit),
            available: None,
            drain,
        }));
    }

    /// The client takes `window` more frames.
    pub(super) fn open_window(&mut self, window: u32) {
        self.window = self.received + window;
        self.flow(None);
    }

    fn flow(&mut self, link: Option<LinkFlow>) {
        let flow = Flow {
            next_incoming_id: Some(self.received),
            incoming_window: self.window - self.received,
            next_outgoing_id: 0,
            outgoing_window: 100,
            link,
            echo: false,
            properties: None,
        };
        self.say(Performative::Flow(flow));
    }

    /// The client says how deliveries end.
    pub(super) fn settle(&mut self, first: u32, last: u32, outcome: Outcome<'_>) {
        self.say(settled(first, last, Some(outcome)));
    }

    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let outgoing = Outgoing::Delivery(delivery);
        self.turn(|amqp, turn| amqp.handle_delivery(&outgoing, turn));
    }

    pub(super) fn consumer_ended(&mut self, key: ConsumerKey) {
        let why = ternmq_core::effect::ConsumerEnd::Deleted;
        self.turn(|amqp, turn| amqp.handle_consumer_ended(key, why, turn))
            .unwrap();
    }

    /// The kernel takes up to `most` bytes, which the client reads.
    pub(super) fn write(&mut self, most: usize) {
        let mut left = most;
        while left > 0 && !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[])];
            assert_eq!(self.output.slices(&mut slices), 1);
            let bytes = &slices[0][..slices[0].len().min(left)];
            self.heard.extend_from_slice(bytes);
            let count = bytes.len();
            self.output.advance(count);
            left -= count;
        }
        self.turn(|amqp, turn| amqp.handle_written(turn));
    }

    /// Everything is written that is there and comes by that; what the client reads.
    pub(super) fn hear(&mut self) -> Vec<Heard> {
        while !self.output.is_empty() {
            self.write(usize::MAX);
        }
        self.read()
    }

    /// What the client has read so far.
    pub(super) fn read(&mut self) -> Vec<Heard> {
        let bytes = std::mem::take(&mut self.heard);
        let (mut at, mut heard) = (0, Vec::new());
        while let Ok(Framed::Frame(found)) = frame(&bytes[at..], FRAME_BYTES as usize) {
            at += found.len;
            if let Ok((Performative::Attach(_), _)) = Performative::decode(found.body) {
                self.attaches.push_back(found.body.to_vec());
            }
            heard.push(self.heard(found.body));
        }
        self.heard = bytes[at..].to_vec();
        heard
    }

    fn heard(&mut self, body: &[u8]) -> Heard {
        let (performative, payload) = Performative::decode(body).unwrap();
        match performative {
            Performative::Attach(attach) => {
                let address = attach.source.and_then(|source| source.address);
                Heard::Attached(attach.handle, address.map(Into::into))
            }
            Performative::Transfer(transfer) => {
                self.received += 1;
                assert!(self.received <= self.window, "beyond the window");
                self.begun += u32::from(transfer.delivery_id.is_some());
                Heard::Transfer {
                    link: transfer.handle,
                    id: transfer.delivery_id,
                    more: transfer.more,
                    settled: transfer.settled.unwrap_or(false),
                    payload: payload.to_vec(),
                }
            }
            Performative::Flow(Flow {
                link: Some(link), ..
            }) if link.drain => {
                let count = link.delivery_count.unwrap();
                Heard::Drained(link.handle, count, link.link_credit.unwrap())
            }
            Performative::Disposition(said) if said.settled => {
                Heard::Settled(said.first, said.last, format!("{:?}", said.state))
            }
            Performative::Detach(detach) => {
                let condition = detach.error.map(|error| error.condition.into());
                Heard::Detached(detach.handle, condition)
            }
            other => Heard::Other(format!("{other:?}")),
        }
    }

    /// The bodies of all messages that are heard; each is one transfer.
    pub(super) fn bodies(&mut self) -> Vec<String> {
        let transfers = self.hear().into_iter().map(|heard| match heard {
            Heard::Transfer { payload, .. } => body(&payload),
            other => panic!("{other:?}"),
        });
        transfers.collect()
    }
}

/// The client settles deliveries.
pub(super) fn settled(first: u32, last: u32, outcome: Option<Outcome<'_>>) -> Performative<'_> {
    Performative::Disposition(Disposition {
        role: Role::Receiver,
        first,
        last,
        settled: true,
        state: outcome.map(ternmq_amqp::DeliveryState::Outcome),
        batchable: false,
    })
}

/// A data section.
fn data(body: &[u8]) -> Vec<u8> {
    let mut section = b"\0\x53\x75\xb0".to_vec();
    section.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    section.extend_from_slice(body);
    section
}

/// What the one data section of a message holds.
pub(super) fn body(payload: &[u8]) -> String {
    let start = payload
        .windows(4)
        .position(|four| four == b"\0\x53\x75\xb0");
    String::from_utf8(payload[start.unwrap() + 8..].to_vec()).unwrap()
}

/// Messages for a consumer, as the broker gives them out.
pub(super) fn messages(key: ConsumerKey, tag: Tag, bodies: &[&str]) -> Delivery {
    let (mut block, mut ends) = (Vec::new(), Vec::new());
    for body in bodies {
        block.extend(data(body.as_bytes()));
        ends.push(u32::try_from(block.len()).unwrap());
    }
    let run = Run::new(envelope("a"), FORMAT, Bytes::from(block), &ends).unwrap();
    Delivery {
        consumer: key,
        ..delivery(run, tag)
    }
}
