//! What was sent in one direction and what has arrived of it.

use crate::packet::QoS;

/// The topics of a pair's messages; long enough for aliases.
const TOPICS: [&str; 3] = ["topic/first", "topic/second", "topic/third"];

/// Numbers of messages, by QoS.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: [Vec<u32>; 3],
    arrived: [Vec<u32>; 3],
    last: u32,
}

/// A message that says its own number and QoS.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    pub(super) qos: QoS,
    pub(super) number: u32,
}

impl Letter {
    pub(super) fn topic(self) -> &'static str {
        let place = self.number as usize % TOPICS.len();
        TOPICS.get(place).copied().unwrap_or_default()
    }

    pub(super) fn payload(self) -> [u8; 5] {
        let [a, b, c, d] = self.number.to_be_bytes();
        [self.qos as u8, a, b, c, d]
    }

    /// Reads a message and checks that it came under its own topic.
    pub(super) fn read(topic: &str, payload: &[u8]) -> Self {
        let &[qos, a, b, c, d] = payload else {
            unreachable!("a payload that nobody sent: {payload:02x?}");
        };
        let letter = Self {
            qos: QoS::from_bits(qos).unwrap_or(QoS::AtMostOnce),
            number: u32::from_be_bytes([a, b, c, d]),
        };
        assert_eq!(topic, letter.topic(), "{letter:?}");
        letter
    }
}

impl Ledger {
    /// The next message, not sent yet.
    pub(super) fn next(&self, qos: QoS) -> Letter {
        let number = self.last + 1;
        Letter { qos, number }
    }

    pub(super) fn sent(&mut self, letter: Letter) {
        self.last = letter.number;
        if let Some(sent) = self.sent.get_mut(letter.qos as usize) {
            sent.push(letter.number);
        }
    }

    /// QoS 0 and 2 arrive once, QoS 1 perhaps again, and first arrivals are in order
    /// \[MQTT-4.6.0-5, -6\].
    pub(super) fn arrived(&mut self, letter: Letter) {
        let Some(arrived) = self.arrived.get_mut(letter.qos as usize) else {
            return;
        };
        if arrived.last().is_none_or(|last| *last < letter.number) {
            arrived.push(letter.number);
        } else {
            let again = arrived.binary_search(&letter.number).is_ok();
            assert!(again, "{letter:?} arrives late");
            assert_eq!(letter.qos, QoS::AtLeastOnce, "{letter:?} arrives again");
        }
    }

    /// Nothing is on its way any more.
    pub(super) fn check_complete(&self) {
        let [_, first_sent, second_sent] = &self.sent;
        let [_, first_arrived, second_arrived] = &self.arrived;
        assert_eq!(first_sent, first_arrived, "QoS 1 at least once");
        assert_eq!(second_sent, second_arrived, "QoS 2 exactly once");
    }
}
