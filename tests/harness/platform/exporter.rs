//! What watches over the services: kube-state-metrics, the kubelet's cAdvisor, the kube-apiserver, and jobs of backup.

use std::fmt::Write as _;

use super::World;
use super::pod::Pod;
use super::service::{CPU_LIMIT, MEMORY_LIMIT, Service};

/// Jobs of theirs.
pub const NAMES: [&str; 4] = ["kube-state-metrics", "cadvisor", "kube-apiserver", "backup"];

/// When, in seconds since the start, each Deployment gets a new generation, and how often after that.
const DEPLOYED_SECONDS: f64 = 12.0;
const DEPLOYED_AGAIN_SECONDS: f64 = 45.0;

/// With the hours since each last succeeded.
const BACKUPS: [(&str, i64); 3] = [("database", 9), ("vector-store", 60), ("volume-snapshots", 14)];

/// `None` where there is no such exporter.
pub fn page(name: &str, world: &World) -> Option<String> {
    let mut page = String::new();
    let written = match name {
        "kube-state-metrics" => write_state(&mut page, world),
        "cadvisor" => write_containers(&mut page, world),
        "kube-apiserver" => write_api_services(&mut page),
        "backup" => write_backups(&mut page, world.wall),
        _ => return None,
    };
    written.expect("a String takes all");
    Some(page)
}

fn pods(world: &World) -> impl Iterator<Item = (&Service, &Pod)> {
    world.services.iter().flat_map(|service| service.pods.iter().map(move |pod| (service, pod)))
}

fn write_state(page: &mut String, world: &World) -> std::fmt::Result {
    for (service, pod) in pods(world) {
        let of = format!("namespace=\"{}\",pod=\"{}\"", service.namespace, pod.name);
        let limits = format!("kube_pod_container_resource_limits{{{of},container=\"{}\"", service.name);
        writeln!(page, "{limits},resource=\"cpu\",unit=\"core\"}} {CPU_LIMIT}")?;
        writeln!(page, "{limits},resource=\"memory\",unit=\"byte\"}} {MEMORY_LIMIT}")?;
        writeln!(page, "kube_pod_owner{{{of},owner_kind=\"ReplicaSet\",owner_name=\"{}\"}} 1", pod.replica_set)?;
    }
    world.services.iter().try_for_each(|service| write_deployment(page, service, world.now))
}

fn write_deployment(page: &mut String, service: &Service, now: f64) -> std::fmt::Result {
    let Service { name, namespace, .. } = service;
    let of = format!("namespace=\"{namespace}\",deployment=\"{name}\"");
    let generation = 1 + ((now - DEPLOYED_SECONDS) / DEPLOYED_AGAIN_SECONDS).ceil().max(0.0) as u32;
    writeln!(page, "kube_deployment_status_replicas_available{{{of}}} {}", service.pods.len())?;
    writeln!(page, "kube_deployment_spec_replicas{{{of}}} {}", service.pods.len())?;
    writeln!(page, "kube_deployment_status_observed_generation{{{of}}} {generation}")?;
    if service.is_scaled() {
        let of = format!("namespace=\"{namespace}\",horizontalpodautoscaler=\"{name}\"");
        writeln!(page, "kube_horizontalpodautoscaler_status_desired_replicas{{{of}}} {}", service.desired())?;
        writeln!(page, "kube_horizontalpodautoscaler_spec_max_replicas{{{of}}} {}", service.replicas.end())?;
    }
    Ok(())
}

fn write_containers(page: &mut String, world: &World) -> std::fmt::Result {
    for (service, pod) in pods(world) {
        let of = format!("namespace=\"{}\",pod=\"{}\",container=\"{}\"", service.namespace, pod.name, service.name);
        writeln!(page, "container_cpu_usage_seconds_total{{{of}}} {:.3}", pod.cpu_seconds)?;
        writeln!(page, "container_memory_working_set_bytes{{{of}}} {}", pod.memory.floor())?;
    }
    Ok(())
}

fn write_api_services(page: &mut String) -> std::fmt::Result {
    super::objects::API_SERVICES
        .iter()
        .try_for_each(|name| writeln!(page, "aggregator_unavailable_apiservice{{name=\"{name}\"}} 0"))
}

fn write_backups(page: &mut String, wall: i64) -> std::fmt::Result {
    for (backup, hours) in BACKUPS {
        let succeeded = wall / 1000 - hours * 3600;
        writeln!(page, "backup_last_success_timestamp_seconds{{backup=\"{backup}\"}} {succeeded}")?;
        writeln!(page, "backup_verified{{backup=\"{backup}\"}} 1")?;
    }
    Ok(())
}
