//! Names and label blocks: where a series ends in its line, and what it says.
//!
//! In: the text from the start of a series on. Out: its extent (for every line that is read) or its decoded labels
//! (once per series, since callers remember them). Never here: an allocation while only the extent is asked for.

use std::borrow::Cow;

use memchr::memchr2;

use super::{Fault, is_blank, skip_blanks};
use crate::model::{Labels, excerpt};

/// Why the text of a series does not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    #[error("expected each label once, found {0:?} twice")]
    Duplicate(String),
    #[error("{0}")]
    Syntax(Box<str>),
}

/// One part of a label block, as written.
enum Part<'s> {
    /// A quoted string that stands alone: the metric name.
    Name(&'s str),
    Label(&'s str, &'s str),
}

/// Decodes the text of a series ([`super::Line::series`]) into its metric name and labels.
///
/// # Errors
/// [`LabelError::Duplicate`] when a label stands twice; [`LabelError::Syntax`] for text that is no series.
pub fn labels(series: &str) -> Result<(String, Labels), LabelError> {
    let (name, pairs) = decode(series).map_err(|fault| LabelError::Syntax(fault.message))?;
    let mut pairs: Vec<(Box<str>, Box<str>)> =
        pairs.into_iter().map(|(name, value)| (unescape(name).into(), unescape(value).into())).collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    if pairs.first().is_some_and(|_| pairs.iter().any(|(label, _)| &**label == "__name__")) {
        return Err(LabelError::Duplicate("__name__".into()));
    }
    if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(LabelError::Duplicate(excerpt(&twice[0].0)));
    }
    // An empty label is the same as none (Prometheus data model).
    pairs.retain(|(_, value)| !value.is_empty());
    Ok((name.into_owned(), Labels::new(pairs)))
}

/// The name at the start of a line.
pub(super) fn plain_name(line: &str) -> Result<&str, Fault> {
    match plain_name_length(line) {
        0 => Err(Fault::expected("a metric name", line)),
        length => Ok(&line[..length]),
    }
}

/// How many bytes of a name stand at the start of the text; zero when it cannot start one.
pub(super) fn plain_name_length(text: &str) -> usize {
    let length = text.bytes().take_while(|byte| is_name(*byte)).count();
    if text.starts_with(|first: char| first.is_ascii_digit()) { 0 } else { length }
}

#[inline]
pub(super) fn is_name(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & (IN_LABEL | COLON) != 0
}

/// Splits a line behind its series, where the name takes `name` bytes.
pub(super) fn split(line: &str, name: usize) -> Result<(&str, &str), Fault> {
    let rest = &line[name..];
    let block = skip_blanks(rest);
    match rest.as_bytes().first() {
        Some(b'{' | b' ' | b'\t') if block.starts_with('{') => {
            let start = line.len() - block.len();
            Ok(line.split_at(start + unnamed_block_end(block)?))
        }
        Some(b' ' | b'\t') => Ok((&line[..name], block)),
        None => Err(Fault::expected("a number after the series", "")),
        Some(_) => Err(Fault::expected("a blank or \"{\" after the metric name", rest)),
    }
}

/// Splits a line that starts with `{` into name, series and the text behind it.
pub(super) fn split_quoted(line: &str) -> Result<(Cow<'_, str>, &str, &str), Fault> {
    let mut names = (None, 0);
    let end = walk(line, |part| {
        if let Part::Name(name) = part {
            names = (Some(name), names.1 + 1);
        }
    })?;
    let (series, rest) = line.split_at(end);
    match names {
        (Some(name), 1) => Ok((unescape(name), series, rest)),
        (None, _) => Err(Fault::expected("a metric name before the labels or in quotes among them", line)),
        _ => Err(Fault::expected("one metric name", line)),
    }
}

/// The end of a label block that must not hold a metric name.
pub(super) fn unnamed_block_end(block: &str) -> Result<usize, Fault> {
    let mut extra = None;
    let end = walk(block, |part| {
        if let Part::Name(name) = part {
            extra = Some(name);
        }
    })?;
    match extra {
        None => Ok(end),
        Some(name) => Err(Fault::expected("\"=\" after a label name in quotes", name)),
    }
}

