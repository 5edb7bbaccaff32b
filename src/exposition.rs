//! The exposition formats: text 0.0.4, OpenMetrics 1.0 and protobuf.
//!
//! In: the bytes of one page. Out: its wanted samples and what it says of its families in page order, or one
//! error with its place. Lines and families that nobody wants are checked cheaply and never decoded; nothing is allocated
//! per line of text.
//! Never here: I/O, clocks, and a page that is no exposition counted as one without samples.
//!
//! Where the formats leave room, what Prometheus reads is read. More lenient than Prometheus: CRLF, a byte order
//! mark before text, hexadecimal numbers, blanks anywhere and several of them, blank lines, free comments and a comma
//! behind the last label in OpenMetrics, negative timestamps in text, the type names of both formats in both. Not
//! checked: help, units, and whether a sample may have an exemplar. Stricter: labels are separated by commas and stand
//! once even if they are empty, newlines in values are escaped, the whole page is UTF-8, a NUL byte does not end it,
//! milliseconds fit 64 bits, and the content type can hold metrics. `tests/differential/cases.rs` has a row for each.

mod metadata;
mod names;
mod number;
mod protobuf;
mod sample;
mod series;

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr_iter, memrchr};

use crate::model::{NativeHistogram, Timestamp};
pub use metadata::FamilyType;
use metadata::Metadata;
use names::Names;
use series::Splitter;
pub use series::{LabelBuffer, LabelError, labels};

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4, with the quoted names of 1.0.0. Timestamps are milliseconds.
    Text,
    /// OpenMetrics 1.0. Timestamps are seconds, exemplars are allowed, `# EOF` is required.
    OpenMetrics,
    /// Messages `io.prometheus.client.MetricFamily` with their lengths before them: the only format with native
    /// histograms. Timestamps are milliseconds.
    Protobuf,
}

/// One sample line, or what would be one if the page were text.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'p> {
    /// Counted from 1; in protobuf the number of the family.
    pub number: usize,
    /// Name and label block as they stand in the page: what [`labels`] decodes, and a key that stays the same from
    /// scrape to scrape as long as the target writes the series the same way. From protobuf it is written as Go's
    /// client library writes the same series in text, so the key does not change with the format either.
    pub series: Cow<'p, str>,
    /// Metric name of the sample, with its suffix (`_bucket`, `_total`).
    pub name: Cow<'p, str>,
    pub value: f64,
    /// Time given by the target; most give none.
    pub timestamp: Option<Timestamp>,
}

/// A native histogram. Its classic buckets, sum and count are samples beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramLine<'p> {
    /// The number of the family, counted from 1.
    pub number: usize,
    /// As [`Line::series`], with the base name.
    pub series: Cow<'p, str>,
    /// Name of the family.
    pub name: Cow<'p, str>,
    pub histogram: NativeHistogram,
    /// Time given by the target; most give none.
    pub timestamp: Option<Timestamp>,
}

/// What a page says, in its order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'p> {
    /// A sample whose name is wanted.
    Sample(Line<'p>),
    /// A native histogram whose base name is wanted.
    Histogram(HistogramLine<'p>),
    /// The type of any family. In OpenMetrics the family `x` of a counter has samples named `x_total`.
    Type { family: Cow<'p, str>, kind: FamilyType },
    /// The help of any family.
    Help { family: Cow<'p, str>, text: Cow<'p, str> },
    /// The unit of any family that has one: the end of its name.
    Unit { family: Cow<'p, str>, unit: Cow<'p, str> },
}

/// What a page held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines of any kind; in protobuf families.
    pub lines: usize,
    /// Sample lines, wanted or not. In protobuf what would be one, a native histogram that is wanted, or a metric of a
    /// family of which nothing is wanted: its inside is not looked at.
    pub samples: usize,
    /// Sample lines and native histograms handed out.
    pub wanted: usize,
}

/// Why a page is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Counted from 1; 0 when the reason is not in the page (its content type). In protobuf the number of the family.
    pub line: usize,
    pub kind: ErrorKind,
    /// `line 3`, or `family 3 (up)`; empty when the reason is not in the page.
    place: Box<str>,
    message: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Something else altogether: HTML, JSON, an error message in plain text.
    NotExposition,
    /// OpenMetrics without its last line `# EOF`, or protobuf that ends within a family.
    Truncated,
    /// OpenMetrics with text after `# EOF`.
    TextAfterEnd,
    /// A line or message that the format does not allow, or a histogram that contradicts itself.
    Syntax,
    /// Text that is not UTF-8, or a byte order mark in OpenMetrics.
    Encoding,
}

