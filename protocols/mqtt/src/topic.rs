//! Topic names and topic filters: validation, shared subscriptions, and matching (4.7, 4.8.2).
//!
//! Names are compared byte by byte: no normalisation, no case folding \[MQTT-4.7.3-4\]. UTF-8 and
//! U+0000 were checked when the string was read.

use memchr::memchr2;

use crate::error::Error;

/// Checks the topic of a PUBLISH, of a will, or a response topic: not empty, no wildcard.
///
/// # Errors
/// `TopicNameInvalid`.
pub fn check_name(topic: &str) -> Result<(), Error> {
    if topic.is_empty() {
        return Err(Error::TopicNameInvalid("MQTT-4.7.3-1"));
    }
    if memchr2(b'+', b'#', topic.as_bytes()).is_some() {
        return Err(Error::TopicNameInvalid("MQTT-3.3.2-2"));
    }
    Ok(())
}

/// A well-formed topic filter, with the share name taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter<'a> {
    /// The filter as the client wrote it, `$share/...` included.
    pub text: &'a str,
    /// The name of the group of a shared subscription.
    pub share: Option<&'a str>,
    /// What is matched against topic names.
    pub pattern: &'a str,
}

impl<'a> Filter<'a> {
    /// Checks a filter of SUBSCRIBE: `#` last and alone in its level, `+` alone in its level, not
    /// empty; `$share/Name/pattern` with a name of at least one character and no wildcard.
    ///
    /// # Errors
    /// `TopicFilterInvalid`, which MQTT 5.0 answers for that filter alone.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let (share, pattern) = match text.strip_prefix("$share/") {
            None => (None, text),
            Some(rest) => {
                let (name, pattern) = rest
                    .split_once('/')
                    .ok_or(Error::TopicFilterInvalid("MQTT-4.8.2-2"))?;
                if name.is_empty() || memchr2(b'+', b'#', name.as_bytes()).is_some() {
                    return Err(Error::TopicFilterInvalid("MQTT-4.8.2-1"));
                }
                (Some(name), pattern)
            }
        };
        check_pattern(pattern)?;
        Ok(Self {
            text,
            share,
            pattern,
        })
    }

    /// Whether a topic name matches. A wildcard in the first level never matches a name that
    /// begins with `$` \[MQTT-4.7.2-1\]; `a/#` matches `a`; `+` matches an empty level.
    pub fn matches(&self, topic: &str) -> bool {
        if topic.starts_with('$') && self.pattern.starts_with(['+', '#']) {
            return false;
        }
        let mut names = topic.split('/');
        for level in self.pattern.split('/') {
            match (level, names.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }
}

fn check_pattern(pattern: &str) -> Result<(), Error> {
    if pattern.is_empty() {
        return Err(Error::TopicFilterInvalid("MQTT-4.7.3-1"));
    }
    let mut levels = pattern.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            "#" if levels.peek().is_some() => {
                return Err(Error::TopicFilterInvalid("MQTT-4.7.1-1"));
            }
            "#" | "+" => {}
            level if level.contains('#') => {
                return Err(Error::TopicFilterInvalid("MQTT-4.7.1-1"));
            }
            level if level.contains('+') => {
                return Err(Error::TopicFilterInvalid("MQTT-4.7.1-2"));
            }
            _ => {}
        }
    }
    Ok(())
}
