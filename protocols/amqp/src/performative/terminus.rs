//! Sources and targets (M 3.5), and the coordinator of transactions (X 4.5.1).

use super::Outcome;
use super::state::{outcome, put_outcome};
use crate::error::Error;
use crate::types::{
    Described, Descriptor, Fields, Map, Symbols, Value, put_composite, put_descriptor, put_list,
};

const SOURCE: u64 = 0x28;
const TARGET: u64 = 0x29;
const DELETE_ON_CLOSE: u64 = 0x2b;
const DELETE_ON_NO_LINKS: u64 = 0x2c;
const DELETE_ON_NO_MESSAGES: u64 = 0x2d;
const DELETE_ON_NO_LINKS_OR_MESSAGES: u64 = 0x2e;
const COORDINATOR: u64 = 0x30;

/// What of a terminus outlives its container (M 3.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing.
    #[default]
    None,
    /// That it exists, and how.
    Configuration,
    /// The states of its deliveries as well.
    UnsettledState,
}

/// When the clock of a terminus that nobody uses begins to run (M 3.5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExpiryPolicy {
    /// When its link is detached.
    LinkDetach,
    /// When its session ends.
    #[default]
    SessionEnd,
    /// When its connection ends.
    ConnectionClose,
    /// Never.
    Never,
}

/// What a message leaves behind at its source (M 3.5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistributionMode {
    /// Nothing.
    Move,
    /// Itself.
    Copy,
}

/// When a node that was made for a link goes (M 3.5.10 to 3.5.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// With the link that made it.
    LinkClosed,
    /// When no link is left.
    NoLinks,
    /// When no message is left.
    NoMessages,
    /// When neither is left.
    NoLinksOrMessages,
    /// By a rule nobody knows here.
    Unknown,
}

/// Where messages come from (M 3.5.3).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Source<'a> {
    /// The node.
    pub address: Option<&'a str>,
    /// What of it outlives its container.
    pub durability: Durability,
    /// When its clock begins to run.
    pub expiry_policy: ExpiryPolicy,
    /// For how many seconds it then runs.
    pub timeout_s: u32,
    /// The peer is asked to make a node.
    pub dynamic: bool,
    /// Of the node to make: `lifetime-policy`, `supported-dist-modes` and others.
    pub dynamic_node_properties: Option<Map<'a>>,
    /// What a message leaves behind.
    pub distribution_mode: Option<DistributionMode>,
    /// Which messages it gives.
    pub filter: Option<Map<'a>>,
    /// What becomes of deliveries that are settled without a state.
    pub default_outcome: Option<Outcome<'a>>,
    /// The outcomes that can be used on the link.
    pub outcomes: Symbols<'a>,
    /// What kind of node it is, and extensions.
    pub capabilities: Symbols<'a>,
}

/// Where messages go (M 3.5.4).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Target<'a> {
    /// The node; none is the anonymous terminus, where each message says where it goes.
    pub address: Option<&'a str>,
    /// What of it outlives its container.
    pub durability: Durability,
    /// When its clock begins to run.
    pub expiry_policy: ExpiryPolicy,
    /// For how many seconds it then runs.
    pub timeout_s: u32,
    /// The peer is asked to make a node.
    pub dynamic: bool,
    /// Of the node to make.
    pub dynamic_node_properties: Option<Map<'a>>,
    /// What kind of node it is, and extensions.
    pub capabilities: Symbols<'a>,
}

/// Where transactions are declared and discharged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Coordinator<'a> {
    /// What it can do, or shall.
    pub capabilities: Symbols<'a>,
}

/// What stands in the place of a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Terminus<'a> {
    /// A node.
    Target(Target<'a>),
    /// The coordinator of transactions.
    Coordinator(Coordinator<'a>),
}

impl Durability {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        match fields.uint()? {
            None | Some(0) => Ok(Self::None),
            Some(1) => Ok(Self::Configuration),
            Some(2) => Ok(Self::UnsettledState),
            Some(_) => Err(Error::Decode("M 3.5.5")),
        }
    }

    /// Null stands for none.
    fn code(self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Configuration => Some(1),
            Self::UnsettledState => Some(2),
        }
    }
}

impl ExpiryPolicy {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        match fields.symbol()? {
            Some("link-detach") => Ok(Self::LinkDetach),
            None | Some("session-end") => Ok(Self::SessionEnd),
            Some("connection-close") => Ok(Self::ConnectionClose),
            Some("never") => Ok(Self::Never),
            Some(_) => Err(Error::Decode("M 3.5.6")),
        }
    }

    /// Null stands for the end of the session.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::LinkDetach => Some("link-detach"),
            Self::SessionEnd => None,
            Self::ConnectionClose => Some("connection-close"),
            Self::Never => Some("never"),
        }
    }
}

