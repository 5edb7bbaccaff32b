//! `plimsoll doctor` where something else answers than a kube-apiserver that is well: it ends in time, with bounded
//! memory, and never says that all is well.

use std::process::Output;

use futures::future::join_all;
use serde_json::{Value, json};

use super::impostor::{Answer, Impostor};
use super::short_lived::ShortLived;
use super::{doctor_at, kubeconfig};

/// What it writes about whatever answers at an address.
async fn examined(url: &str, more: &[&str]) -> Output {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("k");
    std::fs::write(&file, kubeconfig(url, &json!({}))).expect("written");
    let mut command = doctor_at(home.path());
    command.arg("--kubeconfig").arg(&file).args(more);
    tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("it runs")
}

/// The code and the report as JSON.
pub async fn report(impostor: &Impostor, more: &[&str]) -> (i32, Value) {
    let output = examined(&impostor.url, &[&["-o", "json"], more].concat()).await;
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().expect("a code"), report)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_kube_apiserver_is_said_in_one_line_and_in_time() {
    let page = |status, body: &str| Answer::Page(status, body.to_owned());
    let none = "what answers there is no kube-apiserver";
    let cases = [
        (page(200, &format!("<html>{}</html>", "log in ".repeat(2000))), none),
        (page(200, "{garbage"), none),
        (page(200, "{}"), none),
        (page(200, r#"{"gitVersion": ""}"#), none),
        (page(302, "moved"), "no kube-apiserver: it redirects to elsewhere (302 Found)"),
        (page(500, "boom\x1b[31mred\nsecond"), r"it answers 500 Internal Server Error at /version: boom\u{1b}[31mred"),
        (Answer::status(401, "Unauthorized"), "it answers 401 Unauthorized to these credentials: Unauthorized ("),
        (Answer::Close, "it closes the connection without an answer"),
        (Answer::Noise, "what answers there does not speak HTTP"),
        (Answer::Drip, "no answer within 10 s"),
        (Answer::Flood, "its answer has more than 64 MiB"),
    ];
    join_all(cases.into_iter().map(async |(answer, words)| {
        let impostor = Impostor::with(answer).await;
        let output = examined(&impostor.url, &[]).await;
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), said.lines().count(), output.stdout.len()), (Some(2), 1, 0), "{said}");
        assert!(said.contains(words) && !said.contains("Error:"), "{words}: {said}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_speaks_no_tls_and_one_that_nobody_knows_are_told() {
    let plain = Impostor::with(Answer::Noise).await;
    let output = examined(&plain.url.replace("http:", "https:"), &[]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("what answers there does not speak TLS ("), "{said}");
    let (stranger, _serving) = ShortLived::authority(-3600..3600).sign(-3600..3600).serve().await;
    let output = examined(&format!("https://{stranger}"), &[]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    let words = "its certificate is signed by another CA than the one to go by (";
    assert!(output.status.code() == Some(2) && said.contains(words), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_can_be_asked_it_does_not_end_as_if_all_were_well() {
    for rest in [Answer::status(403, "forbidden"), Answer::Page(503, String::new()), Answer::Flood, Answer::Close] {
        let impostor = Impostor::start(move |path| match path {
            "/version" => Answer::version(),
            _ => rest.clone(),
        })
        .await;
        let (code, report) = report(&impostor, &[]).await;
        let summary = &report["summary"];
        assert!(code == 2 && summary["failure"] == 0 && summary["unknown"] != 0, "{report:#}");
    }
}
