//! The paths that tell how the process is. For these nobody is asked anything: who may, or whose a token is.

use axum::http::Uri;

/// Anybody may ask these, with any method; those below them show more.
const HEALTH: [&str; 3] = ["/healthz", "/readyz", "/livez"];

/// Whether a request asks how the process is. Paths are compared as they were sent: what is spelled in another way is
/// another page to who answers.
pub(super) fn is_health(uri: &Uri) -> bool {
    HEALTH.contains(&uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_paths_tell_of_health_to_anybody() {
        let is_health = |path: &str| is_health(&path.parse().expect("a URI"));
        for path in ["/healthz", "/readyz", "/livez", "/livez?verbose"] {
            assert!(is_health(path), "{path}");
        }
        for path in [
            "/livez/",
            "/livez/ping",
            "//livez",
            "/LIVEZ",
            "/%6Civez",
            "/metrics",
            "/",
            "/apis/../livez",
            "/apis/g/v/livez",
            "*",
        ] {
            assert!(!is_health(path), "{path}");
        }
    }
}
