//! Keyed hashes: by them is found again what is not to be kept, such as tokens, or is too long.

use ring::hmac;
use ring::rand::SystemRandom;

/// Makes fingerprints. The key is new in each process, so what is found in its memory fits no list made beforehand.
#[derive(Clone)]
pub(in crate::serving) struct Fingerprints(hmac::Key);

/// HMAC-SHA256: nobody finds another text with the same one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::serving) struct Fingerprint([u8; 32]);

// === impl Fingerprints ===

impl Fingerprints {
    pub(in crate::serving) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self(key.expect("the system has randomness: TLS has taken some before"))
    }

    pub(in crate::serving) fn of(&self, text: &[u8]) -> Fingerprint {
        let tag = hmac::sign(&self.0, text);
        Fingerprint(tag.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_one_text_in_one_process() {
        let (one, other) = (Fingerprints::new(), Fingerprints::new());
        assert!(one.of(b"a") == one.clone().of(b"a"));
        assert!(one.of(b"a") != one.of(b"b") && one.of(b"a") != other.of(b"a"));
    }
}
