//! Names and label blocks: where a series ends in its line, and what it says.
//!
//! In: the text from the start of a series on. Out: its extent (for every line that is read) or its decoded labels.
//! Lines that follow one another mostly differ near their ends, so a walk starts where its text parts from the one
//! before. Never here: an allocation per line.

use std::borrow::Cow;

use memchr::memchr;

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

/// Decodes one series after the other ([`super::Line::series`]) in memory that it keeps: once it has grown to the size
/// of the largest series, nothing is allocated. Of a series that starts as the one before only the rest is decoded.
#[derive(Default)]
pub struct LabelBuffer {
    /// The series decoded last.
    text: String,
    /// The length of the plain metric name at its start; zero when the name is in quotes.
    plain: usize,
    parts: Vec<Decoded>,
    /// The names and values that have escapes, without them and one behind the other.
    unescaped: String,
}

/// Finds where the series of one line after the other ends.
#[derive(Default)]
pub(super) struct Splitter<'p> {
    /// The line split last.
    line: &'p str,
    /// Behind each comma of its label block, where the next part may be.
    commas: Vec<usize>,
}

/// One part of a label block.
#[derive(Clone, Copy)]
struct Part {
    name: Extent,
    /// Empty where there is none.
    value: Extent,
    /// A label, or a quoted string that stands alone: the metric name.
    is_label: bool,
    /// Behind its comma, where the next part may be; [`LAST`] without a comma.
    next: usize,
}

const LAST: usize = usize::MAX;

/// The label that the metric name is in the data model, which no series may have beside it.
const METRIC_NAME: &str = "__name__";

/// A stretch of a text, without its quotes.
#[derive(Clone, Copy)]
struct Extent {
    start: usize,
    end: usize,
    /// Whether there is a backslash in it.
    escaped: bool,
}

/// One part of the series of a [`LabelBuffer`]. Extents with escapes are in the unescaped text.
#[derive(Clone, Copy)]
struct Decoded {
    part: Part,
    /// The length of the unescaped text up to this part.
    unescaped: usize,
}

/// Decodes the text of a series ([`super::Line::series`]) into its metric name and labels.
///
/// # Errors
/// [`LabelError::Duplicate`] when a label stands twice; [`LabelError::Syntax`] for text that is no series.
pub fn labels(series: &str) -> Result<(String, Labels), LabelError> {
    let mut buffer = LabelBuffer::default();
    let (name, pairs) = buffer.decode(series)?;
    Ok((name.to_owned(), Labels::new(pairs)))
}

// === impl LabelBuffer ===

impl LabelBuffer {
    /// The metric name and the labels of a series, in the order in which they are written. A label with an empty
    /// value is the same as none (Prometheus data model) and left out.
    ///
    /// # Errors
    /// As those of [`labels`].
    pub fn decode(&mut self, series: &str) -> Result<(&str, impl Iterator<Item = (&str, &str)>), LabelError> {
        self.forget_from(series);
        let known = self.parts.len();
        let wrong = match self.read(series) {
            Ok(()) => self.taken_name(known).map(|name| LabelError::Duplicate(excerpt(&name))),
            Err(fault) => Some(LabelError::Syntax(fault.message)),
        };
        if let Some(error) = wrong {
            self.parts.clear();
            return Err(error);
        }
        let labels = self.parts.iter().map(|decoded| &decoded.part).filter(|part| part.value.start < part.value.end);
        Ok((self.name(), labels.map(|part| (self.text(part.name), self.text(part.value)))))
    }

    /// Drops the parts that the next series does not have in the same place, and takes its text.
    fn forget_from(&mut self, series: &str) {
        let same = common_prefix(self.text.as_bytes(), series.as_bytes());
        while self.parts.last().is_some_and(|decoded| decoded.part.next > same) {
            self.parts.pop();
        }
        let kept = self.kept().unwrap_or(0);
        self.text.truncate(kept);
        self.text.push_str(&series[kept..]);
        self.unescaped.truncate(self.parts.last().map_or(0, |decoded| decoded.unescaped));
    }

