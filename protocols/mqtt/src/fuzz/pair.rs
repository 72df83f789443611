//! Two machines and a wire between them that is slow and breaks: a client and a broker exchange
//! messages of every QoS both ways, in an order that the fuzzer chooses, over any number of
//! connections. What must hold:
//!
//! * neither machine refuses the other: both windows, both alias tables and all ids are kept to;
//! * nothing is sent again on the same connection, and no id is used twice at a time;
//! * QoS 2 arrives exactly once, QoS 1 at least once, QoS 0 at most once, each in its order and
//!   under its own topic.

use super::broker::Broker;
use super::ledger::{Ledger, Letter};
use crate::client::{Client, ClientEvent};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{Connect, Publish, QoS, Version};
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};

/// Lets a client and a broker talk as `data` says; see the invariants above.
pub fn pair(data: &[u8]) {
    let [version, window, choices @ ..] = data else {
        return;
    };
    let version = if version & 1 == 0 {
        Version::V5
    } else {
        Version::V311
    };
    let mut pair = Pair::new(version, u16::from(window % 4) + 1);
    pair.connect(*window);
    for choice in choices.chunks_exact(2) {
        if let &[action, amount] = choice {
            pair.act(action, amount);
        }
    }
    pair.finish();
}

#[derive(Debug)]
struct Pair {
    now_ms: u64,
    version: Version,
    client_window: u16,
    client: Client,
    client_input: Vec<u8>,
    /// Messages the client has been handed and not acknowledged.
    pending: Vec<(u16, Letter)>,
    broker: Broker,
    upward: Vec<u8>,
    downward: Vec<u8>,
    /// From the client and to it.
    published: Ledger,
    delivered: Ledger,
}

impl Pair {
    fn new(version: Version, client_window: u16) -> Self {
        Self {
            now_ms: 0,
            version,
            client_window,
            client: Client::new(Limits::default(), 6),
            client_input: Vec::new(),
            pending: Vec::new(),
            broker: Broker::default(),
            upward: Vec::new(),
            downward: Vec::new(),
            published: Ledger::default(),
            delivered: Ledger::default(),
        }
    }

    fn act(&mut self, action: u8, amount: u8) {
        let qos = QoS::from_bits(amount % 3).unwrap_or(QoS::AtMostOnce);
        match action % 16 {
            0..=2 => self.publish(qos),
            3..=5 => {
                self.broker
                    .publish(qos, &mut self.delivered, &mut self.downward);
            }
            6..=8 => self.carry_up(usize::from(amount)),
            9..=11 => self.carry_down(usize::from(amount)),
            12 => self.acknowledge(qos),
            13 => {
                self.broker.answer(&mut self.downward);
            }
            14 => self.pass(u64::from(amount) * 500, amount),
            _ => self.connect(amount),
        }
    }

    /// A new connection: what is on the wire is lost. The server's window is another each time.
    fn connect(&mut self, choice: u8) {
        self.client.connection_lost();
        self.pending.clear();
        self.client_input.clear();
        self.upward.clear();
        self.downward.clear();
        let limits = Limits {
            receive_maximum: u16::from(choice % 5) + 1,
            topic_alias_maximum: u16::from(choice % 3),
            ..Limits::default()
        };
        self.broker.connect(limits, self.now_ms);
        let mut properties = PropertiesBuf::new();
        for (id, value) in [
            (PropertyId::ReceiveMaximum, Value::Short(self.client_window)),
            (PropertyId::TopicAliasMaximum, Value::Short(2)),
            (PropertyId::SessionExpiry, Value::Long(u32::MAX)),
        ] {
            assert_eq!(properties.push(id, value), Ok(()));
        }
        let connect = Connect {
            version: self.version,
            clean_start: false,
            keep_alive_s: 60,
            client_id: "pair",
            will: None,
            username: None,
            password: None,
            properties: properties.properties(),
        };
        assert_eq!(self.client.connect(self.now_ms, &connect), Ok(()));
    }

    fn publish(&mut self, qos: QoS) {
        let letter = self.published.next(qos);
        let payload = letter.payload();
        let message = Publish {
            topic: letter.topic(),
            qos,
            retain: false,
            dup: false,
            id: None,
            properties: Properties::default(),
            payload: &payload,
        };
        match self.client.publish(self.now_ms, message) {
            Ok(_) => self.published.sent(letter),
            Err(error) => {
                assert!(matches!(error, Error::NotConnected | Error::WindowFull));
            }
        }
    }

    /// Takes over the oldest message of this QoS, or of any.
    fn acknowledge(&mut self, qos: QoS) {
        if self.pending.is_empty() {
            return;
        }
        let found = self
            .pending
            .iter()
            .position(|(_, letter)| letter.qos == qos);
        let place = found.unwrap_or(0);
        let (id, letter) = self.pending.remove(place);
        assert_eq!(self.client.acknowledge(self.now_ms, id), Ok(()));
        self.delivered.arrived(letter);
    }

    fn carry_up(&mut self, n: usize) {
        if let Some(bytes) = self.client.poll_output() {
            self.upward.extend_from_slice(&bytes);
        }
        let bytes: Vec<u8> = self.upward.drain(..n.min(self.upward.len())).collect();
        let (ledger, out) = (&mut self.published, &mut self.downward);
        self.broker.handle(self.now_ms, &bytes, ledger, out);
    }

    fn carry_down(&mut self, n: usize) {
        let bytes = self.downward.drain(..n.min(self.downward.len()));
        self.client_input.extend(bytes);
        let mut at = 0;
        while let Some(event) = self
            .client
            .poll_event(self.now_ms, &self.client_input, &mut at)
        {
            match event {
                Ok(ClientEvent::Publish(publish)) => {
                    let letter = Letter::read(publish.topic, publish.payload);
                    assert_eq!(letter.qos, publish.qos);
                    // The client has taken a message over when it answers, and answers once: what
                    // it was handed on a lost connection comes again.
                    match publish.id {
                        None => self.delivered.arrived(letter),
                        Some(id) => self.pending.push((id, letter)),
                    }
                }
                Ok(ClientEvent::Acknowledged { reason, .. }) => {
                    assert!(reason < 0x80 || reason == 0x92, "{reason:x}");
                }
                Ok(_) => {}
                Err(error) => unreachable!("the client refuses its server: {error}"),
            }
        }
        self.client_input.drain(..at);
    }

    fn pass(&mut self, ms: u64, choice: u8) {
        self.now_ms += ms;
        let client = self.client.handle_timeout(self.now_ms).is_ok();
        if !client || !self.broker.handle_timeout(self.now_ms) {
            self.connect(choice);
        }
    }

    /// A last connection, on which everything comes to its end.
    fn finish(&mut self) {
        self.connect(4);
        loop {
            self.carry_up(usize::MAX);
            while self.broker.answer(&mut self.downward) {}
            let idle = self.downward.is_empty() && self.pending.is_empty();
            self.carry_down(usize::MAX);
            while !self.pending.is_empty() {
                self.acknowledge(QoS::AtMostOnce);
            }
            if idle {
                break;
            }
        }
        self.published.check_complete();
        self.delivered.check_complete();
    }
}
