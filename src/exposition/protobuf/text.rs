//! Series as the text format writes them: the key of a series is the same, whatever the format of the page.
//!
//! In: names, label values and numbers. Out: the text that Go's client library (`expfmt`) writes for them.

use std::fmt::Write;

use crate::exposition::series;

/// Writes `name="value"`, behind a comma if it is not the first.
pub(super) fn push_label(block: &mut String, name: &str, value: &str) {
    if !block.is_empty() {
        block.push(',');
    }
    if is_plain_label(name) {
        block.push_str(name);
    } else {
        push_quoted(block, name);
    }
    block.push('=');
    push_quoted(block, value);
}

/// `name{labels}`; a name that cannot stand before the braces stands in quotes within.
pub(super) fn series(name: &str, labels: &str, last: Option<(&str, f64)>) -> String {
    let mut out = String::with_capacity(name.len() + labels.len() + 32);
    if series::plain_name_length(name) == name.len() {
        out.push_str(name);
        if labels.is_empty() && last.is_none() {
            return out;
        }
        out.push('{');
    } else {
        out.push('{');
        push_quoted(&mut out, name);
        if !labels.is_empty() || last.is_some() {
            out.push(',');
        }
    }
    out.push_str(labels);
    if let Some((label, number)) = last {
        let comma = if labels.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(out, "{comma}{label}=\"");
        push_number(&mut out, number);
        out.push('"');
    }
    out.push('}');
    out
}

/// The shortest digits that read back as the number, with an exponent below 1e-4 and from 1e+06 on (`'g'` of Go's
/// `strconv.AppendFloat`).
pub(super) fn push_number(out: &mut String, number: f64) {
    if number.is_nan() || number.is_infinite() {
        out.push_str(if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        });
        return;
    }
    if number == 0.0 {
        out.push('0');
        return;
    }
    let size = number.abs();
    let written = if (1e-4..1e6).contains(&size) { write!(out, "{number}") } else { push_scientific(out, number) };
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
}

/// `1e+06`: the exponent has a sign and at least two digits.
fn push_scientific(out: &mut String, number: f64) -> std::fmt::Result {
    let start = out.len();
    write!(out, "{number:e}")?;
    let at = out[start..].find('e').map_or(out.len(), |at| start + at);
    let exponent = out.split_off(at);
    let digits = exponent.trim_start_matches(['e', '-']);
    let sign = if exponent.contains('-') { '-' } else { '+' };
    write!(out, "e{sign}{digits:0>2}")
}

fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    if text.contains(['\\', '"', '\n']) {
        for char in text.chars() {
            match char {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                plain => out.push(plain),
            }
        }
    } else {
        out.push_str(text);
    }
    out.push('"');
}

fn is_plain_label(name: &str) -> bool {
    series::plain_name_length(name) == name.len() && !name.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (0.5, "0.5"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (100_000.0, "100000"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (1e21, "1e+21"),
            (1e-300, "1e-300"),
            (-2.5e7, "-2.5e+07"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::from_bits(1), "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = String::from("x");
            push_number(&mut out, number);
            assert_eq!(out, format!("x{expected}"));
        }
    }

    #[test]
    fn series_are_written_as_go_writes_them() {
        let mut labels = String::new();
        push_label(&mut labels, "a", "x\"y\\z\n");
        push_label(&mut labels, "b.c", "");
        push_label(&mut labels, "d:e", "é");
        for (name, labels, last, expected) in [
            ("m", "", None, "m"),
            ("m", "a=\"b\"", None, "m{a=\"b\"}"),
            ("m", "", Some(("le", 0.5)), "m{le=\"0.5\"}"),
            (
                "m:n",
                labels.as_str(),
                Some(("le", 1.0)),
                "m:n{a=\"x\\\"y\\\\z\\n\",\"b.c\"=\"\",\"d:e\"=\"é\",le=\"1\"}",
            ),
            ("m.n", "", None, "{\"m.n\"}"),
            ("9", "a=\"b\"", Some(("quantile", 0.99)), "{\"9\",a=\"b\",quantile=\"0.99\"}"),
        ] {
            assert_eq!(series(name, labels, last), expected);
        }
    }

    proptest! {
        #[test]
        fn numbers_read_back_to_the_bit(number: f64) {
            prop_assume!(number.is_finite());
            let mut out = String::new();
            push_number(&mut out, number);
            prop_assert_eq!(out.parse::<f64>(), Ok(number));
        }
    }
}
