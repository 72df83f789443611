//! Arguments that `pub` and `sub` share: which server, and who asks.

mod amqp;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;

use super::failure::Failure;
use super::url::{self, Protocol, Url};
use crate::client::mqtt::{Options, Version, Will, check_topic};
use crate::client::{Message, Properties, QoS};

pub(super) use amqp::{NodeArguments, is_settled, only_amqp, only_mqtt};

/// Which server, and who asks there.
struct Asker {
    host: String,
    port: u16,
    id: String,
    user: Option<String>,
    password: Option<Vec<u8>>,
    keep_alive_s: u16,
}

/// The server and the client's name there.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectArguments {
    /// Server: mqtt://[USER[:PASSWORD]@]HOST[:PORT] or amqp://...; by default this machine.
    #[arg(long, value_name = "URL", env = "TERNMQ_URL", hide_env_values = true)]
    url: Option<String>,
    /// What is spoken, if the URL does not say it.
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<Protocol>,
    /// User name.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// File whose first line is the password; else the variable TERNMQ_PASSWORD, if it is set.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Name of this client; by default one that nobody else has.
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// Version of MQTT: 5, which is the default, or 3 for 3.1.1.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    mqtt: Option<Version>,
    /// Ping after so much silence, or ask for pings; 0s for never.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    #[arg(value_parser = time)]
    keep_alive: Duration,
    #[command(flatten)]
    will: WillArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Will (published by the server if this client vanishes, MQTT)")]
struct WillArguments {
    /// Topic of the will.
    #[arg(long, value_name = "TOPIC")]
    will_topic: Option<String>,
    /// Body of the will.
    #[arg(long, value_name = "BODY", requires = "will_topic", default_value = "")]
    #[arg(hide_default_value = true)]
    will_body: String,
    /// QoS of the will.
    #[arg(long, value_name = "QOS", requires = "will_topic", default_value = "1")]
    #[arg(value_parser = qos)]
    will_qos: QoS,
    /// The will becomes the retained value of its topic.
    #[arg(long, requires = "will_topic")]
    will_retain: bool,
    /// Time for the client to come back before the will is published (MQTT 5).
    #[arg(
        long,
        value_name = "TIME",
        requires = "will_topic",
        default_value = "0s"
    )]
    #[arg(value_parser = time, hide_default_value = true)]
    will_delay: Duration,
}

impl ConnectArguments {
    /// The version of MQTT asked for.
    pub(super) fn version(&self) -> Version {
        self.mqtt.unwrap_or(Version::V5)
    }

    /// What is spoken: what `--protocol` says, else the URL.
    ///
    /// # Errors
    /// The URL is none, or says something else.
    pub(super) fn protocol(&self) -> Result<Protocol, Failure> {
        let in_url = self.url()?.map(|url| url.protocol);
        match (self.protocol, in_url) {
            (Some(asked), Some(said)) if asked != said => {
                let text = "--protocol and --url say different things: leave one of them out";
                Err(Failure::Usage(text.to_owned()))
            }
            (asked, said) => Ok(asked.or(said).unwrap_or(Protocol::Mqtt)),
        }
    }