/// An [`Error`] that does not know its line yet.
#[derive(Debug, PartialEq)]
struct Fault {
    kind: ErrorKind,
    message: Box<str>,
}

struct Reader<'p, W, E> {
    format: Format,
    wanted: W,
    event: E,
    summary: Summary,
    names: Names<'p>,
    splitter: Splitter<'p>,
    /// The name of the last line if it is not wanted and the line was skimmed.
    unwanted: &'p str,
    /// The name in quotes that came last and whether it is wanted.
    last_quoted: (Cow<'p, str>, bool),
    /// A sample or metadata line has been read: the page is an exposition.
    recognised: bool,
    ended: bool,
}

/// Reads a page. `wanted` is asked by sample name, for native histograms by base name, and must not change its mind;
/// `event` gets the wanted samples and all types, helps and units in page order.
///
/// # Errors
/// The first line or family that cannot be read fails the page, as in Prometheus. Events of what stands before it have
/// been handed out by then; the caller drops them.
pub fn read<'p>(
    page: &'p [u8],
    format: Format,
    wanted: impl FnMut(&str) -> bool,
    event: impl FnMut(Event<'p>),
) -> Result<Summary, Error> {
    if format == Format::Protobuf {
        return protobuf::read(page, wanted, event);
    }
    let mut reader = Reader {
        format,
        wanted,
        event,
        summary: Summary::default(),
        names: Names::new(),
        splitter: Splitter::default(),
        unwanted: "",
        last_quoted: (Cow::Borrowed(""), false),
        recognised: false,
        ended: false,
    };
    reader.page(page)?;
    Ok(reader.summary)
}

// === impl Format ===

impl Format {
    /// The format that a `Content-Type` header announces. No header, binary data of unknown type and unknown text
    /// are read as text.
    ///
    /// # Errors
    /// [`ErrorKind::NotExposition`] for a type that can hold no format, such as `text/html`, and for protobuf of other
    /// messages or in another encoding.
    pub fn of_content_type(header: Option<&str>) -> Result<Self, Error> {
        let mut parts = header.unwrap_or("").split(';');
        let media = parts.next().unwrap_or("").trim().to_ascii_lowercase();
        let (kind, subtype) = media.split_once('/').unwrap_or(("text", "plain"));
        match (kind, subtype) {
            ("application", "openmetrics-text") => Ok(Self::OpenMetrics),
            ("application", "vnd.google.protobuf") => protobuf::check_parameters(parts).map(|()| Self::Protobuf),
            ("text", "html" | "xml" | "css" | "javascript" | "json") => Err(Error::content_type(&media)),
            ("text", _) | ("application", "octet-stream") => Ok(Self::Text),
            _ => Err(Error::content_type(&media)),
        }
    }
}

// === impl Reader ===

