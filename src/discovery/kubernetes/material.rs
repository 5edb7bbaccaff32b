//! What a Secret or a ConfigMap holds. Never shown: credentials do not belong into logs.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};

/// Values by their keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Material(BTreeMap<String, Vec<u8>>);

// === impl Material ===

impl Material {
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }
}

impl From<Secret> for Material {
    fn from(secret: Secret) -> Self {
        Self(secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect())
    }
}

impl From<ConfigMap> for Material {
    fn from(map: ConfigMap) -> Self {
        let text = map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
        let binary = map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0));
        Self(text.chain(binary).collect())
    }
}

/// The keys alone.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_key_and_not_shown() {
        let data = [("token".to_owned(), k8s_openapi::ByteString(b"geheim".to_vec()))];
        let secret = Material::from(Secret { data: Some(data.into()), ..Secret::default() });
        assert_eq!((secret.get("token"), secret.get("other")), (Some(&b"geheim"[..]), None));
        assert_eq!(format!("{secret:?}"), "{\"token\"}");
        let data = [("ca.crt".to_owned(), "PEM".to_owned())];
        let map = Material::from(ConfigMap { data: Some(data.into()), ..ConfigMap::default() });
        assert_eq!(map.get("ca.crt"), Some(&b"PEM"[..]));
    }
}
