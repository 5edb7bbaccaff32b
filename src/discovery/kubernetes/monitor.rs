//! One PodMonitor or ServiceMonitor. In: its `spec`, and a namespace that it selects. Out: the targets there.
//!
//! What relabeling makes of labels decides whether and where a pod is scraped, never whom its samples speak for. A
//! wrong endpoint costs itself, and no other.

mod candidates;
mod credentials;
mod endpoint;
mod outcomes;
mod selector;
mod spec;

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::answer::Mistakes;
use super::meta_labels::{Candidate, is_unknown, sanitized};
use super::namespace::Namespace;
use super::pod::Pod;
use super::relabeling::url::{ADDRESS, METRICS_PATH, PARAMETER_PREFIX, SCHEME};
use super::relabeling::{LabelSet, relabel};
use crate::config::{ClientConfig, Omissions, ScrapeProtocol, Scraping, check_url, duration};
use crate::model::selector::Selector;
use crate::model::{Target, TargetId};
use credentials::Materials;
use endpoint::{Endpoint, told};
use outcomes::{Key, Outcomes};
use selector::selector;
use spec::Spec;

/// What a monitor says, checked.
pub(super) struct Monitor {
    name: MonitorName,
    selector: Selector,
    spec: Spec,
    endpoints: Vec<Endpoint>,
    /// `None` for those of the job.
    protocols: Option<Vec<ScrapeProtocol>>,
    /// What is wrong with it, or has no effect.
    pub omissions: Omissions,
}

/// Kind, namespace and name, as messages write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MonitorName {
    /// Whether it is a ServiceMonitor.
    pub of_services: bool,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// What a monitor finds in one namespace.
#[derive(Default)]
pub(super) struct Found {
    pub targets: Vec<Arc<Target>>,
    pub omissions: Omissions,
    /// Of each endpoint.
    pub counts: Vec<Count>,
    outcomes: Outcomes,
}

/// How many pods, or pods behind Services, are selected, and how many of their ports are meant.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    pub selected: usize,
    pub meant: usize,
}

/// How targets are scraped, shared between those that are scraped alike.
#[derive(Default)]
pub(super) struct Scrapings(HashSet<Arc<Scraping>>);

/// Endpoints of a monitor; the largest ones in use have some ten.
const ENDPOINTS_MAX: usize = 64;

/// Rules of all endpoints of a monitor: each is a regular expression, which takes up to 256 KiB and milliseconds to
/// compile. Ten endpoints have some hundred.
const RULES_MAX: usize = 256;

/// Whoever may write monitors in one namespace must not speak for the pods of others.
const ELSEWHERE: &str =
    "relabelings lead away from the addresses of the pod, which only a monitor of its own namespace may do";

const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";

// === impl Monitor ===

impl Monitor {
    /// Reads the `spec`. Of what is wrong nothing is left but the sentence about it.
    pub(super) fn read(name: MonitorName, value: &Value, job: &Scraping) -> Self {
        let mut omissions = Omissions::default();
        let read = endpoint::typed::<Spec>(value).map_err(|mistake| format!("spec{mistake}"));
        let read = read.and_then(|spec| Ok((selector(&spec.selector)?, spec)));
        let ((selector, spec), is_sound) = match read {
            Ok(read) => (read, true),
            Err(mistake) => {
                omissions.push(format_args!("{name} {mistake}"));
                ((Selector::default(), Spec::default()), false)
            }
        };
        let mut monitor = Self { name, selector, spec, endpoints: Vec::new(), protocols: None, omissions };
        if is_sound {
            monitor.tell(value, "", spec::of_spec);
            monitor.read_protocols();
            monitor.read_endpoints(value, job);
        }
        monitor
    }

