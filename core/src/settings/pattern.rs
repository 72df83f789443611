//! The wildcard pattern of an address rule.

use std::cmp::Ordering;
use std::fmt;

/// A pattern over canonical address names: segments joined by `.`, where `*` stands for exactly
/// one segment and `#`, anywhere, for any number of them, none included. A name contains neither
/// character unescaped (design 5), so a segment such as `a*` would match nothing and is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    One,
    Any,
}

/// Why a text is no [`AddressPattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// The text is empty.
    Empty,
    /// The text is longer than [`MAX_PATTERN_BYTES`].
    TooLong,
    /// The text has more than [`MAX_PATTERN_SEGMENTS`] segments.
    TooDeep,
    /// `*` or `#` shares its segment with other characters.
    WildcardInSegment,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the pattern is empty"),
            Self::TooLong => write!(f, "the pattern is longer than {MAX_PATTERN_BYTES} bytes"),
            Self::TooDeep => write!(
                f,
                "the pattern has more than {MAX_PATTERN_SEGMENTS} segments"
            ),
            Self::WildcardInSegment => {
                f.write_str("a wildcard (`*` or `#`) must be a whole segment")
            }
        }
    }
}

impl std::error::Error for PatternError {}

impl AddressPattern {
    /// Reads a pattern such as `orders.*.eu` or `orders.#`.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        if text.split('.').count() > MAX_PATTERN_SEGMENTS {
            return Err(PatternError::TooDeep);
        }
        let segments = text
            .split('.')
            .map(Segment::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            text: text.into(),
            segments,
        })
    }

    /// The pattern `#`, which matches every address.
    #[must_use]
    pub fn any() -> Self {
        Self {
            text: "#".into(),
            segments: [Segment::Any].into(),
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the canonical name `address` is meant. Costs at most the product of the two numbers
    /// of segments.
    #[must_use]
    pub fn matches(&self, address: &str) -> bool {
        let mut rest = address.split('.');
        let mut next = 0;
        // Where to go on when a later segment fails: the newest `#` then takes one segment more.
        // Older ones need no second look, for what they could take the newest can take as well.
        let mut retry = None;
        loop {
            let before = rest.clone();
            let name = rest.next();
            let fits = match (self.segments.get(next), name) {
                (Some(Segment::Any), _) => {
                    retry = Some((next + 1, before.clone()));
                    rest = before;
                    true
                }
                (Some(Segment::One), Some(_)) => true,
                (Some(Segment::Literal(literal)), Some(name)) => **literal == *name,
                (None, None) => return true,
                (Some(_), None) => return false,
                (None, Some(_)) => false,
            };
            if fits {
                next += 1;
                continue;
            }
            let Some((after, from)) = &mut retry else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            next = *after;
            rest = from.clone();
        }
    }

    /// Orders by how narrow the pattern is: greater is more specific (see the module above).
    pub(super) fn cmp_specificity(&self, other: &Self) -> Ordering {
        self.ranks().cmp(other.ranks())
    }

    fn ranks(&self) -> impl Iterator<Item = Rank> {
        self.segments.iter().map(Segment::rank).chain([Rank::End])
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PatternError> {
        match text {
            "*" => Ok(Self::One),
            "#" => Ok(Self::Any),
            _ if text.contains(['*', '#']) => Err(PatternError::WildcardInSegment),
            _ => Ok(Self::Literal(text.into())),
        }
    }

    fn rank(&self) -> Rank {
        match self {
            Self::Any => Rank::Any,
            Self::One => Rank::One,
            Self::Literal(_) => Rank::Literal,
        }
    }
}

/// What a pattern has at one place; the order of the variants is the order of specificity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Any,
    End,
    One,
    Literal,
}

/// Longest pattern, in bytes: that of an address name.
pub const MAX_PATTERN_BYTES: usize = 65_535;
/// Most segments of a pattern: that of an address name.
pub const MAX_PATTERN_SEGMENTS: usize = 128;