impl DistributionMode {
    /// Modes of extensions are nobody's here.
    fn of(name: &str) -> Result<Self, Error> {
        match name {
            "move" => Ok(Self::Move),
            "copy" => Ok(Self::Copy),
            _ => Err(Error::InvalidField("M 3.5.7")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Copy => "copy",
        }
    }
}

impl Lifetime {
    /// What node properties say of it.
    #[must_use]
    pub fn of(properties: Option<&Map<'_>>) -> Option<Self> {
        let found = properties?.find("lifetime-policy").ok()??;
        let Value::Described(described) = found else {
            return Some(Self::Unknown);
        };
        Some(match described.descriptor {
            Descriptor::Code(DELETE_ON_CLOSE) | Descriptor::Symbol("amqp:delete-on-close:list") => {
                Self::LinkClosed
            }
            Descriptor::Code(DELETE_ON_NO_LINKS)
            | Descriptor::Symbol("amqp:delete-on-no-links:list") => Self::NoLinks,
            Descriptor::Code(DELETE_ON_NO_MESSAGES)
            | Descriptor::Symbol("amqp:delete-on-no-messages:list") => Self::NoMessages,
            Descriptor::Code(DELETE_ON_NO_LINKS_OR_MESSAGES)
            | Descriptor::Symbol("amqp:delete-on-no-links-or-messages:list") => {
                Self::NoLinksOrMessages
            }
            _ => Self::Unknown,
        })
    }

    /// Appends it as the value of `lifetime-policy`; nothing for an unknown one.
    pub fn put(self, out: &mut Vec<u8>) {
        let code = match self {
            Self::LinkClosed => DELETE_ON_CLOSE,
            Self::NoLinks => DELETE_ON_NO_LINKS,
            Self::NoMessages => DELETE_ON_NO_MESSAGES,
            Self::NoLinksOrMessages => DELETE_ON_NO_LINKS_OR_MESSAGES,
            Self::Unknown => return,
        };
        put_descriptor(out, code);
        put_list(out, 0, &[]);
    }
}

/// An address is text here; others are nobody's.
fn address<'a>(value: Option<Value<'a>>) -> Result<Option<&'a str>, Error> {
    match value {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(Error::InvalidField("M 3.5")),
    }
}

/// Reads a source.
pub(super) fn source(described: Described<'_>) -> Result<Source<'_>, Error> {
    match described.descriptor {
        Descriptor::Code(SOURCE) | Descriptor::Symbol("amqp:source:list") => {}
        _ => return Err(Error::Decode("M 3.5.3")),
    }
    let mut fields = Fields::of_value(described.value()?)?;
    let source = Source {
        address: address(fields.value()?)?,
        durability: Durability::read(&mut fields)?,
        expiry_policy: ExpiryPolicy::read(&mut fields)?,
        timeout_s: fields.uint()?.unwrap_or(0),
        dynamic: fields.bool()?.unwrap_or(false),
        dynamic_node_properties: fields.map()?,
        distribution_mode: fields.symbol()?.map(DistributionMode::of).transpose()?,
        filter: fields.map()?,
        default_outcome: fields.described()?.map(outcome).transpose()?.flatten(),
        outcomes: fields.symbols()?,
        capabilities: fields.symbols()?,
    };
    fields.finish()?;
    Ok(source)
}

/// Reads what stands in the place of a target.
pub(super) fn target(described: Described<'_>) -> Result<Terminus<'_>, Error> {
    let mut fields = Fields::of_value(described.value()?)?;
    let terminus = match described.descriptor {
        Descriptor::Code(TARGET) | Descriptor::Symbol("amqp:target:list") => {
            Terminus::Target(Target {
                address: address(fields.value()?)?,
                durability: Durability::read(&mut fields)?,
                expiry_policy: ExpiryPolicy::read(&mut fields)?,
                timeout_s: fields.uint()?.unwrap_or(0),
                dynamic: fields.bool()?.unwrap_or(false),
                dynamic_node_properties: fields.map()?,
                capabilities: fields.symbols()?,
            })
        }
        Descriptor::Code(COORDINATOR) | Descriptor::Symbol("amqp:coordinator:list") => {
            Terminus::Coordinator(Coordinator {
                capabilities: fields.symbols()?,
            })
        }
        _ => return Err(Error::Decode("M 3.5.4")),
    };
    fields.finish()?;
    Ok(terminus)
}

/// Appends a source.
pub(super) fn put_source(out: &mut Vec<u8>, source: &Source<'_>) {
    put_composite(out, SOURCE, |fields| {
        fields
            .text(source.address)
            .uint(source.durability.code())
            .symbol(source.expiry_policy.name())
            .uint(Some(source.timeout_s).filter(|s| *s > 0))
            .flag(source.dynamic)
            .map(source.dynamic_node_properties)
            .symbol(source.distribution_mode.map(DistributionMode::name))
            .map(source.filter)
            .field(source.default_outcome.as_ref(), put_outcome)
            .symbols(source.outcomes)
            .symbols(source.capabilities);
    });
}

/// Appends what stands in the place of a target.
pub(super) fn put_target(out: &mut Vec<u8>, terminus: &Terminus<'_>) {
    match terminus {
        Terminus::Target(target) => put_composite(out, TARGET, |fields| {
            fields
                .text(target.address)
                .uint(target.durability.code())
                .symbol(target.expiry_policy.name())
                .uint(Some(target.timeout_s).filter(|s| *s > 0))
                .flag(target.dynamic)
                .map(target.dynamic_node_properties)
                .symbols(target.capabilities);
        }),
        Terminus::Coordinator(coordinator) => put_composite(out, COORDINATOR, |fields| {
            fields.symbols(coordinator.capabilities);
        }),
    }
}
