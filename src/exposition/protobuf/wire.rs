//! The wire format of protobuf: messages as sequences of numbered fields.
//!
//! In: the bytes of a message. Out: its fields in order, with their bytes where they stand. Never here: an allocation,
//! recursion, a byte outside of the message, or groups, which no message of the exposition has.

use crate::exposition::{ErrorKind, Fault};

/// The fields of a message, one after the other; an error is the last item.
#[derive(Clone)]
pub(super) struct Fields<'p>(&'p [u8]);

/// The content of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content<'p> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'p [u8]),
}

/// What is wrong with a message, for the place after "expected".
type Expected = &'static str;

/// The most bytes of a varint: 64 bits in groups of seven.
const VARINT_BYTES_MAX: usize = 10;

/// Splits off a message that has its length before it.
///
/// # Errors
/// [`ErrorKind::Truncated`] when there are fewer bytes than that.
pub(super) fn delimited(bytes: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let Some((length, rest)) = varint(bytes) else {
        let (kind, message) = match bytes.len() < VARINT_BYTES_MAX {
            true => (ErrorKind::Truncated, "the page is cut off within the length of a family"),
            false => (ErrorKind::Syntax, "expected the length of a family, found a number of more than 64 bits"),
        };
        return Err(Fault::new(kind, message));
    };
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    split.ok_or_else(|| {
        let message = format!("the page is cut off: the family has {length} bytes, {} are there", rest.len());
        Fault::new(ErrorKind::Truncated, message)
    })
}

/// The numbers of a packed field, or the one of a field that is not.
pub(super) fn varints(content: Content<'_>) -> impl Iterator<Item = Result<u64, Fault>> {
    let (mut packed, mut single) = match content {
        Content::Bytes(packed) => (packed, None),
        Content::Varint(number) => (&[][..], Some(Ok(number))),
        _ => (&[][..], Some(Err(fault("whole numbers")))),
    };
    std::iter::from_fn(move || {
        if packed.is_empty() {
            return single.take();
        }
        let number = varint(packed);
        packed = number.map_or(&[], |(_, rest)| rest);
        Some(number.map(|(number, _)| number).ok_or_else(|| fault("whole numbers of up to 64 bits")))
    })
}

/// As [`varints`] for floating-point numbers.
pub(super) fn doubles(content: Content<'_>) -> impl Iterator<Item = Result<f64, Fault>> {
    let (packed, single) = match content {
        Content::Bytes(packed) => (packed, None),
        other => (&[][..], Some(other.double())),
    };
    let (whole, rest) = packed.as_chunks::<8>();
    let damage = (!rest.is_empty()).then(|| Err(fault("floating-point numbers of 8 bytes each")));
    whole.iter().map(|bytes| Ok(number(*bytes))).chain(single).chain(damage)
}

/// The integer behind its zigzag encoding (`sint32`, `sint64`).
pub(super) fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

// === impl Fields ===

impl<'p> Fields<'p> {
    pub(super) fn of(message: &'p [u8]) -> Self {
        Self(message)
    }

    fn read(&mut self) -> Result<(u64, Content<'p>), Expected> {
        let (tag, rest) = varint(self.0).ok_or("the number of a field")?;
        let (content, rest) = match tag & 7 {
            0 => varint(rest).map(|(number, rest)| (Content::Varint(number), rest)).ok_or("a whole number")?,
            1 => rest.split_first_chunk().map(|(bytes, rest)| (Content::Fixed64(*bytes), rest)).ok_or("8 bytes")?,
            2 => {
                let (length, rest) = varint(rest).ok_or("the length of a field")?;
                let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
                split
                    .map(|(bytes, rest)| (Content::Bytes(bytes), rest))
                    .ok_or("a field that ends within its message")?
            }
            5 => rest.split_first_chunk().map(|(bytes, rest)| (Content::Fixed32(*bytes), rest)).ok_or("4 bytes")?,
            _ => return Err("a field of a wire type that the exposition has"),
        };
        self.0 = rest;
        match tag >> 3 {
            0 => Err("the number of a field, which is not zero"),
            number => Ok((number, content)),
        }
    }
}

impl<'p> Iterator for Fields<'p> {
    type Item = Result<(u64, Content<'p>), Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field.map_err(fault))
    }
}

// === impl Content ===

impl<'p> Content<'p> {
    pub(super) fn bytes(self) -> Result<&'p [u8], Fault> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(fault("text or a message")),
        }
    }

    pub(super) fn varint(self) -> Result<u64, Fault> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(fault("a whole number")),
        }
    }

    /// Whatever NaN it is, it is not the stale marker: that one does not come from pages.
    pub(super) fn double(self) -> Result<f64, Fault> {
        match self {
            Self::Fixed64(bytes) => Ok(number(bytes)),
            _ => Err(fault("a floating-point number")),
        }
    }

    /// # Errors
    /// [`ErrorKind::Encoding`] when it is not UTF-8; `what` stands in the message.
    pub(super) fn text(self, what: &str) -> Result<&'p str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|error| {
            let bad = error.valid_up_to();
            Fault::new(ErrorKind::Encoding, format!("expected UTF-8, found other bytes from byte {bad} of {what} on"))
        })
    }
}

fn number(bytes: [u8; 8]) -> f64 {
    let number = f64::from_le_bytes(bytes);
    if number.is_nan() { f64::NAN } else { number }
}

/// The number at the start and what follows it; `None` when it does not end, or has more than 64 bits.
#[inline]
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if let [first @ 0..=0x7f, rest @ ..] = bytes {
        return Some((u64::from(*first), rest));
    }
    let mut number = 0;
    for (at, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        number |= bits << (7 * at);
        if byte & 0x80 == 0 {
            let fits = at + 1 < VARINT_BYTES_MAX || bits <= 1;
            return fits.then(|| (number, &bytes[at + 1..]));
        }
    }
    None
}

#[cold]
fn fault(expected: Expected) -> Fault {
    Fault::new(ErrorKind::Syntax, format!("the message is damaged: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_up_to_64_bits() {
        for (bytes, expected) in [
            (&[0][..], Some((0, 0))),
            (&[0x7f, 9], Some((127, 1))),
            (&[0x80, 0x01], Some((128, 0))),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Some((u64::MAX, 0))),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], None),
            (&[0x80; 11], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(varint(bytes).map(|(number, rest)| (number, rest.len())), expected, "{bytes:?}");
        }
    }

    #[test]
    fn signed_numbers_are_read_back_from_their_zigzag() {
        for number in [0, -1, 1, 2, i64::MAX, i64::MIN] {
            assert_eq!(signed(((number << 1) ^ (number >> 63)) as u64), number);
        }
    }

    #[test]
    fn damage_ends_the_fields() {
        for bytes in [&[0x08][..], &[0x0a, 5, 1], &[0x09, 1], &[0x0d, 1], &[0x0b, 1], &[0x00, 1], &[0x0f, 1], &[0x80]] {
            let fields: Vec<_> = Fields::of(bytes).collect();
            assert!(matches!(&fields[..], [Err(fault)] if fault.kind == ErrorKind::Syntax), "{bytes:?}: {fields:?}");
        }
    }
}
