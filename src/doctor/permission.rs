//! What Plimsoll and the controller of the autoscalers have to be allowed, by SubjectAccessReview.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;

use crate::api::{CUSTOM_GROUP, EXTERNAL_GROUP};
use crate::discovery::kubernetes::{Need, VERBS, every_need, needs};
use crate::doctor::facts::{API_SERVICES, Asked, Configuration, Facts, Reference, Review, ServiceName, argument};
use crate::doctor::{Check, Finding, ObjectName, front_proxy};

/// One thing that somebody has to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    pub purpose: Purpose,
    pub verb: &'static str,
    /// Empty for the core.
    pub group: String,
    pub resource: String,
    /// `None` for all namespaces, and for what has none.
    pub namespace: Option<String>,
    /// The only object.
    pub name: Option<String>,
}

/// What it is for. Each is told in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To ask who sends a token, and what a user may do.
    Reviews,
    /// To know the front proxy.
    FrontProxy,
    /// To know what is to be scraped.
    Discovery,
    /// To read what monitors name.
    References,
    /// To have a serving certificate.
    Certificate,
    /// To keep the caBundle of its APIServices.
    CaBundles,
    /// To show what autoscalers get, and whether its APIs are available.
    OwnMetrics,
    /// The autoscalers' own: Pods and Object metrics.
    CustomMetrics,
    /// External metrics.
    ExternalMetrics,
}

/// A user with the groups that an authenticated one has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub user: String,
    pub groups: Vec<String>,
}

/// Who Plimsoll is, and what it does.
pub(super) struct Duties<'a> {
    pub service: &'a ServiceName,
    pub deployment: &'a Asked<Option<Deployment>>,
    pub configuration: &'a Configuration,
    /// What monitors name.
    pub references: &'a Option<Asked<BTreeSet<Reference>>>,
}

/// What is not allowed, but for the verb.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Denied<'p> {
    group: &'p str,
    resource: &'p str,
    namespace: Option<&'p str>,
    name: Option<&'p str>,
}

/// A rule of a role, but for group and verbs.
#[derive(Default)]
struct Rule<'p> {
    resources: BTreeSet<&'p str>,
    names: BTreeSet<&'p str>,
}

/// The service account that kube-controller-manager uses with `--use-service-account-credentials`.
pub(super) const CONTROLLER: &str = "horizontal-pod-autoscaler";

// === impl Duties ===

impl Duties<'_> {
    /// Everything that is to be asked.
    pub(super) fn permissions(&self) -> Vec<Permission> {
        let mut permissions = vec![
            allowed(Purpose::Reviews, "create", "authentication.k8s.io", "tokenreviews"),
            allowed(Purpose::Reviews, "create", "authorization.k8s.io", "subjectaccessreviews"),
            allowed(Purpose::CustomMetrics, "get", CUSTOM_GROUP, "*"),
            allowed(Purpose::ExternalMetrics, "list", EXTERNAL_GROUP, "*"),
        ];
        let config_map = (Some(front_proxy::NAMESPACE.to_owned()), Some(front_proxy::NAME.to_owned()));
        permissions.extend(single(Purpose::FrontProxy, &["get", "list", "watch"], "", "configmaps", &config_map));
        permissions.extend(self.discovery());
        permissions.extend(self.references());
        permissions.extend(self.certificate());
        permissions.extend(own_metrics());
        permissions
    }

    fn discovery(&self) -> Vec<Permission> {
        let wanted = match self.configuration {
            Configuration::Known { config, .. } => {
                let sds: Vec<_> = config.jobs.iter().flat_map(|job| &job.kubernetes_sd).cloned().collect();
                needs(&sds)
            }
            Configuration::Bad { .. } | Configuration::Unknown(_) => all_needs(),
        };
        let verbs = |need: Need| {
            VERBS.map(|verb| Permission {
                namespace: need.namespace.clone(),
                ..allowed(Purpose::Discovery, verb, need.group, need.resource)
            })
        };
        // What monitors name is asked for object by object: most name nothing.
        wanted.into_iter().filter(|need| !need.is_for_references).flat_map(verbs).collect()
    }

    fn references(&self) -> Vec<Permission> {
        let named = self.references.iter().flatten().flatten();
        let verbs = |it: &Reference| {
            let place = (Some(it.namespace.clone()), Some(it.name.clone()));
            single(Purpose::References, &VERBS, "", it.resource, &place)
        };
        named.flat_map(verbs).collect()
    }

    /// What the mode of the serving certificate takes.
    fn certificate(&self) -> Vec<Permission> {
        let of = |flag| argument(self.deployment, flag).map(str::to_owned);
        let in_own = |name: String| (Some(self.service.namespace.clone()), Some(name));
        if let Some(name) = of("--tls-self-managed-secret") {
            let verbs = ["get", "list", "watch", "update"];
            let mut all = single(Purpose::Certificate, &verbs, "", "secrets", &in_own(name));
            for name in API_SERVICES {
                let (place, verbs) = ((None, Some(name.to_owned())), ["get", "list", "watch", "patch"]);
                all.extend(single(Purpose::CaBundles, &verbs, "apiregistration.k8s.io", "apiservices", &place));
            }
            return all;
        }
        let Some(name) = of("--tls-secret") else { return Vec::new() };
        single(Purpose::Certificate, &["get", "list", "watch"], "", "secrets", &in_own(name))
    }
}

