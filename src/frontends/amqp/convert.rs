//! Messages and names of AMQP 1.0, until the front-end around them is declared.
#![expect(dead_code, reason = "the links that use them follow")]

mod address;
mod annotations;
mod encode;
mod json;
mod message;
mod refuse;
mod render;
#[cfg(test)]
mod samples;
mod scalar;
mod view;

pub use address::Names;
pub use message::{FORMAT, FORMAT_FOREIGN, FORMAT_MQTT_NAMES};
pub use view::{read, read_foreign, read_mqtt_names};
