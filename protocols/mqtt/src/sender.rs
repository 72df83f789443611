//! What one receiver gets: its version, its largest packet, the aliases it was told, and whether
//! it wants reasons explained.
//!
//! Apart from the machine that reads, so that answers can be written while an event is lent. A
//! receiver of MQTT 3.1 and 3.1.1 costs no allocation, nor does one of 5.0 without aliases.

#[cfg(test)]
mod tests;

use crate::aliases::{AliasLimits, Naming, OutboundAliases};
use crate::copies::{Copies, Plan, Stored};
use crate::error::Error;
use crate::limits::Limits;
use crate::packet::{Packet, Publish, Version};
use crate::patch::patch_run;
use crate::properties::{Properties, PropertiesBuf, PropertyId, Value};
use crate::run::Packets;
use crate::terms::Terms;

/// Writes packets for one connection.
///
/// A PUBLISH over the receiver's Maximum Packet Size is not written and counts as completed
/// \[MQTT-3.1.2-24, -25\]: the methods say how many were written before it.
#[derive(Debug)]
pub struct Sender {
    version: Version,
    max_packet_size: usize,
    problem_info: bool,
    aliases: Option<Box<OutboundAliases>>,
}

impl Sender {
    /// For a receiver of `version` that has announced `terms`; `limits` bounds the aliases.
    pub fn new(version: Version, terms: Terms, limits: &Limits) -> Self {
        let alias_limits = AliasLimits::outbound(limits, terms.topic_alias_maximum);
        let aliases = version == Version::V5 && alias_limits.maximum > 0;
        Self {
            version,
            max_packet_size: terms.max_packet_size as usize,
            problem_info: terms.problem_info,
            aliases: aliases.then(|| Box::new(OutboundAliases::new(alias_limits))),
        }
    }

    /// The version that is written.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the receiver takes a packet of `len` bytes.
    pub fn fits(&self, len: usize) -> bool {
        len <= self.max_packet_size
    }

    /// Whether copies of `packets` differ from what is stored in the first byte and packet ids
    /// alone, and all fit: at QoS 0 they may then be sent from where they are.
    pub fn is_patch(&self, packets: Packets<'_>, copies: Copies<'_>) -> bool {
        let stored = packets.packet(0).unwrap_or_default();
        let plan = self.plan(stored, copies);
        plan.is_ok_and(|plan| plan.is_patch() && self.fitting(packets, plan) == packets.len())
    }

    /// Appends copies of the packets of one run, which agree in topic, QoS, RETAIN and properties,
    /// up to the first that is too large for the receiver, and returns how many those are.
    ///
    /// # Errors
    /// `Unencodable` for a subscription id out of range or a copy over 268,435,455 bytes, and
    /// `Malformed` if what is stored is no PUBLISH; then nothing was appended.
    pub fn put_run(
        &mut self,
        out: &mut Vec<u8>,
        packets: Packets<'_>,
        copies: Copies<'_>,
    ) -> Result<usize, Error> {
        let Some(first) = packets.packet(0) else {
            return Ok(0);
        };
        let any_size = self.max_packet_size >= u32::MAX as usize;
        if any_size && self.version < Version::V5 && copies.from < Version::V5 {
            patch_run(out, packets, copies.patch);
            return Ok(packets.len());
        }
        let plan = self.plan(first, copies)?;
        let announced = matches!(plan.naming(), Naming::Announce(_));
        let n = if announced {
            // The first packet tells the alias, the others are named by it.
            let start = out.len();
            plan.put_run(out, packets.slice(0, 1))?;
            let rest = self.put_aliased(out, packets.slice(1, packets.len()), plan);
            1 + rest.inspect_err(|_| out.truncate(start))?
        } else {
            let n = self.fitting(packets, plan);
            plan.put_run(out, packets.slice(0, n))?;
            n
        };
        self.written(plan);
        Ok(n)
    }

    fn put_aliased(
        &self,
        out: &mut Vec<u8>,
        packets: Packets<'_>,
        announced: Plan<'_>,
    ) -> Result<usize, Error> {
        let plan = announced.for_the_rest()?;
        let n = self.fitting(packets, plan);
        plan.put_run(out, packets.slice(0, n))?;
        Ok(n)
    }

    /// How many copies are written before one that is too large.
    fn fitting(&self, packets: Packets<'_>, plan: Plan<'_>) -> usize {
        if self.max_packet_size >= u32::MAX as usize {
            return packets.len();
        }
        let fits = |packet: &&[u8]| self.fits(plan.copy_len(packet));
        packets.iter().take_while(fits).count()
    }

    /// Appends everything of a copy but its payload, and returns where the payload begins in
    /// `packet`: large messages are sent from where they are. `None` if the copy is too large for
    /// the receiver.
    ///
    /// # Errors
    /// As [`Sender::put_run`].
    pub fn put_head(
        &mut self,
        out: &mut Vec<u8>,
        packet: &[u8],
        copies: Copies<'_>,
    ) -> Result<Option<usize>, Error> {
        let plan = self.plan(packet, copies)?;
        if !self.fits(plan.copy_len(packet)) {
            return Ok(None);
        }
        let start = out.len();
        let written = plan.put_head(out, packet, copies.patch.first_id);
        let rest = written.inspect_err(|_| out.truncate(start))?;
        self.written(plan);
        Ok(Some(rest))
    }

