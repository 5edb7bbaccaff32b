//! References of monitors to keys of Secrets and ConfigMaps. In: the `spec` of a monitor. Out: the names of the objects.
//!
//! In the API of the monitors such a reference is always an object with `name` and `key`, and one to a ConfigMap stands
//! under `configMap`; nothing else there has both.

use serde_json::Value;

/// What a monitor wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference<'m> {
    Secret(&'m str),
    ConfigMap(&'m str),
}

/// Mappings and lists inside each other that are looked into; the API has five.
const DEPTH_MAX: usize = 16;

/// Every reference in a part of a monitor, in order of the text.
pub fn references(part: &Value) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    collect(part, "", DEPTH_MAX, &mut found);
    found
}

/// `key` is what the part stands under; of an item of a list it is empty.
fn collect<'m>(part: &'m Value, key: &str, depth: usize, found: &mut Vec<Reference<'m>>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match part {
        Value::Array(items) => items.iter().for_each(|item| collect(item, "", depth, found)),
        Value::Object(entries) => match (part["name"].as_str(), part["key"].as_str()) {
            // An empty name is how some clients write that there is no reference.
            (Some(""), Some(_)) => {}
            (Some(name), Some(_)) if key == "configMap" => found.push(Reference::ConfigMap(name)),
            (Some(name), Some(_)) => found.push(Reference::Secret(name)),
            _ => entries.iter().for_each(|(key, value)| collect(value, key, depth, found)),
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_wherever_the_monitor_has_them() {
        let spec = r"
selector: {matchExpressions: [{key: app, operator: In, values: [web]}]}
podMetricsEndpoints:
- port: metrics
  basicAuth: {username: {name: user, key: name}, password: {name: password, key: secret}}
- bearerTokenSecret: {name: '', key: ''}
  authorization: {credentials: {name: token, key: t}}
  tlsConfig:
    ca: {configMap: {name: roots, key: ca.crt}}
    cert: {secret: {name: pair, key: tls.crt}}
    keySecret: {name: pair, key: tls.key}
  relabelings: [{action: replace, targetLabel: name, replacement: key}]
";
        let spec: Value = serde_saphyr::from_str(spec).expect("YAML");
        let secrets = ["user", "password", "token"].map(Reference::Secret);
        let tls = [Reference::ConfigMap("roots"), Reference::Secret("pair"), Reference::Secret("pair")];
        assert_eq!(references(&spec), [secrets, tls].concat());
    }

    #[test]
    fn a_monitor_of_endless_depth_is_given_up() {
        let deep = (0..1000).fold(serde_json::json!({"name": "n", "key": "k"}), |part, _| serde_json::json!([part]));
        assert_eq!(references(&deep), []);
    }
}
