//! SUBSCRIBE and UNSUBSCRIBE: consumers of the core and the names their client gave them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ternmq_core::command::{Command, Consume, ConsumeOptions, RoutingType, SettleMode, Source};
use ternmq_core::ids::{ConsumerKey, Tag};
use ternmq_stomp::event::{AckMode, SubscribeFrame, UnsubscribeFrame};
use ternmq_stomp::{Headers, Version};

use super::State;
use super::destination::{DestinationError, Form, QUEUE};
use super::held::Held;
use super::refuse::unsupported_subscribe;
use super::temporary::Temporary;
use crate::frontends::{Ended, Turn};

/// Headers with the number of unsettled messages, the strongest first.
const PREFETCH: [&str; 2] = ["activemq.prefetchSize", "prefetch-count"];

/// Most unsettled messages that a client may ask for.
const MOST_PREFETCH: u32 = 65_535;

/// What names a subscription: its id, or in 1.0, where that may be absent, its destination.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Name {
    Id(Box<str>),
    Destination(Box<str>),
}

/// A subscription and what is known of its deliveries.
#[derive(Debug)]
pub(super) struct Subscription {
    name: Name,
    /// As its client wrote it.
    pub(super) destination: Box<str>,
    /// Messages are shown with this destination whatever they were sent to.
    pub(super) temporary: bool,
    /// Begins the destination of messages that were not sent by STOMP.
    pub(super) prefix: &'static str,
    pub(super) ack: AckMode,
    /// Not used in `auto` mode.
    pub(super) held: Held,
    /// The newest delivery encoded.
    pub(super) encoded: Tag,
    /// The newest delivery written.
    pub(super) written: Tag,
    /// Made by `reply-to`; SUBSCRIBE replaces it.
    implied: bool,
}

impl Subscription {
    /// The `subscription` header of its messages.
    pub(super) fn id(&self) -> Option<&str> {
        match &self.name {
            Name::Id(id) => Some(id),
            Name::Destination(_) => None,
        }
    }

    pub(super) fn settle_mode(&self) -> SettleMode {
        match self.ack {
            AckMode::Auto => SettleMode::OnWrite,
            AckMode::Client | AckMode::ClientIndividual => SettleMode::Explicit,
        }
    }
}

/// The open subscriptions of a connection; the machine bounds their number and names.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    open: BTreeMap<ConsumerKey, Subscription>,
    names: BTreeMap<Name, ConsumerKey>,
    /// Those to temporary destinations, by destination.
    temporaries: BTreeSet<(Box<str>, ConsumerKey)>,
    /// Keys are never used twice, so that what comes late belongs to nothing else.
    newest: u32,
}

impl Subscriptions {
    pub(super) fn get_mut(&mut self, key: ConsumerKey) -> Option<&mut Subscription> {
        self.open.get_mut(&key)
    }

    pub(super) fn get(&self, key: ConsumerKey) -> Option<&Subscription> {
        self.open.get(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ConsumerKey, &Subscription)> {
        self.open.iter()
    }

    fn insert(&mut self, subscription: Subscription) -> ConsumerKey {
        self.newest += 1;
        let key = ConsumerKey(self.newest);
        self.names.insert(subscription.name.clone(), key);
        if subscription.temporary {
            let destination = subscription.destination.clone();
            self.temporaries.insert((destination, key));
        }
        self.open.insert(key, subscription);
        key
    }

    pub(super) fn remove(&mut self, key: ConsumerKey) -> Option<Subscription> {
        let gone = self.open.remove(&key)?;
        // The name may belong to another by now: an implied one does not keep its own.
        if self.names.get(&gone.name) == Some(&key) {
            self.names.remove(&gone.name);
        }
        if gone.temporary {
            self.temporaries.remove(&(gone.destination.clone(), key));
        }
        Some(gone)
    }

    /// The key of a subscription to a temporary destination.
    fn of_temporary(&self, destination: &str) -> Option<ConsumerKey> {
        let first = (Box::from(destination), ConsumerKey(0));
        let (found, key) = self.temporaries.range(first..).next()?;
        (**found == *destination).then_some(*key)
    }
}

impl State {
    pub(super) fn subscribe(
        &mut self,
        frame: &SubscribeFrame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        self.seal(turn);
        if let Some(message) = unsupported_subscribe(frame.headers) {
            return self.refuse(message, frame.receipt.as_deref(), turn);
        }
        let (source, temporary) = match self.source(frame, turn) {
            Ok(found) => found,
            Err(error) => {
                return self.refuse(error.words(), frame.receipt.as_deref(), turn);
            }
        };
        let prefetch = match self.prefetch(frame) {
            Ok(prefetch) => prefetch,
            Err(message) => return self.refuse(message, frame.receipt.as_deref(), turn),
        };
        let name = match &frame.id {
            Some(id) => Name::Id((**id).into()),
            None => Name::Destination((*frame.destination).into()),
        };
        let receipts = self.confirms.note(frame.receipt.as_deref());
        let subscription = Subscription {
            name,
            destination: (*frame.destination).into(),
            temporary,
            prefix: Form::of(&frame.destination).map_or("", Form::prefix),
            ack: frame.ack,
            held: Held::default(),
            encoded: 0,
            written: 0,
            implied: false,
        };
        self.consume(subscription, source, prefetch, turn);
        self.confirms.expect(receipts);
        Ok(())
    }