fn own_metrics() -> impl Iterator<Item = Permission> {
    let follow = VERBS.map(|verb| allowed(Purpose::OwnMetrics, verb, "autoscaling", "horizontalpodautoscalers"));
    let read = |name: &'static str| {
        let place = (None, Some(name.to_owned()));
        single(Purpose::OwnMetrics, &["get"], "apiregistration.k8s.io", "apiservices", &place)
    };
    follow.into_iter().chain(API_SERVICES.into_iter().flat_map(read))
}

/// Where it is not known what Plimsoll does.
fn all_needs() -> Vec<Need> {
    every_need().collect()
}

fn allowed(purpose: Purpose, verb: &'static str, group: &str, resource: &str) -> Permission {
    Permission { purpose, verb, group: group.into(), resource: resource.into(), namespace: None, name: None }
}

fn single(
    purpose: Purpose,
    verbs: &[&'static str],
    group: &str,
    resource: &str,
    (namespace, name): &(Option<String>, Option<String>),
) -> Vec<Permission> {
    let one = |verb: &&'static str| Permission {
        namespace: namespace.clone(),
        name: name.clone(),
        ..allowed(purpose, verb, group, resource)
    };
    verbs.iter().map(one).collect()
}

// === impl Account ===

impl Account {
    pub(super) fn of(namespace: &str, name: &str) -> Self {
        Self {
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".into(),
            ],
        }
    }

    /// Whose rights the autoscalers' requests have.
    pub(super) fn of_controller(has_own: &Asked<bool>) -> Self {
        match has_own {
            Ok(false) => {
                Self { user: "system:kube-controller-manager".into(), groups: vec!["system:authenticated".into()] }
            }
            Ok(true) | Err(_) => Self::of(front_proxy::NAMESPACE, CONTROLLER),
        }
    }
}

// === impl Purpose ===

impl Purpose {
    pub(super) fn is_of_controller(self) -> bool {
        matches!(self, Self::CustomMetrics | Self::ExternalMetrics)
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Reviews => "ask who sends a token and what a user may do",
            Self::FrontProxy => "read who the front proxy is",
            Self::Discovery => "find what is to be scraped",
            Self::References => "read the Secrets and ConfigMaps that monitors name",
            Self::Certificate => "have its serving certificate",
            Self::CaBundles => "keep the caBundle of its APIServices",
            Self::OwnMetrics => "show in its own metrics what autoscalers get and whether its APIs are available",
            Self::CustomMetrics => "read Pods and Object metrics",
            Self::ExternalMetrics => "read External metrics",
        }
    }
}

