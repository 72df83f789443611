//! `ternmq sub`: subscribes and writes what comes.
//!
//! A message is acknowledged when its line has been written and flushed, never before.

mod listen;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::Instant;

use super::connect::{
    ConnectArguments, NodeArguments, is_settled, needs_mqtt_5, only_amqp, only_mqtt, qos,
    seconds_u32, time,
};
use super::failure::Failure;
use super::format::{Form, Template};
use super::interrupts::Interrupts;
use super::url::Protocol;
use crate::client::mqtt::{self, RetainHandling, Version, check_filter};
use crate::client::{Client, ClientError, QoS, amqp};

use listen::{End, Listening, until};

/// What to subscribe to, and how to show it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SubscribeArguments {
    /// Filters such as a/b, a/+/c, a/#, $share/GROUP/a/#; with TernMQ also $queue/NAME and
    /// ADDRESS::QUEUE. Of AMQP the addresses as the server knows them.
    #[arg(required = true, value_name = "FILTER")]
    filters: Vec<String>,
    /// Highest QoS to receive with; over AMQP 0 or 1.
    #[arg(long, value_name = "QOS", default_value = "1", value_parser = qos)]
    qos: QoS,
    /// End after so many messages; 0 only subscribes, which is of use for a session that is kept.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Give up after so much time in all, with exit code 124.
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// End when nothing has come for so long; exit code 124 if --count was not reached.
    #[arg(long, value_name = "TIME", value_parser = time)]
    idle: Option<Duration>,
    /// Do not send me what I publish (MQTT 5).
    #[arg(long)]
    no_local: bool,
    /// Which retained values to send: always, new (for a new subscription only), never (MQTT 5).
    #[arg(long, value_name = "WHEN", default_value = "always")]
    retain_handling: Retained,
    /// Keep the retain flag as it was published (MQTT 5).
    #[arg(long)]
    retain_as_published: bool,
    /// Keep the session for so long after this ends, and resume it if it is there; needs --id
    /// (MQTT).
    #[arg(long, value_name = "TIME", value_parser = time, requires = "id")]
    session_expiry: Option<Duration>,
    /// Give up an older session first.
    #[arg(long, requires = "session_expiry")]
    clean: bool,
    /// One JSON object a line, as without a terminal.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Template such as '{topic} {props.color} {body}'; see below.
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::parse)]
    format: Option<Template>,
    /// Say on standard error what happens.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    connect: ConnectArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Retained {
    Always,
    New,
    Never,
}

/// A subscription as it is asked for, checked.
struct Plan {
    source: Source,
    /// As they are written.
    filters: Vec<String>,
    count: Option<u64>,
    idle: Option<Duration>,
    form: Form,
    verbose: bool,
}

/// Where from to receive.
enum Source {
    Mqtt(Box<mqtt::Options>, mqtt::Subscription),
    Amqp(amqp::Options, amqp::Subscription),
}

/// Subscribes and writes until it is enough.
///
/// # Errors
/// See [`Failure`]; what was written before stays acknowledged.
pub(super) fn run(arguments: &SubscribeArguments) -> Result<(), Failure> {
    let plan = Plan::of(arguments)?;
    let deadline = arguments.timeout.map(|time| Instant::now() + time);
    super::block_on(plan.run(deadline))
}

impl Plan {
    fn of(arguments: &SubscribeArguments) -> Result<Self, Failure> {
        Ok(Self {
            source: match arguments.connect.protocol()? {
                Protocol::Mqtt => arguments.mqtt_source()?,
                Protocol::Amqp => arguments.amqp_source()?,
            },
            filters: arguments.filters.clone(),
            count: arguments.count,
            idle: arguments.idle,
            form: arguments.form(io::stdout().is_terminal()),
            verbose: arguments.verbose,
        })
    }

    async fn run(&self, deadline: Option<Instant>) -> Result<(), Failure> {
        let mut interrupts = Interrupts::new()?;
        let opened = tokio::select! {
            opened = self.source.open() => opened?,
            () = interrupts.next() => return Ok(()),
            () = until(deadline) => return Err(self.timed_out(0)),
        };
        let mut listening = Listening::new(self, opened, deadline);
        let listened = listening.listen(&mut interrupts).await;
        let (seen, complete) = (listening.seen, listening.has_enough());
        let end = match listened {
            Ok(end) => {
                listening.client.close().await?;
                end
            }
            Err(failure @ Failure::Client(_)) => return Err(failure),
            Err(failure) => {
                // It explains more than what may go wrong with the goodbye.
                let _ = listening.client.close().await;
                return Err(failure);
            }
        };
        match end {
            End::TimedOut => Err(self.timed_out(seen)),
            End::Idle if !complete && self.count.is_some() => Err(self.timed_out(seen)),
            End::Done | End::Interrupted | End::Idle => Ok(()),
        }
    }

