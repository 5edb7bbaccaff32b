//! Reads everything that the checks look at, side by side; nothing waits for longer than its time limit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::iter;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::ListParams;
use kube::{Api, Client};
use serde::Deserialize;
use tokio::time::Instant;

use crate::api::CUSTOM_GROUP;
use crate::config::{self, one_line};
use crate::doctor::certificate::authorities;
use crate::doctor::facts::{
    API_SERVICES, Asked, Autoscaler, Configuration, Facts, Place, Plurals, Reading, Review, Shown, TargetList, account,
    argument,
};
use crate::doctor::inquiry::{self, Asker, Inquiry};
use crate::doctor::permission::{Account, CONTROLLER, Duties, Permission};
use crate::doctor::serving_port::ServingPort;
use crate::doctor::{Doctor, Unreachable, front_proxy, question, registration, service};
use crate::model::GroupResource;

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

/// What the metrics of all autoscalers are asked with.
struct Way {
    version: Asked<String>,
    plurals: Plurals,
}

/// Questions that are under way at a time: the kube-apiserver has others to answer.
const CONCURRENT: usize = 8;

/// Where a pod of Plimsoll listens, and that of its Service.
const OWN_PORT: u16 = 10250;

/// The key of the ConfigMap.
const CONFIG_KEY: &str = "plimsoll.yaml";

const TARGETS: &str = "/api/v1/targets";

