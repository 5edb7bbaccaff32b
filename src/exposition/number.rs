//! Numbers of the exposition formats. In: one word. Out: what Go's `strconv.ParseFloat` reads, or `None`.
//!
//! Never here: a value that the text does not say. `1e999` is no number rather than infinity, as in Go.

use crate::model::Timestamp;

/// A sample value: decimal, hexadecimal with `p` exponent, `NaN` or infinity in any case.
pub(super) fn value(word: &str) -> Option<f64> {
    match fast_float2::parse::<f64, _>(word) {
        Ok(value) if value.is_finite() => Some(value),
        Ok(_) => named(word),
        Err(_) => hexadecimal(word),
    }
}

/// A value that is nothing but a few digits, which most are.
#[inline]
pub(super) fn digits(word: &str) -> Option<f64> {
    /// Any number of so many digits is an `f64` exactly.
    const EXACT_MAX: usize = 15;
    if word.is_empty() || word.len() > EXACT_MAX {
        return None;
    }
    let mut value = 0_u64;
    for byte in word.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value as f64)
}

/// Whether a line ends in a closing brace, one blank and one to six digits, as most do.
#[inline(always)]
pub(super) fn ends_in_brace_and_digits(line: &[u8]) -> bool {
    const TOP_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    let Some(end) = line.last_chunk() else { return false };
    // The last byte is the lowest.
    let end = u64::from_be_bytes(*end);
    // Digits become 0 to 9, and from ten on the sum sets the top bit of a byte.
    let offset = end ^ u64::from_ne_bytes([b'0'; 8]);
    let others = (((offset & !TOP_BITS) + u64::from_ne_bytes([0x80 - 10; 8])) | offset) & TOP_BITS;
    let digits = others.trailing_zeros() / 8;
    (1..=6).contains(&digits) && (end >> (8 * digits)) & 0xffff == u64::from(u16::from_be_bytes(*b"} "))
}

/// What stands before the one or two words at the end of a line that are made of the characters of decimal numbers,
/// and before their blanks. `None` when there is no such word.
#[inline]
pub(super) fn before_plain_tail(line: &[u8]) -> Option<&[u8]> {
    let before = before_word(line)?;
    Some(before_word(before).unwrap_or(before))
}

/// The line without its last word and the blanks around it, if the word may be a number.
#[inline]
fn before_word(line: &[u8]) -> Option<&[u8]> {
    let line = trim_blanks_end(line);
    let start = line.iter().rposition(|byte| !IN_NUMBER[usize::from(*byte)]).map_or(0, |last| last + 1);
    let starts_well = matches!(line.get(start), Some(b'0'..=b'9' | b'-' | b'+' | b'.'));
    starts_well.then(|| trim_blanks_end(&line[..start]))
}

#[inline]
fn trim_blanks_end(mut line: &[u8]) -> &[u8] {
    while let [start @ .., b' ' | b'\t'] = line {
        line = start;
    }
    line
}

/// The characters of decimal numbers.
const IN_NUMBER: [bool; 256] = {
    let mut found = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        found[byte] = matches!(byte as u8, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        byte += 1;
    }
    found
};

/// A timestamp of the text format.
pub(super) fn milliseconds(word: &str) -> Option<Timestamp> {
    if word.starts_with('+') {
        return None;
    }
    word.parse().ok().map(Timestamp)
}

/// A timestamp of OpenMetrics. What is less than a millisecond is cut off, as in Prometheus.
pub(super) fn seconds(word: &str) -> Option<Timestamp> {
    /// 2^63, the first number of milliseconds that a timestamp cannot hold.
    const END: f64 = 9_223_372_036_854_775_808.0;
    let milliseconds = (value(word)? * 1000.0).trunc();
    (milliseconds.abs() < END).then_some(Timestamp(milliseconds as i64))
}

