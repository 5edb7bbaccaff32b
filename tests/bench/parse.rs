//! Reading one page: all of its families or a few, beside prometheus-parse on the same page in the same run.

mod page;

use std::hint::black_box;
use std::io::BufRead;
use std::time::Duration;

use plimsoll::exposition::{self, Event, Format, LabelBuffer};
use prometheus_parse::{Scrape, Value};

use crate::allocations;
use crate::curve::{Axis, Chart, Line, Scale};
use crate::report::{Row, Section};
use page::Page;

/// Rounds, in which every reader has its turn; the medians of their times are compared.
const ROUNDS: usize = 41;

/// A reader is timed over this many readings of the page in a row, so that a turn takes milliseconds.
const READINGS: u32 = 8;

/// How much of a page is asked for.
#[derive(Clone, Copy)]
struct Task<'t> {
    page: &'t Page,
    format: Format,
    wanted: &'t [String],
    /// Whether the labels of wanted samples are decoded, or their text is what identifies them.
    labels: bool,
}

pub fn run() -> Section {
    let (text, openmetrics, escaped) = (Page::text(), Page::openmetrics(), Page::escaped());
    let few = few(&text, 3);
    let task = |page, wanted, labels| Task { page, format: Format::Text, wanted, labels };
    let everything = task(&text, &text.families, true);
    let mut section = Section { title: "Reading a page", method: method(&text), rows: Vec::new() };
    let compared = [
        ("all families, labels decoded", everything, Some(15.0)),
        ("all families, the text of a series as its key", task(&text, &text.families, false), None),
        ("3 of 142 families, labels decoded", task(&text, &few, true), Some(100.0)),
        ("no family", task(&text, &[], true), None),
        (
            "OpenMetrics, all families, labels decoded",
            Task { format: Format::OpenMetrics, ..task(&openmetrics, &openmetrics.families, true) },
            None,
        ),
        ("escapes in two labels of every series, labels decoded", task(&escaped, &escaped.families, true), None),
    ];
    for (what, task, goal) in compared {
        section.rows.push(compare(what, task, goal));
    }
    section.rows.push(by_wanted_families());
    section.rows.push(allocated("allocations while all families are read, labels decoded", everything));
    section
}

/// Bytes per second by the number of wanted families.
fn throughput_by_wanted_families() -> Vec<(f64, f64)> {
    let page = Page::text();
    let point = |count: usize| {
        let wanted = few(&page, count);
        let task = Task { page: &page, format: Format::Text, wanted: &wanted, labels: true };
        let time = median((0..ROUNDS).map(|_| time_ours(task)).collect());
        (count as f64, page.text.len() as f64 / time.as_secs_f64())
    };
    [1, 3, 10, 30, 100, page.families.len()].map(point).into()
}

fn by_wanted_families() -> Row {
    let points = throughput_by_wanted_families();
    let megabytes = points.iter().map(|(families, speed)| (*families, speed / 1e6)).collect();
    let chart = Chart {
        title: "Reading a page of 142 families".into(),
        x: Axis { label: "families wanted", scale: Scale::Logarithmic },
        y: Axis { label: "MB/s", scale: Scale::Logarithmic },
        lines: vec![Line { name: "Plimsoll, labels decoded".into(), points: megabytes }],
        marks: Vec::new(),
    };
    chart.write("parse");
    let join = |show: fn(&(f64, f64)) -> String| points.iter().map(show).collect::<Vec<_>>().join(" / ");
    Row {
        what: format!("{} families wanted, labels decoded", join(|(families, _)| families.to_string())),
        figure: format!("{} MB/s", join(|(_, speed)| format!("{:.0}", speed / 1e6))),
        baseline: String::new(),
        ratio: String::new(),
        goal: None,
    }
}

fn method(page: &Page) -> String {
    let bytes = page.text.len();
    format!(
        "A page of {:.2} MB, {} lines, {} samples, {} families of the Go runtime and of labelled histograms, {} bytes \
         a line. Medians of the CPU time over {ROUNDS} rounds in which both readers take turns; the baseline is the \
         crate prometheus-parse, which reads every family of the same page.",
        bytes as f64 / 1e6,
        page.lines,
        page.samples,
        page.families.len(),
        bytes / page.lines
    )
}

