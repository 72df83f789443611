//! Records of queues, sessions and subscriptions.

use std::sync::Arc;

use super::message::address;
use super::wire::{Reader, Writer};
use crate::address::{Address, Filter, QueueName};
use crate::command::{BindOptions, BindTarget, RoutingType};
use crate::dialect::Dialect;
use crate::ids::QueueId;
use crate::named::Named;

/// A durable queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueRecord {
    pub(crate) id: QueueId,
    pub(crate) name: QueueName,
    pub(crate) address: Address,
    pub(crate) routing: RoutingType,
    pub(crate) auto_created: bool,
    /// Belongs to the session of this name.
    pub(crate) session: Option<Arc<str>>,
    /// Of the group of sessions that share a subscription.
    pub(crate) shared: Option<(Arc<str>, Filter)>,
    /// Of a subscription with a name.
    pub(crate) named: Option<Named>,
}

const SHARED: u8 = 1;
const NO_LOCAL: u8 = 2;

impl QueueRecord {
    pub(crate) fn encode(&self) -> Writer {
        let mut head = Writer::default();
        head.u32(self.id.0)
            .text(self.name.as_str())
            .text(self.address.as_str());
        head.u8(u8::from(self.routing == RoutingType::Multicast))
            .u8(u8::from(self.auto_created));
        write_option(&mut head, self.session.as_deref());
        match &self.shared {
            Some((group, filter)) => head.u8(1).text(group).text(filter.as_str()),
            None => head.u8(0),
        };
        match &self.named {
            Some(named) => {
                let shared = if named.shared { SHARED } else { 0 };
                let no_local = if named.no_local { NO_LOCAL } else { 0 };
                head.u8(1).text(named.filter.as_str()).u8(shared | no_local)
            }
            None => head.u8(0),
        };
        head
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self {
            id: QueueId(reader.u32()?),
            name: QueueName::parse(reader.text()?, Dialect::Canonical, usize::MAX).ok()?,
            address: address(reader.text()?)?,
            routing: match reader.u8()? {
                0 => RoutingType::Anycast,
                _ => RoutingType::Multicast,
            },
            auto_created: reader.u8()? != 0,
            session: read_option(&mut reader)?,
            shared: match reader.u8()? {
                0 => None,
                _ => Some((reader.shared_text()?, filter(&mut reader)?)),
            },
            named: read_named(&mut reader)?,
        })
    }
}

/// The first versions wrote nothing here.
fn read_named(reader: &mut Reader<'_>) -> Option<Option<Named>> {
    if reader.is_empty() || reader.u8()? == 0 {
        return Some(None);
    }
    let (filter, flags) = (filter(reader)?, reader.u8()?);
    Some(Some(Named {
        filter,
        shared: flags & SHARED != 0,
        no_local: flags & NO_LOCAL != 0,
    }))
}

/// A durable session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    pub(crate) name: Arc<str>,
    pub(crate) principal: Arc<str>,
    /// `None` never ends.
    pub(crate) expiry_ms: Option<u64>,
    /// When it expires, in wall time; 0 while it is connected.
    pub(crate) expires_at_ms: u64,
    pub(crate) window: u32,
    /// Tags below may have been used as packet ids.
    pub(crate) tag_mark: u64,
    /// Its queue and subscriptions are durable; else it is here for its will.
    pub(crate) durable: bool,
}

impl SessionRecord {
    pub(crate) fn encode(&self) -> Writer {
        let mut head = Writer::default();
        head.text(&self.name).text(&self.principal);
        head.u64(self.expiry_ms.unwrap_or(u64::MAX))
            .u64(self.expires_at_ms);
        head.u32(self.window).u64(self.tag_mark);
        head.u8(u8::from(self.durable));
        head
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        Some(Self {
            name: reader.shared_text()?,
            principal: reader.shared_text()?,
            expiry_ms: Some(reader.u64()?).filter(|&expiry| expiry != u64::MAX),
            expires_at_ms: reader.u64()?,
            window: reader.u32()?,
            tag_mark: reader.u64()?,
            durable: reader.u8()? != 0,
        })
    }
}

/// A subscription of a durable session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BindingRecord {
    pub(crate) session: Arc<str>,
    pub(crate) target: BindTarget,
    pub(crate) options: BindOptions,
    /// Retained values are still to be sent (law L16).
    pub(crate) replaying: bool,
}

impl BindingRecord {
    pub(crate) fn encode(&self) -> Writer {
        let mut head = Writer::default();
        head.text(&self.session);
        match &self.target {
            BindTarget::Filter(filter) => {
                head.u8(0).text(filter.as_str());
            }
            BindTarget::Queue { address, queue } => {
                head.u8(1).text(address.as_str()).text(queue.as_str());
            }
            BindTarget::Shared { group, filter } => {
                head.u8(2).text(group).text(filter.as_str());
            }
        }
        let options = self.options;
        let flags = u8::from(options.queued)
            | u8::from(self.replaying) << 1
            | u8::from(options.no_local) << 2
            | u8::from(options.retain_as_published) << 3;
        head.u8(options.qos).u8(flags).u32(options.id);
        head
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let session = reader.shared_text()?;
        let target = match reader.u8()? {
            0 => BindTarget::Filter(filter(&mut reader)?),
            1 => BindTarget::Queue {
                address: address(reader.text()?)?,
                queue: QueueName::parse(reader.text()?, Dialect::Canonical, usize::MAX).ok()?,
            },
            2 => BindTarget::Shared {
                group: reader.shared_text()?,
                filter: filter(&mut reader)?,
            },
            _ => return None,
        };
        let (qos, flags, id) = (reader.u8()?, reader.u8()?, reader.u32()?);
        let is = |bit: u8| flags & bit != 0;
        let options = BindOptions {
            qos,
            queued: is(1),
            no_local: is(4),
            retain_as_published: is(8),
            id,
        };
        Some(Self {
            session,
            target,
            options,
            replaying: is(2),
        })
    }
}

fn filter(reader: &mut Reader<'_>) -> Option<Filter> {
    Filter::parse(reader.text()?, Dialect::Canonical, usize::MAX).ok()
}

fn write_option(head: &mut Writer, text: Option<&str>) {
    match text {
        Some(text) => head.u8(1).text(text),
        None => head.u8(0),
    };
}

fn read_option(reader: &mut Reader<'_>) -> Option<Option<Arc<str>>> {
    match reader.u8()? {
        0 => Some(None),
        _ => Some(Some(reader.shared_text()?)),
    }
}
