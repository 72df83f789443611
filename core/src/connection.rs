//! What the core keeps of a connection: its lanes, its session and the room in its outbox.

use crate::address::Address;
use crate::broker::{Broker, Pass};
use crate::command::{Close, Command};
use crate::consumer::{ConsumerRef, LaneRef};
use crate::ids::{ConnectionId, ConsumerKey, QueueId, Token};
use crate::message::Run;
use crate::queue::room_of;
use crate::session::SessionRef;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    /// Bytes of deliveries its outbox may still take (law L22); below 0 after one that is larger
    /// than the outbox.
    pub(crate) room: i64,
    /// What it has when nothing is in the outbox.
    pub(crate) room_max: u32,
    /// Lanes of its consumers, in the order of their keys.
    lanes: Vec<(ConsumerKey, LaneRef)>,
    pub(crate) session: Option<SessionRef>,
    pub(crate) temporaries: Vec<(Address, QueueId)>,
    /// Waiting receives.
    pub(crate) receives: Vec<(Token, QueueId)>,
    /// Consumers that would have had something but for the room.
    pub(crate) starved: Vec<ConsumerRef>,
    /// Another connection took its session: it may only end (law L12).
    pub(crate) ended: bool,
}

/// A slot of the shell's table of connections.
#[derive(Debug, Default)]
pub(crate) struct Place {
    connection: Option<Box<Connection>>,
    /// The generation that was closed last: commands up to it are stale.
    closed: Option<u32>,
}

impl Place {
    /// The connection, if it is still this one.
    pub(crate) fn of(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connection.as_deref_mut().filter(|c| c.id == id)
    }
}

impl Connection {
    /// Takes room for one delivery.
    pub(crate) fn take_room(&mut self, bytes: u32) {
        self.room -= i64::from(bytes);
    }

    /// How many of `count` messages of a run fit now; one if nothing is outstanding.
    pub(crate) fn fits(&self, run: &Run, first: u32, count: u32) -> u32 {
        let within = |n: u32| i64::from(room_of(run, first, n)) <= self.room;
        if within(count) {
            return count;
        }
        // The largest number that fits lies in `fit..over`.
        let (mut fit, mut over) = (0, count);
        while fit + 1 < over {
            let middle = fit + (over - fit) / 2;
            if within(middle) {
                fit = middle;
            } else {
                over = middle;
            }
        }
        if fit == 0 && self.room >= i64::from(self.room_max) {
            1
        } else {
            fit
        }
    }

    /// The lane of a consumer.
    pub(crate) fn lane(&self, key: ConsumerKey) -> Option<LaneRef> {
        let at = self
            .lanes
            .binary_search_by_key(&key, |(key, _)| *key)
            .ok()?;
        self.lanes.get(at).map(|(_, lane)| *lane)
    }

    /// Number of lanes.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Adds the lane of a consumer, or replaces it.
    pub(crate) fn put_lane(&mut self, key: ConsumerKey, lane: LaneRef) {
        match self.lanes.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => {
                self.lanes.remove(at);
                self.lanes.insert(at, (key, lane));
            }
            Err(at) => {
                if self.lanes.is_empty() {
                    // Most have one, of a session; a vector would begin with four.
                    self.lanes.reserve_exact(1);
                }
                self.lanes.insert(at, (key, lane));
            }
        }
    }

    /// Forgets the lane of a consumer.
    pub(crate) fn remove_lane(&mut self, key: ConsumerKey) {
        if let Ok(at) = self.lanes.binary_search_by_key(&key, |(key, _)| *key) {
            self.lanes.remove(at);
        }
    }
}

