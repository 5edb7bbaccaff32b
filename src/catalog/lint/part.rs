//! A value within a dashboard, and where it is.

use serde_json::Value;

use crate::catalog::lint::{Finding, Rule};

/// A value within a dashboard; null where there is none.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    pub(super) json: &'a Value,
    pub(super) file: &'a str,
    panel: Option<&'a str>,
    /// JSON pointer.
    at: String,
}

// === impl Part ===

impl<'a> Part<'a> {
    /// A whole dashboard.
    pub(super) fn whole(file: &'a str, json: &'a Value) -> Self {
        Self { json, file, panel: None, at: String::new() }
    }

    /// The same, as the panel that it is.
    pub(super) fn into_panel(mut self) -> Self {
        self.panel = Some(self.text("title"));
        self
    }

    pub(super) fn of(&self, key: &str) -> Self {
        let json = self.json.get(key).unwrap_or(&Value::Null);
        Self { json, at: format!("{}/{key}", self.at), ..self.clone() }
    }

    /// The elements of the list at a key; none where there is no list.
    pub(super) fn list(&self, key: &str) -> Vec<Self> {
        let list = self.of(key);
        let elements = list.json.as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate();
        elements.map(|(i, json)| Self { json, at: format!("{}/{i}", list.at), ..list.clone() }).collect()
    }

    /// The text at a key; empty where there is none.
    pub(super) fn text(&self, key: &str) -> &'a str {
        self.json.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.json.get(key).and_then(Value::as_u64)
    }

    /// Whether it is what is at this key of the object around it.
    pub(super) fn is_at(&self, key: &str) -> bool {
        self.at.rsplit('/').next() == Some(key)
    }

    pub(super) fn is(&self, key: &str) -> bool {
        self.json.get(key) == Some(&Value::Bool(true))
    }

    pub(super) fn wrong(&self, rule: Rule, what: impl Into<String>) -> Finding {
        let (file, panel) = (self.file.to_owned(), self.panel.map(str::to_owned));
        Finding { rule, file, panel, at: self.at.clone(), what: what.into() }
    }

    /// Every text within, with where it is.
    pub(super) fn texts(&self) -> Vec<(Self, &'a str)> {
        match self.json {
            Value::String(text) => vec![(self.clone(), text)],
            Value::Array(list) => {
                let at = |i: usize, json| Self { json, at: format!("{}/{i}", self.at), ..self.clone() };
                list.iter().enumerate().flat_map(|(i, json)| at(i, json).texts()).collect()
            }
            Value::Object(object) => object.keys().flat_map(|key| self.of(key).texts()).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        }
    }
}
