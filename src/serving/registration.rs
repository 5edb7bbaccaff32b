//! Whether the kube-apiserver can reach the APIs that lead to us, as it says itself in their APIServices.
//!
//! They are read by their names, now and then; what cannot be read, or is not there, has no series.

use std::time::Duration;

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{Api, Client};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::with_causes;

/// Keeps current what the APIServices say. Run it as a task.
pub struct Registration {
    pub client: Client,
    /// Their names.
    pub api_services: [String; 3],
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
        let api: Api<APIService> = Api::all(self.client.clone());
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            ticks.tick().await;
            let mut trouble = None;
            for name in &self.api_services {
                let found = match timeout(REQUEST_TIMEOUT, api.get_opt(name)).await {
                    Ok(Ok(found)) => found,
                    Ok(Err(error)) => {
                        trouble = Some(with_causes(&error));
                        None
                    }
                    Err(_) => {
                        trouble = Some(format!("no answer within {REQUEST_TIMEOUT:?}"));
                        None
                    }
                };
                self.metrics.set(name, found.as_ref().and_then(is_available));
            }
            if let Some(why) = trouble.as_ref().filter(|_| told.is_none()) {
                tracing::warn!("the APIServices cannot be read, so their availability is not shown: {why}");
            }
            told = trouble;
        }
    }
}

/// `None` where the kube-apiserver has not looked yet.
fn is_available(api_service: &APIService) -> Option<bool> {
    let conditions = api_service.status.as_ref()?.conditions.as_ref()?;
    Some(conditions.iter().find(|it| it.type_ == "Available")?.status == "True")
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
}
