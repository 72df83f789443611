//! open (T 2.7.1).

use super::OPEN;
use crate::error::Error;
use crate::types::{Fields, Map, Symbols, put_composite, required};

/// What a peer says of itself and takes at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Open<'a> {
    /// Who it is.
    pub container_id: &'a str,
    /// Which host it wants to reach: the virtual host.
    pub hostname: Option<&'a str>,
    /// Largest frame it takes, in bytes.
    pub max_frame_size: u32,
    /// Highest channel it takes.
    pub channel_max: u16,
    /// After how many milliseconds of silence it gives the connection up; `None` is never.
    pub idle_timeout_ms: Option<u32>,
    /// Languages of the texts it writes, the one it likes best first.
    pub outgoing_locales: Symbols<'a>,
    /// Languages of the texts it reads.
    pub incoming_locales: Symbols<'a>,
    /// Extensions it can speak.
    pub offered_capabilities: Symbols<'a>,
    /// Extensions it would use.
    pub desired_capabilities: Symbols<'a>,
    /// What else it says of itself.
    pub properties: Option<Map<'a>>,
}

impl<'a> Open<'a> {
    /// An open without limits, capabilities and properties.
    #[must_use]
    pub fn new(container_id: &'a str) -> Self {
        Self {
            container_id,
            hostname: None,
            max_frame_size: u32::MAX,
            channel_max: u16::MAX,
            idle_timeout_ms: None,
            outgoing_locales: Symbols::default(),
            incoming_locales: Symbols::default(),
            offered_capabilities: Symbols::default(),
            desired_capabilities: Symbols::default(),
            properties: None,
        }
    }

    pub(super) fn decode(mut fields: Fields<'a>) -> Result<Self, Error> {
        let open = Self {
            container_id: required(fields.text()?)?,
            hostname: fields.text()?,
            max_frame_size: fields.uint()?.unwrap_or(u32::MAX),
            channel_max: fields.ushort()?.unwrap_or(u16::MAX),
            idle_timeout_ms: fields.uint()?,
            outgoing_locales: fields.symbols()?,
            incoming_locales: fields.symbols()?,
            offered_capabilities: fields.symbols()?,
            desired_capabilities: fields.symbols()?,
            properties: fields.map()?,
        };
        fields.finish()?;
        Ok(open)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let max_frame_size = Some(self.max_frame_size).filter(|max| *max < u32::MAX);
        let channel_max = Some(self.channel_max).filter(|max| *max < u16::MAX);
        put_composite(out, OPEN, |fields| {
            fields
                .text(Some(self.container_id))
                .text(self.hostname)
                .uint(max_frame_size)
                .ushort(channel_max)
                .uint(self.idle_timeout_ms)
                .symbols(self.outgoing_locales)
                .symbols(self.incoming_locales)
                .symbols(self.offered_capabilities)
                .symbols(self.desired_capabilities)
                .map(self.properties);
        });
    }
}
