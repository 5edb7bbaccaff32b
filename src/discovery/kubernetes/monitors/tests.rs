//! Stories of monitors in YAML: objects go in, targets with how they are scraped come out.

use serde_json::Value as Json;

use super::*;
use crate::discovery::kubernetes::index::{Index, Kind, Watched};
use crate::model::selector::Selector;
use crate::model::{Credentials, SecretText};

/// An index and the job that asks it.
struct World {
    index: Index,
    job: Job,
    namespaces: Vec<String>,
}

const POD: &str = r#"
kind: Pod
metadata:
  namespace: shop
  name: web-1
  uid: 00000000-0000-0000-0000-000000000001
  labels: {app: web, tier: front}
  annotations: {example.com/port: "9000", example.com/scrape: "yes"}
spec:
  nodeName: node-a
  containers:
  - {name: web, image: web:1, ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9102}]}
  - {name: proxy, image: proxy:1}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
"#;

const SERVICE: &str = r"
kind: Service
metadata: {namespace: shop, name: web, labels: {team: a, app: web}}
spec: {ports: [{name: web, port: 80, targetPort: 8080}]}
";

const SLICE: &str = r"
kind: EndpointSlice
metadata: {namespace: shop, name: web-abc, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: web, port: 8080}]
endpoints: [{addresses: [10.0.0.1], targetRef: {kind: Pod, namespace: shop, name: web-1}}]
";

const SECRET: &str = r"
kind: Secret
metadata: {namespace: shop, name: credentials}
data: {token: aHVudGVyMg==, user: bWU=, ca.crt: UEVN, binary: /w==}
";

// === impl World ===

impl World {
    fn of(objects: &[&str]) -> Self {
        let scraping = Arc::new(Scraping {
            freshness: Scraping::default_freshness(Scraping::for_test().interval),
            ..Scraping::for_test()
        });
        let (targets, kubernetes_sd) = (Vec::new(), Vec::new());
        let job =
            Job { name: "pods".into(), scraping, targets, file_sd: Vec::new(), http_sd: Vec::new(), kubernetes_sd };
        let mut world = Self { index: Index::default(), job, namespaces: Vec::new() };
        for object in objects {
            world.apply(object);
        }
        world
    }

    fn apply(&mut self, yaml: &str) -> bool {
        self.index.apply(watched(yaml))
    }

    fn sd(&self, role: Role) -> KubernetesSd {
        KubernetesSd { role, namespaces: self.namespaces.clone(), selector: Selector::default() }
    }

    fn targets(&mut self, role: Role) -> (Vec<Arc<Target>>, Vec<String>) {
        let sd = self.sd(role);
        let (targets, omissions) = self.index.targets(&self.job, &sd);
        (targets, omissions.lines())
    }

    /// URLs with their pods, then the omissions.
    #[track_caller]
    fn check(&mut self, role: Role, expected: &[&str]) {
        let (targets, omissions) = self.targets(role);
        let pod = |target: &Target| {
            format!("{}/{}", target.identity.namespace, target.identity.pod.as_deref().unwrap_or("-"))
        };
        let shown = targets.iter().map(|target| format!("{} {}", target.url, pod(target)));
        let shown: Vec<String> = shown.chain(omissions.into_iter().map(|line| format!("! {line}"))).collect();
        assert_eq!(shown, expected);
    }

    /// How the only target is scraped.
    fn scraping(&mut self, role: Role) -> Arc<Scraping> {
        let (targets, omissions) = self.targets(role);
        let [target] = targets.as_slice() else { panic!("{targets:?} {omissions:?}") };
        target.scraping.clone()
    }
}

fn watched(yaml: &str) -> Watched {
    fn read<T: serde::de::DeserializeOwned>(object: Json) -> T {
        serde_json::from_value(object).expect("an object of the API")
    }
    let options = serde_saphyr::options! { strict_booleans: true };
    let object: Json =
        serde_saphyr::from_str_with_options(yaml, options).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    match object["kind"].as_str().expect("a kind") {
        "Pod" => Watched::Pod(read(object)),
        "Service" => Watched::Service(read(object)),
        "EndpointSlice" => Watched::EndpointSlice(read(object)),
        "Secret" => Watched::Secret(read(object)),
        "ConfigMap" => Watched::ConfigMap(read(object)),
        "PodMonitor" => Watched::PodMonitor(read(object)),
        "ServiceMonitor" => Watched::ServiceMonitor(read(object)),
        other => panic!("no kind of these stories: {other}"),
    }
}

