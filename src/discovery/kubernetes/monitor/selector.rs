//! `LabelSelector` of a monitor → the selector that objects are matched with, or the key that is wrong.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::model::selector::Selector;

/// A `LabelSelector` by way of its text.
pub(super) fn selector(given: &LabelSelector) -> Result<Selector, String> {
    let mut parts = Vec::new();
    let labels = given.match_labels.iter().flatten();
    for (key, value) in labels {
        parts.push(format!("{}={}", word("matchLabels", key)?, word("matchLabels", value)?));
    }
    for (i, expression) in given.match_expressions.iter().flatten().enumerate() {
        let place = format!("matchExpressions[{i}]");
        let key = word(&place, &expression.key)?;
        let values: Result<Vec<&str>, _> =
            expression.values.iter().flatten().map(|value| word(&place, value)).collect();
        let values = values?.join(",");
        let has_values = expression.values.as_ref().is_some_and(|values| !values.is_empty());
        parts.push(match expression.operator.as_str() {
            "In" if has_values => format!("{key} in ({values})"),
            "NotIn" if has_values => format!("{key} notin ({values})"),
            "Exists" if !has_values => key.to_owned(),
            "DoesNotExist" if !has_values => format!("!{key}"),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {
                return Err(format!("selector.{place}.values: do not fit the operator {}", expression.operator));
            }
            other => {
                return Err(format!(
                    "selector.{place}.operator: expected In, NotIn, Exists or DoesNotExist, found {other:?}"
                ));
            }
        });
    }
    Selector::parse(&parts.join(",")).map_err(|error| format!("selector: {error}"))
}

/// Text without what has a meaning in a selector.
fn word<'t>(place: &str, text: &'t str) -> Result<&'t str, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    match text.chars().all(is_plain) {
        true => Ok(text),
        false => Err(format!("selector.{place}: expected label keys and values, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(yaml: &str, want: Result<&str, &str>) {
        let given: LabelSelector = serde_saphyr::from_str(yaml).expect(yaml);
        let found = selector(&given).map(|selector| selector.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), want, "{yaml}");
    }

    #[test]
    fn a_selector_is_read_and_nothing_is_read_into_it() {
        check("{}", Ok(""));
        check("{matchLabels: {a: b, c: ''}, matchExpressions: [{key: d, operator: Exists}]}", Ok("a=b,c=,d"));
        check("{matchExpressions: [{key: a, operator: NotIn, values: [b, '', c]}]}", Ok("a notin (,b,c)"));
        check(
            "{matchExpressions: [{key: a, operator: In, values: []}]}",
            Err("selector.matchExpressions[0].values: do not fit the operator In"),
        );
        check(
            "{matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
            Err("selector.matchExpressions[0].values: do not fit the operator Exists"),
        );
        check(
            "{matchLabels: {a: 'b,c=d'}}",
            Err("selector.matchLabels: expected label keys and values, found \"b,c=d\""),
        );
        check(
            "{matchExpressions: [{key: '!a', operator: Exists}]}",
            Err("selector.matchExpressions[0]: expected label keys and values, found \"!a\""),
        );
    }
}
