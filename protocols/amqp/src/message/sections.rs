//! The sections of a message (M 3.2), found in one pass by their sizes.

use std::ops::Range;

use super::{
    APPLICATION_PROPERTIES, DATA, DELIVERY_ANNOTATIONS, FOOTER, HEADER, Header,
    MESSAGE_ANNOTATIONS, MessageProperties, PROPERTIES, SEQUENCE, VALUE,
};
use crate::error::Error;
use crate::types::{Descriptor, Fields, MAX_DEPTH, Map, Reader, Value, check_value, code};

/// What a body is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyKind {
    /// There is none, which the specification does not allow and some senders do.
    #[default]
    None,
    /// Bytes, in one or more sections.
    Data,
    /// Lists, in one or more sections.
    Sequence,
    /// One value.
    Value,
}

/// Where the sections of a message are, descriptors included. One that is not there is an empty
/// range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections {
    /// What brokers may change on its way.
    pub header: Range<usize>,
    /// For the next peer alone.
    pub delivery_annotations: Range<usize>,
    /// For peers on its way.
    pub message_annotations: Range<usize>,
    /// Of the bare message: what is defined by the specification.
    pub properties: Range<usize>,
    /// Of the bare message: what the application added.
    pub application_properties: Range<usize>,
    /// Of the bare message: its body.
    pub body: Range<usize>,
    /// What the body is made of.
    pub body_kind: BodyKind,
    /// What could be known only behind the body.
    pub footer: Range<usize>,
}

/// The places of sections, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Start,
    Header,
    DeliveryAnnotations,
    MessageAnnotations,
    Properties,
    ApplicationProperties,
    Body(u8),
    Footer,
}

impl Place {
    fn of(descriptor: Descriptor<'_>) -> Option<Self> {
        let code = match descriptor {
            Descriptor::Code(code) => code,
            Descriptor::Symbol("amqp:header:list") => HEADER,
            Descriptor::Symbol("amqp:delivery-annotations:map") => DELIVERY_ANNOTATIONS,
            Descriptor::Symbol("amqp:message-annotations:map") => MESSAGE_ANNOTATIONS,
            Descriptor::Symbol("amqp:properties:list") => PROPERTIES,
            Descriptor::Symbol("amqp:application-properties:map") => APPLICATION_PROPERTIES,
            Descriptor::Symbol("amqp:data:binary") => DATA,
            Descriptor::Symbol("amqp:amqp-sequence:list") => SEQUENCE,
            Descriptor::Symbol("amqp:amqp-value:*") => VALUE,
            Descriptor::Symbol("amqp:footer:map") => FOOTER,
            Descriptor::Symbol(_) => return None,
        };
        Some(match code {
            HEADER => Self::Header,
            DELIVERY_ANNOTATIONS => Self::DeliveryAnnotations,
            MESSAGE_ANNOTATIONS => Self::MessageAnnotations,
            PROPERTIES => Self::Properties,
            APPLICATION_PROPERTIES => Self::ApplicationProperties,
            DATA => Self::Body(DATA_SECTIONS),
            SEQUENCE => Self::Body(SEQUENCES),
            VALUE => Self::Body(ONE_VALUE),
            FOOTER => Self::Footer,
            _ => return None,
        })
    }
}

impl Sections {
    /// Finds the sections of a message. What is inside them is looked at when it is read.
    ///
    /// # Errors
    /// Something is no section, is not in its place, or has a wrong type.
    pub fn read(message: &[u8]) -> Result<Self, Error> {
        const BROKEN: Error = Error::Decode("M 3.2");
        let mut sections = Self::default();
        let mut reader = Reader::new(message);
        let mut last = Place::Start;
        while !reader.is_empty() {
            let start = message.len() - reader.rest().len();
            if reader.u8()? != code::DESCRIBED {
                return Err(BROKEN);
            }
            let place = Place::of(Descriptor::read(&mut reader)?).ok_or(BROKEN)?;
            let value = reader.raw()?;
            let more = last == place && matches!(place, Place::Body(kind) if kind < ONE_VALUE);
            let in_order = match (last, place) {
                (Place::Body(_), Place::Body(_)) => more,
                _ => place > last,
            };
            if !in_order || !has_type(place, value) {
                return Err(BROKEN);
            }
            let end = message.len() - reader.rest().len();
            sections.note(place, start..end);
            last = place;
        }
        Ok(sections)
    }

    fn note(&mut self, place: Place, range: Range<usize>) {
        let section = match place {
            Place::Start => return,
            Place::Header => &mut self.header,
            Place::DeliveryAnnotations => &mut self.delivery_annotations,
            Place::MessageAnnotations => &mut self.message_annotations,
            Place::Properties => &mut self.properties,
            Place::ApplicationProperties => &mut self.application_properties,
            Place::Body(kind) => {
                self.body_kind = match kind {
                    DATA_SECTIONS => BodyKind::Data,
                    SEQUENCES => BodyKind::Sequence,
                    _ => BodyKind::Value,
                };
                if !self.body.is_empty() {
                    self.body.end = range.end;
                    return;
                }
                &mut self.body
            }
            Place::Footer => &mut self.footer,
        };
        *section = range;
    }

