use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value;

use crate::harness::program::{PLIMSOLL, Program};
use crate::harness::target::{Behaviour, Target};
use crate::harness::{Answer, eventually, install_crypto};

const PATIENCE: Duration = Duration::from_secs(15);

fn config_file(target_url: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let yaml = format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    targets:\n      \
         - {{url: \"{target_url}\", namespace: ns, pod: pod}}\nmetrics:\n  - {{name: load, gauge: {{series: load, combine: sum}}}}\n"
    );
    std::fs::write(file.path(), yaml).expect("written");
    file
}

fn plimsoll(arguments: &[&str]) -> Command {
    let mut command = Command::new(PLIMSOLL);
    command.args(arguments).env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    // No cluster, wherever the tests run.
    command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    command
}

/// Starts `plimsoll serve` on a free port and gives its base URL.
fn serve(config: &tempfile::NamedTempFile, more: &[&str]) -> (Program, String) {
    let path = config.path().to_str().expect("UTF-8");
    let program = Program::start(plimsoll(&[&["serve", "--config", path, "--listen", "127.0.0.1:0"], more].concat()));
    let line = program.line(&["serving", "127.0.0.1:"]);
    let address =
        line.split(['"', ' ', '=']).find(|word| word.starts_with("127.0.0.1:")).expect("an address").to_owned();
    (program, format!("https://{address}"))
}

fn client() -> reqwest::Client {
    install_crypto();
    reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().expect("a client")
}

async fn get(http: &reqwest::Client, url: &str) -> Answer {
    Answer::of(http.get(url).send().await.expect("an answer")).await
}

/// Runs a command that cannot start; its complaint is one line.
fn complaint(arguments: &[&str]) -> String {
    ended_with(1, arguments)
}

/// The same where the command line is wrong.
fn misuse(arguments: &[&str]) -> String {
    ended_with(2, arguments)
}

fn ended_with(code: i32, arguments: &[&str]) -> String {
    let output = plimsoll(arguments).output().expect("it runs");
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("plimsoll: ")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    lines[0].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_and_ends_cleanly_on_sigterm() {
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let (mut program, base) = serve(&config, &[]);
    let http = client();
    let path = format!("{base}/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/pod/load");
    eventually(|| get(&http, &path), |answer| answer.code == 200).await;
    for page in ["livez", "readyz", "healthz"] {
        let url = format!("{base}/{page}");
        eventually(|| get(&http, &url), |answer| answer.body == "ok").await;
    }
    program.signal("TERM");
    assert_eq!(program.wait(PATIENCE).code(), Some(0), "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_request_is_lost_at_the_shutdown() {
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let (mut program, base) = serve(&config, &[]);
    let http = client();
    let url = format!("{base}/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/pod/load");
    eventually(|| get(&http, &url), |answer| answer.code == 200).await;
    let asking = (0..8).map(|_| {
        let (http, url) = (http.clone(), url.clone());
        tokio::spawn(async move {
            // Until the port is closed; an answer that begins must be whole.
            let mut answers = 0_u32;
            while let Ok(response) = http.get(&url).send().await {
                assert_eq!(response.status(), 200);
                response.text().await.expect("a whole body");
                answers += 1;
            }
            answers
        })
    });
    let asking: Vec<_> = asking.collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    program.signal("TERM");
    for task in asking {
        assert!(task.await.expect("no broken answer") > 0);
    }
    assert_eq!(program.wait(PATIENCE).code(), Some(0), "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_target_does_not_hold_up_the_shutdown() {
    let target = Target::start(Behaviour::Hang).await;
    let config = config_file(&target.url);
    let (mut program, _) = serve(&config, &[]);
    program.line(&["scrape fails", "timeout"]);
    program.signal("INT");
    assert_eq!(program.wait(Duration::from_secs(5)).code(), Some(0), "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_waits_for_the_first_scrape_round() {
    let target = Target::start(Behaviour::Hang).await;
    let config = config_file(&target.url);
    let text = std::fs::read_to_string(config.path()).expect("read").replace("300ms", "20s").replace("250ms", "19s");
    std::fs::write(config.path(), text).expect("written");
    let (_program, base) = serve(&config, &[]);
    let ready = get(&client(), &format!("{base}/readyz")).await;
    assert!(
        ready.code == 500 && ready.body.contains("[-]scrape failed: 1 of 1 targets have not been scraped yet"),
        "{ready:?}"
    );
    assert_eq!(get(&client(), &format!("{base}/livez")).await.code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_json_with_the_correlation_id_of_the_request() {
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let (program, base) = serve(&config, &[]);
    let http = client();
    let path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/nobody/load";
    let url = format!("{base}{path}?labelSelector=a%3Db");
    let answer = http.get(&url).header("audit-id", "6f9c-audit").send().await.expect("an answer");
    assert_eq!(answer.headers()["audit-id"], "6f9c-audit");
    let line: Value = serde_json::from_str(&program.line(&["6f9c-audit", "request answered"])).expect("a JSON line");
    assert_eq!((line["code"].as_u64(), line["level"].as_str()), (Some(404), Some("INFO")), "{line}");
    assert_eq!(line["audit_id"], "6f9c-audit");
    assert_eq!((line["path"].as_str(), line["query"].as_str()), (Some(path), Some("labelSelector=a%3Db")));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    http.get(&url).header("traceparent", parent).send().await.expect("an answer");
    program.line(&["0af7651916cd43dd8448eb211c80319c", "request answered"]);
    let long = http.get(format!("{base}{path}/{0}?labelSelector={0}", "x".repeat(5_000)));
    long.header("audit-id", "7a0d-audit").send().await.expect("an answer");
    let line = program.line(&["7a0d-audit", "request answered"]);
    assert!(line.contains("xxx…\"") && line.len() < 1_500, "{line}");
    let own = http.get(&url).send().await.expect("an answer");
    assert_eq!(own.headers()["audit-id"].len(), 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_comes_from_the_flag_or_the_environment() {
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let (program, base) = serve(&config, &["--log-level", "warn,plimsoll::server=info", "--log-format", "text"]);
    let unknown = get(&client(), &format!("{base}/apis/unknown")).await;
    assert_eq!(unknown.code, 404);
    assert!(!program.output().contains("request answered"), "{}", program.output());
    assert!(!program.output().starts_with('{'), "{}", program.output());
    assert!(misuse(&["serve", "--config", "x", "--log-level", "a=b=c"]).contains("--log-level"));
    let said = misuse(&["serve", "--config", "x", "--log-level", "wran"]);
    assert!(said.starts_with("plimsoll: --log-level \"wran\": \"wran\" is no level; expected off, error"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_scrape_is_one_json_line_without_secrets_or_libraries() {
    let port = crate::harness::program::free_port();
    let config = config_file(&format!("https://127.0.0.1:{port}/metrics?token=secret"));
    let (program, base) = serve(&config, &["--log-format", "json"]);
    let line = program.line(&["scrape fails"]);
    assert_eq!(line.matches("\"target\":").count(), 1, "{line}");
    let fields: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(fields["target"], "plimsoll::scrape");
    assert_eq!(fields["url"], format!("https://127.0.0.1:{port}/metrics?token=…"), "{line}");
    let pages =
        [get(&client(), &format!("{base}/status/targets")).await, get(&client(), &format!("{base}/status")).await];
    assert!(pages.iter().all(|page| page.body.contains("?token=…") && !page.body.contains("secret")), "{pages:?}");
    assert!(!program.output().contains("token=secret"), "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_otlp_receiver_that_is_not_there_is_told_once() {
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let endpoint = format!("http://127.0.0.1:{}", crate::harness::program::free_port());
    let (mut program, _) = serve(&config, &["--otlp-endpoint", &endpoint]);
    program.line(&["WARN", "traces cannot be sent"]);
    program.signal("TERM");
    assert_eq!(program.wait(PATIENCE).code(), Some(0), "{}", program.output());
    assert_eq!(program.output().matches("traces cannot be sent").count(), 1, "{}", program.output());
    for bad in ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://"] {
        let said = misuse(&["serve", "--config", "x", "--otlp-endpoint", bad]);
        assert!(said.contains("expected a URL that begins with http:// or https://"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_as_token_file_is_refused_and_sighup_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("token");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let text = std::fs::read_to_string(config.path()).expect("read");
    let token = format!("    bearer_token_file: {}\n    targets:", pipe.display());
    std::fs::write(config.path(), text.replace("    targets:", &token)).expect("written");
    let (mut program, _) = serve(&config, &[]);
    program.line(&["scrape fails", "is not a regular file"]);
    program.signal("HUP");
    program.line(&["SIGHUP is ignored"]);
    program.signal("TERM");
    assert_eq!(program.wait(Duration::from_secs(5)).code(), Some(0), "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_requests_and_scrapes_reach_an_otlp_receiver() {
    let received: Arc<Mutex<Vec<ExportTraceServiceRequest>>> = Arc::default();
    let sink = received.clone();
    let receive = move |body: axum::body::Bytes| {
        let request = ExportTraceServiceRequest::decode(body).expect("an export request");
        sink.lock().expect("not poisoned").push(request);
        async { "" }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let router = axum::Router::new().route("/v1/traces", axum::routing::post(receive));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let (mut program, base) = serve(&config, &["--otlp-endpoint", &endpoint]);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let url = format!("{base}/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/load");
    client().get(&url).header("traceparent", parent).send().await.expect("an answer");
    eventually(async || target.requests().len(), |count| *count > 1).await;
    program.signal("TERM");
    assert_eq!(program.wait(PATIENCE).code(), Some(0), "{}", program.output());
    let received = received.lock().expect("not poisoned");
    let spans: Vec<_> =
        received.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect();
    let request = spans.iter().find(|span| span.name == "request").expect("a span of the request");
    let trace: String = request.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c", "the span continues the caller's trace");
    assert!(
        spans.iter().any(|span| span.name == "scrape"),
        "{:?}",
        spans.iter().map(|span| &span.name).collect::<Vec<_>>()
    );
    assert!(
        spans.iter().all(|span| ["request", "scrape"].contains(&span.name.as_str())),
        "spans of libraries are exported"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_it_from_starting_is_one_clear_line() {
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let path = config.path().to_str().expect("UTF-8");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = complaint(&["serve", "--config", path, "--listen", &address]);
    assert_eq!(said, format!("plimsoll: cannot listen on {address}: Address already in use (os error 98)"));
    let said = complaint(&["serve", "--config", path, "--listen", "0.0.0.0:6443"]);
    assert!(said.contains("refusing to listen on 0.0.0.0:6443: without a cluster"), "{said}");
    let pair = ["--tls-cert-file", "/nonexistent/tls.crt", "--tls-private-key-file", "/nonexistent/tls.key"];
    let said = complaint(&[&["serve", "--config", path], &pair[..]].concat());
    assert_eq!(said, "plimsoll: cannot read /nonexistent/tls.crt: No such file or directory (os error 2)");
    let pair = ["--tls-cert-file", path, "--tls-private-key-file", path];
    let said = complaint(&[&["serve", "--config", path], &pair[..]].concat());
    assert_eq!(said, format!("plimsoll: {path} holds no certificate in PEM form"));
    let said = complaint(&["serve", "--config", "/nonexistent/plimsoll.yaml"]);
    assert!(said.contains("/nonexistent/plimsoll.yaml"), "{said}");
}

#[test]
fn ways_to_a_certificate_that_do_not_go_together_are_refused() {
    let config = config_file("http://127.0.0.1:9/metrics");
    let path = config.path().to_str().expect("UTF-8");
    let refused = |flags: &[&str], words: &str| {
        let output = plimsoll(&[&["serve", "--config", path], flags].concat()).output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(!output.status.success() && said.contains(words), "{flags:?}: {said}");
    };
    let own = "--tls-self-managed-secret";
    let of = "the serving certificate is to come from Secret plimsoll-system/s, and there is no cluster";
    refused(&["--tls-secret", "s"], of);
    refused(&[own, "s"], of);
    refused(&[own, "s", "--service", "a/b"], "come from Secret a/s");
    refused(&[own, "s", "--service", "b"], "expected NAMESPACE/NAME");
    refused(&[own, "s/t"], "expected the name of a Secret");
    refused(&[own, "s", "--tls-secret", "t"], "cannot be used with");
    refused(&["--tls-secret", "t", "--tls-cert-file", "c", "--tls-private-key-file", "k"], "cannot be used with");
}

#[test]
fn certificate_options_that_make_no_sense_are_refused_with_the_code_of_the_command_line() {
    let config = config_file("http://127.0.0.1:9/metrics");
    let path = config.path().to_str().expect("UTF-8");
    let refused = |flags: &[&str], words: &str| {
        let output = plimsoll(&[&["serve", "--config", path], flags].concat()).output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.code() == Some(2) && said.contains(words), "{flags:?}: {said}");
    };
    let own = "--tls-self-managed-secret";
    refused(&["--tls-cert-file", "c"], "--tls-private-key-file");
    refused(&["--tls-private-key-file", "k"], "--tls-cert-file");
    refused(&["--tls-private-key-file", "k", "--tls-secret", "s"], "cannot be used with");
    refused(&["--tls-private-key-file", "k", own, "s"], "cannot be used with");
    for name in ["..", "-s", "s.", "s..t", "S"] {
        refused(&[&format!("--tls-secret={name}")], "expected the name of a Secret");
    }
    let short = ["--tls-certificate-lifetime", "30d", "--tls-ca-lifetime", "80d"];
    refused(&[&[own, "s"], &short[..]].concat(), "expected at least three times --tls-certificate-lifetime: 90d");
    refused(&[own, "s", "--tls-certificate-lifetime", "soon"], "expected a duration");
    refused(&[own, "s", "--tls-certificate-lifetime", "1ms", "--tls-ca-lifetime", "3ms"], "expected at least 10m");
    for lifetime in ["--tls-certificate-lifetime=30d", "--tls-ca-lifetime=90d"] {
        refused(&[lifetime], own);
        refused(&[lifetime, "--tls-secret", "s"], "cannot be used with");
    }
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let mut command = plimsoll(&["serve", "--config", "/nonexistent/plimsoll.yaml"]);
    for name in [
        "PLIMSOLL_LISTEN",
        "PLIMSOLL_TLS_CERT_FILE",
        "PLIMSOLL_TLS_PRIVATE_KEY_FILE",
        "PLIMSOLL_TLS_SECRET",
        "PLIMSOLL_TLS_SELF_MANAGED_SECRET",
        "PLIMSOLL_TLS_CERTIFICATE_LIFETIME",
        "PLIMSOLL_TLS_CA_LIFETIME",
        "PLIMSOLL_SERVICE",
        "PLIMSOLL_DRAIN_TIMEOUT",
        "PLIMSOLL_LOG_LEVEL",
        "PLIMSOLL_LOG_FORMAT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "KUBECONFIG",
    ] {
        command.env(name, "");
    }
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("/nonexistent/plimsoll.yaml"), "{said}");
    let output = plimsoll(&["serve"]).env("PLIMSOLL_CONFIG", "").output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("--config"), "{said}");
    let output = plimsoll(&["serve", "--config", "x", "--tls-secret", ""]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "on the command line it is a mistake: {output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_as_certificate_file_is_refused_and_does_not_hang() {
    let config = config_file("http://127.0.0.1:9/metrics");
    let folder = tempfile::tempdir().expect("a folder");
    let (pipe, link) = (folder.path().join("pipe"), folder.path().join("tls.crt"));
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
    std::os::unix::fs::symlink(&pipe, &link).expect("a link");
    let (path, file) = (config.path().to_str().expect("UTF-8"), link.to_str().expect("UTF-8"));
    let pair = ["--tls-cert-file", file, "--tls-private-key-file", file];
    let mut program = Program::start(plimsoll(&[&["serve", "--config", path], &pair[..]].concat()));
    assert_eq!(program.wait(PATIENCE).code(), Some(1), "{}", program.output());
    program.line(&[&format!("cannot read {file}: expected a regular file, found a folder, pipe or device")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_plugin_that_hangs_does_not_hold_up_the_shutdown() {
    let config = config_file("http://127.0.0.1:9/metrics");
    let folder = tempfile::tempdir().expect("a folder");
    let asked = folder.path().join("asked");
    let user = format!(
        "users: [{{name: me, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, \
         command: sh, args: [-c, \"touch {}; exec sleep 15\"]}}}}}}]\n",
        asked.display()
    );
    let file = kubeconfig(&(NO_ANSWER.to_owned() + &user));
    let (path, file) = (config.path().to_str().expect("UTF-8"), file.path().to_str().expect("UTF-8"));
    let mut program = Program::start(plimsoll(&["serve", "--config", path, "--kubeconfig", file]));
    eventually(async || asked.exists(), |is_asked| *is_asked).await;
    program.signal("TERM");
    assert_eq!(program.wait(Duration::from_secs(5)).code(), Some(0), "{}", program.output());
}

/// A kubeconfig whose cluster does not answer.
fn kubeconfig(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

const NO_ANSWER: &str = "
apiVersion: v1
kind: Config
clusters: [{name: one, cluster: {server: \"http://127.0.0.1:1\"}}]
contexts: [{name: here, context: {cluster: one, user: me}}]
current-context: here
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_that_cannot_be_used_is_named_with_what_is_wrong() {
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let path = config.path().to_str().expect("UTF-8");
    let refused = |text: &str| {
        let file = kubeconfig(text);
        let said = complaint(&["serve", "--config", path, "--kubeconfig", file.path().to_str().expect("UTF-8")]);
        let start = format!("plimsoll: the kubeconfig {} cannot be used: ", file.path().display());
        said.strip_prefix(&start).unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    let check = |text: &str, words: &str| assert!(refused(text).contains(words), "{}", refused(text));
    check("", "failed to determine current context");
    check("[", "failed to parse kubeconfig YAML");
    check(&NO_ANSWER.replace("current-context: here", "current-context: there"), "there");
    check(&NO_ANSWER.replace("cluster: one, user", "cluster: two, user"), "two");
    check(&NO_ANSWER.replace("{server: \"http://127.0.0.1:1\"}", "{}"), "url is missing");
    let ca = "certificate-authority: /nonexistent/ca.crt, server: \"https";
    check(&NO_ANSWER.replace("server: \"http", ca), "/nonexistent/ca.crt");
    let user = "users: [{name: me, user: {client-certificate: /nonexistent/me.crt, client-key: /nonexistent/me.key}}]";
    let file = kubeconfig(&format!("{}{user}\n", NO_ANSWER.replace("http:", "https:")));
    let said = complaint(&["serve", "--config", path, "--kubeconfig", file.path().to_str().expect("UTF-8")]);
    assert!(said.starts_with("plimsoll: cannot make a client of the cluster at https://127.0.0.1:1/: "), "{said}");
    assert!(said.contains("/nonexistent/me.crt"), "{said}");
    let said = complaint(&["serve", "--config", path, "--kubeconfig", "/nonexistent/kubeconfig"]);
    let want =
        "plimsoll: the kubeconfig /nonexistent/kubeconfig cannot be used: No such file or directory (os error 2)";
    assert_eq!(said, want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_cluster_any_address_is_listened_on_and_who_asks_is_found_out() {
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let file = kubeconfig(NO_ANSWER);
    let path = config.path().to_str().expect("UTF-8");
    let mut command = plimsoll(&["serve", "--config", path, "--listen", "0.0.0.0:0"]);
    // Several files are merged, and empty names are none.
    command.env("KUBECONFIG", format!(":{}:", file.path().display())).env("HTTPS_PROXY", "http://127.0.0.1:2");
    let program = Program::start(command);
    let line = program.line(&["serving", "0.0.0.0:"]);
    let port = line.split("0.0.0.0:").nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let base = format!("https://127.0.0.1:{}", port.expect("a port"));
    let answer = get(&client(), &format!("{base}/apis")).await;
    assert!(answer.code == 500 && answer.message().contains("the kube-apiserver cannot be reached"), "{answer:?}");
    program.line(&["extension-apiserver-authentication cannot be read", "refused", "nobody is trusted"]);
    assert_eq!(get(&client(), &format!("{base}/livez")).await.code, 200);
    // The lines of what strangers cause do not grow with what they ask.
    assert!(!program.output().contains("request answered"), "{}", program.output());
}

#[test]
fn numbers_and_addresses_that_make_no_sense_are_refused_in_words() {
    for (arguments, words) in [
        (&["serve", "--config", "x", "--drain-timeout", "-5"][..], "expected a whole number, 0 or more, found \"-5\""),
        (&["serve", "--config", "x", "--listen", "127.0.0.1"], "the port is missing; for example 127.0.0.1:6443"),
        (&["demo", "--port", "-1"], "expected a whole number from 0 to 65535, found \"-1\""),
        (&["demo", "--seed", "-1"], "expected a whole number, 0 or more"),
        (&["demo", "--speed", "-2"], "expected a number from 0.1 to 20, found \"-2\""),
        (&["demo", "--duration", "-5s"], "\"-5s\""),
    ] {
        let output = plimsoll(arguments).output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.code() == Some(2) && said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let fixture = |name: &str| format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    let (good, bad) = (fixture("deploy/config/platform.yaml"), fixture("tests/fixtures/config/five-mistakes.bad.yaml"));
    for command in [
        format!("{PLIMSOLL} check {good} {bad} 2>&1 | true"),
        format!("{PLIMSOLL} schema | head -1"),
        format!("{PLIMSOLL} demo --port 0 --duration 4s | head -3"),
    ] {
        let output = Command::new("sh").args(["-c", &command]).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{command}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_and_key_from_files_are_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["plimsoll.example".to_owned()]).expect("a pair");
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let target = Target::page("load 5\n").await;
    let config = config_file(&target.url);
    let pair = [
        "--tls-cert-file",
        certificate.to_str().expect("UTF-8"),
        "--tls-private-key-file",
        key.to_str().expect("UTF-8"),
    ];
    let (_program, base) = serve(&config, &pair);
    install_crypto();
    let address = base.trim_start_matches("https://").parse().expect("an address");
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).expect("a certificate");
    let http = reqwest::Client::builder()
        .tls_certs_only([root])
        .resolve("plimsoll.example", address)
        .no_proxy()
        .build()
        .expect("a client");
    let port = base.rsplit(':').next().expect("a port");
    let answer = http.get(format!("https://plimsoll.example:{port}/livez")).send().await.expect("a trusted answer");
    assert_eq!(answer.status(), 200);
}

#[test]
fn check_tells_every_mistake_and_fails() {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/config/five-mistakes.bad.yaml");
    let output = plimsoll(&["check", fixture]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(said.lines().filter(|line| line.contains("five-mistakes.bad.yaml:")).count(), 5, "{said}");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/config/platform.yaml");
    let output = plimsoll(&["check", sample]).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn schema_is_json_schema_for_editors() {
    let output = plimsoll(&["schema"]).output().expect("it runs");
    let schema: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["metrics"].is_object(), "{schema:#}");
}