/// A PodMonitor `shop/web` of the pods with `app: web`, and its endpoints in YAML.
fn pod_monitor(endpoints: &str) -> String {
    monitor("PodMonitor", "podMetricsEndpoints", endpoints)
}

fn service_monitor(endpoints: &str) -> String {
    monitor("ServiceMonitor", "endpoints", endpoints)
}

fn monitor(kind: &str, key: &str, endpoints: &str) -> String {
    format!(
        "kind: {kind}\napiVersion: monitoring.coreos.com/v1\nmetadata: {{namespace: shop, name: web}}\n\
         spec: {{selector: {{matchLabels: {{app: web}}}}, {key}: {endpoints}}}\n"
    )
}

const METRICS: &str = "http://10.0.0.1:9102/metrics shop/web-1";

#[test]
fn a_pod_monitor_means_the_declared_ports_of_the_pods_it_selects() {
    let check = |endpoints: &str, expected: &[&str]| {
        World::of(&[POD, &pod_monitor(endpoints)]).check(Role::PodMonitor, expected);
    };
    check("[{port: metrics}]", &[METRICS]);
    check("[{portNumber: 9102}, {targetPort: metrics}, {targetPort: 9102}]", &[METRICS]);
    check(
        "[{port: metrics, path: /a b, scheme: HTTPS, params: {x: ['1', '2']}}]",
        &["https://10.0.0.1:9102/a%20b?x=1&x=2 shop/web-1"],
    );
    // A container without ports may be meant by rules that know its port.
    check("[{}]", &["http://10.0.0.1/metrics shop/web-1", "http://10.0.0.1:8080/metrics shop/web-1", METRICS]);
    check("[]", &[]);
    check(
        "[{port: admin}]",
        &["! PodMonitor shop/web podMetricsEndpoints[0]: none of the 1 pods that it selects has a \
        container port with the name \"admin\""],
    );
    let other = POD.replace("app: web", "app: api");
    World::of(&[&other, &pod_monitor("[{port: admin}]")]).check(Role::PodMonitor, &[]);
}

#[test]
fn a_service_monitor_means_ports_of_services_and_of_the_pods_behind_them() {
    let check = |endpoints: &str, expected: &[&str]| {
        World::of(&[POD, SERVICE, SLICE, &service_monitor(endpoints)]).check(Role::ServiceMonitor, expected);
    };
    check("[{port: web}]", &["http://10.0.0.1:8080/metrics shop/web-1"]);
    check("[{targetPort: http}]", &["http://10.0.0.1:8080/metrics shop/web-1"]);
    check("[{targetPort: 9102}, {targetPort: metrics}]", &[METRICS]);
    check(
        "[{port: http}]",
        &["! ServiceMonitor shop/web endpoints[0]: none of the 1 pods that it selects has a port of \
        the Service with the name \"http\""],
    );
    // A Service in two networks, listed twice, is scraped once.
    let six = SLICE.replace("web-abc", "web-six").replace("IPv4", "IPv6").replace("10.0.0.1", "'fd00::1'");
    let monitor = service_monitor("[{port: web}]");
    World::of(&[POD, SERVICE, &six, SLICE, &monitor])
        .check(Role::ServiceMonitor, &["http://10.0.0.1:8080/metrics shop/web-1"]);
    World::of(&[POD, SERVICE, &six, &monitor])
        .check(Role::ServiceMonitor, &["http://[fd00::1]:8080/metrics shop/web-1"]);
    let foreign = SLICE.replace("kind: Pod, namespace: shop", "kind: Pod, namespace: other");
    World::of(&[POD, SERVICE, &foreign, &monitor]).check(Role::ServiceMonitor, &[
        "! ServiceMonitor shop/web, Service shop/web: 1 of its endpoints refer to no pod of the namespace, and are not scraped",
    ]);
}

