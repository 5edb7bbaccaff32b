//! A dashboard as a list of queries: of its variables, annotations and panels, each asked with every variable at All, at
//! one value, and at several.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::question::{Asker, Over};
use super::setting::{Setting, Variable, filled};

#[derive(Clone, Debug)]
pub struct Board {
    uid: String,
    variables: Vec<Variable>,
    queries: Vec<Query>,
}

/// What a panel or an annotation asks.
#[derive(Clone, Debug)]
struct Query {
    place: String,
    text: String,
    over: Over,
    /// Labels that legends, links, titles and texts use.
    labels: BTreeSet<String>,
}

/// One thing to be found out of a dashboard.
pub struct Inquiry {
    board: Board,
    what: What,
}

enum What {
    /// Variables have values, whatever those before them are set to.
    Variables,
    /// A query with all of it.
    All(Query),
    /// A query with one value of each variable, and then with that and another one.
    Each(Query),
}

/// Combinations of single values that are tried before a query counts as one that never has data for one.
const COMBINATIONS_MAX: usize = 400;

/// `{{label}}` in legends and annotations, and what links make of a label.
static LABELS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{\{\s*(?<legend>[a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}|__field\.labels\.(?<link>[a-zA-Z_][a-zA-Z0-9_]*)")
        .expect("it is one")
});

/// All that is to be found out of dashboards.
pub fn inquiries(boards: &[Board]) -> Vec<Inquiry> {
    let of_board = |board: &Board| {
        let variables = std::iter::once(What::Variables);
        let queries = board.queries.iter().flat_map(|query| [What::All(query.clone()), What::Each(query.clone())]);
        let all: Vec<_> = variables.chain(queries).map(|what| Inquiry { board: board.clone(), what }).collect();
        all
    };
    boards.iter().flat_map(of_board).collect()
}

// === impl Board ===

impl Board {
    pub fn new(json: &Value) -> Self {
        let uid = json["uid"].as_str().expect("a dashboard has a uid").to_owned();
        let variables = json["templating"]["list"].as_array().into_iter().flatten().filter_map(Variable::new).collect();
        let mut queries = Vec::new();
        json["annotations"]["list"].as_array().into_iter().flatten().for_each(|it| queries.extend(annotation(it)));
        json["panels"].as_array().into_iter().flatten().for_each(|panel| add_panel(&mut queries, panel));
        Self { uid, variables, queries }
    }

    /// Everything at All; what cannot be is at the first of its values.
    async fn all(&self, asker: &mut Asker<'_>) -> Result<Setting, String> {
        let mut setting = Setting::new();
        for variable in &self.variables {
            let values = variable.values(&setting, asker).await;
            let first = values.first().ok_or(format!("variable {} has no values", variable.name))?;
            let written = match variable.all.as_deref() {
                Some("") => variable.written(&values),
                Some(all) => all.to_owned(),
                None => variable.written(std::slice::from_ref(first)),
            };
            setting.push((variable.name.clone(), written));
        }
        Ok(setting)
    }

    /// Every combination of single values, those before a variable in force when its values are asked.
    async fn each(&self, asker: &mut Asker<'_>) -> Result<Vec<Vec<String>>, String> {
        let mut combinations: Vec<(Vec<String>, Setting)> = vec![(Vec::new(), Setting::new())];
        for variable in &self.variables {
            let mut longer = Vec::new();
            for (values, setting) in &combinations {
                let next = variable.values(setting, asker).await;
                if next.is_empty() {
                    return Err(format!("variable {} has no values with {setting:?}", variable.name));
                }
                longer.extend(next.into_iter().map(|value| {
                    let written = (variable.name.clone(), variable.written(std::slice::from_ref(&value)));
                    ([values.clone(), vec![value]].concat(), [setting.clone(), vec![written]].concat())
                }));
            }
            longer.truncate(COMBINATIONS_MAX);
            combinations = longer;
        }
        Ok(combinations.into_iter().map(|(values, _)| values).collect())
    }

    fn single(&self, values: &[String]) -> Setting {
        let write = |(variable, value): (&Variable, &String)| {
            (variable.name.clone(), variable.written(std::slice::from_ref(value)))
        };
        self.variables.iter().zip(values).map(write).collect()
    }

    /// The same with one more value wherever there may be several.
    fn several(&self, values: &[String], all: &[Vec<String>]) -> Setting {
        let write = |(at, (variable, value)): (usize, (&Variable, &String))| {
            let mut others = all.iter().map(|values| &values[at]).filter(|other| *other != value);
            let other = others.next().filter(|_| variable.is_multi);
            let values: Vec<String> = std::iter::once(value).chain(other).cloned().collect();
            (variable.name.clone(), variable.written(&values))
        };
        self.variables.iter().zip(values).enumerate().map(write).collect()
    }
}

// === impl Inquiry ===

impl Inquiry {
    /// # Errors
    /// Where, what was asked, and what is wrong with the answer.
    pub async fn ask(&self, asker: &mut Asker<'_>) -> Result<(), String> {
        let uid = &self.board.uid;
        match &self.what {
            What::Variables => self.ask_variables(asker).await.map_err(|why| format!("{uid}: {why}")),
            What::All(query) => {
                let setting = self.board.all(asker).await.map_err(|why| format!("{uid}: {why}"))?;
                query.ask(asker, &setting).await.map_err(|why| format!("{uid}, {}, with All: {why}", query.place))
            }
            What::Each(query) => {
                let asked = self.ask_each(query, asker).await;
                asked.map_err(|why| format!("{uid}, {}, with single values: {why}", query.place))
            }
        }
    }

    async fn ask_variables(&self, asker: &mut Asker<'_>) -> Result<(), String> {
        self.board.all(asker).await?;
        self.board.each(asker).await.map(drop)
    }

    /// A queue is of one job and decisions are of another: there is a value for which a query has data. Two have data where
    /// one of them has.
    async fn ask_each(&self, query: &Query, asker: &mut Asker<'_>) -> Result<(), String> {
        let all = self.board.each(asker).await?;
        let mut last = "there are no values".to_owned();
        for values in &all {
            match query.ask(asker, &self.board.single(values)).await {
                Ok(()) => {
                    let several = self.board.several(values, &all);
                    return query.ask(asker, &several).await.map_err(|why| format!("with several: {why}"));
                }
                Err(why) => last = why,
            }
        }
        Err(last)
    }
}

// === impl Query ===

impl Query {
    async fn ask(&self, asker: &mut Asker<'_>, setting: &Setting) -> Result<(), String> {
        let text = filled(&self.text, setting);
        asker.ask(&text, self.over, &self.labels).await.map_err(|why| format!("{why}: {text}"))
    }
}

/// Those of a panel, and of the panels of a row.
fn add_panel(queries: &mut Vec<Query>, panel: &Value) {
    panel["panels"].as_array().into_iter().flatten().for_each(|inner| add_panel(queries, inner));
    let title = panel["title"].as_str().unwrap_or_default();
    let links = labels(&panel["fieldConfig"].to_string());
    for target in panel["targets"].as_array().into_iter().flatten() {
        let text = target["expr"].as_str().unwrap_or_else(|| panic!("panel {title}: a target without expr")).to_owned();
        let mut labels = labels(target["legendFormat"].as_str().unwrap_or_default());
        labels.extend(links.iter().cloned());
        let place = format!("panel {title:?} {}", target["refId"].as_str().unwrap_or_default());
        queries.push(Query { place, text, over: Over::Now, labels });
    }
}

/// `None` for Grafana's own.
fn annotation(json: &Value) -> Option<Query> {
    if json["builtIn"] == 1 {
        return None;
    }
    let name = json["name"].as_str().expect("an annotation has a name");
    let text = json["expr"].as_str().unwrap_or_else(|| panic!("annotation {name}: no expr")).to_owned();
    let texts = ["titleFormat", "textFormat"].map(|key| json[key].as_str().unwrap_or_default());
    let keys = json["tagKeys"].as_str().unwrap_or_default().split(',').map(str::trim).filter(|key| !key.is_empty());
    let labels = labels(&texts.join(" ")).into_iter().chain(keys.map(str::to_owned)).collect();
    Some(Query { place: format!("annotation {name:?}"), text, over: Over::Past, labels })
}

fn labels(text: &str) -> BTreeSet<String> {
    let label =
        |found: regex::Captures<'_>| found.name("legend").or(found.name("link")).map(|label| label.as_str().to_owned());
    LABELS.captures_iter(text).filter_map(label).collect()
}
