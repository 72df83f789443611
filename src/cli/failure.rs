//! What a command can fail of: one line that says what happened, a hint what to do next, and the
//! exit code that tells scripts.

use std::io;

use crate::client::mqtt::Reason;
use crate::client::{ClientError, Refusal};

/// Why a command ended without doing what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The connection, or the server's opinion of it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Arguments that clap cannot see to be wrong.
    #[error("{0}")]
    Usage(String),
    /// A message that the server refuses.
    #[error("message {number} to `{topic}` was refused: {refusal}")]
    PublishRefused {
        /// Which one, from 1.
        number: u64,
        /// Its topic.
        topic: String,
        /// The server's reason.
        refusal: Refusal,
    },
    /// A filter that the server refuses.
    #[error("the subscription to `{filter}` was refused: {refusal}")]
    SubscribeRefused {
        /// The filter.
        filter: String,
        /// The server's reason.
        refusal: Refusal,
    },
    /// The time given was over first.
    #[error("{0}")]
    Timeout(String),
    /// A signal came before everything was confirmed.
    #[error("interrupted before everything was confirmed")]
    Interrupted,
    /// A body or a password cannot be read.
    #[error("cannot read {name}: {source}")]
    Input {
        /// What was to be read.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// The runtime or a signal handler could not be made.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// `config check` found errors.
    #[error("{0}")]
    Check(String),
}

impl Failure {
    /// The exit code: 1 failed, 2 usage, 3 not allowed, 5 conflict, 6 unavailable, 124 timeout.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) => client_exit_code(error),
            Self::PublishRefused { refusal, .. } | Self::SubscribeRefused { refusal, .. } => {
                match refusal {
                    Refusal::Mqtt(reason) => reason_exit_code(*reason),
                    Refusal::Amqp(condition) => condition_exit_code(&condition.name),
                }
            }
            Self::Usage(_) | Self::Check(_) => USAGE,
            Self::Timeout(_) => TIMEOUT,
            Self::Interrupted | Self::Input { .. } | Self::Output(_) | Self::Runtime(_) => FAILED,
        }
    }

    /// What to do next, where there is something to say.
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Client(error) => client_hint(error),
            Self::PublishRefused { refusal, .. } | Self::SubscribeRefused { refusal, .. } => {
                match refusal {
                    Refusal::Mqtt(reason) => reason_hint(*reason),
                    Refusal::Amqp(condition) => condition_hint(&condition.name),
                }
            }
            Self::Timeout(_) => {
                Some("give more time (--timeout, --idle), or look whether anybody publishes there")
            }
            Self::Usage(_) => Some("see --help"),
            _ => None,
        }
    }
}

fn client_exit_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Refused { reason, .. } | ClientError::Disconnected { reason, .. } => {
            reason_exit_code(*reason)
        }
        ClientError::Ended { condition, .. } | ClientError::LinkRefused { condition, .. } => {
            condition_exit_code(&condition.name)
        }
        ClientError::Login | ClientError::Mechanisms { .. } => NOT_ALLOWED,
        ClientError::Connect { .. }
        | ClientError::NoAnswer { .. }
        | ClientError::Closed
        | ClientError::Lost(_)
        | ClientError::NoLogin
        | ClientError::Silent => UNAVAILABLE,
        ClientError::Name { .. } | ClientError::Address { .. } => USAGE,
        ClientError::QosNotSupported(_)
        | ClientError::TooLarge(_)
        | ClientError::Amqp(_)
        | ClientError::RetainNotSupported
        | ClientError::Protocol(_) => FAILED,
    }
}

fn reason_exit_code(reason: Reason) -> u8 {
    match reason.0 {
        // Credentials, authorization, banned, authentication method.
        0x86 | 0x87 | 0x8A | 0x8C => NOT_ALLOWED,
        // Session taken over.
        0x8E => CONFLICT,
        // Unavailable, busy, shutting down, keep-alive, elsewhere, too many connections, too long.
        0x88 | 0x89 | 0x8B | 0x8D | 0x9C | 0x9D | 0x9F | 0xA0 => UNAVAILABLE,
        _ => FAILED,
    }
}

fn condition_exit_code(name: &str) -> u8 {
    match name {
        "amqp:unauthorized-access" => NOT_ALLOWED,
        "amqp:link:stolen" | "amqp:resource-locked" => CONFLICT,
        "amqp:connection:forced" | "amqp:connection:redirect" | "amqp:link:redirect" => UNAVAILABLE,
        _ => FAILED,
    }
}

fn client_hint(error: &ClientError) -> Option<&'static str> {
    match error {
        ClientError::Connect { .. } => {
            Some("is the server running? `ternmq` starts one; --url names another")
        }
        ClientError::NoAnswer { .. } => {
            Some("does --url name the port of the protocol that is spoken?")
        }
        ClientError::Ended { condition, .. } | ClientError::LinkRefused { condition, .. } => {
            condition_hint(&condition.name)
        }
        ClientError::Login | ClientError::Mechanisms { .. } => Some(LOGIN_HINT),
        ClientError::NoLogin => Some("the server's log says why"),
        ClientError::TooLarge(_) => Some("send less at once, or raise the server's limit"),
        ClientError::Amqp(_) => Some("does the server speak AMQP 1.0 on this port?"),
        ClientError::Refused { reason, .. } | ClientError::Disconnected { reason, .. } => {
            reason_hint(*reason)
        }
        ClientError::Silent => Some("try again; --keep-alive says how much silence is too much"),
        ClientError::Closed | ClientError::Lost(_) => Some(
            "the server's log says why; it may want --mqtt 3, or --url may name the port of another protocol",
        ),
        ClientError::QosNotSupported(_) => Some("ask for a lower --qos"),
        ClientError::RetainNotSupported => Some("leave out --retain"),
        ClientError::Protocol(_) => Some("an older server may want --mqtt 3"),
        ClientError::Name { .. } | ClientError::Address { .. } => None,
    }
}

fn reason_hint(reason: Reason) -> Option<&'static str> {
    Some(match reason.0 {
        0x84 => "try the other version: --mqtt 3 or --mqtt 5",
        0x85 => "choose another --id",
        0x86 => LOGIN_HINT,
        0x87 => "this user may not do that: ask the operator, or take another --user",
        0x88 | 0x89 | 0x8B => "try again later",
        0x8E => "another client has the same --id",
        0x95 => "the server takes no message of this size",
        0x97 => "the server has no room: consume what waits, or raise its limits",
        0x9C | 0x9D => "the server names another one: give its --url",
        _ => return None,
    })
}

fn condition_hint(name: &str) -> Option<&'static str> {
    Some(match name {
        "amqp:unauthorized-access" => {
            "this user may not do that: ask the operator, or take another --user"
        }
        "amqp:not-found" => "the server makes no such address by itself: ask the operator",
        "amqp:resource-limit-exceeded" => {
            "the server has no room: consume what waits, or raise its limits"
        }
        "amqp:resource-locked" | "amqp:link:stolen" => "another client has the same --id or link",
        "amqp:connection:forced" => "try again later",
        "amqp:connection:redirect" | "amqp:link:redirect" => {
            "the server names another one: give its --url"
        }
        "amqp:illegal-state" | "amqp:invalid-field" => {
            "the address may be of the other kind: try --queue or --topic"
        }
        "released" => "nobody takes messages there",
        _ => return None,
    })
}

const LOGIN_HINT: &str = "give --user, and the password by --password-file or TERNMQ_PASSWORD";
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_ALLOWED: u8 = 3;
const CONFLICT: u8 = 5;
const UNAVAILABLE: u8 = 6;
const TIMEOUT: u8 = 124;
