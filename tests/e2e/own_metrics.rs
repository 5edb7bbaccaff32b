use super::fleet::page_says;
use super::scene::{Scene, request};
use super::workloads::{Autoscaler, BROKER, Workers, queue_of};

#[tokio::test]
async fn what_the_controller_saw_is_what_is_shown_of_it() {
    let scene = Scene::new("shown").await;
    scene.apply(BROKER).await;
    let broker = scene.broker().await;
    scene.apply(&Workers { name: "watchers", queue: "inference", service_time: None }.yaml()).await;
    scene.apply(&Autoscaler { name: "watchers", max: 3, metric: queue_of("watchers", "10") }.yaml()).await;
    request("POST", &format!("{broker}/push?n=20")).await;
    scene.has_replicas("watchers", 2).await;
    let of = format!("hpa_namespace=\"{}\",hpa=\"watchers\"", scene.namespace);
    let metric = format!(
        "{of},type=\"object\",metric=\"queue_length\",target_type=\"AverageValue\",object=\"Deployment/watchers\",\
         selector=\"\""
    );
    // Of 20 jobs each of two pods has 10.
    let lines = [
        format!("plimsoll_hpa_metric_value{{{metric}}} 10.0\n"),
        format!("plimsoll_hpa_metric_seen{{{metric}}} 10.0\n"),
        format!("plimsoll_hpa_metric_target{{{metric}}} 10.0\n"),
        format!("plimsoll_hpa_metric_available{{{metric}}} 1.0\n"),
        format!("plimsoll_hpa_current_replicas{{{of}}} 2.0\n"),
        format!("plimsoll_hpa_desired_replicas{{{of}}} 2.0\n"),
        format!("plimsoll_hpa_condition{{{of},condition=\"ScalingActive\",status=\"true\"}} 1\n"),
        "plimsoll_apiservice_available{apiservice=\"v1beta2.custom.metrics.k8s.io\"} 1\n".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    page_says(&scene.plimsoll.direct(), "/metrics", &lines).await;
}
