//! The live table: what the plant does, what Plimsoll reports and what the HPA makes of it, in words and bars.
//!
//! In go the plant and the board; out come lines of text for a given width. Pure: [`crate::demo::screen`] draws them.

use std::time::Duration;

use crate::demo::board::{Board, Entry, EntryKind, MetricReport, Report};
use crate::demo::day::{DAY_SECONDS, TimeOfDay};
use crate::demo::plant::Plant;
use crate::demo::pod::Phase;
use crate::demo::story;
use crate::demo::text::{Align, Line, Style, number, sparkline, wrap};
use crate::demo::workload::Workload;

/// What is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub plant: &'a Plant,
    pub board: &'a Board,
    /// Wall seconds since the start, and until the end.
    pub elapsed_seconds: f64,
    pub duration_seconds: f64,
    pub speed: f64,
}

/// Which lines go when there is no room for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Always,
    Story,
    Event,
    Course,
    Blank,
}

/// Widths of the columns; 0 for one that has no room.
#[derive(Clone, Copy, Debug)]
struct Columns {
    workload: usize,
    metric: usize,
    trend: usize,
    per_pod: usize,
    pods: usize,
}

/// What a terminal has when nobody changed it.
const WIDTH_USUAL: usize = 80;
/// The foot is this wide with the legend, whatever the counts.
const LEGEND_WIDTH_MIN: usize = 110;

const WORKLOAD_WIDTH: usize = 19;
const METRIC_WIDTH: usize = 21;
/// Narrower than that, names say nothing.
const NAME_WIDTH_MIN: usize = 6;
const VALUE_WIDTH: usize = 6;
const TARGET_WIDTH: usize = 8;
const AGE_WIDTH: usize = 5;
const REPLICAS_WIDTH: usize = 7;
const TREND_WIDTH_MAX: usize = 30;
/// The HPA does nothing within this share of the target (`--horizontal-pod-autoscaler-tolerance`).
const TOLERANCE: f64 = 0.1;
/// A sample older than this deserves attention.
const AGE_SECONDS_HIGH: u64 = 3;

// === impl Frame ===