/// The versions of the custom metrics API that the controller knows, the better one first.
const VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];

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
            has_controller_account,
            autoscalers: Vec::new(),
            targets: Err(String::new()),
        };
        let (shown, reviews, autoscalers, targets) = tokio::join!(
            doctor.during("serving certificate", self.shown(&facts)),
            doctor.during("permissions", self.reviews(&facts)),
            doctor.during("autoscalers and their metrics", self.autoscalers()),
            doctor.during("scrape targets", self.targets(&facts)),
        );
        (facts.shown, facts.reviews, facts.autoscalers, facts.targets) = (shown, reviews, autoscalers, targets);
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

    async fn reviews(&self, facts: &Facts) -> Vec<Review> {
        let service = &facts.place.service;
        let duties = Duties { service, deployment: &facts.deployment, configuration: &facts.configuration };
        let own = Account::of(&service.namespace, account(&facts.deployment).unwrap_or(&service.name));
        let controller = Account::of_controller(&facts.has_controller_account);
        let reviewed = duties.permissions().into_iter().map(|permission| {
            let account = if permission.purpose.is_of_controller() { &controller } else { &own };
            self.review(permission, account)
        });
        iter(reviewed).buffered(CONCURRENT).collect().await
    }

    async fn review(&self, permission: Permission, account: &Account) -> Review {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(account.user.clone()),
                groups: Some(account.groups.clone()),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(permission.verb.into()),
                    group: Some(permission.group.clone()),
                    resource: Some(permission.resource.clone()),
                    namespace: permission.namespace.clone(),
                    name: permission.name.clone(),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let asked = question::review(&Api::all(self.client.clone()), &review).await;
        let is_allowed = asked.map(|answer| answer.status.is_some_and(|status| status.allowed));
        Review { permission, is_allowed }
    }

    /// What the port shows, or else what the Secret has.
    async fn shown(&self, facts: &Facts) -> Asked<Shown> {
        let name = facts.place.service.dns_name();
        let mut whys = Vec::new();
        for port in self.ports(facts) {
            match port.shown(&name).await {
                Ok(shown) => return Ok(shown),
                Err(why) => whys.push(why),
            }
        }
        if whys.is_empty() {
            whys.push("this is no pod, and --server names no forwarded port".into());
        }
        self.of_secret(facts).await.map_err(|why| {
            whys.push(why);
            whys.join("; ")
        })
    }

    /// Where the serving port may be reached.
    fn ports(&self, facts: &Facts) -> Vec<ServingPort> {
        let mut ports = self.asked_ports(facts);
        let service = facts.service.as_ref().ok().and_then(Option::as_ref);
        let host = service.and_then(|service| service.spec.as_ref()?.external_name.clone());
        let port = u16::try_from(service::port(facts)).ok();
        ports.extend(host.zip(port).map(|(host, port)| ServingPort { host, port }));
        ports
    }

    /// Where credentials may be sent, too: by those who run this, and in the cluster.
    fn asked_ports(&self, facts: &Facts) -> Vec<ServingPort> {
        if let Some(url) = &self.doctor.server {
            return ServingPort::of(url).into_iter().collect();
        }
        if !facts.place.is_pod {
            return Vec::new();
        }
        let own = ServingPort { host: "localhost".into(), port: OWN_PORT };
        let port = u16::try_from(service::port(facts)).ok();
        let service = port.map(|port| ServingPort { host: facts.place.service.dns_name(), port });
        [own].into_iter().chain(service).collect()
    }

    async fn of_secret(&self, facts: &Facts) -> Asked<Shown> {
        let flags = ["--tls-self-managed-secret", "--tls-secret"];
        let name = flags.iter().find_map(|flag| argument(&facts.deployment, flag));
        let name = name.ok_or("no Secret is known that has it")?;
        let namespace = &facts.place.service.namespace;
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let origin = format!("Secret {namespace}/{name}");
        let found = question::object(&api, name).await?.ok_or_else(|| format!("{origin} does not exist"))?;
        let pem = found.data.as_ref().and_then(|data| data.get("tls.crt"));
        let pem = pem.ok_or_else(|| format!("{origin} has no key tls.crt"))?;
        let chain = authorities(&pem.0).map_err(|what| format!("{origin}, key tls.crt: {what}"))?;
        Ok(Shown { place: origin, chain })
    }

    /// Plimsoll's own answer, verified as the kube-apiserver verifies it, with the credentials of this user.
    async fn targets(&self, facts: &Facts) -> Asked<TargetList> {
        let ports = self.asked_ports(facts);
        let mut why = "Plimsoll itself can be asked in its pod, or with --server at a forwarded port".to_owned();
        if ports.is_empty() {
            return Err(why);
        }
        let config = self.verifying(facts)?;
        for port in ports {
            match port.get(&config, &facts.place.service.dns_name(), TARGETS).await {
                Ok((status, body)) if status.is_success() => return target_list(&body),
                Ok((status, body)) => why = format!("{port} answers {status}: {}", message(&body)),
                Err(what) => why = what,
            }
        }
        Err(why)
    }

    /// The same user, and the roots of the APIServices.
    fn verifying(&self, facts: &Facts) -> Asked<kube::Config> {
        let found = facts.api_services.iter().filter_map(|(_, asked)| asked.as_ref().ok()?.as_ref());
        let ours = found.filter(|found| registration::is_ours(found, &facts.place.service));
        let mut bundles = ours.filter_map(|found| found.spec.as_ref()?.ca_bundle.as_ref());
        let ByteString(pem) = bundles.next().ok_or("no APIService has a caBundle to verify Plimsoll with")?;
        let roots = authorities(pem).map_err(|what| format!("the caBundle cannot be used: {what}"))?;
        let mut config = self.doctor.kubernetes.clone();
        config.root_cert = Some(roots.iter().map(|root| root.to_vec()).collect());
        config.root_cert_file = None;
        config.accept_invalid_certs = false;
        Ok(config)
    }

    async fn autoscalers(&self) -> Vec<(Option<String>, Asked<Vec<Autoscaler>>)> {
        let namespaces: Vec<Option<&String>> = match self.doctor.namespaces.is_empty() {
            true => vec![None],
            false => self.doctor.namespaces.iter().map(Some).collect(),
        };
        let lists = namespaces.into_iter().map(|namespace| async move {
            let api: Api<HorizontalPodAutoscaler> = match namespace {
                Some(namespace) => Api::namespaced(self.client.clone(), namespace),
                None => Api::all(self.client.clone()),
            };
            (namespace.cloned(), question::objects(&api, &ListParams::default()).await)
        });
        let lists: Vec<_> = iter(lists).buffered(CONCURRENT).collect().await;
        let way = self.way(lists.iter().filter_map(|(_, list)| list.as_ref().ok()).flatten()).await;
        let mut examined = Vec::new();
        for (namespace, list) in lists {
            let list = match list {
                Ok(list) => {
                    let each = list.into_iter().map(|object| self.autoscaler(object, &way));
                    Ok(iter(each).buffered(CONCURRENT).collect().await)
                }
                Err(why) => Err(why),
            };
            examined.push((namespace, list));
        }
        examined
    }

    async fn way(&self, autoscalers: impl Iterator<Item = &HorizontalPodAutoscaler>) -> Way {
        let versions: BTreeSet<String> = autoscalers.flat_map(api_versions).collect();
        let plurals = versions.into_iter().map(|version| async move {
            let kinds = self.kinds(&version).await;
            (version, kinds)
        });
        let plurals = iter(plurals).buffer_unordered(CONCURRENT).collect::<BTreeMap<_, _>>();
        let (version, plurals) = tokio::join!(self.version(), plurals);
        Way { version, plurals: Plurals(plurals) }
    }

    /// The version of the custom metrics API that the controller asks for.
    async fn version(&self) -> Asked<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Group {
            preferred_version: Option<Version>,
            versions: Vec<Version>,
        }
        #[derive(Deserialize)]
        struct Version {
            version: String,
        }
        let path = format!("/apis/{CUSTOM_GROUP}");
        let body = question::text(&self.client, &path).await.map_err(|denial| match denial.code {
            Some(404) => format!("no custom metrics API ({CUSTOM_GROUP}) registered"),
            _ => denial.message,
        })?;
        let group: Group = serde_json::from_str(&body).map_err(|error| one_line(&error))?;
        let named = group.preferred_version.iter().chain(&group.versions).map(|version| version.version.as_str());
        let known = named.into_iter().find(|version| VERSIONS.contains(version));
        known.map(str::to_owned).ok_or_else(|| "no known available metric versions found".to_owned())
    }

    async fn kinds(&self, api_version: &str) -> Asked<BTreeMap<String, String>> {
        #[derive(Deserialize)]
        struct Resources {
            resources: Vec<Resource>,
        }
        #[derive(Deserialize)]
        struct Resource {
            name: String,
            kind: String,
        }
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let unknown = || format!("the API has no version {}", one_line(&api_version));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'/');
        if !api_version.bytes().all(is_plain) || api_version.split('/').count() > 2 {
            return Err(unknown());
        }
        let body = question::text(&self.client, &format!("/{root}/{api_version}")).await;
        let body = body.map_err(|denial| if denial.code == Some(404) { unknown() } else { denial.message })?;
        let list: Resources = serde_json::from_str(&body).map_err(|error| one_line(&error))?;
        // A name with a slash is a part of another resource.
        let whole = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
        Ok(whole.map(|resource| (resource.kind, resource.name)).collect())
    }

    async fn autoscaler(&self, object: HorizontalPodAutoscaler, way: &Way) -> Autoscaler {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let specs = object.spec.as_ref().and_then(|spec| spec.metrics.clone()).unwrap_or_default();
        let is_ours = |spec: &k8s_openapi::api::autoscaling::v2::MetricSpec| !spec.type_.ends_with("Resource");
        if !specs.iter().any(is_ours) {
            let readings = specs.iter().map(|_| Reading::Elsewhere).collect();
            return Autoscaler { object, scale: Ok(None), has_pods: Ok(true), readings };
        }
        let scale = self.scale(&object, &namespace, way).await;
        let selector = selector(&scale);
        let has_pods = match &selector {
            Ok(selector) => self.has_pods(&namespace, selector).await,
            Err(why) => Err(why.clone()),
        };
        let version = way.version.as_deref().map_err(String::as_str);
        let pods = selector.as_deref().map_err(String::as_str);
        let asker = Asker { namespace: &namespace, version, pods, plurals: &way.plurals };
        let mut readings = Vec::with_capacity(specs.len());
        for spec in &specs {
            readings.push(match asker.ask(spec) {
                Ok(None) => Reading::Elsewhere,
                Ok(Some(inquiry)) => self.reading(inquiry).await,
                Err(message) => Reading::Refused { level: spec.type_.clone(), message },
            });
        }
        Autoscaler { object, scale, has_pods, readings }
    }

    async fn scale(&self, object: &HorizontalPodAutoscaler, namespace: &str, way: &Way) -> Asked<Option<Scale>> {
        let target = &object.spec.as_ref().ok_or("it has no spec")?.scale_target_ref;
        let version = target.api_version.as_deref().unwrap_or("v1");
        let resource: GroupResource = way.plurals.resource(version, &target.kind)?;
        let root = if version.contains('/') { "apis" } else { "api" };
        let path = format!("/{root}/{version}/namespaces/{namespace}/{}/{}/scale", resource.resource, target.name);
        match question::text(&self.client, &path).await {
            Ok(body) => serde_json::from_str(&body).map(Some).map_err(|error| one_line(&error)),
            Err(denial) if denial.code == Some(404) => Ok(None),
            Err(denial) => Err(denial.message),
        }
    }

    async fn has_pods(&self, namespace: &str, selector: &str) -> Asked<bool> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let one = ListParams::default().labels(selector).limit(1);
        question::objects(&api, &one).await.map(|pods| !pods.is_empty())
    }

    async fn reading(&self, inquiry: Inquiry) -> Reading {
        let Inquiry { level, path, .. } = inquiry;
        match question::text(&self.client, &path).await {
            Ok(body) => match inquiry::read(&body) {
                Ok(items) => Reading::Values { level, items },
                Err(message) => Reading::Refused { level, message },
            },
            Err(denial) if denial.is_of_the_user() => Reading::Unasked { level, why: denial.message },
            Err(denial) => Reading::Refused { level, message: denial.message },
        }
    }
}

