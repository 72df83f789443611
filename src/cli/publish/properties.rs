//! Properties of messages as arguments.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};

use crate::cli::connect::{only_amqp, only_mqtt, seconds_u32, time};
use crate::cli::failure::Failure;
use crate::client::Properties;
use crate::client::amqp::check_address;
use crate::client::mqtt::check_topic;

#[derive(Debug, Args)]
#[command(next_help_heading = "Properties (MQTT 5, AMQP)")]
pub(super) struct PropertyArguments {
    /// Kind of the body, such as application/json.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Topic, or address, for an answer.
    #[arg(long, value_name = "TOPIC", visible_alias = "reply-to")]
    response_topic: Option<String>,
    /// What an answer brings back, to tell answers apart.
    #[arg(long, value_name = "TEXT")]
    correlation: Option<String>,
    /// Drop the message where it has waited so long.
    #[arg(long, value_name = "TIME", visible_alias = "ttl", value_parser = time)]
    expiry: Option<Duration>,
    /// Declare what the body is made of; utf8 is checked before it is sent (MQTT).
    #[arg(long, value_name = "FORMAT", default_value = "bytes")]
    payload_format: PayloadFormat,
    /// A property of your own; may be repeated.
    #[arg(long = "prop", value_name = "NAME=VALUE", value_parser = pair)]
    props: Vec<(String, String)>,
    /// What the message is about (AMQP).
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// 0 to 9, the higher the sooner; 4 if nothing is said (AMQP).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..10))]
    priority: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PayloadFormat {
    Bytes,
    Utf8,
}

impl PropertyArguments {
    /// The properties of MQTT.
    ///
    /// # Errors
    /// Values that MQTT does not take, or that AMQP alone has.
    pub(super) fn of_mqtt(&self) -> Result<Properties, Failure> {
        only_amqp(&[
            ("--subject", self.subject.is_some()),
            ("--priority", self.priority.is_some()),
        ])?;
        if let Some(topic) = &self.response_topic {
            check_topic(topic)?;
        }
        self.properties()
    }

    /// The properties of AMQP.
    ///
    /// # Errors
    /// Values that AMQP does not take, or that MQTT alone has.
    pub(super) fn of_amqp(&self) -> Result<Properties, Failure> {
        only_mqtt(&[(
            "--payload-format",
            self.payload_format == PayloadFormat::Utf8,
        )])?;
        if let Some(address) = &self.response_topic {
            check_address(address)?;
        }
        let usage = |text: String| Err(Failure::Usage(text));
        if self
            .content_type
            .as_ref()
            .is_some_and(|text| !text.is_ascii())
        {
            return usage("--content-type: only ASCII in AMQP".to_owned());
        }
        if self.expiry.is_some_and(|time| time > LONGEST_TTL) {
            return usage("--expiry: at most 49d in AMQP".to_owned());
        }
        let mut names = BTreeSet::new();
        if let Some((name, _)) = self.props.iter().find(|(name, _)| !names.insert(name)) {
            return usage(format!(
                "--prop {name}: once in AMQP, where a name has one value"
            ));
        }
        self.properties()
    }

    fn properties(&self) -> Result<Properties, Failure> {
        let expiry_s = self.expiry.map(|time| seconds_u32("--expiry", time));
        Ok(Properties {
            content_type: self.content_type.clone(),
            response_topic: self.response_topic.clone(),
            correlation: self.correlation.clone().map(Bytes::from),
            expiry_s: expiry_s.transpose()?,
            utf8: self.payload_format == PayloadFormat::Utf8,
            user: self.props.clone(),
            subject: self.subject.clone(),
            priority: self.priority,
            ..Properties::default()
        })
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// AMQP counts in milliseconds, in 32 bits.
const LONGEST_TTL: Duration = Duration::from_secs(49 * 86_400);
