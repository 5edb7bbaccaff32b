//! Kubernetes quantities: `1500m`, `2k`, `1Gi`. In: a measured number, or the text of a quantity. Out: the canonical
//! text and the milli-units that the HorizontalPodAutoscaler reads.
//!
//! The rules are those of apimachinery `api/resource`; nothing here wraps around. Where Go's own arithmetic
//! overflows, this module saturates or prints the number in full:
//!
//! * `MilliValue` and `Value` beyond 64 bits: Go wraps or gives 0, here they are the nearest `i64`.
//! * `MilliValue` and `Value` of negative fractions: Go rounds some of them up, here all go away from zero.
//! * Canonical text of decimal quantities of 10^21 and more that end in zeros: Go loses the suffix (`1000E` becomes
//!   `1`), here it stays `1000E`.
//! * Canonical text with exponents: Go writes some that it is slow to read, here they are at most 99, which this
//!   module reads back.

use std::fmt::{self, Write};

/// An exact decimal number and the notation it is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    amount: Amount,
    format: Format,
    clamped: bool,
}

/// The notation of a quantity, with the names of apimachinery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Powers of ten with a letter: `1500m`, `2k`.
    DecimalSI,
    /// Powers of 1024: `1Gi`.
    BinarySI,
    /// Powers of ten in digits: `1e3`.
    DecimalExponent,
}

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("expected a quantity such as 1500m, 2k or 1Gi, found nothing")]
    Empty,
    #[error("expected n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei or an exponent after the number, found {0:?}")]
    Suffix(String),
    #[error("expected an exponent from -{EXPONENT_MAX} to {EXPONENT_MAX}, found {0:?}")]
    Exponent(String),
}

/// Go reads larger exponents, and may hang on them.
const EXPONENT_MAX: i64 = 100;

/// Powers of ten below one billionth are not kept: quantities count whole nano-units.
const NANO: i64 = -9;

/// `digits * 10^exponent`; zero has no digits, and other numbers neither start nor end with a zero.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Amount {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

/// Letters of decimal powers, and the power.
const DECIMAL_SUFFIXES: [(&str, i64); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// Letters of the powers of 1024, from the first on.
const BINARY_SUFFIXES: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// What a suffix means.
enum Scale {
    Decimal(i64),
    Binary(usize),
    Exponent(i64),
}

/// Reads the text of a quantity, without surrounding blanks.
///
/// # Errors
/// [`Error`] for text that apimachinery refuses, and for exponents beyond 100.
pub fn parse(text: &str) -> Result<Quantity, Error> {
    if text.is_empty() {
        return Err(Error::Empty);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, rest) = split_digits(unsigned);
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
    let scale = Scale::parse(suffix)?;
    let mut amount = Amount::new(whole, fraction);
    let format = scale.apply(&mut amount);
    amount.negative = text.starts_with('-') && !amount.is_zero();
    Ok(Quantity { amount, format, clamped: false })
}

// === impl Quantity ===

impl Quantity {
    /// The number in whole milli-units, rounded to the nearest. `None` for NaN and infinities, which no quantity can
    /// say.
    ///
    /// Numbers beyond ±9223372036854775.807, which the autoscaler would read as something else, are cut to that
    /// bound; see [`Self::is_clamped`].
    pub fn from_f64(value: f64) -> Option<Self> {
        /// Beyond the bound, and far from what 128 bits hold.
        const WHOLE_MAX: f64 = 1e17;
        if !value.is_finite() {
            return None;
        }
        // Whole and fractional part apart, since their product by 1000 in one would lose digits of large numbers.
        let whole = value.trunc().clamp(-WHOLE_MAX, WHOLE_MAX) as i128;
        let milli = whole * 1000 + (value.fract() * 1000.0).round() as i128;
        let bound = i128::from(i64::MAX);
        let mut amount = Amount::new(&milli.clamp(-bound, bound).unsigned_abs().to_string(), "");
        amount.negative = milli < 0;
        amount.shift(-3);
        Some(Self { amount, format: Format::DecimalSI, clamped: milli.abs() > bound })
    }

    /// Whether [`Self::from_f64`] had to cut the number to the bound.
    pub fn is_clamped(&self) -> bool {
        self.clamped
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Thousandths, rounded away from zero, at most what 64 bits hold: what the autoscaler reads.
    pub fn milli(&self) -> i64 {
        self.amount.units(-3)
    }

    /// Whole units, rounded away from zero, at most what 64 bits hold.
    pub fn value(&self) -> i64 {
        self.amount.units(0)
    }

    /// As a float, in the steps of Go's `AsApproximateFloat64`, on which the edge of a tolerance depends.
    pub fn approximate(&self) -> f64 {
        self.amount.approximate()
    }
}

/// The canonical text.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.amount.negative {
            f.write_str("-")?;
        }
        match self.format {
            Format::BinarySI => match self.amount.binary() {
                Some((number, suffix)) => write!(f, "{number}{suffix}"),
                None => self.amount.write_decimal(f),
            },
            Format::DecimalSI => self.amount.write_decimal(f),
            Format::DecimalExponent => {
                let exponent = self.amount.exponent.min(EXPONENT_MAX).div_euclid(3) * 3;
                self.amount.write_digits(f, exponent)?;
                if exponent == 0 { Ok(()) } else { write!(f, "e{exponent}") }
            }
        }
    }
}

