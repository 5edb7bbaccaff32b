//! The values that cross seams between modules: times, labels, identities of objects and targets.
//!
//! Nothing here does I/O, reads a clock or knows a wire format.

mod address;
pub mod field_selector;
mod inventory;
pub mod native_histogram;
pub mod quantity;
mod reach;
mod scraping;
pub mod selector;

pub use address::redacted;
pub use inventory::{Cluster, Inventory, Object, ObjectReference, PodWithoutTarget, Resources};
pub use native_histogram::{Buckets, NativeHistogram};
pub use reach::Reach;
pub use scraping::{ClientConfig, ClientTls, Credentials, ScrapeProtocol, Scraping, Secret, SecretText};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A point in time in milliseconds since the Unix epoch, the resolution of the exposition formats.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(pub i64);

/// Label names and values of a series or an object, sorted by name, each name once. Pods differ in few of their labels,
/// so that names and values may be shared with others.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

/// A Kubernetes resource type as it stands in a request path: plural resource and API group.
///
/// Written `deployments.apps`; the core group is empty and not written (`pods`).
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct GroupResource {
    pub group: String,
    pub resource: String,
}

/// A controller that owns pods, directly or through other owners.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct OwnerReference {
    /// Group and version, for example `apps/v1`.
    pub api_version: Arc<str>,
    pub kind: Arc<str>,
    pub name: Arc<str>,
}

/// The Kubernetes objects a target stands for. What the pods of a workload have in common is shared between them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    pub namespace: Arc<str>,
    pub pod: Option<Arc<str>>,
    /// Every owner up the chain (`ReplicaSet`, then `Deployment`, …); the order does not matter.
    pub owners: Arc<[OwnerReference]>,
    /// Names of the Services that select the pod.
    pub services: Arc<[Arc<str>]>,
    pub node: Option<Arc<str>>,
    /// The labels of the pod.
    pub labels: Labels,
}

/// One endpoint to scrape and the objects its samples speak for.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub id: TargetId,
    /// Absolute `http` or `https` URL of the exposition page.
    pub url: String,
    /// Name of the job in the configuration that brought the target.
    pub job: Arc<str>,
    pub identity: Identity,
    /// Shared by all targets that are scraped alike.
    pub scraping: Arc<Scraping>,
}

/// What makes two targets the same over time: job, URL and the object scraped.
///
/// A pod that takes over the address of another one is another target, so that their samples never mix.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct TargetId(Arc<str>);

// === impl Timestamp ===

impl Timestamp {
    /// The time `duration` before this one.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// The time `duration` after this one.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// How long this time is after `earlier`; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Seconds from `earlier` to this time, negative when it lies before.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1000.0
    }
}

/// The NaN that says "this series ends here" (Prometheus `model/value.StaleNaN`).
pub fn is_stale_marker(value: f64) -> bool {
    value.to_bits() == 0x7ff0_0000_0000_0002
}

/// One spelling of a bucket bound or quantile: `1` for `1.0` and `1e0`, `+Inf` for `inf`. Formats and client libraries
/// write the values of the labels `le` and `quantile` differently, and a target may change its format; Prometheus 3
/// makes them alike as well. `None` for what is no number.
pub fn canonical_bound(text: &str) -> Option<String> {
    let bound: f64 = text.parse().ok().filter(|bound: &f64| !bound.is_nan())?;
    Some(if bound == f64::INFINITY { "+Inf".into() } else { bound.to_string() })
}

/// The beginning of what a value looks like, for messages: names, labels and texts of targets can be
/// megabytes long, and a message goes into states, logs and conditions. At most 300 bytes and an ellipsis.
pub fn excerpt(value: &impl fmt::Display) -> String {
    let mut excerpt = Excerpt(String::new());
    match fmt::Write::write_fmt(&mut excerpt, format_args!("{value}")) {
        Ok(()) => excerpt.0,
        Err(fmt::Error) => excerpt.0 + "…",
    }
}

/// Takes text until it is full, and then stops whoever writes.
struct Excerpt(String);

const EXCERPT_MAX: usize = 300;

impl fmt::Write for Excerpt {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = EXCERPT_MAX - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with whole seconds, as Kubernetes writes `metav1.Time`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.div_euclid(1000)) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

// === impl Labels ===

impl Labels {
    /// Sorts the pairs by name. A name that occurs twice keeps its first value; callers that must
    /// refuse duplicates check before.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        if pairs.is_empty() {
            return Self::default();
        }
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, first| later.0 == first.0);
        Self(pairs.into())
    }

    /// The value of a label, `None` when the label is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| &**n == name).map(|(_, value)| &**value)
    }

    /// The pairs in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether these very labels, not only equal ones, are kept elsewhere too.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The labels that both have with the same value. Nothing is copied where the other has them all.
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> Self {
        let has_other = |pair: &&(Arc<str>, Arc<str>)| other.get(&pair.0) == Some(&*pair.1);
        match Arc::ptr_eq(&self.0, &other.0) || self.0.iter().all(|pair| has_other(&pair)) {
            true => self.clone(),
            false => Self(self.0.iter().filter(has_other).cloned().collect()),
        }
    }
}

impl<N: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self::new(pairs)
    }
}

/// As in the exposition format: `{code="200",method="GET"}`; nothing when there are no labels.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

// === impl GroupResource ===