// === the check ===

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut groups: BTreeMap<Purpose, Vec<&Review>> = BTreeMap::new();
    for review in &facts.reviews {
        groups.entry(review.permission.purpose).or_default().push(review);
    }
    let judged = groups.into_iter().map(|(purpose, reviews)| judged(purpose, &reviews, facts));
    judged.chain(unnamed(facts)).collect()
}

/// Where monitors name nothing, or nobody knows what they name.
fn unnamed(facts: &Facts) -> Option<Finding> {
    let object = object(Purpose::References, facts);
    match facts.references.as_ref()? {
        Ok(named) => named
            .is_empty()
            .then(|| Check::Permissions.ok(object, "no monitor names a Secret or ConfigMap for it to read")),
        Err(why) => {
            let unknown = Check::Permissions.unknown(object, format!("what monitors name is not known: {why}"));
            Some(unknown.fix("ask as somebody who may list podmonitors and servicemonitors.monitoring.coreos.com"))
        }
    }
}

fn judged(purpose: Purpose, reviews: &[&Review], facts: &Facts) -> Finding {
    let (object, meaning) = (object(purpose, facts), purpose.meaning());
    if let Some(why) = reviews.iter().find_map(|review| review.is_allowed.as_ref().err()) {
        let unknown = Check::Permissions.unknown(object, format!("whether it may {meaning} cannot be asked: {why}"));
        return unknown.fix("ask as somebody who may create subjectaccessreviews.authorization.k8s.io");
    }
    let denied: Vec<&Permission> =
        reviews.iter().filter(|review| review.is_allowed == Ok(false)).map(|review| &review.permission).collect();
    if denied.is_empty() {
        return Check::Permissions.ok(object, format!("may {meaning}"));
    }
    let found = format!("may not {meaning}: it may not {}", listed(&denied));
    // Without the configuration nobody knows which of it is needed.
    let is_sure = purpose != Purpose::Discovery || matches!(facts.configuration, Configuration::Known { .. });
    let finding = match (is_sure, purpose) {
        // Their targets alone are not scraped, and are told as down; or only something is not shown.
        (_, Purpose::References | Purpose::OwnMetrics) => Check::Permissions.warning(object, found),
        (true, _) => Check::Permissions.failure(object, found),
        (false, _) => {
            Check::Permissions.warning(object, format!("{found}; needed where its configuration asks for it"))
        }
    };
    finding.expected(expected(purpose)).fix(fix(purpose, &denied, facts))
}

fn object(purpose: Purpose, facts: &Facts) -> ObjectName {
    let namespace = &facts.place.service.namespace;
    match (purpose.is_of_controller(), &facts.has_controller_account) {
        (false, _) => ObjectName::namespaced("ServiceAccount", namespace, facts.account()),
        (true, Ok(false)) => ObjectName::cluster("User", "system:kube-controller-manager"),
        (true, _) => ObjectName::namespaced("ServiceAccount", front_proxy::NAMESPACE, CONTROLLER),
    }
}

/// `list, watch pods; get secrets NAME in NAMESPACE`.
fn listed(denied: &[&Permission]) -> String {
    let words = verbs_by_place(denied).into_iter().map(|(place, verbs)| {
        let group = if place.group.is_empty() { String::new() } else { format!(".{}", place.group) };
        let name = place.name.map(|name| format!(" {name}")).unwrap_or_default();
        let namespace = place.namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        format!("{} {}{group}{name}{namespace}", verbs.join(", "), place.resource)
    });
    words.collect::<Vec<_>>().join("; ")
}

