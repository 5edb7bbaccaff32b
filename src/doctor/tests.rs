//! Checks over facts that are good, but for what each test changes.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::facts::{
    API_SERVICES, ActiveTarget, Autoscaler, Configuration, Item, Place, PodsWithoutTarget, Reading, Reference, Review,
    Shown, Source, TargetList,
};
use super::permission::Duties;
use super::*;
use crate::config;

/// 2026-01-02T03:04:05Z.
const NOW: Timestamp = Timestamp(1_767_323_045_000);

const CONFIG: &str = "
scrape_configs: [{job_name: pods, kubernetes_sd_configs: [{role: pod}]}]
metrics:
  - {name: queue_length, queue: {series: q, sharing: shared}}
  - {name: latency_p95, quantile: {histogram: h, q: 0.95, window: 60s}}
";

/// An authority that is valid in 2026 and 2027.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    authority_of((2026, 1, 1), (2028, 1, 1))
}

type Day = (i32, u8, u8);

fn authority_of(from: Day, until: Day) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let day = |(year, month, day): Day| rcgen::date_time_ymd(year, month, day);
    (params.not_before, params.not_after) = (day(from), day(until));
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// A serving certificate that is valid until this day of 2026.
fn leaf(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, (month, day): (u8, u8)) -> CertificateDer<'static> {
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2026, month, day));
    let signed = params.signed_by(&KeyPair::generate().expect("a key"), authority).expect("a certificate");
    signed.der().clone()
}

fn read<T: DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).expect("an object")
}

fn api_service(name: &str, ca_bundle: &str) -> APIService {
    let (version, group) = name.split_once('.').expect("a version and a group");
    let priority = if version == "v1beta2" { 200 } else { 100 };
    read(json!({
        "metadata": {"name": name},
        "spec": {
            "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": priority,
            "service": {"namespace": "plimsoll-system", "name": "plimsoll", "port": 443},
            "caBundle": ByteString(ca_bundle.as_bytes().to_vec()),
        },
        "status": {"conditions": [{"type": "Available", "status": "True", "reason": "Passed"}]},
    }))
}