/// The values that are written as words. Go takes a sign before infinity only.
fn named(word: &str) -> Option<f64> {
    if word.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let (size, infinity) = match word.as_bytes().first() {
        Some(b'-') => (&word[1..], f64::NEG_INFINITY),
        Some(b'+') => (&word[1..], f64::INFINITY),
        _ => (word, f64::INFINITY),
    };
    (size.eq_ignore_ascii_case("inf") || size.eq_ignore_ascii_case("infinity")).then_some(infinity)
}

/// `0x1.8p-2`: Go's syntax, in which the exponent is required.
fn hexadecimal(word: &str) -> Option<f64> {
    let (sign, digits) = match word.as_bytes().first()? {
        b'-' => (-1.0, &word[1..]),
        b'+' => (1.0, &word[1..]),
        _ => (1.0, word),
    };
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))?;
    let (mantissa, exponent) = digits.split_once(['p', 'P'])?;
    let (mantissa, scale) = hexadecimal_mantissa(mantissa)?;
    let value = rounded(mantissa, decimal_exponent(exponent)?.saturating_add(scale));
    value.is_finite().then_some(sign * value)
}

/// The digits as `mantissa * 2^exponent`. Of digits beyond 64 bits only whether one is not zero is kept, in the
/// lowest bit, which is enough to round by.
fn hexadecimal_mantissa(text: &str) -> Option<(u64, i64)> {
    let (mut mantissa, mut exponent) = (0_u64, 0_i64);
    let (mut digits, mut fraction) = (0, false);
    for byte in text.bytes() {
        if byte == b'.' && !fraction {
            fraction = true;
            continue;
        }
        let digit = u64::from(char::from(byte).to_digit(16)?);
        digits += 1;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            exponent -= if fraction { 4 } else { 0 };
        } else {
            mantissa |= u64::from(digit != 0);
            exponent += if fraction { 0 } else { 4 };
        }
    }
    (digits > 0).then_some((mantissa, exponent))
}

fn decimal_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Longer than an i64 is zero or infinity anyway.
    let size = digits.parse().unwrap_or(i64::MAX / 2);
    Some(if text.starts_with('-') { -size } else { size })
}

/// The number nearest to `mantissa * 2^exponent`, the even one of two.
fn rounded(mantissa: u64, exponent: i64) -> f64 {
    /// Bits of a mantissa, and the exponent of the smallest number.
    const PRECISION: i64 = 53;
    const SMALLEST: i64 = -1074;
    if mantissa == 0 {
        return 0.0;
    }
    let length = 64 - i64::from(mantissa.leading_zeros());
    let surplus = (length - PRECISION).max(SMALLEST.saturating_sub(exponent)).max(0);
    let exponent = exponent.saturating_add(surplus);
    let mantissa = match surplus {
        0 => mantissa,
        1..=64 => half_to_even(mantissa, surplus as u32),
        _ => 0,
    };
    // Two steps, since 2^exponent alone may not be a number. Both products are exact.
    let exponent = exponent.clamp(-2000, 2000) as i32;
    mantissa as f64 * 2_f64.powi(exponent / 2) * 2_f64.powi(exponent - exponent / 2)
}

