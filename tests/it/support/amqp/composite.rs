//! Lists whose places have names: performatives, termini, states. Names are the specification's.

use super::{Value, composite};

/// A described list.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Composite {
    pub(crate) name: &'static str,
    fields: Vec<Value>,
}

impl Composite {
    /// One without fields.
    pub(crate) fn new(name: &'static str) -> Self {
        places(name);
        Self {
            name,
            fields: Vec::new(),
        }
    }

    /// The same with a field set.
    #[must_use]
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        let at = place(self.name, field);
        if self.fields.len() <= at {
            self.fields.resize(at + 1, Value::Null);
        }
        self.fields[at] = value.into();
        self
    }

    /// A field; what is not there is null.
    pub(crate) fn get(&self, field: &str) -> &Value {
        self.fields
            .get(place(self.name, field))
            .unwrap_or(&Value::Null)
    }

    /// A field that is a number.
    pub(crate) fn number(&self, field: &str) -> u64 {
        let number = self.try_number(field);
        number.unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }

    /// A field that is a number or null.
    pub(crate) fn try_number(&self, field: &str) -> Option<u64> {
        let value = self.get(field);
        (!value.is_null()).then(|| value.as_number())
    }

    /// How many deliveries a disposition is about.
    pub(crate) fn count(&self) -> u64 {
        self.last() - self.number("first") + 1
    }

    /// The last delivery that a disposition is about.
    pub(crate) fn last(&self) -> u64 {
        self.try_number("last").unwrap_or(self.number("first"))
    }

    /// A field that is a string or symbol.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.get(field).as_text()
    }

    /// Whether a boolean field is true; null is false.
    pub(crate) fn is(&self, field: &str) -> bool {
        *self.get(field) == Value::Bool(true)
    }

    /// A field that is a described list itself, if it is not null.
    pub(crate) fn part(&self, field: &str) -> Option<Self> {
        Self::of(self.get(field))
    }

    /// The error condition that a frame or outcome tells; empty if none.
    pub(crate) fn condition(&self) -> String {
        let error = self.part("error");
        error.map_or_else(String::new, |error| error.text("condition").to_owned())
    }

    /// Reads a described value; `None` for null.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        if value.is_null() {
            return None;
        }
        let (code, list) = (value.code(), value.content());
        let entry = TABLE.iter().find(|(found, ..)| *found == code);
        let (_, name, all) = entry.unwrap_or_else(|| panic!("descriptor {code:#x}"));
        let Value::List(fields) = list else {
            panic!("{name} is {list:?}");
        };
        assert!(fields.len() <= all.split(' ').count(), "{name} {fields:?}");
        let fields = fields.clone();
        Some(Self { name, fields })
    }
}

impl From<Composite> for Value {
    fn from(list: Composite) -> Self {
        let (code, ..) = *places(list.name);
        composite(code, list.fields)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u8> for Value {
    fn from(value: u8) -> Self {
        Self::Ubyte(value)
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::Ushort(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Uint(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Ulong(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        super::text(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Binary(value.to_vec())
    }
}

fn places(name: &str) -> &'static (u64, &'static str, &'static str) {
    let entry = TABLE.iter().find(|(_, found, _)| *found == name);
    entry.unwrap_or_else(|| panic!("no composite {name}"))
}

fn place(name: &str, field: &str) -> usize {
    let (_, _, fields) = places(name);
    let at = fields.split(' ').position(|found| found == field);
    at.unwrap_or_else(|| panic!("{name} has no field {field}"))
}

/// Descriptor, name and fields.
const TABLE: [(u64, &str, &str); 28] = [
    (
        0x10,
        "open",
        "container-id hostname max-frame-size channel-max idle-time-out outgoing-locales \
         incoming-locales offered-capabilities desired-capabilities properties",
    ),
    (
        0x11,
        "begin",
        "remote-channel next-outgoing-id incoming-window outgoing-window handle-max \
         offered-capabilities desired-capabilities properties",
    ),
    (
        0x12,
        "attach",
        "name handle role snd-settle-mode rcv-settle-mode source target unsettled \
         incomplete-unsettled initial-delivery-count max-message-size offered-capabilities \
         desired-capabilities properties",
    ),
    (
        0x13,
        "flow",
        "next-incoming-id incoming-window next-outgoing-id outgoing-window handle delivery-count \
         link-credit available drain echo properties",
    ),
    (
        0x14,
        "transfer",
        "handle delivery-id delivery-tag message-format settled more rcv-settle-mode state resume \
         aborted batchable",
    ),
    (
        0x15,
        "disposition",
        "role first last settled state batchable",
    ),
    (0x16, "detach", "handle closed error"),
    (0x17, "end", "error"),
    (0x18, "close", "error"),
    (0x1d, "error", "condition description info"),
    (0x23, "received", "section-number section-offset"),
    (0x24, "accepted", ""),
    (0x25, "rejected", "error"),
    (0x26, "released", ""),
    (
        0x27,
        "modified",
        "delivery-failed undeliverable-here message-annotations",
    ),
    (
        0x28,
        "source",
        "address durable expiry-policy timeout dynamic dynamic-node-properties distribution-mode \
         filter default-outcome outcomes capabilities",
    ),
    (
        0x29,
        "target",
        "address durable expiry-policy timeout dynamic dynamic-node-properties capabilities",
    ),
    (0x2b, "delete-on-close", ""),
    (0x2c, "delete-on-no-links", ""),
    (0x30, "coordinator", "capabilities"),
    (0x34, "transactional-state", "txn-id outcome"),
    (0x40, "mechanisms", "sasl-server-mechanisms"),
    (0x41, "init", "mechanism initial-response hostname"),
    (0x42, "challenge", "challenge"),
    (0x43, "response", "response"),
    (0x44, "outcome", "code additional-data"),
    (
        0x70,
        "header",
        "durable priority ttl first-acquirer delivery-count",
    ),
    (
        0x73,
        "properties",
        "message-id user-id to subject reply-to correlation-id content-type content-encoding \
         absolute-expiry-time creation-time group-id group-sequence reply-to-group-id",
    ),
];