// === impl Format ===

impl Format {
    /// The name as apimachinery writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DecimalSI => "DecimalSI",
            Self::BinarySI => "BinarySI",
            Self::DecimalExponent => "DecimalExponent",
        }
    }
}

// === impl Amount ===

impl Amount {
    fn approximate(&self) -> f64 {
        let digits = self.digits.iter().fold(0.0, |sum, digit| sum * 10.0 + f64::from(*digit));
        let exponent = i32::try_from(self.exponent).unwrap_or(i32::MAX);
        let size = digits * 10_f64.powi(exponent);
        if self.negative { -size } else { size }
    }

    fn new(whole: &str, fraction: &str) -> Self {
        let digits = whole.bytes().chain(fraction.bytes()).map(|digit| digit - b'0').collect();
        let mut amount = Self { negative: false, digits, exponent: -(fraction.len() as i64) };
        amount.normalise();
        amount
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Whether the size lies between zero and one.
    fn is_fraction(&self) -> bool {
        !self.is_zero() && self.digits.len() as i64 + self.exponent <= 0
    }

    /// Takes the zeros at both ends away. Zero gets the exponent 0.
    fn normalise(&mut self) {
        let kept = self.digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        self.exponent += (self.digits.len() - kept) as i64;
        self.digits.truncate(kept);
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..zeros);
        if self.is_zero() {
            self.exponent = 0;
        }
    }

    /// Multiplies by `10^power`.
    fn shift(&mut self, power: i64) {
        if !self.is_zero() {
            self.exponent += power;
        }
    }