/// Ten queued, two pods, a target of ten per pod.
fn autoscaler() -> HorizontalPodAutoscaler {
    read(json!({
        "metadata": {"namespace": "agents", "name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1, "maxReplicas": 8,
            "metrics": [{"type": "Object", "object": {
                "describedObject": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "metric": {"name": "queue_length"}, "target": {"type": "AverageValue", "averageValue": "10"},
            }}],
        },
        "status": {"conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}]},
    }))
}

fn value(milli: i64) -> Reading {
    let items = vec![Item { name: Some("web".into()), milli, timestamp: Some(Timestamp(NOW.0 - 3000)) }];
    Reading::Values { level: "Deployment".into(), items }
}

fn healthy() -> Facts {
    let (front_proxy, serving) = (authority(), authority());
    let service = ServiceName { namespace: "plimsoll-system".into(), name: "plimsoll".into() };
    let chain = vec![leaf(&serving, &service.dns_name(), (6, 1))];
    let config = config::read(CONFIG, Path::new("plimsoll.yaml")).expect("a good configuration");
    let configuration = Configuration::Known { config: Arc::new(config), origin: "ConfigMap".into() };
    let deployment = Ok(Some(read(json!({"spec": {"selector": {}, "template": {"spec": {
        "serviceAccountName": "plimsoll",
        "containers": [{"name": "plimsoll", "args": ["serve", "--tls-self-managed-secret=plimsoll-serving"]}],
    }}}}))));
    let references = Some(Ok(std::collections::BTreeSet::new()));
    let permissions =
        Duties { service: &service, deployment: &deployment, configuration: &configuration, references: &references }
            .permissions();
    let authentication = json!({"data": {
        "requestheader-client-ca-file": front_proxy.pem(), "requestheader-allowed-names": "[\"front-proxy-client\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]",
    }});
    let scale = json!({"spec": {"replicas": 2}, "status": {"replicas": 2, "selector": "app=web"}});
    let web = Autoscaler {
        object: autoscaler(),
        scale: Ok(Some(read(scale))),
        has_pods: Ok(true),
        readings: vec![value(10_000)],
    };
    let up = ActiveTarget { scrape_url: "http://p/metrics".into(), health: "up".into(), ..ActiveTarget::default() };
    Facts {
        place: Place { service, is_pod: true, server: "https://k/".into() },
        now: NOW,
        server_ahead_seconds: Ok(0.4),
        api_services: API_SERVICES.map(|name| (name, Ok(Some(api_service(name, &serving.pem()))))).into(),
        service: Ok(Some(read(json!({"spec": {"ports": [{"name": "https", "port": 443}]}})))),
        slices: Ok(vec![slice("https", Some(true))]),
        deployment,
        shown: Ok(Shown { place: "plimsoll:443".into(), chain }),
        authentication: Ok(Some(read(authentication))),
        reviews: permissions.into_iter().map(|permission| Review { permission, is_allowed: Ok(true) }).collect(),
        configuration,
        references,
        has_controller_account: Ok(true),
        autoscalers: vec![(None, Ok(vec![web]))],
        targets: Ok(TargetList { active_targets: vec![up], ..TargetList::default() }),
    }
}

fn slice(port: &str, ready: Option<bool>) -> k8s_openapi::api::discovery::v1::EndpointSlice {
    let endpoint = json!({"addresses": ["127.0.0.1"], "conditions": {"ready": ready}});
    read(json!({"addressType": "IPv4", "ports": [{"name": port, "port": 10250}], "endpoints": [endpoint]}))
}

/// What is found beside what is good.
fn problems(facts: &Facts) -> Vec<Finding> {
    Report::of(facts).findings.into_iter().filter(|finding| finding.state != State::Ok).collect()
}

/// One problem, with these words in it, and with a fix where it is more than a question.
fn check(change: impl FnOnce(&mut Facts), (check, state): (Check, State), words: &[&str]) {
    let mut facts = healthy();
    change(&mut facts);
    let problems = problems(&facts);
    let [problem] = problems.as_slice() else { panic!("expected one problem with {words:?}: {problems:#?}") };
    assert_eq!((problem.check, problem.state), (check, state), "{problem:#?}");
    let all = format!("{} {}", problem.found, problem.fix.as_deref().unwrap_or_default());
    assert!(words.iter().all(|word| all.contains(word)), "{words:?}: {problem:#?}");
    assert!(problem.fix.is_some() && !problem.found.contains('\n'), "{problem:#?}");
}

fn first(facts: &mut Facts) -> &mut APIService {
    facts.api_services[0].1.as_mut().expect("asked").as_mut().expect("there")
}

fn web(facts: &mut Facts) -> &mut Autoscaler {
    &mut facts.autoscalers[0].1.as_mut().expect("asked")[0]
}

/// Replaces a part of the autoscaler, found by a JSON pointer.
fn rewrite(facts: &mut Facts, pointer: &str, with: &Value) {
    let mut object = json!(web(facts).object);
    *object.pointer_mut(pointer).expect("a part of it") = with.clone();
    web(facts).object = read(object);
}

/// Replaces its metric by one of the given type, name and target.
fn asks(facts: &mut Facts, kind: &str, name: &str, target: &Value) {
    let mut source = json!({"metric": {"name": name}, "target": target});
    source["describedObject"] = json!({"apiVersion": "v1", "kind": "Service", "name": "web"});
    rewrite(facts, "/spec/metrics", &json!([{"type": kind, kind.to_lowercase(): source}]));
}

#[test]
fn what_is_good_has_no_problems() {
    let report = Report::of(&healthy());
    assert_eq!(problems(&healthy()), []);
    assert_eq!(report.summary, Summary { ok: report.findings.len(), ..Summary::default() });
    let checks: std::collections::BTreeSet<Check> = report.findings.iter().map(|finding| finding.check).collect();
    assert_eq!(checks.len(), 11, "each check says something: {checks:?}");
}

#[test]
fn a_report_of_unknowns_alone_is_blank_though_the_clocks_are_known() {
    let mut report = Report::of(&healthy());
    assert!(!report.is_blank());
    let is_elsewhere = |finding: &Finding| matches!(finding.check, Check::Clock | Check::Configuration);
    report.findings.retain(is_elsewhere);
    assert!(report.is_blank() && report.findings.iter().all(|finding| finding.state == State::Ok));
}

#[test]
fn registrations_that_are_missing_unavailable_insecure_or_in_the_wrong_order_are_told() {
    let failure = (Check::ApiServices, State::Failure);
    check(|facts| facts.api_services[2].1 = Ok(None), failure, &["is not registered", "kubectl apply"]);
    let condition = json!([{"type": "Available", "status": "False", "reason": "MissingEndpoints", "message": "no"}]);
    let set = |facts: &mut Facts| {
        first(facts).status = Some(read(json!({ "conditions": condition })));
    };
    check(set, failure, &["is not Available: MissingEndpoints: no", "endpointslices"]);
    let insecure = |facts: &mut Facts| {
        first(facts).spec.as_mut().expect("a spec").insecure_skip_tls_verify = Some(true);
    };
    check(insecure, failure, &["insecureSkipTLSVerify", "--type=json"]);
    let order = |facts: &mut Facts| first(facts).spec.as_mut().expect("a spec").version_priority = 200;
    check(order, (Check::ApiServices, State::Warning), &["versionPriority 200 is not above the 200"]);
    let forbidden = Err("apiservices is forbidden".to_owned());
    let mut facts = healthy();
    facts.api_services[0].1 = forbidden;
    assert_eq!(problems(&facts)[0].state, State::Unknown);
}

#[test]
fn another_adapter_is_named_and_keda_on_external_metrics_is_a_choice() {
    let held = |index: usize, namespace: &'static str, name: &'static str| {
        move |facts: &mut Facts| {
            let found = facts.api_services[index].1.as_mut().expect("asked").as_mut().expect("there");
            let reference = json!({"namespace": namespace, "name": name, "port": 443});
            found.spec.as_mut().expect("a spec").service = Some(read(reference));
        }
    };
    let (failure, warning) = ((Check::Adapters, State::Failure), (Check::Adapters, State::Warning));
    check(held(0, "monitoring", "prometheus-adapter"), failure, &["held by prometheus-adapter", "kubectl patch"]);
    check(held(2, "keda", "keda-operator-metrics-apiserver"), warning, &["held by KEDA", "ScaledObjects"]);
    check(held(1, "keda", "keda-operator-metrics-apiserver"), failure, &["held by KEDA"]);
    check(held(2, "a", "b"), failure, &["held by another server (Service a/b)"]);
}

#[test]
fn a_service_without_a_port_or_ready_endpoints_is_told() {
    let failure = (Check::Service, State::Failure);
    check(|facts| facts.service = Ok(None), failure, &["does not exist"]);
    check(|facts| facts.slices = Ok(Vec::new()), failure, &["has no endpoints", "get pods"]);
    check(|facts| facts.slices = Ok(vec![slice("http", None)]), failure, &["has no endpoints"]);
    check(|facts| facts.slices = Ok(vec![slice("https", Some(false))]), failure, &["has no ready endpoints"]);
    let some = |facts: &mut Facts| facts.slices = Ok(vec![slice("https", None), slice("https", Some(false))]);
    check(some, (Check::Service, State::Warning), &["1 of its 2 pods are not ready"]);
    let other = json!({"spec": {"ports": [{"name": "https", "port": 8443}]}});
    check(|facts| facts.service = Ok(Some(read(other))), failure, &["has no port 443", "it has 8443"]);
}

#[test]
fn certificates_are_judged_by_name_time_and_bundle() {
    let service = "plimsoll.plimsoll-system.svc";
    let shows = |name: &'static str, until: (u8, u8)| {
        move |facts: &mut Facts| {
            let authority = authority();
            let place = "plimsoll:443".into();
            facts.shown = Ok(Shown { place, chain: vec![leaf(&authority, name, until)] });
            facts.api_services = API_SERVICES.map(|it| (it, Ok(Some(api_service(it, &authority.pem()))))).into();
        }
    };
    let failure = (Check::Certificate, State::Failure);
    check(shows("localhost", (6, 1)), failure, &["lacks the name", "it has localhost"]);
    let bundle = |pem: &'static str| move |facts: &mut Facts| *first(facts) = api_service(API_SERVICES[0], pem);
    let other = Box::leak(authority().pem().into_boxed_str());
    check(bundle(other), failure, &["does not fit the serving certificate: it is signed by another CA", "caBundle"]);
    check(bundle(""), failure, &["has no caBundle"]);
    check(bundle("garbage"), failure, &["cannot be used: it has no certificate"]);
    let mut facts = healthy();
    shows(service, (1, 2))(&mut facts);
    let expired = problems(&facts);
    assert!(expired[0].found.contains("it expired at 2026-01-02T00:00:00Z"), "{expired:#?}");
}

