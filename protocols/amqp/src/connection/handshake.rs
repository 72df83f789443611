//! Protocol headers and SASL, before the first frame of AMQP (T 2.2, S 5.3).

use super::{Connection, Phase};
use crate::error::Error;
use crate::event::Event;
use crate::frame::{FrameKind, Framed, PROTOCOL_HEADER_BYTES, Protocol, ProtocolHeader, frame};
use crate::sasl::{Sasl, SaslCode, put_mechanisms};

/// Bytes of a SASL frame at most: more than the 512 of the specification, as tokens are long.
const MAX_SASL_FRAME: usize = 16 << 10;

/// What a server asks of clients that say who they are, or do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaslOffer {
    /// Mechanisms, the best first; not empty.
    pub mechanisms: &'static [&'static str],
    /// Whether a client may do without.
    pub required: bool,
}

/// Steps of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    /// The server waits for the first header.
    ServerHeader(SaslOffer),
    /// The server waits for init.
    ServerInit,
    /// The server's caller is to answer.
    ServerTurn,
    /// The server waits for a response.
    ServerResponse,
    /// The server waits for the header of AMQP behind SASL.
    ServerAmqp,
    /// The client waits for the server's header of SASL.
    ClientSasl,
    /// The client waits for a frame of SASL.
    ClientFrame,
    /// The client's caller is to answer.
    ClientTurn,
    /// The client waits for the server's header of AMQP.
    ClientAmqp,
}

impl Handshake {
    pub(super) fn server(offer: SaslOffer) -> Self {
        Self::ServerHeader(offer)
    }

    pub(super) fn client(sasl: bool, out: &mut Vec<u8>) -> Self {
        let (protocol, step) = if sasl {
            (Protocol::Sasl, Self::ClientSasl)
        } else {
            (Protocol::Amqp, Self::ClientAmqp)
        };
        out.extend_from_slice(&protocol.header());
        step
    }
}

