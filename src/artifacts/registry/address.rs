//! Where artifacts are: `oci://HOST/REPOSITORY:TAG`, as Flux writes it.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

/// A host, a repository, and a tag or digest; none of them by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub reference: Reference,
}

const SCHEME: &str = "oci://";

// === impl Address ===

impl Address {
    /// Host and port, as Docker's configuration has them.
    pub fn host(&self) -> &str {
        self.reference.registry()
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = |what: &str| format!("expected oci://HOST/REPOSITORY:TAG, found {text:?}: {what}");
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| expected("it does not begin with oci://"))?;
        let (host, repository) = rest.split_once('/').ok_or_else(|| expected("it has no repository"))?;
        // Without one Docker Hub would be meant.
        if host != "localhost" && !host.contains(['.', ':']) {
            return Err(expected("it does not begin with a host"));
        }
        if !repository.contains([':', '@']) {
            return Err(expected("it has no tag"));
        }
        let reference = rest.parse::<Reference>().map_err(|error| expected(&error.to_string()))?;
        Ok(Self { reference })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_all_of_its_parts() {
        for good in [
            "oci://localhost/artifacts:1.0.0",
            "oci://127.0.0.1:5000/a/b:1",
            "oci://ghcr.io/team/artifacts:latest",
            &format!("oci://ghcr.io/team/artifacts@sha256:{}", "0".repeat(64)),
        ] {
            assert_eq!(good.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(good));
        }
        for (bad, what) in [
            ("ghcr.io/team/artifacts:1", "it does not begin with oci://"),
            ("oci://team/artifacts:1", "it does not begin with a host"),
            ("oci://ghcr.io", "it has no repository"),
            ("oci://ghcr.io/team/artifacts", "it has no tag"),
            ("oci://ghcr.io/Team/artifacts:1", "invalid"),
            ("oci://ghcr.io/team/artifacts:a b", "invalid"),
        ] {
            let refused = bad.parse::<Address>().expect_err(bad);
            assert!(refused.contains(what), "{refused}");
        }
    }
}
