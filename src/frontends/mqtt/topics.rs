//! Topic names to addresses, remembered per connection: a client publishes to few topics.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use ternmq_core::address::{Address, QueueName, parse_fqqn};
use ternmq_core::dialect::{Dialect, NameError};

use super::options::is_denied;

/// Topics remembered per connection; beyond, the oldest goes.
const REMEMBERED: usize = 16;

/// Where a topic leads.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) address: Address,
    /// Straight to this queue: the topic was `address::queue`.
    pub(super) queue: Option<QueueName>,
    /// Nobody may publish there.
    pub(super) denied: bool,
}

/// The topics used last.
#[derive(Debug)]
pub(super) struct Topics {
    known: Vec<(Box<str>, Destination)>,
    /// Where the next look-up begins: topics used in turn are found at the first look.
    next: usize,
    replace: usize,
    max_bytes: usize,
    deny: Arc<[String]>,
}

impl Topics {
    /// `deny` are filters of what nobody may publish to.
    pub(super) fn new(max_bytes: usize, deny: Arc<[String]>) -> Self {
        Self {
            known: Vec::new(),
            next: 0,
            replace: 0,
            max_bytes,
            deny,
        }
    }

    /// The destination of a topic name that the machine has found valid.
    ///
    /// # Errors
    /// A name that is too long or too deep for this broker.
    pub(super) fn resolve(&mut self, topic: &str) -> Result<&Destination, NameError> {
        let at = match self.place_of(topic) {
            Some(at) => at,
            None => self.learn(topic)?,
        };
        self.next = at + 1;
        // The place was found or filled just now.
        self.known
            .get(at)
            .map(|(_, destination)| destination)
            .ok_or(NameError::Empty)
    }

    fn place_of(&self, topic: &str) -> Option<usize> {
        let start = self.next.min(self.known.len());
        (start..self.known.len()).chain(0..start).find(|at| {
            self.known
                .get(*at)
                .is_some_and(|(known, _)| **known == *topic)
        })
    }

    /// Puts a new topic in the place of the one that was there for longest.
    fn learn(&mut self, topic: &str) -> Result<usize, NameError> {
        let mut destination = read(topic, self.max_bytes)?;
        let address = || destination.address.render(Dialect::Mqtt);
        destination.denied = is_denied(&self.deny, topic)
            || destination.queue.is_some() && is_denied(&self.deny, &address());
        let entry = (Box::from(topic), destination);
        if self.known.len() < REMEMBERED {
            self.known.push(entry);
            return Ok(self.known.len() - 1);
        }
        self.replace = (self.replace + 1) % REMEMBERED;
        if let Some(place) = self.known.get_mut(self.replace) {
            *place = entry;
        }
        Ok(self.replace)
    }
}

fn read(topic: &str, max_bytes: usize) -> Result<Destination, NameError> {
    let Some((address, queue)) = parse_fqqn(topic) else {
        let address = Address::parse(topic, Dialect::Mqtt, max_bytes)?;
        return Ok(Destination {
            address,
            queue: None,
            denied: false,
        });
    };
    let queue = QueueName::parse(queue, Dialect::Mqtt, max_bytes)?;
    Ok(Destination {
        address: Address::parse(address, Dialect::Mqtt, max_bytes)?,
        denied: false,
        queue: Some(queue),
    })
}
