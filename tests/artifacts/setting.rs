//! What the variables of a dashboard are set to, and a query with them filled in as Grafana fills it.

use serde_json::Value;

use super::question::Asker;

/// A variable whose values a query finds, or that has a list of them.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    /// As in `label_values(QUERY, LABEL)`.
    query: Option<(String, String)>,
    /// Of a variable without a query.
    options: Vec<String>,
    pub is_multi: bool,
    pub all: Option<String>,
}

/// Variables with what stands for them in a query.
pub type Setting = Vec<(String, String)>;

/// Grafana's own. A rate is over four scrapes at least: of 15 s.
const OWN: [(&str, &str); 6] = [
    ("__rate_interval", "1m"),
    ("__interval_ms", "15000"),
    ("__interval", "15s"),
    ("__range_s", "300"),
    ("__range_ms", "300000"),
    ("__range", "5m"),
];

// === impl Variable ===

impl Variable {
    /// `None` for what chooses no series.
    pub fn new(json: &Value) -> Option<Self> {
        let name = json["name"].as_str().expect("a variable has a name").to_owned();
        let (query, options) = match json["type"].as_str().expect("a variable has a type") {
            "datasource" => return None,
            "query" => (Some(label_values(&json["query"], &name)), Vec::new()),
            "custom" | "constant" | "textbox" | "interval" => (None, options(json)),
            other => panic!("variable {name}: type {other} is not known here"),
        };
        let all = (json["includeAll"] == true).then(|| json["allValue"].as_str().unwrap_or_default().to_owned());
        Some(Self { name, query, options, is_multi: json["multi"] == true, all })
    }

    /// What it can be set to when those before it are set.
    pub async fn values(&self, before: &Setting, asker: &mut Asker<'_>) -> Vec<String> {
        match &self.query {
            Some((query, label)) => asker.label_values(&filled(query, before), label).await,
            None => self.options.clone(),
        }
    }

    /// What stands for these values in a query.
    pub fn written(&self, values: &[String]) -> String {
        let escaped: Vec<String> = values.iter().map(|value| self.escaped(value)).collect();
        if let [value] = &escaped[..] { value.clone() } else { format!("({})", escaped.join("|")) }
    }

    fn escaped(&self, value: &str) -> String {
        if self.is_multi || self.all.is_some() {
            // A backslash of a regular expression is one of a string too.
            regex::escape(value).replace('\\', "\\\\").replace("\\\\-", "-")
        } else {
            value.to_owned()
        }
    }
}

fn options(json: &Value) -> Vec<String> {
    let options = json["options"].as_array().into_iter().flatten();
    let values = options.filter_map(|option| option["value"].as_str()).filter(|value| *value != "$__all");
    values.map(str::to_owned).collect()
}

/// The selector, or query, and the label of `label_values(QUERY, LABEL)`.
fn label_values(query: &Value, name: &str) -> (String, String) {
    let text = query["query"].as_str().or(query.as_str()).unwrap_or_else(|| panic!("variable {name} has no query"));
    let inner = text.trim().strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.unwrap_or_else(|| panic!("variable {name}: {text} is no label_values(QUERY, LABEL)"));
    let (query, label) = inner.rsplit_once(',').unwrap_or_else(|| panic!("variable {name}: {text} names no series"));
    (query.trim().to_owned(), label.trim().to_owned())
}

/// A query with variables filled in.
pub fn filled(query: &str, setting: &Setting) -> String {
    let own = OWN.iter().map(|(name, value)| (*name, *value));
    let all = own.chain(setting.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mut all: Vec<_> = all.collect();
    // $job is the beginning of $job_name.
    all.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    all.iter().fold(query.to_owned(), |text, (name, value)| {
        let text = text.replace(&format!("${{{name}:regex}}"), value).replace(&format!("${{{name}}}"), value);
        text.replace(&format!("${name}"), value)
    })
}
