//! Copies of stored PUBLISH packets whose property block changes on the way: into another
//! version, with the remaining expiry, subscription ids or a topic alias.
//!
//! The packets of a run agree in topic and properties, so what stands before the payload is worked
//! out once and copied for the others. Properties keep their order and their bytes; a publisher's
//! topic alias and subscription ids are left out, the server's own follow behind
//! \[MQTT-3.3.2-17, -18\].

use crate::aliases::Naming;
use crate::codec::{MAX_REMAINING, block_len, head_len, put_varint, varint_len};
use crate::error::Error;
use crate::packet::{Flags, QoS, Version, packet_id_after};
use crate::patch::{Patch, patch_run};
use crate::properties::{Properties, PropertyId};
use crate::reader::Reader;
use crate::run::Packets;

/// How the copies of a run differ from what is stored, for one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies<'a> {
    /// The version of the stored encoding.
    pub from: Version,
    /// Flags and packet ids.
    pub patch: Patch,
    /// The Message Expiry Interval.
    pub expiry: Expiry,
    /// The ids of the subscriptions that the copies are for, each 1 to 268,435,455.
    pub subscription_ids: &'a [u32],
    /// Further properties that a PUBLISH may carry, behind those that are stored.
    pub added: Properties<'a>,
}

/// What a copy says of its message's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// What is stored.
    AsStored,
    /// So many seconds are left \[MQTT-3.3.2-6\].
    Left(u32),
    /// It has no end, whatever is stored.
    Never,
}

impl Copies<'_> {
    /// Copies that differ in flags and packet ids alone.
    pub fn new(from: Version, patch: Patch) -> Self {
        Self {
            from,
            patch,
            expiry: Expiry::AsStored,
            subscription_ids: &[],
            added: Properties::default(),
        }
    }
}

/// The fields of a stored PUBLISH, which was validated when it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) topic: &'a [u8],
    qos: QoS,
    properties: Properties<'a>,
    /// Where the payload begins, counted from the end of the fixed header.
    payload_offset: usize,
}

impl<'a> Stored<'a> {
    pub(crate) fn read(packet: &'a [u8], from: Version) -> Result<Self, Error> {
        let first = Reader::new(packet).u8()?;
        let qos = QoS::from_bits(first >> 1 & 3).ok_or(Error::Malformed("MQTT-3.3.1-4"))?;
        let mut reader = Reader::new(packet);
        reader.take(head_len(packet.len()))?;
        let body_len = reader.rest().len();
        let topic = reader.binary()?;
        if qos > QoS::AtMostOnce {
            reader.u16()?;
        }
        let properties = match from {
            Version::V5 => {
                let len = reader.varint()? as usize;
                Properties::stored(reader.take(len)?)
            }
            Version::V31 | Version::V311 => Properties::default(),
        };
        Ok(Self {
            topic,
            qos,
            properties,
            payload_offset: body_len - reader.rest().len(),
        })
    }
}

