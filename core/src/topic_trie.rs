//! The topic trie: which filters match an address, for every protocol.
//!
//! One node per segment of a filter. A node holds the values of the filters that end there, its
//! literal children, and, boxed because few nodes have them, the `*` child and the values of the
//! filters that end with `#` below it. Matching looks up the literal child and follows the `*`
//! child of each node that it meets, so it costs the nodes that lie on matching paths, never the
//! filters. No recursion is deeper than the levels of a name. Values come out in one order that
//! depends on the filters and the order of insertion alone: hash tables are only looked up.

use crate::address::{Address, Filter};
use crate::dialect::{MANY_LEVELS, ONE_LEVEL};
use crate::large_map::LargeMap;
use crate::map::Seed;

/// Values by filter, found by address. `T` is small: an id, an index.
#[derive(Debug)]
pub struct TopicTrie<T> {
    root: Node<T>,
    seed: Seed,
    len: usize,
}

impl<T> TopicTrie<T> {
    /// An empty trie whose tables hash with `seed`. It has no limit of its own: who inserts
    /// bounds the number of filters (L25).
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            root: Node::default(),
            seed,
            len: 0,
        }
    }

    /// How many values the trie holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the trie holds no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds `value` under `filter`, behind those that are there. A value that is inserted twice
    /// is matched twice.
    pub fn insert(&mut self, filter: &Filter, value: T) {
        let mut node = &mut self.root;
        for segment in filter.segments() {
            node = match segment {
                MANY_LEVELS => {
                    node.wild.get_or_insert_default().below.push(value);
                    self.len += 1;
                    return;
                }
                ONE_LEVEL => node
                    .wild
                    .get_or_insert_default()
                    .any
                    .get_or_insert_default(),
                _ => node.literal.entry(segment, self.seed),
            };
        }
        node.here.push(value);
        self.len += 1;
    }

    /// Calls `visit` with every value whose filter matches `address`, and tells how many nodes
    /// it looked at: the work of the match in the units of L21.
    ///
    /// Values of one filter come in the order of insertion. Of the filters that part at a node,
    /// those with the literal segment come first, then `*`, then `#`.
    pub fn matches(&self, address: &Address, mut visit: impl FnMut(&T)) -> usize {
        let name = address.as_str();
        // A wildcard in the first level sees no `$...` [MQTT-4.7.2-1].
        if !name.starts_with('$') {
            return self.root.matches(Some(name), &mut visit);
        }
        let (segment, rest) = split_segment(name);
        1 + self
            .root
            .literal
            .find(segment)
            .map_or(0, |child| child.matches(rest, &mut visit))
    }
}

impl<T: PartialEq> TopicTrie<T> {
    /// Removes the oldest value under `filter` that equals `value`, with the nodes that only led
    /// to it. Returns whether there was one. Linear in the values of this one filter.
    pub fn remove(&mut self, filter: &Filter, value: &T) -> bool {
        let removed = self.root.remove(Some(filter.as_str()), value);
        self.len -= usize::from(removed);
        removed
    }
}