/// The family name of a metadata line, plain or in quotes, and what follows it.
pub(super) fn family<'s>(text: &'s str, keyword: &str) -> Result<(Cow<'s, str>, &'s str), Fault> {
    if text.starts_with('"') {
        let end = quoted_end(text, 0)?;
        return Ok((unescape(&text[1..end - 1]), &text[end..]));
    }
    match plain_name_length(text) {
        0 => Err(Fault::expected(&format!("a metric name after {keyword}"), text)),
        length => Ok((Cow::Borrowed(&text[..length]), &text[length..])),
    }
}

/// A metric name and the pairs of its label block, as written.
type Raw<'s> = (Cow<'s, str>, Vec<(&'s str, &'s str)>);

fn decode(series: &str) -> Result<Raw<'_>, Fault> {
    let plain = plain_name_length(series);
    let block = skip_blanks(&series[plain..]);
    let mut name = (plain > 0).then(|| Cow::Borrowed(&series[..plain]));
    let mut pairs = Vec::new();
    if plain > 0 && block.is_empty() {
        return Ok((name.unwrap_or_default(), pairs));
    }
    if !block.starts_with('{') {
        return Err(Fault::expected("a metric name and labels in braces", series));
    }
    let mut named_twice = false;
    let end = walk(block, |part| match part {
        Part::Name(quoted) => named_twice |= name.replace(unescape(quoted)).is_some(),
        Part::Label(label, value) => pairs.push((label, value)),
    })?;
    match name {
        Some(name) if !named_twice && end == block.len() => Ok((name, pairs)),
        _ => Err(Fault::expected("one metric name and nothing behind its labels", series)),
    }
}

/// Goes through a label block that starts with `{` and returns where it ends.
fn walk<'s>(block: &'s str, mut part: impl FnMut(Part<'s>)) -> Result<usize, Fault> {
    let bytes = block.as_bytes();
    let mut at = 1;
    loop {
        at = skip(bytes, at);
        if bytes.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        let (name, end) = label_name(block, at)?;
        let quoted = bytes[at] == b'"';
        at = skip(bytes, end);
        if bytes.get(at) == Some(&b'=') {
            at = skip(bytes, at + 1);
            let end = quoted_end(block, at)?;
            part(Part::Label(name, &block[at + 1..end - 1]));
            at = skip(bytes, end);
        } else if quoted {
            part(Part::Name(name));
        } else {
            return Err(Fault::expected("\"=\" after the label name", &block[at..]));
        }
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => {}
            _ => return Err(Fault::expected("\",\" or \"}\" in the labels", &block[at..])),
        }
    }
}

/// The name at `at`, as written without its quotes, and where it ends.
fn label_name(block: &str, at: usize) -> Result<(&str, usize), Fault> {
    let bytes = &block.as_bytes()[at..];
    match bytes.first() {
        Some(b'"') => {
            let end = quoted_end(block, at)?;
            match &block[at + 1..end - 1] {
                "" => Err(Fault::expected("a name in quotes", &block[at..])),
                name => Ok((name, end)),
            }
        }
        Some(first) if CLASSES[usize::from(*first)] & LABEL_START != 0 => {
            let length = bytes.iter().take_while(|byte| CLASSES[usize::from(**byte)] & IN_LABEL != 0).count();
            Ok((&block[at..at + length], at + length))
        }
        _ => Err(Fault::expected("a label name or \"}\"", &block[at..])),
    }
}

/// The end of the quoted string that starts at `at`.
fn quoted_end(text: &str, at: usize) -> Result<usize, Fault> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return Err(Fault::expected("a value in double quotes after \"=\"", &text[at..]));
    }
    let mut from = at + 1;
    while let Some(found) = bytes.get(from..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if bytes[from + found] == b'"' {
            return Ok(from + found + 1);
        }
        // The byte after a backslash means itself, quote or not.
        from += found + 2;
    }
    Err(Fault::expected("a closing quote in the line", &text[at..]))
}

fn skip(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| is_blank(*byte)) {
        at += 1;
    }
    at
}

/// Replaces `\\`, `\"` and `\n`. Any other character keeps its backslash, as in Prometheus.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(quoted @ ('\\' | '"')) => out.push(quoted),
            other => out.extend(['\\'].into_iter().chain(other)),
        }
    }
    Cow::Owned(out)
}

/// What a byte may be part of.
const CLASSES: [u8; 256] = classes();
const LABEL_START: u8 = 1;
const IN_LABEL: u8 = 2;
const COLON: u8 = 4;

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => LABEL_START | IN_LABEL,
            b'0'..=b'9' => IN_LABEL,
            b':' => COLON,
            _ => 0,
        };
        byte += 1;
    }
    classes
}
