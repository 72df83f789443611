//! MQTT 3.1, 3.1.1 and 5.0 over real sockets, a test per rule; those of 5.0 are in `v5`.

mod again;
mod chaos;
mod client;
mod connect;
mod crash;
mod deliver;
mod errors;
mod exactly_once;
mod expiry;
mod foreign;
mod keep_alive;
mod load;
mod names;
mod publish;
mod resume;
mod retain;
mod rights;
mod shared;
mod silence;
mod subscribe;
mod v5;
mod version;
mod will;
