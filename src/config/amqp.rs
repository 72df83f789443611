//! `[amqp]`: what the AMQP front-end offers its clients.

use serde::Deserialize;

use super::stomp::Wildcards;

/// Options of AMQP 1.0.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amqp {
    /// How clients may say who they are (S 5.3); without `ANONYMOUS` none may leave SASL out. At
    /// least one; default `PLAIN` and `ANONYMOUS`.
    pub mechanisms: Vec<Mechanism>,
    /// Messages that a producer may send before it is told what became of them. 1 to 100,000;
    /// default 1,000.
    pub credit: u32,
    /// Deliveries of a session that may be unsettled, whatever the credit of its links. 1 to
    /// 1,000,000; default 65,536.
    pub max_unsettled: u32,
    /// After how many milliseconds without a frame a client counts as gone; it is told half of it
    /// (T 2.4.5). 0 is never, else 1,000 to 3,600,000; default 60,000.
    pub idle_timeout_ms: u32,
    /// Dialect of wildcards in addresses. Default `amq`.
    pub wildcards: Wildcards,
    /// What an address that names a queue may begin with; it is taken off. At most 16.
    pub anycast_prefixes: Vec<String>,
    /// What an address that names a topic may begin with; it is taken off. At most 16.
    pub multicast_prefixes: Vec<String>,
}

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mechanism {
    /// By the certificate of the connection.
    External,
    /// By user and password.
    Plain,
    /// Not at all.
    Anonymous,
}

impl Default for Amqp {
    fn default() -> Self {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Self {
            mechanisms: vec![Mechanism::Plain, Mechanism::Anonymous],
            credit: 1_000,
            max_unsettled: 65_536,
            idle_timeout_ms: 60_000,
            wildcards: Wildcards::Amq,
            anycast_prefixes: texts(&[
                "queue://",
                "/queue/",
                "jms.queue.",
                "temp-queue://",
                "/temp-queue/",
            ]),
            multicast_prefixes: texts(&[
                "topic://",
                "/topic/",
                "jms.topic.",
                "temp-topic://",
                "/temp-topic/",
            ]),
        }
    }
}