#[test]
fn a_bundle_whose_authority_is_not_valid_now_fits_nobody() {
    let trusts = |from: Day, until: Day| {
        move |facts: &mut Facts| {
            let (authority, other) = (authority_of(from, until), self::authority());
            let chain = vec![leaf(&authority, "plimsoll.plimsoll-system.svc", (6, 1))];
            facts.shown = Ok(Shown { place: "plimsoll:443".into(), chain });
            *first(facts) = api_service(API_SERVICES[0], &(authority.pem() + &other.pem()));
            facts.api_services.truncate(1);
        }
    };
    let failure = (Check::Certificate, State::Failure);
    check(trusts((2025, 1, 1), (2026, 1, 2)), failure, &["whose CA expired at 2026-01-02T00:00:00Z", "caBundle"]);
    check(trusts((2026, 2, 1), (2027, 1, 1)), failure, &["whose CA is not valid yet"]);
    let mut facts = healthy();
    trusts((2025, 1, 1), (2027, 1, 1))(&mut facts);
    assert_eq!(problems(&facts), []);
}

#[test]
fn a_certificate_expires_soon_when_plimsoll_should_have_renewed_it() {
    let shows = |until: (u8, u8)| {
        move |facts: &mut Facts| {
            // Of 30 days it has 9 more: Plimsoll renews at two thirds, and this one has been renewed late at worst.
            facts.now = Timestamp(facts.now.0 + 20 * 86_400_000);
            facts.server_ahead_seconds = Ok(0.0);
            web(facts).readings = vec![];
            let authority = authority();
            let chain = vec![leaf(&authority, "plimsoll.plimsoll-system.svc", until)];
            facts.shown = Ok(Shown { place: "plimsoll:443".into(), chain });
            facts.api_services = API_SERVICES.map(|it| (it, Ok(Some(api_service(it, &authority.pem()))))).into();
        }
    };
    let mut facts = healthy();
    shows((1, 31))(&mut facts);
    assert_eq!(problems(&facts), [], "9 days of 30 are left");
    check(shows((1, 25)), (Check::Certificate, State::Warning), &["it is valid for 2 days more"]);
}

