//! Lists, maps and arrays: slices that are read when somebody looks into them.

use super::check::MAX_EMPTY_ELEMENTS;
use super::code::{self, Width};
use super::reader::Reader;
use super::value::{Descriptor, Value};
use crate::error::Error;

/// Values of any types (Ty 1.6.22).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct List<'a> {
    count: u32,
    items: &'a [u8],
}

/// Pairs of values, in the order they came (Ty 1.6.23). Keys that appear twice are both there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Map<'a> {
    /// Keys and values.
    values: List<'a>,
}

/// Values of one type (Ty 1.6.24).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Array<'a> {
    count: u32,
    descriptor: Option<Descriptor<'a>>,
    /// The constructor of every element.
    code: u8,
    elements: &'a [u8],
}

/// The values of a list.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a> {
    left: u32,
    reader: Reader<'a>,
}

/// The pairs of a map.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a>(Items<'a>);

/// The elements of an array.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'a> {
    left: u32,
    code: u8,
    reader: Reader<'a>,
}

impl<'a> List<'a> {
    /// Every item has a byte at least, so that a count promises nothing that is not there.
    pub(crate) fn read((count, reader): (u32, Reader<'a>)) -> Result<Self, Error> {
        let items = reader.rest();
        if count as usize > items.len() || (count == 0 && !items.is_empty()) {
            return Err(Error::Decode("Ty 1.6.22"));
        }
        Ok(Self { count, items })
    }

    /// How many items there are said to be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items, and an error in place of the first that cannot be read.
    #[must_use]
    pub fn iter(&self) -> Items<'a> {
        Items {
            left: self.count,
            reader: self.reader(),
        }
    }

    /// The items as they are encoded.
    #[must_use]
    pub fn encoded(&self) -> &'a [u8] {
        self.items
    }

    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader::new(self.items)
    }
}

impl<'a> Map<'a> {
    pub(crate) fn read(head: (u32, Reader<'a>)) -> Result<Self, Error> {
        let values = List::read(head)?;
        if values.len() % 2 == 1 {
            return Err(Error::Decode("Ty 1.6.23"));
        }
        Ok(Self { values })
    }

    /// How many pairs there are said to be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / 2
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The pairs, and an error in place of the first that cannot be read.
    #[must_use]
    pub fn iter(&self) -> Pairs<'a> {
        Pairs(self.values.iter())
    }

    /// The value of the first key that is this symbol or text.
    ///
    /// # Errors
    /// What stands before it cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Value<'a>>, Error> {
        for pair in self.iter() {
            match pair? {
                (Value::Symbol(key) | Value::Text(key), value) if key == name => {
                    return Ok(Some(value));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Keys and values, one behind another.
    #[must_use]
    pub fn values(&self) -> List<'a> {
        self.values
    }
}

impl<'a> Array<'a> {
    pub(crate) fn read((count, mut reader): (u32, Reader<'a>)) -> Result<Self, Error> {
        const BROKEN: Error = Error::Decode("Ty 1.6.24");
        if count == 0 && reader.is_empty() {
            // Without a type, which nobody misses: some encoders leave it out.
            return Ok(Self {
                count,
                descriptor: None,
                code: code::NULL,
                elements: &[],
            });
        }
        let mut code = reader.u8()?;
        let mut descriptor = None;
        if code == code::DESCRIBED {
            descriptor = Some(Descriptor::read(&mut reader)?);
            code = reader.u8()?;
        }
        let elements = reader.rest();
        let fits = match code::width(code).ok_or(BROKEN)? {
            Width::Fixed(0) => elements.is_empty() && count <= MAX_EMPTY_ELEMENTS,
            Width::Fixed(n) => elements.len() == n.saturating_mul(count as usize),
            Width::Length8 => count as usize <= elements.len(),
            Width::Length32 => count as usize <= elements.len() / 4,
        };
        if !fits {
            return Err(BROKEN);
        }
        Ok(Self {
            count,
            descriptor,
            code,
            elements,
        })
    }

    /// How many elements there are said to be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The type of all elements, if it is a described one.
    #[must_use]
    pub fn descriptor(&self) -> Option<Descriptor<'a>> {
        self.descriptor
    }

    /// The elements without their descriptor, and an error in place of the first that cannot be
    /// read.
    #[must_use]
    pub fn iter(&self) -> Elements<'a> {
        Elements {
            left: self.count,
            code: self.code,
            reader: self.reader(),
        }
    }

    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader::new(self.elements)
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// The elements as they are encoded, without what they have in common.
    #[must_use]
    pub fn encoded(&self) -> &'a [u8] {
        self.elements
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Value<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let value = Value::read(&mut self.reader);
        if value.is_err() {
            self.left = 0;
        }
        Some(value)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(Value<'a>, Value<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match (self.0.next()?, self.0.next()) {
            (Ok(key), Some(Ok(value))) => Some(Ok((key, value))),
            (Err(error), _) | (_, Some(Err(error))) => Some(Err(error)),
            (Ok(_), None) => None,
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Value<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let value = Value::content(self.code, &mut self.reader);
        if value.is_err() {
            self.left = 0;
        }
        Some(value)
    }
}

impl<'a> IntoIterator for List<'a> {
    type Item = Result<Value<'a>, Error>;
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for Map<'a> {
    type Item = Result<(Value<'a>, Value<'a>), Error>;
    type IntoIter = Pairs<'a>;

    fn into_iter(self) -> Pairs<'a> {
        self.iter()
    }
}
