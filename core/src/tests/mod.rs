//! Tests of the whole broker, by law. Where a comment says "mutant", the test was seen to fail
//! with that one change.

mod browse;
mod destinations;
mod drain;
mod exactly_once;
mod levels;
mod load;
mod model;
mod named;
mod nodes;
mod notes;
mod order;
mod prepare;
mod priority;
mod random;
mod records;
mod retained;
mod routing;
mod sessions;
mod set_aside;
mod settlement;
mod shared;
mod temporary;
mod wills;