#[test]
fn no_command_gives_an_api_service_an_empty_bundle() {
    let broken = |change: fn(&mut Facts)| {
        let mut facts = healthy();
        *first(&mut facts) = api_service(API_SERVICES[0], "");
        change(&mut facts);
        problems(&facts).remove(0).fix.expect("a fix")
    };
    let own = broken(|_| ());
    let guarded = "get secret plimsoll-serving -o jsonpath='{.data.ca\\.crt}') && test -n \"$ca\" && kubectl patch";
    assert!(own.starts_with("ca=$(kubectl") && own.contains(guarded), "{own}");
    let without = |facts: &mut Facts| {
        let arguments = json!(["serve", "--tls-secret=plimsoll-tls"]);
        let containers = json!([{"name": "plimsoll", "args": arguments}]);
        facts.deployment =
            Ok(Some(read(json!({"spec": {"selector": {}, "template": {"spec": {"containers": containers}}}}))));
    };
    let of_file = broken(without);
    assert!(of_file.starts_with("test -s ca.crt && kubectl patch") && !of_file.contains("secret "), "{of_file}");
    let applied = broken(|facts| {
        facts.deployment = Err("forbidden".into());
        let fields = json!({"f:spec": {"f:caBundle": {}}});
        let entry = json!({"manager": "terraform", "operation": "Apply", "fieldsV1": fields});
        first(facts).metadata.managed_fields = Some(vec![read(entry)]);
    });
    assert!(applied.contains("terraform applies this caBundle"), "{applied}");
    let injected = broken(|facts| {
        let annotations = [("cert-manager.io/inject-ca-from".to_owned(), "plimsoll-system/serving".to_owned())];
        first(facts).metadata.annotations = Some(annotations.into());
    });
    assert!(injected.starts_with("kubectl -n plimsoll-system describe certificate serving"), "{injected}");
}

#[test]
fn a_certificate_that_nobody_here_can_see_is_judged_by_whether_the_kube_apiserver_takes_it() {
    let mut facts = healthy();
    facts.shown = Err("connection refused".into());
    assert_eq!(problems(&facts), []);
    first(&mut facts).status = None;
    let unseen = problems(&facts);
    let of_it = unseen.iter().find(|finding| finding.check == Check::Certificate).expect("it is told");
    assert!(
        of_it.state == State::Unknown && of_it.fix.as_ref().is_some_and(|fix| fix.contains("port-forward")),
        "{of_it:#?}"
    );
    assert!(!of_it.fix.as_ref().is_some_and(|fix| fix.contains("exec")), "it is in the pod already: {of_it:#?}");
    facts.place.is_pod = false;
    let outside =
        problems(&facts).into_iter().find(|finding| finding.check == Check::Certificate).and_then(|it| it.fix);
    assert!(outside.is_some_and(|fix| fix.contains("exec deploy/plimsoll -- /plimsoll doctor")));
}

