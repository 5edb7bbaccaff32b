//! Configuration files: what is accepted, what is refused and with which words.
//!
//! The fixtures are named for what they show; `UPDATE_EXPECT=1` rewrites the expected messages.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll::config::reader::read;
use plimsoll::config::{
    self, Aggregation, Bound, Credentials, Level, RangeBoundary, Role, ScrapeProtocol, SecretText, Severity, Shape,
    Threshold, Tier,
};
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/config");
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/config");

fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(end));
    files.sort();
    assert!(!files.is_empty(), "{folder}: no {end}");
    files
}

fn good_files() -> Vec<PathBuf> {
    let mut good = files(FIXTURES, ".good.yaml");
    good.extend(files(SAMPLES, ".yaml"));
    good.push(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo/plimsoll.yaml").into());
    good
}

fn good(text: &str) -> config::Config {
    read(text, Path::new("/etc/plimsoll/plimsoll.yaml")).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn fixture(name: &str) -> config::Config {
    good(&fs::read_to_string(Path::new(FIXTURES).join(name)).expect("fixture"))
}

#[test]
fn good_files_are_accepted() {
    for path in good_files() {
        config::load(&path).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    }
}

#[test]
fn bad_files_get_exactly_their_messages() {
    let mut wrong = Vec::new();
    let bad = files(FIXTURES, ".bad.yaml");
    assert!(bad.len() >= 25, "{} bad files", bad.len());
    for path in bad {
        // Only the name stands in the message, so that it is the same on every machine.
        let name = Path::new(path.file_name().expect("a name"));
        let text = fs::read_to_string(&path).expect("fixture");
        let found = match read(&text, name) {
            Ok(_) => "accepted\n".to_owned(),
            Err(mistakes) => format!("{mistakes}\n"),
        };
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expected, &found).expect("write");
        }
        if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{}:\n{found}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "run again with UPDATE_EXPECT=1 if these are right\n{}", wrong.join("\n"));
}

#[test]
fn mistakes_are_sorted_located_and_none_is_told_twice() {
    for path in files(FIXTURES, ".bad.yaml") {
        let text = fs::read_to_string(&path).expect("fixture");
        let mistakes = read(&text, &path).expect_err("bad").0;
        let lines = text.lines().count() as u64;
        assert!(mistakes.iter().all(|m| (1..=lines + 1).contains(&m.line) && m.column > 0), "{mistakes:?}");
        assert!(mistakes.is_sorted_by_key(|m| (m.line, m.column)), "{mistakes:?}");
        let mut keys: Vec<_> = mistakes.iter().map(|m| (m.line, m.column, &m.key)).collect();
        keys.dedup();
        assert_eq!(keys.len(), mistakes.len(), "{mistakes:?}");
    }
}

#[test]
fn mangled_files_are_refused_or_accepted_but_never_break_the_reader() {
    for path in good_files() {
        let text = fs::read_to_string(&path).expect("fixture");
        let lines: Vec<&str> = text.lines().collect();
        for i in 0..lines.len() {
            let without = [&lines[..i], &lines[i + 1..]].concat().join("\n");
            let indented = [&lines[..i], &["  ", lines[i]], &lines[i..]].concat().join("\n");
            let cut: String = text.chars().take(i * 17).collect();
            for mangled in [without, indented, cut] {
                if let Err(mistakes) = read(&mangled, &path) {
                    assert!(!mistakes.0.is_empty(), "{mangled}");
                }
            }
        }
    }
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let schema = config::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["title"].is_string() && schema.get("$id").is_none());
    for path in good_files() {
        let text = fs::read_to_string(&path).expect("fixture");
        let options = serde_saphyr::options! { strict_booleans: true };
        let value: Value = serde_saphyr::from_str_with_options(&text, options).expect("YAML");
        assert_eq!(violation(&value, &schema), None, "{}", path.display());
    }
}

#[test]
fn every_key_of_the_schema_is_described() {
    fn visit(schema: &Value, path: &str) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{path}.{key} has no description");
            visit(property, &format!("{path}.{key}"));
            visit(&property["items"], &format!("{path}.{key}[]"));
        }
    }
    visit(&config::schema(), "");
}

