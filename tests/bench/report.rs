//! The table of a run: what was measured, the figure, the baseline of the same run, the goal.

use std::path::PathBuf;
use std::time::Duration;

/// What one part of the benchmark found.
#[derive(Default)]
pub struct Section {
    pub title: &'static str,
    /// What was measured and how, in a few sentences.
    pub method: String,
    pub rows: Vec<Row>,
}

/// One line of the table.
#[derive(Default)]
pub struct Row {
    pub what: String,
    /// The figure with its unit.
    pub figure: String,
    /// Name and figure of the baseline; empty where there is none.
    pub baseline: String,
    /// How many times better than the baseline, for example `25.3×`; empty where there is none.
    pub ratio: String,
    /// What was wanted, and whether it was reached; empty where nothing was.
    pub goal: Option<(String, bool)>,
}

/// All sections of a run.
#[derive(Default)]
pub struct Report(Vec<Section>);

/// Where tables and curves go; a quick run leaves the figures of the last real one alone.
pub fn folder() -> PathBuf {
    let all = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    if crate::is_quick() { all.join("quick") } else { all }
}

/// Three significant digits.
pub fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    format!("{value:.0$}", usize::try_from(2 - digits).unwrap_or(0))
}

/// A time in the unit that reads best.
pub fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{} s", number(seconds)),
        seconds if seconds >= 1e-3 => format!("{} ms", number(seconds * 1e3)),
        seconds => format!("{} µs", number(seconds * 1e6)),
    }
}

/// Bytes in MB, of which a million make one.
pub fn megabytes(bytes: f64) -> String {
    format!("{} MB", number(bytes / 1e6))
}

/// How many times smaller a figure is than its baseline.
pub fn times(baseline: f64, figure: f64) -> String {
    format!("{}×", number(baseline / figure))
}

// === impl Report ===

impl Report {
    /// Shows a section as soon as it is there.
    pub fn add(&mut self, section: Section) -> std::io::Result<()> {
        println!("{}", section.markdown());
        self.0.push(section);
        std::fs::create_dir_all(folder())?;
        let text: Vec<_> = self.0.iter().map(Section::markdown).collect();
        std::fs::write(folder().join("table.md"), text.join("\n"))
    }
}

// === impl Section ===

impl Section {
    fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n{}\n\n", self.title, self.method);
        text += "| what | Plimsoll | baseline | ratio | goal |\n|---|---|---|---|---|\n";
        for Row { what, figure, baseline, ratio, goal } in &self.rows {
            let goal = goal
                .as_ref()
                .map_or(String::new(), |(goal, reached)| format!("{goal} {}", if *reached { "✓" } else { "✗" }));
            text += &format!("| {what} | {figure} | {baseline} | {ratio} | {goal} |\n");
        }
        text
    }
}

// === impl Row ===

impl Row {
    pub fn new(what: impl Into<String>, figure: impl Into<String>) -> Self {
        Self { what: what.into(), figure: figure.into(), ..Self::default() }
    }

    /// Sets it beside a baseline, `ratio` times worse.
    pub fn beside(mut self, baseline: impl Into<String>, ratio: impl Into<String>) -> Self {
        (self.baseline, self.ratio) = (baseline.into(), ratio.into());
        self
    }

    pub fn goal(mut self, goal: impl Into<String>, reached: bool) -> Self {
        self.goal = Some((goal.into(), reached));
        self
    }
}