/// Families spread over the labelled part of the page, the last one first.
fn few(page: &Page, count: usize) -> Vec<String> {
    let families = &page.families;
    (0..count).map(|at| families[families.len() - 1 - at * families.len() / count].clone()).collect()
}

fn compare(what: &str, task: Task<'_>, goal: Option<f64>) -> Row {
    check_samples(task);
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (time_ours(task), time_theirs(task.page))).collect();
    let ours = median(rounds.iter().map(|(ours, _)| *ours).collect());
    let theirs = median(rounds.iter().map(|(_, theirs)| *theirs).collect());
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    Row {
        what: what.into(),
        figure: figure(ours, task.page),
        baseline: format!("prometheus-parse: {}", figure(theirs, task.page)),
        ratio: format!("{ratio:.1}×"),
        goal: goal.map(|goal| (format!("≥ {goal}×"), ratio >= goal)),
    }
}

fn figure(time: Duration, page: &Page) -> String {
    let (seconds, lines) = (time.as_secs_f64(), page.lines as f64);
    format!("{:.0} ns a line, {:.0} MB/s", seconds * 1e9 / lines, page.text.len() as f64 / seconds / 1e6)
}

fn allocated(what: &str, task: Task<'_>) -> Row {
    let mut reader = Ours::default();
    reader.read(task);
    let ours = allocations::count(|| reader.read(task));
    let theirs = allocations::count(|| drop(black_box(read_theirs(task.page))));
    let per_line = theirs as f64 / task.page.lines as f64;
    Row {
        what: what.into(),
        figure: format!("{ours} in a second reading"),
        baseline: format!("prometheus-parse: {theirs}, {per_line:.1} a line"),
        ratio: String::new(),
        goal: Some(("0 a line".into(), ours < task.page.lines / 100)),
    }
}

/// What is kept from page to page.
#[derive(Default)]
struct Ours {
    labels: LabelBuffer,
    samples: usize,
}

// === impl Ours ===

impl Ours {
    fn read(&mut self, task: Task<'_>) {
        let mut samples = 0;
        let wanted = |name: &str| is_wanted(task.wanted, name, task.page.families.len());
        let event = |event: Event<'_>| {
            if let Event::Sample(line) = event {
                samples += 1;
                black_box((&line.series, line.value, line.timestamp));
                if task.labels {
                    let (_, labels) = self.labels.decode(&line.series).expect("the page is well-formed");
                    for (name, value) in labels {
                        black_box((name, value));
                    }
                }
            }
        };
        exposition::read(task.page.text.as_bytes(), task.format, wanted, event).expect("the page is well-formed");
        self.samples = samples;
    }
}

/// Whether a sample belongs to a wanted family.
fn is_wanted(wanted: &[String], name: &str, families: usize) -> bool {
    let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    wanted.len() == families || wanted.iter().any(|wanted| wanted == family)
}

fn time_ours(task: Task<'_>) -> Duration {
    let mut reader = Ours::default();
    reader.read(task);
    let start = cpu_time();
    for _ in 0..READINGS {
        reader.read(task);
    }
    (cpu_time() - start) / READINGS
}

fn read_theirs(page: &Page) -> Scrape {
    Scrape::parse(page.text.as_bytes().lines()).expect("reading from memory does not fail")
}

fn time_theirs(page: &Page) -> Duration {
    let start = cpu_time();
    black_box(read_theirs(page));
    cpu_time() - start
}

/// What this thread has worked so far. Unlike the time of day it does not grow while others have the core.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A reader that is fast because it misses samples would be no reader: both find what was written.
fn check_samples(task: Task<'_>) {
    let mut ours = Ours::default();
    ours.read(task);
    let samples = task.page.text.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    let expected = samples.filter(|line| is_wanted(task.wanted, &name(line), task.page.families.len())).count();
    assert_eq!(ours.samples, expected, "samples found by Plimsoll");
    let theirs = read_theirs(task.page).samples.iter().map(count).sum::<usize>();
    assert_eq!(theirs, task.page.samples, "samples found by prometheus-parse");
}

/// The lines that became one sample of prometheus-parse.
fn count(sample: &prometheus_parse::Sample) -> usize {
    match &sample.value {
        Value::Histogram(buckets) => buckets.len(),
        Value::Summary(quantiles) => quantiles.len(),
        _ => 1,
    }
}
