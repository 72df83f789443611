//! What the core keeps of a connection: its lanes, its session and the room in its outbox.

use crate::address::Address;
use crate::broker::{Broker, Pass};
use crate::command::{Close, RoutingType};
use crate::consumer::LaneRef;
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Token};
use crate::queue::Kind;
use crate::session::SessionRef;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// Bytes of deliveries its outbox may still take (law L22).
    pub(crate) room: u32,
    /// What it has when nothing is in the outbox.
    pub(crate) room_max: u32,
    /// Lanes of its consumers, by key.
    pub(crate) lanes: Vec<(ConsumerKey, LaneRef)>,
    pub(crate) session: Option<SessionRef>,
    pub(crate) temporaries: Vec<(Address, QueueId)>,
    /// Waiting receives.
    pub(crate) receives: Vec<(Token, QueueId)>,
    /// Queues that would have had something but for the room.
    pub(crate) starved: Vec<QueueId>,
}

impl Connection {
    /// Takes room for one delivery. One always fits an empty outbox.
    pub(crate) fn take_room(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.room = self.room.saturating_sub(bytes);
    }

    /// How many messages of this size fit now; one if nothing is outstanding.
    pub(crate) fn fits(&self, bytes_each: usize, count: u32) -> u32 {
        let each = u32::try_from(bytes_each.max(1)).unwrap_or(u32::MAX);
        let fit = (self.room / each).min(count);
        if fit == 0 && self.room == self.room_max {
            1
        } else {
            fit
        }
    }

    pub(crate) fn lane(&self, key: ConsumerKey) -> Option<LaneRef> {
        self.lanes
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, lane)| *lane)
    }
}

impl Broker {
    /// Makes the connection known with its first command. False if the id is stale.
    pub(crate) fn open(&mut self, id: ConnectionId) -> bool {
        let slot = id.slot as usize;
        if let Some(Some(connection)) = self.connections.get(slot) {
            return connection.id == id;
        }
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        let room = self.limits.outbox_bytes;
        if let Some(place) = self.connections.get_mut(slot) {
            *place = Some(Box::new(Connection {
                id,
                room,
                room_max: room,
                lanes: Vec::new(),
                session: None,
                temporaries: Vec::new(),
                receives: Vec::new(),
                starved: Vec::new(),
            }));
        }
        true
    }

    pub(crate) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections
            .get(id.slot as usize)?
            .as_deref()
            .filter(|c| c.id == id)
    }

    pub(crate) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections
            .get_mut(id.slot as usize)?
            .as_deref_mut()
            .filter(|c| c.id == id)
    }

    /// Room that came back (law L22): whatever waited for it is listed.
    pub(crate) fn give_room(&mut self, id: ConnectionId, bytes: u32) {
        let Some(connection) = self.connection_mut(id) else {
            return;
        };
        connection.room = connection
            .room
            .saturating_add(bytes)
            .min(connection.room_max);
        let session = connection.session;
        for queue in std::mem::take(&mut connection.starved) {
            self.list(queue);
        }
        if let Some(session) = session {
            self.continue_session(session);
        }
    }

    /// A queue or topic that lives as long as this connection (temporary destinations).
    pub(crate) fn create_temporary(
        &mut self,
        id: ConnectionId,
        address: Address,
        routing: RoutingType,
    ) {
        if self.addresses.contains_key(&address) {
            return;
        }
        let queue = match routing {
            RoutingType::Anycast => self.new_queue((&address).into(), &address, routing, |queue| {
                queue.kind = Kind::Temporary(id);
            }),
            RoutingType::Multicast => QueueId(0),
        };
        let state = self.addresses.entry(address.clone()).or_default();
        state.owner = Some(id);
        state.multicast |= routing == RoutingType::Multicast;
        self.routes.change();
        if let Some(connection) = self.connection_mut(id) {
            connection.temporaries.push((address, queue));
        }
    }

    /// The connection is gone (laws L10, L11).
    pub(crate) fn close(&mut self, id: ConnectionId, close: &Close, pass: &mut Pass<'_>) {
        for &(key, tag) in &close.written {
            self.written(id, key, tag, pass);
        }
        let Some(connection) = self
            .connections
            .get_mut(id.slot as usize)
            .and_then(Option::take)
        else {
            return;
        };
        for &(token, queue) in &connection.receives {
            self.drop_waiter(queue, id, token);
        }
        if let Some(session) = connection.session {
            self.detach(session, close.polite, pass);
        }
        for &(_, lane) in &connection.lanes {
            if connection.session.is_none() || self.lane_session(lane).is_none() {
                self.end_lane(lane, close.polite, pass);
            }
        }
        for (address, queue) in connection.temporaries {
            self.delete_queue(queue, pass);
            if let Some(state) = self.addresses.get_mut(&address) {
                state.owner = None;
                state.multicast = false;
            }
            self.forget_address(&address);
        }
    }
}
