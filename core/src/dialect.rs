//! How each protocol spells names: [`Dialect`] turns text into canonical names and back.
//!
//! A name is a list of segments of any text without NUL. Each dialect joins them with its own
//! delimiter and spells inside them what would be mistaken for a delimiter or a wildcard. Both
//! directions are exact: `parse(render(name)) == name` for every name, and `render(parse(text))`
//! is `text` for every text that is accepted (the one alias is `#` for a last `>` in `Amq`
//! filters). So two texts of one dialect never mean the same name. Parsing keeps this by
//! construction: a segment whose decoded text would be spelled differently is refused. UTF-8 is
//! compared byte by byte and never normalised (MQTT 5.0 4.7.3).

use std::fmt;

/// Longest canonical name in bytes of UTF-8, whatever the configuration says.
pub const MAX_NAME_BYTES: usize = 65_535;

/// Most segments of a name; every recursion over names is bounded by it.
pub const MAX_LEVELS: usize = 128;

/// The spelling of names in one family of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// MQTT topics: delimiter `/`, wildcards `+` and a last `#` (MQTT 5.0 4.7). Every legal topic
    /// within the limits is a name: `v1.2/temp` is `v1%2E2.temp`, `50%/x` is `50%25.x`.
    ///
    /// The characters `/ + #` inside a segment, possible from other protocols, are spelled `%2F`,
    /// `%2B`, `%23`; a text that looks like such an escape gets a `25` after its `%`: `%252F` is
    /// the text `%2F`, `%25252F` is `%252F`. Every other `%` is itself.
    Mqtt,
    /// ActiveMQ's spelling, the default of STOMP: delimiter `.`, wildcards `*` and a last `>`, for
    /// which `#` is accepted. Escapes are those of the canonical form, but `/` is an ordinary
    /// character: `/queue/foo/bar` names `foo/bar`, canonical `foo%2Fbar`.
    ///
    /// A `%` that starts none of its escapes is refused: `50%` beside `50%25` would be two
    /// spellings of one name. So are `%2F`, lower-case hex and an unescaped `*`, `>` or `#` beside
    /// other characters of a segment.
    Amq,
    /// The form that is stored, configured and used by REST: delimiter `.`, wildcards `*` and a
    /// last `#`; inside a segment `. * # > % /` and every colon beside another colon are
    /// percent-encoded with upper-case hex.
    Canonical,
}

/// Why a text is no name or filter of its dialect; always the peer's or the operator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The canonical form exceeds this many bytes.
    TooLong {
        /// The limit in force, in bytes.
        max_bytes: usize,
    },
    /// More than [`MAX_LEVELS`] segments.
    TooDeep,
    /// The text contains U+0000 \[MQTT-4.7.3-2\].
    Nul,
    /// A wildcard where a plain name is due \[MQTT-3.3.2-2\].
    Wildcard,
    /// A multi-level wildcard before the last segment \[MQTT-4.7.1-1\].
    WildcardNotLast,
    /// This character must be percent-encoded here, or stand alone if it is a wildcard
    /// \[MQTT-4.7.1-1\] \[MQTT-4.7.1-2\].
    Reserved(char),
    /// A `%` that starts no escape of the dialect, or an escape of what needs none.
    Escape,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty"),
            Self::TooLong { max_bytes } => write!(f, "the name is longer than {max_bytes} bytes"),
            Self::TooDeep => write!(f, "the name has more than {MAX_LEVELS} levels"),
            Self::Nul => f.write_str("the name contains U+0000"),
            Self::Wildcard => f.write_str("a wildcard is not allowed in this name"),
            Self::WildcardNotLast => {
                f.write_str("a multi-level wildcard must be the last level of a filter")
            }
            Self::Reserved(character) => {
                write!(f, "'{character}' must be percent-encoded here")
            }
            Self::Escape => f.write_str("a '%' starts no valid escape; write %25 for itself"),
        }
    }
}

