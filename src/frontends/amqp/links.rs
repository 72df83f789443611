//! The links of a connection.

use std::collections::BTreeMap;

use ternmq_amqp::{LinkId, SessionId};
use ternmq_core::ids::{ConsumerKey, Tag};

use super::consumer::Consumer;
use super::target::Producer;

/// What a link is to the broker.
#[derive(Debug)]
pub(super) enum Link {
    Producer(Producer),
    Consumer(Box<Consumer>),
}

/// All links, those included whose attach is not answered yet. Handles are used again, keys never:
/// an answer that comes late belongs to nothing else.
#[derive(Debug, Default)]
pub(super) struct Links {
    open: BTreeMap<LinkId, (u32, Link)>,
    ids: BTreeMap<u32, LinkId>,
    newest: u32,
}

impl Links {
    /// Adds a link; gives its key, which is that of its consumer as well.
    pub(super) fn insert(&mut self, id: LinkId, link: Link) -> u32 {
        self.newest += 1;
        self.ids.insert(self.newest, id);
        if let Some((replaced, _)) = self.open.insert(id, (self.newest, link)) {
            self.ids.remove(&replaced);
        }
        self.newest
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<(u32, Link)> {
        let (key, link) = self.open.remove(&id)?;
        self.ids.remove(&key);
        Some((key, link))
    }

    /// The link that has this key, if it is still there.
    pub(super) fn id_of(&self, key: u32) -> Option<LinkId> {
        self.ids.get(&key).copied()
    }

    pub(super) fn producer(&mut self, id: LinkId) -> Option<(u32, &mut Producer)> {
        match self.open.get_mut(&id)? {
            (key, Link::Producer(producer)) => Some((*key, producer)),
            _ => None,
        }
    }

    pub(super) fn consumer(&mut self, id: LinkId) -> Option<(ConsumerKey, &mut Consumer)> {
        match self.open.get_mut(&id)? {
            (key, Link::Consumer(consumer)) => Some((ConsumerKey(*key), consumer)),
            _ => None,
        }
    }

    /// The consumer of a lane.
    pub(super) fn consumer_of(&mut self, key: ConsumerKey) -> Option<(LinkId, &mut Consumer)> {
        let id = self.id_of(key.0)?;
        self.consumer(id).map(|(_, consumer)| (id, consumer))
    }

    pub(super) fn of_session(&self, session: SessionId) -> Vec<LinkId> {
        let first = LinkId { session, handle: 0 };
        let last = LinkId {
            session,
            handle: u32::MAX,
        };
        self.open.range(first..=last).map(|(id, _)| *id).collect()
    }

    /// The last delivery written of each consumer that had any.
    pub(super) fn written(&self) -> impl Iterator<Item = (ConsumerKey, Tag)> + '_ {
        self.open.values().filter_map(|(key, link)| match link {
            Link::Consumer(consumer) if consumer.written > 0 => {
                Some((ConsumerKey(*key), consumer.written))
            }
            _ => None,
        })
    }
}
