//! Nothing: the tests compile `src/engine/watch.rs` by its path.
