//! Whether the kube-apiserver can reach the APIs that lead to us, as it says itself in their APIServices; and which of the
//! APIs lead to somebody else.
//!
//! They are read by their names, now and then; what cannot be read, is not there or is not ours has no series.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{Api, Client};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::with_causes;
use crate::serving::ServiceName;

/// Keeps current what the APIServices say. Run it as a task.
pub struct Registration {
    pub client: Client,
    /// The one in front of us.
    pub service: ServiceName,
    /// Their names, `<version>.<group>`.
    pub api_services: [String; 3],
    /// Where to tell the groups that others serve.
    pub elsewhere: watch::Sender<BTreeSet<String>>,
    pub metrics: RegistrationMetrics,
}

/// Availability by APIService. Clones share the values.
#[derive(Clone, Debug, Default)]
pub struct RegistrationMetrics {
    available: Family<Label, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    apiservice: String,
}

/// Where an APIService leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Destination {
    /// It is not there, names no Service, or was not read yet.
    #[default]
    Unknown,
    Ours,
    Theirs,
}

/// The kube-apiserver looks at each at least every half a minute.
const INTERVAL: Duration = Duration::from_secs(15);

/// A kube-apiserver that takes longer for one object is ill.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

// === impl Registration ===

impl Registration {
    /// Looks until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.look() => {}
        }
    }

    async fn look(&self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut destinations = [Destination::default(); 3];
        let mut told = None;
        loop {
            ticks.tick().await;
            let mut trouble = None;
            for (name, destination) in self.api_services.iter().zip(&mut destinations) {
                match self.read(name).await {
                    Ok(found) => {
                        *destination = found.as_ref().map_or(Destination::Unknown, |it| leads(it, &self.service));
                        let ours = found.as_ref().filter(|_| *destination != Destination::Theirs);
                        self.metrics.set(name, ours.and_then(is_available));
                    }
                    // It leads where it led.
                    Err(why) => {
                        self.metrics.set(name, None);
                        trouble = Some(why);
                    }
                }
            }
            self.tell(elsewhere(&self.api_services, &destinations));
            if let Some(why) = trouble.as_ref().filter(|_| told.is_none()) {
                tracing::warn!("the APIServices cannot be read, so their availability is not shown: {why}");
            }
            told = trouble;
        }
    }

    async fn read(&self, name: &str) -> Result<Option<APIService>, String> {
        let api: Api<APIService> = Api::all(self.client.clone());
        match timeout(REQUEST_TIMEOUT, api.get_opt(name)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(with_causes(&error)),
            Err(_) => Err(format!("no answer within {REQUEST_TIMEOUT:?}")),
        }
    }

    fn tell(&self, groups: BTreeSet<String>) {
        self.elsewhere.send_if_modified(|told| {
            for group in groups.difference(told) {
                let service = &self.service;
                tracing::info!(
                    group,
                    "the APIService leads to others than Service {service}, so what autoscalers get of it is not shown"
                );
            }
            let changed = *told != groups;
            *told = groups;
            changed
        });
    }
}

/// `None` where the kube-apiserver has not looked yet.
fn is_available(api_service: &APIService) -> Option<bool> {
    let conditions = api_service.status.as_ref()?.conditions.as_ref()?;
    Some(conditions.iter().find(|it| it.type_ == "Available")?.status == "True")
}

fn leads(api_service: &APIService, service: &ServiceName) -> Destination {
    match api_service.spec.as_ref().and_then(|spec| spec.service.as_ref()) {
        None => Destination::Unknown,
        Some(reference) if service.is_in(reference) => Destination::Ours,
        Some(_) => Destination::Theirs,
    }
}

/// The groups of which a version leads to others, and none to us: clients ask for the version that they like best.
fn elsewhere(api_services: &[String], destinations: &[Destination]) -> BTreeSet<String> {
    let groups_that_lead = |to| {
        let all = api_services.iter().zip(destinations).filter(move |(_, destination)| **destination == to);
        all.filter_map(|(name, _)| Some(name.split_once('.')?.1.to_owned())).collect::<BTreeSet<_>>()
    };
    &groups_that_lead(Destination::Theirs) - &groups_that_lead(Destination::Ours)
}

// === impl RegistrationMetrics ===

impl RegistrationMetrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "1 when the kube-apiserver says that it can reach an API of Plimsoll";
        registry.register("apiservice_available", help, metrics.available.clone());
        metrics
    }

    fn set(&self, name: &str, is_available: Option<bool>) {
        let label = Label { apiservice: name.to_owned() };
        match is_available {
            Some(is_available) => {
                self.available.get_or_create(&label).set(i64::from(is_available));
            }
            None => {
                self.available.remove(&label);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_what_the_kube_apiserver_has_looked_at_is_available_or_not() {
        let of = |conditions: Value| {
            let object = json!({"metadata": {"name": "v1beta1.example"}, "status": {"conditions": conditions}});
            is_available(&serde_json::from_value(object).expect("an APIService"))
        };
        let condition = |status: &str| json!([{"type": "Available", "status": status}]);
        assert_eq!([of(condition("True")), of(condition("False"))], [Some(true), Some(false)]);
        assert_eq!(of(condition("Unknown")), Some(false));
        assert_eq!([of(json!([])), of(json!(null))], [None, None]);
    }

    #[test]
    fn a_group_is_elsewhere_when_it_leads_to_others_and_not_to_us_too() {
        let service = "plimsoll-system/plimsoll".parse().expect("a Service");
        let leads_to = |spec: Value| {
            let object = json!({"metadata": {"name": "v1beta1.example"}, "spec": spec});
            leads(&serde_json::from_value(object).expect("an APIService"), &service)
        };
        let to = |namespace: &str, name: &str| {
            let service = json!({"namespace": namespace, "name": name});
            leads_to(json!({"groupPriorityMinimum": 100, "versionPriority": 100, "service": service}))
        };
        let (ours, theirs) = (to("plimsoll-system", "plimsoll"), to("keda", "plimsoll"));
        assert_eq!([ours, theirs], [Destination::Ours, Destination::Theirs]);
        assert_eq!(to("plimsoll-system", "prometheus-adapter"), Destination::Theirs);
        let unknown = leads_to(json!({"groupPriorityMinimum": 100, "versionPriority": 100}));
        assert_eq!(unknown, Destination::Unknown);

        let names = ["v1beta1.custom", "v1beta2.custom", "v1beta1.external"].map(str::to_owned);
        let elsewhere =
            |destinations: [Destination; 3]| elsewhere(&names, &destinations).into_iter().collect::<Vec<_>>();
        assert_eq!(elsewhere([ours, ours, theirs]), ["external"]);
        assert_eq!(elsewhere([theirs, ours, unknown]), [""; 0], "one version of custom leads to us");
        assert_eq!(elsewhere([theirs, unknown, ours]), ["custom"]);
    }
}
