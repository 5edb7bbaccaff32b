//! Lines that start with `#`: type, help, unit, the end mark and free comments.

use std::borrow::Cow;

use super::{ErrorKind, Fault, Format, found, is_blank, series, skip_blanks, word};

/// The type of a metric family, with the names of OpenMetrics. `untyped` of the text format is [`Self::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FamilyType {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
    Unknown,
}

#[derive(Debug, PartialEq)]
pub(super) enum Metadata<'p> {
    /// Says nothing about any family.
    Comment,
    Help {
        family: Cow<'p, str>,
        text: Cow<'p, str>,
    },
    Unit {
        family: Cow<'p, str>,
        unit: &'p str,
    },
    Type {
        family: Cow<'p, str>,
        kind: FamilyType,
    },
    /// `# EOF` of OpenMetrics.
    End,
}

// === impl FamilyType ===

impl FamilyType {
    /// The name as exposition formats write it, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            "unknown" | "untyped" => Self::Unknown,
            _ => return None,
        })
    }
}

/// Reads a line that starts with `#`.
pub(super) fn read(line: &str, format: Format) -> Result<Metadata<'_>, Fault> {
    if !line[1..].starts_with([' ', '\t']) {
        return Ok(Metadata::Comment);
    }
    let (keyword, rest) = word(&line[1..]);
    let rest = skip_blanks(rest);
    match (keyword, rest, format) {
        ("EOF", "", Format::OpenMetrics) => Ok(Metadata::End),
        ("HELP" | "TYPE", "", _) => Ok(Metadata::Comment),
        ("TYPE", _, _) => family_type(rest),
        ("HELP", _, _) => help(rest, format),
        ("UNIT", _, Format::OpenMetrics) => unit(rest),
        _ => Ok(Metadata::Comment),
    }
}

fn family_type(rest: &str) -> Result<Metadata<'_>, Fault> {
    let (family, rest) = series::family(rest, "TYPE")?;
    let text = rest.trim_matches([' ', '\t']);
    let kind = FamilyType::parse(text).ok_or_else(|| Fault::expected("a metric type after the name", text))?;
    Ok(Metadata::Type { family, kind })
}

/// The text of a help line starts behind one blank after the name.
fn help(rest: &str, format: Format) -> Result<Metadata<'_>, Fault> {
    let (family, rest) = series::family(rest, "HELP")?;
    let text = rest.strip_prefix(|first: char| first.is_ascii() && is_blank(first as u8)).unwrap_or(rest);
    Ok(Metadata::Help { family, text: unescape(text, format) })
}

/// A unit is the end of the family's name (OpenMetrics 1.0, "Unit"); none is written as nothing.
fn unit(rest: &str) -> Result<Metadata<'_>, Fault> {
    let (family, rest) = series::family(rest, "UNIT")?;
    let unit = rest.trim_matches([' ', '\t']);
    if unit.is_empty() || family.strip_suffix(unit).is_some_and(|before| before.ends_with('_')) {
        return Ok(Metadata::Unit { family, unit });
    }
    let message = format!("expected a unit that ends the name {} behind \"_\", found {}", found(&family), found(unit));
    Err(Fault::new(ErrorKind::Syntax, message))
}

/// Replaces `\\` and `\n`, in OpenMetrics `\"` too. Any other character keeps its backslash, as in Prometheus.
fn unescape(text: &str, format: Format) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, chars.clone().next()) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('\\')) => out.push('\\'),
            ('\\', Some('"')) if format == Format::OpenMetrics => out.push('"'),
            _ => {
                out.push(char);
                continue;
            }
        }
        chars.next();
    }
    Cow::Owned(out)
}
