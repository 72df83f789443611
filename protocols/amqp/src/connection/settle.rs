//! Credit, transfers and dispositions of ours.

use super::Connection;
use crate::event::{LinkId, SessionId};
use crate::performative::{DeliveryState, Disposition, Role};
use crate::session::{Link, LinkState, Outgoing, Session};

/// What became of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Its head is written; the payload is the caller's to append.
    Begun {
        /// The delivery, within the session.
        delivery: u32,
    },
    /// There is no credit or window, or no such link: nothing was written.
    Blocked,
}

impl Connection {
    /// Bytes of a message that one transfer takes.
    #[must_use]
    pub fn payload_room(&self) -> usize {
        Session::payload_room(self.remote_max_frame)
    }

    /// Appends the head of a delivery's first transfer; `payload` is how many bytes the caller will
    /// append, at most [`Connection::payload_room`], and whether more transfers follow.
    pub fn transfer(
        &mut self,
        link: LinkId,
        outgoing: Outgoing,
        payload: (usize, bool),
        out: &mut Vec<u8>,
    ) -> Sent {
        let limit = self.limits.max_unsettled;
        let channel = link.session.0;
        let Some(session) = self.live_mut(link.session) else {
            return Sent::Blocked;
        };
        if session.sent.unsettled() >= limit {
            return Sent::Blocked;
        }
        let begun = session.begin_transfer(out, channel, link.handle, outgoing, payload);
        begun.map_or(Sent::Blocked, |delivery| Sent::Begun { delivery })
    }

    /// Appends the head of a further transfer of the delivery that was begun last on a link; false
    /// if there is no window.
    pub fn go_on(&mut self, link: LinkId, payload: (usize, bool), out: &mut Vec<u8>) -> bool {
        let channel = link.session.0;
        let session = self.live_mut(link.session);
        session.is_some_and(|session| session.go_on(out, channel, link.handle, payload))
    }

    /// Takes back a delivery that was begun and has more transfers to come.
    pub fn abort(&mut self, link: LinkId, delivery: u32, out: &mut Vec<u8>) {
        let channel = link.session.0;
        if let Some(session) = self.live_mut(link.session) {
            session.abort(out, channel, link.handle, delivery);
        }
    }

    /// Largest message that the peer takes on a link, in bytes; 0 is any.
    #[must_use]
    pub fn max_message_size(&self, link: LinkId) -> u64 {
        let found = self
            .session(link.session)
            .and_then(|session| session.link(link.handle));
        found.map_or(0, |link| link.max_message_size)
    }

    /// Deliveries that may be sent on a link now, and transfers in its session.
    #[must_use]
    pub fn credit(&self, link: LinkId) -> (u32, u32) {
        let Some(session) = self.session(link.session) else {
            return (0, 0);
        };
        let credit = session.link(link.handle).map_or(0, |link| link.credit);
        (credit, session.remote_window())
    }

    /// The credit of a link on which we receive is filled up to `goal` whenever half of it is used;
    /// 0 leaves it as it is.
    pub fn set_credit(&mut self, link: LinkId, goal: u32, out: &mut Vec<u8>) {
        if let Some(own) = self.attached_mut(link, Role::Receiver) {
            own.credit_goal = goal;
            self.refill(link, out);
        }
    }

    /// Takes back the credit of a link on which we receive, or asks for what is there (`drain`):
    /// then [`Event::Drained`](crate::Event::Drained) follows.
    pub fn drain(&mut self, link: LinkId, credit: u32, out: &mut Vec<u8>) {
        if let Some(own) = self.attached_mut(link, Role::Receiver) {
            (own.credit_goal, own.drain) = (0, true);
            own.grant(credit);
            self.put_flow(link.session, Some(link.handle), out);
        }
    }

    /// There is nothing for the credit that is left of a link on which we send: it is given back
    /// (T 2.6.7).
    pub fn drained(&mut self, link: LinkId, out: &mut Vec<u8>) {
        let own = self.attached_mut(link, Role::Sender);
        let Some(own) = own.filter(|own| own.drain) else {
            return;
        };
        own.delivery_count = own.delivery_count.wrapping_add(own.credit);
        (own.credit, own.available) = (0, Some(0));
        self.put_flow(link.session, Some(link.handle), out);
        if let Some(own) = self.link_mut(link) {
            own.drain = false;
        }
    }

    /// How many messages wait for credit on a link on which we send: what flows say from now on
    /// (T 2.6.7). A flow that the peer asks for is answered when the caller, having seen its
    /// [`Event::Credit`](crate::Event::Credit), polls again, so that it can be said before.
    pub fn set_available(&mut self, link: LinkId, messages: u32) {
        if let Some(own) = self.attached_mut(link, Role::Sender) {
            own.available = Some(messages);
        }
    }

    /// A link of this direction that both sides have attached and none has detached.
    fn attached_mut(&mut self, id: LinkId, role: Role) -> Option<&mut Link> {
        let link = self.live_mut(id.session)?.link_mut(id.handle)?;
        (link.state == LinkState::Attached && link.role == role).then_some(link)
    }

    /// Fills credit and window up if they are half used.
    pub(super) fn refill(&mut self, link: LinkId, out: &mut Vec<u8>) {
        let Some(session) = self.session_mut(link.session) else {
            return;
        };
        let (credit, window) = (session.refill_credit(link.handle), session.refill_window());
        if credit || window {
            self.put_flow(link.session, credit.then_some(link.handle), out);
        }
    }

    pub(super) fn put_flow(&mut self, id: SessionId, handle: Option<u32>, out: &mut Vec<u8>) {
        self.echo.take_if(|asked| *asked == (id, handle));
        if let Some(session) = self.live_mut(id) {
            session.flow(handle).put(out, id.0);
        }
    }

    /// Says how deliveries that we received stand, from `first` to `last`, all of one state;
    /// `settled` if we are done with them.
    pub fn settle_received(
        &mut self,
        id: SessionId,
        (first, last): (u32, u32),
        state: DeliveryState<'_>,
        settled: bool,
        out: &mut Vec<u8>,
    ) {
        let Some(session) = self.live_mut(id) else {
            return;
        };
        if settled {
            session.settle_received(first, last);
        }
        self.put_states(
            Role::Receiver,
            id,
            (first, last),
            (Some(state), settled),
            out,
        );
    }

    /// Says that we are done with deliveries that we sent.
    pub fn settle_sent(
        &mut self,
        id: SessionId,
        (first, last): (u32, u32),
        state: Option<DeliveryState<'_>>,
        out: &mut Vec<u8>,
    ) {
        let Some(session) = self.live_mut(id) else {
            return;
        };
        while let Some(found) = session.sent.find(first, last) {
            session.sent.take(&found);
        }
        self.put_states(Role::Sender, id, (first, last), (state, true), out);
    }

    fn put_states(
        &self,
        role: Role,
        id: SessionId,
        (first, last): (u32, u32),
        (state, settled): (Option<DeliveryState<'_>>, bool),
        out: &mut Vec<u8>,
    ) {
        let disposition = Disposition {
            role,
            first,
            last,
            settled,
            state,
            batchable: false,
        };
        self.put_disposition(&disposition, id.0, out);
    }
}
