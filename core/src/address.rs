//! Names (placeholder until the names branch lands).
use std::sync::Arc;
/// Canonical address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Address(Arc<str>);
/// Canonical filter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Filter(Arc<str>);
/// Queue name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct QueueName(Arc<str>);