/// `mantissa / 2^bits`, for 1 to 64 bits.
fn half_to_even(mantissa: u64, bits: u32) -> u64 {
    let mantissa = u128::from(mantissa);
    let (whole, rest, half) = (mantissa >> bits, mantissa & ((1 << bits) - 1), 1 << (bits - 1));
    let up = rest > half || rest == half && whole & 1 == 1;
    (whole + u128::from(up)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Option<f64>) {
        assert_eq!(value(word).map(f64::to_bits), expected.map(f64::to_bits), "{word:?}");
    }

    #[test]
    fn decimal_numbers_are_read_as_go_reads_them() {
        for (word, expected) in [
            ("1", 1.0),
            ("+1", 1.0),
            ("-0", -0.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E+3", 1000.0),
            ("-1.5e-3", -0.0015),
        ] {
            check(word, Some(expected));
        }
        for word in [
            "", "+", "-", ".", "e3", "1e", "1e+", "1_0", "1,5", "++1", "--1", "1.2.3", "0x", "1e999", "-1e999", "١",
            "1f",
        ] {
            check(word, None);
        }
    }

    #[test]
    fn words_are_read_in_any_case_with_a_sign_before_infinity_only() {
        for word in ["Inf", "+Inf", "inf", "INF", "+infinity", "Infinity"] {
            check(word, Some(f64::INFINITY));
        }
        check("-Inf", Some(f64::NEG_INFINITY));
        for word in ["NaN", "nan", "NAN"] {
            check(word, Some(f64::NAN));
        }
        for word in ["+NaN", "-nan", "infi", "in", "nano", "nan(1)", "--inf", "0xinf"] {
            check(word, None);
        }
    }

    #[test]
    fn hexadecimal_numbers_round_half_to_even() {
        for (word, expected) in [
            ("0x1p-2", 0.25),
            ("0x1.8p1", 3.0),
            ("-0X.8P0", -0.5),
            ("0xAbp+4", 2736.0),
            ("0x0p99999999999999999999", 0.0),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x3p-1075", f64::from_bits(2)),
            ("0x1p-99999999999999999999", 0.0),
            ("0x20000000000001p0", 9_007_199_254_740_992.0),
            ("0x20000000000003p0", 9_007_199_254_740_996.0),
            ("0x20000000000001.00000000000000000001p0", 9_007_199_254_740_994.0),
            ("0x10000000000000000000000000000000000000000p-160", 1.0),
        ] {
            check(word, Some(expected));
        }
        for word in
            ["0x1", "0x", "0xp1", "0x.p1", "0x1p", "0x1p+", "0x1pz", "0x1p1024", "0x1.1.1p1", "0x1_0p1", "0x-1p1"]
        {
            check(word, None);
        }
    }

    #[test]
    fn a_few_digits_are_the_number_that_any_reading_gives() {
        for word in ["0", "7", "007", "123456789012345"] {
            assert_eq!(digits(word), value(word), "{word:?}");
        }
        for word in ["", "1234567890123456", "-1", "1.5", "1 ", "/", ":", "１"] {
            assert_eq!(digits(word), None, "{word:?}");
        }
    }

    #[test]
    fn a_brace_and_up_to_six_digits_at_the_end_of_a_line_are_seen() {
        for end in ["a=\"b\"} 1", "a=\"b\"} 123456", "a=\"é\"} 09"] {
            assert!(ends_in_brace_and_digits(end.as_bytes()), "{end:?}");
        }
        for end in [
            "} 1",
            "a=\"b\"} ",
            "a=\"b\"}1",
            "a=\"b\"}  1",
            "a=\"b\" 1",
            "a=\"b\"} 1234567",
            "a=\"b\"} 1.5",
            "a=\"b\"} 1/",
            "a=\"b\"} :",
            "a=\"b\"} 1\r",
            "a=\"b\"} 1é",
            "a=\"b\"} ±",
            "a=\"b\"}\t1",
        ] {
            assert!(!ends_in_brace_and_digits(end.as_bytes()), "{end:?}");
        }
    }

    #[test]
    fn timestamps_are_milliseconds() {
        assert_eq!(milliseconds("1520879607789"), Some(Timestamp(1_520_879_607_789)));
        assert_eq!(milliseconds("-5"), Some(Timestamp(-5)));
        for word in ["+5", "1.5", "1e3", "9223372036854775808", "-", ""] {
            assert_eq!(milliseconds(word), None, "{word:?}");
        }
        assert_eq!(seconds("1520879607.789"), Some(Timestamp(1_520_879_607_789)));
        assert_eq!(seconds("1520879607.7899"), Some(Timestamp(1_520_879_607_789)));
        assert_eq!(seconds("-0.0019"), Some(Timestamp(-1)));
        assert_eq!(seconds("1e9"), Some(Timestamp(1_000_000_000_000)));
        for word in ["NaN", "Inf", "1e300", "9223372036854775.808", "x"] {
            assert_eq!(seconds(word), None, "{word:?}");
        }
    }
}
