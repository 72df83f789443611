//! What was given to the connection, and what the server made of it.

use std::collections::BTreeMap;

use crate::cli::failure::Failure;
use crate::client::{Client, Event, Verdict};

/// How far a publish has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Messages given to the connection.
    pub(super) given: u64,
    /// No more will be given.
    pub(super) ended: bool,
    /// A message of QoS 0 may not have left yet.
    pub(super) unsent: bool,
    /// Number of each message that waits for its confirmation; as many as the client's window.
    pub(super) numbers: BTreeMap<u32, u64>,
    /// Messages that were accepted and went nowhere.
    pub(super) unmatched: u64,
    /// The first that went wrong; nothing more is given then.
    pub(super) failure: Option<Failure>,
}

impl Progress {
    pub(super) fn is_complete(&self, client: &Client) -> bool {
        self.ended && !self.unsent && client.unconfirmed() == 0
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.ended = true;
        self.failure.get_or_insert(failure);
    }

    pub(super) fn note(&mut self, event: Event, topic: &str) {
        match event {
            Event::Published(id, verdict) => {
                let number = self.numbers.remove(&id).unwrap_or(0);
                match verdict {
                    Verdict::Taken => {}
                    Verdict::Unmatched => self.unmatched += 1,
                    Verdict::Refused(refusal) => self.fail(Failure::PublishRefused {
                        number,
                        topic: topic.to_owned(),
                        refusal,
                    }),
                }
            }
            Event::Sent => self.unsent = false,
            // A publisher has subscribed to nothing.
            Event::Message(..) | Event::Subscribed(_) => {}
        }
    }
}
