//! The targets that one source of one job finds by PodMonitors or ServiceMonitors, and the same again while nothing
//! changed. In: the namespaces. Out: targets ordered by namespace, pod and URL, each page of a pod once, and what had
//! to be left out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::monitor::{Count, Found, Monitor, MonitorName, Scrapings};
use super::namespace::{self, Namespace};
use crate::config::{ClientConfig, Job, KubernetesSd, Omissions, Role, Scraping};
use crate::model::{Target, TargetId};

/// The answers to all sources.
#[derive(Default)]
pub(super) struct Monitors {
    answers: Vec<Answer>,
    scrapings: Scrapings,
}

/// The last answer to a source of a job.
struct Answer {
    job: Arc<str>,
    scraping: Arc<Scraping>,
    sd: KubernetesSd,
    /// By namespace and name.
    known: BTreeMap<(Arc<str>, Arc<str>), Known>,
    /// Whether the source was asked for since the answers were looked through.
    is_wanted: bool,
}

/// A monitor as it was last time, and what it found.
struct Known {
    /// The version of its own namespace that was looked at.
    version: u64,
    record: namespace::Monitor,
    monitor: Monitor,
    clients: Vec<ClientConfig>,
    /// By namespace, with the version of it.
    found: BTreeMap<Arc<str>, (u64, Found)>,
}

// === impl Monitors ===

impl Monitors {
    /// The targets of a source, and what was left out.
    pub(super) fn targets(
        &mut self,
        job: &Job,
        sd: &KubernetesSd,
        namespaces: &BTreeMap<Arc<str>, Namespace>,
    ) -> (Vec<Arc<Target>>, Omissions) {
        let known = self.answers.iter().position(|answer| answer.is_to(job, sd));
        let place = known.unwrap_or_else(|| {
            self.answers.push(Answer::new(job, sd));
            self.answers.len() - 1
        });
        let answer = &mut self.answers[place];
        answer.is_wanted = true;
        answer.update(namespaces, &mut self.scrapings);
        answer.all()
    }

    /// Forgets answers to sources that were not asked for since the last time.
    pub(super) fn retain_wanted(&mut self) {
        self.answers.retain_mut(|answer| std::mem::take(&mut answer.is_wanted));
        self.scrapings.sweep();
    }
}

// === impl Answer ===

impl Answer {
    fn new(job: &Job, sd: &KubernetesSd) -> Self {
        let (job, scraping) = (job.name.clone(), job.scraping.clone());
        Self { job, scraping, sd: sd.clone(), known: BTreeMap::new(), is_wanted: true }
    }

    fn is_to(&self, job: &Job, sd: &KubernetesSd) -> bool {
        self.job == job.name && self.scraping == job.scraping && self.sd == *sd
    }

    fn update(&mut self, namespaces: &BTreeMap<Arc<str>, Namespace>, scrapings: &mut Scrapings) {
        let mut before = std::mem::take(&mut self.known);
        let mut now = BTreeMap::new();
        for (namespace, content) in namespaces {
            for (name, record) in selected(&self.sd, namespace, content) {
                let place = (namespace.clone(), name.clone());
                let mut known = match before.remove(&place) {
                    Some(known) if known.version == content.version => known,
                    last => self.read(&place, record, content, last),
                };
                known.update(self, namespaces, scrapings);
                now.insert(place, known);
            }
        }
        self.known = now;
    }

    /// One that says the same, with the same credentials, keeps what it found.
    fn read(
        &self,
        (namespace, name): &(Arc<str>, Arc<str>),
        record: &namespace::Monitor,
        own: &Namespace,
        before: Option<Known>,
    ) -> Known {
        let (version, of_services) = (own.version, self.sd.role == Role::ServiceMonitor);
        if let Some(known) = before.filter(|known| known.record == *record) {
            let clients = known.monitor.clients(own);
            let is_same = clients == known.clients;
            return Known { version, clients, found: if is_same { known.found } else { BTreeMap::new() }, ..known };
        }
        let name = MonitorName { of_services, namespace: namespace.clone(), name: name.clone() };
        let monitor = Monitor::read(name, &record.spec, &self.scraping);
        let clients = monitor.clients(own);
        Known { version, record: record.clone(), monitor, clients, found: BTreeMap::new() }
    }

