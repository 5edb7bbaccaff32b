//! Why a request may not be made, in the words of Kubernetes: people search for them.

use std::fmt;

use k8s_openapi::api::authorization::v1::{NonResourceAttributes, ResourceAttributes};

use crate::model::excerpt;
use crate::serving::authorization::attributes::Attributes;
use crate::serving::review::Failure;

/// Why a request may not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    Forbidden {
        message: String,
        details: Details,
    },
    /// Nobody could say whether it may be.
    Undecided {
        message: String,
    },
}

/// What a request was about; empty where it was about a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub name: String,
    pub group: String,
    pub resource: String,
}

// === impl Denial ===

impl Denial {
    pub(super) fn forbidden(user: &str, attributes: &Attributes, reason: &str) -> Self {
        let what = attempt(user, "cannot", attributes);
        let what = if reason.is_empty() { what } else { format!("{what}: {reason}") };
        let Attributes::Resource(resource) = attributes else {
            return Self::Forbidden { message: format!("forbidden: {what}"), details: Details::default() };
        };
        let details = Details::of(resource);
        let Details { name, group, resource } = &details;
        let subject = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        let message = match name.as_str() {
            "" => format!("{subject} is forbidden: {what}"),
            name => format!("{subject} {name:?} is forbidden: {what}"),
        };
        Self::Forbidden { message, details }
    }

    pub(super) fn undecided(user: &str, attributes: &Attributes, failure: Failure) -> Self {
        let what = attempt(user, "may", attributes);
        Self::Undecided { message: format!("Internal error occurred: cannot find out whether {what}: {failure}") }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Forbidden { message, .. } | Self::Undecided { message }) = self;
        f.write_str(message)
    }
}

// === impl Details ===

impl Details {
    fn of(attributes: &ResourceAttributes) -> Self {
        let text = |text: &Option<String>| excerpt(&text.as_deref().unwrap_or_default());
        let ResourceAttributes { name, group, resource, .. } = attributes;
        Self { name: text(name), group: text(group), resource: text(resource) }
    }
}

/// `User "u" cannot get path "/x"`.
fn attempt(user: &str, can: &str, attributes: &Attributes) -> String {
    let text = |text: &Option<String>| excerpt(&text.as_deref().unwrap_or_default());
    let user = excerpt(&user);
    let resource = match attributes {
        Attributes::Path(NonResourceAttributes { path, verb }) => {
            return format!("User {user:?} {can} {} path {:?}", text(verb), text(path));
        }
        Attributes::Resource(resource) => resource,
    };
    let (verb, group, namespace) = (text(&resource.verb), text(&resource.group), text(&resource.namespace));
    let named = match text(&resource.subresource).as_str() {
        "" => text(&resource.resource),
        subresource => format!("{}/{subresource}", text(&resource.resource)),
    };
    let place = if namespace.is_empty() { "at the cluster scope" } else { "in the namespace" };
    let whole = format!("User {user:?} {can} {verb} resource {named:?} in API group {group:?} {place}");
    if namespace.is_empty() { whole } else { format!("{whole} {namespace:?}") }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;

    fn forbidden(path: &str, reason: &str) -> Denial {
        Denial::forbidden("u", &attributes(path), reason)
    }

    fn attributes(path: &str) -> Attributes {
        Attributes::of(&Method::GET, &path.parse().expect("a URI"))
    }

    #[test]
    fn a_denial_is_in_the_words_of_kubernetes() {
        let check = |path: &str, want: &str| assert_eq!(forbidden(path, "").to_string(), want);
        check(
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/pods/%2A/queue_length",
            "pods.custom.metrics.k8s.io \"*\" is forbidden: User \"u\" cannot get resource \"pods/queue_length\" in API \
             group \"custom.metrics.k8s.io\" in the namespace \"agents\"",
        );
        check(
            "/apis/custom.metrics.k8s.io/v1beta2/nodes/n1/load",
            "nodes.custom.metrics.k8s.io \"n1\" is forbidden: User \"u\" cannot get resource \"nodes/load\" in API group \
             \"custom.metrics.k8s.io\" at the cluster scope",
        );
        check(
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/agents/jobs",
            "jobs.external.metrics.k8s.io is forbidden: User \"u\" cannot list resource \"jobs\" in API group \
             \"external.metrics.k8s.io\" in the namespace \"agents\"",
        );
        check("/metrics", "forbidden: User \"u\" cannot get path \"/metrics\"");
        let denial = forbidden("/metrics", "not on Sundays").to_string();
        assert_eq!(denial, "forbidden: User \"u\" cannot get path \"/metrics\": not on Sundays");
    }

    #[test]
    fn its_details_name_the_object() {
        let details = |path: &str| match forbidden(path, "") {
            Denial::Forbidden { details, .. } => details,
            denial @ Denial::Undecided { .. } => panic!("{denial}"),
        };
        let (name, group, resource) = ("*".into(), "g".into(), "pods".into());
        assert_eq!(details("/apis/g/v/namespaces/ns/pods/%2A/qps"), Details { name, group, resource });
        assert_eq!(details("/metrics"), Details::default());
    }

    #[test]
    fn a_message_has_a_bound_whatever_was_asked() {
        let long = forbidden(&format!("/apis/g/v/namespaces/{0}/{0}/{0}/{0}", "n".repeat(5000)), "");
        assert!(long.to_string().len() < 3000, "{}", long.to_string().len());
    }

    #[test]
    fn what_is_not_known_says_why() {
        let denial = Denial::undecided("u", &attributes("/metrics"), Failure::Connection);
        let want = "Internal error occurred: cannot find out whether User \"u\" may get path \"/metrics\": the \
                    kube-apiserver cannot be reached";
        assert_eq!(denial.to_string(), want);
    }
}
