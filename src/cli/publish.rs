//! `ternmq pub`: publishes, and ends when everything is confirmed.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep_until, timeout};

use super::bodies::{Bodies, BodyArguments};
use super::connect::{ConnectArguments, needs_mqtt_5, qos, seconds_u32, time};
use super::failure::Failure;
use super::interrupts::Interrupts;
use super::say;
use crate::client::{Client, Event, Message, Options, Properties, QoS, Reason, check_topic};

/// What to publish, and how.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(super) struct PublishArguments {
    /// Topic to publish to.
    topic: String,
    #[command(flatten)]
    body: BodyArguments,
    /// 0 sends and forgets; 1 and 2 wait until the server has confirmed.
    #[arg(long, value_name = "QOS", default_value = "1", value_parser = qos)]
    qos: QoS,
    /// The message becomes the retained value of its topic; an empty one clears it.
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
    connect: ConnectArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Properties (MQTT 5)")]
struct PropertyArguments {
    /// Kind of the body, such as application/json.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Topic for an answer.
    #[arg(long, value_name = "TOPIC")]
    response_topic: Option<String>,
    /// What an answer brings back, to tell answers apart.
    #[arg(long, value_name = "TEXT")]
    correlation: Option<String>,
    /// Drop the message where it has waited so long.
    #[arg(long, value_name = "TIME", value_parser = time)]
    expiry: Option<Duration>,
    /// Declare what the body is made of; utf8 is checked before it is sent.
    #[arg(long, value_name = "FORMAT", default_value = "bytes")]
    payload_format: PayloadFormat,
    /// A property of your own; may be repeated.
    #[arg(long = "prop", value_name = "NAME=VALUE", value_parser = pair)]
    props: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PayloadFormat {
    Bytes,
    Utf8,
}

/// A publish as it is asked for, checked.
struct Plan {
    options: Options,
    /// Everything but the body.
    template: Message,
    interval: Option<Duration>,
    verbose: bool,
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
        check_topic(&arguments.topic)?;
        let properties = arguments.properties.properties()?;
        if properties != Properties::default() {
            needs_mqtt_5("a property", arguments.connect.version())?;
        }
        Ok(Self {
            options: arguments.connect.options()?,
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
            opened = Client::open(&self.options) => opened?,
            () = interrupts.next() => return Err(Failure::Interrupted),
        };
        if self.verbose {
            say(&format!("connected to {}", self.options.server()));
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

    fn send(&self, client: &mut Client, number: u64, body: Bytes) -> Result<Option<u16>, Failure> {
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

/// How far a publish has come.
#[derive(Debug, Default)]
struct Progress {
    /// Messages given to the connection.
    given: u64,
    /// No more will be given.
    ended: bool,
    /// A message of QoS 0 may not have left yet.
    unsent: bool,
    /// Number of each message that waits for its confirmation; as many as the client's window.
    numbers: BTreeMap<u16, u64>,
    /// Messages that were accepted and went nowhere.
    unmatched: u64,
    /// The first that went wrong; nothing more is given then.
    failure: Option<Failure>,
}

impl Progress {
    fn is_complete(&self, client: &Client) -> bool {
        self.ended && !self.unsent && client.unconfirmed() == 0
    }

    fn fail(&mut self, failure: Failure) {
        self.ended = true;
        self.failure.get_or_insert(failure);
    }

    fn note(&mut self, event: Event, topic: &str) {
        match event {
            Event::Published(id, reason) => {
                let number = self.numbers.remove(&id).unwrap_or(0);
                self.unmatched += u64::from(reason == Reason::NO_MATCHING_SUBSCRIBERS);
                if reason.is_refusal() {
                    self.fail(Failure::PublishRefused {
                        number,
                        topic: topic.to_owned(),
                        reason,
                    });
                }
            }
            Event::Sent => self.unsent = false,
            // A publisher has subscribed to nothing.
            Event::Message(..) | Event::Subscribed(_) => {}
        }
    }
}

impl PropertyArguments {
    fn properties(&self) -> Result<Properties, Failure> {
        if let Some(topic) = &self.response_topic {
            check_topic(topic)?;
        }
        let expiry_s = self.expiry.map(|time| seconds_u32("--expiry", time));
        Ok(Properties {
            content_type: self.content_type.clone(),
            response_topic: self.response_topic.clone(),
            correlation: self.correlation.clone().map(Bytes::from),
            expiry_s: expiry_s.transpose()?,
            utf8: self.payload_format == PayloadFormat::Utf8,
            user: self.props.clone(),
            subscription_ids: Vec::new(),
        })
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

const USAGE: &str = "ternmq pub [OPTIONS] <TOPIC> <BODY|--file <FILE>|--stdin|--lines|--empty>";
const EXAMPLES: &str = "\
Examples:
  ternmq pub greenhouse/temp 21.5
  ternmq pub greenhouse/temp 21.5 --retain --prop unit=celsius
  tail -f log | ternmq pub logs/app --lines
  ternmq pub firmware --file image.bin --url mqtt://broker.example:1883";
