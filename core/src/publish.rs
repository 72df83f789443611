//! A publish: routed, written down once, put into its queues, answered.

use std::sync::Arc;

use crate::address::{Address, QueueName};
use crate::broker::{AT_END, Broker, Pass};
use crate::command::{Command, Publish, Retain, SendMode};
use crate::effect::Answer;
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, QueueId, Token};
use crate::message::Run;
use crate::queue::{JOURNALLED, priority_flags};
use crate::record;
use crate::store::RunRef;

impl Broker {
    /// Routes and stores a run of messages.
    pub(crate) fn publish(
        &mut self,
        id: ConnectionId,
        publish: Publish,
        pass: &mut Pass<'_>,
    ) -> Option<Command> {
        if let Some(first) = publish.receipt {
            return self.publish_once(id, publish, first, pass);
        }
        match self.try_publish(id, &publish, 0, pass) {
            Ok(_) => None,
            Err(None) => Some(Command::Publish(publish)),
            Err(Some(why)) => {
                pass.refuse(id, publish.token, why);
                None
            }
        }
    }

    /// Makes what a publish to a destination needs, or refuses what it would be refused for. A queue
    /// made so and not used goes like any other.
    pub(crate) fn prepare(
        &mut self,
        id: ConnectionId,
        (address, queue): (&Address, Option<&QueueName>),
        mode: SendMode,
        token: Option<Token>,
        pass: &mut Pass<'_>,
    ) {
        let found = match queue {
            Some(queue) => self.named_queue(address, queue, None).map(|_| ()),
            None => self.sides(address, mode, pass).map(|_| ()),
        };
        if let Err(why) = found {
            return pass.refuse(id, token, why);
        }
        let made = self.addresses.get(address);
        if let Some(&queue) = made.and_then(|state| state.anycast.first()) {
            self.reap_if_unused(queue);
        }
        let position = pass.position();
        pass.answer(id, token, position, Answer::Prepared);
    }

    /// Routes and stores a run of messages and answers, if there is room for its records and
    /// `more` bytes; gives how many took it. An error without refusal: there is no room.
    pub(crate) fn try_publish(
        &mut self,
        id: ConnectionId,
        publish: &Publish,
        more: usize,
        pass: &mut Pass<'_>,
    ) -> Result<u32, Option<Refusal>> {
        let count = publish.run.count();
        if publish.retain == Retain::Store && !self.may_retain(&publish.run) {
            return Err(Some(Refusal::LimitReached(Limit::Retained)));
        }
        let route = self.plan(id, publish, pass).map_err(Some)?;
        let priority = priority_flags(publish.run.envelope.priority);
        for (_, flags) in &mut self.targets {
            *flags |= priority;
        }
        let bytes = record::message_bytes(&publish.run, self.targets.len()) + more;
        if (publish.may_be_journalled() || more > 0) && !pass.fits(bytes) {
            pass.out.needs = pass.out.needs.max(bytes);
            return Err(None);
        }
        self.counts.published += u64::from(count);
        let targets = std::mem::take(&mut self.targets);
        let at_most_once = publish.run.envelope.is_at_most_once();
        let groups = route
            .as_deref()
            .map_or(&[][..], |route| route.groups(at_most_once));
        let direct: usize = groups.iter().map(|group| group.count(id)).sum();
        let routed = u32::try_from(targets.len() + direct).unwrap_or(u32::MAX);
        if routed == 0 {
            self.counts.unrouted += u64::from(count);
        }
        let store = publish.retain == Retain::Store;
        let mut name = 0;
        if !targets.is_empty() || store {
            let run = Arc::clone(&publish.run);
            name = self.write_if_durable(&run, &targets, store, pass);
            let live = if name == 0 {
                0
            } else {
                record::live_bytes(&run)
            };
            let stored = self.store.insert(Some(Arc::clone(&run)), name, live);
            self.enqueue(&targets, stored, name, &run, pass);
            if store {
                self.retain(&run.envelope.address, stored, count - 1, pass);
            }
        }
        self.targets = targets;
        if publish.retain == Retain::Remove {
            let position = self.unretain(&publish.run.envelope.address, pass);
            name = name.max(position);
        }
        let waited_for = publish.run.envelope.durable && name != 0;
        if direct > 0 {
            self.counts.delivered += direct as u64 * u64::from(count);
            let after = if waited_for { name + 1 } else { 0 };
            let retained = publish.retain != Retain::No;
            for group in groups {
                group.send(id, &publish.run, (after, retained), pass);
            }
        }
        pass.out.garbage.push(Arc::clone(&publish.run));
        let after = if waited_for {
            AT_END
        } else {
            self.routes.position
        };
        pass.answer(id, publish.token, after, Answer::Published { routed });
        Ok(routed)
    }

    /// Writes the run down if it is durable and a durable queue takes it, or if it is retained
    /// (law L9). Gives its name, 0 if it is not written.
    fn write_if_durable(
        &mut self,
        run: &Run,
        targets: &[(QueueId, u16)],
        retained: bool,
        pass: &mut Pass<'_>,
    ) -> u64 {
        let durable = |(id, _): &&(QueueId, u16)| {
            run.envelope.durable && self.queues.get(id).is_some_and(|queue| queue.durable)
        };
        let pairs: Vec<(QueueId, u64, u16)> = targets
            .iter()
            .filter(durable)
            .filter_map(|(id, flags)| Some((*id, self.queues.get(id)?.next, *flags)))
            .collect();
        if pairs.is_empty() && !retained {
            return 0;
        }
        record::write_message(pass.log, run, retained, pairs.into_iter())
    }

    /// Puts a stored run into queues.
    fn enqueue(
        &mut self,
        targets: &[(QueueId, u16)],
        stored: RunRef,
        name: u64,
        run: &Run,
        pass: &mut Pass<'_>,
    ) {
        let count = run.count();
        for &(id, flags) in targets {
            let Some(queue) = self.queues.get_mut(&id) else {
                continue;
            };
            let sequence = queue.next;
            queue.next += u64::from(count);
            let journalled = name != 0 && run.envelope.durable && queue.durable;
            let flags = if journalled {
                flags | JOURNALLED
            } else {
                flags
            };
            queue.append(sequence, count, (stored, 0), flags);
            let bounded = queue.is_bounded();
            self.counts.messages += u64::from(count);
            self.store.retain(stored, 0, count);
            self.watch_expiry(id, sequence, count, run);
            if bounded {
                self.limit_bytes(id, stored, count, pass);
            }
            self.list(id);
        }
    }

    /// A bounded queue above its bytes drops its oldest that are not out (law L23).
    pub(crate) fn limit_bytes(
        &mut self,
        id: QueueId,
        run: RunRef,
        count: u32,
        pass: &mut Pass<'_>,
    ) {
        let limit = self.limits.subscription_bytes;
        let size = self.counted_size(run) * u64::from(count);
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        if !queue.is_bounded() {
            return;
        }
        queue.bytes += size;
        while let Some(queue) = self.queues.get_mut(&id).filter(|queue| queue.bytes > limit) {
            let Some(piece) = queue.available_from(0, 16) else {
                return;
            };
            queue.take(piece.sequence, piece.count);
            self.counts.dropped_full += u64::from(piece.count);
            self.settle_piece(id, piece, pass);
        }
    }
}