    fn timed_out(&self, seen: u64) -> Failure {
        let wanted = match self.count {
            Some(count) => format!(" of {count}"),
            None => String::new(),
        };
        Failure::Timeout(format!("out of time after {seen}{wanted} messages"))
    }
}

impl Source {
    /// Connects and subscribes; the answer is the first event.
    async fn open(&self) -> Result<Client, ClientError> {
        match self {
            Self::Mqtt(options, subscription) => {
                let mut client = mqtt::Client::open(options).await?;
                client.subscribe(subscription)?;
                Ok(Client::Mqtt(Box::new(client)))
            }
            Self::Amqp(options, subscription) => {
                let mut client = amqp::Client::open(options).await?;
                client.subscribe(subscription)?;
                Ok(Client::Amqp(Box::new(client)))
            }
        }
    }

    fn server(&self) -> String {
        match self {
            Self::Mqtt(options, _) => options.server(),
            Self::Amqp(options, _) => options.server(),
        }
    }
}

impl SubscribeArguments {
    fn mqtt_source(&self) -> Result<Source, Failure> {
        for filter in &self.filters {
            check_filter(filter)?;
        }
        only_amqp(&self.node.used())?;
        for (argument, used) in self.only_in_5() {
            if used {
                needs_mqtt_5(argument, self.connect.version())?;
            }
        }
        let subscription = mqtt::Subscription {
            filters: self.filters.clone(),
            qos: self.qos,
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            retain_handling: match self.retain_handling {
                Retained::Always => RetainHandling::Always,
                Retained::New => RetainHandling::IfNew,
                Retained::Never => RetainHandling::Never,
            },
        };
        Ok(Source::Mqtt(Box::new(self.options()?), subscription))
    }

    fn amqp_source(&self) -> Result<Source, Failure> {
        only_mqtt(&self.only_in_5())?;
        // --clean needs it.
        only_mqtt(&[("--session-expiry", self.session_expiry.is_some())])?;
        let nodes = self.filters.iter().map(|address| self.node.node(address));
        let subscription = amqp::Subscription {
            nodes: nodes.collect::<Result<_, _>>()?,
            settled: is_settled(self.qos)?,
            wanted: self.count,
        };
        Ok(Source::Amqp(self.connect.amqp_options()?, subscription))
    }

    /// Arguments that MQTT 5 alone has, and whether they are used.
    fn only_in_5(&self) -> [(&'static str, bool); 3] {
        let retained = self.retain_handling != Retained::Always;
        [
            ("--no-local", self.no_local),
            ("--retain-as-published", self.retain_as_published),
            ("--retain-handling", retained),
        ]
    }

    fn options(&self) -> Result<mqtt::Options, Failure> {
        let mut options = self.connect.options()?;
        if let Some(time) = self.session_expiry {
            options.session_expiry_s = seconds_u32("--session-expiry", time)?;
            options.clean = self.clean || options.session_expiry_s == 0;
        }
        if self.clean && self.connect.version() < Version::V5 {
            let text = "MQTT 3 cannot both give up an older session and keep the new one";
            return Err(Failure::Usage(text.to_owned()));
        }
        // Whoever wants few does not take more away from others that share them.
        if let Some(count) = self.count.and_then(|count| u16::try_from(count).ok()) {
            options.receive_maximum = options.receive_maximum.min(count.max(1));
        }
        Ok(options)
    }

    fn form(&self, terminal: bool) -> Form {
        match &self.format {
            Some(template) => Form::Template(template.clone()),
            None if terminal && !self.json => Form::Human,
            None => Form::Json,
        }
    }
}

const EXAMPLES: &str = "\
Output: on a terminal `TOPIC BODY`; else, or with --json, one JSON object a line. A template has the
fields {topic} {body} {body_base64} {qos} {retain} {dup} {content_type} {response_topic} {correlation}
{expiry_s} {subject} {priority} {message_id} {props.NAME} {json}, the escapes \\n \\t \\r \\0 \\\\ \\{ \\}, and \\c at its end for no line end.

Examples:
  ternmq sub 'greenhouse/#'
  ternmq sub 'orders/#' '$share/billing/invoices' --count 10 --timeout 30s --json
  ternmq sub alarms --id pager --session-expiry 7d --format '{props.level} {body}'
  ternmq sub orders --queue --count 10 --url amqp://broker.example";
