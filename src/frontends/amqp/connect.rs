//! SASL and open: who the peer is, and what this side can do.

use ternmq_amqp::types::{Map, Symbols, Value, put_map, put_symbol, put_symbols, put_text};
use ternmq_amqp::{Fault, Open, SaslCode};

use super::Amqp;
use super::refuse::INVALID_FIELD;
use crate::frontends::{Ended, Turn};

/// How far SASL is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Sasl {
    #[default]
    Init,
    /// PLAIN came without its words; they are asked for.
    PlainAsked,
}

/// Extensions that this side offers in every open.
const OFFERED: [&str; 3] = [ANONYMOUS_RELAY, SHARED_SUBSCRIPTIONS, SOLE_CONNECTION];
pub(super) const ANONYMOUS_RELAY: &str = "ANONYMOUS-RELAY";
pub(super) const SHARED_SUBSCRIPTIONS: &str = "SHARED-SUBS";
const SOLE_CONNECTION: &str = "sole-connection-for-container";

impl Amqp {
    pub(super) fn sasl_init(
        &mut self,
        mechanism: &str,
        response: Option<&[u8]>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let offered = self.options.sasl_offer().mechanisms.contains(&mechanism);
        match (mechanism, response) {
            ("ANONYMOUS", _) if offered => self.sasl_end(SaslCode::Ok, turn),
            ("PLAIN", Some(words)) if offered => self.sasl_end(plain(words), turn),
            ("PLAIN", None) if offered && self.sasl == Sasl::Init => {
                self.sasl = Sasl::PlainAsked;
                let asked = self.machine.sasl_challenge(&[], turn.output.buffer());
                asked.map_err(|error| self.failed(error))
            }
            // EXTERNAL needs a certificate, and no connection has one yet.
            _ => self.sasl_end(SaslCode::Auth, turn),
        }
    }

    pub(super) fn sasl_response(
        &mut self,
        response: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let code = match self.sasl {
            Sasl::PlainAsked => plain(response),
            Sasl::Init => SaslCode::Auth,
        };
        self.sasl_end(code, turn)
    }

    fn sasl_end(&mut self, code: SaslCode, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let said = self.machine.sasl_outcome(code, turn.output.buffer());
        said.map_err(|error| self.failed(error))?;
        if code == SaslCode::Ok {
            return Ok(());
        }
        self.leaving = true;
        Err(Ended::Fault("SASL: not authenticated".into()))
    }

    /// There is one virtual host, whatever `hostname` says.
    pub(super) fn open(&mut self, open: &Open<'_>, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let (epoch, id) = (self.options.boot_epoch, turn.link.id());
        self.name = format!("{epoch:08x}-{:x}-{:x}", id.slot, id.generation).into();
        self.container = open.container_id.into();
        let sole = open.desired_capabilities.contains(SOLE_CONNECTION);
        self.claim = self.options.containers.claim(open.container_id, sole);
        let mut properties = Vec::new();
        let mut capabilities = Vec::new();
        put_symbols(&mut capabilities, OFFERED.into_iter());
        put_properties(&mut properties, self.claim.is_none());
        let answer = Open {
            offered_capabilities: Symbols::decode(&capabilities).unwrap_or_default(),
            properties: map(&properties),
            ..Open::new("TernMQ")
        };
        let opened = self.machine.open(&answer, turn.output.buffer());
        opened.map_err(|error| self.failed(error))?;
        if self.claim.is_some() {
            return Ok(());
        }
        let mut info = Vec::new();
        put_symbol(&mut info, "invalid-field");
        put_symbol(&mut info, "container-id");
        let mut encoded = Vec::new();
        put_map(&mut encoded, 2, &info);
        let fault = Fault {
            info: map(&encoded),
            ..Fault::new(INVALID_FIELD, "a client of this container id is connected")
        };
        let (now, out) = (turn.now.mono_ms, turn.output.buffer());
        self.machine.close(now, Some(fault), out);
        self.leaving = true;
        Err(Ended::Fault("container id in use".into()))
    }
}

/// Any user and password do, if they are there: `[authzid] NUL user NUL password` (RFC 4616).
fn plain(words: &[u8]) -> SaslCode {
    let mut parts = words.split(|byte| *byte == 0);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(user), Some(_), None) if !user.is_empty() => SaslCode::Ok,
        _ => SaslCode::Auth,
    }
}

/// What we say of ourselves; `refused` tells a client beforehand that the close of its connection
/// follows.
fn put_properties(out: &mut Vec<u8>, refused: bool) {
    let mut items = Vec::new();
    let mut count = 0;
    for (name, value) in [
        ("product", "TernMQ"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("platform", std::env::consts::OS),
    ] {
        put_symbol(&mut items, name);
        put_text(&mut items, value);
        count += 2;
    }
    if refused {
        put_symbol(&mut items, "amqp:connection-establishment-failed");
        ternmq_amqp::types::put_bool(&mut items, true);
        count += 2;
    }
    put_map(out, count, &items);
}

/// A map that was encoded here.
pub(super) fn map(encoded: &[u8]) -> Option<Map<'_>> {
    match Value::decode(encoded) {
        Ok(Value::Map(map)) => Some(map),
        _ => None,
    }
}
