//! Does the API answer, how fast, and whom does it refuse?

use crate::catalog::dashboard::overview::YES_OR_NO;
use crate::catalog::dashboard::{Color, Dashboard, Measure, Panel, Thresholds};

pub(super) fn dashboard() -> Dashboard {
    let question = "Does the metrics API answer, how fast, and whom does it refuse?";
    Dashboard::of_plimsoll("plimsoll-api", "Plimsoll / API", question)
        .section("Now", [requests_now(), errors_now(), duration_now(), reachable_now(), certificate(), limited_now()])
        .section("Requests", [requests(), codes(), errors()])
        .section("Time to answer", [quantiles(), by_verb()])
        .section("Reached by the kube-apiserver", [reachable(), certificates()])
        .section("Who asks, and who is refused", [authentication(), authorization(), limited(), refused()])
}

fn requests_now() -> Panel {
    Panel::stat("Requests", "Requests per second to the metrics APIs.")
        .measured(Measure::RequestsPerSecond)
        .query("sum(rate(plimsoll_api_requests_total[$__rate_interval]))", "")
}

/// A series of a failure is not there before the first one.
fn share_of_errors(by: &str) -> String {
    let rate = |which: &str| format!("sum by ({by}) (rate(plimsoll_api_requests_total{which}[$__rate_interval]))");
    format!("({} or 0 * {}) / ({} > 0)", rate(r#"{code=~"5.."}"#), rate(""), rate(""))
}

fn errors_now() -> Panel {
    Panel::stat("Errors", "Share of the requests that failed by Plimsoll's fault: with a code of 500 and above.")
        .measured(Measure::Share)
        .query("sum(instance:plimsoll_api_errors:rate5m) / sum(instance:plimsoll_api_requests:rate5m)", "")
        .thresholds(Thresholds::above(0.001, 0.01))
}

fn quantile(quantile: &str, by: &str) -> String {
    let buckets = "rate(plimsoll_api_request_duration_seconds_bucket[$__rate_interval])";
    format!("histogram_quantile({quantile}, sum by ({by}) ({buckets}))")
}

fn duration_now() -> Panel {
    Panel::stat("Answered within", "Time within which 99 of 100 requests are answered. The HPA waits 10 s at most.")
        .measured(Measure::Seconds)
        .query(quantile("0.99", "le"), "")
        .thresholds(Thresholds::above(0.5, 2.0))
}

fn reachable_now() -> Panel {
    Panel::stat("APIs reachable", "Whether the kube-apiserver says that it reaches all of Plimsoll's APIs.")
        .measured(Measure::State)
        .query_now("min(plimsoll_apiservice_available)", "")
        .states(&YES_OR_NO)
}

fn certificate() -> Panel {
    Panel::stat("Certificate valid for", "Time until the first of the serving certificates ends.")
        .measured(Measure::Days)
        .query_now("(min(plimsoll_serving_certificate_not_after_timestamp_seconds) - time()) / 86400", "")
        .thresholds(Thresholds::below(7.0, 1.0))
}

fn limited_now() -> Panel {
    Panel::stat("Limited", "Requests per second that were answered with 429, since their client asks too often.")
        .measured(Measure::RequestsPerSecond)
        .query("sum(rate(plimsoll_serving_requests_limited_total[$__rate_interval]))", "")
        .thresholds(Thresholds::always(Color::Good).then(0.01, Color::Warning))
}

fn requests() -> Panel {
    Panel::lines("Requests by group and verb", "Each autoscaler asks for each of its metrics every 15 s.")
        .measured(Measure::RequestsPerSecond)
        .query("sum by (group, verb) (rate(plimsoll_api_requests_total[$__rate_interval]))", "{{verb}} {{group}}")
        .size(8, 9)
}

fn codes() -> Panel {
    let description = "Answers per second by status code. 404 is a metric without a value, 403 a client without the right, \
                       429 one that asks too often; 500 and above are Plimsoll's fault.";
    Panel::stack("Answers by code", description)
        .measured(Measure::RequestsPerSecond)
        .query("sum by (code) (rate(plimsoll_api_requests_total[$__rate_interval]))", "{{code}}")
        .size(8, 9)
}

fn errors() -> Panel {
    Panel::lines("Share of errors by group and verb", "Of the requests, those with a code of 500 and above.")
        .measured(Measure::Share)
        .query(share_of_errors("group, verb"), "{{verb}} {{group}}")
        .thresholds(Thresholds::above(0.001, 0.01))
        .size(8, 9)
}

fn quantiles() -> Panel {
    Panel::lines("Time to answer", "Within which time 50, 95 and 99 of 100 requests are answered.")
        .measured(Measure::Seconds)
        .query(quantile("0.5", "le"), "p50")
        .query(quantile("0.95", "le"), "p95")
        .query(quantile("0.99", "le"), "p99")
}

fn by_verb() -> Panel {
    Panel::lines("p95 by group and verb", "A list is what lasts: it reads all objects that its selector matches.")
        .measured(Measure::Seconds)
        // What nobody asked for took no time, which is no number.
        .query(format!("{} >= 0", quantile("0.95", "le, group, verb")), "{{verb}} {{group}}")
}

fn reachable() -> Panel {
    Panel::timeline("APIs reachable", "Whether the kube-apiserver reaches each API, as it says in the APIService.")
        .query("min by (apiservice) (plimsoll_apiservice_available)", "{{apiservice}}")
        .states(&YES_OR_NO)
}

fn certificates() -> Panel {
    let description = "Time until the serving certificate of each replica ends. A self-managed one is renewed long before; \
                       a line that reaches the lower third was not.";
    Panel::lines("Certificates valid for", description)
        .measured(Measure::Days)
        .query(
            "(min by (instance) (plimsoll_serving_certificate_not_after_timestamp_seconds) - time()) / 86400",
            "{{instance}}",
        )
        .thresholds(Thresholds::below(7.0, 1.0))
}

fn authentication() -> Panel {
    let description = "Requests per second by how their user was found, or why none was. What the HPA asks comes by \
                       front_proxy.";
    Panel::stack("Authentication", description)
        .measured(Measure::RequestsPerSecond)
        .query("sum by (result) (rate(plimsoll_authentication_requests_total[$__rate_interval]))", "{{result}}")
}

fn authorization() -> Panel {
    let description = "Requests per second by whether they may be made. Undecided: the kube-apiserver could not be asked, \
                       and the request was refused.";
    Panel::stack("Authorization", description)
        .measured(Measure::RequestsPerSecond)
        .query("sum by (result) (rate(plimsoll_authorization_requests_total[$__rate_interval]))", "{{result}}")
}

fn limited() -> Panel {
    Panel::lines("Limited by tier", "Requests per second answered with 429, by the tier of their client.")
        .measured(Measure::RequestsPerSecond)
        .query("sum by (tier) (rate(plimsoll_serving_requests_limited_total[$__rate_interval]))", "{{tier}}")
}

fn refused() -> Panel {
    let description = "Connections per second that were refused: too many at once from one address, too many in all, or \
                       too fast.";
    Panel::lines("Refused connections", description)
        .measured(Measure::PerSecond)
        .query("sum by (reason) (rate(plimsoll_serving_connections_refused_total[$__rate_interval]))", "{{reason}}")
}
