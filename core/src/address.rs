//! Canonical names: [`Address`], [`QueueName`] and [`Filter`], shared by every protocol.
//!
//! A name is segments joined by `.`; what would be mistaken inside a segment is percent-encoded
//! (see [`Dialect`]), empty segments stay. Equal names are equal bytes, so names are compared,
//! hashed and ordered as text. Front-ends parse at the edge and render at the edge; nothing
//! between them spells a name. A clone costs one counter.
//!
//! ```
//! use ternmq_core::address::{Address, Filter};
//! use ternmq_core::dialect::Dialect;
//! use ternmq_core::topic_trie::matches_filter;
//!
//! # fn main() -> Result<(), ternmq_core::dialect::NameError> {
//! let address = Address::parse("v1.2/temp", Dialect::Mqtt, 1_024)?;
//! assert_eq!(address.as_str(), "v1%2E2.temp");
//! let filter = Filter::parse("*.temp.>", Dialect::Amq, 1_024)?;
//! assert!(matches_filter(&filter, &address));
//! assert_eq!(filter.render(Dialect::Mqtt), "+/temp/#");
//! # Ok(())
//! # }
//! ```

use std::borrow::Borrow;
use std::fmt;
use std::str::Split;
use std::sync::Arc;

use crate::dialect::{Dialect, Kind, MANY_LEVELS, NameError, ONE_LEVEL};

/// Where messages are sent: a name without wildcards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(Arc<str>);

/// The name of a queue, spelled like an address; an anycast queue is often named like its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(Arc<str>);

/// A pattern of addresses: a name whose segments may be `*` (exactly one level) and whose last
/// may be `#` (zero or more levels: `a.#` matches `a` too).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter(Arc<str>);

impl Address {
    /// Reads an address as `dialect` spells it.
    ///
    /// # Errors
    /// A text that is no address of the dialect, has more than
    /// [`MAX_LEVELS`](crate::dialect::MAX_LEVELS) segments, or whose canonical form is longer
    /// than `max_bytes`, of which 65,535 is the most.
    pub fn parse(text: &str, dialect: Dialect, max_bytes: usize) -> Result<Self, NameError> {
        Ok(Self(dialect.parse(text, Kind::Name, max_bytes)?.into()))
    }
}

impl QueueName {
    /// Reads a queue name as `dialect` spells it.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn parse(text: &str, dialect: Dialect, max_bytes: usize) -> Result<Self, NameError> {
        Ok(Self(dialect.parse(text, Kind::Name, max_bytes)?.into()))
    }
}

impl Filter {
    /// Reads a filter as `dialect` spells it.
    ///
    /// # Errors
    /// As [`Address::parse`], for a wildcard beside other characters of its segment, and for a
    /// multi-level wildcard before the last segment.
    pub fn parse(text: &str, dialect: Dialect, max_bytes: usize) -> Result<Self, NameError> {
        Ok(Self(dialect.parse(text, Kind::Filter, max_bytes)?.into()))
    }

    /// Whether it matches addresses that begin with `$` alone.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }

    /// No filter under `$` comes before this one.
    pub(crate) fn first_reserved() -> Self {
        Self("$".into())
    }

    /// The one address that a filter without wildcards matches.
    #[must_use]
    pub fn to_address(&self) -> Option<Address> {
        let is_wildcard = |segment| segment == ONE_LEVEL || segment == MANY_LEVELS;
        (!self.segments().any(is_wildcard)).then(|| Address(Arc::clone(&self.0)))
    }
}

impl From<&Address> for Filter {
    /// The filter that matches exactly this address.
    fn from(address: &Address) -> Self {
        Self(Arc::clone(&address.0))
    }
}

impl From<&Address> for QueueName {
    /// The queue that is named like its address.
    fn from(address: &Address) -> Self {
        Self(Arc::clone(&address.0))
    }
}

/// What the three kinds of name share.
macro_rules! canonical {
    ($name:ident) => {
        impl $name {
            /// The canonical form, percent-encoded.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The segments in their canonical, percent-encoded form: at least one, at most
            /// [`MAX_LEVELS`](crate::dialect::MAX_LEVELS).
            pub fn segments(&self) -> Split<'_, char> {
                self.0.split('.')
            }

            /// Spells the name in `dialect`, in at most three times its canonical bytes. A name
            /// that came from elsewhere may so exceed what an MQTT string holds.
            #[must_use]
            pub fn render(&self, dialect: Dialect) -> String {
                dialect.render(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

canonical!(Address);
canonical!(QueueName);
canonical!(Filter);

/// Splits a fully qualified queue name, `address::queue`, as it is spelled in any dialect, at its
/// unescaped `::`; both parts are still to be parsed.
///
/// There is no name in it if a part is empty, or if colons leave a choice (`a:::b`, `a::b::c`):
/// what could be read in two ways is refused. A front-end asks only where it accepts such names;
/// to MQTT's `Dialect` `::` is text like any other.
#[must_use]
pub fn parse_fqqn(text: &str) -> Option<(&str, &str)> {
    let (address, queue) = text.split_once("::")?;
    let ambiguous = queue.starts_with(':') || queue.contains("::");
    (!address.is_empty() && !queue.is_empty() && !ambiguous).then_some((address, queue))
}

#[cfg(test)]
mod tests;
