//! The targets that one source of one job finds by annotations, and the same again while nothing changed.
//!
//! In: the namespaces. Out: targets ordered by namespace, pod and URL, and what had to be left out. A page of a pod is
//! there once, however many Services lead to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exposure::Exposure;
use super::namespace::Namespace;
use super::pod::Pod;
use super::service::{Family, Service, Slice};
use crate::config::{Job, KubernetesSd, Omissions, Role};
use crate::model::selector::Selector;
use crate::model::{Labels, Scraping, Target, TargetId};

/// The last answer to a source of a job.
pub(super) struct Answer {
    job: Arc<str>,
    scraping: Arc<Scraping>,
    sd: KubernetesSd,
    parts: BTreeMap<Arc<str>, Part>,
    /// Whether the source was asked for since the answers were looked through.
    pub is_wanted: bool,
}

/// What a namespace contributes.
#[derive(Default)]
struct Part {
    /// The version of the namespace it was made from.
    version: u64,
    /// Ordered by pod and URL.
    targets: Vec<Arc<Target>>,
    omissions: Omissions,
}

/// A part while the namespace is gone through.
struct Draft<'a> {
    answer: &'a Answer,
    namespace: &'a Namespace,
    name: &'a str,
    targets: Vec<Arc<Target>>,
    mistakes: Mistakes,
}

/// What is wrong, by whose fault it is and the sentence about it: the pods of a template are wrong together.
#[derive(Default)]
struct Mistakes(BTreeMap<(String, String), Mistaken>);

/// Who is affected by a mistake.
struct Mistaken {
    /// The first of them.
    object: String,
    more: usize,
}

/// A page of a pod, whatever address leads to it: pod, then port and path.
type Page<'a> = (&'a Arc<str>, u16, &'static str, &'a str);

// === impl Answer ===

impl Answer {
    pub(super) fn new(job: &Job, sd: &KubernetesSd) -> Self {
        let (job, scraping) = (job.name.clone(), job.scraping.clone());
        Self { job, scraping, sd: sd.clone(), parts: BTreeMap::new(), is_wanted: true }
    }

    pub(super) fn is_to(&self, job: &Job, sd: &KubernetesSd) -> bool {
        self.job == job.name && self.scraping == job.scraping && self.sd == *sd
    }

    /// Brings the answer up to date. Only namespaces that changed are gone through.
    pub(super) fn update(&mut self, namespaces: &BTreeMap<Arc<str>, Namespace>) {
        let mut before = std::mem::take(&mut self.parts);
        let sd = &self.sd;
        let is_asked_for = |name: &str| sd.namespaces.is_empty() || sd.namespaces.iter().any(|asked| asked == name);
        let asked = namespaces.iter().filter(|(name, _)| is_asked_for(name));
        let parts = asked.map(|(name, namespace)| {
            let part = before.remove(name).unwrap_or_default();
            let is_current = part.version == namespace.version;
            (name.clone(), if is_current { part } else { self.part(name, namespace, &part) })
        });
        self.parts = parts.collect();
    }

    /// All targets and omissions.
    pub(super) fn all(&self) -> (Vec<Arc<Target>>, Omissions) {
        let mut omissions = Omissions::default();
        self.parts.values().for_each(|part| omissions.append(&part.omissions));
        (self.parts.values().flat_map(|part| &part.targets).cloned().collect(), omissions)
    }

    fn part(&self, name: &str, namespace: &Namespace, before: &Part) -> Part {
        let mut draft = Draft { answer: self, namespace, name, targets: Vec::new(), mistakes: Mistakes::default() };
        match self.sd.role {
            Role::Pod => draft.pods(),
            Role::EndpointSlice => draft.services(),
            // Monitors select across namespaces, and are not answered by parts.
            Role::PodMonitor | Role::ServiceMonitor => {}
        }
        draft.part(before)
    }
}

// === impl Draft ===

impl<'a> Draft<'a> {
    fn part(mut self, before: &Part) -> Part {
        self.targets.sort_by(|a, b| place(a).cmp(&place(b)));
        let kept = |target: Arc<Target>| before.same(&target).unwrap_or(target);
        let targets = self.targets.into_iter().map(kept).collect();
        Part { version: self.namespace.version, targets, omissions: self.mistakes.into() }
    }

    fn pods(&mut self) {
        let (selector, pods) = (&self.answer.sd.selector, self.namespace.pods.values());
        for pod in pods.filter(|pod| selects(selector, &pod.identity.labels)) {
            if let Err(mistake) = self.pod(pod) {
                let object = format!("pod {}/{}", self.name, pod.name());
                self.mistakes.note(template(pod), object, mistake);
            }
        }
    }

