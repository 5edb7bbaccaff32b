//! A dashboard as the rules read it: its panels, variables and queries.

use serde_json::Value;

use crate::catalog::lint::part::Part;

/// A dashboard.
#[derive(Debug)]
pub(super) struct Board<'a> {
    pub(super) whole: Part<'a>,
    /// All panels, those within collapsed rows too, rows themselves not.
    pub(super) panels: Vec<Part<'a>>,
    pub(super) rows: Vec<Part<'a>>,
    pub(super) variables: Vec<Part<'a>>,
    pub(super) annotations: Vec<Part<'a>>,
}

/// What a panel or an annotation asks.
#[derive(Debug)]
pub(super) struct Query<'a> {
    /// The target, or the annotation.
    pub(super) part: Part<'a>,
    /// With variables that stand outside of quotes filled in.
    pub(super) text: String,
    pub(super) language: Language,
    /// Texts that show labels of the answer, with where they are.
    pub(super) legends: Vec<(Part<'a>, &'a str)>,
    pub(super) of_annotation: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    PromQl,
    LogQl,
    /// Of a data source that is neither.
    Other,
}

/// Panels that show no data.
const WITHOUT_DATA: [&str; 6] = ["row", "text", "dashlist", "news", "welcome", "alertlist"];

// === impl Board ===

impl<'a> Board<'a> {
    pub(super) fn new(file: &'a str, json: &'a Value) -> Self {
        let whole = Part::whole(file, json);
        let (rows, top): (Vec<_>, Vec<_>) =
            whole.list("panels").into_iter().partition(|part| part.text("type") == "row");
        let within = rows.iter().flat_map(|row| row.list("panels"));
        let panels = top.into_iter().chain(within).map(Part::into_panel).collect();
        let variables = whole.of("templating").list("list");
        let annotations = whole.of("annotations").list("list");
        // Grafana's own: what was annotated by hand.
        let annotations = annotations.into_iter().filter(|part| part.number("builtIn") != Some(1)).collect();
        Self { panels, rows, variables, annotations, whole }
    }

    pub(super) fn uid(&self) -> &'a str {
        self.whole.text("uid")
    }

    pub(super) fn variable(&self, name: &str) -> Option<&Part<'a>> {
        self.variables.iter().find(|variable| variable.text("name") == name)
    }

    /// Panels that show data.
    pub(super) fn panels_with_data(&self) -> impl Iterator<Item = &Part<'a>> {
        self.panels.iter().filter(|panel| !WITHOUT_DATA.contains(&panel.text("type")))
    }

    /// All queries of panels and annotations.
    pub(super) fn queries(&self) -> Vec<Query<'a>> {
        let of_panels = self.panels.iter().flat_map(|panel| {
            panel.list("targets").into_iter().map(|target| Query {
                text: self.filled(target.text("expr")),
                language: language(&target, panel),
                legends: vec![(target.of("legendFormat"), target.text("legendFormat"))],
                part: target,
                of_annotation: false,
            })
        });
        let of_annotations = self.annotations.iter().map(|annotation| Query {
            text: self.filled(annotation.text("expr")),
            language: language(annotation, annotation),
            legends: ["titleFormat", "textFormat"].map(|key| (annotation.of(key), annotation.text(key))).into(),
            part: annotation.clone(),
            of_annotation: true,
        });
        of_panels.chain(of_annotations).collect()
    }

    /// A query whose variables outside of quotes have their values, as far as they have any.
    pub(super) fn filled(&self, text: &str) -> String {
        let milliseconds = [("$__range_ms", "1399000"), ("$__range_s", "1399"), ("$__interval_ms", "1463000")];
        let plain = ["__rate_interval", "__range", "__interval", "__range_s", "__range_ms", "__interval_ms"]
            .iter()
            .fold(text.to_owned(), |text, name| text.replace(&format!("${{{name}}}"), &format!("${name}")));
        let plain = milliseconds.iter().fold(plain, |text, (name, value)| text.replace(name, value));
        let values = self.variables.iter().filter_map(|variable| Some((variable.text("name"), value(variable)?)));
        values.fold(plain, |text, (name, value)| outside_quotes(&text, name, &value))
    }
}

/// What stands for a variable outside of quotes.
fn value(variable: &Part<'_>) -> Option<String> {
    match variable.text("type") {
        "interval" => Some("$__interval".to_owned()),
        "custom" | "constant" | "textbox" => {
            let current = variable.of("current");
            Some(current.text("value").to_owned()).filter(|value| !value.is_empty())
        }
        _ => None,
    }
}

/// Replaces `$name` and `${name}` where they are not within quotes.
fn outside_quotes(text: &str, name: &str, value: &str) -> String {
    let mut quote = None;
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let forms = [format!("${{{name}}}"), format!("${name}")];
        let whole = |form: &&String| {
            let after = rest.strip_prefix(form.as_str()).and_then(|after| after.chars().next());
            rest.starts_with(form.as_str()) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
        };
        match (quote, forms.iter().find(whole)) {
            (None, Some(form)) => {
                filled.push_str(value);
                rest = &rest[form.len()..];
                continue;
            }
            (None, None) if matches!(next, '"' | '\'' | '`') => quote = Some(next),
            (Some(open), _) if open == next => quote = None,
            _ => {}
        }
        filled.push(next);
        rest = &rest[next.len_utf8()..];
    }
    filled
}

fn language(target: &Part<'_>, panel: &Part<'_>) -> Language {
    let kinds = [target, panel].map(|part| part.of("datasource").text("type"));
    match kinds.into_iter().find(|kind| !kind.is_empty()) {
        None | Some("prometheus") => Language::PromQl,
        Some("loki") => Language::LogQl,
        Some(_) => Language::Other,
    }
}
