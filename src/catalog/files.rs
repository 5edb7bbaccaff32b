//! What has been made: texts by their path.

use std::collections::BTreeMap;

use crate::catalog::Problem;

/// Texts by path, which is relative and has `/` on every machine: `dashboards/plimsoll-overview.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, String>);

// === impl Files ===

impl Files {
    /// # Errors
    /// When there is one of that path, or one that is the same file where capitals do not matter: two would be written to one
    /// place.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<String>) -> Result<(), Problem> {
        let path = path.into();
        if let Some(other) = self.0.keys().find(|other| other.eq_ignore_ascii_case(&path)) {
            return Err(Problem { what: format!("there would be the file {other} at the same place"), query: path });
        }
        self.0.insert(path, text.into());
        Ok(())
    }

    /// # Errors
    /// As [`Files::add`].
    pub fn extend(&mut self, others: Self) -> Result<(), Problem> {
        others.0.into_iter().try_for_each(|(path, text)| self.add(path, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_file_on_every_machine() {
        let mut files = Files::default();
        files.add("runbooks/UpTime.md", "1").expect("the first");
        for twin in ["runbooks/UpTime.md", "runbooks/Uptime.md"] {
            let problem = files.add(twin, "2").expect_err("a twin").to_string();
            assert_eq!(problem, format!("{twin}: there would be the file runbooks/UpTime.md at the same place"));
        }
        assert_eq!(files.0["runbooks/UpTime.md"], "1");
    }
}
