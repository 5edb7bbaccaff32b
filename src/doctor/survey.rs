//! Reads everything that the checks look at, side by side; nothing waits for longer than its time limit. Its parts read
//! the autoscalers, the permissions and the serving port.

mod autoscalers;
mod permissions;
mod port;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::config::{self, one_line};
use crate::doctor::facts::{API_SERVICES, Asked, Configuration, Facts, Place};
use crate::doctor::permission::CONTROLLER;
use crate::doctor::{Doctor, Unreachable, front_proxy, question};

/// What the examination is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Begins(&'static str),
    Ends(&'static str, Duration),
}

/// A cluster that is being read.
struct Survey<'a> {
    doctor: &'a Doctor,
    client: Client,
}

/// Questions that are under way at a time: the kube-apiserver has others to answer.
const CONCURRENT: usize = 8;

/// The key of the ConfigMap.
const CONFIG_KEY: &str = "plimsoll.yaml";

// === impl Doctor ===

impl Doctor {
    pub(super) async fn survey(&self) -> Result<Facts, Unreachable> {
        let server = self.kubernetes.cluster_url.to_string();
        let unreachable = |why| Unreachable { server: server.clone(), why };
        let client = question::client(&self.kubernetes).map_err(unreachable)?;
        Survey { doctor: self, client }.facts(server.clone()).await.map_err(unreachable)
    }

    async fn during<T>(&self, what: &'static str, work: impl Future<Output = T>) -> T {
        (self.progress)(Step::Begins(what));
        let started = Instant::now();
        let done = work.await;
        (self.progress)(Step::Ends(what, started.elapsed()));
        done
    }
}

// === impl Survey ===

impl Survey<'_> {
    async fn facts(&self, server: String) -> Asked<Facts> {
        let doctor = self.doctor;
        let ahead = question::seconds_ahead(&self.client, &doctor.clock);
        let server_ahead_seconds = doctor.during("clock of the kube-apiserver", ahead).await?;
        let ((api_services, service, slices), (deployment, configuration), authentication, has_controller_account) = tokio::join!(
            doctor.during("APIServices, Service and endpoints", self.registration()),
            doctor.during("Deployment and configuration", self.installation()),
            doctor.during("front proxy", self.authentication()),
            self.controller_account(),
        );
        let place = Place { service: doctor.service.clone(), is_pod: doctor.is_pod, server };
        let mut facts = Facts {
            place,
            now: doctor.clock.now(),
            server_ahead_seconds,
            api_services,
            service,
            slices,
            deployment,
            shown: Err(String::new()),
            authentication,
            configuration,
            reviews: Vec::new(),
            references: None,
            has_controller_account,
            autoscalers: Vec::new(),
            targets: Err(String::new()),
        };
        let (shown, (references, reviews), autoscalers, targets) = tokio::join!(
            doctor.during("serving certificate", self.shown(&facts)),
            doctor.during("permissions", self.reviews(&facts)),
            doctor.during("autoscalers and their metrics", self.autoscalers()),
            doctor.during("scrape targets", self.targets(&facts)),
        );
        (facts.shown, facts.autoscalers, facts.targets) = (shown, autoscalers, targets);
        (facts.references, facts.reviews) = (references, reviews);
        Ok(facts)
    }

    async fn registration(
        &self,
    ) -> (Vec<(&'static str, Asked<Option<APIService>>)>, Asked<Option<Service>>, Asked<Vec<EndpointSlice>>) {
        let name = &self.doctor.service;
        let api: Api<APIService> = Api::all(self.client.clone());
        let asked = API_SERVICES.map(|name| {
            let api = &api;
            async move { (name, question::object(api, name).await) }
        });
        let services = Api::namespaced(self.client.clone(), &name.namespace);
        let slices = Api::namespaced(self.client.clone(), &name.namespace);
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={}", name.name));
        tokio::join!(
            futures::future::join_all(asked),
            question::object(&services, &name.name),
            question::objects(&slices, &params),
        )
    }

    async fn installation(&self) -> (Asked<Option<Deployment>>, Configuration) {
        let name = &self.doctor.service;
        let deployments = Api::namespaced(self.client.clone(), &name.namespace);
        tokio::join!(question::object(&deployments, &name.name), self.configuration())
    }

    /// The file that was named, or else the ConfigMap.
    async fn configuration(&self) -> Configuration {
        let name = &self.doctor.service;
        if let Some(file) = &self.doctor.config_file {
            let origin = file.display().to_string();
            return match config::text(file) {
                Ok(text) => read(&text, file, origin),
                Err(error) => Configuration::Bad { mistakes: one_line(&error), origin },
            };
        }
        let origin = format!("ConfigMap {name}");
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &name.namespace);
        let found = match question::object(&api, &name.name).await {
            Err(why) => return Configuration::Unknown(why),
            Ok(None) => return Configuration::Unknown(format!("there is no {origin}, and --config names no file")),
            Ok(Some(found)) => found,
        };
        match found.data.as_ref().and_then(|data| data.get(CONFIG_KEY)) {
            Some(text) => read(text, Path::new(CONFIG_KEY), origin),
            None => Configuration::Unknown(format!("{origin} has no key {CONFIG_KEY}")),
        }
    }

    async fn authentication(&self) -> Asked<Option<ConfigMap>> {
        let api = Api::namespaced(self.client.clone(), front_proxy::NAMESPACE);
        question::object(&api, front_proxy::NAME).await
    }

    /// kube-controller-manager makes the account when it uses it.
    async fn controller_account(&self) -> Asked<bool> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), front_proxy::NAMESPACE);
        question::object(&api, CONTROLLER).await.map(|found| found.is_some())
    }
}

fn read(text: &str, file: &Path, origin: String) -> Configuration {
    match config::read(text, file) {
        Ok(config) => Configuration::Known { config: Arc::new(config), origin },
        Err(mistakes) => Configuration::Bad { mistakes: one_line(&mistakes), origin },
    }
}