fn verbs_by_place<'p>(denied: &[&'p Permission]) -> BTreeMap<Denied<'p>, Vec<&'static str>> {
    let mut verbs: BTreeMap<Denied<'p>, Vec<&'static str>> = BTreeMap::new();
    for Permission { verb, group, resource, namespace, name, .. } in denied {
        let place = Denied { group, resource, namespace: namespace.as_deref(), name: name.as_deref() };
        verbs.entry(place).or_default().push(*verb);
    }
    verbs
}

fn expected(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Reviews => "a binding to ClusterRole system:auth-delegator",
        Purpose::FrontProxy => "a ClusterRoleBinding to ClusterRole plimsoll-authentication-reader",
        Purpose::Discovery => "these rules in the ClusterRole of Plimsoll, or a Role in each namespace",
        Purpose::References => {
            "a Role in their namespace for these objects alone, or the component monitor-credentials"
        }
        Purpose::Certificate => "a Role in its namespace for this Secret alone",
        Purpose::CaBundles => "a ClusterRole for its three APIServices alone",
        Purpose::OwnMetrics => "these rules in the ClusterRole of Plimsoll",
        Purpose::CustomMetrics | Purpose::ExternalMetrics => "a ClusterRoleBinding to a ClusterRole with this rule",
    }
}

fn fix(purpose: Purpose, denied: &[&Permission], facts: &Facts) -> String {
    let account = format!("{}:{}", facts.place.service.namespace, facts.account());
    match purpose {
        Purpose::Reviews => format!(
            "kubectl create clusterrolebinding plimsoll-auth-delegator --clusterrole=system:auth-delegator --serviceaccount={account}"
        ),
        Purpose::FrontProxy => format!(
            "kubectl create clusterrolebinding plimsoll-authentication-reader --clusterrole=plimsoll-authentication-reader --serviceaccount={account}\n\
             kubectl -n kube-system create rolebinding plimsoll-authentication-reader --role=extension-apiserver-authentication-reader --serviceaccount={account} # without the shipped ClusterRole"
        ),
        Purpose::CustomMetrics | Purpose::ExternalMetrics => {
            format!("- {{apiGroups: [{CUSTOM_GROUP}, {EXTERNAL_GROUP}], resources: [\"*\"], verbs: [get, list]}}")
        }
        Purpose::References => roles(denied, &account),
        _ => rules(denied),
    }
}

/// A Role for the objects of each namespace and resource, and its binding.
fn roles(denied: &[&Permission], account: &str) -> String {
    let mut names: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for Permission { resource, namespace, name, .. } in denied {
        let place = (namespace.as_deref().unwrap_or_default(), resource.as_str());
        names.entry(place).or_default().extend(name.as_deref());
    }
    let line = |((namespace, resource), names): (&(&str, &str), &BTreeSet<&str>)| {
        let names: String = names.iter().map(|name| format!(" --resource-name={name}")).collect();
        format!(
            "kubectl -n {namespace} create role plimsoll-{resource} --verb={} --resource={resource}{names} && \
             kubectl -n {namespace} create rolebinding plimsoll-{resource} --role=plimsoll-{resource} \
             --serviceaccount={account}",
            VERBS.join(",")
        )
    };
    names.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One rule for each API group and list of verbs.
fn rules(denied: &[&Permission]) -> String {
    let mut rules: BTreeMap<(&str, String), Rule<'_>> = BTreeMap::new();
    for (place, verbs) in verbs_by_place(denied) {
        let rule = rules.entry((place.group, verbs.join(", "))).or_default();
        rule.resources.insert(place.resource);
        rule.names.extend(place.name);
    }
    let line = |((group, verbs), rule): (&(&str, String), &Rule<'_>)| {
        let listed = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(", ");
        let group = if group.is_empty() { "\"\"" } else { *group };
        let only =
            if rule.names.is_empty() { String::new() } else { format!(", resourceNames: [{}]", listed(&rule.names)) };
        format!("- {{apiGroups: [{group}], resources: [{}]{only}, verbs: [{verbs}]}}", listed(&rule.resources))
    };
    rules.iter().map(line).collect::<Vec<_>>().join("\n")
}