    fn times_1024(&mut self) {
        let mut carry = 0;
        for digit in self.digits.iter_mut().rev() {
            carry += u32::from(*digit) * 1024;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        let carried: Vec<u8> = carry.to_string().bytes().map(|digit| digit - b'0').collect();
        self.digits.splice(..0, carried);
        self.normalise();
    }

    /// Rounds away from zero to a multiple of `10^exponent`.
    fn round_up(&mut self, exponent: i64) {
        if self.is_zero() || self.exponent >= exponent {
            return;
        }
        // The last digit is not zero, so something is always cut off.
        let cut = usize::try_from(exponent - self.exponent).unwrap_or(usize::MAX);
        self.digits.truncate(self.digits.len().saturating_sub(cut));
        self.exponent = exponent;
        match self.digits.iter().rposition(|digit| *digit != 9) {
            Some(last) => {
                self.digits[last] += 1;
                self.digits[last + 1..].fill(0);
            }
            None => {
                self.digits.fill(0);
                self.digits.insert(0, 1);
            }
        }
        self.normalise();
    }

    /// The size in units of `10^exponent`, rounded up; `None` when it takes more than 128 bits.
    fn magnitude(&self, exponent: i64) -> Option<u128> {
        /// What fits in 128 bits whatever its digits are.
        const DIGITS_MAX: i64 = 38;
        let mut rounded = self.clone();
        rounded.round_up(exponent);
        let zeros = rounded.exponent - exponent;
        if rounded.is_zero() {
            return Some(0);
        }
        if rounded.digits.len() as i64 + zeros > DIGITS_MAX {
            return None;
        }
        let number = rounded.digits.iter().fold(0, |number, digit| number * 10 + u128::from(*digit));
        Some(number * 10_u128.pow(u32::try_from(zeros).ok()?))
    }

    fn units(&self, exponent: i64) -> i64 {
        let magnitude = self.magnitude(exponent).and_then(|magnitude| i128::try_from(magnitude).ok());
        let (magnitude, bound) = (magnitude.unwrap_or(i128::MAX), if self.negative { i64::MIN } else { i64::MAX });
        i64::try_from(if self.negative { -magnitude } else { magnitude }).unwrap_or(bound)
    }

    /// Lowers the size to the largest number of 64 bits.
    fn cap(&mut self) {
        let max = i64::MAX.unsigned_abs();
        if self.magnitude(0).is_none_or(|magnitude| magnitude > u128::from(max)) {
            *self = Self::new(&max.to_string(), "");
        }
    }

    /// The number and suffix in powers of 1024, without the sign; `None` where decimal notation is used.
    fn binary(&self) -> Option<(u128, &'static str)> {
        let mut number = self.magnitude(0).filter(|number| self.exponent >= 0 && *number >= 1024)?;
        let mut suffix = "";
        for next in BINARY_SUFFIXES {
            if number % 1024 != 0 {
                break;
            }
            number /= 1024;
            suffix = next;
        }
        Some((number, suffix))
    }

    fn write_decimal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = DECIMAL_SUFFIXES.iter().rev().find(|(_, power)| *power <= self.exponent);
        let (suffix, power) = fitting.expect("amounts are multiples of the smallest suffix");
        self.write_digits(f, *power)?;
        f.write_str(suffix)
    }

    /// The size in units of `10^exponent`, of which it is a multiple.
    fn write_digits(&self, f: &mut fmt::Formatter<'_>, exponent: i64) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        self.digits.iter().try_for_each(|digit| f.write_char(char::from(b'0' + digit)))?;
        (exponent..self.exponent).try_for_each(|_| f.write_str("0"))
    }
}

// === impl Scale ===