    /// The connection of MQTT that is asked for, without a session that lasts.
    ///
    /// # Errors
    /// Values that do not fit, a password that cannot be read, no randomness for a name.
    pub(super) fn options(&self) -> Result<Options, Failure> {
        let version = self.version();
        let asker = self.asker(Protocol::Mqtt)?;
        if asker.password.is_some() && asker.user.is_none() && version < Version::V5 {
            let text = "MQTT 3 takes a password only with a --user";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(Options {
            host: asker.host,
            port: asker.port,
            version,
            client_id: asker.id,
            user: asker.user,
            password: asker.password,
            keep_alive_s: asker.keep_alive_s,
            clean: true,
            session_expiry_s: 0,
            receive_maximum: RECEIVE_MAXIMUM,
            will: self.will.will(version)?,
        })
    }

    /// What both protocols want to know.
    fn asker(&self, protocol: Protocol) -> Result<Asker, Failure> {
        let keep_alive_s = u16::try_from(seconds(self.keep_alive))
            .map_err(|_| Failure::Usage("--keep-alive: at most 65535s".to_owned()))?;
        let url = self.url()?.unwrap_or(Url {
            protocol,
            host: "127.0.0.1".to_owned(),
            port: None,
            user: None,
            password: None,
        });
        Ok(Asker {
            host: url.host,
            port: url.port.unwrap_or(protocol.port()),
            id: self.id.clone().map_or_else(random_id, Ok)?,
            user: self.user.clone().or(url.user),
            password: self.password(url.password)?,
            keep_alive_s,
        })
    }

    /// Not by clap, which would repeat the value, password and all.
    fn url(&self) -> Result<Option<Url>, Failure> {
        let url = self.url.as_deref().map(url::parse).transpose();
        url.map_err(|error| Failure::Usage(format!("--url: {error}")))
    }

    fn password(&self, in_url: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(path) = &self.password_file {
            return read_password(path).map(Some);
        }
        let variable = std::env::var_os("TERNMQ_PASSWORD");
        let variable = variable.map(std::ffi::OsString::into_encoded_bytes);
        Ok(in_url.or(variable))
    }
}

impl WillArguments {
    fn will(&self, version: Version) -> Result<Option<Will>, Failure> {
        let Some(topic) = &self.will_topic else {
            return Ok(None);
        };
        check_topic(topic)?;
        let delay_s = seconds_u32("--will-delay", self.will_delay)?;
        if delay_s > 0 {
            needs_mqtt_5("--will-delay", version)?;
        }
        Ok(Some(Will {
            message: Message {
                topic: topic.clone(),
                body: Bytes::from(self.will_body.clone()),
                qos: self.will_qos,
                retain: self.will_retain,
                dup: false,
                properties: Properties::default(),
            },
            delay_s,
        }))
    }
}

/// An error unless MQTT 5 is spoken, which alone has what `argument` asks for.
pub(super) fn needs_mqtt_5(argument: &str, version: Version) -> Result<(), Failure> {
    if version == Version::V5 {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{argument} needs MQTT 5: leave out --mqtt 3"
    )))
}

/// A QoS as it is written.
pub(super) fn qos(text: &str) -> Result<QoS, String> {
    match text {
        "0" => Ok(QoS::AtMostOnce),
        "1" => Ok(QoS::AtLeastOnce),
        "2" => Ok(QoS::ExactlyOnce),
        _ => Err("0 (at most once), 1 (at least once) or 2 (exactly once)".to_owned()),
    }
}

/// A time as it is written: `500ms`, `10s`, `1h 30m`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| *time <= LONGEST_TIME)
        .ok_or_else(|| "a time with its unit, such as 500ms, 10s or 7d, at most 100y".to_owned())
}

/// A time in whole seconds, which MQTT counts in, as `argument` gives it.
pub(super) fn seconds_u32(argument: &str, time: Duration) -> Result<u32, Failure> {
    u32::try_from(seconds(time))
        .ok()
        .filter(|seconds| *seconds < u32::MAX)
        .ok_or_else(|| Failure::Usage(format!("{argument}: at most 4294967294s")))
}

/// Rounded up, so that a short time does not become none.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "5" | "5.0" => Ok(Version::V5),
        "3" | "3.1.1" => Ok(Version::V311),
        _ => Err("5, or 3 for 3.1.1".to_owned()),
    }
}

fn read_password(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |source| Failure::Input {
        name: format!("the password file `{}`", path.display()),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(PASSWORD_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let end = bytes.iter().position(|byte| *byte == b'\n');
    bytes.truncate(end.unwrap_or(bytes.len()));
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(bytes)
}

/// A name that fits MQTT 3.1 too: at most 23 characters.
fn random_id() -> Result<String, Failure> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::Runtime(error.into()))?;
    Ok(format!("ternmq-{:016x}", u64::from_le_bytes(bytes)))
}

/// So that no sum of times overflows.
const LONGEST_TIME: Duration = Duration::from_secs(100 * 366 * 86_400);
/// Of a password file, what is read; MQTT carries no more.
const PASSWORD_BYTES: u64 = 65_535;
/// Messages that may be on their way to a subscriber.
const RECEIVE_MAXIMUM: u16 = 1_000;
