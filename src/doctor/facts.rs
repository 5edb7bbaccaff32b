//! What was read of a cluster, for the checks to judge: values alone, and for each that could not be had the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use crate::config::{Config, one_line};
use crate::doctor::permission::Permission;
use crate::model::{GroupResource, Timestamp};

/// What was asked for, or a sentence on why it could not be had.
pub type Asked<T> = Result<T, String>;

/// Why it is not known what an autoscaler is answered, or why it is answered nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// So it is for everybody: the controller gets no further either.
    Real(String),
    /// This user may not ask, which says nothing of what others are answered.
    Forbidden(String),
    /// No answer came, or it was not asked any more.
    Late(String),
}

/// Everything that the checks look at.
#[derive(Clone, Debug)]
pub struct Facts {
    pub place: Place,
    /// The time of this machine.
    pub now: Timestamp,
    /// By how many seconds the clock of the kube-apiserver is ahead of this machine's; `Date` says it to about one.
    pub server_ahead_seconds: Asked<f64>,
    /// By name, in the order of [`API_SERVICES`].
    pub api_services: Vec<(&'static str, Asked<Option<APIService>>)>,
    /// The Service that the kube-apiserver is to ask.
    pub service: Asked<Option<Service>>,
    pub slices: Asked<Vec<EndpointSlice>>,
    /// The Deployment with the name of the Service.
    pub deployment: Asked<Option<Deployment>>,
    pub shown: Asked<Shown>,
    /// ConfigMap `kube-system/extension-apiserver-authentication`.
    pub authentication: Asked<Option<ConfigMap>>,
    /// What Plimsoll is configured to do.
    pub configuration: Configuration,
    pub reviews: Vec<Review>,
    /// Secrets and ConfigMaps that monitors name; `None` where it is not known which monitors count.
    pub references: Option<Asked<BTreeSet<Reference>>>,
    /// Whether the controller of the autoscalers has a service account of its own.
    pub has_controller_account: Asked<bool>,
    /// By namespace, or once for all of them.
    pub autoscalers: Vec<(Option<String>, Asked<Vec<Autoscaler>>)>,
    pub targets: Asked<TargetList>,
}

/// Where the doctor runs and what it looks for.
#[derive(Clone, Debug)]
pub struct Place {
    pub service: ServiceName,
    /// Whether this is a pod of the cluster.
    pub is_pod: bool,
    /// The URL of the kube-apiserver.
    pub server: String,
}

/// The Service of Plimsoll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    pub namespace: String,
    pub name: String,
}

/// The certificates that a serving port shows, its own first, and where that was seen.
#[derive(Clone, Debug)]
pub struct Shown {
    pub place: String,
    pub chain: Vec<CertificateDer<'static>>,
}

/// What is known of Plimsoll's configuration.
#[derive(Clone, Debug)]
pub enum Configuration {
    Known {
        config: Arc<Config>,
        /// The file or the ConfigMap.
        origin: String,
    },
    /// Each mistake.
    Bad { mistakes: String, origin: String },
    /// Why nobody knows it.
    Unknown(String),
}

/// An object that a monitor names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    pub namespace: String,
    /// `secrets` or `configmaps`.
    pub resource: &'static str,
    pub name: String,
}

/// The answer to a SubjectAccessReview.
#[derive(Clone, Debug)]
pub struct Review {
    pub permission: Permission,
    pub is_allowed: Asked<bool>,
}

/// An autoscaler and what it has to do with.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    pub object: HorizontalPodAutoscaler,
    pub scale: Asked<Option<Scale>>,
    /// Whether the selector of the scale matches any pod.
    pub has_pods: Asked<bool>,
    /// One for each element of `spec.metrics`.
    pub readings: Vec<Reading>,
}

/// What was answered for one metric.
#[derive(Clone, Debug)]
pub enum Reading {
    /// It is asked of another API.
    Elsewhere,
    Values {
        level: String,
        items: Vec<Item>,
    },
    /// The controller would be refused too; `message` is what it would report.
    Refused {
        level: String,
        message: String,
    },
    /// Nobody knows what the controller would get: this user may not ask, or not for what has to be known before.
    Unasked {
        level: String,
        why: String,
    },
    /// Nobody knows it either: it was not asked any more, or what has to be known before was not answered.
    Late {
        level: String,
        why: String,
    },
}

/// One value of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Of the object; external values have none.
    pub name: Option<String>,
    pub milli: i64,
    pub timestamp: Option<Timestamp>,
}

/// Plurals of the kinds of API versions, or why they are not known.
#[derive(Clone, Debug, Default)]
pub struct Plurals(pub BTreeMap<String, Result<BTreeMap<String, String>, Gap>>);

