//! Content negotiation as `k8s.io/apiserver` does it (`pkg/endpoints/handlers/negotiation`), for a
//! server that writes JSON and, for `/apis`, aggregated discovery.

use axum::http::{HeaderMap, header};

/// What may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Representation {
    Json,
    /// `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`.
    AggregatedDiscovery,
}

/// One clause of an `Accept` header.
struct Clause<'a> {
    media_type: &'a str,
    quality: f32,
    /// Parameters `g`, `v` and `as`: the object is to be converted into this kind.
    conversion: Conversion<'a>,
}

#[derive(Default, PartialEq)]
struct Conversion<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

const DISCOVERY: Conversion<'static> =
    Conversion { group: "apidiscovery.k8s.io", version: "v2", kind: "APIGroupDiscoveryList" };

/// What `/apis` answers; `None` when nothing is acceptable.
pub(super) fn of_discovery(headers: &HeaderMap) -> Option<Representation> {
    choose(headers, true)
}

/// Whether plain JSON is acceptable.
pub(super) fn of_json(headers: &HeaderMap) -> Option<Representation> {
    choose(headers, false)
}

fn choose(headers: &HeaderMap, converts_to_discovery: bool) -> Option<Representation> {
    let texts: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = texts.join(",");
    if accept.trim().is_empty() {
        return Some(Representation::Json);
    }
    let mut clauses: Vec<Clause<'_>> =
        accept.split(',').map(Clause::parse).filter(|clause| clause.quality > 0.0).collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses.iter().filter(|clause| clause.takes_json()).find_map(|clause| match &clause.conversion {
        none if *none == Conversion::default() => Some(Representation::Json),
        wanted if converts_to_discovery && *wanted == DISCOVERY => Some(Representation::AggregatedDiscovery),
        // A conversion that this endpoint does not do: the next clause is tried.
        _ => None,
    })
}

// === impl Clause ===

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut clause =
            Self { media_type: parts.next().unwrap_or_default(), quality: 1.0, conversion: Conversion::default() };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.to_ascii_lowercase().as_str() {
                "q" => clause.quality = value.parse().unwrap_or(1.0),
                "g" => clause.conversion.group = value,
                "v" => clause.conversion.version = value,
                "as" => clause.conversion.kind = value,
                _ => {}
            }
        }
        clause
    }

    fn takes_json(&self) -> bool {
        ["application/json", "application/*", "*/*"].iter().any(|known| self.media_type.eq_ignore_ascii_case(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: Option<&str>, plain: bool, discovery: Option<Representation>) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, accept.parse().expect("a header"));
        }
        assert_eq!(of_json(&headers).is_some(), plain, "plain {accept:?}");
        assert_eq!(of_discovery(&headers), discovery, "discovery {accept:?}");
    }

    #[test]
    fn the_accept_matrix_of_kubernetes_clients() {
        use Representation::{AggregatedDiscovery, Json};
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        check(None, true, Some(Json));
        check(Some("*/*"), true, Some(Json));
        check(Some("application/json"), true, Some(Json));
        check(Some("application/vnd.kubernetes.protobuf, */*"), true, Some(Json));
        check(Some("application/vnd.kubernetes.protobuf"), false, None);
        check(Some(v2), false, Some(AggregatedDiscovery));
        check(Some(&format!("{v2},application/json")), true, Some(AggregatedDiscovery));
        check(
            Some("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io"),
            false,
            Some(AggregatedDiscovery),
        );
        check(
            Some("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"),
            true,
            Some(Json),
        );
        check(Some("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), true, Some(Json));
        check(Some("application/json;q=0"), false, None);
        check(Some("Application/JSON"), true, Some(Json));
        check(Some("APPLICATION/*;Q=0"), false, None);
        check(Some("text/html,application/xhtml+xml,*/*;q=0.8"), true, Some(Json));
    }
}
