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
    /// Parameters `sv` and `stream` ask for what no endpoint here does.
    is_beyond: bool,
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

/// The representation of the best clause that can be had; of equal ones the first.
fn choose(headers: &HeaderMap, converts_to_discovery: bool) -> Option<Representation> {
    let texts = || headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if texts().all(|text| text.trim().is_empty()) {
        return Some(Representation::Json);
    }
    let clauses = texts().flat_map(|text| text.split(',')).map(Clause::parse);
    let choices =
        clauses.filter_map(|clause| Some((clause.preference(), clause.representation(converts_to_discovery)?)));
    let best = choices.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, representation)| representation)
}

// === impl Clause ===

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let mut clause = Self { media_type, quality: 1.0, conversion: Conversion::default(), is_beyond: false };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.to_ascii_lowercase().as_str() {
                "q" => clause.quality = value.parse().unwrap_or(1.0),
                "g" => clause.conversion.group = value,
                "v" => clause.conversion.version = value,
                "as" => clause.conversion.kind = value,
                "sv" => clause.is_beyond |= !value.is_empty(),
                // A watch is refused by its parameter in the query, whatever is accepted.
                "stream" => clause.is_beyond |= !["", "watch"].contains(&value),
                _ => {}
            }
        }
        clause
    }

    /// What it gets from an endpoint; `None` where the next clause is to be tried.
    fn representation(&self, converts_to_discovery: bool) -> Option<Representation> {
        if self.quality.is_nan() || self.quality <= 0.0 || self.is_beyond || self.breadth().is_none() {
            return None;
        }
        match &self.conversion {
            none if *none == Conversion::default() => Some(Representation::Json),
            wanted if converts_to_discovery && *wanted == DISCOVERY => Some(Representation::AggregatedDiscovery),
            _ => None,
        }
    }

    /// By quality, then by how exactly it says what it wants: a conversion before none, a type before all types.
    fn preference(&self) -> (f32, bool, u8) {
        (self.quality, self.conversion != Conversion::default(), u8::MAX - self.breadth().unwrap_or(u8::MAX))
    }

    /// How many types it takes beside JSON, in steps; `None` when it does not take JSON.
    fn breadth(&self) -> Option<u8> {
        // A lone asterisk is what java.net sends.
        let kinds = [("application/json", 0), ("application/*", 1), ("*/*", 2), ("*", 2)];
        kinds.iter().find(|(known, _)| self.media_type.eq_ignore_ascii_case(known)).map(|(_, breadth)| *breadth)
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
        check(Some(" "), true, Some(Json));
        check(Some("*/*"), true, Some(Json));
        check(Some("*"), true, Some(Json));
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
        check(Some("application/json;as=Table;v=v1;g=meta.k8s.io"), false, None);
        check(Some("application/json;q=0"), false, None);
        check(Some("Application/JSON"), true, Some(Json));
        check(Some("APPLICATION/*;Q=0"), false, None);
        check(Some("text/html,application/xhtml+xml,*/*;q=0.8"), true, Some(Json));
    }

    #[test]
    fn the_better_clause_wins_wherever_it_stands() {
        use Representation::{AggregatedDiscovery, Json};
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        check(Some(&format!("application/json,{v2}")), true, Some(AggregatedDiscovery));
        check(Some(&format!("*/*, {v2}")), true, Some(AggregatedDiscovery));
        check(Some(&format!("application/json, {v2};q=0.5")), true, Some(Json));
        check(Some(&format!("application/json;q=0.5, {v2};q=0.9")), true, Some(AggregatedDiscovery));
        check(Some(&format!("{v2};q=0, */*;q=0.1")), true, Some(Json));
    }

    #[test]
    fn unknown_parameters_are_ignored_and_malformed_clauses_passed_over() {
        use Representation::{AggregatedDiscovery, Json};
        check(Some("application/json;charset=utf-8;pretty=1;export=1;x"), true, Some(Json));
        check(
            Some("application/json;profile=nopeer;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList"),
            false,
            Some(AggregatedDiscovery),
        );
        check(Some("application/json;stream=watch"), true, Some(Json));
        check(Some("application/json;stream=other"), false, None);
        check(Some("application/json;sv=v1"), false, None);
        check(Some("application/json;q=much"), true, Some(Json));
        check(Some("application/json;q=NaN"), false, None);
        for malformed in [",", ";;,", "json", "application/json/x", "application", "/", "a=b"] {
            check(Some(malformed), false, None);
            check(Some(&format!("{malformed},application/json")), true, Some(Json));
        }
    }
}
