//! What must hold whatever the bytes are, per parser.
//!
//! In: one input. Out: nothing, or a panic that says which promise is broken. Two callers: the fuzz targets beside
//! this file, which invent inputs, and `tests/fuzz.rs`, which takes the committed seeds. Never here: files and clocks.

use std::collections::BTreeSet;
use std::path::Path;

use plimsoll::config;
use plimsoll::exposition::{self, ErrorKind, Event, FamilyType, Format, HistogramLine, LabelError, Line, Summary};
use plimsoll::model::field_selector::FieldSelector;
use plimsoll::model::selector::Selector;
use plimsoll::model::{Labels, Timestamp, native_histogram, quantity};

/// Bytes of an error message: an excerpt of 300 bytes, each of them escaped, and the words around it.
const MESSAGE_MAX: usize = 2_000;

// The exposition formats.

/// A page in the text format.
pub fn text(page: &[u8]) {
    page_of_lines(page, Format::Text);
}

/// A page in OpenMetrics.
pub fn openmetrics(page: &[u8]) {
    page_of_lines(page, Format::OpenMetrics);
}

/// A page in protobuf.
pub fn protobuf(page: &[u8]) {
    let all = Reading::of(page, Format::Protobuf, |_| true);
    all.does_not_depend_on_what_is_wanted(page, Format::Protobuf);
    // A family takes a byte at least: its length.
    assert!(all.end() <= page.len() && all.samples.is_sorted_by_key(|sample| sample.number), "{} bytes", page.len());
    for sample in &all.samples {
        is_written_as_in_text(sample);
        means_the_same_when_written_again(sample, Format::Text);
    }
    all.histograms.iter().for_each(is_a_histogram);
}

fn page_of_lines(page: &[u8], format: Format) {
    let all = Reading::of(page, format, |_| true);
    all.does_not_depend_on_what_is_wanted(page, format);
    let text = str::from_utf8(page).unwrap_or_default();
    let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').collect();
    assert!(page.split(|byte| *byte == b'\n').count() >= all.end(), "{:?} of {} lines", all.result, lines.len());
    assert!(all.samples.is_sorted_by(|a, b| a.number < b.number) && all.histograms.is_empty());
    for sample in &all.samples {
        stands_in_its_line(sample, lines[sample.number - 1]);
        means_the_same_when_written_again(sample, format);
    }
}

/// What one reading of a page gives.
struct Reading<'p> {
    format: Format,
    result: Result<Summary, exposition::Error>,
    samples: Vec<Line<'p>>,
    histograms: Vec<HistogramLine<'p>>,
    types: Vec<(String, FamilyType)>,
}

// === impl Reading ===

impl<'p> Reading<'p> {
    fn of(page: &'p [u8], format: Format, wanted: impl Fn(&str) -> bool) -> Self {
        let (mut samples, mut histograms, mut types) = (Vec::new(), Vec::new(), Vec::new());
        let result = exposition::read(page, format, &wanted, |event| match event {
            Event::Sample(line) => samples.push(line),
            Event::Histogram(line) => histograms.push(line),
            Event::Type { family, kind } => types.push((family.into_owned(), kind)),
            Event::Help { .. } | Event::Unit { .. } => {}
        });
        assert!(samples.iter().all(|sample| wanted(&sample.name)), "nobody asked for one of {samples:?}");
        assert!(histograms.iter().all(|line| wanted(&line.name)), "nobody asked for one of {histograms:?}");
        match &result {
            Ok(summary) => assert_eq!(summary.wanted, samples.len() + histograms.len()),
            Err(error) => is_presentable(&error.to_string()),
        }
        Self { format, result, samples, histograms, types }
    }

    /// The last line or family that the reading speaks of.
    fn end(&self) -> usize {
        let samples = self.samples.iter().map(|sample| sample.number);
        let numbers = samples.chain(self.histograms.iter().map(|line| line.number));
        let result = match &self.result {
            Ok(summary) => summary.lines,
            Err(error) => error.line,
        };
        assert!(numbers.clone().all(|number| (1..=result).contains(&number)), "a number beyond {result}");
        result
    }

    fn does_not_depend_on_what_is_wanted(&self, page: &'p [u8], format: Format) {
        self.agrees_with(&Self::of(page, format, |_| false), |_| false);
        let sample = self.samples.last().map(|sample| sample.name.as_ref());
        let histogram = self.histograms.last().map(|line| line.name.as_ref());
        for name in sample.into_iter().chain(histogram) {
            self.agrees_with(&Self::of(page, format, |asked| asked == name), |asked| asked == name);
        }
    }

