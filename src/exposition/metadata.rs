//! Lines that start with `#`: type, help, unit, the end mark and free comments.

use std::borrow::Cow;

use super::{Fault, Format, series, skip_blanks, word};

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
    /// Help or unit of a family.
    Described,
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
        ("HELP", _, _) | ("UNIT", _, Format::OpenMetrics) => series::family(rest, keyword).map(|_| Metadata::Described),
        _ => Ok(Metadata::Comment),
    }
}

fn family_type(rest: &str) -> Result<Metadata<'_>, Fault> {
    let (family, rest) = series::family(rest, "TYPE")?;
    let text = rest.trim_matches([' ', '\t']);
    let kind = FamilyType::parse(text).ok_or_else(|| Fault::expected("a metric type after the name", text))?;
    Ok(Metadata::Type { family, kind })
}