impl Connection {
    /// One step of the handshake: an event, or nothing if input is missing or it is over.
    pub(super) fn poll_handshake<'a>(
        &mut self,
        step: Handshake,
        input: &'a [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Error> {
        let rest = input.get(*at..).unwrap_or_default();
        match step {
            Handshake::ServerTurn | Handshake::ClientTurn => Ok(None),
            Handshake::ServerHeader(_)
            | Handshake::ServerAmqp
            | Handshake::ClientSasl
            | Handshake::ClientAmqp => {
                let Some(header) = ProtocolHeader::read(rest) else {
                    return Ok(None);
                };
                let next = Self::after_header(step, header, out)?;
                *at += PROTOCOL_HEADER_BYTES;
                self.phase = next;
                Ok(None)
            }
            Handshake::ServerInit | Handshake::ServerResponse | Handshake::ClientFrame => {
                let Framed::Frame(found) = frame(rest, MAX_SASL_FRAME)? else {
                    return Ok(None);
                };
                if found.kind != FrameKind::Sasl {
                    return Err(Error::Sasl);
                }
                let event = self.sasl_event(step, Sasl::decode(found.body)?, out)?;
                *at += found.len;
                Ok(Some(event))
            }
        }
    }

    fn after_header(
        step: Handshake,
        header: ProtocolHeader,
        out: &mut Vec<u8>,
    ) -> Result<Phase, Error> {
        let opening = Phase::Opening {
            own: false,
            peer: false,
        };
        match (step, header) {
            (Handshake::ServerHeader(offer), ProtocolHeader::Known(Protocol::Sasl)) => {
                out.extend_from_slice(&Protocol::Sasl.header());
                put_mechanisms(out, offer.mechanisms.iter().copied());
                Ok(Phase::Handshake(Handshake::ServerInit))
            }
            (Handshake::ServerHeader(offer), ProtocolHeader::Known(Protocol::Amqp))
                if !offer.required =>
            {
                out.extend_from_slice(&Protocol::Amqp.header());
                Ok(opening)
            }
            (Handshake::ServerHeader(offer), _) => {
                let best = if offer.required {
                    Protocol::Sasl
                } else {
                    Protocol::Amqp
                };
                out.extend_from_slice(&best.header());
                Err(Error::Protocol)
            }
            (Handshake::ServerAmqp, ProtocolHeader::Known(Protocol::Amqp)) => {
                out.extend_from_slice(&Protocol::Amqp.header());
                Ok(opening)
            }
            (Handshake::ClientSasl, ProtocolHeader::Known(Protocol::Sasl)) => {
                Ok(Phase::Handshake(Handshake::ClientFrame))
            }
            (Handshake::ClientAmqp, ProtocolHeader::Known(Protocol::Amqp)) => Ok(opening),
            (Handshake::ServerAmqp, _) => {
                out.extend_from_slice(&Protocol::Amqp.header());
                Err(Error::Protocol)
            }
            _ => Err(Error::Protocol),
        }
    }

    fn sasl_event<'a>(
        &mut self,
        step: Handshake,
        frame: Sasl<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Event<'a>, Error> {
        let (next, event) = match (step, frame) {
            (
                Handshake::ServerInit,
                Sasl::Init {
                    mechanism,
                    response,
                    hostname,
                },
            ) => (
                Handshake::ServerTurn,
                Event::SaslInit {
                    mechanism,
                    response,
                    hostname,
                },
            ),
            (Handshake::ServerResponse, Sasl::Response(data)) => {
                (Handshake::ServerTurn, Event::SaslResponse(data))
            }
            (Handshake::ClientFrame, Sasl::Mechanisms(names)) => {
                (Handshake::ClientTurn, Event::SaslMechanisms(names))
            }
            (Handshake::ClientFrame, Sasl::Challenge(data)) => {
                (Handshake::ClientTurn, Event::SaslChallenge(data))
            }
            (Handshake::ClientFrame, Sasl::Outcome { code, .. }) => {
                if code == SaslCode::Ok {
                    out.extend_from_slice(&Protocol::Amqp.header());
                }
                (Handshake::ClientAmqp, Event::SaslOutcome(code))
            }
            _ => return Err(Error::Sasl),
        };
        self.phase = Phase::Handshake(next);
        Ok(event)
    }

    /// The server asks its client for more.
    ///
    /// # Errors
    /// It is not the server's turn.
    pub fn sasl_challenge(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.take_turn(Handshake::ServerTurn, Handshake::ServerResponse)?;
        Sasl::Challenge(data).put(out);
        Ok(())
    }

    /// The server has decided. Anything but [`SaslCode::Ok`] ends the connection.
    ///
    /// # Errors
    /// It is not the server's turn.
    pub fn sasl_outcome(&mut self, code: SaslCode, out: &mut Vec<u8>) -> Result<(), Error> {
        self.take_turn(Handshake::ServerTurn, Handshake::ServerAmqp)?;
        Sasl::Outcome { code, data: None }.put(out);
        if code != SaslCode::Ok {
            self.phase = Phase::Closed;
        }
        Ok(())
    }

    /// The client has chosen a mechanism.
    ///
    /// # Errors
    /// It is not the client's turn.
    pub fn sasl_init(
        &mut self,
        mechanism: &str,
        response: Option<&[u8]>,
        hostname: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.take_turn(Handshake::ClientTurn, Handshake::ClientFrame)?;
        let init = Sasl::Init {
            mechanism,
            response,
            hostname,
        };
        init.put(out);
        Ok(())
    }

    /// The client answers a challenge.
    ///
    /// # Errors
    /// It is not the client's turn.
    pub fn sasl_response(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.take_turn(Handshake::ClientTurn, Handshake::ClientFrame)?;
        Sasl::Response(data).put(out);
        Ok(())
    }

    fn take_turn(&mut self, from: Handshake, to: Handshake) -> Result<(), Error> {
        if self.phase != Phase::Handshake(from) {
            return Err(Error::Sasl);
        }
        self.phase = Phase::Handshake(to);
        Ok(())
    }

    /// Whether no frame can tell the peer what is wrong: none of AMQP has gone out yet.
    pub(super) fn is_mute(&self) -> bool {
        matches!(self.phase, Phase::Handshake(_))
    }
}
