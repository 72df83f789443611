//! Clients that asked to be the only one of their container id (SoleConn 1.0; JMS client ids).

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Who is connected, by container id: how many there are, and whether one of them is to be the
/// only one. At most one entry per connection.
#[derive(Clone, Debug, Default)]
pub struct Containers(Arc<Mutex<BTreeMap<Box<str>, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    connections: usize,
    sole: bool,
}

/// A place among the connected; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    containers: Containers,
    id: Box<str>,
    sole: bool,
}

impl Containers {
    /// A place for a client of this name; `None` if it, or one that is there, wants to be the only
    /// one.
    pub(super) fn claim(&self, id: &str, sole: bool) -> Option<Claim> {
        let mut all = self.0.lock();
        let entry = all.entry(id.into()).or_default();
        if entry.connections > 0 && (sole || entry.sole) {
            return None;
        }
        entry.connections += 1;
        entry.sole |= sole;
        Some(Claim {
            containers: self.clone(),
            id: id.into(),
            sole,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut all = self.containers.0.lock();
        let Some(entry) = all.get_mut(&self.id) else {
            return;
        };
        entry.connections -= 1;
        entry.sole &= !self.sole;
        if entry.connections == 0 {
            all.remove(&self.id);
        }
    }
}