    fn read_endpoints(&mut self, value: &Value, job: &Scraping) {
        let key = self.name.endpoints();
        let list = match &value[key] {
            Value::Array(list) => list.as_slice(),
            _ => &[],
        };
        if list.len() > ENDPOINTS_MAX {
            let found = list.len();
            self.omit(format_args!(
                "{key}: expected at most {ENDPOINTS_MAX} endpoints, found {found}; the first are used"
            ));
        }
        let mut rules = 0;
        for (i, part) in list.iter().enumerate().take(ENDPOINTS_MAX) {
            let place = format!("{key}[{i}]");
            rules += part["relabelings"].as_array().map_or(0, Vec::len);
            if rules > RULES_MAX {
                return self.omit(format_args!(
                    "{place}.relabelings: expected at most {RULES_MAX} rules in all endpoints; those before are used"
                ));
            }
            match Endpoint::read(place.clone(), part, job, self.name.of_services) {
                Ok(endpoint) => {
                    self.tell(part, &place, spec::of_endpoint);
                    self.tell_unknown_labels(&endpoint);
                    self.endpoints.push(endpoint);
                }
                Err(mistake) => self.omit(mistake),
            }
        }
    }

    /// Formats that are not known are not asked for.
    fn read_protocols(&mut self) {
        let mut known: Vec<ScrapeProtocol> = Vec::new();
        for (i, text) in self.spec.scrape_protocols.clone().iter().enumerate() {
            match serde_json::from_value(Value::from(text.as_str())) {
                Ok(protocol) if known.contains(&protocol) => {}
                Ok(protocol) => known.push(protocol),
                Err(_) => self.omit(format_args!("scrapeProtocols[{i}]: {text:?} is not known, and is not asked for")),
            }
        }
        self.protocols = Some(known).filter(|known| !known.is_empty());
    }

    /// Says which keys have no effect.
    fn tell(&mut self, value: &Value, place: &str, of: fn(&str) -> Option<spec::Effect>) {
        let dot = if place.is_empty() { "" } else { "." };
        for (key, what) in told(value, of) {
            self.omit(format_args!("{place}{dot}{key}: {what}"));
        }
    }

    /// A rule that decides by a label which is never there drops all or nothing.
    fn tell_unknown_labels(&mut self, endpoint: &Endpoint) {
        for (i, rule) in endpoint.rules.iter().enumerate().filter(|(_, rule)| rule.decides()) {
            for label in rule.source_labels().filter(|label| is_unknown(label)) {
                let place = &endpoint.place;
                self.omit(format_args!("{place}.relabelings[{i}]: {label} is not known here, and stays empty"));
            }
        }
    }

    fn omit(&mut self, sentence: impl fmt::Display) {
        self.omissions.push(format_args!("{} {sentence}", self.name));
    }

    /// The namespaces it means: `None` for all.
    pub(super) fn namespaces(&self) -> Option<Vec<&str>> {
        let named = &self.spec.namespace_selector;
        match named.match_names.as_slice() {
            _ if named.any => None,
            [] => Some(vec![&self.name.namespace]),
            names => Some(names.iter().map(String::as_str).collect()),
        }
    }

    /// Credentials and certificates of each endpoint, as far as the namespace of the monitor has them.
    pub(super) fn clients(&self, own: &Namespace) -> Vec<ClientConfig> {
        let client = |endpoint: &Endpoint| {
            let subject = format!("{} {}", self.name, endpoint.place);
            Materials { name: &self.name.namespace, namespace: own, subject: &subject }.client(&endpoint.given)
        };
        self.endpoints.iter().map(client).collect()
    }

    /// The targets in a namespace that it selects, in no order; `clients` are those of the endpoints, and `last` is what
    /// was found with the same before.
    pub(super) fn find(
        &self,
        namespace: &Namespace,
        job: (&Arc<str>, &Scraping),
        clients: &[ClientConfig],
        scrapings: &mut Scrapings,
        last: &mut Found,
    ) -> Found {
        let mut found = Found::default();
        let mut mistakes = Mistakes::default();
        for (number, (endpoint, client)) in self.endpoints.iter().zip(clients).enumerate() {
            let base = self.scraping(endpoint, job.1, client);
            let (candidates, count) = self.candidates(endpoint, namespace, &mut mistakes);
            found.counts.push(count);
            for candidate in candidates {
                let key = Key::of(number, &candidate);
                let outcome = last.outcomes.take(&key).unwrap_or_else(|| {
                    let target = self.target(endpoint, &candidate, job, &base, scrapings);
                    target.map(|target| target.map(Arc::new)).map_err(Arc::from)
                });
                match &outcome {
                    Ok(target) => found.targets.extend(target.clone()),
                    Err(mistake) => {
                        let identity = &candidate.pod.identity;
                        let pod = format!("pod {}/{}", identity.namespace, candidate.pod.name());
                        let object = format!("{} {}, {pod}", self.name, endpoint.place);
                        mistakes.note(format!("{} {}", self.name, endpoint.place), object, mistake.to_string());
                    }
                }
                found.outcomes.insert(key, outcome);
            }
        }
        found.omissions = mistakes.into();
        found
    }