    /// A reading of everything against one of less: that one checks less and hands out less, and is the same else.
    fn agrees_with(&self, less: &Self, wanted: impl Fn(&str) -> bool) {
        let end = match (&self.result, &less.result) {
            (Ok(all), Ok(less)) => {
                // Of families that nobody wants the metrics count, in protobuf.
                let samples = if self.format == Format::Protobuf { less.samples } else { all.samples };
                assert_eq!(*less, Summary { samples, wanted: less.wanted, ..*all });
                usize::MAX
            }
            (Ok(_), Err(less)) => panic!("{less:?} comes only when less is wanted"),
            (Err(all), Err(less)) if all.kind == ErrorKind::Truncated => {
                assert_eq!(less, all, "the rest of the page can be read");
                usize::MAX
            }
            (Err(all), Err(less)) => {
                assert!(all.line <= less.line, "{less:?} comes only when less is wanted, else {all:?}");
                all.line
            }
            (Err(all), Ok(_)) => all.line,
        };
        assert!(self.before(end).filter(|(name, _)| wanted(name)).eq(less.before(end)), "other samples");
        let more = less.types.strip_prefix(self.types.as_slice());
        assert!(more.is_some_and(|more| more.is_empty() || self.result.is_err()), "{:?}: {:?}", self.types, less.types);
    }

    /// What stands before a line or family, with NaN as it is printed, so that it equals itself.
    fn before(&self, end: usize) -> impl Iterator<Item = (&str, String)> {
        let samples = self.samples.iter().map(|line| (line.number, line.name.as_ref(), format!("{line:?}")));
        let histograms = self.histograms.iter().map(|line| (line.number, line.name.as_ref(), format!("{line:?}")));
        let all = samples.chain(histograms).filter(move |(number, ..)| *number < end);
        all.map(|(_, name, text)| (name, text))
    }
}

fn stands_in_its_line(sample: &Line<'_>, line: &str) {
    let rest = line.trim_start_matches([' ', '\t']).strip_prefix(sample.series.as_ref());
    let rest = rest.unwrap_or_else(|| panic!("{:?} does not start {line:?}", sample.series));
    let value = rest.split([' ', '\t', '\r']).find(|word| !word.is_empty()).expect("a sample has a value");
    // Of the numbers that both read, the standard library is an independent reader.
    if let Ok(number) = value.parse::<f64>() {
        assert!(same(number, sample.value), "{value:?} was read as {}", sample.value);
    }
}

/// The key of a series is the same in both formats.
fn is_written_as_in_text(sample: &Line<'_>) {
    let page = format!("{} 1\n", sample.series);
    let text = Reading::of(page.as_bytes(), Format::Text, |_| true);
    let [line] = text.samples.as_slice() else { panic!("{page:?}: {:?}", text.result) };
    assert_eq!((&line.series, &line.name), (&sample.series, &sample.name));
}

/// What the type of a native histogram promises.
fn is_a_histogram(line: &HistogramLine<'_>) {
    let histogram = &line.histogram;
    assert!((native_histogram::SCHEMA_MIN..=native_histogram::SCHEMA_MAX).contains(&histogram.schema), "{line:?}");
    assert!(histogram.zero_threshold.is_finite() && histogram.zero_threshold >= 0.0, "{line:?}");
    for buckets in [&histogram.positive, &histogram.negative] {
        let indices: Vec<i32> = buckets.iter().map(|(index, _)| index).collect();
        assert!(indices.is_sorted_by(|a, b| a < b), "{line:?}");
    }
    match exposition::labels(&line.series) {
        Ok((name, _)) => assert_eq!(name, line.name),
        Err(error @ LabelError::Duplicate(_)) => is_presentable(&error.to_string()),
        Err(error) => panic!("{:?} was read and does not decode: {error}", line.series),
    }
}

