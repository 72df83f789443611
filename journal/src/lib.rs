//! Append-only log of opaque records.
#![warn(missing_docs)]
