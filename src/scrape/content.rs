//! What is wanted of a page, read whole before any of it is stored.

use std::borrow::Cow;

use crate::client::Page;
use crate::exposition::{self, Event, FamilyType, Format, HistogramLine, Line};
use crate::storage::{Failure, FailureReason, Point, Points, Wanted};

/// The wanted part of a page.
pub(super) struct Content<'p> {
    lines: Vec<Line<'p>>,
    histograms: Vec<HistogramLine<'p>>,
    gauge_histograms: Vec<Cow<'p, str>>,
    /// Samples of the page, wanted or not.
    pub samples_scraped: usize,
}

// === impl Content ===

impl<'p> Content<'p> {
    /// Reads a page; of wanted samples no more than `series_max` and one, which is enough to see that there are more.
    ///
    /// # Errors
    /// [`Failure`] when the page is no exposition, is damaged, has no samples, or may be cut off.
    pub(super) fn read(page: &'p Page, wanted: &Wanted, series_max: usize) -> Result<Self, Failure> {
        let format = Format::of_content_type(page.content_type.as_deref()).map_err(|error| malformed(&error))?;
        check_end(page, format)?;
        let mut content =
            Self { lines: Vec::new(), histograms: Vec::new(), gauge_histograms: Vec::new(), samples_scraped: 0 };
        let event = |event| match event {
            Event::Sample(line) if content.lines.len() <= series_max => content.lines.push(line),
            Event::Histogram(line) if content.histograms.len() <= series_max => content.histograms.push(line),
            Event::Type { family, kind: FamilyType::GaugeHistogram }
                if wanted.contains(&family) && !content.gauge_histograms.contains(&family) =>
            {
                content.gauge_histograms.push(family);
            }
            _ => {}
        };
        let summary = exposition::read(&page.body, format, |name| wanted.contains(name), event)
            .map_err(|error| malformed(&error))?;
        if summary.samples == 0 {
            return Err(Failure::new(FailureReason::Exposition, "the page has no samples at all"));
        }
        content.samples_scraped = summary.samples;
        Ok(content)
    }

    /// The samples as they are stored.
    pub(super) fn points(&self) -> Points<'_> {
        let Self { lines, histograms, gauge_histograms, .. } = self;
        let floats = lines.iter().map(|line| Point {
            name: &line.name,
            series: &line.series,
            value: line.value,
            timestamp: line.timestamp,
        });
        let histograms = histograms.iter().map(|line| Point {
            name: &line.name,
            series: &line.series,
            value: line.histogram.clone(),
            timestamp: line.timestamp,
        });
        // A gauge histogram is read under its base name or as classic buckets.
        let names = |family: &Cow<'p, str>| [Cow::Owned(format!("{family}_bucket")), Cow::Owned(family.to_string())];
        let gauges = gauge_histograms.iter().flat_map(names).collect();
        Points { floats: floats.collect(), histograms: histograms.collect(), gauges }
    }
}

/// A page that ends where the connection does looks the same when the target died within it.
fn check_end(page: &Page, format: Format) -> Result<(), Failure> {
    let message = match format {
        _ if page.delimited => return Ok(()),
        Format::Protobuf => {
            "the answer does not tell its length, so a page that is cut between two families looks whole"
        }
        Format::Text | Format::OpenMetrics if page.body.ends_with(b"\n") => return Ok(()),
        Format::Text | Format::OpenMetrics => {
            "the answer does not tell its length and ends within a line, so its last number may be cut"
        }
    };
    Err(Failure::new(FailureReason::Body, message))
}

fn malformed(error: &exposition::Error) -> Failure {
    Failure::new(FailureReason::Exposition, error.to_string())
}