impl std::error::Error for NameError {}

/// What a text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An address or a queue name.
    Name,
    /// A filter: wildcards are allowed.
    Filter,
}

impl Dialect {
    /// The canonical form of `text`, at most `max_bytes` (and [`MAX_NAME_BYTES`]) long.
    pub(crate) fn parse(
        self,
        text: &str,
        kind: Kind,
        max_bytes: usize,
    ) -> Result<String, NameError> {
        let max_bytes = max_bytes.min(MAX_NAME_BYTES);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > max_bytes.saturating_mul(MAX_SPELLING) {
            return Err(NameError::TooLong { max_bytes });
        }
        if text.as_bytes().contains(&0) {
            return Err(NameError::Nul);
        }
        let mut canonical = String::with_capacity(text.len());
        let mut segments = text.split(self.delimiter()).enumerate().peekable();
        while let Some((level, segment)) = segments.next() {
            if level == MAX_LEVELS {
                return Err(NameError::TooDeep);
            }
            if level > 0 {
                canonical.push('.');
            }
            match self.wildcard(segment) {
                Some(_) if kind == Kind::Name => return Err(NameError::Wildcard),
                Some(MANY_LEVELS) if segments.peek().is_some() => {
                    return Err(NameError::WildcardNotLast);
                }
                Some(wildcard) => canonical.push_str(wildcard),
                None => self.parse_segment(segment, &mut canonical)?,
            }
            if canonical.len() > max_bytes {
                return Err(NameError::TooLong { max_bytes });
            }
        }
        Ok(canonical)
    }

    /// Spells a canonical name or filter in this dialect.
    pub(crate) fn render(self, canonical: &str) -> String {
        let mut text = String::with_capacity(canonical.len());
        for (level, segment) in canonical.split('.').enumerate() {
            if level > 0 {
                text.push(self.delimiter());
            }
            match segment {
                ONE_LEVEL => text.push_str(self.one_level()),
                MANY_LEVELS => text.push_str(self.many_levels()),
                _ if is_plain(segment) => text.push_str(segment),
                _ => self.encode(&Self::Canonical.decode(segment), &mut text),
            }
        }
        text
    }

    fn parse_segment(self, segment: &str, canonical: &mut String) -> Result<(), NameError> {
        if is_plain(segment) {
            canonical.push_str(segment);
            return Ok(());
        }
        let decoded = self.decode(segment);
        let mut spelled = String::with_capacity(segment.len());
        self.encode(&decoded, &mut spelled);
        if spelled != segment {
            return Err(self.fault(segment));
        }
        Self::Canonical.encode(&decoded, canonical);
        Ok(())
    }

    /// Names the first thing that makes `segment` differ from its proper spelling.
    fn fault(self, segment: &str) -> NameError {
        let must_not_stand = |&(at, character): &(usize, char)| {
            character != '%' && self.escapes(character, segment, at)
        };
        match segment.char_indices().find(must_not_stand) {
            // A lone colon beside an escaped one is not found here: its escape is the fault.
            Some((_, character)) => NameError::Reserved(character),
            None => NameError::Escape,
        }
    }

    /// The text that `segment` spells. Total: what is no escape stays as it is.
    fn decode(self, segment: &str) -> String {
        let mut decoded = String::with_capacity(segment.len());
        let mut rest = segment;
        while let Some((plain, after)) = rest.split_once('%') {
            decoded.push_str(plain);
            let escaped = self.unescape(after);
            decoded.push(escaped.unwrap_or('%'));
            rest = match escaped {
                Some(_) => after.get(2..).unwrap_or_default(),
                None => after,
            };
        }
        decoded.push_str(rest);
        decoded
    }

    /// The character that `%` and the next two bytes of `after` spell, if they are an escape.
    fn unescape(self, after: &str) -> Option<char> {
        if self == Self::Mqtt && after.starts_with(PERCENT) {
            return starts_mqtt_escape(after).then_some('%');
        }
        ESCAPES
            .iter()
            .find(|(character, code)| after.starts_with(code) && self.may_escape(*character))
            .map(|(character, _)| *character)
    }

