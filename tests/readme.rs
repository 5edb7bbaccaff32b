use k8s_openapi::api::autoscaling::v2::MetricSpec;

fn blocks() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().expect("a block").to_owned()).collect()
}

#[test]
fn the_configuration_in_the_readme_is_good_and_its_hpa_asks_for_what_it_defines() {
    let [rate_limits, file, hpa, migration] = &blocks()[..] else { panic!("four blocks of YAML") };
    crate::harness::config(migration);
    crate::harness::config(&format!("{file}\n{rate_limits}"));
    let config = crate::harness::config(file);
    let specs: Vec<MetricSpec> = serde_saphyr::from_str(hpa).expect("metrics of an HPA");
    for spec in specs {
        let asked = (spec.object.map(|o| o.metric).or(spec.pods.map(|p| p.metric))).or(spec.external.map(|e| e.metric));
        let name = asked.expect("a metric").name;
        assert!(config.metrics.iter().any(|definition| definition.name == name), "{name} is not defined");
    }
}

#[test]
fn the_commands_in_the_readme_are_those_the_demo_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("README.md");
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/demo.rs")).expect("the demo");
    for part in
        ["--kubeconfig /dev/null --token demo", "queue_length?labelSelector=queue%3Dinference", "inference_latency_p95"]
    {
        assert!(readme.contains(part) && source.contains(part.trim_start_matches("queue_length?")), "{part}");
    }
}