#[test]
fn relabeling_decides_whether_and_where_and_never_for_whom() {
    let check = |rules: &str, expected: &[&str]| {
        let endpoints = format!("[{{port: metrics, relabelings: {rules}}}]");
        World::of(&[POD, &pod_monitor(&endpoints)]).check(Role::PodMonitor, expected);
    };
    check(
        "[{action: keep, sourceLabels: [__meta_kubernetes_pod_annotation_example_com_scrape], regex: 'yes'}]",
        &[METRICS],
    );
    check("[{action: drop, sourceLabels: [__meta_kubernetes_pod_label_tier], regex: front}]", &[]);
    check(
        "[{sourceLabels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_example_com_port], separator: ':', \
        targetLabel: __address__}]",
        &["http://10.0.0.1:9000/metrics shop/web-1"],
    );
    check(
        "[{targetLabel: __metrics_path__, replacement: /p}, {targetLabel: __scheme__, replacement: https}, \
        {targetLabel: __param_a, replacement: b}, {targetLabel: namespace, replacement: other}, \
        {targetLabel: pod, replacement: other}]",
        &["https://10.0.0.1:9102/p?a=b shop/web-1"],
    );
    check(
        "[{action: labelmap, regex: __meta_kubernetes_pod_label_(.+)}, {action: keep, regex: web, sourceLabels: [app]}]",
        &[METRICS],
    );
    for (label, value) in [
        ("job", "shop/web"),
        ("__tmp_prometheus_job_name", "podMonitor/shop/web/0"),
        ("endpoint", "metrics"),
        ("container", "web"),
        ("pod", "web-1"),
        ("namespace", "shop"),
        ("__meta_kubernetes_pod_node_name", "node-a"),
        ("__meta_kubernetes_pod_container_port_number", "9102"),
        ("__meta_kubernetes_pod_container_image", "web:1"),
        ("__meta_kubernetes_pod_uid", "00000000-0000-0000-0000-000000000001"),
        ("__meta_kubernetes_pod_labelpresent_app", "true"),
        ("__scrape_interval__", "15s"),
    ] {
        check(&format!("[{{action: keep, sourceLabels: [{label}], regex: '{value}'}}]"), &[METRICS]);
    }
    check(
        "[{targetLabel: __address__, replacement: 'a/b'}]",
        &[
            "! PodMonitor shop/web podMetricsEndpoints[0], pod shop/web-1: __address__: expected host:port, found \"a/b\"",
        ],
    );
    check(
        "[{action: drop, sourceLabels: [__meta_kubernetes_pod_ready], regex: 'false'}]",
        &[
            METRICS,
            "! PodMonitor shop/web podMetricsEndpoints[0].relabelings[0]: __meta_kubernetes_pod_ready is not known here, and stays empty",
        ],
    );
}

#[test]
fn a_target_follows_everything_that_rules_look_at() {
    let sources = ["pod_annotation_example_com_port", "service_label_team", "endpointslice_label_zone"];
    let sources = sources.map(|name| format!("__meta_kubernetes_{name}")).join(", ");
    let rule =
        format!("[{{sourceLabels: [{sources}], separator: '-', targetLabel: __metrics_path__, replacement: /$1}}]");
    let monitor = service_monitor(&format!("[{{port: web, relabelings: {rule}}}]"));
    let mut world = World::of(&[POD, SERVICE, SLICE, &monitor]);
    world.check(Role::ServiceMonitor, &["http://10.0.0.1:8080/9000-a- shop/web-1"]);
    world.apply(&POD.replace("9000", "9001"));
    world.check(Role::ServiceMonitor, &["http://10.0.0.1:8080/9001-a- shop/web-1"]);
    world.apply(&SERVICE.replace("team: a", "team: b"));
    world.check(Role::ServiceMonitor, &["http://10.0.0.1:8080/9001-b- shop/web-1"]);
    let zoned = SLICE.replace("labels: {", "labels: {zone: z, ");
    world.apply(&zoned);
    world.check(Role::ServiceMonitor, &["http://10.0.0.1:8080/9001-b-z shop/web-1"]);
    world.apply(&zoned.replace("port: 8080", "port: 8081"));
    world.check(Role::ServiceMonitor, &["http://10.0.0.1:8081/9001-b-z shop/web-1"]);
    let before = world.targets(Role::ServiceMonitor).0;
    world.apply(&POD.replace("web-1", "web-2").replace("000000000001", "000000000002").replace("10.0.0.1", "10.0.0.2"));
    let after = world.targets(Role::ServiceMonitor).0;
    assert!(after.len() == 1 && Arc::ptr_eq(&before[0], &after[0]), "another pod that is in no slice changes nothing");
}

