//! Reads what Plimsoll and the controller of the autoscalers may do, and which objects monitors name.

use std::collections::BTreeSet;

use futures::StreamExt;
use futures::stream::iter;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{CONCURRENT, Survey};
use crate::config::{KubernetesSd, Role, one_line};
use crate::discovery::kubernetes;
use crate::doctor::certificate::is_name;
use crate::doctor::facts::{Asked, Configuration, Facts, Reference, Review, account};
use crate::doctor::permission::{Account, Duties, Permission};
use crate::doctor::question;

/// Objects that are asked for one by one; who names more needs a rule for all.
const REFERENCES_MAX: usize = 100;

// === impl Survey ===

impl Survey<'_> {
    /// What monitors name, and what Plimsoll and the controller may do.
    pub(super) async fn reviews(&self, facts: &Facts) -> (Option<Asked<BTreeSet<Reference>>>, Vec<Review>) {
        let references = self.references(&facts.configuration).await;
        let service = &facts.place.service;
        let duties = Duties {
            service,
            deployment: &facts.deployment,
            configuration: &facts.configuration,
            references: &references,
        };
        let own = Account::of(&service.namespace, account(&facts.deployment).unwrap_or(&service.name));
        let controller = Account::of_controller(&facts.has_controller_account);
        let reviewed = duties.permissions().into_iter().map(|permission| {
            let account = if permission.purpose.is_of_controller() { &controller } else { &own };
            self.review(permission, account)
        });
        let reviews = iter(reviewed).buffered(CONCURRENT).collect().await;
        (references, reviews)
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

    async fn references(&self, configuration: &Configuration) -> Option<Asked<BTreeSet<Reference>>> {
        let Configuration::Known { config, .. } = configuration else { return None };
        let paths: BTreeSet<String> = config.jobs.iter().flat_map(|job| &job.kubernetes_sd).flat_map(paths).collect();
        let mut named = BTreeSet::new();
        for path in paths {
            match question::text(&self.client, &path).await {
                Ok(list) => match references(&list) {
                    Ok(references) => named.extend(references),
                    Err(why) => return Some(Err(why)),
                },
                // A cluster without the kind has no monitors of it.
                Err(denial) if denial.is_absence() => {}
                Err(denial) => return Some(Err(denial.message)),
            }
        }
        Some(Ok(named.into_iter().take(REFERENCES_MAX).collect()))
    }
}

/// Where the monitors of a source are listed; none for other sources.
fn paths(sd: &KubernetesSd) -> Vec<String> {
    let resource = match sd.role {
        Role::PodMonitor => "podmonitors",
        Role::ServiceMonitor => "servicemonitors",
        Role::Pod | Role::EndpointSlice => return Vec::new(),
    };
    let chosen = sd.selector.to_string();
    let query = if chosen.is_empty() {
        String::new()
    } else {
        format!("?labelSelector={}", utf8_percent_encode(&chosen, NON_ALPHANUMERIC))
    };
    let path = |place: String| format!("/apis/monitoring.coreos.com/v1{place}/{resource}{query}");
    match sd.namespaces.is_empty() {
        true => vec![path(String::new())],
        false => sd.namespaces.iter().map(|namespace| path(format!("/namespaces/{namespace}"))).collect(),
    }
}

/// What a list of monitors names. What is no name of an object is none.
fn references(list: &str) -> Asked<Vec<Reference>> {
    let list: Value =
        serde_json::from_str(list).map_err(|error| one_line(&format_args!("the list of monitors: {error}")))?;
    let mut named = Vec::new();
    for monitor in list["items"].as_array().into_iter().flatten() {
        let namespace = monitor["metadata"]["namespace"].as_str().unwrap_or_default();
        for reference in kubernetes::references(&monitor["spec"]) {
            let (resource, name) = match reference {
                kubernetes::Reference::Secret(name) => ("secrets", name),
                kubernetes::Reference::ConfigMap(name) => ("configmaps", name),
            };
            if is_name(namespace) && is_name(name) {
                named.push(Reference { namespace: namespace.into(), resource, name: name.into() });
            }
        }
    }
    Ok(named)
}