    /// Appends one message that is not stored as a packet; its properties are written as they are
    /// and hold no alias. Returns how many were written: none if it is too large for the receiver.
    ///
    /// # Errors
    /// `Unencodable`; then nothing was appended.
    pub fn put_publish(
        &mut self,
        out: &mut Vec<u8>,
        publish: &Publish<'_>,
    ) -> Result<usize, Error> {
        let topic = publish.topic.as_bytes();
        let start = out.len();
        let naming = self.naming(topic);
        if naming != Naming::Topic {
            put_named(out, publish, naming)?;
            if self.fits(out.len() - start) {
                if let Some(aliases) = &mut self.aliases {
                    aliases.written(topic, naming);
                }
                return Ok(1);
            }
            out.truncate(start);
        }
        publish.encode(self.version, out)?;
        if self.fits(out.len() - start) {
            return Ok(1);
        }
        out.truncate(start);
        Ok(0)
    }

    /// Appends any other packet. Reason string and user properties are left out where the receiver
    /// does not want them \[MQTT-3.1.2-29\] or the packet would be too large with them
    /// \[MQTT-3.2.2-19, -20\].
    ///
    /// # Errors
    /// `Unencodable`, also if the packet is too large without them; then nothing was appended.
    pub fn put(&self, out: &mut Vec<u8>, packet: &Packet<'_>) -> Result<(), Error> {
        let start = out.len();
        let unwanted = !self.problem_info && !is_always_explained(packet);
        if !unwanted {
            packet.encode(self.version, out)?;
            if self.fits(out.len() - start) {
                return Ok(());
            }
            out.truncate(start);
        }
        let mut kept = PropertiesBuf::new();
        let explains = |id| matches!(id, PropertyId::ReasonString | PropertyId::UserProperty);
        kept.extend(properties_of(packet), |id| !explains(id));
        with_properties(packet, kept.properties()).encode(self.version, out)?;
        if self.fits(out.len() - start) {
            return Ok(());
        }
        out.truncate(start);
        Err(Error::Unencodable)
    }

    /// What fits without an alias is not lost for the sake of announcing one.
    fn plan<'a>(&self, packet: &'a [u8], copies: Copies<'a>) -> Result<Plan<'a>, Error> {
        let stored = Stored::read(packet, copies.from)?;
        let naming = self.naming(stored.topic);
        let plan = Plan::new(stored, self.version, copies, naming)?;
        if naming == Naming::Topic || self.fits(plan.copy_len(packet)) {
            return Ok(plan);
        }
        Plan::new(stored, self.version, copies, Naming::Topic)
    }

    fn naming(&self, topic: &[u8]) -> Naming {
        match &self.aliases {
            Some(aliases) => aliases.naming(topic),
            None => Naming::Topic,
        }
    }

    fn written(&mut self, plan: Plan<'_>) {
        if let Some(aliases) = &mut self.aliases {
            aliases.written(plan.stored_topic(), plan.naming());
        }
    }
}

/// Appends a message with its alias.
fn put_named(out: &mut Vec<u8>, publish: &Publish<'_>, naming: Naming) -> Result<(), Error> {
    let mut properties = PropertiesBuf::new();
    properties.extend(publish.properties, |id| id != PropertyId::TopicAlias);
    let mut named = *publish;
    if let Naming::Announce(alias) | Naming::Alias(alias) = naming {
        properties.push(PropertyId::TopicAlias, Value::Short(alias))?;
    }
    if matches!(naming, Naming::Alias(_)) {
        named.topic = "";
    }
    named.properties = properties.properties();
    named.encode(Version::V5, out)
}

/// Packets that may always carry a reason string and user properties.
fn is_always_explained(packet: &Packet<'_>) -> bool {
    !matches!(
        packet,
        Packet::Ack(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::Auth(_)
    )
}

fn properties_of<'a>(packet: &Packet<'a>) -> Properties<'a> {
    match packet {
        Packet::ConnAck(packet) => packet.properties,
        Packet::Ack(packet) => packet.properties,
        Packet::SubAck(packet) => packet.properties,
        Packet::UnsubAck(packet) => packet.properties,
        Packet::Disconnect(packet) => packet.properties,
        Packet::Auth(packet) => packet.properties,
        _ => Properties::default(),
    }
}

fn with_properties<'a>(packet: &Packet<'a>, properties: Properties<'a>) -> Packet<'a> {
    let mut packet = *packet;
    match &mut packet {
        Packet::ConnAck(packet) => packet.properties = properties,
        Packet::Ack(packet) => packet.properties = properties,
        Packet::SubAck(packet) => packet.properties = properties,
        Packet::UnsubAck(packet) => packet.properties = properties,
        Packet::Disconnect(packet) => packet.properties = properties,
        Packet::Auth(packet) => packet.properties = properties,
        _ => {}
    }
    packet
}
