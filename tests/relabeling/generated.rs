//! Labels and rules, the same in every run: each action with values, regexes and templates that monitors use, and odd ones.

use std::collections::BTreeMap;

use plimsoll::discovery::kubernetes::relabeling::url::Parameters;
use serde_json::{Map, Value, json};

/// One target and its rules.
pub(super) struct Case {
    /// Name of its job.
    pub name: String,
    pub address: String,
    pub labels: BTreeMap<&'static str, &'static str>,
    pub parameters: Parameters,
    /// As monitors write them.
    pub rules: Vec<Value>,
}

/// SplitMix64.
struct Random(u64);

const NAMES: [&str; 9] = [
    "a",
    "b",
    "app",
    "__tmp_a",
    "__meta_kubernetes_pod_name",
    "__meta_kubernetes_pod_label_app",
    "__meta_kubernetes_pod_label_b",
    "__meta_kubernetes_pod_annotation_prometheus_io_port",
    "__scheme__",
];
const VALUES: [&str; 13] = [
    "",
    "x",
    "y",
    "x;y",
    "web-7d4",
    "Web",
    "9102",
    "true",
    "127.0.0.1:80",
    "İstanbul Straße",
    "a.b.c",
    "x$1y",
    "__a__",
];
const SEPARATORS: [Option<&str>; 5] = [None, None, Some(""), Some(":"), Some("--")];
const REGEXES: [&str; 28] = [
    "",
    "(.*)",
    "(.+)",
    "x",
    "x|y",
    "(x|y);?(.*)",
    "([^:]+)(?::\\d+)?;(\\d+)",
    "([^:]+)(?::\\d+)?",
    "(?P<name>[a-z]+)-(?P<hash>[0-9a-f]+)",
    "(?i)WEB.*",
    "[[:upper:]]\\w+",
    ".*\\b.*",
    "\\S+",
    "[^\\d]+",
    "[\\w.]+",
    "\\D*",
    "true|9.*",
    "[[x]+",
    "[&x&&y]*",
    "x{0,2}",
    "[--x]*",
    "\\Qx;y\\E",
    "a\\.b.*",
    ".*\\$1.*",
    "(?U)(.*)(-.*)?",
    "x?(;)?(y)?",
    "()",
    ".{2,}",
];
const REPLACEMENTS: [Option<&str>; 16] = [
    None,
    None,
    Some("$1"),
    Some("${1}"),
    Some("$1:$2"),
    Some("$2$1"),
    Some("${name}_${hash}"),
    Some("$1x"),
    Some("$$1"),
    Some("a$"),
    Some("${1"),
    Some("$9-$0"),
    Some(""),
    Some("fixed"),
    Some("/probe me"),
    Some("$01${a-b}"),
];
const TARGETS: [&str; 14] = [
    "a",
    "b",
    "app",
    "new",
    "__tmp_a",
    "${1}",
    "l_$1",
    "l_${2}_$1",
    "__address__",
    "__metrics_path__",
    "__scheme__",
    "__param_module",
    "__param_target",
    "job",
];
const NAME_REGEXES: [&str; 7] = [
    "__meta_kubernetes_pod_label_(.+)",
    "__meta_.*|b",
    "[a-b]",
    "a(pp)?",
    "(__.*|job|b)",
    "__(address|scheme)__",
    "(.)",
];
const NAME_REPLACEMENTS: [Option<&str>; 4] = [None, Some("$1"), Some("l_${1}"), Some("one_$1_$0")];

/// That many cases.
pub(super) fn cases(count: usize) -> Vec<Case> {
    let mut random = Random(1);
    (0..count).map(|number| random.case(number)).collect()
}

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.next() % from.len() as u64) as usize]
    }

    fn case(&mut self, number: usize) -> Case {
        let labels = (0..self.pick(&[2, 3, 5, 7])).map(|_| (self.pick(&NAMES[..8]), self.pick(&VALUES))).collect();
        let parameters = match self.pick(&[0, 0, 1]) {
            0 => Parameters::new(),
            _ => [("module".to_owned(), vec!["http 2xx".to_owned(), "é&=".to_owned()])].into(),
        };
        let rules = (0..self.pick(&[1, 1, 2, 3, 4])).map(|_| self.rule()).collect();
        Case { name: format!("case-{number}"), address: "127.0.0.1:1".into(), labels, parameters, rules }
    }

    fn rule(&mut self) -> Value {
        let action = self.pick(&[
            "replace",
            "replace",
            "replace",
            "Replace",
            "",
            "keep",
            "drop",
            "keepequal",
            "dropequal",
            "hashmod",
            "lowercase",
            "uppercase",
            "labelmap",
            "labelmap",
            "LabelDrop",
            "labelkeep",
        ]);
        let mut rule = Map::new();
        if !action.is_empty() {
            rule.insert("action".into(), json!(action));
        }
        match action.to_lowercase().as_str() {
            "labelmap" => self.name_rule(&mut rule, true),
            "labeldrop" | "labelkeep" => self.name_rule(&mut rule, false),
            action => self.value_rule(&mut rule, action),
        }
        Value::Object(rule)
    }

    fn name_rule(&mut self, rule: &mut Map<String, Value>, maps: bool) {
        rule.insert("regex".into(), json!(self.pick(&NAME_REGEXES)));
        // Several names that become one are in no order there, and empty names are nobody's intent.
        let regex = rule["regex"].as_str().unwrap_or_default();
        let groups = ["__meta_kubernetes_pod_label_(.+)", "(__.*|job|b)", "(.)"];
        if maps && !groups.contains(&regex) {
            rule.insert("regex".into(), json!(self.pick(&groups)));
        }
        if let Some(replacement) = self.pick(&NAME_REPLACEMENTS).filter(|_| maps) {
            rule.insert("replacement".into(), json!(replacement));
        }
    }

    fn value_rule(&mut self, rule: &mut Map<String, Value>, action: &str) {
        let sources: Vec<&str> = (0..self.pick(&[0, 1, 1, 2, 2, 3])).map(|_| self.pick(&NAMES)).collect();
        rule.insert("sourceLabels".into(), json!(sources));
        let equality = ["keepequal", "dropequal"].contains(&action);
        if let Some(separator) = self.pick(&SEPARATORS).filter(|_| !equality) {
            rule.insert("separator".into(), json!(separator));
        }
        let regex = self.pick(&REGEXES);
        if ["", "replace", "keep", "drop"].contains(&action) && !regex.is_empty() {
            rule.insert("regex".into(), json!(regex));
        }
        match action {
            "keep" | "drop" => {}
            "" | "replace" => {
                rule.insert("targetLabel".into(), json!(self.pick(&TARGETS)));
                if let Some(replacement) = self.pick(&REPLACEMENTS) {
                    rule.insert("replacement".into(), json!(replacement));
                }
            }
            _ => {
                rule.insert("targetLabel".into(), json!(self.pick(&TARGETS[..5])));
            }
        }
        if action == "hashmod" {
            rule.insert("modulus".into(), json!(self.pick(&[1, 2, 7, 1000, 1_u64 << 40])));
        }
    }
}