    /// The bare message: what nobody on its way may change.
    #[must_use]
    pub fn bare(&self) -> Range<usize> {
        let parts = [&self.properties, &self.application_properties, &self.body];
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        let Some(first) = parts.next() else {
            return 0..0;
        };
        first.start..parts.next_back().unwrap_or(first).end
    }

    /// Walks what is passed on to its last level: a value that is broken inside would break the
    /// connection of whoever reads it. Data has no inside, and the properties are walked by who
    /// reads them.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn check(&self, message: &[u8]) -> Result<(), Error> {
        let is_walked = matches!(self.body_kind, BodyKind::Sequence | BodyKind::Value);
        let parts = [
            &self.message_annotations,
            &self.application_properties,
            if is_walked { &self.body } else { &(0..0) },
            &self.footer,
        ];
        for part in parts {
            let mut reader = Reader::new(message.get(part.clone()).unwrap_or_default());
            while !reader.is_empty() {
                check_value(&mut reader, MAX_DEPTH)?;
            }
        }
        Ok(())
    }

    /// The header; its defaults if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_header(&self, message: &[u8]) -> Result<Header, Error> {
        match list(message, &self.header)? {
            Some(fields) => Header::decode(fields),
            None => Ok(Header::default()),
        }
    }

    /// The properties; none if there are none.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read_properties<'a>(&self, message: &'a [u8]) -> Result<MessageProperties<'a>, Error> {
        match list(message, &self.properties)? {
            Some(fields) => MessageProperties::decode(fields),
            None => Ok(MessageProperties::default()),
        }
    }

    /// The annotations for peers on the way.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read_annotations<'a>(&self, message: &'a [u8]) -> Result<Map<'a>, Error> {
        map(message, &self.message_annotations)
    }

    /// What the application added.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_application_properties<'a>(&self, message: &'a [u8]) -> Result<Map<'a>, Error> {
        map(message, &self.application_properties)
    }

    /// The sections of the body: each a binary, a list or the one value, by its kind.
    #[must_use]
    pub fn read_body<'a>(&self, message: &'a [u8]) -> Bodies<'a> {
        Bodies(Reader::new(
            message.get(self.body.clone()).unwrap_or_default(),
        ))
    }
}

/// The sections of a body.
#[derive(Debug, Clone, Copy)]
pub struct Bodies<'a>(Reader<'a>);

impl<'a> Iterator for Bodies<'a> {
    type Item = Result<Value<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let value = match Value::read(&mut self.0) {
            Ok(Value::Described(described)) => described.value(),
            Ok(_) => Err(Error::Decode("M 3.2")),
            Err(error) => Err(error),
        };
        if value.is_err() {
            self.0 = Reader::new(&[]);
        }
        Some(value)
    }
}

/// Kinds of body sections.
const DATA_SECTIONS: u8 = 0;
const SEQUENCES: u8 = 1;
const ONE_VALUE: u8 = 2;

/// Whether a section, which is one value, has the type it is said to have.
fn has_type(place: Place, encoded: &[u8]) -> bool {
    let code = encoded.first().copied().unwrap_or_default();
    match place {
        Place::Start => false,
        Place::Header | Place::Properties | Place::Body(SEQUENCES) => {
            matches!(code, code::LIST_0 | code::LIST_8 | code::LIST_32)
        }
        Place::Body(DATA_SECTIONS) => matches!(code, code::BINARY_8 | code::BINARY_32),
        Place::Body(_) => Value::decode(encoded).is_ok(),
        Place::DeliveryAnnotations
        | Place::MessageAnnotations
        | Place::ApplicationProperties
        | Place::Footer => matches!(code, code::MAP_8 | code::MAP_32),
    }
}

fn section<'a>(message: &'a [u8], range: &Range<usize>) -> Result<Option<Value<'a>>, Error> {
    let mut reader = Reader::new(message.get(range.clone()).unwrap_or_default());
    if reader.is_empty() {
        return Ok(None);
    }
    if reader.u8()? != code::DESCRIBED {
        return Err(Error::Decode("M 3.2"));
    }
    Descriptor::read(&mut reader)?;
    let value = Value::read(&mut reader)?;
    reader.finish()?;
    Ok(Some(value))
}

fn list<'a>(message: &'a [u8], range: &Range<usize>) -> Result<Option<Fields<'a>>, Error> {
    section(message, range)?.map(Fields::of_value).transpose()
}

fn map<'a>(message: &'a [u8], range: &Range<usize>) -> Result<Map<'a>, Error> {
    match section(message, range)? {
        None => Ok(Map::default()),
        Some(Value::Map(map)) => Ok(map),
        Some(_) => Err(Error::Decode("M 3.2")),
    }
}
