//! What changed in the artifacts from version to version, written by hand; its newest section says which version this is.

use semver::Version;

use crate::artifacts::Refusal;
use crate::artifacts::bundle::CHANGELOG;

/// A changelog with a section `## VERSION` for each version, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changelog {
    pub text: String,
}

/// That of what this program makes.
const SHIPPED: &str = include_str!("../../dashboards/CHANGELOG.md");

// === impl Changelog ===

impl Changelog {
    pub fn shipped() -> Self {
        Self { text: SHIPPED.to_owned() }
    }

    /// The version of the newest section.
    ///
    /// # Errors
    /// When there is no section of a version.
    pub fn version(&self) -> Result<Version, Refusal> {
        let newest = self.versions().next();
        newest.ok_or_else(|| Refusal::new(CHANGELOG, "it has no section of a version, such as ## 1.0.0"))
    }

    /// # Errors
    /// When there is no section of this version. A candidate for a release is described by the section of the release.
    pub fn check(&self, version: &Version) -> Result<(), Refusal> {
        let release = Version::new(version.major, version.minor, version.patch);
        if self.versions().any(|known| known == *version || known == release) {
            return Ok(());
        }
        Err(Refusal::new(CHANGELOG, format!("it has no section {version}")))
    }

    fn versions(&self) -> impl Iterator<Item = Version> {
        let headings = self.text.lines().filter_map(|line| line.strip_prefix("## "));
        headings.filter_map(|heading| heading.split_whitespace().next()?.trim_matches(['[', ']']).parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_section_says_the_version() {
        let changelog = Changelog { text: "# Changes\n\n## 1.2.0\n- a\n\n## [1.1.0] - 2026-01-01\n".into() };
        assert_eq!(changelog.version(), Ok(Version::new(1, 2, 0)));
        assert_eq!(changelog.check(&Version::new(1, 1, 0)), Ok(()));
        assert_eq!(changelog.check(&"1.2.0-rc.1".parse().expect("a version")), Ok(()));
        assert!(changelog.check(&Version::new(1, 3, 0)).is_err());
        assert!(Changelog { text: "# Changes\n## Unreleased\n".into() }.version().is_err());
    }

    #[test]
    fn the_shipped_one_has_sections_in_order() {
        let versions: Vec<_> = Changelog::shipped().versions().collect();
        assert!(!versions.is_empty() && versions.is_sorted_by(|newer, older| newer > older), "{versions:?}");
    }
}
