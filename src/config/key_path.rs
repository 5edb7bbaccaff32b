//! Where a value stands in the configuration: `metrics[2].rate.window`.

use std::fmt;

/// Keys and indices from the root of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Key(String),
    Index(usize),
}

// === impl KeyPath ===

impl KeyPath {
    /// The path of a value under a key of this one.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.into()))
    }

    /// The path of an item of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    fn step(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

/// Keys that hold other characters than letters, digits, `_` and `-` stand in brackets.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if !key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) => {
                    write!(f, "[{key:?}]")?;
                }
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_operators_read_them() {
        let root = KeyPath::default();
        assert_eq!(root.to_string(), "");
        assert_eq!(root.key("metrics").index(2).key("rate").key("window").to_string(), "metrics[2].rate.window");
        assert_eq!(root.key("labels").key("a.b/c").to_string(), "labels[\"a.b/c\"]");
    }
}