impl Scale {
    fn parse(suffix: &str) -> Result<Self, Error> {
        if let Some((_, power)) = DECIMAL_SUFFIXES.iter().find(|(name, _)| *name == suffix) {
            return Ok(Self::Decimal(*power));
        }
        if let Some(index) = BINARY_SUFFIXES.iter().position(|name| *name == suffix) {
            return Ok(Self::Binary(index + 1));
        }
        let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(|| Error::Suffix(suffix.into()))?;
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(Error::Suffix(suffix.into()));
        }
        match exponent.parse::<i64>() {
            Ok(power) if (-EXPONENT_MAX..=EXPONENT_MAX).contains(&power) => Ok(Self::Exponent(power)),
            _ => Err(Error::Exponent(suffix.into())),
        }
    }

    /// Multiplies the size, rounds it up to whole nano-units and tells the format.
    fn apply(&self, amount: &mut Amount) -> Format {
        match self {
            Self::Decimal(power) | Self::Exponent(power) => amount.shift(*power),
            Self::Binary(times) => (0..*times).for_each(|_| amount.times_1024()),
        }
        amount.round_up(NANO);
        match self {
            Self::Decimal(_) => Format::DecimalSI,
            Self::Exponent(_) => Format::DecimalExponent,
            Self::Binary(_) if amount.is_fraction() => Format::DecimalSI,
            Self::Binary(_) => {
                amount.cap();
                Format::BinarySI
            }
        }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(length)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const VECTORS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/api/quantity_vectors.tsv"));

    /// Rows of the vectors whose milli-units do not fit in 64 bits; Go wraps around.
    const MILLI_BEYOND_64_BITS: &str = "1e18 1e19 1e20 1.7E18 1E 9E 9.3E 9Ei 8Ei 7Ei 1Ei 7.9Ei 9223372036854775808 \
        9223372036854775807Ki -9223372036854775808 9223372036854775.808 123456789012345678901234567890 1.01E \
        -78.98649P 947055.50Ti 491.6629944P 36.410159964P 54P 712809.4Ti 505220.1P 31218.6Ti 445.943158987P \
        -943441.87335P 22.606P 76614T 39590T 20923.4P 1000000000000000000000 1000E 1000000E 10000000E \
        1000000000000000000 10000000000000000000 1e21 99999999999999999999 1234567890123456789.5";
    /// The same for whole units. -2^63 fits, but Go gives 0.
    const VALUE_BEYOND_64_BITS: &str = "1e19 1e20 9.3E 9223372036854775808 -9223372036854775808 \
        123456789012345678901234567890 505220.1P -943441.87335P 20923.4P 1000000000000000000000 1000E 1000000E \
        10000000E 10000000000000000000 1e21 99999999999999999999";
    /// Rows with negative fractions, which Go rounds the wrong way where it holds them as big decimals.
    const MILLI_OF_NEGATIVE_FRACTIONS: &str = "-498.696820473m -1174.3609841Mi -905364.34033u -88.79801Ki -0.1n";
    const VALUE_OF_NEGATIVE_FRACTIONS: &str = "-0.1n -1885.850Ki -498.696820473m -1174.3609841Mi -77557.778Ki \
        -905364.34033u -5.31Gi -88.79801Ki -0.1Ki";
    /// Rows whose suffix Go loses.
    const CANONICAL_FROM_10_TO_THE_21: &str = "1000000000000000000000 1000E 1000000E 10000000E";

    fn inputs(lists: &[&str]) -> BTreeSet<String> {
        lists.iter().flat_map(|list| list.split_whitespace()).map(String::from).collect()
    }

    /// The inputs for which a column of the vectors is not what `ours` gives.
    fn differing(column: usize, ours: fn(&Quantity) -> String) -> BTreeSet<String> {
        let read = vectors().filter_map(|(input, go)| Some((parse(&input).ok()?, go?[column], input)));
        read.filter(|(quantity, go, _)| ours(quantity) != *go).map(|(_, _, input)| input).collect()
    }

    #[test]
    fn the_same_texts_are_refused_as_in_go() {
        for (input, go) in vectors() {
            assert_eq!(parse(&input).is_err(), go.is_none(), "{input:?}");
        }
    }

    #[test]
    fn texts_and_numbers_are_those_of_go_but_for_its_overflows() {
        assert_eq!(differing(0, Quantity::to_string), inputs(&[CANONICAL_FROM_10_TO_THE_21]));
        assert_eq!(differing(1, |quantity| quantity.format().name().into()), inputs(&[]));
        let milli = inputs(&[MILLI_BEYOND_64_BITS, MILLI_OF_NEGATIVE_FRACTIONS]);
        assert_eq!(differing(2, |quantity| quantity.milli().to_string()), milli);
        let value = inputs(&[VALUE_BEYOND_64_BITS, VALUE_OF_NEGATIVE_FRACTIONS]);
        assert_eq!(differing(3, |quantity| quantity.value().to_string()), value);
    }

    #[test]
    fn numbers_beyond_64_bits_saturate_in_their_direction() {
        for input in inputs(&[MILLI_BEYOND_64_BITS]) {
            let bound = if input.starts_with('-') { i64::MIN } else { i64::MAX };
            assert_eq!(parse(&input).map(|quantity| quantity.milli()), Ok(bound), "{input:?}");
        }
    }

    #[test]
    fn negative_fractions_go_away_from_zero() {
        for (input, milli, value) in
            [("-0.1n", -1, -1), ("-498.696820473m", -499, -1), ("-0.1Ki", -102_400, -103), ("-1001m", -1001, -2)]
        {
            let quantity = parse(input).expect(input);
            assert_eq!((quantity.milli(), quantity.value()), (milli, value), "{input:?}");
        }
    }

    #[test]
    fn measured_numbers_become_milli_units() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.001, "1001m"),
            (12.345, "12345m"),
            (2.0, "2"),
            (0.0005, "1m"),
            (-0.0005, "-1m"),
            (1_500_000.0, "1500k"),
            (0.1 + 0.2, "300m"),
            (1e15, "1P"),
            (9_223_372_036_854_774.0, "9223372036854774"),
        ] {
            let quantity = Quantity::from_f64(number).expect("finite");
            assert_eq!((quantity.to_string().as_str(), quantity.is_clamped()), (text, false), "{number}");
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Quantity::from_f64(number), None);
        }
    }

    #[test]
    fn numbers_too_large_for_the_autoscaler_are_cut_and_say_so() {
        for (number, text) in
            [(1e16, "9223372036854775807m"), (f64::MAX, "9223372036854775807m"), (f64::MIN, "-9223372036854775807m")]
        {
            let quantity = Quantity::from_f64(number).expect("finite");
            assert_eq!((quantity.to_string().as_str(), quantity.is_clamped()), (text, true), "{number}");
        }
    }

    #[test]
    fn errors_say_what_was_expected_and_seen() {
        assert_eq!(parse(""), Err(Error::Empty));
        assert_eq!(parse("1K"), Err(Error::Suffix("K".into())));
        assert_eq!(parse("1 "), Err(Error::Suffix(" ".into())));
        assert_eq!(
            parse("1e101").expect_err("too large").to_string(),
            "expected an exponent from -100 to 100, found \"e101\""
        );
        assert_eq!(parse("1e-99999999999999999999"), Err(Error::Exponent("e-99999999999999999999".into())));
    }

    #[test]
    fn the_extremes_of_the_grammar_are_read() {
        for (input, canonical) in [
            ("1e100", "10e99"),
            ("1e-100", "1e-9"),
            ("-1e-100", "-1e-9"),
            ("1e00000000000000000000003", "1e3"),
            ("0e99", "0"),
            ("-16Ei", "-9223372036854775807"),
            ("00000000000000000000000000000000000000001Ki", "1Ki"),
            ("99999999999999999999999999999999999999999Ei", "9223372036854775807"),
        ] {
            assert_eq!(parse(input).map(|quantity| quantity.to_string()), Ok(canonical.into()), "{input:?}");
        }
        let long = "9".repeat(100_000);
        assert_eq!(parse(&long).map(|quantity| quantity.to_string()), Ok(long));
    }

    #[test]
    fn exponents_are_written_as_far_as_they_are_read() {
        for (input, canonical) in [
            ("1000e99", "1000e99"),
            ("9990000e3", "9990e6"),
            ("-120000E+98", "-12000e99"),
            ("9999999999999999000000000000E+99", "9999999999999999000000000000e99"),
        ] {
            let quantity = parse(input).expect(input);
            assert_eq!(quantity.to_string(), canonical);
            assert_eq!(parse(canonical).as_ref(), Ok(&quantity), "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_milli_units(number in -1e17..1e17_f64) {
            let quantity = Quantity::from_f64(number).expect("finite");
            let exact = parse(&format!("{number:.30}")).expect("decimal text").milli();
            let milli = quantity.milli();
            prop_assert!(quantity.is_clamped() || milli.abs_diff(exact) <= 1, "{} {}", milli, exact);
            let again = parse(&quantity.to_string()).expect("canonical text");
            prop_assert_eq!((again.milli(), again.to_string()), (milli, quantity.to_string()));
        }

        #[test]
        fn canonical_text_is_canonical(
            text in "[+-]?[0-9]{0,25}(\\.[0-9]{0,12})?([numkMGTPE]|[KMGTPE]i|e[+-]?[0-9]{1,2})?",
        ) {
            if let Ok(quantity) = parse(&text) {
                let canonical = quantity.to_string();
                let again = parse(&canonical).expect("canonical text");
                prop_assert_eq!(again.to_string(), canonical);
                prop_assert_eq!((again.milli(), again.value()), (quantity.milli(), quantity.value()));
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[0-9eE.+\\-KiMnu ]{0,12}|\\PC{0,6}") {
            let _ = parse(&text).map(|quantity| (quantity.to_string(), quantity.milli(), quantity.value()));
        }
    }

    /// Input, and canonical text, format, milli-units and units as Go gives them, or nothing where it refuses.
    fn vectors() -> impl Iterator<Item = (String, Option<[&'static str; 4]>)> {
        VECTORS.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let input = serde_json::from_str(cells[0]).expect("inputs are quoted");
            let field = |index: usize| cells[index].split_once('=').expect("cells are named").1;
            (input, (cells[1] != "ERR").then(|| [3, 4, 5, 6].map(field)))
        })
    }
}