#[test]
fn a_front_proxy_that_is_not_known_or_shares_its_authority_is_told() {
    let failure = (Check::RequestHeader, State::Failure);
    check(|facts| facts.authentication = Ok(None), failure, &["does not exist", "--requestheader-client-ca-file"]);
    let data = |change: fn(&mut BTreeMap<String, String>)| {
        move |facts: &mut Facts| {
            let found = facts.authentication.as_mut().expect("asked").as_mut().expect("there");
            change(found.data.as_mut().expect("data"));
        }
    };
    let none = data(|data| drop(data.remove("requestheader-client-ca-file")));
    check(none, failure, &["the key requestheader-client-ca-file is missing"]);
    let open = data(|data| drop(data.remove("requestheader-allowed-names")));
    check(open, (Check::RequestHeader, State::Warning), &["any name is allowed"]);
    let shared = data(|data| {
        let front = data["requestheader-client-ca-file"].clone();
        data.insert("client-ca-file".into(), front);
    });
    check(shared, (Check::RequestHeader, State::Warning), &["signs users too"]);
    let mut later = healthy();
    later.now = NOW.plus(std::time::Duration::from_secs(3 * 365 * 86_400));
    let told = problems(&later);
    let expired = told.iter().find(|finding| finding.check == Check::RequestHeader).expect("it is told");
    assert!(expired.state == State::Failure && expired.found.contains("CA expired at 2028"), "{expired:#?}");
    let renewed = expired.fix.as_ref().expect("a fix");
    assert!(
        renewed.contains("kubeadm init phase certs front-proxy-ca") && !renewed.contains("certs renew"),
        "{renewed}"
    );
}

#[test]
fn permissions_that_are_missing_are_told_by_what_they_are_for() {
    let deny = |resource: &'static str, verb: &'static str| {
        move |facts: &mut Facts| {
            for review in &mut facts.reviews {
                let it = &review.permission;
                review.is_allowed = Ok(!(it.resource == resource && it.verb == verb));
            }
        }
    };
    let failure = (Check::Permissions, State::Failure);
    check(deny("tokenreviews", "create"), failure, &["create tokenreviews", "clusterrole=system:auth-delegator"]);
    check(deny("configmaps", "get"), failure, &["who the front proxy is", "extension-apiserver-authentication-reader"]);
    let rule = "- {apiGroups: [apps], resources: [replicasets], verbs: [watch]}";
    check(deny("replicasets", "watch"), failure, &["find what is to be scraped", rule]);
    let rule = "- {apiGroups: [\"\"], resources: [secrets], resourceNames: [plimsoll-serving], verbs: [update]}";
    check(deny("secrets", "update"), failure, &["update secrets plimsoll-serving in plimsoll-system", rule]);
    check(deny("apiservices", "patch"), failure, &["keep the caBundle", "resourceNames: [v1beta1.custom"]);
    check(deny("*", "get"), failure, &["may not read Pods and Object metrics", "- {apiGroups: [custom.metrics.k8s.io"]);
    check(deny("*", "list"), failure, &["may not read External metrics"]);
    let ask = |facts: &mut Facts| facts.reviews[0].is_allowed = Err("no right".into());
    check(ask, (Check::Permissions, State::Unknown), &["cannot be asked: no right"]);
}

#[test]
fn without_a_controller_account_its_requests_are_those_of_the_controller_manager() {
    let mut facts = healthy();
    facts.has_controller_account = Ok(false);
    let all = Report::of(&facts).findings;
    let user = ObjectName::cluster("User", "system:kube-controller-manager");
    assert_eq!(all.iter().filter(|finding| finding.object == user).count(), 2);
    assert_eq!(permission::Account::of_controller(&Ok(false)).user, user.name);
}

#[test]
fn metrics_that_are_refused_or_old_are_told() {
    let refused = |facts: &mut Facts| {
        let message = "the server could not find the metric".into();
        web(facts).readings = vec![Reading::Refused { level: "Deployment".into(), message }];
    };
    check(refused, (Check::Metrics, State::Failure), &["queue_length is not served: the server could not find"]);
    let old = |facts: &mut Facts| {
        let timestamp = Some(Timestamp(NOW.0 - 600_000));
        let items = vec![Item { name: None, milli: 1000, timestamp }];
        web(facts).readings = vec![Reading::Values { level: "Deployment".into(), items }];
    };
    check(old, (Check::Metrics, State::Warning), &["is 1, target 10 per pod, 600 s old"]);
    let unasked = |facts: &mut Facts| {
        web(facts).readings = vec![Reading::Unasked { level: "Deployment".into(), why: "forbidden".into() }];
    };
    check(unasked, (Check::Metrics, State::Unknown), &["cannot be asked for: forbidden"]);
    let listed = |facts: &mut Facts| facts.autoscalers = vec![(Some("a".into()), Err("forbidden".into()))];
    check(listed, (Check::Metrics, State::Unknown), &["cannot be listed: forbidden"]);
}

