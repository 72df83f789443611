//! `$SYS` topics: the server's own values, made when somebody subscribes and told again at times.
//! Nothing of them is stored. To a session that is resumed they are told again: it is no new
//! subscription, which would get them at once.

use ternmq_core::address::Filter as CoreFilter;
use ternmq_core::dialect::Dialect;
use ternmq_core::ids::Now;
use ternmq_mqtt::topic::Filter;
use ternmq_mqtt::{Properties, Publish, QoS};

use super::State;
use super::options::is_denied;
use crate::frontends::Turn;

/// Filters per connection; beyond, further ones are not told again.
const MAX_FILTERS: usize = 32;

/// While more than this waits, in bytes, a round is left out.
const MAX_WAITING: usize = 64 << 10;

/// What this client wants to know.
#[derive(Debug, Default)]
pub(super) struct Sys {
    filters: Vec<String>,
    next_ms: u64,
}

impl Sys {
    /// The filters that can match topics of the server.
    pub(super) fn wanted(&self, filters: &[&str]) -> Vec<String> {
        let own = filters.iter().filter(|filter| filter.starts_with("$SYS"));
        own.map(|filter| (*filter).to_owned()).collect()
    }

    pub(super) fn forget(&mut self, filter: &str) {
        self.filters.retain(|known| known != filter);
    }

    /// When the values are due again.
    pub(super) fn poll_timeout(&self) -> Option<u64> {
        (!self.filters.is_empty()).then_some(self.next_ms)
    }
}

impl State {
    /// A session has these subscriptions under `$`.
    pub(super) fn resume_own(&mut self, filters: &[CoreFilter], now: Now) {
        let texts: Vec<String> = filters.iter().map(|f| f.render(Dialect::Mqtt)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.sys.filters = self.sys.wanted(&texts);
        self.sys.next_ms = self.next_round(now);
    }

    /// Answers subscriptions with the values they match.
    pub(super) fn show_own(&mut self, filters: Vec<String>, turn: &mut Turn<'_>) {
        if filters.is_empty() {
            return;
        }
        self.put_own(&filters, true, turn);
        if self.sys.filters.is_empty() {
            self.sys.next_ms = self.next_round(turn.now);
        }
        for filter in filters {
            if !self.sys.filters.contains(&filter) && self.sys.filters.len() < MAX_FILTERS {
                self.sys.filters.push(filter);
            }
        }
    }

    /// Tells the values again if it is time.
    pub(super) fn refresh_own(&mut self, turn: &mut Turn<'_>) {
        if self.sys.filters.is_empty() || turn.now.mono_ms < self.sys.next_ms {
            return;
        }
        self.sys.next_ms = self.next_round(turn.now);
        if turn.output.len() < MAX_WAITING {
            let filters = std::mem::take(&mut self.sys.filters);
            self.put_own(&filters, false, turn);
            self.sys.filters = filters;
        }
    }

    fn next_round(&self, now: Now) -> u64 {
        now.mono_ms.saturating_add(self.options.sys_interval_ms)
    }

    fn put_own(&mut self, filters: &[String], retain: bool, turn: &mut Turn<'_>) {
        let matches = |topic: &str| {
            let mut filters = filters.iter().filter_map(|text| Filter::parse(text).ok());
            filters.any(|filter| filter.matches(topic))
        };
        for (topic, value) in self.options.sys.read() {
            if matches(topic) && !is_denied(&self.options.deny, topic) {
                let publish = Publish {
                    topic,
                    qos: QoS::AtMostOnce,
                    retain,
                    dup: false,
                    id: None,
                    properties: Properties::default(),
                    payload: value.as_bytes(),
                };
                // One that is too large for the client does not matter.
                let _ = self.sender.put_publish(turn.output.buffer(), &publish);
            }
        }
    }
}
