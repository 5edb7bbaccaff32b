//! Generated pages, the same ones in every run: valid ones, and such with a few characters or lines changed. Only the
//! times of the valid ones are new, since Prometheus keeps no old ones.

mod oddity;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::comparison::Expected;
use super::reading::now;
use super::{OPENMETRICS, TEXT, page};
use crate::harness::pages::Page;

/// One metric family. Its index in the page becomes part of its name, so that no series stands twice.
#[derive(Clone, Debug)]
struct Family {
    name: String,
    kind: Option<usize>,
    help: Option<String>,
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    labels: Vec<(String, String)>,
    value: String,
    /// Milliseconds before the test.
    age: Option<f64>,
    exemplar: Option<String>,
    /// What stands between words where the text format allows it.
    blank: String,
    comma: bool,
}

/// One change of a page, at a place given as a part of its length.
#[derive(Clone, Debug)]
enum Mutation {
    Insert(char),
    Replace(char),
    Remove,
    Truncate,
    RemoveLine,
    RepeatLine,
    JoinLines,
}

/// Of each format.
const VALID: usize = 150;
const MUTATED: usize = 250;

/// The time of the mutated pages: their damage must not change with the digits of the clock.
const LONG_AGO: i64 = 1_600_000_000_000;

const KINDS: [&str; 4] = ["counter", "gauge", "histogram", "summary"];

/// What stands between the names of one format and its pages.
struct Writer {
    format: &'static str,
    content_type: &'static str,
    /// Writes a page at a time.
    write: fn(&[Family], i64) -> String,
    /// What in a line one side refuses and the other reads.
    oddity: fn(&str) -> Option<&'static str>,
}

/// Pages of both formats.
pub fn all() -> Vec<(Page, Expected)> {
    let mut runner = TestRunner::deterministic();
    let text = Writer { format: "text", content_type: TEXT, write: write_text, oddity: oddity::in_text };
    let openmetrics = Writer {
        format: "OpenMetrics",
        content_type: OPENMETRICS,
        write: write_openmetrics,
        oddity: oddity::in_openmetrics,
    };
    [
        text.valid(&mut runner),
        text.mutated(&mut runner),
        openmetrics.valid(&mut runner),
        openmetrics.mutated(&mut runner),
    ]
    .concat()
}

// === impl Writer ===

impl Writer {
    fn valid(&self, runner: &mut TestRunner) -> Vec<(Page, Expected)> {
        let families = families();
        let case = |number| {
            let text = (self.write)(&drawn(runner, &families), now());
            (page(&format!("{} {number}", self.format), self.content_type, text), Expected::Same)
        };
        (0..VALID).map(case).collect()
    }

    fn mutated(&self, runner: &mut TestRunner) -> Vec<(Page, Expected)> {
        let (families, mutations) = (families(), mutations());
        let case = |number| {
            let mut text = (self.write)(&drawn(runner, &families), LONG_AGO);
            for (mutation, place) in drawn(runner, &mutations) {
                mutation.apply(&mut text, place);
            }
            let but = text.lines().find_map(self.oddity).or_else(|| oddity::in_page(&text));
            (page(&format!("{} {number}, mutated", self.format), self.content_type, text), Expected::Agreement { but })
        };
        (0..MUTATED).map(case).collect()
    }
}

fn drawn<S: Strategy>(runner: &mut TestRunner, strategy: &S) -> S::Value {
    strategy.new_tree(runner).expect("it has values").current()
}

// === What is written ===

fn families() -> impl Strategy<Value = Vec<Family>> {
    let name = "[a-zA-Z_:][a-zA-Z0-9_:]{0,12}";
    let kind = prop::option::of(0..KINDS.len());
    let help = prop::option::of("[ -~]{0,20}");
    let family = (name, kind, help, prop::collection::vec(sample(), 0..9));
    let family = family.prop_map(|(name, kind, help, samples)| Family { name, kind, help, samples });
    prop::collection::vec(family, 1..5)
}

fn sample() -> impl Strategy<Value = Sample> {
    let reserved = ["page", "job", "instance", "__name__"];
    let label = "[a-zA-Z_][a-zA-Z0-9_]{0,8}".prop_filter("reserved", move |name| !reserved.contains(&name.as_str()));
    let labels = prop::collection::btree_map(label, label_value(), 0..4);
    let labels = labels.prop_map(|labels| labels.into_iter().collect::<Vec<_>>()).prop_shuffle();
    let rest = (prop::option::weighted(0.3, 1.0..2_000_000.0), prop::option::of(value()), "[ \t]{1,3}", any::<bool>());
    (labels, value(), rest).prop_map(|(labels, value, (age, exemplar, blank, comma))| Sample {
        labels,
        value,
        age,
        exemplar,
        blank,
        comma,
    })
}

