//! What stands behind the series of a sample line: value, timestamp and, in OpenMetrics, an exemplar.

use super::{Fault, Format, number, series, skip_blanks, word};
use crate::model::Timestamp;

/// Value and timestamp from the text behind the series.
pub(super) fn value_and_time(rest: &str, format: Format) -> Result<(f64, Option<Timestamp>), Fault> {
    let (token, rest) = word(rest);
    let value = number::value(token).ok_or_else(|| Fault::expected("a number after the series", token))?;
    let (token, rest) = match word(rest) {
        ("", _) => return Ok((value, None)),
        (token, _) if format == Format::OpenMetrics && token.starts_with('#') => ("", skip_blanks(rest)),
        (token, rest) => (token, skip_blanks(rest)),
    };
    let timestamp = if token.is_empty() { None } else { Some(timestamp(token, format)?) };
    match rest.as_bytes().first() {
        None => Ok((value, timestamp)),
        Some(b'#') if format == Format::OpenMetrics => exemplar(&rest[1..]).map(|()| (value, timestamp)),
        Some(_) => Err(Fault::expected("the end of the line after the timestamp", rest)),
    }
}

fn timestamp(token: &str, format: Format) -> Result<Timestamp, Fault> {
    let (read, expected) = match format {
        Format::OpenMetrics => (number::seconds(token), "a timestamp in seconds after the value"),
        _ => (number::milliseconds(token), "a timestamp in whole milliseconds after the value"),
    };
    read.ok_or_else(|| Fault::expected(expected, token))
}

/// Checks the exemplar behind its `#`: labels, a number and perhaps a time. Nobody uses it.
fn exemplar(text: &str) -> Result<(), Fault> {
    let text = skip_blanks(text);
    if !text.starts_with('{') {
        return Err(Fault::expected("\"{\" after the \"#\" of an exemplar", text));
    }
    let end = series::unnamed_block_end(text)?;
    let (token, rest) = word(&text[end..]);
    number::value(token).ok_or_else(|| Fault::expected("a number after the labels of the exemplar", token))?;
    let (token, rest) = word(rest);
    if !token.is_empty() {
        timestamp(token, Format::OpenMetrics)?;
    }
    match word(rest) {
        ("", _) => Ok(()),
        (extra, _) => Err(Fault::expected("the end of the line after the exemplar", extra)),
    }
}
