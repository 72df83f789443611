//! Topic names to addresses, remembered per connection: a client publishes to few topics.

use ternmq_core::address::{Address, QueueName, parse_fqqn};
use ternmq_core::dialect::{Dialect, NameError};

/// Topics remembered per connection; beyond, the oldest goes.
const REMEMBERED: usize = 16;

/// Where a topic leads.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) address: Address,
    /// Straight to this queue: the topic was `address::queue`.
    pub(super) queue: Option<QueueName>,
}

/// The topics used last.
#[derive(Debug)]
pub(super) struct Topics {
    known: Vec<(Box<str>, Destination)>,
    /// Where the next look-up begins: topics used in turn are found at the first look.
    next: usize,
    replace: usize,
    max_bytes: usize,
}

impl Topics {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            known: Vec::new(),
            next: 0,
            replace: 0,
            max_bytes,
        }
    }

    /// The destination of a topic name that the machine has found valid.
    ///
    /// # Errors
    /// A name that is too long or too deep for this broker.
    pub(super) fn resolve(&mut self, topic: &str) -> Result<Destination, NameError> {
        let start = self.next.min(self.known.len());
        for at in (start..self.known.len()).chain(0..start) {
            if let Some((known, destination)) = self.known.get(at)
                && **known == *topic
            {
                self.next = at + 1;
                return Ok(destination.clone());
            }
        }
        let destination = read(topic, self.max_bytes)?;
        let entry = (Box::from(topic), destination.clone());
        if self.known.len() < REMEMBERED {
            self.known.push(entry);
        } else {
            self.replace = (self.replace + 1) % REMEMBERED;
            if let Some(place) = self.known.get_mut(self.replace) {
                *place = entry;
            }
        }
        Ok(destination)
    }
}

fn read(topic: &str, max_bytes: usize) -> Result<Destination, NameError> {
    let Some((address, queue)) = parse_fqqn(topic) else {
        let address = Address::parse(topic, Dialect::Mqtt, max_bytes)?;
        return Ok(Destination {
            address,
            queue: None,
        });
    };
    Ok(Destination {
        address: Address::parse(address, Dialect::Mqtt, max_bytes)?,
        queue: Some(QueueName::parse(queue, Dialect::Mqtt, max_bytes)?),
    })
}