fn means_the_same_when_written_again(sample: &Line<'_>, format: Format) {
    let (name, labels) = match exposition::labels(&sample.series) {
        Ok(decoded) => decoded,
        Err(error @ LabelError::Duplicate(_)) => return is_presentable(&error.to_string()),
        Err(error) => panic!("{:?} was read and does not decode: {error}", sample.series),
    };
    assert_eq!(name, sample.name, "{:?}", sample.series);
    let series = written(&name, &labels);
    let page = format!("{series} {:e}{}\n# EOF\n", sample.value, time(sample.timestamp, format));
    let again = Reading::of(page.as_bytes(), format, |_| true);
    let ([again], Ok(_)) = (again.samples.as_slice(), &again.result) else {
        panic!("{page:?}: {:?}", again.result);
    };
    assert_eq!((&again.name, again.series.as_ref()), (&sample.name, series.as_str()));
    assert!(same(again.value, sample.value), "{page:?} was {}", sample.value);
    // Times of OpenMetrics are fractions of seconds that are cut to milliseconds, so the last one may be lost.
    let expected = sample.timestamp.filter(|time| is_exact(*time, format));
    let lost = if format == Format::OpenMetrics { 1 } else { 0 };
    let near = again.timestamp.zip(expected).is_some_and(|(again, expected)| again.0.abs_diff(expected.0) <= lost);
    assert!(near || again.timestamp == expected, "{page:?}: {:?} was {expected:?}", again.timestamp);
    assert_eq!(exposition::labels(&series), Ok((name, labels)));
}

/// A series with every name in quotes.
fn written(name: &str, labels: &Labels) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let labels = labels.iter().map(|(label, value)| format!(",{}={}", quoted(label), quoted(value)));
    format!("{{{}{}}}", quoted(name), labels.collect::<String>())
}

fn time(time: Option<Timestamp>, format: Format) -> String {
    match (time, format) {
        (Some(Timestamp(time)), Format::Text) => format!(" {time}"),
        (Some(Timestamp(time)), Format::OpenMetrics) if is_exact(Timestamp(time), format) => {
            let sign = if time < 0 { "-" } else { "" };
            format!(" {sign}{}.{:03}", time.unsigned_abs() / 1000, time.unsigned_abs() % 1000)
        }
        _ => String::new(),
    }
}