impl GroupResource {
    pub fn new(group: &str, resource: &str) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }

    /// A resource of the core group: `pods`, `services`, `namespaces`, `nodes`.
    pub fn core(resource: &str) -> Self {
        Self::new("", resource)
    }

    /// Reads the form of a path segment: everything after the first dot is the group.
    pub fn parse(segment: &str) -> Self {
        let (resource, group) = segment.split_once('.').unwrap_or((segment, ""));
        Self::new(group, resource)
    }

    /// The resource of a kind, for example of `apps/v1` and `Deployment`. The plural is guessed as kubectl does without
    /// discovery (apimachinery `meta.UnsafeGuessKindToResource`).
    pub fn of_kind(api_version: &str, kind: &str) -> Self {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        Self::new(group, &plural(&kind.to_lowercase()))
    }

    /// Whether objects of this resource live in no namespace, as far as Plimsoll knows any.
    pub fn is_cluster_scoped(&self) -> bool {
        self.group.is_empty() && matches!(self.resource.as_str(), "namespaces" | "nodes")
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

// === impl OwnerReference ===

/// Why a text is no owner reference.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OwnerError {
    #[error("expected Kind/name or group/version/Kind/name, for example Deployment/web")]
    Shape,
    #[error("the API version of kind {0:?} is not known here; write it out, for example example.com/v1/{0}/name")]
    UnknownKind(String),
}

/// Kinds whose API version need not be written.
const KNOWN_KINDS: [(&str, &str); 7] = [
    ("Deployment", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("DaemonSet", "apps/v1"),
    ("ReplicaSet", "apps/v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
    ("Rollout", "argoproj.io/v1alpha1"),
];

impl OwnerReference {
    /// Reads `Deployment/web` or `example.com/v1/Widget/web`.
    ///
    /// # Errors
    /// [`OwnerError`] for another shape, or a short form whose kind is not one of the workload kinds.
    pub fn parse(text: &str) -> Result<Self, OwnerError> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty() || part.trim() != *part) {
            return Err(OwnerError::Shape);
        }
        let (api_version, kind, name) = match parts[..] {
            [kind, name] => {
                let known = KNOWN_KINDS.iter().find(|(known, _)| *known == kind);
                let (_, api_version) = known.ok_or_else(|| OwnerError::UnknownKind(kind.into()))?;
                (Arc::from(*api_version), kind, name)
            }
            [group, version, kind, name] => (format!("{group}/{version}").into(), kind, name),
            _ => return Err(OwnerError::Shape),
        };
        Ok(Self { api_version, kind: kind.into(), name: name.into() })
    }

    /// The resource of this kind.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::of_kind(&self.api_version, &self.kind)
    }
}

fn plural(singular: &str) -> String {
    match singular.as_bytes().last() {
        Some(b's') => format!("{singular}es"),
        Some(b'y') => format!("{}ies", &singular[..singular.len() - 1]),
        _ => format!("{singular}s"),
    }
}

// === impl TargetId ===

impl TargetId {
    pub fn new(job: &str, url: &str, identity: &Identity) -> Self {
        let pod = identity.pod.as_deref().unwrap_or("");
        Self(format!("{job} {url} {}/{pod}", identity.namespace).into())
    }

    /// As [`Self::new`], for one life of the pod's name: a pod of a `StatefulSet` that is made anew has the name, and
    /// often the address, of the one before, and is another target.
    pub fn of_life(job: &str, url: &str, identity: &Identity, life: impl fmt::Display) -> Self {
        let pod = identity.pod.as_deref().unwrap_or("");
        Self(format!("{job} {url} {}/{pod} {life}", identity.namespace).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
impl Scraping {
    /// Every 15 s; samples count for 40 s.
    pub(crate) fn for_test() -> Self {
        Self {
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            freshness: Duration::from_secs(40),
            protocols: ScrapeProtocol::ALL.to_vec(),
            client: ClientConfig::default(),
        }
    }
}

#[cfg(test)]
impl Target {
    /// A target for unit tests: scraped every 15 s, its samples count for 40 s.
    pub(crate) fn for_test(url: &str, identity: Identity) -> Self {
        Self {
            id: TargetId::new("job", url, &identity),
            url: url.into(),
            job: "job".into(),
            identity,
            scraping: Arc::new(Scraping::for_test()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_as_kubernetes_does() {
        assert_eq!(Timestamp(1_767_323_045_900).to_string(), "2026-01-02T03:04:05Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn an_excerpt_ends_at_a_whole_character() {
        assert_eq!(excerpt(&"short"), "short");
        let long = "ä".repeat(1_000_000);
        assert_eq!(excerpt(&long), format!("{}…", "ä".repeat(150)));
    }

    #[test]
    fn owners_are_read_in_both_forms() {
        let web = OwnerReference::parse("Deployment/web").expect("short form");
        assert_eq!((&*web.api_version, web.group_resource().to_string().as_str()), ("apps/v1", "deployments.apps"));
        let own = OwnerReference::parse("example.com/v1/Proxy/p").expect("long form");
        assert_eq!(own.group_resource().to_string(), "proxies.example.com");
        assert_eq!(OwnerReference::parse("Widget/w"), Err(OwnerError::UnknownKind("Widget".into())));
        for bad in ["web", "Deployment/", "a/b/c", " Deployment/web", ""] {
            assert_eq!(OwnerReference::parse(bad), Err(OwnerError::Shape), "{bad:?}");
        }
    }

    #[test]
    fn a_group_resource_reads_back_from_its_path_segment() {
        for segment in ["pods", "deployments.apps", "ingresses.networking.k8s.io"] {
            assert_eq!(GroupResource::parse(segment).to_string(), segment);
        }
    }
}
