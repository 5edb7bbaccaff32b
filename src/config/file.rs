//! The configuration file as it is written: one struct per mapping, one field per key.
//!
//! The comments become the descriptions of the JSON Schema, and the schema is what the reader checks a file against.
//! `format` names a rule of `structure` and brings its `pattern` for editors; relations between keys are checked by `reader`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::metric::Matchers;
use super::{duration, name, pattern};
use crate::model::{OwnerReference, ScrapeProtocol, selector};

/// The configuration of Plimsoll: what is scraped, and which metrics are served from it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Plimsoll configuration")]
pub struct File {
    /// Jobs: groups of targets that are scraped alike. At least one.
    #[schemars(length(min = 1))]
    pub scrape_configs: Vec<ScrapeConfig>,
    /// Bounds that keep a broken or hostile target from hurting the rest.
    #[serde(default)]
    pub limits: Limits,
    /// How many requests clients may make. What runs the cluster is never limited: users with the prefix `system:` but
    /// ServiceAccounts outside of kube-system, and the group system:masters. Default: 100 in 60 s for each user, and
    /// for each address of users that are not known.
    #[serde(default)]
    pub rate_limits: RateLimits,
    /// How windows of samples become numbers, for every metric that does not say it itself. Native histograms are
    /// computed exactly in either mode. Default: exact.
    #[serde(default)]
    pub aggregation: Aggregation,
    /// The metrics served to Kubernetes. At least one.
    #[schemars(length(min = 1))]
    pub metrics: Vec<Metric>,
}

/// One job: how to scrape, and where its targets come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScrapeConfig {
    /// Name of the job in logs, metrics and messages. Unique.
    #[schemars(extend("format" = "job-name"))]
    pub job_name: String,
    /// Time between two scrapes of a target. Default: 15s.
    #[serde(default = "fifteen_seconds")]
    pub scrape_interval: Period,
    /// Time after which a scrape fails; shorter than `scrape_interval`. Default: 10s, or two thirds of
    /// `scrape_interval` if that is shorter.
    pub scrape_timeout: Option<Period>,
    /// Samples older than this are not used; at least `scrape_interval`. Default: 2.5 times `scrape_interval`, at
    /// least 30s.
    pub freshness: Option<Period>,
    /// Formats asked of targets, the most wanted first; each at most once. Default: PrometheusProto,
    /// OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText0.0.4.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// File with the bearer token sent to targets; read again when it changes. Relative to this file. Not together
    /// with `basic_auth`. Default: none.
    #[schemars(extend("format" = "path"))]
    pub bearer_token_file: Option<String>,
    /// User name and password sent to targets. Not together with `bearer_token_file`. Default: none.
    pub basic_auth: Option<BasicAuth>,
    /// How targets with an https URL are verified. Default: the roots of the machine or the image.
    #[serde(default)]
    pub tls_config: TlsConfig,
    /// Targets written down here.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Files with targets in Prometheus' `file_sd` format.
    #[serde(default)]
    pub file_sd_configs: Vec<FileSdConfig>,
    /// Endpoints that answer with targets in Prometheus' `http_sd` format.
    #[serde(default)]
    pub http_sd_configs: Vec<HttpSdConfig>,
    /// Objects of the cluster that become targets, followed by watches.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub kubernetes_sd_configs: Vec<KubernetesSdConfig>,
}

/// Credentials of HTTP basic authentication.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User name.
    pub username: String,
    /// File that holds the password; read again when it changes. Relative to this file.
    #[schemars(extend("format" = "path"))]
    pub password_file: String,
}

/// TLS towards targets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM bundle of certificate authorities that replaces the roots of the machine or the image. Relative to this file. Default: none.
    #[schemars(extend("format" = "path"))]
    pub ca_file: Option<String>,
    /// PEM client certificate; together with `key_file`. Relative to this file. Default: none.
    #[schemars(extend("format" = "path"))]
    pub cert_file: Option<String>,
    /// PEM key of the client certificate; together with `cert_file`. Relative to this file. Default: none.
    #[schemars(extend("format" = "path"))]
    pub key_file: Option<String>,
    /// Name that the certificate of a target must have, and that is asked for, where URLs have addresses or other
    /// names. Redirects are not followed then. Default: the host of the URL.
    #[schemars(extend("format" = "dns-subdomain"))]
    pub server_name: Option<String>,
    /// Accept any certificate; for tests only. Default: false.
    pub insecure_skip_verify: bool,
}

