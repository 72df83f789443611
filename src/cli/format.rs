//! How a received message is written: NDJSON, a line for humans, or a template.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::client::{Message, Properties};

/// A form of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object a line; `docs/cli.md` has its schema, which only grows.
    Json,
    /// Topic and body, safe to show on a terminal.
    Human,
    /// As the user wrote it.
    Template(Template),
}

/// A text with places for fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    /// Whether a line end follows each message.
    line_end: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Topic,
    Body,
    BodyBase64,
    Qos,
    Retain,
    Dup,
    ContentType,
    ResponseTopic,
    Correlation,
    Expiry,
    Subject,
    Priority,
    MessageId,
    Property(String),
    Json,
}

impl Form {
    /// Appends the message with what ends it.
    pub(super) fn write(&self, message: &Message, out: &mut Vec<u8>) {
        match self {
            Self::Json => {
                write_json(message, out);
                out.push(b'\n');
            }
            Self::Human => {
                out.extend_from_slice(printable(&message.topic).as_bytes());
                out.push(b' ');
                match std::str::from_utf8(&message.body) {
                    Ok(text) => out.extend_from_slice(printable(text).as_bytes()),
                    Err(_) => {
                        let text = STANDARD.encode(&message.body);
                        out.extend_from_slice(format!("base64:{text}").as_bytes());
                    }
                }
                out.push(b'\n');
            }
            Self::Template(template) => template.write(message, out),
        }
    }
}

impl Template {
    /// Reads a template: fields in braces, `\n`, `\t`, `\r`, `\0`, `\\`, `\{` and `\}`, and `\c` at
    /// the end for no line end.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut line_end = true;
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => match rest.next() {
                    Some('n') => plain.push('\n'),
                    Some('t') => plain.push('\t'),
                    Some('r') => plain.push('\r'),
                    Some('0') => plain.push('\0'),
                    Some(c @ ('\\' | '{' | '}')) => plain.push(c),
                    Some('c') if rest.as_str().is_empty() => line_end = false,
                    _ => return Err(format!("after `\\` only {ESCAPES}")),
                },
                '{' => {
                    let (name, tail) = rest
                        .as_str()
                        .split_once('}')
                        .ok_or("a `{` without `}`; `\\{` writes the brace itself")?;
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Field(field(name)?));
                    rest = tail.chars();
                }
                '}' => return Err("a `}` without `{`; `\\}` writes the brace itself".to_owned()),
                c => plain.push(c),
            }
        }
        pieces.push(Piece::Text(plain));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self { pieces, line_end })
    }

    fn write(&self, message: &Message, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Field(field) => field.write(message, out),
            }
        }
        if self.line_end {
            out.push(b'\n');
        }
    }
}

impl Field {
    /// What a message lacks is written as nothing.
    fn write(&self, message: &Message, out: &mut Vec<u8>) {
        let properties = &message.properties;
        let number = |number: u32, out: &mut Vec<u8>| {
            out.extend_from_slice(number.to_string().as_bytes());
        };
        let text = |text: &Option<String>, out: &mut Vec<u8>| {
            out.extend_from_slice(text.as_deref().unwrap_or_default().as_bytes());
        };
        match self {
            Self::Topic => out.extend_from_slice(message.topic.as_bytes()),
            Self::Body => out.extend_from_slice(&message.body),
            Self::BodyBase64 => out.extend_from_slice(STANDARD.encode(&message.body).as_bytes()),
            Self::Qos => number(message.qos as u32, out),
            Self::Retain => number(message.retain.into(), out),
            Self::Dup => number(message.dup.into(), out),
            Self::ContentType => text(&properties.content_type, out),
            Self::ResponseTopic => text(&properties.response_topic, out),
            Self::Correlation => {
                out.extend_from_slice(properties.correlation.as_deref().unwrap_or_default());
            }
            Self::Expiry => {
                if let Some(seconds) = properties.expiry_s {
                    number(seconds, out);
                }
            }
            Self::Subject => text(&properties.subject, out),
            Self::Priority => {
                if let Some(priority) = properties.priority {
                    number(priority.into(), out);
                }
            }
            Self::MessageId => text(&properties.message_id, out),
            Self::Property(wanted) => {
                let found = properties.user.iter().find(|(name, _)| name == wanted);
                out.extend_from_slice(found.map_or("", |(_, value)| value).as_bytes());
            }
            Self::Json => write_json(message, out),
        }
    }
}

fn field(name: &str) -> Result<Field, String> {
    if let Some(property) = name.strip_prefix("props.") {
        return Ok(Field::Property(property.to_owned()));
    }
    Ok(match name {
        "topic" => Field::Topic,
        "body" => Field::Body,
        "body_base64" => Field::BodyBase64,
        "qos" => Field::Qos,
        "retain" => Field::Retain,
        "dup" => Field::Dup,
        "content_type" => Field::ContentType,
        "response_topic" => Field::ResponseTopic,
        "correlation" => Field::Correlation,
        "expiry_s" => Field::Expiry,
        "subject" => Field::Subject,
        "priority" => Field::Priority,
        "message_id" => Field::MessageId,
        "json" => Field::Json,
        _ => return Err(format!("no field `{name}`: there are {FIELDS}")),
    })
}

/// The object of a message; `None` leaves a key out.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    qos: u8,
    retain: bool,
    dup: bool,
    properties: PropertiesObject<'a>,
}

#[derive(Serialize)]
struct PropertiesObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    subscription_ids: &'a [u32],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    user: &'a [(String, String)],
}

fn write_json(message: &Message, out: &mut Vec<u8>) {
    let Properties {
        content_type,
        response_topic,
        correlation,
        expiry_s,
        utf8,
        user,
        subscription_ids,
        subject,
        priority,
        message_id,
    } = &message.properties;
    let (body, body_base64) = text_or_base64(&message.body);
    let (correlation, correlation_base64) = match correlation {
        Some(bytes) => text_or_base64(bytes),
        None => (None, None),
    };
    let line = Line {
        topic: &message.topic,
        body,
        body_base64,
        qos: message.qos as u8,
        retain: message.retain,
        dup: message.dup,
        properties: PropertiesObject {
            content_type: content_type.as_deref(),
            response_topic: response_topic.as_deref(),
            correlation,
            correlation_base64,
            expiry_s: *expiry_s,
            payload_format: utf8.then_some("utf8"),
            subject: subject.as_deref(),
            priority: *priority,
            message_id: message_id.as_deref(),
            subscription_ids,
            user,
        },
    };
    // Neither texts nor numbers nor a vector can fail.
    let _ = serde_json::to_writer(out, &line);
}

fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// Without the characters that would command a terminal.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The fields of a template, for users.
pub(super) const FIELDS: &str = "{topic} {body} {body_base64} {qos} {retain} {dup} {content_type} \
                                 {response_topic} {correlation} {expiry_s} {subject} {priority} \
                                 {message_id} {props.NAME} {json}";
const ESCAPES: &str = "n, t, r, 0, `\\`, `{`, `}`, and c at the end";
