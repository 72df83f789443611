//! MQTT codec and connection machine.
#![warn(missing_docs)]