/// Whether the format can say the milliseconds: seconds are read as a float.
fn is_exact(time: Timestamp, format: Format) -> bool {
    format == Format::Text || time.0.unsigned_abs() < 1 << 50
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// One line, and short.
fn is_presentable(message: &str) {
    assert!(message.len() <= MESSAGE_MAX, "{} bytes: {message}", message.len());
    assert!(!message.contains('\n'), "{message:?}");
}

// The configuration file.

/// Longer files only repeat what shorter ones show, slowly.
const CONFIGURATION_MAX: usize = 16 << 10;
/// More aliases unfold to the 100,000 values that the reader allows, which takes seconds in an instrumented build.
const ALIASES_MAX: usize = 16;

/// The text of a configuration file.
pub fn configuration(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    if text.len() > CONFIGURATION_MAX || text.matches('*').count() > ALIASES_MAX {
        return;
    }
    let file = Path::new("/etc/plimsoll/plimsoll.yaml");
    let read = config::read(text, file);
    assert_eq!(config::read(text, file), read, "the second reading differs");
    match &read {
        Ok(config) => is_sound(config),
        Err(mistakes) => are_located(mistakes, text),
    }
}

/// What the types of a configuration promise and cannot express.
fn is_sound(config: &config::Config) {
    let jobs: BTreeSet<_> = config.jobs.iter().map(|job| &job.name).collect();
    let metrics: BTreeSet<_> = config.metrics.iter().map(|metric| metric.name.to_lowercase()).collect();
    assert_eq!((jobs.len(), metrics.len()), (config.jobs.len(), config.metrics.len()), "names are unique");
    for job in &config.jobs {
        let scraping = &job.scraping;
        assert!(!scraping.timeout.is_zero() && scraping.timeout < scraping.interval, "{job:?}");
        assert!(scraping.freshness >= scraping.interval, "{job:?}");
    }
    for metric in &config.metrics {
        assert!((0.0..=1.0).contains(&metric.min_coverage) && !metric.levels.is_empty(), "{metric:?}");
    }
}

fn are_located(config::Diagnostics(mistakes): &config::Diagnostics, text: &str) {
    // YAML ends lines with carriage returns, too.
    let lines = text.split(['\n', '\r']).count() as u64;
    assert!(!mistakes.is_empty(), "refused without a reason");
    for mistake in mistakes {
        assert!((1..=lines).contains(&mistake.line) && mistake.column > 0, "{mistake:?} of {lines} lines");
        assert!(!mistake.message.is_empty(), "{mistake:?}");
    }
    assert!(mistakes.is_sorted_by_key(|mistake| (mistake.line, mistake.column)), "{mistakes:?}");
    let different: BTreeSet<_> = mistakes.iter().collect();
    assert_eq!(different.len(), mistakes.len(), "a mistake is told twice: {mistakes:?}");
    assert!(!config::Diagnostics(mistakes.clone()).summary().contains('\n'));
}

// What a request of the Kubernetes API says.

/// The text of a label selector or a field selector.
pub fn selector(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    label_selector(text);
    field_selector(text);
}

fn label_selector(text: &str) {
    let selector = match Selector::parse(text) {
        Ok(selector) => selector,
        Err(error) => return assert!((1..=text.chars().count() + 1).contains(&error.at), "{text:?}: {error:?}"),
    };
    let canonical = selector.to_string();
    assert_eq!(Selector::parse(&canonical).as_ref(), Ok(&selector), "{text:?} is written as {canonical:?}");
    assert_eq!(Selector::parse(&format!(" {text}\t")).as_ref(), Ok(&selector), "blanks around {text:?}");
    assert_eq!(selector.is_empty(), canonical.is_empty());
    assert!(selector.keys().is_sorted_by(|a, b| a < b) && selector.keys().all(|key| canonical.contains(key)));
    assert_eq!(selector.is_empty(), selector.keys().next().is_none());
    if let Some(translated) = selector.to_label_selector() {
        let labels = translated.match_labels.into_iter().flatten().map(|(key, _)| key);
        let expressions = translated.match_expressions.into_iter().flatten().map(|expression| expression.key);
        let keys: BTreeSet<String> = labels.chain(expressions).collect();
        assert!(keys.iter().eq(selector.keys()), "{keys:?} for {text:?}");
    }
}

fn field_selector(text: &str) {
    match FieldSelector::parse(text) {
        Ok(selector) => {
            for padded in [format!(",{text}"), format!("{text},")] {
                assert_eq!(FieldSelector::parse(&padded).as_ref(), Ok(&selector), "an empty term beside {text:?}");
            }
            assert!(!selector.is_empty() || selector.matches("web", "shop"), "{text:?}");
        }
        Err(error) => assert!((1..=text.chars().count() + 1).contains(&error.at), "{text:?}: {error:?}"),
    }
    let value = text.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
    let named = FieldSelector::parse(&format!("metadata.name={value}")).expect("a value with its escapes");
    assert!(named.matches(text, "") && !named.matches(&format!("{text}."), ""), "{text:?}");
}

/// The text of a quantity; its first eight bytes are a measured number besides.
pub fn quantity(text: &[u8]) {
    if let Some(bytes) = text.first_chunk() {
        measured(f64::from_le_bytes(*bytes));
    }
    let Ok(text) = str::from_utf8(text) else { return };
    let Ok(quantity) = quantity::parse(text) else { return };
    let canonical = quantity.to_string();
    let again =
        quantity::parse(&canonical).unwrap_or_else(|error| panic!("{text:?} is written {canonical:?}: {error}"));
    assert_eq!(again.to_string(), canonical, "{text:?}");
    let numbers = |quantity: &quantity::Quantity| {
        (quantity.milli(), quantity.value(), quantity.approximate().to_bits(), quantity.is_clamped())
    };
    assert_eq!(numbers(&again), numbers(&quantity), "{text:?} is written {canonical:?}");
    let (milli, value) = (quantity.milli(), quantity.value());
    if milli.unsigned_abs() < i64::MAX.unsigned_abs() {
        let up = milli.unsigned_abs().div_ceil(1000).cast_signed() * milli.signum();
        assert_eq!(value, up, "{text:?} is {milli} thousandths");
    }
}

fn measured(number: f64) {
    let Some(quantity) = quantity::Quantity::from_f64(number) else {
        return assert!(!number.is_finite(), "{number} is a number");
    };
    let again = quantity::parse(&quantity.to_string()).unwrap_or_else(|error| panic!("{number}: {error}"));
    assert_eq!((again.milli(), again.to_string()), (quantity.milli(), quantity.to_string()), "{number}");
    let off = (quantity.milli() as f64 - number * 1000.0).abs();
    let tolerance = 0.5_f64.max((number * 1000.0).abs() * f64::EPSILON);
    assert!(quantity.is_clamped() || off <= tolerance, "{number} became {quantity}");
    assert!(!quantity.is_clamped() || number.abs() >= 9_223_372_036_854_775.0, "{number} was cut");
}