impl Broker {
    /// Makes the connection known with its first command. False if the id is stale.
    pub(crate) fn open(&mut self, id: ConnectionId) -> bool {
        let slot = id.slot as usize;
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, Place::default);
        }
        let Some(place) = self.connections.get_mut(slot) else {
            return false;
        };
        if let Some(connection) = &place.connection {
            return connection.id == id;
        }
        if place
            .closed
            .is_some_and(|closed| !is_newer(id.generation, closed))
        {
            return false;
        }
        let room = self.limits.outbox_bytes;
        place.connection = Some(Box::new(Connection {
            id,
            room: room.into(),
            room_max: room,
            lanes: Vec::new(),
            session: None,
            temporaries: Vec::new(),
            receives: Vec::new(),
            starved: Vec::new(),
            ended: false,
        }));
        true
    }

    /// Whether a command still counts. Of a connection whose session was taken over only what was
    /// sent at most once does, and its end (law L12).
    pub(crate) fn accepts(&mut self, id: ConnectionId, command: &Command) -> bool {
        if id == ConnectionId::BROKER {
            return true;
        }
        if !self.open(id) {
            return false;
        }
        let ended = self
            .connection(id)
            .is_some_and(|connection| connection.ended);
        match command {
            Command::Close(_) => true,
            Command::Publish(publish) => !ended || publish.run.envelope.is_at_most_once(),
            _ => !ended,
        }
    }

    pub(crate) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections
            .get(id.slot as usize)?
            .connection
            .as_deref()
            .filter(|c| c.id == id)
    }

    pub(crate) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.slot as usize)?.of(id)
    }

    /// Room that came back (law L22): whatever waited for it is listed.
    pub(crate) fn give_room(&mut self, id: ConnectionId, bytes: u32) {
        let Some(connection) = self.connection_mut(id) else {
            return;
        };
        connection.room = connection
            .room
            .saturating_add(i64::from(bytes))
            .min(connection.room_max.into());
        let session = connection.session;
        for consumer in std::mem::take(&mut connection.starved) {
            self.unpark(consumer);
        }
        if let Some(session) = session {
            self.continue_session(session);
        }
    }

    /// The connection is gone (laws L10, L11).
    pub(crate) fn close(
        &mut self,
        id: ConnectionId,
        close: Close,
        pass: &mut Pass<'_>,
    ) -> Option<Command> {
        self.drop_waiters(id);
        for &(key, tag) in &close.written {
            if !self.written(id, key, tag, pass) {
                return Some(Command::Close(close));
            }
        }
        let done = self.empty_lanes(id, close.polite, pass)
            && self.end_lanes(id, pass)
            && self.end_temporaries(id, pass);
        let session = self.connection(id).and_then(|c| c.session);
        if !done || session.is_some_and(|session| !self.has_room_for_will(session, pass)) {
            return Some(Command::Close(close));
        }
        let place = self.connections.get_mut(id.slot as usize)?;
        place.closed = Some(id.generation);
        let connection = place.connection.take()?;
        if let Some(session) = connection.session {
            self.detach(session, close.polite, pass);
        }
        None
    }

    /// Withdraws the waiting receives of a connection.
    fn drop_waiters(&mut self, id: ConnectionId) {
        let waiting = self
            .connection_mut(id)
            .map(|connection| std::mem::take(&mut connection.receives));
        for (token, queue) in waiting.unwrap_or_default() {
            self.drop_waiter(queue, id, token);
        }
    }

    /// Ends the consumers of a connection that is going; its session's stay. False if the units did
    /// not reach (law L21).
    fn end_lanes(&mut self, id: ConnectionId, pass: &mut Pass<'_>) -> bool {
        while let Some(connection) = self.connection_mut(id)
            && let Some((key, lane)) = connection.lanes.last().copied()
        {
            // The lane of a session has the lowest key.
            if key == ConsumerKey::SESSION && connection.session.is_some() {
                break;
            }
            if pass.spend(1) == 0 {
                return false;
            }
            connection.lanes.pop();
            self.end_lane(lane, pass);
        }
        true
    }

    /// Settles and takes back what a connection that is going holds. False if the room for records
    /// did not reach, also not for those of its end.
    fn empty_lanes(&mut self, id: ConnectionId, polite: bool, pass: &mut Pass<'_>) -> bool {
        let Some(connection) = self.connection(id) else {
            return true;
        };
        for (_, lane) in connection.lanes.clone() {
            let done = match self.lane_session(lane) {
                Some(session) => self.vacate(session, polite, pass),
                None => self.empty_lane(lane, polite, pass),
            };
            if !done {
                return false;
            }
        }
        pass.steps(1) > 0
    }
}

/// Whether a generation is later than another; they wrap around.
fn is_newer(generation: u32, than: u32) -> bool {
    let ahead = generation.wrapping_sub(than);
    ahead != 0 && ahead < 1 << 31
}
