//! Which pages are shown to whom. What is not listed needs a user.

/// Who is shown a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Probes of the kubelet come without credentials.
    Anybody,
    /// Whoever is on this machine or in this pod, as through `kubectl port-forward`.
    Local,
    User,
}

// === impl Access ===

impl Access {
    /// Paths are compared as they were sent: what is spelled in another way needs a user.
    pub(super) fn of(path: &str) -> Self {
        match path.strip_suffix('/').unwrap_or(path) {
            "/livez" | "/readyz" | "/healthz" => Self::Anybody,
            "/metrics" | "/status" | "/status.css" | "/api/v1/targets" => Self::Local,
            _ => Self::User,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_open_own_pages_are_local_and_everything_else_needs_a_user() {
        let check =
            |access, paths: &[&str]| paths.iter().for_each(|path| assert_eq!(Access::of(path), access, "{path}"));
        check(Access::Anybody, &["/livez", "/readyz", "/healthz", "/healthz/"]);
        check(Access::Local, &["/metrics", "/metrics/", "/status", "/status.css", "/api/v1/targets"]);
        check(Access::User, &["", "/", "/version", "/apis", "/apis/custom.metrics.k8s.io/v1beta2", "/openapi/v3"]);
        check(Access::User, &["/livez//", "//livez", "/livez/ping", "/LIVEZ", "/%6Civez", "/metrics/x", "/metrics;x"]);
        check(Access::User, &["/apis/../livez", "/api/v1", "/api/v1/targets/x", "*", "livez"]);
    }
}
