//! One query, and whether a Prometheus answers it with data, and with every label that is used.

use std::collections::{BTreeSet, HashMap};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use plimsoll::catalog::Expression;
use plimsoll::clock::Clock;
use serde_json::Value;

use crate::harness::prometheus::Prometheus;

/// Asks a Prometheus, and remembers for one round which labels series have.
pub struct Asker<'a> {
    prometheus: &'a Prometheus,
    /// Seconds since 1970.
    now: f64,
    labels: HashMap<(String, String), bool>,
    values: HashMap<String, Vec<String>>,
}

/// Where a query looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Now,
    /// All that was recorded: an event is rightly absent at most times.
    Past,
}

/// Seconds that count as the past; nothing is older.
const PAST_SECONDS: f64 = 300.0;

// === impl Asker ===

impl<'a> Asker<'a> {
    pub fn new(prometheus: &'a Prometheus) -> Self {
        Self { prometheus, now: 0.0, labels: HashMap::new(), values: HashMap::new() }
    }

    /// From here on it is now.
    pub fn begin(&mut self) {
        self.now = Clock::system().now().0 as f64 / 1000.0;
        self.labels.clear();
        self.values.clear();
    }

    /// The labels of all series of an answer that have a number.
    async fn series(&mut self, query: &str, over: Over) -> Result<Vec<Value>, String> {
        let encoded = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let path = match over {
            Over::Now => format!("query?query={encoded}&time={}", self.now),
            Over::Past => {
                format!("query_range?query={encoded}&start={}&end={}&step=1", self.now - PAST_SECONDS, self.now)
            }
        };
        let mut answer = self.prometheus.answer(&path).await;
        let result = answer["data"]["result"].take();
        match (answer["data"]["resultType"].as_str(), result) {
            (Some("scalar"), _) => Ok(vec![Value::Object(serde_json::Map::new())]),
            (_, Value::Array(series)) => {
                Ok(series.into_iter().filter(has_number).map(|mut it| it["metric"].take()).collect())
            }
            _ => Err(answer["error"].as_str().unwrap_or("no answer").to_owned()),
        }
    }

    /// Whether a query has an answer; every series of it has these labels.
    ///
    /// # Errors
    /// What is wrong, without the query.
    pub async fn ask(&mut self, query: &str, over: Over, labels: &BTreeSet<String>) -> Result<(), String> {
        let series = self.series(query, over).await?;
        if series.is_empty() {
            return Err("no data".into());
        }
        for label in labels {
            if let Some(without) = series.iter().find(|series| series[label].as_str().is_none_or(str::is_empty)) {
                return Err(format!("no label {label} in {without}"));
            }
        }
        self.matchers(query).await
    }

    /// Whether all that is matched on is there.
    async fn matchers(&mut self, query: &str) -> Result<(), String> {
        for selector in Expression::parse(query).map_err(|problem| problem.what)?.selectors() {
            let Some(name) = selector.name else { continue };
            for label in selector.labels {
                if !self.has_label(&name, &label).await {
                    return Err(format!("no series of {name} has the label {label} that is matched"));
                }
            }
        }
        Ok(())
    }

    pub async fn has_label(&mut self, name: &str, label: &str) -> bool {
        let key = (name.to_owned(), label.to_owned());
        if let Some(known) = self.labels.get(&key) {
            return *known;
        }
        let found = self.series(&format!("{name}{{{label}!=\"\"}}"), Over::Now).await;
        let has = found.is_ok_and(|series| !series.is_empty());
        self.labels.insert(key, has);
        has
    }

    /// The values that a label has in the answer of a query.
    pub async fn label_values(&mut self, query: &str, label: &str) -> Vec<String> {
        let query = format!("group by ({label}) ({query})");
        if let Some(known) = self.values.get(&query) {
            return known.clone();
        }
        let series = self.series(&query, Over::Now).await.unwrap_or_default();
        let mut values: Vec<String> =
            series.iter().filter_map(|series| series[label].as_str()).map(str::to_owned).collect();
        values.sort();
        self.values.insert(query, values.clone());
        values
    }
}

/// Of an instant or a range.
fn has_number(series: &Value) -> bool {
    let of_instant = std::iter::once(&series["value"]);
    let samples = of_instant.chain(series["values"].as_array().into_iter().flatten());
    samples.into_iter().any(|sample| sample[1].as_str().is_some_and(|value| value != "NaN"))
}
