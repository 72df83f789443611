//! Wire vectors in both directions, malformed input, messages, and random bytes.

mod frames;
mod messages;
mod performatives;
mod random;
mod soak;
mod values;

/// Bytes written as hex digits; blanks between them are for readers.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|digit| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0, "{text}");
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