#[test]
fn labels_of_services_are_there_for_rules() {
    let keep = |label: &str, value: &str| {
        let rule = format!("[{{action: keep, sourceLabels: [{label}], regex: '{value}'}}]");
        let monitor = service_monitor(&format!("[{{port: web, relabelings: {rule}}}]"));
        let monitor =
            monitor.replace("spec: {", "spec: {jobLabel: team, targetLabels: [team], podTargetLabels: [tier], ");
        World::of(&[POD, SERVICE, SLICE, &monitor])
            .check(Role::ServiceMonitor, &["http://10.0.0.1:8080/metrics shop/web-1"]);
    };
    keep("service", "web");
    keep("job", "a");
    keep("team", "a");
    keep("tier", "front");
    keep("__tmp_prometheus_job_name", "serviceMonitor/shop/web/0");
    keep("__meta_kubernetes_service_label_team", "a");
    keep("__meta_kubernetes_endpoint_port_name", "web");
    keep("__meta_kubernetes_endpointslice_port_name", "web");
    keep("__meta_kubernetes_pod_container_port_name", "http");
}

#[test]
fn times_and_formats_are_those_of_the_monitor_or_of_the_job() {
    let seconds =
        |scraping: &Scraping| [scraping.interval, scraping.timeout, scraping.freshness].map(|time| time.as_secs_f64());
    let check = |endpoints: &str, want: [f64; 3]| {
        let scraping = World::of(&[POD, &pod_monitor(endpoints)]).scraping(Role::PodMonitor);
        assert_eq!(seconds(&scraping), want, "{endpoints}");
    };
    check("[{port: metrics}]", [15.0, 10.0, 37.5]);
    check("[{port: metrics, interval: 1m, scrapeTimeout: 20s}]", [60.0, 20.0, 150.0]);
    check("[{port: metrics, relabelings: [{targetLabel: __scrape_interval__, replacement: 20s}]}]", [20.0, 10.0, 50.0]);
    let mut chosen = World::of(&[POD, &pod_monitor("[{port: metrics, interval: 1m}]")]);
    chosen.job.scraping = Arc::new(Scraping { freshness: std::time::Duration::from_secs(90), ..Scraping::for_test() });
    assert_eq!(seconds(&chosen.scraping(Role::PodMonitor))[2], 90.0);
    let monitor =
        pod_monitor("[{port: metrics}]").replace("spec: {", "spec: {scrapeProtocols: [PrometheusText0.0.4, Other], ");
    let mut world = World::of(&[POD, &monitor]);
    assert_eq!(world.scraping(Role::PodMonitor).protocols, [crate::model::ScrapeProtocol::PrometheusText0_0_4]);
    world.check(
        Role::PodMonitor,
        &[METRICS, "! PodMonitor shop/web scrapeProtocols[1]: \"Other\" is not known, and is not asked for"],
    );
    let hasty = pod_monitor("[{port: metrics, relabelings: [{targetLabel: __scrape_interval__, replacement: 1ms}]}]");
    World::of(&[POD, &hasty]).check(Role::PodMonitor, &[
        "! PodMonitor shop/web podMetricsEndpoints[0], pod shop/web-1: __scrape_interval__: expected at least 1s, found \"1ms\"",
    ]);
}

