//! The server's address: `mqtt://[USER[:PASSWORD]@]HOST[:PORT]`.

#[cfg(test)]
mod tests;

use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

/// A server, and who asks if the URL says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// Name or address, IPv6 without brackets.
    pub(super) host: String,
    /// 1883 unless written.
    pub(super) port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<Vec<u8>>,
}

/// Reads a URL; the error says what is wrong with it, without repeating a password.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("not of the form mqtt://HOST[:PORT]".to_owned());
    };
    match scheme.to_ascii_lowercase().as_str() {
        "mqtt" | "tcp" => {}
        "mqtts" | "ssl" | "tls" | "ws" | "wss" => {
            return Err(format!(
                "{scheme}:// is not served yet: use mqtt://, through a tunnel if it must be encrypted"
            ));
        }
        _ => return Err(format!("unknown scheme `{scheme}`: use mqtt://")),
    }
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
        host,
        port,
        user: user
            .map(|user| user.into_owned())
            .filter(|user| !user.is_empty()),
        password: password.filter(|password| !password.is_empty()),
    })
}

fn host_and_port(server: &str) -> Result<(String, u16), String> {
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
    let port = match port {
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("`{port}` is no port"))?,
        None => DEFAULT_PORT,
    };
    Ok((host.to_owned(), port))
}

const DEFAULT_PORT: u16 = 1883;
