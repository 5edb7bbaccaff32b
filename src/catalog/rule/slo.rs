//! Service level objectives, as the share of requests that may fail, and the windows in which they are watched.

/// What is promised of requests, and the series that say whether it is kept.
pub(super) struct Service {
    /// Level and labels of the series for the service as a whole.
    pub level: &'static str,
    pub by: &'static str,
    /// Middle of the names of its series, `level:THIS:rate5m`.
    pub requests: &'static str,
    pub errors: &'static str,
    /// What the requests go to, in a sentence.
    pub what: &'static str,
}

/// Time within which a request is to be answered.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub seconds: u32,
}

/// Plimsoll's metrics APIs.
pub(super) const PLIMSOLL: Service = Service {
    level: "job",
    by: "job, namespace",
    requests: "plimsoll_api_requests",
    errors: "plimsoll_api_errors",
    what: "Plimsoll's metrics APIs",
};

/// A service of the platform.
pub(super) const PLATFORM: Service = Service {
    level: "workload",
    by: "job, namespace, workload",
    requests: "http_requests",
    errors: "http_errors",
    what: "a service",
};

/// 95 of 100 requests within 2 s, 99 of 100 within 5 s.
pub(super) const BOUNDS: [Bound; 2] = [Bound { seconds: 2 }, Bound { seconds: 5 }];

/// Every window that an alert reads.
pub(super) const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

// === impl Service ===

impl Service {
    /// Middle of the name of the series of requests that took longer.
    pub(super) fn over(&self, bound: Bound) -> String {
        format!("{}_over_{}s", self.requests, bound.seconds)
    }
}
