//! UNSUBSCRIBE (3.10).

use super::subscribe::check_request_flags;
use super::{Version, put_properties, read_properties};
use crate::codec::{Frame, put_packet, put_string};
use crate::error::Error;
use crate::properties::{Place, Properties};
use crate::reader::Reader;
use crate::topic::Filter;

/// A request to end subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The packet id, not zero.
    pub id: u16,
    /// Properties, empty before 5.0.
    pub properties: Properties<'a>,
    /// The filters, at least one.
    pub filters: FilterList<'a>,
}

/// The payload of an UNSUBSCRIBE: a validated list that is read by iterating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FilterList<'a> {
    raw: &'a [u8],
}

impl<'a> FilterList<'a> {
    /// Writes filters into `buffer` and returns the list.
    ///
    /// # Errors
    /// `TopicFilterInvalid`, `Unencodable`, or `Protocol` for no filter at all.
    pub fn build(buffer: &'a mut Vec<u8>, filters: &[&str]) -> Result<Self, Error> {
        buffer.clear();
        for filter in filters {
            put_string(buffer, filter)?;
        }
        let list = Self { raw: buffer };
        list.validate(Version::V311)?;
        Ok(list)
    }

    /// The filters in their order, each with the reason why it is not well formed; an error shows
    /// only in MQTT 5.0.
    pub fn iter(self) -> impl Iterator<Item = Result<Filter<'a>, Error>> {
        let mut reader = Reader::new(self.raw);
        std::iter::from_fn(move || reader.string().ok().map(Filter::parse))
    }

    fn validate(self, version: Version) -> Result<(), Error> {
        let mut reader = Reader::new(self.raw);
        if reader.is_empty() {
            return Err(Error::Protocol("MQTT-3.10.3-2"));
        }
        while !reader.is_empty() {
            let filter = Filter::parse(reader.string()?);
            if version < Version::V5 {
                filter?;
            }
        }
        Ok(())
    }
}

impl<'a> Unsubscribe<'a> {
    /// Decodes the packet.
    ///
    /// # Errors
    /// What the packet breaks.
    pub fn decode(frame: Frame<'a>, version: Version) -> Result<Self, Error> {
        check_request_flags(frame, version)?;
        let mut reader = Reader::new(frame.body());
        let id = reader.packet_id()?;
        let properties = read_properties(&mut reader, version, Place::Unsubscribe)?;
        let filters = FilterList { raw: reader.rest() };
        filters.validate(version)?;
        Ok(Self {
            id,
            properties,
            filters,
        })
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), Error> {
        put_packet(out, 0xA2, |out| {
            out.extend_from_slice(&self.id.to_be_bytes());
            put_properties(out, version, self.properties);
            out.extend_from_slice(self.filters.raw);
            Ok(())
        })
    }
}
