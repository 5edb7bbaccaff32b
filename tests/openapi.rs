use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::target::Target;
use crate::harness::{CUSTOM, EXTERNAL, Plimsoll};

const V1BETA1: &str = "/apis/custom.metrics.k8s.io/v1beta1";

async fn platform() -> (Plimsoll, Target) {
    let target = Target::page("queue{name=\"a\"} 3\nqueue{name=\"b\"} 4\nrequests_total 5\n").await;
    let yaml = format!(
        "scrape_configs:\n  - job_name: web\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    \
         targets: [{{url: \"{}\", namespace: ns, pod: a, node: n1}}]\n\
         metrics:\n  - {{name: backlog, split_by: [name], gauge: {{series: queue, combine: sum}}}}\n  \
         - {{name: pods_only, levels: [pods], gauge: {{series: queue, combine: sum}}}}\n  \
         - {{name: requests, rate: {{counter: requests_total, window: 30s}}}}\n",
        target.url
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/a/backlog"), "7").await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/a/requests"), "0").await;
    (plimsoll, target)
}

/// Group and version → document, by the addresses in the index.
async fn documents(plimsoll: &Plimsoll) -> Vec<(String, Value)> {
    let index = plimsoll.ok("/openapi/v3").await;
    let mut documents = Vec::new();
    for (name, entry) in index["paths"].as_object().expect("paths") {
        let url = entry["serverRelativeURL"].as_str().expect("an address");
        assert!(url.starts_with(&format!("/openapi/v3/{name}?hash=")), "{url}");
        documents.push((format!("/{name}"), plimsoll.ok(url).await));
    }
    documents
}

/// The schema that a reference means, or the schema itself.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("a reference within the document");
            document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => schema,
    }
}

/// All that does not fit: properties that are not defined, or missing, or of another type.
fn misfits(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = resolve(document, schema);
    match (schema["type"].as_str(), value) {
        (_, Value::Null) if schema["nullable"] == true || schema["x-nullable"] == true => Vec::new(),
        (Some("string"), Value::String(_)) => Vec::new(),
        (Some("integer"), Value::Number(number)) if number.is_i64() => Vec::new(),
        (Some("array"), Value::Array(items)) => {
            let each = items.iter().enumerate();
            each.flat_map(|(index, item)| misfits(document, &schema["items"], item, &format!("{at}[{index}]")))
                .collect()
        }
        (Some("object"), Value::Object(object)) => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let absent =
                required.filter(|name| !object.contains_key(*name)).map(|name| format!("{at}.{name} is absent"));
            let mut found: Vec<_> = absent.collect();
            for (name, value) in object {
                let at = format!("{at}.{name}");
                match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (Value::Null, Value::Null) => found.push(format!("{at} is not defined")),
                    (Value::Null, schema) | (schema, _) => found.extend(misfits(document, schema, value, &at)),
                }
            }
            found
        }
        (kind, value) => vec![format!("{at} is to be {kind:?}, and is {value}")],
    }
}

/// Every operation with its path.
fn operations(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().map(|(path, item)| (path, &item["get"]))
}

fn check_operations(document: &Value, root: &str) {
    let mut ids = BTreeSet::new();
    for (path, operation) in operations(document) {
        assert!(path.starts_with(&format!("{root}/")), "{path}");
        assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{path}");
        assert!(operation["responses"]["200"]["description"].is_string(), "{path}");
        let declared = document["paths"][path]["parameters"].as_array().cloned().unwrap_or_default();
        let declared: Vec<_> = declared
            .iter()
            .map(|parameter| {
                assert!(parameter["required"] == true && parameter["in"] == "path", "{path}");
                format!("{{{}}}", parameter["name"].as_str().expect("a name"))
            })
            .collect();
        let in_path: Vec<_> = path.split('/').filter(|part| part.starts_with('{')).collect();
        assert_eq!(in_path, declared, "{path}");
    }
}

/// References are anywhere in a document, and all of them lead somewhere.
fn check_references(document: &Value, part: &Value) -> usize {
    let here = usize::from(part["$ref"].is_string());
    assert!(!resolve(document, part).is_null());
    let parts: Vec<_> = match part {
        Value::Object(object) => object.values().collect(),
        Value::Array(array) => array.iter().collect(),
        _ => Vec::new(),
    };
    here + parts.into_iter().map(|part| check_references(document, part)).sum::<usize>()
}

#[tokio::test]
async fn documents_are_consistent_in_themselves() {
    let (plimsoll, _target) = platform().await;
    let documents = documents(&plimsoll).await;
    let names: Vec<_> = documents.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [CUSTOM, V1BETA1, EXTERNAL]);
    for (root, document) in &documents {
        assert_eq!(document["openapi"], "3.0.0");
        check_operations(document, root);
        assert!(check_references(document, document) > 0, "{root}");
    }
    let v2 = plimsoll.ok("/openapi/v2").await;
    assert_eq!(v2["swagger"], "2.0");
    check_operations(&v2, "/apis");
    assert!(check_references(&v2, &v2) > 0);
    let roots: BTreeSet<_> =
        v2["paths"].as_object().expect("paths").keys().map(|path| path.matches("/v1").count()).collect();
    assert_eq!(roots, BTreeSet::from([1]));
}

