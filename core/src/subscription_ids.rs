//! Which subscriptions of a session a message matches, for clients that gave them ids.

use std::sync::Arc;

use crate::address::Address;
use crate::broker::Broker;
use crate::command::BindTarget;
use crate::consumer::Consumer;
use crate::effect::Delivery;
use crate::session::{Session, SessionRef, Subscription};

impl Session {
    /// Adds a subscription or replaces it.
    pub(crate) fn put_subscription(&mut self, target: BindTarget, subscription: Subscription) {
        self.with_ids += u32::from(subscription.options.id != 0);
        let old = self.subscriptions.insert(target, subscription);
        self.with_ids -= u32::from(old.is_some_and(|old| old.options.id != 0));
    }

    /// Takes a subscription out.
    pub(crate) fn take_subscription(&mut self, target: &BindTarget) -> Option<Subscription> {
        let gone = self.subscriptions.remove(target)?;
        self.with_ids -= u32::from(gone.options.id != 0);
        Some(gone)
    }
}

impl Broker {
    /// Ids of the filters of a session that match an address, rising.
    pub(crate) fn subscription_ids(
        &mut self,
        session: SessionRef,
        address: &Address,
    ) -> Option<Arc<[u32]>> {
        let has_ids = self.sessions.at(session.0)?.with_ids > 0;
        has_ids.then(|| self.route(address).ids_of(session))?
    }

    /// Completes a delivery to a session: the ids of its subscriptions and, from a named queue, the
    /// granted QoS.
    pub(crate) fn name_subscriptions(&mut self, delivery: &mut Delivery, consumer: &Consumer) {
        let lane = self.lanes.at(consumer.lane.0);
        let Some(session) = lane.and_then(|lane| lane.session) else {
            return;
        };
        let own = self.sessions.at(session.0).and_then(|state| state.queue);
        if own == Some(consumer.queue) {
            let address = &delivery.run.envelope.address;
            delivery.subscriptions = self.subscription_ids(session, address);
        } else {
            delivery.granted = consumer.granted;
            let id = consumer.subscription_id;
            delivery.subscriptions = (id != 0).then(|| Arc::from([id]));
        }
    }
}