    fn scraping(&self, endpoint: &Endpoint, job: &Scraping, client: &ClientConfig) -> Scraping {
        Scraping {
            interval: endpoint.interval,
            timeout: endpoint.timeout,
            freshness: freshness(endpoint.interval, job),
            protocols: self.protocols.clone().unwrap_or_else(|| job.protocols.clone()),
            client: client.clone(),
        }
    }

    /// `None` for one that rules drop.
    fn target(
        &self,
        endpoint: &Endpoint,
        candidate: &Candidate<'_>,
        job: (&Arc<str>, &Scraping),
        base: &Scraping,
        scrapings: &mut Scrapings,
    ) -> Result<Option<Target>, String> {
        let labels = self.labels(endpoint, candidate);
        let Some(labels) = relabeled(endpoint, labels)? else { return Ok(None) };
        let url = labels.url(&endpoint.parameters)?;
        check_url(&url)?;
        let pod = candidate.pod;
        if self.name.namespace != pod.identity.namespace && !leads_to(pod, labels.get(ADDRESS)) {
            return Err(ELSEWHERE.into());
        }
        Ok(Some(Target {
            id: TargetId::of_life(job.0, &url, &pod.identity, pod.uid),
            url,
            job: job.0.clone(),
            identity: (*pod.identity).clone(),
            scraping: scrapings.share(timed(base, &labels, job.1)?),
        }))
    }

    /// The labels before the rules of the endpoint. Without rules nobody looks at most of them.
    fn labels(&self, endpoint: &Endpoint, candidate: &Candidate<'_>) -> LabelSet {
        let mut labels = LabelSet::default();
        if !endpoint.rules.is_empty() {
            labels = candidate.labels();
            self.operator_labels(endpoint, candidate, &mut labels);
        }
        labels.extend([
            (ADDRESS, candidate.address()),
            (SCHEME, endpoint.scheme.to_owned()),
            (METRICS_PATH, endpoint.path.clone()),
            (INTERVAL, duration::write(endpoint.interval)),
            (TIMEOUT, duration::write(endpoint.timeout)),
        ]);
        let first = endpoint.parameters.iter().filter_map(|(name, values)| Some((name, values.first()?)));
        labels.extend(first.map(|(name, value)| (format!("{PARAMETER_PREFIX}{name}"), value.as_str())));
        labels
    }

    /// What prometheus-operator sets before the rules of an endpoint (`pkg/prometheus/promcfg.go`).
    fn operator_labels(&self, endpoint: &Endpoint, candidate: &Candidate<'_>, labels: &mut LabelSet) {
        let MonitorName { of_services, namespace, name } = &self.name;
        let number = endpoint.place.rsplit('[').next().unwrap_or_default().trim_end_matches(']');
        let kind = if *of_services { "serviceMonitor" } else { "podMonitor" };
        let service = candidate.service.map_or("", |behind| behind.name);
        let job = if *of_services { service.to_owned() } else { format!("{namespace}/{name}") };
        labels.extend([
            ("__tmp_prometheus_job_name", format!("{kind}/{namespace}/{name}/{number}")),
            ("namespace", candidate.pod.identity.namespace.to_string()),
            ("pod", candidate.pod.name().to_string()),
            ("container", candidate.container.map_or_else(String::new, |(container, _)| container.name.to_string())),
            ("service", service.to_owned()),
            ("job", job),
            ("endpoint", endpoint.shown_port()),
        ]);
        let of_pod = &candidate.pod.identity.labels;
        let of_service = candidate.service.map(|behind| &behind.service.labels);
        let shown = self.spec.target_labels.iter().map(|key| (key, of_service));
        let shown = shown.chain(self.spec.pod_target_labels.iter().map(|key| (key, Some(of_pod))));
        let pairs = shown.filter_map(|(key, from)| Some((sanitized(key), from?.get(key)?)));
        labels.extend(pairs);
        let from = if *of_services { of_service } else { Some(of_pod) };
        labels.extend(from.and_then(|from| from.get(&self.spec.job_label)).map(|job| ("job", job)));
    }

