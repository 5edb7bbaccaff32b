//! The way from one dashboard to another, with what was chosen and the time range.

use serde_json::{Value, json};

use crate::catalog::Text;

/// To another dashboard, or to the same with another choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub title: Text,
    pub uid: Text,
    /// Variables to set there, with what to: text with Grafana's variables, as `${__field.labels.hpa}`.
    pub variables: Vec<(Text, Text)>,
    /// Variables that are to be there what they are here.
    pub kept: &'static [&'static str],
}

/// What all dashboards about Plimsoll have.
pub(super) const OF_PLIMSOLL: &[&str] = &["job", "instance"];

// === impl Link ===

impl Link {
    pub fn to(uid: impl Into<Text>, title: impl Into<Text>) -> Self {
        Self { title: title.into(), uid: uid.into(), variables: Vec::new(), kept: &[] }
    }

    /// With a variable there set to what the series has as this label.
    pub fn with_label(mut self, variable: &'static str, label: &str) -> Self {
        self.variables.push((variable.into(), format!("${{__field.labels.{label}}}").into()));
        self
    }

    /// With a variable there set to what the row of a table has in the column of this title, which is one word.
    pub fn with_cell(mut self, variable: &'static str, title: &str) -> Self {
        self.variables.push((variable.into(), format!("${{__data.fields.{title}}}").into()));
        self
    }

    /// With what is chosen of these variables, which both have.
    pub fn keeping(self, variables: &'static [&'static str]) -> Self {
        Self { kept: variables, ..self }
    }

    /// Relative to Grafana's own address, which sees to a path in front of it.
    pub(super) fn address(&self) -> String {
        let set = self.variables.iter().map(|(name, value)| format!("&var-{name}={value}"));
        let kept = self.kept.iter().map(|name| format!("&${{{name}:queryparam}}"));
        let variables: String = kept.chain(set).collect();
        format!("/d/{}?${{__url_time_range}}&var-datasource=${{datasource}}{variables}", self.uid)
    }

    pub(super) fn json(&self) -> Value {
        json!({"title": self.title, "url": self.address(), "targetBlank": false})
    }
}

/// A menu of all dashboards with a tag. What was chosen goes along where they have the same variables: a job of Plimsoll is
/// none of the platform.
pub(super) fn menu(title: &str, tag: &str, keeps_choice: bool) -> Value {
    json!({
        "title": title,
        "type": "dashboards",
        "tags": [tag],
        "asDropdown": true,
        "includeVars": keeps_choice,
        "keepTime": true,
        "targetBlank": false,
        "icon": "external link",
        "tooltip": "",
        "url": ""
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_the_time_the_data_source_and_what_both_have() {
        let link = Link::to("plimsoll-hpa", "Why").with_label("hpa", "hpa").with_cell("hpa_namespace", "Namespace");
        let link = link.keeping(OF_PLIMSOLL);
        let expected = "/d/plimsoll-hpa?${__url_time_range}&var-datasource=${datasource}\
                        &${job:queryparam}&${instance:queryparam}&var-hpa=${__field.labels.hpa}&var-hpa_namespace=${__data.fields.Namespace}";
        assert_eq!(link.address(), expected);
    }
}
