//! What MQTT 5.0 adds to a connection: the client's announcements, its aliases, the window of its
//! publishes, and enhanced authentication.

use super::Event;
use crate::aliases::{AliasLimits, InboundAliases};
use crate::auth::{Exchange, Turn};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{Auth, Connect, Disconnect, Version};
use crate::properties::PropertyId;
use crate::run::PublishRun;
use crate::terms::Terms;
use crate::window::Window;

#[derive(Debug)]
pub(super) struct Extension {
    terms: Terms,
    aliases: InboundAliases,
    window: Window,
    exchange: Exchange,
}

impl Extension {
    /// The extension that a client's version calls for.
    pub(super) fn new(connect: &Connect<'_>, limits: &Limits) -> Option<Box<Self>> {
        if connect.version < Version::V5 {
            return None;
        }
        Some(Box::new(Self {
            terms: Terms::of(connect.properties),
            aliases: InboundAliases::default(),
            window: Window::new(limits.receive_maximum),
            exchange: Exchange::new(connect.properties),
        }))
    }

    pub(super) fn terms(&self) -> Terms {
        self.terms
    }

    pub(super) fn turn(&self) -> Turn {
        self.exchange.turn()
    }

    pub(super) fn auth_method(&self) -> Option<&str> {
        self.exchange.method()
    }

    /// The session is open.
    pub(super) fn open(&mut self) {
        self.exchange.open();
    }

    /// How many publishes above QoS 0 may come.
    pub(super) fn window(&self) -> usize {
        self.window.free()
    }

    pub(super) fn give_back(&mut self, n: usize) {
        self.window.give_back(n);
    }

    /// An AUTH of the server.
    pub(super) fn handle_own_auth(&mut self, auth: &Auth<'_>) -> Result<(), Error> {
        self.exchange.handle_server(auth)
    }

    /// Checks an event and takes note of it.
    pub(super) fn handle<'a>(
        &'a mut self,
        event: Event<'a>,
        limits: &Limits,
    ) -> Result<Event<'a>, Error> {
        match &event {
            Event::Publish(run) => {
                return Ok(Event::Publish(self.handle_publish(*run, limits)?));
            }
            Event::Auth(auth) => self.exchange.handle_client(auth)?,
            Event::Disconnect(disconnect) => self.check_disconnect(disconnect)?,
            _ => {}
        }
        Ok(event)
    }

    fn handle_publish<'a>(
        &'a mut self,
        mut run: PublishRun<'a>,
        limits: &Limits,
    ) -> Result<PublishRun<'a>, Error> {
        if run.first_id.is_some() {
            self.window.take(run.len())?;
        }
        if let Some(alias) = run.alias {
            let limits = AliasLimits::inbound(limits);
            if run.topic.is_empty() {
                run.topic = self.aliases.topic(alias, limits)?;
            } else {
                self.aliases.learn(alias, run.topic, limits)?;
            }
        }
        Ok(run)
    }

    /// A session that was to end with its connection cannot be kept after all (3.14.2.2.2).
    fn check_disconnect(&self, disconnect: &Disconnect<'_>) -> Result<(), Error> {
        let wanted = disconnect.properties.integer(PropertyId::SessionExpiry);
        if self.terms.session_expiry_s == 0 && wanted.is_some_and(|seconds| seconds > 0) {
            return Err(Error::Protocol("3.14.2.2.2"));
        }
        Ok(())
    }
}