impl Frame<'_> {
    /// The table for a terminal with `width` columns, in at most `rows` lines where that is no fewer than
    /// [`Self::rows_wanted`]: what can be missed most easily goes first.
    pub fn lines(&self, width: usize, rows: usize) -> Vec<Line> {
        let columns = Columns::fit(width);
        let blank = || (Keep::Blank, Line::default());
        let mut lines = vec![(Keep::Always, self.title(width)), (Keep::Course, self.course(width)), blank()];
        lines.extend(self.story(width));
        lines.push(blank());
        lines.push((Keep::Always, columns.head()));
        for report in &self.board.reports {
            if let Some(workload) = self.plant.workload(&report.deployment) {
                lines.extend(self::rows(report, workload, columns));
            }
        }
        lines.push(blank());
        lines.push((Keep::Always, self.foot(width)));
        for missed in [Keep::Blank, Keep::Course, Keep::Event, Keep::Story] {
            if lines.len() > rows {
                lines.retain(|(keep, _)| *keep != missed);
            }
        }
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// How many lines there are without what can be missed, and with it.
    pub fn rows_wanted(&self) -> (usize, usize) {
        let reports = &self.board.reports;
        let metrics: usize = reports.iter().map(|report| report.metrics.len()).sum();
        // Title, two lines of the story, head, foot; course and three blanks.
        (metrics + 5, metrics + 5 + reports.len() + 4)
    }

    /// One line for each workload, for an output that is no terminal.
    pub fn plain(&self) -> Vec<String> {
        let reports = self.board.reports.iter();
        let workloads = reports.filter_map(|report| Some((report, self.plant.workload(&report.deployment)?)));
        workloads.map(|(report, workload)| plain_row(&self.clock(), report, workload)).collect()
    }

    /// A line for each event beyond the first `seen` ones.
    pub fn events_after(&self, seen: usize) -> Vec<String> {
        let entries = self.board.entries_after(seen);
        entries.map(|entry| format!("{} {}: {}", entry.clock, entry.deployment, entry.text)).collect()
    }

    /// What to remember of the whole run.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = vec![format!("Summary of {:.0} s:", self.elapsed_seconds)];
        for workload in self.plant.workloads() {
            let (low, high) = workload.replicas_range;
            let queue = match workload.service.work.queue() {
                Some(_) => format!(", peak queue {}", workload.queue_peak),
                None => String::new(),
            };
            lines.push(format!("  {:<WORKLOAD_WIDTH$} {low} to {high} replicas{queue}", workload.service.deployment));
        }
        let Board { answers, refusals, age_max, .. } = self.board;
        lines.push(format!(
            "  Plimsoll answered {answers} requests of the HPA with a value and {refusals} with an error; \
             the oldest sample it used was at most {} s old.",
            age_seconds(*age_max)
        ));
        lines
    }

    /// The time of day, without the day.
    fn clock(&self) -> String {
        TimeOfDay::at(self.plant.now()).to_minutes()
    }

    fn title(&self, width: usize) -> Line {
        let Self { elapsed_seconds: elapsed, duration_seconds: duration, speed, .. } = self;
        let speed = if width < WIDTH_USUAL { String::new() } else { format!(" at speed {speed}") };
        Line::default()
            .text("Plimsoll demo", Style::Bold)
            .text(format!("   {}", TimeOfDay::at(self.plant.now())), Style::Accent)
            .text(format!("   {elapsed:.0} of {duration:.0} s{speed}, Ctrl-C ends it"), Style::Dim)
    }

    /// The demand of the day, with a mark at the present.
    fn course(&self, width: usize) -> Line {
        let columns = width.saturating_sub(26).clamp(10, 72);
        let (day, now) = (self.plant.day(), self.plant.now());
        let start = (now / DAY_SECONDS).floor() * DAY_SECONDS;
        let at = |column: usize| start + DAY_SECONDS * (column as f64 + 0.5) / columns as f64;
        let demand = self.plant.workloads().first().map(|workload| workload.service.demand);
        let rates = (0..columns).map(|column| demand.map(|demand| day.rate(0, demand, at(column))));
        let bars: Vec<char> = sparkline(rates, columns, 1.0).chars().collect();
        let (past, future) = bars.split_at(((now - start) / DAY_SECONDS * columns as f64) as usize);
        Line::default()
            .text("Work arriving, 06:00 ", Style::Dim)
            .text(past.iter().collect::<String>(), Style::Accent)
            .text("┃", Style::Bold)
            .text(future.iter().collect::<String>(), Style::Dim)
    }

    fn story(&self, width: usize) -> Vec<(Keep, Line)> {
        let lines = wrap(&story::tell(self.plant, self.board), width);
        lines.into_iter().map(|line| (Keep::Story, Line::default().text(line, Style::Bold))).collect()
    }

    fn foot(&self, width: usize) -> Line {
        let Board { answers, refusals, age_max, .. } = self.board;
        let refused = if *refusals > 0 { Style::Warn } else { Style::Dim };
        let legend =
            if width < LEGEND_WIDTH_MIN { "" } else { "■ ready  □ starting  · room up to the maximum    " };
        Line::default()
            .text(legend, Style::Dim)
            .text(format!("Plimsoll answered {answers}, "), Style::Dim)
            .text(format!("refused {refusals}"), refused)
            .text(format!(", oldest sample ≤{} s", age_seconds(*age_max)), Style::Dim)
    }
}

// === impl Columns ===

impl Columns {
    /// Gives the trend what the other columns leave; columns that can be missed go first when it is too little.
    fn fit(width: usize) -> Self {
        let fixed = [WORKLOAD_WIDTH, METRIC_WIDTH, VALUE_WIDTH, TARGET_WIDTH, AGE_WIDTH, REPLICAS_WIDTH];
        let fixed: usize = fixed.iter().map(|column| column + 1).sum();
        let free = width.saturating_sub(fixed);
        let per_pod = if free >= 8 + 20 { 7 } else { 0 };
        let pods = if free >= per_pod + 1 + 20 + 12 { 20 } else { 0 };
        let taken = [per_pod, pods].iter().filter(|column| **column > 0).map(|column| column + 1).sum();
        let trend = free.saturating_sub(taken).saturating_sub(1).min(TREND_WIDTH_MAX);
        // The blank after the last column needs no room.
        let missing = fixed.saturating_sub(width + 1);
        let workload = (WORKLOAD_WIDTH - (missing / 2).min(WORKLOAD_WIDTH)).max(NAME_WIDTH_MIN);
        let metric = (METRIC_WIDTH - missing.div_ceil(2).min(METRIC_WIDTH)).max(NAME_WIDTH_MIN);
        Self { workload, metric, trend, per_pod, pods }
    }

