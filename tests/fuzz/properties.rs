//! What must hold whatever the bytes are, per parser.
//!
//! In: one input. Out: nothing, or a panic that says which promise is broken. Two callers: the fuzz targets beside
//! this file, which invent inputs, and `tests/fuzz.rs`, which takes the committed seeds. Never here: files and clocks.

use std::collections::BTreeSet;
use std::path::Path;

use plimsoll::config;
use plimsoll::exposition::{self, ErrorKind, Event, FamilyType, Format, LabelError, Line, Summary};
use plimsoll::model::field_selector::FieldSelector;
use plimsoll::model::selector::Selector;
use plimsoll::model::{Labels, Timestamp, quantity};

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

fn page_of_lines(page: &[u8], format: Format) {
    let all = Reading::of(page, format, |_| true);
    let none = Reading::of(page, format, |_| false);
    let lines = page.split(|byte| *byte == b'\n').count();
    for reading in [&all, &none] {
        reading.is_plausible(lines);
    }
    all.agrees_with(&none, |_| false);
    if let Some(sample) = all.samples.last() {
        let name = sample.name.as_ref();
        all.agrees_with(&Reading::of(page, format, |asked| asked == name), |asked| asked == name);
    }
    let text = str::from_utf8(page).unwrap_or_default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.split('\n').collect();
    for sample in &all.samples {
        stands_in_its_line(sample, lines[sample.number - 1]);
        means_the_same_when_written_again(sample, format);
    }
}

/// What one reading of a page gives.
struct Reading<'p> {
    result: Result<Summary, exposition::Error>,
    samples: Vec<Line<'p>>,
    types: Vec<(String, FamilyType)>,
}

// === impl Reading ===

impl<'p> Reading<'p> {
    fn of(page: &'p [u8], format: Format, wanted: impl Fn(&str) -> bool) -> Self {
        let (mut samples, mut types) = (Vec::new(), Vec::new());
        let result = exposition::read(page, format, &wanted, |event| match event {
            Event::Sample(line) => samples.push(line),
            Event::Type { family, kind } => types.push((family.into_owned(), kind)),
        });
        assert!(samples.iter().all(|sample| wanted(&sample.name)), "nobody asked for one of {samples:?}");
        Self { result, samples, types }
    }

    fn is_plausible(&self, lines: usize) {
        let numbers: Vec<usize> = self.samples.iter().map(|sample| sample.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.iter().all(|number| (1..=lines).contains(number)));
        match &self.result {
            Ok(summary) => {
                assert!(summary.lines <= lines && summary.samples <= summary.lines, "{summary:?} of {lines}");
                assert_eq!(summary.wanted, self.samples.len());
            }
            Err(error) => {
                let first = usize::from(error.kind != ErrorKind::Truncated);
                assert!((first..=lines).contains(&error.line), "{error:?} of {lines} lines");
                is_presentable(&error.to_string());
            }
        }
    }

    /// A reading of everything against one of less: that one checks less and hands out less, and is the same else.
    fn agrees_with(&self, less: &Self, wanted: impl Fn(&str) -> bool) {
        let end = match (&self.result, &less.result) {
            (Ok(all), less) => {
                let wanted = self.samples.iter().filter(|sample| wanted(&sample.name)).count();
                assert_eq!(less, &Ok(Summary { wanted, ..*all }), "less is wanted, and something else is read");
                usize::MAX
            }
            (Err(all), less) if all.kind == ErrorKind::Truncated => {
                assert_eq!(less, &Err(all.clone()), "every line can be read");
                usize::MAX
            }
            (Err(all), Err(less)) => {
                assert!(all.line <= less.line, "{less:?} comes only when less is wanted, else {all:?}");
                all.line
            }
            (Err(all), Ok(_)) => all.line,
        };
        let rest = less.samples.iter().take_while(|sample| sample.number < end);
        assert!(self.samples.iter().filter(|sample| wanted(&sample.name)).eq_by_bits(rest), "other samples");
        let more = less.types.strip_prefix(self.types.as_slice());
        assert!(more.is_some_and(|more| more.is_empty() || self.result.is_err()), "{:?}: {:?}", self.types, less.types);
    }
}

/// Comparison of samples in which NaN is itself.
trait SampleIterator<'s, 'p: 's>: Iterator<Item = &'s Line<'p>> + Sized {
    fn eq_by_bits(self, other: impl Iterator<Item = &'s Line<'p>>) -> bool {
        let key = |line: &'s Line<'p>| (line.number, line.series, &line.name, line.value.to_bits(), line.timestamp);
        self.map(key).eq(other.map(key))
    }
}

impl<'s, 'p: 's, I: Iterator<Item = &'s Line<'p>>> SampleIterator<'s, 'p> for I {}

fn stands_in_its_line(sample: &Line<'_>, line: &str) {
    let rest = line.trim_start_matches([' ', '\t']).strip_prefix(sample.series);
    let rest = rest.unwrap_or_else(|| panic!("{:?} does not start {line:?}", sample.series));
    let value = rest.split([' ', '\t', '\r']).find(|word| !word.is_empty()).expect("a sample has a value");
    // Of the numbers that both read, the standard library is an independent reader.
    if let Ok(number) = value.parse::<f64>() {
        assert!(same(number, sample.value), "{value:?} was read as {}", sample.value);
    }
}

fn means_the_same_when_written_again(sample: &Line<'_>, format: Format) {
    let (name, labels) = match exposition::labels(sample.series) {
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
    assert_eq!((&again.name, again.series), (&sample.name, series.as_str()));
    assert!(same(again.value, sample.value), "{page:?} was {}", sample.value);
    assert_eq!(again.timestamp, sample.timestamp.filter(|time| is_exact(*time, format)), "{page:?}");
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
        assert!(!job.scrape_timeout.is_zero() && job.scrape_timeout < job.scrape_interval, "{job:?}");
        assert!(job.freshness >= job.scrape_interval, "{job:?}");
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
