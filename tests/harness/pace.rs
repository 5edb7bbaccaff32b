//! Rules whose durations are all the same part of what they are: windows, offsets, `for`, `keep_firing_for`, intervals. What
//! takes hours of a cluster happens within seconds, in the same order. Names and thresholds stay as they are.

use std::sync::LazyLock;

use plimsoll::config::duration;
use regex::{Captures, Regex};
use serde_json::{Value, json};

/// In a query: ranges, subqueries and offsets. A class of characters in a regular expression has no unit.
static DURATIONS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?<before>\[|\[[0-9smhdwy]+:|offset +)(?<duration>(?:[0-9]+(?:ms|[smhdwy]))+)\b").expect("it is one")
});

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

/// A query, `times` as fast.
pub fn faster_query(query: &str, times: u32) -> String {
    // A subquery has two durations next to each other, of which one pass sees the first.
    let once = |text: &str, is_step: bool| {
        let replace = |found: &Captures<'_>| {
            let (before, text) = (&found["before"], &found["duration"]);
            if before.ends_with(':') == is_step {
                format!("{before}{}", divided(text, times))
            } else {
                found[0].to_owned()
            }
        };
        DURATIONS.replace_all(text, replace).into_owned()
    };
    once(&once(query, true), false)
}

fn divide(of: &mut Value, key: &str, times: u32) {
    if let Some(text) = of[key].as_str() {
        of[key] = json!(divided(text, times));
    } else {
        of.as_object_mut().expect("an object").remove(key);
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