#[test]
fn a_wrong_endpoint_costs_itself_alone() {
    let monitor =
        pod_monitor("[{port: 5}, {port: metrics, metricRelabelings: [{action: drop}]}, {relabelings: [{action: x}]}]");
    World::of(&[POD, &monitor]).check(Role::PodMonitor, &[
        METRICS,
        "! PodMonitor shop/web podMetricsEndpoints[0].port: invalid type: integer `5`, expected a string",
        "! PodMonitor shop/web podMetricsEndpoints[1].metricRelabelings: are not followed; choose series by the matchers \
         of the metrics in Plimsoll's configuration",
        "! PodMonitor shop/web podMetricsEndpoints[2].relabelings[0].action: expected one of replace, keep, drop, \
         keepequal, dropequal, hashmod, lowercase, uppercase, labelmap, labeldrop, labelkeep, found \"x\"",
    ]);
    let monitor = pod_monitor("[{port: metrics}]")
        .replace("matchLabels: {app: web}", "matchExpressions: [{key: app, operator: Is}]");
    World::of(&[POD, &monitor]).check(Role::PodMonitor, &[
        "! PodMonitor shop/web selector.matchExpressions[0].operator: expected In, NotIn, Exists or DoesNotExist, found \"Is\"",
    ]);
    let monitor =
        pod_monitor("[{port: metrics}]").replace("spec: {", "spec: {sampleLimit: 5, targetLimit: null, later: 1, ");
    World::of(&[POD, &monitor]).check(
        Role::PodMonitor,
        &[
            METRICS,
            "! PodMonitor shop/web sampleLimit: has no effect; the limits of Plimsoll's configuration hold",
            "! PodMonitor shop/web later: is not known here, and has no effect",
        ],
    );
}

#[test]
fn a_monitor_with_more_rules_than_it_may_have_loses_the_endpoints_beyond() {
    let endpoint = |port: &str, rules: usize| {
        let rules = vec!["{sourceLabels: [a], targetLabel: b}"; rules].join(", ");
        format!("{{port: {port}, relabelings: [{rules}]}}")
    };
    let monitor =
        |rules| pod_monitor(&format!("[{}, {}, {{port: http}}]", endpoint("metrics", 200), endpoint("http", rules)));
    let http = "http://10.0.0.1:8080/metrics shop/web-1";
    World::of(&[POD, &monitor(56)]).check(Role::PodMonitor, &[http, METRICS]);
    World::of(&[POD, &monitor(57)]).check(Role::PodMonitor, &[
        METRICS,
        "! PodMonitor shop/web podMetricsEndpoints[1].relabelings: expected at most 256 rules in all endpoints; those \
         before are used",
    ]);
}

#[test]
fn pods_are_selected_by_expressions_as_in_kubernetes() {
    for (expressions, selected) in [
        ("[{key: app, operator: In, values: [web, api]}]", true),
        ("[{key: app, operator: NotIn, values: [web]}]", false),
        ("[{key: app, operator: Exists}, {key: other, operator: DoesNotExist}]", true),
        ("[{key: other, operator: NotIn, values: [x]}]", true),
        ("[]", true),
    ] {
        let monitor = pod_monitor("[{port: metrics}]")
            .replace("matchLabels: {app: web}", &format!("matchExpressions: {expressions}"));
        let expected: &[&str] = if selected { &[METRICS] } else { &[] };
        World::of(&[POD, &monitor]).check(Role::PodMonitor, expected);
    }
}

#[test]
fn namespaces_are_those_that_the_monitor_and_the_job_mean() {
    let other = POD.replace("namespace: shop", "namespace: bar").replace("10.0.0.1", "10.0.0.2");
    let bar = "http://10.0.0.2:9102/metrics bar/web-1";
    let check = |selector: &str, asked: &[&str], expected: &[&str]| {
        let monitor =
            pod_monitor("[{port: metrics}]").replace("spec: {", &format!("spec: {{namespaceSelector: {selector}, "));
        let mut world = World::of(&[POD, &other, &monitor]);
        world.namespaces = asked.iter().map(|name| (*name).to_owned()).collect();
        world.check(Role::PodMonitor, expected);
    };
    check("{}", &[], &[METRICS]);
    check("{any: true}", &[], &[bar, METRICS]);
    check("{matchNames: [bar]}", &[], &[bar]);
    check("{any: true}", &["shop"], &[METRICS]);
    check("{any: true}", &["bar"], &[]);
    check(
        "{matchNames: [bar, shop]}",
        &["shop"],
        &[
            METRICS,
            "! PodMonitor shop/web namespaceSelector.matchNames[0]: the job does not look into the namespace \"bar\"",
        ],
    );
}