    /// What a SUBSCRIBE consumes, and whether that is temporary.
    fn source(
        &mut self,
        frame: &SubscribeFrame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(Source, bool), DestinationError> {
        let kind = frame.headers.get("subscription-type");
        let kind = kind.or_else(|| frame.headers.get("destination-type"));
        let form = Form::of(&frame.destination)?.typed(kind.as_deref())?;
        let spelling = self.options.spelling();
        let Some(temporary) = Temporary::of(form, &self.name, spelling)? else {
            return Ok((spelling.source(form)?, false));
        };
        if !temporary.own {
            return Err(DestinationError::Foreign);
        }
        self.temporaries.ensure(&temporary, turn.commands)?;
        if let Some(key) = self.subscriptions.of_temporary(&frame.destination) {
            self.replace_implied(key, turn);
        }
        Ok((source_of(&temporary), true))
    }

    /// A SUBSCRIBE takes the place of what `reply-to` had subscribed.
    fn replace_implied(&mut self, key: ConsumerKey, turn: &mut Turn<'_>) {
        let implied = self
            .subscriptions
            .get_mut(key)
            .is_some_and(|one| one.implied);
        if let Some(gone) = implied.then(|| self.subscriptions.remove(key)).flatten() {
            turn.commands.push(Command::Cancel {
                consumer: key,
                written: gone.encoded,
                token: None,
            });
        }
    }

    /// A `reply-to` that names a temporary queue of this connection subscribes to it.
    pub(super) fn subscribe_reply(
        &mut self,
        destination: &str,
        temporary: &Temporary,
        turn: &mut Turn<'_>,
    ) {
        if temporary.routing != RoutingType::Anycast
            || self.subscriptions.of_temporary(destination).is_some()
        {
            return;
        }
        self.seal(turn);
        let subscription = Subscription {
            name: Name::Id(destination.into()),
            destination: destination.into(),
            temporary: true,
            prefix: QUEUE,
            ack: AckMode::Auto,
            held: Held::default(),
            encoded: 0,
            written: 0,
            implied: true,
        };
        let prefetch = self.options.prefetch;
        self.consume(subscription, source_of(temporary), prefetch, turn);
        self.confirms.expect(0);
    }

    fn consume(
        &mut self,
        subscription: Subscription,
        source: Source,
        prefetch: u32,
        turn: &mut Turn<'_>,
    ) {
        let settle = subscription.settle_mode();
        let consumer = self.subscriptions.insert(subscription);
        turn.commands.push(Command::Consume(Consume {
            consumer,
            source,
            settle,
            prefetch,
            options: ConsumeOptions::default(),
            token: Some(self.confirms.token()),
        }));
    }

    /// Messages that may be unsettled. In `auto` mode that is what may be unwritten.
    fn prefetch(&self, frame: &SubscribeFrame<'_>) -> Result<u32, Cow<'static, str>> {
        if frame.ack == AckMode::Auto {
            return Ok(self.options.prefetch);
        }
        let asked = PREFETCH
            .iter()
            .find_map(|name| Some((*name, frame.headers.get(name)?)));
        if let Some((name, value)) = asked {
            let number = value.trim().parse::<u32>();
            let number =
                number.map_err(|_| format!("malformed - {name} is a number of messages"))?;
            return Ok(number.clamp(1, MOST_PREFETCH));
        }
        // Artemis counts bytes here; 0 alone means the same in messages.
        let one = frame.headers.get("consumer-window-size").as_deref() == Some("0");
        Ok(if one { 1 } else { self.options.prefetch })
    }

    pub(super) fn unsubscribe(
        &mut self,
        frame: &UnsubscribeFrame<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        self.seal(turn);
        let name = match (&frame.id, &frame.destination) {
            (Some(id), _) => Name::Id((**id).into()),
            (None, destination) => {
                Name::Destination(destination.as_deref().unwrap_or_default().into())
            }
        };
        let key = self.subscriptions.names.get(&name).copied();
        let Some((key, gone)) = key.and_then(|key| Some((key, self.subscriptions.remove(key)?)))
        else {
            let message = "unknown - no such subscription".into();
            return self.refuse(message, frame.receipt.as_deref(), turn);
        };
        let receipts = self.confirms.note(frame.receipt.as_deref());
        turn.commands.push(Command::Cancel {
            consumer: key,
            written: gone.encoded,
            token: Some(self.confirms.token()),
        });
        self.confirms.expect(receipts);
        Ok(())
    }
}

fn source_of(temporary: &Temporary) -> Source {
    match temporary.routing {
        RoutingType::Anycast => Source::Anycast(temporary.address.clone()),
        RoutingType::Multicast => Source::Multicast((&temporary.address).into()),
    }
}

/// Whether a header says `true`, in any case.
pub(super) fn is_true(headers: Headers<'_>, name: &str) -> bool {
    headers
        .get(name)
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Before 1.1 a subscription without id has no `subscription` header to name it by.
pub(super) fn names_subscription(version: Version, id: Option<&str>, said: Option<&str>) -> bool {
    match said {
        Some(said) => id == Some(said),
        None => version == Version::V1_0,
    }
}
