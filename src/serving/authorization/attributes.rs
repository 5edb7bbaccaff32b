//! What a request is about, in the terms of an authorizer: method, path and query → verb, resource and name, or path. Pure.
//!
//! The rules are those of the kube-apiserver (RequestInfo), over the segments as the router of the API takes them apart: a
//! request must not be another one to who allows it than to who answers it. So a `%2F` stays within its segment, and no
//! verb is read from a path.

use axum::extract::Query;
use axum::http::{Method, Uri};
use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes,
    SubjectAccessReviewSpec,
};
use percent_encoding::percent_decode_str;

use crate::model::field_selector::FieldSelector;
use crate::model::selector::Selector;
use crate::serving::authentication::User;

/// What a request is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Attributes {
    Resource(Box<ResourceAttributes>),
    /// A path that is no resource.
    Path(NonResourceAttributes),
}

/// What follows a namespace and is not a resource in it.
const OF_NAMESPACE: [&str; 2] = ["status", "finalize"];

/// Bytes of a usual question, with a service account and its groups.
const QUESTION_SIZE: usize = 512;

// === impl Attributes ===

impl Attributes {
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        let segments: Vec<String> = uri.path().trim_matches('/').split('/').map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match *segments {
            ["apis", group, version, ref rest @ ..] if !rest.is_empty() => {
                let mut attributes = resource(verb(method), rest);
                (attributes.group, attributes.version) = (text(group), text(version));
                narrow(&mut attributes, uri);
                Self::Resource(Box::new(attributes))
            }
            _ => {
                let (path, verb) = (Some(decode(uri.path())), Some(method.as_str().to_ascii_lowercase()));
                Self::Path(NonResourceAttributes { path, verb })
            }
        }
    }

    /// The question to the kube-apiserver.
    pub(super) fn asked_by(self, user: User) -> SubjectAccessReviewSpec {
        let User { name, uid, groups, extra } = user;
        let (resource_attributes, non_resource_attributes) = match self {
            Self::Resource(attributes) => (Some(*attributes), None),
            Self::Path(attributes) => (None, Some(attributes)),
        };
        SubjectAccessReviewSpec {
            user: Some(name),
            uid,
            groups: (!groups.is_empty()).then_some(groups),
            extra: (!extra.is_empty()).then_some(extra),
            resource_attributes,
            non_resource_attributes,
        }
    }
}

/// Who asks for what, as a text that no other question has. It is made for each request, so nothing is copied for it but
/// once.
pub(super) fn question(user: &User, method: &Method, uri: &Uri) -> Vec<u8> {
    let User { name, uid, groups, extra } = user;
    let mut text = Vec::with_capacity(QUESTION_SIZE);
    let written =
        serde_json::to_writer(&mut text, &(name, uid, groups, extra, method.as_str(), uri.path(), uri.query()));
    written.expect("our types have string keys only and so always serialize");
    text
}

/// What a path names below group and version.
fn resource(verb: &str, parts: &[&str]) -> ResourceAttributes {
    let (namespace, parts) = match *parts {
        ["namespaces", namespace, resource, ..] if !OF_NAMESPACE.contains(&resource) => (namespace, &parts[2..]),
        ["namespaces", namespace, ..] => (namespace, parts),
        _ => ("", parts),
    };
    let part = |index: usize| parts.get(index).copied().and_then(text);
    ResourceAttributes {
        verb: text(verb),
        namespace: text(namespace),
        resource: part(0),
        name: part(1),
        subresource: part(2),
        ..ResourceAttributes::default()
    }
}

/// Without a name it is a list, of which the query says more.
fn narrow(attributes: &mut ResourceAttributes, uri: &Uri) {
    let is_read = attributes.verb.as_deref() == Some("get");
    if attributes.name.is_some() || !(is_read || attributes.verb.as_deref() == Some("delete")) {
        return;
    }
    let query = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(query)| query).unwrap_or_default();
    let first = |name: &str| query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    // As Go reads it: anything but `0` and `false` is a wish to watch.
    let is_watch = first("watch").is_some_and(|watch| watch != "0" && !watch.eq_ignore_ascii_case("false"));
    let list = if is_watch { "watch" } else { "list" };
    attributes.verb = text(if is_read { list } else { "deletecollection" });
    // What cannot be read is left out: that asks for more, and the API refuses it afterwards.
    let fields = FieldSelector::parse(first("fieldSelector").unwrap_or_default()).unwrap_or_default();
    let labels = Selector::parse(first("labelSelector").unwrap_or_default()).unwrap_or_default();
    if is_read {
        attributes.name = fields.exact_name().filter(|name| is_segment(name)).and_then(text);
    }
    let fields = Some(fields.to_requirements()).filter(|it| !it.is_empty());
    attributes.field_selector =
        fields.map(|it| FieldSelectorAttributes { requirements: Some(it), ..FieldSelectorAttributes::default() });
    let labels = Some(labels.to_requirements()).filter(|it| !it.is_empty());
    attributes.label_selector =
        labels.map(|it| LabelSelectorAttributes { requirements: Some(it), ..LabelSelectorAttributes::default() });
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// Whether a name could be one segment of a path.
fn is_segment(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '%'])
}

