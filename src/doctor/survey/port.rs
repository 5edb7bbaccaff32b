//! Reads what the serving port shows and answers: the certificate, and the state of the scrape targets.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde::Deserialize;

use super::Survey;
use crate::config::one_line;
use crate::doctor::certificate::authorities;
use crate::doctor::facts::{Asked, Facts, Shown, TargetList, argument};
use crate::doctor::serving_port::ServingPort;
use crate::doctor::{question, registration, service};

/// Where a pod of Plimsoll listens, and that of its Service.
const OWN_PORT: u16 = 10250;

const TARGETS: &str = "/status/targets";

// === impl Survey ===

impl Survey<'_> {
    /// What the port shows, or else what the Secret has.
    pub(super) async fn shown(&self, facts: &Facts) -> Asked<Shown> {
        let name = facts.place.service.dns_name();
        let mut whys = Vec::new();
        for port in self.ports(facts) {
            match port.shown(&name).await {
                Ok(shown) => return Ok(shown),
                Err(why) => whys.push(why),
            }
        }
        if whys.is_empty() {
            whys.push("this is no pod, and --server names no forwarded port".into());
        }
        self.of_secret(facts).await.map_err(|why| {
            whys.push(why);
            whys.join("; ")
        })
    }

    /// Where the serving port may be reached.
    fn ports(&self, facts: &Facts) -> Vec<ServingPort> {
        let mut ports = self.asked_ports(facts);
        let service = facts.service.as_ref().ok().and_then(Option::as_ref);
        let host = service.and_then(|service| service.spec.as_ref()?.external_name.clone());
        let port = u16::try_from(service::port(facts)).ok();
        ports.extend(host.zip(port).map(|(host, port)| ServingPort { host, port }));
        ports
    }

    /// Where credentials may be sent, too: by those who run this, and in the cluster.
    fn asked_ports(&self, facts: &Facts) -> Vec<ServingPort> {
        if let Some(url) = &self.doctor.server {
            return ServingPort::of(url).into_iter().collect();
        }
        if !facts.place.is_pod {
            return Vec::new();
        }
        let own = ServingPort { host: "localhost".into(), port: OWN_PORT };
        let port = u16::try_from(service::port(facts)).ok();
        let service = port.map(|port| ServingPort { host: facts.place.service.dns_name(), port });
        [own].into_iter().chain(service).collect()
    }

    async fn of_secret(&self, facts: &Facts) -> Asked<Shown> {
        let flags = ["--tls-self-managed-secret", "--tls-secret"];
        let name = flags.iter().find_map(|flag| argument(&facts.deployment, flag));
        let name = name.ok_or("no Secret is known that has it")?;
        let namespace = &facts.place.service.namespace;
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let origin = format!("Secret {namespace}/{name}");
        let found = question::object(&api, name).await?.ok_or_else(|| format!("{origin} does not exist"))?;
        let pem = found.data.as_ref().and_then(|data| data.get("tls.crt"));
        let pem = pem.ok_or_else(|| format!("{origin} has no key tls.crt"))?;
        let chain = authorities(&pem.0).map_err(|what| format!("{origin}, key tls.crt: {what}"))?;
        Ok(Shown { place: origin, chain })
    }

    /// Plimsoll's own answer, verified as the kube-apiserver verifies it, with the credentials of this user.
    pub(super) async fn targets(&self, facts: &Facts) -> Asked<TargetList> {
        let ports = self.asked_ports(facts);
        let mut why = "Plimsoll itself can be asked in its pod, or with --server at a forwarded port".to_owned();
        if ports.is_empty() {
            return Err(why);
        }
        let config = self.verifying(facts)?;
        for port in ports {
            match port.get(&config, &facts.place.service.dns_name(), TARGETS).await {
                Ok((status, body)) if status.is_success() => return target_list(&body),
                Ok((status, body)) => why = format!("{port} answers {status}: {}", message(&body)),
                Err(what) => why = what,
            }
        }
        Err(why)
    }

    /// The same user, and the roots of the APIServices.
    fn verifying(&self, facts: &Facts) -> Asked<kube::Config> {
        let found = facts.api_services.iter().filter_map(|(_, asked)| asked.as_ref().ok()?.as_ref());
        let ours = found.filter(|found| registration::is_ours(found, &facts.place.service));
        let mut bundles = ours.filter_map(|found| found.spec.as_ref()?.ca_bundle.as_ref());
        let ByteString(pem) = bundles.next().ok_or("no APIService has a caBundle to verify Plimsoll with")?;
        let roots = authorities(pem).map_err(|what| format!("the caBundle cannot be used: {what}"))?;
        let mut config = self.doctor.kubernetes.clone();
        config.root_cert = Some(roots.iter().map(|root| root.to_vec()).collect());
        config.root_cert_file = None;
        config.accept_invalid_certs = false;
        Ok(config)
    }
}

fn target_list(body: &str) -> Asked<TargetList> {
    #[derive(Deserialize)]
    struct Answer {
        data: TargetList,
    }
    let answer: Answer = serde_json::from_str(body).map_err(|error| one_line(&format_args!("{TARGETS}: {error}")))?;
    Ok(answer.data)
}

/// The message of a Status, or the body as it is.
fn message(body: &str) -> String {
    let status = serde_json::from_str::<serde_json::Value>(body).unwrap_or_default();
    one_line(&status["message"].as_str().unwrap_or(body).trim())
}
