//! Messages of part 3: which sections there are and where, and what brokers read of them.

mod header;
mod properties;
mod sections;

pub use header::Header;
pub use properties::{MessageId, MessageProperties};
pub use sections::{BodyKind, Sections};

const HEADER: u64 = 0x70;
const DELIVERY_ANNOTATIONS: u64 = 0x71;
const MESSAGE_ANNOTATIONS: u64 = 0x72;
const PROPERTIES: u64 = 0x73;
const APPLICATION_PROPERTIES: u64 = 0x74;
const DATA: u64 = 0x75;
const SEQUENCE: u64 = 0x76;
const VALUE: u64 = 0x77;
const FOOTER: u64 = 0x78;
