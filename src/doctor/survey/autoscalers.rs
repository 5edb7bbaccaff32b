//! Reads the autoscalers, what they scale, and every metric that they ask for as the controller would be answered.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use futures::stream::iter;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde::Deserialize;
use tokio::time::Instant;

use super::{CONCURRENT, Survey};
use crate::api::CUSTOM_GROUP;
use crate::config::one_line;
use crate::doctor::certificate::is_name;
use crate::doctor::facts::{Asked, Autoscaler, Gap, Plurals, Reading};
use crate::doctor::inquiry::{self, Asker, Inquiry};
use crate::doctor::patience::Patience;
use crate::doctor::question::{self, Cause, Denial};
use crate::model::GroupResource;

/// What the metrics of all autoscalers are asked with.
struct Way {
    version: Result<String, Gap>,
    plurals: Plurals,
    patience: Patience,
}

/// The versions of the custom metrics API that the controller knows, the better one first.
const VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];

/// The path of pods, for the patience with the API that has them.
const PODS: &str = "/api/v1/pods";

// === impl Survey ===

impl Survey<'_> {
    /// By namespace, or once for all of them.
    pub(super) async fn autoscalers(&self) -> Vec<(Option<String>, Asked<Vec<Autoscaler>>)> {
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
        Way { version, plurals: Plurals(plurals), patience: Patience::new() }
    }

    /// The version of the custom metrics API that the controller asks for.
    async fn version(&self) -> Result<String, Gap> {
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
        let body = question::text(&self.client, &path).await.map_err(|denial| match denial.is_absence() {
            true => Gap::Real(format!("no custom metrics API ({CUSTOM_GROUP}) registered")),
            false => denial.gap(),
        })?;
        let group: Group = serde_json::from_str(&body).map_err(|error| Gap::Late(one_line(&error)))?;
        let named = group.preferred_version.iter().chain(&group.versions).map(|version| version.version.as_str());
        let known = named.into_iter().find(|version| VERSIONS.contains(version));
        known.map(str::to_owned).ok_or_else(|| Gap::Real("no known available metric versions found".into()))
    }

    async fn kinds(&self, api_version: &str) -> Result<BTreeMap<String, String>, Gap> {
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
        let unknown = || Gap::Real(format!("the API has no version {}", one_line(&api_version)));
        if api_version.split('/').count() > 2 || !api_version.split('/').all(is_name) {
            return Err(unknown());
        }
        let body = question::text(&self.client, &format!("/{root}/{api_version}")).await;
        let body = body.map_err(|denial| if denial.is_absence() { unknown() } else { denial.gap() })?;
        let list: Resources = serde_json::from_str(&body).map_err(|error| Gap::Late(one_line(&error)))?;
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
            Ok(selector) => self.has_pods(&namespace, selector, way).await,
            Err(why) => Err(why.to_string()),
        };
        let (version, pods) = (way.version.as_deref(), selector.as_deref());
        let asker = Asker { namespace: &namespace, version, pods, plurals: &way.plurals };
        let mut readings = Vec::with_capacity(specs.len());
        for spec in &specs {
            readings.push(match asker.ask(spec) {
                Ok(None) => Reading::Elsewhere,
                Ok(Some(inquiry)) => self.reading(inquiry, way).await,
                Err(gap) => Reading::of_gap(spec.type_.clone(), gap),
            });
        }
        let scale = scale.map_err(|gap| gap.to_string());
        Autoscaler { object, scale, has_pods, readings }
    }

    async fn scale(&self, object: &HorizontalPodAutoscaler, namespace: &str, way: &Way) -> Result<Option<Scale>, Gap> {
        let spec = object.spec.as_ref().ok_or_else(|| Gap::Real("it has no spec".into()))?;
        let target = &spec.scale_target_ref;
        let version = target.api_version.as_deref().unwrap_or("v1");
        let resource: GroupResource = way.plurals.resource(version, &target.kind)?;
        let root = if version.contains('/') { "apis" } else { "api" };
        let name = inquiry::segment(&target.name);
        let path = format!("/{root}/{version}/namespaces/{namespace}/{}/{name}/scale", resource.resource);
        match self.patiently(&path, way).await.map_err(Gap::Late)? {
            Ok(body) => serde_json::from_str(&body).map(Some).map_err(|error| Gap::Late(one_line(&error))),
            Err(denial) if denial.is_absence() => Ok(None),
            Err(denial) => Err(denial.gap()),
        }
    }

    async fn has_pods(&self, namespace: &str, selector: &str, way: &Way) -> Asked<bool> {
        way.patience.ask(PODS, Instant::now())?;
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let one = ListParams::default().labels(selector).limit(1);
        question::objects(&api, &one).await.map(|pods| !pods.is_empty())
    }

    async fn reading(&self, inquiry: Inquiry, way: &Way) -> Reading {
        let Inquiry { level, path, .. } = inquiry;
        let answer = match self.patiently(&path, way).await {
            Ok(answer) => answer,
            Err(why) => return Reading::Late { level, why },
        };
        match answer {
            Ok(body) => match inquiry::read(&body) {
                Ok(items) => Reading::Values { level, items },
                Err(message) => Reading::Refused { level, message },
            },
            Err(denial) if denial.is_of_the_user() => Reading::Unasked { level, why: denial.message },
            // Who hangs behind the kube-apiserver serves nothing; what breaks off before it says nothing of that.
            Err(denial) if matches!(denial.cause, Cause::Unconnected | Cause::Late) => {
                Reading::Late { level, why: denial.message }
            }
            Err(denial) => Reading::Refused { level, message: denial.message },
        }
    }

    /// What is answered at a path, as long as answers come.
    ///
    /// # Errors
    /// Why it is not asked any more.
    async fn patiently(&self, path: &str, way: &Way) -> Asked<Result<String, Denial>> {
        way.patience.ask(path, Instant::now())?;
        let answer = question::text(&self.client, path).await;
        if answer.as_ref().is_err_and(|denial| denial.cause.is_silence()) {
            way.patience.silence(path);
        }
        Ok(answer)
    }
}

/// Of the target and of the objects that metrics describe.
fn api_versions(object: &HorizontalPodAutoscaler) -> Vec<String> {
    let Some(spec) = &object.spec else { return Vec::new() };
    let described = spec.metrics.iter().flatten().filter_map(|metric| Some(&metric.object.as_ref()?.described_object));
    let references = described.chain([&spec.scale_target_ref]);
    references.map(|reference| reference.api_version.clone().unwrap_or_else(|| "v1".into())).collect()
}

fn selector(scale: &Result<Option<Scale>, Gap>) -> Result<String, Gap> {
    let absent = || Gap::Real("what it scales does not exist".into());
    let scale = scale.as_ref().map_err(Clone::clone)?.as_ref().ok_or_else(absent)?;
    let text = scale.status.as_ref().and_then(|status| status.selector.as_deref()).unwrap_or_default();
    let read = crate::model::selector::Selector::parse(text);
    read.map(|selector| selector.to_string())
        .map_err(|error| Gap::Real(one_line(&format_args!("the selector of its scale: {error}"))))
}