#[test]
fn an_idle_service_is_no_failure_and_neither_is_one_that_keda_keeps_at_0() {
    let refused = |message: &'static str| {
        move |facts: &mut Facts| {
            let level = "Deployment".into();
            web(facts).readings = vec![Reading::Refused { level, message: message.into() }];
        }
    };
    let idle = "the pods have none: nothing was observed in the window: the histogram did not grow";
    check(refused(idle), (Check::Metrics, State::Warning), &["has no value while nothing happens"]);
    let mut facts = healthy();
    refused("no pods")(&mut facts);
    web(&mut facts).scale = Ok(Some(read(json!({"spec": {"replicas": 0}, "status": {"selector": "app=web"}}))));
    web(&mut facts).has_pods = Ok(false);
    let told = problems(&facts);
    let states: Vec<_> = told.iter().map(|it| (it.check, it.state)).collect();
    assert_eq!(states, [(Check::Metrics, State::Failure), (Check::Autoscalers, State::Warning)], "{told:#?}");
    let owner = json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web", "uid": "u"});
    web(&mut facts).object.metadata.owner_references = Some(vec![read(owner)]);
    assert_eq!(problems(&facts), [], "KEDA wakes it");
}

#[test]
fn what_was_not_asked_any_more_is_not_known() {
    let late = |facts: &mut Facts| {
        let why = "custom.metrics.k8s.io did not answer 3 questions before".into();
        web(facts).readings = vec![Reading::Late { level: "Deployment".into(), why }];
    };
    check(late, (Check::Metrics, State::Unknown), &["was not asked for: custom.metrics", "--namespace agents"]);
}

#[test]
fn objects_that_monitors_name_are_asked_for_one_by_one() {
    let named = |is_allowed: bool| {
        move |facts: &mut Facts| {
            let reference = |resource: &'static str, name: &str| Reference {
                namespace: "agents".into(),
                resource,
                name: name.into(),
            };
            facts.references = Some(Ok([reference("secrets", "token"), reference("secrets", "password")].into()));
            let Facts { configuration, deployment, references, place, .. } = &*facts;
            let duties = Duties { service: &place.service, deployment, configuration, references };
            let of = |it: &permission::Permission| it.purpose == permission::Purpose::References;
            let review = |permission| Review { is_allowed: Ok(is_allowed || !of(&permission)), permission };
            facts.reviews = duties.permissions().into_iter().map(review).collect();
        }
    };
    let mut facts = healthy();
    named(true)(&mut facts);
    assert_eq!(problems(&facts), []);
    let role = "kubectl -n agents create role plimsoll-secrets --verb=list,watch --resource=secrets \
                --resource-name=password --resource-name=token && kubectl -n agents create rolebinding";
    let warning = (Check::Permissions, State::Warning);
    check(named(false), warning, &["list, watch secrets password in agents", role]);
    let unknown = |facts: &mut Facts| facts.references = Some(Err("forbidden".into()));
    check(unknown, (Check::Permissions, State::Unknown), &["what monitors name is not known: forbidden"]);
}

#[test]
fn where_it_is_not_known_what_plimsoll_does_no_right_to_all_secrets_is_asked_for() {
    let service = ServiceName { namespace: "plimsoll-system".into(), name: "plimsoll".into() };
    let configuration = Configuration::Unknown("forbidden".into());
    let duties =
        Duties { service: &service, deployment: &Err("no".into()), configuration: &configuration, references: &None };
    let of_all = duties.permissions().into_iter().filter(|it| it.name.is_none());
    let resources: Vec<_> = of_all.map(|it| it.resource).collect();
    assert!(resources.contains(&"pods".into()) && !resources.contains(&"secrets".into()), "{resources:?}");
}

#[test]
fn a_value_is_told_with_its_age_and_level() {
    let report = Report::of(&healthy());
    let finding = report.findings.iter().find(|finding| finding.check == Check::Metrics).expect("one metric");
    let metric = MetricFound {
        name: "queue_length".into(),
        level: "Deployment".into(),
        items: Some(1),
        value: Some("10".into()),
        timestamp: Some("2026-01-02T03:04:02Z".into()),
        age_seconds: Some(3),
    };
    assert_eq!(finding.metric.as_ref(), Some(&metric));
}

#[test]
fn dangerous_targets_are_told() {
    let (failure, warning) = ((Check::Autoscalers, State::Failure), (Check::Autoscalers, State::Warning));
    let asking = |kind: &'static str, name: &'static str, target: Value| {
        move |facts: &mut Facts| asks(facts, kind, name, &target)
    };
    let total = json!({"type": "Value", "value": "30"});
    let fix = "target: {type: AverageValue, averageValue: \"30\"}";
    check(asking("Object", "queue_length", total.clone()), failure, &["which is a total", fix]);
    check(asking("External", "Queue_Length", total), failure, &["which is a total"]);
    let small = json!({"type": "AverageValue", "averageValue": "50m"});
    check(asking("Pods", "queue_length", small), warning, &["target 50m", "2 % of it", "\"50\""]);
    let overflow = |milli: i64| {
        move |facts: &mut Facts| {
            asks(facts, "Pods", "queue_length", &json!({"type": "AverageValue", "averageValue": "1"}));
            web(facts).readings = vec![value(milli)];
        }
    };
    check(overflow(3_000_000_000_000), failure, &["is 3000000000 replicas", "into minReplicas (1)"]);
    check(overflow(300_000_000_000), warning, &["is 300000000 replicas"]);
}