    /// Appends the spelling of a segment whose text is `decoded`.
    fn encode(self, decoded: &str, text: &mut String) {
        for (at, character) in decoded.char_indices() {
            let code = ESCAPES.iter().find(|(escaped, _)| *escaped == character);
            match code {
                Some((_, code)) if self.escapes(character, decoded, at) => {
                    text.push('%');
                    text.push_str(code);
                }
                _ => text.push(character),
            }
        }
    }

    /// Whether the `character` at byte `at` of the text `decoded` is spelled as an escape.
    fn escapes(self, character: char, decoded: &str, at: usize) -> bool {
        let (before, from) = decoded.split_at(at);
        let mut after = from.chars();
        after.next();
        let after = after.as_str();
        match (self, character) {
            (Self::Mqtt, '%') => starts_mqtt_escape(after),
            (_, ':') => self.may_escape(':') && (before.ends_with(':') || after.starts_with(':')),
            _ => self.may_escape(character),
        }
    }

    /// Whether the dialect has an escape for `character`.
    fn may_escape(self, character: char) -> bool {
        match self {
            Self::Mqtt => matches!(character, '/' | '+' | '#' | '%'),
            Self::Amq => matches!(character, '.' | '*' | '#' | '>' | '%' | ':'),
            Self::Canonical => matches!(character, '.' | '*' | '#' | '>' | '%' | ':' | '/'),
        }
    }

    /// The canonical wildcard that `segment` is in this dialect.
    fn wildcard(self, segment: &str) -> Option<&'static str> {
        if segment == self.one_level() {
            return Some(ONE_LEVEL);
        }
        // `#` means many levels in every dialect.
        (segment == self.many_levels() || segment == MANY_LEVELS).then_some(MANY_LEVELS)
    }

    fn delimiter(self) -> char {
        match self {
            Self::Mqtt => '/',
            Self::Amq | Self::Canonical => '.',
        }
    }

    fn one_level(self) -> &'static str {
        match self {
            Self::Mqtt => "+",
            Self::Amq | Self::Canonical => ONE_LEVEL,
        }
    }

    fn many_levels(self) -> &'static str {
        match self {
            Self::Amq => ">",
            Self::Mqtt | Self::Canonical => MANY_LEVELS,
        }
    }
}

/// Whether every dialect spells `segment` as it is. Most segments are such.
fn is_plain(segment: &str) -> bool {
    !segment
        .bytes()
        .any(|byte| matches!(byte, b'.' | b'*' | b'#' | b'>' | b'%' | b'/' | b':' | b'+'))
}

/// Whether a `%` before `after` starts `%(25)*(2F|2B|23)`, the text that MQTT spells one level
/// deeper. No part of it is a `%`, so looking at each `%` of a text is linear in all.
fn starts_mqtt_escape(after: &str) -> bool {
    let code = after.trim_start_matches(PERCENT);
    ["2F", "2B", "23"]
        .iter()
        .any(|known| code.starts_with(known))
}

/// The canonical segment that matches exactly one level.
pub(crate) const ONE_LEVEL: &str = "*";

/// The canonical last segment that matches zero or more levels.
pub(crate) const MANY_LEVELS: &str = "#";

/// No dialect spells a name in more than this many times its canonical bytes.
const MAX_SPELLING: usize = 3;

const PERCENT: &str = "25";

/// Every character that some dialect escapes, with its code.
const ESCAPES: [(char, &str); 8] = [
    ('.', "2E"),
    ('*', "2A"),
    ('#', "23"),
    ('>', "3E"),
    ('%', PERCENT),
    ('/', "2F"),
    (':', "3A"),
    ('+', "2B"),
];

#[cfg(test)]
mod tests;
