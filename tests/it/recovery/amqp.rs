//! AMQP publishers and consumers of the ledger test: several messages in flight and confirmed in
//! ranges, every outcome, both settlement modes, a durable subscription that is detached.

mod books;
mod consumer;
mod message;
mod publisher;
mod wire;

pub(super) use books::Books;
pub(super) use consumer::Amqp;
pub(super) use message::{is_condemned, is_judged};
pub(super) use publisher::publish;