    /// That namespaces are named in which the source does not look.
    pub(super) fn omit_outside(&self, is_asked_for: impl Fn(&str) -> bool, omissions: &mut Omissions) {
        let names = &self.spec.namespace_selector.match_names;
        for (i, name) in names.iter().enumerate().filter(|(_, name)| !is_asked_for(name)) {
            let place = format!("namespaceSelector.matchNames[{i}]");
            omissions.push(format_args!("{} {place}: the job does not look into the namespace {name:?}", self.name));
        }
    }

    /// That no port is meant although there are pods.
    pub(super) fn omit_unmet(&self, counts: &[Count], omissions: &mut Omissions) {
        for (endpoint, count) in self.endpoints.iter().zip(counts) {
            if count.selected > 0 && count.meant == 0 {
                let (name, place, selected) = (&self.name, &endpoint.place, count.selected);
                let port = &endpoint.port;
                omissions.push(format_args!("{name} {place}: none of the {selected} pods that it selects has {port}"));
            }
        }
    }
}

/// Whether an address, with or without a port, is one of the pod.
fn leads_to(pod: &Pod, address: &str) -> bool {
    let with_port = address.parse().map(|socket: SocketAddr| socket.ip());
    let host = with_port.or_else(|_| address.trim_matches(['[', ']']).parse::<IpAddr>());
    host.is_ok_and(|host| pod.addresses().any(|own| own == host))
}

fn relabeled(endpoint: &Endpoint, mut labels: LabelSet) -> Result<Option<LabelSet>, String> {
    match relabel(&endpoint.rules, &mut labels) {
        Ok(stays) => Ok(stays.then_some(labels)),
        Err(error) => Err(error.to_string()),
    }
}

/// The times that rules may have changed.
fn timed(base: &Scraping, labels: &LabelSet, job: &Scraping) -> Result<Scraping, String> {
    let interval = time(labels, INTERVAL, base.interval, |text| endpoint::interval(text, job))?;
    let timeout = time(labels, TIMEOUT, base.timeout, duration::parse)?;
    let timeout = endpoint::shorter(timeout, interval);
    let timeout = timeout.ok_or_else(|| format!("{TIMEOUT}: expected at most {}", duration::write(interval)))?;
    Ok(Scraping { interval, timeout, freshness: freshness(interval, job), ..base.clone() })
}

/// One that no rule has changed is as it was `before`, be it shorter than can be written.
fn time(
    labels: &LabelSet,
    label: &str,
    before: Duration,
    read: impl Fn(&str) -> Result<Duration, String>,
) -> Result<Duration, String> {
    match labels.get(label) {
        text if text == duration::write(before) => Ok(before),
        text => read(text).map_err(|mistake| format!("{label}: {mistake}")),
    }
}

/// That of the job where it was chosen, else the default for the interval.
fn freshness(interval: Duration, job: &Scraping) -> Duration {
    match job.freshness == Scraping::default_freshness(job.interval) {
        true => Scraping::default_freshness(interval),
        false => job.freshness.max(interval),
    }
}

// === impl MonitorName ===

impl MonitorName {
    fn endpoints(&self) -> &'static str {
        if self.of_services { "endpoints" } else { "podMetricsEndpoints" }
    }
}

impl fmt::Display for MonitorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.of_services { "ServiceMonitor" } else { "PodMonitor" };
        write!(f, "{kind} {}/{}", self.namespace, self.name)
    }
}

// === impl Scrapings ===

impl Scrapings {
    fn share(&mut self, scraping: Scraping) -> Arc<Scraping> {
        if let Some(known) = self.0.get(&scraping) {
            return known.clone();
        }
        let shared = Arc::new(scraping);
        self.0.insert(shared.clone());
        shared
    }

    /// Forgets what no target holds.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|shared| Arc::strong_count(shared) > 1);
    }
}
