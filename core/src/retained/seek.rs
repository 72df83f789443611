//! Where the next match of a filter can be among addresses in order.
//!
//! Addresses in the order of their text are a trie walked depth first, but for characters below the
//! dot, which put `a-b` before `a.b`. So a cursor need not look at what a trie would not enter: it
//! seeks past it.

#[cfg(test)]
mod tests;

use std::ops::Bound;

use crate::address::{Address, Filter};

/// Every level ends below this: it follows the dot, and no address has it.
const BEHIND_LEVELS: char = '/';

/// The begin of what may still match behind `address`, which the filter does not match; `None` if
/// nothing can.
pub(super) fn seek(filter: &Filter, address: &Address) -> Option<Bound<String>> {
    let text = address.as_str();
    let behind = Some(Bound::Excluded(text.to_owned()));
    let mut at = 0;
    for wanted in filter.as_str().split('.') {
        // Both hold for names under `$` alone, which no wildcard in front matches.
        let Some(rest) = text.get(at..).filter(|_| wanted != "#") else {
            return behind;
        };
        let level = rest.split('.').next().unwrap_or_default();
        if wanted != "*" && wanted != level {
            return seek_level(text, at, wanted);
        }
        at += level.len() + 1;
    }
    // It has more levels than the filter, as has all that begins with these.
    Some(Bound::Included(behind_level(text, at)))
}

/// The level that begins at `at` is not the one that is wanted there.
fn seek_level(text: &str, at: usize, wanted: &str) -> Option<Bound<String>> {
    let before = text.get(..at).unwrap_or_default();
    let mut next = format!("{before}{wanted}");
    if text < next.as_str() {
        return Some(Bound::Included(next));
    }
    next.push('.');
    if text < next.as_str() {
        return Some(Bound::Included(next));
    }
    (at > 0).then(|| Bound::Included(behind_level(text, at)))
}

/// What follows everything that begins with the levels before `at`.
fn behind_level(text: &str, at: usize) -> String {
    let mut next = text.get(..at.saturating_sub(1)).unwrap_or(text).to_owned();
    next.push(BEHIND_LEVELS);
    next
}
