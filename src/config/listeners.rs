//! `[listeners.NAME]`: where the server listens, and for which protocols.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Unexpected, Visitor};

/// One listening endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// IP address and port; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// What its clients may speak.
    pub protocols: Protocols,
    /// Whether a proxy says where they come from.
    pub proxy_protocol: ProxyProtocol,
    /// Addresses of the proxies; empty is any. Without [`ProxyProtocol::Required`] always empty.
    pub proxy_from: Vec<IpNet>,
}

/// Whether connections begin with a header of the PROXY protocol, version 1 or 2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// Clients connect themselves.
    #[default]
    Off,
    /// Each connection comes from a proxy and begins with a header; one without it is closed.
    Required,
}

/// A protocol that a listener can offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// MQTT 3.1.1 and 5.0.
    Mqtt,
    /// AMQP 1.0.
    Amqp,
    /// STOMP 1.0 to 1.2.
    Stomp,
    /// REST, server-sent events, metrics, health, and WebSocket upgrades.
    Http,
    /// WebSocket upgrades alone.
    WebSocket,
}

/// The protocols of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocols {
    /// Every protocol, told apart by a connection's first bytes.
    Auto,
    /// These, told apart by the first bytes if there are several; never empty.
    Only(Vec<Protocol>),
}

impl Protocol {
    /// As written in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Amqp => "amqp",
            Self::Stomp => "stomp",
            Self::Http => "http",
            Self::WebSocket => "websocket",
        }
    }
}

impl Protocols {
    /// Whether a client may speak `protocol` here.
    #[must_use]
    pub fn offers(&self, protocol: Protocol) -> bool {
        match self {
            Self::Auto => true,
            Self::Only(list) => list.contains(&protocol),
        }
    }
}

/// As a list for humans: `mqtt, http`.
impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Only(list) => {
                let names: Vec<&str> = list.iter().map(|protocol| protocol.as_str()).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Protocols {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProtocolsVisitor)
    }
}

struct ProtocolsVisitor;

impl<'de> Visitor<'de> for ProtocolsVisitor {
    type Value = Protocols;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"auto\", or a list of \"mqtt\", \"amqp\", \"stomp\", \"http\", \"websocket\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Protocols, E> {
        match text {
            "auto" => Ok(Protocols::Auto),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Protocols, A::Error> {
        let mut list = Vec::new();
        while let Some(protocol) = items.next_element()? {
            if !list.contains(&protocol) {
                list.push(protocol);
            }
        }
        if list.is_empty() {
            return Err(de::Error::invalid_length(0, &self));
        }
        Ok(Protocols::Only(list))
    }
}

/// A listener as it is written: what is missing comes from the default of the same name.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListenerSection {
    #[serde(deserialize_with = "bind_address")]
    bind: Option<SocketAddr>,
    protocols: Option<Protocols>,
    proxy_protocol: ProxyProtocol,
    #[serde(deserialize_with = "networks")]
    proxy_from: Vec<IpNet>,
}

fn bind_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|_| {
        let expected = "an IP address and a port, such as \"127.0.0.1:1883\" or \"[::1]:1883\"";
        de::Error::invalid_value(Unexpected::Str(&text), &expected)
    })
}

/// Networks, or single addresses.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let network = |text: &String| {
        let parsed = text.parse();
        parsed.or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
    };
    let wrong = |text: &String| {
        let expected = "IP addresses and networks, such as \"10.0.0.7\" or \"10.0.0.0/8\"";
        de::Error::invalid_value(Unexpected::Str(text), &expected)
    };
    let parse = |text| network(text).map_err(|_| wrong(text));
    texts.iter().map(parse).collect()
}

/// The listeners that follow from what is written, or the name of the first one without an address
/// or protocols, and its missing key. `base` is what stays unless named: the defaults, or nothing
/// if the file lists its listeners.
pub(super) fn complete(
    sections: BTreeMap<String, ListenerSection>,
    base: BTreeMap<String, Listener>,
) -> Result<BTreeMap<String, Listener>, (String, &'static str)> {
    let defaults = defaults();
    let mut listeners = base;
    for (name, section) in sections {
        let default = defaults.get(&name);
        let bind = section.bind.or(default.map(|listener| listener.bind));
        let protocols = section
            .protocols
            .or(default.map(|listener| listener.protocols.clone()));
        match (bind, protocols) {
            (None, _) => return Err((name, "bind")),
            (_, None) => return Err((name, "protocols")),
            (Some(bind), Some(protocols)) => {
                let listener = Listener {
                    bind,
                    protocols,
                    proxy_protocol: section.proxy_protocol,
                    proxy_from: section.proxy_from,
                };
                listeners.insert(name, listener)
            }
        };
    }
    Ok(listeners)
}

/// The listeners of a server without configuration (design 9).
pub(super) fn defaults() -> BTreeMap<String, Listener> {
    let only = |protocol| Protocols::Only(vec![protocol]);
    let listener = |name: &str, port, protocols| {
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = Listener {
            bind,
            protocols,
            proxy_protocol: ProxyProtocol::Off,
            proxy_from: Vec::new(),
        };
        (name.to_owned(), listener)
    };
    BTreeMap::from([
        listener("mqtt", 1883, only(Protocol::Mqtt)),
        listener("amqp", 5672, only(Protocol::Amqp)),
        listener("stomp", 61613, only(Protocol::Stomp)),
        listener("auto", 61616, Protocols::Auto),
        listener("websocket", 61614, only(Protocol::WebSocket)),
        listener("http", 8161, only(Protocol::Http)),
    ])
}
