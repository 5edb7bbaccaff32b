//! The protobuf format: `io.prometheus.client.MetricFamily` (`metrics.proto` of prometheus/client_model), one message
//! after the other, each behind its length.
//!
//! In: the bytes of one page. Out: samples as the text format names them, and native histograms. Families that nobody
//! wants are skipped by the lengths of their metrics. Never here: recursion, trust in a length, and generated text without
//! a bound.

mod native;
mod text;
mod wire;

use std::borrow::Cow;

use super::{Error, ErrorKind, Event, FamilyType, Fault, HistogramLine, Line, Summary, found};
use crate::model::{NativeHistogram, Timestamp, excerpt};
use native::Native;
use wire::{Content, Fields};

/// Bytes of generated series and buckets of one page. Labels stand once in a message, but in each of the lines made of
/// it, so that a small page could fill the memory; 64 MiB are what a page of text may have by default.
const GENERATED_MAX: usize = 64 << 20;

/// What `Content-Type` says beside the media type.
const PROTO: &str = "io.prometheus.client.MetricFamily";
const ENCODING: &str = "delimited";

struct Reader<'p, W, E> {
    wanted: W,
    event: E,
    summary: Summary,
    /// The name of the family that is being read.
    name: &'p str,
    /// Space for names, labels and buckets, kept from one to the next.
    scratch: String,
    labels: String,
    native: Native,
    /// Bytes generated so far.
    generated: usize,
}

/// What a family says of all its metrics.
struct Family<'p> {
    name: &'p str,
    kind: Kind,
    metrics: usize,
}

/// `MetricType` of `metrics.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Summary,
    Untyped,
    Histogram,
    GaugeHistogram,
}

/// The names of a family's samples that are wanted.
#[derive(Debug, Default)]
struct Names {
    /// Of the family itself: plain samples, quantiles or native histograms.
    base: bool,
    sum: Option<String>,
    count: Option<String>,
    bucket: Option<String>,
    created: Option<String>,
}

/// One metric: what its samples have in common.
struct Metric<'p> {
    /// The message with the values.
    message: &'p [u8],
    timestamp: Option<Timestamp>,
    labels: String,
}

/// The fields of a histogram message beside its buckets.
#[derive(Default)]
struct Totals<'p> {
    count: u64,
    count_float: f64,
    sum: f64,
    created: Option<&'p [u8]>,
}

/// See [`super::read`].
pub(super) fn read<'p>(
    page: &'p [u8],
    wanted: impl FnMut(&str) -> bool,
    event: impl FnMut(Event<'p>),
) -> Result<Summary, Error> {
    let mut reader = Reader {
        wanted,
        event,
        summary: Summary::default(),
        name: "",
        scratch: String::new(),
        labels: String::new(),
        native: Native::default(),
        generated: 0,
    };
    let mut rest = page;
    while !rest.is_empty() {
        reader.summary.lines += 1;
        reader.name = "";
        rest = reader.delimited(rest).map_err(|fault| reader.locate(fault))?;
    }
    Ok(reader.summary)
}

/// Checks that the messages are metric families and written one after the other. Either parameter may be left out.
pub(super) fn check_parameters<'h>(parameters: impl Iterator<Item = &'h str>) -> Result<(), Error> {
    for (name, value) in parameters.filter_map(|parameter| parameter.split_once('=')) {
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
        let expected = match name.as_str() {
            "proto" => PROTO,
            "encoding" => ENCODING,
            _ => continue,
        };
        if !value.eq_ignore_ascii_case(expected) {
            let message = format!("expected protobuf with {name}={expected}, found {name}={}", found(value));
            return Err(Fault::new(ErrorKind::NotExposition, message).at(0));
        }
    }
    Ok(())
}

// === impl Reader ===

