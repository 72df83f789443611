//! Raw clients, the server as a child process, and the books of what it promised.

pub(crate) mod consumers;
pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod mqtt;
pub(crate) mod process;
pub(crate) mod publishers;
pub(crate) mod random;
pub(crate) mod stomp;
pub(crate) mod wire;
