//! Enhanced authentication (4.12): whose turn it is, and that the method stays the same. What the
//! method's data mean is the caller's to know.
//!
//! ```text
//!  CONNECT with method    AUTH 0x18 from server    AUTH 0x18 from client
//!  ---------> server's turn --------> client's turn --------> server's turn
//!                  |  CONNACK or AUTH 0x00 from server
//!                  v
//!                idle -- AUTH 0x19 from client --> server's turn
//! ```

use crate::error::Error;
use crate::packet::Auth;
use crate::properties::{Properties, PropertyId};

/// Continue authentication.
pub(crate) const CONTINUE: u8 = 0x18;
/// Re-authenticate.
pub(crate) const REAUTHENTICATE: u8 = 0x19;

/// Who has to send the next AUTH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Nobody,
    Server,
    Client,
}

/// The exchange of one connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The method CONNECT named.
    method: Option<Box<str>>,
    turn: Turn,
}

impl Exchange {
    /// After a CONNECT with these properties.
    pub(crate) fn new(connect: Properties<'_>) -> Self {
        let method = connect.text(PropertyId::AuthMethod).map(Box::from);
        let turn = if method.is_some() {
            Turn::Server
        } else {
            Turn::Nobody
        };
        Self { method, turn }
    }

    pub(crate) fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    pub(crate) fn turn(&self) -> Turn {
        self.turn
    }

    /// The session is open, so the first exchange has ended.
    pub(crate) fn open(&mut self) {
        self.turn = Turn::Nobody;
    }

    /// An AUTH of the client.
    pub(crate) fn handle_client(&mut self, auth: &Auth<'_>) -> Result<(), Error> {
        self.check_method(auth)?;
        match (self.turn, auth.reason) {
            (Turn::Client, CONTINUE) | (Turn::Nobody, REAUTHENTICATE) => {
                self.turn = Turn::Server;
                Ok(())
            }
            _ => Err(Error::Protocol("4.12.1")),
        }
    }

    /// An AUTH of the server.
    pub(crate) fn handle_server(&mut self, auth: &Auth<'_>) -> Result<(), Error> {
        self.check_method(auth)?;
        match (self.turn, auth.reason) {
            (Turn::Server, CONTINUE) => {
                self.turn = Turn::Client;
                Ok(())
            }
            (Turn::Server, 0) => {
                self.turn = Turn::Nobody;
                Ok(())
            }
            _ => Err(Error::Protocol("4.12.1")),
        }
    }

    fn check_method(&self, auth: &Auth<'_>) -> Result<(), Error> {
        let Some(method) = self.method() else {
            return Err(Error::Protocol("MQTT-4.12.0-6"));
        };
        if auth.properties.text(PropertyId::AuthMethod) == Some(method) {
            Ok(())
        } else {
            Err(Error::Protocol("MQTT-4.12.0-5"))
        }
    }
}