/// Whether `filter` matches `address`, as the trie would say.
#[must_use]
pub fn matches_filter(filter: &Filter, address: &Address) -> bool {
    let mut levels = address.segments();
    for (depth, wanted) in filter.segments().enumerate() {
        let level = levels.next();
        if depth == 0
            && matches!(wanted, ONE_LEVEL | MANY_LEVELS)
            && level.is_some_and(|level| level.starts_with('$'))
        {
            return false;
        }
        match (wanted, level) {
            (MANY_LEVELS, _) => return true,
            (ONE_LEVEL, Some(_)) => {}
            (literal, Some(level)) if literal == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// A place in the trie: what follows the segments that lead to it.
#[derive(Debug)]
struct Node<T> {
    /// Of filters that end here.
    here: Values<T>,
    literal: Children<T>,
    wild: Option<Box<Wild<T>>>,
}

/// The wildcards that follow a node.
#[derive(Debug)]
struct Wild<T> {
    /// What follows `*`.
    any: Option<Node<T>>,
    /// Of filters that end with `#`.
    below: Values<T>,
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.literal.is_empty() && self.wild.is_none()
    }

    /// Visits what matches `rest`, the segments below this node; `None` is the end of the name.
    fn matches(&self, rest: Option<&str>, visit: &mut impl FnMut(&T)) -> usize {
        let mut nodes = 1;
        match rest {
            None => self.here.each(visit),
            Some(name) => {
                let (segment, rest) = split_segment(name);
                if let Some(child) = self.literal.find(segment) {
                    nodes += child.matches(rest, visit);
                }
                if let Some(child) = self.wild.as_ref().and_then(|wild| wild.any.as_ref()) {
                    nodes += child.matches(rest, visit);
                }
            }
        }
        if let Some(wild) = &self.wild {
            wild.below.each(visit);
        }
        nodes
    }
}

impl<T: PartialEq> Node<T> {
    fn remove(&mut self, rest: Option<&str>, value: &T) -> bool {
        let Some(filter) = rest else {
            return self.here.remove(value);
        };
        let (segment, rest) = split_segment(filter);
        if !matches!(segment, ONE_LEVEL | MANY_LEVELS) {
            return self.literal.remove(segment, rest, value);
        }
        let Some(wild) = &mut self.wild else {
            return false;
        };
        let removed = if segment == MANY_LEVELS {
            wild.below.remove(value)
        } else {
            wild.any
                .as_mut()
                .is_some_and(|child| child.remove(rest, value))
        };
        wild.any.take_if(|child| child.is_empty());
        self.wild
            .take_if(|wild| wild.any.is_none() && wild.below.is_empty());
        removed
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            here: Values::default(),
            literal: Children::default(),
            wild: None,
        }
    }
}

impl<T> Default for Wild<T> {
    fn default() -> Self {
        Self {
            any: None,
            below: Values::default(),
        }
    }
}

/// The literal children of a node. Most nodes have none or one, a few have very many.
#[derive(Debug)]
enum Children<T> {
    /// At most [`FEW_MAX`], ordered by segment.
    Few(Vec<(Box<str>, Node<T>)>),
    /// Boxed, so that a table moves pointers instead of nodes.
    Many(Box<LargeMap<Box<str>, Box<Node<T>>>>),
}

impl<T> Children<T> {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Few(few) if few.is_empty())
    }

    fn find(&self, segment: &str) -> Option<&Node<T>> {
        match self {
            Self::Few(few) => {
                let at = position(few, segment).ok()?;
                few.get(at).map(|(_, child)| child)
            }
            Self::Many(many) => many.get(segment).map(Box::as_ref),
        }
    }

    /// The children that are left of a table.
    fn few(entries: Vec<(Box<str>, Box<Node<T>>)>) -> Self {
        let mut few: Vec<_> = entries
            .into_iter()
            .map(|(segment, child)| (segment, *child))
            .collect();
        few.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self::Few(few)
    }

    /// The child under `segment`, made if there is none.
    fn entry(&mut self, segment: &str, seed: Seed) -> &mut Node<T> {
        if let Self::Few(few) = self
            && few.len() == FEW_MAX
            && position(few, segment).is_err()
        {
            let mut many = LargeMap::new(seed);
            for (segment, child) in few.drain(..) {
                many.insert(segment, Box::new(child));
            }
            *self = Self::Many(Box::new(many));
        }
        match self {
            Self::Few(few) => {
                let at = position(few, segment).unwrap_or_else(|at| {
                    if few.is_empty() {
                        few.reserve_exact(1);
                    }
                    few.insert(at, (segment.into(), Node::default()));
                    at
                });
                &mut few[at].1
            }
            Self::Many(many) => {
                many.get_or_insert_with(segment, || (segment.into(), Box::default()))
            }
        }
    }
}

impl<T: PartialEq> Children<T> {
    /// Removes `value` below the child under `segment`, and the child if nothing is left in it.
    fn remove(&mut self, segment: &str, rest: Option<&str>, value: &T) -> bool {
        match self {
            Self::Few(few) => {
                let Ok(at) = position(few, segment) else {
                    return false;
                };
                let child = &mut few[at].1;
                let removed = child.remove(rest, value);
                if child.is_empty() {
                    few.remove(at);
                    shrink(few);
                }
                removed
            }
            Self::Many(many) => {
                let Some(child) = many.get_mut(segment) else {
                    return false;
                };
                let removed = child.remove(rest, value);
                if child.is_empty() {
                    many.remove(segment);
                    if many.len() <= FEW_MAX / 2 {
                        *self = Self::few(many.take_entries());
                    }
                }
                removed
            }
        }
    }
}

impl<T> Default for Children<T> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// The values of one filter in the order of insertion, usually one.
#[derive(Debug, Default)]
enum Values<T> {
    #[default]
    None,
    One(T),
    /// Two or more.
    Many(Vec<T>),
}

impl<T> Values<T> {
    fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    fn each(&self, visit: &mut impl FnMut(&T)) {
        match self {
            Self::None => {}
            Self::One(value) => visit(value),
            Self::Many(values) => values.iter().for_each(visit),
        }
    }

    fn push(&mut self, value: T) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(value),
            Self::One(first) => Self::Many(vec![first, value]),
            Self::Many(mut values) => {
                values.push(value);
                Self::Many(values)
            }
        };
    }
}

impl<T: PartialEq> Values<T> {
    fn remove(&mut self, value: &T) -> bool {
        match self {
            Self::One(one) if one == value => {
                *self = Self::None;
                true
            }
            Self::None | Self::One(_) => false,
            Self::Many(values) => {
                let Some(at) = values.iter().position(|held| held == value) else {
                    return false;
                };
                values.remove(at);
                shrink(values);
                if values.len() == 1
                    && let Some(last) = values.pop()
                {
                    *self = Self::One(last);
                }
                true
            }
        }
    }
}

/// Where `segment` is among ordered children, or where it would be.
fn position<T>(few: &[(Box<str>, Node<T>)], segment: &str) -> Result<usize, usize> {
    few.binary_search_by(|(held, _)| held.as_ref().cmp(segment))
}

/// Gives memory back when three quarters of a vector are unused.
fn shrink<U>(values: &mut Vec<U>) {
    if values.len() <= values.capacity() / 4 {
        values.shrink_to(values.len() * 2);
    }
}

/// The first segment of a name and, if there are more, the others.
fn split_segment(name: &str) -> (&str, Option<&str>) {
    match name.split_once('.') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (name, None),
    }
}

/// Above this many children a table is quicker than a search.
const FEW_MAX: usize = 16;

#[cfg(test)]
mod tests;