    fn head(self) -> Line {
        let line = Line::default()
            .cell("WORKLOAD", self.workload, Align::Left, Style::Dim)
            .cell("METRIC", self.metric, Align::Left, Style::Dim)
            .cell("VALUE", VALUE_WIDTH, Align::Right, Style::Dim);
        let line = optional(line, "PER POD", self.per_pod, Align::Right, Style::Dim);
        let line = line.cell("TARGET", TARGET_WIDTH, Align::Right, Style::Dim).cell(
            "AGE",
            AGE_WIDTH,
            Align::Right,
            Style::Dim,
        );
        let trend = if self.trend < "VALUE OVER TIME".len() { "TREND" } else { "VALUE OVER TIME" };
        let line = optional(line, trend, self.trend, Align::Left, Style::Dim);
        let line = line.cell("PODS", REPLICAS_WIDTH, Align::Right, Style::Dim);
        optional(line, "", self.pods, Align::Left, Style::Dim)
    }
}

fn optional(line: Line, text: &str, width: usize, align: Align, style: Style) -> Line {
    if width == 0 { line } else { line.cell(text, width, align, style) }
}

/// A row for each metric, the workload on the first, and one for what happened last.
fn rows(report: &Report, workload: &Workload, columns: Columns) -> Vec<(Keep, Line)> {
    let mut lines = Vec::new();
    for (i, metric) in report.metrics.iter().enumerate() {
        let name = if i == 0 { report.deployment.as_str() } else { "" };
        let line = Line::default().cell(name, columns.workload, Align::Left, Style::Bold);
        let line = reading(line, metric, columns);
        lines.push((Keep::Always, if i == 0 { replicas(line, report, workload, columns) } else { line }));
    }
    let refusal = report.metrics.iter().find_map(MetricReport::refusal);
    let event = match (&report.last, refusal) {
        (_, Some(refusal)) => Line::default().text(format!("  holds: {refusal}"), Style::Bad),
        (Some(entry), None) => Line::default().text(format!("  {} {}", entry.clock, entry.text), entry_style(entry)),
        (None, None) => Line::default().text("  nothing to do yet", Style::Dim),
    };
    lines.push((Keep::Event, event));
    lines
}

fn reading(line: Line, metric: &MetricReport, columns: Columns) -> Line {
    let target = number(metric.target) + if metric.per_pod { "/pod" } else { "" };
    let none = || "-".to_owned();
    let (value, per_pod, age, style) = match &metric.reading {
        Some(Ok(reading)) => {
            let per_pod = if metric.per_pod { number(reading.compared) } else { String::new() };
            let age = format!("≤{}s", age_seconds(reading.age));
            (number(reading.total), per_pod, age, load_style(reading.compared / metric.target))
        }
        Some(Err(_)) => (none(), none(), none(), Style::Bad),
        None => (none(), none(), none(), Style::Dim),
    };
    let old = matches!(&metric.reading, Some(Ok(reading)) if age_seconds(reading.age) > AGE_SECONDS_HIGH);
    let line = line.cell(&metric.name, columns.metric, Align::Left, Style::Plain).cell(
        &value,
        VALUE_WIDTH,
        Align::Right,
        style,
    );
    let line = optional(line, &per_pod, columns.per_pod, Align::Right, style);
    let line = line.cell(&target, TARGET_WIDTH, Align::Right, Style::Plain).cell(
        &age,
        AGE_WIDTH,
        Align::Right,
        if old { Style::Warn } else { Style::Dim },
    );
    let trend = sparkline(metric.trend.iter().copied(), columns.trend, metric.target);
    optional(line, &trend, columns.trend, Align::Left, Style::Accent)
}

fn replicas(line: Line, report: &Report, workload: &Workload, columns: Columns) -> Line {
    let (ready, starting) = (workload.count(Phase::Ready), workload.count(Phase::Starting));
    let (text, style) = match ready {
        ready if ready == workload.replicas => (ready.to_string(), Style::Plain),
        ready => (format!("{ready} → {}", workload.replicas), Style::Warn),
    };
    let free = report.replicas_max.saturating_sub(ready + starting);
    let bar = format!("{}{}{}", "■".repeat(ready), "□".repeat(starting), "·".repeat(free));
    let line = line.cell(&text, REPLICAS_WIDTH, Align::Right, style);
    optional(line, &bar, columns.pods, Align::Left, Style::Good)
}

