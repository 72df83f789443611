//! The server's address: `mqtt://[USER[:PASSWORD]@]HOST[:PORT]`, or `amqp://`.

#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;

use clap::ValueEnum;
use percent_encoding::percent_decode_str;

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// MQTT 5.0, or 3.1.1.
    Mqtt,
    /// AMQP 1.0.
    Amqp,
}

/// A server, and who asks if the URL says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// What the scheme says; `tcp://` is MQTT.
    pub(super) protocol: Protocol,
    /// Name or address, IPv6 without brackets.
    pub(super) host: String,
    /// If it is written.
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Vec<u8>>,
}

impl Protocol {
    /// The port that is registered for it.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Amqp => 5672,
        }
    }
}

/// Reads a URL; the error says what is wrong with it, without repeating a password.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("not of the form mqtt://HOST[:PORT] or amqp://HOST[:PORT]".to_owned());
    };
    let protocol = match scheme.to_ascii_lowercase().as_str() {
        "mqtt" | "tcp" => Protocol::Mqtt,
        "amqp" => Protocol::Amqp,
        "mqtts" | "amqps" | "ssl" | "tls" | "ws" | "wss" => {
            return Err(format!(
                "{scheme}:// is not served yet: use mqtt:// or amqp://, through a tunnel if it must \
                 be encrypted"
            ));
        }
        _ => return Err(format!("unknown scheme `{scheme}`: use mqtt:// or amqp://")),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err(
            "nothing may follow the port; in user and password write `/`, `?`, `#` and `@` as %2F, \
             %3F, %23 and %40"
                .to_owned(),
        );
    }
    let (login, server) = match rest.rsplit_once('@') {
        Some((login, server)) => (Some(login), server),
        None => (None, rest),
    };
    let (host, port) = host_and_port(server)?;
    let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, password)) => (
            Some(
                percent_decode_str(user)
                    .decode_utf8()
                    .map_err(|_| "the user is not UTF-8")?,
            ),
            Some(percent_decode_str(password).collect::<Vec<u8>>()),
        ),
        None => (None, None),
    };
    Ok(Url {
        protocol,
        host,
        port,
        user: user
            .map(|user| user.into_owned())
            .filter(|user| !user.is_empty()),
        password: password.filter(|password| !password.is_empty()),
    })
}

fn host_and_port(server: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest
                .split_once(']')
                .ok_or("the `]` of the address is missing")?;
            host.parse::<Ipv6Addr>()
                .map_err(|_| format!("`{host}` is no IPv6 address"))?;
            let port = match port {
                "" => None,
                port => Some(
                    port.strip_prefix(':')
                        .ok_or("a `:` belongs behind the `]`")?,
                ),
            };
            (host, port)
        }
        None => match server.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    let port = port.map(|port| {
        let number = port.parse().ok().filter(|port| *port > 0);
        number.ok_or_else(|| format!("`{port}` is no port"))
    });
    Ok((host.to_owned(), port.transpose()?))
}
