//! `ternmq pub`: publishes, and ends when everything is confirmed.

mod progress;
mod properties;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use tokio::time::{Instant, sleep_until, timeout};

use super::bodies::{Bodies, BodyArguments};
use super::connect::{
    ConnectArguments, NodeArguments, is_settled, needs_mqtt_5, only_amqp, only_mqtt, qos, time,
};
use super::failure::Failure;
use super::interrupts::Interrupts;
use super::say;
use super::url::Protocol;
use crate::client::amqp::{self, Node};
use crate::client::mqtt::{self, check_topic};
use crate::client::{Client, ClientError, Message, Properties, QoS};

use progress::Progress;
use properties::PropertyArguments;

/// What to publish, and how.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(super) struct PublishArguments {
    /// Topic, or address, to publish to.
    topic: String,
    #[command(flatten)]
    body: BodyArguments,
    /// 0 sends and forgets; 1 and 2 (MQTT) wait until the server has confirmed.
    #[arg(long, value_name = "QOS", default_value = "1", value_parser = qos)]
    qos: QoS,
    /// The message becomes the retained value of its topic; an empty one clears it (MQTT).
    #[arg(long)]
    retain: bool,
    /// Publish the same body so many times.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "lines")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Wait between messages.
    #[arg(long, value_name = "TIME", value_parser = time)]
    interval: Option<Duration>,
    /// Give up after so much time in all, with exit code 124.
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// Say on standard error what happens.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    properties: PropertyArguments,
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    connect: ConnectArguments,
}

/// A publish as it is asked for, checked.
struct Plan {
    target: Target,
    /// Everything but the body.
    template: Message,
    interval: Option<Duration>,
    verbose: bool,
}

/// Where to publish.
enum Target {
    /// A server of MQTT; the message has its topic.
    Mqtt(Box<mqtt::Options>),
    /// A node of a server of AMQP.
    Amqp {
        options: amqp::Options,
        node: Node,
        /// No outcome is wanted.
        settled: bool,
    },
}

/// Publishes.
///
/// # Errors
/// See [`Failure`]; messages that were confirmed before stay published.
pub(super) fn run(arguments: &PublishArguments) -> Result<(), Failure> {
    let plan = Plan::of(arguments)?;
    let bodies = arguments.body.open(arguments.repeat)?;
    let limit = arguments.timeout.unwrap_or(Duration::MAX);
    super::block_on(async {
        timeout(limit, plan.publish(bodies)).await.map_err(|_| {
            Failure::Timeout(format!(
                "not everything was confirmed within {}",
                humantime::format_duration(limit)
            ))
        })?
    })
}

impl Plan {
    fn of(arguments: &PublishArguments) -> Result<Self, Failure> {
        let (target, properties) = match arguments.connect.protocol()? {
            Protocol::Mqtt => arguments.mqtt_target()?,
            Protocol::Amqp => arguments.amqp_target()?,
        };
        Ok(Self {
            target,
            template: Message {
                topic: arguments.topic.clone(),
                body: Bytes::new(),
                qos: arguments.qos,
                retain: arguments.retain,
                dup: false,
                properties,
            },
            interval: arguments.interval,
            verbose: arguments.verbose,
        })
    }

    async fn publish(&self, mut bodies: Bodies) -> Result<(), Failure> {
        let mut interrupts = Interrupts::new()?;
        let mut client = tokio::select! {
            opened = self.target.open() => opened?,
            () = interrupts.next() => return Err(Failure::Interrupted),
        };
        if self.verbose {
            say(&format!("connected to {}", self.target.server()));
        }
        let mut progress = Progress::default();
        let mut due = Instant::now();
        while !progress.is_complete(&client) {
            let wants = !progress.ended && client.has_room();
            let waits = wants && due > Instant::now();
            tokio::select! {
                event = client.event() => progress.note(event?, &self.template.topic),
                () = sleep_until(due), if waits => {}
                // The first is the end of what is published, as the end of lines would be.
                () = interrupts.next() => {
                    if progress.ended {
                        return Err(Failure::Interrupted);
                    }
                    progress.ended = true;
                }
                body = bodies.next(), if wants && !waits => {
                    self.give(&mut client, &mut progress, body);
                    if let Some(interval) = self.interval {
                        due = Instant::now() + interval;
                    } else {
                        self.give_ready(&mut client, &mut progress, &mut bodies);
                    }
                }
            }
        }
        // Everything has been confirmed, or is the kernel's: a goodbye that fails takes nothing back.
        let _ = client.close().await;
        self.report(progress)
    }