fn read(text: &str, file: &Path, origin: String) -> Configuration {
    match config::read(text, file) {
        Ok(config) => Configuration::Known { config: Arc::new(config), origin },
        Err(mistakes) => Configuration::Bad { mistakes: one_line(&mistakes), origin },
    }
}

/// Of the target and of the objects that metrics describe.
fn api_versions(object: &HorizontalPodAutoscaler) -> Vec<String> {
    let Some(spec) = &object.spec else { return Vec::new() };
    let described = spec.metrics.iter().flatten().filter_map(|metric| Some(&metric.object.as_ref()?.described_object));
    let references = described.chain([&spec.scale_target_ref]);
    references.map(|reference| reference.api_version.clone().unwrap_or_else(|| "v1".into())).collect()
}

fn selector(scale: &Asked<Option<Scale>>) -> Asked<String> {
    let scale = scale.as_ref().map_err(Clone::clone)?.as_ref().ok_or("what it scales does not exist")?;
    let text = scale.status.as_ref().and_then(|status| status.selector.as_deref()).unwrap_or_default();
    let read = crate::model::selector::Selector::parse(text);
    read.map(|selector| selector.to_string())
        .map_err(|error| one_line(&format_args!("the selector of its scale: {error}")))
}

fn target_list(body: &str) -> Asked<TargetList> {
    #[derive(Deserialize)]
    struct Answer {
        data: TargetList,
    }
    let answer: Answer = serde_json::from_str(body).map_err(|error| one_line(&format_args!("{TARGETS}: {error}")))?;
    Ok(answer.data)
}

/// The message of a Status, or the body as it is.
fn message(body: &str) -> String {
    let status = serde_json::from_str::<serde_json::Value>(body).unwrap_or_default();
    one_line(&status["message"].as_str().unwrap_or(body).trim())
}
