//! Which subscriptions of a session a message matches, for clients that gave them ids.

use std::sync::Arc;

use crate::address::Address;
use crate::broker::Broker;
use crate::command::BindTarget;
use crate::consumer::Consumer;
use crate::effect::Delivery;
use crate::session::{Session, SessionRef};
use crate::topic_trie::matches_filter;

/// What was found for the address looked at last; valid for one routing version (law L24).
#[derive(Debug)]
pub(crate) struct Matched {
    version: u64,
    address: Address,
    ids: Option<Arc<[u32]>>,
}

impl Session {
    /// Counts the subscriptions that have ids, after a change.
    pub(crate) fn count_ids(&mut self) {
        let with_id = |s: &&crate::session::Subscription| s.options.id != 0;
        self.with_ids = self.subscriptions.values().filter(with_id).count();
        self.matched = None;
    }
}

impl Broker {
    /// Ids of the filters of a session that match an address, rising.
    pub(crate) fn subscription_ids(
        &mut self,
        session: SessionRef,
        address: &Address,
    ) -> Option<Arc<[u32]>> {
        let version = self.routes.version();
        let state = self.sessions.at_mut(session.0)?;
        if state.with_ids == 0 {
            return None;
        }
        if let Some(matched) = &state.matched
            && matched.version == version
            && matched.address == *address
        {
            return matched.ids.clone();
        }
        let matching = state
            .subscriptions
            .iter()
            .filter(|(target, _)| match target {
                BindTarget::Filter(filter) => matches_filter(filter, address),
                BindTarget::Queue { .. } | BindTarget::Shared { .. } => false,
            });
        let mut ids: Vec<u32> = matching.map(|(_, s)| s.options.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| *id != 0);
        let ids: Option<Arc<[u32]>> = (!ids.is_empty()).then(|| ids.into());
        state.matched = Some(Box::new(Matched {
            version,
            address: address.clone(),
            ids: ids.clone(),
        }));
        ids
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