const TOKEN: &str = "[{port: metrics, authorization: {type: Token, credentials: {name: credentials, key: token}}}]";

#[test]
fn credentials_come_from_secrets_and_are_missing_where_those_are() {
    let mut world = World::of(&[POD, &pod_monitor(TOKEN)]);
    let credentials = |world: &mut World| match &world.scraping(Role::PodMonitor).client.credentials {
        Credentials::Authorization { scheme, credentials } => (scheme.to_string(), credentials.clone()),
        other => panic!("{other:?}"),
    };
    let missing = |why: &str| {
        SecretText::Missing(
            format!("PodMonitor shop/web podMetricsEndpoints[0].authorization.credentials: {why}").into(),
        )
    };
    assert_eq!(credentials(&mut world).1, missing("there is no Secret shop/credentials, or it may not be read"));
    assert_eq!(
        world.index.secrets_wanted(&[world.sd(Role::PodMonitor)]),
        [("shop".to_owned(), "credentials".to_owned())].into()
    );
    assert!(world.apply(SECRET));
    let (scheme, SecretText::Inline { origin, secret }) = credentials(&mut world) else { panic!("still missing") };
    assert_eq!(
        (scheme.as_str(), &*origin, secret.expose()),
        ("Token", "key \"token\" of Secret shop/credentials", "hunter2")
    );
    assert!(world.apply(&SECRET.replace("aHVudGVyMg==", "bmV3")));
    let (_, SecretText::Inline { secret, .. }) = credentials(&mut world) else { panic!("missing") };
    assert_eq!(secret.expose(), "new");
    assert!(world.apply(&SECRET.replace("token:", "tokens:")));
    assert_eq!(credentials(&mut world).1, missing("Secret shop/credentials has no key \"token\""));
    assert!(world.apply(&SECRET.replace("token: aHVudGVyMg==", "token: /w==")));
    assert_eq!(credentials(&mut world).1, missing("key \"token\" of Secret shop/credentials is no UTF-8 text"));
}

#[test]
fn every_way_to_refer_to_a_secret_is_followed() {
    let monitor = pod_monitor(
        "[{port: metrics, scheme: https, basicAuth: {username: {name: credentials, key: user}, password: {name: credentials, \
         key: token}}, tlsConfig: {ca: {configMap: {name: roots, key: ca.crt}}, cert: {secret: {name: credentials, key: \
         ca.crt}}, keySecret: {name: credentials, key: token}, serverName: web.shop.svc, insecureSkipVerify: true}}]",
    );
    let roots = "kind: ConfigMap\nmetadata: {namespace: shop, name: roots}\ndata: {ca.crt: ROOTS}";
    let mut world = World::of(&[POD, SECRET, roots, &monitor]);
    assert_eq!(
        world.index.config_maps_wanted(&[world.sd(Role::PodMonitor)]),
        [("shop".to_owned(), "roots".to_owned())].into()
    );
    let client = world.scraping(Role::PodMonitor).client.clone();
    let text = |given: &SecretText| match given {
        SecretText::Inline { secret, .. } => secret.expose().to_owned(),
        other => panic!("{other:?}"),
    };
    let Credentials::Basic { username, password } = &client.credentials else { panic!("{client:?}") };
    assert_eq!((text(username), text(password)), ("me".to_owned(), "hunter2".to_owned()));
    let (certificate, key) = client.tls.certificate.as_ref().expect("a pair");
    assert_eq!((text(certificate), text(key)), ("PEM".to_owned(), "hunter2".to_owned()));
    assert_eq!(client.tls.ca.as_ref().map(text).as_deref(), Some("ROOTS"));
    assert_eq!((client.tls.server_name.as_deref(), client.tls.insecure_skip_verify), (Some("web.shop.svc"), true));
    assert!(!format!("{client:?}").contains("hunter2"));
    let bearer = pod_monitor("[{port: metrics, bearerTokenSecret: {name: credentials, key: token}}]");
    let client = World::of(&[POD, SECRET, &bearer]).scraping(Role::PodMonitor).client.clone();
    let Credentials::Authorization { scheme, .. } = &client.credentials else { panic!("{client:?}") };
    assert_eq!(&**scheme, "Bearer");
    let none = pod_monitor("[{port: metrics, bearerTokenSecret: {name: '', key: ''}}]");
    assert_eq!(World::of(&[POD, &none]).scraping(Role::PodMonitor).client.credentials, Credentials::None);
}