    /// Where the parts end that are there already.
    fn kept(&self) -> Option<usize> {
        self.parts.last().map(|decoded| decoded.part.next)
    }

    /// Reads what follows the parts that are there already.
    fn read(&mut self, series: &str) -> Result<(), Fault> {
        if self.parts.is_empty() {
            self.plain = plain_name_length(series);
        }
        let block = skip_blanks(&series[self.plain..]);
        let end = match block.as_bytes().first() {
            Some(b'{') => self.read_block(series, series.len() - block.len() + 1)?,
            None if self.plain > 0 => series.len(),
            _ => return Err(Fault::expected("a metric name and labels in braces", series)),
        };
        let quoted = self.parts.iter().filter(|decoded| !decoded.part.is_label).count();
        if usize::from(self.plain > 0) + quoted != 1 || end < series.len() {
            return Err(Fault::expected("one metric name and nothing behind its labels", series));
        }
        Ok(())
    }

    /// Reads the rest of the label block whose first part may be at `start`.
    fn read_block(&mut self, series: &str, start: usize) -> Result<usize, Fault> {
        let start = self.kept().unwrap_or(start);
        walk(series, start, |mut part| {
            for extent in [&mut part.name, &mut part.value] {
                if extent.escaped {
                    let start = self.unescaped.len();
                    unescape_onto(&mut self.unescaped, extent.of(series));
                    (extent.start, extent.end) = (start, self.unescaped.len());
                }
            }
            self.parts.push(Decoded { part, unescaped: self.unescaped.len() });
        })
    }

    #[inline]
    fn text(&self, extent: Extent) -> &str {
        extent.of(if extent.escaped { &self.unescaped } else { &self.text })
    }

    /// The metric name of a series that has one.
    fn name(&self) -> &str {
        if self.plain > 0 {
            return &self.text[..self.plain];
        }
        let name = self.parts.iter().find(|decoded| !decoded.part.is_label);
        name.map_or("", |decoded| self.text(decoded.part.name))
    }

    /// A label name that stands twice or stands for the metric name. The first `known` parts have none.
    fn taken_name(&self, known: usize) -> Option<&str> {
        /// More labels than this are sorted, which takes memory that is not kept.
        const COMPARED_MAX: usize = 64;
        let labels = || self.parts.iter().map(|decoded| &decoded.part).enumerate().filter(|(_, part)| part.is_label);
        let name = |part: &Part| self.text(part.name);
        if self.parts.len() > COMPARED_MAX {
            let mut sorted: Vec<_> = labels().map(|(_, part)| name(part)).chain([METRIC_NAME]).collect();
            sorted.sort_unstable();
            return sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        }
        let is_same = |a: &Part, b: &Part| a.name.length() == b.name.length() && name(a) == name(b);
        let is_taken = |(at, part): &(usize, &Part)| {
            let mut before = self.parts[..*at].iter().map(|decoded| &decoded.part).filter(|part| part.is_label);
            before.any(|before| is_same(before, part)) || name(part) == METRIC_NAME
        };
        labels().skip_while(|(at, _)| *at < known).find(is_taken).map(|(_, part)| name(part))
    }
}

// === impl Splitter ===

impl<'p> Splitter<'p> {
    /// Splits a line behind its series, where the name takes `name` bytes.
    pub(super) fn split(&mut self, line: &'p str, name: usize) -> Result<(&'p str, &'p str), Fault> {
        let rest = &line[name..];
        let block = skip_blanks(rest);
        match rest.as_bytes().first() {
            Some(b'{' | b' ' | b'\t') if block.starts_with('{') => {
                Ok(line.split_at(self.block_end(line, line.len() - block.len() + 1)?))
            }
            Some(b' ' | b'\t') => Ok((&line[..name], block)),
            None => Err(Fault::expected("a number after the series", "")),
            Some(_) => Err(Fault::expected("a blank or \"{\" after the metric name", rest)),
        }
    }