#[test]
fn defaults_follow_the_scrape_interval() {
    let job = |extra: &str| {
        let text = format!(
            "scrape_configs: [{{job_name: a, {extra} http_sd_configs: [{{url: 'http://a/b'}}]}}]\n\
             metrics: [{{name: m, rate: {{counter: c}}}}]"
        );
        let config = good(&text);
        let window = config.metrics[0].shape.window().expect("a window");
        let job = &config.jobs[0];
        [job.scraping.interval, job.scraping.timeout, job.scraping.freshness, window]
            .map(|duration| duration.as_millis())
    };
    assert_eq!(job(""), [15_000, 10_000, 37_500, 60_000]);
    assert_eq!(job("scrape_interval: 3s,"), [3_000, 2_000, 30_000, 60_000]);
    assert_eq!(job("scrape_interval: 1m,"), [60_000, 10_000, 150_000, 240_000]);
}

#[test]
fn left_out_keys_get_their_documented_defaults() {
    let config = fixture("defaults.good.yaml");
    assert_eq!(config.limits, config::Limits::default());
    assert_eq!(config.rate_limits, config::RateLimits::default());
    assert_eq!(config.jobs[0].scraping.client, config::ClientConfig::default());
    assert_eq!(config.jobs[0].scraping.protocols, ScrapeProtocol::ALL);
    for metric in &config.metrics {
        assert_eq!((metric.levels.as_slice(), metric.min_coverage), (&Level::ALL[..], 0.8), "{}", metric.name);
        assert_eq!(metric.aggregation, Aggregation::Exact, "{}", metric.name);
    }
}

#[test]
fn every_key_reaches_the_configuration() {
    let config = fixture("every-key.good.yaml");
    let job = &config.jobs[0];
    assert_eq!(job.scraping.client.credentials, Credentials::bearer(SecretText::File("/etc/plimsoll/token".into())));
    let [proto, openmetrics, older, text] = ScrapeProtocol::ALL;
    assert_eq!(job.scraping.protocols, [openmetrics, text, proto, older]);
    let pair =
        (SecretText::File("/etc/plimsoll/client.pem".into()), SecretText::File("/etc/plimsoll/client.key".into()));
    assert_eq!(job.scraping.client.tls.server_name.as_deref(), Some("metrics.agents.svc"));
    assert_eq!(job.scraping.client.tls.certificate, Some(pair));
    assert_eq!(job.file_sd[0].files[0], Path::new("/etc/plimsoll/targets/*.json"));
    assert_eq!(job.file_sd[0].refresh_interval, Duration::from_secs(90));
    let identity = &job.targets[0].identity;
    assert_eq!((identity.owners.len(), identity.services.len(), identity.labels.len()), (3, 2, 3));
    assert_eq!(config.limits.labels_per_series, 32);
    let tier = |user: &str, group: &str| config.rate_limits.tier(user, &[group.to_owned()]).name();
    assert_eq!(
        (tier("alice@example.com", ""), tier("bob", "team:platform"), tier("bob", "")),
        ("high", "unlimited", "low")
    );
    assert_eq!(tier("system:serviceaccount:monitoring:prometheus-k8s", ""), "critical");
    let counts = Tier::ALL.map(|tier| config.rate_limits.tiers.of(tier).get());
    assert_eq!(counts, [120, 60, 240, 600, 1_000_000]);
    let queue = &config.metrics[0];
    assert_eq!((queue.unit.as_str(), queue.split_by.len(), queue.min_coverage), ("messages", 1, 0.5));
    assert!(matches!(&queue.shape, Shape::Queue { series, .. } if series.matchers.0.len() == 2));
}

#[test]
fn sources_in_the_cluster_reach_the_configuration() {
    let config = fixture("kubernetes.good.yaml");
    let roles: Vec<Vec<Role>> =
        config.jobs.iter().map(|job| job.kubernetes_sd.iter().map(|sd| sd.role).collect()).collect();
    assert_eq!(
        roles,
        [vec![Role::Pod, Role::Pod], vec![Role::EndpointSlice], vec![Role::PodMonitor, Role::ServiceMonitor]]
    );
    let [narrow, wide] = &config.jobs[0].kubernetes_sd[..] else { panic!("two sources") };
    assert_eq!(narrow.namespaces, ["agents", "models"]);
    let is_meant = |tier| narrow.selector.matches(|key| Some(if key == "app" { "agents" } else { tier }));
    assert!(is_meant("gold") && !is_meant("test"));
    assert!(wide.namespaces.is_empty() && wide.selector.is_empty());
}

