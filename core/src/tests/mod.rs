//! Tests of the whole broker, by law. Where a comment says "mutant", the test was seen to fail
//! with that one change.

mod model;
mod order;
mod random;
mod settlement;
