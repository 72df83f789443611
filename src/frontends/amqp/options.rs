//! What the configuration says of AMQP.

use ternmq_amqp::{Limits, SaslOffer};

use super::address::Names;
use super::containers::Containers;

/// Options of all AMQP connections of a server.
#[derive(Clone, Debug)]
pub struct AmqpOptions {
    /// Largest message, in bytes.
    pub max_message_bytes: usize,
    /// Links of one connection.
    pub max_links: usize,
    /// How addresses are written.
    pub names: Names,
    /// Bytes of messages kept of a client while they wait for memory.
    pub read_ahead_bytes: usize,
    /// Messages that a producer may send ahead of their outcome being told.
    pub credit: u32,
    /// Deliveries of one session that may be unsettled.
    pub max_unsettled: u32,
    /// After how long without a frame a client counts as gone, in milliseconds; 0 is never.
    pub idle_timeout_ms: u32,
    /// Mechanisms that are offered.
    pub mechanisms: Mechanisms,
    /// Tells this life of the broker from others; random.
    pub boot_epoch: u32,
    /// Who is connected as the only one of its name.
    pub containers: Containers,
}

/// How clients may say who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mechanisms {
    /// By the certificate of the connection; without TLS nobody has one.
    pub external: bool,
    /// By user and password.
    pub plain: bool,
    /// Not at all; then SASL may be left out, too.
    pub anonymous: bool,
}

impl Mechanisms {
    /// Those that are offered, the strongest first. Never none.
    fn names(self) -> &'static [&'static str] {
        match (self.external, self.plain, self.anonymous) {
            (true, true, true) => &["EXTERNAL", "PLAIN", "ANONYMOUS"],
            (true, true, false) => &["EXTERNAL", "PLAIN"],
            (true, false, true) => &["EXTERNAL", "ANONYMOUS"],
            (true, false, false) => &["EXTERNAL"],
            (false, true, true) => &["PLAIN", "ANONYMOUS"],
            (false, true, false) => &["PLAIN"],
            (false, false, _) => &["ANONYMOUS"],
        }
    }
}

impl AmqpOptions {
    pub(super) fn sasl_offer(&self) -> SaslOffer {
        SaslOffer {
            mechanisms: self.mechanisms.names(),
            required: !self.mechanisms.anonymous,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_links: self.max_links,
            idle_timeout_ms: Some(self.idle_timeout_ms).filter(|ms| *ms > 0),
            max_message_size: self.max_message_bytes as u64,
            max_unsettled: self.max_unsettled,
            ..Limits::default()
        }
    }
}