    fn pod(&mut self, pod: &Pod) -> Result<(), String> {
        let Some(exposure) = Exposure::read(&pod.annotations)? else { return Ok(()) };
        let ports = exposure.port.map_or_else(|| pod.tcp_ports(), |port| vec![port]);
        if ports.is_empty() {
            return Err("no container declares a TCP port; expected one, or the annotation prometheus.io/port".into());
        }
        for port in ports {
            self.push(pod, exposure.url(pod.address, port));
        }
        Ok(())
    }

    fn services(&mut self) {
        let mut pages = BTreeMap::new();
        let (selector, services) = (&self.answer.sd.selector, self.namespace.services.iter());
        for (name, service) in services.filter(|(_, service)| selects(selector, &service.labels)) {
            if let Err(mistake) = self.service(name, service, &mut pages) {
                let object = format!("Service {}/{name}", self.name);
                self.mistakes.note(object.clone(), object, mistake);
            }
        }
        for (pod, url) in pages.into_values() {
            self.push(pod, url);
        }
    }

    /// Adds the pages of a Service. Of two addresses of a pod that of `status.podIP` goes first.
    fn service(
        &self,
        name: &'a str,
        service: &'a Service,
        pages: &mut BTreeMap<Page<'a>, (&'a Pod, String)>,
    ) -> Result<(), String> {
        let Some(exposure) = Exposure::read(&service.annotations)? else { return Ok(()) };
        let slices: Vec<&Slice> = self.namespace.slices_of(name).collect();
        for slice in &slices {
            let ports = exposure.port.map_or_else(|| slice.tcp_ports().collect(), |port| vec![port]);
            for pod in slice.endpoints.iter().filter_map(|endpoint| self.namespace.pod_of(endpoint)) {
                for port in &ports {
                    let address = address(pod, slice.family);
                    let page = (pod.name(), *port, exposure.scheme, exposure.path);
                    if address == pod.address || !pages.contains_key(&page) {
                        pages.insert(page, (pod, exposure.url(address, *port)));
                    }
                }
            }
        }
        check(&slices, exposure.port)
    }

    fn push(&mut self, pod: &Pod, url: String) {
        let Answer { job, scraping, .. } = self.answer;
        self.targets.push(Arc::new(Target {
            id: TargetId::of_life(job, &url, &pod.identity, pod.uid),
            url,
            job: job.clone(),
            identity: (*pod.identity).clone(),
            scraping: scraping.clone(),
        }));
    }
}

fn selects(selector: &Selector, labels: &Labels) -> bool {
    selector.matches(|key| labels.get(key))
}

/// The address of a pod in a network, or its first one.
fn address(pod: &Pod, family: Family) -> std::net::IpAddr {
    pod.addresses().find(|address| family.has(*address)).unwrap_or(pod.address)
}

/// Whether what is behind a Service can be scraped.
fn check(slices: &[&Slice], port: Option<u16>) -> Result<(), String> {
    let foreign: usize = slices.iter().map(|slice| slice.foreign).sum();
    if foreign > 0 {
        return Err(format!("{foreign} of its endpoints refer to no pod of the namespace, and are not scraped"));
    }
    let is_without_port = |slice: &Slice| !slice.endpoints.is_empty() && slice.tcp_ports().next().is_none();
    match port.is_none() && slices.iter().any(|slice| is_without_port(slice)) {
        true => Err("it has no TCP port; expected one, or the annotation prometheus.io/port".into()),
        false => Ok(()),
    }
}

fn place(target: &Target) -> (Option<&str>, &str) {
    (target.identity.pod.as_deref(), &target.url)
}

/// What the pods that are wrong together have in common.
fn template(pod: &Pod) -> String {
    match &pod.controller {
        Some(controller) => format!("{} {}", controller.owner.kind, controller.owner.name),
        None => format!("pod {}", pod.name()),
    }
}

// === impl Part ===

impl Part {
    /// The same target, if there was one.
    fn same(&self, target: &Arc<Target>) -> Option<Arc<Target>> {
        let found = self.targets.binary_search_by(|known| place(known).cmp(&place(target))).ok()?;
        Some(&self.targets[found]).filter(|known| *known == target).cloned()
    }
}

// === impl Mistakes ===

impl Mistakes {
    fn note(&mut self, fault: String, object: String, mistake: String) {
        let mistaken = self.0.entry((fault, mistake));
        mistaken.and_modify(|mistaken| mistaken.more += 1).or_insert(Mistaken { object, more: 0 });
    }
}

impl From<Mistakes> for Omissions {
    fn from(mistakes: Mistakes) -> Self {
        let mut omissions = Self::default();
        for ((fault, mistake), Mistaken { object, more }) in mistakes.0 {
            match more {
                0 => omissions.push(format_args!("{object}: {mistake}")),
                _ => omissions.push(format_args!("{object}: {mistake}; so it is with {more} more of {fault}")),
            }
        }
        omissions
    }
}