fn plain_row(clock: &str, report: &Report, workload: &Workload) -> String {
    let metric = |metric: &MetricReport| {
        let target = number(metric.target) + if metric.per_pod { " per pod" } else { "" };
        match &metric.reading {
            Some(Ok(reading)) => format!(
                "{} {} (target {target}, at most {} s old)",
                metric.name,
                number(reading.total),
                age_seconds(reading.age)
            ),
            Some(Err(refusal)) => format!("{} unknown: {refusal}", metric.name),
            None => format!("{} not asked yet", metric.name),
        }
    };
    let metrics: Vec<String> = report.metrics.iter().map(metric).collect();
    let (ready, wanted) = (workload.count(Phase::Ready), workload.replicas);
    format!("{clock} {}: {}, {ready} of {wanted} replicas ready", report.deployment, metrics.join(", "))
}

/// The most that the age can be: answers carry whole seconds, so it is known only up to one.
fn age_seconds(age: Duration) -> u64 {
    age.as_secs() + u64::from(age.subsec_nanos() > 0)
}

fn load_style(ratio: f64) -> Style {
    if ratio > 1.0 + TOLERANCE { Style::Warn } else { Style::Good }
}

fn entry_style(entry: &Entry) -> Style {
    match entry.kind {
        EntryKind::Up => Style::Warn,
        EntryKind::Hold => Style::Bad,
        EntryKind::Down | EntryKind::Resume => Style::Dim,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::demo::board::Reading;

    fn board(reading: Option<Result<Reading, String>>) -> Board {
        let trend = VecDeque::from([Some(0.0), None, Some(42.0)]);
        let metric = MetricReport { name: "queue_length".into(), target: 10.0, per_pod: true, reading, trend };
        let report = Report {
            deployment: "agent-orchestrator".into(),
            replicas_min: 2,
            replicas_max: 8,
            metrics: vec![metric],
            last: None,
        };
        Board { reports: vec![report], ..Board::default() }
    }

    fn shown(board: &Board, width: usize, rows: usize) -> Vec<String> {
        let mut plant = Plant::new(7);
        plant.scale("agent-orchestrator", 5);
        let frame = Frame { plant: &plant, board, elapsed_seconds: 1.0, duration_seconds: 120.0, speed: 1.0 };
        frame.lines(width, rows).iter().map(|line| line.render(width, false)).collect()
    }

    #[test]
    fn a_row_shows_value_target_age_and_pods() {
        let reading = Reading { total: 42.0, compared: 21.0, age: Duration::from_millis(900) };
        let lines = shown(&board(Some(Ok(reading))), 120, 50);
        let row = lines.iter().find(|line| line.starts_with("agent-orchestrator")).expect("a row");
        for part in ["queue_length", " 42 ", " 21 ", "10/pod", "≤1s", "▁ █", "2 → 5 ■■□□□···"] {
            assert!(row.contains(part), "{part:?} is missing in {row:?}");
        }
    }

    #[test]
    fn a_refusal_is_shown_with_its_reason() {
        let lines = shown(&board(Some(Err("no target of the Deployment has data".into()))), 120, 50);
        assert!(lines.contains(&"  holds: no target of the Deployment has data".to_owned()), "{lines:#?}");
        assert!(lines[3].contains("the HPA holds"), "{:?}", lines[3]);
    }

    #[test]
    fn on_a_small_terminal_the_values_stay() {
        let reading = Reading { total: 42.0, compared: 21.0, age: Duration::from_millis(900) };
        let board = board(Some(Ok(reading)));
        for (width, rows) in [(80, 15), (80, 7), (60, 9), (60, 6)] {
            let lines = shown(&board, width, rows);
            assert!(lines.len() <= rows, "{lines:#?}");
            let row = lines.iter().find(|line| line.starts_with("agent-")).expect("a row");
            assert!([" 42 ", "≤1s", "2 → 5"].iter().all(|part| row.contains(part)), "{row:?}");
            assert!(lines.last().is_some_and(|foot| foot.ends_with(" s")), "{lines:#?}");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [0, 1, 20, 79, 80, 100, 119, 120, 300] {
            for line in shown(&board(None), width, 50) {
                assert!(line.chars().count() <= width, "{width}: {line:?}");
            }
        }
    }
}