#[tokio::test]
async fn the_kube_apiserver_finds_no_definition_that_it_has_itself() {
    let (plimsoll, _target) = platform().await;
    let v2 = plimsoll.ok("/openapi/v2").await;
    let names: Vec<_> = v2["definitions"].as_object().expect("definitions").keys().map(String::as_str).collect();
    assert_eq!(names.len(), 7);
    for name in names {
        assert!(name.starts_with("io.k8s.metrics.pkg.apis."), "{name}");
    }
}

#[tokio::test]
async fn answers_are_as_the_documents_say() {
    let (plimsoll, _target) = platform().await;
    let mut documents = documents(&plimsoll).await;
    let v2 = plimsoll.ok("/openapi/v2").await;
    documents.extend([CUSTOM, V1BETA1, EXTERNAL].map(|root| (root.to_owned(), v2.clone())));
    for (root, document) in &documents {
        let custom = [
            "pods/a/backlog",
            "pods/%2A/backlog?metricLabelSelector=name%3Da",
            "nodes/n1/requests",
            "metrics/requests",
        ];
        let external = ["backlog", "backlog?labelSelector=name+in+%28a%29", "requests"];
        for path in if root == EXTERNAL { &external[..] } else { &custom } {
            let answer = plimsoll.ok(&format!("{root}/namespaces/ns/{path}")).await;
            let (kind, version) =
                (answer["kind"].as_str().expect("a kind"), root.rsplit('/').next().expect("a version"));
            let package = if root == EXTERNAL { "external_metrics" } else { "custom_metrics" };
            let name = format!("io.k8s.metrics.pkg.apis.{package}.{version}.{kind}");
            let schema = [&document["components"]["schemas"][&name], &document["definitions"][&name]];
            let schema = schema.into_iter().find(|schema| schema.is_object()).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(misfits(document, schema, &answer, ""), [""; 0], "{root} {path}: {answer:#}");
            assert!(!misfits(document, schema, &serde_json::json!({"items": [{"more": 1}]}), "").is_empty());
        }
    }
}

#[tokio::test]
async fn kubectl_explain_finds_each_external_metric() {
    let (plimsoll, _target) = platform().await;
    let documents = documents(&plimsoll).await;
    let document = &documents.iter().find(|(root, _)| root == EXTERNAL).expect("the external API").1;
    let resources = plimsoll.ok(EXTERNAL).await;
    let names: Vec<_> =
        resources["resources"].as_array().expect("resources").iter().map(|r| r["name"].as_str()).collect();
    assert_eq!(names, [Some("backlog"), Some("requests")]);
    for name in names.into_iter().flatten() {
        // kubectl looks for the path of the resource, and there for a kind that a schema has.
        let operation = &document["paths"][format!("{EXTERNAL}/namespaces/{{namespace}}/{name}")]["get"];
        let kind = &operation["x-kubernetes-group-version-kind"];
        assert_eq!(kind["kind"], "ExternalMetricValueList", "{name}");
        let schemas = document["components"]["schemas"].as_object().expect("schemas").values();
        let mut kinds = schemas
            .flat_map(|schema| schema["x-kubernetes-group-version-kind"].as_array().cloned().unwrap_or_default());
        assert!(kinds.any(|known| known == *kind), "{name}");
    }
}

#[tokio::test]
async fn a_document_may_be_kept_for_ever_under_its_own_hash_only() {
    let (plimsoll, _target) = platform().await;
    let index = plimsoll.ok("/openapi/v3").await;
    let url = index["paths"]["apis/external.metrics.k8s.io/v1beta1"]["serverRelativeURL"].as_str().expect("an address");
    let exact = plimsoll.get(url).await;
    assert_eq!((exact.code, exact.header("cache-control")), (200, "public, max-age=31536000, immutable"));
    assert_eq!(exact.header("etag"), format!("\"{}\"", url.split('=').next_back().expect("a hash")));
    let (path, _) = url.split_once('?').expect("a query");
    for other in
        [path.to_owned(), format!("{path}?hash=0"), format!("{path}?hash="), format!("{url}0"), format!("{path}/?x=1")]
    {
        // A redirect would be 502 behind the kube-apiserver.
        let answer = plimsoll.get(&other).await;
        assert_eq!((answer.code, answer.header("cache-control")), (200, "no-cache"), "{other}");
        assert_eq!(answer.body, exact.body, "{other}");
    }
    for unknown in ["apis/custom.metrics.k8s.io/v1", "apis/apps/v1", "api/v1", "version"] {
        let answer = plimsoll.get(&format!("/openapi/v3/{unknown}")).await;
        assert_eq!((answer.code, answer.json()["reason"].as_str()), (404, Some("NotFound")), "{unknown}");
    }
}
