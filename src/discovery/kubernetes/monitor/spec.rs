//! PodMonitors and ServiceMonitors as their authors write them: `monitoring.coreos.com/v1` of prometheus-operator 0.93,
//! as far as Plimsoll follows it. What it does with the other keys is a table beside each type.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

use super::super::relabeling::RelabelConfig;

/// `spec` of either kind, without its endpoints, each of which is read on its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec {
    pub selector: LabelSelector,
    pub namespace_selector: NamespaceSelector,
    /// A label whose value becomes the label `job`.
    pub job_label: String,
    /// Labels of the pod that become labels of the target.
    pub pod_target_labels: Vec<String>,
    /// Labels of the Service that become labels of the target.
    pub target_labels: Vec<String>,
    pub scrape_protocols: Vec<String>,
}

/// Whose objects are meant; the namespace of the monitor itself where nothing is said.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NamespaceSelector {
    pub any: bool,
    pub match_names: Vec<String>,
}

/// `PodMetricsEndpoint` of a PodMonitor, `Endpoint` of a ServiceMonitor.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Endpoint {
    /// Name of a port of the pod or of the Service; goes before the two below.
    pub port: String,
    /// Number of a port of the pod.
    pub port_number: Option<u16>,
    /// Name or number of a port of the pod.
    pub target_port: Option<IntOrString>,
    pub path: String,
    pub scheme: String,
    pub params: BTreeMap<String, Vec<String>>,
    pub interval: String,
    pub scrape_timeout: String,
    pub bearer_token_secret: KeySelector,
    pub bearer_token_file: String,
    pub authorization: Option<Authorization>,
    pub basic_auth: Option<BasicAuth>,
    pub tls_config: TlsConfig,
    pub relabelings: Vec<RelabelConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Authorization {
    /// Empty for `Bearer`.
    #[serde(rename = "type")]
    pub scheme: String,
    pub credentials: KeySelector,
    pub credentials_file: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BasicAuth {
    pub username: KeySelector,
    pub password: KeySelector,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TlsConfig {
    pub ca: SecretOrConfigMap,
    pub cert: SecretOrConfigMap,
    pub key_secret: KeySelector,
    pub server_name: String,
    pub insecure_skip_verify: bool,
    pub ca_file: String,
    pub cert_file: String,
    pub key_file: String,
    pub min_version: String,
    pub max_version: String,
}

/// A key of a Secret or a ConfigMap in the namespace of the monitor. Without a name it is none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeySelector {
    pub name: String,
    pub key: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SecretOrConfigMap {
    pub secret: KeySelector,
    pub config_map: KeySelector,
}

/// What a key that is not followed does to numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Followed.
    Followed,
    /// It cannot change a number: it is about labels of targets, about Prometheus itself, or done in any case.
    None,
    /// It can; the sentence says what is done instead. It is told unless the value is empty or `false`.
    Told(&'static str),
    /// As `Told`, where the value is `false`.
    ToldWhenFalse(&'static str),
    /// The endpoint cannot be scraped as it was meant.
    Refused(&'static str),
}

const LIMIT: &str = "has no effect; the limits of Plimsoll's configuration hold";
const PROXY: &str = "has no effect; targets are asked without a proxy";

/// The effect of a key of `spec`; `None` for one that is not known.
pub(super) fn of_spec(key: &str) -> Option<Effect> {
    Some(match key {
        "selector"
        | "namespaceSelector"
        | "jobLabel"
        | "podTargetLabels"
        | "targetLabels"
        | "scrapeProtocols"
        | "podMetricsEndpoints"
        | "endpoints" => Effect::Followed,
        // Node labels are told where rules look at them. Pods are selected by watches, of which there is one way. Both
        // kinds of histogram are read where a target has them.
        "attachMetadata"
        | "selectorMechanism"
        | "serviceDiscoveryRole"
        | "keepDroppedTargets"
        | "scrapeNativeHistograms"
        | "scrapeClassicHistograms"
        | "nativeHistogramBucketLimit"
        | "nativeHistogramMinBucketFactor"
        | "convertClassicHistogramsToNHCB"
        | "fallbackScrapeProtocol" => Effect::None,
        "sampleLimit"
        | "targetLimit"
        | "labelLimit"
        | "labelNameLengthLimit"
        | "labelValueLengthLimit"
        | "bodySizeLimit" => Effect::Told(LIMIT),
        "scrapeClass" => Effect::Told("has no effect; what it stands for is written in the Prometheus object"),
        _ => return None,
    })
}

/// The effect of a key of an endpoint; `None` for one that is not known.
pub(super) fn of_endpoint(key: &str) -> Option<Effect> {
    Some(match key {
        "port" | "portNumber" | "targetPort" | "path" | "scheme" | "params" | "interval" | "scrapeTimeout"
        | "bearerTokenSecret" | "bearerTokenFile" | "authorization" | "basicAuth" | "tlsConfig" | "relabelings" => {
            Effect::Followed
        }
        // Targets add no labels to series, so none collides; series end when a page no longer has them; pods that do
        // not run are never scraped; redirects are followed on the same host, and HTTP/2 is spoken where it is offered.
        "honorLabels" | "trackTimestampsStaleness" | "filterRunning" | "followRedirects" | "enableHttp2" => {
            Effect::None
        }
        "honorTimestamps" => Effect::ToldWhenFalse("has no effect; timestamps on a page count"),
        "metricRelabelings" => {
            Effect::Told("are not followed; choose series by the matchers of the metrics in Plimsoll's configuration")
        }
        "proxyUrl" | "noProxy" | "proxyFromEnvironment" | "proxyConnectHeader" => Effect::Told(PROXY),
        "oauth2" => Effect::Refused("is not supported; without it the endpoint is not scraped"),
        _ => return None,
    })
}

// === impl KeySelector ===

impl KeySelector {
    pub(super) fn is_none(&self) -> bool {
        self.name.is_empty()
    }
}