    /// Gives what is there already, so that many messages leave in one write.
    fn give_ready(&self, client: &mut Client, progress: &mut Progress, bodies: &mut Bodies) {
        while !progress.ended
            && client.has_room()
            && let Some(body) = bodies.ready()
        {
            self.give(client, progress, Some(body));
        }
    }

    /// Gives one body; without one it was the last. After a failure what was given before is still
    /// waited for.
    fn give(
        &self,
        client: &mut Client,
        progress: &mut Progress,
        body: Option<Result<Bytes, Failure>>,
    ) {
        let Some(body) = body else {
            progress.ended = true;
            return;
        };
        let number = progress.given + 1;
        match body.and_then(|body| self.send(client, number, body)) {
            Ok(Some(id)) => {
                progress.numbers.insert(id, number);
            }
            Ok(None) => progress.unsent = true,
            Err(failure) => return progress.fail(failure),
        }
        progress.given = number;
    }

    fn send(&self, client: &mut Client, number: u64, body: Bytes) -> Result<Option<u32>, Failure> {
        if self.template.properties.utf8 && std::str::from_utf8(&body).is_err() {
            let text = format!("message {number} is not UTF-8, as --payload-format says");
            return Err(Failure::Usage(text));
        }
        let message = Message {
            body,
            ..self.template.clone()
        };
        Ok(client.publish(&message)?)
    }

    fn report(&self, progress: Progress) -> Result<(), Failure> {
        if let Some(failure) = progress.failure {
            return Err(failure);
        }
        if progress.unmatched > 0 && !self.template.retain {
            let count = progress.unmatched;
            say(&format!(
                "note: {count} of {} matched no subscription",
                progress.given
            ));
        }
        if self.verbose {
            let word = match self.template.qos {
                QoS::AtMostOnce => "sent",
                QoS::AtLeastOnce | QoS::ExactlyOnce => "confirmed",
            };
            say(&format!("{word}: {}", progress.given));
        }
        Ok(())
    }
}

impl PublishArguments {
    fn mqtt_target(&self) -> Result<(Target, Properties), Failure> {
        check_topic(&self.topic)?;
        only_amqp(&self.node.used())?;
        let properties = self.properties.of_mqtt()?;
        if properties != Properties::default() {
            needs_mqtt_5("a property", self.connect.version())?;
        }
        let options = Box::new(self.connect.options()?);
        Ok((Target::Mqtt(options), properties))
    }

    fn amqp_target(&self) -> Result<(Target, Properties), Failure> {
        only_mqtt(&[("--retain", self.retain)])?;
        let target = Target::Amqp {
            node: self.node.node(&self.topic)?,
            settled: is_settled(self.qos)?,
            options: self.connect.amqp_options()?,
        };
        Ok((target, self.properties.of_amqp()?))
    }
}

impl Target {
    async fn open(&self) -> Result<Client, ClientError> {
        match self {
            Self::Mqtt(options) => {
                let client = mqtt::Client::open(options).await?;
                Ok(Client::Mqtt(Box::new(client)))
            }
            Self::Amqp {
                options,
                node,
                settled,
            } => {
                let mut client = amqp::Client::open(options).await?;
                client.send_to(node, *settled).await?;
                Ok(Client::Amqp(Box::new(client)))
            }
        }
    }

    fn server(&self) -> String {
        match self {
            Self::Mqtt(options) => options.server(),
            Self::Amqp { options, .. } => options.server(),
        }
    }
}

const USAGE: &str = "ternmq pub [OPTIONS] <TOPIC> <BODY|--file <FILE>|--stdin|--lines|--empty>";
const EXAMPLES: &str = "\
Examples:
  ternmq pub greenhouse/temp 21.5
  ternmq pub greenhouse/temp 21.5 --retain --prop unit=celsius
  tail -f log | ternmq pub logs/app --lines
  ternmq pub firmware --file image.bin --url mqtt://broker.example:1883
  ternmq pub orders '{}' --queue --content-type application/json --protocol amqp";
