//! What is known of links.

use super::Connection;
use crate::event::{LinkId, SessionId};
use crate::performative::{ReceiverSettles, Role, SenderSettles};
use crate::session::{Link, LinkState};

impl Connection {
    /// The links of a session that nobody has detached, those that are only attached by one side
    /// as well; none if the session has ended. Ordered by handle.
    pub fn links(&self, id: SessionId) -> impl Iterator<Item = LinkId> + '_ {
        let links = self
            .session(id)
            .into_iter()
            .flat_map(|session| session.links());
        let live = links.filter(|(_, link)| link.state != LinkState::Detaching);
        live.map(move |(handle, _)| LinkId {
            session: id,
            handle,
        })
    }

    /// What a link is called.
    #[must_use]
    pub fn name(&self, link: LinkId) -> Option<&str> {
        Some(&*self.link(link)?.name)
    }

    /// What we are on a link.
    #[must_use]
    pub fn role(&self, link: LinkId) -> Option<Role> {
        Some(self.link(link)?.role)
    }

    /// When the sender of a link settles, as agreed: what the sender's attach said (T 2.8.2).
    #[must_use]
    pub fn sender_settles(&self, link: LinkId) -> Option<SenderSettles> {
        Some(self.link(link)?.sender_settles)
    }

    /// When the receiver of a link settles, as agreed: what the receiver's attach said (T 2.8.3).
    #[must_use]
    pub fn receiver_settles(&self, link: LinkId) -> Option<ReceiverSettles> {
        Some(self.link(link)?.receiver_settles)
    }

    fn link(&self, id: LinkId) -> Option<&Link> {
        self.session(id.session)?.link(id.handle)
    }
}