/// What the copies of one run look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    stored: Stored<'a>,
    to: Version,
    copies: Copies<'a>,
    naming: Naming,
    /// Bytes of the new property block without its length.
    properties_len: usize,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        stored: Stored<'a>,
        to: Version,
        copies: Copies<'a>,
        naming: Naming,
    ) -> Result<Self, Error> {
        let mut plan = Self {
            stored,
            to,
            copies,
            naming,
            properties_len: 0,
        };
        if to == Version::V5 {
            let kept: usize = plan.kept().map(<[u8]>::len).sum();
            let mut ids_len = 0;
            for &id in copies.subscription_ids {
                if id == 0 || id as usize > MAX_REMAINING {
                    return Err(Error::Unencodable);
                }
                ids_len += 1 + varint_len(id as usize);
            }
            let expiry_len = match copies.expiry {
                Expiry::Left(_) => 5,
                Expiry::AsStored | Expiry::Never => 0,
            };
            let alias_len = if naming == Naming::Topic { 0 } else { 3 };
            let added_len = copies.added.raw().len();
            plan.properties_len = kept + added_len + ids_len + expiry_len + alias_len;
        }
        Ok(plan)
    }

    pub(crate) fn naming(&self) -> Naming {
        self.naming
    }

    pub(crate) fn stored_topic(&self) -> &'a [u8] {
        self.stored.topic
    }

    /// The plan for what follows the packet that announced the alias.
    pub(crate) fn for_the_rest(&self) -> Result<Self, Error> {
        let mut copies = self.copies;
        copies.patch.first_id = packet_id_after(copies.patch.first_id, 1);
        let naming = match self.naming {
            Naming::Announce(alias) => Naming::Alias(alias),
            naming => naming,
        };
        Self::new(self.stored, self.to, copies, naming)
    }

    /// Stored properties that the copies keep.
    fn kept(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let replaced = self.copies.expiry != Expiry::AsStored;
        let pieces = self.stored.properties.pieces();
        pieces.filter_map(move |(id, bytes)| match id {
            PropertyId::TopicAlias | PropertyId::SubscriptionId => None,
            PropertyId::MessageExpiry if replaced => None,
            _ => Some(bytes),
        })
    }

    fn qos(&self) -> QoS {
        self.stored.qos.min(self.copies.patch.qos)
    }

    /// Whether the copies differ from what is stored in flags and packet ids alone.
    pub(crate) fn is_patch(&self) -> bool {
        let same_encoding = (self.copies.from == Version::V5) == (self.to == Version::V5);
        // A block of the same length from which nothing was taken is the same block.
        let same_block = self.to != Version::V5
            || (!matches!(self.copies.expiry, Expiry::Left(_))
                && self.naming == Naming::Topic
                && self.copies.subscription_ids.is_empty()
                && self.copies.added.raw().is_empty()
                && self.properties_len == self.stored.properties.raw().len());
        same_encoding && same_block
    }

    fn topic(&self) -> &'a [u8] {
        match self.naming {
            Naming::Alias(_) => &[],
            Naming::Topic | Naming::Announce(_) => self.stored.topic,
        }
    }

    /// Bytes between fixed header and payload of a copy.
    fn front_len(&self) -> usize {
        let id_len = if self.qos() > QoS::AtMostOnce { 2 } else { 0 };
        let properties_len = match self.to {
            Version::V5 => block_len(self.properties_len),
            Version::V31 | Version::V311 => 0,
        };
        2 + self.topic().len() + id_len + properties_len
    }

    fn payload<'p>(&self, packet: &'p [u8]) -> &'p [u8] {
        let at = head_len(packet.len()) + self.stored.payload_offset;
        packet.get(at..).unwrap_or_default()
    }

    /// Bytes of the copy of `packet`.
    pub(crate) fn copy_len(&self, packet: &[u8]) -> usize {
        1 + block_len(self.front_len() + self.payload(packet).len())
    }

    /// Appends everything of a copy but its payload, and returns where the payload begins in
    /// `packet`.
    pub(crate) fn put_head(
        &self,
        out: &mut Vec<u8>,
        packet: &[u8],
        id: u16,
    ) -> Result<usize, Error> {
        let payload_len = self.payload(packet).len();
        self.put_fixed(out, payload_len)?;
        self.put_front(out, id)?;
        Ok(packet.len() - payload_len)
    }

    /// Appends copies of all packets.
    pub(crate) fn put_run(&self, out: &mut Vec<u8>, packets: Packets<'_>) -> Result<(), Error> {
        if self.is_patch() {
            patch_run(out, packets, self.copies.patch);
            return Ok(());
        }
        let start = out.len();
        let written = self.put_each(out, packets);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn put_each(&self, out: &mut Vec<u8>, packets: Packets<'_>) -> Result<(), Error> {
        let front_len = self.front_len();
        out.reserve(packets.bytes().len() + packets.len() * (5 + front_len));
        let id_at = 2 + self.topic().len();
        let mut front: Option<usize> = None;
        let mut id = self.copies.patch.first_id;
        for packet in packets.iter() {
            let payload = self.payload(packet);
            self.put_fixed(out, payload.len())?;
            let at = out.len();
            match front {
                None => {
                    self.put_front(out, id)?;
                    front = Some(at);
                }
                Some(front) => {
                    out.extend_from_within(front..front + front_len);
                    if self.qos() > QoS::AtMostOnce
                        && let Some(bytes) = out.get_mut(at + id_at..at + id_at + 2)
                    {
                        bytes.copy_from_slice(&id.to_be_bytes());
                    }
                }
            }
            out.extend_from_slice(payload);
            id = packet_id_after(id, 1);
        }
        Ok(())
    }

    fn put_fixed(&self, out: &mut Vec<u8>, payload_len: usize) -> Result<(), Error> {
        let remaining = self.front_len() + payload_len;
        if remaining > MAX_REMAINING {
            return Err(Error::Unencodable);
        }
        let patch = self.copies.patch;
        let flags = Flags {
            qos: self.qos(),
            retain: patch.retain,
            dup: patch.dup,
        };
        out.push(flags.first_byte());
        put_varint(out, remaining);
        Ok(())
    }

    fn put_front(&self, out: &mut Vec<u8>, id: u16) -> Result<(), Error> {
        let topic = self.topic();
        let topic_len = u16::try_from(topic.len()).map_err(|_| Error::Unencodable)?;
        out.extend_from_slice(&topic_len.to_be_bytes());
        out.extend_from_slice(topic);
        if self.qos() > QoS::AtMostOnce {
            out.extend_from_slice(&id.to_be_bytes());
        }
        if self.to == Version::V5 {
            put_varint(out, self.properties_len);
            for bytes in self.kept() {
                out.extend_from_slice(bytes);
            }
            out.extend_from_slice(self.copies.added.raw());
            if let Expiry::Left(seconds) = self.copies.expiry {
                out.push(PropertyId::MessageExpiry as u8);
                out.extend_from_slice(&seconds.to_be_bytes());
            }
            for &id in self.copies.subscription_ids {
                out.push(PropertyId::SubscriptionId as u8);
                put_varint(out, id as usize);
            }
            if let Naming::Announce(alias) | Naming::Alias(alias) = self.naming {
                out.push(PropertyId::TopicAlias as u8);
                out.extend_from_slice(&alias.to_be_bytes());
            }
        }
        Ok(())
    }
}
