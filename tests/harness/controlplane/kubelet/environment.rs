//! The variables of a container as a kubelet makes them: values, fields of the pod, where the API server is, and what
//! refers to them as `$(NAME)`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};
use kube::ResourceExt;

use crate::harness::controlplane::programs::Premises;

/// Variables by name.
pub struct Environment(pub BTreeMap<String, String>);

// === impl Environment ===

impl Environment {
    /// # Errors
    /// A source of a value that is not made here.
    pub fn of(pod: &Pod, container: &Container, address: Ipv4Addr, premises: &Premises) -> Result<Self, String> {
        let (host, port) = premises.server_address();
        let cluster = [("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)];
        let cluster = cluster.map(|(name, value)| (name.to_owned(), value));
        let mut environment = Self(BTreeMap::from(cluster));
        for variable in container.env.iter().flatten() {
            let value = environment.value(variable, pod, address, premises)?;
            environment.0.insert(variable.name.clone(), value);
        }
        Ok(environment)
    }

    fn value(&self, variable: &EnvVar, pod: &Pod, address: Ipv4Addr, premises: &Premises) -> Result<String, String> {
        let Some(source) = &variable.value_from else {
            return Ok(self.expand(variable.value.as_deref().unwrap_or_default()));
        };
        let path = source.field_ref.as_ref().map(|field| field.field_path.as_str());
        let spec = pod.spec.as_ref();
        match path.unwrap_or_default() {
            "metadata.name" => Ok(pod.name_any()),
            "metadata.namespace" => Ok(pod.namespace().unwrap_or_default()),
            "metadata.uid" => Ok(pod.uid().unwrap_or_default()),
            "spec.nodeName" => Ok(spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default()),
            "spec.serviceAccountName" => Ok(spec.and_then(|it| it.service_account_name.clone()).unwrap_or_default()),
            "status.podIP" | "status.podIPs" => Ok(address.to_string()),
            "status.hostIP" => Ok(premises.network.node().to_string()),
            _ => Err(format!("the kubelet of the tests does not know where variable {} comes from", variable.name)),
        }
    }

    /// The text with each `$(NAME)` replaced that is known; `$$` is a dollar.
    pub fn expand(&self, text: &str) -> String {
        let (mut expanded, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('$') {
            expanded += &rest[..at];
            rest = &rest[at + 1..];
            let reference = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
            match reference.and_then(|(name, after)| Some((self.0.get(name)?, after))) {
                Some((value, after)) => {
                    expanded += value;
                    rest = after;
                }
                None => {
                    expanded.push('$');
                    rest = rest.strip_prefix('$').unwrap_or(rest);
                }
            }
        }
        expanded + rest
    }
}
