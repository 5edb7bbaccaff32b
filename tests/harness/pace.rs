//! Rules whose durations are all the same part of what they are: windows, offsets, `for`, `keep_firing_for`, intervals. What
//! takes hours of a cluster happens within seconds, in the same order. Names and thresholds stay as they are.

use std::sync::LazyLock;

use plimsoll::config::duration;
use regex::{Captures, Regex};
use serde_json::{Value, json};

/// In a query: ranges, subqueries and offsets. A class of characters in a regular expression has no unit.
static RANGES: LazyLock<Regex> = LazyLock::new(|| followed_by_duration(r"\[|\boffset +"));

/// The resolution of a subquery.
static STEPS: LazyLock<Regex> = LazyLock::new(|| followed_by_duration(r"\[[0-9smhdwy]+:"));

fn followed_by_duration(before: &str) -> Regex {
    Regex::new(&format!(r"({before})((?:[0-9]+(?:ms|[smhdwy]))+)\b")).expect("it is one")
}

/// Rules of a file, `times` as fast.
pub fn faster(rules: &Value, times: u32) -> Value {
    let mut rules = rules.clone();
    for group in rules["groups"].as_array_mut().into_iter().flatten() {
        divide(group, "interval", times);
        for rule in group["rules"].as_array_mut().into_iter().flatten() {
            ["for", "keep_firing_for"].iter().for_each(|key| divide(rule, key, times));
            let query = rule["expr"].as_str().expect("a query");
            rule["expr"] = json!(faster_query(query, times));
        }
    }
    rules
}

/// A route of an Alertmanager and those below it, `times` as fast.
pub fn faster_routes(route: &mut Value, times: u32) {
    ["group_wait", "group_interval", "repeat_interval"].iter().for_each(|key| divide(route, key, times));
    route["routes"].as_array_mut().into_iter().flatten().for_each(|below| faster_routes(below, times));
}

/// A query, `times` as fast.
pub fn faster_query(query: &str, times: u32) -> String {
    let replace = |found: &Captures<'_>| format!("{}{}", &found[1], divided(&found[2], times));
    let stepped = STEPS.replace_all(query, replace);
    RANGES.replace_all(&stepped, replace).into_owned()
}

fn divide(of: &mut Value, key: &str, times: u32) {
    if let Some(text) = of.get(key).and_then(Value::as_str) {
        of[key] = json!(divided(text, times));
    }
}

/// In milliseconds.
fn divided(text: &str, times: u32) -> String {
    let whole = duration::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    format!("{}ms", (whole / times).as_millis())
}

#[test]
fn every_duration_of_a_query_is_divided_and_nothing_else() {
    let check = |query: &str, expected: &str| assert_eq!(faster_query(query, 60), expected);
    check("rate(a_total[5m])", "rate(a_total[5000ms])");
    check("job:a:ratio_rate5m > 14.4 * 0.001", "job:a:ratio_rate5m > 14.4 * 0.001");
    check(r#"a{code=~"[45].."} offset 1h > 5"#, r#"a{code=~"[45].."} offset 60000ms > 5"#);
    check("max_over_time(a[1h:5m])", "max_over_time(a[60000ms:5000ms])");
    check("max_over_time(a[1d12h:])", "max_over_time(a[2160000ms:])");
    check("time() - a > 86400", "time() - a > 86400");
}
