//! Arguments as AMQP takes them, and those that it does not.

use clap::Args;

use super::{ConnectArguments, Protocol};
use crate::cli::failure::Failure;
use crate::client::QoS;
use crate::client::amqp::{Node, NodeKind, Options, check_address};

/// What the addresses are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Addresses (AMQP)")]
pub(in crate::cli) struct NodeArguments {
    /// Addresses are queues: each message is for one consumer.
    #[arg(long, conflicts_with = "as_topic")]
    queue: bool,
    /// Addresses are topics: each message is for every subscriber.
    #[arg(long = "topic")]
    as_topic: bool,
}

impl NodeArguments {
    /// The node of an address.
    ///
    /// # Errors
    /// It is no address.
    pub(in crate::cli) fn node(&self, address: &str) -> Result<Node, Failure> {
        check_address(address)?;
        let kind = match (self.queue, self.as_topic) {
            (true, _) => Some(NodeKind::Queue),
            (false, true) => Some(NodeKind::Topic),
            (false, false) => None,
        };
        Ok(Node {
            address: address.to_owned(),
            kind,
        })
    }

    /// The arguments here, and whether they are used.
    pub(in crate::cli) fn used(&self) -> [(&'static str, bool); 2] {
        [("--queue", self.queue), ("--topic", self.as_topic)]
    }
}

impl ConnectArguments {
    /// The connection of AMQP that is asked for.
    ///
    /// # Errors
    /// Values that do not fit or that AMQP does not have, a password that cannot be read, no
    /// randomness for a name.
    pub(in crate::cli) fn amqp_options(&self) -> Result<Options, Failure> {
        only_mqtt(&[
            ("--mqtt", self.mqtt.is_some()),
            ("--will-topic", self.will.will_topic.is_some()),
        ])?;
        let asker = self.asker(Protocol::Amqp)?;
        Ok(Options {
            host: asker.host,
            port: asker.port,
            container_id: asker.id,
            user: asker.user,
            password: asker.password.unwrap_or_default(),
            keep_alive_s: asker.keep_alive_s,
        })
    }
}

/// Whether messages are settled when they are sent, as a QoS says it.
///
/// # Errors
/// AMQP has no QoS 2.
pub(in crate::cli) fn is_settled(qos: QoS) -> Result<bool, Failure> {
    match qos {
        QoS::AtMostOnce => Ok(true),
        QoS::AtLeastOnce => Ok(false),
        QoS::ExactlyOnce => Err(Failure::Usage(
            "--qos 2 is MQTT's: over AMQP a message is sent with --qos 1 (confirmed) or 0"
                .to_owned(),
        )),
    }
}

/// An error for the first of `arguments` that is used, which MQTT alone has.
pub(in crate::cli) fn only_mqtt(arguments: &[(&str, bool)]) -> Result<(), Failure> {
    only(arguments, "MQTT", "AMQP")
}

/// The same for what AMQP alone has.
pub(in crate::cli) fn only_amqp(arguments: &[(&str, bool)]) -> Result<(), Failure> {
    only(arguments, "AMQP", "MQTT")
}

fn only(arguments: &[(&str, bool)], who: &str, spoken: &str) -> Result<(), Failure> {
    let Some((argument, _)) = arguments.iter().find(|(_, used)| *used) else {
        return Ok(());
    };
    let protocol = who.to_ascii_lowercase();
    Err(Failure::Usage(format!(
        "{argument} is {who}'s, and {spoken} is spoken here: leave it out, or take --protocol {protocol}"
    )))
}