/// One endpoint to scrape and the Kubernetes objects its samples speak for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Absolute http or https URL of the page with the series.
    #[schemars(extend("format" = "http-url"))]
    pub url: String,
    /// Namespace of the objects.
    #[schemars(extend("format" = "dns-label"))]
    pub namespace: String,
    /// Name of the pod. Default: none, the target speaks for no pod.
    #[schemars(extend("format" = "dns-subdomain"))]
    pub pod: Option<String>,
    /// Owner of the pod as `Kind/name`, or several separated by commas: `ReplicaSet/web-5d4, Deployment/web`. Other
    /// kinds than those of workloads with their API version: `example.com/v1/Widget/w`. Default: none.
    #[serde(default)]
    pub owner: Owners,
    /// Names of the Services that select the pod. Default: none.
    #[serde(default)]
    #[schemars(extend("items" = text("dns-label")))]
    pub services: Vec<String>,
    /// Name of the node the pod runs on. Default: none.
    #[schemars(extend("format" = "dns-subdomain"))]
    pub node: Option<String>,
    /// Labels of the pod, which selectors of requests are matched with. Default: none.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = text("label-value"), "propertyNames" = text("label-key")))]
    pub labels: BTreeMap<String, String>,
}

/// Target files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSdConfig {
    /// JSON or YAML files, relative to this file; the last component may hold `*`. At least one.
    #[schemars(length(min = 1), extend("items" = text("path-pattern")))]
    pub files: Vec<String>,
    /// Time between two looks at the files. Default: 5m.
    #[serde(default = "five_minutes")]
    pub refresh_interval: Period,
}

/// An endpoint that answers with targets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSdConfig {
    /// Absolute http or https URL.
    #[schemars(extend("format" = "http-url"))]
    pub url: String,
    /// Time between two requests. Default: 60s.
    #[serde(default = "one_minute")]
    pub refresh_interval: Period,
}

/// Objects of the cluster that become targets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSdConfig {
    /// Which objects say what is scraped.
    pub role: Role,
    /// Namespaces of the objects. Where all `kubernetes_sd_configs` name theirs, Plimsoll needs permissions in these
    /// alone, and knows no pod elsewhere. Default: all namespaces.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// Selector for the labels of the objects of the role, such as `app=web,tier in (front, back)`. Default: all.
    #[serde(default)]
    pub label_selector: LabelSelector,
}

/// Namespaces of the cluster.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Namespaces {
    /// Names of the namespaces. Default: all.
    #[schemars(extend("items" = text("dns-label"), "uniqueItems" = true))]
    pub names: Vec<String>,
}

/// Bounds per process and per target.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Targets of all jobs together; the ones beyond are not scraped. Default: 10000.
    #[schemars(range(min = 1))]
    pub targets: usize,
    /// Wanted series of one target; a page with more is a failed scrape. Default: 10000.
    #[schemars(range(min = 1))]
    pub series_per_target: usize,
    /// Bytes of a page after decompression; a larger one is a failed scrape. Default: 67108864 (64 MiB).
    #[schemars(range(min = 1))]
    pub body_size_bytes: usize,
    /// Bytes of a label name or value; a longer one fails the scrape. Default: 4096.
    #[schemars(range(min = 1))]
    pub label_length: usize,
    /// Labels of one series; more fail the scrape. Default: 64.
    #[schemars(range(min = 1))]
    pub labels_per_series: usize,
}

/// How many requests clients may make, in tiers. What names a user counts before what names one of its groups; of
/// several groups the tier with most requests counts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Requests that a client of each tier may make in 60 s: at once after a pause, and evenly spread without one.
    pub tiers: Tiers,
    /// Tier of clients that nothing below names. Default: default.
    pub default: Option<Tier>,
    /// Tiers of users by name. Default: none.
    pub users: BTreeMap<String, Tier>,
    /// Tiers of ServiceAccounts by `namespace/name`. Default: none.
    #[schemars(extend("propertyNames" = text("namespaced-name")))]
    pub service_accounts: BTreeMap<String, Tier>,
    /// Tiers of the users of a group. Default: none.
    pub groups: BTreeMap<String, Tier>,
}

