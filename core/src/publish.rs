//! A publish: routed, written down once, put into its queues, answered.

use std::sync::Arc;

use crate::broker::{AT_END, Broker, Pass};
use crate::command::{Command, Publish, Retain};
use crate::effect::{Answer, Effect};
use crate::error::{Limit, Refusal};
use crate::ids::{ConnectionId, QueueId};
use crate::message::Run;
use crate::queue::JOURNALLED;
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
        let count = publish.run.count();
        if publish.retain == Retain::Store && !self.may_retain(&publish.run) {
            let why = Refusal::LimitReached(Limit::Retained);
            pass.refuse(id, publish.token, why);
            return None;
        }
        let direct = match self.plan(&publish, pass) {
            Ok(direct) => direct,
            Err(why) => {
                pass.refuse(id, publish.token, why);
                return None;
            }
        };
        let bytes = record::message_bytes(&publish.run, self.targets.len());
        if publish.may_be_journalled() && !pass.fits(bytes) {
            pass.out.needs = bytes;
            return Some(Command::Publish(publish));
        }
        self.counts.published += u64::from(count);
        let targets = std::mem::take(&mut self.targets);
        let routed = u32::try_from(targets.len() + direct.len()).unwrap_or(u32::MAX);
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
        if !direct.is_empty() {
            self.counts.delivered += direct.len() as u64 * u64::from(count);
            let after = if waited_for { name + 1 } else { 0 };
            let run = publish.run;
            pass.out.effects.push(Effect::Fanout {
                run,
                first: 0,
                count,
                after,
                targets: direct,
            });
        } else {
            pass.out.garbage.push(publish.run);
        }
        let after = if waited_for {
            AT_END
        } else {
            self.routes.position
        };
        pass.answer(id, publish.token, after, Answer::Published { routed });
        None
    }

    /// Writes the run down if it is durable and a durable queue takes it, or if it is retained
    /// (law L9). Gives its name, 0 if it is not written.
    fn write_if_durable(
        &mut self,
        run: &Run,
        targets: &[QueueId],
        retained: bool,
        pass: &mut Pass<'_>,
    ) -> u64 {
        let durable = |id: &&QueueId| {
            run.envelope.durable && self.queues.get(*id).is_some_and(|queue| queue.durable)
        };
        let pairs: Vec<(QueueId, u64)> = targets
            .iter()
            .filter(durable)
            .filter_map(|id| Some((*id, self.queues.get(id)?.next)))
            .collect();
        if pairs.is_empty() && !retained {
            return 0;
        }
        record::write_message(pass.log, run, retained, pairs.into_iter())
    }

    /// Puts a stored run into queues.
    fn enqueue(
        &mut self,
        targets: &[QueueId],
        stored: RunRef,
        name: u64,
        run: &Run,
        pass: &mut Pass<'_>,
    ) {
        let count = run.count();
        for &id in targets {
            let Some(queue) = self.queues.get_mut(&id) else {
                continue;
            };
            let sequence = queue.next;
            queue.next += u64::from(count);
            let journalled = name != 0 && run.envelope.durable && queue.durable;
            let flags = if journalled { JOURNALLED } else { 0 };
            queue.index.push(sequence, count, stored, 0, flags);
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
            let Some(piece) = queue.available(16) else {
                return;
            };
            queue.take(piece.sequence, piece.count);
            self.counts.dropped_full += u64::from(piece.count);
            self.settle_piece(id, piece, pass);
        }
    }
}