/// An empty text is none.
fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What is no good escape or not UTF-8 is refused by who answers.
fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Request ¦ verb group version namespace resource subresource name, `-` for none.
    const RESOURCES: &str = "
        GET /apis/g/v/namespaces/ns/pods/*/qps ¦ get g v ns pods qps *
        GET /apis/g/v/namespaces/ns/pods/%2A/qps?labelSelector=a%3Db ¦ get g v ns pods qps *
        HEAD /apis/g/v/namespaces/ns/pods/web-0/qps ¦ get g v ns pods qps web-0
        GET /apis/g/v/namespaces/ns/deployments.apps/web/dq ¦ get g v ns deployments.apps dq web
        GET /apis/g/v/namespaces/ns/metrics/nsm ¦ get g v ns metrics - nsm
        GET /apis/g/v/nodes/n1/load ¦ get g v - nodes load n1
        GET /apis/g/v/nodes/%2A/load/ ¦ get g v - nodes load *
        GET //apis/g/v/nodes/n1/load// ¦ get g v - nodes load n1
        GET /apis/g/v/namespaces/ns/myqueue ¦ list g v ns myqueue - -
        GET /apis/g/v/namespaces/ns/myqueue?watch=true ¦ watch g v ns myqueue - -
        GET /apis/g/v/namespaces/ns/myqueue?watch= ¦ watch g v ns myqueue - -
        GET /apis/g/v/namespaces/ns/myqueue?watch=False ¦ list g v ns myqueue - -
        GET /apis/g/v/namespaces/ns/myqueue?watch=0&watch=1 ¦ list g v ns myqueue - -
        POST /apis/g/v/namespaces/ns/myqueue?watch=1 ¦ create g v ns myqueue - -
        PUT /apis/g/v/namespaces/ns/pods/a/qps ¦ update g v ns pods qps a
        PATCH /apis/g/v/namespaces/ns/pods/a/qps ¦ patch g v ns pods qps a
        DELETE /apis/g/v/namespaces/ns/pods/a/qps ¦ delete g v ns pods qps a
        DELETE /apis/g/v/namespaces/ns/myqueue ¦ deletecollection g v ns myqueue - -
        OPTIONS /apis/g/v/namespaces/ns/myqueue ¦ - g v ns myqueue - -
        GET /apis/g/v/namespaces ¦ list g v - namespaces - -
        GET /apis/g/v/namespaces/ns ¦ get g v ns namespaces - ns
        GET /apis/g/v/namespaces/ns/status ¦ get g v ns namespaces status ns
        GET /apis/g/v/namespaces/ns/finalize/x ¦ get g v ns namespaces finalize ns
        GET /apis/g/v/namespaces/ns/pods/a/qps/more/parts ¦ get g v ns pods qps a
        GET /apis/g/v/namespaces/ns/x%2Fy ¦ list g v ns x/y - -
        GET /apis/g/v/watch/nodes/load ¦ get g v - watch load nodes
        GET /apis/g/v/x ¦ list g v - x - -
    ";

    /// Request ¦ verb and path.
    const PATHS: &str = "
        GET / ¦ get /
        GET /apis ¦ get /apis
        GET /apis/ ¦ get /apis/
        GET /apis/g ¦ get /apis/g
        GET /apis/g/v ¦ get /apis/g/v
        GET /apis/g/v/ ¦ get /apis/g/v/
        GET /openapi/v3/apis/g/v?hash=1 ¦ get /openapi/v3/apis/g/v
        GET /version ¦ get /version
        GET /healthz ¦ get /healthz
        HEAD /metrics ¦ head /metrics
        POST /status ¦ post /status
        GET /status/targets ¦ get /status/targets
        GET /%6Detrics ¦ get /metrics
        GET /APIS/g/v/x ¦ get /APIS/g/v/x
    ";

    fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, Attributes, &'static str)> {
        table.trim().lines().map(|row| {
            let (request, want) = row.trim().split_once(" ¦ ").expect("two cells");
            let (method, uri) = request.split_once(' ').expect("a method and a URI");
            let (method, uri) = (method.parse().expect("a method"), uri.parse().expect("a URI"));
            (request, Attributes::of(&method, &uri), want)
        })
    }

    fn of(request: &str) -> Attributes {
        Attributes::of(&Method::GET, &request.parse().expect("a URI"))
    }

    #[test]
    fn requests_below_a_version_are_about_resources() {
        for (request, found, want) in rows(RESOURCES) {
            let Attributes::Resource(it) = found else { panic!("{request}: {found:?}") };
            let found = [it.verb, it.group, it.version, it.namespace, it.resource, it.subresource, it.name];
            assert_eq!(found.map(|it| it.unwrap_or("-".into())).join(" "), want, "{request}");
        }
    }

    #[test]
    fn all_others_are_about_paths() {
        for (request, found, want) in rows(PATHS) {
            let Attributes::Path(it) = found else { panic!("{request}: {found:?}") };
            assert_eq!(format!("{} {}", it.verb.expect("a verb"), it.path.expect("a path")), want, "{request}");
        }
    }

    #[test]
    fn a_list_says_which_objects_it_is_about() {
        let list = "/apis/g/v/namespaces/ns/myqueue?";
        let found = |query: &str| {
            let Attributes::Resource(it) = of(&format!("{list}{query}")) else { panic!("{query}") };
            let labels = it.label_selector.and_then(|it| it.requirements).unwrap_or_default();
            let label = |it: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement| {
                format!("{} {} {}", it.key, it.operator, it.values.clone().unwrap_or_default().join(","))
            };
            let fields = it.field_selector.and_then(|it| it.requirements).unwrap_or_default();
            let field = |it: &k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldSelectorRequirement| {
                format!("{} {} {}", it.key, it.operator, it.values.clone().unwrap_or_default().join(","))
            };
            let all: Vec<_> = labels.iter().map(label).chain(fields.iter().map(field)).collect();
            (all.join("; "), it.name.unwrap_or_default())
        };
        let check = |query: &str, want: &str, name: &str| {
            assert_eq!(found(query), (want.to_owned(), name.to_owned()), "{query}");
        };
        check("labelSelector=queue%3Da", "queue In a", "");
        check("labelSelector=a%21%3Db,c+in+(d,e),f,%21g,h%3E1", "a NotIn b; c In d,e; f Exists ; g DoesNotExist ", "");
        check("fieldSelector=metadata.name%3Dx", "metadata.name In x", "x");
        check("fieldSelector=metadata.name%21%3Dx", "metadata.name NotIn x", "");
        check("fieldSelector=metadata.name%3Da%252Fb", "metadata.name In a%2Fb", "");
        check("fieldSelector=spec.x%3D1&labelSelector=%3D%3D", "", "");
        // It is about one object, and what else is asked makes no difference.
        let Attributes::Resource(it) = of("/apis/g/v/nodes/n1/load?labelSelector=a%3Db&watch=1") else { panic!() };
        assert_eq!((it.verb.as_deref(), it.label_selector), (Some("get"), None));
    }

    #[test]
    fn no_two_questions_have_one_text() {
        let user = |name: &str, groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            User { name: name.into(), groups, ..User::default() }
        };
        let resource = "/apis/g/v/namespaces/ns/pods/a/qps";
        let users =
            [user("a", &[]), user("a", &["b"]), user("a", &["b", "c"]), user("a", &["b\",\"c"]), user("b", &[])];
        let with_uid = User { uid: Some("a".into()), ..user("a", &[]) };
        let with_extra = User { extra: [("a".to_owned(), vec!["b".to_owned()])].into(), ..user("a", &[]) };
        let paths = [resource, "/apis/g/v/namespaces/ns/pods/a", "/a", "/a?", "/a?b", "/a?c", "/a%3Fb", "/b"];
        let paths = paths.map(|path| path.parse::<Uri>().expect("a URI"));
        let asked = paths.iter().flat_map(|path| [Method::GET, Method::POST].map(|method| (method, path)));
        let asked: Vec<_> = asked.collect();
        let all: Vec<_> = users.iter().chain([&with_uid, &with_extra]).collect();
        let texts: std::collections::BTreeSet<Vec<u8>> =
            all.iter().flat_map(|user| asked.iter().map(|(method, path)| question(user, method, path))).collect();
        assert_eq!(texts.len(), all.len() * asked.len());
    }

    #[test]
    fn the_question_has_all_that_is_known_of_the_user() {
        let user = User {
            name: "alice".into(),
            uid: Some("7".into()),
            groups: vec!["staff".into()],
            extra: [("scopes".to_owned(), vec!["a".to_owned()])].into(),
        };
        let spec = of("/apis/g/v/namespaces/ns/pods/%2A/qps").asked_by(user);
        let want = serde_json::json!({
            "user": "alice", "uid": "7", "groups": ["staff"], "extra": {"scopes": ["a"]},
            "resourceAttributes": {
                "group": "g", "version": "v", "namespace": "ns", "verb": "get", "resource": "pods",
                "subresource": "qps", "name": "*",
            },
        });
        assert_eq!(serde_json::to_value(spec).expect("JSON"), want);
        let spec = of("/metrics").asked_by(User::anonymous());
        let want = serde_json::json!({
            "user": "system:anonymous", "groups": ["system:unauthenticated"],
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
        });
        assert_eq!(serde_json::to_value(spec).expect("JSON"), want);
    }
}
