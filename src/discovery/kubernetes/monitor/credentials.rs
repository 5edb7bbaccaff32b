//! References of an endpoint to Secrets and ConfigMaps → credentials and certificates of its requests. What is not
//! there is missing, and no request goes out without it.

use super::spec::{Authorization, BasicAuth, Endpoint, KeySelector, SecretOrConfigMap};
use crate::config::{ClientConfig, ClientTls, Credentials, Secret, SecretText};
use crate::discovery::kubernetes::material::Material;
use crate::discovery::kubernetes::namespace::Namespace;

/// The objects that a monitor may refer to: those of its own namespace.
#[derive(Clone, Copy)]
pub(super) struct Materials<'a> {
    pub name: &'a str,
    pub namespace: &'a Namespace,
    /// Monitor and endpoint, for messages.
    pub subject: &'a str,
}

// === impl Materials ===

impl Materials<'_> {
    pub(super) fn client(self, endpoint: &Endpoint) -> ClientConfig {
        let tls = &endpoint.tls_config;
        let certificate =
            self.either("tlsConfig.cert", &tls.cert).zip(self.secret("tlsConfig.keySecret", &tls.key_secret));
        let tls = ClientTls {
            ca: self.either("tlsConfig.ca", &tls.ca),
            certificate,
            server_name: (!tls.server_name.is_empty()).then(|| tls.server_name.as_str().into()),
            insecure_skip_verify: tls.insecure_skip_verify,
        };
        ClientConfig { credentials: self.credentials(endpoint), tls }
    }

    fn credentials(self, endpoint: &Endpoint) -> Credentials {
        if let Some(Authorization { scheme, credentials, .. }) = &endpoint.authorization {
            let scheme = Some(scheme.trim()).filter(|scheme| !scheme.is_empty()).unwrap_or("Bearer");
            let credentials = self.secret("authorization.credentials", credentials);
            return credentials.map_or(Credentials::None, |credentials| Credentials::Authorization {
                scheme: scheme.into(),
                credentials,
            });
        }
        if let Some(BasicAuth { username, password }) = &endpoint.basic_auth {
            let username = self.secret("basicAuth.username", username);
            let pair = username.zip(self.secret("basicAuth.password", password));
            return pair.map_or(Credentials::None, |(username, password)| Credentials::Basic { username, password });
        }
        self.secret("bearerTokenSecret", &endpoint.bearer_token_secret).map_or(Credentials::None, Credentials::bearer)
    }

    fn either(self, key: &str, reference: &SecretOrConfigMap) -> Option<SecretText> {
        self.secret(key, &reference.secret).or_else(|| {
            let map = |name: &str| self.namespace.config_maps.get(name);
            self.text(key, "ConfigMap", &reference.config_map, map)
        })
    }

    fn secret(self, key: &str, reference: &KeySelector) -> Option<SecretText> {
        self.text(key, "Secret", reference, |name| self.namespace.secrets.get(name))
    }

    /// `None` where nothing is referred to.
    fn text<'m>(
        self,
        key: &str,
        kind: &str,
        reference: &KeySelector,
        find: impl Fn(&str) -> Option<&'m Material>,
    ) -> Option<SecretText> {
        if reference.is_none() {
            return None;
        }
        let object = format!("{kind} {}/{}", self.name, reference.name);
        let missing = |why: String| SecretText::Missing(format!("{}.{key}: {why}", self.subject).into());
        let Some(material) = find(&reference.name) else {
            return Some(missing(format!("there is no {object}, or it may not be read")));
        };
        let Some(value) = material.get(&reference.key) else {
            return Some(missing(format!("{object} has no key {:?}", reference.key)));
        };
        Some(match std::str::from_utf8(value) {
            Ok(text) => SecretText::Inline {
                origin: format!("key {:?} of {object}", reference.key).into(),
                secret: Secret::new(text),
            },
            Err(_) => missing(format!("key {:?} of {object} is no UTF-8 text", reference.key)),
        })
    }
}