    fn all(&self) -> (Vec<Arc<Target>>, Omissions) {
        let mut omissions = Omissions::default();
        let mut found: Vec<(bool, &Arc<Target>)> = Vec::new();
        for ((namespace, _), known) in &self.known {
            known.tell(self, &mut omissions);
            let of_known = known.found.iter().flat_map(|(name, (_, found))| {
                let is_foreign = name != namespace;
                found.targets.iter().map(move |target| (is_foreign, target))
            });
            found.extend(of_known);
        }
        // Of several monitors that lead to one page the first decides how it is scraped, and one of the pod's own
        // namespace before others.
        found.sort_by(|(a_foreign, a), (b_foreign, b)| place(a).cmp(&place(b)).then(a_foreign.cmp(b_foreign)));
        found.dedup_by(|(_, later), (_, first)| place(later) == place(first));
        (found.into_iter().map(|(_, target)| target.clone()).collect(), omissions)
    }
}

fn place(target: &Target) -> (&str, Option<&str>, &str) {
    (&target.identity.namespace, target.identity.pod.as_deref(), &target.url)
}

// === impl Known ===

impl Known {
    /// Goes through the namespaces that changed.
    fn update(&mut self, answer: &Answer, namespaces: &BTreeMap<Arc<str>, Namespace>, scrapings: &mut Scrapings) {
        let mut before = std::mem::take(&mut self.found);
        let selected = self.monitor.namespaces();
        let is_selected = |name: &str| selected.as_ref().is_none_or(|names| names.contains(&name));
        let meant = namespaces.iter().filter(|(name, _)| is_selected(name) && is_asked_for(&answer.sd, name));
        for (name, content) in meant {
            let last = before.remove(name);
            let found = match last {
                Some(last) if last.0 == content.version => last.1,
                last => {
                    let job = (&answer.job, &*answer.scraping);
                    let mut last = last.map(|(_, found)| found).unwrap_or_default();
                    let found = self.monitor.find(content, job, &self.clients, scrapings, &mut last);
                    kept(found, last)
                }
            };
            self.found.insert(name.clone(), (content.version, found));
        }
    }

    fn tell(&self, answer: &Answer, omissions: &mut Omissions) {
        omissions.append(&self.monitor.omissions);
        let mut counts: Vec<Count> = Vec::new();
        for (_, found) in self.found.values() {
            omissions.append(&found.omissions);
            counts.resize(found.counts.len(), Count::default());
            for (all, part) in counts.iter_mut().zip(&found.counts) {
                all.selected += part.selected;
                all.meant += part.meant;
            }
        }
        self.monitor.omit_unmet(&counts, omissions);
        self.monitor.omit_outside(|name| is_asked_for(&answer.sd, name), omissions);
    }
}

/// The monitors of a namespace that a source means; none, where it means no monitors.
pub(super) fn selected<'n>(
    sd: &KubernetesSd,
    namespace: &str,
    content: &'n Namespace,
) -> impl Iterator<Item = (&'n Arc<str>, &'n namespace::Monitor)> {
    let monitors = match sd.role {
        Role::ServiceMonitor => Some(&content.service_monitors),
        Role::PodMonitor => Some(&content.pod_monitors),
        Role::Pod | Role::EndpointSlice => None,
    };
    let monitors = monitors.filter(|_| is_asked_for(sd, namespace)).into_iter().flatten();
    monitors.filter(|(_, record)| sd.selector.matches(|key| record.labels.get(key)))
}

fn is_asked_for(sd: &KubernetesSd, namespace: &str) -> bool {
    sd.namespaces.is_empty() || sd.namespaces.iter().any(|asked| asked == namespace)
}

/// A target that did not change stays the same.
fn kept(mut found: Found, last: Found) -> Found {
    let last: HashMap<TargetId, Arc<Target>> =
        last.targets.into_iter().map(|target| (target.id.clone(), target)).collect();
    for target in &mut found.targets {
        if let Some(known) = last.get(&target.id).filter(|known| *known == target) {
            *target = known.clone();
        }
    }
    found
}

#[cfg(test)]
mod tests;