impl<'p, W: FnMut(&str) -> bool, E: FnMut(Event<'p>)> Reader<'p, W, E> {
    fn page(&mut self, page: &'p [u8]) -> Result<(), Error> {
        let mut rest = self.skip_byte_order_mark(page)?;
        while !rest.is_empty() {
            let (lines, next) = rest.split_at(part_end(rest));
            let lines = utf8(lines).map_err(|(line, fault)| fault.at(self.summary.lines + line))?;
            self.lines(lines)?;
            rest = next;
        }
        if self.format == Format::OpenMetrics && !self.ended {
            let fault = Fault::new(ErrorKind::Truncated, "the page is cut off: its last line is not \"# EOF\"");
            return Err(fault.at(self.summary.lines));
        }
        Ok(())
    }

    fn skip_byte_order_mark(&self, page: &'p [u8]) -> Result<&'p [u8], Error> {
        match (page.strip_prefix(b"\xef\xbb\xbf"), self.format) {
            (Some(_), Format::OpenMetrics) => {
                Err(Fault::new(ErrorKind::Encoding, "found a byte order mark, which OpenMetrics forbids").at(1))
            }
            (without_mark, _) => Ok(without_mark.unwrap_or(page)),
        }
    }

    fn lines(&mut self, mut rest: &'p str) -> Result<(), Error> {
        while !rest.is_empty() {
            self.summary.lines += 1;
            let (line, next) = match memchr(b'\n', rest.as_bytes()) {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => (rest, ""),
            };
            self.line(line).map_err(|fault| self.locate(fault, line))?;
            rest = self.skip_unwanted(next);
        }
        Ok(())
    }

    /// Goes over the lines that have the unwanted name of the line before, as far as they are beyond doubt.
    fn skip_unwanted(&mut self, rest: &'p str) -> &'p str {
        let name = std::mem::take(&mut self.unwanted).as_bytes();
        if name.is_empty() {
            return rest;
        }
        let (mut at, mut skipped) = (0, 0);
        while names::starts_with(&rest.as_bytes()[at..], name) {
            let line = &rest.as_bytes()[at + name.len()..];
            let Some(end) = memchr(b'\n', line) else { break };
            if !skimmed(line[..end].strip_suffix(b"\r").unwrap_or(&line[..end])) {
                break;
            }
            at += name.len() + end + 1;
            skipped += 1;
        }
        self.summary.lines += skipped;
        self.summary.samples += skipped;
        &rest[at..]
    }

    fn line(&mut self, line: &'p str) -> Result<(), Fault> {
        let line = skip_blanks(line.strip_suffix('\r').unwrap_or(line));
        match line.as_bytes().first() {
            None => Ok(()),
            Some(_) if self.ended => Err(Fault::new(
                ErrorKind::TextAfterEnd,
                format!("expected nothing after \"# EOF\", found {}", found(line)),
            )),
            Some(b'#') => self.comment(line),
            Some(b'{') => self.quoted(line),
            Some(_) => self.plain(line),
        }
    }

    fn comment(&mut self, line: &'p str) -> Result<(), Fault> {
        match metadata::read(line, self.format)? {
            Metadata::Comment => return Ok(()),
            Metadata::End => self.ended = true,
            Metadata::Type { family, kind } => (self.event)(Event::Type { family, kind }),
            Metadata::Help { family, text } => (self.event)(Event::Help { family, text }),
            Metadata::Unit { family, unit } => (self.event)(Event::Unit { family, unit: Cow::Borrowed(unit) }),
        }
        self.recognised = true;
        Ok(())
    }

    /// A line that starts with its name.
    fn plain(&mut self, line: &'p str) -> Result<(), Fault> {
        let (name, keep) = match self.names.find(line) {
            Some(known) => known,
            None => self.ask(series::plain_name(line)?),
        };
        self.summary.samples += 1;
        if !keep && self.recognised && skimmed(&line.as_bytes()[name.len()..]) {
            self.unwanted = name;
            return Ok(());
        }
        let (series, rest) = self.splitter.split(line, name.len())?;
        self.sample(Cow::Borrowed(name), keep, series, rest)
    }

    fn ask(&mut self, name: &'p str) -> (&'p str, bool) {
        let keep = (self.wanted)(name);
        self.names.keep(name, keep);
        (name, keep)
    }

    /// A line whose name is in quotes and braces: `{"http.requests",code="200"} 1`.
    fn quoted(&mut self, line: &'p str) -> Result<(), Fault> {
        let (name, series, rest) = series::split_quoted(line)?;
        if self.last_quoted.0 != name {
            let keep = (self.wanted)(&name);
            self.last_quoted = (name.clone(), keep);
        }
        self.summary.samples += 1;
        self.sample(name, self.last_quoted.1, series, rest)
    }

    /// Reads what follows the series, and hands the sample out if it is wanted.
    fn sample(&mut self, name: Cow<'p, str>, keep: bool, series: &'p str, rest: &'p str) -> Result<(), Fault> {
        let (value, timestamp) = sample::value_and_time(rest, self.format)?;
        self.recognised = true;
        if keep {
            self.summary.wanted += 1;
            let (number, series) = (self.summary.lines, Cow::Borrowed(series));
            (self.event)(Event::Sample(Line { number, series, name, value, timestamp }));
        }
        Ok(())
    }

    /// Tells a damaged line of an exposition from a page that is something else.
    fn locate(&self, fault: Fault, line: &str) -> Error {
        if self.recognised || fault.kind != ErrorKind::Syntax || !is_foreign(line.trim()) {
            return fault.at(self.summary.lines);
        }
        let message = format!("expected an exposition page, found text that starts with {}", found(line.trim()));
        Fault::new(ErrorKind::NotExposition, message).at(self.summary.lines)
    }
}

// === impl Error ===

impl Error {
    fn content_type(media: &str) -> Self {
        let message = format!("expected {MEDIA}, found content type {}", found(media));
        Fault::new(ErrorKind::NotExposition, message).at(0)
    }
}

/// The types that hold an exposition.
const MEDIA: &str = "text/plain, application/openmetrics-text or application/vnd.google.protobuf";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

// === impl Fault ===

impl Fault {
    #[cold]
    fn new(kind: ErrorKind, message: impl Into<Box<str>>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A syntax error where `expected` should stand before `rest`.
    #[cold]
    fn expected(expected: &str, rest: &str) -> Self {
        Self::new(ErrorKind::Syntax, format!("expected {expected}, found {}", found(rest)))
    }

    fn at(self, line: usize) -> Error {
        let place = if line > 0 { format!("line {line}") } else { String::new() };
        Error { line, kind: self.kind, place: place.into(), message: self.message }
    }
}

/// Where a part of the page ends that is whole lines and small enough to stay in the nearest caches while it is looked
/// at twice, as bytes and as lines.
fn part_end(page: &[u8]) -> usize {
    const PART_BYTES: usize = 32 << 10;
    let Some((part, rest)) = page.split_at_checked(PART_BYTES) else { return page.len() };
    let end = memrchr(b'\n', part).or_else(|| memchr(b'\n', rest).map(|end| part.len() + end));
    end.map_or(page.len(), |end| end + 1)
}

/// Lines as text; otherwise what is wrong in which of them, counted from 1.
fn utf8(lines: &[u8]) -> Result<&str, (usize, Fault)> {
    // The position of what is wrong takes a second look.
    simdutf8::basic::from_utf8(lines).or_else(|_| std::str::from_utf8(lines)).map_err(|error| {
        let (good, bad) = lines.split_at(error.valid_up_to());
        let message = format!("expected UTF-8, found byte 0x{:02x}", bad.first().copied().unwrap_or(0));
        (memchr_iter(b'\n', good).count() + 1, Fault::new(ErrorKind::Encoding, message))
    })
}

/// Whether the text behind an unwanted name is beyond doubt as far as a look at its end can tell: one or two plain
/// numbers, behind a closing brace if there are labels. Anything rarer (NaN, damage) is left to the full reading.
#[inline(always)]
fn skimmed(rest: &[u8]) -> bool {
    rest.first() == Some(&b'{') && number::ends_in_brace_and_digits(rest) || ends_in_numbers(rest)
}

fn ends_in_numbers(rest: &[u8]) -> bool {
    let Some(before) = number::before_plain_tail(rest) else {
        return false;
    };
    match rest.first() {
        Some(b'{') => before.last() == Some(&b'}'),
        Some(b' ' | b'\t') => before.is_empty() || before.last() == Some(&b'}') && opens_with_brace(before),
        _ => false,
    }
}

fn opens_with_brace(text: &[u8]) -> bool {
    text.iter().find(|byte| !is_blank(**byte)) == Some(&b'{')
}

/// Whether the first line of substance, which is no sample, does not even resemble one.
fn is_foreign(line: &str) -> bool {
    if let Some(inside) = line.strip_prefix('{') {
        let inside = inside.trim_start();
        return inside.is_empty()
            || inside.starts_with(['}', '{', '['])
            || inside.contains("\":")
            || inside.contains("\" :");
    }
    let rest = &line[series::plain_name_length(line)..];
    let mut words = rest.split_ascii_whitespace().peekable();
    match words.peek() {
        Some(first) if rest.len() < line.len() => {
            !first.starts_with('{') && words.any(|word| word.starts_with(char::is_alphabetic))
        }
        _ => !line.starts_with('#'),
    }
}

#[inline]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[inline]
fn skip_blanks(text: &str) -> &str {
    let blanks = text.bytes().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    &text[blanks..]
}

/// The next word, empty at the end of the line, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = skip_blanks(text);
    let length = text.bytes().position(is_blank).unwrap_or(text.len());
    text.split_at(length)
}

/// What stands in the way, quoted and cut to a readable length.
fn found(rest: &str) -> String {
    const SHOWN_MAX: usize = 40;
    match rest.char_indices().nth(SHOWN_MAX) {
        None if rest.is_empty() => "the end of the line".into(),
        None => format!("{rest:?}"),
        Some((end, _)) => format!("{:?}…", &rest[..end]),
    }
}

#[cfg(test)]
mod tests;
