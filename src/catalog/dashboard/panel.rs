//! One panel: a title, what it tells, queries, and how their answers are shown.

use crate::catalog::Text;
use crate::catalog::dashboard::{Color, Link, Measure, Moment, Query, Thresholds};

/// One panel of a dashboard.
#[derive(Clone, Debug)]
pub struct Panel {
    pub title: Text,
    /// What the numbers mean, and when to worry.
    pub description: Text,
    pub view: View,
    pub measure: Measure,
    pub queries: Vec<Query>,
    /// In a graph they are also lines.
    pub thresholds: Option<Thresholds>,
    /// Names of numbers.
    pub states: Vec<State>,
    /// Of a table, from left to right.
    pub columns: Vec<Column>,
    pub link: Option<Link>,
    /// The lowest and the highest number there can be, where it is known. A graph begins at 0 unless it is said otherwise.
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    /// Whether it is narrowed to the one of many that is chosen.
    pub is_of_all: bool,
    /// Of 24 columns.
    pub width: u32,
    /// In Grafana's rows of 30 pixels.
    pub height: u32,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The last number, large.
    Stat,
    /// Numbers over time.
    Lines,
    /// Numbers over time that add up.
    Stack,
    /// The last number of each series, as bars.
    Bars,
    /// The last number of each series, in rows and columns.
    Table,
    /// How often what occurred, over time: the buckets of a histogram.
    Heatmap,
    /// In which state each was, over time.
    States,
}

/// What a number says.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub number: i64,
    pub text: Text,
    pub color: Color,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    pub cells: Cells,
    pub title: Text,
    pub measure: Measure,
    pub thresholds: Option<Thresholds>,
    pub states: Vec<State>,
    pub link: Option<Link>,
    /// In pixels; else it takes what is left.
    pub width: Option<u32>,
}

/// Where the cells of a column come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cells {
    /// A label of the answers.
    Label(Text),
    /// The numbers of the query at this place, from 0.
    Numbers(usize),
}

// === impl Panel ===

impl Panel {
    fn new(view: View, title: impl Into<Text>, description: impl Into<Text>, (width, height): (u32, u32)) -> Self {
        Self {
            title: title.into(),
            description: description.into(),
            view,
            measure: Measure::Count,
            queries: Vec::new(),
            thresholds: None,
            states: Vec::new(),
            columns: Vec::new(),
            link: None,
            minimum: matches!(view, View::Lines | View::Stack | View::Bars).then_some(0.0),
            maximum: None,
            is_of_all: false,
            width,
            height,
        }
    }

    /// Six fill a row.
    pub fn stat(title: impl Into<Text>, description: impl Into<Text>) -> Self {
        Self::new(View::Stat, title, description, (4, 4))
    }

    /// Two fill a row.
    pub fn lines(title: impl Into<Text>, description: impl Into<Text>) -> Self {
        Self::new(View::Lines, title, description, (12, 8))
    }

    pub fn stack(title: impl Into<Text>, description: impl Into<Text>) -> Self {
        Self::new(View::Stack, title, description, (12, 8))
    }

    pub fn bars(title: impl Into<Text>, description: impl Into<Text>) -> Self {
        Self::new(View::Bars, title, description, (8, 8))
    }

    pub fn table(title: impl Into<Text>, description: impl Into<Text>) -> Self {
        Self::new(View::Table, title, description, (24, 8))
    }

    pub fn heatmap(title: impl Into<Text>, description: impl Into<Text>) -> Self {
        Self::new(View::Heatmap, title, description, (12, 8))
    }

    pub fn timeline(title: impl Into<Text>, description: impl Into<Text>) -> Self {
        Self { measure: Measure::State, ..Self::new(View::States, title, description, (12, 8)) }
    }

    pub fn measured(self, measure: Measure) -> Self {
        Self { measure, ..self }
    }

    /// Asks over time, except in a table and for bars, which show what is.
    pub fn query(mut self, promql: impl Into<Text>, legend: impl Into<Text>) -> Self {
        let moment = if matches!(self.view, View::Table | View::Bars) { Moment::Now } else { Moment::Range };
        self.queries.push(Query::new(promql, legend, moment));
        self
    }

    /// Asks for what is, where what was would say nothing: a state, a time.
    pub fn query_now(mut self, promql: impl Into<Text>, legend: impl Into<Text>) -> Self {
        self.queries.push(Query::new(promql, legend, Moment::Now));
        self
    }

    pub fn thresholds(self, thresholds: Thresholds) -> Self {
        Self { thresholds: Some(thresholds), ..self }
    }

    pub fn states(self, states: &[(i64, &'static str, Color)]) -> Self {
        Self { states: states.iter().map(|state| State::from(*state)).collect(), ..self }
    }

    pub fn column(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }

    pub fn link(self, link: Link) -> Self {
        Self { link: Some(link), ..self }
    }

    /// Of all there are, where the reader has to choose one.
    pub fn of_all(self) -> Self {
        Self { is_of_all: true, ..self }
    }

    /// Numbers may be below 0.
    pub fn signed(self) -> Self {
        Self { minimum: None, ..self }
    }

    pub fn up_to(self, maximum: f64) -> Self {
        Self { maximum: Some(maximum), ..self }
    }

    pub fn size(self, width: u32, height: u32) -> Self {
        Self { width, height, ..self }
    }
}

// === impl State ===

impl From<(i64, &'static str, Color)> for State {
    fn from((number, text, color): (i64, &'static str, Color)) -> Self {
        Self { number, text: text.into(), color }
    }
}

// === impl Column ===

impl Column {
    pub fn label(label: impl Into<Text>, title: impl Into<Text>) -> Self {
        Self::new(Cells::Label(label.into()), title, Measure::State)
    }

    pub fn numbers(query: usize, title: impl Into<Text>, measure: Measure) -> Self {
        Self::new(Cells::Numbers(query), title, measure)
    }

    fn new(cells: Cells, title: impl Into<Text>, measure: Measure) -> Self {
        let (thresholds, states) = (None, Vec::new());
        Self { cells, title: title.into(), measure, thresholds, states, link: None, width: None }
    }

    pub fn thresholds(self, thresholds: Thresholds) -> Self {
        Self { thresholds: Some(thresholds), ..self }
    }

    pub fn states(self, states: &[(i64, &'static str, Color)]) -> Self {
        Self { states: states.iter().map(|state| State::from(*state)).collect(), ..self }
    }

    pub fn link(self, link: Link) -> Self {
        Self { link: Some(link), ..self }
    }

    pub fn width(self, pixels: u32) -> Self {
        Self { width: Some(pixels), ..self }
    }
}