#[test]
fn what_did_not_change_stays_the_same() {
    let second = POD.replace("web-1", "web-2").replace("10.0.0.1", "10.0.0.2").replace("000001", "000002");
    let mut world = World::of(&[POD, SECRET, &second, &pod_monitor(TOKEN)]);
    let (before, _) = world.targets(Role::PodMonitor);
    assert!(Arc::ptr_eq(&before[0].scraping, &before[1].scraping), "targets of an endpoint share how they are scraped");
    drop(world.index.cluster(&before, crate::model::Reach::Everywhere));
    assert!(world.apply(&second.replace("tier: front", "tier: back")));
    let (after, _) = world.targets(Role::PodMonitor);
    assert!(Arc::ptr_eq(&before[0], &after[0]) && !Arc::ptr_eq(&before[1], &after[1]));
    assert_eq!(after[1].identity.labels.get("tier"), Some("back"));
    assert!(Arc::ptr_eq(&before[0].scraping, &after[1].scraping));
    assert!(world.index.delete(Kind::PodMonitor, "shop", "web"));
    world.check(Role::PodMonitor, &[]);
    assert!(world.apply(&pod_monitor("[{port: http}]")));
    assert_eq!(world.targets(Role::PodMonitor).0.len(), 2);
    assert!(world.apply(&pod_monitor("[{portNumber: 9102}]")));
    assert_eq!(world.targets(Role::PodMonitor).0[0].url, "http://10.0.0.1:9102/metrics");
}

#[test]
fn a_page_that_several_monitors_mean_is_scraped_once() {
    let first = pod_monitor("[{port: metrics, interval: 20s}]").replace("name: web}", "name: a}");
    let mut world = World::of(&[POD, &first, &pod_monitor("[{port: metrics}]")]);
    assert_eq!(world.scraping(Role::PodMonitor).interval.as_secs(), 20);
}

#[test]
fn a_monitor_of_another_namespace_cannot_speak_for_a_pod() {
    let elsewhere = |rule: &str| {
        pod_monitor(&format!("[{{port: metrics, interval: 1h, relabelings: [{rule}]}}]"))
            .replace("namespace: shop", "namespace: bar")
            .replace("spec: {", "spec: {namespaceSelector: {any: true}, ")
    };
    let check = |rule: &str, expected: &[&str]| {
        World::of(&[POD, &elsewhere(rule)]).check(Role::PodMonitor, expected);
    };
    check("{targetLabel: __address__, replacement: '10.0.0.1:1'}", &["http://10.0.0.1:1/metrics shop/web-1"]);
    check("{targetLabel: __address__, replacement: '[fd00::1]'}", &["http://[fd00::1]/metrics shop/web-1"]);
    let refused = "! PodMonitor bar/web podMetricsEndpoints[0], pod shop/web-1: relabelings lead away from the addresses of \
        the pod, which only a monitor of its own namespace may do";
    check("{targetLabel: __address__, replacement: '10.0.0.2:9102'}", &[refused]);
    check("{targetLabel: __address__, replacement: 'evil.example:80'}", &[refused]);
    let own = pod_monitor("[{port: metrics, relabelings: [{targetLabel: __address__, replacement: 'exporter:80'}]}]");
    World::of(&[POD, &own]).check(Role::PodMonitor, &["http://exporter:80/metrics shop/web-1"]);
    // Nor does it change how the pod's own namespace wants it scraped.
    let mut world = World::of(&[POD, &elsewhere(""), &pod_monitor("[{port: metrics, interval: 20s}]")]);
    assert_eq!(world.scraping(Role::PodMonitor).interval.as_secs(), 20);
}
