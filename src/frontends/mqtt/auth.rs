//! Enhanced authentication (4.12): methods, and the exchange of one connection.
//!
//! A CONNECT that names a method is kept until its exchange has accepted it; the machine sees to it
//! that nothing but AUTH comes meanwhile. Re-authentication runs beside everything else.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use ternmq_core::command::{Attach, Command};
use ternmq_mqtt::{Auth, Connect, PropertyId, Value};

use super::{Exit, Flow, State, reason};
use crate::frontends::Turn;

/// A way to prove who one is, shared by all connections.
pub trait Method: Send + Sync {
    /// As clients name it.
    fn name(&self) -> &str;

    /// A new exchange with one client.
    fn begin(&self) -> Box<dyn Exchange>;
}

impl fmt::Debug for dyn Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is said between a client and a method.
pub trait Exchange: Send {
    /// The answer to the client's next data.
    fn step(&mut self, data: &[u8]) -> Step;
}

/// How an exchange goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The client is asked for more.
    Continue(Vec<u8>),
    /// The client is who it says.
    Accept {
        /// Who that is.
        principal: Arc<str>,
        /// For the client to see that the server knows it.
        data: Vec<u8>,
    },
    /// It is not.
    Refuse,
}

/// Enhanced authentication of one connection.
pub(super) struct Authentication {
    pub(super) method: Arc<dyn Method>,
    exchange: Option<Box<dyn Exchange>>,
    /// The session of CONNECT, until the first exchange has ended.
    attach: Option<Attach>,
    principal: Option<Arc<str>>,
    /// Goes with CONNACK.
    pub(super) data: Vec<u8>,
}

/// An AUTH to the client.
pub(super) struct Reply {
    pub(super) reason: u8,
    pub(super) data: Vec<u8>,
}

const CONTINUE: u8 = 0x18;
const REAUTHENTICATE: u8 = 0x19;

impl State {
    /// Attaches a session, once its client has proved who it is if it wants to.
    pub(super) fn authenticate(
        &mut self,
        packet: &Connect<'_>,
        attach: Attach,
        turn: &mut Turn<'_>,
    ) -> Result<Flow, Exit> {
        let Some(name) = packet.properties.text(PropertyId::AuthMethod) else {
            turn.commands.push(Command::Attach(attach));
            return Ok(Flow::Connecting);
        };
        let known = self.options.methods.iter().find(|m| m.name() == name);
        let Some(method) = known.cloned() else {
            return Err(Exit::close(
                reason::BAD_METHOD,
                "unknown authentication method",
            ));
        };
        self.authentication = Some(Box::new(Authentication {
            exchange: Some(method.begin()),
            method,
            attach: Some(attach),
            principal: None,
            data: Vec::new(),
        }));
        self.step(data_of(packet.properties), turn)
    }

    /// AUTH of the client; the machine has checked method and turn.
    pub(super) fn auth(&mut self, packet: &Auth<'_>, turn: &mut Turn<'_>) -> Result<Flow, Exit> {
        if packet.reason == REAUTHENTICATE
            && let Some(authentication) = &mut self.authentication
        {
            authentication.exchange = Some(authentication.method.begin());
        }
        self.step(data_of(packet.properties), turn)
    }

    fn step(&mut self, data: &[u8], turn: &mut Turn<'_>) -> Result<Flow, Exit> {
        let refused = || Exit::close(reason::NOT_AUTHORIZED, "authentication failed");
        let authentication = self.authentication.as_mut().ok_or_else(refused)?;
        let exchange = authentication.exchange.as_mut().ok_or_else(refused)?;
        let (principal, data) = match exchange.step(data) {
            Step::Refuse => return Err(refused()),
            Step::Continue(data) => {
                return Ok(Flow::Auth(Reply {
                    reason: CONTINUE,
                    data,
                }));
            }
            Step::Accept { principal, data } => (principal, data),
        };
        authentication.exchange = None;
        // Who has a connection does not change.
        let known = authentication
            .principal
            .get_or_insert_with(|| Arc::clone(&principal));
        if *known != principal {
            return Err(refused());
        }
        match authentication.attach.take() {
            None => Ok(Flow::Auth(Reply {
                reason: reason::SUCCESS,
                data,
            })),
            Some(attach) => {
                authentication.data = data;
                let attach = Attach {
                    principal,
                    ..attach
                };
                turn.commands.push(Command::Attach(attach));
                Ok(Flow::Connecting)
            }
        }
    }
}

fn data_of(properties: ternmq_mqtt::Properties<'_>) -> &[u8] {
    match properties.value(PropertyId::AuthData) {
        Some(Value::Binary(data)) => data,
        _ => &[],
    }
}
