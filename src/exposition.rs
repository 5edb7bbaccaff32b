//! The exposition formats: text 0.0.4 and OpenMetrics 1.0.
//!
//! In: the bytes of one page. Out: its wanted sample lines and the types of its families in page order, or one
//! error with its line. Lines that nobody wants are checked cheaply and never decoded; nothing is allocated per line.
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
mod sample;
mod series;

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr_iter};

use crate::model::Timestamp;
pub use metadata::FamilyType;
use metadata::Metadata;
use names::Names;
pub use series::{LabelError, labels};

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4, with the quoted names of 1.0.0. Timestamps are milliseconds.
    Text,
    /// OpenMetrics 1.0. Timestamps are seconds, exemplars are allowed, `# EOF` is required.
    OpenMetrics,
}

/// One sample line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'p> {
    /// Counted from 1.
    pub number: usize,
    /// Name and label block as they stand in the page: what [`labels`] decodes, and a key that stays the same from
    /// scrape to scrape as long as the target writes the series the same way.
    pub series: &'p str,
    /// Metric name of the sample, with its suffix (`_bucket`, `_total`).
    pub name: Cow<'p, str>,
    pub value: f64,
    /// Time given by the target; most give none.
    pub timestamp: Option<Timestamp>,
}

/// What a page says, in its order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'p> {
    /// A sample whose name is wanted.
    Sample(Line<'p>),
    /// A `# TYPE` line, of any family. In OpenMetrics the family `x` of a counter has samples named `x_total`.
    Type { family: Cow<'p, str>, kind: FamilyType },
}

/// What a page held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines of any kind.
    pub lines: usize,
    /// Sample lines, wanted or not.
    pub samples: usize,
    /// Sample lines handed out.
    pub wanted: usize,
}

/// Why a page is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Counted from 1; 0 when the reason is not in the page (its content type).
    pub line: usize,
    pub kind: ErrorKind,
    message: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Something else altogether: HTML, JSON, an error message in plain text.
    NotExposition,
    /// OpenMetrics without its last line `# EOF`.
    Truncated,
    /// OpenMetrics with text after `# EOF`.
    TextAfterEnd,
    /// A line that the format does not allow.
    Syntax,
    /// Bytes that are not UTF-8, or a byte order mark in OpenMetrics.
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
    /// The name in quotes that came last and whether it is wanted.
    last_quoted: (Cow<'p, str>, bool),
    /// A sample or metadata line has been read: the page is an exposition.
    recognised: bool,
    ended: bool,
}

/// Reads a page. `wanted` is asked by sample name and must not change its mind; `event` gets the wanted samples and
/// all types in page order.
///
/// # Errors
/// The first line that cannot be read fails the page, as in Prometheus. Events of the lines before it have been
/// handed out by then; the caller drops them.
pub fn read<'p>(
    page: &'p [u8],
    format: Format,
    wanted: impl FnMut(&str) -> bool,
    event: impl FnMut(Event<'p>),
) -> Result<Summary, Error> {
    let text = decode(page, format)?;
    let mut reader = Reader {
        format,
        wanted,
        event,
        summary: Summary::default(),
        names: Names::new(),
        last_quoted: (Cow::Borrowed(""), false),
        recognised: false,
        ended: false,
    };
    reader.page(text)?;
    Ok(reader.summary)
}

// === impl Format ===

impl Format {
    /// The format that a `Content-Type` header announces. No header, binary data of unknown type and unknown text
    /// are read as text.
    ///
    /// # Errors
    /// [`ErrorKind::NotExposition`] for a type that can hold neither format, such as `text/html`.
    pub fn of_content_type(header: Option<&str>) -> Result<Self, Error> {
        let media = header.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let (kind, subtype) = media.split_once('/').unwrap_or(("text", "plain"));
        match (kind, subtype) {
            ("application", "openmetrics-text") => Ok(Self::OpenMetrics),
            ("text", "html" | "xml" | "css" | "javascript" | "json") => Err(Error::content_type(&media)),
            ("text", _) | ("application", "octet-stream") => Ok(Self::Text),
            _ => Err(Error::content_type(&media)),
        }
    }
}

// === impl Reader ===

impl<'p, W: FnMut(&str) -> bool, E: FnMut(Event<'p>)> Reader<'p, W, E> {
    fn page(&mut self, text: &'p str) -> Result<(), Error> {
        let mut rest = text;
        while !rest.is_empty() {
            self.summary.lines += 1;
            let (line, next) = match memchr(b'\n', rest.as_bytes()) {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => (rest, ""),
            };
            self.line(line).map_err(|fault| self.locate(fault, line))?;
            rest = next;
        }
        if self.format == Format::OpenMetrics && !self.ended {
            let fault = Fault::new(ErrorKind::Truncated, "the page is cut off: its last line is not \"# EOF\"");
            return Err(fault.at(self.summary.lines));
        }
        Ok(())
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
            Metadata::Described => {}
            Metadata::End => self.ended = true,
            Metadata::Type { family, kind } => (self.event)(Event::Type { family, kind }),
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
            return Ok(());
        }
        let (series, rest) = series::split(line, name.len())?;
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
            let number = self.summary.lines;
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
        let message =
            format!("expected text/plain or application/openmetrics-text, found content type {}", found(media));
        Fault::new(ErrorKind::NotExposition, message).at(0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
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
        Error { line, kind: self.kind, message: self.message }
    }
}

/// The page as text, without a byte order mark.
fn decode(page: &[u8], format: Format) -> Result<&str, Error> {
    let text = std::str::from_utf8(page).map_err(|error| {
        let (good, bad) = page.split_at(error.valid_up_to());
        let line = memchr_iter(b'\n', good).count() + 1;
        let message = format!("expected UTF-8, found byte 0x{:02x}", bad.first().copied().unwrap_or(0));
        Fault::new(ErrorKind::Encoding, message).at(line)
    })?;
    match (text.strip_prefix('\u{feff}'), format) {
        (None, _) => Ok(text),
        (Some(text), Format::Text) => Ok(text),
        (Some(_), Format::OpenMetrics) => {
            Err(Fault::new(ErrorKind::Encoding, "found a byte order mark, which OpenMetrics forbids").at(1))
        }
    }
}

/// Whether the text behind an unwanted name is beyond doubt as far as a look at its end can tell: one or two plain
/// numbers, behind a closing brace if there are labels. Anything rarer (NaN, damage) is left to the full reading.
#[inline]
fn skimmed(rest: &[u8]) -> bool {
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