/// Requests in 60 s by tier.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tiers {
    /// For clients nothing else is said of. Default: 100.
    #[schemars(range(min = 1, max = 1000000))]
    pub default: NonZeroU32,
    /// For clients whose questions cost much. Default: 50.
    #[schemars(range(min = 1, max = 1000000))]
    pub low: NonZeroU32,
    /// For clients that ask often. Default: 200.
    #[schemars(range(min = 1, max = 1000000))]
    pub high: NonZeroU32,
    /// For clients that others depend on. Default: 500.
    #[schemars(range(min = 1, max = 1000000))]
    pub critical: NonZeroU32,
    /// For clients of the platform itself. Default: 100000.
    #[schemars(range(min = 1, max = 1000000))]
    pub unlimited: NonZeroU32,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Nothing special.
    Default,
    /// Questions that cost much.
    Low,
    /// Many questions.
    High,
    /// Others depend on the answers.
    Critical,
    /// The platform itself.
    Unlimited,
}

/// One metric: declared once, answered at every level it allows. Exactly one of `queue`, `gauge`, `rate`, `quantile`
/// and `ratio` says what it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&SHAPES)))]
pub struct Metric {
    /// Name in requests of the autoscaler: lower-case letters, digits and `_`, at most 63. Unique.
    #[schemars(extend("format" = "metric-name"))]
    pub name: String,
    /// What the number says, for people. Default: empty.
    #[serde(default)]
    pub description: String,
    /// Unit of the number, for people: `messages`, `seconds`. Default: empty.
    #[serde(default)]
    pub unit: String,
    /// Objects the metric may be asked for. Default: all.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub levels: Option<Vec<Level>>,
    /// Labels of the series that the metric selector of a request may choose by. Default: none.
    #[serde(default)]
    #[schemars(extend("items" = text("label-name"), "uniqueItems" = true))]
    pub split_by: Vec<String>,
    /// Least share of the targets of an object that must have data, from 0 to 1; below it there is no value.
    /// Default: 0.8.
    #[serde(default = "eight_tenths")]
    #[schemars(range(min = 0, max = 1))]
    pub min_coverage: f64,
    /// How windows of samples become numbers; replaces the `aggregation` of the file as a whole. Default: that of the
    /// file.
    pub aggregation: Option<Aggregation>,
    /// Values from which on somebody should know; `plimsoll artifacts generate` makes alerts of them. Default: none.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// A gauge of waiting work.
    pub queue: Option<Queue>,
    /// The newest samples of a gauge.
    pub gauge: Option<Gauge>,
    /// Increase of a counter per second.
    pub rate: Option<Rate>,
    /// Quantile of a histogram, native or classic.
    pub quantile: Option<Quantile>,
    /// One sum over another.
    pub ratio: Option<Ratio>,
}

/// The values of a workload from which on somebody should know, by how much it hurries.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// To be looked at in working hours. Default: none.
    pub warning: Option<Threshold>,
    /// To be looked at now. Default: none.
    pub critical: Option<Threshold>,
}

/// The keys of [`Thresholds`].
pub const SEVERITIES: [&str; 2] = ["warning", "critical"];

/// The keys of [`Threshold`] of which exactly one is given.
pub const BOUNDS: [&str; 2] = ["above", "below"];

/// A bound, and how long a value has to be beyond it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&BOUNDS)))]
pub struct Threshold {
    /// Values greater than this are meant.
    pub above: Option<f64>,
    /// Values smaller than this are meant.
    pub below: Option<f64>,
    /// For how long without a break. Default: 5m.
    #[serde(default = "five_minutes", rename = "for")]
    pub lasting: Period,
}

/// How windows of samples become numbers.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Aggregation {
    /// Whether rates and quantiles rest on real samples alone or equal those of a Prometheus. Default: exact.
    pub mode: Option<Mode>,
    /// Which samples a range holds, and with it the major version of Prometheus to equal; only with `mode:
    /// prometheus`. Default: left_open.
    pub range: Option<RangeBoundary>,
}

/// Default of `scrape_interval`.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

