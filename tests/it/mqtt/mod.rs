//! MQTT 3.1 and 3.1.1 over real sockets, a test per rule. What is served with MQTT 5.0 only, and
//! QoS 2, wills and shared subscriptions, is refused or left out today; the tests say how.

mod client;
mod connect;
mod deliver;
mod errors;
mod foreign;
mod load;
mod publish;
mod resume;
mod retain;
mod subscribe;
