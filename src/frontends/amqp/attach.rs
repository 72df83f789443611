//! attach: which half takes it, and the answer that waits for the broker's.

use ternmq_amqp::{Attach, FRAME_HEAD_BYTES, Fault, LinkId, Performative, Role};

use super::Amqp;
use crate::frontends::Turn;

/// The attach of ours that answers the peer's once the broker has agreed.
#[derive(Debug)]
pub(super) struct Reply {
    frame: Vec<u8>,
}

impl Reply {
    pub(super) fn new(attach: &Attach<'_>) -> Self {
        let mut frame = Vec::new();
        Performative::Attach(Box::new(*attach)).put(&mut frame, 0);
        frame.shrink_to_fit();
        Self { frame }
    }

    /// What was put in.
    pub(super) fn read(&self) -> Option<Box<Attach<'_>>> {
        let body = self.frame.get(FRAME_HEAD_BYTES..)?;
        match Performative::decode(body) {
            Ok((Performative::Attach(attach), _)) => Some(attach),
            _ => None,
        }
    }
}

impl Amqp {
    pub(super) fn attach(&mut self, id: LinkId, attach: &Attach<'_>, turn: &mut Turn<'_>) {
        // What was sent on other links before is decided before.
        self.seal(turn);
        match attach.role {
            Role::Sender => self.attach_producer(id, attach, turn),
            Role::Receiver => self.attach_consumer(id, attach, turn),
        }
    }

    /// Answers an attach; what it asked for is there.
    pub(super) fn accept_link(&mut self, id: LinkId, reply: &Reply, turn: &mut Turn<'_>) {
        if let Some(attach) = reply.read() {
            self.machine.attach(id, &attach, turn.output.buffer());
        }
    }

    /// Answers an attach with the end of the link.
    pub(super) fn refuse_link(
        &mut self,
        id: LinkId,
        attach: &Attach<'_>,
        fault: Fault<'_>,
        turn: &mut Turn<'_>,
    ) {
        self.machine.refuse(id, attach, fault, turn.output.buffer());
    }
}