/// The keys of [`Metric`] of which exactly one is given.
pub const SHAPES: [&str; 5] = ["queue", "gauge", "rate", "quantile", "ratio"];

/// The keys of [`Side`] of which exactly one is given.
pub const SIDES: [&str; 2] = ["counter", "gauge"];

/// A gauge of waiting work.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Name of the gauge.
    #[schemars(extend("format" = "series-name"))]
    pub series: String,
    /// Matchers in PromQL's notation. Default: every series of the name.
    #[serde(default, rename = "match")]
    pub matchers: Selector,
    /// Whether all pods report one queue or each its own part. With `shared`, the labels in `split_by` tell queues
    /// apart; without `split_by`, all labels of the series do. Within one page the parts of a queue are summed; over
    /// pods the largest sum counts.
    pub sharing: Sharing,
}

/// The newest samples of a gauge, combined over the pods of an object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gauge {
    /// Name of the gauge.
    #[schemars(extend("format" = "series-name"))]
    pub series: String,
    /// Matchers in PromQL's notation. Default: every series of the name.
    #[serde(default, rename = "match")]
    pub matchers: Selector,
    /// How samples become one number.
    pub combine: Combine,
}

/// Increase of a counter per second, summed after the rate of each series.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Name of the counter.
    #[schemars(extend("format" = "series-name"))]
    pub counter: String,
    /// Matchers in PromQL's notation; values of `le` and `quantile` are compared as numbers. Default: every series of
    /// the name.
    #[serde(default, rename = "match")]
    pub matchers: Selector,
    /// Time the increase is taken over; at least twice the largest `scrape_interval`. Default: 60s, or four times the
    /// largest `scrape_interval` if that is longer.
    pub window: Option<Period>,
}

/// Quantile of a histogram, native or classic; buckets are merged over pods before the quantile is taken.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    /// Base name of the histogram, without `_bucket`.
    #[schemars(extend("format" = "histogram-name"))]
    pub histogram: String,
    /// Matchers in PromQL's notation. Default: every series of the name.
    #[serde(default, rename = "match")]
    pub matchers: Selector,
    /// Which quantile, between 0 and 1: 0.95 for p95.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub q: f64,
    /// Time the observations are taken from; at least twice the largest `scrape_interval`. Default: 60s, or four times
    /// the largest `scrape_interval` if that is longer.
    pub window: Option<Period>,
}

/// The sum of one side over the sum of the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// What is divided.
    pub numerator: Side,
    /// What it is divided by.
    pub denominator: Side,
    /// Time the increase of counters is taken over; at least twice the largest `scrape_interval`. Default: 60s, or
    /// four times the largest `scrape_interval` if that is longer.
    pub window: Option<Period>,
}

/// One side of a ratio: exactly one of `counter` and `gauge`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&SIDES)))]
pub struct Side {
    /// Name of a counter; its increase over the window counts.
    #[schemars(extend("format" = "series-name"))]
    pub counter: Option<String>,
    /// Name of a gauge; its newest value counts.
    #[schemars(extend("format" = "series-name"))]
    pub gauge: Option<String>,
    /// Matchers in PromQL's notation. Default: every series of the name.
    #[serde(default, rename = "match")]
    pub matchers: Selector,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// True change between real samples over their real span; nothing is extrapolated.
    Exact,
    /// What PromQL computes of the same samples: extrapolated to the edges of the window.
    Prometheus,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RangeBoundary {
    /// Prometheus 3: a sample exactly at the start of the window is outside.
    LeftOpen,
    /// Prometheus 2: a sample exactly at the start of the window is inside.
    Closed,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// Every pod reports the same queue: within one page the parts of a queue are summed, over pods the largest sum
    /// counts. Queues are told apart by the labels in `split_by` or, without it, by all labels of the series.
    Shared,
    /// Each pod reports its own part: parts are summed.
    Partitioned,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// The sum of the samples.
    Sum,
    /// The mean of the samples.
    Avg,
    /// The largest sample.
    Max,
    /// The smallest sample.
    Min,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// `pods` of custom.metrics.k8s.io.
    Pods,
    /// Controllers of pods, such as Deployments.
    Owners,
    /// Services that select pods.
    Services,
    /// Namespaces.
    Namespaces,
    /// Nodes.
    Nodes,
    /// external.metrics.k8s.io.
    External,
}

/// Which objects of the cluster say what is scraped.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Pods with the annotation `prometheus.io/scrape: "true"`.
    Pod,
    /// The pods behind Services with the annotation `prometheus.io/scrape: "true"`.
    EndpointSlice,
    /// The pods that PodMonitor objects select.
    PodMonitor,
    /// The pods behind Services that ServiceMonitor objects select.
    ServiceMonitor,
}