#[test]
fn thresholds_come_with_their_severity_the_more_urgent_last() {
    let config = fixture("thresholds.good.yaml");
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let (warning, critical) = (Severity::Warning, Severity::Critical);
    let expected = [
        Threshold { severity: warning, bound: Bound::Above(100.0), lasting: minutes(5) },
        Threshold { severity: critical, bound: Bound::Above(500.0), lasting: minutes(10) },
    ];
    assert_eq!(config.metrics[0].thresholds, expected);
    let bounds: Vec<_> = config.metrics[1].thresholds.iter().map(|threshold| threshold.bound).collect();
    assert_eq!(bounds, [Bound::Below(10.0), Bound::Below(0.0)]);
}

#[test]
fn a_metric_takes_the_aggregation_of_the_file_unless_it_has_its_own() {
    let of = |name: &str| {
        let config = fixture("every-key.good.yaml");
        config.metrics.iter().find(|metric| metric.name == name).expect("a metric").aggregation
    };
    assert_eq!(of("queue_length"), Aggregation::Prometheus(RangeBoundary::Closed));
    assert_eq!(of("decisions_per_second"), Aggregation::Exact);
    assert_eq!(of("latency_p95"), Aggregation::Prometheus(RangeBoundary::LeftOpen));
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |name: &str, bytes: &[u8], part: &str| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("write");
        let mistakes = config::load(&path).expect_err(name);
        assert!(mistakes.to_string().starts_with(&path.display().to_string()), "{mistakes}");
        assert!(mistakes.to_string().contains(part), "{mistakes}");
    };
    check("latin-1.yaml", b"name: \xe9", "expected UTF-8, found other bytes from byte 7 on");
    check("huge.yaml", &vec![b'#'; (4 << 20) + 1], "more than 4194304 bytes");
    let missing = config::load(&folder.path().join("missing.yaml")).expect_err("missing");
    assert!(missing.to_string().contains("the file cannot be read"), "{missing}");
}

/// What a value breaks of a schema: the keywords that the schema of the configuration uses, `format` aside.
fn violation(value: &Value, schema: &Value) -> Option<String> {
    let known = [
        "$schema",
        "title",
        "description",
        "format",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "uniqueItems",
        "oneOf",
        "const",
        "enum",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "pattern",
        "propertyNames",
    ];
    for (keyword, wanted) in schema.as_object()? {
        assert!(known.contains(&keyword.as_str()), "{keyword}: teach this test the keyword");
        let number = |holds: fn(&f64, &f64) -> bool| {
            value.as_f64().zip(wanted.as_f64()).is_none_or(|(value, bound)| holds(&value, &bound))
        };
        let holds = match keyword.as_str() {
            "type" => has_type(value, wanted.as_str().expect("one type")),
            "required" => wanted.as_array()?.iter().all(|key| value.get(key.as_str().unwrap_or("")).is_some()),
            "additionalProperties" if *wanted == false => {
                value.as_object()?.keys().all(|key| schema["properties"].get(key).is_some())
            }
            "minItems" => value.as_array()?.len() as u64 >= wanted.as_u64()?,
            "const" => value == wanted,
            "enum" => wanted.as_array()?.contains(value),
            "oneOf" => wanted.as_array()?.iter().filter(|one| violation(value, one).is_none()).count() == 1,
            "minimum" => number(f64::ge),
            "maximum" => number(f64::le),
            "exclusiveMinimum" => number(f64::gt),
            "exclusiveMaximum" => number(f64::lt),
            "pattern" => regex::Regex::new(wanted.as_str()?).expect("a pattern").is_match(value.as_str()?),
            _ => true,
        };
        if !holds {
            return Some(format!("{value} breaks {keyword}: {wanted}"));
        }
    }
    let properties = value.as_object().into_iter().flatten();
    let below = properties.filter_map(|(key, child)| Some((child, schema["properties"].get(key)?)));
    let items = value.as_array().into_iter().flatten().map(|child| (child, &schema["items"]));
    below.chain(items).find_map(|(child, schema)| violation(child, schema))
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("{other}: teach this test the type"),
    }
}