impl<'p, W: FnMut(&str) -> bool, E: FnMut(Event<'p>)> Reader<'p, W, E> {
    /// Reads the family at the start, and returns what follows it.
    fn delimited(&mut self, bytes: &'p [u8]) -> Result<&'p [u8], Fault> {
        let (message, rest) = wire::delimited(bytes)?;
        let family = self.family(message)?;
        let names = self.names(&family);
        if names.is_none() {
            self.summary.samples += family.metrics;
            return Ok(rest);
        }
        for field in Fields::of(message) {
            if let (4, content) = field? {
                let metric = self.metric(content.bytes()?, family.kind)?;
                self.samples(&family, &names, &metric)?;
                self.labels = metric.labels;
            }
        }
        Ok(rest)
    }

    /// Reads what a family says of all its metrics, which may stand in any order.
    fn family(&mut self, message: &'p [u8]) -> Result<Family<'p>, Fault> {
        let mut family = Family { name: "", kind: Kind::Counter, metrics: 0 };
        let (mut help, mut unit) = (None, "");
        for field in Fields::of(message) {
            match field? {
                (1, content) => family.name = content.text("the name")?,
                (2, content) => help = Some(content),
                (3, content) => family.kind = Kind::of(content.varint()?)?,
                (4, content) => family.metrics += content.bytes().map(|_| 1)?,
                (5, content) => unit = content.text("the unit")?,
                _ => {}
            }
            self.name = family.name;
        }
        if family.name.is_empty() {
            return Err(Fault::new(ErrorKind::Syntax, "expected a family with a name"));
        }
        let name = Cow::Borrowed(family.name);
        if let Some(help) = help {
            let text = Cow::Borrowed(help.text("the help")?);
            (self.event)(Event::Help { family: name.clone(), text });
        }
        (self.event)(Event::Type { family: name.clone(), kind: family.kind.family_type() });
        if !unit.is_empty() {
            (self.event)(Event::Unit { family: name, unit: Cow::Borrowed(unit) });
        }
        Ok(family)
    }

    /// Asks which samples of a family are wanted.
    fn names(&mut self, family: &Family<'_>) -> Names {
        let Family { name, kind, .. } = *family;
        let mut names = Names { base: (self.wanted)(name), ..Names::default() };
        if kind.has_parts() {
            names.sum = self.name_if_wanted(name, "_sum");
            names.count = self.name_if_wanted(name, "_count");
        }
        if kind.has_buckets() {
            names.bucket = self.name_if_wanted(name, "_bucket");
        }
        if kind == Kind::Counter || kind.has_parts() {
            let base = if kind == Kind::Counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
            names.created = self.name_if_wanted(base, "_created");
        }
        names
    }

    fn name_if_wanted(&mut self, base: &str, suffix: &str) -> Option<String> {
        self.scratch.clear();
        self.scratch.push_str(base);
        self.scratch.push_str(suffix);
        (self.wanted)(&self.scratch).then(|| self.scratch.clone())
    }

    /// Reads what the samples of a metric have in common.
    fn metric(&mut self, message: &'p [u8], kind: Kind) -> Result<Metric<'p>, Fault> {
        let mut labels = std::mem::take(&mut self.labels);
        labels.clear();
        let (mut values, mut timestamp) = (None, None);
        for field in Fields::of(message) {
            match field? {
                (1, content) => label(content.bytes()?, &mut labels)?,
                (6, content) => timestamp = Some(content.varint()? as i64),
                (number, content) if number == kind.field() => values = Some(content.bytes()?),
                _ => {}
            }
        }
        let message = values.ok_or_else(|| {
            let message =
                format!("expected a metric with the values of its type ({}), found none", kind.family_type().name());
            Fault::new(ErrorKind::Syntax, message)
        })?;
        // Zero means none, since encoders may leave it out (as in Prometheus).
        let timestamp = timestamp.filter(|time| *time != 0).map(Timestamp);
        Ok(Metric { message, timestamp, labels })
    }

    fn samples(&mut self, family: &Family<'p>, names: &Names, metric: &Metric<'p>) -> Result<(), Fault> {
        match family.kind {
            Kind::Counter | Kind::Gauge | Kind::Untyped => self.value(family, names, metric),
            Kind::Summary => self.summary(family, names, metric),
            Kind::Histogram | Kind::GaugeHistogram => self.histogram(family, names, metric),
        }
    }

    /// A counter, gauge or untyped metric.
    fn value(&mut self, family: &Family<'p>, names: &Names, metric: &Metric<'p>) -> Result<(), Fault> {
        let (mut value, mut created) = (0.0, None);
        for field in Fields::of(metric.message) {
            match field? {
                (1, content) => value = content.double()?,
                (3, content) if family.kind == Kind::Counter => created = Some(content.bytes()?),
                _ => {}
            }
        }
        self.sample(names.base.then_some(Cow::Borrowed(family.name)), metric, None, value)?;
        self.created(names, metric, created)
    }

    fn summary(&mut self, family: &Family<'p>, names: &Names, metric: &Metric<'p>) -> Result<(), Fault> {
        let mut totals = Totals::default();
        for field in Fields::of(metric.message) {
            match field? {
                (1, content) => totals.count = content.varint()?,
                (2, content) => totals.sum = content.double()?,
                (3, content) => {
                    let (quantile, value) = pair(content)?;
                    let name = names.base.then_some(Cow::Borrowed(family.name));
                    self.sample(name, metric, Some(("quantile", quantile)), value)?;
                }
                (4, content) => totals.created = Some(content.bytes()?),
                _ => {}
            }
        }
        self.totals(names, metric, &totals)
    }

    fn histogram(&mut self, family: &Family<'p>, names: &Names, metric: &Metric<'p>) -> Result<(), Fault> {
        let (mut classic, mut infinity, mut native) = (false, false, false);
        let mut totals = Totals::default();
        self.native.clear();
        for field in Fields::of(metric.message) {
            let (number, content) = field?;
            if number == 3 {
                let (bound, count) = bucket(content.bytes()?)?;
                classic = true;
                infinity |= bound == f64::INFINITY;
                self.bucket(names, metric, bound, count)?;
            } else if !totals.read(number, content)? {
                native |= NATIVE_FIELDS.contains(&number);
                if names.base {
                    self.native.read(number, content)?;
                }
            }
        }
        // Go's client leaves the last bucket out. A native histogram without classic buckets has none at all.
        if !infinity && (classic || !native) {
            self.bucket(names, metric, f64::INFINITY, totals.observations())?;
        }
        self.totals(names, metric, &totals)?;
        // Without a wish for it, it has not been read.
        if self.native.is_there() { self.native(family, metric, &totals) } else { Ok(()) }
    }

    fn bucket(&mut self, names: &Names, metric: &Metric<'p>, bound: f64, count: f64) -> Result<(), Fault> {
        self.sample(names.bucket.as_deref().map(owned), metric, Some(("le", bound)), count)
    }

    /// Sum, count and creation time of a summary or histogram.
    fn totals(&mut self, names: &Names, metric: &Metric<'p>, totals: &Totals<'p>) -> Result<(), Fault> {
        self.sample(names.sum.as_deref().map(owned), metric, None, totals.sum)?;
        self.sample(names.count.as_deref().map(owned), metric, None, totals.observations())?;
        self.created(names, metric, totals.created)
    }

    fn created(&mut self, names: &Names, metric: &Metric<'p>, created: Option<&[u8]>) -> Result<(), Fault> {
        match created.map(seconds).transpose()? {
            // Zero is not set, as for timestamps.
            None | Some(0.0) => Ok(()),
            Some(seconds) => self.sample(names.created.as_deref().map(owned), metric, None, seconds),
        }
    }

    fn native(&mut self, family: &Family<'p>, metric: &Metric<'p>, totals: &Totals<'_>) -> Result<(), Fault> {
        let series = text::series(family.name, &metric.labels, None);
        let built = self.native.build(totals.count, totals.count_float, totals.sum);
        let histogram = built.map_err(|fault| {
            Fault::new(fault.kind, format!("native histogram {}: {}", excerpt(&series), fault.message))
        })?;
        let buckets = histogram.positive.len() + histogram.negative.len();
        self.charge(series.len() + size_of::<NativeHistogram>() + buckets * size_of::<(i32, f64)>())?;
        self.summary.samples += 1;
        self.summary.wanted += 1;
        let (number, timestamp) = (self.summary.lines, metric.timestamp);
        let (series, name) = (Cow::Owned(series), Cow::Borrowed(family.name));
        (self.event)(Event::Histogram(HistogramLine { number, series, name, histogram, timestamp }));
        Ok(())
    }

    /// Counts a sample, and hands it out if its name is wanted.
    fn sample(
        &mut self,
        name: Option<Cow<'p, str>>,
        metric: &Metric<'p>,
        last: Option<(&str, f64)>,
        value: f64,
    ) -> Result<(), Fault> {
        self.summary.samples += 1;
        let Some(name) = name else {
            return Ok(());
        };
        let series = text::series(&name, &metric.labels, last);
        self.charge(series.len() + name.len())?;
        self.summary.wanted += 1;
        let (number, timestamp) = (self.summary.lines, metric.timestamp);
        (self.event)(Event::Sample(Line { number, series: Cow::Owned(series), name, value, timestamp }));
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.generated += bytes;
        if self.generated <= GENERATED_MAX {
            return Ok(());
        }
        let message = format!("expected wanted series that take up to {GENERATED_MAX} bytes as text, found more");
        Err(Fault::new(ErrorKind::Syntax, message))
    }

    fn locate(&self, fault: Fault) -> Error {
        let line = self.summary.lines;
        let name =
            if self.name.is_empty() { String::new() } else { format!(" ({})", excerpt(&self.name).escape_debug()) };
        Error { line, kind: fault.kind, place: format!("family {line}{name}").into(), message: fault.message }
    }
}

// === impl Kind ===

impl Kind {
    fn of(number: u64) -> Result<Self, Fault> {
        Ok(match number {
            0 => Self::Counter,
            1 => Self::Gauge,
            2 => Self::Summary,
            3 => Self::Untyped,
            4 => Self::Histogram,
            5 => Self::GaugeHistogram,
            _ => {
                let message = format!("expected a metric type from 0 (counter) to 5 (gauge histogram), found {number}");
                return Err(Fault::new(ErrorKind::Syntax, message));
            }
        })
    }

    /// The field of a metric that holds the values.
    fn field(self) -> u64 {
        match self {
            Self::Gauge => 2,
            Self::Counter => 3,
            Self::Summary => 4,
            Self::Untyped => 5,
            Self::Histogram | Self::GaugeHistogram => 7,
        }
    }

    fn family_type(self) -> FamilyType {
        match self {
            Self::Counter => FamilyType::Counter,
            Self::Gauge => FamilyType::Gauge,
            Self::Summary => FamilyType::Summary,
            Self::Untyped => FamilyType::Unknown,
            Self::Histogram => FamilyType::Histogram,
            Self::GaugeHistogram => FamilyType::GaugeHistogram,
        }
    }

    fn has_buckets(self) -> bool {
        matches!(self, Self::Histogram | Self::GaugeHistogram)
    }

    /// Whether the samples have the suffixes `_sum` and `_count`.
    fn has_parts(self) -> bool {
        self.has_buckets() || self == Self::Summary
    }
}

// === impl Names ===

impl Names {
    fn is_none(&self) -> bool {
        !self.base && [&self.sum, &self.count, &self.bucket, &self.created].iter().all(|name| name.is_none())
    }
}

// === impl Totals ===

impl<'p> Totals<'p> {
    /// Takes a field of a `Histogram` if it is one of these.
    fn read(&mut self, number: u64, content: Content<'p>) -> Result<bool, Fault> {
        match number {
            1 => self.count = content.varint()?,
            2 => self.sum = content.double()?,
            4 => self.count_float = content.double()?,
            15 => self.created = Some(content.bytes()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The count as a number, in the field of integers or of floats.
    fn observations(&self) -> f64 {
        float_or_integer(self.count_float, self.count)
    }
}

fn owned<'p>(name: &str) -> Cow<'p, str> {
    Cow::Owned(name.to_owned())
}

fn float_or_integer(float: f64, integer: u64) -> f64 {
    if float == 0.0 { integer as f64 } else { float }
}

/// Adds a `LabelPair` to a label block.
fn label(message: &[u8], block: &mut String) -> Result<(), Fault> {
    let (mut name, mut value) = ("", "");
    for field in Fields::of(message) {
        match field? {
            (1, content) => name = content.text("a label name")?,
            (2, content) => value = content.text("a label value")?,
            _ => {}
        }
    }
    if name.is_empty() {
        return Err(Fault::new(ErrorKind::Syntax, format!("expected a label with a name, found {}", found(value))));
    }
    text::push_label(block, name, value);
    Ok(())
}

/// The fields of a `Quantile`: which one, and its value.
fn pair(content: Content<'_>) -> Result<(f64, f64), Fault> {
    let (mut quantile, mut value) = (0.0, 0.0);
    for field in Fields::of(content.bytes()?) {
        match field? {
            (1, content) => quantile = content.double()?,
            (2, content) => value = content.double()?,
            _ => {}
        }
    }
    Ok((quantile, value))
}

/// The fields of a classic `Bucket`: its bound, and how many observations are at or below it.
fn bucket(message: &[u8]) -> Result<(f64, f64), Fault> {
    let (mut count, mut float, mut bound) = (0, 0.0, 0.0);
    for field in Fields::of(message) {
        match field? {
            (1, content) => count = content.varint()?,
            (2, content) => bound = content.double()?,
            (4, content) => float = content.double()?,
            _ => {}
        }
    }
    Ok((bound, float_or_integer(float, count)))
}

/// A `google.protobuf.Timestamp` in seconds.
fn seconds(message: &[u8]) -> Result<f64, Fault> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    for field in Fields::of(message) {
        match field? {
            (1, content) => seconds = content.varint()? as i64,
            (2, content) => nanoseconds = content.varint()? as i64,
            _ => {}
        }
    }
    Ok(seconds as f64 + nanoseconds as f64 / 1e9)
}

/// The fields of `Histogram` that only a native one has: zero bucket, spans, deltas and counts.
const NATIVE_FIELDS: std::ops::RangeInclusive<u64> = 6..=14;

#[cfg(test)]
mod tests;