/// A duration in Prometheus' notation: `15s`, `1m30s`, `500ms`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("format" = "prometheus-duration"))]
pub struct Period(#[schemars(with = "String")] pub Duration);

/// Matchers in PromQL's notation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("format" = "promql-matchers"))]
pub struct Selector(#[schemars(with = "String")] pub Matchers);

/// A label selector in Kubernetes' notation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("format" = "label-selector"))]
pub struct LabelSelector(#[schemars(with = "String")] pub selector::Selector);

/// Owners of a pod, separated by commas.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("format" = "owner-list"))]
pub struct Owners(#[schemars(with = "String")] pub Vec<OwnerReference>);

/// The JSON Schema (2020-12) of the file, without references, so that editors and the reader walk it alike.
pub fn schema() -> serde_json::Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let generator = settings.with_transform(Tidy).into_generator();
    generator.into_root_schema_for::<File>().to_value()
}

/// A key is given or left out, never `null`; defaults stand in the descriptions.
#[derive(Clone)]
struct Tidy;

// === impl Tidy ===

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(serde_json::Value::Array(types)) = schema.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = &types[..] {
                let only = only.clone();
                schema.insert("type".into(), only);
            }
        }
        let nullable = schema.get("anyOf").and_then(|any| any.as_array()).and_then(|any| any.first().cloned());
        if let Some(serde_json::Value::Object(given)) = nullable {
            schema.remove("anyOf");
            for (key, value) in given {
                schema.as_object_mut().map(|object| object.entry(key).or_insert(value));
            }
        }
        // Integer widths and defaults of this program say nothing to an editor.
        schema.remove("default");
        if schema.get("format").is_some_and(|format| matches!(format.as_str(), Some("uint" | "uint32" | "double"))) {
            schema.remove("format");
        }
        if let Some(pattern) = schema.get("format").and_then(|format| pattern::of_format(format.as_str()?)) {
            schema.insert("pattern".into(), pattern.into());
        }
        // Lines are broken for this source, not for editors.
        if let Some(serde_json::Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
        transform_subschemas(self, schema);
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        let limits = super::Limits::default();
        Self {
            targets: limits.targets,
            series_per_target: limits.series_per_target,
            body_size_bytes: limits.body_size_bytes,
            label_length: limits.label_length,
            labels_per_series: limits.labels_per_series,
        }
    }
}

// === impl Tiers ===

impl Default for Tiers {
    fn default() -> Self {
        let tiers = super::Tiers::default();
        let of = |tier| tiers.of(tier);
        Self {
            default: of(super::Tier::Default),
            low: of(super::Tier::Low),
            high: of(super::Tier::High),
            critical: of(super::Tier::Critical),
            unlimited: of(super::Tier::Unlimited),
        }
    }
}

// === impl Period, Selector, LabelSelector, Owners ===

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        duration::parse(&text).map(Self)
    }
}

impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for LabelSelector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        selector::Selector::parse(&text).map(Self).map_err(|error| error.to_string())
    }
}

impl TryFrom<String> for Owners {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        name::owners(&text).map(Self)
    }
}

/// Schema of "exactly one of these keys".
fn one_of(keys: &[&str]) -> serde_json::Value {
    keys.iter().map(|key| serde_json::json!({ "required": [key] })).collect()
}

/// Schema of a text with a format.
fn text(format: &str) -> serde_json::Value {
    serde_json::json!({ "type": "string", "format": format })
}

fn fifteen_seconds() -> Period {
    Period(DEFAULT_INTERVAL)
}

fn one_minute() -> Period {
    Period(Duration::from_secs(60))
}

fn five_minutes() -> Period {
    Period(Duration::from_secs(300))
}

fn eight_tenths() -> f64 {
    0.8
}
