//! Which formats a target is asked for.

use std::fmt::Write;

use reqwest::header::HeaderValue;

use crate::config::ScrapeProtocol;

/// The `Accept` header for these formats, the most wanted first. Whatever else a target has is welcome last, for its
/// page may be readable all the same.
pub fn accept(protocols: &[ScrapeProtocol]) -> HeaderValue {
    let mut ranges = String::new();
    for (at, protocol) in protocols.iter().enumerate() {
        // No two weights are alike, and the last is that of anything else.
        let weight = protocols.len() + 1 - at;
        // Writing to a string cannot fail.
        let _ = write!(ranges, "{};q=0.{weight},", protocol.media_range());
    }
    HeaderValue::try_from(ranges + "*/*;q=0.1").expect("media ranges are ASCII")
}

/// More would need weights of two digits.
const _: () = assert!(ScrapeProtocol::ALL.len() < 9);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_asked_for_with_falling_weights() {
        assert_eq!(
            accept(&ScrapeProtocol::ALL),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.5,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             application/openmetrics-text;version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        );
        let two = [ScrapeProtocol::PrometheusText0_0_4, ScrapeProtocol::OpenMetricsText0_0_1];
        assert_eq!(
            accept(&two),
            "text/plain;version=0.0.4;q=0.3,application/openmetrics-text;version=0.0.1;q=0.2,*/*;q=0.1"
        );
    }
}