fn label_value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9/.+-]{0,8}", "[ -~\n]{0,16}", "[{}\",=\\\\\n# ]{0,8}", any::<String>()]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u64>().prop_map(|bits| written(f64::from_bits(bits))),
        any::<u64>().prop_map(|integer| integer.to_string()),
        (-1000..1000_i32).prop_map(|integer| integer.to_string()),
        any::<f64>().prop_map(|value| format!("{value:.17}")),
        "[+-]?[0-9]{1,25}(\\.[0-9]{0,25})?([eE][+-]?[0-9]{1,2})?",
        "[+-]?\\.[0-9]{1,25}(e-[0-9]{1,3})?",
        prop::sample::select(vec!["NaN", "nan", "+Inf", "-Inf", "Inf", "-0", "5e-324"]).prop_map(str::to_owned),
    ]
}

fn written(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { format!("{value:e}") }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn write_text(families: &[Family], now: i64) -> String {
    let mut page = String::new();
    for (index, family) in families.iter().enumerate() {
        let name = format!("{}_{index}", family.name);
        if let Some(help) = &family.help {
            page += &format!("# HELP {name} {}\n", help.replace('\\', "\\\\"));
        }
        if let Some(kind) = family.kind {
            page += &format!("# TYPE {name} {}\n", KINDS[kind]);
        }
        for (number, sample) in family.samples.iter().enumerate() {
            let Sample { blank, comma, value, .. } = sample;
            let labels = sample.labels(number, blank);
            let comma = if *comma { "," } else { "" };
            let time = sample.age.map_or(String::new(), |age| format!("{blank}{}", now - age as i64));
            page += &format!("{name}{blank}{{{blank}{labels}{blank}{comma}{blank}}}{blank}{value}{time}\n");
        }
        page += ["", "\n", "# a comment\n", "#\n"][index % 4];
    }
    page
}

fn write_openmetrics(families: &[Family], now: i64) -> String {
    let mut page = String::new();
    for (index, family) in families.iter().enumerate() {
        let name = format!("{}_{index}_seconds", family.name);
        if let Some(kind) = family.kind {
            page += &format!("# TYPE {name} {}\n# UNIT {name} seconds\n", KINDS[kind]);
        }
        if let Some(help) = &family.help {
            page += &format!("# HELP {name} {}\n", escaped(help));
        }
        for (number, sample) in family.samples.iter().enumerate() {
            let (labels, value) = (sample.labels(number, ""), &sample.value);
            let time = sample.age.map_or(String::new(), |age| format!(" {}", (now as f64 - age) / 1000.0));
            let exemplar = sample.exemplar.as_ref().map_or(String::new(), |value| format!(" # {{{labels}}} {value}"));
            page += &format!("{name}_total{{{labels}}} {value}{time}{exemplar}\n");
        }
    }
    page + "# EOF\n"
}

// === impl Sample ===

impl Sample {
    /// What stands in the braces; the number of the sample in its family makes it a series of its own.
    fn labels(&self, number: usize, blank: &str) -> String {
        let mut labels = vec![format!("n{blank}={blank}\"{number}\"")];
        for (label, value) in self.labels.iter().filter(|(label, _)| label != "n") {
            labels.push(format!("{label}{blank}={blank}\"{}\"", escaped(value)));
        }
        labels.join(&format!("{blank},{blank}"))
    }
}

// === Mutations ===

fn mutations() -> impl Strategy<Value = Vec<(Mutation, f64)>> {
    let char = || prop::sample::select("{}\",=\\# \n\t+-.019aeEINn_:é'".chars().collect::<Vec<_>>());
    let mutation = prop_oneof![
        char().prop_map(Mutation::Insert),
        char().prop_map(Mutation::Replace),
        Just(Mutation::Remove),
        Just(Mutation::Truncate),
        Just(Mutation::RemoveLine),
        Just(Mutation::RepeatLine),
        Just(Mutation::JoinLines),
    ];
    prop::collection::vec((mutation, 0.0..1.0), 1..3)
}

impl Mutation {
    fn apply(&self, text: &mut String, place: f64) {
        let Some((at, _)) = text.char_indices().nth((text.chars().count() as f64 * place) as usize) else { return };
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
        match self {
            Self::Insert(char) => text.insert(at, *char),
            Self::Replace(char) => {
                text.remove(at);
                text.insert(at, *char);
            }
            Self::Remove => drop(text.remove(at)),
            Self::Truncate => text.truncate(at),
            Self::RemoveLine => drop(text.drain(line..end)),
            Self::RepeatLine => *text = [&text[..end], &text[line..end], &text[end..]].concat(),
            Self::JoinLines => drop(text.drain(end - 1..end)),
        }
    }
}
