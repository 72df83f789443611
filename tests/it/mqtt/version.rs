//! One test for both versions: packets of 3.1.1, or of 5.0 with nothing that 3.1.1 does not have.

use super::client::{self, Client};
use super::v5::client::{self as five, Five, long};
use crate::support::Server;
use crate::support::mqtt::{Session, connect};

/// What a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    /// 3.1.1.
    Old,
    /// 5.0.
    Five,
}

pub(super) const BOTH: [Version; 2] = [Version::Old, Version::Five];

impl Version {
    /// CONNECT; a session that is kept is kept for ever.
    pub(super) fn connect(self, name: &str, session: Session, keep_alive_s: u16) -> Vec<u8> {
        if self == Self::Old {
            return connect(name, session, keep_alive_s);
        }
        let expiry = [long(five::SESSION_EXPIRY, u32::MAX)];
        let connect = five::Connect {
            clean: session == Session::Clean,
            keep_alive_s,
            properties: if session == Session::Clean {
                &[]
            } else {
                &expiry
            },
            ..five::Connect::named(name)
        };
        connect.bytes()
    }

    /// Connects on any listener; `present` is whether there must be a session.
    pub(super) fn open(
        self,
        server: &Server,
        listener: &str,
        name: &str,
        session: Session,
        present: bool,
    ) -> Client {
        self.enter(Client::on(server, listener), name, session, present)
    }

    /// The same on a connection that has said nothing.
    pub(super) fn enter(
        self,
        mut client: Client,
        name: &str,
        session: Session,
        present: bool,
    ) -> Client {
        client.version = self;
        client.send(&self.connect(name, session, 0));
        self.expect_accepted(&mut client, present);
        client
    }

    /// CONNACK must come and let the client in.
    pub(super) fn expect_accepted(self, client: &mut Client, present: bool) {
        let answer = client.packet();
        let flag = u8::from(present);
        assert_eq!((answer.first, &answer.body[..2]), (0x20, &[flag, 0][..]));
        assert_eq!(answer.body.len() > 2, self == Self::Five);
    }

    /// With a session that ends with its connection.
    pub(super) fn clean(self, server: &Server, name: &str) -> Client {
        self.open(server, "mqtt", name, Session::Clean, false)
    }

    /// With a session that stays.
    pub(super) fn kept(self, server: &Server, name: &str, present: bool) -> Client {
        self.open(server, "mqtt", name, Session::Kept, present)
    }

    /// PUBLISH with this first byte; the id is left out at QoS 0.
    pub(super) fn publish(self, first: u8, topic: &str, id: u16, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Old => client::publish(first, topic, id, body),
            Self::Five => five::publish(first, topic, id, &[], body),
        }
    }

    pub(super) fn subscribe(self, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
        match self {
            Self::Old => client::subscribe(id, filters),
            Self::Five => five::subscribe(id, &[], filters),
        }
    }

    pub(super) fn unsubscribe(self, id: u16, filters: &[&str]) -> Vec<u8> {
        match self {
            Self::Old => client::unsubscribe(id, filters),
            Self::Five => five::unsubscribe(id, filters),
        }
    }

    /// The server closes: without a word, or with DISCONNECT and this reason.
    pub(super) fn expect_refused(self, client: Client, reason: u8) {
        match self {
            Self::Old => client.expect_end(&[]),
            Self::Five => drop(client.expect_disconnect(reason)),
        }
    }
}
