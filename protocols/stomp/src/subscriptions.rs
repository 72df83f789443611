//! The names of a connection's open subscriptions (STOMP 1.2 "SUBSCRIBE id Header").

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::error::Fault;
use crate::limits::Limits;

/// What names a subscription: its id, or in 1.0, where the id may be absent, its destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Id(Box<str>),
    Destination(Box<str>),
}

/// Open subscriptions, with the destination of those that 1.0 may end by it.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    open: BTreeMap<Name, Option<Box<str>>>,
    bytes: usize,
}

impl Subscriptions {
    /// Opens a subscription; `destination` is kept for 1.0 only.
    pub(crate) fn open(
        &mut self,
        limits: &Limits,
        id: Option<&str>,
        destination: Option<&str>,
    ) -> Result<(), Fault> {
        let (name, destination) = match (id, destination) {
            (Some(id), destination) => (Name::Id(id.into()), destination.map(Box::from)),
            (None, Some(destination)) => (Name::Destination(destination.into()), None),
            (None, None) => return Err(Fault::MissingHeader("id")),
        };
        if self.open.contains_key(&name) {
            return Err(Fault::DuplicateSubscription);
        }
        let bytes = self.bytes + weight(&name, destination.as_deref());
        if self.open.len() >= limits.subscriptions || bytes > limits.subscription_bytes {
            return Err(Fault::TooManySubscriptions);
        }
        self.bytes = bytes;
        self.open.insert(name, destination);
        Ok(())
    }

    /// Ends the subscription of this id.
    pub(crate) fn close_id(&mut self, id: &str) -> Result<(), Fault> {
        self.close(&Name::Id(id.into()))
    }

    /// Ends a subscription of this destination, as 1.0 allows: the one without id, else the first
    /// with an id, which is returned.
    pub(crate) fn close_destination<'a>(
        &mut self,
        destination: &str,
    ) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.close(&Name::Destination(destination.into())).is_ok() {
            return Ok(None);
        }
        let found = self.open.iter().find_map(|(name, target)| match name {
            Name::Id(id) if target.as_deref() == Some(destination) => Some(id.clone()),
            _ => None,
        });
        let id = found.ok_or(Fault::UnknownSubscription)?;
        self.close_id(&id)?;
        Ok(Some(Cow::Owned(id.into_string())))
    }

    fn close(&mut self, name: &Name) -> Result<(), Fault> {
        let destination = self.open.remove(name).ok_or(Fault::UnknownSubscription)?;
        self.bytes -= weight(name, destination.as_deref());
        Ok(())
    }
}

fn weight(name: &Name, destination: Option<&str>) -> usize {
    let (Name::Id(text) | Name::Destination(text)) = name;
    text.len() + destination.map_or(0, str::len)
}
