use proptest::prelude::*;

use super::*;

const LEASE: LeaseId = LeaseId {
    queue: QueueId(7),
    sequence: u64::MAX - 1,
    epoch: 3,
};

#[test]
fn token_names_its_lease() {
    let tokens = Tokens::new([7; 32]);
    let token = tokens.sign(LEASE);
    assert_eq!(tokens.verify(&token), Ok(LEASE));
    assert!(
        token
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    );
}

#[test]
fn l19_token_of_another_key_is_gone() {
    let token = Tokens::new([7; 32]).sign(LEASE);
    let other = Tokens::new([8; 32]).verify(&token);
    assert_eq!(other.unwrap_err().slug, Slug::LeaseGone);
}

/// Mutant seen caught: a MAC over the first 12 bytes alone.
#[test]
fn every_bit_of_a_token_counts() {
    let tokens = Tokens::new([7; 32]);
    let bytes = URL_SAFE_NO_PAD.decode(tokens.sign(LEASE)).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let token = URL_SAFE_NO_PAD.encode(forged);
        assert!(tokens.verify(&token).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        let token = URL_SAFE_NO_PAD.encode(&bytes[..length]);
        assert!(tokens.verify(&token).is_err(), "{length} bytes");
    }
}

#[test]
fn acknowledged_leases_are_remembered_up_to_a_number() {
    let tokens = Tokens::new([7; 32]);
    let lease = |sequence| LeaseId { sequence, ..LEASE };
    for sequence in 0..=REMEMBERED as u64 {
        tokens.remember(lease(sequence));
    }
    assert!(!tokens.was_acknowledged(lease(0)), "forgotten");
    assert!(tokens.was_acknowledged(lease(1)));
}

#[test]
fn nacks_say_what_becomes_of_the_message() {
    let outcome = |json: &str| nack_outcome(&serde_json::from_str(json).unwrap());
    let failed = |delay_ms| Ok(Outcome::Failed { delay_ms });
    assert_eq!(outcome("{}"), failed(None));
    assert_eq!(
        outcome(r#"{"delay":null,"deadLetter":false}"#),
        failed(None)
    );
    assert_eq!(outcome(r#"{"delay":"5s"}"#), failed(Some(5_000)));
    assert_eq!(outcome(r#"{"deadLetter":true}"#), Ok(Outcome::Rejected));
    for json in [
        r#"{"delay":5}"#,
        r#"{"deadLetter":1}"#,
        r#"{"deadLetter":true,"delay":"1s"}"#,
    ] {
        assert_eq!(outcome(json).unwrap_err().slug, Slug::BadMetadata, "{json}");
    }
}

proptest! {
    #[test]
    fn no_other_text_is_a_token(text in ".{0,100}") {
        prop_assert!(Tokens::new([7; 32]).verify(&text).is_err());
    }
}
