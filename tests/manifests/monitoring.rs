use super::installed::Installed;
use super::rendered::Rendered;

const KINDS: [&str; 3] = ["PrometheusRule", "StatefulSet", "ConfigMap"];

#[tokio::test]
async fn rules_and_the_prometheus_that_evaluates_them_are_taken_strictly_and_without_a_warning() {
    let installed = Installed::shared().await;
    let [rules, of_platform] = ["prometheusrules", "prometheusrules/platform"]
        .map(|folder| Rendered::folder(&format!("../../alert-rules/{folder}")));
    let monitoring = Rendered::folder("../monitoring");
    let namespace = monitoring.of_kind("Namespace").next().expect("a namespace").to_string();
    installed.apply(&namespace, &[]).await.unwrap_or_else(|said| panic!("{said}"));
    for rendered in [&rules, &of_platform, &monitoring] {
        let said = installed.apply(&rendered.yaml, &["--dry-run=server", "--namespace=monitoring"]).await;
        let said = said.unwrap_or_else(|said| panic!("{said}"));
        assert_eq!(said.lines().count(), rendered.objects.len(), "{said}");
    }
    let count = |kind| rules.of_kind(kind).chain(of_platform.of_kind(kind)).chain(monitoring.of_kind(kind)).count();
    assert_eq!(KINDS.map(count), [6, 2, 3]);
}

#[tokio::test]
async fn a_rule_with_a_key_that_nobody_knows_is_refused() {
    let installed = Installed::shared().await;
    let yaml = Rendered::folder("../../alert-rules/prometheusrules").yaml.replace("keep_firing_for:", "keep_firing:");
    let said = installed.apply(&yaml, &["--dry-run=server", "--namespace=default"]).await.expect_err("strict");
    assert!(said.contains("keep_firing"), "{said}");
}