    /// The end of the label block whose first part may be at `start`. What the line before had in the same places is
    /// known to be in order.
    fn block_end(&mut self, line: &'p str, start: usize) -> Result<usize, Fault> {
        let same = common_prefix(self.line.as_bytes(), line.as_bytes());
        self.line = line;
        while self.commas.last().is_some_and(|comma| *comma > same) {
            self.commas.pop();
        }
        let start = self.commas.last().copied().unwrap_or(start);
        unnamed_block_end(line, start, |comma| self.commas.push(comma))
    }
}

// === impl Extent ===

impl Extent {
    #[inline]
    fn length(self) -> usize {
        self.end - self.start
    }

    #[inline]
    fn of(self, text: &str) -> &str {
        &text[self.start..self.end]
    }

    fn decoded(self, text: &str) -> Cow<'_, str> {
        if !self.escaped {
            return Cow::Borrowed(self.of(text));
        }
        let mut decoded = String::with_capacity(self.length());
        unescape_onto(&mut decoded, self.of(text));
        Cow::Owned(decoded)
    }
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

/// Splits a line that starts with `{` into name, series and the text behind it.
pub(super) fn split_quoted(line: &str) -> Result<(Cow<'_, str>, &str, &str), Fault> {
    let mut names = (None, 0);
    let end = walk(line, 1, |part| {
        if !part.is_label {
            names = (Some(part.name), names.1 + 1);
        }
    })?;
    let (series, rest) = line.split_at(end);
    match names {
        (Some(name), 1) => Ok((name.decoded(line), series, rest)),
        (None, _) => Err(Fault::expected("a metric name before the labels or in quotes among them", line)),
        _ => Err(Fault::expected("one metric name", line)),
    }
}

/// The end of a label block that must not hold a metric name, from `at` on, where a part or the end may stand.
/// `comma` gets the positions behind the commas.
#[inline]
pub(super) fn unnamed_block_end(text: &str, at: usize, mut comma: impl FnMut(usize)) -> Result<usize, Fault> {
    let mut extra = None;
    let end = walk(text, at, |part| {
        if !part.is_label {
            extra = Some(part.name);
        }
        if part.next != LAST {
            comma(part.next);
        }
    })?;
    match extra {
        None => Ok(end),
        Some(name) => Err(Fault::expected("\"=\" after a label name in quotes", name.of(text))),
    }
}

/// The family name of a metadata line, plain or in quotes, and what follows it.
pub(super) fn family<'s>(text: &'s str, keyword: &str) -> Result<(Cow<'s, str>, &'s str), Fault> {
    if text.starts_with('"') {
        let name = quoted(text, 0)?;
        return Ok((name.decoded(text), &text[name.end + 1..]));
    }
    match plain_name_length(text) {
        0 => Err(Fault::expected(&format!("a metric name after {keyword}"), text)),
        length => Ok((Cow::Borrowed(&text[..length]), &text[length..])),
    }
}

/// Goes through a label block from `at` on, where a part or the end may stand, and returns where it ends.
#[inline(always)]
fn walk(text: &str, mut at: usize, mut found: impl FnMut(Part)) -> Result<usize, Fault> {
    let bytes = text.as_bytes();
    loop {
        at = skip(bytes, at);
        if bytes.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        let (name, end) = label_name(text, at)?;
        at = skip(bytes, end);
        let is_label = bytes.get(at) == Some(&b'=');
        let value = match is_label {
            true => quoted(text, skip(bytes, at + 1))?,
            false if end > name.end => Extent { start: at, end: at, escaped: false },
            false => return Err(Fault::expected("\"=\" after the label name", &text[at..])),
        };
        at = skip(bytes, value.end + usize::from(is_label));
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => {
                found(Part { name, value, is_label, next: LAST });
                return Ok(at + 1);
            }
            _ => return Err(Fault::expected("\",\" or \"}\" in the labels", &text[at..])),
        }
        found(Part { name, value, is_label, next: at });
    }
}

