//! Transfers and dispositions of ours.

use super::Session;
use super::link::LinkState;
use crate::frame::{FrameKind, begin_frame, end_frame};
use crate::performative::{Performative, Transfer};

/// A delivery to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// What the caller calls it; deliveries of a link that follow one another are cheapest.
    pub tag: u64,
    /// The receiver has nothing to say of it.
    pub settled: bool,
    /// How the message is encoded; 0 is the format of part 3.
    pub format: u32,
}

/// Bytes that a transfer has besides its payload, at most: frame head, performative, and a tag of
/// four bytes.
const TRANSFER_BYTES: usize = 8 + 40;

impl Session {
    /// Bytes of a message that one frame takes.
    pub(crate) fn payload_room(max_frame_size: u32) -> usize {
        (max_frame_size as usize).saturating_sub(TRANSFER_BYTES)
    }

    /// Appends the head of the first transfer of a delivery, whose payload of `bytes` the caller
    /// appends; `None` without credit or window.
    pub(crate) fn begin_transfer(
        &mut self,
        out: &mut Vec<u8>,
        channel: u16,
        handle: u32,
        outgoing: Outgoing,
        (bytes, more): (usize, bool),
    ) -> Option<u32> {
        if self.remote_window == 0 {
            return None;
        }
        let link = self.link_mut(handle)?;
        if link.state != LinkState::Attached || !link.count_sent() {
            return None;
        }
        let id = if outgoing.settled {
            self.sent.pass()
        } else {
            self.sent.push(handle, outgoing.tag)
        };
        let tag = id.to_be_bytes();
        let transfer = Transfer {
            delivery_id: Some(id),
            delivery_tag: Some(&tag),
            message_format: Some(outgoing.format),
            settled: Some(outgoing.settled),
            more,
            ..Transfer::new(handle)
        };
        self.put_transfer(out, channel, transfer, bytes);
        Some(id)
    }

    /// Appends the head of a further transfer of the delivery that is under way on a link; false
    /// without window.
    pub(crate) fn go_on(
        &mut self,
        out: &mut Vec<u8>,
        channel: u16,
        handle: u32,
        (bytes, more): (usize, bool),
    ) -> bool {
        if self.remote_window == 0 || !self.is_attached(handle) {
            return false;
        }
        let transfer = Transfer {
            more,
            ..Transfer::new(handle)
        };
        self.put_transfer(out, channel, transfer, bytes);
        true
    }

    /// Takes back the delivery that is under way on a link.
    pub(crate) fn abort(&mut self, out: &mut Vec<u8>, channel: u16, handle: u32, id: u32) {
        if !self.is_attached(handle) {
            return;
        }
        if let Some(found) = self.sent.find(id, id) {
            self.sent.take(&found);
        }
        let transfer = Transfer {
            aborted: true,
            ..Transfer::new(handle)
        };
        self.put_transfer(out, channel, transfer, 0);
    }

    fn is_attached(&self, handle: u32) -> bool {
        let link = self.link(handle);
        link.is_some_and(|link| link.state == LinkState::Attached)
    }

    fn put_transfer(
        &mut self,
        out: &mut Vec<u8>,
        channel: u16,
        transfer: Transfer<'_>,
        bytes: usize,
    ) {
        self.count_sent_frame();
        let start = begin_frame(out, FrameKind::Amqp { channel });
        Performative::Transfer(transfer).encode(out);
        end_frame(out, start, bytes);
    }
}