#[test]
fn a_latency_without_a_bound_is_told_and_one_with_a_bound_is_not() {
    let latency = json!({"type": "Value", "value": "2"});
    let warning = (Check::Autoscalers, State::Warning);
    let alone = |facts: &mut Facts| asks(facts, "Object", "latency_p95", &latency);
    check(alone, warning, &["latency_p95 is a percentile", "scaleUp"]);
    let mut slow = healthy();
    alone(&mut slow);
    let rules = json!({"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}});
    let mut object = json!(web(&mut slow).object);
    object["spec"]["behavior"] = rules;
    web(&mut slow).object = read(object);
    assert_eq!(problems(&slow), []);
    let mut bounded = healthy();
    let mut queue = json!(web(&mut bounded).object)["spec"]["metrics"][0].clone();
    alone(&mut bounded);
    let metric = json!(web(&mut bounded).object)["spec"]["metrics"][0].clone();
    queue["type"] = json!("Object");
    rewrite(&mut bounded, "/spec/metrics", &json!([metric, queue]));
    rewrite(&mut bounded, "/spec/minReplicas", &json!(2));
    web(&mut bounded).readings = vec![value(1000), value(1000)];
    assert_eq!(problems(&bounded), [], "there are a load and at most four times as many replicas");
}

#[test]
fn autoscalers_that_cannot_act_are_told() {
    let (failure, warning) = ((Check::Autoscalers, State::Failure), (Check::Autoscalers, State::Warning));
    check(|facts| rewrite(facts, "/spec/minReplicas", &json!(8)), warning, &["both 8", "\"maxReplicas\":16"]);
    check(|facts| web(facts).has_pods = Ok(false), failure, &["\"app=web\"", "matches no pod"]);
    check(|facts| web(facts).scale = Ok(None), failure, &["Deployment web, which does not exist"]);
    let conditions = json!([{"type": "ScalingActive", "status": "False", "reason": "FailedGetObjectMetric",
        "message": "no\nluck"}]);
    let inactive = |facts: &mut Facts| rewrite(facts, "/status/conditions", &conditions);
    check(inactive, failure, &["does not scale: FailedGetObjectMetric: no\\nluck"]);
    let mut refused = healthy();
    inactive(&mut refused);
    web(&mut refused).readings = vec![Reading::Refused { level: "Deployment".into(), message: "no".into() }];
    let told = problems(&refused);
    assert!(told.len() == 1 && told[0].check == Check::Metrics, "one cause is told once: {told:#?}");
}

#[test]
fn without_the_configuration_it_is_said_what_is_not_known() {
    let mut facts = healthy();
    facts.configuration = Configuration::Unknown("no ConfigMap".into());
    asks(&mut facts, "Object", "queue_length", &json!({"type": "Value", "value": "30"}));
    let told = problems(&facts);
    let checks: Vec<_> = told.iter().map(|finding| (finding.check, finding.state)).collect();
    assert_eq!(checks, [(Check::Configuration, State::Unknown), (Check::Autoscalers, State::Unknown)], "{told:#?}");
    let bad = |facts: &mut Facts| {
        facts.configuration = Configuration::Bad { mistakes: "line 1".into(), origin: "ConfigMap".into() };
    };
    check(bad, (Check::Configuration, State::Failure), &["cannot be used: line 1", "plimsoll check"]);
}

#[test]
fn clocks_that_differ_and_samples_of_the_future_are_told() {
    let ahead = |facts: &mut Facts| {
        facts.server_ahead_seconds = Ok(-45.0);
        let items = vec![Item { name: None, milli: 1000, timestamp: Some(Timestamp(NOW.0 - 46_000)) }];
        web(facts).readings = vec![Reading::Values { level: "Deployment".into(), items }];
    };
    check(ahead, (Check::Clock, State::Failure), &["45 s ahead of"]);
    check(|facts| facts.server_ahead_seconds = Ok(5.0), (Check::Clock, State::Warning), &["5 s behind"]);
    let outside = |facts: &mut Facts| {
        facts.place.is_pod = false;
        facts.server_ahead_seconds = Ok(45.0);
    };
    check(outside, (Check::Clock, State::Warning), &["45 s behind"]);
    let future = |facts: &mut Facts| {
        let timestamp = Some(Timestamp(NOW.0 + 60_000));
        let items = vec![Item { name: None, milli: 1000, timestamp }];
        web(facts).readings = vec![Reading::Values { level: "Deployment".into(), items }];
    };
    check(future, (Check::Clock, State::Warning), &["queue_length has a sample that is 5", "s in the future"]);
}

#[test]
fn targets_are_told_by_state() {
    let set = |change: fn(&mut TargetList)| move |facts: &mut Facts| change(facts.targets.as_mut().expect("asked"));
    let (failure, warning) = ((Check::Targets, State::Failure), (Check::Targets, State::Warning));
    let down = set(|list| {
        list.active_targets[0].health = "down".into();
        list.active_targets[0].last_error = "connection refused".into();
    });
    check(down, warning, &["is down: connection refused", "curl -sS 'http://p/metrics'"]);
    let with = |labels: Value| {
        move |facts: &mut Facts| {
            down(facts);
            let target = &mut facts.targets.as_mut().expect("asked").active_targets[0];
            target.labels = read(labels);
        }
    };
    let of = |namespace: &str, owner: &str| json!({"namespace": namespace, "owner": owner});
    let rests = "is down, and HorizontalPodAutoscaler agents/web rests on it: connection refused";
    check(with(of("agents", "apps/v1/ReplicaSet/web-1,apps/v1/Deployment/web")), failure, &[rests]);
    check(with(of("agents", "apps/v1/Deployment/other")), warning, &["is down: connection"]);
    check(with(of("others", "apps/v1/Deployment/web")), warning, &["is down: connection"]);
    let external = |facts: &mut Facts| {
        with(of("agents", ""))(facts);
        asks(facts, "External", "other", &json!({"type": "AverageValue", "averageValue": "10"}));
    };
    check(external, failure, &[rests]);
    check(set(|list| list.active_targets.clear()), warning, &["there is no target", "prometheus.io/scrape"]);
    check(set(|list| list.targets_over_limit = 3), failure, &["3 targets are beyond the limit", "targets: 4"]);
    check(|facts| facts.targets = Err("no way".into()), (Check::Targets, State::Unknown), &["no way", "--server"]);
    let mut facts = healthy();
    let list = facts.targets.as_mut().expect("asked");
    let last_error = "forbidden".into();
    list.sources.push(Source { name: "pods".into(), last_error, mistakes: vec!["odd".into()], targets: 2 });
    list.pods_without_target = PodsWithoutTarget { count: 4, owners: Vec::new() };
    let states: Vec<_> = problems(&facts).iter().map(|finding| (finding.state, finding.found.clone())).collect();
    assert_eq!(states, [(State::Failure, "forbidden".into()), (State::Warning, "odd".into())]);
}

#[test]
fn lines_fit_a_terminal_but_for_what_is_to_be_copied() {
    let mut facts = healthy();
    facts.api_services[0].1 = Ok(None);
    facts.targets = Err("no way".into());
    let report = Report::of(&facts);
    let lines = report.lines(80, false);
    let is_copied = |line: &&String| line.contains("kubectl");
    assert!(lines.iter().filter(|line| !is_copied(line)).all(|line| line.chars().count() <= 80), "{lines:#?}");
    let problem = "  FAILURE  v1beta1.custom.metrics.k8s.io: is not registered: ";
    assert!(lines.iter().any(|line| line.starts_with(problem)), "{lines:#?}");
    let last = format!("1 failure, 0 warnings, 1 unknown, {} ok", report.summary.ok);
    assert_eq!(lines.last(), Some(&last));
    assert!(!lines.concat().contains('\x1b') && report.lines(80, true).concat().contains("\x1b[31;1m"));
}

#[test]
fn the_report_as_json_has_the_shape_that_is_documented() {
    let mut facts = healthy();
    facts.api_services[0].1 = Ok(None);
    let json = json!(Report::of(&facts));
    assert_eq!(json["time"], "2026-01-02T03:04:05Z");
    let first = &json["findings"][0];
    assert_eq!(first["check"], "apiservices");
    assert_eq!(first["state"], "failure");
    assert_eq!(first["object"], json!({"kind": "APIService", "name": "v1beta1.custom.metrics.k8s.io"}));
    let findings = json["findings"].as_array().expect("a list");
    let metric = findings.iter().find(|finding| finding["check"] == "metrics").expect("one");
    assert_eq!(metric["metric"]["ageSeconds"], 3);
    assert_eq!(json["summary"]["failure"], 1);
    let names: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["version", "server", "time", "findings", "summary"]);
}