/// The name at `at`, and where it ends with its quotes.
#[inline(always)]
fn label_name(text: &str, at: usize) -> Result<(Extent, usize), Fault> {
    let bytes = &text.as_bytes()[at..];
    match bytes.first() {
        Some(b'"') => match quoted(text, at)? {
            name if name.start == name.end => Err(Fault::expected("a name in quotes", &text[at..])),
            name => Ok((name, name.end + 1)),
        },
        Some(first) if CLASSES[usize::from(*first)] & LABEL_START != 0 => {
            let length = bytes.iter().take_while(|byte| CLASSES[usize::from(**byte)] & IN_LABEL != 0).count();
            Ok((Extent { start: at, end: at + length, escaped: false }, at + length))
        }
        _ => Err(Fault::expected("a label name or \"}\"", &text[at..])),
    }
}

/// What stands between the quotes of the string that starts at `at`.
#[inline(always)]
fn quoted(text: &str, at: usize) -> Result<Extent, Fault> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return Err(Fault::expected("a value in double quotes after \"=\"", &text[at..]));
    }
    let (mut from, mut escaped) = (at + 1, false);
    while let Some(found) = bytes.get(from..).and_then(quote_or_backslash) {
        if bytes[from + found] == b'"' {
            return Ok(Extent { start: at + 1, end: from + found, escaped });
        }
        // The byte after a backslash means itself, quote or not.
        from += found + 2;
        escaped = true;
    }
    Err(Fault::expected("a closing quote in the line", &text[at..]))
}

/// How many bytes at the start are the same.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const WORD: usize = size_of::<u128>();
    let ((words_a, _), (words_b, _)) = (a.as_chunks::<WORD>(), b.as_chunks::<WORD>());
    for (at, (a, b)) in words_a.iter().zip(words_b).enumerate() {
        let different = u128::from_le_bytes(*a) ^ u128::from_le_bytes(*b);
        if different != 0 {
            return at * WORD + different.trailing_zeros() as usize / 8;
        }
    }
    // What is left of the shorter one, looked at together with equal bytes before it.
    let (a, b) = (&a[..a.len().min(b.len())], &b[..a.len().min(b.len())]);
    match (a.last_chunk(), b.last_chunk()) {
        (Some(end_a), Some(end_b)) => {
            let different = u128::from_le_bytes(*end_a) ^ u128::from_le_bytes(*end_b);
            a.len() - WORD + different.trailing_zeros() as usize / 8
        }
        _ => a.iter().zip(b).take_while(|(a, b)| a == b).count(),
    }
}

/// The first quote or backslash.
#[inline]
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    /// The top bit of each zero byte, and perhaps of bytes above the first one.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & (ONES << 7)
    }
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ u64::from_ne_bytes([b'"'; 8])) | zeros(word ^ u64::from_ne_bytes([b'\\'; 8]));
        if found != 0 {
            return Some((at * 64 + found.trailing_zeros() as usize) / 8);
        }
    }
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    found.map(|at| bytes.len() - rest.len() + at)
}

fn skip(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| is_blank(*byte)) {
        at += 1;
    }
    at
}

/// Appends a text with `\\`, `\"` and `\n` replaced. Any other character keeps its backslash, as in Prometheus.
fn unescape_onto(out: &mut String, mut text: &str) {
    while let Some(at) = memchr(b'\\', text.as_bytes()) {
        out.push_str(&text[..at]);
        let (kept, char) = match text.as_bytes().get(at + 1) {
            Some(b'n') => (at + 2, "\n"),
            Some(b'\\') => (at + 2, "\\"),
            Some(b'"') => (at + 2, "\""),
            _ => (at + 1, "\\"),
        };
        out.push_str(char);
        text = &text[kept..];
    }
    out.push_str(text);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn looks_at_many_bytes_at_once_find_what_looks_at_each_byte_find(
            start in prop::collection::vec(any::<u8>(), 0..70), a in prop::collection::vec(0_u8..3, 0..20), b in prop::collection::vec(0_u8..3, 0..20)
        ) {
            let quote = start.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(quote_or_backslash(&start), quote);
            let (a, b) = ([start.as_slice(), &a].concat(), [start.as_slice(), &b].concat());
            prop_assert_eq!(common_prefix(&a, &b), a.iter().zip(&b).take_while(|(a, b)| a == b).count());
        }
    }
}
