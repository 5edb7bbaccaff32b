//! The table of a run: what was measured, the figure, the baseline of the same run, the goal.

use std::path::PathBuf;

/// What one part of the benchmark found.
#[derive(Default)]
pub struct Section {
    pub title: &'static str,
    /// What was measured and how, in a few sentences.
    pub method: String,
    pub rows: Vec<Row>,
}

/// One line of the table.
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

/// Where tables and curves go.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench")
}

// === impl Report ===

impl Report {
    /// Shows a section as soon as it is there.
    pub fn add(&mut self, section: Section) {
        println!("{}", section.markdown());
        self.0.push(section);
    }

    pub fn finish(self) -> std::io::Result<()> {
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