/// `/status/targets`, as far as it is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetList {
    pub active_targets: Vec<ActiveTarget>,
    pub sources: Vec<Source>,
    pub targets_over_limit: usize,
    pub pods_without_target: PodsWithoutTarget,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ActiveTarget {
    pub scrape_pool: String,
    pub scrape_url: String,
    /// Whose page it is: `namespace`, `pod`, `services` and `owner` (`apps/v1/Deployment/web`), the last two lists.
    pub labels: BTreeMap<String, String>,
    /// `up`, `down` or `unknown`.
    pub health: String,
    pub last_error: String,
    pub issues: Vec<Issue>,
}

/// Something odd in the pages of a target.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Issue {
    pub kind: String,
    pub count: u64,
    pub example: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    pub name: String,
    pub targets: usize,
    pub last_error: String,
    pub mistakes: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodsWithoutTarget {
    pub count: usize,
    pub owners: Vec<OwnerOfPods>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OwnerOfPods {
    pub namespace: String,
    pub owner: String,
    pub pods: usize,
}

/// What Plimsoll is registered as.
pub const API_SERVICES: [&str; 3] =
    ["v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"];

// === impl Facts ===

impl Facts {
    /// The time as the kube-apiserver has it, or else as this machine has it.
    pub fn server_now(&self) -> Timestamp {
        let ahead = self.server_ahead_seconds.as_ref().copied().unwrap_or_default();
        Timestamp(self.now.0.saturating_add((ahead * 1000.0) as i64))
    }

    /// Every autoscaler that could be read.
    pub fn all_autoscalers(&self) -> impl Iterator<Item = &Autoscaler> {
        self.autoscalers.iter().filter_map(|(_, list)| list.as_ref().ok()).flatten()
    }

    /// The service account that Plimsoll has.
    pub fn account(&self) -> &str {
        account(&self.deployment).unwrap_or(&self.place.service.name)
    }
}

/// The service account of a Deployment; `None` for one that does not say it, or is not known.
pub fn account(deployment: &Asked<Option<Deployment>>) -> Option<&str> {
    let spec = deployment.as_ref().ok()?.as_ref()?.spec.as_ref()?.template.spec.as_ref()?;
    spec.service_account_name.as_deref()
}

/// The value of a flag among the arguments of Plimsoll's container, `--flag=VALUE` or `--flag VALUE`.
pub fn argument<'d>(deployment: &'d Asked<Option<Deployment>>, flag: &str) -> Option<&'d str> {
    let spec = deployment.as_ref().ok()?.as_ref()?.spec.as_ref()?.template.spec.as_ref()?;
    let arguments = spec.containers.iter().flat_map(|container| [&container.command, &container.args]);
    let arguments: Vec<&str> = arguments.flatten().flatten().map(String::as_str).collect();
    let at = arguments.iter().position(|it| it.split('=').next() == Some(flag))?;
    arguments[at].split_once('=').map(|(_, value)| value).or_else(|| arguments.get(at + 1).copied())
}

// === impl Gap ===

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Real(why) | Self::Forbidden(why) | Self::Late(why)) = self;
        f.write_str(why)
    }
}

// === impl ServiceName ===

impl ServiceName {
    /// The name that the kube-apiserver asks for, and that the serving certificate has to have.
    pub fn dns_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl Autoscaler ===

impl Autoscaler {
    pub fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }
}

// === impl Plurals ===

impl Plurals {
    /// The resource of a kind.
    ///
    /// # Errors
    /// Why it is not known, or that there is none.
    pub fn resource(&self, api_version: &str, kind: &str) -> Result<GroupResource, Gap> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let unasked = || Gap::Late(format!("nobody asked for the kinds of {}", one_line(&api_version)));
        let plural = self.0.get(api_version).ok_or_else(unasked)?.as_ref().map_err(Clone::clone)?.get(kind);
        let what = format_args!("the API has no kind {kind} in {api_version}");
        let plural = plural.ok_or_else(|| Gap::Real(one_line(&what)))?;
        Ok(GroupResource::new(group, plural))
    }

    /// Kinds with their API version and plural.
    #[cfg(test)]
    pub fn of(kinds: &[(&str, &str, &str)]) -> Self {
        let mut plurals = BTreeMap::new();
        for (version, kind, plural) in kinds {
            let known: &mut Result<BTreeMap<String, String>, Gap> =
                plurals.entry((*version).to_owned()).or_insert_with(|| Ok(BTreeMap::new()));
            known.as_mut().expect("it is known").insert((*kind).to_owned(), (*plural).to_owned());
        }
        Self(plurals)
    }
}

// === impl Reading ===

impl Reading {
    /// Of a metric for which there is no request.
    pub fn of_gap(level: String, gap: Gap) -> Self {
        match gap {
            Gap::Real(message) => Self::Refused { level, message },
            Gap::Forbidden(why) => Self::Unasked { level, why },
            Gap::Late(why) => Self::Late { level, why },
        }
    }

    /// Whether the controller is refused.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}
