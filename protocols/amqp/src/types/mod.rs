//! The type system (part 1): values read from slices without copies, and their shortest encodings.
//!
//! A [`Value`] is read one level deep: lists, maps and arrays are slices that are read when
//! somebody looks into them, and every step can fail. [`check`] walks a value whole, for what is
//! kept or passed on.

mod check;
pub(crate) mod code;
mod compound;
mod fields;
mod reader;
mod value;
mod writer;

pub use check::{MAX_DEPTH, MAX_EMPTY_ELEMENTS, check};
pub use compound::{Array, Items, List, Map, Pairs};
pub use fields::Symbols;
pub use value::{Described, Descriptor, Value};
pub use writer::{
    put_binary, put_bool, put_descriptor, put_list, put_long, put_map, put_symbol, put_symbols,
    put_text, put_timestamp, put_uint, put_ulong, put_value,
};

pub(crate) use check::check_value;
pub(crate) use fields::{Fields, required};
pub(crate) use reader::Reader;
pub(crate) use writer::put_composite;
