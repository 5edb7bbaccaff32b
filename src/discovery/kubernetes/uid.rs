//! The UID of an object, in sixteen bytes. In: the text of the API. Never here: two texts in common use that meet.

use std::fmt;

/// The UID of an object: a UUID, as kube-apiserver makes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Uid(u128);

// === impl Uid ===

impl Uid {
    /// Reads a UUID. Another text, which no kube-apiserver gives, is folded into as many bits.
    pub(super) fn read(text: &str) -> Self {
        let digits = text.replace('-', "");
        let is_uuid = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(&digits, 16) {
            Ok(number) if is_uuid => Self(number),
            _ => Self(fold(text)),
        }
    }
}

/// FNV-1a in 128 bits.
fn fold(text: &str) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    text.bytes().fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// As kube-apiserver writes it.
impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_back_as_it_was() {
        for text in ["6f1c0b2a-93d4-4e5f-8a01-0123456789ab", "00000000-0000-0000-0000-000000000001"] {
            assert_eq!(Uid::read(text).to_string(), text);
        }
    }

    #[test]
    fn texts_that_are_no_uuid_are_told_apart() {
        let texts = ["", "a", "b", "+6f1c0b2a93d44e5f8a010123456789a", "6f1c0b2a-93d4-4e5f-8a01-0123456789abc"];
        let uids: std::collections::HashSet<_> = texts.into_iter().map(Uid::read).collect();
        assert_eq!(uids.len(), texts.len());
    }
}
